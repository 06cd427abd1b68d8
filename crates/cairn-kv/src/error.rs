//! `KvError`: what went wrong with a store, and the number that ArkData has for it.

use cairn_archive::ArchiveError;
use cairn_env::{DiskLimit, EnvError, ErrorKind, Scope};

use crate::SecurityLevel;

/// The result of an operation on a store.
pub type KvResult<T> = Result<T, KvError>;

/// An error of a store.
///
/// Unless a variant says otherwise nothing was changed, and the store goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The id of a store is not one.
    #[error("{id:?} is no id of a store: it has 1 to {max} letters, digits and underscores")]
    InvalidStoreId {
        /// What was given.
        id: String,
        /// Most characters that it may have.
        max: usize,
    },
    /// A key is empty or too long.
    #[error("a key of {len} bytes is not allowed: it has 1 to {max}")]
    InvalidKey {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A value is too long.
    #[error("a value of {len} bytes is too long: at most {max}")]
    ValueTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A value does not follow the schema of its store.
    #[error("the value does not follow the schema: {what}")]
    ValueMismatch {
        /// The field, and what is wrong with it.
        what: String,
    },
    /// A batch has too many entries.
    #[error("a batch of {len} entries is too large: at most {max}")]
    BatchTooLarge {
        /// How many there are.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A batch has nothing in it.
    #[error("an empty batch of keys deletes nothing: is it meant?")]
    EmptyBatch,
    /// The id of a device is not one.
    #[error("{device:?} is no id of a device: it has 1 to {max} bytes")]
    InvalidDevice {
        /// What was given.
        device: String,
        /// Most bytes that it may have.
        max: usize,
    },
    /// A query cannot be understood, or does not fit the schema of the store.
    #[error("invalid query: {what}")]
    InvalidQuery {
        /// What is wrong with it.
        what: String,
    },
    /// The text of a query is too long.
    #[error("the query has {len} bytes of text: at most {max}")]
    QueryTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A schema contradicts itself, or exceeds a limit.
    #[error("invalid schema: {what}")]
    InvalidSchema {
        /// What is wrong with it.
        what: String,
    },
    /// The store exists and is another one than the options say.
    #[error("store {store:?} was created with {option} {recorded}, and is opened with {asked}")]
    ChangedOptions {
        /// Its id.
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
        /// The id of the store.
        store: String,
    },
    /// There is no such store.
    #[error("there is no store {store:?}")]
    StoreNotFound {
        /// Its id.
        store: String,
    },
    /// There is no such key: [`KvStore::require`](crate::KvStore::require).
    #[error("there is no entry {:?}", String::from_utf8_lossy(key))]
    KeyNotFound {
        /// The key.
        key: Vec<u8>,
    },
    /// It was closed, or what it belongs to was closed, deleted or replaced.
    #[error("the {what} was closed")]
    Closed {
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
    /// The store does not have what is asked for.
    #[error("not supported: {what}")]
    NotSupported {
        /// What is not, and by what.
        what: String,
    },
    /// Another version of the library has written the record of the store.
    #[error("the record of store {store:?} has version {version}; this library knows {known}")]
    UnknownVersion {
        /// Its id.
        store: String,
        /// The version that it has.
        version: u32,
        /// The version that is known.
        known: u32,
    },
    /// The environment has a database under a name that is reserved for a store, and no such store.
    #[error(
        "the environment has a database {database:?}, whose name is reserved for a store, and no such \
         store: rename or drop it"
    )]
    NameTaken {
        /// The database.
        database: String,
    },
    /// What is stored passes its checksums and cannot be understood.
    #[error("store {store:?} holds what cannot be understood: {what}")]
    Corrupt {
        /// Its id.
        store: String,
        /// What cannot be understood, and where.
        what: String,
    },
    /// A backup cannot have this name.
    #[error("{name:?} is no name for a backup: {why}")]
    InvalidBackupName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The store has no such backup.
    #[error("store {store:?} has no backup {name:?}")]
    NoSuchBackup {
        /// Its id.
        store: String,
        /// What the backup should be called.
        name: String,
    },
    /// The store has no backup that could be restored, so none is the latest.
    #[error("store {store:?} has no backup that is whole")]
    NoGoodBackup {
        /// Its id.
        store: String,
    },
    /// The store has as many backups as it may.
    #[error(
        "the store has {count} backups, and may have {max}: delete one, or use a name that is there"
    )]
    BackupLimit {
        /// The limit.
        max: usize,
        /// How many there are.
        count: usize,
    },
    /// The data of a backup is more sensitive than that of the store may be.
    #[error("the backup is of security level {backup:?}, and the store of {store:?}")]
    LowerSecurity {
        /// The level of the store when it was backed up.
        backup: SecurityLevel,
        /// Its level now.
        store: SecurityLevel,
    },
    /// Somebody else does what only one can.
    #[error("busy: {what} is going on")]
    Busy {
        /// What is going on.
        what: &'static str,
    },
    /// A backup could not be made or brought back: what is wrong with it, or with its disk.
    #[error(transparent)]
    Archive(ArchiveError),
    /// The environment refused. What it means for the change stands there.
    #[error(transparent)]
    Env(#[from] EnvError),
}

impl KvError {
    pub(crate) fn query(what: impl Into<String>) -> Self {
        Self::InvalidQuery { what: what.into() }
    }

    pub(crate) fn schema(what: impl Into<String>) -> Self {
        Self::InvalidSchema { what: what.into() }
    }

    /// The number that ArkData's key-value store gives in this situation, where it has one: for
    /// bindings. Several errors that are told apart here share a number there.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::InvalidStoreId { .. }
            | Self::InvalidKey { .. }
            | Self::ValueTooLong { .. }
            | Self::ValueMismatch { .. }
            | Self::BatchTooLarge { .. }
            | Self::EmptyBatch
            | Self::InvalidDevice { .. }
            | Self::InvalidQuery { .. }
            | Self::QueryTooLong { .. }
            | Self::InvalidSchema { .. }
            | Self::InvalidBackupName { .. }
            | Self::NoSuchBackup { .. }
            | Self::NoGoodBackup { .. } => Some(401),
            Self::TooMany { .. } => Some(15_100_001),
            Self::ChangedOptions { .. } => Some(15_100_002),
            Self::NotEncrypted { .. } | Self::Corrupt { .. } => Some(15_100_003),
            Self::StoreNotFound { .. } | Self::KeyNotFound { .. } => Some(15_100_004),
            Self::Closed { .. } => Some(15_100_005),
            Self::NotSupported { .. }
            | Self::UnknownVersion { .. }
            | Self::NameTaken { .. }
            | Self::BackupLimit { .. }
            | Self::LowerSecurity { .. }
            | Self::Busy { .. } => None,
            Self::Env(error) => env_code(error),
            Self::Archive(error) => archive_code(error),
        }
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::NoSuchBackup { .. } | Self::NoGoodBackup { .. } => ErrorKind::NotFound,
            Self::BackupLimit { .. } => ErrorKind::Full,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::NotEncrypted { .. } => ErrorKind::Key,
            Self::StoreNotFound { .. } | Self::KeyNotFound { .. } => ErrorKind::NotFound,
            Self::Closed { .. } => ErrorKind::Closed,
            Self::TooMany { .. } => ErrorKind::Busy,
            Self::NotSupported { .. } | Self::UnknownVersion { .. } => ErrorKind::Unsupported,
            Self::NameTaken { .. } => ErrorKind::Exists,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// How far the error reaches.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Env(error) => error.scope(),
            Self::Archive(error) => error.scope(),
            Self::Corrupt { .. } => Scope::Store,
            _ => Scope::Operation,
        }
    }

    /// Whether to do the same again, from the first read on, may succeed: another transaction was faster.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Conflict
    }
}

impl From<ArchiveError> for KvError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Env(error) => Self::Env(error),
            error => Self::Archive(error),
        }
    }
}

impl From<cairn_io::IoError> for KvError {
    fn from(error: cairn_io::IoError) -> Self {
        Self::Archive(ArchiveError::Io(error))
    }
}

fn archive_code(error: &ArchiveError) -> Option<u32> {
    match error {
        ArchiveError::Env(error) => env_code(error),
        ArchiveError::NotFound { .. } => Some(401),
        error => match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Key => Some(15_100_003),
            _ => None,
        },
    }
}

fn env_code(error: &EnvError) -> Option<u32> {
    match error {
        EnvError::DiskLimit { limit: DiskLimit::MaxDisk { .. }, .. } => Some(14_800_047),
        EnvError::Locked { .. } | EnvError::AlreadyOpen { .. } => Some(15_100_006),
        EnvError::TransactionTooLarge { .. } => Some(401),
        error => match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Key => Some(15_100_003),
            ErrorKind::Closed => Some(15_100_005),
            ErrorKind::InvalidInput => Some(401),
            _ => None,
        },
    }
}
