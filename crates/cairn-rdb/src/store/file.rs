//! The SQL file of a store: opening, looking for and removing it.

use cairn_env::Environment;
use rusqlite::Connection;

use crate::{RdbError, RdbResult, SqlFiles, TransferError, connect};

pub(crate) use crate::connect::Access;

/// A connection to a SQL file of an environment.
pub(crate) fn connect(env: &Environment, file: &str, access: Access) -> RdbResult<Connection> {
    connect::connect(env, file, access).map_err(RdbError::of_sqlite)
}

/// By what name a connection attaches the file of another store of its environment.
pub(crate) fn attach_name(_env: &Environment, file: &str) -> String {
    file.into()
}

/// Whether an environment has a SQL file.
pub(crate) fn file_exists(env: &Environment, file: &str) -> RdbResult<bool> {
    Ok(SqlFiles::of(env).exists(file)?)
}

/// Removes a SQL file of an environment; one that is not there is no error.
pub(crate) fn remove_file(env: &Environment, file: &str) -> RdbResult<()> {
    match SqlFiles::of(env).remove(file) {
        Err(TransferError::NotFound { .. }) => Ok(()),
        removed => Ok(removed?),
    }
}
