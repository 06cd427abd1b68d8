//! What users do: put, get, iterate, look back, close and open.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_env::{
    DatabaseOptions, Durability, EnvError, Environment, MAX_KEY_LEN, Options, VerifyOptions,
};

use crate::fixture::{TestEnv, content, small_options};

#[test]
fn what_was_put_is_there_after_a_reopen() {
    let mut test = TestEnv::new(small_options());
    for i in 0..500u32 {
        test.put("db", format!("key {i:05}").as_bytes(), format!("value {i}").as_bytes());
    }
    let before = content(test.env()).unwrap();
    assert_eq!(before["db"].len(), 500);
    test.reopen();
    assert!(test.env().recovery_report().clean);
    assert_eq!(content(test.env()).unwrap(), before);
    test.kill();
    assert_eq!(content(test.env()).unwrap(), before);
}

#[test]
fn large_values_stand_beside_the_tree_and_come_back() {
    let mut test = TestEnv::new(small_options());
    let value = |n: usize| (0..n).map(|i| u8::try_from(i % 251).unwrap()).collect::<Vec<u8>>();
    for n in [0, 1, 1024, 1025, 5000, 20_000, 300_000] {
        test.put("db", format!("{n}").as_bytes(), &value(n));
    }
    test.put("db", b"5000", &value(5001));
    for round in 0..3 {
        let (db, snapshot) = (test.db("db"), test.env().snapshot().unwrap());
        for n in [0, 1, 1024, 1025, 20_000, 300_000] {
            let found = snapshot.get(&db, format!("{n}").as_bytes()).unwrap().unwrap();
            assert_eq!(&found[..], &value(n)[..], "round {round}, {n} bytes");
        }
        assert_eq!(&snapshot.get(&db, b"5000").unwrap().unwrap()[..], &value(5001)[..]);
        let lengths = [300_000, 5001, 1, 7, 1024, 20_000, 0, 300_000];
        let keys = lengths.map(|n| if n == 5001 { "5000".into() } else { format!("{n}") });
        for (n, found) in lengths.into_iter().zip(snapshot.get_many(&db, &keys).unwrap()) {
            let expected = Some(value(n)).filter(|_| n != 7); // which is not there
            assert_eq!(found.as_deref(), expected.as_deref(), "round {round}, {n} bytes");
        }
        drop(snapshot);
        match round {
            0 => test.kill(),
            _ => test.reopen(),
        }
    }
}

#[test]
fn a_transaction_sees_its_own_changes_and_others_do_not() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    test.put("db", b"a", b"1");
    test.put("db", b"b", b"2");
    let mut txn = test.env().begin_write().unwrap();
    txn.put(&db, b"b", b"two").unwrap();
    txn.put(&db, b"c", b"3").unwrap();
    txn.delete(&db, b"a").unwrap();
    assert!(txn.get(&db, b"a").unwrap().is_none());
    assert_eq!(txn.get(&db, b"b").unwrap().unwrap(), b"two");
    let seen: Vec<_> = txn.range(&db, ..).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
    assert_eq!(seen, [b"b".to_vec(), b"c".to_vec()]);
    let seen = txn.range(&db, &b"b"[..]..&b"c"[..]).unwrap().count();
    assert_eq!(seen, 1);
    assert_eq!(txn.range(&db, &b"c"[..]..&b"a"[..]).unwrap().count(), 0);
    assert_eq!(content(test.env()).unwrap()["db"].len(), 2);
    txn.commit().unwrap();
    assert_eq!(content(test.env()).unwrap()["db"].keys().collect::<Vec<_>>(), [b"b", b"c"]);
    let mut txn = test.env().begin_write().unwrap();
    txn.put(&db, b"d", b"4").unwrap();
    drop(txn);
    assert_eq!(content(test.env()).unwrap()["db"].len(), 2);
}

#[test]
fn a_transaction_that_was_overtaken_conflicts_unless_it_read_nothing() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    let mut reader = test.env().begin_write().unwrap();
    assert!(reader.get(&db, b"a").unwrap().is_none());
    reader.put(&db, b"b", b"1").unwrap();
    let mut blind = test.env().begin_write().unwrap();
    blind.put(&db, b"b", b"blind").unwrap();
    test.put("db", b"a", b"overtakes");
    assert!(matches!(reader.commit(), Err(EnvError::Conflict { .. })));
    blind.commit().unwrap();
    assert_eq!(content(test.env()).unwrap()["db"].len(), 2);
    let mut runs = 0;
    test.env()
        .write(|txn| {
            runs += 1;
            txn.get(&db, b"a")?;
            if runs == 1 {
                test.put("db", b"a", b"again");
            }
            txn.put(&db, b"c", b"3")
        })
        .unwrap();
    assert_eq!(runs, 2);
}

#[test]
fn databases_change_together_or_not_at_all() {
    let mut test = TestEnv::new(small_options());
    let env = test.env();
    let (a, b) = env
        .write(|txn| {
            let a = txn.create_database("a", DatabaseOptions::default())?;
            let b = txn.create_database("b", DatabaseOptions::default())?;
            assert_eq!(txn.create_database("a", DatabaseOptions::default())?, a);
            txn.put(&a, b"k", b"1")?;
            txn.put(&b, b"k", b"1")?;
            Ok((a, b))
        })
        .unwrap();
    assert_ne!(a, b);
    assert!(env.find_database("c").unwrap().is_none());
    assert!(env.database("", DatabaseOptions::default()).is_err());
    let failed: Result<(), _> = env.write(|txn| {
        txn.put(&a, b"k", b"2")?;
        txn.put(&b, &vec![0; MAX_KEY_LEN + 1], b"2")
    });
    assert!(matches!(failed, Err(EnvError::KeyTooLong { .. })));
    test.kill();
    let expected: BTreeMap<_, _> = [(b"k".to_vec(), b"1".to_vec())].into();
    let found = content(test.env()).unwrap();
    assert_eq!((&found["a"], &found["b"]), (&expected, &expected));
}

#[test]
fn keys_of_every_length_up_to_the_limit_are_kept() {
    let mut test = TestEnv::new(small_options());
    for len in [0, 1, 2, 255, 256, 1000, MAX_KEY_LEN - 1, MAX_KEY_LEN] {
        test.put("db", &vec![b'k'; len], &[1; 10]);
    }
    test.reopen();
    assert_eq!(content(test.env()).unwrap()["db"].len(), 8);
}

#[test]
fn a_snapshot_stays_what_it_was_through_checkpoints() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    for i in 0..200u8 {
        test.put("db", &[i], &[i]);
    }
    let snapshot = test.env().snapshot().unwrap();
    for round in 0..10u8 {
        for i in 0..200u8 {
            test.put("db", &[i], &[round]);
        }
        test.env().checkpoint().unwrap();
    }
    let seen: Vec<_> = snapshot.iter(&db).unwrap().map(|entry| entry.unwrap().1[0]).collect();
    assert_eq!(seen, (0..200).collect::<Vec<u8>>());
    let backwards: Vec<_> =
        snapshot.iter(&db).unwrap().rev().map(|entry| entry.unwrap().1[0]).collect();
    assert_eq!(backwards, (0..200).rev().collect::<Vec<u8>>());
    let mut both = snapshot.iter(&db).unwrap();
    let mut count = 0;
    while both.next().is_some() {
        count += 1;
        count += usize::from(both.next_back().is_some());
    }
    assert_eq!(count, 200, "the two ends meet and do not cross");
}

#[test]
fn closing_is_refused_while_somebody_looks() {
    let mut test = TestEnv::new(small_options());
    test.put("db", b"a", b"1");
    let snapshot = test.env().snapshot().unwrap();
    let txn = test.env().begin_write().unwrap();
    let error = test.env().clone().close().unwrap_err();
    assert_eq!(error.to_string(), "still in use by 1 snapshot, 1 transaction");
    drop((snapshot, txn));
    let other = test.env().clone();
    test.close();
    assert!(matches!(other.snapshot(), Err(EnvError::Closed)));
    test.open().unwrap();
}

/// A thread that began a transaction while another one closed the environment was let in until the closing was
/// done: its commit was acknowledged, the close said that all was in order, and the commit was gone.
#[test]
fn nobody_is_let_in_while_the_environment_is_being_closed() {
    let mut test = TestEnv::new(small_options());
    test.put("db", b"a", b"1");
    let other = test.env().clone();
    let calls = Arc::new(AtomicUsize::new(0));
    test.disk.watch({
        let calls = Arc::clone(&calls);
        move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            assert!(matches!(other.begin_write(), Err(EnvError::Closed)));
            assert!(matches!(other.snapshot(), Err(EnvError::Closed)));
        }
    });
    test.close();
    assert!(calls.load(Ordering::Relaxed) > 5, "the closing has written");
    test.open().unwrap();
}

#[test]
fn a_commit_that_nobody_has_waited_for_keeps_the_environment_open() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    let mut txn = test.env().begin_write().unwrap();
    txn.put(&db, b"a", b"1").unwrap();
    let pending = txn.submit(Durability::Sync).unwrap();
    let error = test.env().clone().close().unwrap_err();
    assert_eq!(error.to_string(), "still in use by 1 unfinished call");
    pending.wait().unwrap();
    test.close();
    test.open().unwrap();
    assert_eq!(content(test.env()).unwrap()["db"].len(), 1);
}

#[test]
fn an_open_that_writes_nothing_changes_nothing() {
    let mut test = TestEnv::new(small_options());
    test.put("db", b"a", b"1");
    for kill in [true, false] {
        if kill {
            test.kill()
        } else {
            test.reopen()
        }
        let before = test.disk.image();
        let report = test.env().recovery_report().clone();
        assert_eq!(content(test.env()).unwrap()["db"].len(), 1);
        test.close();
        assert_eq!(test.disk.image().hash(), before.hash(), "{report:?}");
        test.open().unwrap();
        test.put("db", b"b", b"1");
        test.env().write(|txn| txn.delete(&test.db("db"), b"b")).unwrap();
    }
}

#[test]
fn dead_journal_and_node_files_are_removed() {
    let mut test = TestEnv::new(small_options());
    for round in 0..30u32 {
        for i in 0..100u32 {
            test.put("db", &i.to_le_bytes(), format!("{round} {i}").as_bytes());
        }
        test.env().checkpoint().unwrap();
    }
    let stats = test.env().stats().unwrap();
    assert!(stats.log_files < 20, "{stats:?}");
    test.reopen();
    assert_eq!(content(test.env()).unwrap()["db"].len(), 100);
}

#[test]
fn commits_that_do_not_wait_become_durable_with_the_next_that_does() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    for i in 0..50u8 {
        test.env().write_with(Durability::NoSync, |txn| txn.put(&db, &[i], b"x")).unwrap();
    }
    assert_eq!(test.env().snapshot().unwrap().len(&db).unwrap(), 50);
    assert_eq!(test.env().durable_snapshot().unwrap().len(&db).unwrap(), 0);
    test.env().sync().unwrap();
    assert_eq!(test.env().durable_snapshot().unwrap().len(&db).unwrap(), 50);
}

#[test]
fn threads_share_an_environment_with_its_worker() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default().checkpoint_bytes(200_000).cache_bytes(1 << 20);
    let (env, report) = Environment::open(dir.path(), options.clone()).unwrap();
    assert!(report.created);
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (env, db) = (&env, &db);
            scope.spawn(move || {
                for i in 0..500u32 {
                    let key = [thread.to_le_bytes(), i.to_le_bytes()].concat();
                    let durability =
                        if i % 50 == 0 { Durability::Sync } else { Durability::NoSync };
                    env.write_with(durability, |txn| txn.put(db, &key, &[7; 300])).unwrap();
                    let found = env.snapshot().unwrap().get(db, &key).unwrap();
                    assert_eq!(found.unwrap(), [7; 300]);
                }
            });
        }
    });
    assert_eq!(env.snapshot().unwrap().len(&db).unwrap(), 2000);
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert!(matches!(
        Environment::open(dir.path(), options.clone()),
        Err(EnvError::AlreadyOpen { .. })
    ));
    env.close().unwrap();
    let (env, report) = Environment::open(dir.path(), options).unwrap();
    assert!(report.clean);
    assert_eq!(env.snapshot().unwrap().len(&db).unwrap(), 2000);
}
