//! The rows that users look at, with values of 100 bytes and of 1 KiB: loads, reads, commits, mixes of them, files,
//! opens, and data larger than memory.
//!
//! Each figure is taken in a process of its own, all engines in turn, round after round; ratios are taken within a round.

mod device;
mod files;
mod larger;
mod row;
mod table;
mod turn;
mod ycsb;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::{Result, data::Data, engine::Entry, measure, page, report, round};
use larger::{Group, Larger};
use row::Row;
use turn::Figures;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Size {
    /// How many entries with values of 100 bytes
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How many entries with values of 1 KiB
    #[arg(long, default_value_t = 300_000)]
    longer_entries: u64,
    /// For how long each row of commits runs, in milliseconds
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// MiB of entries that change five times each, and that are opened
    #[arg(long, default_value_t = 64)]
    files_mib: u64,
    /// MiB that CairnDB has written when it is killed; the others, which go on to make checkpoints, a quarter
    #[arg(long, default_value_t = 1024)]
    killed_mib: u64,
    /// MiB of entries where memory is short
    #[arg(long, default_value_t = 4096)]
    larger_mib: u64,
    /// For how long entries change and are read there, each, in seconds
    #[arg(long, default_value_t = 30)]
    larger_seconds: u64,
}

#[derive(clap::Args)]
pub struct Rows {
    #[command(flatten)]
    size: Size,
    /// How many rounds
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many rounds where memory is short
    #[arg(long, default_value_t = 3)]
    larger_rounds: usize,
    /// Leave out all engines but these
    #[arg(long, value_name = "ENGINE")]
    only: Vec<String>,
    /// Where to put the files while it runs (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write this part of the page to this file, and its plots beside it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// One engine, one step, in this process.
#[derive(clap::Args)]
pub struct Turn {
    engine: String,
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    /// All rows that are per second; prints them
    Rates { dir: PathBuf, entries: u64, value_bytes: usize, millis: u64 },
    /// What is written while entries change, and what they take; prints it
    Churn { dir: PathBuf, mib: u64 },
    /// A database that is closed
    Fill { dir: PathBuf, mib: u64 },
    /// Its entries change; then it waits to be killed
    Change { dir: PathBuf, mib: u64, changed_mib: u64 },
    /// It is opened; prints how long that took
    Open { dir: PathBuf, mib: u64 },
    /// With little memory; prints what it could do
    Larger { dir: PathBuf, mib: u64, seconds: u64, group: PathBuf },
}

/// Values of one length, or the files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Set {
    Short,
    Long,
    Files,
}

/// The figures of one round, by what they are about and whose they are.
type Round = BTreeMap<(Set, &'static str), Figures>;

/// What all engines do with little memory, by engine; or why nobody does.
type Larges = std::result::Result<Vec<BTreeMap<&'static str, Larger>>, String>;

const LONG: usize = 1024;

/// Entries with values of 1 KiB, so many MiB of them.
fn long(mib: u64) -> Data {
    Data::new((mib << 20) / (LONG as u64 + 16), LONG)
}

pub fn turn(turn: &Turn) -> Result {
    let entry = round::find(&turn.engine)?;
    let said = match &turn.step {
        Step::Rates { dir, entries, value_bytes, millis } => {
            let data = Data::new(*entries, *value_bytes);
            let duration = Duration::from_millis(*millis);
            serde_json::to_string(&turn::rates(entry, &data, duration, dir)?)?
        }
        Step::Churn { dir, mib } => serde_json::to_string(&files::churn(entry, &long(*mib), dir)?)?,
        Step::Fill { dir, mib } => serde_json::to_string(&files::fill(entry, &long(*mib), dir)?)?,
        Step::Change { dir, mib, changed_mib } => {
            let count = long(*changed_mib).entries;
            return files::change_and_wait(entry, &long(*mib), count, dir);
        }
        Step::Open { dir, mib } => serde_json::to_string(&files::open(entry, &long(*mib), dir)?)?,
        Step::Larger { dir, mib, seconds, group } => {
            Group::enter(group)?;
            let duration = Duration::from_secs(*seconds);
            serde_json::to_string(&larger::turn(entry, &long(*mib), duration, dir)?)?
        }
    };
    println!("{said}");
    Ok(())
}

pub fn run(rows: &Rows) -> Result {
    let engines = round::chosen(&rows.only)?;
    let mut rounds = Vec::new();
    for number in 0..rows.rounds {
        let mut round = Round::new();
        for set in [Set::Short, Set::Long, Set::Files] {
            for entry in round::in_turn(&engines, number) {
                eprintln!("round {} of {}: {}", number + 1, rows.rounds, entry.name);
                round.insert((set, entry.name), figures(set, entry, rows)?);
            }
        }
        rounds.push(round);
    }
    let larges = with_little_memory(&engines, rows)?;
    let text = table::text(&engines, &rounds, &larges, rows.size)?;
    println!("{text}");
    if let Some(path) = &rows.write {
        page::write(path, "rows", &text)?;
        for (name, chart) in table::charts(&engines, &rounds) {
            page::write_beside(path, name, &chart.svg()?)?;
        }
    }
    Ok(())
}

fn figures(set: Set, entry: &Entry, rows: &Rows) -> Result<Figures> {
    let Size { entries, longer_entries, millis, files_mib, .. } = rows.size;
    let rates = |entries: u64, value_bytes: usize| {
        let dir = round::scratch(rows.dir.as_deref())?;
        let sizes = [entries, value_bytes as u64, millis];
        child(entry, "rates", dir.path(), &sizes)
    };
    match set {
        Set::Short => rates(entries, 100),
        Set::Long => rates(longer_entries, LONG),
        Set::Files => {
            let dir = round::scratch(rows.dir.as_deref())?;
            let mut figures: Figures = child(entry, "churn", dir.path(), &[files_mib])?;
            figures.extend(opens(entry, rows)?);
            Ok(figures)
        }
    }
}

fn opens(entry: &Entry, rows: &Rows) -> Result<[(Row, f64); 2]> {
    let Size { files_mib, killed_mib, .. } = rows.size;
    let dir = round::scratch(rows.dir.as_deref())?;
    let dir = dir.path();
    child::<()>(entry, "fill", dir, &[files_mib])?;
    let closed = child(entry, "open", dir, &[files_mib])?;
    let ours = [report::OURS, report::ENCRYPTED].contains(&entry.name);
    let written = if ours { killed_mib } else { killed_mib / 4 };
    files::kill_when_ready(&mut command(entry, "change", dir, &[files_mib, written])?)?;
    let killed = child(entry, "open", dir, &[files_mib])?;
    Ok([(Row::OpenClosed, closed), (Row::OpenKilled, killed)])
}

fn with_little_memory(engines: &[&'static Entry], rows: &Rows) -> Result<Larges> {
    if rows.larger_rounds == 0 {
        return Ok(Err("nobody asked for it".into()));
    }
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => {
            eprintln!("SKIPPED: data larger than memory: {why}");
            return Ok(Err(why));
        }
    };
    let Size { larger_mib, larger_seconds, .. } = rows.size;
    let mut larges = Vec::new();
    for number in 0..rows.larger_rounds {
        let mut round = BTreeMap::new();
        for entry in round::in_turn(engines, number) {
            eprintln!(
                "larger than memory, {} of {}: {}",
                number + 1,
                rows.larger_rounds,
                entry.name
            );
            let dir = round::scratch(rows.dir.as_deref())?;
            let mut command = command(entry, "larger", dir.path(), &[larger_mib, larger_seconds])?;
            // Who does not get by with the memory is killed by the system, and has no figures.
            match answer(command.arg(group.path()), entry) {
                Ok(larger) => drop(round.insert(entry.name, larger)),
                Err(error) => eprintln!("{error}"),
            }
        }
        larges.push(round);
    }
    Ok(Ok(larges))
}

fn command(entry: &Entry, step: &str, dir: &Path, sizes: &[u64]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["rows-turn", entry.name, step]).arg(dir);
    command.args(sizes.iter().map(u64::to_string));
    Ok(command)
}

fn child<T: DeserializeOwned>(entry: &Entry, step: &str, dir: &Path, sizes: &[u64]) -> Result<T> {
    answer(&mut command(entry, step, dir, sizes)?, entry)
}

fn answer<T: DeserializeOwned>(command: &mut Command, entry: &Entry) -> Result<T> {
    measure::warm_memory()?;
    let output = command.stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(format!("{}: {}", entry.name, output.status).into()),
    }
}
