//! How soon the first row of a large result set is there, and within how much memory: puts entries, and lets a process
//! of its own open the store with a small cache and ask for all of them. It fails if a first row takes more than 10 ms,
//! or if there is ever more than 16 MiB resident until the last of them is there, the program included.
//!
//! ```sh
//! cargo run --release -p cairn-kv --example first_row -- 10000000
//! ```
#![expect(clippy::print_stdout, reason = "the output is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cairn_env::{Durability, Environment, Options};
use cairn_kv::{Entry, KvOptions, KvStore, Limits, SecurityLevel};

const BATCH: u64 = 10_000;
const LONGEST: Duration = Duration::from_millis(10);
const MOST_KIB: u64 = 16 << 10;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    if let Some(dir) = arguments.next() {
        return read(Path::new(&dir), rows);
    }
    let dir = tempfile::tempdir()?;
    fill(dir.path(), rows)?;
    let mut reader = Command::new(std::env::current_exe()?);
    match reader.arg(rows.to_string()).arg(dir.path()).status()?.success() {
        true => Ok(()),
        false => Err("it was too slow, or took too much memory".into()),
    }
}

fn open(dir: &Path) -> Result<(Environment, KvStore)> {
    let (env, _) = Environment::open(dir, Options::default().cache_bytes(8 << 20))?;
    let limits = Limits::default().batch(10_000);
    let options = KvOptions::new(SecurityLevel::S1).limits(limits).durability(Durability::NoSync);
    let store = KvStore::open(&env, "rows", options)?;
    Ok((env, store))
}

fn fill(dir: &Path, rows: u64) -> Result {
    let (env, store) = open(dir)?;
    for first in (0..rows).step_by(10_000) {
        let batch = first..rows.min(first + BATCH);
        store.put_batch(batch.map(|n| Entry::new(format!("row-{n:012}"), format!("value {n}"))))?;
    }
    drop(store);
    Ok(env.close()?)
}

fn read(dir: &Path, rows: u64) -> Result {
    let (env, store) = open(dir)?;
    let mut slowest = Duration::ZERO;
    for prefix in ["", "row-", "row-0000"] {
        let began = Instant::now();
        let mut set = store.get_result_set(prefix)?;
        assert!(set.move_to_first()? && set.entry()?.is_some());
        let took = began.elapsed();
        println!("first of {rows} rows with {prefix:?}: {took:?}");
        slowest = slowest.max(took);
    }
    let explained = store.explain(cairn_kv::Query::new().limit(1, 0))?;
    println!("what that takes: {explained}");
    let resident = most_resident()?;
    match resident {
        Some(kib) => println!("resident at most: {kib} KiB"),
        None => println!("resident at most: this system does not say"),
    }

    let began = Instant::now();
    assert_eq!(store.get_result_set("")?.count()?, rows);
    println!("their count: {:?}", began.elapsed());
    println!("nodes in memory: {} KiB", env.stats()?.cache_resident >> 10);
    drop(store);
    env.close()?;
    if slowest > LONGEST || resident.is_some_and(|kib| kib > MOST_KIB) {
        std::process::exit(1);
    }
    Ok(())
}

/// The most memory that this process had at any moment, in KiB, where the system says so.
fn most_resident() -> Result<Option<u64>> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(None) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.map(str::parse).transpose()?)
}
