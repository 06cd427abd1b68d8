//! Options: what is recorded, what must be the same, what is refused.

use cairn_env::{DatabaseOptions, Environment, KeySource, Options};
use cairn_kv::{KvError, KvOptions, KvStore, Schema, SecurityLevel, StoreType};

use crate::fixture::{environment, options, people};

#[test]
fn changed_options_are_refused_by_name() {
    let env = environment();
    let created = KvStore::open(&env, "store", KvOptions::new(SecurityLevel::S2)).unwrap();
    let of = || KvOptions::new(SecurityLevel::S2);
    for (changed, name) in [
        (of().store_type(StoreType::DeviceCollaboration), "store type"),
        (of().schema(Schema::new()), "schema"),
        (KvOptions::new(SecurityLevel::S1), "security level"),
    ] {
        let error = KvStore::open(&env, "store", changed).unwrap_err();
        assert_eq!(error.code(), Some(15_100_002));
        assert!(matches!(error, KvError::ChangedOptions { option, .. } if option == name));
    }
    created.put("k", 1).unwrap();
    created.close();
    // The same once it is closed; and it may be raised.
    assert_eq!(KvStore::open(&env, "store", options()).unwrap_err().code(), Some(15_100_002));
    let raised = KvOptions::new(SecurityLevel::S4);
    let raised = KvStore::open(&env, "store", raised.backup(false)).unwrap();
    assert_eq!(raised.security_level().unwrap(), SecurityLevel::S4);
    assert_eq!(raised.get("k").unwrap(), Some(1.into()));
    assert!(KvStore::open(&env, "store", of()).is_err());
}

#[test]
fn a_store_is_created_only_if_that_is_said() {
    let env = environment();
    let error = KvStore::open(&env, "store", options().create_if_missing(false)).unwrap_err();
    assert!(matches!(error, KvError::StoreNotFound { .. }));
    assert_eq!(error.code(), Some(15_100_004));
    assert!(KvStore::ids(&env).unwrap().is_empty());
    KvStore::open(&env, "store", options()).unwrap();
    KvStore::open(&env, "store", options().create_if_missing(false)).unwrap();
}

#[test]
fn encryption_without_keys_is_refused() {
    let env = environment();
    let error = KvStore::open(&env, "store", options().encrypt(true)).unwrap_err();
    assert!(matches!(error, KvError::NotEncrypted { .. }));
    assert_eq!(error.code(), Some(15_100_003));
    assert!(KvStore::ids(&env).unwrap().is_empty());
}

#[test]
fn in_an_encrypted_environment_every_store_is_and_says_so() {
    let options_of = || {
        let key = KeySource::raw(&mut std::array::from_fn(|at| u8::try_from(at).unwrap()));
        Options::default().background(false).key(key)
    };
    let (env, _) = Environment::in_memory(options_of()).unwrap();
    let plain = KvStore::open(&env, "plain", options()).unwrap();
    let asked = KvStore::open(&env, "asked", options().encrypt(true)).unwrap();
    assert!(plain.is_encrypted() && asked.is_encrypted());
    // What was asked for is recorded all the same.
    let error = KvStore::open(&env, "plain", options().encrypt(true)).unwrap_err();
    assert_eq!(error.code(), Some(15_100_002));
}

#[test]
fn a_database_of_a_reserved_name_is_not_taken_for_a_store() {
    let env = environment();
    let theirs = env.database("cairn.kv/store", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&theirs, b"k", b"v")).unwrap();
    let error = KvStore::open(&env, "store", options()).unwrap_err();
    assert!(matches!(error, KvError::NameTaken { .. }));
    assert_eq!(error.code(), None);
    assert!(KvStore::ids(&env).unwrap().is_empty());
    assert!(env.snapshot().unwrap().get(&theirs, b"k").unwrap().is_some());
}

#[test]
fn a_schema_survives_a_reopen_and_its_indexes_do() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let (env, _) = Environment::open(dir.path(), Options::default()).unwrap();
        let store = KvStore::open(&env, "store", options().schema(people())).unwrap();
        store.put(format!("k{round}"), format!("{{\"name\":\"x\",\"age\":{round}}}")).unwrap();
        let query = cairn_kv::Query::new().less_than("$.age", 100);
        assert_eq!(store.get_result_size(&query).unwrap(), round + 1);
        assert_eq!(store.explain(&query).unwrap().index.as_deref(), Some("$.age"));
        let report = env.verify(&cairn_env::VerifyOptions::default()).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        drop(store);
        env.close().unwrap();
    }
}

#[test]
fn entries_that_cannot_be_understood_are_said_to_be() {
    let env = environment();
    let store = KvStore::open(&env, "store", options()).unwrap();
    let data = env.find_database("cairn.kv/store").unwrap().unwrap();
    env.write(|txn| txn.put(&data, b"k", &[9, 9])).unwrap();
    store.put("a", 1).unwrap();
    let error = store.get("k").unwrap_err();
    assert!(matches!(error, KvError::Corrupt { .. }));
    assert_eq!(error.code(), Some(15_100_003));
    assert_eq!(store.get_entries("").unwrap_err().code(), Some(15_100_003));
    assert_eq!(store.get("a").unwrap(), Some(1.into()));
}
