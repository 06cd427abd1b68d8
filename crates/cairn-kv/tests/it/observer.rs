//! Observers: what was committed, in the order of the commits, each once.

use std::{collections::BTreeMap, thread, time::Duration};

use bytes::Bytes;
use cairn_env::{Durability, Environment, Options};
use cairn_kv::{Entry, KvStore, Observer, StoreEvent, SubscribeType, Value};

use crate::fixture::{environment, options, store};

/// What the store should be after what the observer was told.
pub(crate) fn replay(observer: &Observer, state: &mut BTreeMap<Bytes, Value>) -> u64 {
    let mut last = 0;
    while let Some(event) = observer.try_next() {
        let StoreEvent::Changed(change) = event else { panic!("no reset was expected") };
        assert!(change.commit > last, "commit {} after {last}", change.commit);
        last = change.commit;
        for Entry { key, value, .. } in &change.inserted {
            assert!(state.insert(key.clone(), value.clone()).is_none(), "{key:?} is not new");
        }
        for Entry { key, value, .. } in &change.updated {
            assert!(state.insert(key.clone(), value.clone()).is_some(), "{key:?} is new");
        }
        for key in &change.deleted {
            assert!(state.remove(key).is_some(), "{key:?} was not there");
        }
    }
    last
}

pub(crate) fn content(store: &KvStore) -> BTreeMap<Bytes, Value> {
    store.get_entries("").unwrap().into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[test]
fn inserts_updates_and_deletes_are_told_apart() {
    let store = store();
    let observer = store.observe(SubscribeType::All).unwrap();
    store.put("a", 1).unwrap();
    store.put("a", "x").unwrap();
    store.delete("a").unwrap();
    store.delete("a").unwrap();
    let events: Vec<_> = std::iter::from_fn(|| observer.try_next()).collect();
    let [StoreEvent::Changed(new), StoreEvent::Changed(other), StoreEvent::Changed(gone)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&new.inserted[..], new.device.as_str()), (&[Entry::new("a", 1)][..], "local"));
    assert!(new.updated.is_empty() && new.deleted.is_empty());
    assert_eq!(other.updated, [Entry::new("a", "x")]);
    assert_eq!(gone.deleted, ["a"]);
}

#[test]
fn an_observer_is_told_what_comes_after_it_until_it_ends() {
    let store = store();
    store.put("a", 1).unwrap();
    let observer = store.observe(SubscribeType::Local).unwrap();
    assert_eq!(observer.next_within(Duration::ZERO), None);
    store.put("b", 1).unwrap();
    let Some(StoreEvent::Changed(change)) = observer.next_within(Duration::from_secs(60)) else {
        panic!()
    };
    assert_eq!(change.inserted[0].key, "b");
    drop(observer);
    store.put("c", 1).unwrap();
    assert!(store.observe(SubscribeType::Remote).unwrap().try_next().is_none());
}

/// What is written under the observer's eyes by four threads, replayed, is what the store holds.
#[test]
fn the_stream_of_four_writers_replayed_is_the_store() {
    for durability in [Durability::Sync, Durability::NoSync] {
        let (env, _) = Environment::in_memory(Options::default()).unwrap();
        let store = KvStore::open(&env, "s", options().durability(durability)).unwrap();
        let observer = store.observe(SubscribeType::All).unwrap();
        thread::scope(|scope| {
            for writer in 0..4u32 {
                let store = store.clone();
                scope.spawn(move || {
                    for n in 0..200u32 {
                        let key = format!("k{}", (n * 7 + writer * 3) % 20);
                        match (n + writer) % 3 {
                            0 => store.delete(&key).unwrap(),
                            _ => store.put(&key, i32::try_from(n * 4 + writer).unwrap()).unwrap(),
                        }
                    }
                });
            }
        });
        let mut state = BTreeMap::new();
        replay(&observer, &mut state);
        assert_eq!(state, content(&store));
    }
}

#[test]
fn an_observer_that_does_not_look_gets_one_reset() {
    let env = environment();
    let limits = cairn_kv::Limits::default().batch(70_000);
    let store = KvStore::open(&env, "s", options().limits(limits)).unwrap();
    let observer = store.observe(SubscribeType::All).unwrap();
    store.put("first", 1).unwrap();
    store.put_batch((0..65_536).map(|n| Entry::new(format!("{n}"), 1))).unwrap();
    store.put("last", 1).unwrap();
    assert_eq!(observer.try_next(), Some(StoreEvent::Reset));
    let Some(StoreEvent::Changed(change)) = observer.try_next() else { panic!() };
    assert_eq!(change.inserted[0].key, "last");
    assert_eq!(observer.try_next(), None);
}
