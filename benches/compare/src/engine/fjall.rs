//! fjall.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{CACHE, Commit, Engine, Entry, Key, Writer};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "fjall",
    settings: "cache 1 GiB; `PersistMode::SyncData` after each commit, nothing where nothing is \
               synced",
    b_tree: false,
    open: |dir| {
        let database = Database::builder(dir).cache_size(CACHE as u64).open()?;
        let keyspace = database.keyspace("main", KeyspaceCreateOptions::default)?;
        Ok(Box::new(Fjall { database, keyspace }))
    },
};

struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

struct FjallWriter<'e>(&'e Fjall, Commit);

impl Engine for Fjall {
    fn writer(&self, commit: Commit) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(FjallWriter(self, commit)))
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

    fn sync(&self) -> Result {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

impl Writer for FjallWriter<'_> {
    fn commit(&mut self, keys: &[Key], value: &[u8]) -> Result {
        let Self(engine, commit) = self;
        if let [key] = keys {
            engine.keyspace.insert(key, value)?;
        } else {
            let mut batch = engine.database.batch();
            for key in keys {
                batch.insert(&engine.keyspace, &key[..], value);
            }
            batch.commit()?;
        }
        if *commit == Commit::Synced {
            engine.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}
