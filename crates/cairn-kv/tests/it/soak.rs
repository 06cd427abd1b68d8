//! Everybody at once: writers, readers with result sets, an observer, backups and restores.
//!
//! For two seconds, or as many as `CAIRN_SOAK` says.
#![expect(clippy::disallowed_methods, reason = "threads of the system, for a time of its clock")]

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cairn_env::{Durability, Environment, Options};
use cairn_kv::{
    Entry, KvError, KvManager, KvManagerConfig, KvResult, KvStore, Observer, StoreEvent,
    SubscribeType, Value,
};

use crate::{fixture::options, observer::content};

const KEYS: u32 = 300;

/// A small generator: what a thread does next need not be good, only different.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u64::from(n) * (self.0 >> 32)) >> 32).try_into().unwrap()
    }

    fn key(&mut self) -> String {
        format!("k{:03}", self.below(KEYS))
    }
}

/// Ends the others, also when this thread fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A restore in the middle of a transaction ends it: that is no failure.
fn unless_closed(result: KvResult<()>) {
    match result {
        Ok(()) | Err(KvError::Closed { .. }) => {}
        Err(error) if error.is_retryable() => {}
        Err(error) => panic!("{error}"),
    }
}

fn write(store: &KvStore, random: &mut Random, n: i64) {
    match random.below(10) {
        0 => store.delete(random.key()).unwrap(),
        1 => {
            let entries = (0..5).map(|_| Entry::new(random.key(), n)).collect::<Vec<_>>();
            store.put_batch(entries).unwrap();
        }
        2 => unless_closed(store.start_transaction().and_then(|mut txn| {
            // Moves what a key has to another one.
            let (from, to) = (random.key(), random.key());
            if let Some(value) = txn.get(&from)? {
                txn.delete(&from)?;
                txn.put(&to, value)?;
            }
            txn.commit().map(drop)
        })),
        _ => store.put(random.key(), n).unwrap(),
    }
}

/// Goes through a result set in both directions: in order, and the same both times, or closed.
fn read(store: &KvStore) -> KvResult<()> {
    let mut set = store.get_result_set("k")?;
    let count = set.count()?;
    let mut keys = Vec::new();
    while set.move_to_next()? {
        keys.extend(set.entry()?.map(|entry| entry.key));
    }
    assert!(keys.is_sorted() && keys.len() as u64 == count, "{keys:?} are {count}");
    while set.move_to_previous()? {
        assert_eq!(set.entry()?.map(|entry| entry.key), keys.pop());
    }
    assert!(keys.is_empty());
    Ok(())
}

/// Takes what has come. After a reset the store is read again; what follows may be in that already.
fn follow(observer: &Observer, store: &KvStore, state: &mut BTreeMap<Bytes, Value>) -> u32 {
    let mut resets = 0;
    while let Some(event) = observer.try_next() {
        match event {
            StoreEvent::Changed(change) => {
                let put = change.inserted.iter().chain(&change.updated);
                state.extend(put.map(|entry| (entry.key.clone(), entry.value.clone())));
                change.deleted.iter().for_each(|key| drop(state.remove(key)));
            }
            StoreEvent::Reset => {
                *state = content(store);
                resets += 1;
            }
            _ => panic!("{event:?}"),
        }
    }
    resets
}

#[test]
fn with_everybody_at_work_the_observer_knows_the_store_and_nothing_grows() {
    let seconds = std::env::var("CAIRN_SOAK").map_or(2, |seconds| seconds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let manager = KvManager::open(dir.path().join("data"), KvManagerConfig::new()).unwrap();
    let options = || options().durability(Durability::NoSync);
    let store = manager.get_store("storeId", options()).unwrap();
    let observer = store.observe(SubscribeType::All).unwrap();
    store.backup("BK0").unwrap();

    let end = Instant::now() + Duration::from_secs(seconds);
    let (over, restores) = (AtomicBool::new(false), AtomicU32::new(0));
    let goes_on = || !over.load(Ordering::Relaxed);
    // Whoever changes the store holds this for reading; who compares, alone.
    let gate = RwLock::new(());
    thread::scope(|scope| {
        for number in 0..4 {
            let (gate, store) = (&gate, manager.get_store("storeId", options()).unwrap());
            scope.spawn(move || {
                let mut random = Random(number);
                for n in 0.. {
                    if !goes_on() {
                        break;
                    }
                    let _gate = gate.read().unwrap();
                    write(&store, &mut random, n);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while goes_on() {
                    unless_closed(read(&store));
                }
            });
        }
        scope.spawn(|| {
            let mut random = Random(99);
            while goes_on() {
                let name = format!("BK{}", random.below(4));
                let _gate = gate.read().unwrap();
                match random.below(3) {
                    0 => match store.restore(&name) {
                        Ok(_) => drop(restores.fetch_add(1, Ordering::Relaxed)),
                        Err(KvError::NoSuchBackup { .. }) => {}
                        Err(error) => panic!("{error}"),
                    },
                    1 => drop(store.delete_backup([name]).unwrap()),
                    _ => drop(store.backup(&name).unwrap()),
                }
            }
        });

        let _ends = Ends(&over);
        let (mut state, mut resets, mut compared) = (BTreeMap::new(), 0, 0);
        while Instant::now() < end {
            resets += follow(&observer, &store, &mut state);
            thread::sleep(Duration::from_millis(20));
            let _alone = gate.write().unwrap();
            // What is not durable yet a handle reads only behind what it has written itself.
            store.put("last", compared).unwrap();
            resets += follow(&observer, &store, &mut state);
            assert!(state == content(&store), "seen {resets} resets, compared {compared} times");
            compared += 1;
        }
        assert!(compared > 10 && resets > 0, "{compared} comparisons, {resets} resets");
    });
    assert!(restores.load(Ordering::Relaxed) > 0);
    assert!(store.backups().unwrap().len() <= 4);
    drop((observer, store));
    manager.close().unwrap();
    let (env, _) = Environment::open(dir.path().join("data"), Options::default()).unwrap();
    env.compact().unwrap();
    let log = |dir: &std::path::Path| -> u64 {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let bytes = log(&dir.path().join("data").join("g-000001"));
    assert!(bytes < 64 << 20, "{bytes} bytes for {KEYS} keys");
}
