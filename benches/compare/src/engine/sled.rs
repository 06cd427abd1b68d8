//! sled: its last release that is no alpha.

use sled::{Batch, Config, Db, Mode};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "sled",
    settings: "cache 1 GiB, `Mode::HighThroughput`; `flush` after each commit, which waits \
               for `sync_file_range` and not for the device; in the background where nothing is synced",
    b_tree: false,
    syncs: false,
    open: |dir, Room { cache, .. }| {
        let config = Config::new().path(dir.join("data")).cache_capacity(cache as u64);
        Ok(Box::new(Sled(config.mode(Mode::HighThroughput).open()?)))
    },
};

struct Sled(Db);

struct SledSession<'e>(&'e Db, Commit);

impl Engine for Sled {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(SledSession(&self.0, commit)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let mut sum = 0;
        for key in keys {
            let value = self.0.get(key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        sum(self.0.iter())
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let (mut count, mut all) = (0, 0);
        for start in starts {
            let (some, of_them) = sum(self.0.range(start..).take(len))?;
            count += some;
            all += of_them;
        }
        Ok((count, all))
    }

    fn sync(&self) -> Result {
        self.0.flush()?;
        Ok(())
    }
}

fn sum(
    entries: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<(u64, u64)> {
    let (mut count, mut sum) = (0, 0);
    for entry in entries {
        let (key, value) = entry?;
        count += 1;
        sum += u64::from(key[3]) + u64::from(value[50]);
    }
    Ok((count, sum))
}

impl Session for SledSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let Self(database, commit) = self;
        if let [(key, value)] = entries {
            database.insert(key, *value)?;
        } else {
            let mut batch = Batch::default();
            entries.iter().for_each(|(key, value)| batch.insert(&key[..], *value));
            database.apply_batch(batch)?;
        }
        if *commit == Commit::Synced {
            database.flush()?;
        }
        Ok(())
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        Ok(self.0.get(key)?.ok_or("a key is not there")?[5])
    }
}
