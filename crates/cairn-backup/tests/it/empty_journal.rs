//! Journal files without any commit, which nothing has to be replayed from.

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{DatabaseOptions, Environment, Options, VerifyOptions};
use cairn_io::{DirRef, IoOp};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk, SimWorld};

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

/// A process died after a checkpoint, and the next one made a backup without any commit. No checkpoint of
/// either says where the journal file of the first one ends, only the file after it does; nothing had to be
/// replayed, so nobody looked: the restored environment could not be backed up ("not sealed").
#[test]
fn a_restored_environment_can_be_backed_up_though_no_checkpoint_knows_where_a_journal_file_ends() {
    let disk = SimDisk::new();
    let env = open(disk.root());
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let value = vec![7; 100_000]; // stays in the journal
    env.write(|txn| txn.put(&db, b"large", &value)).unwrap();
    env.checkpoint().unwrap();
    let disk = killed(&disk);
    drop(env);

    let (saved, restored, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(2).world());
    let env = open(disk.root());
    backup_to(&env, &saved.root(), &world, &BackupOptions::default()).unwrap();
    env.close().unwrap();
    restore_from(&saved.root(), &restored.root(), &world, &RestoreOptions::default()).unwrap();
    // The same without a restore: opened, closed in order, opened again.
    for dir in [disk.root(), restored.root()] {
        let env = open(dir);
        let again = SimDisk::new();
        backup_to(&env, &again.root(), &world, &BackupOptions::default()).unwrap();
        assert_eq!(env.verify(&VerifyOptions::new()).unwrap().findings, []);
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        assert_eq!(env.snapshot().unwrap().get(&db, b"large").unwrap().unwrap(), value[..]);
    }
}

/// The device was full before a new journal file had any record, and the file could not be removed either. The one that was
/// begun in place of it holds everything; the other one has no end, and for want of it no backup could be made any more
/// ("not sealed").
#[test]
fn a_journal_file_that_was_given_up_stands_in_nobodys_way() {
    let mut given_up = 0;
    for nth in 0..12 {
        let disk = SimDisk::new();
        let faults = FaultDisk::new(disk.root());
        let env = open(faults.root());
        faults.inject(Rule::new(Fault::NoSpace).op(IoOp::Write).nth(nth));
        faults.inject(Rule::new(Fault::Eio).op(IoOp::Remove).nth(1)); // the first is of what a restore leaves
        let db = env.database("db", DatabaseOptions::default());
        if !faults.has_struck() || db.is_ok() || !env.is_valid() {
            continue;
        }
        faults.clear();
        put(&env, b"after");
        let disk = killed(&disk);
        drop(env);

        let (saved, restored, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(2).world());
        let env = open(disk.root());
        given_up +=
            usize::from(env.recovery_report().leftovers.iter().any(|name| name.starts_with('J')));
        backup_to(&env, &saved.root(), &world, &BackupOptions::default()).unwrap();
        assert_eq!(env.verify(&VerifyOptions::new()).unwrap().findings, []);
        restore_from(&saved.root(), &restored.root(), &world, &RestoreOptions::default()).unwrap();
        for dir in [killed(&disk).root(), restored.root()] {
            let env = open(dir);
            let db = env.database("db", DatabaseOptions::default()).unwrap();
            assert_eq!(env.snapshot().unwrap().get(&db, b"after").unwrap().unwrap(), b"value"[..]);
        }
    }
    assert!(given_up > 0);
}
