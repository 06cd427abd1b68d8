//! Replicas: an environment and its replica crash, each in its own way and at its own time, and every commit that
//! was acknowledged is on whichever of them is left.
//!
//! A history (`history`) commits with a replica, goes on alone, has it again, and loses it in between. It is cut
//! everywhere, and what each side may have left is put together with what the other one may have left, at the same
//! moment or at another one: a disk that lost power with the machine, one that was away for a while, one that was
//! brought back from yesterday. `judge` opens the replica alone, the environment alone, and both together.
//!
//! A replica that is stale must never win, however long its journal is, and one that is ahead of what is left of its
//! source must never be overwritten. The rig is itself checked: with a sync of the replica left out it has to find
//! what that loses.

mod history;
mod judge;

use std::{collections::BTreeSet, fmt};

use cairn_io::SyncSite;
use cairn_sim::{Bounds, ChooserExt as _, Level, Seeded};

use crate::{
    figure::Figure,
    pool,
    problem::{Checked, Problem, Wrong, caught},
};
use history::{History, SIDES};
use judge::Half;

/// What is to be looked at.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// So many states, at least.
    pub states: u64,
    /// The seed of the first history.
    pub seed: u64,
    /// How many histories go on side by side.
    pub threads: usize,
    /// A sync that is left out: what that loses must be found.
    pub without: Option<SyncSite>,
}

/// So many states of one history.
const OF_ONE: u64 = 2500;
/// One in so many pairs is of two moments.
const APART: usize = 3;
/// So many moments are remembered to be put together with later ones.
const REMEMBERED: usize = 64;

/// How often each thing was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Pairs of what both sides have left, each another.
    states: u64,
    /// Those whose sides are of one moment.
    together: u64,
    /// The replica was stale when it came back.
    stale: u64,
    /// The replica was ahead of what was left of its source, which was refused.
    refused: u64,
    /// The environment got the end of its journal from the replica.
    brought: u64,
    /// There was no replica yet.
    none: u64,
}

impl Tally {
    fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("states of both sides", self.states),
            ("both of one moment", self.together),
            ("stale replicas that came back", self.stale),
            ("sources older than their replicas", self.refused),
            ("journals that the replica completed", self.brought),
            ("crashes before there was a replica", self.none),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.together += other.together;
        self.stale += other.stale;
        self.refused += other.refused;
        self.brought += other.brought;
        self.none += other.none;
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    tally: Tally,
    /// What went wrong, with the seed of its history.
    pub problems: Vec<(u64, Problem)>,
}

impl Report {
    /// Whether nothing was wrong, and everything came up that could be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.tally.rows().iter().all(|(_, count)| *count > 0)
    }

    /// Pairs of states that were looked at.
    #[must_use]
    pub const fn states(&self) -> u64 {
        self.tally.states
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let (value, wrong) = (self.tally.states, self.problems.len() as u64);
        vec![Figure { goal: "G33", name: "crash states of both sides", value, wrong }]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in self.tally.rows() {
            writeln!(f, "{what:<44} {count:>12}")?;
            if count == 0 {
                writeln!(f, "NEVER MET: {what}")?;
            }
        }
        writeln!(f, "{:<44} {:>12}", "problems", self.problems.len())?;
        for (seed, problem) in &self.problems {
            writeln!(f, "\n{problem}\n  cargo xtask replicas --seed {seed:#x} --states {OF_ONE}")?;
        }
        Ok(())
    }
}

/// Looks at so many states, of as many histories as that takes.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let histories = usize::try_from(plan.states.div_ceil(OF_ONE)).unwrap_or(usize::MAX);
    let seeds: Vec<u64> = (plan.seed..).take(histories).collect();
    let ended = pool::run(plan.threads, &seeds, |seed| {
        let mut tally = Tally::default();
        let problem = caught(|| sweep(*seed, plan.without, OF_ONE.min(plan.states), &mut tally));
        (tally, problem.err())
    });
    let mut report = Report::default();
    for (seed, (tally, problem)) in seeds.into_iter().zip(ended) {
        report.tally.add(&tally);
        report.problems.extend(problem.map(|problem| (seed, problem)));
    }
    report
}

/// Looks at `wanted` states of one history.
fn sweep(seed: u64, without: Option<SyncSite>, wanted: u64, tally: &mut Tally) -> Checked<()> {
    let history = History::record(seed)?;
    let trace = history.trace.without_syncs(|site, _| Some(site) == without);
    let places = trace.entries().len();
    let spread = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut random = Seeded::new(seed).stream("crashes");
    let bounds = Bounds::smoke().with_seed(seed);
    let (mut seen, mut remembered) = (BTreeSet::new(), Vec::<[Half; 2]>::new());
    // A round looks at a few of each place; there are as many as it takes.
    for round in 0..64_u64 {
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            if tally.states >= wanted {
                return Ok(());
            }
            // At the next round's places there is something else that is lost.
            if spread < places && random.range(0..places, "place") >= spread {
                continue;
            }
            let levels = [random.pick(&Level::ALL, "here"), random.pick(&Level::ALL, "there")];
            let mut half = |side: usize| {
                let crashed = cut.crash().choose(*levels[side], &bounds, &mut random);
                Half::new(&cut, &crashed, SIDES[side])
            };
            let mut pair = [half(0), half(1)];
            let now = pair.clone();
            if !remembered.is_empty() && random.range(0..APART, "apart") == 0 {
                let other = random.range(0..remembered.len(), "other");
                let side = random.range(0..2, "side");
                pair[side] = remembered[other][side].clone();
            }
            if remembered.len() < REMEMBERED {
                remembered.push(now);
            } else {
                let place = random.range(0..REMEMBERED, "forgotten");
                remembered[place] = now;
            }
            let [here, there] = &pair;
            if !seen.insert((here.image.hash(), there.image.hash())) {
                continue;
            }
            tally.states += 1;
            judge::judge(&history, here, there, tally).map_err(|problem| {
                let story = format!("round {round}, {here}; {there}: {}", problem.story);
                Problem::new(problem.wrong, story)
            })?;
        }
    }
    let story = format!("only {} states are to be had of {wanted}", tally.states);
    Err(Problem::new(Wrong::Run, story))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_both_sides_lose_what_was_acknowledged_is_there() {
        let report = run(&Plan { states: 1500, seed: 1, threads: 1, without: None });
        assert!(report.is_good(), "{report}");
        assert_eq!(report.states(), 1500);
    }

    #[test]
    fn a_replica_that_does_not_sync_is_found_out() {
        for site in ["replica.sync", "replica.journal"] {
            let without = Some(SyncSite::new(site));
            let report = run(&Plan { states: OF_ONE, seed: 1, threads: 1, without });
            assert!(!report.problems.is_empty(), "{site}: {report}");
        }
    }
}
