//! `BackupPlace`: where the backups of the stores of an environment lie.
//!
//! Each store has a folder of its own, named by its id. The place lies beside the environment, so that a restore
//! of the environment does not touch it.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use cairn_env::Environment;
use cairn_io::{DirRef, IoResult, Name, RealDir, RealWorld, SyncSite, WorldRef};

use crate::{KvError, KvResult, sync::lock};

/// The folder of a store: without it a crash takes the archive along.
pub(crate) const FOLDER: SyncSite = SyncSite::new("kv.backup-folder");

/// Where the backups of the stores of an environment lie.
///
/// [`KvManager::open`](crate::KvManager::open) keeps them in `<environment>.backups`. Who brings an environment
/// says where, once: [`BackupPlace::attach`].
///
/// ```
/// use cairn_kv::{BackupPlace, KvOptions, KvStore, SecurityLevel};
/// use cairn_env::{Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let (env, _) = Environment::open(&path, Options::default())?;
/// BackupPlace::beside(&path).attach(&env);
/// let store = KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S1))?;
/// store.put("tea", 1)?;
/// store.backup("BK001")?;
/// assert!(path.with_file_name("data.backups").join("notes").join("BK001.bak").exists());
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackupPlace {
    root: Root,
    world: WorldRef,
}

#[derive(Clone, Debug)]
enum Root {
    /// Created when something is to lie there.
    Path(PathBuf),
    Dir(DirRef),
    Nowhere,
}

/// The place of an environment, once it was said.
#[derive(Default)]
struct Attached(Mutex<Option<BackupPlace>>);

impl BackupPlace {
    /// `<environment>.backups`, beside the environment in the directory `environment`. It is created when there
    /// is a backup. An environment whose path does not end with a name, such as `..`, has nothing beside it.
    #[must_use]
    pub fn beside(environment: impl AsRef<Path>) -> Self {
        let given = environment.as_ref();
        // `.` has a name, too: that of where we are.
        let environment = std::path::absolute(given).unwrap_or_else(|_| given.to_owned());
        let Some(name) = environment.file_name() else {
            return Self { root: Root::Nowhere, world: Arc::new(RealWorld::new()) };
        };
        let mut name = name.to_owned();
        name.push(".backups");
        Self::at(environment.with_file_name(name))
    }

    /// The directory `path`, whose parent must exist. It is created when there is a backup.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { root: Root::Path(path.into()), world: Arc::new(RealWorld::new()) }
    }

    /// A directory of any disk, with the clock of any world: for simulations.
    #[must_use]
    pub fn new(dir: DirRef, world: WorldRef) -> Self {
        Self { root: Root::Dir(dir), world }
    }

    /// Lets the stores of an environment keep their backups here, as long as it is open.
    pub fn attach(self, env: &Environment) {
        *lock(&env.attached::<Attached>().0) = Some(self);
    }

    /// The place of an environment.
    ///
    /// # Errors
    /// [`KvError::NotSupported`] if nobody has said where it is.
    pub(crate) fn of(env: &Environment) -> KvResult<Self> {
        let place = lock(&env.attached::<Attached>().0).clone();
        place.filter(|place| !matches!(place.root, Root::Nowhere)).ok_or_else(|| {
            let what = "a backup where nobody has said where it is to lie: see BackupPlace".into();
            KvError::NotSupported { what }
        })
    }

    pub(super) const fn world(&self) -> &WorldRef {
        &self.world
    }

    /// The folder of a store, if there is one.
    pub(super) fn find(&self, store: &str) -> KvResult<Option<DirRef>> {
        let root = match &self.root {
            Root::Path(path) => RealDir::open(path),
            Root::Dir(dir) => Ok(DirRef::clone(dir)),
            Root::Nowhere => return Ok(None),
        };
        let found = parts(store).into_iter().fold(root, |dir, part| dir?.open_dir(&part));
        match found {
            Err(error) if error.is_not_found() => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// The folder of a store, created if there is none.
    pub(super) fn make(&self, store: &str) -> KvResult<DirRef> {
        let root = match &self.root {
            Root::Path(path) => match RealDir::create(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => RealDir::open(path),
                created => created,
            },
            Root::Dir(dir) => Ok(DirRef::clone(dir)),
            Root::Nowhere => RealDir::open(Path::new("")), // which is nowhere
        };
        Ok(parts(store).into_iter().fold(root, |dir, part| open_or_create(&dir?, &part))?)
    }
}

fn open_or_create(dir: &DirRef, name: &Name) -> IoResult<DirRef> {
    let below = match dir.open_dir(name) {
        Err(error) if error.is_not_found() => match dir.create_dir(name) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => dir.open_dir(name)?,
            created => created?,
        },
        opened => opened?,
    };
    // Whoever has created it may have died before this.
    dir.sync(FOLDER)?;
    Ok(below)
}

/// The names of the folders that lead to that of a store. An id may be longer than a name: then the rest of it is
/// a folder within. No archive has such a name, since those have a suffix.
fn parts(store: &str) -> Vec<Name> {
    let part = |bytes: &[u8]| Name::new(String::from_utf8_lossy(bytes)).ok();
    store.as_bytes().chunks(Name::MAX_LEN).filter_map(part).collect()
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*lock(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_an_environment_is_never_in_it() {
        for (environment, expected) in [
            ("/x/data", Some("/x/data.backups")),
            ("/x/data/", Some("/x/data.backups")),
            ("/x/data/.", Some("/x/data.backups")),
            ("/x/..", None),
            ("/", None),
        ] {
            let Root::Path(path) = BackupPlace::beside(environment).root else {
                assert_eq!(expected, None, "{environment}");
                continue;
            };
            assert_eq!(path.to_str(), expected, "{environment}");
            assert!(!path.starts_with(environment));
        }
    }
}
