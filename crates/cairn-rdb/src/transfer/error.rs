//! `TransferError`: why a SQL file did not go out, or none took its place.

use std::path::PathBuf;

use cairn_archive::ArchiveError;
use cairn_env::{EnvError, ErrorKind};
use cairn_io::IoError;

use crate::pages::ReadError;

/// The result of what is done with SQL files as wholes.
pub type TransferResult<T> = Result<T, TransferError>;

/// Why a SQL file did not go out, or none took its place. Nothing has changed then, unless the error of the
/// environment says that this is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The archive failed, or is refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored passed its checksums and cannot be.
    #[error("SQL file {name:?} is damaged at byte {at}: {what}")]
    Damaged {
        /// The file.
        name: String,
        /// Where.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A file cannot be called so.
    #[error(
        "{name:?} is no name of a SQL file: it has 1 to 128 bytes, none of them `/` or a control character, \
         and does not end like a journal"
    )]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// There is no such file.
    #[error("there is no SQL file {name:?}")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// A backup cannot be called so.
    #[error(
        "{name:?} is no name for a backup: it has 1 to 96 letters, digits, `-`, `_` and `.`, and does not begin \
         with a `.`"
    )]
    InvalidBackupName {
        /// What was given.
        name: String,
    },
    /// The file has no such backup.
    #[error("SQL file {file:?} has no backup {name:?}")]
    NoSuchBackup {
        /// The file.
        file: String,
        /// What the backup should be called.
        name: String,
    },
    /// Nobody has said where backups of this environment lie.
    #[error("nobody has said where backups of this environment are to lie: see BackupPlace")]
    NoPlace,
    /// Somebody writes to it.
    #[error("somebody writes to SQL file {name:?}: wait, or end their transaction")]
    Busy {
        /// Its name.
        name: String,
    },
    /// There is something of that name already.
    #[error("{} exists already; say so if it is to be replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is encrypted would lie in the clear.
    #[error(
        "the environment is encrypted, and {} would not be: say so if that is meant",
        path.display()
    )]
    WouldBePlain {
        /// The file.
        path: PathBuf,
    },
    /// The file is none of SQLite's, or is damaged.
    #[error("{} cannot be imported: {why}", path.display())]
    NotImportable {
        /// The file.
        path: PathBuf,
        /// What SQLite says of it.
        why: String,
    },
    /// What was written does not come back from the disk.
    #[error("{} does not hold what was written to it, from byte {at} on", path.display())]
    NotReadBack {
        /// The file.
        path: PathBuf,
        /// Where the difference begins.
        at: u64,
    },
    /// Whoever was told of the progress has ended it.
    #[error("it was cancelled")]
    Cancelled,
}

impl TransferError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::Io(error) if error.is_no_space() => ErrorKind::Full,
            Self::Sqlite(error) => kind_of(error),
            Self::Io(_) | Self::Cancelled | Self::NotReadBack { .. } => ErrorKind::Io,
            Self::Damaged { .. } | Self::NotImportable { .. } => ErrorKind::Corrupt,
            Self::InvalidName { .. } | Self::InvalidBackupName { .. } | Self::NoPlace => {
                ErrorKind::InvalidInput
            }
            Self::NotFound { .. } | Self::NoSuchBackup { .. } => ErrorKind::NotFound,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::WouldBePlain { .. } => ErrorKind::InvalidInput,
        }
    }
}

/// What an error of SQLite's is for the caller.
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            ErrorKind::Busy
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            ErrorKind::Corrupt
        }
        Some(rusqlite::ErrorCode::DiskFull) => ErrorKind::Full,
        Some(rusqlite::ErrorCode::SystemIoFailure) => ErrorKind::Io,
        _ => ErrorKind::InvalidInput,
    }
}

impl From<ReadError> for TransferError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Env(error) => Self::Env(error),
            ReadError::Corrupt { file, offset, what } => {
                let name = crate::file::file_name(&file).unwrap_or(&file).into();
                Self::Damaged { name, at: offset, what }
            }
        }
    }
}
