//! What an environment says of its encryption.

use std::collections::BTreeMap;

use crate::{Environment, sync::lock};

impl Environment {
    /// Whether the environment is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.core.files.is_encrypted()
    }

    /// The epochs of data keys without which the environment does not open or cannot be read, with the
    /// number of files that each is needed for, the state file included. Empty if it is not encrypted.
    ///
    /// Backups, and bytes of torn tails that were set aside, may need others.
    #[must_use]
    pub fn key_epochs(&self) -> BTreeMap<u32, u64> {
        let files = self.core.files.all();
        let of_files = files.iter().filter_map(|file| file.header().encryption);
        let mut epochs = BTreeMap::new();
        for epoch in of_files.map(|encryption| encryption.epoch) {
            *epochs.entry(epoch).or_default() += 1;
        }
        for epoch in lock(&self.core.state).key_epochs() {
            *epochs.entry(epoch).or_default() += 1;
        }
        epochs
    }
}
