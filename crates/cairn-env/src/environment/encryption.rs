//! What an environment says of its encryption.

use std::collections::BTreeMap;

use cairn_log::DataKeys;

use crate::{EnvError, EnvResult, Environment, keyring::file, sync::lock};

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

/// The keys with which an open environment works: for what is encrypted for whoever can open the
/// environment, and lies outside of it. Applications have no use for them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeldKeys {
    /// The data keys, in memory only.
    pub data_keys: DataKeys,
    /// The keyring file as it is now: ciphertext, which holds at least the newest of these keys.
    pub keyring: Vec<u8>,
}

/// The keys of an open environment; `None` if it is not encrypted.
///
/// # Errors
/// If the environment has failed or was closed, or its keyring cannot be read.
pub fn held_keys(env: &Environment) -> EnvResult<Option<HeldKeys>> {
    let core = env.core.enter()?;
    let Some(data_keys) = core.files.keys().cloned() else { return Ok(None) };
    let path = || core.files.dir.path().join(file::KEYRING.as_str());
    let keyring = file::read_bytes(&*core.files.dir)?
        .ok_or_else(|| EnvError::KeyringDamaged { path: path(), what: "it is not there".into() })?;
    Ok(Some(HeldKeys { data_keys, keyring }))
}
