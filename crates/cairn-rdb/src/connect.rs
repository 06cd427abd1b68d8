//! Connect: a connection of SQLite whose files live in an environment.

use std::sync::{Arc, Mutex, Weak};

use cairn_env::Environment;
use rusqlite::{Connection, OpenFlags};

use crate::{
    file::{Files, MAX_NAME_LEN, check_name},
    sync::lock,
    vfs::Vfs,
};

/// What an open environment has of this crate.
#[derive(Debug, Default)]
struct Attached(Mutex<Served>);

#[derive(Debug, Default)]
struct Served {
    /// Registered with the first connection.
    vfs: Option<Vfs>,
    /// As long as a connection has them.
    files: Weak<Files>,
}

/// How a SQL file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "SQLite knows no other")]
pub enum Access {
    /// To read a file that exists.
    ReadOnly,
    /// To read and write a file that exists.
    ReadWrite,
    /// To read and write a file, which comes into being with its first commit.
    Create,
}

/// Opens connections of SQLite to files that live in an environment.
pub trait SqliteConnections {
    /// A connection to the SQL file `name` of this environment: plain `rusqlite`, so that code, mappers and tools
    /// for SQLite go over by changing one line.
    ///
    /// A file is called by one component of a path, of up to 128 bytes; `ATTACH` finds the other files of the
    /// environment by their names, and a transaction over several of them is one commit. `PRAGMA synchronous`
    /// says what a commit waits for: `FULL`, which is the default, for what the environment's durability says;
    /// `NORMAL` for nothing, and a power failure loses at most the last second; `OFF` for nothing at all.
    /// What was committed is there as a whole or not at all in any case.
    ///
    /// A read transaction sees one version and is never in the way of a writer. One connection at a time writes to
    /// a file; others wait for about five seconds before they are answered `SQLITE_BUSY`, but a transaction
    /// that has read what somebody else has changed since is answered `SQLITE_BUSY_SNAPSHOT` at once, as in WAL
    /// mode: begin transactions that will write with `BEGIN IMMEDIATE`.
    ///
    /// Connections keep the environment open; close them before it.
    ///
    /// ```
    /// use cairn_env::{Environment, Options};
    /// use cairn_rdb::{Access, SqliteConnections};
    ///
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let connection = env.sqlite_connection("app.db", Access::Create)?;
    /// connection.execute_batch("CREATE TABLE pets (name TEXT); INSERT INTO pets VALUES ('Mia')")?;
    /// let name: String = connection.query_row("SELECT name FROM pets", [], |row| row.get(0))?;
    /// assert_eq!(name, "Mia");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `SQLITE_CANTOPEN` for a name that is not allowed, for a file that does not exist and is not to be created,
    /// and for an environment that was closed.
    fn sqlite_connection(&self, name: &str, access: Access) -> rusqlite::Result<Connection>;
}

impl SqliteConnections for Environment {
    fn sqlite_connection(&self, name: &str, access: Access) -> rusqlite::Result<Connection> {
        connect(self, name, access)
    }
}

/// See [`SqliteConnections::sqlite_connection`].
pub(crate) fn connect(
    env: &Environment,
    name: &str,
    access: Access,
) -> rusqlite::Result<Connection> {
    if !check_name(name) || name.starts_with("file:") {
        return Err(cannot_open(format!(
            "{name:?} is no name of a SQL file: it has 1 to {MAX_NAME_LEN} bytes, none of them `/` or a control \
             character, and does not end like a journal"
        )));
    }
    let flags = match access {
        Access::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    let attached = env.attached::<Attached>();
    // Held until the connection has the file, and with it the files.
    let (_files, vfs) = {
        let mut served = lock(&attached.0);
        let files = files(&mut served, env);
        let vfs = match &served.vfs {
            Some(vfs) => vfs,
            None => {
                let vfs = Vfs::register().ok_or_else(no_vfs)?;
                served.vfs.insert(vfs)
            }
        };
        vfs.serve(&files);
        (files, vfs.name().to_owned())
    };
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags_and_vfs(name, flags, vfs.as_c_str())?;
    connection.busy_handler(Some(|times| times < RETRIES))?;
    // The journal is only there to take a statement or a savepoint back; the environment takes transactions
    // back.
    connection.pragma_update(None, "journal_mode", "memory")?;
    Ok(connection)
}

/// How often it is tried to write. Each time that somebody else does, it is waited for a fifth of a second.
const RETRIES: i32 = 25;

/// The files of an environment, as all connections of this process share them.
fn files(served: &mut Served, env: &Environment) -> Arc<Files> {
    served.files.upgrade().unwrap_or_else(|| {
        let files = Arc::new(Files::new(env.clone()));
        served.files = Arc::downgrade(&files);
        files
    })
}

/// The SQL files of an environment, for those who need no connection.
pub(crate) fn files_of(env: &Environment) -> Arc<Files> {
    let attached = env.attached::<Attached>();
    let mut served = lock(&attached.0);
    let files = files(&mut served, env);
    if let Some(vfs) = &served.vfs {
        vfs.serve(&files);
    }
    files
}

fn no_vfs() -> rusqlite::Error {
    cannot_open("SQLite has no VFS for this system".into())
}

fn cannot_open(why: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(why))
}
