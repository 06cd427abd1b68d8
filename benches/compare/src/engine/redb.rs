//! redb.

use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{CACHE, Commit, Engine, Entry, Key, Writer};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "redb",
    settings: "cache 1 GiB; `Durability::Immediate`, `None` where nothing is synced",
    b_tree: true,
    open: |dir| {
        let database = Builder::new().set_cache_size(CACHE).create(dir.join("data.redb"))?;
        let write = database.begin_write()?;
        write.open_table(TABLE)?;
        write.commit()?;
        Ok(Box::new(Redb(database)))
    },
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("main");

struct Redb(Database);

struct RedbWriter<'e>(&'e Database, Durability);

impl Engine for Redb {
    fn writer(&self, commit: Commit) -> Result<Box<dyn Writer + '_>> {
        let durability = match commit {
            Commit::Synced => Durability::Immediate,
            Commit::Unsynced => Durability::None,
        };
        Ok(Box::new(RedbWriter(&self.0, durability)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let mut sum = 0;
        for key in keys {
            let value = table.get(&key[..])?.ok_or("a key is not there")?;
            sum += u64::from(value.value()[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let (mut count, mut sum) = (0, 0);
        for entry in table.iter()? {
            let (key, value) = entry?;
            count += 1;
            sum += u64::from(key.value()[3]) + u64::from(value.value()[50]);
        }
        Ok((count, sum))
    }

    fn sync(&self) -> Result {
        Ok(self.0.begin_write()?.commit()?)
    }
}

impl Writer for RedbWriter<'_> {
    fn commit(&mut self, keys: &[Key], value: &[u8]) -> Result {
        let mut write = self.0.begin_write()?;
        write.set_durability(self.1)?;
        {
            let mut table = write.open_table(TABLE)?;
            for key in keys {
                table.insert(&key[..], value)?;
            }
        }
        Ok(write.commit()?)
    }
}
