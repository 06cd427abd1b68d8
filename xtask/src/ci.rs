//! `ci`: exactly what CI runs, fastest failure first.
//!
//! The steps are one table. A step whose package is not a member of the workspace yet is skipped
//! and says so; nothing else is ever skipped unless the command line asks for it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Result,
    figure::{self, Figure},
    forward::{self, Forward},
    layers,
    metadata::Metadata,
    process, reliability, spec, tidy,
};

/// What may be asked of `ci`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Go on after a failed step
    #[arg(long)]
    keep_going: bool,
    /// Leave out a step; may be repeated
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Add what was counted to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// So long the gate may take, on two cores and with everything built, in seconds.
const GATE: u64 = 15 * 60;

/// One row: a name, the package that it needs (if one that may not be there yet), what it does.
struct Step {
    name: &'static str,
    needs: Option<&'static str>,
    action: Action,
}

enum Action {
    /// A check of this program.
    Here(fn() -> Result),
    /// Cargo with these arguments.
    Cargo(&'static [&'static str]),
    /// A command of another package with one more argument, if any.
    Forward(&'static Forward, &'static [&'static str]),
}

const STEPS: &[Step] = &[
    here("fmt", || process::run(&mut process::cargo(&["fmt", "--all", "--check"]))),
    here("layers", layers::run),
    here("tidy", tidy::run),
    here("spec", || spec::run(true)),
    cargo("clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"]),
    here("tests", || process::run(&mut tests(&["--workspace"]))),
    cargo("doc-tests", &["test", "--workspace", "--doc", "--locked"]),
    here("docs", docs),
    here("package", package),
    here("reliability", || reliability::run(&reliability::Options::gate())),
    forward("fuzz-replay", &forward::FUZZ_REPLAY, &[]),
    forward("bench-smoke", &forward::BENCH_ONCE, &[]),
];

const fn here(name: &'static str, check: fn() -> Result) -> Step {
    Step { name, needs: None, action: Action::Here(check) }
}

const fn cargo(name: &'static str, args: &'static [&'static str]) -> Step {
    Step { name, needs: None, action: Action::Cargo(args) }
}

const fn forward(
    name: &'static str,
    command: &'static Forward,
    args: &'static [&'static str],
) -> Step {
    Step { name, needs: Some(command.package), action: Action::Forward(command, args) }
}

/// The tests, with nextest where it is installed, else with `cargo test`. Neither runs doc tests
/// here.
pub(crate) fn tests(more: &[&str]) -> Command {
    let tests: &[&str] = if process::works(&mut process::cargo(&["nextest", "--version"])) {
        &["nextest", "run", "--status-level=slow", "--locked"]
    } else {
        &["test", "--lib", "--bins", "--tests", "--examples", "--locked"]
    };
    process::cargo(&[tests, more].concat())
}

fn docs() -> Result {
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    process::run(process::cargo(&doc).env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// What would be published can be listed: no file that a manifest names is missing.
fn package() -> Result {
    for package in Metadata::members()?.publishable() {
        let list = ["package", "--list", "--allow-dirty", "--locked", "-p", &package.name];
        let files = process::output(&mut process::cargo(&list))?;
        println!("{}: {} files", package.name, files.lines().count());
    }
    Ok(())
}

/// How a step ended.
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped(String),
    NotReached,
}

/// Runs the steps and prints the table of their outcomes.
pub(crate) fn run(options: &Options) -> Result {
    let unknown = |name: &&String| !STEPS.iter().any(|step| step.name == **name);
    if let Some(name) = options.skip.iter().find(unknown) {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no step `{name}`; there are: {}", names.join(", ")).into());
    }
    let metadata = Metadata::members()?;
    let start = Instant::now();
    let outcomes = run_steps(STEPS, options, &metadata.names());
    println!("\n{}", table(STEPS, &outcomes));
    let failed =
        STEPS.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    let failed: Vec<_> = failed.map(|(step, _)| step.name).collect();
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")).into());
    }
    let took = start.elapsed().as_secs();
    let (value, wrong) = (GATE.saturating_sub(took), u64::from(took > GATE));
    let name = "seconds that the gate leaves of 900";
    figure::report(&[Figure { goal: "G32", name, value, wrong }], 0, options.figures.as_deref())
}

fn run_steps(steps: &[Step], options: &Options, members: &BTreeSet<&str>) -> Vec<Outcome> {
    let mut stopped = false;
    let run_step = |step: &Step| {
        if stopped {
            return Outcome::NotReached;
        }
        println!("\n--- {}", step.name);
        if let Some(reason) = reason_to_skip(step, options, members) {
            println!("SKIPPED, {reason}");
            return Outcome::Skipped(reason);
        }
        let start = Instant::now();
        let result = step.run();
        let time = start.elapsed();
        match result {
            Ok(()) => {
                println!("{} passed in {}", step.name, seconds(time));
                Outcome::Passed(time)
            }
            Err(error) => {
                println!("{} FAILED after {}: {error}", step.name, seconds(time));
                stopped = !options.keep_going;
                Outcome::Failed(time)
            }
        }
    };
    steps.iter().map(run_step).collect()
}

fn reason_to_skip(step: &Step, options: &Options, members: &BTreeSet<&str>) -> Option<String> {
    if options.skip.iter().any(|name| name == step.name) {
        return Some("as asked".to_owned());
    }
    let needs = step.needs?;
    (!members.contains(needs)).then(|| format!("not there yet: {needs}"))
}

impl Step {
    fn run(&self) -> Result {
        match self.action {
            Action::Here(check) => check(),
            Action::Cargo(args) => process::run(&mut process::cargo(args)),
            Action::Forward(command, more) => {
                process::run(&mut process::cargo(&[command.args, more].concat()))
            }
        }
    }
}

fn table(steps: &[Step], outcomes: &[Outcome]) -> String {
    let rows = steps.iter().zip(outcomes).map(|(step, outcome)| {
        let outcome = match outcome {
            Outcome::Passed(time) => format!("{:>9}  passed", seconds(*time)),
            Outcome::Failed(time) => format!("{:>9}  FAILED", seconds(*time)),
            Outcome::Skipped(reason) => format!("{:>9}  SKIPPED, {reason}", "-"),
            Outcome::NotReached => format!("{:>9}  not reached", "-"),
        };
        format!("{:12} {outcome}", step.name)
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &[Step] = &[
        here("first", || Ok(())),
        here("second", || Err("broken".into())),
        forward("third", &forward::CRASH, &["--smoke"]),
        here("fourth", || Ok(())),
    ];

    fn outcomes(keep_going: bool, skip: &[&str]) -> Vec<char> {
        let skip = skip.iter().map(|name| (*name).to_owned()).collect();
        run_steps(SOME, &Options { keep_going, skip, figures: None }, &BTreeSet::new())
            .iter()
            .map(|outcome| match outcome {
                Outcome::Passed(_) => '+',
                Outcome::Failed(_) => '!',
                Outcome::Skipped(_) => '-',
                Outcome::NotReached => ' ',
            })
            .collect()
    }

    #[test]
    fn the_first_failure_stops_the_run_unless_asked_otherwise() {
        assert_eq!(outcomes(false, &[]), ['+', '!', ' ', ' ']);
        assert_eq!(outcomes(true, &[]), ['+', '!', '-', '+']);
        assert_eq!(outcomes(false, &["second"]), ['+', '-', '-', '+']);
    }

    #[test]
    fn what_is_skipped_says_why() {
        let options = Options { keep_going: false, skip: vec!["first".to_owned()], figures: None };
        let why = |step: &Step, members: &[&str]| {
            reason_to_skip(step, &options, &members.iter().copied().collect())
        };
        assert_eq!(why(&SOME[0], &[]).unwrap(), "as asked");
        assert_eq!(why(&SOME[2], &[]).unwrap(), "not there yet: cairn-torture");
        assert_eq!(why(&SOME[2], &["cairn-torture"]), None);
    }

    #[test]
    fn a_misspelt_step_is_refused() {
        let options = Options { keep_going: false, skip: vec!["test".to_owned()], figures: None };
        let error = run(&options).unwrap_err().to_string();
        assert!(error.starts_with("no step `test`; there are: fmt, layers"), "{error}");
    }

    #[test]
    fn the_table_has_a_row_per_step() {
        let outcomes = [
            Outcome::Passed(Duration::from_millis(1234)),
            Outcome::Failed(Duration::ZERO),
            Outcome::Skipped("not there yet: x".to_owned()),
            Outcome::NotReached,
        ];
        assert_eq!(
            table(SOME, &outcomes),
            "first            1.2 s  passed\n\
             second           0.0 s  FAILED\n\
             third                -  SKIPPED, not there yet: x\n\
             fourth               -  not reached"
        );
    }
}
