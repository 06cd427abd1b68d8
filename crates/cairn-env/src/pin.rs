//! `Pins`: log files that must stay, whatever the checkpoints say.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::FileNumber;

/// Which files are pinned, and by whom. A file is removed only under the same lock.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    next: u64,
    held: BTreeMap<u64, BTreeSet<FileNumber>>,
}

impl Pins {
    /// Pins `files` until [`Pins::release`] is called with the result.
    pub(crate) fn pin(&mut self, files: impl IntoIterator<Item = FileNumber>) -> u64 {
        self.next += 1;
        self.held.insert(self.next, files.into_iter().collect());
        self.next
    }

    /// Lets one file of a pin go.
    pub(crate) fn release_file(&mut self, pin: u64, file: FileNumber) {
        if let Some(files) = self.held.get_mut(&pin) {
            files.remove(&file);
        }
    }

    pub(crate) fn release(&mut self, pin: u64) {
        self.held.remove(&pin);
    }

    pub(crate) fn is_pinned(&self, file: FileNumber) -> bool {
        self.held.values().any(|files| files.contains(&file))
    }
}
