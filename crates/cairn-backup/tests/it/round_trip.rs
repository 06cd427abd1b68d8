//! What goes in comes out: the state at the cut, whatever goes on meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cairn_backup::{
    BackupError, BackupOptions, RestoreOptions, backup, backup_to, restore, restore_from, verify,
};
use cairn_env::{DatabaseOptions, Environment, ErrorKind, Options};
use cairn_io::MemDisk;

use crate::fixture::{content, dir, fill, open, options, saved, world};

#[test]
fn a_restored_environment_has_the_state_of_the_cut_and_goes_on() {
    let (saved, expected) = saved();
    let back = MemDisk::new();
    let report =
        restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    assert_eq!(report.entries, 120);
    let env = open(&back);
    assert_eq!(content(&env), expected);
    fill(&env, 500, 50);
    env.close().unwrap();
    let env = open(&back);
    assert_eq!(content(&env)["db"].len(), 170);
    // And its own backup restores as well, on yet another timeline.
    let again = MemDisk::new();
    backup_to(&env, &dir(&again), &world(), &BackupOptions::default()).unwrap();
    let third = MemDisk::new();
    let second =
        restore_from(&dir(&again), &dir(&third), &world(), &RestoreOptions::default()).unwrap();
    assert_ne!(second.timeline, report.timeline);
    assert_eq!(content(&open(&third)), content(&env));
}

#[test]
fn every_kind_of_environment_can_be_backed_up() {
    let round_trip = |env: &Environment| {
        let (saved, back) = (MemDisk::new(), MemDisk::new());
        backup_to(env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
        restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
        assert_eq!(content(&open(&back)), content(env));
    };
    // Never written; written; closed and opened; killed with commits past the checkpoint; large values
    // in a journal that a crash has cut.
    let disk = MemDisk::new();
    round_trip(&open(&disk));
    let env = open(&disk);
    fill(&env, 0, 30);
    round_trip(&env);
    round_trip(&env);
    env.close().unwrap();
    round_trip(&open(&disk));
    let env = open(&disk);
    fill(&env, 20, 30);
    let killed = disk.fork();
    drop(env);
    round_trip(&open(&killed));
    let env = open(&killed);
    fill(&env, 40, 5);
    env.checkpoint().unwrap();
    round_trip(&env);
    drop(env);
    round_trip(&open(&killed));
}

#[test]
fn a_backup_under_load_is_one_commit() {
    let (live, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options::default().checkpoint_bytes(300_000).cache_bytes(1 << 20);
    let (env, _) = Environment::open(live.path(), options).unwrap();
    let (a, b) = env
        .write(|txn| {
            let a = txn.create_database("a", DatabaseOptions::default())?;
            let b = txn.create_database("b", DatabaseOptions::default())?;
            Ok((a, b))
        })
        .unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (env, a, b, stop, acknowledged) = (&env, &a, &b, &stop, &acknowledged);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // The same in both databases, or the backup is torn.
                    let key = (2 * n + thread).to_le_bytes();
                    env.write(|txn| {
                        txn.put(a, &key, &[1; 200])?;
                        txn.put(b, &key, &[1; 200])
                    })
                    .unwrap();
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..20 {
            let target = saved.path().join(format!("{round}"));
            let before = acknowledged.load(Ordering::SeqCst);
            let report = backup(&env, &target, &BackupOptions::default()).unwrap();
            assert!(verify(&target, None).unwrap().findings.is_empty());
            let back = saved.path().join(format!("back-{round}"));
            restore(&target, &back, &RestoreOptions::default()).unwrap();
            let (env, recovery) = Environment::open(&back, Options::default()).unwrap();
            assert_eq!(recovery.sequence, report.commit);
            let content = content(&env);
            assert_eq!(content["a"], content["b"]);
            assert!(content["a"].len() as u64 >= before, "what was acknowledged before is in it");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn targets_that_hold_something_are_refused_and_left_alone() {
    let (disk, other) = (MemDisk::new(), MemDisk::new());
    let env = open(&disk);
    fill(&env, 0, 10);
    let notes = cairn_io::Name::new("notes.txt").unwrap();
    other.root().create(&notes).unwrap();
    let error = backup_to(&env, &dir(&other), &world(), &BackupOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::TargetNotEmpty { .. }), "{error}");
    let (saved, _) = saved();
    let again = backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap_err();
    assert!(matches!(again, BackupError::TargetNotEmpty { .. }), "a finished backup stays");
    for target in [&other, &disk] {
        let before = target.total_bytes();
        let result = restore_from(&dir(&saved), &dir(target), &world(), &RestoreOptions::default());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(target.total_bytes(), before);
    }
    assert_eq!(other.root().list().unwrap().len(), 1);
}

#[test]
fn a_half_restored_directory_does_not_open_and_a_second_restore_completes_it() {
    let (saved, expected) = saved();
    // Without one of its files the restore fails half-way; preflight is passed by length alone.
    let broken = saved.fork();
    let file = broken.files().into_iter().rfind(|(path, _)| path.starts_with("files/")).unwrap().0;
    broken.edit(&file, |bytes| *bytes.last_mut().unwrap() ^= 1).unwrap();
    let back = MemDisk::new();
    let error = restore_from(&dir(&broken), &dir(&back), &world(), &RestoreOptions::default());
    let error = error.unwrap_err();
    assert!(matches!(&error, BackupError::FileDamaged { .. }), "{error}");
    let error = Environment::open_in(dir(&back), world(), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("cairn restore"), "{error}");
    restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    assert_eq!(content(&open(&back)), expected);
}

#[test]
fn progress_goes_up_to_the_end() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 50);
    let (seen, last) = (AtomicU64::new(0), AtomicU64::new(0));
    let report = |progress: cairn_backup::Progress| {
        assert!(progress.done >= last.swap(progress.done, Ordering::Relaxed));
        assert!(progress.done <= progress.total);
        seen.store(progress.total, Ordering::Relaxed);
    };
    let saved = MemDisk::new();
    let options = BackupOptions::default().progress(&report);
    let made = backup_to(&env, &dir(&saved), &world(), &options).unwrap();
    assert_eq!(last.load(Ordering::Relaxed), 2 * made.bytes, "copied, and read back");
    assert_eq!(seen.load(Ordering::Relaxed), 2 * made.bytes);
    last.store(0, Ordering::Relaxed);
    let options = RestoreOptions::default().progress(&report);
    restore_from(&dir(&saved), &dir(&MemDisk::new()), &world(), &options).unwrap();
    assert_eq!(last.load(Ordering::Relaxed), made.bytes);
}
