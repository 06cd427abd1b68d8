//! Transactions: all or nothing, seen by nobody before.

use cairn_env::ErrorKind;
use cairn_kv::{Entry, KvError, KvStore, Query, StoreEvent, SubscribeType};

use crate::fixture::{environment, options, people, store};

#[test]
fn a_transaction_is_seen_when_it_is_committed_and_not_before() {
    let store = store();
    store.put("a", 1).unwrap();
    let mut txn = store.start_transaction().unwrap();
    txn.put("b", 2).unwrap();
    txn.delete("a").unwrap();
    txn.put_batch([Entry::new("c", 3), Entry::new("c", 4)]).unwrap();
    assert_eq!(txn.get("b").unwrap(), Some(2.into()));
    assert_eq!(txn.get("a").unwrap(), None);
    let keys: Vec<_> = txn.get_entries("").unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["b", "c"]);
    assert_eq!(store.get("b").unwrap(), None);
    assert_eq!(store.get_result_size("").unwrap(), 1);
    txn.commit().unwrap();
    let entries = store.get_entries("").unwrap();
    assert_eq!(entries, [Entry::new("b", 2), Entry::new("c", 4)]);
}

#[test]
fn rollback_and_drop_change_nothing() {
    let store = store();
    let observer = store.observe(SubscribeType::All).unwrap();
    let mut txn = store.start_transaction().unwrap();
    txn.put("a", 1).unwrap();
    txn.rollback();
    let mut txn = store.start_transaction().unwrap();
    txn.put("a", 1).unwrap();
    drop(txn);
    assert_eq!(store.get("a").unwrap(), None);
    assert!(observer.try_next().is_none());
}

#[test]
fn of_two_that_read_what_the_other_changes_one_is_in_conflict() {
    let store = store();
    store.put("a", 1).unwrap();
    let [mut first, mut second] = [0, 1].map(|_| store.start_transaction().unwrap());
    for txn in [&mut first, &mut second] {
        let has = txn.get("a").unwrap().unwrap().as_i64().unwrap();
        txn.put("a", has + 1).unwrap();
    }
    first.commit().unwrap();
    let error = second.commit().unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Conflict);
    assert_eq!(error.code(), None);
    assert_eq!(store.get("a").unwrap(), Some(2i64.into()));
}

#[test]
fn a_transaction_is_told_once_with_what_it_came_to() {
    let store = store();
    store.put("old", 1).unwrap();
    store.put("gone", 1).unwrap();
    let observer = store.observe(SubscribeType::All).unwrap();
    let mut txn = store.start_transaction().unwrap();
    txn.put("new", 1).unwrap();
    txn.put("new", 2).unwrap();
    txn.put("old", 2).unwrap();
    txn.delete("gone").unwrap();
    txn.put("never", 1).unwrap();
    txn.delete("never").unwrap();
    txn.commit().unwrap();
    let Some(StoreEvent::Changed(change)) = observer.try_next() else { panic!() };
    assert_eq!(change.inserted, [Entry::new("new", 2)]);
    assert_eq!(change.updated, [Entry::new("old", 2)]);
    assert_eq!(change.deleted, ["gone"]);
    assert!(observer.try_next().is_none());
}

#[test]
fn a_transaction_keeps_the_indexes() {
    let store = KvStore::open(&environment(), "s", options().schema(people())).unwrap();
    let mut txn = store.start_transaction().unwrap();
    txn.put("a", r#"{"name":"x","age":1}"#).unwrap();
    assert!(txn.put("b", r#"{"age":1}"#).is_err()); // it has no name
    txn.put("a", r#"{"name":"x","age":2}"#).unwrap();
    txn.commit().unwrap();
    let size = |age| store.get_result_size(Query::new().equal_to("$.age", age)).unwrap();
    assert_eq!((size(1), size(2)), (0, 1));
}

#[test]
fn a_transaction_ends_with_its_store() {
    let store = store();
    let mut txn = store.start_transaction().unwrap();
    txn.put("a", 1).unwrap();
    store.close();
    for error in [
        txn.get("a").unwrap_err(),
        txn.put("a", 1).unwrap_err(),
        txn.delete("a").unwrap_err(),
        txn.get_entries("").unwrap_err(),
        txn.commit().unwrap_err(),
    ] {
        assert!(matches!(error, KvError::Closed { .. }));
        assert_eq!(error.code(), Some(15_100_005));
    }
}

#[test]
fn a_batch_is_put_as_a_whole_or_not_at_all() {
    let store = store();
    let bad = [Entry::new("a", 1), Entry::new("", 2)];
    assert!(store.put_batch(bad).is_err());
    assert!(store.delete_batch(["a", ""]).is_err());
    assert_eq!(store.get("a").unwrap(), None);
    let observer = store.observe(SubscribeType::All).unwrap();
    store.put_batch([Entry::new("a", 1), Entry::new("b", 1), Entry::new("a", 2)]).unwrap();
    store.delete_batch(["a", "a", "missing"]).unwrap();
    let changes: Vec<_> = std::iter::from_fn(|| observer.try_next()).collect();
    let [StoreEvent::Changed(put), StoreEvent::Changed(deleted)] = &changes[..] else { panic!() };
    assert_eq!(put.inserted, [Entry::new("a", 2), Entry::new("b", 1)]);
    assert_eq!(deleted.deleted, ["a"]);
}
