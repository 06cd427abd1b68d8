//! The keys of an encrypted repository: made, given, and changed.
//!
//! They are those of an environment: a keyring with a slot for the key of each user, as `docs/format/keyring.md` has it.
//! It is an object like any other, stored once and never changed; who changes keys stores the next one, and then
//! removes what came before, so that a key that was removed opens nothing any more. There are two copies of it:
//! without one, nothing in the repository can be read.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_env::{EnvError, KeySlotInfo, KeySource, Keyring, KeyringInfo, UnlockedKeyring};
use cairn_io::{World, WorldRef};
use cairn_log::Uuid;

use super::{
    Put, RepoBackend, Repository, backend,
    frames::Damaged,
    header::Header,
    names::{Folder, ObjectName},
    secrecy::{ObjectKeys, Secrecy},
    store::Store,
};
use crate::{BackupError, BackupResult, ObjectError};

/// What the first key of a repository is called.
const FIRST: &str = "first";
/// How often somebody else may change the keys while they are read.
const TRIES: u32 = 8;

/// With what a repository was unlocked.
pub(super) struct Access(Mutex<Held>);

/// The key of a user, and what it has opened.
#[derive(Clone)]
struct Held {
    key: KeySource,
    keys: UnlockedKeyring,
}

impl Access {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in it is half done between two statements that can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Makes an encrypted repository in the directory `path`, which must be missing or empty, or at the URL of an
    /// [object store](crate::is_object_store). `key` is its first key.
    ///
    /// Everything that is stored is encrypted then, labels and names of databases as well; what an encrypted environment
    /// has encrypted is encrypted once more. The names of objects, their lengths and hashes show.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository};
    /// # use cairn_env::{Environment, KdfCost, KeySource, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let key = KeySource::passphrase("correct horse")?;
    /// # let key = key.cost(KdfCost::new(64, 1)?); // for an example: the default takes 64 MiB
    /// let place = dir.path().join("repo");
    /// let repository = Repository::create_encrypted(&place, &key)?;
    /// repository.backup(&env, &PointOptions::default())?;
    ///
    /// let locked = Repository::open(&place)?;
    /// assert!(locked.points(None).is_err());
    /// assert_eq!(locked.unlock(&key)?.points(None)?.len(), 1);
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create); [`EnvError::KeyUnavailable`].
    pub fn create_encrypted(path: impl AsRef<Path>, key: &KeySource) -> BackupResult<Self> {
        let backend = backend::create(path.as_ref())?;
        Self::create_encrypted_in(backend, &super::real_world(), key)
    }

    /// As [`create_encrypted`](Self::create_encrypted), in any place that has nothing of a repository.
    ///
    /// # Errors
    /// As [`create_encrypted`](Self::create_encrypted).
    pub fn create_encrypted_in(
        backend: Arc<dyn RepoBackend>,
        world: &WorldRef,
        key: &KeySource,
    ) -> BackupResult<Self> {
        super::check_blank(&*backend)?;
        let mut repository = [0; 16];
        world.random(&mut repository);
        let repository = Uuid(repository);
        let mut keys = UnlockedKeyring::create(repository, FIRST, key, &**world)?;
        let bytes = keys.next_write(&**world)?;
        let store = Store { backend, repository, secrecy: Secrecy::Locked };
        // The header makes it a repository, so the keys come before it.
        store.put_keyring(1, &bytes)?;
        let created = world.wall().0;
        let header = Header { repository, created, is_encrypted: true, to_write: 0 };
        let put = store.backend.put(&ObjectName::Header, &header.encode())?;
        let made = Self::open_in(Arc::clone(&store.backend), world)?;
        if put == Put::Existed && made.store.repository != repository {
            store.remove_keyrings(|of, _| of == repository)?;
            return Err(BackupError::RepositoryExists { place: store.backend.place() });
        }
        // Of others that did not get so far. From now on none of them can.
        store.remove_keyrings(|of, _| of != repository)?;
        made.unlock(key)
    }

    /// Whether what it holds is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.header.is_encrypted
    }

    /// Whether it is encrypted, and was not [unlocked](Self::unlock). Then it can be [checked](Self::check) as far as
    /// hashes go, and says how many points there are.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.store.secrecy.is_locked()
    }

    /// An encrypted repository with the key that opens it.
    ///
    /// # Errors
    /// [`BackupError::WrongRepositoryKey`], [`BackupError::RepositoryNotEncrypted`], [`EnvError::KeyUnavailable`];
    /// [`BackupError::Object`] if the wrapped keys are damaged or missing.
    pub fn unlock(mut self, key: &KeySource) -> BackupResult<Self> {
        self.check_encrypted()?;
        let keys = self.open_keyring(self.store.newest_keyring()?, key)?;
        let objects = ObjectKeys::new(keys.data_keys(), Arc::clone(&self.world));
        self.store.secrecy = Secrecy::Unlocked(objects);
        self.access = Some(Arc::new(Access(Mutex::new(Held { key: key.clone(), keys }))));
        Ok(self)
    }

    /// Which keys open it; no key is needed to ask. As long as it is locked, nobody vouches for the answer.
    ///
    /// # Errors
    /// [`BackupError::RepositoryNotEncrypted`]; [`BackupError::Object`] if the wrapped keys are damaged or missing.
    pub fn keys(&self) -> BackupResult<KeyringInfo> {
        self.check_encrypted()?;
        Ok(self.store.newest_keyring()?.info())
    }

    /// Lets another key open it as well.
    ///
    /// # Errors
    /// [`BackupError::RepositoryKeyRequired`] if it is locked; [`EnvError::InvalidInput`] for a name that is there
    /// already, is empty, longer than 64 bytes, or has control characters; [`EnvError::Busy`] if somebody else
    /// changes the keys at the same time; [`EnvError::KeyUnavailable`].
    pub fn add_key(&self, name: &str, key: &KeySource) -> BackupResult<KeySlotInfo> {
        self.change_keys(|keys, world| keys.add(name, key, world))
    }

    /// Takes a key out of use, by the number of its slot. The last one stays.
    ///
    /// Whoever has it, and a copy of the wrapped keys from before, still reads what he can get of the repository, now
    /// and later: all objects have their keys from one. A copy of the repository under other keys ends that.
    ///
    /// # Errors
    /// As [`add_key`](Self::add_key); [`EnvError::InvalidInput`] if there is no such key, or no other one.
    pub fn remove_key(&self, number: u32) -> BackupResult<()> {
        self.change_keys(|keys, _| keys.remove(number))
    }

    /// Puts another key in place of the one that has unlocked it; nothing else of the repository is written. Handles that
    /// are open with the old key cannot make backups any more.
    ///
    /// # Errors
    /// As [`add_key`](Self::add_key).
    pub fn rotate_key(&self, key: &KeySource) -> BackupResult<KeySlotInfo> {
        let slot = self.change_keys(|keys, world| keys.rotate(key, world))?;
        if let Some(access) = &self.access {
            access.held().key = key.clone();
        }
        Ok(slot)
    }

    /// The number of the slot whose key has unlocked it.
    #[must_use]
    pub fn opened_by(&self) -> Option<u32> {
        Some(self.access.as_ref()?.held().keys.opened_by())
    }

    fn check_encrypted(&self) -> BackupResult<()> {
        match self.header.is_encrypted {
            true => Ok(()),
            false => Err(BackupError::RepositoryNotEncrypted { place: self.store.backend.place() }),
        }
    }

    fn open_keyring(&self, keyring: Keyring, key: &KeySource) -> BackupResult<UnlockedKeyring> {
        let (writes, repository) = (keyring.info().writes, self.store.repository);
        keyring.unlock(key).map_err(|error| match error {
            EnvError::WrongKey { .. } => {
                BackupError::WrongRepositoryKey { place: self.store.backend.place() }
            }
            error => {
                let name = ObjectName::Keyring { repository, number: writes, copy: 1 };
                self.store.no_keyring(name, error)
            }
        })
    }

    /// The keys as they are now: an error if that which was given is none of them any more.
    pub(super) fn current_keys(&self) -> BackupResult<UnlockedKeyring> {
        let Some(access) = &self.access else { return Err(self.store.locked()) };
        let newest = self.store.newest_keyring()?;
        let Held { key, keys: known } = access.held().clone();
        if known.keyring().encode() == newest.encode() {
            return Ok(known);
        }
        let name = ObjectName::Keyring {
            repository: self.store.repository,
            number: newest.info().writes,
            copy: 1,
        };
        let keys = self.open_keyring(newest, &key)?;
        if keys.data_keys() != known.data_keys() {
            let problem = "it holds other keys than those that objects are encrypted with".into();
            return Err(self.store.damaged(name, Damaged { at: 0, problem }));
        }
        Ok(keys)
    }

    fn change_keys<T>(
        &self,
        change: impl FnOnce(&mut UnlockedKeyring, &dyn World) -> Result<T, EnvError>,
    ) -> BackupResult<T> {
        self.check_encrypted()?;
        self.check_features()?;
        let mut keys = self.current_keys()?;
        let result = change(&mut keys, &*self.world)?;
        let bytes = keys.next_write(&*self.world)?;
        let (number, repository) = (keys.info().writes, self.store.repository);
        self.store.put_keyring(number, &bytes)?;
        self.store.remove_keyrings(|of, older| of != repository || older < number)?;
        if let Some(access) = &self.access {
            access.held().keys = keys;
        }
        Ok(result)
    }
}

impl Store {
    /// The wrapped keys that count.
    pub(super) fn newest_keyring(&self) -> BackupResult<Keyring> {
        let mut before = None;
        for _ in 0..TRIES {
            let number = self.newest_keyring_number()?;
            match self.keyring(number.max(1)) {
                // Somebody has put the next one in its place.
                Err(BackupError::Object(ObjectError::Missing { .. })) if before != Some(number) => {
                    before = Some(number);
                }
                read => return read,
            }
        }
        let holders = vec!["others, who keep changing its keys".into()];
        Err(EnvError::Busy { holders }.into())
    }

    /// The number of the keyring that counts, 0 if there is none. A listing may lack what was stored lately, so it is
    /// looked behind its end.
    pub(super) fn newest_keyring_number(&self) -> BackupResult<u64> {
        let listed = self.keyrings()?;
        let own = listed.iter().filter(|(of, ..)| *of == self.repository);
        let mut newest = own.map(|(_, number, _)| *number).max().unwrap_or(0);
        while let Some(number) = newest.checked_add(1) {
            let is_there = |copy| {
                let name = ObjectName::Keyring { repository: self.repository, number, copy };
                Ok::<_, BackupError>(self.backend.length(&name)?.is_some())
            };
            match is_there(1)? || is_there(2)? {
                true => newest = number,
                false => break,
            }
        }
        Ok(newest)
    }

    /// The keyring with this number: the first of its copies that is whole.
    fn keyring(&self, number: u64) -> BackupResult<Keyring> {
        self.keyring_copy(number, 1).or_else(|error| match error {
            BackupError::Object(_) => self.keyring_copy(number, 2).map_err(|_| error),
            error => Err(error),
        })
    }

    /// One copy of a keyring.
    pub(super) fn keyring_copy(&self, number: u64, copy: u8) -> BackupResult<Keyring> {
        let name = ObjectName::Keyring { repository: self.repository, number, copy };
        let bytes = self.whole(name, Keyring::MAX_LEN as u64)?;
        let keyring = Keyring::decode(&bytes, &self.path_of(name))
            .map_err(|error| self.no_keyring(name, error))?;
        if (keyring.environment(), keyring.info().writes) != (self.repository, number) {
            let problem = "it is another object than its name says".into();
            return Err(self.damaged(name, Damaged { at: 0, problem }));
        }
        Ok(keyring)
    }

    /// Stores both copies of a keyring; only one of two who store the same number does.
    fn put_keyring(&self, number: u64, bytes: &[u8]) -> BackupResult<()> {
        let name = |copy| ObjectName::Keyring { repository: self.repository, number, copy };
        let others = "somebody who has changed its keys meanwhile";
        self.put_twice([name(1), name(2)], bytes, Keyring::MAX_LEN as u64, others)
    }

    /// Of each keyring there is: of which repository, its number, and which copy it is.
    pub(super) fn keyrings(&self) -> BackupResult<Vec<(Uuid, u64, u8)>> {
        let listed = self.backend.list(&Folder::Keys)?;
        let objects = listed.iter().filter_map(|listed| Folder::Keys.object(&listed.name));
        let keyrings = objects.filter_map(|object| match object {
            ObjectName::Keyring { repository, number, copy } => Some((repository, number, copy)),
            _ => None,
        });
        Ok(keyrings.collect())
    }

    fn remove_keyrings(&self, is_old: impl Fn(Uuid, u64) -> bool) -> BackupResult<()> {
        for (repository, number, copy) in self.keyrings()? {
            if is_old(repository, number) {
                self.backend.delete(&ObjectName::Keyring { repository, number, copy })?;
            }
        }
        Ok(())
    }

    fn path_of(&self, name: ObjectName) -> PathBuf {
        Path::new(&self.backend.place()).join(name.to_string())
    }

    /// Why a keyring cannot be used.
    fn no_keyring(&self, name: ObjectName, error: EnvError) -> BackupError {
        match error {
            EnvError::KeyringDamaged { what, .. } => {
                self.damaged(name, Damaged { at: 0, problem: what })
            }
            EnvError::Unsupported { needs, .. } => {
                self.unread(name, super::statement::Unread::Unsupported(needs))
            }
            error => error.into(),
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({:?})", self.held().key)
    }
}
