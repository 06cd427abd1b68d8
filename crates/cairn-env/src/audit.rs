//! Log files on their own: up to where each must be whole, and what in it is damage.

use std::{collections::BTreeMap, sync::Arc};

use cairn_log::{Audited, Damage, FileClass, FileNumber, HEADER_LEN, LogFile, Spot};

use crate::{core::Core, sync::lock, utilization::FileEnd};

/// Up to where a file must be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It is finished: it ends there, with its seal.
    Sealed(u64),
    /// It is whole up to there; what lies beyond does not count, or is being written.
    Whole(u64),
    /// Nobody has recorded it: a journal of this length is whole as far as it says itself.
    AsItSays(u64),
}

impl Extent {
    /// What there is to read.
    pub(crate) const fn end(self) -> u64 {
        match self {
            Self::Sealed(end) | Self::Whole(end) | Self::AsItSays(end) => end,
        }
    }

    /// What of the things that an audit found is damage.
    pub(crate) fn damage(self, file: &LogFile, audited: Audited) -> Vec<Spot> {
        let Audited { mut spots, seal, known_durable, .. } = audited;
        match self {
            Self::Sealed(end) => {
                let is_told = spots.last().is_some_and(|spot| spot.offset + spot.len >= end);
                if !is_told && seal.is_none_or(|seal| seal.file_len() != end) {
                    let damage = Damage::NotSealed;
                    spots.push(Spot::new(end, 0, file.corrupt(end, damage)));
                }
            }
            Self::Whole(_) => {}
            Self::AsItSays(_) if seal.is_some() => {}
            // As a crash may leave it.
            Self::AsItSays(_) => spots.retain(|spot| spot.offset < known_durable.max(HEADER_LEN)),
        }
        spots
    }
}

/// What is known of all files at some moment.
pub(crate) struct Extents {
    recorded: BTreeMap<FileNumber, FileEnd>,
}

impl Extents {
    /// As the newest checkpoint, and whatever has come to an end since, say. Waits for a checkpoint
    /// that is under way.
    pub(crate) fn of(core: &Core) -> Self {
        Self::with(core, &lock(&core.checkpointer).utilization.files)
    }

    pub(crate) fn with(
        core: &Core,
        files: &BTreeMap<FileNumber, crate::utilization::FileUse>,
    ) -> Self {
        let mut recorded: BTreeMap<_, _> =
            files.iter().map(|(number, file)| (*number, file.end)).collect();
        recorded.extend(lock(&core.commit).ended.iter().copied());
        Self { recorded }
    }

    /// Whether nothing more will be written to the file.
    pub(crate) fn is_finished(&self, file: &LogFile) -> bool {
        let end = self.recorded.get(&file.header().number);
        end.is_some_and(|end| *end != FileEnd::Open) || !file.is_created_here()
    }

    /// Up to where `file` must be whole now.
    pub(crate) fn of_file(&self, file: &LogFile) -> Extent {
        let journal = file.header().class == FileClass::Journal;
        match self.recorded.get(&file.header().number) {
            Some(FileEnd::Sealed(end)) => return Extent::Sealed(*end),
            Some(FileEnd::Cut(end)) => return Extent::Whole(*end),
            Some(FileEnd::Open) | None => {}
        }
        // Nodes may be written before the first commit, while there is still the incarnation of the process
        // before: only who has created a file tells whether it is still being written.
        if file.is_created_here() {
            return Extent::Whole(file.written());
        }
        // A checkpoint calls the file in which it stands open; it counts only once that has its seal,
        // so an older one must be finished.
        let len = file.handle().len().unwrap_or(0);
        match file.seal(len) {
            Ok(Some(_)) => Extent::Sealed(len),
            _ if !journal => Extent::Sealed(len),
            _ => Extent::AsItSays(len),
        }
    }
}

impl Core {
    /// Whether `file` is still one of the environment's: of one that was removed meanwhile nothing
    /// counts, and its bytes may already be another's.
    pub(crate) fn still_has(&self, file: &Arc<LogFile>) -> bool {
        let is_known =
            self.files.find(file.header().number).is_some_and(|found| Arc::ptr_eq(&found, file));
        // A reader does not pin what it does not need, and another process may remove that.
        let removed_elsewhere =
            || self.options.read_only && file.handle().links().is_ok_and(|links| links == 0);
        is_known && !removed_elsewhere()
    }
}
