//! `KvManager`: the stores of one environment, by id, for those who do not bring one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use cairn_archive::BackupPlace;
use cairn_env::{Environment, EnvironmentKeys, KeySource, Options, RecoveryReport};

use crate::{
    KvError, KvOptions, KvResult, KvStore,
    store::{delete, store_ids},
    sync::lock,
};

/// How the environment of a manager is opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KvManagerConfig {
    /// How the environment is opened, but for its key.
    pub options: Options,
    /// The key of the environment: from a key file, a passphrase or a callback. With it the environment is
    /// encrypted when it is created, and with it every store; without it no store is.
    pub keys: Option<KeySource>,
}

impl KvManagerConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`KvManagerConfig::options`](KvManagerConfig#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets [`KvManagerConfig::keys`](KvManagerConfig#structfield.keys).
    #[must_use]
    pub fn keys(mut self, keys: KeySource) -> Self {
        self.keys = Some(keys);
        self
    }
}

/// The stores of one environment, by id.
///
/// A store that was got so many times is closed when it was closed so many times. Dropping the manager closes
/// nothing that somebody still has.
///
/// ```
/// use cairn_kv::{KvManager, KvManagerConfig, KvOptions, SecurityLevel};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let manager = KvManager::open(&path, KvManagerConfig::new())?;
/// let notes = manager.get_store("notes", KvOptions::new(SecurityLevel::S1))?;
/// notes.put("1", "buy tea")?;
/// assert_eq!(manager.store_ids()?, ["notes"]);
/// manager.close_store("notes");
/// assert_eq!(notes.get("1").unwrap_err().code(), Some(15_100_005));
/// manager.delete_store("notes")?;
/// manager.close()?;
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Debug)]
pub struct KvManager {
    env: Environment,
    /// Where it lies, if this has opened it.
    path: Option<PathBuf>,
    /// Each store that is open here, and how often.
    open: Mutex<BTreeMap<String, (KvStore, usize)>>,
}

impl KvManager {
    /// Opens the environment in the directory `path`, after recovery if it needs any; creates it if it is
    /// missing.
    ///
    /// # Errors
    /// As [`Environment::open`].
    pub fn open(path: impl AsRef<Path>, config: KvManagerConfig) -> KvResult<Self> {
        let KvManagerConfig { mut options, keys } = config;
        if let Some(keys) = keys {
            options = options.key(keys);
        }
        let path = path.as_ref();
        let (env, _) = Environment::open(path, options)?;
        BackupPlace::beside(path).attach(&env);
        Ok(Self { path: Some(path.into()), ..Self::of(&env) })
    }

    /// A manager of the stores of an environment that is open. Where their backups lie is for the caller to say:
    /// [`BackupPlace::attach`].
    #[must_use]
    pub fn of(env: &Environment) -> Self {
        Self { env: env.clone(), path: None, open: Mutex::default() }
    }

    /// The environment.
    #[must_use]
    pub const fn environment(&self) -> &Environment {
        &self.env
    }

    /// What opening the environment found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        self.env.recovery_report()
    }

    /// Opens a store, or creates it.
    ///
    /// # Errors
    /// As [`KvStore::open`].
    pub fn get_store(&self, id: &str, options: KvOptions) -> KvResult<KvStore> {
        let mut open = lock(&self.open);
        let store = KvStore::open(&self.env, id, options)?;
        let count = open.get(id).filter(|(known, _)| known.is_same_opening(&store));
        let count = count.map_or(0, |(_, count)| *count);
        open.insert(id.into(), (store.clone(), count + 1));
        Ok(store)
    }

    /// Takes back one [`KvManager::get_store`]: with the last one the store is closed. Does nothing to one that
    /// is not open here.
    pub fn close_store(&self, id: &str) {
        let mut open = lock(&self.open);
        let Some((store, count)) = open.get_mut(id) else { return };
        *count -= 1;
        if *count == 0 {
            store.close();
            open.remove(id);
        }
    }

    /// Deletes a store with everything in it; closes it first, however often it was got.
    ///
    /// # Errors
    /// As [`KvStore::delete_store`].
    pub fn delete_store(&self, id: &str) -> KvResult<()> {
        let mut open = lock(&self.open);
        delete(&self.env, id)?;
        open.remove(id);
        Ok(())
    }

    /// The ids of all stores, in order, whether they are open or not.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn store_ids(&self) -> KvResult<Vec<String>> {
        store_ids(&self.env)
    }

    /// Begins a new key epoch of the environment: what is written from now on is encrypted with another data key.
    /// Backups stay restorable. For that the environment is closed, and opened again: all stores that are open
    /// here are closed, and must be got again. Returns the number of the epoch.
    ///
    /// # Errors
    /// [`KvError::NotEncrypted`]; [`KvError::NotSupported`] for a manager of an environment that somebody else
    /// has opened; as [`Environment::close`]: then nothing has changed but that the stores are closed.
    pub fn rekey(&mut self) -> KvResult<u32> {
        let Some(path) = self.path.clone() else {
            let what = "to rekey an environment that the manager has not opened itself".into();
            return Err(KvError::NotSupported { what });
        };
        let mut options = self.env.options().clone().create(false);
        options.encryption = None; // the keyring has them all, and soon a new one
        let Some(key) = options.key.clone() else {
            return Err(KvError::NotEncrypted { store: path.display().to_string() });
        };
        self.close_all();
        self.env.clone().close()?;
        let begun = begin_epoch(&path, &key);
        let (env, _) = Environment::open(&path, options)?;
        BackupPlace::beside(&path).attach(&env);
        self.env = env;
        begun
    }

    /// Closes all stores that are open here.
    fn close_all(&self) {
        for (_, (store, _)) in std::mem::take(&mut *lock(&self.open)) {
            store.close();
        }
    }

    /// Closes all stores that are open here, and the environment.
    ///
    /// # Errors
    /// As [`Environment::close`]: it waits for nobody, and names who has something open.
    pub fn close(self) -> KvResult<()> {
        self.close_all();
        Ok(self.env.close()?)
    }
}

fn begin_epoch(path: &Path, key: &KeySource) -> KvResult<u32> {
    Ok(EnvironmentKeys::open(path)?.unlock(key)?.begin_epoch()?)
}
