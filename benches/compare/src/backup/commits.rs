//! How long commits take while a backup runs, beside when none does.

use std::{
    fmt, fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use cairn_backup::Repository;
use cairn_env::{Database, Environment};

use super::{Data, cairn, sync};
use crate::{Result, entries, measure::median};

/// Medians over the rounds.
pub struct Commits {
    pub alone: Latency,
    pub beside: Latency,
    /// The 99th percentile beside a backup by that without, within a round.
    pub ratio: f64,
}

#[derive(Clone, Copy, Default)]
pub struct Latency {
    pub median: Duration,
    pub p99: Duration,
}

impl fmt::Display for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, beside, ratio: _ } = self;
        write!(
            f,
            "Single puts with `Sync` take {:.0?} in the median and {:.0?} at the 99th percentile; {:.0?} and {:.0?} \
             while a full\nbackup runs.",
            alone.median, alone.p99, beside.median, beside.p99
        )
    }
}

/// One thread commits single puts and waits for the disk each time; now and then there is a full backup.
pub fn measure(dir: &Path, data: Data, rounds: usize) -> Result<Commits> {
    let (path, place) = (dir.join("commits"), dir.join("place"));
    let (env, database) = cairn::load(&path, data)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        sync(dir)?;
        let nothing = || Ok(thread::sleep(Duration::from_secs(2)));
        alone.push(latency_during(&env, &database, data, nothing)?);
        let backup = || {
            Repository::create(&place)?.backup(&env, &cairn::point())?;
            Ok(())
        };
        beside.push(latency_during(&env, &database, data, backup)?);
        fs::remove_dir_all(&place)?;
    }
    drop(database);
    cairn::remove(env, &path)?;
    let pairs = alone.iter().zip(&beside);
    let ratio = pairs.map(|(a, b)| b.p99.as_secs_f64() / a.p99.as_secs_f64()).collect();
    Ok(Commits { alone: of_all(&alone), beside: of_all(&beside), ratio: median(ratio) })
}

fn of_all(rounds: &[Latency]) -> Latency {
    let middle = |of: fn(&Latency) -> Duration| {
        Duration::from_secs_f64(median(rounds.iter().map(|one| of(one).as_secs_f64()).collect()))
    };
    Latency { median: middle(|one| one.median), p99: middle(|one| one.p99) }
}

fn latency_during(
    env: &Environment,
    database: &Database,
    data: Data,
    act: impl FnOnce() -> Result,
) -> Result<Latency> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<Vec<Duration>> {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let key = entries::key(crate::data::mix(took.len() as u64) % data.entries);
                let start = Instant::now();
                env.write(|txn| txn.put(database, &key, &[7; 100]))?;
                took.push(start.elapsed());
            }
            took.sort();
            Ok(took)
        });
        let done = act();
        stop.store(true, Ordering::Relaxed);
        let took = writer.join().map_err(|_| "the writer has panicked")??;
        done?;
        let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
        Ok(Latency { median: at(50), p99: at(99) })
    })
}
