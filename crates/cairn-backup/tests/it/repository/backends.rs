//! Each backend keeps what the trait promises.

use std::{fs, sync::Arc};

use cairn_backup::{
    BackupError, LocalBackend, MemoryBackend, ObjectName, RepoBackend, Repository, conformance,
};
use cairn_io::{DirRef, MemDisk};
use cairn_sim::SimDisk;

use crate::fixture::world;

#[test]
fn a_directory_is_a_backend() {
    let dir = tempfile::tempdir().unwrap();
    conformance(&|| Arc::new(LocalBackend::open(dir.path()).unwrap()));
}

#[test]
fn a_directory_of_any_disk_is_a_backend() {
    let (mem, sim) = (MemDisk::new(), SimDisk::new());
    conformance(&|| Arc::new(LocalBackend::in_dir(mem.root())));
    conformance(&|| Arc::new(LocalBackend::in_dir(sim.root())));
}

#[test]
fn memory_is_a_backend() {
    let memory = Arc::new(MemoryBackend::new());
    conformance(&|| Arc::clone(&memory) as Arc<dyn RepoBackend>);
}

#[test]
fn a_repository_is_made_where_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/place");
    fs::create_dir(dir.path().join("new")).unwrap();
    let made = Repository::create(&path).unwrap().info().unwrap();
    assert_eq!(Repository::open(&path).unwrap().info().unwrap(), made);
    assert!(made.environments.is_empty());
    let error = Repository::create(&path).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryExists { .. }), "{error}");
    assert_eq!(Repository::open(&path).unwrap().info().unwrap(), made);

    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "mine").unwrap();
    let error = Repository::create(&other).unwrap_err();
    assert!(matches!(error, BackupError::TargetNotEmpty { .. }), "{error}");
    for place in [other, dir.path().join("nowhere")] {
        let error = Repository::open(place).unwrap_err();
        assert!(matches!(error, BackupError::NotARepository { .. }), "{error}");
    }
}

#[test]
fn one_of_two_who_make_a_repository_at_the_same_time_has_made_it() {
    let disk = MemDisk::new();
    let place = |dir: DirRef| Arc::new(LocalBackend::in_dir(dir));
    let (one, other) = (place(disk.root()), place(disk.root()));
    let made = Repository::create_in(one, &world()).unwrap().info().unwrap();
    let error = Repository::create_in(Arc::clone(&other) as _, &world()).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryExists { .. }), "{error}");
    let found = Repository::open_in(other, &world()).unwrap().info().unwrap();
    assert_eq!(found, made);
}

/// A writer that died has left a temporary file, which may even be a second name of an object.
#[test]
fn what_a_dead_writer_has_left_is_in_nobodys_way_and_no_object_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(dir.path()).unwrap();
    backend.put(&ObjectName::Header, b"object").unwrap();
    fs::hard_link(dir.path().join("repo.cairn"), dir.path().join("w00.tmp")).unwrap();
    drop(backend);
    let backend = LocalBackend::open(dir.path()).unwrap();
    backend.put(&ObjectName::Header, b"another").unwrap();
    assert_eq!(backend.read(&ObjectName::Header, 0, 100).unwrap(), b"object");
    assert!(!dir.path().join("w00.tmp").exists());
}
