//! CairnDB, plain and encrypted.

use std::path::Path;

use cairn_env::{Database, DatabaseOptions, Durability, Environment, KeySource, Options};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "cairndb",
    settings: "cache 1 GiB, huge pages; `Durability::Sync`, `NoSync` where nothing is synced",
    b_tree: true,
    syncs: true,
    open: |dir, room| open(dir, Options::default(), room),
};

pub const ENCRYPTED: Entry = Entry {
    name: "cairndb-encrypted",
    settings: "the same, with `Options::key`: AES-256-GCM",
    b_tree: true,
    syncs: true,
    open: |dir, room| {
        let mut key = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
        open(dir, Options::default().key(KeySource::raw(&mut key)), room)
    },
};

fn open(dir: &Path, options: Options, room: Room) -> Result<Box<dyn Engine>> {
    let mut options = options.cache_bytes(room.cache).huge_pages(true);
    if let Some(bytes) = room.log {
        options = options.checkpoint_bytes(bytes);
    }
    let (env, _) = Environment::open(dir.join("env"), options)?;
    let database = env.database("main", DatabaseOptions::default())?;
    Ok(Box::new(Cairn { env, database }))
}

struct Cairn {
    env: Environment,
    database: Database,
}

struct CairnSession<'e>(&'e Cairn, Durability);

impl Engine for Cairn {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        let durability = match commit {
            Commit::Synced => Durability::Sync,
            Commit::Unsynced => Durability::NoSync,
        };
        Ok(Box::new(CairnSession(self, durability)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let snapshot = self.env.snapshot()?;
        let mut sum = 0;
        for key in keys {
            let value = snapshot.get(&self.database, &key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let mut cursor = self.env.snapshot()?.cursor(&self.database)?;
        let (mut count, mut sum) = (0, 0);
        while cursor.next()? {
            let value = cursor.value_with(|value| value[50])?.ok_or("an entry without a value")?;
            count += 1;
            sum += u64::from(cursor.key()[3]) + u64::from(value);
        }
        Ok((count, sum))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let mut cursor = self.env.snapshot()?.cursor(&self.database)?;
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            let mut is_there = cursor.seek(&start)?;
            for _ in 0..len {
                if !is_there {
                    break;
                }
                let value = cursor.value_with(|value| value[50])?;
                count += 1;
                sum += u64::from(cursor.key()[3])
                    + u64::from(value.ok_or("an entry without a value")?);
                is_there = cursor.next()?;
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let mut txn = self.env.begin_exclusive()?;
        txn.load(&self.database, entries)?;
        txn.commit_with(Durability::Sync)?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.env.sync()?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.env.compact()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result {
        let Self { env, database: _ } = *self;
        Ok(env.close()?)
    }
}

impl Session for CairnSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let Self(engine, durability) = self;
        let committed = engine.env.write_with(*durability, |txn| {
            entries.iter().try_for_each(|(key, value)| txn.put(&engine.database, key, value))
        });
        Ok(committed?)
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let Self(engine, _) = self;
        let found = engine.env.get_with(&engine.database, key, |value| value[5])?;
        found.ok_or_else(|| "a key is not there".into())
    }
}
