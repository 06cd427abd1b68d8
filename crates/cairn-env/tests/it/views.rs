//! Views of the newest commit, which is made into a version only if it has to be: whatever happens after it was taken, a
//! view shows what was there then, by every way of reading.

use std::collections::BTreeMap;

use cairn_env::{Database, Durability, ErrorKind, Snapshot};
use cairn_sim::{Chooser, Seeded};

use crate::fixture::{TestEnv, ordered, small_options};

type State = BTreeMap<u32, Vec<u8>>;

const KEYS: usize = 60;

/// One way of reading of several, and whether it shows the state.
fn check(random: &mut Seeded, view: &Snapshot, db: &Database, state: &State) {
    let key = u32::try_from(random.choose(KEYS, "key")).unwrap();
    let (name, expected) = (ordered(key), state.get(&key));
    match random.choose(7, "way") {
        0 => {
            let got = view.get(db, &name).unwrap();
            assert_eq!(got.as_deref(), expected.map(|value| &value[..]));
        }
        1 => {
            let got = view.get_with(db, &name, |value| value.to_vec()).unwrap();
            assert_eq!(got.as_ref(), expected);
        }
        2 => assert_eq!(view.contains(db, &name).unwrap(), expected.is_some()),
        3 => assert_eq!(view.len(db).unwrap(), state.len() as u64),
        4 => {
            let next = view.range(db, &name[..]..).unwrap().next();
            let next = next.map(|entry| entry.unwrap().0.to_vec());
            assert_eq!(next, state.range(key..).next().map(|(key, _)| ordered(*key).to_vec()));
        }
        5 => assert!(view.clone().database("db").unwrap().is_some()),
        _ => {
            let entries = view.iter(db).unwrap().map(|entry| entry.unwrap().1.to_vec());
            assert!(entries.eq(state.values().cloned()));
        }
    }
}

#[test]
fn a_view_shows_what_was_there_when_it_was_taken() {
    for seed in 0..30 {
        let mut random = Seeded::new(seed);
        let test = TestEnv::new(small_options());
        let (env, db) = (test.env(), test.db("db"));
        let mut state = State::new();
        let (mut views, mut synced) = (Vec::<(Snapshot, State)>::new(), 0);
        for step in 0..600u32 {
            match random.choose(10, "step") {
                0..=3 => {
                    let key = u32::try_from(random.choose(KEYS, "key")).unwrap();
                    // Some are large, and stand beside the tree.
                    let len = if key % 9 == 0 { 3000 } else { 20 };
                    let value = step.to_le_bytes().repeat(len / 4);
                    let durability = match random.choose(3, "durability") {
                        0 => Durability::Sync,
                        _ => Durability::NoSync,
                    };
                    let is_there = state.contains_key(&key);
                    let commit = env
                        .write_with(durability, |txn| {
                            assert_eq!(txn.contains(&db, &ordered(key))?, is_there);
                            match step % 5 {
                                0 => txn.delete(&db, &ordered(key)).map(drop),
                                _ => txn.put(&db, &ordered(key), &value),
                            }
                        })
                        .map(|()| env.latest_snapshot().unwrap().commit());
                    match step % 5 {
                        0 => drop(state.remove(&key)),
                        _ => drop(state.insert(key, value)),
                    }
                    if durability == Durability::Sync {
                        synced = commit.unwrap();
                    }
                }
                4 | 5 => {
                    let view = match random.choose(2, "which") {
                        0 => env.snapshot().unwrap(),
                        _ => env.latest_snapshot().unwrap(),
                    };
                    views.push((view, state.clone()));
                }
                6 if !views.is_empty() => {
                    drop(views.swap_remove(random.choose(views.len(), "view")));
                }
                7 => {
                    let key = u32::try_from(random.choose(KEYS, "key")).unwrap();
                    let got = env.get_with(&db, &ordered(key), |value| value.to_vec()).unwrap();
                    assert_eq!(got.as_ref(), state.get(&key));
                }
                8 => match random.choose(4, "upkeep") {
                    0 => drop(env.checkpoint().unwrap()),
                    1 => drop(env.compact().unwrap()),
                    _ => {
                        let durable = env.durable_snapshot().unwrap();
                        assert!(durable.commit() >= synced, "seed {seed}, step {step}");
                        let newest = env.snapshot().unwrap().commit();
                        assert!(durable.commit() <= newest);
                        if durable.commit() == newest {
                            check(&mut random, &durable, &db, &state);
                        }
                    }
                },
                _ => {}
            }
            if !views.is_empty() {
                let (view, state) = &views[random.choose(views.len(), "view")];
                check(&mut random, view, &db, state);
            }
        }
    }
}

/// However many look at single values of one commit, all of them find them, and so do those who come when a version
/// was made for the others.
#[test]
fn many_looks_at_one_commit_come_to_the_same() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    let put = |value: &[u8]| env.write_with(Durability::NoSync, |txn| txn.put(&db, b"key", value));
    put(b"one").unwrap();
    let before = env.latest_snapshot().unwrap();
    put(b"two").unwrap();
    for _ in 0..100 {
        assert_eq!(env.get_with(&db, b"key", |value| value.to_vec()).unwrap().unwrap(), b"two");
        assert_eq!(env.snapshot().unwrap().get(&db, b"key").unwrap().unwrap(), b"two");
        assert_eq!(before.get(&db, b"key").unwrap().unwrap(), b"one");
    }
    assert_eq!(env.get_with(&db, b"no key", |value| value.to_vec()).unwrap(), None);
    let dropped = env.database("dropped", cairn_env::DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.drop_database(&dropped)).unwrap();
    let missing = env.get_with(&dropped, b"key", |_| ()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(before.iter(&db).unwrap().count(), 1);
}

/// A durable view never takes back what was synced, also if nobody has asked for one for long; and it comes with a sync
/// if that is what it takes.
#[test]
fn a_durable_view_is_durable_however_seldom_one_is_taken() {
    let mut test = TestEnv::new(small_options());
    for round in 0..20u8 {
        for n in 0..5 {
            test.put("db", b"synced", &[round, n]);
        }
        let db = test.db("db");
        let put = |value| {
            test.env().write_with(Durability::NoSync, |txn| txn.put(&db, b"unsynced", &[value]))
        };
        put(round).unwrap();
        let durable = test.env().durable_snapshot().unwrap();
        let (commit, synced) = (durable.commit(), durable.get(&db, b"synced").unwrap());
        assert_eq!(synced.unwrap(), [round, 4]);
        drop(durable);
        test.kill();
        let after = test.env().snapshot().unwrap();
        assert!(after.commit() >= commit, "it was not durable");
    }
}
