//! What a crash leaves: one behaviour for each test.

use std::collections::BTreeSet;

use cairn_io::{Access, FileExt, LockMode};
use cairn_sim::{Bounds, Image, Level, SimDisk};

use crate::{SITE, durable_file, file_with, name};

/// An image as text: `path=content` for files, `path/` for directories.
fn text(image: &Image) -> String {
    let dirs = image.dirs().map(|path| format!("{path}/"));
    let files = image.files().map(|(path, _)| {
        let content = image.read(path).unwrap();
        format!("{path}={}", content.escape_ascii())
    });
    dirs.chain(files).collect::<Vec<_>>().join(" ")
}

/// What a crash now may leave.
fn left(disk: &SimDisk, level: Level) -> BTreeSet<String> {
    let images = disk.crash_images(level, &Bounds::full());
    images.iter().map(|crashed| text(&crashed.image)).collect()
}

#[track_caller]
fn assert_left(disk: &SimDisk, level: Level, expected: &[&str]) {
    let expected = expected.iter().map(ToString::to_string).collect();
    assert_eq!(left(disk, level), expected);
}

#[test]
fn the_death_of_the_process_loses_nothing() {
    let disk = SimDisk::new();
    file_with(&disk.root().create_dir(&name("d")).unwrap(), "a", b"1");
    assert_left(&disk, Level::KeepAll, &["d/ d/a=1"]);
    assert_eq!(text(&disk.image()), "d/ d/a=1");
}

#[test]
fn what_was_synced_survives_and_what_was_not_is_lost() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"old");
    file.write_all_at(1, b"NEW").unwrap();
    assert_left(&disk, Level::LoseAll, &["a=old"]);
    file.sync(SITE).unwrap();
    assert_left(&disk, Level::LoseAll, &["a=oNEW"]);
}

#[test]
fn a_synced_file_is_gone_if_its_directory_was_not_synced() {
    let disk = SimDisk::new();
    file_with(&disk.root(), "a", b"1").sync(SITE).unwrap();
    assert_left(&disk, Level::LoseAll, &[""]);
    assert_left(&disk, Level::Subset, &["", "a=1"]);
}

#[test]
fn a_durable_name_says_nothing_of_the_bytes() {
    let disk = SimDisk::new();
    file_with(&disk.root(), "a", b"1");
    disk.root().sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["a=", "a=1"]);
}

#[test]
fn a_directory_is_found_only_through_its_own_name() {
    let disk = SimDisk::new();
    let below = disk.root().create_dir(&name("d")).unwrap();
    durable_file(&below, "a", b"1");
    assert_left(&disk, Level::Subset, &["", "d/ d/a=1"]);
}

#[test]
fn a_rename_leaves_the_old_file_or_the_new() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"old");
    durable_file(&disk.root(), "b", b"new");
    disk.root().rename(&name("b"), &name("a")).unwrap();
    assert_left(&disk, Level::Subset, &["a=old b=new", "a=new"]);
    disk.root().sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["a=new"]);
}

#[test]
fn a_rename_may_be_durable_before_the_bytes_of_what_it_renames() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"old");
    file_with(&disk.root(), "b", b"new");
    disk.root().rename(&name("b"), &name("a")).unwrap();
    let expected = ["a=old", "a=old b=", "a=old b=new", "a=", "a=new"];
    assert_left(&disk, Level::Subset, &expected);
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"1");
    disk.root().remove(&name("a")).unwrap();
    assert_left(&disk, Level::Subset, &["", "a=1"]);
    disk.root().sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &[""]);
}

#[test]
fn unsynced_writes_reorder_within_a_file_and_across_files() {
    let disk = SimDisk::new();
    let a = durable_file(&disk.root(), "a", b"..");
    let b = durable_file(&disk.root(), "b", b".");
    a.write_all_at(0, b"1").unwrap();
    b.write_all_at(0, b"2").unwrap();
    a.write_all_at(1, b"3").unwrap();
    let prefixes = ["a=.. b=.", "a=1. b=.", "a=1. b=2", "a=13 b=2"];
    assert_left(&disk, Level::Prefix, &prefixes);
    let others = ["a=.. b=2", "a=.3 b=.", "a=.3 b=2", "a=13 b=."];
    assert_left(&disk, Level::Subset, &[prefixes, others].concat());
    b.sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["a=.. b=2", "a=1. b=2", "a=.3 b=2", "a=13 b=2"]);
}

#[test]
fn overlapping_writes_keep_their_order_where_both_survive() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"...");
    file.write_all_at(0, b"11").unwrap();
    file.write_all_at(1, b"22").unwrap();
    assert_left(&disk, Level::Subset, &["a=...", "a=11.", "a=.22", "a=122"]);
}

#[test]
fn a_length_and_the_bytes_are_durable_apart() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"123");
    file.set_len(1).unwrap();
    file.write_all_at(1, b"X").unwrap();
    assert_left(&disk, Level::Subset, &["a=123", "a=1", "a=1X3", "a=1X"]);
}

#[test]
fn a_torn_write_ends_at_any_byte_in_old_bytes_zeros_or_anything() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"....");
    file.write_all_at(1, b"12").unwrap();
    let images = disk.crash_images(Level::Torn, &Bounds::full());
    let (random, known): (Vec<_>, Vec<_>) =
        images.iter().partition(|crashed| crashed.to_string().contains("random bytes"));
    let known: BTreeSet<_> = known.iter().map(|crashed| text(&crashed.image)).collect();
    let expected = [r"a=.\x00\x00.", r"a=.1\x00.", "a=.1.."];
    assert_eq!(known, expected.map(String::from).into());
    assert_eq!(random.len(), 2);
    for crashed in random {
        let bytes = crashed.image.read("a").unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[3]), (4, b'.', b'.'), "{crashed}");
    }
}

#[test]
fn the_length_may_lag_behind_a_torn_write_or_run_ahead_of_it() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"1");
    file.write_all_at(1, b"23").unwrap();
    let left = left(&disk, Level::Torn);
    assert!(left.contains("a=12"), "the length of a part");
    assert!(left.contains(r"a=1\x00\x00"), "the length without the bytes");
    assert!(left.contains(r"a=12\x00"));
}

#[test]
fn a_torn_write_may_lack_its_beginning_up_to_a_sector_edge() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", &[b'.'; 2000]);
    file.write_all_at(500, &[b'x'; 1000]).unwrap();
    let images = disk.crash_images(Level::Torn, &Bounds::smoke());
    let first_kept: BTreeSet<_> = images
        .iter()
        .filter_map(|crashed| {
            let bytes = crashed.image.read("a").unwrap();
            let whole_end = bytes[1499] == b'x' && bytes[1500] == b'.';
            whole_end.then(|| bytes.iter().position(|&byte| byte == b'x').unwrap())
        })
        .filter(|first| first % 512 == 0)
        .collect();
    assert_eq!(first_kept, [512, 1024].into());
}

#[test]
fn a_large_write_is_torn_beside_sector_edges_and_where_the_file_ended() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", &[b'.'; 700]);
    file.write_all_at(0, &[b'x'; 3000]).unwrap();
    let images = disk.crash_images(Level::Torn, &Bounds { tears_sampled: 0, ..Bounds::smoke() });
    let ends: BTreeSet<_> = images
        .iter()
        .filter(|crashed| crashed.to_string().contains("old bytes"))
        .map(|crashed| crashed.image.read("a").unwrap())
        .filter(|bytes| bytes[0] == b'x')
        .map(|bytes| bytes.iter().position(|&byte| byte != b'x').unwrap_or(bytes.len()))
        .collect();
    for end in [1, 511, 512, 513, 700, 2559, 2560, 2561, 2999] {
        assert!(ends.contains(&end), "{end}: {ends:?}");
    }
}

#[test]
fn a_file_renamed_twice_is_found_under_one_of_its_names() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"1");
    disk.root().rename(&name("a"), &name("b")).unwrap();
    disk.root().rename(&name("b"), &name("c")).unwrap();
    assert_left(&disk, Level::Subset, &["a=1", "b=1", "c=1"]);
}

#[test]
fn a_link_is_a_name_of_its_own_and_keeps_the_bytes() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"A");
    let below = disk.root().create_dir(&name("d")).unwrap();
    disk.root().sync(SITE).unwrap();
    below.link(&name("b"), &*disk.root(), &name("a")).unwrap();
    assert_left(&disk, Level::Subset, &["d/ a=A", "d/ a=A d/b=A"]);
    // A removal may be durable before the link is: then the bytes are gone, or not.
    disk.root().remove(&name("a")).unwrap();
    disk.root().sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["d/", "d/ d/b=A"]);
    below.sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["d/ d/b=A"]);
    // Two names in one directory come and go one by one.
    below.link(&name("c"), &*below, &name("b")).unwrap();
    below.sync(SITE).unwrap();
    below.remove(&name("b")).unwrap();
    below.sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["d/ d/c=A"]);
}

#[test]
fn a_name_is_given_anew_only_after_it_was_freed() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"old");
    disk.root().rename(&name("a"), &name("b")).unwrap();
    file_with(&disk.root(), "a", b"").sync(SITE).unwrap();
    assert_left(&disk, Level::Subset, &["a=old", "b=old", "a= b=old"]);
}

#[test]
fn changes_of_unrelated_names_reorder() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"");
    disk.root().remove(&name("a")).unwrap();
    file_with(&disk.root(), "b", b"").sync(SITE).unwrap();
    assert_left(&disk, Level::Prefix, &["a=", "", "b="]);
    assert_left(&disk, Level::Subset, &["a=", "", "b=", "a= b="]);
}

#[test]
fn writes_to_a_file_that_is_gone_for_good_are_not_pending() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"1");
    file.write_all_at(0, b"2").unwrap();
    disk.root().remove(&name("a")).unwrap();
    assert_eq!(disk.pending(), 2);
    disk.root().sync(SITE).unwrap();
    file.write_all_at(0, b"3").unwrap();
    assert_eq!(disk.pending(), 0);
    file.sync(SITE).unwrap();
    assert_left(&disk, Level::KeepAll, &[""]);
}

#[test]
fn locks_end_with_the_crash_and_the_lock_file_is_like_any_other() {
    let disk = SimDisk::new();
    let lock = name("LOCK");
    let _guard = disk.root().lock(&lock, LockMode::Exclusive).unwrap();
    assert_left(&disk, Level::Subset, &["", "LOCK="]);
    let after = SimDisk::from_image(&disk.image());
    drop(after.root().lock(&lock, LockMode::Exclusive).unwrap());
    assert_eq!(after.pending(), 0, "the file was there");
}

#[test]
fn crashes_nest() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"1").write_all_at(1, b"2").unwrap();
    let mut seen = BTreeSet::new();
    for first in disk.crash_images(Level::Subset, &Bounds::full()) {
        let again = SimDisk::from_image(&first.image);
        let file = again.root().open(&name("a"), Access::ReadWrite).unwrap();
        file.write_all_at(file.len().unwrap(), b"3").unwrap();
        assert_eq!(again.pending(), 1);
        seen.extend(left(&again, Level::Subset));
    }
    assert_eq!(seen, ["a=1", "a=13", "a=12", "a=123"].map(String::from).into());
}

#[test]
fn a_failed_sync_loses_its_writes_for_good_while_they_stay_visible() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"old");
    file.write_all_at(0, b"NEW").unwrap();
    disk.fail_next_sync(0);
    let error = file.sync(SITE).unwrap_err();
    assert_eq!((error.site, error.source.raw_os_error()), (Some(SITE), Some(5)));
    file.sync(SITE).unwrap(); // it lies
    let mut seen = [0; 3];
    file.read_exact_at(0, &mut seen).unwrap();
    assert_eq!(&seen, b"NEW", "the page cache has it");
    assert_left(&disk, Level::KeepAll, &["a=old"]);
    file.write_all_at(1, b"2").unwrap();
    file.sync(SITE).unwrap();
    assert_left(&disk, Level::LoseAll, &["a=o2d"]);
}

#[test]
fn a_failed_sync_may_have_written_a_part() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"...");
    for (offset, byte) in [(0, b"1"), (1, b"2"), (2, b"3")] {
        file.write_all_at(offset, byte).unwrap();
    }
    disk.fail_next_sync(2);
    file.sync(SITE).unwrap_err();
    assert_left(&disk, Level::Subset, &["a=12."]);
}

#[test]
fn a_failed_sync_of_a_directory_loses_its_changes() {
    let disk = SimDisk::new();
    durable_file(&disk.root(), "a", b"1");
    disk.root().rename(&name("a"), &name("b")).unwrap();
    disk.fail_next_sync(0);
    disk.root().sync(SITE).unwrap_err();
    assert_left(&disk, Level::KeepAll, &["a=1"]);
    disk.root().rename(&name("b"), &name("c")).unwrap();
    assert_left(&disk, Level::Subset, &["a=1", "c=1"]);
}

#[test]
fn an_image_says_what_became_of_each_operation() {
    let disk = SimDisk::new();
    let file = durable_file(&disk.root(), "a", b"");
    file.write_all_at(0, b"12").unwrap();
    file.write_all_at(2, b"34").unwrap();
    let texts: Vec<_> =
        disk.crash_images(Level::Torn, &Bounds::full()).iter().map(ToString::to_string).collect();
    let expected = "L4 after 5 operations; kept #3 write a @0+2; lost #4 write a @2+2; \
                    #3 torn: zeros at 1..2 of it";
    assert!(texts.iter().any(|text| text == expected), "{texts:#?}");
}
