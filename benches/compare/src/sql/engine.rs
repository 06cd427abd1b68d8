//! What is measured beside each other: the same SQLite, with files of its own or on an environment.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_env::{Environment, KeySource, Options};
use cairn_rdb::{
    Access, SqliteConnections,
    rusqlite::{Connection, params},
};

use crate::{Result, data::mix};

/// Enough for everything, in KiB.
pub const LARGE: u64 = 512 << 10;
/// Enough for next to nothing, in KiB.
pub const SMALL: u64 = 500;

/// The SQL file.
pub const NAME: &str = "app.db";

/// Who takes turns.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// SQLite with a file and a log of its own (WAL)
    Stock,
    /// SQLite on an environment
    Cairn,
    /// … that is encrypted
    Encrypted,
    /// … that maps no files
    Unmapped,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stock => "SQLite",
            Self::Cairn => "cairndb",
            Self::Encrypted => "encrypted",
            Self::Unmapped => "unmapped",
        }
    }

    /// How the environment is opened.
    pub fn options(self, cache_bytes: usize) -> Options {
        let options =
            Options::default().cache_bytes(cache_bytes).map_values(self != Self::Unmapped);
        match self {
            Self::Encrypted => options
                .key(KeySource::raw(&mut std::array::from_fn(|at| u8::try_from(at).unwrap_or(0)))),
            _ => options,
        }
    }
}

/// One of them, open.
pub enum Engine {
    Stock(PathBuf),
    Cairn(Environment),
}

impl Engine {
    /// Opens it in a directory that is there, with a cache of the environment of so many bytes.
    pub fn open(dir: &Path, kind: Kind, cache_bytes: usize) -> Result<Self> {
        Ok(match kind {
            Kind::Stock => Self::Stock(dir.join("stock.db")),
            kind => Self::Cairn(Environment::open(dir.join("env"), kind.options(cache_bytes))?.0),
        })
    }

    /// A connection with a page cache of so many KiB.
    pub fn connect(&self, synchronous: &str, cache_kib: u64) -> Result<Connection> {
        let connection = match self {
            Self::Stock(path) => {
                let connection = Connection::open(path)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.busy_timeout(Duration::from_secs(60))?;
                connection
            }
            Self::Cairn(env) => env.sqlite_connection(NAME, Access::Create)?,
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -i64::try_from(cache_kib)?)?;
        Ok(connection)
    }

    /// Reads all rows once, so that nobody waits for the disk.
    pub fn warm(&self) -> Result {
        let connection = self.connect("full", SMALL)?;
        let all = "SELECT sum(length(text)), (SELECT sum(n) FROM t INDEXED BY t_n) FROM t";
        Ok(connection.query_row(all, [], |_| Ok(()))?)
    }

    /// Closes it.
    pub fn close(self) -> Result {
        match self {
            Self::Stock(_) => Ok(()),
            Self::Cairn(env) => Ok(env.close()?),
        }
    }

    /// What was written so far is not to cost anybody later.
    pub fn settle(&self) -> Result {
        match self {
            Self::Stock(_) => {
                self.connect("full", SMALL)?.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
            }
            Self::Cairn(env) => drop(env.checkpoint()?),
        }
        Ok(())
    }
}

/// Makes a table of so many rows of about 100 bytes, with an index of numbers in no order, and two empty ones.
pub fn fill(engine: &Engine, rows: i64) -> Result {
    let connection = engine.connect("normal", LARGE)?;
    connection.execute_batch(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT); CREATE INDEX t_n ON t (n);
         CREATE TABLE plain (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
         CREATE TABLE indexed (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
         CREATE INDEX indexed_n ON indexed (n); BEGIN",
    )?;
    let mut statement = connection.prepare("INSERT INTO t VALUES (?1, ?2, ?3)")?;
    for id in 0..rows {
        statement.execute(params![id, mixed(id), text(id)])?;
    }
    drop(statement);
    connection.execute_batch("COMMIT")?;
    drop(connection);
    engine.settle()
}

/// A number in no order, the same for all.
pub fn mixed(n: i64) -> i64 {
    (mix(n.unsigned_abs()) >> 33).cast_signed()
}

/// What is in a row.
pub fn text(id: i64) -> String {
    format!(
        "{:016x} some text of a row that has no meaning at all, but is about as long",
        mixed(id)
    )
}

/// Removes a file that need not be there.
pub fn remove(path: &Path) -> Result {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
