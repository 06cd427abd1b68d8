//! A repository in memory, and what its points hold.

use std::sync::Arc;

use cairn_backup::{
    LocalBackend, PointOptions, PointReport, RepoBackend, Repository, RestoreOptions, Which,
};
use cairn_env::Environment;
use cairn_io::{DirRef, MemDisk};

use crate::fixture::{Content, content, open, options, world};

pub(crate) fn local(dir: DirRef) -> Arc<dyn RepoBackend> {
    Arc::new(LocalBackend::in_dir(dir))
}

/// A new repository in memory.
pub(crate) fn repository() -> Repository {
    Repository::create_in(local(MemDisk::new().root()), &world()).unwrap()
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
