//! Within: a store in a transaction of its environment, beside others.

use cairn_env::{DatabaseOptions, Durability, EnvError, Environment, Options};
use cairn_kv::{
    Entry, KvError, KvOptions, KvStore, Observer, Query, SecurityLevel, StoreEvent, StoreType,
    SubscribeType,
};

use crate::fixture::{environment, options, people};

fn stores(env: &Environment) -> [KvStore; 2] {
    ["a", "b"].map(|id| KvStore::open(env, id, options()).unwrap())
}

fn told(observer: &Observer) -> Vec<String> {
    let keys = |entries: &[Entry]| -> Vec<String> {
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).collect()
    };
    let text = |event| match event {
        StoreEvent::Changed(change) => {
            format!(
                "+{:?} ~{:?} -{}",
                keys(&change.inserted),
                keys(&change.updated),
                change.deleted.len()
            )
        }
        event => format!("{event:?}"),
    };
    std::iter::from_fn(|| observer.try_next()).map(text).collect()
}

#[test]
fn two_stores_and_a_database_are_one_commit_and_observers_of_both_are_told() {
    let env = environment();
    let [a, b] = stores(&env);
    let database = env.database("d", DatabaseOptions::default()).unwrap();
    a.put("old", 1).unwrap();
    let observers = [&a, &b].map(|store| store.observe(SubscribeType::All).unwrap());
    let before = env.snapshot().unwrap().commit();
    let mut txn = env.begin_write().unwrap();
    b.within(&mut txn).unwrap().put("k", 1).unwrap();
    a.within(&mut txn).unwrap().put_batch([Entry::new("new", 1), Entry::new("old", 2)]).unwrap();
    let mut again = a.within(&mut txn).unwrap();
    assert_eq!(again.get("new").unwrap(), Some(1.into()));
    assert_eq!(again.get_entries("").unwrap().len(), 2);
    again.delete("missing").unwrap();
    txn.put(&database, b"k", b"v").unwrap();
    assert_eq!((a.get("new").unwrap(), b.get("k").unwrap()), (None, None));
    txn.commit().unwrap();
    assert_eq!(env.snapshot().unwrap().commit(), before + 1);
    assert_eq!((a.get("old").unwrap(), b.get("k").unwrap()), (Some(2.into()), Some(1.into())));
    assert_eq!(told(&observers[0]), [r#"+["new"] ~["old"] -0"#]);
    assert_eq!(told(&observers[1]), [r#"+["k"] ~[] -0"#]);
}

#[test]
fn what_is_given_up_is_told_to_nobody() {
    let env = environment();
    let [a, b] = stores(&env);
    let observer = a.observe(SubscribeType::All).unwrap();
    let mut txn = env.begin_write().unwrap();
    a.within(&mut txn).unwrap().put("k", 1).unwrap();
    drop(txn);
    // One that is overtaken.
    let mut txn = env.begin_write().unwrap();
    assert_eq!(b.within(&mut txn).unwrap().get("k").unwrap(), None);
    a.within(&mut txn).unwrap().put("k", 1).unwrap();
    b.put("k", 2).unwrap();
    assert!(txn.commit().unwrap_err().is_retryable());
    // A savepoint.
    let mut txn = env.begin_write().unwrap();
    a.within(&mut txn).unwrap().put("kept", 1).unwrap();
    let point = txn.savepoint();
    a.within(&mut txn).unwrap().put("k", 1).unwrap();
    txn.rollback_to(point).unwrap();
    txn.commit().unwrap();
    assert_eq!(told(&observer), [r#"+["kept"] ~[] -0"#]);
    assert_eq!(a.get("k").unwrap(), None);
}

#[test]
fn schemas_and_indexes_hold_and_so_do_limits() {
    let env = environment();
    let store = KvStore::open(&env, "s", options().schema(people())).unwrap();
    let mut txn = env.begin_write().unwrap();
    let mut within = store.within(&mut txn).unwrap();
    within.put("a", r#"{"name":"x","age":1}"#).unwrap();
    assert!(matches!(within.put("b", r#"{"age":1}"#), Err(KvError::ValueMismatch { .. })));
    assert!(matches!(within.put("", "x"), Err(KvError::InvalidKey { .. })));
    txn.commit().unwrap();
    assert_eq!(store.get_result_size(Query::new().equal_to("$.age", 1)).unwrap(), 1);
}

#[test]
fn a_handle_sees_what_was_committed_within_whatever_its_durability() {
    let env = environment();
    let [a, _] = stores(&env);
    for durability in [Durability::NoSync, Durability::Sync] {
        let mut txn = env.begin_write().unwrap();
        a.within(&mut txn).unwrap().put("k", format!("{durability:?}")).unwrap();
        txn.commit_with(durability).unwrap();
        assert_eq!(a.require("k").unwrap(), format!("{durability:?}").into());
    }
}

#[test]
fn transactions_of_other_environments_and_other_devices_are_refused() {
    let (env, other) = (environment(), environment());
    let [a, _] = stores(&env);
    let mut txn = other.begin_write().unwrap();
    let error = a.within(&mut txn).unwrap_err();
    assert!(matches!(error, KvError::Env(EnvError::InvalidInput { .. })), "{error}");
    let of = |device: &str| {
        let options = KvOptions::new(SecurityLevel::S1).store_type(StoreType::DeviceCollaboration);
        KvStore::open(&env, "devices", options.device(device)).unwrap()
    };
    let (mine, theirs) = (of("mine"), of("theirs"));
    let mut txn = env.begin_write().unwrap();
    mine.within(&mut txn).unwrap().put("k", 1).unwrap();
    assert!(matches!(theirs.within(&mut txn), Err(KvError::NotSupported { .. })));
}

#[test]
fn a_store_that_is_closed_meanwhile_refuses_the_commit() {
    let env = environment();
    let [a, b] = stores(&env);
    let mut txn = env.begin_write().unwrap();
    b.within(&mut txn).unwrap().put("k", 1).unwrap();
    a.within(&mut txn).unwrap().put("k", 1).unwrap();
    a.close();
    assert!(matches!(a.within(&mut txn), Err(KvError::Closed { .. })));
    let error = txn.commit().unwrap_err();
    assert_eq!(error.to_string(), r#"store "a": the store was closed"#);
    assert_eq!(b.get("k").unwrap(), None);
}

/// Two transactions over the same stores, which name them in another order: nobody waits for ever, and observers are told
/// in the order of the commits.
#[test]
fn transactions_over_the_same_stores_get_their_places_one_after_another() {
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    let [a, b] = stores(&env);
    let observers = [&a, &b].map(|store| store.observe(SubscribeType::All).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (env, a, b) = (&env, &a, &b);
            scope.spawn(move || {
                let order = if thread == 0 { [a, b] } else { [b, a] };
                for n in 0..200 {
                    let mut txn = env.begin_write().unwrap();
                    for store in order {
                        store.within(&mut txn).unwrap().put("k", n).unwrap();
                    }
                    txn.commit().unwrap();
                }
            });
        }
    });
    let commits = observers.map(|observer| {
        let commit = |event| match event {
            StoreEvent::Changed(change) => change.commit,
            event => panic!("{event:?}"),
        };
        let commits: Vec<u64> = std::iter::from_fn(|| observer.try_next()).map(commit).collect();
        assert!(commits.is_sorted() && commits.len() == 400);
        commits
    });
    assert_eq!(commits[0], commits[1]);
}
