//! Exclusive transactions: larger than memory, all or nothing, and everybody else waits or reads on.

use std::{collections::BTreeMap, sync::mpsc, thread, time::Duration};

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, Environment, ErrorKind, ExclusiveTransaction,
    Options, VerifyOptions, repair_in,
};
use cairn_io::{IoOp, MemDisk};
use cairn_sim::{Chooser, Fault, FaultDisk, Image, Rule, Seeded, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

/// So little memory that a few hundred entries do not fit.
fn tight_options() -> Options {
    small_options().cache_bytes(48 << 10)
}

fn fill(txn: &mut ExclusiveTransaction, db: &Database, keys: std::ops::Range<u32>, fill: u8) {
    for n in keys {
        let len = if n % 40 == 7 { 1500 } else { 60 };
        txn.put(db, &ordered(n), &vec![fill; len]).unwrap();
    }
}

#[test]
fn it_counts_as_a_whole_and_snapshots_go_on_without_it() {
    let mut test = TestEnv::new(tight_options());
    test.put("db", b"before", b"1");
    let db = test.db("db");
    let old = test.env().snapshot().unwrap();
    let mut txn = test.env().begin_exclusive().unwrap();
    fill(&mut txn, &db, 0..1000, 1);
    assert!(txn.delete(&db, b"before").unwrap());
    assert!(!txn.delete(&db, b"before").unwrap());
    assert_eq!(txn.get(&db, &ordered(7)).unwrap().unwrap().len(), 1500);
    assert_eq!((txn.len(&db).unwrap(), txn.range(&db, ..).unwrap().count()), (1000, 1000));
    let last = txn.range(&db, ..).unwrap().next_back().unwrap().unwrap();
    assert_eq!(last.0[..], ordered(999));
    fill(&mut txn, &db, 1000..1100, 2);
    for snapshot in [&old, &test.env().snapshot().unwrap()] {
        assert_eq!(snapshot.iter(&db).unwrap().count(), 1);
    }
    assert!(matches!(txn.contains(&db, &ordered(1099)), Ok(true)));
    let info = txn.commit().unwrap();
    assert_eq!(info.commit, old.commit() + 1);
    assert_eq!(old.iter(&db).unwrap().count(), 1);
    assert_eq!(test.env().snapshot().unwrap().len(&db).unwrap(), 1100);
    let expected = content(test.env()).unwrap();
    drop(old);
    test.kill();
    assert!(content(test.env()).unwrap() == expected);
    test.reopen();
    assert!(content(test.env()).unwrap() == expected);
}

#[test]
fn given_up_it_leaves_nothing_but_garbage_in_the_log() {
    let mut test = TestEnv::new(tight_options());
    test.put("db", b"before", b"1");
    let db = test.db("db");
    test.env().checkpoint().unwrap();
    let before = content(test.env()).unwrap();
    let live = test.env().stats().unwrap().live_bytes;
    for round in 0..4 {
        let mut txn = test.env().begin_exclusive().unwrap();
        let new = txn.create_database("new", DatabaseOptions::default()).unwrap();
        fill(&mut txn, &new, 0..800, round);
        txn.drop_database(&db).unwrap();
        assert!(matches!(txn.put(&db, b"k", b"v"), Err(EnvError::NoSuchDatabase { .. })));
        drop(txn);
        assert!(content(test.env()).unwrap() == before);
        let put = test.env().write(|txn| txn.put(&new, b"k", b"v"));
        assert!(matches!(put, Err(EnvError::NoSuchDatabase { .. })), "{put:?}");
    }
    let latest = test.env().snapshot().unwrap().commit();
    test.put("db", b"before", b"1");
    assert_eq!(test.env().snapshot().unwrap().commit(), latest + 1, "numbers have no gaps");
    for _ in 0..3 {
        test.put("db", b"before", b"1");
        test.env().checkpoint().unwrap();
    }
    assert_eq!(test.env().stats().unwrap().live_bytes, live);
    test.env().compact().unwrap();
    assert!(test.env().stats().unwrap().file_bytes < 64 << 10, "{:?}", test.env().stats());
    test.kill();
    assert!(content(test.env()).unwrap() == before);
}

#[test]
fn an_empty_one_commits_nothing() {
    let test = TestEnv::new(small_options());
    let files = test.disk.image().hash();
    assert_eq!(test.env().begin_exclusive().unwrap().commit().unwrap().commit, 0);
    drop(test.env().begin_exclusive().unwrap());
    assert_eq!(test.disk.image().hash(), files);
}

#[test]
fn memory_stays_within_its_budget_however_much_is_loaded() {
    const BUDGET: usize = 1 << 20;
    let mut test = TestEnv::new(
        Options::default()
            .background(false)
            .cache_bytes(BUDGET)
            .leaf_bytes(1 << 10)
            .journal_file_bytes(1 << 20)
            .node_file_bytes(1 << 20),
    );
    let db = test.db("db");
    let mut txn = test.env().begin_exclusive().unwrap();
    let mut most = 0;
    for round in 0..20u32 {
        let from = round * 5000;
        let entries = (from..from + 5000).map(|n| (ordered(n), [7u8; 100]));
        assert_eq!(txn.load(&db, entries).unwrap(), 5000);
        most = most.max(test.env().stats().unwrap().cache_resident);
    }
    assert!(most < 2 * BUDGET as u64, "{most} bytes");
    txn.commit().unwrap();
    assert_eq!(test.env().snapshot().unwrap().iter(&db).unwrap().count(), 100_000);
    test.kill();
    assert_eq!(test.env().snapshot().unwrap().iter(&db).unwrap().count(), 100_000);
}

#[test]
fn keys_of_a_load_ascend() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    let mut txn = test.env().begin_exclusive().unwrap();
    let error = txn.load(&db, [("a", "1"), ("c", "2"), ("b", "3")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("b comes after c"), "{error}");
    txn.commit().unwrap();
    assert_eq!(test.env().snapshot().unwrap().len(&db).unwrap(), 2);
}

#[test]
fn commits_of_other_threads_wait_and_those_of_its_own_are_refused() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env().clone(), test.db("db"));
    let mut txn = env.begin_exclusive().unwrap();
    txn.put(&db, b"counter", b"1").unwrap();
    let own = env.write(|txn| txn.put(&db, b"counter", b"9")).unwrap_err();
    assert_eq!(own.kind(), ErrorKind::InvalidInput);
    assert!(matches!(env.begin_exclusive(), Err(EnvError::InvalidInput { .. })));
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        let (env, db) = (&env, &db);
        scope.spawn(move || {
            env.write(|txn| {
                let before = txn.get(db, b"counter")?.map(|value| value.to_vec());
                txn.put(db, b"seen", before.as_deref().unwrap_or(b"none"))
            })
            .unwrap();
            send.send(()).unwrap();
        });
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err(), "it has to wait");
        txn.commit().unwrap();
        receive.recv().unwrap();
    });
    let seen = env.snapshot().unwrap().get(&db, b"seen").unwrap().unwrap();
    assert_eq!(seen, b"1", "what it had read before is a conflict, and it read again");
    drop(env);
}

#[test]
fn whoever_has_read_what_it_changes_conflicts() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    for n in 0..200 {
        test.put("db", &ordered(n), b"0");
    }
    let reader = |key: u32| {
        let mut txn = test.env().begin_write().unwrap();
        txn.get(&db, &ordered(key)).unwrap();
        txn.put(&db, b"result", &ordered(key)).unwrap();
        txn
    };
    let (touched, untouched) = (reader(3), reader(150));
    let mut txn = test.env().begin_exclusive().unwrap();
    txn.put(&db, &ordered(3), b"1").unwrap();
    txn.commit().unwrap();
    assert!(matches!(touched.commit(), Err(EnvError::Conflict { .. })));
    untouched.commit().unwrap();
}

#[test]
fn checkpoints_backups_and_cleaning_go_on_beside_it() {
    let mut test = TestEnv::new(tight_options());
    for n in 0..300 {
        test.put("db", &ordered(n % 40), &[9; 100]);
    }
    let before = content(test.env()).unwrap();
    let db = test.db("db");
    let mut txn = test.env().begin_exclusive().unwrap();
    let mut sets = Vec::new();
    for round in 0..6u8 {
        fill(&mut txn, &db, 0..300, round);
        test.env().checkpoint().unwrap();
        let cleaned = test.env().clean();
        assert!(matches!(cleaned, Ok(_) | Err(EnvError::Busy { .. })), "{cleaned:?}");
        sets.push(test.env().begin_backup().unwrap());
        assert!(content(test.env()).unwrap() == before);
    }
    assert_eq!(sets.iter().map(|set| set.cut().commit).max(), Some(sets[0].cut().commit));
    sets.clear();
    txn.commit().unwrap();
    let after = content(test.env()).unwrap();
    assert_eq!(after["db"].len(), 300);
    test.env().compact().unwrap();
    assert!(content(test.env()).unwrap() == after);
    test.kill();
    assert!(content(test.env()).unwrap() == after);
}

#[test]
fn a_full_disk_ends_it_and_nothing_else() {
    let disk = FaultDisk::new(SimDisk::new().root());
    let world = SimWorld::new(1);
    let (env, _) = Environment::open_in(disk.root(), world.world(), small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let mut txn = env.begin_exclusive().unwrap();
    txn.put(&db, b"k", b"v").unwrap();
    let no_space = |op| Rule::new(Fault::NoSpace).op(op).and_on();
    disk.inject(no_space(IoOp::Create));
    disk.inject(no_space(IoOp::Write).file(|name| name.starts_with("N-")));
    let error = (0..10_000u32)
        .find_map(|n| txn.put(&db, &ordered(n), &[1; 1000]).err())
        .expect("the disk is full");
    assert!(error.is_no_space(), "{error}");
    let again = txn.put(&db, b"k", b"v").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput, "{again}");
    assert!(txn.commit().is_err());
    disk.clear();
    assert!(env.is_valid());
    env.write(|txn| txn.put(&db, b"after", b"1")).unwrap();
    assert_eq!(env.snapshot().unwrap().len(&db).unwrap(), 1);
}

/// Some transactions of all kinds, some of them given up, with checkpoints anywhere.
fn mixed(test: &TestEnv, seed: u64, states: &mut Vec<Model>) {
    let mut chance = Seeded::new(seed);
    let mut below = |n: usize| u32::try_from(chance.choose(n, "mixed")).unwrap();
    let db = test.db("db");
    let note = |states: &mut Vec<Model>| {
        let commit = usize::try_from(test.env().snapshot().unwrap().commit()).unwrap();
        if commit == states.len() {
            states.push(content(test.env()).unwrap());
        }
        assert_eq!(commit + 1, states.len());
        test.disk.mark("acknowledged", commit as u64);
    };
    note(states);
    for round in 0..12u8 {
        if below(3) == 0 {
            test.put("db", &ordered(below(20)), &[round; 30]);
            note(states);
            continue;
        }
        let mut model = states.last().unwrap().clone();
        let mut txn = test.env().begin_exclusive().unwrap();
        for _ in 0..below(60) {
            let (key, len) = (ordered(below(80)), if below(20) == 0 { 1500 } else { 50 });
            let entries = model.get_mut("db").unwrap();
            if below(4) == 0 {
                assert_eq!(txn.delete(&db, &key).unwrap(), entries.remove(&key[..]).is_some());
            } else {
                txn.put(&db, &key, &vec![round; len]).unwrap();
                entries.insert(key.to_vec(), vec![round; len]);
            }
            match below(30) {
                0 => drop(test.env().checkpoint().unwrap()),
                1 => {
                    let now: BTreeMap<Vec<u8>, Vec<u8>> = txn
                        .range(&db, ..)
                        .unwrap()
                        .map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap())
                        .collect();
                    assert!(now == model["db"]);
                }
                _ => {}
            }
        }
        if below(3) == 0 {
            drop(txn);
        } else {
            txn.commit_with(Durability::Sync).unwrap();
            assert!(content(test.env()).unwrap() == model);
        }
        note(states);
    }
}

#[test]
fn a_crash_at_any_operation_leaves_all_of_it_or_nothing() {
    let mut images = 0;
    for seed in 0..3 {
        let test = TestEnv::new(tight_options().space_target(80));
        let mut states = vec![Model::new()];
        mixed(&test, seed, &mut states);
        let mut looked_at = 0;
        images += sweep(&test.disk, &tight_options(), &states, &mut |env, expected| {
            looked_at += 1;
            if looked_at % 16 == 0 {
                // The number of what was given up is used again.
                let db = env.database("db", DatabaseOptions::default()).unwrap();
                let mut txn = env.begin_exclusive().unwrap();
                txn.put(&db, b"next", b"1").unwrap();
                txn.commit().unwrap();
                env.compact().unwrap();
                let left = env.verify(&VerifyOptions::new()).unwrap();
                assert!(left.findings.is_empty(), "{left:?}");
                let mut expected = expected.clone();
                expected.entry("db".into()).or_default().insert(b"next".to_vec(), b"1".to_vec());
                assert!(content(env).unwrap() == expected);
            }
        });
    }
    assert!(images > 1500, "only {images} states");
}

#[test]
fn many_random_histories_give_what_they_say() {
    for seed in 100..160 {
        let mut test = TestEnv::new(tight_options());
        let mut states = vec![Model::new()];
        mixed(&test, seed, &mut states);
        test.kill();
        assert!(content(test.env()).unwrap() == *states.last().unwrap(), "seed {seed}");
    }
}

/// Repairs what is left without the files whose names begin so.
fn repaired_without(image: &Image, gone: &[&str]) -> Model {
    let mut image = image.clone();
    let paths: Vec<String> = image.files().map(|(path, _)| path.to_owned()).collect();
    for path in paths {
        if gone.iter().any(|gone| path.starts_with(&format!("g-000001/{gone}"))) {
            image = image.without(&path);
        }
    }
    let (target, world) = (MemDisk::new(), SimWorld::new(3));
    repair_in(image.to_mem().root(), target.root(), world.world(), small_options()).unwrap();
    let (env, _) = Environment::open_in(target.root(), world.world(), small_options()).unwrap();
    content(&env).unwrap()
}

#[test]
fn repair_knows_what_was_committed_in_parts_and_what_was_given_up() {
    let test = TestEnv::new(tight_options());
    let db = test.db("db");
    for (round, keep) in [(1u8, true), (2, false), (3, true), (4, false)] {
        let mut txn = test.env().begin_exclusive().unwrap();
        fill(&mut txn, &db, 0..600, round);
        fill(&mut txn, &db, 200..300, 100 + round);
        if keep {
            txn.commit().unwrap();
        } else {
            drop(txn);
            // A commit with the same number, and a checkpoint that vouches for it.
            test.put("db", &ordered(5000 + u32::from(round)), b"small");
            test.env().checkpoint().unwrap();
        }
    }
    let expected = content(test.env()).unwrap();
    assert_eq!(expected["db"].len(), 602);
    for gone in [&[][..], &["STATE"]] {
        assert!(repaired_without(&test.disk.image(), gone) == expected, "without {gone:?}");
    }
    // Only leaves are left.
    let found = repaired_without(&test.disk.image(), &["STATE", "J-"]);
    for (key, value) in &found["db"] {
        assert_eq!(
            Some(value),
            expected["db"].get(key),
            "leaves of what was given up count for nothing"
        );
    }
    assert!(found["db"].len() > 550, "{} entries", found["db"].len());
}

/// A repair took the parts of a transaction for given up that stood in files before the last one: those begin with the
/// number that it has itself. Only leaves brought it back.
#[test]
fn repair_puts_a_transaction_together_whose_parts_are_in_several_files() {
    let test = TestEnv::new(tight_options());
    let db = test.db("db");
    for (round, keep) in [(1u8, false), (2, true)] {
        let mut txn = test.env().begin_exclusive().unwrap();
        fill(&mut txn, &db, 0..600, round);
        if keep {
            txn.commit().unwrap();
        }
    }
    let (expected, image) = (content(test.env()).unwrap(), test.disk.image());
    assert_eq!(expected["db"].len(), 600);
    assert!(image.files().filter(|(path, _)| path.contains("/J-")).count() > 4);
    assert!(repaired_without(&image, &["N-", "STATE"]) == expected);
}

/// It keeps up no index, so it leaves alone what has one.
#[test]
fn an_exclusive_transaction_changes_no_database_that_has_an_index() {
    let test = TestEnv::new(small_options());
    let (db, other) = (test.db("db"), test.db("other"));
    let tags = test.env().multimap("tags").unwrap();
    let index = test.env().index(&db, crate::index::by_word()).unwrap();
    let mut txn = test.env().begin_exclusive().unwrap();
    for database in [&db, index.database(), tags.database()] {
        let refused = [
            txn.put(database, b"k", b"v"),
            txn.delete(database, b"k").map(drop),
            txn.load(database, [(b"k", b"v")]).map(drop),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        }
    }
    let as_map = txn.create_database("tags", DatabaseOptions::default());
    assert!(matches!(as_map, Err(EnvError::WrongKind { .. })));
    txn.put(&other, b"k", b"v").unwrap();
    txn.commit().unwrap();
    test.put("db", b"k", b"one two");
    let snapshot = test.env().snapshot().unwrap();
    assert_eq!(crate::index::held(&snapshot, &index), crate::index::recomputed(&snapshot, &db));
}

/// Gives a transaction up while neither kind of file can be written, uses its number, and loses all but
/// the leaves.
#[test]
fn one_that_is_given_up_on_a_full_disk_is_given_up_all_the_same() {
    for full in ["J-", "N-"] {
        let (sim, world) = (SimDisk::new(), SimWorld::new(1));
        let disk = FaultDisk::on_sim(&sim, 0);
        let (env, _) = Environment::open_in(disk.root(), world.world(), tight_options()).unwrap();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        env.write(|txn| txn.put(&db, b"before", b"1")).unwrap();
        let mut txn = env.begin_exclusive().unwrap();
        fill(&mut txn, &db, 0..600, 9);
        disk.inject(
            Rule::new(Fault::NoSpace)
                .op(IoOp::Write)
                .file(move |name| name.starts_with(full))
                .and_on(),
        );
        drop(txn);
        assert!(env.is_valid());
        let put = || env.write(|txn| txn.put(&db, b"after", b"1"));
        assert!(put().unwrap_err().is_no_space(), "{full}: the number is not free yet");
        assert!(env.begin_exclusive().unwrap_err().is_no_space());
        disk.clear();
        put().unwrap();
        for _ in 0..3 {
            env.write(|txn| txn.put(&db, b"after", b"2")).unwrap();
            env.checkpoint().unwrap();
        }
        let left = env.verify(&VerifyOptions::new()).unwrap();
        assert!(left.findings.is_empty(), "{full}: {left:?}");
        let expected = content(&env).unwrap();
        assert_eq!(expected["db"].len(), 2);
        let found = repaired_without(&sim.image(), &["STATE", "J-"]);
        for (key, value) in &found["db"] {
            assert_eq!(Some(value), expected["db"].get(key), "{full}: {key:?}");
        }
    }
}
