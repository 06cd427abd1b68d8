//! `KeptJournal`: the journal files that are there, and how far each counts, held so that none of them goes.

use std::{collections::BTreeMap, sync::Arc};

use cairn_log::{FileClass, FileNumber, LogFile};

use crate::{EnvResult, PinBudget, core::Core, pin::Pin, recovery::Unfinished, sync::lock};

/// The journal files of an environment that is open, the oldest first, with the ends up to which they count:
/// that of the file in use is what is known to be durable of it.
pub(super) struct KeptJournal<'a> {
    core: &'a Core,
    pin: u64,
    pub(super) files: Vec<(Arc<LogFile>, u64)>,
}

impl<'a> KeptJournal<'a> {
    pub(super) fn hold(core: &'a Core) -> EnvResult<Self> {
        // Whoever removes files holds the checkpointer.
        let mut checkpointer = lock(&core.checkpointer);
        core.check()?;
        let root = core.durable()?;
        let in_use = core.journal_in_use();
        core.add_new_files(&mut checkpointer.utilization);
        let start = checkpointer.newest.as_ref().and_then(|newest| newest.record.replay_start);
        let mut ends: BTreeMap<_, _> = checkpointer
            .utilization
            .files
            .iter()
            .filter(|(_, file)| file.class == FileClass::Journal)
            // A backup, and so what is restored from it, lacks those of which nothing is needed.
            .filter(|(number, file)| {
                file.live > 0
                    || start.is_none_or(|start| **number >= start.file())
                    || core.files.find(**number).is_some()
            })
            .filter_map(|(number, file)| Some((*number, file.end.offset()?)))
            .collect();
        ends.extend(in_use);
        // One that is not there is an error: what is told without it would be wrong.
        let found = ends.into_iter().map(|(number, end)| Ok((core.files.get(number)?, end)));
        let files = found.collect::<EnvResult<Vec<_>>>()?;
        let numbers = files.iter().map(|(file, _)| file.header().number);
        let now = core.world.monotonic();
        let pin = lock(&core.pins).pin(Pin::new(root, now, PinBudget::default(), numbers));
        Ok(Self { core, pin, files })
    }
}

impl Core {
    /// The journal file in use, and how far it is known to be durable.
    pub(crate) fn journal_in_use(&self) -> Option<(FileNumber, u64)> {
        let commit = lock(&self.commit);
        let open_end = commit.unfinished.as_ref().and_then(Unfinished::open_end);
        let open_end = open_end.map(|(file, end)| (file.header().number, end));
        let current = commit.appender.as_ref().map(|appender| appender.file().header().number);
        open_end.or(current.zip(self.journal.watermark()))
    }
}

impl Drop for KeptJournal<'_> {
    fn drop(&mut self) {
        let pin = lock(&self.core.pins).release(self.pin);
        drop(pin);
    }
}
