//! LMDB, through heed.

use std::{ops::Bound, path::Path};

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, PutFlags, types::Bytes,
};

use super::{Commit, Engine, Entry, Key, Pair, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "lmdb",
    settings: "map of 16 GiB, cached by the system; `MDB_NOSYNC` where nothing is synced",
    b_tree: true,
    syncs: true,
    open: |dir, _room| {
        // A database borrows its environment; a turn is a process, so that both may stay.
        let env: &'static Env = Box::leak(Box::new(open(dir)?));
        let created = env.create_databases_and_commit(env.write_txn()?, |databases, write| {
            databases.create_database(write, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        let database = created.unwrap_commit();
        Ok(Box::new(Lmdb { env, database }))
    },
};

struct Lmdb {
    env: &'static Env,
    database: Database<'static, Bytes, Bytes>,
}

struct LmdbSession<'e>(&'e Lmdb);

#[expect(unsafe_code, reason = "heed's interface; no other program knows this temporary directory")]
fn open(dir: &Path) -> Result<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(16 << 30);
    // SAFETY: the file is new, in a directory of this process, and opened once.
    Ok(unsafe { options.open(dir) }?)
}

#[expect(unsafe_code, reason = "heed's interface")]
fn set_no_sync(env: &Env, mode: FlagSetMode) -> Result {
    // SAFETY: rows follow each other; while this runs no other thread uses the environment. What a
    // crash would lose is lost in a temporary directory.
    Ok(unsafe { env.set_flags(EnvFlags::NO_SYNC, mode) }?)
}

impl Engine for Lmdb {
    fn prepare(&self, commit: Commit) -> Result {
        match commit {
            Commit::Synced => set_no_sync(self.env, FlagSetMode::Disable),
            Commit::Unsynced => set_no_sync(self.env, FlagSetMode::Enable),
        }
    }

    fn session(&self, _commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(LmdbSession(self)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let read = self.env.read_txn()?;
        let mut sum = 0;
        for key in keys {
            let value = self.database.get(&read, &key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let read = self.env.read_txn()?;
        let (mut count, mut sum) = (0, 0);
        for entry in self.database.iter(&read)? {
            let (key, value) = entry?;
            count += 1;
            sum += u64::from(key[3]) + u64::from(value[50]);
        }
        Ok((count, sum))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let read = self.env.read_txn()?;
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            let from = (Bound::Included(&start[..]), Bound::Unbounded);
            for entry in self.database.range(&read, &from)?.take(len) {
                let (key, value) = entry?;
                count += 1;
                sum += u64::from(key[3]) + u64::from(value[50]);
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        set_no_sync(self.env, FlagSetMode::Disable)?;
        let mut write = self.env.write_txn()?;
        for (key, value) in entries {
            self.database.put_with_flags(&mut write, PutFlags::APPEND, &key, value)?;
        }
        write.commit()?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.env.force_sync()?)
    }
}

impl Session for LmdbSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let mut write = self.0.env.write_txn()?;
        for (key, value) in entries {
            self.0.database.put(&mut write, key, value)?;
        }
        Ok(write.commit()?)
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let read = self.0.env.read_txn()?;
        Ok(self.0.database.get(&read, key)?.ok_or("a key is not there")?[5])
    }
}
