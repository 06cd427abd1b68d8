//! Indexes: at every snapshot, what their function makes of the entries.

use std::collections::{BTreeMap, BTreeSet};

use cairn_env::{
    Database, EnvError, EnvResult, Environment, ErrorKind, Index, IndexCursor, IndexDef, Savepoint,
    Snapshot, Transaction,
};
use cairn_sim::Seeded;

use crate::fixture::{Model, TestEnv, content, small_options, sweep};

/// Each word of a value is a key, whatever separates it.
fn words(_key: &[u8], value: &[u8], emit: &mut dyn FnMut(&[u8])) {
    value.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).for_each(emit);
}

pub(crate) fn by_word() -> IndexDef {
    IndexDef::new("by word", 1, words)
}

pub(crate) type Found = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// What the index should hold: made from the entries, without the index.
pub(crate) fn recomputed(snapshot: &Snapshot, primary: &Database) -> Found {
    let mut found = Found::new();
    for entry in snapshot.iter(primary).unwrap() {
        let (key, value) = entry.unwrap();
        words(&key, &value, &mut |word| {
            found.entry(word.to_vec()).or_default().insert(key.to_vec());
        });
    }
    found
}

/// What the index holds, found in all the ways there are.
pub(crate) fn held(snapshot: &Snapshot, index: &Index) -> Found {
    let mut found = Found::new();
    for entry in index.range(snapshot, ..).unwrap() {
        let entry = entry.unwrap();
        let value = snapshot.get(index.primary(), &entry.primary_key).unwrap().unwrap();
        assert_eq!(value, entry.value[..]);
        found.entry(entry.key.to_vec()).or_default().insert(entry.primary_key.to_vec());
    }
    let keys = index.keys(snapshot, ..).unwrap().map(|key| key.unwrap().to_vec());
    assert!(keys.eq(found.keys().cloned()));
    for (key, entries) in &found {
        let of_key = index.primary_keys(snapshot, key).unwrap().map(|key| key.unwrap().to_vec());
        assert!(of_key.eq(entries.iter().cloned()));
        let first = index.get(snapshot, key).unwrap().unwrap();
        assert_eq!(Some(&first.primary_key.to_vec()), entries.first());
    }
    let pairs: usize = found.values().map(BTreeSet::len).sum();
    walk(&mut index.cursor(snapshot).unwrap(), &found);
    assert_eq!(snapshot.len(index.database()).unwrap(), pairs as u64);
    found
}

/// A cursor goes over the same, forwards and backwards, from either end and from each key.
fn walk(cursor: &mut IndexCursor, found: &Found) {
    let places = found
        .iter()
        .flat_map(|(key, entries)| entries.iter().map(move |entry| (key.clone(), entry.clone())));
    let places: Vec<_> = places.collect();
    let at = |cursor: &IndexCursor| (cursor.key().to_vec(), cursor.primary_key().to_vec());
    let mut seen = Vec::new();
    while cursor.next().unwrap() {
        seen.push(at(cursor));
    }
    assert_eq!(seen, places);
    assert!(cursor.key().is_empty());
    seen.clear();
    while cursor.previous().unwrap() {
        seen.insert(0, at(cursor));
    }
    assert_eq!(seen, places);
    for key in found.keys() {
        let first = places.iter().position(|place| place.0 == *key).unwrap();
        assert!(cursor.seek(key).unwrap());
        assert_eq!(at(cursor), places[first]);
        assert_eq!(cursor.seek_before(key).unwrap(), first > 0);
        if first > 0 {
            assert_eq!(at(cursor), places[first - 1]);
        }
    }
    assert_eq!(cursor.first().unwrap(), !places.is_empty());
    assert_eq!(Some(at(cursor)).filter(|_| !places.is_empty()).as_ref(), places.first());
    assert_eq!(cursor.last().unwrap(), !places.is_empty());
    assert_eq!(Some(at(cursor)).filter(|_| !places.is_empty()).as_ref(), places.last());
}

fn put(env: &Environment, db: &Database, key: &str, value: &str) -> EnvResult<()> {
    env.write(|txn| txn.put(db, key.as_bytes(), value.as_bytes()))
}

/// A transaction under way, with a savepoint if it has one.
type Open = (Transaction, Option<Savepoint>);

/// Changes entries in several transactions at a time, some of which conflict, go back or give up.
fn random_history(env: &Environment, db: &Database, seed: u64, each: &mut dyn FnMut(bool)) {
    let mut random = Seeded::new(seed);
    let mut pick = |n: u64| random.next_u64() % n;
    let word = |n: u64| ["ab", "a", "b", "\0", "a\0b", "c"][usize::try_from(n % 6).unwrap()];
    let mut open: Vec<Open> = Vec::new();
    for _ in 0..150 {
        while open.len() < 3 {
            open.push((env.begin_write().unwrap(), None));
        }
        let i = usize::try_from(pick(3)).unwrap();
        let (txn, savepoint) = &mut open[i];
        let key = [u8::try_from(pick(12)).unwrap()];
        match pick(10) {
            0..=3 => {
                let value = format!("{} {}", word(pick(6)), word(pick(6)));
                txn.put(db, &key, value.as_bytes()).unwrap();
            }
            4 | 5 => txn.delete(db, &key).unwrap(),
            6 => *savepoint = Some(txn.savepoint()),
            7 => {
                if let Some(savepoint) = savepoint {
                    txn.rollback_to(*savepoint).unwrap();
                }
            }
            8 => drop(open.remove(i)),
            _ => match open.remove(i).0.commit() {
                Ok(_) => each(true),
                Err(EnvError::Conflict { .. }) => each(false),
                Err(other) => panic!("{other}"),
            },
        }
    }
}

/// Invariant I-45 of the design.
#[test]
fn at_every_snapshot_an_index_is_what_its_function_makes_of_the_entries() {
    let (mut commits, mut conflicts) = (0, 0);
    for seed in 0..40 {
        let mut test = TestEnv::new(small_options());
        let db = test.db("db");
        let index = test.env().index(&db, by_word()).unwrap();
        let mut kept = Vec::new();
        random_history(test.env(), &db, seed, &mut |committed| {
            if committed {
                commits += 1
            } else {
                conflicts += 1
            }
            let snapshot = test.env().snapshot().unwrap();
            let expected = recomputed(&snapshot, &db);
            assert_eq!(held(&snapshot, &index), expected, "seed {seed}, {snapshot:?}");
            kept.push((snapshot, expected));
        });
        for (snapshot, expected) in kept.drain(..) {
            assert_eq!(held(&snapshot, &index), expected, "seed {seed}, {snapshot:?}");
        }
        test.reopen();
        let index = test.env().index(&test.db("db"), by_word()).unwrap();
        let snapshot = test.env().snapshot().unwrap();
        assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
    }
    assert!(commits > 100 && conflicts > 50, "{commits} commits, {conflicts} conflicts");
}

#[test]
fn a_crash_leaves_the_index_of_what_it_leaves_of_the_entries() {
    let mut test = TestEnv::new(small_options());
    let mut states = vec![Model::new()];
    let db = test.db("db");
    let index = test.env().index(&db, by_word()).unwrap();
    let latest = test.env().snapshot().unwrap().commit();
    states.resize(usize::try_from(latest).unwrap() + 1, content(test.env()).unwrap());
    test.disk.mark("acknowledged", latest);
    random_history(test.env(), &db, 99, &mut |committed| {
        if !committed {
            return;
        }
        let commit = test.env().snapshot().unwrap().commit();
        // A transaction that changed nothing is no commit.
        states.resize(usize::try_from(commit).unwrap() + 1, content(test.env()).unwrap());
        test.disk.mark("acknowledged", commit);
        if commit.is_multiple_of(6) {
            test.env().checkpoint().unwrap();
        }
    });
    drop(index);
    test.close();
    let images = sweep(&test.disk, &small_options(), &states, &mut |env, _| {
        let Some(db) = env.find_database("db").unwrap() else { return };
        // Read as it was found, before anything is built; half of it is no index.
        let whole = env.find_database("by word").unwrap().map(|index| {
            let snapshot = env.snapshot().unwrap();
            (snapshot.len(&index).unwrap(), recomputed(&snapshot, &db))
        });
        let index = env.index(&db, by_word()).unwrap();
        let snapshot = env.snapshot().unwrap();
        assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
        if let Some((pairs, expected)) = whole {
            assert_eq!(pairs, expected.values().map(BTreeSet::len).sum::<usize>() as u64);
        }
    });
    assert!(images > 500, "only {images} states");
}

#[test]
fn without_its_function_nobody_writes_and_everybody_reads() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    test.env().index(&db, by_word()).unwrap();
    put(test.env(), &db, "1", "one two").unwrap();
    test.reopen();
    let (env, db) = (test.env(), test.db("db"));
    let refused = put(env, &db, "1", "three").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "database \"db\" has the index \"by word\" (version 1): it cannot be written before \
         Environment::index has said what the index holds; or drop the index"
    );
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused = env.write(|txn| txn.delete(&db, b"1"));
    assert!(matches!(refused, Err(EnvError::IndexNotRegistered { .. })));
    assert_eq!(env.snapshot().unwrap().get(&db, b"1").unwrap().unwrap(), b"one two");
    let index = env.index(&db, by_word()).unwrap();
    put(env, &db, "1", "three").unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
    drop(snapshot);
    test.reopen();
    let index = test.env().find_database("by word").unwrap().unwrap();
    test.env().write(|txn| txn.drop_database(&index)).unwrap();
    put(test.env(), &test.db("db"), "1", "four").unwrap();
}

#[test]
fn an_index_goes_with_its_database_and_the_database_stays_without_it() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    let index = test.env().index(&db, by_word()).unwrap();
    put(test.env(), &db, "1", "one").unwrap();
    let before = test.env().snapshot().unwrap();
    // In one transaction: an entry that the index follows, then no index, then one that it does not.
    test.env()
        .write(|txn| {
            txn.put(&db, b"2", b"two")?;
            txn.drop_database(index.database())?;
            txn.put(&db, b"3", b"three")
        })
        .unwrap();
    put(test.env(), &db, "4", "four").unwrap();
    let after = test.env().snapshot().unwrap();
    assert_eq!(after.len(&db).unwrap(), 4);
    assert!(matches!(index.get(&after, b"one"), Err(EnvError::NoSuchDatabase { .. })));
    assert_eq!(index.get(&before, b"one").unwrap().unwrap().primary_key, "1");
    let again = test.env().index(&db, by_word()).unwrap();
    assert!(matches!(again.get(&after, b"one"), Err(EnvError::NoSuchDatabase { .. })));
    let now = test.env().snapshot().unwrap();
    assert_eq!(held(&now, &again), recomputed(&now, &db));
    drop((before, after, now));
    test.reopen();
    let db = test.db("db");
    let mut txn = test.env().begin_write().unwrap();
    let savepoint = txn.savepoint();
    txn.drop_database(&db).unwrap();
    txn.rollback_to(savepoint).unwrap();
    txn.drop_database(&db).unwrap();
    txn.commit().unwrap();
    assert!(test.env().snapshot().unwrap().databases().unwrap().is_empty());
}

#[test]
fn a_unique_index_refuses_a_second_entry_whoever_writes_it() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    let index = env.index(&db, by_word().unique()).unwrap();
    put(env, &db, "1", "a b").unwrap();
    put(env, &db, "1", "b c").unwrap();
    let refused = put(env, &db, "2", "x c").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "index \"by word\" is unique, and c leads to the entry 1 already"
    );
    assert_eq!(refused.kind(), ErrorKind::Exists);
    // Within a transaction, and nothing of a change that is refused happens.
    let mut txn = env.begin_write().unwrap();
    txn.put(&db, b"2", b"d").unwrap();
    for value in [&b"e d"[..], b"d e"] {
        assert!(matches!(txn.put(&db, b"3", value), Err(EnvError::NotUnique { .. })));
        assert!(txn.get(&db, b"3").unwrap().is_none() && index.get(&txn, b"e").unwrap().is_none());
    }
    txn.put(&db, b"1", b"free").unwrap();
    txn.put(&db, b"3", b"b").unwrap();
    txn.commit().unwrap();
    // Two at a time: one of them.
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    one.put(&db, b"5", b"same").unwrap();
    two.put(&db, b"6", b"same").unwrap();
    one.commit().unwrap();
    assert!(matches!(two.commit(), Err(EnvError::Conflict { .. })));
    let snapshot = env.snapshot().unwrap();
    assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
}

#[test]
fn to_have_looked_for_a_key_is_to_have_read_who_has_it() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    let index = env.index(&db, by_word()).unwrap();
    let cases = [
        ("a", "2", "a", true),   // a second entry has the key
        ("a", "1", "a b", true), // the entry that was found has changed
        ("a", "2", "b", false),  // another key
        ("x", "2", "x", true),   // the key was not there
    ];
    for (looked_for, key, value, expected) in cases {
        env.write(|txn| {
            txn.delete(&db, b"2")?;
            txn.put(&db, b"1", b"a")
        })
        .unwrap();
        let mut txn = env.begin_write().unwrap();
        index.range(&txn, looked_for.as_bytes()..=looked_for.as_bytes()).unwrap().for_each(
            |entry| {
                entry.unwrap();
            },
        );
        txn.put(&db, b"written", b"").unwrap();
        put(env, &db, key, value).unwrap();
        let committed = txn.commit();
        assert_eq!(committed.is_err(), expected, "{looked_for}, {key}: {committed:?}");
    }
    // What the transaction itself has done.
    let mut txn = env.begin_write().unwrap();
    txn.put(&db, b"9", b"a mine").unwrap();
    assert_eq!(index.range(&txn, &b"a"[..]..=&b"a"[..]).unwrap().count(), 2);
    assert_eq!(index.get(&txn, b"mine").unwrap().unwrap().value, b"a mine");
    assert_eq!(index.prefix(&txn, b"m").unwrap().count(), 1);
}

/// A function that makes something else under the same version is found out.
#[test]
fn verify_compares_an_index_with_its_database() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    test.env().index(&db, by_word()).unwrap();
    put(test.env(), &db, "1", "one").unwrap();
    test.reopen();
    let other = IndexDef::new("by word", 1, |_, _, emit| emit(b"same"));
    test.env().index(&db, other).unwrap();
    let report = test.env().verify(&cairn_env::VerifyOptions::new()).unwrap();
    let found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("it leads to an entry that does not have it"), "{found:#?}");
    assert!(found[1].contains("an entry has it that it does not lead to"), "{found:#?}");
    test.reopen();
}
