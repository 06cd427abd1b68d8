//! `ArchiveError`: why there is no archive, or why it is refused.

use std::path::PathBuf;

use cairn_env::{EnvError, ErrorKind, Scope};
use cairn_io::IoError;
use cairn_log::Uuid;

use crate::StoreInfo;

/// The result of what is done with archives.
pub type ArchiveResult<T> = Result<T, ArchiveError>;

/// An export, an import or a verification that failed. No archive has come into being, and no database has
/// changed, unless the error of an [`import`](crate::import()) or of a sync says that this is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What was read from, or written to, and is no file of a disk, failed.
    #[error("{}: {source}", path.display())]
    Stream {
        /// What it is called.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// There is no such archive.
    #[error("there is no archive {}", path.display())]
    NotFound {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is something of that name already.
    #[error("{} exists already; say so if it is to be replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("{} is empty: it holds no archive", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is no archive: it does not begin with CAIRNARC", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
    },
    /// The archive needs a newer version.
    #[error("{} needs {needs}, which this version does not have", path.display())]
    Unsupported {
        /// The archive.
        path: PathBuf,
        /// What it needs.
        needs: String,
    },
    /// The archive ends too early.
    #[error("{} is cut off: it ends at byte {at}, within {what}", path.display())]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// Where it ends.
        at: u64,
        /// What should go on there.
        what: &'static str,
    },
    /// Bytes of the archive are not those that were written.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// Where what is damaged begins.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The archive passes its checksums and was not written with its key: somebody has changed it.
    #[error("{} is not authentic from byte {at} on", path.display())]
    NotAuthentic {
        /// The archive.
        path: PathBuf,
        /// Where what is not authentic begins.
        at: u64,
    },
    /// The archive is encrypted, and no key was given.
    #[error("{} is encrypted: its key is needed (key epoch {epoch})", path.display())]
    KeyRequired {
        /// The archive.
        path: PathBuf,
        /// The epoch of the key.
        epoch: u32,
    },
    /// The archive is encrypted with another key.
    #[error("this is not the key for {} (key epoch {epoch})", path.display())]
    WrongKey {
        /// The archive.
        path: PathBuf,
        /// The epoch of the key.
        epoch: u32,
    },
    /// The archive is that of another store.
    #[error(
        "{} is an archive of {found} in environment {from}, not of {expected} in {environment}",
        path.display()
    )]
    OtherStore {
        /// The archive.
        path: PathBuf,
        /// Of which store it is.
        found: Box<StoreInfo>,
        /// Of which it should be.
        expected: Box<StoreInfo>,
        /// The environment that it is from.
        from: Uuid,
        /// The environment that it was to come into.
        environment: Uuid,
    },
    /// The archive is encrypted, and the environment is not.
    #[error(
        "{} is encrypted, and the environment is not: what is imported would lie there in the clear; say so \
         if it is to",
        path.display()
    )]
    WouldBePlain {
        /// The archive.
        path: PathBuf,
    },
    /// What was written does not read back as it was written.
    #[error("{} does not read back as it was written: {why}", path.display())]
    NotReadBack {
        /// The file, which was removed again.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// An option that is not allowed.
    #[error("{what}")]
    InvalidInput {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// The caller has ended it.
    #[error("it was cancelled")]
    Cancelled,
}

impl ArchiveError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Io(error) if error.is_no_space() => ErrorKind::Full,
            Self::Io(_) | Self::Stream { .. } => ErrorKind::Io,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Empty { .. }
            | Self::NotAnArchive { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::NotAuthentic { .. }
            | Self::NotReadBack { .. } => ErrorKind::Corrupt,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::KeyRequired { .. } | Self::WrongKey { .. } => ErrorKind::Key,
            Self::OtherStore { .. } | Self::WouldBePlain { .. } | Self::InvalidInput { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Cancelled => ErrorKind::Expired,
        }
    }

    /// How far the error reaches: an archive is nobody's but its reader's.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Env(error) => error.scope(),
            _ => Scope::Operation,
        }
    }
}
