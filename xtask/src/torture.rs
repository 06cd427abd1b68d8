//! `torture`: all rigs in turn, with new seeds in each round, for as long as somebody lets them.
//!
//! Everything it knows lies in its folder: the ledger of what was done, and the whole output of each
//! command that failed. Stopped at any time, by a signal too, it goes on after the last command that
//! came to its end.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Result, process,
    reliability::{self, Shard, ledger, round},
};

/// What may be asked of `torture`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how many hours; parts of one are fine
    #[arg(long, default_value_t = 8.0)]
    hours: f64,
    /// The folder of the ledger and of failures
    #[arg(long, default_value = "target/torture-runs", value_name = "DIR")]
    dir: PathBuf,
}

/// Runs until the time is up; fails if anything did, now or when the folder was used before.
pub(crate) fn run(options: &Options) -> Result {
    let time = Duration::try_from_secs_f64(options.hours * 3600.0)
        .map_err(|error| format!("--hours {}: {error}", options.hours))?;
    let dir = process::root().join(&options.dir);
    let failures = dir.join("failures");
    fs::create_dir_all(&failures)?;
    let (start, path) = (Instant::now(), dir.join("ledger.jsonl"));
    let done: BTreeSet<String> =
        ledger::read(&path)?.into_iter().map(|entry| entry.command).collect();
    if !done.is_empty() {
        println!("going on after {} commands of earlier runs", done.len());
    }
    for shard in (0..).flat_map(round).filter(|shard| !done.contains(&shard.command)) {
        if start.elapsed() >= time {
            break;
        }
        let log = dir.join("running.log");
        let began = Instant::now();
        let is_good = one(&shard, &log, &path)?;
        let seconds = began.elapsed().as_secs();
        if is_good {
            println!("[{}] {}: fine, {seconds} s", left(time, start), shard.command);
        } else {
            let kept = failures.join(format!("{}.log", shard.command.replace([' ', '/'], "_")));
            fs::rename(&log, &kept)?;
            println!("[{}] {}: FAILED, see {}", left(time, start), shard.command, kept.display());
        }
    }
    let (mut counted, mut wrong) = (0, 0);
    let entries = ledger::read(&path)?;
    entries
        .iter()
        .for_each(|entry| (counted, wrong) = (counted + entry.value, wrong + entry.wrong));
    println!("{} figures, {counted} counted, {wrong} wrong; {}", entries.len(), path.display());
    match fs::read_dir(&failures)?.count() {
        0 => Ok(()),
        failed => Err(format!("{failed} failures in {}", failures.display()).into()),
    }
}

/// Runs one shard with its output in a file; returns whether all was right.
fn one(shard: &Shard, log: &Path, path: &Path) -> Result<bool> {
    let output = File::create(log)?;
    let mut program = process::myself();
    program.stdout(output.try_clone()?).stderr(output);
    let (entries, is_good) = shard.run(&reliability::commit()?, &mut program)?;
    ledger::append(path, &entries)?;
    Ok(is_good)
}

fn left(time: Duration, start: Instant) -> String {
    let minutes = time.saturating_sub(start.elapsed()).as_secs().div_ceil(60);
    format!("{}:{:02} left", minutes / 60, minutes % 60)
}
