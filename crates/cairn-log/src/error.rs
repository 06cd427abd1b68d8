//! `LogError`: corruption says which file, where, what was expected and what was found.

use std::path::{Path, PathBuf};

use cairn_io::IoError;

use crate::{FileNumber, Uuid, codec::DecodeError, tail::Reason};

/// The result of an operation on the log.
pub type LogResult<T> = Result<T, LogError>;

/// What is wrong with the bytes at some place of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Zeros where a record was expected.
    #[error("nothing there, only zeros")]
    Nothing,
    /// The header of a record fails its checksum.
    #[error("record header fails its checksum (expected {expected:08x}, found {found:08x})")]
    HeaderChecksum {
        /// Computed from the bytes.
        expected: u32,
        /// Stored in them.
        found: u32,
    },
    /// The payload of a record fails its checksum.
    #[error("payload fails its checksum (expected {expected:08x}, found {found:08x})")]
    BodyChecksum {
        /// Stored in the header.
        expected: u32,
        /// Computed from the bytes.
        found: u32,
    },
    /// A kind of record that this version does not know.
    #[error("unknown kind of record {kind}")]
    UnknownKind {
        /// The code.
        kind: u8,
    },
    /// A flag that this version does not know.
    #[error("unknown record flags {flags:02x}")]
    UnknownFlags {
        /// The flags.
        flags: u8,
    },
    /// A watermark that points before the beginning of the file.
    #[error("impossible watermark")]
    Watermark,
    /// A record that ends beyond its file.
    #[error("record ends at {end}, but the file has {len} bytes")]
    Overrun {
        /// Where the record says it ends.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// The file ends too early.
    #[error("the file has {len} bytes where at least {expected} are expected")]
    Truncated {
        /// Length of the file.
        len: u64,
        /// What it should have.
        expected: u64,
    },
    /// The block at the beginning of a file is not a file header.
    #[error("not a log file: it does not begin with CAIRNLOG")]
    Magic,
    /// The block at the beginning of a file fails its checksum.
    #[error("file header fails its checksum (expected {expected:08x}, found {found:08x})")]
    FileHeaderChecksum {
        /// Computed from the bytes.
        expected: u32,
        /// Stored in them.
        found: u32,
    },
    /// A field of a file header holds what it cannot.
    #[error("file header: {field} holds an impossible value")]
    FileHeaderField {
        /// The field.
        field: &'static str,
    },
    /// A payload that passes its checksum but makes no sense.
    #[error("malformed {what}: {source}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        source: DecodeError,
    },
    /// A record of another kind than the place calls for.
    #[error("expected {expected}, found a record of kind {found}")]
    WrongKind {
        /// What was expected.
        expected: &'static str,
        /// What is there.
        found: crate::RecordKind,
    },
    /// A file that should be finished has no seal.
    #[error("the file is not sealed")]
    NotSealed,
    /// The content of a file differs from what its seal, a later file or a manifest says.
    #[error("the file's digest differs from the one recorded {by}")]
    Digest {
        /// Who recorded it.
        by: &'static str,
    },
    /// Bytes that pass every checksum and were not written there with the key of the file: somebody has
    /// changed them, or has brought them from elsewhere.
    #[error("not authentic: it passes its checksum, but was not written here with the key")]
    NotAuthentic,
    /// The end of a journal is damage and not a torn write.
    #[error("acknowledged data is damaged: {0}")]
    Tail(Reason),
}

/// A failure of the log, with the evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file holds damaged bytes.
    #[error("{}, offset {offset}: {damage}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A file belongs elsewhere: its own header contradicts the place where it lies.
    #[error("{} belongs elsewhere: {what} is {found}, expected {expected}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which part of its identity.
        what: &'static str,
        /// What the place calls for.
        expected: String,
        /// What the header says.
        found: String,
    },
    /// A file that this version cannot read.
    #[error("{} needs {needs}, which this version does not have", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it needs.
        needs: String,
    },
    /// An encrypted file that cannot be read without a key that is not there.
    #[error("{} is encrypted: the data key of epoch {epoch} is needed", path.display())]
    KeyRequired {
        /// The file.
        path: PathBuf,
        /// The epoch of its key.
        epoch: u32,
    },
    /// A file that is not encrypted where all are.
    #[error("{} is not encrypted, and all files of its environment are", path.display())]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// A position in a file that does not exist.
    #[error("log file {file} is missing")]
    MissingFile {
        /// The file.
        file: FileNumber,
    },
    /// A number space is used up.
    #[error("{what} are used up")]
    Exhausted {
        /// Which one.
        what: &'static str,
    },
}

impl LogError {
    /// Whether a write found no room, so that the same call may be tried again:
    /// [`IoError::may_try_again`].
    #[must_use]
    pub fn may_try_again(&self) -> bool {
        matches!(self, Self::Io(error) if error.may_try_again())
    }

    /// A [`LogError::Corrupt`].
    #[must_use]
    pub fn corrupt(path: &Path, offset: u64, damage: Damage) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, damage }
    }

    pub(crate) fn foreign(
        path: &Path,
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Foreign {
            path: path.to_owned(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// Whether bytes on the disk are damaged, missing or not the right ones, as opposed to a disk
    /// that does not answer.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. }
                | Self::Foreign { .. }
                | Self::NotEncrypted { .. }
                | Self::MissingFile { .. }
        )
    }
}

/// The error for a file of another environment.
pub(crate) fn foreign_environment(path: &Path, expected: Uuid, found: Uuid) -> LogError {
    LogError::foreign(path, "the environment", expected, found)
}
