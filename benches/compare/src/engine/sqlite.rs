//! SQLite, through rusqlite, as it is bundled there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{CACHE, Commit, Engine, Entry, Key, Writer};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "sqlite",
    settings: "WAL, cache and map of 1 GiB, `WITHOUT ROWID`; `synchronous=FULL`, `OFF` where \
               nothing is synced",
    b_tree: true,
    open: |dir| {
        let sqlite = Sqlite { path: dir.join("data.sqlite") };
        let create = "CREATE TABLE main (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID";
        sqlite.connect(Commit::Synced)?.execute_batch(create)?;
        Ok(Box::new(sqlite))
    },
};

struct Sqlite {
    path: PathBuf,
}

struct SqliteWriter(Connection);

impl Sqlite {
    fn connect(&self, commit: Commit) -> Result<Connection> {
        let connection = connect(&self.path)?;
        let synchronous = match commit {
            Commit::Synced => "FULL",
            Commit::Unsynced => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        Ok(connection)
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "mmap_size", CACHE as i64)?;
    connection.pragma_update(None, "cache_size", -(CACHE as i64 / 1024))?;
    Ok(connection)
}

impl Engine for Sqlite {
    fn writer(&self, commit: Commit) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(SqliteWriter(self.connect(commit)?)))
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

    fn sync(&self) -> Result {
        let connection = self.connect(Commit::Synced)?;
        Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

impl Writer for SqliteWriter {
    fn commit(&mut self, keys: &[Key], value: &[u8]) -> Result {
        let write = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let put = "INSERT OR REPLACE INTO main (key, value) VALUES (?1, ?2)";
            let mut put = write.prepare_cached(put)?;
            for key in keys {
                put.execute((&key[..], value))?;
            }
        }
        Ok(write.commit()?)
    }
}
