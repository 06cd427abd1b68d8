//! `reliability`: runs the rigs in shards, holds what they counted against the goals, and writes the
//! table of `docs/reliability.md`.
//!
//! A shard is a command that anyone can run. What it counted goes into a ledger below `target`, by
//! commit, as soon as it is done: a run that was stopped goes on where it was.

mod goals;
pub(crate) mod ledger;
mod shards;
mod verdict;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

pub(crate) use self::shards::{Shard, round};
use self::{
    goals::{Column, GOALS},
    ledger::Entry,
};
use crate::{Result, process, spec};

/// Where what was measured is published, from the root of the repository.
const PUBLISHED: &str = "docs/reliability.jsonl";

/// What may be asked of `reliability`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The goals of a release, at most an hour each, instead of those of every change
    #[arg(long)]
    full: bool,
    /// Only this goal; may be repeated
    #[arg(long, value_name = "GOAL")]
    goal: Vec<String>,
    /// Run nothing; say what would be run and what is done
    #[arg(long)]
    list: bool,
    /// Forget what this commit has already been measured with
    #[arg(long)]
    again: bool,
    /// Run nothing; publish what full runs of this commit have counted in docs/reliability.md
    #[arg(long, conflicts_with_all = ["list", "again", "full"])]
    report: bool,
}

impl Options {
    /// What every change has to pass, all of it.
    pub(crate) const fn gate() -> Self {
        Self { full: false, goal: Vec::new(), list: false, again: true, report: false }
    }
}

/// Runs what is still to be run, and prints a verdict for each goal.
pub(crate) fn run(options: &Options) -> Result {
    let column = if options.full { Column::Full } else { Column::Gate };
    check_names(&options.goal, column)?;
    let is_wanted =
        |number: &str| options.goal.is_empty() || options.goal.iter().any(|g| is_named(g, number));
    let commit = commit()?;
    if options.report {
        return publish(&commit);
    }
    let path = ledger_path(column, &commit);
    if options.again && path.exists() {
        fs::remove_file(&path)?;
    }
    // Several goals may be measured in one checkout at the same time.
    let figures = path.with_file_name(format!("figures-{}.jsonl", std::process::id()));
    let shards: Vec<Shard> = shards::shards(column)
        .into_iter()
        .filter(|shard| shard.goals.iter().any(|goal| is_wanted(goal)))
        .collect();
    for (index, shard) in shards.iter().enumerate() {
        // What is not committed has no name under which it could be gone on with.
        let is_done = !commit.ends_with(CHANGED)
            && ledger::read(&path)?.iter().any(|entry| entry.command == shard.command);
        println!("\n--- {} of {}: cargo xtask {}", index + 1, shards.len(), shard.command);
        if is_done {
            println!("done before");
        } else if !options.list {
            let (entries, _) = shard.run(&commit, &mut process::myself(), &figures)?;
            ledger::append(&path, &entries)?;
        }
    }
    let entries = ledger::read(&path)?;
    let mut verdicts = verdict::verdicts(column, &entries);
    verdicts.retain(|verdict| is_wanted(verdict.goal.number));
    println!("\n{}", verdict::text(&verdicts));
    let broken = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    match broken {
        0 => {
            println!("All goals hold, at commit {commit}. What was counted: {}", path.display());
            Ok(())
        }
        _ if options.list => Ok(()),
        1 => Err("a goal does not hold, above".into()),
        _ => Err(format!("{broken} goals do not hold, above").into()),
    }
}

/// Whether somebody who wrote `name` means the goal with this number.
fn is_named(name: &str, number: &str) -> bool {
    name.eq_ignore_ascii_case(number)
}

/// Refuses goals that do not exist, or that nothing in this column counts toward: nothing would be run, and
/// nothing be wrong.
fn check_names(names: &[String], column: Column) -> Result {
    let mut known: Vec<&str> = GOALS.iter().map(|goal| goal.number).collect();
    known.sort_by_key(|number| number[1..].parse::<u32>().ok());
    known.dedup();
    for name in names {
        let mut rows = GOALS.iter().filter(|goal| is_named(name, goal.number)).peekable();
        if rows.peek().is_none() {
            return Err(format!("no goal `{name}`; there are: {}", known.join(", ")).into());
        }
        if rows.all(|goal| goal.target(column).is_none()) {
            return Err(format!("{name} is measured by full runs only: add --full").into());
        }
    }
    Ok(())
}

/// Marks a commit of which the tree differs.
const CHANGED: &str = "-changed";

/// The commit that is checked out, in short.
pub(crate) fn commit() -> Result<String> {
    let commit = process::output(&mut process::git(&["rev-parse", "--short=10", "HEAD"]))?;
    let changes = process::output(&mut process::git(&["status", "--porcelain"]))?;
    let mark = if changes.trim().is_empty() { "" } else { CHANGED };
    Ok(format!("{}{mark}", commit.trim()))
}

fn ledger_path(column: Column, commit: &str) -> PathBuf {
    let column = match column {
        Column::Gate => "gate",
        Column::Full => "full",
    };
    process::root().join("target/reliability").join(format!("{column}-{commit}.jsonl"))
}

impl Shard {
    /// Runs the command through `program`; returns what it counted and whether it was content. A command
    /// that fails without having counted anything has counted one wrong thing.
    /// `figures` is where it writes that meanwhile, in a file that nobody else uses.
    pub(crate) fn run(
        &self,
        commit: &str,
        program: &mut Command,
        figures: &Path,
    ) -> Result<(Vec<Entry>, bool)> {
        if let Some(dir) = figures.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(figures, "")?;
        let start = Instant::now();
        let words = self.command.split(' ');
        let outcome = process::run(program.args(words).arg("--figures").arg(figures));
        if let Err(error) = &outcome {
            println!("{error}");
        }
        let mut entries = self.completed(figures, commit, start.elapsed().as_secs())?;
        fs::remove_file(figures)?;
        if outcome.is_err() && entries.iter().all(|entry| entry.wrong == 0) {
            entries = self.failed(commit);
        }
        Ok((entries, outcome.is_ok()))
    }

    /// What the rig has written, with what it does not know.
    fn completed(&self, figures: &Path, commit: &str, seconds: u64) -> Result<Vec<Entry>> {
        let mut entries = ledger::read(figures)?;
        for entry in &mut entries {
            entry.command.clone_from(&self.command);
            commit.clone_into(&mut entry.commit);
            entry.date = today();
            entry.seconds = seconds;
        }
        Ok(entries)
    }

    /// All goals of a command that has failed are broken.
    fn failed(&self, commit: &str) -> Vec<Entry> {
        let goals = GOALS.iter().filter(|goal| self.goals.contains(&goal.number));
        let failed = goals.map(|goal| Entry {
            goal: goal.number.to_owned(),
            name: goal.figure.to_owned(),
            value: 0,
            wrong: 1,
            seed: String::new(),
            command: self.command.clone(),
            commit: commit.to_owned(),
            date: today(),
            seconds: 0,
        });
        failed.collect()
    }
}

/// The day, in UTC.
fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Takes what full runs of this commit have counted over into the page.
fn publish(commit: &str) -> Result {
    if commit.ends_with(CHANGED) {
        return Err("the tree is not as committed: what was counted could not be repeated".into());
    }
    let measured = ledger::read(&ledger_path(Column::Full, commit))?;
    if measured.is_empty() {
        return Err(format!(
            "no full run of {commit} has counted anything; \
                            run `cargo xtask reliability --full`"
        )
        .into());
    }
    let path = process::root().join(PUBLISHED);
    let all = ledger::merge(ledger::read(&path)?, measured);
    let new = path.with_extension("new");
    fs::remove_file(&new).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    ledger::append(&new, &all)?;
    fs::rename(&new, &path)?;
    spec::run(false)
}

/// The table of the page, as `spec` takes tables.
pub(crate) fn printed() -> Result<String> {
    let published = ledger::read(&process::root().join(PUBLISHED))?;
    Ok(format!("=== reliability\n{}", verdict::page(&published)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_of_which_nothing_would_be_run_is_refused() {
        let checked = |name: &str, column| {
            check_names(&[name.to_owned()], column).map_err(|error| error.to_string())
        };
        assert_eq!(checked("G1", Column::Gate), Ok(()));
        assert_eq!(checked("g10", Column::Full), Ok(()));
        // It once was said that it holds.
        assert!(checked("G10", Column::Gate).unwrap_err().ends_with("add --full"));
        let error = checked("G99", Column::Full).unwrap_err();
        assert!(error.contains("there are: G1, G2, G3, "), "{error}");
    }
}
