//! The limits of ArkData's reference, each by name, with the number that it gives.

use cairn_kv::{
    Entry, KvError, KvOptions, KvStore, Limits, MAX_BATCH_SIZE, MAX_KEY_LENGTH,
    MAX_KEY_LENGTH_DEVICE, MAX_QUERY_LENGTH, MAX_STORE_ID_LENGTH, MAX_VALUE_LENGTH, Query,
    SecurityLevel, StoreType, SubscribeType, Value,
};

use crate::fixture::{environment, options, people, store};

#[test]
fn the_constants_are_those_of_arkdata() {
    assert_eq!(
        [
            MAX_KEY_LENGTH,
            MAX_VALUE_LENGTH,
            MAX_KEY_LENGTH_DEVICE,
            MAX_STORE_ID_LENGTH,
            MAX_QUERY_LENGTH,
            MAX_BATCH_SIZE
        ],
        [1024, 4_194_303, 896, 128, 512_000, 128]
    );
}

#[test]
fn a_key_has_1_to_1024_bytes() {
    let store = store();
    let check = |len: usize| store.put("k".repeat(len), 1).map_err(|error| error.code());
    assert_eq!(check(0), Err(Some(401)));
    assert_eq!(check(1025), Err(Some(401)));
    check(1).unwrap();
    check(1024).unwrap();
    assert_eq!(store.get("k".repeat(1024)).unwrap(), Some(1.into()));
    assert!(matches!(store.get("").unwrap_err(), KvError::InvalidKey { len: 0, max: 1024 }));
    assert_eq!(store.delete("k".repeat(1025)).unwrap_err().code(), Some(401));
    assert_eq!(store.start_transaction().unwrap().put("", 1).unwrap_err().code(), Some(401));
}

#[test]
fn a_key_of_a_device_store_has_1_to_896_bytes() {
    let options = options().store_type(StoreType::DeviceCollaboration).device("d".repeat(127));
    let store = KvStore::open(&environment(), "store", options).unwrap();
    store.put("k".repeat(896), 1).unwrap();
    assert_eq!(store.get("k".repeat(896)).unwrap(), Some(1.into()));
    assert_eq!(store.put("k".repeat(897), 1).unwrap_err().code(), Some(401));
}

/// With an index on a long string, and zeros in it, which count twice there.
#[test]
fn the_longest_key_has_room_beside_the_longest_text_of_an_index() {
    let (env, schema) = (environment(), people());
    let store = KvStore::open(&env, "store", options().schema(schema)).unwrap();
    let name = "\\u0000".repeat(600);
    let key = vec![0; 1024];
    store.put(&key, format!("{{\"name\":\"{name}\"}}")).unwrap();
    let found = store.get_entries(Query::new().equal_to("$.name", "\0".repeat(600))).unwrap();
    assert_eq!(found[0].key, key);
}

#[test]
fn a_value_has_at_most_4194303_bytes() {
    let store = store();
    let text = "v".repeat(MAX_VALUE_LENGTH);
    store.put("k", text.as_str()).unwrap();
    assert_eq!(store.get("k").unwrap().unwrap().as_str(), Some(text.as_str()));
    let error = store.put("k", vec![0; MAX_VALUE_LENGTH + 1]).unwrap_err();
    assert!(matches!(error, KvError::ValueTooLong { len: 4_194_304, .. }));
    assert_eq!(error.code(), Some(401));
    assert_eq!(store.get("k").unwrap().unwrap().as_str().map(str::len), Some(MAX_VALUE_LENGTH));
}

#[test]
fn a_batch_has_at_most_128_entries_unless_the_limit_says_otherwise() {
    let env = environment();
    let store = KvStore::open(&env, "store", options()).unwrap();
    let entries = |n: usize| (0..n).map(|n| Entry::new(format!("k{n}"), 1));
    store.put_batch(entries(128)).unwrap();
    let error = store.put_batch(entries(129)).unwrap_err();
    assert!(matches!(error, KvError::BatchTooLarge { len: 129, max: 128 }));
    assert_eq!(error.code(), Some(401));
    let keys = |n: usize| (0..n).map(|n| format!("k{n}"));
    assert_eq!(store.delete_batch(keys(129)).unwrap_err().code(), Some(401));
    store.delete_batch(keys(128)).unwrap();
    assert_eq!(store.get_result_size("").unwrap(), 0);
    let more = options().limits(Limits::default().batch(1000));
    let more = KvStore::open(&env, "store", more).unwrap();
    more.put_batch(entries(1000)).unwrap();
    assert_eq!(store.get_result_size("").unwrap(), 1000);
}

#[test]
fn an_empty_batch_of_keys_is_refused() {
    let error = store().delete_batch([""; 0]).unwrap_err();
    assert!(matches!(error, KvError::EmptyBatch));
    assert_eq!(error.code(), Some(401));
    store().put_batch([]).unwrap();
}

#[test]
fn at_most_8_result_sets_are_open() {
    let store = store();
    let mut open: Vec<_> = (0..8).map(|_| store.get_result_set("").unwrap()).collect();
    let error = store.get_result_set("").unwrap_err();
    assert!(matches!(error, KvError::TooMany { what: "result sets", max: 8 }));
    assert_eq!(error.code(), Some(15_100_001));
    assert!(store.clone().get_result_set("").is_err()); // of the store, not of the handle
    open.pop().unwrap().close();
    drop(store.get_result_set("").unwrap());
    store.get_result_set("").unwrap();
    // One that could not be made takes no place.
    open.pop();
    for _ in 0..10 {
        assert!(store.get_result_set(Query::new().equal_to("$.a", 1)).is_err());
    }
    store.get_result_set("").unwrap();
}

#[test]
fn at_most_8_observers_are_registered() {
    let store = store();
    let mut all: Vec<_> = (0..8).map(|_| store.observe(SubscribeType::All).unwrap()).collect();
    let error = store.observe(SubscribeType::Local).unwrap_err();
    assert!(matches!(error, KvError::TooMany { what: "observers", max: 8 }));
    assert_eq!(error.code(), Some(15_100_001));
    all.pop();
    drop(store.observe(SubscribeType::Local).unwrap());
}

#[test]
fn a_store_id_has_1_to_128_letters_digits_and_underscores() {
    let env = environment();
    for id in ["a", "Store_9", &"x".repeat(128)] {
        KvStore::open(&env, id, options()).unwrap();
    }
    for id in ["", "a b", "a/b", "../x", "a-b", "é", &"x".repeat(129)] {
        let error = KvStore::open(&env, id, options()).unwrap_err();
        assert!(matches!(error, KvError::InvalidStoreId { .. }), "{id:?}");
        assert_eq!(error.code(), Some(401));
        assert_eq!(KvStore::delete_store(&env, id).unwrap_err().code(), Some(401));
    }
}

#[test]
fn a_transaction_has_at_most_512_mib() {
    assert_eq!(cairn_env::MAX_TRANSACTION_LEN, 512 << 20);
    let env = environment();
    let store = KvStore::open(&env, "store", options()).unwrap();
    let mut txn = store.start_transaction().unwrap();
    let value = Value::from(vec![0; MAX_VALUE_LENGTH]);
    for n in 0..127 {
        txn.put(format!("{n}"), value.clone()).unwrap();
    }
    let error = (127..130).find_map(|n| txn.put(format!("{n}"), value.clone()).err()).unwrap();
    assert_eq!(error.code(), Some(401), "{error}");
    txn.rollback();
    assert_eq!(store.get_result_size("").unwrap(), 0);
}

#[test]
fn security_level_is_mandatory_and_recorded() {
    let env = environment();
    let store = KvStore::open(&env, "store", KvOptions::new(SecurityLevel::S3)).unwrap();
    assert_eq!(store.security_level().unwrap(), SecurityLevel::S3);
}
