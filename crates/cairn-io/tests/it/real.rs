//! `RealDir` keeps the contract, and what only an operating system can show.

use std::{
    fs, io,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use cairn_io::{Access, DirRef, EntryKind, FileExt, LockError, LockMode, Name, RealDir};
use tempfile::TempDir;

fn fixture() -> (DirRef, TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    (RealDir::open(scratch.path()).unwrap(), scratch)
}

cairn_io::contract_tests!(fixture);

/// The contract once more, read through `read_at` alone.
mod without_mapping {
    use super::*;

    #[test]
    fn map_is_declined() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = RealDir::options().mapping(false).open(scratch.path()).unwrap();
        let below = dir.create_dir(&Name::constant("d")).unwrap();
        let file = below.create(&Name::constant("a")).unwrap();
        file.write_all_at(0, b"12345").unwrap();
        assert_eq!(file.map(0, 5).unwrap(), None);
    }
}

const A: Name = Name::constant("a");
const B: Name = Name::constant("b");
const FIFO: Name = Name::constant("fifo");

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_mapped_by_default() {
    let (dir, _scratch) = fixture();
    let file = dir.create(&A).unwrap();
    file.write_all_at(0, b"12345").unwrap();
    assert_eq!(file.map(1, 3).unwrap().unwrap(), &b"234"[..]);
}

#[test]
fn links_are_never_followed() {
    let (dir, scratch) = fixture();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "kept").unwrap();
    symlink(outside.path().join("secret"), scratch.path().join("a")).unwrap();
    symlink(outside.path(), scratch.path().join("b")).unwrap();
    symlink("nowhere", scratch.path().join("c")).unwrap();

    for access in [Access::Read, Access::ReadWrite] {
        assert_eq!(dir.open(&A, access).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(dir.open_dir(&B).unwrap_err().kind(), ErrorKind::NotADirectory);
    for text in ["a", "b", "c"] {
        let name = Name::new(text).unwrap();
        assert_eq!(dir.create(&name).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(dir.create_dir(&name).unwrap_err().kind(), ErrorKind::AlreadyExists);
        match dir.lock(&name, LockMode::Exclusive) {
            Err(LockError::Io(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
            other => panic!("{other:?}"),
        }
    }
    assert!(dir.list().unwrap().iter().all(|entry| entry.kind == EntryKind::Other));
    dir.remove(&A).unwrap(); // removes the link
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "kept");
}

#[test]
fn a_fifo_a_socket_and_a_device_are_refused_without_waiting() {
    let (dir, scratch) = fixture();
    let made = Command::new("mkfifo").arg(scratch.path().join("fifo")).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(scratch.path().join("a")).unwrap();
    for name in [&FIFO, &A] {
        for access in [Access::Read, Access::ReadWrite] {
            assert_eq!(dir.open(name, access).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(dir.open_dir(name).unwrap_err().kind(), ErrorKind::NotADirectory);
        assert!(matches!(dir.lock(name, LockMode::Exclusive), Err(LockError::Io(_))));
    }
    let dev = RealDir::open(Path::new("/dev")).unwrap();
    let null = dev.open(&Name::constant("null"), Access::Read);
    assert_eq!(null.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_open_directory_is_not_redirected_by_its_path() {
    let (dir, scratch) = fixture();
    let below = dir.create_dir(&A).unwrap();
    fs::rename(scratch.path().join("a"), scratch.path().join("moved")).unwrap();
    fs::create_dir(scratch.path().join("a")).unwrap();
    below.create(&B).unwrap();
    assert!(scratch.path().join("moved/b").exists());
    assert!(!scratch.path().join("a/b").exists());
}

#[test]
fn foreign_names_are_listed_in_byte_order_without_a_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let (dir, scratch) = fixture();
    for raw in [&b"b c"[..], b".hidden", b"\xff\xfe", "ä".as_bytes(), b"a"] {
        fs::write(scratch.path().join(OsStr::from_bytes(raw)), "").unwrap();
    }
    let entries = dir.list().unwrap();
    let listed: Vec<_> = entries.iter().map(|e| (e.display.as_str(), e.name.is_some())).collect();
    let foreign = ["b c", "ä", "\u{fffd}\u{fffd}"].map(|text| (text, false));
    assert_eq!(listed[..2], [(".hidden", false), ("a", true)]);
    assert_eq!(listed[2..], foreign);
}

#[test]
fn a_hard_link_is_counted() {
    let (dir, scratch) = fixture();
    let file = dir.create(&A).unwrap();
    fs::hard_link(scratch.path().join("a"), scratch.path().join("b")).unwrap();
    assert_eq!(file.links().unwrap(), 2);
    dir.remove(&B).unwrap();
    assert_eq!(file.links().unwrap(), 1);
}

#[test]
fn a_directory_is_created_once_for_its_owner_alone_and_only_below_a_parent() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("new");
    let dir = RealDir::create(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(dir.path(), path);
    assert_eq!(RealDir::create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let orphan = scratch.path().join("no/such");
    assert!(RealDir::create(&orphan).unwrap_err().is_not_found());
    assert!(RealDir::open(&orphan).unwrap_err().is_not_found());
    fs::write(scratch.path().join("file"), "").unwrap();
    let file = RealDir::open(&scratch.path().join("file"));
    assert_eq!(file.unwrap_err().kind(), ErrorKind::NotADirectory);
    assert!(RealDir::open(Path::new("")).is_err());
}

#[test]
fn inherited_mode_bits_are_cleared() {
    let (dir, scratch) = fixture();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o2700)).unwrap();
    dir.create(&A).unwrap();
    dir.create_dir(&B).unwrap();
    assert_eq!(mode(&scratch.path().join("a")), 0o600);
    assert_eq!(mode(&scratch.path().join("b")), 0o700);
}

#[test]
fn one_lock_has_many_spellings() {
    let (dir, scratch) = fixture();
    fs::create_dir(scratch.path().join("d")).unwrap();
    symlink(scratch.path(), scratch.path().join("same")).unwrap();
    let _guard = dir.lock(&A, LockMode::Exclusive).unwrap();
    fs::hard_link(scratch.path().join("a"), scratch.path().join("b")).unwrap();
    for spelling in [".", "d/..", "same", "same/same/."] {
        let dir = RealDir::open(&scratch.path().join(spelling)).unwrap();
        for name in [&A, &B] {
            let refused = dir.lock(name, LockMode::Exclusive).unwrap_err();
            assert!(matches!(refused, LockError::HeldHere), "{spelling}: {refused}");
        }
    }
}

#[test]
fn an_exclusive_holder_leaves_its_process_id_as_long_as_it_holds() {
    let (dir, scratch) = fixture();
    let content = || fs::read_to_string(scratch.path().join("a")).unwrap();
    let old = "4294967295 and more than it needs\n";
    fs::write(scratch.path().join("a"), old).unwrap();
    drop(dir.lock(&A, LockMode::Shared).unwrap());
    assert_eq!(content(), old, "shared: no change");
    let held = dir.lock(&A, LockMode::Exclusive).unwrap();
    assert_eq!(content(), format!("{}\n", std::process::id()));
    drop(held);
    assert_eq!(content(), "");
}

#[test]
fn errors_name_the_path_the_operation_and_the_site() {
    let (dir, scratch) = fixture();
    let error = dir.open(&A, Access::Read).unwrap_err();
    let path = scratch.path().join("a");
    let source = io::Error::from_raw_os_error(2);
    assert_eq!(error.to_string(), format!("cannot open {}: {source}", path.display()));
    assert_eq!(error.duplicate().to_string(), error.to_string());
}
