//! An I/O failure with the operation, the path and the sync site that failed.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::SyncSite;

/// The result of an operation on the disk.
pub type IoResult<T> = Result<T, IoError>;

/// What was being done when an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IoOp {
    /// Opening a file or directory.
    Open,
    /// Creating a file or directory.
    Create,
    /// Reading, or asking for a length or link count.
    Read,
    /// Writing or changing a length.
    Write,
    /// Making bytes or names durable.
    Sync,
    /// Renaming.
    Rename,
    /// Giving a file a second name.
    Link,
    /// Removing a file or directory.
    Remove,
    /// Listing a directory.
    List,
    /// Taking a lock.
    Lock,
    /// Mapping a file.
    Map,
    /// Asking for free space.
    Space,
    /// Starting a background worker.
    Start,
}

impl fmt::Display for IoOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Remove => "remove",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Map => "map",
            Self::Space => "ask for the free space of",
            Self::Start => "start",
        })
    }
}

/// An operation on the disk that failed, with what is needed to act on it at 3 a.m.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {}{}: {source}", path.display(), site.map(|s| format!(" ({s})")).unwrap_or_default())]
pub struct IoError {
    /// What was being done.
    pub op: IoOp,
    /// To which file or directory.
    pub path: PathBuf,
    /// Which barrier, for syncs.
    pub site: Option<SyncSite>,
    /// What the system said.
    pub source: io::Error,
}

impl IoError {
    /// An error at `path`; `source` may be an [`io::Error`] or an [`io::ErrorKind`].
    pub fn new(op: IoOp, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { op, path: path.to_owned(), site: None, source: source.into() }
    }

    /// The same error with the barrier that failed.
    #[must_use]
    pub fn at_site(mut self, site: SyncSite) -> Self {
        self.site = Some(site);
        self
    }

    /// The system's classification.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether a file or directory was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// Whether the device, a quota or a file-size limit is exhausted.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(
            self.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }

    /// Whether a call found no room and nothing is unknown because of it: the very same bytes may be
    /// written to the very same place again. Not so for a sync, which must never be repeated, whatever
    /// it says.
    #[must_use]
    pub fn may_try_again(&self) -> bool {
        self.is_no_space() && self.op != IoOp::Sync
    }

    /// A copy of this error, for telling several waiters of one failure.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { op: self.op, path: self.path.clone(), site: self.site, source }
    }
}
