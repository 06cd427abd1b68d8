//! Journal files without any commit, which nothing has to be replayed from.

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::DirRef;
use cairn_sim::{SimDisk, SimWorld};

fn open(dir: DirRef) -> Environment {
    let options = Options::default().background(false);
    Environment::open_in(dir, SimWorld::new(1).world(), options).unwrap().0
}

fn put(env: &Environment, key: &[u8]) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, key, b"value")).unwrap();
}

/// What a process that dies now leaves.
fn killed(disk: &SimDisk) -> SimDisk {
    SimDisk::from_image(&disk.image())
}

/// A process that crashed, recovered, and crashed again without a commit leaves a journal file that holds
/// nothing, and a backup that ends with another such. The restored environment took that for a leftover,
/// removed it with its first write, and began a journal file that follows it: after a crash it did not
/// open any more.
#[test]
fn a_restored_environment_survives_a_crash_though_its_journal_ends_with_a_file_without_commits() {
    let mut disk = SimDisk::new();
    put(&open(disk.root()), b"before");
    for _ in 0..2 {
        disk = killed(&disk);
        let env = open(disk.root());
        env.checkpoint().unwrap();
        disk = killed(&disk);
        drop(env);
    }
    let env = open(disk.root());
    env.checkpoint().unwrap();
    let (saved, restored, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(2).world());
    backup_to(&env, &saved.root(), &world, &BackupOptions::default()).unwrap();
    restore_from(&saved.root(), &restored.root(), &world, &RestoreOptions::default()).unwrap();
    let env = open(restored.root());
    put(&env, b"after");
    let env = open(killed(&restored).root());
    let snapshot = env.snapshot().unwrap();
    let db = snapshot.database("db").unwrap().unwrap();
    assert_eq!(snapshot.len(&db).unwrap(), 2);
}
