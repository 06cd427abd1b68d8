//! The keys with which an environment is created and opened.

use cairn_io::{Dir, World};
use cairn_log::{DataKeys, Uuid};

use super::{UnlockedKeyring, file, place::check_environment, stored::damaged};
use crate::{EnvError, EnvResult, Options, root::Root, state::State};

/// What the first key of an environment is called.
const FIRST: &str = "first";

/// With what a new environment is created: nothing of it for a plain one.
pub(crate) struct NewKeys {
    pub(crate) keys: Option<DataKeys>,
    /// The keyring file that holds them.
    pub(crate) keyring: Option<Vec<u8>>,
}

/// The keys of a new environment, as `options` want them.
pub(crate) fn create(
    environment: Uuid,
    options: &Options,
    world: &dyn World,
) -> EnvResult<NewKeys> {
    let Some(key) = &options.key else {
        return Ok(NewKeys { keys: options.encryption.clone(), keyring: None });
    };
    let mut keys = UnlockedKeyring::create(environment, FIRST, key, world)?;
    let keyring = keys.next_write(world)?;
    Ok(NewKeys { keys: Some(keys.data_keys()), keyring: Some(keyring) })
}

/// The same options with the data keys that their key unlocks, of the environment whose `state` lies in the
/// generation directory `dir`, if that can be read. Data keys that are there already are left alone.
///
/// # Errors
/// [`EnvError::KeyRequired`] and [`EnvError::NotEncrypted`] if there is a keyring and no key, or a key and
/// no keyring; what unlocking answers.
pub(crate) fn unlocked(
    root: &Root,
    dir: &dyn Dir,
    state: Option<&State>,
    options: Options,
) -> EnvResult<Options> {
    if options.encryption.is_some() {
        return Ok(options);
    }
    let path = || root.dir.path().to_owned();
    match (file::read(dir)?, &options.key) {
        (None, None) => Ok(options),
        (None, Some(_)) if state.is_none_or(|state| state.encryption.is_some()) => {
            Err(damaged(&dir.path().join(file::KEYRING.as_str()), "it is missing"))
        }
        (None, Some(_)) => Err(EnvError::NotEncrypted { path: path() }),
        (Some(keyring), None) => {
            Err(EnvError::KeyRequired { path: path(), epoch: keyring.newest_epoch() })
        }
        (Some(keyring), Some(key)) => {
            if let Some(state) = state {
                check_environment(&keyring, state.environment)?;
            }
            let keys = keyring.unlock(key)?.data_keys();
            Ok(options.encryption(keys))
        }
    }
}
