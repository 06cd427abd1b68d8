//! `EnvironmentKeys`: whoever looks after the keys of an environment, while it is open or not.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cairn_io::{DirRef, RealDir, RealWorld, WorldRef};

use super::{
    file,
    info::{KeySlotInfo, KeyringInfo},
    place::{Outline, Place},
    source::KeySource,
    stored::Keyring,
    unlocked::UnlockedKeyring,
};
use crate::{EnvError, EnvResult, root::Root};

/// The keyring of an environment, locked: it can be looked at.
///
/// ```
/// # use cairn_env::{Environment, EnvironmentKeys, KdfCost, KeySource, Options};
/// # use cairn_io::{MemDisk, RealWorld};
/// # let (disk, world) = (MemDisk::new(), std::sync::Arc::new(RealWorld::new()));
/// let cost = KdfCost::new(64, 1)?; // for an example: the default takes 64 MiB
/// let old = KeySource::passphrase("old")?.cost(cost);
/// let (env, _) =
///     Environment::open_in(disk.root(), world.clone(), Options::new().key(old.clone()))?;
/// env.close()?;
///
/// let new = KeySource::passphrase("new")?.cost(cost);
/// EnvironmentKeys::open_in(disk.root(), world.clone())?.unlock(&old)?.rotate(&new)?;
/// let opened = |key: KeySource| {
///     Environment::open_in(disk.root(), world.clone(), Options::new().key(key))
/// };
/// assert!(opened(old).is_err());
/// assert!(opened(new).is_ok());
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
pub struct EnvironmentKeys {
    place: Place,
    keyring: Keyring,
}

/// What became of older key epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetiredEpochs {
    /// Those whose data keys were forgotten.
    pub retired: Vec<u32>,
    /// The names of the files that still need the data keys of others, by epoch.
    pub needed: BTreeMap<u32, Vec<String>>,
}

impl EnvironmentKeys {
    /// Reads the keyring of the environment in the directory `path`. The environment may be open, in this
    /// process or another one.
    ///
    /// # Errors
    /// [`EnvError::NotEncrypted`] if it has none; [`EnvError::KeyringDamaged`];
    /// [`EnvError::NotAnEnvironment`].
    pub fn open(path: impl AsRef<Path>) -> EnvResult<Self> {
        let path = path.as_ref();
        let root = RealDir::open(path).map_err(|error| match error.is_not_found() {
            true => {
                let why = "there is no such directory".into();
                EnvError::NotAnEnvironment { path: path.to_owned(), why }
            }
            false => error.into(),
        })?;
        Self::open_in(root, Arc::new(RealWorld::new()))
    }

    /// As [`EnvironmentKeys::open`], in any directory and world.
    ///
    /// # Errors
    /// As [`EnvironmentKeys::open`].
    pub fn open_in(root: DirRef, world: WorldRef) -> EnvResult<Self> {
        let root = Root::new(root);
        let current = root.existing()?.current;
        let dir = root.open_generation(current.generation)?;
        let place = Place { root, current, dir, world };
        let keyring = place.read()?;
        Ok(Self { place, keyring })
    }

    /// What the keyring says to everybody.
    #[must_use]
    pub fn info(&self) -> KeyringInfo {
        self.keyring.info()
    }

    /// The key epoch whose data key encrypts new files.
    #[must_use]
    pub fn newest_epoch(&self) -> u32 {
        self.keyring.newest_epoch()
    }

    /// What of the environment shows without a key. Files that cannot be read, or go while somebody cleans, are
    /// left out.
    ///
    /// # Errors
    /// What is wrong with the state file or a data directory.
    pub fn outline(&self) -> EnvResult<Outline> {
        self.place.outline()
    }

    /// Unlocks it with a key of a user.
    ///
    /// # Errors
    /// As [`Keyring::unlock`].
    pub fn unlock(self, key: &KeySource) -> EnvResult<UnlockedKeys> {
        let keys = self.keyring.unlock(key)?;
        Ok(UnlockedKeys { place: self.place, keys })
    }
}

/// The keyring of an environment, unlocked: it can be changed.
///
/// Each change is durable when its call returns. A crash in the middle leaves the keyring as it was before
/// or as it is after. Programs that have the environment open go on with the keys that they have.
pub struct UnlockedKeys {
    place: Place,
    keys: UnlockedKeyring,
}

impl UnlockedKeys {
    /// What the keyring says, which is authentic.
    #[must_use]
    pub fn info(&self) -> KeyringInfo {
        self.keys.info()
    }

    /// The key epoch whose data key encrypts new files.
    #[must_use]
    pub fn newest_epoch(&self) -> u32 {
        self.keys.keyring().newest_epoch()
    }

    /// The number of the key slot whose key has unlocked it.
    #[must_use]
    pub const fn opened_by(&self) -> u32 {
        self.keys.opened_by()
    }

    /// The keyring itself.
    #[must_use]
    pub const fn keyring(&self) -> &UnlockedKeyring {
        &self.keys
    }

    /// Lets another key open the environment as well.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is there already, is empty, longer than 64 bytes, or has
    /// control characters; [`EnvError::Busy`] if somebody else has changed the keyring since it was read;
    /// [`EnvError::KeyUnavailable`].
    pub fn add(&mut self, name: &str, key: &KeySource) -> EnvResult<KeySlotInfo> {
        self.change(|keys, place| keys.add(name, key, &*place.world))
    }

    /// Takes a key out of use, by the number of its key slot.
    ///
    /// Whoever has it and a copy of the keyring from before still reads what was encrypted until then: see
    /// [`UnlockedKeys::begin_epoch`]. And as long as there is a key slot whose key was not at hand here, also what is
    /// encrypted later, if he gets a later keyring: all slots hold one key, which only who has the keys of all
    /// can replace. When one slot is left, it is replaced.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if there is no such key, or no other one; [`EnvError::Busy`].
    pub fn remove(&mut self, number: u32) -> EnvResult<()> {
        self.change(|keys, _| keys.remove(number))
    }

    /// Puts another key in place of the one that has unlocked the keyring. The data stays as it is, however
    /// much there is.
    ///
    /// # Errors
    /// As [`UnlockedKeys::add`].
    pub fn rotate(&mut self, key: &KeySource) -> EnvResult<KeySlotInfo> {
        self.change(|keys, place| keys.rotate(key, &*place.world))
    }

    /// Begins a key epoch: files that are begun from the next open on are encrypted with a new data key.
    /// What there is stays encrypted with the keys that it has, until the cleaner moves it. After a leak: see
    /// [`UnlockedKeys::remove`].
    ///
    /// # Errors
    /// [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody has the environment open for writing;
    /// [`EnvError::Busy`].
    pub fn begin_epoch(&mut self) -> EnvResult<u32> {
        let _lock = self.place.root.lock(&*self.place.world)?;
        self.change(|keys, place| keys.begin_epoch(&*place.world))
    }

    /// Forgets the data keys of all epochs but the newest and those of log files that are there, also of ones
    /// that only other processes need; returns which it has forgotten, and for each other one which files need
    /// it. What was encrypted with a data key that is forgotten can be read by nobody, wherever copies of
    /// it lie; but backups, and what a restore in place has kept, have keyrings of their own.
    ///
    /// # Errors
    /// [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody has the environment open for writing;
    /// [`EnvError::Busy`]; what is wrong with a log file whose epoch cannot be told: nothing is forgotten then.
    pub fn retire_epochs(&mut self) -> EnvResult<RetiredEpochs> {
        let _lock = self.place.root.lock(&*self.place.world)?;
        let mut needed = self.place.epochs_in_use()?;
        let retired = match self.info().epochs.iter().any(|known| {
            known.epoch != self.keys.keyring().newest_epoch() && !needed.contains_key(&known.epoch)
        }) {
            true => self.change(|keys, _| Ok(keys.retire(|epoch| needed.contains_key(&epoch))))?,
            false => Vec::new(),
        };
        needed.remove(&self.keys.keyring().newest_epoch());
        Ok(RetiredEpochs { retired, needed })
    }

    /// Changes a copy, writes it, and only then goes on with it.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut UnlockedKeyring, &Place) -> EnvResult<T>,
    ) -> EnvResult<T> {
        let mut keys = self.keys.clone();
        // Argon2id takes its time, and nobody waits for it.
        let result = change(&mut keys, &self.place)?;
        let bytes = keys.next_write(&*self.place.world)?;
        let _protector = self.place.root.protect(&*self.place.world)?;
        if self.place.read()? != *self.keys.keyring() {
            let holders = vec!["somebody who has changed the keyring meanwhile".into()];
            return Err(EnvError::Busy { holders });
        }
        file::replace(&*self.place.dir, &bytes)?;
        self.keys = keys;
        Ok(result)
    }
}

impl std::fmt::Debug for EnvironmentKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnvironmentKeys({})", self.place.root.dir.path().display())
    }
}

impl std::fmt::Debug for UnlockedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnlockedKeys({})", self.place.root.dir.path().display())
    }
}
