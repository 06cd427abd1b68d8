//! The past: marks, and how much of the journal stays.

use std::time::Duration;

use cairn_env::{
    DatabaseOptions, EnvError, Environment, ErrorKind, HolderKind, JournalRetention, MAX_LABEL_LEN,
    Mark, Options, ReplicaPolicy, RestoreTo, repair_in,
};
use cairn_io::{DirRef, MemDisk};
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::{content, small_options};

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

/// The version after a mark was the one before it, whose number the checkpoint at the close then had: the next
/// commit got the number of the mark, and the mark was gone.
#[test]
fn a_mark_that_is_the_only_commit_of_a_run_counts() {
    let disk = SimDisk::new();
    let env = open(disk.root(), small_options());
    let mut expected = vec![put(&env, b"a", b"1")];
    env.close().unwrap();
    for round in 0..4u64 {
        let env = open(disk.root(), small_options());
        let commit = env.mark("only").unwrap();
        assert_eq!(commit, expected[0] + 1 + round);
        expected.push(commit);
        assert_eq!(env.snapshot().unwrap().commit(), commit);
        if round == 1 {
            assert_eq!(env.checkpoint().unwrap().sequence, commit);
        }
        assert_eq!(env.begin_backup().unwrap().cut().commit, commit);
        env.close().unwrap();
        let reading = open(disk.root(), small_options().read_only(true));
        assert_eq!(reading.snapshot().unwrap().commit(), commit);
    }
    let env = open(disk.root(), small_options());
    assert_eq!(put(&env, b"a", b"2"), expected.last().unwrap() + 1);
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

#[test]
fn a_replica_has_the_marks_and_keeps_them_when_it_goes_on_alone() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let options = small_options().replica_in(there.root(), ReplicaPolicy::Require);
    let env = open(here.root(), options);
    put(&env, b"a", b"1");
    let commit = env.mark("before-migration").unwrap();
    // Acknowledged, so it is there, whatever becomes of the source.
    std::mem::forget(env);
    let there = SimDisk::from_image(&there.image());
    let promoted = open(there.root(), small_options());
    assert_eq!(labels(&promoted.marks().unwrap()), [("before-migration", commit)]);
    let second = promoted.mark("promoted").unwrap();
    let expected = [("before-migration", commit), ("promoted", second)];
    assert_eq!(labels(&promoted.marks().unwrap()), expected);
}

#[test]
fn a_repair_names_the_marks_that_it_does_not_bring_back() {
    let disk = SimDisk::new();
    let env = open(disk.root(), small_options());
    put(&env, b"a", b"1");
    let commit = env.mark("before-migration").unwrap();
    env.close().unwrap();
    let target = MemDisk::new();
    let world = SimWorld::new(4).world();
    let report = repair_in(disk.root(), target.root(), world, small_options()).unwrap();
    let named = format!("mark \"before-migration\", commit {commit}, is gone");
    assert!(report.notes.iter().any(|note| note.starts_with(&named)), "{:?}", report.notes);
    assert!(open(target.root(), small_options()).marks().unwrap().is_empty());
}

#[test]
fn marks_of_an_encrypted_environment_are_read_with_its_key_and_by_nobody_else() {
    const CANARY: &str = "before-the-secret-migration";
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    let encrypted = small_options().encryption(keys);
    let disk = SimDisk::new();
    let env = open(disk.root(), encrypted.clone());
    put(&env, b"a", b"1");
    let commit = env.mark(CANARY).unwrap();
    env.close().unwrap();
    let env = open(disk.root(), encrypted.read_only(true));
    assert_eq!(labels(&env.marks().unwrap()), [(CANARY, commit)]);
    drop(env);
    let image = disk.image();
    for (path, _) in image.files() {
        let bytes = image.read(path).unwrap();
        assert!(!bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()), "{path}");
    }
}

#[test]
fn who_only_reads_sees_marks_and_makes_none() {
    let disk = SimDisk::new();
    let env = open(disk.root(), small_options());
    let commit = env.mark("here").unwrap();
    let reading = open(disk.root(), small_options().read_only(true));
    let error = reading.mark("there").unwrap_err();
    assert!(matches!(error, EnvError::ReadOnly), "{error}");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(reading);
    assert_eq!(labels(&env.marks().unwrap()), [("here", commit)]);
    env.close().unwrap();
    let reading = open(disk.root(), small_options().read_only(true));
    assert!(matches!(reading.mark("there"), Err(EnvError::ReadOnly)));
    assert_eq!(labels(&reading.marks().unwrap()), [("here", commit)]);
}

/// Lengths of the journal files, the oldest first.
fn journal(disk: &SimDisk) -> Vec<u64> {
    let image = disk.image();
    let files = image.files().filter(|(path, _)| path.contains("/J-"));
    files.map(|(path, _)| image.read(path).unwrap().len() as u64).collect()
}

/// Commits and checkpoints, a minute apart, with everything cleaned that may be.
fn rounds(disk: &SimDisk, world: &SimWorld, keep: JournalRetention, rounds: u8) -> Environment {
    let options = small_options().keep_journal(keep);
    let env = Environment::open_in(disk.root(), world.world(), options).unwrap().0;
    for round in 0..rounds {
        for n in 0..10 {
            put(&env, &[n], &[round; 1500]);
        }
        world.advance(Duration::from_secs(60));
        env.checkpoint().unwrap();
        env.clean().unwrap();
    }
    env
}

#[test]
fn journal_is_kept_as_history_for_so_many_bytes_or_so_long_and_then_goes() {
    let world = SimWorld::new(3);
    let run = |keep| {
        let disk = SimDisk::new();
        let env = rounds(&disk, &world, keep, 12);
        (journal(&disk), env, disk)
    };
    let (needed, env, _) = run(JournalRetention::Needed);
    assert!(needed.len() < 5 && env.space().unwrap().holders.is_empty(), "{needed:?}");
    let (all, env, disk) = run(JournalRetention::Forever);
    assert!(all.len() > 10, "{all:?}");
    let holders = env.space().unwrap().holders;
    assert!(holders.len() == 1 && holders[0].kind == HolderKind::History, "{holders:?}");
    assert!(holders[0].commit == 0 && holders[0].bytes > 100_000, "{holders:?}");
    assert_eq!(env.stats().unwrap().holders, 0, "nobody who could let go");
    let commits = env.snapshot().unwrap().commit();
    let (some, ..) = run(JournalRetention::Bytes(100_000));
    let kept: u64 = some.iter().sum();
    assert!((100_000..160_000).contains(&kept), "{some:?}");
    let (young, ..) = run(JournalRetention::For(Duration::from_secs(200)));
    assert!(needed.len() < young.len() && young.len() < all.len(), "{young:?}");
    // It is history for the next run as well, and goes when nobody wants it any more.
    let expected = content(&env).unwrap();
    env.close().unwrap();
    let env = rounds(&disk, &world, JournalRetention::Forever, 0);
    assert_eq!(content(&env).unwrap(), expected);
    put(&env, b"a", b"1");
    env.checkpoint().unwrap();
    assert!(journal(&disk).len() > all.len());
    assert!(env.snapshot().unwrap().commit() > commits);
    env.close().unwrap();
    drop(rounds(&disk, &world, JournalRetention::Needed, 2));
    assert!(journal(&disk).len() < 5, "{:?}", journal(&disk));
}

#[test]
fn how_much_is_kept_is_part_of_the_environment() {
    let world = SimWorld::new(3);
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    for options in [small_options(), small_options().encryption(keys)] {
        let disk = SimDisk::new();
        let open =
            |options: Options| Environment::open_in(disk.root(), world.world(), options).unwrap().0;
        let kept = |env: &Environment| env.options().keep_journal;
        let env = open(options.clone().keep_journal(JournalRetention::Forever));
        put(&env, b"a", b"1");
        env.close().unwrap();
        // Whoever comes next, and does not know of it, keeps it; so does who only reads.
        for round in 0..6u8 {
            let env = open(options.clone());
            assert_eq!(kept(&env), Some(JournalRetention::Forever));
            for n in 0..10 {
                put(&env, &[n], &[round; 1500]);
            }
            env.checkpoint().unwrap();
            env.clean().unwrap();
            env.close().unwrap();
        }
        assert!(journal(&disk).len() > 6, "{:?}", journal(&disk));
        let reading = open(options.clone().read_only(true));
        assert_eq!(kept(&reading), Some(JournalRetention::Forever));
        let first = reading.open_at(&RestoreTo::Commit(2)).unwrap().0;
        assert_eq!(content(&first).unwrap()["db"].len(), 1);
        drop((first, reading));
        // An open that writes nothing changes nothing.
        let before = disk.image().hash();
        drop(open(options.clone().keep_journal(JournalRetention::Needed)));
        assert_eq!(disk.image().hash(), before);
        let env = open(options.clone().keep_journal(JournalRetention::Bytes(1)));
        put(&env, b"a", b"2");
        // A crash right after it was acknowledged.
        std::mem::forget(env);
        let crashed = disk.crash_images(Level::LoseAll, &Bounds::smoke()).pop().unwrap();
        let disk = SimDisk::from_image(&crashed.image);
        let env = Environment::open_in(disk.root(), world.world(), options).unwrap().0;
        assert_eq!(kept(&env), Some(JournalRetention::Bytes(1)));
        put(&env, b"a", b"3");
        env.checkpoint().unwrap();
        env.clean().unwrap();
        assert!(journal(&disk).len() < 6, "{:?}", journal(&disk));
    }
}

#[test]
fn what_is_kept_as_history_is_not_cleaned_in_vain() {
    let (disk, world) = (SimDisk::new(), SimWorld::new(3));
    let env = rounds(&disk, &world, JournalRetention::Forever, 6);
    env.clean().unwrap();
    let image = disk.image();
    assert!(!image.files().any(|(path, _)| path.contains("/V-")), "no value was moved");
}
