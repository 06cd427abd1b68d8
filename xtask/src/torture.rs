//! `torture`: all rigs in turn, with new seeds in each round, for as long as somebody lets them.
//!
//! Everything it knows lies in its folder: the ledger of what was done, and the whole output of each
//! command that failed. Stopped at any time, by a signal too, it goes on after the last command that
//! came to its end.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::Command,
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
    let folder = Folder::open(process::root().join(&options.dir))?;
    let done = folder.done()?;
    if !done.is_empty() {
        println!("going on after {} commands of earlier runs", done.len());
    }
    println!("what each command says meanwhile: {}", folder.running.display());
    let start = Instant::now();
    for shard in (0..).flat_map(round).filter(|shard| !done.contains(&shard.command)) {
        if start.elapsed() >= time {
            break;
        }
        let began = Instant::now();
        let outcome = folder.one(&shard, process::myself())?;
        let (left, seconds) = (left(time, start), began.elapsed().as_secs());
        match outcome {
            Outcome::Fine => println!("[{left}] fine, {seconds} s"),
            Outcome::Skipped(why) => println!("[{left}] {why}"),
            Outcome::Failed(log) => println!("[{left}] FAILED, see {}", log.display()),
        }
    }
    folder.verdict()
}

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// It has counted nothing, for want of a tool: what it said of that.
    Skipped(String),
    /// Something was wrong; all that it said is there.
    Failed(PathBuf),
}

/// Where everything is kept.
struct Folder {
    ledger: PathBuf,
    failures: PathBuf,
    /// What the command says that is running, and what it has counted.
    running: PathBuf,
    figures: PathBuf,
}

impl Folder {
    fn open(dir: PathBuf) -> Result<Self> {
        let failures = dir.join("failures");
        fs::create_dir_all(&failures)?;
        Ok(Self {
            ledger: dir.join("ledger.jsonl"),
            failures,
            running: dir.join("running.log"),
            figures: dir.join("running.jsonl"),
        })
    }

    /// The commands that need not be run again.
    fn done(&self) -> Result<BTreeSet<String>> {
        Ok(ledger::read(&self.ledger)?.into_iter().map(|entry| entry.command).collect())
    }

    /// Runs one shard through `program`, and keeps its output if it fails.
    fn one(&self, shard: &Shard, mut program: Command) -> Result<Outcome> {
        let commit = reliability::commit()?;
        let mut output = File::create(&self.running)?;
        writeln!(output, "$ cargo xtask {}\nat commit {commit}", shard.command)?;
        program.stdout(output.try_clone()?).stderr(output);
        let (entries, is_good) = shard.run(&commit, &mut program, &self.figures)?;
        if !is_good {
            // Before it counts as done: whoever stops us in between has it run again.
            let kept =
                self.failures.join(format!("{}.log", shard.command.replace([' ', '/'], "_")));
            fs::rename(&self.running, &kept)?;
            ledger::append(&self.ledger, &entries)?;
            return Ok(Outcome::Failed(kept));
        }
        if entries.is_empty() {
            let text = fs::read_to_string(&self.running)?;
            let why = text.lines().find(|line| line.starts_with("SKIPPED"));
            return Ok(Outcome::Skipped(why.unwrap_or("it counted nothing").to_owned()));
        }
        ledger::append(&self.ledger, &entries)?;
        Ok(Outcome::Fine)
    }

    /// What all runs with this folder come to.
    fn verdict(&self) -> Result {
        let entries = ledger::read(&self.ledger)?;
        let sum = |part: fn(&ledger::Entry) -> u64| entries.iter().map(part).sum::<u64>();
        let (counted, wrong) = (sum(|entry| entry.value), sum(|entry| entry.wrong));
        let ledger = self.ledger.display();
        println!("{} figures, {counted} counted, {wrong} wrong; {ledger}", entries.len());
        let mut failed = Vec::new();
        for entry in fs::read_dir(&self.failures)? {
            failed.push(entry?.path());
        }
        failed.sort();
        let all: Vec<_> = failed.iter().map(|path| format!("\n  {}", path.display())).collect();
        match failed.len() {
            0 => Ok(()),
            count => Err(format!(
                "{count} failures, each with the command that repeats it in its first line; \
                 remove what is mended:{}",
                all.concat()
            )
            .into()),
        }
    }
}

fn left(time: Duration, start: Instant) -> String {
    let minutes = time.saturating_sub(start.elapsed()).as_secs().div_ceil(60);
    format!("{}:{:02} left", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> Shard {
        Shard { command: "flip --part 1/8".to_owned(), goals: &["G5"] }
    }

    #[test]
    fn a_failure_is_kept_with_the_command_that_repeats_it_until_somebody_removes_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().to_owned()).unwrap();
        folder.verdict().unwrap();
        let outcome = folder.one(&shard(), process::cargo(&["no-such-command"])).unwrap();
        let kept = dir.path().join("failures/flip_--part_1_8.log");
        assert_eq!(outcome, Outcome::Failed(kept.clone()));
        let text = fs::read_to_string(&kept).unwrap();
        assert!(text.starts_with("$ cargo xtask flip --part 1/8\nat commit "), "{text}");
        assert!(text.contains("no such command"), "all that it said: {text}");
        assert!(folder.done().unwrap().contains("flip --part 1/8"));
        // Also for a run that goes on.
        let again = Folder::open(dir.path().to_owned()).unwrap();
        let error = again.verdict().unwrap_err().to_string();
        assert!(error.contains(kept.to_str().unwrap()), "{error}");
        fs::remove_file(kept).unwrap();
        again.verdict().unwrap();
    }

    #[test]
    fn a_command_that_was_skipped_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().to_owned()).unwrap();
        let mut program = Command::new("echo");
        program.arg("SKIPPED, nothing was run:");
        match folder.one(&shard(), program).unwrap() {
            Outcome::Skipped(why) => assert!(why.starts_with("SKIPPED, nothing"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert!(folder.done().unwrap().is_empty());
    }
}
