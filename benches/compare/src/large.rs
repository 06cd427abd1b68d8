//! An environment of 1 GiB: what opening it reads, and what scanning it with a small cache takes.

use std::{path::PathBuf, process, time::Instant};

use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options};
use serde::{Deserialize, Serialize};

use crate::{Result, data, measure};

/// The cache while it is scanned.
const CACHE: usize = 64 << 20;
/// So many entries of 16 + 100 bytes make 1 GiB.
const ENTRIES: u64 = (1 << 30) / 116;

/// Each runs in a process of its own.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Step {
    /// Create it
    Build { dir: PathBuf },
    /// Open and scan it
    Scan { dir: PathBuf },
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Large {
    /// The files of the environment, in bytes on disk.
    pub disk: u64,
    /// How many bytes opening it has read.
    pub open_read: u64,
    /// How long that took, in seconds.
    pub open_seconds: f64,
    /// The most memory that the process had at any moment of the scan, in bytes.
    pub scan_peak_memory: u64,
    /// How long the scan took, in seconds.
    pub scan_seconds: f64,
    /// How many entries it went through.
    pub entries: u64,
}

/// Runs one step in this process.
pub fn run(step: &Step) -> Result {
    match step {
        Step::Build { dir } => build(dir.clone()),
        Step::Scan { dir } => {
            println!("{}", serde_json::to_string(&scan(dir.clone())?)?);
            Ok(())
        }
    }
}

/// Runs both, each in a process of its own.
pub fn measure(dir: &std::path::Path) -> Result<Large> {
    let this = std::env::current_exe()?;
    let step = |step: &str| -> Result<Vec<u8>> {
        let output = process::Command::new(&this).args(["large", step]).arg(dir).output()?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    };
    step("build")?;
    Ok(serde_json::from_slice(&step("scan")?)?)
}

fn open(dir: PathBuf) -> Result<(Environment, Database)> {
    let (env, _) = Environment::open(dir, Options::default().cache_bytes(CACHE))?;
    let database = env.database("main", DatabaseOptions::default())?;
    Ok((env, database))
}

fn build(dir: PathBuf) -> Result {
    let (env, database) = open(dir)?;
    for first in (0..ENTRIES).step_by(10_000) {
        env.write_with(Durability::NoSync, |txn| {
            (first..ENTRIES.min(first + 10_000)).try_for_each(|n| {
                // In order: this is about a large environment, not about how it grew.
                let mut key = data::key(n);
                key[..8].copy_from_slice(&n.to_be_bytes());
                txn.put(&database, &key, &[7; 100])
            })
        })?;
    }
    Ok(env.close()?)
}

fn scan(dir: PathBuf) -> Result<Large> {
    let disk = measure::disk_usage(&dir)?;
    let (read, start) = (measure::read()?, Instant::now());
    let (env, database) = open(dir)?;
    let (open_seconds, open_read) = (start.elapsed().as_secs_f64(), measure::read()? - read);
    measure::reset_peak_memory()?;
    let start = Instant::now();
    let mut cursor = env.snapshot()?.cursor(&database)?;
    let mut entries = 0;
    while cursor.next()? {
        entries += 1;
    }
    let scan_seconds = start.elapsed().as_secs_f64();
    let scan_peak_memory = measure::peak_memory()?;
    drop(cursor);
    env.close()?;
    Ok(Large { disk, open_read, open_seconds, scan_peak_memory, scan_seconds, entries })
}
