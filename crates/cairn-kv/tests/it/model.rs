//! The whole store against a map: any calls, in any order, with reopens in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use cairn_env::{Environment, Options, VerifyOptions};
use cairn_kv::{Entry, KvStore, Observer, SubscribeType, Value};
use proptest::{collection::vec, prelude::*};

use crate::{
    fixture::options,
    observer::{content, replay},
};

#[derive(Clone, Debug)]
enum Call {
    Put(u8, Value),
    PutBatch(Vec<(u8, Value)>),
    Delete(u8),
    DeleteBatch(Vec<u8>),
    Transaction { puts: Vec<(u8, Value)>, deletes: Vec<u8>, commits: bool },
    Reopen,
    Checkpoint,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (0..9i32).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        (0..9u8).prop_map(|n| Value::from(f32::from(n) / 4.0)),
        (0..3000usize).prop_map(|len| Value::from(vec![7; len])),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let key = 0..12u8;
    let puts = || vec((0..12u8, value()), 0..5);
    let keys = || vec(0..12u8, 0..4);
    prop_oneof![
        4 => (key.clone(), value()).prop_map(|(key, value)| Call::Put(key, value)),
        2 => puts().prop_map(Call::PutBatch),
        2 => key.prop_map(Call::Delete),
        1 => vec(0..12u8, 1..4).prop_map(Call::DeleteBatch),
        2 => (puts(), keys(), any::<bool>())
            .prop_map(|(puts, deletes, commits)| Call::Transaction { puts, deletes, commits }),
        1 => Just(Call::Reopen),
        1 => Just(Call::Checkpoint),
    ]
}

/// Keys of which some begin with others.
fn name(key: u8) -> String {
    "k".repeat(usize::from(key % 4) + 1) + &(key / 4).to_string()
}

fn entries(puts: &[(u8, Value)]) -> Vec<Entry> {
    puts.iter().map(|(key, value)| Entry::new(name(*key), value.clone())).collect()
}

struct Opened {
    env: Environment,
    store: KvStore,
    observer: Observer,
}

fn open(dir: &std::path::Path) -> Opened {
    let options_of_env = Options::default().background(false);
    let (env, _) = Environment::open(dir, options_of_env).unwrap();
    let store = KvStore::open(&env, "store", options()).unwrap();
    let observer = store.observe(SubscribeType::All).unwrap();
    Opened { env, store, observer }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_is_a_map(calls in vec(call(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open(dir.path());
        let mut model = BTreeMap::<Bytes, Value>::new();
        let mut told = model.clone();
        for call in calls {
            let Opened { env, store, observer } = &opened;
            let mut put = |puts: &[(u8, Value)]| {
                puts.iter().for_each(|(key, value)| drop(model.insert(name(*key).into(), value.clone())));
            };
            match call {
                Call::Put(key, value) => {
                    put(&[(key, value.clone())]);
                    store.put(name(key), value).unwrap();
                }
                Call::PutBatch(puts) => {
                    put(&puts);
                    store.put_batch(entries(&puts)).unwrap();
                }
                Call::Delete(key) => {
                    model.remove(name(key).as_bytes());
                    store.delete(name(key)).unwrap();
                }
                Call::DeleteBatch(keys) => {
                    keys.iter().for_each(|key| drop(model.remove(name(*key).as_bytes())));
                    store.delete_batch(keys.into_iter().map(name)).unwrap();
                }
                Call::Transaction { puts, deletes, commits } => {
                    let mut txn = store.start_transaction().unwrap();
                    txn.put_batch(entries(&puts)).unwrap();
                    deletes.iter().for_each(|key| txn.delete(name(*key)).unwrap());
                    if commits {
                        put(&puts);
                        deletes.iter().for_each(|key| drop(model.remove(name(*key).as_bytes())));
                        prop_assert_eq!(txn.get_entries("").unwrap().len(), model.len());
                        txn.commit().unwrap();
                    }
                }
                Call::Checkpoint => drop(env.checkpoint().unwrap()),
                Call::Reopen => {
                    replay(observer, &mut told);
                    let Opened { env, store, observer } = opened;
                    drop((store, observer));
                    env.close().unwrap();
                    opened = open(dir.path());
                }
            }
            let store = &opened.store;
            prop_assert_eq!(&content(store), &model);
            prop_assert_eq!(store.get_result_size("").unwrap(), model.len() as u64);
            for prefix in ["k", "kk", "kkk0", "x"] {
                let of_prefix = model.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes()));
                let expected: Vec<_> = of_prefix.map(|(key, value)| Entry::new(key, value.clone())).collect();
                prop_assert_eq!(store.get_entries(prefix).unwrap(), expected);
            }
        }
        replay(&opened.observer, &mut told);
        prop_assert_eq!(&told, &model);
        let report = opened.env.verify(&VerifyOptions::default()).unwrap();
        prop_assert!(report.findings.is_empty(), "{report:?}");
    }
}
