//! canopydb.

use std::path::Path;

use canopydb::{Database, DbOptions, EnvOptions};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "canopydb",
    settings: "cache 1 GiB; `commit_with(true)`, `false` where nothing is synced",
    b_tree: true,
    syncs: true,
    open: |dir, Room { cache, .. }| {
        let database = open(dir, cache)?;
        let write = database.begin_write()?;
        write.get_or_create_tree(TREE)?;
        write.commit_with(true)?;
        Ok(Box::new(Canopy(database)))
    },
};

const TREE: &[u8] = b"main";

struct Canopy(Database);

struct CanopySession<'e>(&'e Database, Commit);

fn open(dir: &Path, cache: usize) -> Result<Database> {
    let mut options = EnvOptions::new(dir);
    options.page_cache_size = cache;
    Ok(Database::with_options(options, DbOptions::new())?)
}

impl Engine for Canopy {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(CanopySession(&self.0, commit)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let read = self.0.begin_read()?;
        let tree = read.get_tree(TREE)?.ok_or("there is no tree")?;
        let mut sum = 0;
        for key in keys {
            let value = tree.get(&key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let read = self.0.begin_read()?;
        let tree = read.get_tree(TREE)?.ok_or("there is no tree")?;
        let (mut count, mut sum) = (0, 0);
        for entry in tree.iter()? {
            let (key, value) = entry?;
            count += 1;
            sum += u64::from(key[3]) + u64::from(value[50]);
        }
        Ok((count, sum))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let read = self.0.begin_read()?;
        let tree = read.get_tree(TREE)?.ok_or("there is no tree")?;
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            for entry in tree.range(&start[..]..)?.take(len) {
                let (key, value) = entry?;
                count += 1;
                sum += u64::from(key[3]) + u64::from(value[50]);
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let write = self.0.begin_write()?;
        {
            let mut tree = write.get_or_create_tree(TREE)?;
            for (key, value) in entries {
                tree.insert(&key, value)?;
            }
        }
        write.commit_with(true)?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.0.sync()?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.0.compact()?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result {
        // What a close leaves to the next open otherwise.
        Ok(self.0.checkpoint()?)
    }
}

impl Session for CanopySession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let Self(database, commit) = self;
        let write = database.begin_write()?;
        {
            let mut tree = write.get_or_create_tree(TREE)?;
            for (key, value) in entries {
                tree.insert(key, value)?;
            }
        }
        write.commit_with(*commit == Commit::Synced)?;
        Ok(())
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let read = self.0.begin_read()?;
        let tree = read.get_tree(TREE)?.ok_or("there is no tree")?;
        Ok(tree.get(key)?.ok_or("a key is not there")?[5])
    }
}
