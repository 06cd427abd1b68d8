//! The journal of an environment, followed from outside while it is written.

use cairn_env::{DatabaseOptions, EnvError, Environment, JournalSource, Options, Since};
use cairn_io::{MemDisk, WorldRef};
use cairn_log::FileNumber;
use cairn_sim::SimWorld;

type Position = Option<(FileNumber, u64)>;

fn open(disk: &MemDisk, world: &WorldRef) -> Environment {
    let options = Options::new().background(false).journal_file_bytes(16 << 10);
    Environment::open_in(disk.root(), world.clone(), options).unwrap().0
}

fn put(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in from..from + count {
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &[7; 500])).unwrap();
    }
}

/// Follows from `at` on; returns where that ends, and the commits in between.
fn follow(disk: &MemDisk, world: &WorldRef, at: Position) -> (Position, Vec<u64>) {
    let from = at.map_or(FileNumber::FIRST, |(file, _)| file);
    let mut source = JournalSource::follow(disk.root(), world, from).unwrap();
    let ranges = match source.since(at, None).unwrap() {
        Since::Ranges(ranges) => ranges,
        Since::Gone { why } => panic!("{why}"),
    };
    let (mut end, mut commits) = (at, Vec::new());
    for range in ranges {
        let mut from = range.start;
        while from < range.end {
            let span = range.span(from, 700).unwrap();
            assert!(span.end > from && span.end <= range.end);
            commits.extend(span.commits.map(|(first, last)| first..=last).into_iter().flatten());
            from = span.end;
        }
        end = Some((range.file().header().number, range.end));
    }
    (end, commits)
}

#[test]
fn each_commit_is_seen_once_and_in_order_across_files_and_deaths() {
    let (disk, world) = (MemDisk::new(), SimWorld::new(5).world());
    let mut env = open(&disk, &world);
    let (mut at, mut seen) = (None, Vec::new());
    for round in 0..12 {
        put(&env, round * 10, 7);
        let (end, commits) = follow(&disk, &world, at);
        at = end;
        seen.extend(commits);
        if round % 3 == 2 {
            continue;
        }
        if round % 3 == 0 {
            env.close().unwrap();
        } else {
            drop(env);
        }
        env = open(&disk, &world);
    }
    let last = env.snapshot().unwrap().commit();
    env.close().unwrap();
    seen.extend(follow(&disk, &world, at).1);
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}

#[test]
fn nothing_is_told_that_is_not_known_to_be_durable() {
    let (disk, world) = (MemDisk::new(), SimWorld::new(5).world());
    let env = open(&disk, &world);
    put(&env, 0, 3);
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let durable = env.snapshot().unwrap().commit();
    let no_sync = cairn_env::Durability::NoSync;
    env.write_with(no_sync, |txn| txn.put(&db, b"key", b"value")).unwrap();
    let (_, commits) = follow(&disk, &world, None);
    assert!(commits.last().is_some_and(|last| *last <= durable), "{commits:?}");
}

#[test]
fn what_has_gone_is_a_gap_and_an_older_journal_another_history() {
    let (disk, world) = (MemDisk::new(), SimWorld::new(5).world());
    let env = open(&disk, &world);
    put(&env, 0, 10);
    let (early, _) = follow(&disk, &world, None);
    let older = disk.fork();
    for n in 0..6 {
        put(&env, 20 + n * 10, 40);
        env.checkpoint().unwrap();
        env.clean().unwrap();
    }
    env.checkpoint().unwrap();
    let mut source = JournalSource::follow(disk.root(), &world, FileNumber::FIRST).unwrap();
    let since = source.since(early, None).unwrap();
    assert!(matches!(since, Since::Gone { .. }), "{since:?}");
    put(&env, 500, 5);
    env.close().unwrap();
    // The older one goes on by itself, and ends before what was read of this one.
    let env = open(&older, &world);
    put(&env, 0, 1);
    env.close().unwrap();
    let mut source = JournalSource::follow(older.root(), &world, FileNumber::FIRST).unwrap();
    let (file, end) = early.unwrap();
    let since = source.since(Some((file, end + 4000)), None);
    assert!(matches!(since, Err(EnvError::OtherHistory { .. })), "{since:?}");
}

/// Files that are begun while somebody follows stay until they were seen.
#[test]
fn files_that_are_begun_meanwhile_are_pinned() {
    let (disk, world) = (MemDisk::new(), SimWorld::new(5).world());
    let env = open(&disk, &world);
    put(&env, 0, 3);
    let (at, _) = follow(&disk, &world, None);
    let held = JournalSource::follow(disk.root(), &world, at.unwrap().0).unwrap();
    let first = env.snapshot().unwrap().commit();
    for n in 0..6 {
        put(&env, 20 + n * 10, 40);
        env.checkpoint().unwrap();
        env.clean().unwrap();
    }
    env.checkpoint().unwrap();
    let last = env.snapshot().unwrap().commit();
    let (_, commits) = follow(&disk, &world, at);
    assert!(commits.first().is_some_and(|commit| *commit <= first), "{commits:?}");
    assert!(commits.last().is_some_and(|commit| *commit + 1 >= last), "{commits:?} {last}");
    drop(held);
}
