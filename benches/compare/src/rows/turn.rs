//! What every engine does in a turn, with data that it has in memory.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    device::Device,
    row::Row::{self, *},
    ycsb,
};
use crate::{
    Result,
    data::{Commits, Data, check, in_threads},
    engine::{Commit, Engine, Entry, Room},
};

/// The figures of a turn; a row that the engine does not have is not there.
pub type Figures = Vec<(Row, f64)>;

/// Does it all with one engine in this process; rows of commits run for so long.
pub fn rates(entry: &Entry, data: &Data, duration: Duration, dir: &Path) -> Result<Figures> {
    let mut rates: Figures =
        load_sorted(entry, data, dir)?.map(|rate| (LoadSorted, rate)).into_iter().collect();
    let place = dir.join("data");
    fs::create_dir(&place)?;
    let engine = (entry.open)(&place, Room::USUAL)?;
    let engine = engine.as_ref();
    rates.push((Load, load(engine, data)?));
    rates.push((Scan, scan(engine, data)?));
    rates.push((Ranges, ranges(engine, data)?));
    engine.get_all(&mut (0..GETS / 2).map(|n| data.existing(n, 1)))?; // warm
    for (row, threads) in [(GetOne, 1), (GetTwo, 2)] {
        rates.push((row, gets(engine, data, threads)?));
    }
    rates.push((Batch, data.commits(engine, Commits::SYNCED.of(1000), duration)?));
    let (device, sync_one) = beside_the_device(engine, data, duration, dir)?;
    rates.extend([(Device, device), (SyncOne, sync_one)]);
    rates.push((SyncEight, data.commits(engine, Commits::SYNCED.by(8), duration)?));
    rates.push((NoSync, data.commits(engine, Commits::UNSYNCED, duration)?));
    for (row, reads, threads) in [
        (ReadsAndUpdatesOne, 50, 1),
        (ReadsAndUpdatesTwo, 50, 2),
        (MostlyReadsOne, 95, 1),
        (MostlyReadsTwo, 95, 2),
    ] {
        rates.push((row, ycsb::mixed(engine, data, reads, threads, duration)?));
    }
    Ok(rates)
}

const GETS: u64 = 200_000;
const RANGES: u64 = 5000;

fn per_second(count: u64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Into a database of its own, which is gone afterwards.
fn load_sorted(entry: &Entry, data: &Data, dir: &Path) -> Result<Option<f64>> {
    let place = dir.join("sorted");
    fs::create_dir(&place)?;
    let sorted = data.sorted();
    let engine = (entry.open)(&place, Room::USUAL)?;
    let start = Instant::now();
    let has_a_way = engine.load_sorted(&mut sorted.iter().copied())?;
    let rate = per_second(data.entries, start);
    if has_a_way {
        check(engine.scan()?.0, data.entries)?;
    }
    engine.close()?;
    fs::remove_dir_all(place)?;
    Ok(has_a_way.then_some(rate))
}

/// In commits of 10,000 that are not synced, then one sync.
pub fn load(engine: &dyn Engine, data: &Data) -> Result<f64> {
    let sorted = data.sorted();
    engine.prepare(Commit::Unsynced)?;
    let mut session = engine.session(Commit::Unsynced)?;
    let start = Instant::now();
    sorted.chunks(10_000).try_for_each(|batch| session.commit(batch))?;
    engine.sync()?;
    Ok(per_second(data.entries, start))
}

fn scan(engine: &dyn Engine, data: &Data) -> Result<f64> {
    engine.scan()?; // warm
    let start = Instant::now();
    check(engine.scan()?.0, data.entries)?;
    Ok(per_second(data.entries, start))
}

fn ranges(engine: &dyn Engine, data: &Data) -> Result<f64> {
    let mut starts = (0..RANGES).map(|n| data.existing(n, 4));
    let start = Instant::now();
    let (count, _) = engine.ranges(&mut starts, 100)?;
    // Few begin so near the end that there are not a hundred.
    check(count.div_ceil(RANGES), 100)?;
    Ok(per_second(count, start))
}

fn gets(engine: &dyn Engine, data: &Data, threads: u64) -> Result<f64> {
    let each = GETS / threads;
    let start = Instant::now();
    let sums = in_threads(threads, |thread| {
        engine.get_all(&mut (0..each).map(|n| data.existing(n, 8 + thread)))
    })?;
    let rate = per_second(each * threads, start);
    let expected =
        |thread| (0..each).map(move |n| u64::from(data.value(data.some(n, 8 + thread))[5]));
    check(sums.iter().sum(), (0..threads).flat_map(expected).sum())?;
    Ok(rate)
}

/// Single puts with `Sync`, in short turns with appends of as many bytes to a file: a device has its moods.
fn beside_the_device(
    engine: &dyn Engine,
    data: &Data,
    duration: Duration,
    dir: &Path,
) -> Result<(f64, f64)> {
    const TURNS: u32 = 5;
    let piece = duration / TURNS;
    let mut device = Device::new(dir)?;
    let (mut appends, mut rates) = (0, 0.0);
    for _ in 0..TURNS {
        appends += device.append(data.value(0), piece)?;
        rates += data.commits(engine, Commits::SYNCED, piece)?;
    }
    Ok((appends as f64 / duration.as_secs_f64(), rates / f64::from(TURNS)))
}
