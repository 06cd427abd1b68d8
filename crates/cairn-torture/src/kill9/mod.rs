//! Real processes that die: by SIGKILL at a random time, at a chosen call, by SIGTERM, stopped for a while,
//! without closing anything.
//!
//! A process opens a real directory and uses it as hard as it can: clients in threads with commits of all
//! durabilities, large values, databases that come and go, exclusive transactions; the workers of the
//! environment; checkpoints, cleaning, readers, backups; restores in place and going back. It says what it
//! was promised *after* each call has returned ([`Word`]). It dies; its parent reads to the end what it said,
//! opens the environment, and holds what is there against it ([`Chain`]). The next process goes on with the
//! same environment, since damage adds up.
//!
//! All values name the transaction that put them, and transactions follow from the seed: so how far each client
//! came tells what all content must be, and how many commits there must be ([`State`]).

mod chain;
mod client;
mod deadly;
mod death;
mod ground;
mod life;
mod state;
mod transaction;
mod word;

use std::{
    fmt,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use rustix::process::Signal;

pub use chain::{Chain, Ground, Tally};
pub use deadly::{Call, Fuse, Moment, starve_with};
pub use death::{Death, Victim, was_killed};
pub use ground::Directory;
pub use life::{Before, End, Lie, Life};
pub use state::{State, Told, Who};
pub use transaction::{Change, Id, Manner, transaction};
pub use word::{Survives, Word};

use crate::{
    figure::Figure,
    pool,
    problem::{Problem, Wrong},
};

/// What is to be done.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// The program that lives and dies: this one.
    pub program: PathBuf,
    /// Where directories for the chains are made.
    pub within: PathBuf,
    /// What all choices follow from.
    pub seed: u64,
    /// Chains, by number. Those with even numbers consist of lives in one thread.
    pub chains: std::ops::Range<u32>,
    /// Deaths in each.
    pub deaths: u64,
    /// The cycle after which a chain ends, if it has not had its deaths yet.
    pub last_cycle: u32,
    /// Chains side by side.
    pub threads: usize,
    /// What processes lie about.
    pub lie: Option<Lie>,
    /// Whether they die for want of memory.
    pub hungry: bool,
}

/// A promise that a chain saw broken.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a fact and its place")]
pub struct Violation {
    /// The chain.
    pub chain: u32,
    /// Its life.
    pub cycle: u32,
    /// What is wrong.
    pub problem: Problem,
    /// Where everything was left as it was found.
    pub left: PathBuf,
}

/// What chains have come to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// All of them together.
    pub tally: Tally,
    /// What is wrong.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Adds what a chain has come to.
    pub fn add(&mut self, tally: Tally, violation: Option<Violation>) {
        let Tally { deaths, ends, commits, backups, switches } = tally;
        self.tally.deaths += deaths;
        self.tally.ends += ends;
        self.tally.commits += commits;
        self.tally.backups += backups;
        self.tally.switches += switches;
        self.violations.extend(violation);
    }

    /// What counts toward a goal.
    #[must_use]
    pub fn figure(&self, goal: &'static str, name: &'static str) -> Figure {
        let wrong = self.violations.len() as u64;
        Figure { goal, name, value: self.tally.deaths, wrong }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { deaths, ends, commits, backups, switches } = self.tally;
        write!(
            f,
            "{deaths} deaths, {ends} lives that came to their end; {commits} commits acknowledged, \
             {backups} backups restored, {switches} restores in place done, undone or cut short"
        )
    }
}

/// A directory in memory, where that is known to be: deaths of processes need no disk.
#[must_use]
pub fn in_memory() -> PathBuf {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }
}

/// Runs the chains.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let chains: Vec<_> = plan.chains.clone().collect();
    let mut report = Report::default();
    for (tally, violation) in pool::run(plan.threads, &chains, |chain| run_chain(plan, *chain)) {
        report.add(tally, violation);
    }
    report
}

fn run_chain(plan: &Plan, number: u32) -> (Tally, Option<Violation>) {
    let broken = |cycle, problem, left: &Path| {
        Some(Violation { chain: number, cycle, problem, left: left.to_owned() })
    };
    let scratch = tempfile::Builder::new().prefix("cairn-kill9-").tempdir_in(&plan.within);
    let scratch = match scratch {
        Ok(scratch) => scratch,
        Err(error) => {
            return (Tally::default(), broken(0, Problem::new(Wrong::Run, error), &plan.within));
        }
    };
    let mut ground = Directory::new(scratch.path());
    ground.is_hungry(plan.hungry);
    let (tally, problem) = turns(plan, number, &mut ground);
    let violation = problem.and_then(|(cycle, problem)| broken(cycle, problem, &scratch.keep()));
    (tally, violation)
}

/// Lets a chain go on until it has had its deaths.
pub(crate) fn turns(
    plan: &Plan,
    number: u32,
    ground: &mut dyn Ground,
) -> (Tally, Option<(u32, Problem)>) {
    let seed = plan.seed.wrapping_mul(1 << 20).wrapping_add(number.into());
    let alone = number.is_multiple_of(2);
    let mut chain = match Chain::begin(&plan.program, ground, seed, alone, plan.lie) {
        Ok(chain) => chain,
        Err(problem) => return (Tally::default(), Some((0, problem))),
    };
    while chain.tally().deaths < plan.deaths && chain.cycle() < plan.last_cycle {
        if let Err(problem) = chain.turn() {
            return (chain.tally(), Some((chain.cycle(), problem)));
        }
    }
    (chain.tally(), None)
}

/// Whether a process has ended as it was to.
fn was_death(death: Death, status: ExitStatus) -> bool {
    match death {
        Death::Call(_) | Death::Kill(_) | Death::Terminate(_) | Death::Pause(_) => {
            was_killed(status)
        }
        // How a program ends that does not get the memory that it needs.
        Death::Starve(_) => status.signal() == Some(Signal::ABORT.as_raw()),
        Death::Exit(_) | Death::Forget(_) => status.code() == Some(0),
        Death::Close(_) => false,
        // Whatever it made of a disk that answers with errors, but a panic: and a mapping cannot answer.
        Death::PowerCut(_) => status.code() != Some(101) && status.signal() != Some(6),
    }
}
