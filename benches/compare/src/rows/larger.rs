//! Data larger than memory: each engine in a group of processes (cgroup) that may not use more.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    data::{Data, mix},
    engine::{Commit, Engine, Entry, Key, Room},
    measure,
};

/// The memory that a turn may use, cached files of its own included.
pub const MEMORY: u64 = 768 << 20;
/// A third of that for the cache, where there is one: it is what is left when everything else has had its share.
const ROOM: Room = Room { cache: 256 << 20, log: None };

/// What was measured of an engine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Larger {
    /// Entries changed per second.
    pub updates: f64,
    /// Bytes written while they change, by the bytes of what changes.
    pub written: f64,
    /// Entries read per second.
    pub reads: f64,
    /// The most memory that the process itself had, in bytes.
    pub peak_memory: u64,
}

/// A group of processes; it is gone when this is dropped.
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// One that may use [`MEMORY`]. Tells why not if there cannot be one here.
    pub fn new() -> std::result::Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("cairn-compare-{}", process::id());
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let is_version_2 = controllers.split_whitespace().any(|controller| controller == "memory");
        let version_1 = root.join("memory");
        let create = || {
            if is_version_2 {
                fs::write(root.join("cgroup.subtree_control"), "+memory")?;
                return Self::limited(root.join(&name), "memory.max", "memory.swap.max", "0");
            }
            let (limit, with_swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
            Self::limited(version_1.join(&name), limit, with_swap, &MEMORY.to_string())
        };
        if !is_version_2 && !version_1.join("memory.limit_in_bytes").exists() {
            return Err("it needs root and a memory cgroup".into());
        }
        create()
            .map_err(|error: std::io::Error| format!("it needs root and a memory cgroup: {error}"))
    }

    fn limited(path: PathBuf, limit: &str, swap: &str, swap_limit: &str) -> std::io::Result<Self> {
        fs::create_dir(&path)?;
        let group = Self { path };
        fs::write(group.path.join(limit), MEMORY.to_string())?;
        let swap = group.path.join(swap);
        if swap.exists() {
            fs::write(swap, swap_limit)?;
        }
        Ok(group)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes into the group at `path`, for ever.
    pub fn enter(path: &Path) -> Result {
        Ok(fs::write(path.join("cgroup.procs"), process::id().to_string())?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.path)); // what stays of it is empty
    }
}

/// Does it all with one engine in this process: loads, changes for so long, reads for so long.
pub fn turn(entry: &Entry, data: &Data, duration: Duration, dir: &Path) -> Result<Larger> {
    let engine = (entry.open)(dir, ROOM)?;
    let engine = engine.as_ref();
    load(engine, data)?;
    let before = measure::written()?;
    let (changed, updates) = updates(engine, data, duration)?;
    let written = (measure::written()? - before) as f64;
    let reads = reads(engine, data, duration)?;
    let changed_bytes = changed as f64 * data.bytes() as f64 / data.entries as f64;
    Ok(Larger {
        updates,
        written: written / changed_bytes,
        reads,
        peak_memory: measure::peak_memory()?,
    })
}

/// In order, without ever having all keys in memory.
fn load(engine: &dyn Engine, data: &Data) -> Result {
    engine.prepare(Commit::Unsynced)?;
    let mut session = engine.session(Commit::Unsynced)?;
    for first in (0..data.entries).step_by(10_000) {
        let batch = (first..data.entries.min(first + 10_000)).map(|n| (numbered(n), data.value(n)));
        session.commit(&batch.collect::<Vec<_>>())?;
    }
    engine.sync()
}

fn updates(engine: &dyn Engine, data: &Data, duration: Duration) -> Result<(u64, f64)> {
    engine.prepare(Commit::Unsynced)?;
    let mut session = engine.session(Commit::Unsynced)?;
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < duration {
        let entry = |n| (numbered(mix(n) % data.entries), data.value(n + data.entries));
        session.commit(&(done..done + 100).map(entry).collect::<Vec<_>>())?;
        done += 100;
    }
    engine.sync()?;
    Ok((done, done as f64 / start.elapsed().as_secs_f64()))
}

fn reads(engine: &dyn Engine, data: &Data, duration: Duration) -> Result<f64> {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < duration {
        engine.get_all(&mut (done..done + 1000).map(|n| numbered(mix(!n) % data.entries)))?;
        done += 1000;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// The n-th key in order.
fn numbered(n: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key[8..].copy_from_slice(&mix(n).to_be_bytes());
    key
}
