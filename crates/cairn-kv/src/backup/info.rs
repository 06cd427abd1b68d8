//! `BackupInfo`: what is known of a backup, and what became of one that was to be deleted.

use cairn_archive::ArchiveReport;

use crate::KvError;

/// A backup of a store, all of which was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupInfo {
    /// What it is called.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// When it was made, in microseconds since 1970: for people.
    pub created: u64,
    /// The line of history of its environment. A restore of the environment begins another one.
    pub timeline: u32,
    /// The last commit that is in it.
    pub commit: u64,
    /// How many entries it has.
    pub entries: u64,
    /// What tells its content from any other: two backups with the same digest hold the same.
    pub digest: [u8; 32],
    /// The epoch of the data key with which it is encrypted; `None` if it is not.
    pub key_epoch: Option<u32>,
}

impl BackupInfo {
    pub(super) fn new(name: &str, report: &ArchiveReport) -> Self {
        let of_entries = report.header.databases.iter().filter(|of| of.shape.index.is_none());
        Self {
            name: name.into(),
            bytes: report.bytes,
            created: report.header.created,
            timeline: report.header.timeline.0,
            commit: report.header.commit,
            entries: of_entries.map(|database| database.entries).sum(),
            digest: report.totals.digest.0,
            key_epoch: report.key_epoch,
        }
    }
}

/// A backup that is listed: what is known of it, or what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListedBackup {
    /// What it is called.
    pub name: String,
    /// What is known of it, if all of it could be read and checked.
    pub state: Result<BackupInfo, KvError>,
}

/// What became of a backup that was to be deleted.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeleteStatus {
    /// It is gone.
    Deleted,
    /// There is none of that name.
    NotFound,
    /// It is the automatic one, which is not deleted by name.
    Refused,
    /// It is still there, or may be.
    Failed(KvError),
}

impl DeleteStatus {
    /// ArkData's number for it.
    #[must_use]
    pub const fn code(&self) -> u32 {
        match self {
            Self::Deleted => 0,
            Self::NotFound => 27_459_591,
            Self::Refused => 27_459_585,
            Self::Failed(_) => 27_459_584,
        }
    }
}
