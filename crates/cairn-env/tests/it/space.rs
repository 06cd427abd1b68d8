//! Space on disk: its limits, what still works at them, and who keeps it from coming back.

use std::{collections::BTreeSet, time::Duration};

use cairn_env::{
    Database, DatabaseOptions, DiskLimit, Durability, EnvError, Environment, ErrorKind, HolderKind,
    Options, PinBudget, VerifyOptions,
};
use cairn_sim::{FaultDisk, SimDisk, SimWorld};

use crate::fixture::{TestEnv, content, ordered, small_options};

/// An environment on a device of `room` bytes.
fn on_device(room: u64, options: Options) -> (FaultDisk, Environment, Database) {
    let disk = FaultDisk::on_sim(&SimDisk::new().without_trace(), 0);
    let world = SimWorld::new(11);
    let (env, _) = Environment::open_in(disk.root(), world.world(), options).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    disk.give_room(room);
    (disk, env, db)
}

/// Fills the environment until it refuses, and returns what it holds and the error.
fn fill(env: &Environment, db: &Database) -> (BTreeSet<u32>, EnvError) {
    let mut held = BTreeSet::new();
    for n in 0.. {
        match env.write(|txn| txn.put(db, &ordered(n), &[7; 300])) {
            Ok(()) => drop(held.insert(n)),
            Err(error) => return (held, error),
        }
    }
    unreachable!("it is finite")
}

/// At the limit: I-35.
fn still_works_at_the_limit(env: &Environment, db: &Database, mut held: BTreeSet<u32>) {
    assert!(env.is_valid());
    env.checkpoint().unwrap();
    env.clean().unwrap();
    env.compact().unwrap();
    env.sync().unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(snapshot.len(db).unwrap(), held.len() as u64);
    drop(snapshot);
    // A transaction that only deletes, one by one, down to a half.
    for n in held.iter().copied().step_by(2).collect::<Vec<_>>() {
        env.write(|txn| txn.delete(db, &ordered(n))).unwrap();
        held.remove(&n);
    }
    // That gives room for others, without further ado.
    let more = u32::try_from(held.len()).unwrap() / 4;
    for n in 0..more {
        env.write(|txn| txn.put(db, &ordered(1_000_000 + n), &[8; 300])).unwrap();
    }
    assert_eq!(env.snapshot().unwrap().len(db).unwrap(), held.len() as u64 + u64::from(more));
    assert!(env.verify(&VerifyOptions::new()).unwrap().findings.is_empty());
}

#[test]
fn at_max_disk_deletes_checkpoints_cleaning_and_closing_succeed() {
    const MAX: u64 = 600_000;
    for directories in [0, 3] {
        let options = small_options().max_disk(MAX).data_directories(directories);
        let mut test = TestEnv::new(options);
        let db = test.db("db");
        let (held, error) = fill(test.env(), &db);
        let EnvError::DiskLimit { limit, used, kept, holders } = &error else {
            panic!("{error}");
        };
        assert_eq!(*limit, DiskLimit::MaxDisk { bytes: MAX });
        assert!(*used <= MAX && *used + *kept > MAX * 9 / 10, "{error}");
        assert!(holders.is_empty(), "{error}");
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("nobody holds anything back"), "{error}");
        assert!(held.len() > 700, "{} entries of 300 bytes", held.len());
        still_works_at_the_limit(test.env(), &db, held);
        let (_, error) = fill(test.env(), &db);
        assert!(matches!(error, EnvError::DiskLimit { .. }), "{error}");
        // As large as it may be, it can be closed and opened; and never was it larger.
        let before = content(test.env()).unwrap();
        test.reopen();
        assert_eq!(content(test.env()).unwrap(), before);
        assert!(test.env().space().unwrap().used <= MAX);
        let dropped = test.db("db");
        test.env().write(|txn| txn.drop_database(&dropped)).unwrap();
        test.env().clean().unwrap();
        assert!(test.env().space().unwrap().used < MAX / 4);
        test.put("db", b"room", b"again");
    }
}

#[test]
fn at_free_disk_nothing_ever_meets_a_full_device() {
    const KEEP: u64 = 200_000;
    let options = small_options().free_disk(KEEP);
    let (disk, env, db) = on_device(700_000, options);
    let (held, error) = fill(&env, &db);
    let EnvError::DiskLimit { limit: DiskLimit::FreeDisk { bytes, free, .. }, .. } = &error else {
        panic!("{error}");
    };
    assert!(*bytes == KEEP && *free >= KEEP, "{error}");
    still_works_at_the_limit(&env, &db, held);
    assert!(disk.room().unwrap() >= KEEP);
    // Somebody else takes the rest of the device, and lets it go again.
    let (_, error) = fill(&env, &db);
    assert!(matches!(error, EnvError::DiskLimit { .. }), "{error}");
    disk.give_room(60_000);
    // What the journal file of 16 KiB has reserved can still be filled.
    let (more, error) = fill(&env, &db);
    assert!(matches!(error, EnvError::DiskLimit { .. }), "{error}");
    assert!(more.len() * 300 < 16 << 10, "{} entries of 300 bytes", more.len());
    env.write(|txn| txn.delete(&db, &ordered(1))).unwrap();
    disk.give_room(2_000_000);
    env.write(|txn| txn.put(&db, b"one more", b"1")).unwrap();
    env.close().unwrap();
}

#[test]
fn garbage_goes_before_anything_is_refused() {
    // The data are rewritten twenty times in about twice their size.
    for background in [false, true] {
        let options = small_options().max_disk(700_000).background(background);
        let test = TestEnv::new(options);
        let db = test.db("db");
        let mut most = 0;
        for n in 0..20_000u32 {
            let key = ordered(n.wrapping_mul(0x9e37_79b9) % 1000);
            let put = test.env().write_with(Durability::NoSync, |txn| {
                txn.put(&db, &key, &n.to_le_bytes().repeat(50))
            });
            put.unwrap_or_else(|error| panic!("{n}: {error}"));
            if n % 10 == 0 {
                most = most.max(test.env().space().unwrap().used);
                test.world.run_until_idle(3);
            }
        }
        assert!(most <= 700_000, "{most}");
        let space = test.env().space().unwrap();
        assert!(space.refused_commits == 0 && space.live > 250_000, "{space:?}");
    }
}

/// Nothing is lost, writers go on, and the figures say who it is.
#[test]
fn a_stuck_reader_holds_space_and_is_named() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    let churn = |from: u32| {
        for n in from..from + 2000 {
            let key = ordered(n % 500);
            test.env().write(|txn| txn.put(&db, &key, &n.to_le_bytes().repeat(40))).unwrap();
        }
        test.env().checkpoint().unwrap();
    };
    churn(0);
    assert!(test.env().space().unwrap().holders.is_empty());
    let stuck = test.env().snapshot().unwrap();
    let seen: Vec<_> = stuck.iter(&db).unwrap().map(Result::unwrap).collect();
    let mut before = 0;
    for round in 1..5u32 {
        test.world.advance(Duration::from_secs(60));
        churn(round * 2000);
        let space = test.env().space().unwrap();
        let [reader] = &space.holders[..] else { panic!("{space:?}") };
        assert_eq!((reader.kind, reader.commit), (HolderKind::Reader, stuck.commit()));
        assert!(reader.bytes > before && reader.bytes < space.used - space.live, "{space:?}");
        let since = Duration::from_secs(60) * (round - 1);
        assert!(reader.since >= since && reader.since < since + Duration::from_secs(60));
        before = reader.bytes;
    }
    let again: Vec<_> = stuck.iter(&db).unwrap().map(Result::unwrap).collect();
    assert!(again == seen);
    let held = test.env().space().unwrap().used;
    drop(stuck);
    for round in 5..8 {
        churn(round * 2000);
    }
    test.env().clean().unwrap();
    let space = test.env().space().unwrap();
    assert!(space.holders.is_empty() && space.used < held - before / 2, "{held}: {space:?}");
}

#[test]
fn who_holds_back_what_a_limit_needs_is_named() {
    let test = TestEnv::new(small_options().max_disk(900_000));
    let db = test.db("db");
    let put = |n: u32| {
        test.env().write(|txn| txn.put(&db, &ordered(n % 500), &n.to_le_bytes().repeat(100)))
    };
    (0..600).try_for_each(put).unwrap();
    let snapshot = test.env().snapshot().unwrap();
    (600..700).try_for_each(put).unwrap();
    let set = test.env().begin_backup().unwrap();
    let error = (0..20_000).find_map(|n| put(n).err()).expect("nothing can go");
    let EnvError::DiskLimit { holders, .. } = &error else { panic!("{error}") };
    let kinds: BTreeSet<_> = holders.iter().map(|holder| format!("{:?}", holder.kind)).collect();
    assert_eq!(kinds.len(), 2, "{error}");
    let text = error.to_string();
    assert!(text.contains("a reader of commit") && text.contains("a backup of commit"), "{text}");
    assert_eq!(put(1).unwrap_err().kind(), ErrorKind::Full);
    // It is them, and nothing else.
    drop(snapshot);
    drop(set);
    (0..2000).try_for_each(put).unwrap();
}

/// Copies all files of a set; what is copied is checked on the way.
fn copy(set: &cairn_env::BackupSet) -> Result<(), EnvError> {
    set.files().iter().try_for_each(|file| file.copy(|_, _| Ok::<(), EnvError>(())).map(drop))
}

#[test]
fn a_backup_over_its_budget_loses_its_files_and_says_so() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    let churn = |rounds: u32| {
        for n in 0..rounds * 500 {
            let value = n.to_le_bytes().repeat(40);
            test.env().write(|txn| txn.put(&db, &ordered(n % 500), &value)).unwrap();
        }
        test.env().checkpoint().unwrap();
    };
    churn(1);
    let minute = Duration::from_secs(60);
    let begin = |budget| test.env().begin_backup_within(budget).unwrap();
    let (free, bytes) = (begin(PinBudget::new()), begin(PinBudget::new().bytes(100_000)));
    let time = begin(PinBudget::new().time(minute));
    for round in 0..8 {
        churn(4);
        for set in [&free, &bytes, &time] {
            if set.check().is_ok() {
                assert!(set.files().iter().all(|file| test.has(file.path())), "pinned, and gone");
                copy(set).unwrap();
            }
        }
        // It has gone on for longer than a minute when the sixth round ends.
        assert_eq!(time.check().is_err(), round >= 5, "{round}");
        test.world.advance(minute / 4);
    }
    assert_eq!(test.env().space().unwrap().lost_backups, 2);
    for set in [&bytes, &time] {
        for error in [set.check().unwrap_err(), copy(set).unwrap_err()] {
            assert!(matches!(error, EnvError::PinLost { .. }), "{error}");
            assert_eq!(error.kind(), ErrorKind::Expired);
        }
        assert!(set.snapshot().is_none());
    }
    copy(&free).unwrap();
    free.check().unwrap();
    // They have let go of everything: only the one without a budget is left.
    let holders = test.env().space().unwrap().holders;
    assert!(holders.len() == 1 && holders[0].kind == HolderKind::Backup, "{holders:?}");
    drop(free);
    (0..3).for_each(|_| churn(2));
    assert!(test.env().space().unwrap().holders.is_empty());
}

#[test]
fn a_snapshot_that_is_too_old_says_so_and_holds_nothing_back() {
    let hour = Duration::from_secs(3600);
    let test = TestEnv::new(small_options().snapshot_age(Some(hour)).cache_bytes(20 << 10));
    let db = test.db("db");
    let churn = || {
        for n in 0..2000u32 {
            let value = vec![7; if n % 9 == 0 { 2000 } else { 60 }];
            test.env().write(|txn| txn.put(&db, &ordered(n % 500), &value)).unwrap();
        }
        test.env().checkpoint().unwrap();
        test.world.advance(hour / 2);
    };
    churn();
    let old = test.env().snapshot().unwrap();
    let mut iter = old.iter(&db).unwrap();
    let mut cursor = old.cursor(&db).unwrap();
    let transaction = test.env().begin_write().unwrap();
    transaction.get(&db, &ordered(1)).unwrap();
    let all = || old.iter(&db).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let before = all();
    churn();
    // It is younger than an hour.
    assert!(before == all());
    (0..3).for_each(|_| churn());
    let young = test.env().snapshot().unwrap();
    for error in [
        old.get(&db, &ordered(1)).unwrap_err(),
        old.len(&db).unwrap_err(),
        old.iter(&db).unwrap_err(),
        old.clone().databases().unwrap_err(),
        iter.next().unwrap().unwrap_err(),
        cursor.first().unwrap_err(),
        transaction.get(&db, &ordered(2)).unwrap_err(),
    ] {
        assert!(matches!(error, EnvError::SnapshotTooOld { .. }), "{error}");
        let reach = (error.kind(), error.scope());
        assert_eq!(reach, (ErrorKind::Expired, cairn_env::Scope::Operation));
    }
    assert_eq!(young.len(&db).unwrap(), 500);
    drop(young);
    churn();
    churn();
    let used = test.env().space().unwrap().used;
    drop((iter, cursor, transaction, old));
    churn();
    churn();
    assert!(test.env().space().unwrap().used * 2 > used, "it had held nothing back");
}

#[test]
fn the_space_of_each_file_is_told_and_adds_up() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    for n in 0..400_u32 {
        test.env().write(|txn| txn.put(&db, &ordered(n % 100), &[7; 2000])).unwrap();
    }
    test.env().checkpoint().unwrap();
    let space = test.env().space().unwrap();
    assert_eq!(space.files.iter().map(|file| file.bytes).sum::<u64>(), space.used);
    assert_eq!(space.files.iter().map(|file| file.live).sum::<u64>(), space.live);
    assert!(space.files.is_sorted_by_key(|file| file.name.number) && space.live > 0);
    assert!(space.files.iter().all(|file| !file.is_dead || file.live == 0), "{space:?}");
}
