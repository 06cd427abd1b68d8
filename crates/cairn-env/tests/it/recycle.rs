//! Journal files that nothing needs become other ones: never while anybody can see them, and a crash at
//! any moment finds either the old file, a spare, or the new one.

use std::collections::BTreeMap;

use cairn_env::{EnvError, Options};
use cairn_sim::{Op, SimDisk};

use crate::fixture::{Model, TestEnv, content, small_options, sweep};

/// Commits fill a journal file every few rounds, and a checkpoint lets it go.
fn work(test: &TestEnv, rounds: std::ops::Range<u32>) {
    for round in rounds {
        for n in 0..20 {
            test.put("db", format!("{}", n % 7).as_bytes(), &round.to_le_bytes().repeat(60));
        }
        test.env().checkpoint().unwrap();
    }
}

fn spares(test: &TestEnv) -> usize {
    test.disk.image().files().filter(|(path, _)| path.contains("/spare-")).count()
}

/// How many journal files were made of spares, and how many from nothing.
fn made(disk: &SimDisk) -> (usize, usize) {
    let (mut of_spares, mut new) = (0, 0);
    for entry in disk.trace().entries() {
        match entry.op() {
            Op::Rename { .. } if entry.path().contains("/spare-") => of_spares += 1,
            Op::Create if entry.path().contains("/J-") => new += 1,
            _ => {}
        }
    }
    (of_spares, new)
}

#[test]
fn a_journal_file_that_nothing_needs_becomes_the_next_one() {
    for directories in [0, 2] {
        let mut test = TestEnv::new(small_options().data_directories(directories));
        work(&test, 0..40);
        assert!(spares(&test) <= 2, "{}", spares(&test));
        let (of_spares, new) = made(&test.disk);
        assert!(of_spares > 5 * new, "{of_spares} of spares, {new} new");
        let before = content(test.env()).unwrap();
        test.close();
        assert_eq!(spares(&test), 0, "they are wiped as far as this run knows");
        test.open().unwrap();
        assert!(content(test.env()).unwrap() == before);
    }
}

/// What compacts or backs up ends the journal file, and leaves none in use.
#[test]
fn a_run_that_ends_without_a_journal_file_in_use_is_closed_in_order() {
    let mut test = TestEnv::new(small_options());
    work(&test, 0..10);
    assert!(spares(&test) > 0);
    test.env().compact().unwrap();
    assert_eq!(spares(&test), 0, "what is compacted leaves no space unused");
    test.reopen();
    assert_eq!(spares(&test), 0);
    assert!(test.env().recovery_report().clean, "{}", test.env().recovery_report());
    test.put("db", b"and", b"on");
    drop(test.env().begin_backup().unwrap());
    test.reopen();
    assert!(test.env().recovery_report().clean, "{}", test.env().recovery_report());
}

#[test]
fn a_spare_of_a_killed_run_is_removed_by_the_next_write() {
    let mut test = TestEnv::new(small_options());
    work(&test, 0..10);
    assert!(spares(&test) > 0);
    test.kill();
    let report = test.env().recovery_report().clone();
    assert!(report.unknown_files.is_empty(), "{report}");
    assert!(spares(&test) > 0, "an open changes nothing");
    test.put("db", b"first", b"write");
    assert_eq!(spares(&test), 0);
}

/// I-7 and I-11 over files that are used again: each name is written once from front to back, a file has
/// lost its old name durably before it is wiped, and is wiped durably before it has another one.
#[test]
fn nothing_of_a_file_is_changed_while_it_has_its_name() {
    let test = TestEnv::new(small_options());
    work(&test, 0..30);
    let (mut ends, mut unsynced): (BTreeMap<String, u64>, Vec<String>) = Default::default();
    let mut renamed: BTreeMap<String, bool> = BTreeMap::new();
    let mut begun = 0;
    for entry in test.disk.trace().entries() {
        let path = entry.path().to_owned();
        match entry.op() {
            Op::Rename { to } if to.contains("/spare-") => {
                _ = renamed.insert(to.to_string(), false)
            }
            Op::Rename { to } if path.contains("/spare-") => {
                assert!(
                    !unsynced.contains(&path),
                    "{path} gets a name before its zeros are durable"
                );
                assert!(renamed.remove(&path).is_some() && !ends.contains_key(&to.to_string()));
                begun += 1;
            }
            Op::SyncDir { .. } => renamed.values_mut().for_each(|durable| *durable = true),
            Op::SyncFile { .. } => unsynced.retain(|other| *other != path),
            Op::Write { bytes, .. } if path.contains("/spare-") => {
                assert!(renamed[&path], "{path} is wiped before its old name has gone");
                assert!(bytes.iter().all(|&byte| byte == 0));
                unsynced.push(path);
            }
            Op::Write { offset, bytes } if path.contains("/J-") => {
                let end = ends.entry(path).or_default();
                if bytes.iter().any(|&byte| byte != 0) {
                    assert_eq!(*offset, *end, "{entry}");
                    *end = offset + bytes.len() as u64;
                }
            }
            _ => {}
        }
    }
    assert!(begun > 10, "{begun}");
}

#[test]
fn what_somebody_can_see_is_never_used_again() {
    // A large value may be mapped; a hard link keeps a copy; a backup pins.
    let test = TestEnv::new(small_options().space_target(0));
    test.put("db", b"first", b"1");
    let set = test.env().begin_backup().unwrap();
    let journals: Vec<String> = (set.files().iter().map(|file| file.name.to_string()))
        .filter(|name| name.starts_with("J-"))
        .collect();
    assert!(!journals.is_empty());
    work(&test, 0..10);
    for file in set.files() {
        file.copy(|_, _| Ok::<(), EnvError>(())).unwrap();
    }
    drop(set);
    // A file that a tool has linked elsewhere goes, but its bytes stay as they are.
    let dir = test.disk.root().open_dir(&cairn_io::Name::new("g-000001").unwrap()).unwrap();
    work(&test, 10..11);
    let image = test.disk.image();
    let journals = image.files().filter(|(path, _)| path.contains("/J-"));
    let path = journals.last().unwrap().0.to_owned();
    let bytes = image.read(&path).unwrap().to_vec();
    let name = cairn_io::Name::new(path.rsplit('/').next().unwrap()).unwrap();
    let linked = cairn_io::Name::new("kept").unwrap();
    test.disk.root().link(&linked, &*dir, &name).unwrap();
    work(&test, 11..21);
    let after = test.disk.image();
    assert!(after.read(&path).is_none(), "{path} is still there");
    let kept = after.read("kept").unwrap();
    assert!(kept[..4096] == bytes[..4096] && kept.len() >= 4096, "the copy was overwritten");
    assert!(kept[4096..].iter().any(|&byte| byte != 0));
}

#[test]
fn a_crash_at_any_operation_of_recycling_loses_nothing() {
    let options = || small_options().node_file_bytes(20 << 10);
    let test = TestEnv::new(options());
    let mut states: Vec<Model> = vec![content(test.env()).unwrap()];
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    for round in 0..14u32 {
        for n in 0..3u32 {
            let put = |txn: &mut cairn_env::Transaction| {
                txn.put(&db, &n.to_le_bytes(), &round.to_le_bytes().repeat(700))
            };
            test.env().write(put).unwrap();
            states.push(content(test.env()).unwrap());
            test.disk.mark("acknowledged", states.len() as u64 - 1);
        }
        test.env().checkpoint().unwrap();
    }
    assert!(made(&test.disk).0 > 5, "{:?}", made(&test.disk));
    let options: Options = options();
    let images = sweep(&test.disk, &options, &states, &mut |env, _| {
        let report = env.recovery_report();
        assert!(report.unknown_files.is_empty(), "{report}");
        // It can go on, over what a crash has left of a spare.
        let db = env.database("more", cairn_env::DatabaseOptions::default()).unwrap();
        env.write(|txn| txn.put(&db, b"more", b"1")).unwrap();
    });
    assert!(images > 2000, "only {images} states");
}
