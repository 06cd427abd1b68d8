//! Backup and restore of a key-value store, beside what they cannot be faster than: copying and hashing the bytes of
//! the archive, and a sorted load of the same entries; and what writers notice of a backup.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use cairn_env::{DatabaseOptions, Durability, Environment, Options};
use cairn_kv::{
    BackupOptions, Compression, Entry, KvManager, KvManagerConfig, KvOptions, KvStore, Limits,
    SecurityLevel,
};

use crate::{
    Result,
    entries::{Values, key},
    measure::{median, rate},
};

#[derive(clap::Args)]
pub struct Store {
    /// MiB of entries
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 1000)]
    value: usize,
    /// How many rounds; ratios are taken within a round, and the table shows medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave out the other parts
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Backup,
    Restore,
    Writers,
}

/// Two figures of each round.
#[derive(Default)]
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    /// Medians of both, and of the second as a part of the first.
    fn medians(&self) -> (f64, f64, f64) {
        let median = |of: &dyn Fn(&(f64, f64)) -> f64| median(self.0.iter().map(of).collect());
        (median(&|pair| pair.0), median(&|pair| pair.1), median(&|pair| pair.1 / pair.0))
    }
}

pub fn run(what: &Store) -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("data");
    let manager = KvManager::open(&path, KvManagerConfig::new())?;
    let options = KvOptions::new(SecurityLevel::S1).limits(Limits::default().batch(10_000));
    let store = manager.get_store("store", options.clone().durability(Durability::NoSync))?;
    let entries = (what.mib << 20) / (what.value as u64 + 8);
    let values = Values::new(what.value.max(100));
    for first in (0..entries).step_by(10_000) {
        let batch = first..entries.min(first + 10_000);
        store.put_batch(batch.map(|n| Entry::new(key(n), values.value(n, what.value))))?;
    }
    manager.environment().checkpoint()?;
    let other = manager.get_store("other", options.durability(Durability::WriteNoSync))?;
    let archive = dir.path().join("data.backups/store/BK001.bak");
    let uncompressed = BackupOptions::new().compression(Compression::None);
    store.backup_with("BK001", uncompressed)?;
    let is_done = |part: Part| what.only.is_none_or(|only| only == part);

    if is_done(Part::Backup) {
        let mut pairs = Pairs::default();
        for _ in 0..what.rounds {
            let copied = copy_and_hash(&archive, &dir.path().join("copy"))?;
            let start = Instant::now();
            let bytes = store.backup_with("BK001", uncompressed)?.bytes;
            pairs.0.push((copied, rate(bytes, start.elapsed())));
        }
        let (copied, backed_up, part) = pairs.medians();
        println!("copy and hash      {copied:>9.0} MiB/s  on one thread");
        println!(
            "backup             {backed_up:>9.0} MiB/s  {part:.2} of it, on two, one of them patient"
        );
    }
    if is_done(Part::Writers) {
        let mut pairs = Pairs::default();
        for _ in 0..what.rounds {
            let sleep = || Ok(thread::sleep(Duration::from_millis(1500)));
            // Before it and after it, since the machine may be another one by then.
            let before = commits_during(&other, &values, sleep)?;
            let back_up = || Ok(drop(store.backup_with("BK002", uncompressed)?));
            let beside = commits_during(&other, &values, back_up)?;
            let after = commits_during(&other, &values, sleep)?;
            pairs.0.push((f64::midpoint(before, after), beside));
        }
        let (alone, beside, part) = pairs.medians();
        println!("commits            {alone:>9.0} /s");
        println!("beside a backup    {beside:>9.0} /s     {:.0} % slower", 100.0 * (1.0 - part));
    }
    if is_done(Part::Restore) {
        let mut pairs = Pairs::default();
        for round in 0..what.rounds {
            let fresh = dir.path().join(format!("load{round}"));
            let loaded = load(&fresh, &values, entries, what.value)?;
            let start = Instant::now();
            store.restore("BK001")?;
            pairs.0.push((loaded, rate(entries * (what.value as u64 + 8), start.elapsed())));
        }
        let (loaded, restored, part) = pairs.medians();
        println!("sorted load        {loaded:>9.0} MiB/s");
        println!("restore            {restored:>9.0} MiB/s  {part:.2} of it");
    }
    Ok(())
}

/// What every archive costs at least.
fn copy_and_hash(from: &Path, to: &Path) -> Result<f64> {
    let start = Instant::now();
    // To a new file, which then takes the place of the last copy: as a backup does, so that both find the memory of the
    // system in the same state.
    let unfinished = to.with_extension("unfinished");
    let (mut from, mut file) = (File::open(from)?, File::create(&unfinished)?);
    let (mut buf, mut hasher, mut bytes) = (vec![0; 256 << 10], blake3::Hasher::new(), 0);
    loop {
        match from.read(&mut buf)? {
            0 => break,
            read => {
                hasher.update(&buf[..read]);
                file.write_all(&buf[..read])?;
                bytes += read as u64;
            }
        }
    }
    file.sync_all()?;
    std::fs::rename(unfinished, to)?;
    std::hint::black_box(hasher.finalize());
    Ok(rate(bytes, start.elapsed()))
}

/// Commits per second of another store while something is done.
fn commits_during(store: &KvStore, values: &Values, act: impl FnOnce() -> Result) -> Result<f64> {
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<u32> {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                store.put(key(u64::from(n % 10_000)), values.value(u64::from(n), 100))?;
                n += 1;
            }
            Ok(n)
        });
        let done = act();
        let seconds = start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let commits = writer.join().map_err(|_| "the writer has panicked")??;
        done.map(|()| f64::from(commits) / seconds)
    })
}

/// A sorted load of the same entries into an environment of its own.
fn load(dir: &Path, values: &Values, entries: u64, len: usize) -> Result<f64> {
    let (env, _) = Environment::open(dir, Options::default())?;
    let start = Instant::now();
    let mut txn = env.begin_exclusive()?;
    let database = txn.create_database("main", DatabaseOptions::default())?;
    txn.load(&database, (0..entries).map(|n| (key(n), values.value(n, len))))?;
    txn.commit_with(Durability::Sync)?;
    let rate = rate(entries * (len as u64 + 8), start.elapsed());
    env.close()?;
    std::fs::remove_dir_all(dir)?;
    Ok(rate)
}
