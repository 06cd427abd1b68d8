//! The files of a backup, and the state that they are.

use std::sync::atomic::{AtomicBool, Ordering};

use cairn_env::{DatabaseOptions, Durability, Environment, Options};

/// A backup set once listed its files, let go of the lock, and then asked for the newest commit: one
/// that got in between stood in the manifest and in no file, and the backup could not be restored.
#[test]
fn the_cut_is_the_last_commit_in_the_files_however_busy_the_writers() {
    let (env, _) = Environment::in_memory(Options::default().journal_file_bytes(64 << 10)).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3u8 {
            let (env, db, stop) = (&env, &db, &stop);
            scope.spawn(move || {
                for n in 0u64.. {
                    let key = [&[writer][..], &n.to_be_bytes()[..]].concat();
                    env.write_with(Durability::Sync, |txn| txn.put(db, &key, b"value")).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for _ in 0..200 {
            let set = env.begin_backup().unwrap();
            let cut = set.cut();
            let end = cut.journal_end.expect("there were commits");
            assert_eq!(cut.commit, end.last_sequence);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
