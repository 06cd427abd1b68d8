//! `RdbError`: what went wrong with a store, and the number that ArkData has for it.

use std::ffi::c_int;

use cairn_archive::ArchiveError;
use cairn_env::{DiskLimit, EnvError, ErrorKind, Scope};
use rusqlite::{Error as SqliteError, ffi};

use crate::TransferError;

/// The result of an operation on a store.
pub type RdbResult<T> = Result<T, RdbError>;

/// An error of a store.
///
/// Unless a variant says otherwise nothing was changed, and the store goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RdbError {
    /// The name of a store, or the alias of an attached one, is not one.
    #[error("{name:?} is no name of a store: {why}")]
    InvalidName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An argument is not allowed.
    #[error("invalid argument: {what}")]
    InvalidArgs {
        /// Which one, and what is allowed.
        what: String,
    },
    /// Predicates contradict themselves, or cannot be used for what they were used for.
    #[error("invalid predicates on {table:?}: {what}")]
    InvalidPredicates {
        /// Their table.
        table: String,
        /// What is wrong with them.
        what: String,
    },
    /// The store exists and is another one than its configuration says.
    #[error("store {store:?} was created with {option} {recorded}, and is opened with {asked}")]
    ConfigChanged {
        /// Its name.
        store: String,
        /// The option.
        option: &'static str,
        /// What is recorded.
        recorded: String,
        /// What was asked for.
        asked: String,
    },
    /// Encryption was asked for where there is none.
    #[error(
        "store {store:?} is to be encrypted, and the environment is not: its key is given when the \
         environment is created"
    )]
    NotEncrypted {
        /// The name of the store.
        store: String,
    },
    /// There is no such store.
    #[error("there is no store {store:?}")]
    StoreNotFound {
        /// Its name.
        store: String,
    },
    /// What is recorded of a store passes its checksums and cannot be understood.
    #[error("store {store:?} holds what cannot be understood: {what}")]
    Corrupt {
        /// Its name.
        store: String,
        /// What cannot be understood, and where.
        what: String,
    },
    /// The store is damaged, and is not to be rebuilt.
    #[error(
        "store {store:?} is damaged ({damage}): heal its environment from a replica, restore a backup of the store, or \
         open it with allow_rebuild, which sets it aside for an empty one"
    )]
    Damaged {
        /// Its name.
        store: String,
        /// What was met first.
        damage: String,
    },
    /// The environment of the store has no replica.
    #[error("the environment of the store has no replica: Options::replica makes one")]
    NoReplica,
    /// It was closed, or has ended, or what it belongs to was closed or deleted.
    #[error("the {what} was closed")]
    AlreadyClosed {
        /// What was closed.
        what: &'static str,
    },
    /// As many are open as may be.
    #[error("there are {max} {what} already, which is the limit")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// What is needed was not free for as long as one waits for it.
    #[error("busy: {what} was not free for {waited_ms} ms")]
    Busy {
        /// What was not free, and who has it.
        what: String,
        /// For how long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// An alias is in use.
    #[error("the alias {alias:?} is in use")]
    AliasExists {
        /// The alias.
        alias: String,
    },
    /// There is no row with this number, or it stands on none.
    #[error("there is no row {row:?}: it stands on none, or there are fewer")]
    RowOutOfRange {
        /// The number of the row, if one was asked for.
        row: Option<u64>,
    },
    /// There is no such column.
    #[error("there is no column {column}: there are {count}")]
    ColumnOutOfRange {
        /// Its number or its name.
        column: String,
        /// How many there are.
        count: usize,
    },
    /// A query that was to find a row found none.
    #[error("no data meets the condition")]
    NoRow,
    /// The statement is no query.
    #[error("a query is expected, which changes nothing and has columns, and not {sql:?}")]
    NotAQuery {
        /// The beginning of the statement.
        sql: String,
    },
    /// The statement cannot be executed by this call.
    #[error("{sql:?} cannot be executed here: {why}")]
    SqlNotSupported {
        /// The beginning of the statement.
        sql: String,
        /// Why not, and what to call.
        why: &'static str,
    },
    /// The store does not have what is asked for.
    #[error("not supported: {what}")]
    NotSupported {
        /// What is not, and by what.
        what: String,
    },
    /// A value is of another type than is asked for, and cannot be converted without loss.
    #[error("column {column} holds {found}, which is no {asked}")]
    TypeMismatch {
        /// The column.
        column: String,
        /// What it holds: the type, never the value.
        found: String,
        /// What was asked for.
        asked: &'static str,
    },
    /// SQLite refused.
    #[error("SQLite: {message} (code {extended})")]
    Sqlite {
        /// Its extended result code.
        extended: i32,
        /// Its message; with the place in the statement, if it is about one.
        message: String,
    },
    /// The store did not go out as a whole, or nothing came in its place.
    #[error(transparent)]
    Transfer(TransferError),
    /// The environment refused. What it means for the change stands there.
    #[error(transparent)]
    Env(#[from] EnvError),
}

impl From<TransferError> for RdbError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Env(error) => Self::Env(error),
            TransferError::Sqlite(error) => Self::of_sqlite(error),
            error => Self::Transfer(error),
        }
    }
}

impl RdbError {
    pub(crate) fn args(what: impl Into<String>) -> Self {
        Self::InvalidArgs { what: what.into() }
    }

    /// What an error of the library says.
    pub(crate) fn of_sqlite(error: SqliteError) -> Self {
        match error {
            SqliteError::SqliteFailure(code, message) => Self::Sqlite {
                extended: code.extended_code,
                message: message.unwrap_or_else(|| code.to_string()),
            },
            SqliteError::SqlInputError { error, msg, offset, .. } => {
                let message = format!("{msg}, at byte {offset} of the statement");
                Self::Sqlite { extended: error.extended_code, message }
            }
            SqliteError::InvalidParameterCount(given, needed) => {
                Self::args(format!("{given} values for {needed} parameters of a statement"))
            }
            SqliteError::MultipleStatement => {
                Self::args("more than one statement: they are executed one by one")
            }
            SqliteError::NulError(_) => Self::args("a statement with a byte 0 in it"),
            SqliteError::QueryReturnedNoRows => Self::NoRow,
            SqliteError::InvalidColumnIndex(column) => {
                Self::ColumnOutOfRange { column: column.to_string(), count: 0 }
            }
            other => Self::Sqlite { extended: ffi::SQLITE_ERROR, message: other.to_string() },
        }
    }

    /// The result code of SQLite without what extends it.
    fn primary(&self) -> Option<c_int> {
        match self {
            Self::Sqlite { extended, .. } => Some(extended & 0xff),
            _ => None,
        }
    }

    /// The number that ArkData's relational store gives in this situation, where it has one: for
    /// bindings. Several errors that are told apart here share a number there.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        Some(match self {
            Self::InvalidName { .. }
            | Self::InvalidArgs { .. }
            | Self::InvalidPredicates { .. } => 401,
            Self::NotSupported { .. } => 801,
            Self::Corrupt { .. } | Self::Damaged { .. } => 14_800_011,
            Self::NoReplica => 14_800_010,
            Self::RowOutOfRange { .. } => 14_800_012,
            Self::ColumnOutOfRange { .. } => 14_800_013,
            Self::AlreadyClosed { .. } => 14_800_014,
            Self::Busy { .. } => 14_800_015,
            Self::AliasExists { .. } => 14_800_016,
            Self::ConfigChanged { .. } => 14_800_017,
            Self::NoRow => 14_800_018,
            Self::NotAQuery { .. } => 14_800_019,
            Self::NotEncrypted { .. } => 14_800_020,
            Self::SqlNotSupported { .. } => 14_800_021,
            Self::TypeMismatch { .. } => 14_800_041,
            Self::StoreNotFound { .. } => 14_800_042,
            Self::TooMany { .. } => return None,
            Self::Sqlite { extended: ffi::SQLITE_IOERR_DATA, .. } => 14_800_011,
            Self::Sqlite { extended: ffi::SQLITE_IOERR_COMMIT_ATOMIC, .. } => 14_800_024,
            Self::Sqlite { .. } => self.primary().map_or(14_800_021, sqlite_code),
            Self::Transfer(error) => return transfer_code(error),
            Self::Env(error) => return env_code(error),
        })
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Transfer(error) => error.kind(),
            Self::Sqlite {
                extended: ffi::SQLITE_BUSY_SNAPSHOT | ffi::SQLITE_IOERR_COMMIT_ATOMIC,
                ..
            } => ErrorKind::Conflict,
            Self::Sqlite { extended: ffi::SQLITE_IOERR_DATA, .. } => ErrorKind::Corrupt,
            Self::Sqlite { .. } => self.primary().map_or(ErrorKind::Internal, sqlite_kind),
            Self::NotEncrypted { .. } => ErrorKind::Key,
            Self::StoreNotFound { .. } | Self::NoRow | Self::NoReplica => ErrorKind::NotFound,
            Self::AlreadyClosed { .. } => ErrorKind::Closed,
            Self::TooMany { .. } | Self::Busy { .. } => ErrorKind::Busy,
            Self::AliasExists { .. } => ErrorKind::Exists,
            Self::NotSupported { .. } => ErrorKind::Unsupported,
            Self::Corrupt { .. } | Self::Damaged { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// How far the error reaches.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Env(error) => error.scope(),
            error if error.kind() == ErrorKind::Corrupt => Scope::Store,
            _ => Scope::Operation,
        }
    }

    /// Whether to do the same again, from the first read on, may succeed: another transaction was faster, or
    /// has not let go yet.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Conflict | ErrorKind::Busy)
    }

    /// SQLite's extended result code, if SQLite refused.
    #[must_use]
    pub const fn sqlite_code(&self) -> Option<i32> {
        match self {
            Self::Sqlite { extended, .. } => Some(*extended),
            _ => None,
        }
    }
}

/// What a statement is shown as in an error: its beginning.
pub(crate) fn beginning(sql: &str) -> String {
    const MAX: usize = 80;
    match sql.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &sql[..end]),
        None => sql.into(),
    }
}

const fn sqlite_code(primary: c_int) -> i64 {
    match primary {
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => 14_800_011,
        ffi::SQLITE_ABORT => 14_800_022,
        ffi::SQLITE_PERM => 14_800_023,
        ffi::SQLITE_BUSY => 14_800_024,
        ffi::SQLITE_LOCKED => 14_800_025,
        ffi::SQLITE_NOMEM => 14_800_026,
        ffi::SQLITE_READONLY => 14_800_027,
        ffi::SQLITE_IOERR => 14_800_028,
        ffi::SQLITE_FULL => 14_800_029,
        ffi::SQLITE_CANTOPEN => 14_800_030,
        ffi::SQLITE_TOOBIG => 14_800_031,
        ffi::SQLITE_CONSTRAINT => 14_800_032,
        ffi::SQLITE_MISMATCH => 14_800_033,
        ffi::SQLITE_MISUSE => 14_800_034,
        _ => 14_800_021,
    }
}

const fn sqlite_kind(primary: c_int) -> ErrorKind {
    match primary {
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => ErrorKind::Corrupt,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => ErrorKind::Busy,
        ffi::SQLITE_READONLY => ErrorKind::Unsupported,
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => ErrorKind::Io,
        ffi::SQLITE_FULL => ErrorKind::Full,
        ffi::SQLITE_INTERNAL | ffi::SQLITE_MISUSE => ErrorKind::Internal,
        _ => ErrorKind::InvalidInput,
    }
}

fn transfer_code(error: &TransferError) -> Option<i64> {
    match error {
        TransferError::NoSuchBackup { .. }
        | TransferError::InvalidBackupName { .. }
        | TransferError::Archive(ArchiveError::NotFound { .. }) => Some(14_800_010),
        TransferError::Archive(ArchiveError::Env(error)) => env_code(error),
        TransferError::Archive(error) => match error.kind() {
            // At a restore ArkData does not tell a wrong key from damage.
            ErrorKind::Corrupt | ErrorKind::Key | ErrorKind::Unsupported => Some(14_800_011),
            ErrorKind::Full => Some(14_800_029),
            ErrorKind::Io => Some(14_800_028),
            ErrorKind::InvalidInput => Some(14_800_011), // something else than a backup of such a store
            _ => None,
        },
        TransferError::NoPlace => Some(801),
        error => match error.kind() {
            ErrorKind::Corrupt => Some(14_800_011),
            ErrorKind::Busy => Some(14_800_015),
            ErrorKind::Full => Some(14_800_029),
            ErrorKind::Io => Some(14_800_028),
            ErrorKind::InvalidInput => Some(401),
            _ => None,
        },
    }
}

fn env_code(error: &EnvError) -> Option<i64> {
    match error {
        EnvError::DiskLimit { limit: DiskLimit::MaxDisk { .. }, .. } => Some(14_800_047),
        EnvError::Locked { .. } | EnvError::AlreadyOpen { .. } => Some(14_800_030),
        error => match error.kind() {
            ErrorKind::Corrupt => Some(14_800_011),
            ErrorKind::Closed => Some(14_800_014),
            ErrorKind::Busy | ErrorKind::Conflict => Some(14_800_015),
            ErrorKind::Key => Some(14_800_020),
            ErrorKind::Io => Some(14_800_028),
            ErrorKind::Full => Some(14_800_029),
            ErrorKind::InvalidInput => Some(401),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(extended: c_int) -> RdbError {
        RdbError::of_sqlite(SqliteError::SqliteFailure(ffi::Error::new(extended), None))
    }

    #[test]
    fn codes_of_sqlite_are_the_numbers_of_arkdata() {
        for (code, number) in [
            (ffi::SQLITE_ERROR, 14_800_021),
            (ffi::SQLITE_ABORT_ROLLBACK, 14_800_022),
            (ffi::SQLITE_PERM, 14_800_023),
            (ffi::SQLITE_BUSY, 14_800_024),
            (ffi::SQLITE_BUSY_SNAPSHOT, 14_800_024),
            (ffi::SQLITE_LOCKED, 14_800_025),
            (ffi::SQLITE_NOMEM, 14_800_026),
            (ffi::SQLITE_READONLY, 14_800_027),
            (ffi::SQLITE_IOERR_READ, 14_800_028),
            (ffi::SQLITE_FULL, 14_800_029),
            (ffi::SQLITE_CANTOPEN, 14_800_030),
            (ffi::SQLITE_TOOBIG, 14_800_031),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, 14_800_032),
            (ffi::SQLITE_MISMATCH, 14_800_033),
            (ffi::SQLITE_MISUSE, 14_800_034),
            (ffi::SQLITE_CORRUPT, 14_800_011),
            (ffi::SQLITE_CORRUPT_INDEX, 14_800_011),
            (ffi::SQLITE_IOERR_DATA, 14_800_011),
            (ffi::SQLITE_IOERR_COMMIT_ATOMIC, 14_800_024),
            (ffi::SQLITE_NOTADB, 14_800_011),
            (ffi::SQLITE_INTERRUPT, 14_800_021),
        ] {
            assert_eq!(sqlite(code).code(), Some(number), "{code}");
            assert_eq!(sqlite(code).sqlite_code(), Some(code));
        }
        assert_eq!(sqlite(ffi::SQLITE_BUSY_SNAPSHOT).kind(), ErrorKind::Conflict);
        assert_eq!(sqlite(ffi::SQLITE_CORRUPT).scope(), Scope::Store);
        assert!(
            sqlite(ffi::SQLITE_BUSY).is_retryable() && !sqlite(ffi::SQLITE_FULL).is_retryable()
        );
    }

    #[test]
    fn errors_have_the_numbers_of_arkdata() {
        let (store, what) = (|| "s".to_string(), || "w".to_string());
        for (error, number) in [
            (RdbError::InvalidName { name: store(), why: "" }, Some(401)),
            (RdbError::args("w"), Some(401)),
            (RdbError::InvalidPredicates { table: store(), what: what() }, Some(401)),
            (RdbError::NotSupported { what: what() }, Some(801)),
            (RdbError::Corrupt { store: store(), what: what() }, Some(14_800_011)),
            (RdbError::RowOutOfRange { row: None }, Some(14_800_012)),
            (RdbError::ColumnOutOfRange { column: what(), count: 1 }, Some(14_800_013)),
            (RdbError::AlreadyClosed { what: "store" }, Some(14_800_014)),
            (RdbError::Busy { what: what(), waited_ms: 2000 }, Some(14_800_015)),
            (RdbError::AliasExists { alias: what() }, Some(14_800_016)),
            (RdbError::NoRow, Some(14_800_018)),
            (RdbError::NotAQuery { sql: what() }, Some(14_800_019)),
            (RdbError::NotEncrypted { store: store() }, Some(14_800_020)),
            (RdbError::SqlNotSupported { sql: what(), why: "" }, Some(14_800_021)),
            (RdbError::StoreNotFound { store: store() }, Some(14_800_042)),
            (RdbError::TooMany { what: "result sets", max: 64 }, None),
            (RdbError::Env(EnvError::Closed), Some(14_800_014)),
        ] {
            assert_eq!(error.code(), number, "{error}");
        }
    }

    #[test]
    fn a_statement_is_shown_by_its_beginning() {
        assert_eq!(beginning("SELECT 1"), "SELECT 1");
        assert_eq!(beginning(&"ä".repeat(100)), format!("{}…", "ä".repeat(80)));
    }
}
