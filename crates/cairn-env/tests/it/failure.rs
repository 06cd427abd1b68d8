//! The failure model: what a failing disk does to calls, to the environment, and to data.

use std::sync::Arc;

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, Environment, ErrorKind, Options, Scope,
    VerifyOptions,
};
use cairn_io::{IoOp, SyncSite};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk, SimWorld};

use crate::fixture::{content, small_options};

struct Faulty {
    sim: SimDisk,
    disk: FaultDisk,
    env: Environment,
    db: Database,
}

fn faulty(options: Options) -> Faulty {
    let sim = SimDisk::new();
    let disk = FaultDisk::on_sim(&sim, 0);
    let world = SimWorld::new(3);
    let (env, _) = Environment::open_in(disk.root(), world.world(), options).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    Faulty { sim, disk, env, db }
}

impl Faulty {
    /// Created while a call fails, and once more if that is told; then the disk works.
    fn tried_again(options: Options, rule: Rule) -> Self {
        let sim = SimDisk::new();
        let disk = FaultDisk::on_sim(&sim, 0);
        disk.inject(rule);
        let open = || Environment::open_in(disk.root(), SimWorld::new(3).world(), options.clone());
        let env = open().or_else(|_| open()).unwrap().0;
        disk.clear();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        Self { sim, disk, env, db }
    }

    fn put(&self, key: &[u8], durability: Durability) -> Result<(), EnvError> {
        self.env.write_with(durability, |txn| txn.put(&self.db, key, &[1; 100]))
    }

    /// Loses power and opens what the disk holds.
    fn after_power_loss(self) -> Environment {
        let image = self.sim.crash(
            cairn_sim::Level::LoseAll,
            &cairn_sim::Bounds::smoke(),
            &mut cairn_sim::Seeded::new(1),
        );
        std::mem::forget(self.env);
        let disk = SimDisk::from_image(&image.image);
        Environment::open_in(disk.root(), SimWorld::new(4).world(), small_options()).unwrap().0
    }
}

/// Names whose sync has failed are in memory, and no later sync makes them durable: a creation that is tried
/// again gives them again.
#[test]
fn a_creation_that_is_tried_again_after_a_failed_sync_survives_a_loss_of_power() {
    for directories in [0, 2] {
        let options = || small_options().data_directories(directories);
        for nth in 0.. {
            let test =
                Faulty::tried_again(options(), Rule::new(Fault::NoSpace).op(IoOp::Sync).nth(nth));
            if !test.disk.has_struck() {
                assert!(nth > 3, "{nth} syncs");
                break;
            }
            test.put(b"key", Durability::Sync).unwrap();
            let env = test.after_power_loss();
            let db = env.find_database("db").unwrap();
            let db = db.unwrap_or_else(|| panic!("sync {nth}, {directories} directories"));
            assert!(env.snapshot().unwrap().get(&db, b"key").unwrap().is_some());
        }
    }
}

const COMMIT: SyncSite = SyncSite::new("commit");

#[test]
fn a_failed_sync_fails_the_environment_and_loses_nothing_acknowledged() {
    let test = faulty(small_options());
    for i in 0..20u8 {
        test.put(&[i], Durability::Sync).unwrap();
    }
    let (snapshot, other) = (test.env.snapshot().unwrap(), test.env.clone());
    let pending = test.env.begin_write().unwrap();
    test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(COMMIT));
    let error = test.put(b"unknown", Durability::Sync).unwrap_err();
    assert!(matches!(error, EnvError::CommitUnknown { .. }), "{error}");
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Poisoned, Scope::Environment));
    // The disk works again, and the sync would now answer Ok: it is not asked.
    test.disk.clear();
    assert!(!test.env.is_valid() && !other.is_valid());
    let first = test.env.failure().unwrap().to_string();
    assert!(first.contains("commit"), "{first}");
    for error in [
        test.put(b"more", Durability::NoSync).unwrap_err(),
        other.snapshot().unwrap_err(),
        snapshot.get(&test.db, &[1]).unwrap_err(),
        pending.get(&test.db, &[1]).unwrap_err(),
        test.env.checkpoint().unwrap_err(),
        test.env.sync().unwrap_err(),
        test.env.begin_backup().unwrap_err(),
    ] {
        assert_eq!(error.to_string(), first, "every handle answers with the first cause");
    }
    drop((snapshot, pending, other));
    let env = test.after_power_loss();
    assert!(env.is_valid());
    assert_eq!(content(&env).unwrap()["db"].len(), 20, "what was acknowledged, and nothing else");
}

#[test]
fn a_failed_sync_of_any_kind_is_never_tried_again() {
    for site in cairn_env::SYNC_SITES {
        let options = small_options().cache_bytes(20 << 10);
        let test = faulty(options);
        test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(*site));
        let mut failed = 0;
        for i in 0..300u32 {
            failed += u32::from(test.put(&i.to_le_bytes(), Durability::Sync).is_err());
            if i % 50 == 49 {
                failed += u32::from(test.env.checkpoint().is_err());
            }
        }
        let struck = !test.disk.struck().is_empty();
        assert_eq!(struck, failed > 0, "{site}: {:?}", test.disk.struck());
        assert_eq!(struck, !test.env.is_valid(), "{site}: a failed sync fails the environment");
        let acknowledged = 300 - failed.min(300);
        let env = test.after_power_loss();
        let found = content(&env).unwrap()["db"].len();
        assert!(found >= usize::try_from(acknowledged).unwrap() || !struck, "{site}: {found}");
    }
}

/// A commit that could not be written for want of space is neither lost nor durable: it takes effect,
/// says so, and is written as soon as there is room. Nothing is committed before.
#[test]
fn an_environment_failure_that_leaves_it_valid() {
    for durability in [Durability::Sync, Durability::WriteNoSync] {
        let test = faulty(small_options());
        for i in 0..20u8 {
            test.put(&[i], durability).unwrap();
        }
        // As on a file system that copies what is overwritten: zeros ahead reserve nothing.
        let full = || Rule::new(Fault::NoSpace).op(IoOp::Write).and_on();
        test.disk.inject(full().file(|name| name.starts_with("J-")));
        let error = test.put(b"pending", durability).unwrap_err();
        assert!(matches!(error, EnvError::CommitPending { .. }), "{error}");
        assert_eq!((error.kind(), error.scope()), (ErrorKind::Full, Scope::Environment));
        assert!(test.env.is_valid() && test.env.failure().is_none());
        // What comes now is refused as a whole, again and again.
        for key in [b"refused", b"another"] {
            let error = test.put(key, durability).unwrap_err();
            assert!(!matches!(error, EnvError::CommitPending { .. }), "{error}");
            assert_eq!((error.kind(), test.env.is_valid()), (ErrorKind::Full, true));
        }
        assert_eq!(test.env.checkpoint().unwrap_err().kind(), ErrorKind::Full);
        // Reads go on, and see what took effect.
        assert_eq!(test.env.snapshot().unwrap().len(&test.db).unwrap(), 21);
        assert!(test.env.is_valid());
        test.disk.clear();
        test.put(b"next", Durability::Sync).unwrap();
        test.env.checkpoint().unwrap();
        let found = content(&test.after_power_loss()).unwrap().remove("db").unwrap();
        assert_eq!(found.len(), 22, "{:?}", found.keys());
        assert!(found.contains_key(&b"pending"[..]) && found.contains_key(&b"next"[..]));
    }
}

/// Its counterpart: after a failed sync nobody knows what the disk holds, and only a reopen helps.
#[test]
fn an_environment_failure_that_makes_it_invalid() {
    // A device that is full only when it is synced, as a network file system may be.
    for (fault, op) in [
        (Fault::NoSpace, IoOp::Sync),
        (Fault::Eio, IoOp::Sync),
        (Fault::Eio, IoOp::Write),
        (Fault::ReadOnly, IoOp::Write),
    ] {
        let test = faulty(small_options());
        test.put(b"before", Durability::Sync).unwrap();
        let journal = |name: &str| name.starts_with("J-");
        test.disk.inject(Rule::new(fault).op(op).file(journal));
        let error = test.put(b"unknown", Durability::Sync).unwrap_err();
        assert!(matches!(error, EnvError::CommitUnknown { .. }), "{fault:?}: {error}");
        assert_eq!((error.kind(), error.scope()), (ErrorKind::Poisoned, Scope::Environment));
        assert!(!test.env.is_valid());
        test.disk.clear();
        let error = test.put(b"after", Durability::Sync).unwrap_err();
        assert!(matches!(error, EnvError::Poisoned { .. }), "{fault:?}: {error}");
        assert!(!test.env.is_valid(), "room or a working disk makes no difference");
        let env = test.after_power_loss();
        assert!(env.is_valid());
        let found = content(&env).unwrap().remove("db").unwrap();
        assert!(found.contains_key(&b"before"[..]) && !found.contains_key(&b"after"[..]));
    }
}

#[test]
fn a_failed_sync_once_then_fine_poisons_for_good() {
    let test = faulty(small_options());
    test.put(b"before", Durability::Sync).unwrap();
    test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(COMMIT)); // this once
    test.put(b"unknown", Durability::Sync).unwrap_err();
    let (first, syncs) = (test.env.failure().unwrap().to_string(), test.disk.syncs());
    for _ in 0..3 {
        for durability in [Durability::Sync, Durability::WriteNoSync, Durability::NoSync] {
            assert_eq!(test.put(b"after", durability).unwrap_err().to_string(), first);
        }
        assert_eq!(test.env.sync().unwrap_err().to_string(), first);
        assert_eq!(test.env.checkpoint().unwrap_err().to_string(), first);
        assert_eq!(test.env.clean().unwrap_err().to_string(), first);
    }
    assert_eq!(test.disk.syncs(), syncs, "no sync was asked for again");
    assert_eq!(test.env.clone().close().unwrap_err().to_string(), first);
    let found = content(&test.after_power_loss()).unwrap().remove("db").unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&b"before".to_vec()]);
}

/// A device that is really full, byte by byte: whatever stops for want of space goes on afterwards.
#[test]
fn a_full_disk_at_any_byte_stops_and_goes_on() {
    let mut refused = [0; 3];
    for room in (0..120_000).step_by(611) {
        let test = faulty(small_options().cache_bytes(20 << 10).space_target(0));
        test.disk.give_room(room);
        let mut acknowledged = std::collections::BTreeSet::new();
        for i in 0..240u32 {
            let key = i.to_le_bytes();
            match test.put(&key, Durability::Sync) {
                Ok(()) => drop(acknowledged.insert(key.to_vec())),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{room}: {error}");
                    refused[usize::from(matches!(error, EnvError::CommitPending { .. }))] += 1;
                }
            }
            if i % 40 == 39
                && let Err(error) = test.env.checkpoint()
            {
                assert_eq!(error.kind(), ErrorKind::Full, "{room}: {error}");
                refused[2] += 1;
            }
            assert!(test.env.is_valid(), "{room}: {:?}", test.env.failure());
        }
        let found = content(&test.env).unwrap().remove("db").unwrap();
        assert!(acknowledged.iter().all(|key| found.contains_key(key)), "{room}");
        test.disk.clear();
        test.put(b"again", Durability::Sync).unwrap();
        test.env.checkpoint().unwrap();
        test.env.clean().unwrap();
        assert!(test.env.verify(&VerifyOptions::new()).unwrap().findings.is_empty(), "{room}");
        let after = content(&test.after_power_loss()).unwrap().remove("db").unwrap();
        assert_eq!(after.len(), found.len() + 1, "{room}");
    }
    // Commits are only refused: the zeros ahead of a journal are room that they have.
    assert!(refused[0] > 100 && refused[1] == 0 && refused[2] > 20, "{refused:?}");
}

#[test]
fn a_full_disk_fails_commits_and_checkpoints_and_nothing_else() {
    let test = faulty(small_options());
    for i in 0..20u8 {
        test.put(&[i], Durability::Sync).unwrap();
    }
    // Nothing new fits: no growth, no new file. What was zeroed ahead can still be written.
    let no_space = |op| Rule::new(Fault::NoSpace).op(op).and_on();
    test.disk.inject(no_space(IoOp::Create));
    test.disk.inject(no_space(IoOp::Write).file(|name| name.starts_with("N-")));
    let error = test.env.checkpoint().unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Full, Scope::Environment));
    assert!(test.env.is_valid(), "work goes on");
    let mut committed = 20;
    let error = loop {
        match test.put(format!("{committed}").as_bytes(), Durability::Sync) {
            Ok(()) => committed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(test.env.is_valid() && committed > 40);
    assert_eq!(test.env.snapshot().unwrap().len(&test.db).unwrap(), committed);
    test.disk.clear();
    test.put(b"again", Durability::Sync).unwrap();
    test.env.checkpoint().unwrap();
    let env = test.after_power_loss();
    assert_eq!(content(&env).unwrap()["db"].len() as u64, committed + 1);
}

#[test]
fn short_writes_and_reads_are_invisible() {
    let test = faulty(small_options());
    for op in [IoOp::Write, IoOp::Read] {
        test.disk.inject(Rule::new(Fault::Short).op(op).and_on());
    }
    for i in 0..100u8 {
        test.put(&[i], Durability::Sync).unwrap();
    }
    test.env.checkpoint().unwrap();
    let before = content(&test.env).unwrap();
    let disk = test.disk.clone();
    test.env.close().unwrap();
    let world = SimWorld::new(5);
    let (env, _) = Environment::open_in(disk.root(), world.world(), small_options()).unwrap();
    assert_eq!(content(&env).unwrap(), before);
}

#[test]
fn an_error_of_any_single_call_loses_nothing_acknowledged() {
    let run = |inject: Option<(u64, Fault)>| {
        let test = faulty(small_options().cache_bytes(20 << 10));
        if let Some((nth, fault)) = inject {
            test.disk.inject(Rule::new(fault).nth(nth));
        }
        let mut acknowledged = Vec::new();
        for i in 0..60u8 {
            if test.put(&[i], Durability::Sync).is_ok() {
                acknowledged.push(vec![i]);
            }
            if i % 20 == 19 {
                drop(test.env.checkpoint());
            }
        }
        (test.disk.calls(), acknowledged, test)
    };
    let (calls, ..) = run(None);
    for nth in 0..calls {
        for fault in [Fault::Eio, Fault::NoSpace, Fault::PartThenEio] {
            let (_, acknowledged, test) = run(Some((nth, fault)));
            let struck = test.disk.struck();
            let env = test.after_power_loss();
            let found = content(&env).unwrap().remove("db").unwrap_or_default();
            for key in &acknowledged {
                assert!(
                    found.contains_key(key),
                    "{fault:?} at call {nth} ({struck:?}): {key:?} is lost"
                );
            }
        }
    }
}

#[test]
fn a_read_error_takes_only_what_it_concerns() {
    let test = faulty(small_options().cache_bytes(10 << 10));
    for i in 0..200u8 {
        test.put(&[i], Durability::Sync).unwrap();
    }
    test.env.checkpoint().unwrap();
    test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Read).file(|name| name.starts_with("N-")));
    let snapshot = test.env.snapshot().unwrap();
    let errors: Vec<EnvError> =
        (0..200u8).filter_map(|i| snapshot.get(&test.db, &[i]).err()).collect();
    assert_eq!(errors.len(), 1, "one call failed, and the next one reads again");
    assert_eq!(errors[0].kind(), ErrorKind::Io);
    assert!(test.env.is_valid());
    drop(snapshot);
    test.put(b"more", Durability::Sync).unwrap();
}

#[test]
fn a_panic_in_a_transaction_leaves_the_environment_as_it_was() {
    let test = faulty(small_options());
    test.put(b"a", Durability::Sync).unwrap();
    let (env, db) = (test.env.clone(), test.db.clone());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        env.write(|txn| -> Result<(), EnvError> {
            txn.put(&db, b"b", b"2")?;
            panic!("in the middle of a transaction")
        })
    }));
    assert!(panicked.is_err() && test.env.is_valid());
    test.put(b"c", Durability::Sync).unwrap();
    assert_eq!(content(&test.env).unwrap()["db"].len(), 2);
}

#[test]
fn a_panic_of_the_worker_fails_the_environment() {
    #[derive(Debug)]
    struct Panics(cairn_io::WorldRef);
    impl cairn_io::World for Panics {
        fn monotonic(&self) -> std::time::Duration {
            if std::thread::current().name().is_some_and(|name| name.starts_with("cairn")) {
                panic!("the clock has stopped");
            }
            self.0.monotonic()
        }
        fn wall(&self) -> cairn_io::WallTime {
            self.0.wall()
        }
        fn random(&self, buf: &mut [u8]) {
            self.0.random(buf);
        }
        fn process(&self) -> u32 {
            self.0.process()
        }
        fn pause(&self, time: std::time::Duration) {
            self.0.pause(time);
        }
        fn start(
            &self,
            worker: Box<dyn cairn_io::Worker>,
        ) -> cairn_io::IoResult<cairn_io::WorkerHandle> {
            self.0.start(worker)
        }
    }
    let world = Arc::new(Panics(Arc::new(cairn_io::RealWorld::new())));
    let disk = cairn_io::MemDisk::new();
    let (env, _) = Environment::open_in(disk.root(), world, Options::default()).unwrap();
    for _ in 0..1000 {
        if !env.is_valid() {
            break;
        }
        std::thread::yield_now();
        drop(env.write_with(Durability::NoSync, |txn| {
            txn.create_database("db", DatabaseOptions::default())
        }));
        #[expect(clippy::disallowed_methods, reason = "waits for a thread that is about to fail")]
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let error = env.failure().expect("the worker has panicked").to_string();
    assert!(error.contains("the clock has stopped"), "{error}");
}

/// A commit that was durable was answered with the error of a checkpoint that it had helped with, as if
/// nothing had been changed: whoever ran it again had it twice.
#[test]
fn a_checkpoint_that_fails_undoes_no_commit() {
    let test = faulty(small_options().checkpoint_bytes(2 << 10));
    let nodes = |name: &str| name.starts_with("N-");
    test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Write).file(nodes));
    let acknowledged = (0..60u8).filter(|i| test.put(&[*i], Durability::Sync).is_ok()).count();
    assert!(!test.disk.struck().is_empty());
    let found = content(&test.after_power_loss()).unwrap()["db"].len();
    assert_eq!(found, acknowledged, "what was refused is not there, what was not is");
}

/// Opens the disk again without a restart of the system, which still has in memory what it could not write.
fn open_again(test: Faulty) -> Faulty {
    let Faulty { sim, disk, env, .. } = test;
    drop(env.close());
    disk.clear();
    let (env, _) =
        Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    Faulty { sim, disk, env, db }
}

#[test]
fn nothing_is_built_on_what_a_failed_sync_has_left_in_memory() {
    let test = faulty(small_options());
    test.put(b"before", Durability::Sync).unwrap();
    test.disk.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(COMMIT));
    let error = test.put(b"unknown", Durability::Sync).unwrap_err();
    assert!(matches!(error, EnvError::CommitUnknown { .. }), "{error}");
    let test = open_again(test);
    test.put(b"after", Durability::Sync).unwrap();
    let content = content(&test.after_power_loss()).unwrap();
    let keys: Vec<_> = content["db"].keys().map(|key| &key[..]).collect();
    assert_eq!(keys, [b"after".as_slice(), b"before"]);
}

#[test]
fn a_name_that_a_failed_sync_has_left_in_memory_is_given_again() {
    let (sim, world) = (SimDisk::new(), SimWorld::new(3));
    let disk = FaultDisk::on_sim(&sim, 0);
    let current = SyncSite::new("current");
    disk.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(current).nth(1)); // the first is of the file
    Environment::open_in(disk.root(), world.world(), small_options()).unwrap_err();
    disk.clear();
    let (env, _) = Environment::open_in(disk.root(), world.world(), small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let test = Faulty { sim, disk, env, db };
    test.put(b"after", Durability::Sync).unwrap();
    assert_eq!(content(&test.after_power_loss()).unwrap()["db"].len(), 1);
}
