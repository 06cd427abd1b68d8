//! Dropping databases: gone at once, their space by and by, whatever happens in between.

use cairn_env::{DatabaseOptions, EnvError, VerifyOptions};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

fn fill(test: &TestEnv, name: &str, entries: u32) {
    let db = test.db(name);
    let fill = test.env().write(|txn| {
        (0..entries).try_for_each(|n| {
            let len = if n % 10 == 0 { 1500 } else { 50 };
            txn.put(&db, &ordered(n), &vec![7; len])
        })
    });
    fill.unwrap();
}

#[test]
fn a_dropped_database_is_gone_at_once_and_its_space_soon() {
    let mut test = TestEnv::new(small_options());
    fill(&test, "kept", 50);
    fill(&test, "dropped", 2000);
    test.env().compact().unwrap();
    let before = test.env().stats().unwrap();
    let snapshot = test.env().snapshot().unwrap();
    let db = test.db("dropped");
    test.env().write(|txn| txn.drop_database(&db)).unwrap();
    assert!(test.env().find_database("dropped").unwrap().is_none());
    assert_eq!(content(test.env()).unwrap().keys().collect::<Vec<_>>(), ["kept"]);
    for _ in 0..3 {
        let put = test.env().write(|txn| txn.put(&db, b"k", b"v"));
        assert!(matches!(put, Err(EnvError::NoSuchDatabase { .. })), "{put:?}");
        let again = test.env().write(|txn| txn.drop_database(&db));
        assert!(matches!(again, Err(EnvError::NoSuchDatabase { .. })), "{again:?}");
        test.env().checkpoint().unwrap();
    }
    // Who saw it still does.
    assert_eq!(snapshot.len(&db).unwrap(), 2000);
    assert_eq!(snapshot.iter(&db).unwrap().filter(Result::is_ok).count(), 2000);
    drop(snapshot);
    test.env().compact().unwrap();
    let after = test.env().stats().unwrap();
    assert!(after.live_bytes * 10 < before.live_bytes, "{before:?}, {after:?}");
    assert!(after.file_bytes * 4 < before.file_bytes, "{before:?}, {after:?}");
    test.reopen();
    fill(&test, "dropped", 3);
    let found = content(test.env()).unwrap();
    assert_eq!((found["kept"].len(), found["dropped"].len()), (50, 3));
}

#[test]
fn several_threads_clean_away_what_was_dropped() {
    let test = TestEnv::new(small_options());
    for round in 0..60 {
        fill(&test, "dropped", 300);
        let db = test.db("dropped");
        test.env().write(|txn| txn.drop_database(&db)).unwrap();
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (start, env) = (&start, test.env());
                scope.spawn(move || {
                    start.wait();
                    env.clean().unwrap_or_else(|e| panic!("round {round}, thread {thread}: {e}"));
                });
            }
        });
    }
    assert!(content(test.env()).unwrap().is_empty());
    let report = test.env().verify(&VerifyOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn a_name_can_be_dropped_and_created_in_one_transaction() {
    let test = TestEnv::new(small_options());
    // In an environment that has no list of databases yet, and what it creates goes at once.
    test.env()
        .write(|txn| {
            let db = txn.create_database("brief", DatabaseOptions::default())?;
            txn.put(&db, b"k", b"v")?;
            txn.drop_database(&db)
        })
        .unwrap();
    assert!(content(test.env()).unwrap().is_empty());
    fill(&test, "db", 20);
    let db = test.db("db");
    let mut txn = test.env().begin_write().unwrap();
    let before = txn.savepoint();
    txn.drop_database(&db).unwrap();
    assert!(matches!(txn.put(&db, b"k", b"v"), Err(EnvError::NoSuchDatabase { .. })));
    txn.rollback_to(before).unwrap();
    txn.put(&db, b"k", b"v").unwrap();
    txn.drop_database(&db).unwrap();
    let new = txn.create_database("db", DatabaseOptions::default()).unwrap();
    assert_ne!(new, db);
    txn.put(&new, b"new", b"1").unwrap();
    txn.commit().unwrap();
    assert_eq!(content(test.env()).unwrap()["db"].len(), 1);
}

#[test]
fn a_drop_conflicts_with_who_has_read_the_database() {
    let test = TestEnv::new(small_options());
    fill(&test, "db", 20);
    let (db, other) = (test.db("db"), test.db("other"));
    for far in [false, true] {
        let mut reader = test.env().begin_write().unwrap();
        let bystander = test.env().begin_write().unwrap();
        bystander.get(&other, b"x").unwrap();
        let db = test.db("db");
        assert!(reader.get(&db, b"nothing").unwrap().is_none());
        assert_eq!(reader.range(&db, ..).unwrap().count(), if far { 3 } else { 20 });
        reader.put(&other, b"k", b"v").unwrap();
        test.env().write(|txn| txn.drop_database(&db)).unwrap();
        if far {
            for n in 0..300u32 {
                test.put("other", &ordered(n), b"");
            }
        }
        assert!(matches!(reader.commit(), Err(EnvError::Conflict { .. })), "far: {far}");
        bystander.commit().unwrap();
        fill(&test, "db", 3);
    }
    assert!(db.name() == "db");
}

#[test]
fn a_crash_at_any_operation_while_a_dropped_database_is_emptied_loses_nothing() {
    let test = TestEnv::new(small_options());
    let mut states: Vec<Model> = vec![Model::new()];
    let note = |states: &mut Vec<Model>| {
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", states.len() as u64 - 1);
    };
    let kept = test.db("kept");
    note(&mut states);
    for round in 0..3u32 {
        let db = test.db("db");
        note(&mut states);
        let fill = test.env().write(|txn| {
            (0..80u32).try_for_each(|n| txn.put(&db, &ordered(n), &[1; 60]))?;
            txn.put(&db, b"large", &[2; 1500])
        });
        fill.unwrap();
        note(&mut states);
        if round == 1 {
            test.env().checkpoint().unwrap();
        }
        test.env().write(|txn| txn.drop_database(&db)).unwrap();
        note(&mut states);
        test.env().checkpoint().unwrap();
        test.env().write(|txn| txn.put(&kept, &ordered(round), b"1")).unwrap();
        note(&mut states);
        test.env().compact().unwrap();
    }
    let mut looked_at = 0;
    let images = sweep(&test.disk, &small_options(), &states, &mut |env, expected| {
        looked_at += 1;
        if looked_at % 16 == 0 {
            // It goes on where it was.
            env.compact().unwrap();
            let left = env.verify(&VerifyOptions::new()).unwrap();
            assert!(left.findings.is_empty(), "{left:?}");
            assert!(content(env).unwrap() == *expected);
        }
    });
    assert!(images > 1000, "only {images} states");
}
