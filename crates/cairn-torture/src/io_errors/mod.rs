//! The command `io-errors`: a workload that does everything an environment can do is run once for each
//! call to the disk and each way in which that call can fail.
//!
//! | what | must be |
//! |---|---|
//! | a call that fails, whatever it is | no panic; nothing acknowledged is lost, then or after a loss of power |
//! | a commit that is refused | not there; unless it says that this is unknown, or that it is pending |
//! | an error | of the disk, or of space, if that is what failed; `is_valid` and all handles agree with it |
//! | an interrupted call, a short transfer | invisible |
//! | a sync that fails | never repeated; nothing that it was to make durable is relied on |
//! | backups and restores | whole, or not there; those from before are what they were |
//! | afterwards | the environment goes on, or is opened again; it verifies, commits, backs up and closes |

mod kind;
mod user;
mod workload;

use std::{collections::BTreeMap, fmt, str::FromStr};

use cairn_sim::Level;

pub use kind::Kind;
use user::{Stopped, User};
use workload::STEPS;

use crate::{
    figure::Figure,
    part::Part,
    pool,
    problem::{Checked, Problem, Wrong, caught},
    script::Settings,
};

/// Over how many data directories the environment is spread; 0: none but its own.
const LAYOUTS: [u16; 2] = [0, 2];

/// What to let fail.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// So many calls, spread evenly over the runs; `None`: all.
    pub calls: Option<usize>,
    /// Which of the runs.
    pub part: Part,
    /// Where what is written comes from.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// One run: on so many data directories, this call fails in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "it prints and parses")]
pub struct Case {
    /// How many data directories the environment is spread over; 0: none.
    pub directories: u16,
    /// Which call, from 0.
    pub call: u64,
    /// What happens to it.
    pub kind: Kind,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.directories, self.call, self.kind)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not a case: {text:?}; one is `0/417/eio`");
        let mut parts = text.split('/');
        let mut part = || parts.next().ok_or_else(wrong);
        let directories = part()?.parse().map_err(|_| wrong())?;
        let call = part()?.parse().map_err(|_| wrong())?;
        Ok(Self { directories, call, kind: part()?.parse()? })
    }
}

/// A promise that was broken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// By what.
    pub case: Case,
    /// The seed of the run.
    pub seed: u64,
    /// The call.
    pub call: String,
    /// In which step that showed.
    pub step: &'static str,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, seed, call, step, problem } = self;
        writeln!(f, "{problem}")?;
        writeln!(f, "  failed   {call}")?;
        writeln!(f, "  shows in {step}")?;
        write!(f, "  again    cargo xtask io-errors --seed {seed:#x} --repeat {case}")
    }
}

/// What all runs have shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// For each kind, how many calls failed in that way.
    pub struck: BTreeMap<Kind, u64>,
    /// For each step, how many runs met with the failure there.
    pub steps: BTreeMap<usize, u64>,
    /// Calls of a run without failures, by the number of data directories.
    pub calls: BTreeMap<u16, u64>,
    /// Runs after which verification names a file that was given up and that nothing needs.
    pub files_given_up: Vec<Case>,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && !self.struck.is_empty()
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let value = self.struck.values().sum();
        let wrong = self.violations.len() as u64;
        vec![Figure { goal: "G7", name: "calls failed", value, wrong }]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// So many violations of the same promise in the same step are printed.
        const SHOWN: usize = 3;
        for (number, count) in &self.steps {
            let name = STEPS.get(*number).map_or("", |step| step.name);
            writeln!(f, "{count:>8} met in step {number:>2}, {name}")?;
        }
        for (directories, calls) in &self.calls {
            writeln!(f, "{calls:>8} calls of a run on {directories} data directories")?;
        }
        for (kind, count) in &self.struck {
            writeln!(f, "{count:>8} {}", kind.figure())?;
        }
        let (given_up, first) = (self.files_given_up.len(), self.files_given_up.first());
        let first = first.map_or_else(String::new, |case| format!(", first {case}"));
        writeln!(f, "{given_up:>8} runs leave a file that nothing needs{first}")?;
        let mut seen = BTreeMap::<_, usize>::new();
        for violation in &self.violations {
            let shown = seen.entry((violation.problem.wrong, violation.step)).or_default();
            *shown += 1;
            if *shown <= SHOWN {
                writeln!(f, "\n{violation}")?;
            }
        }
        for ((wrong, step), count) in seen.iter().filter(|(_, count)| **count > SHOWN) {
            writeln!(f, "\n{} more: {wrong} in {step}", count - SHOWN)?;
        }
        Ok(())
    }
}

fn settings(directories: u16, seed: u64) -> Settings {
    Settings {
        seed,
        cache: 12 << 10,
        checkpoint: 24 << 10,
        background: true,
        space: 60,
        directories,
        ..Settings::SMALL
    }
}

/// Lets every planned call fail in every way.
///
/// # Errors
/// If the workload fails although nothing is wrong with the disk.
pub fn run(plan: &Plan) -> Checked<Report> {
    let mut report = Report::default();
    let mut cases = Vec::new();
    for directories in LAYOUTS {
        let transfers = count(directories, plan.seed)?;
        report.calls.insert(directories, transfers.len() as u64);
        let step = plan.calls.map_or(1, |calls| (transfers.len() * LAYOUTS.len()).div_ceil(calls));
        for (call, &transfer) in (0..).zip(&transfers).step_by(step) {
            let kinds = Kind::ALL.into_iter().filter(|kind| transfer || !kind.is_of_transfers());
            cases.extend(kinds.map(|kind| Case { directories, call, kind }));
        }
    }
    let mut index = 0..;
    cases.retain(|_| index.next().is_some_and(|index| plan.part.has(index)));
    let results = pool::run(plan.threads, &cases, |case| fail(case, plan.seed));
    for (case, result) in cases.iter().zip(results) {
        *report.struck.entry(case.kind).or_default() += 1;
        match result {
            Ok(passed) => {
                *report.steps.entry(passed.step).or_default() += 1;
                report.files_given_up.extend(passed.leaves_a_file.then_some(*case));
            }
            Err(violation) => report.violations.push(violation),
        }
    }
    Ok(report)
}

/// Runs the workload on a sound disk, and returns for each call whether it transfers bytes.
fn count(directories: u16, seed: u64) -> Checked<Vec<bool>> {
    let mut user = User::new(&settings(directories, seed), Kind::Eio)?;
    user.faults.watch_transfers();
    for step in STEPS {
        match (step.act)(&mut user) {
            Ok(()) => {}
            Err(Stopped::Broken(problem)) => {
                let story = format!("{}: {}", step.name, problem.story);
                return Err(Problem::new(problem.wrong, story));
            }
            Err(Stopped::Told) => return Err(Problem::new(Wrong::Run, step.name)),
        }
    }
    Ok(user.faults.transfers())
}

/// A run in which nothing was wrong.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Passed {
    /// The step in which the call failed.
    pub step: usize,
    leaves_a_file: bool,
}

/// Runs the workload while one call fails, or all from that one on.
///
/// # Errors
/// The promise that is broken.
pub fn fail(case: &Case, seed: u64) -> Result<Passed, Violation> {
    let mut met = None;
    let mut now = "setting up";
    let mut calls = Vec::new();
    let done = caught(|| {
        let mut user = User::new(&settings(case.directories, seed), case.kind)?;
        user.faults.inject(case.kind.rule(case.call));
        for (number, step) in STEPS.iter().enumerate() {
            now = step.name;
            let stepped = caught(|| match (step.act)(&mut user) {
                Ok(()) | Err(Stopped::Told) => Ok(()),
                Err(Stopped::Broken(problem)) => Err(problem),
            });
            calls = user.faults.struck();
            stepped?;
            if met.is_none() && user.is_struck() {
                met = Some(number);
                user.doubts_what_a_sync_has_met();
                user.survives(Level::LoseAll)?;
                user.survives(Level::KeepAll)?;
            }
        }
        now = "the end";
        user.survives(Level::LoseAll)?;
        now = "going on";
        user.goes_on()?;
        user.survives(Level::LoseAll)?;
        Ok(user.leaves_a_file())
    });
    match done {
        Ok(leaves_a_file) => Ok(Passed { step: met.unwrap_or(STEPS.len()), leaves_a_file }),
        Err(problem) => Err(Violation {
            case: *case,
            seed,
            call: calls.first().cloned().unwrap_or_else(|| "nothing yet".into()),
            step: now,
            problem,
        }),
    }
}

impl User {
    /// The disk works again: whatever the state of the environment, its user can go on.
    fn goes_on(&mut self) -> Checked<()> {
        self.faults.clear();
        for step in workload::AFTERWARDS {
            match (step.act)(self) {
                Ok(()) => {}
                Err(Stopped::Broken(problem)) => {
                    let story = format!("{}: {}", step.name, problem.story);
                    return Err(Problem::new(problem.wrong, story));
                }
                Err(Stopped::Told) => {
                    return Err(Problem::new(Wrong::Run, format!("{} fails", step.name)));
                }
            }
        }
        self.verify()?;
        self.give_up();
        Ok(())
    }
}
