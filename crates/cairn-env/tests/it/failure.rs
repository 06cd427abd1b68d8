//! The failure model: what a failing disk does to calls, to the environment, and to data.

use std::sync::Arc;

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, Environment, ErrorKind, Options, Scope,
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
