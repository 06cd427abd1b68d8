//! What the engines are filled with, and how it changes: numbered keys that look random, and values.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Result,
    engine::{Commit, Engine, Key, Pair},
};

/// So many entries with values of one length.
pub struct Data {
    pub entries: u64,
    value_bytes: usize,
    /// Of which values are pieces, so that making one costs next to nothing, and nothing makes them shorter.
    noise: Vec<u8>,
    /// How many series of commits there were: none repeats another.
    series: AtomicU64,
}

/// How many values there are.
const PIECES: u64 = 64 << 10;

/// Commits of one kind.
#[derive(Clone, Copy)]
pub struct Commits {
    commit: Commit,
    entries_each: u64,
    threads: u64,
}

impl Commits {
    /// Of one entry, synced, by one thread.
    pub const SYNCED: Self = Self { commit: Commit::Synced, entries_each: 1, threads: 1 };
    /// The same, not synced.
    pub const UNSYNCED: Self = Self { commit: Commit::Unsynced, ..Self::SYNCED };

    pub const fn of(self, entries_each: u64) -> Self {
        Self { entries_each, ..self }
    }

    pub const fn by(self, threads: u64) -> Self {
        Self { threads, ..self }
    }
}

impl Data {
    pub fn new(entries: u64, value_bytes: usize) -> Self {
        let bytes = (PIECES as usize + value_bytes).next_multiple_of(8);
        let noise = (1..=bytes as u64 / 8).flat_map(|n| mix(n).to_le_bytes()).collect();
        Self { entries, value_bytes, noise, series: AtomicU64::new(0) }
    }

    /// The bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.entries * (size_of::<Key>() + self.value_bytes) as u64
    }

    /// All entries in order.
    pub fn sorted(&self) -> Vec<Pair<'_>> {
        let mut entries: Vec<_> = (0..self.entries).map(|n| (key(n), self.value(n))).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }

    /// Which entry the n-th of a series is about.
    pub fn some(&self, n: u64, salt: u64) -> u64 {
        mix(n.wrapping_mul(3).wrapping_add(salt << 40)) % self.entries
    }

    /// Some key that was loaded.
    pub fn existing(&self, n: u64, salt: u64) -> Key {
        key(self.some(n, salt))
    }

    /// A value that is hardly ever the one that it replaces: some engines notice that nothing changes (SQLite).
    pub fn value(&self, number: u64) -> &[u8] {
        let at = usize::try_from(mix(!number) % PIECES).unwrap_or(0);
        &self.noise[at..at + self.value_bytes]
    }

    /// Commits until the time is up; returns how many entries were set per second.
    pub fn commits(&self, engine: &dyn Engine, kind: Commits, duration: Duration) -> Result<f64> {
        let Commits { commit, entries_each, threads } = kind;
        engine.prepare(commit)?;
        let first_salt = self.series.fetch_add(threads, Ordering::Relaxed) + 16;
        let start = Instant::now();
        let counts = in_threads(threads, |thread| {
            let mut session = engine.session(commit)?;
            let salt = first_salt + thread;
            let mut done = 0;
            while start.elapsed() < duration {
                let first = done;
                done += entries_each;
                let entry = |n| (self.existing(n, salt), self.value(n + (salt << 40)));
                session.commit(&(first..done).map(entry).collect::<Vec<_>>())?;
            }
            Ok(done)
        });
        Ok(counts?.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
    }
}

/// Does it in so many threads at once, each with its number.
pub fn in_threads<T: Send>(threads: u64, work: impl Fn(u64) -> Result<T> + Sync) -> Result<Vec<T>> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
    })
}

pub fn check(found: u64, expected: u64) -> Result {
    if found == expected {
        return Ok(());
    }
    Err(format!("found {found} where {expected} was expected: a figure of wrong work").into())
}

/// The n-th key: no order, no two the same.
pub fn key(n: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(n + 1).to_be_bytes());
    key[8..].copy_from_slice(&mix(n + 77).to_be_bytes());
    key
}

/// A bijection that looks random (the finalizer of SplitMix64).
pub fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
