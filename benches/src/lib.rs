//! What the benchmarks share: keys, and an environment that is full of them.
//!
//! There is a bench a layer: `log`, `tree`, `environment`, `encryption`, `index`, `archive`, `kv`, `backup`, `replica`. `cargo xtask
//! bench` runs them all, `cargo xtask bench -- get` those with `get` in their names, `cargo xtask bench --test` each once.
//! Comparisons with other engines are in `compare`, a workspace of its own: `cargo xtask bench compare run` for the
//! engine and `rows` for all that it has goals for, `latency` for commits beside background work, `json` for queries of documents, `kv` for what a key-value store costs beside the engine, `store` for backup and restore of a key-value store.
#![forbid(unsafe_code)]

pub mod replica;

use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options};
use tempfile::TempDir;

/// How many entries a full environment has.
pub const ENTRIES: u64 = 200_000;
/// The value of each entry.
pub const VALUE: [u8; 100] = [7; 100];

/// The n-th key: no order, no two the same.
#[must_use]
pub fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(n + 1).to_le_bytes());
    key[8..].copy_from_slice(&n.to_le_bytes());
    key
}

/// Some key that is there.
#[must_use]
pub fn existing(n: u64) -> [u8; 16] {
    key(mix(n) % ENTRIES)
}

/// A bijection that looks random (the finalizer of SplitMix64).
#[must_use]
pub fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// An environment on the disk, with [`ENTRIES`] entries in its one database.
#[derive(Debug)]
pub struct Full {
    /// The environment.
    pub env: Environment,
    /// Its database.
    pub database: Database,
    /// Where it lies; the environment is in `env`.
    pub dir: TempDir,
}

impl Full {
    /// Creates and fills it.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Self::with(Options::new())
    }

    /// Creates and fills one with these options.
    ///
    /// # Errors
    /// As [`Full::new`].
    pub fn with(options: Options) -> Result<Self, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (env, _) = Environment::open(dir.path().join("env"), options)?;
        let database = env.database("main", DatabaseOptions::default())?;
        for first in (0..ENTRIES).step_by(10_000) {
            env.write_with(Durability::NoSync, |txn| {
                (first..first + 10_000).try_for_each(|n| txn.put(&database, &key(n), &VALUE))
            })?;
        }
        env.checkpoint()?;
        Ok(Self { env, database, dir })
    }
}
