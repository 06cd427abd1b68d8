//! The command `nonces`: encrypted environments that crash, are copied, restored and rekeyed, in builds in which
//! every pair of key and nonce is written down. None may come twice.
//!
//! GCM with a nonce used twice gives away what was encrypted, and the key that vouches for it. So this is
//! held against everything that brings an environment back to where it was: a power failure, a copy of
//! its directory that goes on beside it, a backup that is restored, a write that failed and is tried again.
//! (MongoDB and Borg had to tell their users how not to do that.)

mod history;
mod twin;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use self::history::History;
use crate::{
    figure::Figure,
    pool,
    problem::{Problem, Wrong, caught},
};

/// How much is encrypted.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// How often, at least.
    pub encryptions: u64,
    /// The seed of the first history; the others have those that follow.
    pub seed: u64,
    /// How many histories go on side by side.
    pub threads: usize,
}

/// Encryptions of a history. All pairs of one are in memory.
const OF_ONE: u64 = 100_000;

/// What may happen to one of the copies of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the rows of the table")]
pub enum Deed {
    /// Values small and large are written.
    Write,
    /// A checkpoint is made.
    Checkpoint,
    /// Files are cleaned.
    Clean,
    /// The process dies.
    Kill,
    /// The power fails.
    Power,
    /// A call to the disk fails, and what was written is tried again, or the process ends.
    Fault,
    /// It is closed and opened again.
    Reopen,
    /// Its files are copied as they are, and the copy goes on, too.
    Copy,
    /// It is backed up, and what was restored goes on, too.
    Restore,
    /// Its keys change.
    Keys,
    /// A key epoch begins.
    Rekey,
    /// Everything is encrypted anew.
    Finish,
}

impl Deed {
    /// All of them, with how often each comes.
    const ODDS: [(u32, Self); 12] = [
        (400, Self::Write),
        (20, Self::Checkpoint),
        (8, Self::Clean),
        (12, Self::Kill),
        (20, Self::Power),
        (12, Self::Fault),
        (6, Self::Reopen),
        (10, Self::Copy),
        (4, Self::Restore),
        (4, Self::Keys),
        (3, Self::Rekey),
        (2, Self::Finish),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Write => "transactions written",
            Self::Checkpoint => "checkpoints",
            Self::Clean => "cleanings",
            Self::Kill => "deaths of the process",
            Self::Power => "power failures",
            Self::Fault => "calls that failed",
            Self::Reopen => "closed and opened",
            Self::Copy => "copies that went on beside it",
            Self::Restore => "restores that went on beside it",
            Self::Keys => "changes of keys",
            Self::Rekey => "key epochs begun",
            Self::Finish => "rekeys finished",
        }
    }
}

/// How often each thing was done.
pub(crate) type Tally = BTreeMap<Deed, u64>;

/// What all histories came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Pairs of key and nonce.
    pub encryptions: u64,
    /// Keys.
    pub keys: u64,
    tally: Tally,
    /// What went wrong, with the seed of the history.
    pub problems: Vec<(u64, Problem)>,
}

impl Report {
    /// Whether no pair came twice, and everything was done that could lead to one.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.missing().is_none()
    }

    /// What was never done.
    fn missing(&self) -> Option<Deed> {
        Deed::ODDS.into_iter().map(|(_, deed)| deed).find(|deed| !self.tally.contains_key(deed))
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let (value, wrong) = (self.encryptions, self.problems.len() as u64);
        vec![Figure { goal: "G23", name: "nonces used once", value, wrong }]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, count: u64| writeln!(f, "{what:<44} {count:>12}");
        for (deed, count) in &self.tally {
            line(deed.name(), *count)?;
        }
        line("keys", self.keys)?;
        line("pairs of key and nonce", self.encryptions)?;
        line("problems", self.problems.len() as u64)?;
        if let Some(deed) = self.missing() {
            writeln!(f, "NEVER DONE: {}", deed.name())?;
        }
        for (seed, problem) in &self.problems {
            writeln!(
                f,
                "\n{problem}\n  cargo xtask nonces --seed {seed:#x} --encryptions {OF_ONE}"
            )?;
        }
        Ok(())
    }
}

/// Runs histories until so much was encrypted.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let seeds: Vec<u64> = (plan.seed..).take(count(plan)).collect();
    let ended = pool::run(plan.threads, &seeds, |seed| {
        let mut history = History::new(*seed);
        let problem = caught(|| history.run(OF_ONE.min(plan.encryptions))).err();
        (history.into_end(), problem)
    });
    let (mut report, mut known) = (Report::default(), BTreeSet::new());
    for (seed, ((tally, pairs, keys), problem)) in seeds.into_iter().zip(ended) {
        report.encryptions += pairs;
        report.keys += keys.len() as u64;
        for (deed, count) in tally {
            *report.tally.entry(deed).or_default() += count;
        }
        report.problems.extend(problem.map(|problem| (seed, problem)));
        if keys.into_iter().any(|key| !known.insert(key)) {
            let problem = Problem::new(Wrong::Run, "two histories have a key in common");
            report.problems.push((seed, problem));
        }
    }
    report
}

fn count(plan: &Plan) -> usize {
    usize::try_from(plan.encryptions.div_ceil(OF_ONE)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_brings_an_environment_back_repeats_a_nonce() {
        let report = run(&Plan { encryptions: 12_000, seed: 1, threads: 1 });
        assert!(report.is_good(), "{report}");
        assert!(report.encryptions >= 12_000 && report.keys > 100, "{report}");
    }
}
