//! The work: what every engine does in a turn, row by row.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    data::{Commits, Data, check, key, mix},
    engine::{Commit, Engine, Entry, Room},
    measure,
};

/// How much of it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Size {
    /// How many entries: random keys of 16 bytes, values of 100
    #[arg(long, default_value_t = 1_000_000)]
    pub entries: u64,
    /// For how long each row of commits runs, in milliseconds
    #[arg(long, default_value_t = 1500)]
    pub millis: u64,
}

/// A row of the table: what is done, and what the unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Row {
    /// All entries, in random order, in commits of 10,000 that are not synced, then one sync.
    Load,
    /// Random point reads in one snapshot.
    Get,
    /// All entries in order.
    Scan,
    /// Commits of 1000 random entries, synced.
    Batch,
    /// Commits of one random entry, synced.
    SyncOne,
    /// The same from eight threads.
    SyncEight,
    /// Commits of one random entry, not synced.
    NoSync,
    /// Commits of one value of 16 KiB, not synced.
    PutMedium,
    /// Random point reads of those.
    GetMedium,
    /// The same with 256 KiB.
    PutLarge,
    /// Random point reads of those.
    GetLarge,
}

/// Values of one length: as many bytes of them as every cache can hold.
#[derive(Clone, Copy)]
struct Values {
    len: usize,
    count: u64,
    /// Where their keys begin, past those of the entries.
    first: u64,
}

const MEDIUM: Values = Values { len: 16 << 10, count: 2048, first: 0 };
const LARGE: Values = Values { len: 256 << 10, count: 192, first: MEDIUM.count };

impl Row {
    /// All, in the order in which a turn does them.
    pub const ALL: [Self; 11] = [
        Self::Load,
        Self::Get,
        Self::Scan,
        Self::Batch,
        Self::SyncOne,
        Self::SyncEight,
        Self::NoSync,
        Self::PutMedium,
        Self::GetMedium,
        Self::PutLarge,
        Self::GetLarge,
    ];

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load, random order, entries/s",
            Self::Get => "point get, random, 1/s",
            Self::Scan => "scan, entries/s",
            Self::Batch => "batches of 1000, Sync, entries/s",
            Self::SyncOne => "single puts, Sync, 1 thread, commits/s",
            Self::SyncEight => "single puts, Sync, 8 threads, commits/s",
            Self::NoSync => "single puts, NoSync, commits/s",
            Self::PutMedium => "puts of 16 KiB, NoSync, commits/s",
            Self::GetMedium => "gets of 16 KiB, 1/s",
            Self::PutLarge => "puts of 256 KiB, NoSync, commits/s",
            Self::GetLarge => "gets of 256 KiB, 1/s",
        }
    }

    /// Whether it is about commits that survive a power failure.
    pub fn is_synced(self) -> bool {
        matches!(self, Self::Batch | Self::SyncOne | Self::SyncEight)
    }

    /// Whether its values are of 16 KiB and more.
    pub fn has_large_values(self) -> bool {
        matches!(self, Self::PutMedium | Self::GetMedium | Self::PutLarge | Self::GetLarge)
    }
}

/// What a turn has measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// Per second, for each row.
    pub rates: Vec<(Row, f64)>,
    /// The most memory that the process had, in bytes.
    pub peak_memory: u64,
    /// What it gave to the system to write, in bytes.
    pub written: u64,
    /// Its files after the load, and before the large values, in bytes on disk.
    pub disk: [u64; 2],
}

/// Does it all with one engine in this process.
pub fn turn(entry: &Entry, size: Size, dir: &Path) -> Result<Turn> {
    let engine = (entry.open)(dir, Room::USUAL)?;
    let engine = engine.as_ref();
    let mut rates = Vec::new();
    let mut disk = [0; 2];
    for row in Row::ALL {
        rates.push((row, measure_row(engine, row, size)?));
        match row {
            Row::Load => disk[0] = measure::disk_usage(dir)?,
            Row::NoSync => disk[1] = measure::disk_usage(dir)?,
            _ => {}
        }
    }
    Ok(Turn { rates, peak_memory: measure::peak_memory()?, written: measure::written()?, disk })
}

fn measure_row(engine: &dyn Engine, row: Row, size: Size) -> Result<f64> {
    let Size { entries, millis } = size;
    let duration = Duration::from_millis(millis);
    let data = Data::new(entries, 100);
    let per_second = |count: u64, start: Instant| count as f64 / start.elapsed().as_secs_f64();
    match row {
        Row::Load => {
            engine.prepare(Commit::Unsynced)?;
            let mut session = engine.session(Commit::Unsynced)?;
            let start = Instant::now();
            for first in (0..entries).step_by(10_000) {
                let batch = (first..entries.min(first + 10_000)).map(|n| (key(n), data.value(n)));
                session.commit(&batch.collect::<Vec<_>>())?;
            }
            engine.sync()?;
            Ok(per_second(entries, start))
        }
        Row::Get => {
            let mut some = (0..entries / 4).map(|n| data.existing(n, 1));
            engine.get_all(&mut some)?; // warm
            let mut keys = (0..entries).map(|n| data.existing(n, 2));
            let start = Instant::now();
            let sum = engine.get_all(&mut keys)?;
            check(sum, (0..entries).map(|n| u64::from(data.value(data.some(n, 2))[5])).sum())?;
            Ok(per_second(entries, start))
        }
        Row::Scan => {
            let start = Instant::now();
            let (count, _) = engine.scan()?;
            check(count, entries)?;
            Ok(per_second(count, start))
        }
        Row::Batch => data.commits(engine, Commits::SYNCED.of(1000), duration),
        Row::SyncOne => data.commits(engine, Commits::SYNCED, duration),
        Row::SyncEight => data.commits(engine, Commits::SYNCED.by(8), duration),
        Row::NoSync => data.commits(engine, Commits::UNSYNCED, duration),
        Row::PutMedium => put_values(engine, MEDIUM, entries),
        Row::GetMedium => get_values(engine, MEDIUM, entries),
        Row::PutLarge => put_values(engine, LARGE, entries),
        Row::GetLarge => get_values(engine, LARGE, entries),
    }
}

/// Sets each of these values a few times; returns how many were set per second.
fn put_values(engine: &dyn Engine, values: Values, entries: u64) -> Result<f64> {
    const TIMES: u64 = 4;
    engine.prepare(Commit::Unsynced)?;
    let mut session = engine.session(Commit::Unsynced)?;
    let mut value = random_bytes(values.len);
    let start = Instant::now();
    for n in 0..TIMES * values.count {
        value[values.len - 8..].copy_from_slice(&n.to_le_bytes());
        session.commit(&[(key(entries + values.first + n % values.count), &value[..])])?;
    }
    Ok((TIMES * values.count) as f64 / start.elapsed().as_secs_f64())
}

/// Reads them, after each was read once; returns how many were per second.
fn get_values(engine: &dyn Engine, values: Values, entries: u64) -> Result<f64> {
    const GETS: u64 = 20_000;
    engine.sync()?;
    let key_of = |n: u64| key(entries + values.first + n % values.count);
    engine.get_all(&mut (0..values.count).map(key_of))?; // warm
    let start = Instant::now();
    let sum = engine.get_all(&mut (0..GETS).map(|n| key_of(mix(n))))?;
    check(sum, GETS * u64::from(random_bytes(values.len)[5]))?;
    Ok(GETS as f64 / start.elapsed().as_secs_f64())
}

/// Bytes that nothing makes shorter.
fn random_bytes(len: usize) -> Vec<u8> {
    (0..len as u64 / 8).flat_map(|n| mix(n + 1).to_le_bytes()).collect()
}
