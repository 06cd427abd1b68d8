//! An environment whose commits wait for a replica, or for none.

use std::{
    error::Error,
    sync::atomic::{AtomicU64, Ordering},
};

use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options, ReplicaPolicy};
use tempfile::TempDir;

use crate::{VALUE, key};

/// Why a bench ends.
pub const NO_DISK: &str = "the temporary directory can be written";

/// An environment on the disk, with or without a replica beside it.
#[derive(Debug)]
pub struct Alone {
    env: Environment,
    database: Database,
    next: AtomicU64,
    /// Goes when the environment was closed.
    _dir: TempDir,
}

impl Alone {
    /// A new one.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new(with_replica: bool) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let mut options = Options::new();
        if with_replica {
            options = options.replica(dir.path().join("there"), ReplicaPolicy::Require);
        }
        let (env, _) = Environment::open(dir.path().join("here"), options)?;
        let database = env.database("main", DatabaseOptions::default())?;
        Ok(Self { env, database, next: AtomicU64::new(0), _dir: dir })
    }

    /// So many threads commit so many times each, one entry at a time, durably.
    ///
    /// # Panics
    /// If the disk fails.
    pub fn commit(&self, threads: u64, each: u64) {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.commit_some(each));
            }
            self.commit_some(each);
        });
    }

    fn commit_some(&self, count: u64) {
        for _ in 0..count {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            self.env
                .write_with(Durability::Sync, |txn| txn.put(&self.database, &key(n), &VALUE))
                .expect(NO_DISK);
        }
    }
}
