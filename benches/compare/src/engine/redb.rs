//! redb.

use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "redb",
    settings: "cache 1 GiB; `Durability::Immediate`, `None` where nothing is synced",
    b_tree: true,
    syncs: true,
    open: |dir, Room { cache, .. }| {
        let database = Builder::new().set_cache_size(cache).create(dir.join("data.redb"))?;
        let write = database.begin_write()?;
        write.open_table(TABLE)?;
        write.commit()?;
        Ok(Box::new(Redb(database)))
    },
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("main");

struct Redb(Database);

struct RedbSession<'e>(&'e Database, Durability);

impl Engine for Redb {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        let durability = match commit {
            Commit::Synced => Durability::Immediate,
            Commit::Unsynced => Durability::None,
        };
        Ok(Box::new(RedbSession(&self.0, durability)))
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

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            for entry in table.range(&start[..]..)?.take(len) {
                let (key, value) = entry?;
                count += 1;
                sum += u64::from(key.value()[3]) + u64::from(value.value()[50]);
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, value) in entries {
                table.insert(&key[..], value)?;
            }
        }
        write.commit()?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.0.begin_write()?.commit()?)
    }

    fn compact(&mut self) -> Result<bool> {
        // It goes one step at a time.
        while self.0.compact()? {}
        Ok(true)
    }
}

impl Session for RedbSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let mut write = self.0.begin_write()?;
        write.set_durability(self.1)?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, value) in entries {
                table.insert(&key[..], value)?;
            }
        }
        Ok(write.commit()?)
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let value = table.get(&key[..])?.ok_or("a key is not there")?;
        Ok(value.value()[5])
    }
}
