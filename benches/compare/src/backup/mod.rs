//! Backups of all data, beside a plain copy of the files and what other engines and programs offer.
//!
//! A round is one turn of each: all data is saved to a new place, one in a hundred values is changed, what is new is
//! saved, and the newest state is brought back. Each turn ends when the file system has what was written.

pub mod cairn;
mod commits;
mod copy;
mod restic;
#[cfg(feature = "rocksdb")]
mod rocks;
mod sqlite;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{Result, entries, measure, page};

#[derive(clap::Args)]
pub struct Backup {
    /// MiB of values
    #[arg(long, default_value_t = 4096)]
    mib: u64,
    /// How many rounds; ratios are taken within a round, and the table shows medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure nothing but how long commits take beside a backup, and print that
    #[arg(long)]
    only_commits: bool,
    /// Where to put the files while it runs (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the table to its part of this page
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Bytes of a value, and of an entry.
const VALUE: usize = 1000;
const ENTRY: u64 = 8 + VALUE as u64;

/// What is stored: as many entries, and how often some of them were changed.
#[derive(Clone, Copy)]
pub struct Data {
    entries: u64,
    version: u64,
}

impl Data {
    fn bytes(self) -> u64 {
        self.entries * ENTRY
    }

    /// All entries, in order.
    fn all(self) -> impl Iterator<Item = ([u8; 8], Vec<u8>)> {
        (0..self.entries).map(move |n| (entries::key(n), self.value(n)))
    }

    /// One in a hundred, at random.
    fn changed(self) -> impl Iterator<Item = ([u8; 8], Vec<u8>)> {
        let begin = self.version * (self.entries / 100);
        let numbers = (begin..begin + self.entries / 100).map(crate::data::mix);
        numbers.map(move |n| {
            let n = n % self.entries;
            (entries::key(n), self.value(n))
        })
    }

    fn value(self, n: u64) -> Vec<u8> {
        let mut value = vec![0; VALUE];
        entries::noise(n, self.version, &mut value);
        value
    }
}

/// One way to save data and to get it back.
trait Saver {
    fn name(&self) -> &'static str;

    /// Changes what [`Data::changed`] says. Nothing, if it saves the data of another one.
    fn change(&mut self, data: Data) -> Result;

    /// Saves everything to a place that has nothing.
    fn full(&mut self, place: &Path) -> Result;

    /// Saves what is new to the same place; says that it cannot by `false`.
    fn increment(&mut self, place: &Path) -> Result<bool>;

    /// Brings the newest state back into a new directory.
    fn restore(&mut self, place: &Path, to: &Path) -> Result;

    /// Once it is known to be good: checks what was stored, and proves it. Only ours can.
    fn proofs(&mut self, _place: &Path) -> Result<Option<Proofs>> {
        Ok(None)
    }
}

/// How long checks of a repository take.
struct Proofs {
    stored_bytes: u64,
    check: Duration,
    prove: Duration,
}

/// One turn.
struct Turn {
    full: Duration,
    /// The time, and the bytes that the place has grown by.
    increment: Option<(Duration, u64)>,
    restore: Duration,
    proofs: Option<Proofs>,
}

/// The turns of one round, in the order of the savers.
type Round = Vec<Turn>;

pub fn run(backup: &Backup) -> Result {
    let base = backup.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("cairn-compare").tempdir_in(base)?;
    let mut data = Data { entries: (backup.mib << 20) / ENTRY, version: 0 };
    if backup.only_commits {
        println!("{}", commits::measure(dir.path(), data, backup.rounds)?);
        return Ok(());
    }
    let mut savers = savers(dir.path(), data)?;
    let mut rounds = Vec::new();
    for number in 0..backup.rounds {
        data.version += 1;
        let mut round: Vec<Option<Turn>> = savers.iter().map(|_| None).collect();
        for place in 0..savers.len() {
            // Nobody always comes first, nor always after the same neighbour.
            let at = (place + number) % savers.len();
            eprintln!("round {} of {}: {}", number + 1, backup.rounds, savers[at].name());
            round[at] = Some(turn(savers[at].as_mut(), data, dir.path())?);
        }
        rounds.push(round.into_iter().flatten().collect());
    }
    let names: Vec<_> = savers.iter().map(|saver| saver.name()).collect();
    drop(savers);
    eprintln!("commits beside a backup");
    let commits = commits::measure(dir.path(), data, backup.rounds)?;
    let text = table::text(&names, &rounds, data, &commits)?;
    println!("{text}");
    match &backup.write {
        Some(path) => page::write(path, "backup", &text),
        None => Ok(()),
    }
}

fn savers(dir: &Path, data: Data) -> Result<Vec<Box<dyn Saver>>> {
    let env = dir.join("env");
    eprintln!("loading");
    let live = cairn::Live::load(&env, data)?;
    let mut savers: Vec<Box<dyn Saver>> = vec![
        Box::new(cairn::Repo(Rc::clone(&live))),
        Box::new(copy::Copy { files: env.clone() }),
        Box::new(sqlite::Sqlite::load(&dir.join("sqlite.db"), data)?),
    ];
    #[cfg(feature = "rocksdb")]
    savers.push(Box::new(rocks::Rocks::load(&dir.join("rocks"), data)?));
    #[cfg(not(feature = "rocksdb"))]
    eprintln!(
        "SKIPPED: RocksDB: build with `--features rocksdb` (needs a C++ compiler and libclang)"
    );
    match restic::Restic::find(&live, &env) {
        Some(restic) => savers.push(Box::new(restic)),
        None => eprintln!("SKIPPED: restic: it is not on the path"),
    }
    Ok(savers)
}

fn turn(saver: &mut dyn Saver, data: Data, dir: &Path) -> Result<Turn> {
    let (place, back) = (dir.join("place"), dir.join("back"));
    let timed =
        |act: &mut dyn FnMut() -> Result<bool>, target: &Path| -> Result<Option<Duration>> {
            sync(dir)?;
            let start = Instant::now();
            let is_done = act()?;
            sync(target)?;
            Ok(is_done.then(|| start.elapsed()))
        };
    let full = timed(&mut || saver.full(&place).map(|()| true), dir)?;
    let before = measure::disk_usage(&place)?;
    saver.change(data)?;
    let increment = timed(&mut || saver.increment(&place), dir)?;
    let grown = measure::disk_usage(&place)?.saturating_sub(before);
    let restore = timed(&mut || saver.restore(&place, &back).map(|()| true), dir)?;
    let proofs = saver.proofs(&place)?;
    fs::remove_dir_all(&place)?;
    fs::remove_dir_all(&back)?;
    Ok(Turn {
        full: full.unwrap_or_default(),
        increment: increment.map(|took| (took, grown)),
        restore: restore.unwrap_or_default(),
        proofs,
    })
}

/// Waits until the file system has everything.
fn sync(dir: &Path) -> Result {
    done(Command::new("sync").arg("-f").arg(dir))
}

/// Runs a program to its end.
fn done(command: &mut Command) -> Result {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", command.get_program().to_string_lossy(), said.trim()).into())
}
