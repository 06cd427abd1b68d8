//! `EnvError`: what went wrong, how far it reaches, and what the caller can do.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cairn_btree::TreeError;
use cairn_io::{IoError, LockError};
use cairn_log::{Damage, FileNumber, LogError, Timeline, Uuid, dump::show_bytes};

use crate::{Database, DatabaseKind, DiskLimit, RestoreTo, SpaceHolder, Superseded, space};

/// The result of an operation on an environment.
pub type EnvResult<T> = Result<T, EnvError>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another transaction was faster: run the transaction again.
    Conflict,
    /// It was held for longer, or at a higher price, than was allowed: begin again.
    Expired,
    /// Somebody else holds what is needed: wait, or ask them to let go.
    Busy,
    /// It is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// The call was wrong: the message says what is allowed.
    InvalidInput,
    /// A key is missing, is the wrong one, or cannot be had, or one was given for what is not encrypted.
    Key,
    /// The environment was closed.
    Closed,
    /// The environment failed earlier: close all handles and open it again; recovery then runs.
    Poisoned,
    /// Bytes on the disk are damaged or missing: verify, then heal or restore from a backup.
    Corrupt,
    /// The files need a newer version, or a feature that this build lacks.
    Unsupported,
    /// The device is full, or a limit was reached.
    Full,
    /// The disk does not answer as it should.
    Io,
    /// A rule inside was broken: a bug worth reporting. Nothing wrong was returned.
    Internal,
}

/// How far an error reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// This call; everything else goes on.
    Operation,
    /// The transaction, which has no effect.
    Transaction,
    /// A database, or a range of its keys.
    Store,
    /// The whole environment. Whether work can go on is what
    /// [`Environment::is_valid`](crate::Environment::is_valid) says.
    Environment,
}

/// An error of an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A log file cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The environment failed earlier.
    #[error(
        "the environment failed and must be closed and opened again; the first cause was: {cause}"
    )]
    Poisoned {
        /// The first cause.
        cause: Arc<EnvError>,
    },
    /// A commit was written, but whether it is durable is unknown.
    #[error("whether the commit is durable is unknown, since a sync failed: {cause}")]
    CommitUnknown {
        /// Why.
        cause: Arc<EnvError>,
    },
    /// A commit took effect and could not be written, since the device is full. The environment is
    /// valid: the commit is written with the next one, or by a sync, as soon as there is room, and
    /// nothing is committed before. Until then a crash loses it. It must not be repeated.
    #[error("commit {commit} took effect, but is not durable yet: {cause}")]
    CommitPending {
        /// Its number.
        commit: u64,
        /// What the disk said.
        cause: Arc<EnvError>,
    },
    /// The environment was closed.
    #[error("the environment was closed")]
    Closed,
    /// It cannot be closed yet.
    #[error("still in use by {}", holders.join(", "))]
    Busy {
        /// Who holds it.
        holders: Vec<String>,
    },
    /// Another process has it open.
    #[error("{} is open in another process{}", path.display(), pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    Locked {
        /// The environment.
        path: PathBuf,
        /// The process, as far as can be told.
        pid: Option<u32>,
    },
    /// This process has it open already.
    #[error("{} is open in this process already", path.display())]
    AlreadyOpen {
        /// The environment.
        path: PathBuf,
    },
    /// The directory holds no environment.
    #[error("{} is no CairnDB environment: {why}", path.display())]
    NotAnEnvironment {
        /// The directory.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// A restore into this directory was not finished.
    #[error("{} holds an unfinished restore: {how}", path.display())]
    IncompleteRestore {
        /// The directory.
        path: PathBuf,
        /// How to go on.
        how: String,
    },
    /// The environment cannot be opened as it is.
    #[error("{} needs repair: {why}", path.display())]
    NeedsRepair {
        /// The environment.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The disk does not give back what was just written to it. Whether that is whole is not known.
    #[error("{} cannot be read back: {why}", path.display())]
    NotReadBack {
        /// The environment.
        path: PathBuf,
        /// What was written there, and what the disk said.
        why: String,
        /// What kind of error that was.
        kind: ErrorKind,
    },
    /// A small file of the environment (state, pointer, descriptor) is damaged.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The environment is encrypted, and the key that it needs is not there.
    #[error("{} is encrypted: its key is needed (key epoch {epoch})", path.display())]
    KeyRequired {
        /// The environment.
        path: PathBuf,
        /// The epoch of the key.
        epoch: u32,
    },
    /// The environment is encrypted, with another key.
    #[error("this is not the key for {} (key epoch {epoch})", path.display())]
    WrongKey {
        /// The environment.
        path: PathBuf,
        /// The epoch of the key.
        epoch: u32,
    },
    /// Keys were given for an environment that is not encrypted.
    #[error("{} is not encrypted: there is nothing that a key opens", path.display())]
    NotEncrypted {
        /// The environment.
        path: PathBuf,
    },
    /// What is there passes its checksums and is not what was written with the key: somebody has changed
    /// it, or has brought it from elsewhere, or from an earlier time.
    #[error("{} is not authentic: {what}", path.display())]
    NotAuthentic {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        what: String,
    },
    /// A log file that must be there is not.
    #[error("log file {name} is missing from {}: {why}", dir.display())]
    MissingFile {
        /// Its name.
        name: String,
        /// Where it should be.
        dir: PathBuf,
        /// Who needs it.
        why: String,
    },
    /// A data directory is missing, or is not the one it should be.
    #[error("data directory {}: {why}", path.display())]
    DataDirectory {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A log file that does not belong there.
    #[error("{} does not belong to this environment: {why}", path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        why: String,
    },
    /// The environment needs a newer version.
    #[error("{} needs {needs}, which this version does not have", path.display())]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// What it needs.
        needs: String,
    },
    /// The key could not be had from where it was to come.
    #[error("the key cannot be had from {what}: {why}")]
    KeyUnavailable {
        /// From where.
        what: String,
        /// What is wrong there.
        why: String,
    },
    /// The keyring of an encrypted environment or of its backup is damaged, or was tampered with.
    #[error("keyring {}: {what}", path.display())]
    KeyringDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A record passes its checksum but contradicts what is known.
    #[error("log file {file}, offset {offset}: {what}")]
    Inconsistent {
        /// The file.
        file: FileNumber,
        /// Where in it.
        offset: u64,
        /// What contradicts what.
        what: String,
    },
    /// Another transaction has changed what this one had read.
    #[error(
        "commit {commit} has changed {} of database {database} after this transaction had read it; \
         run the transaction again",
        show_bytes(key, 32)
    )]
    Conflict {
        /// The database.
        database: String,
        /// A key that was changed; it lies in what was read.
        key: Vec<u8>,
        /// The number of the commit that has changed it, or of a later one.
        commit: u64,
    },
    /// A key is too long.
    #[error("a key of {len} bytes is too long: at most {max}")]
    KeyTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A value is too long.
    #[error("a value of {len} bytes is too long: at most {max}")]
    ValueTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A transaction is too large.
    #[error(
        "a transaction of {bytes} bytes is too large: at most {max}; commit in smaller steps, or use an exclusive one"
    )]
    TransactionTooLarge {
        /// Bytes of its changes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// There is no such database.
    #[error("there is no database {name:?}")]
    NoSuchDatabase {
        /// Its name.
        name: String,
    },
    /// The database is used for something else.
    #[error("database {name:?} is a {kind}, and no {wanted}")]
    WrongKind {
        /// Its name.
        name: String,
        /// What it is.
        kind: DatabaseKind,
        /// What it would have to be.
        wanted: DatabaseKind,
    },
    /// A key and one of its values are too long together.
    #[error(
        "a key of {key} bytes with a value of {value} bytes takes {len} bytes: at most {max}, in \
         which each zero byte of the key counts twice"
    )]
    PairTooLong {
        /// The length of the key.
        key: usize,
        /// The length of the value: in an index, of the key of the entry.
        value: usize,
        /// What they take together.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// What stands in a multimap or an index is no pair of key and value.
    #[error("{} in database {database:?} is no key with a value", show_bytes(stored, 32))]
    NoPair {
        /// The database.
        database: String,
        /// What stands there.
        stored: Vec<u8>,
    },
    /// The database has an index of which nobody has said what it holds.
    #[error(
        "database {database:?} has the index {index:?} (version {version}): it cannot be written before \
         Environment::index has said what the index holds; or drop the index"
    )]
    IndexNotRegistered {
        /// The database.
        database: String,
        /// The index.
        index: String,
        /// The version of its function.
        version: u32,
    },
    /// Two entries would have a key in common in an index that is unique.
    #[error(
        "index {index:?} is unique, and {} leads to the entry {} already",
        show_bytes(key, 32),
        show_bytes(primary_key, 32)
    )]
    NotUnique {
        /// The index.
        index: String,
        /// The key.
        key: Vec<u8>,
        /// The key of the entry that has it.
        primary_key: Vec<u8>,
    },
    /// An index leads to an entry that is not there.
    #[error(
        "in index {index:?} {} leads to the entry {}, which is not there; drop the index and build it \
         again",
        show_bytes(key, 32),
        show_bytes(primary_key, 32)
    )]
    IndexDisagrees {
        /// The index.
        index: String,
        /// The key in it.
        key: Vec<u8>,
        /// The key of the entry.
        primary_key: Vec<u8>,
    },
    /// A name or an option that is not allowed.
    #[error("{what}")]
    InvalidInput {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// The environment was opened for reading only.
    #[error("the environment was opened for reading only")]
    ReadOnly,
    /// A limit of the space on disk is reached, and everything was let go that can go. Commits that
    /// only delete entries or drop databases still succeed, and so do checkpoints, cleaning and
    /// closing; whatever gives space back lets others succeed too. The environment stays valid.
    #[error(
        "{limit}; it takes {used}, and keeps {kept} for deleting, checkpoints and closing; {}",
        space::show_holders(holders)
    )]
    DiskLimit {
        /// Which limit.
        limit: DiskLimit,
        /// Bytes that the log files take.
        used: u64,
        /// Bytes that are kept.
        kept: u64,
        /// Who keeps files from being removed.
        holders: Vec<SpaceHolder>,
    },
    /// A backup has lost the files that it pinned, since it cost more than it may.
    #[error(
        "the backup has lost its files: it held back {bytes} bytes, for {} s, which is more than it may; \
         begin another one, with a larger budget or a faster copy",
        since.as_secs()
    )]
    PinLost {
        /// Bytes of log files that could have been removed but for it.
        bytes: u64,
        /// How long it had gone on.
        since: Duration,
    },
    /// A snapshot or transaction has outlived the age limit that was set, and kept files from being
    /// removed: [`Options::snapshot_age`](crate::Options#structfield.snapshot_age).
    #[error(
        "the snapshot of commit {commit} is too old: it kept log files from being removed for more than \
         {} s; take a new one",
        limit.as_secs()
    )]
    SnapshotTooOld {
        /// The last commit that it saw.
        commit: u64,
        /// The limit.
        limit: Duration,
    },
    /// A directory cannot be the replica of this environment. Nothing in it was touched.
    #[error("{} cannot be the replica of this environment: {why}", path.display())]
    Replica {
        /// The directory.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// The directory is a standby, which is not written before it was promoted.
    #[error(
        "{} is a standby of timeline {follows} of the environment {environment}: it can be read, and it can be \
         written once it was promoted",
        path.display()
    )]
    Standby {
        /// The directory.
        path: PathBuf,
        /// The environment.
        environment: Uuid,
        /// The timeline whose journal it gets.
        follows: Timeline,
    },
    /// A standby was promoted in the place of the environment.
    #[error(
        "{} has been superseded by a promotion: the environment {} goes on, instead of on timeline {}, on timeline {} of \
         the standby {}, which had its commits up to {} at {}",
        path.display(),
        superseded.environment,
        superseded.timeline,
        superseded.by,
        superseded.standby,
        superseded.commit,
        RestoreTo::Time(superseded.at)
    )]
    Superseded {
        /// The directory of the environment, or of its replica.
        path: PathBuf,
        /// By whom.
        superseded: Box<Superseded>,
    },
    /// A sink was given journal bytes that do not follow those that it has.
    #[error("journal bytes at {offset:x} of file {file} do not follow {}", show_position(*expected))]
    ShippingGap {
        /// The file of the bytes.
        file: FileNumber,
        /// Where in it they begin.
        offset: u64,
        /// Where the sink's journal ends.
        expected: Option<(FileNumber, u64)>,
    },
    /// A sink was given other journal bytes than those that it has for the same place.
    #[error("journal bytes at {offset:x} of file {file} are there already, and are others")]
    ShippedOtherwise {
        /// The file.
        file: FileNumber,
        /// Where in it the bytes begin.
        offset: u64,
    },
    /// A restore goes to a moment that the history which is at hand does not hold.
    #[error("{what}: the history that is here goes from commit {first} to commit {last}")]
    OutOfReach {
        /// What was asked for.
        what: String,
        /// The first commit that can be restored.
        first: u64,
        /// The last one.
        last: u64,
        /// The time of the last one, in microseconds since 1970.
        time: u64,
    },
    /// A restore goes to a moment behind a journal file that is not there.
    #[error(
        "the journal in {} has a gap: {missing} is missing or cannot be read ({why}); without it, commit \
         {last} is the last that can be restored",
        path.display()
    )]
    JournalGap {
        /// Where the journal was looked for.
        path: PathBuf,
        /// The file.
        missing: String,
        /// How that is known, or what is wrong with it.
        why: String,
        /// The last commit before it.
        last: u64,
        /// The time of that commit, in microseconds since 1970.
        time: u64,
    },
    /// A journal is not of the history that a backup begins.
    #[error("the journal in {} does not go on from the backup: {why}", path.display())]
    OtherHistory {
        /// Where the journal is.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A number space is used up.
    #[error("{what} are used up")]
    Exhausted {
        /// Which one.
        what: &'static str,
    },
    /// A rule inside was broken.
    #[error("internal error: {what}")]
    Internal {
        /// Which rule.
        what: String,
    },
}

impl EnvError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => io_kind(error),
            Self::Log(error) => log_kind(error),
            Self::Tree(error) => tree_kind(error),
            Self::Internal { .. } => ErrorKind::Internal,
            Self::NotReadBack { kind, .. } => *kind,
            Self::Poisoned { .. } | Self::CommitUnknown { .. } => ErrorKind::Poisoned,
            Self::Closed => ErrorKind::Closed,
            Self::Busy { .. } | Self::Locked { .. } | Self::AlreadyOpen { .. } => ErrorKind::Busy,
            Self::NotAnEnvironment { .. }
            | Self::NoSuchDatabase { .. }
            | Self::OutOfReach { .. } => ErrorKind::NotFound,
            Self::IncompleteRestore { .. }
            | Self::NeedsRepair { .. }
            | Self::Damaged { .. }
            | Self::MissingFile { .. }
            | Self::JournalGap { .. }
            | Self::DataDirectory { .. }
            | Self::ForeignFile { .. }
            | Self::Inconsistent { .. }
            | Self::NotAuthentic { .. }
            | Self::ShippedOtherwise { .. }
            | Self::KeyringDamaged { .. }
            | Self::NoPair { .. }
            | Self::IndexDisagrees { .. } => ErrorKind::Corrupt,
            Self::KeyRequired { .. }
            | Self::NotEncrypted { .. }
            | Self::WrongKey { .. }
            | Self::KeyUnavailable { .. } => ErrorKind::Key,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::PinLost { .. } | Self::SnapshotTooOld { .. } => ErrorKind::Expired,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::NotUnique { .. } => ErrorKind::Exists,
            Self::KeyTooLong { .. }
            | Self::PairTooLong { .. }
            | Self::WrongKind { .. }
            | Self::IndexNotRegistered { .. }
            | Self::ValueTooLong { .. }
            | Self::TransactionTooLarge { .. }
            | Self::InvalidInput { .. }
            | Self::Replica { .. }
            | Self::Standby { .. }
            | Self::Superseded { .. }
            | Self::ShippingGap { .. }
            | Self::OtherHistory { .. }
            | Self::ReadOnly => ErrorKind::InvalidInput,
            Self::Exhausted { .. } | Self::CommitPending { .. } | Self::DiskLimit { .. } => {
                ErrorKind::Full
            }
        }
    }

    /// How far the error reaches.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.kind() {
            ErrorKind::Conflict => Scope::Transaction,
            ErrorKind::Poisoned | ErrorKind::Closed => Scope::Environment,
            ErrorKind::Corrupt => match self {
                Self::Tree(_)
                | Self::Log(LogError::Corrupt { .. })
                | Self::NoPair { .. }
                | Self::IndexDisagrees { .. } => Scope::Store,
                _ => Scope::Environment,
            },
            ErrorKind::Full | ErrorKind::Io | ErrorKind::Unsupported | ErrorKind::Key => {
                Scope::Environment
            }
            ErrorKind::Busy if !matches!(self, Self::Busy { .. }) => Scope::Environment,
            _ => Scope::Operation,
        }
    }

    /// Whether the same call will fail again until somebody has done something about it.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        !matches!(self.kind(), ErrorKind::Conflict | ErrorKind::Busy | ErrorKind::Io)
    }

    /// Whether a transaction that failed with this can simply be run again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Conflict
    }

    /// Whether a device, a quota or a limit is exhausted.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        self.kind() == ErrorKind::Full
    }

    /// Whether a write found no room, and nothing is unknown because of it. A sync that fails for
    /// want of space is another matter.
    pub(crate) fn may_try_again(&self) -> bool {
        match self {
            Self::Io(error) => error.may_try_again(),
            Self::Log(error) | Self::Tree(TreeError::Log(error)) => error.may_try_again(),
            other => other.is_no_space(),
        }
    }

    pub(crate) fn conflict(database: &Database, key: &[u8], commit: u64) -> Self {
        Self::Conflict { database: database.name().into(), key: key.to_vec(), commit }
    }

    pub(crate) fn lock(path: PathBuf, error: LockError) -> Self {
        match error {
            LockError::HeldElsewhere { pid } => Self::Locked { path, pid },
            LockError::HeldHere => Self::AlreadyOpen { path },
            LockError::Io(error) => Self::Io(error),
            error => Self::Internal { what: error.to_string() },
        }
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal { what: what.into() }
    }
}

/// The end of a journal, for messages.
fn show_position(position: Option<(FileNumber, u64)>) -> String {
    position.map_or("nothing".into(), |(file, end)| format!("{end:x} of file {file}"))
}

fn io_kind(error: &IoError) -> ErrorKind {
    if error.is_no_space() { ErrorKind::Full } else { ErrorKind::Io }
}

pub(crate) fn tree_kind(error: &TreeError) -> ErrorKind {
    match error {
        TreeError::Log(error) => log_kind(error),
        error if error.is_damage() => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    }
}

pub(crate) fn log_kind(error: &LogError) -> ErrorKind {
    match error {
        LogError::Io(error) => io_kind(error),
        LogError::Corrupt {
            damage: Damage::UnknownKind { .. } | Damage::UnknownFlags { .. },
            ..
        }
        | LogError::Corrupt { .. }
        | LogError::Foreign { .. }
        | LogError::NotEncrypted { .. }
        | LogError::MissingFile { .. } => ErrorKind::Corrupt,
        LogError::KeyRequired { .. } => ErrorKind::Key,
        LogError::Unsupported { .. } => ErrorKind::Unsupported,
        LogError::Exhausted { .. } => ErrorKind::Full,
        _ => ErrorKind::Internal,
    }
}
