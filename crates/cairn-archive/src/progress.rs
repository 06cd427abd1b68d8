//! `Progress`: how far an export, an import or a verification has come, and whether it goes on.

use std::ops::ControlFlow;

use crate::{ArchiveError, ArchiveResult};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Entries are written to a new archive.
    Writing,
    /// An archive is read and checked.
    Verifying,
    /// Entries of an archive go into new databases.
    Importing,
    /// Two archives are compared, or an archive and a store.
    Comparing,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done. An export writes, and reads what it has written; an import verifies and imports.
    pub step: Step,
    /// Entries done in this step; 0 where an archive is read as it is stored.
    pub entries: u64,
    /// Entries in all; 0 where they are not known.
    pub entries_total: u64,
    /// Bytes of the archive that were written or read in this step.
    pub bytes: u64,
    /// Bytes of the archive; `None` while it is being written.
    pub bytes_total: Option<u64>,
}

/// Called from time to time while something long goes on: after each frame or so, some 256 KiB. What it
/// answers with [`ControlFlow::Break`] ends with [`ArchiveError::Cancelled`], and has changed nothing.
pub type Report<'a> = Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Send + Sync)>;

/// Bytes between two reports.
const EVERY: u64 = 256 << 10;
/// Entries between two reports, for databases of small ones.
const EVERY_ENTRIES: u64 = 4096;

/// Counts, and reports from time to time.
pub(crate) struct Counter<'a> {
    progress: Progress,
    reported: (u64, u64),
    report: Report<'a>,
}

impl<'a> Counter<'a> {
    pub(crate) const fn new(
        step: Step,
        entries_total: u64,
        bytes_total: Option<u64>,
        report: Report<'a>,
    ) -> Self {
        let progress = Progress { step, entries: 0, entries_total, bytes: 0, bytes_total };
        Self { progress, reported: (0, 0), report }
    }

    /// One more entry, at this byte of the archive.
    pub(crate) fn entry(&mut self, bytes: u64) -> ArchiveResult<()> {
        self.progress.entries += 1;
        self.at(bytes)
    }

    /// At this byte of the archive.
    pub(crate) fn at(&mut self, bytes: u64) -> ArchiveResult<()> {
        self.progress.bytes = bytes;
        let (entries_before, bytes_before) = self.reported;
        let entries = self.progress.entries - entries_before;
        match bytes - bytes_before >= EVERY || entries >= EVERY_ENTRIES {
            true => self.now(),
            false => Ok(()),
        }
    }

    /// Reports, whatever was reported before.
    pub(crate) fn now(&mut self) -> ArchiveResult<()> {
        self.reported = (self.progress.entries, self.progress.bytes);
        match self.report.map_or(ControlFlow::Continue(()), |report| report(self.progress)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ArchiveError::Cancelled),
        }
    }
}
