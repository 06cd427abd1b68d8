//! `ValueCache`: large values that were read lately, checked and in the clear, so that reading one again takes no disk,
//! no checksum and no cipher.
//!
//! A value is known by its place in the log, where nothing ever changes: so nothing here can become wrong, and what
//! is superseded or cleaned away is only forgotten in its turn. Nothing is forgotten that was used since the last
//! round (the clock of Corbató, 1968).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

/// Readers of different values rarely meet.
const SHARDS: usize = 16;
/// Of the cache of nodes, so much is for values.
const PART: usize = 8;
/// A value that takes more of its shard is not worth what goes for it.
const LARGEST: usize = 4;

/// How many values it is known of that they were read once.
const READ_ONCE: usize = 4096;

/// Large values that were read lately.
#[derive(Debug)]
pub(crate) struct ValueCache {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of a shard.
    budget: usize,
    /// Places of values that were read once, each where its hash says, until another one comes there: a doorkeeper
    /// (Einziger, Friedman and Manes, TinyLFU, 2017).
    read_once: Box<[AtomicU64]>,
}

#[derive(Debug, Default)]
struct Shard {
    values: BTreeMap<u64, Kept>,
    /// In the order in which they go, unless they are used again.
    order: VecDeque<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    value: Bytes,
    is_used: bool,
}

/// Places are multiples of small numbers: the middle bits of a product tell them apart.
fn mixed(lsn: u64) -> usize {
    usize::try_from(lsn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or(0)
}

/// Of a budget for everything that is kept in memory: what is for values.
pub(crate) const fn budget(all: usize) -> usize {
    all / PART
}

impl ValueCache {
    /// One that takes up to its part of `all` bytes.
    pub(crate) fn new(all: usize) -> Self {
        let read_once = (0..READ_ONCE).map(|_| AtomicU64::new(0)).collect();
        Self { shards: Default::default(), budget: budget(all) / SHARDS, read_once }
    }

    fn shard(&self, lsn: u64) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[mixed(lsn) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a value is worth a copy of its own although its file is mapped: one that is read again is. A scan, which
    /// reads each once, copies nothing.
    pub(crate) fn is_worth_a_copy(&self, lsn: u64, len: usize) -> bool {
        let place = &self.read_once[mixed(lsn) / SHARDS % READ_ONCE];
        self.is_for(len) && place.swap(lsn, Ordering::Relaxed) == lsn
    }

    /// The value at a place, if it was read lately.
    pub(crate) fn get(&self, lsn: u64) -> Option<Bytes> {
        let mut shard = self.shard(lsn);
        let kept = shard.values.get_mut(&lsn)?;
        kept.is_used = true;
        Some(kept.value.clone())
    }

    /// Whether a value of this length would be kept.
    pub(crate) const fn is_for(&self, len: usize) -> bool {
        len <= self.budget / LARGEST
    }

    /// Keeps a value that was read and checked.
    pub(crate) fn put(&self, lsn: u64, value: &Bytes) {
        if !self.is_for(value.len()) {
            return;
        }
        let mut shard = self.shard(lsn);
        let kept = Kept { value: value.clone(), is_used: false };
        if shard.values.insert(lsn, kept).is_some() {
            return; // somebody else was faster
        }
        shard.order.push_back(lsn);
        shard.bytes += value.len();
        while shard.bytes > self.budget
            && let Some(oldest) = shard.order.pop_front()
        {
            match shard.values.get_mut(&oldest) {
                Some(kept) if kept.is_used => {
                    kept.is_used = false;
                    shard.order.push_back(oldest);
                }
                Some(_) => {
                    let gone = shard.values.remove(&oldest);
                    shard.bytes -= gone.map_or(0, |gone| gone.value.len());
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(cache: &ValueCache) -> usize {
        cache.shards.iter().map(|shard| shard.lock().unwrap().bytes).sum()
    }

    #[test]
    fn it_keeps_within_its_budget_what_is_used() {
        let cache = ValueCache::new(1 << 20);
        let value = Bytes::from(vec![7; 1000]);
        for lsn in 0..1000 {
            cache.put(lsn * 1100, &value);
            assert!(cache.get(0).is_some(), "it is used all the time");
            assert!(bytes(&cache) <= (1 << 20) / PART);
        }
        let kept = (0..1000).filter(|lsn| cache.get(lsn * 1100).is_some()).count();
        assert!((60..=131).contains(&kept), "{kept}");
    }

    #[test]
    fn what_is_read_again_is_worth_a_copy() {
        let cache = ValueCache::new(1 << 20);
        assert!(!cache.is_worth_a_copy(8, 1000));
        assert!(cache.is_worth_a_copy(8, 1000));
        assert!(!cache.is_worth_a_copy(8, 5000), "it would not be kept");
        let again = |lsn: &u64| cache.is_worth_a_copy(lsn * 1104, 1000);
        assert_eq!((1000..1000 + 3000_u64).filter(again).count(), 0, "a scan");
        let mostly = (1000..1000 + 3000_u64).filter(again).count();
        assert!(mostly > 1200, "{mostly} of 3000 were remembered");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let cache = ValueCache::new(1 << 20);
        cache.put(1, &Bytes::from(vec![7; 5000]));
        assert!(cache.get(1).is_none() && bytes(&cache) == 0);
    }
}
