//! Managers: stores by id, their handles, closing and deleting.

use cairn_env::{Durability, Environment, ErrorKind, Options};
use cairn_kv::{KvError, KvManager, KvManagerConfig, KvStore, Query, SubscribeType};

use crate::fixture::{environment, options, people, store};

#[test]
fn handles_of_a_store_share_what_they_see() {
    let env = environment();
    let manager = KvManager::of(&env);
    let a = manager.get_store("store", options()).unwrap();
    let b = KvStore::open(&env, "store", options()).unwrap();
    let observer = b.observe(SubscribeType::All).unwrap();
    a.put("k", 1).unwrap();
    assert_eq!(b.get("k").unwrap(), Some(1.into()));
    assert!(observer.try_next().is_some());
    assert!(KvStore::open(&env, "other", options()).unwrap().get("k").unwrap().is_none());
}

#[test]
fn a_store_is_closed_when_it_was_closed_as_often_as_it_was_got() {
    let manager = KvManager::of(&environment());
    let a = manager.get_store("store", options()).unwrap();
    let b = manager.get_store("store", options()).unwrap();
    let mut set = a.get_result_set("").unwrap();
    let observer = a.observe(SubscribeType::All).unwrap();
    manager.close_store("store");
    b.put("k", 1).unwrap();
    manager.close_store("store");
    manager.close_store("store"); // once more is fine
    manager.close_store("never_opened");
    for error in [
        a.get("k").unwrap_err(),
        b.put("k", 2).unwrap_err(),
        b.delete("k").unwrap_err(),
        a.get_entries("").unwrap_err(),
        a.get_result_set("").unwrap_err(),
        a.get_result_size("").unwrap_err(),
        a.start_transaction().unwrap_err(),
        a.observe(SubscribeType::All).unwrap_err(),
        a.security_level().unwrap_err(),
        set.count().unwrap_err(),
        set.move_to_next().unwrap_err(),
        set.entry().unwrap_err(),
    ] {
        assert!(matches!(error, KvError::Closed { .. }));
        assert_eq!(error.code(), Some(15_100_005));
    }
    assert!(observer.try_next().is_some() && observer.try_next().is_none() && observer.is_ended());
    let again = manager.get_store("store", options()).unwrap();
    assert_eq!(again.get("k").unwrap(), Some(1.into()));
    assert!(a.get("k").is_err()); // old handles stay closed
    manager.close_store("store");
    assert!(again.get("k").is_err());
}

#[test]
fn a_deleted_store_is_gone_with_its_handles_and_its_indexes() {
    let env = environment();
    let manager = KvManager::of(&env);
    let store = manager.get_store("store", options().schema(people())).unwrap();
    store.put("k", r#"{"name":"x"}"#).unwrap();
    let mut set = store.get_result_set("").unwrap();
    assert_eq!(env.snapshot().unwrap().databases().unwrap().len(), 6);
    manager.delete_store("store").unwrap();
    assert_eq!(store.get("k").unwrap_err().code(), Some(15_100_005));
    assert_eq!(set.move_to_first().unwrap_err().code(), Some(15_100_005));
    assert!(manager.store_ids().unwrap().is_empty());
    assert_eq!(env.snapshot().unwrap().databases().unwrap().len(), 1);
    let error = manager.delete_store("store").unwrap_err();
    assert!(matches!(error, KvError::StoreNotFound { .. }));
    assert_eq!(error.code(), Some(15_100_004));
    // A new one under its id is another one, and may be of another sort.
    let new = manager.get_store("store", options()).unwrap();
    assert_eq!(new.get("k").unwrap(), None);
    assert!(store.get("k").is_err());
}

#[test]
fn store_ids_are_those_of_all_stores_in_order() {
    let manager = KvManager::of(&environment());
    for id in ["b", "a", "C"] {
        manager.get_store(id, options()).unwrap();
    }
    manager.close_store("b");
    assert_eq!(manager.store_ids().unwrap(), ["C", "a", "b"]);
}

#[test]
fn an_environment_is_opened_by_one_manager_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let manager = KvManager::open(dir.path(), KvManagerConfig::new()).unwrap();
    manager.get_store("store", options()).unwrap().put("k", 1).unwrap();
    let error = KvManager::open(dir.path(), KvManagerConfig::new()).unwrap_err();
    assert_eq!(error.code(), Some(15_100_006));
    assert_eq!(error.kind(), ErrorKind::Busy);
    manager.close().unwrap();
    let manager = KvManager::open(dir.path(), KvManagerConfig::new()).unwrap();
    let store = manager.get_store("store", options()).unwrap();
    assert_eq!(store.get("k").unwrap(), Some(1.into()));
}

#[test]
fn a_closed_environment_closes_its_stores() {
    let env = environment();
    let store = KvStore::open(&env, "store", options()).unwrap();
    env.close().unwrap();
    assert_eq!(store.get("k").unwrap_err().code(), Some(15_100_005));
    assert_eq!(store.put("k", 1).unwrap_err().code(), Some(15_100_005));
}

#[test]
fn dropping_all_handles_lets_the_environment_go() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path(), Options::default()).unwrap();
    let store = KvStore::open(&env, "store", options()).unwrap();
    let set = store.get_result_set("").unwrap();
    drop((env, store, set));
    Environment::open(dir.path(), Options::default()).unwrap();
}

#[test]
fn a_store_of_an_environment_that_is_read_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path(), Options::default()).unwrap();
    KvStore::open(&env, "store", options().schema(people()))
        .unwrap()
        .put("k", r#"{"name":"x","age":7}"#)
        .unwrap();
    env.close().unwrap();
    let (env, _) = Environment::open(dir.path(), Options::default().read_only(true)).unwrap();
    let store = KvStore::open(&env, "store", options().schema(people())).unwrap();
    let query = Query::new().equal_to("$.age", 7);
    assert_eq!(store.get_entries(query).unwrap().len(), 1);
    assert_eq!(store.put("k", 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(KvStore::open(&env, "other", options()).is_err());
}

#[test]
fn the_error_of_a_missing_key_has_its_number() {
    let error = store().require("k").unwrap_err();
    assert!(matches!(&error, KvError::KeyNotFound { key } if key == b"k"));
    assert_eq!(error.code(), Some(15_100_004));
}

#[test]
fn reads_are_of_what_is_durable_and_of_what_the_handle_has_written() {
    let env = environment();
    let quick = options().durability(Durability::NoSync);
    let [mine, theirs] = [0, 1].map(|_| KvStore::open(&env, "store", quick.clone()).unwrap());
    mine.put("k", 1).unwrap();
    assert_eq!(mine.get("k").unwrap(), Some(1.into()));
    assert_eq!(mine.get_result_size("").unwrap(), 1);
    // A crash would take it back, so nobody else builds on it yet.
    assert_eq!(theirs.get("k").unwrap(), None);
    assert!(theirs.get_entries("").unwrap().is_empty());
    env.sync().unwrap();
    assert_eq!(theirs.get("k").unwrap(), Some(1.into()));
}

/// The commit that creates a store, and those that build its indexes, may be as unsure as any other.
#[test]
fn a_store_that_no_sync_has_made_durable_is_there_for_whom_opened_it() {
    let unsure = Options::default().background(false).durability(Durability::NoSync);
    let (env, _) = Environment::in_memory(unsure).unwrap();
    let with_schema = options().schema(people());
    let store = KvStore::open(&env, "store", with_schema.clone()).unwrap();
    let by_age = || Query::new().equal_to("$.age", 7);
    assert_eq!(store.get("k").unwrap(), None);
    assert_eq!(store.get_result_size(by_age()).unwrap(), 0);
    store.put("k", r#"{"name":"x","age":7}"#).unwrap();
    store.close();
    let again = KvStore::open(&env, "store", with_schema).unwrap();
    assert_eq!(again.get_entries(by_age()).unwrap().len(), 1);
    assert!(again.get_result_set("").unwrap().move_to_first().unwrap());
}
