//! SQLite, through rusqlite, as it is bundled there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "sqlite",
    settings: "WAL, cache and map of 1 GiB, pages of 8 KiB (rows of 1 KiB do not fit into 4), `WITHOUT ROWID`; `synchronous=FULL`, `OFF` where \
               nothing is synced",
    b_tree: true,
    syncs: true,
    open: |dir, Room { cache, .. }| {
        let sqlite = Sqlite { path: dir.join("data.sqlite"), cache };
        let create =
            "CREATE TABLE IF NOT EXISTS main (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID";
        sqlite.connect(Commit::Synced)?.execute_batch(create)?;
        Ok(Box::new(sqlite))
    },
};

struct Sqlite {
    path: PathBuf,
    cache: usize,
}

struct SqliteSession(Connection);

impl Sqlite {
    fn connect(&self, commit: Commit) -> Result<Connection> {
        let connection = connect(&self.path, self.cache)?;
        let synchronous = match commit {
            Commit::Synced => "FULL",
            Commit::Unsynced => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        Ok(connection)
    }
}

fn connect(path: &Path, cache: usize) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "mmap_size", cache as i64)?;
    connection.pragma_update(None, "cache_size", -(cache as i64 / 1024))?;
    Ok(connection)
}

impl Engine for Sqlite {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(SqliteSession(self.connect(commit)?)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let mut connection = self.connect(Commit::Synced)?;
        let read = connection.transaction()?;
        let mut select = read.prepare("SELECT value FROM main WHERE key = ?1")?;
        let mut sum = 0;
        for key in keys {
            let byte: u8 = select.query_row([&key[..]], |row| Ok(row.get_ref(0)?.as_blob()?[5]))?;
            sum += u64::from(byte);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        let connection = self.connect(Commit::Synced)?;
        let mut select = connection.prepare("SELECT key, value FROM main ORDER BY key")?;
        let mut rows = select.query([])?;
        let (mut count, mut sum) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
            sum += u64::from(key[3]) + u64::from(value[50]);
        }
        Ok((count, sum))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let mut connection = self.connect(Commit::Synced)?;
        let read = connection.transaction()?;
        let select = "SELECT key, value FROM main WHERE key >= ?1 ORDER BY key LIMIT ?2";
        let mut select = read.prepare(select)?;
        let (mut count, mut sum) = (0, 0);
        for start in starts {
            let mut rows = select.query((&start[..], i64::try_from(len)?))?;
            while let Some(row) = rows.next()? {
                count += 1;
                let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
                sum += u64::from(key[3]) + u64::from(value[50]);
            }
        }
        Ok((count, sum))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let mut connection = self.connect(Commit::Synced)?;
        let write = connection.transaction()?;
        {
            let mut put = write.prepare("INSERT INTO main (key, value) VALUES (?1, ?2)")?;
            for (key, value) in entries {
                put.execute((&key[..], value))?;
            }
        }
        write.commit()?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        let connection = self.connect(Commit::Synced)?;
        Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.connect(Commit::Synced)?.execute_batch("VACUUM")?;
        self.sync()?;
        Ok(true)
    }
}

impl Session for SqliteSession {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let write = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let put = "INSERT OR REPLACE INTO main (key, value) VALUES (?1, ?2)";
            let mut put = write.prepare_cached(put)?;
            for (key, value) in entries {
                put.execute((&key[..], value))?;
            }
        }
        Ok(write.commit()?)
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        let mut select = self.0.prepare_cached("SELECT value FROM main WHERE key = ?1")?;
        Ok(select.query_row([&key[..]], |row| Ok(row.get_ref(0)?.as_blob()?[5]))?)
    }
}
