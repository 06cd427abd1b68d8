//! Whether the budget for memory holds where the data is far larger: loads an environment, overwrites as many entries again,
//! reads, and scans it all, while a thread looks at the process's memory apart from the page cache (`RssAnon`).
//!
//! `cargo xtask bench memory [MiB of budget] [MiB of data] [directory]`, 256 and 4096 unless told. Ends with an error if the
//! most that was seen is more than 1.25 of the budget, or if anything read is wrong.
#![expect(clippy::print_stdout, reason = "a report for people")]
#![expect(clippy::disallowed_methods, reason = "what is measured is real time and this process")]

use std::{
    env, error, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use cairn_benches::{key, mix};
use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options};

type Result<T = (), E = Box<dyn error::Error>> = std::result::Result<T, E>;

/// Of the budget: what may be resident.
const GOAL: f64 = 1.25;
const VALUE: usize = 1024;
/// Entries in a commit.
const BATCH: usize = 100;

/// The memory of this process apart from mapped files, in bytes.
fn memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// What the process has given to the system in calls, in bytes.
fn written() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar:")).ok_or("no wchar")?;
    Ok(line.trim().parse()?)
}

/// The value that entry `n` has in a round: noise, so that nothing makes it smaller.
fn value(n: u64, round: u64) -> [u8; VALUE] {
    let mut value = [0; VALUE];
    for (i, word) in (0..).zip(value.chunks_exact_mut(8)) {
        word.copy_from_slice(&mix(mix(n * 2 + round) + i).to_le_bytes());
    }
    value
}

/// The most memory that was seen since it was asked last.
#[derive(Default)]
struct Peak {
    bytes: AtomicU64,
    is_over: AtomicBool,
}

impl Peak {
    fn watch(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.bytes.fetch_max(memory().unwrap_or(u64::MAX), Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Bounded {
    env: Environment,
    database: Database,
    entries: u64,
    budget: u64,
    worst: f64,
}

impl Bounded {
    fn new(dir: &Path, budget: u64, data: u64) -> Result<Self> {
        let options = Options::new().cache_bytes(usize::try_from(budget)?);
        let (env, _) = Environment::open(dir, options)?;
        let database = env.database("main", DatabaseOptions::default())?;
        Ok(Self { env, database, entries: data / (VALUE as u64 + 16), budget, worst: 0.0 })
    }

    /// Puts all entries, in an order that has nothing to do with that of the keys.
    fn put_all(&self, round: u64) -> Result {
        for first in (0..self.entries).step_by(BATCH) {
            self.env.write_with(Durability::NoSync, |txn| {
                (first..self.entries.min(first + BATCH as u64)).try_for_each(|i| {
                    let n = self.shuffled(i, round);
                    txn.put(&self.database, &key(n), &value(n, round))
                })
            })?;
        }
        Ok(())
    }

    /// A number below that of the entries: each once in a round.
    fn shuffled(&self, i: u64, round: u64) -> u64 {
        // A step that has no divisor in common with their number goes through all of them.
        let mut step = (self.entries / 5 * 3 + round * 1000) | 1;
        while gcd(step, self.entries) != 1 {
            step += 2;
        }
        i * step % self.entries
    }

    fn read(&self, count: u64) -> Result {
        let snapshot = self.env.snapshot()?;
        for n in (0..count).map(|i| mix(i) % self.entries) {
            let found = snapshot.get(&self.database, &key(n))?;
            if found.is_none_or(|found| found[..] != value(n, 1)) {
                return Err(format!("entry {n} is wrong").into());
            }
        }
        Ok(())
    }

    fn scan(&self) -> Result {
        let snapshot = self.env.snapshot()?;
        let mut count = 0;
        for entry in snapshot.iter(&self.database)? {
            let (key, found) = entry?;
            let n = u64::from_le_bytes(key[8..16].try_into()?);
            if found[..] != value(n, 1) {
                return Err(format!("entry {n} is wrong").into());
            }
            count += 1;
        }
        match count == self.entries {
            true => Ok(()),
            false => Err(format!("{count} of {} entries", self.entries).into()),
        }
    }

    fn measure(&mut self, what: &str, peak: &Peak, run: impl FnOnce(&Self) -> Result) -> Result {
        peak.bytes.store(0, Ordering::Relaxed);
        let (began, before) = (Instant::now(), written()?);
        run(self)?;
        let bytes = peak.bytes.load(Ordering::Relaxed);
        let ratio = bytes as f64 / self.budget as f64;
        self.worst = self.worst.max(ratio);
        let stats = self.env.stats()?;
        println!(
            "{what:8} {:6.1} s, at most {:4} MiB, {ratio:.2} of the budget; nodes now {} MiB, files {}, written {}",
            began.elapsed().as_secs_f64(),
            bytes >> 20,
            stats.cache_resident >> 20,
            stats.file_bytes >> 20,
            (written()? - before) >> 20
        );
        Ok(())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn main() -> Result {
    let mut args = env::args().skip(1);
    let mib = |arg: Option<String>, other: u64| -> Result<u64> {
        Ok(arg.map_or(Ok(other), |arg| arg.parse())? << 20)
    };
    let (budget, data) = (mib(args.next(), 256)?, mib(args.next(), 4096)?);
    let temp = tempfile::tempdir()?;
    let dir = args.next().map_or_else(|| temp.path().join("env"), PathBuf::from);
    let peak = Peak::default();
    let worst = thread::scope(|scope| {
        scope.spawn(|| peak.watch());
        let measured = (|| {
            let mut bounded = Bounded::new(&dir, budget, data)?;
            bounded.measure("load", &peak, |bounded| bounded.put_all(0))?;
            bounded.measure("churn", &peak, |bounded| bounded.put_all(1))?;
            bounded.measure("reads", &peak, |bounded| bounded.read(bounded.entries / 10))?;
            bounded.measure("scan", &peak, Bounded::scan)?;
            Ok::<_, Box<dyn error::Error>>(bounded.worst)
        })();
        peak.is_over.store(true, Ordering::Relaxed);
        measured
    })?;
    match worst <= GOAL {
        true => Ok(()),
        false => Err(format!("{worst:.2} of the budget, more than {GOAL}").into()),
    }
}
