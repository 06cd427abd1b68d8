//! What every `Dir` must do, as tests: run against each implementation by [`contract_tests`].
//!
//! Not part of the public interface. Each function is one behaviour; it gets a fresh, empty
//! directory and panics if the directory behaves otherwise. What only the operating system can
//! show (links, FIFOs, modes, other processes) is tested beside `RealDir`.
//!
//! [`contract_tests`]: crate::contract_tests
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::io::ErrorKind;

use crate::{
    Access, DirExt, DirRef, EntryKind, File, FileExt, FileRef, IoResult, LockError, LockMode, Name,
    SyncSite,
};

/// Makes a `#[test]` of each behaviour. `$fixture` is an expression for a function that returns a
/// pair: the directory, and whatever keeps it alive.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { @each $fixture;
            a_file_is_created_empty_and_read_back
            writes_are_seen_at_once_through_other_handles
            create_refuses_any_existing_name_and_changes_nothing
            create_dir_refuses_any_existing_name
            what_is_missing_is_not_found
            a_directory_is_not_opened_as_a_file
            a_file_is_not_opened_as_a_directory
            a_handle_for_reading_refuses_writes
            reads_end_where_the_file_ends
            a_write_past_the_end_leaves_zeros_between
            an_empty_write_changes_nothing
            set_len_cuts_and_grows_by_zeros
            rename_replaces_a_file_and_leaves_its_readers_alone
            a_file_stays_the_same_and_a_copy_is_another
            rename_to_the_same_name_changes_nothing
            a_link_is_a_second_name_of_the_same_bytes
            a_link_never_replaces_and_needs_a_file
            rename_new_never_replaces
            rename_new_moves_files_and_directories
            a_removed_file_stays_readable_through_open_handles
            remove_and_remove_dir_keep_to_their_kind
            remove_dir_refuses_a_directory_in_use
            a_removed_directory_accepts_no_files
            an_open_directory_is_followed_by_its_handle_when_renamed
            list_is_sorted_and_tells_kinds
            exclusive_locks_exclude_everyone
            shared_locks_admit_each_other
            a_lock_stays_with_its_guard_and_its_file
            a_lock_needs_a_regular_file
            a_shared_lock_leaves_the_content_of_its_file_alone
            a_lock_file_that_is_removed_while_locked_makes_way_for_another
            a_mapped_range_is_exact_or_declined
            a_mapping_follows_a_growing_file
            syncs_and_hints_succeed
            a_new_file_has_one_link
            space_is_told
            small_files_are_read_and_replaced_whole
        }
    };
    (@each $fixture:expr; $($behaviour:ident)*) => {
        $(
            #[test]
            fn $behaviour() {
                let (dir, _keep) = ($fixture)();
                $crate::contract::$behaviour(&dir);
            }
        )*
    };
}

const SITE: SyncSite = SyncSite::new("contract");

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn kind<T: std::fmt::Debug>(result: IoResult<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn file_with(dir: &DirRef, text: &str, content: &[u8]) -> FileRef {
    let file = dir.create(&name(text)).unwrap();
    file.write_all_at(0, content).unwrap();
    file
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn read(dir: &DirRef, text: &str) -> Vec<u8> {
    content(&*dir.open(&name(text), Access::Read).unwrap())
}

fn names(dir: &DirRef) -> Vec<String> {
    dir.list().unwrap().into_iter().map(|entry| entry.display).collect()
}

pub fn a_file_is_created_empty_and_read_back(dir: &DirRef) {
    let file = dir.create(&name("a")).unwrap();
    assert_eq!(file.len().unwrap(), 0);
    assert!(file.is_empty().unwrap());
    file.write_all_at(0, b"hello world").unwrap();
    file.write_all_at(6, b"there").unwrap();
    assert_eq!(content(&*file), b"hello there");
    assert_eq!(read(dir, "a"), b"hello there");
    assert_eq!(file.path(), dir.path().join("a"));
}

pub fn writes_are_seen_at_once_through_other_handles(dir: &DirRef) {
    let one = file_with(dir, "a", b"123");
    let two = dir.open(&name("a"), Access::ReadWrite).unwrap();
    let three = dir.open(&name("a"), Access::Read).unwrap();
    two.write_all_at(1, b"xyz").unwrap();
    assert_eq!(content(&*one), b"1xyz");
    assert_eq!(content(&*three), b"1xyz");
}

pub fn create_refuses_any_existing_name_and_changes_nothing(dir: &DirRef) {
    file_with(dir, "a", b"kept");
    dir.create_dir(&name("d")).unwrap();
    assert_eq!(kind(dir.create(&name("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(dir.create(&name("d"))), ErrorKind::AlreadyExists);
    assert_eq!(read(dir, "a"), b"kept");
}

pub fn create_dir_refuses_any_existing_name(dir: &DirRef) {
    file_with(dir, "a", b"kept");
    dir.create_dir(&name("d")).unwrap();
    assert_eq!(kind(dir.create_dir(&name("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(dir.create_dir(&name("d"))), ErrorKind::AlreadyExists);
}

pub fn what_is_missing_is_not_found(dir: &DirRef) {
    let (a, b) = (name("a"), name("b"));
    for found in [
        kind(dir.open(&a, Access::Read)),
        kind(dir.open(&a, Access::ReadWrite)),
        kind(dir.open_dir(&a)),
        kind(dir.rename(&a, &b)),
        kind(dir.rename_new(&a, &b)),
        kind(dir.remove(&a)),
        kind(dir.remove_dir(&a)),
    ] {
        assert_eq!(found, ErrorKind::NotFound);
    }
    assert!(names(dir).is_empty());
}

pub fn a_directory_is_not_opened_as_a_file(dir: &DirRef) {
    dir.create_dir(&name("d")).unwrap();
    assert_eq!(kind(dir.open(&name("d"), Access::Read)), ErrorKind::InvalidInput);
    assert_eq!(kind(dir.open(&name("d"), Access::ReadWrite)), ErrorKind::InvalidInput);
}

pub fn a_file_is_not_opened_as_a_directory(dir: &DirRef) {
    file_with(dir, "a", b"");
    assert_eq!(kind(dir.open_dir(&name("a"))), ErrorKind::NotADirectory);
}

pub fn a_handle_for_reading_refuses_writes(dir: &DirRef) {
    file_with(dir, "a", b"kept");
    let file = dir.open(&name("a"), Access::Read).unwrap();
    file.write_at(0, b"x").unwrap_err();
    file.set_len(0).unwrap_err();
    assert_eq!(read(dir, "a"), b"kept");
}

pub fn reads_end_where_the_file_ends(dir: &DirRef) {
    let file = file_with(dir, "a", b"12345");
    let mut buf = [b'.'; 4];
    assert_eq!(file.read_full_at(3, &mut buf).unwrap(), 2);
    assert_eq!(&buf, b"45..");
    assert_eq!(file.read_at(5, &mut buf).unwrap(), 0);
    assert_eq!(file.read_at(1 << 40, &mut buf).unwrap(), 0);
    assert_eq!(file.read_at(0, &mut []).unwrap(), 0);
    assert_eq!(kind(file.read_exact_at(3, &mut buf)), ErrorKind::UnexpectedEof);
    file.read_exact_at(1, &mut buf).unwrap();
    assert_eq!(&buf, b"2345");
}

pub fn a_write_past_the_end_leaves_zeros_between(dir: &DirRef) {
    let file = file_with(dir, "a", b"12");
    file.write_all_at(5, b"67").unwrap();
    assert_eq!(content(&*file), b"12\0\0\x0067");
}

pub fn an_empty_write_changes_nothing(dir: &DirRef) {
    let file = file_with(dir, "a", b"12");
    assert_eq!(file.write_at(100, b"").unwrap(), 0);
    file.write_all_at(100, b"").unwrap();
    assert_eq!(content(&*file), b"12");
}

pub fn set_len_cuts_and_grows_by_zeros(dir: &DirRef) {
    let file = file_with(dir, "a", b"12345");
    file.set_len(2).unwrap();
    assert_eq!(content(&*file), b"12");
    file.set_len(4).unwrap();
    assert_eq!(content(&*file), b"12\0\0", "what was cut must not come back");
    assert_eq!(file.len().unwrap(), 4);
}

pub fn rename_replaces_a_file_and_leaves_its_readers_alone(dir: &DirRef) {
    let old = file_with(dir, "a", b"old");
    let new = file_with(dir, "b", b"new");
    dir.rename(&name("b"), &name("a")).unwrap();
    assert_eq!(names(dir), ["a"]);
    assert_eq!(read(dir, "a"), b"new");
    assert_eq!(content(&*old), b"old");
    assert_eq!(old.links().unwrap(), 0);
    new.write_all_at(0, b"NEW").unwrap();
    assert_eq!(read(dir, "a"), b"NEW", "an open file keeps its identity");
}

pub fn a_file_stays_the_same_and_a_copy_is_another(dir: &DirRef) {
    let file = file_with(dir, "a", b"1");
    let which = file.identity().unwrap();
    file.write_all_at(0, b"longer").unwrap();
    let again = dir.open(&name("a"), Access::Read).unwrap();
    assert_eq!(again.identity().unwrap(), which);
    let copy = file_with(dir, "b", b"longer");
    assert_ne!(copy.identity().unwrap(), which);
}

pub fn rename_to_the_same_name_changes_nothing(dir: &DirRef) {
    let file = file_with(dir, "a", b"1");
    dir.rename(&name("a"), &name("a")).unwrap();
    assert_eq!(read(dir, "a"), b"1");
    assert_eq!(file.links().unwrap(), 1);
}

pub fn a_link_is_a_second_name_of_the_same_bytes(dir: &DirRef) {
    let file = file_with(dir, "a", b"one");
    let below = dir.create_dir(&name("d")).unwrap();
    below.link(&name("b"), &**dir, &name("a")).unwrap();
    dir.link(&name("c"), &*below, &name("b")).unwrap();
    assert_eq!(
        (names(dir), names(&below)),
        (vec!["a".into(), "c".into(), "d".into()], vec!["b".into()])
    );
    assert_eq!(file.links().unwrap(), 3);
    file.write_all_at(0, b"two").unwrap();
    assert_eq!((read(dir, "c"), read(&below, "b")), (b"two".to_vec(), b"two".to_vec()));
    // No name is the original.
    dir.remove(&name("a")).unwrap();
    below.rename(&name("b"), &name("e")).unwrap();
    assert_eq!((read(dir, "c"), read(&below, "e")), (b"two".to_vec(), b"two".to_vec()));
    dir.remove(&name("c")).unwrap();
    assert_eq!(file.links().unwrap(), 1);
    assert_eq!(read(&below, "e"), b"two");
    below.sync(SITE).unwrap();
}

pub fn a_link_never_replaces_and_needs_a_file(dir: &DirRef) {
    file_with(dir, "a", b"a");
    file_with(dir, "b", b"b");
    let below = dir.create_dir(&name("d")).unwrap();
    assert_eq!(kind(dir.link(&name("b"), &**dir, &name("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(dir.link(&name("d"), &**dir, &name("a"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(below.link(&name("a"), &**dir, &name("missing"))), ErrorKind::NotFound);
    assert_eq!(kind(below.link(&name("a"), &**dir, &name("d"))), ErrorKind::InvalidInput);
    assert_eq!(read(dir, "b"), b"b");
    assert!(names(&below).is_empty());
}

pub fn rename_new_never_replaces(dir: &DirRef) {
    file_with(dir, "a", b"a");
    file_with(dir, "b", b"b");
    dir.create_dir(&name("d")).unwrap();
    for (from, to) in [("a", "b"), ("a", "d"), ("d", "a"), ("a", "a")] {
        assert_eq!(
            kind(dir.rename_new(&name(from), &name(to))),
            ErrorKind::AlreadyExists,
            "{from} to {to}"
        );
    }
    assert_eq!(names(dir), ["a", "b", "d"]);
    assert_eq!(read(dir, "b"), b"b");
}

pub fn rename_new_moves_files_and_directories(dir: &DirRef) {
    file_with(dir, "a", b"a");
    file_with(&dir.create_dir(&name("d")).unwrap(), "inner", b"i");
    dir.rename_new(&name("a"), &name("b")).unwrap();
    dir.rename_new(&name("d"), &name("e")).unwrap();
    assert_eq!(names(dir), ["b", "e"]);
    assert_eq!(read(&dir.open_dir(&name("e")).unwrap(), "inner"), b"i");
}

pub fn a_removed_file_stays_readable_through_open_handles(dir: &DirRef) {
    let file = file_with(dir, "a", b"still");
    dir.remove(&name("a")).unwrap();
    assert!(names(dir).is_empty());
    assert_eq!(file.links().unwrap(), 0);
    file.write_all_at(5, b" here").unwrap();
    file.sync(SITE).unwrap();
    assert_eq!(content(&*file), b"still here");
    file_with(dir, "a", b"another");
    assert_eq!(content(&*file), b"still here");
}

pub fn remove_and_remove_dir_keep_to_their_kind(dir: &DirRef) {
    file_with(dir, "a", b"");
    dir.create_dir(&name("d")).unwrap();
    dir.remove(&name("d")).unwrap_err();
    assert_eq!(kind(dir.remove_dir(&name("a"))), ErrorKind::NotADirectory);
    assert_eq!(names(dir), ["a", "d"]);
    dir.remove(&name("a")).unwrap();
    dir.remove_dir(&name("d")).unwrap();
    assert!(names(dir).is_empty());
}

pub fn remove_dir_refuses_a_directory_in_use(dir: &DirRef) {
    let below = dir.create_dir(&name("d")).unwrap();
    file_with(&below, "a", b"");
    assert_eq!(kind(dir.remove_dir(&name("d"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(names(&below), ["a"]);
}

pub fn a_removed_directory_accepts_no_files(dir: &DirRef) {
    let below = dir.create_dir(&name("d")).unwrap();
    dir.remove_dir(&name("d")).unwrap();
    assert_eq!(kind(below.create(&name("a"))), ErrorKind::NotFound);
    assert_eq!(kind(below.create_dir(&name("e"))), ErrorKind::NotFound);
}

pub fn an_open_directory_is_followed_by_its_handle_when_renamed(dir: &DirRef) {
    let below = dir.create_dir(&name("old")).unwrap();
    dir.rename_new(&name("old"), &name("new")).unwrap();
    file_with(&below, "a", b"1");
    assert_eq!(read(&dir.open_dir(&name("new")).unwrap(), "a"), b"1");
}

pub fn list_is_sorted_and_tells_kinds(dir: &DirRef) {
    for file in ["b", "a.log", "B", "a-1", "a_1"] {
        file_with(dir, file, b"");
    }
    dir.create_dir(&name("aa")).unwrap();
    let entries = dir.list().unwrap();
    let listed: Vec<_> = entries.iter().map(|entry| entry.display.as_str()).collect();
    assert_eq!(listed, ["B", "a-1", "a.log", "a_1", "aa", "b"]);
    for entry in &entries {
        assert_eq!(entry.name.as_ref().unwrap().as_str(), entry.display);
        let expected = if entry.display == "aa" { EntryKind::Dir } else { EntryKind::File };
        assert_eq!(entry.kind, expected);
    }
}

fn held_here<T: std::fmt::Debug>(result: Result<T, LockError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, LockError::HeldHere), "{error:?}");
}

pub fn exclusive_locks_exclude_everyone(dir: &DirRef) {
    let lock = name("LOCK");
    let guard = dir.lock(&lock, LockMode::Exclusive).unwrap();
    held_here(dir.lock(&lock, LockMode::Exclusive));
    held_here(dir.lock(&lock, LockMode::Shared));
    drop(dir.lock(&name("OTHER"), LockMode::Exclusive).unwrap());
    drop(guard);
    drop(dir.lock(&lock, LockMode::Exclusive).unwrap());
    drop(dir.lock(&lock, LockMode::Shared).unwrap());
}

pub fn shared_locks_admit_each_other(dir: &DirRef) {
    let lock = name("LOCK");
    let one = dir.lock(&lock, LockMode::Shared).unwrap();
    let two = dir.lock(&lock, LockMode::Shared).unwrap();
    held_here(dir.lock(&lock, LockMode::Exclusive));
    drop(one);
    held_here(dir.lock(&lock, LockMode::Exclusive));
    drop(two);
    drop(dir.lock(&lock, LockMode::Exclusive).unwrap());
}

pub fn a_lock_stays_with_its_guard_and_its_file(dir: &DirRef) {
    let lock = name("LOCK");
    let below = dir.create_dir(&name("d")).unwrap();
    let guard = below.lock(&lock, LockMode::Exclusive).unwrap();
    drop(below);
    let below = dir.open_dir(&name("d")).unwrap();
    held_here(below.lock(&lock, LockMode::Exclusive));
    // Opening and closing the file must not release the lock.
    drop(below.open(&lock, Access::ReadWrite).unwrap());
    held_here(below.lock(&lock, LockMode::Shared));
    drop(guard);
    assert_eq!(names(&below), ["LOCK"], "the lock file stays");
    drop(below.lock(&lock, LockMode::Exclusive).unwrap());
}

pub fn a_lock_needs_a_regular_file(dir: &DirRef) {
    dir.create_dir(&name("d")).unwrap();
    match dir.lock(&name("d"), LockMode::Exclusive) {
        Err(LockError::Io(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        other => panic!("{other:?}"),
    }
}

/// What a pin is made of: its holder writes into the file that it has locked, others read it and find
/// that the lock is held.
pub fn a_shared_lock_leaves_the_content_of_its_file_alone(dir: &DirRef) {
    let pin = name("pin");
    let file = file_with(dir, "pin", b"held");
    let guard = dir.lock(&pin, LockMode::Shared).unwrap();
    held_here(dir.lock(&pin, LockMode::Exclusive));
    assert_eq!(read(dir, "pin"), b"held");
    file.write_all_at(0, b"told").unwrap();
    drop(guard);
    assert_eq!(read(dir, "pin"), b"told");
    drop(dir.lock(&pin, LockMode::Exclusive).unwrap());
}

pub fn a_lock_file_that_is_removed_while_locked_makes_way_for_another(dir: &DirRef) {
    let pin = name("pin");
    let first = dir.lock(&pin, LockMode::Shared).unwrap();
    dir.remove(&pin).unwrap();
    assert!(names(dir).is_empty());
    let second = dir.lock(&pin, LockMode::Exclusive).unwrap();
    drop(first);
    held_here(dir.lock(&pin, LockMode::Shared));
    drop(second);
    dir.remove(&pin).unwrap();
    assert!(names(dir).is_empty());
}

pub fn a_mapped_range_is_exact_or_declined(dir: &DirRef) {
    let bytes: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    let file = file_with(dir, "a", &bytes);
    for (offset, len) in [(0, 20_000), (0, 1), (4095, 2), (4096, 4096), (19_999, 1), (7, 0)] {
        if let Some(view) = file.map(offset as u64, len).unwrap() {
            assert_eq!(view, &bytes[offset..offset + len]);
        }
    }
    for (offset, len) in [(0, 20_001), (20_000, 1), (u64::MAX, 1), (u64::MAX - 1, 5)] {
        match file.map(offset, len) {
            Ok(None) => {}
            other => assert_eq!(kind(other), ErrorKind::UnexpectedEof, "{offset}+{len}"),
        }
    }
    // A view outlives the handle and the name.
    let view = file.map(100, 50).unwrap();
    dir.remove(&name("a")).unwrap();
    drop(file);
    if let Some(view) = view {
        assert_eq!(view, &bytes[100..150]);
    }
}

pub fn a_mapping_follows_a_growing_file(dir: &DirRef) {
    let file = dir.create(&name("a")).unwrap();
    let exceeds = |offset, len| match file.map(offset, len) {
        Ok(None) => {}
        other => assert_eq!(kind(other), ErrorKind::UnexpectedEof),
    };
    exceeds(0, 1);
    if let Some(view) = file.map(0, 0).unwrap() {
        assert!(view.is_empty());
    }
    file.write_all_at(0, b"first").unwrap();
    let first = file.map(0, 5).unwrap();
    exceeds(5, 6);
    file.write_all_at(5, b"second").unwrap();
    let second = file.map(5, 6).unwrap();
    if let (Some(first), Some(second)) = (first, second) {
        assert_eq!(first, &b"first"[..]);
        assert_eq!(second, &b"second"[..]);
    }
    file.set_len(5).unwrap();
    exceeds(5, 6);
}

pub fn syncs_and_hints_succeed(dir: &DirRef) {
    let file = file_with(dir, "a", b"12345");
    file.sync(SITE).unwrap();
    dir.sync(SITE).unwrap();
    dir.open(&name("a"), Access::Read).unwrap().sync(SITE).unwrap();
    file.forget(0, 5);
    file.forget(0, 0);
    file.expect(0, 5);
    file.expect(3, 1 << 40);
    file.write_back(0, 5);
    file.write_back(0, 0);
    assert_eq!(content(&*file), b"12345");
    for _ in 0..2 {
        let mut buf = [b'.'; 3];
        file.read_in_passing(1, &mut buf).unwrap();
        assert_eq!(&buf, b"234");
        let cached = file.read_cached_at(3, &mut buf).unwrap();
        assert_eq!(buf[..cached], b"45"[..cached]);
        assert_eq!(kind(file.read_in_passing(4, &mut buf)), ErrorKind::UnexpectedEof);
        file.forget(0, 5);
    }
}

pub fn a_new_file_has_one_link(dir: &DirRef) {
    assert_eq!(file_with(dir, "a", b"").links().unwrap(), 1);
}

pub fn space_is_told(dir: &DirRef) {
    let space = dir.space().unwrap();
    assert!(0 < space.total && space.free <= space.total, "{space:?}");
}

pub fn small_files_are_read_and_replaced_whole(dir: &DirRef) {
    let (target, temporary) = (name("CURRENT"), name("CURRENT.new"));
    assert!(!dir.has(&target).unwrap());
    dir.replace_small(&target, &temporary, b"one", SITE).unwrap();
    file_with(dir, "CURRENT.new", b"left by a crash");
    dir.replace_small(&target, &temporary, b"three", SITE).unwrap();
    assert!(dir.has(&target).unwrap());
    assert_eq!(names(dir), ["CURRENT"]);
    assert_eq!(dir.read_small(&target, 5).unwrap(), b"three");
    assert_eq!(kind(dir.read_small(&target, 4)), ErrorKind::FileTooLarge);
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_behaviour_is_forgotten_in_the_list() {
        let source = include_str!("contract.rs");
        let (list, functions) = source.split_once("const SITE").unwrap();
        let declared =
            functions.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next());
        for behaviour in declared {
            assert!(list.lines().any(|line| line.trim() == behaviour), "{behaviour}");
        }
    }
}
