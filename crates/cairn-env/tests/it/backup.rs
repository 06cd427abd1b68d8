//! The files of a backup, and the state that they are.

use std::sync::atomic::{AtomicBool, Ordering};

use cairn_env::{DatabaseOptions, Durability, EnvError, Environment, Options};

use crate::fixture::{TestEnv, small_options};

/// A backup set once listed its files, let go of the lock, and then asked for the newest commit: one
/// that got in between stood in the manifest and in no file, and the backup could not be restored.
#[test]
fn the_cut_is_the_last_commit_in_the_files_however_busy_the_writers() {
    let (env, _) = Environment::in_memory(Options::default().journal_file_bytes(64 << 10)).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let stop = AtomicBool::new(false);
    let cuts = std::thread::scope(|scope| {
        for writer in 0..3u8 {
            let (env, db, stop) = (&env, &db, &stop);
            scope.spawn(move || {
                for n in 0..u64::MAX {
                    let key = [&[writer][..], &n.to_le_bytes()[..]].concat();
                    let put = env.write_with(Durability::Sync, |txn| txn.put(db, &key, b"value"));
                    if put.is_err() || stop.load(Ordering::Relaxed) {
                        return put;
                    }
                }
                Ok(())
            });
        }
        let cuts: Result<Vec<_>, _> = (0..100)
            .map(|_| {
                env.begin_backup().map(|set| (set.cut().clone(), set.snapshot().unwrap().commit()))
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        cuts
    });
    for (cut, snapshot) in cuts.unwrap() {
        assert_eq!(snapshot, cut.commit);
        assert_eq!(cut.journal_end.map(|end| end.last_sequence), Some(cut.commit));
    }
}

/// A checkpoint cannot know the end of the file that it stands in. After a reopen such a file was once
/// taken for one that is being written, for ever: no backup could be made, and it was never removed. Nor
/// was any other file of a process that makes one checkpoint, as a command does.
#[test]
fn files_are_known_to_be_finished_after_a_reopen() {
    let mut test = TestEnv::new(small_options());
    let mut most = 0;
    for run in 0..40u32 {
        for n in 0..20 {
            test.put("db", &n.to_string().into_bytes(), &[7; 3000]);
        }
        if run % 4 == 3 {
            test.kill();
        } else {
            test.reopen();
        }
        let set = test.env().begin_backup().unwrap();
        for file in set.files() {
            file.copy(|_, _| Ok::<(), EnvError>(())).unwrap();
        }
        most = most.max(test.env().stats().unwrap().log_files);
    }
    assert!(most < 30, "{most} files for 60 kB");
}
