//! fjall.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "fjall",
    settings: "cache 1 GiB; `PersistMode::SyncData` after each commit, nothing where nothing is \
               synced",
    b_tree: false,
    syncs: true,
    open: |dir, Room { cache, .. }| {
        let database = Database::builder(dir).cache_size(cache as u64).open()?;
        let keyspace = database.keyspace("main", KeyspaceCreateOptions::default)?;
        Ok(Box::new(Fjall { database, keyspace }))
    },
};

struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

struct FjallSession<'e>(&'e Fjall, Commit);

impl Engine for Fjall {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(FjallSession(self, commit)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let mut sum = 0;
        for key in keys {
            let value = self.keyspace.get(key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let (mut count, mut sum) = (0, 0);
        for entry in self.keyspace.iter() {
            let (key, value) = entry.into_inner()?;
            count += 1;
            sum += u64::from(key[3]) + u64::from(value[50]);
        }
        Ok((count, sum))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            for entry in self.keyspace.range(start..).take(len) {
                let (key, value) = entry.into_inner()?;
                count += 1;
                sum += u64::from(key[3]) + u64::from(value[50]);
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let mut ingestion = self.keyspace.start_ingestion()?;
        for (key, value) in entries {
            ingestion.write(key, value)?;
        }
        ingestion.finish()?;
        self.sync()?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.keyspace.rotate_memtable_and_wait()?;
        self.keyspace.major_compact()?;
        Ok(true)
    }
}

impl Session for FjallSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let Self(engine, commit) = self;
        if let [(key, value)] = entries {
            engine.keyspace.insert(key, *value)?;
        } else {
            let mut batch = engine.database.batch();
            for (key, value) in entries {
                batch.insert(&engine.keyspace, &key[..], *value);
            }
            batch.commit()?;
        }
        if *commit == Commit::Synced {
            engine.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let Self(engine, _) = self;
        Ok(engine.keyspace.get(key)?.ok_or("a key is not there")?[5])
    }
}
