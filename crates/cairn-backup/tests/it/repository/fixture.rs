//! A repository in memory, and what its points hold.

use std::sync::Arc;

use cairn_backup::{
    BackupError, LocalBackend, PointOptions, PointReport, RepoBackend, Repository, RestoreOptions,
    Which,
};
use cairn_env::{Environment, KdfCost, KeySource};
use cairn_io::{DirRef, MemDisk, WorldRef};

use crate::fixture::{Content, content, open, options, world};

pub(crate) fn local(dir: DirRef) -> Arc<dyn RepoBackend> {
    Arc::new(LocalBackend::in_dir(dir))
}

/// Whether a repository is encrypted, and whether who looks at it has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Unlocked,
    Locked,
}

/// The key of encrypted repositories: one that costs nothing to try.
pub(crate) fn raw_key(n: u8) -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|at| n.wrapping_add(u8::try_from(at).unwrap())))
}

pub(crate) fn passphrase(text: &str) -> KeySource {
    KeySource::passphrase(text).unwrap().cost(KdfCost::new(8, 1).unwrap())
}

impl Kind {
    pub(crate) fn create(self, place: Arc<dyn RepoBackend>) -> Repository {
        self.create_at(place, &world())
    }

    pub(crate) fn create_at(self, place: Arc<dyn RepoBackend>, world: &WorldRef) -> Repository {
        match self {
            Self::Plain => Repository::create_in(place, world).unwrap(),
            _ => Repository::create_encrypted_in(place, world, &raw_key(1)).unwrap(),
        }
    }

    pub(crate) fn open(self, place: Arc<dyn RepoBackend>) -> Result<Repository, BackupError> {
        let repository = Repository::open_in(place, &world())?;
        if self == Self::Unlocked { repository.unlock(&raw_key(1)) } else { Ok(repository) }
    }

    /// Of who restores.
    pub(crate) fn with_key(self) -> Self {
        if self == Self::Plain { Self::Plain } else { Self::Unlocked }
    }
}

/// A new repository in memory.
pub(crate) fn repository() -> Repository {
    Repository::create_in(local(MemDisk::new().root()), &world()).unwrap()
}

/// The same, which is encrypted for every other seed.
pub(crate) fn repository_for(seed: u64) -> Repository {
    let kind = if seed.is_multiple_of(2) { Kind::Plain } else { Kind::Unlocked };
    kind.create(local(MemDisk::new().root()))
}

/// Small parts, so that files have several.
pub(crate) fn small() -> PointOptions<'static> {
    PointOptions::default().part_bytes(5000)
}

pub(crate) fn backup(repository: &Repository, env: &Environment) -> PointReport {
    repository.backup(env, &small()).unwrap()
}

/// What a point holds, by restoring it.
pub(crate) fn restored(repository: &Repository, which: &Which) -> Content {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options());
    repository.restore_in(None, which, &target.root(), &world(), &how).unwrap();
    content(&open(&target))
}
