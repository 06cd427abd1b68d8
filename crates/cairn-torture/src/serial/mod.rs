//! Serializability: what transactions saw, held against the order of their commits.
//!
//! Clients read, scan, count and write a few keys, so that they get in each other's way as often as
//! possible, and note what they saw ([`Step`]). The order of the commits must explain all of it: each
//! transaction saw what the commits before its own had left ([`check()`]). That is stronger than that
//! some order does. Clients are interleaved by a seed in one thread, or run freely in several.
//!
//! The checker is itself checked: histories with a planted anomaly, and an engine whose clients read
//! without being tracked, must be found out every time.

mod check;
mod clients;
#[cfg(test)]
mod tests;

use std::fmt;

pub use check::{Anomaly, check};
pub use clients::{interleaved, scheduled, threaded};

use crate::{figure::Figure, problem::Checked};

/// A key; small ones.
pub type Key = u8;

/// A thing that a transaction did, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "histories are written out in tests")]
pub enum Step {
    /// Looked a key up and found this.
    Get(Key, Option<u64>),
    /// Went over the keys from `from` to before `to`, from the back if `back`, and stopped after
    /// `limit` entries; saw these.
    Scan {
        /// The first key.
        from: Key,
        /// The key after the last one.
        to: Key,
        /// From the last entry on.
        back: bool,
        /// When it stopped.
        limit: usize,
        /// The entries.
        seen: Vec<(Key, u64)>,
    },
    /// Asked how many entries there are.
    Count(u64),
    /// Put a value that nobody else ever puts.
    Put(Key, u64),
    /// Deleted a key.
    Delete(Key),
}

/// A transaction that committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "histories are written out in tests")]
pub struct Committed {
    /// The number of its commit; of the newest one that it saw, if it wrote nothing.
    pub commit: u64,
    /// Whether it wrote anything.
    pub wrote: bool,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

/// How clients work.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// How many transactions.
    pub transactions: u64,
    /// Transactions that are open at the same time, or threads.
    pub clients: usize,
    /// So many keys: the fewer, the more conflicts.
    pub keys: Key,
    /// What they choose.
    pub seed: u64,
    /// Whether their reads do not count: an engine that is not serializable.
    pub untracked: bool,
}

impl Plan {
    /// A plan with that many transactions.
    #[must_use]
    pub const fn new(transactions: u64, seed: u64) -> Self {
        Self { transactions, clients: 6, keys: 24, seed, untracked: false }
    }
}

/// What clients did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct History {
    /// Transactions that committed.
    pub committed: Vec<Committed>,
    /// How many were told of a conflict.
    pub conflicts: u64,
}

/// What the command has found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Interleaved in one thread: committed, and told of a conflict.
    pub interleaved: (u64, u64),
    /// In several threads.
    pub threaded: (u64, u64),
    /// Rounds whose clients read without being tracked, and those that were found out.
    pub planted: (u64, u64),
    /// What cannot be explained.
    pub anomaly: Option<String>,
}

impl Report {
    /// Whether everything can be explained, and every plant was found.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.anomaly.is_none() && self.planted.0 == self.planted.1
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let both = |(committed, conflicts): (u64, u64)| committed + conflicts;
        let transactions = both(self.interleaved) + both(self.threaded);
        let (planted, found) = self.planted;
        let wrong = u64::from(self.anomaly.is_some());
        vec![
            Figure { goal: "G14", name: "transactions explained", value: transactions, wrong },
            Figure {
                goal: "G14",
                name: "planted anomalies",
                value: planted,
                wrong: planted - found,
            },
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, (committed, conflicts): (u64, u64)| {
            writeln!(f, "{what:<24} {committed:>9} committed {conflicts:>9} conflicts")
        };
        line("interleaved by a seed", self.interleaved)?;
        line("in threads", self.threaded)?;
        let (planted, found) = self.planted;
        writeln!(f, "{:<24} {found:>9} of {planted} found out", "reads that do not count")?;
        match &self.anomaly {
            None => write!(f, "all histories are explained by the order of their commits"),
            Some(anomaly) => write!(f, "ANOMALY: {anomaly}"),
        }
    }
}

/// Runs all of it: half of the transactions interleaved, half of them in threads.
///
/// # Errors
/// If the engine fails.
pub fn run(transactions: u64, seed: u64) -> Checked<Report> {
    const PLANTS: u64 = 20;
    let mut report = Report::default();
    // In rounds, so that environments are new ones from time to time, and histories short.
    let round = 10_000.min(transactions / 2).max(1);
    for n in 0..(transactions / 2).div_ceil(round) {
        let plan = Plan::new(round, seed + n);
        for threads in [false, true] {
            let history = if threads { threaded(&plan)? } else { interleaved(&plan)? };
            let sum = if threads { &mut report.threaded } else { &mut report.interleaved };
            sum.0 += history.committed.len() as u64;
            sum.1 += history.conflicts;
            if let Err(anomaly) = check(&history.committed) {
                let how = if threads { "threads" } else { "interleaved" };
                report.anomaly = Some(format!("seed {:#x}, {how}: {anomaly}", plan.seed));
                return Ok(report);
            }
        }
    }
    for n in 0..PLANTS {
        let plan = Plan { untracked: true, ..Plan::new(500, seed + n) };
        report.planted.0 += 1;
        report.planted.1 += u64::from(check(&interleaved(&plan)?.committed).is_err());
    }
    Ok(report)
}
