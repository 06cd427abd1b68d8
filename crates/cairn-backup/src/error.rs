//! `BackupError`: what went wrong, and which file of the backup it concerns.

use std::path::PathBuf;

use cairn_env::{EnvError, ErrorKind};
use cairn_io::IoError;
use cairn_log::Uuid;

/// The result of a backup or restore.
pub type BackupResult<T> = Result<T, BackupError>;

/// A backup or restore that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The directory holds no finished backup.
    #[error("{} holds no finished backup: it has no MANIFEST", path.display())]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest is damaged.
    #[error("{}, line {line}: {problem}", path.display())]
    ManifestDamaged {
        /// The manifest.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The manifest is of a newer version.
    #[error("{} is of a newer version: {found}", path.display())]
    ManifestUnsupported {
        /// The manifest.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A file of the backup is missing.
    #[error("{} is missing from the backup", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file of the backup is not what the manifest says.
    #[error("{} is damaged: {problem}", path.display())]
    FileDamaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        problem: String,
    },
    /// The target of a backup holds something else.
    #[error("{} is not empty: a backup needs a new or an empty directory", path.display())]
    TargetNotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The backup before is of another environment.
    #[error("{} is a backup of the environment {found}, not of {environment}", path.display())]
    PreviousForeign {
        /// The backup.
        path: PathBuf,
        /// The environment that it is of.
        found: Uuid,
        /// The environment that is to be backed up.
        environment: Uuid,
    },
    /// The target has too little space.
    #[error("{} has {free} bytes free, {needed} are needed", path.display())]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
}

impl BackupError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Io(error) if error.is_no_space() => ErrorKind::Full,
            Self::Io(_) => ErrorKind::Io,
            Self::NoManifest { .. } => ErrorKind::NotFound,
            Self::ManifestDamaged { .. } | Self::FileMissing { .. } | Self::FileDamaged { .. } => {
                ErrorKind::Corrupt
            }
            Self::ManifestUnsupported { .. } => ErrorKind::Unsupported,
            Self::TargetNotEmpty { .. } | Self::PreviousForeign { .. } => ErrorKind::InvalidInput,
            Self::NoSpace { .. } => ErrorKind::Full,
        }
    }
}
