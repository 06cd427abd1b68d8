//! The SQL file of a store: opening, looking for and removing it.
// For a while: files beside the environment, in place of the VFS that another change brings. This never reaches
// the main branch.
#![expect(clippy::disallowed_methods, reason = "goes with the VFS")]

use std::{fs, path::PathBuf, time::Duration};

use cairn_env::Environment;
use rusqlite::{Connection, OpenFlags};

use crate::{RdbError, RdbResult};

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
    Create,
}

/// A connection to a SQL file of an environment.
pub(crate) fn connect(env: &Environment, file: &str, access: Access) -> RdbResult<Connection> {
    let path = path(env, file);
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // A reader that comes before the first writer finds no file yet in WAL mode.
    let flags = flags
        | match access {
            Access::ReadOnly if path.exists() => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::ReadOnly | Access::Create => {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
        };
    let connection = Connection::open_with_flags(path, flags).map_err(RdbError::of_sqlite)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(RdbError::of_sqlite)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(RdbError::of_sqlite)?;
    connection.pragma_update(None, "synchronous", "off").map_err(RdbError::of_sqlite)?;
    if access == Access::ReadOnly {
        connection.pragma_update(None, "query_only", true).map_err(RdbError::of_sqlite)?;
    }
    Ok(connection)
}

/// By what name a connection attaches the file of another store of its environment.
pub(crate) fn attach_name(env: &Environment, file: &str) -> String {
    path(env, file).display().to_string()
}

/// Whether an environment has a SQL file.
#[expect(clippy::unnecessary_wraps, reason = "the VFS can fail")]
pub(crate) fn file_exists(env: &Environment, file: &str) -> RdbResult<bool> {
    Ok(path(env, file).exists())
}

/// Removes a SQL file of an environment; one that is not there is no error.
#[expect(clippy::unnecessary_wraps, reason = "the VFS can fail")]
pub(crate) fn remove_file(env: &Environment, file: &str) -> RdbResult<()> {
    for end in ["", "-wal", "-shm"] {
        drop(fs::remove_file(path(env, &format!("{file}{end}"))));
    }
    Ok(())
}

fn path(env: &Environment, file: &str) -> PathBuf {
    let id = format!("cairn-rdb-{:?}", env.identity().environment);
    let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let dir = std::env::temp_dir().join(id);
    drop(fs::create_dir_all(&dir));
    dir.join(file)
}
