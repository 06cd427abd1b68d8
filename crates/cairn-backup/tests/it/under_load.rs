//! Backup after backup of an environment that is written, checkpointed and cleaned all the while: each
//! is exactly its cut.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use cairn_backup::{BackupOptions, BackupReport, RestoreOptions, backup, publish, restore, verify};
use cairn_env::{Database, DatabaseOptions, Environment, Options, Snapshot};

/// BLAKE3 over every database, key and value.
fn digest(snapshot: &Snapshot) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for database in snapshot.databases().unwrap() {
        add(database.name().as_bytes());
        for entry in snapshot.iter(&database).unwrap() {
            let (key, value) = entry.unwrap();
            add(&key);
            add(&value);
        }
    }
    hasher.finalize()
}

/// Overwrites and deletes among 3000 keys, so that files die as fast as they come.
fn write(env: &Environment, databases: &[Database], stop: &AtomicBool) {
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 33
    };
    while !stop.load(Ordering::Relaxed) {
        let (key, len) =
            (next() % 3000, if next().is_multiple_of(50) { 5000 } else { next() % 200 });
        let value = vec![next().to_le_bytes()[0]; usize::try_from(len).unwrap()];
        let deletes = next().is_multiple_of(8);
        let change = |txn: &mut cairn_env::Transaction| {
            databases.iter().try_for_each(|database| match deletes {
                true => txn.delete(database, &key.to_le_bytes()).map(drop),
                false => txn.put(database, &key.to_le_bytes(), &value),
            })
        };
        env.write(change).unwrap();
    }
}

/// A backup by whichever way its number says, and the digest of the state at its cut.
fn back_up(
    env: &Environment,
    number: u32,
    target: &PathBuf,
    previous: Option<&PathBuf>,
) -> (BackupReport, blake3::Hash) {
    let taken = Mutex::new(None);
    let at_cut = |snapshot: Snapshot| *taken.lock().unwrap() = Some(digest(&snapshot));
    let options = BackupOptions::default().at_cut(&at_cut);
    let report = match (number % 4, previous) {
        (0, _) | (_, None) => backup(env, target, &options).unwrap(),
        (1, _) => {
            // A tool of the user's own.
            let files = target.join("files");
            std::fs::create_dir_all(&files).unwrap();
            let set = env.begin_backup().unwrap();
            at_cut(set.snapshot().unwrap());
            for file in set.files() {
                std::fs::copy(file.path(), files.join(file.name.to_string())).unwrap();
                set.release(file);
            }
            publish(&set, target, None).unwrap()
        }
        (_, Some(previous)) => backup(env, target, &options.since(previous)).unwrap(),
    };
    let digest = taken.lock().unwrap().take().unwrap();
    (report, digest)
}

#[test]
fn a_hundred_backups_under_writers_and_the_cleaner_are_each_their_cut() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: String| scratch.path().join(name);
    let small = Options::default()
        .checkpoint_bytes(200_000)
        .journal_file_bytes(128 << 10)
        .node_file_bytes(128 << 10)
        .cache_bytes(1 << 20);
    let (env, _) = Environment::open(path("live".into()), small).unwrap();
    let databases: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| env.database(name, DatabaseOptions::default()).unwrap())
        .collect();
    let stop = AtomicBool::new(false);
    let (mut linked, mut grown) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| write(&env, &databases, &stop));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                env.checkpoint().unwrap();
                env.checkpoint().unwrap();
                env.clean().unwrap();
            }
        });
        let mut previous = None;
        let mut last_bytes = 0;
        for number in 0..100 {
            let target = path(format!("backup-{number}"));
            let (report, expected) = back_up(&env, number, &target, previous.as_ref());
            linked += report.linked_files;
            grown += u32::from(report.bytes > last_bytes);
            last_bytes = report.bytes;
            assert_eq!(report.previous_damaged, [""; 0]);
            // The backup before goes, now and then, as soon as the next one is there.
            if let Some(previous) = previous.replace(target.clone())
                && number % 3 == 0
            {
                std::fs::remove_dir_all(previous).unwrap();
            }
            assert!(verify(&target, None).unwrap().findings.is_empty(), "backup {number}");
            let back = path(format!("back-{number}"));
            restore(&target, &back, &RestoreOptions::default()).unwrap();
            let options = Options::default().read_only(true);
            let (restored, recovery) = Environment::open(&back, options).unwrap();
            assert_eq!(recovery.sequence, report.commit, "backup {number}");
            let found = digest(&restored.snapshot().unwrap());
            assert_eq!(found, expected, "backup {number} at commit {}", report.commit);
            drop(restored);
            std::fs::remove_dir_all(back).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(linked > 20, "{linked} files were linked");
    assert!(grown < 100);
}
