//! The commits, and how long they took.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use cairn_env::{Database, Durability, Environment};

use crate::{Result, data::Data};

/// An environment with all entries of `data`, and a thread that changes one after the other.
pub struct Commits<'e> {
    env: &'e Environment,
    database: &'e Database,
    data: &'e Data,
    /// How many changes there were, so that none is like another.
    changes: u64,
    measured: Duration,
    took: Vec<Duration>,
}

/// How long a commit took that was not slower than 50, 99 and 99.9 of a hundred.
#[derive(Clone, Copy, Debug)]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    /// How many commits there were.
    pub count: u64,
}

impl<'e> Commits<'e> {
    pub fn new(env: &'e Environment, database: &'e Database, data: &'e Data) -> Self {
        Self { env, database, data, changes: 0, measured: Duration::ZERO, took: Vec::new() }
    }

    pub fn load(&self) -> Result {
        let mut txn = self.env.begin_exclusive()?;
        txn.load(self.database, self.data.sorted())?;
        txn.commit_with(Durability::Sync)?;
        Ok(())
    }

    /// Changes so many entries, not measured.
    pub fn change(&mut self, count: u64) -> Result {
        let Self { env, database, data, changes, .. } = self;
        for _ in 0..count.div_ceil(1000) {
            env.write_with(Durability::NoSync, |txn| {
                (*changes..*changes + 1000)
                    .try_for_each(|n| txn.put(database, &data.existing(n, 1), data.value(n)))
            })?;
            *changes += 1000;
        }
        Ok(env.sync()?)
    }

    /// Commits while this is done.
    pub fn during(&mut self, durability: Durability, act: impl FnOnce() -> Result) -> Result {
        let Self { env, database, data, changes, measured, took } = self;
        let stop = AtomicBool::new(false);
        let began = Instant::now();
        let done = thread::scope(|scope| {
            let writer = scope.spawn(|| -> Result {
                while !stop.load(Ordering::Relaxed) {
                    *changes += 1;
                    let (key, value) = (data.existing(*changes, 1), data.value(*changes));
                    let start = Instant::now();
                    env.write_with(durability, |txn| txn.put(database, &key, value))?;
                    took.push(start.elapsed());
                }
                Ok(())
            });
            let done = act();
            stop.store(true, Ordering::Relaxed);
            writer.join().map_err(|_| "the writer has panicked")??;
            done
        });
        *measured += began.elapsed();
        done
    }

    /// For how long there were commits that are measured.
    pub fn measured(&self) -> Duration {
        self.measured
    }

    pub fn percentiles(mut self) -> Percentiles {
        self.took.sort_unstable();
        let at = |thousandths: usize| {
            self.took.get(self.took.len() * thousandths / 1000).copied().unwrap_or_default()
        };
        Percentiles { p50: at(500), p99: at(990), p999: at(999), count: self.took.len() as u64 }
    }
}
