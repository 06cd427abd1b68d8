//! `MemDisk` keeps the contract, and can be looked into, damaged and forked.

use cairn_io::{Access, EntryKind, FileExt, LockMode, MemDisk, Name};

cairn_io::contract_tests!(|| (MemDisk::new().root(), ()));

fn disk_with(files: &[(&str, &[u8])]) -> MemDisk {
    let disk = MemDisk::new();
    for (path, content) in files {
        disk.write(path, content.to_vec()).unwrap();
    }
    disk
}

#[test]
fn files_are_listed_with_their_paths_and_lengths() {
    let disk = disk_with(&[("b", b"12"), ("d/e/f", b"123"), ("d/a", b"")]);
    disk.create_dirs("empty/one").unwrap();
    let files = disk.files();
    assert_eq!(files, [("b".into(), 2), ("d/a".into(), 0), ("d/e/f".into(), 3)]);
    assert_eq!(disk.dirs(), ["d", "d/e", "empty", "empty/one"]);
    assert_eq!(disk.total_bytes(), 5);
}

#[test]
fn foreign_names_can_be_planted_and_are_listed_without_a_name() {
    let disk = disk_with(&[("a b", b""), (".hidden", b""), ("plain", b"")]);
    let entries = disk.root().list().unwrap();
    let listed: Vec<_> = entries.iter().map(|e| (e.display.as_str(), e.name.is_some())).collect();
    assert_eq!(listed, [(".hidden", false), ("a b", false), ("plain", true)]);
    assert!(entries.iter().all(|entry| entry.kind == EntryKind::File));
}

#[test]
fn a_fork_shares_nothing_that_either_side_changes() {
    let disk = disk_with(&[("a", b"one"), ("d/b", b"two")]);
    let fork = disk.fork();
    disk.edit("a", |bytes| bytes.push(b'!')).unwrap();
    fork.remove("d/b").unwrap();
    fork.write("c", b"three".to_vec()).unwrap();
    assert_eq!(
        (&**disk.read("a").unwrap(), &**fork.read("a").unwrap()),
        (&b"one!"[..], &b"one"[..])
    );
    assert_eq!(disk.files().len(), 2);
    assert_eq!(fork.files(), [("a".into(), 3), ("c".into(), 5)]);
}

#[test]
fn a_fork_copies_only_what_is_written() {
    let disk = disk_with(&[("a", &[7; 1000]), ("b", &[8; 1000])]);
    let fork = disk.fork();
    fork.edit("b", |bytes| bytes[0] = 0).unwrap();
    let same = |path| std::sync::Arc::ptr_eq(&disk.read(path).unwrap(), &fork.read(path).unwrap());
    assert!(same("a"));
    assert!(!same("b"));
}

#[test]
fn a_fork_takes_over_hard_links_but_no_locks() {
    let disk = disk_with(&[("a", b"one")]);
    disk.create_dirs("d").unwrap();
    disk.hard_link("a", "d/b").unwrap();
    let lock = Name::constant("a");
    let _guard = disk.root().lock(&lock, LockMode::Exclusive).unwrap();
    let fork = disk.fork();
    drop(fork.root().lock(&lock, LockMode::Exclusive).unwrap());
    fork.edit("d/b", |bytes| bytes[0] = b'O').unwrap();
    assert_eq!(**fork.read("a").unwrap(), *b"One");
    assert_eq!(fork.root().open(&lock, Access::Read).unwrap().links().unwrap(), 2);
}

#[test]
fn a_hard_link_is_counted_until_it_is_removed() {
    let disk = disk_with(&[("a", b"one")]);
    let file = disk.root().open(&Name::constant("a"), Access::ReadWrite).unwrap();
    disk.hard_link("a", "b").unwrap();
    assert_eq!(file.links().unwrap(), 2);
    file.write_all_at(0, b"two").unwrap();
    assert_eq!(**disk.read("b").unwrap(), *b"two");
    disk.remove("a").unwrap();
    assert_eq!(file.links().unwrap(), 1);
}

#[test]
fn damage_reaches_open_files() {
    let disk = disk_with(&[("d/a", b"one")]);
    let file = disk.root().open_dir(&Name::constant("d")).unwrap();
    let file = file.open(&Name::constant("a"), Access::Read).unwrap();
    disk.edit("d/a", |bytes| bytes[1] ^= 0x80).unwrap();
    let mut read = [0; 3];
    file.read_exact_at(0, &mut read).unwrap();
    assert_eq!(read, [b'o', b'n' ^ 0x80, b'e']);
    disk.write("d/a", b"xy".to_vec()).unwrap();
    assert_eq!(file.len().unwrap(), 2);
}

#[test]
fn files_and_directories_move_and_go() {
    let disk = disk_with(&[("a", b"1"), ("d/b", b"2"), ("d/e/f", b"3")]);
    disk.rename("a", "d/a").unwrap();
    disk.rename("d/e", "g").unwrap();
    assert_eq!(disk.files(), [("d/a".into(), 1), ("d/b".into(), 1), ("g/f".into(), 1)]);
    disk.rename("d/a", "d/b").unwrap();
    assert_eq!(**disk.read("d/b").unwrap(), *b"1");
    disk.remove("d").unwrap();
    assert_eq!(disk.files(), [("g/f".into(), 1)]);
    assert!(disk.remove("d").unwrap_err().is_not_found());
    assert!(disk.rename("no", "g/x").unwrap_err().is_not_found());
    assert!(disk.read("g").is_err());
}

#[test]
fn a_length_beyond_memory_is_an_error() {
    let file = MemDisk::new().root().create(&Name::constant("a")).unwrap();
    assert!(file.set_len(u64::MAX).unwrap_err().is_no_space());
    assert!(file.write_at(u64::MAX - 1, b"12").unwrap_err().is_no_space());
    assert_eq!(file.len().unwrap(), 0);
}
