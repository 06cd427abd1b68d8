//! Outcome: what SQLite is answered when something fails, and the cause, which it cannot be told.

use std::{cell::RefCell, sync::Arc};

use cairn_env::{EnvError, ErrorKind};
use rusqlite::ffi;

use crate::pages::{ReadError, TooLong, WriteError};

/// A result code of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(pub(crate) i32);

/// What a call of SQLite's has to answer.
pub(crate) type Answer<T> = Result<T, Outcome>;

/// Why a SQL file could not do what SQLite wanted of it: SQLite itself hands on a number.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Cause(Arc<WriteError>);

impl Cause {
    /// The error of the environment, if it was one.
    #[must_use]
    pub fn env_error(&self) -> Option<&EnvError> {
        match &*self.0 {
            WriteError::Env(error) | WriteError::Read(ReadError::Env(error)) => Some(error),
            WriteError::Read(ReadError::Corrupt { .. }) | WriteError::TooLong(_) => None,
        }
    }
}

thread_local! {
    static LAST: RefCell<Option<Cause>> = const { RefCell::new(None) };
}

/// Why a file of an environment has failed last in a call of SQLite's in this thread; once for each failure. It
/// belongs to an error of SQLite's only if this is asked for before and after the call.
///
/// ```
/// use cairn_env::{Environment, Options};
/// use cairn_rdb::{Access, SqliteConnections, take_cause};
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let connection = env.sqlite_connection("app.db", Access::Create)?;
/// connection.execute_batch("CREATE TABLE pets (name TEXT)")?;
/// env.clone().close()?;
/// assert!(connection.execute_batch("INSERT INTO pets VALUES ('Mia')").is_err());
/// assert_eq!(take_cause().unwrap().to_string(), "the environment was closed");
/// assert!(take_cause().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn take_cause() -> Option<Cause> {
    LAST.take()
}

/// What the last failure in this thread says.
pub(super) fn last_cause() -> Option<String> {
    LAST.with_borrow(|cause| cause.as_ref().map(ToString::to_string))
}

/// The outcome of a failure: damage as damage, want of room as such, anything else as `code`.
pub(crate) fn failed(code: i32, error: impl Into<WriteError>) -> Outcome {
    let error = error.into();
    let outcome = outcome_of(code, &error);
    LAST.set(Some(Cause(Arc::new(error))));
    outcome
}

/// As [`failed`], in the second phase of a commit, where SQLite has let go of its journal already. It then forgets what
/// it remembers of the file only if the disk has failed, or is full: any other answer would leave it with changes that
/// were not committed.
pub(super) fn failed_in_phase_two(error: WriteError) -> Outcome {
    let is_conflict = matches!(&error, WriteError::Env(error) if error.is_retryable());
    let outcome = failed(ffi::SQLITE_IOERR_WRITE, error);
    match outcome.0 & 0xff {
        _ if is_conflict => Outcome(ffi::SQLITE_IOERR_COMMIT_ATOMIC),
        ffi::SQLITE_IOERR | ffi::SQLITE_FULL => outcome,
        ffi::SQLITE_CORRUPT => Outcome(ffi::SQLITE_IOERR_DATA),
        _ => Outcome(ffi::SQLITE_IOERR_WRITE),
    }
}

fn outcome_of(code: i32, error: &WriteError) -> Outcome {
    Outcome(match error {
        WriteError::TooLong(TooLong) => ffi::SQLITE_FULL,
        WriteError::Read(ReadError::Corrupt { .. }) => ffi::SQLITE_CORRUPT,
        WriteError::Env(error) | WriteError::Read(ReadError::Env(error)) => match error.kind() {
            ErrorKind::Corrupt => ffi::SQLITE_CORRUPT,
            ErrorKind::Full => ffi::SQLITE_FULL,
            _ if matches!(error, EnvError::ReadOnly) => ffi::SQLITE_READONLY,
            _ => code,
        },
    })
}
