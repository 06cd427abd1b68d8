//! The cleaner: space comes back, nothing else changes, and no crash makes a difference.

use std::collections::BTreeMap;

use cairn_env::{Durability, Environment, ErrorKind, Options};
use cairn_sim::SimDisk;

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

/// Bytes of all log files.
fn on_disk(test: &TestEnv) -> u64 {
    test.env().stats().unwrap().file_bytes
}

fn churn(test: &TestEnv, round: u32, large: usize) {
    let db = test.db("db");
    for n in 0..40u32 {
        let key = ordered((round * 40 + n).wrapping_mul(0x9e37_79b9) % 3000);
        let value =
            vec![u8::try_from((round + n) % 251).unwrap(); if n % 8 == 0 { large } else { 60 }];
        let put = test.env().write_with(Durability::NoSync, |txn| txn.put(&db, &key, &value));
        put.unwrap();
    }
}

#[test]
fn space_comes_back_however_often_everything_changes() {
    let options = small_options().node_file_bytes(64 << 10).checkpoint_bytes(32 << 10);
    for large in [60, 3000] {
        let mut test = TestEnv::new(options.clone());
        for round in 0..1500 {
            churn(&test, round, large);
            if round % 20 == 19 {
                test.env().clean().unwrap();
            }
        }
        let before = content(test.env()).unwrap();
        let report = test.env().clean().unwrap();
        let stats = test.env().stats().unwrap();
        let (disk, live) = (stats.file_bytes as f64, stats.live_bytes as f64);
        // The journal that a crash would replay and the file of the checkpoint come on top.
        assert!(disk < live / 0.7 + 80e3, "{disk} bytes for {live}: {report:?}, {stats:?}");
        assert_eq!(content(test.env()).unwrap(), before);
        test.reopen();
        assert_eq!(content(test.env()).unwrap(), before);
        test.env().compact().unwrap();
        let stats = test.env().stats().unwrap();
        // Each file has a header and a seal.
        let files = stats.log_files as f64;
        let most = stats.live_bytes as f64 * 1.05 + files * 6e3 + 30e3;
        assert!(stats.file_bytes as f64 <= most, "{most}: {stats:?}");
        test.kill();
        assert_eq!(content(test.env()).unwrap(), before);
        // No journal file is kept for the large values that were put there.
        assert_eq!(stats.value_files > 0, large == 3000, "{stats:?}");
    }
}

#[test]
fn what_a_snapshot_sees_stays_until_it_is_dropped() {
    let test = TestEnv::new(small_options().node_file_bytes(32 << 10));
    for round in 0..20 {
        churn(&test, round, 2000);
    }
    test.env().checkpoint().unwrap();
    let snapshot = test.env().snapshot().unwrap();
    let db = test.db("db");
    let seen: BTreeMap<_, _> = snapshot.iter(&db).unwrap().map(Result::unwrap).collect();
    for round in 20..80 {
        churn(&test, round, 2000);
        test.env().clean().unwrap();
    }
    let held = on_disk(&test);
    let again: BTreeMap<_, _> = snapshot.iter(&db).unwrap().map(Result::unwrap).collect();
    assert!(seen == again);
    drop(snapshot);
    test.env().compact().unwrap();
    churn(&test, 80, 2000);
    test.env().checkpoint().unwrap();
    assert!(on_disk(&test) < held, "{held} bytes, and then {}", on_disk(&test));
}

#[test]
fn a_damaged_file_is_named_and_stays() {
    let mut test = TestEnv::new(small_options().cache_bytes(1 << 16));
    for round in 0..30 {
        churn(&test, round, 60);
    }
    test.close();
    let before = test.disk.image();
    let node_files: Vec<String> = before
        .files()
        .map(|(path, _)| path.to_owned())
        .filter(|path| path.contains("/N-"))
        .collect();
    let mut named = 0;
    for path in node_files {
        let len = before.read(&path).unwrap().len();
        let damaged = before.with_bit_flipped(&path, len / 2 * 8);
        let mut test = TestEnv::new(small_options());
        std::mem::forget(test.env.take());
        test.disk = SimDisk::from_image(&damaged);
        if test.open().is_err() {
            continue;
        }
        if let Err(error) = test.env().compact() {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            let name = path.rsplit('/').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
            assert!(test.env().is_valid());
            assert!(test.disk.image().read(&path).is_some(), "{path} is gone");
            named += 1;
        }
        std::mem::forget(test.env.take()); // its verification would find the damage again
    }
    assert!(named > 0);
}

/// As a service runs it: the background worker cleans while others write.
#[test]
fn the_background_worker_keeps_to_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default()
        .leaf_bytes(1 << 10)
        .cache_bytes(8 << 20)
        .journal_file_bytes(256 << 10)
        .node_file_bytes(256 << 10)
        .checkpoint_bytes(512 << 10);
    let (env, _) = Environment::open(dir.path().join("env"), options.clone()).unwrap();
    let db = env.database("db", cairn_env::DatabaseOptions::default()).unwrap();
    let mut model = BTreeMap::new();
    for n in 0..100_000u32 {
        let key = ordered(n.wrapping_mul(0x9e37_79b9) % 5000);
        let value = [u8::try_from(n % 251).unwrap(); 200];
        env.write_with(Durability::NoSync, |txn| txn.put(&db, &key, &value)).unwrap();
        model.insert(key.to_vec(), value.to_vec());
    }
    let mut sizes = (0, 0);
    for _ in 0..500 {
        let stats = env.stats().unwrap();
        sizes = (stats.file_bytes, stats.live_bytes);
        if stats.file_bytes as f64 <= stats.live_bytes as f64 * 1.6 + 4e6 {
            break;
        }
        // Something must go on for the worker to look again.
        env.write(|txn| txn.put(&db, &ordered(7), &[0; 200])).unwrap();
        model.insert(ordered(7).to_vec(), vec![0; 200]);
    }
    assert!(sizes.0 as f64 <= sizes.1 as f64 * 1.6 + 4e6, "{sizes:?}");
    env.close().unwrap();
    let (env, _) = Environment::open(dir.path().join("env"), options).unwrap();
    assert!(content(&env).unwrap()["db"] == model);
}

#[test]
fn a_crash_at_any_operation_of_cleaning_loses_nothing() {
    let options = || small_options().node_file_bytes(20 << 10);
    let test = TestEnv::new(options());
    let mut states: Vec<Model> = vec![content(test.env()).unwrap()];
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    for round in 0..12u32 {
        test.env()
            .write(|txn| {
                (0..40u32).try_for_each(|n| {
                    let large = if n == round % 20 { 1400 } else { 100 };
                    let key = ordered((round * 7 + n * 3) % 120);
                    txn.put(&db, &key, &vec![u8::try_from(round).unwrap(); large])
                })
            })
            .unwrap();
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", states.len() as u64 - 1);
        if round % 3 == 2 {
            let report = test.env().compact().unwrap();
            assert!(report.moved > 0, "{report:?}");
        }
    }
    let images = sweep(&test.disk, &options(), &states, &mut |_, _| ());
    assert!(images > 2000, "only {images} states");
}

/// The worker once made a checkpoint for what the cleaner had moved, cleaned the file of that, and so on,
/// for ever, in an environment of a few kilobytes to which nobody committed anything.
#[test]
fn the_worker_comes_to_rest() {
    let options = small_options().background(true);
    let test = TestEnv::new(options);
    for round in 0..30 {
        churn(&test, round, 60);
        test.env().checkpoint().unwrap();
    }
    let steps = test.world.run_until_idle(5000);
    assert!(steps < 5000, "{:?}", test.env().stats().unwrap());
}

/// The worker once cleaned right after an open: files appeared in an environment that nobody had
/// written, with the mark of the run before, and `verify` called them unfinished.
#[test]
fn nothing_is_cleaned_before_the_first_write() {
    let mut test = TestEnv::new(small_options().space_target(0));
    for round in 0..30 {
        churn(&test, round, 1500);
        test.env().checkpoint().unwrap();
    }
    test.close();
    test.options = small_options().background(true);
    test.open().unwrap();
    let before = test.disk.image().hash();
    test.world.run_until_idle(1000);
    assert_eq!(test.disk.image().hash(), before);
    test.put("db", b"first", b"write");
    // It is at it now; files that are being written are no findings.
    for _ in 0..200 {
        let report = test.env().verify(&cairn_env::VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        if test.world.run_until_idle(1) == 0 {
            break;
        }
    }
}

/// The account of a checkpoint was once held against a version of the same commit in which the cleaner
/// had moved nodes already: `verify` called files damaged that were only empty.
#[test]
fn an_account_is_held_against_its_own_version_only() {
    let mut test = TestEnv::new(small_options().space_target(0));
    for round in 0..30 {
        churn(&test, round, 60);
        test.env().checkpoint().unwrap();
    }
    test.close();
    test.options = small_options().background(true);
    test.open().unwrap();
    test.put("db", b"first", b"write");
    test.env().checkpoint().unwrap();
    let before = test.env().stats().unwrap().checkpoints;
    for _ in 0..400 {
        let report = test.env().verify(&cairn_env::VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        if test.world.run_until_idle(1) == 0 {
            break;
        }
    }
    assert!(test.env().stats().unwrap().checkpoints > before, "nothing was cleaned");
}

/// A file of a few nodes, mostly header, was the emptiest and not worth moving: the search ended there, and
/// what larger files had to give stayed out of reach.
#[test]
fn a_small_file_that_is_emptier_keeps_no_larger_one_from_being_cleaned() {
    let mut test = TestEnv::new(small_options().journal_file_bytes(1 << 20));
    for key in [b"1", b"2", b"3"] {
        test.put("db", key, &[7; 60_000]);
    }
    test.put("other", b"key", b"value");
    // Of what this writes only one leaf is left.
    test.env().checkpoint().unwrap();
    test.put("db", b"1", b"small");
    test.reopen();
    test.put("db", b"4", b"small");
    let report = test.env().compact().unwrap();
    let stats = test.env().stats().unwrap();
    let journal = 64 << 10; // the zeros of one that has just begun
    let most = stats.live_bytes * 21 / 20 + stats.log_files * 6000 + journal;
    assert!(stats.file_bytes <= most, "{most}: {report:?}, {stats:?}");
}

/// Where nothing was worth moving, `compact` made a single checkpoint, which finds dead files and leaves
/// them to the next one.
#[test]
fn compaction_lets_go_what_was_dead_before_it() {
    let mut test = TestEnv::new(small_options().journal_file_bytes(128 << 10));
    let db = test.db("db");
    let fill =
        test.env().write(|txn| (0..400u32).try_for_each(|n| txn.put(&db, &ordered(n), &[7; 100])));
    fill.unwrap();
    test.kill();
    test.put("db", b"one more", b"");
    test.env().compact().unwrap();
    let stats = test.env().stats().unwrap();
    assert_eq!(stats.journal_files, 1, "the journal file in use alone: {stats:?}");
}

/// The journal file in use is as long as what was written last, whatever of it is still needed: nothing of what
/// took it there is left after a compaction, neither in the run that has written it nor in the next one.
#[test]
fn compaction_leaves_the_journal_file_that_was_in_use() {
    let mut test = TestEnv::new(small_options().journal_file_bytes(1 << 20).background(false));
    let fill = |test: &TestEnv| {
        let db = test.db("db");
        for round in 0..10u8 {
            let fill = |n: u32| test.env().write(|txn| txn.put(&db, &ordered(n), &[round; 400]));
            (0..50).try_for_each(fill).unwrap();
        }
        test.put("db", b"large", &[7; 3000]);
    };
    let is_compact = |test: &TestEnv| {
        test.env().compact().unwrap();
        let space = test.env().space().unwrap();
        assert!(space.used < space.live + (128 << 10), "{space:?}");
        let files = space.files.len();
        test.env().compact().unwrap();
        assert_eq!(test.env().space().unwrap().files.len(), files, "again, it has nothing to do");
    };
    fill(&test);
    is_compact(&test);
    fill(&test);
    test.kill();
    is_compact(&test);
    fill(&test);
    test.reopen();
    is_compact(&test);
    let before = content(test.env()).unwrap();
    test.reopen();
    assert!(test.env().recovery_report().clean);
    assert!(content(test.env()).unwrap() == before);
    let db = test.db("db");
    let snapshot = test.env().snapshot().unwrap();
    assert_eq!(snapshot.get(&db, b"large").unwrap().unwrap(), [7; 3000][..]);
}

/// A finished journal file is cut to its length without a sync. A power failure undid that, and since the
/// checkpoint after it knew where the file ends, it kept its zeros for as long as it lived.
#[test]
fn zeros_behind_the_end_of_a_journal_file_go_whenever_they_come_back() {
    use cairn_sim::{Bounds, Level};
    let options = small_options().journal_file_bytes(64 << 10);
    let mut test = TestEnv::new(options.clone());
    test.put("db", b"large", &[7; 3000]);
    test.close();
    let mut lost = 0;
    for crashed in test.disk.crash_images(Level::LoseAll, &Bounds::smoke()) {
        let mut test = TestEnv::on(SimDisk::from_image(&crashed.image), options.clone());
        lost += test.env().stats().unwrap().file_bytes;
        test.put("db", b"k", b"v");
        test.close();
        let journals = test.disk.image();
        let journals = journals.files().filter(|(path, _)| path.contains("/J-"));
        assert!(journals.map(|(_, len)| len).max() < Some(8 << 10));
    }
    assert!(lost > 32 << 10, "the crash has undone nothing: {lost}");
}

/// Twenty times the data is written, as a service does it. After the first time, the log files never take
/// more than 1.6 times what is in use when a checkpoint ends; and no file that a backup has pinned is
/// ever gone.
#[test]
fn churn_keeps_to_the_space_target_at_every_checkpoint() {
    /// So many entries that a checkpoint writes a few hundredths of them, as it does where there are
    /// gigabytes: what it has just made obsolete goes with the next one.
    const DATA: u32 = 4_000;
    let options = Options::default()
        .background(true)
        .leaf_bytes(4 << 10)
        .cache_bytes(32 << 20)
        .journal_file_bytes(32 << 10)
        .node_file_bytes(64 << 10)
        .checkpoint_bytes(32 << 10);
    let mut test = TestEnv::on(SimDisk::new().without_trace(), options);
    let db = test.db("db");
    let (mut seen, mut worst, mut sum, mut measured) = (0, 0.0f64, 0.0, 0);
    let mut pinned: Option<cairn_env::BackupSet> = None;
    for n in 0..20 * DATA {
        let key = ordered(n.wrapping_mul(0x9e37_79b9) % DATA);
        let value = [u8::try_from(n % 251).unwrap(); 1000];
        test.env().write_with(Durability::NoSync, |txn| txn.put(&db, &key, &value)).unwrap();
        test.world.run_until_idle(8);
        let stats = test.env().stats().unwrap();
        if stats.checkpoints == seen {
            continue;
        }
        seen = stats.checkpoints;
        // A backup now and then, whose files must stay; what it holds back is not the cleaner's fault.
        if let Some(set) = pinned.take_if(|_| seen % 40 == 10) {
            for file in set.files() {
                assert!(test.has(file.path()), "{} is gone", file.path().display());
                file.copy(|_, _| Ok::<(), cairn_env::EnvError>(())).unwrap();
            }
        } else if seen % 40 == 5 {
            pinned = Some(test.env().begin_backup().unwrap());
        }
        if n > DATA && pinned.is_none() && (15..40).contains(&(seen % 40)) {
            let ratio = stats.file_bytes as f64 / stats.live_bytes as f64;
            measured += 1;
            (worst, sum) = (worst.max(ratio), sum + ratio);
        }
    }
    assert!(
        measured > 50 && worst < 1.6,
        "{worst} at the worst of {measured} checkpoints, {} on average",
        sum / f64::from(measured)
    );
    drop(pinned);
    let before = content(test.env()).unwrap();
    assert_eq!(before["db"].len(), DATA as usize);
    test.env().sync().unwrap();
    test.kill();
    assert!(content(test.env()).unwrap() == before);
}
