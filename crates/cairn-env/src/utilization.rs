//! How much of each log file is still reachable, exact at each checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::{Tally, TreeDigest};
use cairn_log::{FileClass, FileNumber, LogFile, Uuid};

/// What the environment knows of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileUse {
    pub(crate) class: FileClass,
    pub(crate) directory: u16,
    pub(crate) file: Uuid,
    pub(crate) end: FileEnd,
    /// Bytes that the newest checkpoint can reach.
    pub(crate) live: i64,
    /// The checkpoint that was the first to find nothing reachable in it, and the gen of its cut.
    pub(crate) dead_since: Option<(u64, u64)>,
}

/// Where a log file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileEnd {
    /// Nowhere yet: it is being written.
    Open,
    /// With its seal.
    Sealed(u64),
    /// Where a crash has cut it: what lies beyond does not count.
    Cut(u64),
}

impl FileEnd {
    pub(crate) const fn offset(self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Sealed(end) | Self::Cut(end) => Some(end),
        }
    }
}

/// All files, by number, and which nodes in them the newest checkpoint can reach.
#[derive(Clone, Debug)]
pub(crate) struct Utilization {
    pub(crate) files: BTreeMap<FileNumber, FileUse>,
    /// `None` if the checkpoint is of a version that did not say.
    pub(crate) digest: Option<TreeDigest>,
}

impl Default for Utilization {
    /// That of an environment without a checkpoint.
    fn default() -> Self {
        Self { files: BTreeMap::new(), digest: Some(TreeDigest::EMPTY) }
    }
}

impl Utilization {
    /// Takes note of a file that is not known yet.
    pub(crate) fn add(&mut self, file: &LogFile) {
        let header = file.header();
        self.files.entry(header.number).or_insert_with(|| FileUse {
            class: header.class,
            directory: header.directory,
            file: header.file,
            end: FileEnd::Open,
            live: 0,
            dead_since: None,
        });
    }

    /// Takes note of where a file ends.
    pub(crate) fn end(&mut self, number: FileNumber, end: FileEnd) {
        if let Some(file) = self.files.get_mut(&number) {
            file.end = end;
        }
    }

    /// Applies changes; files that are not known are none of ours and are ignored.
    pub(crate) fn apply(&mut self, tallies: &[Tally]) {
        for tally in tallies {
            if let Some(file) = self.files.get_mut(&tally.file) {
                file.live += tally.bytes;
            }
        }
        if let Some(digest) = &mut self.digest {
            tallies.iter().for_each(|tally| digest.join(&tally.nodes));
        }
    }

    /// Notes which files a checkpoint with this number and cut found dead: nothing in them is
    /// reachable, nothing will be from the next cut on (`unsettled`: there it will), and journal files
    /// are not needed for replay either.
    pub(crate) fn mark_dead(
        &mut self,
        checkpoint: u64,
        cut: u64,
        replay: Option<FileNumber>,
        unsettled: &BTreeSet<FileNumber>,
    ) {
        for (number, file) in &mut self.files {
            let needed = match file.class {
                FileClass::Journal => replay.is_none_or(|replay| *number >= replay),
                FileClass::Node | FileClass::Value => file.end == FileEnd::Open,
            } || unsettled.contains(number);
            file.dead_since = match (file.live, file.dead_since) {
                (0, None) if !needed => Some((checkpoint, cut)),
                (0, since) if !needed => since,
                _ => None,
            };
        }
    }

    /// Whether there are files that a checkpoint has found dead.
    pub(crate) fn has_dead(&self) -> bool {
        self.files.values().any(|file| file.dead_since.is_some())
    }

    /// Bytes reachable in all files.
    pub(crate) fn live(&self) -> u64 {
        self.files.values().map(|file| u64::try_from(file.live).unwrap_or(0)).sum()
    }
}

/// Takes nodes away from a digest that have come, and adds those that have gone: it is what it was before.
pub(crate) fn take_back(digest: &mut TreeDigest, tallies: &[Tally]) {
    tallies.iter().for_each(|tally| digest.leave(&tally.nodes));
}
