//! `BackupPlace`: where the backups of the stores of an environment lie: archives in folders.
//!
//! Each store has a folder of its own, named by what it is called. The place lies beside the environment, so that a restore
//! of the environment does not touch it.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use cairn_env::Environment;
use cairn_io::{DirRef, IoResult, Name, RealDir, RealWorld, SyncSite, WorldRef};

use crate::{BackupFolder, sync::lock};

/// Where the backups of the stores of an environment lie.
///
/// Who opens an environment says where, once ([`BackupPlace::attach`]); what opens it for its stores, such as a
/// manager of them, does so itself: in `<environment>.backups`.
///
/// ```
/// use cairn_archive::BackupPlace;
/// use cairn_env::{Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// let (env, _) = Environment::open(&path, Options::default())?;
/// assert!(BackupPlace::of(&env).is_none());
/// BackupPlace::beside(&path).attach(&env);
/// assert!(BackupPlace::of(&env).is_some());
/// # Ok::<(), cairn_env::EnvError>(())
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

    /// The place of an environment, if somebody has said where it is.
    #[must_use]
    pub fn of(env: &Environment) -> Option<Self> {
        let place = lock(&env.attached::<Attached>().0).clone();
        place.filter(|place| !matches!(place.root, Root::Nowhere))
    }

    /// The clock and the randomness for what lies there.
    #[must_use]
    pub const fn world(&self) -> &WorldRef {
        &self.world
    }

    /// The folder of a store, if there is one. What it is called is made of letters, digits, `-`, `_` and `.`, and
    /// does not begin with a `.`.
    ///
    /// # Errors
    /// If a directory cannot be opened.
    pub fn find(&self, store: &str) -> IoResult<Option<BackupFolder>> {
        let root = match &self.root {
            Root::Path(path) => RealDir::open(path),
            Root::Dir(dir) => Ok(DirRef::clone(dir)),
            Root::Nowhere => return Ok(None),
        };
        let found = parts(store).into_iter().fold(root, |dir, part| dir?.open_dir(&part));
        match found {
            Err(error) if error.is_not_found() => Ok(None),
            found => Ok(Some(BackupFolder::new(found?))),
        }
    }

    /// The folder of a store, created if there is none, and synced as `site`: without that a crash takes along what
    /// lies in it.
    ///
    /// # Errors
    /// If a directory cannot be opened or created.
    pub fn make(&self, store: &str, site: SyncSite) -> IoResult<BackupFolder> {
        let root = match &self.root {
            Root::Path(path) => match RealDir::create(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => RealDir::open(path),
                created => created,
            },
            Root::Dir(dir) => Ok(DirRef::clone(dir)),
            Root::Nowhere => RealDir::open(Path::new("")), // which is nowhere
        };
        let made = parts(store).into_iter();
        made.fold(root, |dir, part| open_or_create(&dir?, &part, site)).map(BackupFolder::new)
    }
}

fn open_or_create(dir: &DirRef, name: &Name, site: SyncSite) -> IoResult<DirRef> {
    let below = match dir.open_dir(name) {
        Err(error) if error.is_not_found() => match dir.create_dir(name) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => dir.open_dir(name)?,
            created => created?,
        },
        opened => opened?,
    };
    // Whoever has created it may have died before this.
    dir.sync(site)?;
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
