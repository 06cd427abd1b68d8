//! Transactions: what conflicts, what does not, and that every history has an order.

use std::collections::BTreeMap;

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, EnvResult, Environment, Transaction,
};

use crate::fixture::{TestEnv, ordered, small_options};

fn keys(env: &Environment, db: &Database, keys: &[&str]) {
    env.write(|txn| keys.iter().try_for_each(|key| txn.put(db, key.as_bytes(), b"0"))).unwrap();
}

fn put(env: &Environment, db: &Database, key: &str) {
    env.write(|txn| txn.put(db, key.as_bytes(), b"other")).unwrap();
}

/// Whether a transaction that reads like this conflicts with one that then changes `key`.
fn conflicts(
    env: &Environment,
    db: &Database,
    read: impl FnOnce(&Transaction) -> EnvResult<()>,
    change: impl FnOnce(&mut Transaction) -> EnvResult<()>,
) -> bool {
    let mut txn = env.begin_write().unwrap();
    read(&txn).unwrap();
    txn.put(db, b"~written", b"").unwrap();
    let mut other = env.begin_write().unwrap();
    change(&mut other).unwrap();
    other.commit().unwrap();
    match txn.commit() {
        Ok(_) => false,
        Err(EnvError::Conflict { database, .. }) => {
            assert_eq!(database, db.name());
            true
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn transactions_on_disjoint_keys_both_commit() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    keys(env, &db, &["a", "b"]);
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    for (txn, key) in [(&mut one, b"a"), (&mut two, b"b")] {
        assert_eq!(txn.get(&db, key).unwrap().unwrap(), b"0");
        txn.put(&db, key, b"1").unwrap();
    }
    one.commit().unwrap();
    two.commit().unwrap();
}

#[test]
fn of_a_pair_with_write_skew_exactly_one_commits() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    keys(env, &db, &["ada on call", "bob on call"]);
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    for (txn, leaves) in [(&mut one, "ada on call"), (&mut two, "bob on call")] {
        assert_eq!(txn.range(&db, ..).unwrap().count(), 2);
        txn.delete(&db, leaves.as_bytes()).unwrap();
    }
    one.commit().unwrap();
    let error = two.commit().unwrap_err();
    assert_eq!(
        error.to_string(),
        "commit 3 has changed ada on call of database db after this transaction had read it; run \
         the transaction again"
    );
    assert!(error.is_retryable());
}

#[test]
fn reads_conflict_with_changes_of_exactly_what_they_observed() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    let other = env.database("other", DatabaseOptions::default()).unwrap();
    keys(env, &db, &["c", "e", "g", "i"]);
    let range = |from: &'static str, to: &'static str, front: usize, back: usize| {
        let db = db.clone();
        move |txn: &Transaction| {
            let mut range = txn.range(&db, from.as_bytes()..to.as_bytes())?;
            for _ in 0..front {
                range.next().transpose()?;
            }
            for _ in 0..back {
                range.next_back().transpose()?;
            }
            Ok(())
        }
    };
    type Read<'a> = Box<dyn Fn(&Transaction) -> EnvResult<()> + 'a>;
    let get =
        |key: &'static str| -> Read<'_> { Box::new(|txn| txn.get(&db, key.as_bytes()).map(drop)) };
    // What is read, what is changed, whether that conflicts.
    let cases: Vec<(&str, Read<'_>, &str, bool)> = vec![
        ("a hit", get("c"), "c", true),
        ("a hit and its neighbour", get("c"), "b", false),
        ("a miss", get("d"), "d", true),
        ("a whole range, an entry", Box::new(range("b", "h", 9, 0)), "e", true),
        ("a whole range, a gap", Box::new(range("b", "h", 9, 0)), "d", true),
        ("a whole range, its first key", Box::new(range("b", "h", 9, 0)), "b", true),
        ("a whole range, right after it", Box::new(range("b", "h", 9, 0)), "h", false),
        ("an empty range", Box::new(range("j", "m", 9, 0)), "k", true),
        ("one entry, the gap before it", Box::new(range("b", "h", 1, 0)), "bb", true),
        ("one entry, itself", Box::new(range("b", "h", 1, 0)), "c", true),
        ("one entry, the gap after the next", Box::new(range("b", "h", 1, 0)), "f", false),
        ("one from behind, the gap behind it", Box::new(range("b", "h", 0, 1)), "gg", true),
        ("one from behind, itself", Box::new(range("b", "h", 0, 1)), "g", true),
        ("one from behind, the front", Box::new(range("b", "h", 0, 1)), "c", false),
        ("one from each end, the middle", Box::new(range("b", "j", 1, 1)), "f", false),
        ("all from behind, a gap", Box::new(range("b", "h", 0, 9)), "d", true),
        ("nothing of a range", Box::new(range("b", "h", 0, 0)), "c", false),
        ("a reversed range", Box::new(range("h", "b", 9, 0)), "c", false),
        ("the number of entries", Box::new(|txn| txn.len(&db).map(drop)), "zz", true),
        (
            "without being tracked",
            Box::new(|txn| txn.get_untracked(&db, b"c").map(drop)),
            "c",
            false,
        ),
    ];
    for (what, read, key, expected) in cases {
        let change = |txn: &mut Transaction| txn.put(&db, key.as_bytes(), b"1");
        assert_eq!(conflicts(env, &db, &read, change), expected, "{what}");
        env.write(|txn| {
            let original = ["c", "e", "g", "i"].contains(&key);
            if original { Ok(()) } else { txn.delete(&db, key.as_bytes()) }
        })
        .unwrap();
        let elsewhere = |txn: &mut Transaction| txn.put(&other, key.as_bytes(), b"1");
        assert!(!conflicts(env, &db, &read, elsewhere), "{what}, another database");
    }
    let delete = |txn: &mut Transaction| txn.delete(&db, b"g");
    assert!(conflicts(env, &db, |txn| txn.len(&db).map(drop), delete));
    let forgotten = |txn: &Transaction| {
        std::mem::forget(txn.range(&db, &b"b"[..]..&b"h"[..])?);
        Ok(())
    };
    assert!(conflicts(env, &db, forgotten, |txn| txn.put(&db, b"e", b"")));
}

/// Who comes from further back than what is remembered asks the leaves.
#[test]
fn a_long_transaction_stays_exact_enough_and_never_misses() {
    let test = TestEnv::new(small_options().cache_bytes(64 << 20));
    let (env, db) = (test.env(), test.db("db"));
    env.write(|txn| (0..5000u32).try_for_each(|n| txn.put(&db, &ordered(n), &[7; 50]))).unwrap();
    let busy = || {
        for n in 4000..4300u32 {
            env.write_with(Durability::NoSync, |txn| txn.put(&db, &ordered(n), b"")).unwrap();
        }
    };
    let read = |txn: &Transaction| {
        let (from, to) = (ordered(10), ordered(20));
        assert_eq!(txn.range(&db, &from[..]..&to[..]).unwrap().count(), 10);
    };
    for (changed, expected) in [(None, true), (Some(15u32), false), (Some(9), false)] {
        let mut txn = env.begin_write().unwrap();
        read(&txn);
        if let Some(n) = changed {
            env.write(|txn| txn.put(&db, &ordered(n), b"changed")).unwrap();
        }
        busy();
        txn.put(&db, b"x", b"").unwrap();
        // 9 is a neighbour in the same leaf: a conflict that need not be, and may.
        assert_eq!(txn.commit().is_ok(), expected, "{changed:?}");
    }
    // More than is remembered, by memory: keys of 4 KB.
    for (changed, expected) in [(3000u32, true), (15, false)] {
        let mut txn = env.begin_write().unwrap();
        assert!(txn.get(&db, &ordered(15)).unwrap().is_some());
        env.write(|txn| txn.put(&db, &ordered(changed), b"changed")).unwrap();
        for n in 0..20u32 {
            env.write_with(Durability::NoSync, |txn| {
                (0..500u32).try_for_each(|m| {
                    let mut key = vec![0xff; 4000];
                    key[..4].copy_from_slice(&ordered(n * 500 + m + (1 << 31)));
                    txn.put(&db, &key, b"")
                })
            })
            .unwrap();
        }
        txn.put(&db, b"x", b"").unwrap();
        assert_eq!(txn.commit().is_ok(), expected, "{changed}");
    }
}

#[test]
fn savepoints_take_changes_back_and_nothing_else() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    keys(env, &db, &["a", "b"]);
    let mut txn = env.begin_write().unwrap();
    txn.put(&db, b"a", b"1").unwrap();
    let first = txn.savepoint();
    txn.delete(&db, b"a").unwrap();
    txn.put(&db, b"c", b"1").unwrap();
    let second = txn.savepoint();
    let created = txn.create_database("new", DatabaseOptions::default()).unwrap();
    txn.put(&created, b"k", b"v").unwrap();
    txn.put(&db, b"c", b"2").unwrap();
    txn.rollback_to(second).unwrap();
    assert_eq!(txn.get(&db, b"c").unwrap().unwrap(), b"1");
    assert!(txn.get(&db, b"a").unwrap().is_none());
    txn.rollback_to(second).unwrap();
    txn.rollback_to(first).unwrap();
    assert!(matches!(txn.rollback_to(second), Err(EnvError::InvalidInput { .. })));
    let mut other = env.begin_write().unwrap();
    assert!(matches!(other.rollback_to(first), Err(EnvError::InvalidInput { .. })));
    drop(other);
    assert_eq!(txn.get(&db, b"a").unwrap().unwrap(), b"1");
    txn.commit().unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(snapshot.len(&db).unwrap(), 2);
    assert!(snapshot.database("new").unwrap().is_none());
    drop(snapshot);
    // The handle of what was never created leads nowhere, also when its place could be taken.
    put(env, &db, "later");
    env.database("another", DatabaseOptions::default()).unwrap();
    let error = env.write(|txn| txn.put(&created, b"k", b"v")).unwrap_err();
    assert!(matches!(error, EnvError::NoSuchDatabase { name } if name == "new"));
    assert!(env.is_valid());
}

#[test]
fn two_can_create_databases_at_the_same_time() {
    let test = TestEnv::new(small_options());
    let env = test.env();
    test.db("the first");
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    let a = one.create_database("a", DatabaseOptions::default()).unwrap();
    let b = two.create_database("b", DatabaseOptions::default()).unwrap();
    one.put(&a, b"k", b"a").unwrap();
    two.put(&b, b"k", b"b").unwrap();
    one.commit().unwrap();
    two.commit().unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(snapshot.get(&a, b"k").unwrap().unwrap(), b"a");
    assert_eq!(snapshot.get(&b, b"k").unwrap().unwrap(), b"b");
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    one.create_database("same", DatabaseOptions::default()).unwrap();
    two.create_database("same", DatabaseOptions::default()).unwrap();
    one.commit().unwrap();
    assert!(matches!(two.commit(), Err(EnvError::Conflict { .. })));
}

/// A transaction that reads everything and takes its time, among others that never rest.
#[test]
fn a_slow_transaction_is_not_overtaken_for_ever() {
    let test = TestEnv::new(small_options().background(true));
    let (env, db) = (test.env(), test.db("db"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let (stop, db) = (&stop, &db);
            scope.spawn(move || {
                let mut n = 0u32;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    n += 1;
                    let key = [thread, (n % 50) as u8];
                    env.write_with(Durability::NoSync, |txn| txn.put(db, &key, &n.to_le_bytes()))
                        .unwrap();
                }
            });
        }
        let mut runs = 0;
        let sum = env.write(|txn| {
            runs += 1;
            let entries: BTreeMap<_, _> = txn.range(&db, ..)?.collect::<Result<_, _>>()?;
            for _ in 0..20 {
                std::thread::yield_now();
            }
            txn.put(&db, b"sum", &entries.len().to_le_bytes())
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        sum.unwrap();
        assert!(runs <= 9, "{runs} runs");
    });
}
