//! SQLite, and its backup API.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, backup::Backup, params};

use super::{Data, Saver};
use crate::Result;

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn load(path: &Path, data: Data) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch("CREATE TABLE data (key INTEGER PRIMARY KEY, value BLOB)")?;
        let mut saver = Self(connection);
        saver.put(&mut data.all())?;
        Ok(saver)
    }

    fn put(&mut self, entries: &mut dyn Iterator<Item = ([u8; 8], Vec<u8>)>) -> Result {
        let txn = self.0.transaction()?;
        {
            let mut put = txn.prepare("INSERT OR REPLACE INTO data VALUES (?, ?)")?;
            for (key, value) in entries {
                put.execute(params![i64::from_be_bytes(key), value])?;
            }
        }
        Ok(txn.commit()?)
    }
}

impl Saver for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn change(&mut self, data: Data) -> Result {
        self.put(&mut data.changed())
    }

    fn full(&mut self, place: &Path) -> Result {
        fs::create_dir(place)?;
        copy(&self.0, &place.join("backup.db"))
    }

    fn increment(&mut self, _: &Path) -> Result<bool> {
        Ok(false)
    }

    fn restore(&mut self, place: &Path, to: &Path) -> Result {
        fs::create_dir(to)?;
        copy(&Connection::open(place.join("backup.db"))?, &to.join("back.db"))
    }
}

/// All pages in one step, as fast as it can.
fn copy(from: &Connection, to: &Path) -> Result {
    let mut to = Connection::open(to)?;
    Ok(Backup::new(from, &mut to)?.run_to_completion(i32::MAX, Duration::ZERO, None)?)
}
