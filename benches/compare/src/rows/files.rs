//! What the files of an engine show: how much is written while entries change, how much they take, and how long an
//! open takes.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    row::Row::*,
    turn::{self, Figures},
};
use crate::{
    Result,
    data::Data,
    engine::{Commit, Engine, Entry, Room},
    measure,
};

/// How often each entry changes.
const TIMES: u64 = 5;
/// As long a log as there can be: what was written since the last checkpoint is all of it.
const HELD_OFF: Room = Room { log: Some(1 << 40), ..Room::USUAL };

/// What a process says once it has done what it will be killed after.
const READY: &str = "ready";

/// Changes everything five times, in random order, in synced commits of 1000.
pub fn churn(entry: &Entry, data: &Data, dir: &Path) -> Result<Figures> {
    let mut engine = (entry.open)(dir, Room::USUAL)?;
    turn::load(engine.as_ref(), data)?;
    let before = measure::written()?;
    change(engine.as_ref(), data, TIMES * data.entries, Commit::Synced)?;
    engine.sync()?;
    let written = measure::written()? - before;
    let live = data.bytes() as f64;
    let by_live = |bytes: u64| bytes as f64 / live;
    let mut figures = vec![
        (ChurnWritten, by_live(written) / TIMES as f64),
        (ChurnDisk, by_live(measure::disk_usage(dir)?)),
    ];
    let is_compact = engine.compact()?;
    engine.close()?;
    if is_compact {
        figures.push((CompactedDisk, by_live(measure::disk_usage(dir)?)));
    }
    Ok(figures)
}

fn change(engine: &dyn Engine, data: &Data, count: u64, commit: Commit) -> Result {
    engine.prepare(commit)?;
    let mut session = engine.session(commit)?;
    for first in (0..count).step_by(1000) {
        let entry = |n| (data.existing(n, 5), data.value(n + data.entries));
        session.commit(&(first..first + 1000).map(entry).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Makes a database and closes it.
pub fn fill(entry: &Entry, data: &Data, dir: &Path) -> Result {
    let engine = (entry.open)(dir, Room::USUAL)?;
    turn::load(engine.as_ref(), data)?;
    engine.close()
}

/// Changes so many entries, makes that durable, says so, and waits to be killed.
pub fn change_and_wait(entry: &Entry, data: &Data, count: u64, dir: &Path) -> Result {
    let engine = (entry.open)(dir, HELD_OFF)?;
    change(engine.as_ref(), data, count, Commit::Unsynced)?;
    engine.sync()?;
    println!("{READY}");
    io::stdout().flush()?;
    thread::sleep(Duration::from_secs(3600));
    Err("nobody has come to kill it".into())
}

/// How long it takes until there is an answer, in milliseconds.
pub fn open(entry: &Entry, data: &Data, dir: &Path) -> Result<f64> {
    let start = Instant::now();
    let engine = (entry.open)(dir, HELD_OFF)?;
    engine.get_all(&mut std::iter::once(data.existing(0, 5)))?;
    let took = start.elapsed();
    engine.close()?;
    Ok(took.as_secs_f64() * 1e3)
}

/// Starts a process and kills it when it is ready.
pub fn kill_when_ready(command: &mut Command) -> Result {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = first_line(&mut child);
    child.kill()?;
    child.wait()?;
    match said? == READY {
        true => Ok(()),
        false => Err("a process has ended before it was killed".into()),
    }
}

fn first_line(child: &mut Child) -> Result<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("a process without output")?).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
