//! Each backend keeps what the trait promises.

use std::{fs, sync::Arc};

use cairn_backup::{
    BackendError, BackendResult, BackupError, Folder, Listed, LocalBackend, MemoryBackend,
    ObjectName, Put, RepoBackend, Repository, conformance,
};
use cairn_io::{DirRef, MemDisk};
use cairn_sim::SimDisk;

use super::fixture::raw_key;
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

#[cfg(not(feature = "object-store"))]
#[test]
fn the_url_of_an_object_store_is_refused_by_name_where_nothing_speaks_to_one() {
    for url in ["s3://bucket/prefix", "gs://bucket", "az://container/a/b"] {
        assert!(cairn_backup::is_object_store(url) && cairn_backup::is_repository(url), "{url}");
        for refused in [Repository::open(url), Repository::create(url)] {
            let error = refused.unwrap_err();
            assert!(matches!(error, BackupError::NoObjectStores { .. }), "{error}");
            assert!(error.to_string().contains(url), "{error}");
        }
    }
    for path in ["s3:", "./s3://bucket", "s3:/bucket", "http://bucket/prefix"] {
        assert!(
            !cairn_backup::is_object_store(path) && !cairn_backup::is_repository(path),
            "{path}"
        );
    }
}

/// A place that takes every object, whatever is there already, as some object stores do.
#[derive(Debug)]
struct Forgetful(MemoryBackend);

impl RepoBackend for Forgetful {
    fn place(&self) -> String {
        "somewhere".into()
    }

    fn probe(&self) -> BackendResult<()> {
        Err(BackendError::Failed { what: "it replaces objects".into(), source: "so".into() })
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.0.replace(*name, bytes.to_vec());
        Ok(Put::Stored)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        self.0.read(name, offset, len)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        self.0.length(name)
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        self.0.settle(folder)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        self.0.list(folder)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.0.delete(name)
    }
}

#[test]
fn no_repository_is_made_in_a_place_that_does_not_keep_its_promises() {
    let place = Arc::new(Forgetful(MemoryBackend::new()));
    let backend = || Arc::clone(&place) as Arc<dyn RepoBackend>;
    for refused in [
        Repository::create_in(backend(), &world()),
        Repository::create_encrypted_in(backend(), &world(), &raw_key(1)),
    ] {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("it replaces objects"), "{error}");
        assert!(place.0.objects().is_empty());
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
