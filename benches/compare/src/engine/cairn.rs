//! CairnDB, plain and encrypted.

use std::path::Path;

use cairn_env::{Database, DatabaseOptions, Durability, Environment, KeySource, Options};

use super::{CACHE, Commit, Engine, Entry, Key, Writer};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "cairndb",
    settings: "cache 1 GiB; `Durability::Sync`, `NoSync` where nothing is synced",
    b_tree: true,
    open: |dir| open(dir, Options::default()),
};

pub const ENCRYPTED: Entry = Entry {
    name: "cairndb-encrypted",
    settings: "the same, with `Options::key`: AES-256-GCM",
    b_tree: true,
    open: |dir| {
        let mut key = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
        open(dir, Options::default().key(KeySource::raw(&mut key)))
    },
};

fn open(dir: &Path, options: Options) -> Result<Box<dyn Engine>> {
    let (env, _) = Environment::open(dir.join("env"), options.cache_bytes(CACHE))?;
    let database = env.database("main", DatabaseOptions::default())?;
    Ok(Box::new(Cairn { env, database }))
}

struct Cairn {
    env: Environment,
    database: Database,
}

struct CairnWriter<'e>(&'e Cairn, Durability);

impl Engine for Cairn {
    fn writer(&self, commit: Commit) -> Result<Box<dyn Writer + '_>> {
        let durability = match commit {
            Commit::Synced => Durability::Sync,
            Commit::Unsynced => Durability::NoSync,
        };
        Ok(Box::new(CairnWriter(self, durability)))
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

    fn sync(&self) -> Result {
        Ok(self.env.sync()?)
    }
}

impl Writer for CairnWriter<'_> {
    fn commit(&mut self, keys: &[Key], value: &[u8]) -> Result {
        let Self(engine, durability) = self;
        let committed = engine.env.write_with(*durability, |txn| {
            keys.iter().try_for_each(|key| txn.put(&engine.database, key, value))
        });
        Ok(committed?)
    }
}
