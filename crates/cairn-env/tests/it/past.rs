//! The past: marks.

use cairn_env::{DatabaseOptions, EnvError, Environment, MAX_LABEL_LEN, Mark, Options};
use cairn_io::DirRef;
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::small_options;

fn open(root: DirRef, options: Options) -> Environment {
    Environment::open_in(root, SimWorld::new(3).world(), options).unwrap().0
}

fn put(env: &Environment, key: &[u8], value: &[u8]) -> u64 {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, key, value)).unwrap();
    env.snapshot().unwrap().commit()
}

fn labels(marks: &[Mark]) -> Vec<(&str, u64)> {
    marks.iter().map(|mark| (mark.label.as_str(), mark.commit)).collect()
}

#[test]
fn a_mark_is_a_durable_commit_that_changes_nothing() {
    let disk = SimDisk::new();
    let env = open(disk.root(), small_options());
    let before = put(&env, b"a", b"1");
    let first = env.mark("before-migration").unwrap();
    assert_eq!(first, before + 1);
    let after = put(&env, b"a", b"2");
    assert_eq!(after, first + 1);
    let again = env.mark("before-migration").unwrap();
    let expected = [("before-migration", first), ("before-migration", again)];
    let marks = env.marks().unwrap();
    assert_eq!(labels(&marks), expected);
    assert!(marks[0].time <= marks[1].time && marks[0].lsn < marks[1].lsn);
    // The power fails: nothing that no sync has made durable is left.
    std::mem::forget(env);
    let crashed = disk.crash_images(Level::LoseAll, &Bounds::smoke()).pop().unwrap();
    let disk = SimDisk::from_image(&crashed.image);
    let reading = open(disk.root(), small_options().read_only(true));
    assert_eq!(labels(&reading.marks().unwrap()), expected);
    drop(reading);
    let env = open(disk.root(), small_options());
    assert_eq!(labels(&env.marks().unwrap()), expected);
    assert_eq!(put(&env, b"a", b"3"), again + 1);
    env.close().unwrap();
    let env = open(disk.root(), small_options());
    assert_eq!(labels(&env.marks().unwrap()), expected);
}

#[test]
fn a_label_that_could_not_be_typed_again_is_refused() {
    let env = open(SimDisk::new().root(), small_options());
    for label in ["", "a\nb", &"x".repeat(MAX_LABEL_LEN + 1)] {
        assert!(matches!(env.mark(label), Err(EnvError::InvalidInput { .. })), "{label:?}");
    }
    assert_eq!(env.snapshot().unwrap().commit(), 0);
    env.mark(&"ü".repeat(MAX_LABEL_LEN / 2)).unwrap();
}

#[test]
fn marks_are_listed_from_every_journal_file_that_is_there() {
    let disk = SimDisk::new();
    let env = open(disk.root(), small_options());
    let mut expected = Vec::new();
    for round in 0..40u8 {
        put(&env, &[round], &[round; 1500]);
        let label = format!("round {round}");
        expected.push((label.clone(), env.mark(&label).unwrap()));
        if round == 20 {
            env.checkpoint().unwrap();
        }
        let marks = env.marks().unwrap();
        let found: Vec<_> = marks.iter().map(|mark| (mark.label.clone(), mark.commit)).collect();
        // The large values keep their journal files.
        assert_eq!(found, expected);
    }
    let is_journal = |path: &str| path.contains("/J-");
    assert!(disk.image().files().filter(|(path, _)| is_journal(path)).count() > 3);
}
