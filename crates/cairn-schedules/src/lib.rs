//! Schedules: small programs of a few threads on one environment, under many orders of their steps.
//!
//! In a build under `--cfg shuttle` the locks, conditions, atomics and threads of the engine are those of
//! a scheduler (`cairn_io::shared`), which lets one thread run at a time and decides at each of them who
//! goes on. What a seed decides it decides every time, so that a failure can be repeated; a thread that
//! nobody wakes, or a lock that nobody gives back, is found because nobody can go on. In any other build
//! the same programs run on the threads of the system, as their unit tests do.
//!
//! The disk is simulated and can lose power: what was acknowledged must be there afterwards.
#![forbid(unsafe_code)]

mod commits;
mod endings;
mod explore;
mod ground;
mod races;
mod readers;
#[cfg(test)]
mod tests;
mod workers;
mod world;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use races::{RACES, Race};

/// Nothing, or what was wrong: a sentence for people.
pub type Checked<T = ()> = Result<T, String>;

/// Whether this build decides who goes on.
pub const POSSIBLE: bool = cfg!(shuttle);

/// A program, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its threads do.
    pub about: &'static str,
    body: fn(u64) -> Checked,
}

/// All programs.
#[rustfmt::skip] // a table
pub const PROGRAMS: &[Program] = &[
    Program { name: "workers", about: "a worker is woken by several, and stopped", body: workers::wakes },
    Program { name: "group", about: "commits share syncs, and the power fails", body: commits::group },
    Program { name: "levels", about: "commits of all durabilities beside a checkpoint", body: commits::levels },
    Program { name: "relaxed", about: "commits wait for the background to make them durable", body: commits::relaxed },
    Program { name: "counters", about: "conflicts, turns and an exclusive transaction", body: commits::counters },
    Program { name: "readers", about: "snapshots and a backup beside checkpoints and the cleaner", body: readers::beside_the_cleaner },
    Program { name: "failing", about: "a sync fails while others wait for it", body: endings::failing },
    Program { name: "closing", about: "somebody closes the environment that others use", body: endings::closing },
    Program { name: "dropping", about: "the last handle goes, with commits that are not durable", body: endings::dropping },
];

impl Program {
    /// The program of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROGRAMS.iter().find(|program| program.name == name)
    }
}

/// How much is to be run.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line gives all of it")]
pub struct Plan {
    /// Which programs.
    pub programs: Vec<&'static Program>,
    /// Schedules of all of them together.
    pub schedules: u64,
    /// Where they begin.
    pub seed: u64,
    /// How many run side by side; each is a scheduler of its own.
    pub threads: usize,
}

/// Schedules that a scheduler goes through before another one is made, with the next seed.
pub const BATCH: u64 = 250;

/// Some schedules of a program by one scheduler: what a failure is repeated by.
#[derive(Clone, Copy, Debug)]
struct Batch {
    program: &'static Program,
    seed: u64,
    schedules: u64,
}

/// A schedule under which a program failed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a sentence and how it is repeated")]
pub struct Failure {
    /// The program.
    pub program: &'static Program,
    /// The seed of its batch.
    pub seed: u64,
    /// The place of the schedule in the batch, from 1.
    pub schedule: u64,
    /// What was wrong.
    pub story: String,
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a table with its footer")]
pub struct Report {
    /// Schedules of each program.
    pub counts: Vec<(&'static str, u64)>,
    /// Where programs failed.
    pub failures: Vec<Failure>,
}

/// Runs the programs in turn, until all schedules have been run. A batch ends with its first failure.
///
/// # Errors
/// If this build has no scheduler.
pub fn run(plan: &Plan) -> Result<Report, String> {
    if !POSSIBLE {
        return Err("this build has no scheduler: `cargo xtask schedules` makes one".into());
    }
    Ok(run_all(plan))
}

fn run_all(plan: &Plan) -> Report {
    let mut batches = Vec::new();
    let each = plan.schedules.div_ceil(plan.programs.len().max(1) as u64);
    for &program in &plan.programs {
        for first in (0..each).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
            let seed = plan.seed.wrapping_add(first / BATCH);
            batches.push(Batch { program, seed, schedules: BATCH.min(each - first) });
        }
    }
    let results = side_by_side(plan.threads, &batches);
    let mut report = Report::default();
    for (batch, (done, story)) in batches.iter().zip(results) {
        match report.counts.last_mut() {
            Some((name, count)) if *name == batch.program.name => *count += done,
            _ => report.counts.push((batch.program.name, done)),
        }
        let Batch { program, seed, .. } = *batch;
        report.failures.extend(story.map(|story| Failure { program, seed, schedule: done, story }));
    }
    report
}

/// What came of each batch, in their order. A scheduler keeps to the thread in which it was made.
fn side_by_side(threads: usize, batches: &[Batch]) -> Vec<(u64, Option<String>)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, batches.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(index) else { return };
                    let result = explore::run(batch);
                    lock(&results).insert(index, result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Locks what belongs to the rig, not to the engine: no scheduler decides about it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Report {
    /// Whether no program failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many schedules were run.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(f, "{name:12} {count:>8} schedules")?;
        }
        for Failure { program, seed, schedule, story } in &self.failures {
            writeln!(f, "\n{}, schedule {schedule}: {story}", program.name)?;
            let name = program.name;
            writeln!(
                f,
                "  cargo xtask schedules --program {name} --seed {seed:#x} --schedules {schedule}"
            )?;
        }
        write!(f, "{} schedules, {} failures", self.schedules(), self.failures.len())
    }
}
