//! A SQL file of a million pages with a cache of 64 MiB: what opening it takes, and what a page that changes costs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use cairn_rdb::rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{
    engine::{Engine, Kind, SMALL, mixed},
    written_bytes,
};
use crate::{Result, measure};

/// The cache of the environment.
const CACHE: usize = 64 << 20;
/// Bytes of a row's value: one row fills a page.
const VALUE: usize = 3000;
/// Rows that are changed at random, and how many in a commit.
const CHANGES: (i64, i64) = (200_000, 20);

/// Each in a process of its own.
#[derive(clap::Subcommand)]
pub enum Step {
    /// Make the file
    Build { dir: PathBuf, pages: i64 },
    /// Open it and change it; prints JSON
    Measure { dir: PathBuf, pages: i64 },
}

#[derive(Serialize, Deserialize)]
struct Measured {
    open_seconds: f64,
    one_commit_bytes: u64,
    peak_memory: u64,
    changes: i64,
    changes_seconds: f64,
    changes_bytes: u64,
}

/// Both steps, and what they say in a table's rows: name, goal, figure, whether it is reached.
pub fn measure(dir: &Path, pages: i64) -> Result<Vec<[String; 4]>> {
    let step = |step: &str| -> Result<Vec<u8>> {
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.args(["pages", step]).arg(dir).arg(pages.to_string()).output()?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    };
    step("build")?;
    let of: Measured = serde_json::from_slice(&step("measure")?)?;
    let verdict = |is_reached| if is_reached { "reached" } else { "**missed**" }.to_owned();
    let kib = of.one_commit_bytes / 1024;
    let mib = of.peak_memory >> 20;
    let a_change = of.changes_bytes as f64 / of.changes as f64 / 1024.0;
    Ok(vec![
        [
            "opening it, after a close".into(),
            "≤ 50 ms".into(),
            format!("{:.1} ms", of.open_seconds * 1e3),
            verdict(of.open_seconds <= 0.05),
        ],
        [
            "a commit of one page and a checkpoint write".into(),
            "≤ 64 KiB".into(),
            format!("{kib} KiB"),
            verdict(kib <= 64),
        ],
        [
            format!("resident at most while {} pages change at random", of.changes),
            "≤ 64 MiB and the program".into(),
            format!("{mib} MiB"),
            verdict(mib <= 96),
        ],
        [
            "bytes written for each of them, cleaner included".into(),
            "told".into(),
            format!("{a_change:.1} KiB, in {:.0} s", of.changes_seconds),
            String::new(),
        ],
    ])
}

/// Runs one step in this process.
pub fn run(step: &Step) -> Result {
    match step {
        Step::Build { dir, pages } => build(dir, *pages),
        Step::Measure { dir, pages } => {
            println!("{}", serde_json::to_string(&change(dir, *pages)?)?);
            Ok(())
        }
    }
}

/// Noise, so that nothing is saved by packing it.
fn value(n: i64) -> Vec<u8> {
    let words = (0..).flat_map(|at| mixed(n.wrapping_mul(1 << 12) + at).to_le_bytes());
    words.take(VALUE).collect()
}

fn open(dir: &Path) -> Result<Engine> {
    // What is mapped counts as resident although the system can take it back, so nothing is.
    Engine::open(dir, Kind::Unmapped, CACHE)
}

fn build(dir: &Path, pages: i64) -> Result {
    let engine = open(dir)?;
    let connection = engine.connect("normal", SMALL)?;
    connection.execute_batch("CREATE TABLE p (id INTEGER PRIMARY KEY, v BLOB)")?;
    let mut insert = connection.prepare("INSERT INTO p VALUES (?1, ?2)")?;
    for first in (0..pages).step_by(1000) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for id in first..pages.min(first + 1000) {
            insert.execute(params![id, value(id)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    drop(insert);
    drop(connection);
    engine.close()
}

fn change(dir: &Path, pages: i64) -> Result<Measured> {
    let start = Instant::now();
    let engine = open(dir)?;
    let connection = engine.connect("full", SMALL)?;
    connection.query_row("SELECT v FROM p WHERE id = 0", [], |_| Ok(()))?;
    let open_seconds = start.elapsed().as_secs_f64();

    let mut update = connection.prepare("UPDATE p SET v = ?2 WHERE id = ?1")?;
    engine.settle()?;
    let before = written_bytes()?;
    update.execute(params![pages / 2, value(-1)])?;
    engine.settle()?;
    let one_commit_bytes = written_bytes()? - before;

    measure::reset_peak_memory()?;
    connection.pragma_update(None, "synchronous", "normal")?;
    let (before, start) = (written_bytes()?, Instant::now());
    let (changes, together) = CHANGES;
    for first in (0..changes).step_by(usize::try_from(together)?) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for n in first..first + together {
            update.execute(params![mixed(n) % pages, value(n)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    engine.settle()?;
    let (changes_seconds, changes_bytes) =
        (start.elapsed().as_secs_f64(), written_bytes()? - before);
    let peak_memory = measure::peak_memory()?;
    drop(update);
    drop(connection);
    engine.close()?;
    Ok(Measured {
        open_seconds,
        one_commit_bytes,
        peak_memory,
        changes,
        changes_seconds,
        changes_bytes,
    })
}
