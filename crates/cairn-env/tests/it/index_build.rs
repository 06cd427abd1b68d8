//! Building an index of what is there already, while others write and whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use cairn_env::{Database, Durability, EnvError, IndexDef};

use crate::{
    fixture::{Model, TestEnv, content, ordered, small_options, sweep},
    index::{by_word, held, recomputed},
};

/// Entries for several steps.
fn fill(test: &TestEnv) -> Database {
    fill_with(test, 400)
}

fn fill_with(test: &TestEnv, entries: u32) -> Database {
    let db = test.db("db");
    let value = |n: u32| format!("w{} w{} {}", n % 7, n % 5, "x".repeat(200));
    let fill = test
        .env()
        .write(|txn| (0..entries).try_for_each(|n| txn.put(&db, &ordered(n), value(n).as_bytes())));
    fill.unwrap();
    db
}

fn split(value: &[u8], emit: &mut dyn FnMut(&[u8])) {
    value.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).for_each(emit);
}

/// The function of the index itself writes to the database: while a step is under way, and each time
/// in another place.
#[test]
fn changes_in_the_middle_of_building_are_in_the_index() {
    let test = TestEnv::new(small_options());
    let db = fill(&test);
    let calls = Arc::new(AtomicU32::new(0));
    let (env, inner, counted) = (test.env().clone(), db.clone(), Arc::clone(&calls));
    let busy = AtomicBool::new(false);
    let writer = move |_: &[u8], value: &[u8], emit: &mut dyn FnMut(&[u8])| {
        let n = counted.fetch_add(1, Ordering::Relaxed);
        if n % 11 == 5 && n < 1500 && !busy.swap(true, Ordering::Relaxed) {
            env.write(|txn| {
                txn.put(&inner, &ordered(n * 13 % 400), format!("new{n}").as_bytes())?;
                txn.put(&inner, &ordered(1000 + n), b"added")?;
                txn.delete(&inner, &ordered(n * 7 % 400))
            })
            .unwrap();
            busy.store(false, Ordering::Relaxed);
        }
        split(value, emit);
    };
    let index = test.env().index(&db, IndexDef::new("by word", 1, writer)).unwrap();
    assert!(calls.load(Ordering::Relaxed) > 600, "steps were run again");
    let snapshot = test.env().snapshot().unwrap();
    assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
    assert!(index.get(&snapshot, b"added").unwrap().is_some());
    drop((snapshot, index));
    // The environment must not live in its own index for ever.
    test.env().write(|txn| txn.drop_database(&db)).unwrap();
}

#[test]
fn threads_that_write_meanwhile_are_in_the_index() {
    let test = TestEnv::new(small_options().background(true));
    let db = fill(&test);
    let (env, stop) = (test.env(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut n = thread;
                while !stop.load(Ordering::Relaxed) {
                    n += 2;
                    env.write_with(Durability::NoSync, |txn| {
                        txn.put(db, &ordered(n * 31 % 500), format!("t{thread} n{n}").as_bytes())
                    })
                    .unwrap();
                }
            });
        }
        for version in 1..6 {
            let def = IndexDef::new("by word", version, |_, value, emit| split(value, emit));
            let index = env.index(&db, def).unwrap();
            let snapshot = env.snapshot().unwrap();
            assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_transaction_that_did_not_know_of_the_index_conflicts() {
    let test = TestEnv::new(small_options());
    let db = fill(&test);
    let other = test.db("other");
    let mut before = test.env().begin_write().unwrap();
    before.put(&db, b"blind", b"w1").unwrap();
    let mut bystander = test.env().begin_write().unwrap();
    bystander.put(&other, b"k", b"v").unwrap();
    let index = test.env().index(&db, by_word()).unwrap();
    let error = before.commit().unwrap_err();
    let EnvError::Conflict { database, key, .. } = &error else { panic!("{error}") };
    assert_eq!((&database[..], &key[..]), ("the list of databases", &b"db"[..]));
    bystander.commit().unwrap();
    let mut before = test.env().begin_write().unwrap();
    before.put(&db, b"kept up", b"w1").unwrap();
    test.env().write(|txn| txn.drop_database(index.database())).unwrap();
    assert!(matches!(before.commit(), Err(EnvError::Conflict { .. })));
}

#[test]
fn another_version_is_another_index_and_the_old_handle_says_so() {
    let mut test = TestEnv::new(small_options());
    let db = fill(&test);
    let old = test.env().index(&db, by_word()).unwrap();
    let length = |version| {
        IndexDef::new("by word", version, |_, value, emit| {
            emit(&[u8::try_from(value.len()).unwrap()])
        })
    };
    let new = test.env().index(&db, length(2)).unwrap();
    let snapshot = test.env().snapshot().unwrap();
    assert!(matches!(old.get(&snapshot, b"w1"), Err(EnvError::NoSuchDatabase { .. })));
    assert!(new.get(&snapshot, &[206]).unwrap().is_some());
    // The same again is the same index; a unique one is another, and cannot be.
    assert_eq!(test.env().index(&db, length(2)).unwrap(), new);
    let refused = test.env().index(&db, length(2).unique());
    assert!(matches!(refused, Err(EnvError::NotUnique { .. })), "{refused:?}");
    assert!(test.env().find_database("by word").unwrap().is_none());
    test.env().write(|txn| txn.put(&db, b"k", b"v")).unwrap();
    // Names that are taken.
    let refused = test.env().index(&db, IndexDef::new("db", 1, |_, _, _| ()));
    assert!(matches!(refused, Err(EnvError::WrongKind { .. })));
    test.env().index(&db, length(2)).unwrap();
    let refused = test.env().index(&test.db("other"), length(2));
    assert!(matches!(refused, Err(EnvError::InvalidInput { .. })));
    let refused = test.env().index(new.database(), length(2));
    assert!(matches!(refused, Err(EnvError::WrongKind { .. })));
    let long = IndexDef::new("long", 1, |_, _, emit| emit(&[1; 4096]));
    assert!(matches!(test.env().index(&db, long), Err(EnvError::PairTooLong { .. })));
    assert!(test.env().find_database("long").unwrap().is_none());
    drop(snapshot);
    // What is whole is read where nothing may be written; what is not there is not made.
    test.close();
    let options = std::mem::replace(&mut test.options, small_options().read_only(true));
    test.open().unwrap();
    let db = test.env().find_database("db").unwrap().unwrap();
    let index = test.env().index(&db, length(2)).unwrap();
    assert!(index.get(&test.env().snapshot().unwrap(), &[206]).unwrap().is_some());
    assert!(matches!(test.env().index(&db, length(3)), Err(EnvError::ReadOnly)));
    test.close();
    test.options = options;
    test.open().unwrap();
}

/// Killed at any time, an index is whole or counts for nothing and is built again.
#[test]
fn a_crash_in_the_middle_of_building_leaves_no_half_index() {
    const ENTRIES: u32 = 20;
    // Steps of a few entries: a 64th of the cache.
    let options = small_options().cache_bytes(64 << 10);
    let mut test = TestEnv::new(options.clone());
    // What was there after each commit; building changes no entry.
    let mut states = vec![Model::new(), Model::from([("db".into(), BTreeMap::new())])];
    let note = |test: &TestEnv, states: &mut Vec<Model>| {
        let commit = test.env().snapshot().unwrap().commit();
        states.resize(usize::try_from(commit).unwrap() + 1, content(test.env()).unwrap());
        test.disk.mark("acknowledged", commit);
    };
    let db = fill_with(&test, ENTRIES);
    note(&test, &mut states);
    test.env().index(&db, by_word()).unwrap();
    note(&test, &mut states);
    test.env().checkpoint().unwrap();
    let second = IndexDef::new("by word", 2, |_, value, emit| split(value, emit));
    test.env().index(&db, second).unwrap();
    note(&test, &mut states);
    assert!(states.len() > 12, "several steps");
    test.close();
    let (mut whole, mut partial) = (0, 0);
    let images = sweep(&test.disk, &options, &states, &mut |env, _| {
        let Some(db) = env.find_database("db").unwrap() else { return };
        let snapshot = env.snapshot().unwrap();
        let found = env.find_database("by word").unwrap();
        if let Some(found) = found {
            let expected: usize = recomputed(&snapshot, &db).values().map(BTreeSet::len).sum();
            let is_whole = snapshot.len(&found).unwrap() == expected as u64;
            *(if is_whole { &mut whole } else { &mut partial }) += 1;
            // Without the function, what is half counts for nothing and stands against no write.
            let written = env.write(|txn| txn.put(&db, b"while half", b"half"));
            let refused = matches!(written, Err(EnvError::IndexNotRegistered { .. }));
            assert!(if is_whole { refused || written.is_ok() } else { written.is_ok() });
        }
        let index = env.index(&db, by_word()).unwrap();
        let snapshot = env.snapshot().unwrap();
        assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
    });
    assert!(partial > 20 && whole > 20, "{images} states, {partial} partial, {whole} whole");
}
