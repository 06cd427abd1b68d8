//! Multimaps: keys with sorted sets of values.

use std::collections::BTreeSet;

use bytes::Bytes;
use cairn_env::{
    DatabaseKind, DatabaseOptions, EnvError, EnvResult, ErrorKind, Multimap, Snapshot, Transaction,
    View,
};
use cairn_sim::Seeded;

use crate::fixture::{Model, TestEnv, content, small_options, sweep};

type Pairs = BTreeSet<(Vec<u8>, Vec<u8>)>;

fn all<I: Iterator<Item = EnvResult<Bytes>>>(values: EnvResult<I>) -> Vec<Vec<u8>> {
    values.unwrap().map(|value| value.unwrap().to_vec()).collect()
}

/// Compares everything that can be read with the model.
fn compare(tags: &Multimap, view: &impl View, model: &Pairs, keys: &[&[u8]]) {
    let pairs = || tags.range(view, ..).unwrap();
    let own = |pair: EnvResult<(Bytes, Bytes)>| {
        let (key, value) = pair.unwrap();
        (key.to_vec(), value.to_vec())
    };
    assert!(pairs().map(own).eq(model.iter().cloned()));
    assert!(pairs().rev().map(own).eq(model.iter().rev().cloned()));
    assert_eq!(view.count(tags.database()).unwrap(), model.len() as u64);
    let distinct: BTreeSet<_> = model.iter().map(|(key, _)| key.clone()).collect();
    assert!(all(tags.keys(view, ..)).iter().eq(&distinct));
    assert!(all(tags.keys(view, ..).map(Iterator::rev)).iter().eq(distinct.iter().rev()));
    // From both ends, until they meet.
    let mut ends = tags.keys(view, ..).unwrap();
    let mut met = Vec::new();
    while let Some(key) = ends.next() {
        met.push(key.unwrap());
        met.extend(ends.next_back().transpose().unwrap());
    }
    assert!(ends.next_back().is_none() && met.len() == distinct.len());
    for (i, key) in keys.iter().enumerate() {
        let expected = model.iter().filter(|(k, _)| k == key).map(|(_, value)| value.clone());
        let expected: Vec<_> = expected.collect();
        assert_eq!(all(tags.values(view, key)), expected);
        let reversed = all(tags.values(view, key).map(Iterator::rev));
        assert!(reversed.iter().eq(expected.iter().rev()));
        assert_eq!(tags.count(view, key).unwrap(), expected.len() as u64);
        let first = tags.first(view, key).unwrap().map(|value| value.to_vec());
        assert_eq!(first.as_ref(), expected.first());
        assert!(expected.iter().all(|value| tags.contains(view, key, value).unwrap()));
        assert!(!tags.contains(view, key, b"not there").unwrap());
        let end = keys[(i * 7 + 3) % keys.len()];
        let within = |k: &Vec<u8>| k[..] >= **key && k[..] < *end;
        let expected: Vec<_> = distinct.iter().filter(|k| within(k)).cloned().collect();
        assert_eq!(all(tags.keys(view, *key..end)), expected);
        let prefixed = tags.prefix(view, key).unwrap().map(own);
        assert!(prefixed.eq(model.iter().filter(|(k, _)| k.starts_with(key)).cloned()));
    }
}

#[test]
fn a_multimap_is_a_sorted_set_of_pairs() {
    let mut test = TestEnv::new(small_options());
    let tags = test.env().multimap("tags").unwrap();
    let keys: [&[u8]; 9] =
        [b"", b"\0", b"\0\0", b"\0\x01", b"a", b"a\0", b"a\0\xff", b"a\x01", b"b"];
    let mut random = Seeded::new(3);
    let mut pick = |n: usize| usize::try_from(random.next_u64() % n as u64).unwrap();
    let mut model = Pairs::new();
    for round in 0..60 {
        let before = (test.env().snapshot().unwrap(), model.clone());
        let mut txn = test.env().begin_write().unwrap();
        for _ in 0..pick(12) {
            let (key, value) = (keys[pick(9)], keys[pick(9)]);
            match pick(8) {
                0 => {
                    let had = model.iter().filter(|(k, _)| k == key).count() as u64;
                    assert_eq!(tags.delete_all(&mut txn, key).unwrap(), had);
                    model.retain(|(k, _)| k != key);
                }
                1 | 2 => {
                    tags.delete(&mut txn, key, value).unwrap();
                    model.remove(&(key.to_vec(), value.to_vec()));
                }
                _ => {
                    tags.put(&mut txn, key, value).unwrap();
                    model.insert((key.to_vec(), value.to_vec()));
                }
            }
        }
        compare(&tags, &txn, &model, &keys);
        if round % 4 == 3 {
            drop(txn);
            model.clone_from(&before.1);
        } else {
            txn.commit().unwrap();
        }
        compare(&tags, &test.env().snapshot().unwrap(), &model, &keys);
        compare(&tags, &before.0, &before.1, &keys);
        drop(before);
        if round % 20 == 19 {
            test.reopen();
        }
    }
    assert!(model.len() > 20, "{}", model.len());
}

#[test]
fn to_have_read_the_values_of_a_key_is_to_have_read_that_there_are_no_others() {
    let test = TestEnv::new(small_options());
    let tags = test.env().multimap("tags").unwrap();
    let put = |txn: &mut Transaction, pairs: &[(&str, &str)]| {
        pairs.iter().try_for_each(|(k, v)| tags.put(txn, k.as_bytes(), v.as_bytes()))
    };
    test.env().write(|txn| put(txn, &[("a", "1"), ("a", "5"), ("b", "1"), ("d", "1")])).unwrap();
    type Read<'a> = &'a dyn Fn(&Transaction) -> EnvResult<()>;
    let values: Read<'_> = &|txn| tags.values(txn, b"a")?.try_for_each(|value| value.map(drop));
    let keys: Read<'_> = &|txn| tags.keys(txn, ..)?.try_for_each(|key| key.map(drop));
    let first: Read<'_> = &|txn| tags.first(txn, b"a").map(drop);
    let none: Read<'_> = &|txn| tags.count(txn, b"c").map(drop);
    let one: Read<'_> = &|txn| tags.contains(txn, b"a", b"3").map(drop);
    let cases: [(Read<'_>, (&str, &str), bool); 10] = [
        (values, ("a", "3"), true),
        (values, ("a", "9"), true),
        (values, ("a\0", "3"), false),
        (values, ("b", "3"), false),
        (first, ("a", "0"), true),
        (first, ("a", "3"), false),
        (none, ("c", "1"), true),
        (one, ("a", "3"), true),
        (one, ("a", "4"), false),
        (keys, ("c", "1"), true),
    ];
    for (i, (read, (key, value), expected)) in cases.into_iter().enumerate() {
        let mut txn = test.env().begin_write().unwrap();
        read(&txn).unwrap();
        tags.put(&mut txn, b"written", b"").unwrap();
        test.env().write(|other| put(other, &[(key, value)])).unwrap();
        match txn.commit() {
            Err(EnvError::Conflict { .. }) => assert!(expected, "case {i}"),
            other => assert!(other.is_ok() && !expected, "case {i}: {other:?}"),
        }
        test.env().write(|other| tags.delete(other, key.as_bytes(), value.as_bytes())).unwrap();
    }
}

#[test]
fn a_database_is_of_one_kind_for_ever() {
    let mut test = TestEnv::new(small_options());
    test.put("map", b"key", b"value");
    let tags = test.env().multimap("tags").unwrap();
    test.env().write(|txn| tags.put(txn, b"key", b"value")).unwrap();
    for _ in 0..2 {
        let env = test.env();
        let as_map = env.database("tags", DatabaseOptions::default()).unwrap_err();
        assert_eq!(as_map.to_string(), r#"database "tags" is a multimap, and no map"#);
        assert_eq!(as_map.kind(), ErrorKind::InvalidInput);
        let as_multimap = env.multimap("map").unwrap_err();
        assert_eq!(as_multimap.to_string(), r#"database "map" is a map, and no multimap"#);
        let created = env.write(|txn| txn.create_database("tags", DatabaseOptions::default()));
        assert!(matches!(created, Err(EnvError::WrongKind { .. })));
        let index = DatabaseOptions::default().kind(DatabaseKind::Index);
        let created = env.write(|txn| txn.create_database("new", index));
        assert!(matches!(created, Err(EnvError::InvalidInput { .. })));
        let raw = env.find_database("tags").unwrap().unwrap();
        assert_eq!(raw.kind(), DatabaseKind::Multimap);
        for refused in [
            env.write(|txn| txn.put(&raw, b"no", b"pair")),
            env.write(|txn| txn.delete(&raw, b"no")),
        ] {
            assert!(matches!(refused, Err(EnvError::WrongKind { .. })), "{refused:?}");
        }
        let tags = Multimap::try_from(raw).unwrap();
        assert_eq!(all(tags.values(&env.snapshot().unwrap(), b"key")), [b"value"]);
        test.reopen();
    }
    // Both in one transaction, too.
    let twice = test.env().write(|txn| {
        txn.create_database("new", DatabaseOptions::default())?;
        txn.create_database("new", DatabaseOptions::default().kind(DatabaseKind::Multimap))
    });
    assert!(matches!(twice, Err(EnvError::WrongKind { .. })));
}

#[test]
fn a_pair_that_is_too_long_is_refused_and_changes_nothing() {
    let test = TestEnv::new(small_options());
    let tags = test.env().multimap("tags").unwrap();
    let mut txn = test.env().begin_write().unwrap();
    for (key, value, fits) in [(2047, 0, true), (2047, 1, false), (0, 4094, true)] {
        let (key, value) = (vec![0; key], vec![0; value]);
        let put = tags.put(&mut txn, &key, &value);
        assert!(put.is_ok() == fits && (fits || matches!(put, Err(EnvError::PairTooLong { .. }))));
        assert_eq!(tags.contains(&txn, &key, &value).unwrap(), fits);
    }
    txn.commit().unwrap();
}

#[test]
fn a_crash_keeps_pairs_and_their_number() {
    let mut test = TestEnv::new(small_options());
    let mut states = vec![Model::new()];
    let tags = test.env().multimap("tags").unwrap();
    states.push(content(test.env()).unwrap());
    test.disk.mark("acknowledged", 1);
    for i in 1..20u8 {
        test.env()
            .write(|txn| {
                tags.delete_all(txn, &[i % 3])?;
                (0..i).try_for_each(|n| tags.put(txn, &[(i + n) % 4], &[n; 30]))
            })
            .unwrap();
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", states.len() as u64 - 1);
        if i % 7 == 6 {
            test.env().checkpoint().unwrap();
        }
    }
    test.close();
    let images = sweep(&test.disk, &small_options(), &states, &mut |env, _| {
        let Some(tags) = env.find_database("tags").unwrap() else { return };
        let tags = Multimap::try_from(tags).unwrap();
        let snapshot: Snapshot = env.snapshot().unwrap();
        let counted: u64 = (0..4).map(|key| tags.count(&snapshot, &[key]).unwrap()).sum();
        assert_eq!(snapshot.len(tags.database()).unwrap(), counted);
    });
    assert!(images > 500, "only {images} states");
}
