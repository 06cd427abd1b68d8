//! The command `crash`: rounds of all workloads, swept, until there are enough states.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    figure::Figure,
    pool,
    problem::{Checked, caught},
    row::Row,
    run::{Recording, record},
    script::Script,
    state_id::{Effort, RunId, StateId},
    sweep::{Outcome, SCRIPT, Sweep, Violation},
    table::{Cell, Table},
    workload::{WORKLOADS, Workload},
};

/// What to sweep.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// How thoroughly.
    pub effort: Effort,
    /// Rounds go on until there are so many distinct states.
    pub states: u64,
    /// And so many of them in the rows of the cleaner.
    pub cleaning: u64,
    /// And so many in each cell of the table.
    pub cell_min: u64,
    /// Rounds go on for so long instead.
    pub time: Option<Duration>,
    /// Only these workloads, if any are named; cells may then be thin.
    pub only: Vec<String>,
    /// Whether the first broken promise ends it, and if there is none a round; cells may then be thin.
    pub first: bool,
    /// The first seed.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// What all rounds have shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What was looked at.
    pub table: Table,
    /// Distinct states.
    pub distinct: u64,
    /// Crashes of recovery among them.
    pub nested: u64,
    /// Runs of workloads.
    pub runs: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// How many more of the same kinds there were.
    pub more_violations: u64,
    /// Cells of the table with too few states.
    pub thin: Vec<String>,
    /// Tells runs apart: what was done to the disks, operation by operation.
    pub trace_hash: u128,
}

impl Report {
    /// Whether nothing is wrong and nothing was left out.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.thin.is_empty()
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let wrong = self.violations.len() as u64 + self.more_violations;
        let thin = self.thin.len() as u64;
        vec![
            Figure { goal: "G1", name: "distinct crash states", value: self.distinct, wrong },
            Figure { goal: "G2", name: "crashes of recovery", value: self.nested, wrong: 0 },
            Figure {
                goal: "G3",
                name: "states of the thinnest cell",
                value: self.table.thinnest(),
                wrong: thin,
            },
        ]
    }

    fn add(&mut self, (hash, outcome): (u128, Outcome)) {
        self.trace_hash = self.trace_hash.rotate_left(9) ^ hash;
        self.runs += 1;
        self.nested += outcome.nested;
        self.table.merge(outcome.table);
        self.violations.extend(outcome.violations);
        self.more_violations += outcome.more_violations;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table)?;
        writeln!(
            f,
            "{} distinct states of {} runs, {} crashes of recovery among them",
            self.distinct, self.runs, self.nested
        )?;
        for violation in &self.violations {
            writeln!(f, "\n{violation}")?;
        }
        if self.more_violations > 0 {
            writeln!(f, "\n{} more of the same kinds", self.more_violations)?;
        }
        self.thin.iter().try_for_each(|cell| writeln!(f, "THIN CELL: {cell}"))
    }
}

/// Sweeps rounds of all workloads until there are as many states as planned, then, of those that fill thin cells,
/// what may count there, until no cell is thin, or until that does not come nearer. `told` hears of each round.
pub fn sweep(plan: &Plan, told: &mut dyn FnMut(&Report)) -> Report {
    /// Cells that stay thin after so many rounds in which no state came into them stay thin for ever.
    const ROUNDS_IN_VAIN: u64 = 20;
    let (mut report, began) = (Report::default(), now());
    let (mut round, mut in_vain, mut is_filling) = (0, 0, false);
    let mut filled = BTreeMap::<&str, BTreeSet<Cell>>::new();
    let mut thin = BTreeSet::<Cell>::new();
    let is_named = |workload: &Workload| {
        plan.only.is_empty() || plan.only.iter().any(|name| name == workload.name)
    };
    while report.violations.is_empty() {
        let jobs: Vec<_> = WORKLOADS
            .iter()
            .filter(|workload| {
                let fills = || filled.get(workload.name).is_some_and(|of| !of.is_disjoint(&thin));
                is_named(workload) && (!is_filling || fills())
            })
            .flat_map(|workload| {
                let runs = workload.runs_in_round as u64;
                (0..runs).map(move |run| (workload, plan.seed + round * runs + run))
            })
            .collect();
        if jobs.is_empty() {
            break; // nothing fills them
        }
        let counted = report.table.count_in(&thin);
        if plan.first {
            until_first(jobs, plan).into_iter().for_each(|outcome| report.add(outcome));
        } else {
            let states = if is_filling { States::Filling(&thin) } else { States::All };
            let outcomes = pool::run(plan.threads, &jobs, |(workload, seed)| {
                let run = RunId::of(workload, *seed);
                sweep_states(&workload.script(*seed), run, plan.effort, states)
            });
            for ((workload, _), outcome) in jobs.iter().zip(outcomes) {
                filled.entry(workload.name).or_default().extend(outcome.1.table.filled());
                report.add(outcome);
            }
        }
        report.distinct = report.table.distinct();
        in_vain = if report.table.count_in(&thin) > counted { 0 } else { in_vain + 1 };
        if plan.only.is_empty() && !plan.first {
            report.thin = report.table.thin(plan.cell_min);
            thin = report.table.thin_cells(plan.cell_min).collect();
        }
        told(&report);
        round += 1;
        if plan.first {
            break;
        }
        if let Some(time) = plan.time {
            if began.elapsed() >= time {
                break;
            }
            continue;
        }
        let cleaning = report.table.distinct_in(Row::CLEANING);
        if report.distinct >= plan.states && cleaning >= plan.cleaning {
            if report.thin.is_empty() || is_filling && in_vain >= ROUNDS_IN_VAIN {
                break;
            }
            is_filling = true;
        }
    }
    report
}

#[expect(clippy::disallowed_methods, reason = "how long a person lets it run; no engine is asked")]
fn now() -> Instant {
    Instant::now()
}

/// First carries all runs out, which costs little beside their crashes, then sweeps one run of each
/// workload after the other; ends with the first broken promise.
fn until_first(mut runs: Vec<(&Workload, u64)>, plan: &Plan) -> Vec<(u128, Outcome)> {
    runs.sort_by_key(|(_, seed)| *seed);
    let is_broken = AtomicBool::new(false);
    let all = |work: &(dyn Fn(&Script, RunId) -> (u128, Outcome) + Sync)| {
        let done = pool::run(plan.threads, &runs, |(workload, seed)| {
            if is_broken.load(Ordering::Relaxed) {
                return None;
            }
            let done = work(&workload.script(*seed), RunId::of(workload, *seed));
            is_broken.fetch_or(!done.1.violations.is_empty(), Ordering::Relaxed);
            Some(done)
        });
        done.into_iter().flatten().collect::<Vec<_>>()
    };
    let carried_out = all(&|script, run| match record(script) {
        Ok(recording) => (trace_hash(&recording), Outcome::default()),
        Err(problem) => {
            let violations = vec![Violation::of_run(run, problem)];
            (0, Outcome { violations, ..Outcome::default() })
        }
    });
    match is_broken.load(Ordering::Relaxed) {
        true => carried_out,
        false => all(&|script, run| sweep_states(script, run, plan.effort, States::UntilFirst)),
    }
}

/// Which states of a run are looked at.
#[derive(Clone, Copy)]
enum States<'c> {
    All,
    /// Up to the first in which a promise is broken.
    UntilFirst,
    /// Those that may count in these cells.
    Filling(&'c BTreeSet<Cell>),
}

/// Records and sweeps a script. Returns the hash of what it did, too.
#[must_use]
pub fn sweep_script(script: &Script, run: RunId, effort: Effort) -> (u128, Outcome) {
    sweep_states(script, run, effort, States::All)
}

/// As [`sweep_script`], of some of its states.
fn sweep_states(
    script: &Script,
    run: RunId,
    effort: Effort,
    states: States<'_>,
) -> (u128, Outcome) {
    match record(script) {
        Ok(recording) => {
            let sweep = Sweep::new(&recording, run, script.settings.options(), effort);
            let sweep = match states {
                States::All => sweep,
                States::UntilFirst => sweep.until_first(),
                States::Filling(cells) => sweep.filling(cells),
            };
            (trace_hash(&recording), sweep.run())
        }
        Err(problem) => {
            let violations = vec![Violation::of_run(run, problem)];
            (0, Outcome { violations, ..Outcome::default() })
        }
    }
}

/// Tells runs apart: the same for the same operations on the disks in the same order.
#[must_use]
pub fn trace_hash(recording: &Recording) -> u128 {
    recording.lives.iter().fold(0, |hash, life| hash.rotate_left(7) ^ life.trace.hash())
}

/// The script of a run of a workload.
#[must_use]
pub fn script_of(run: &RunId) -> Option<Script> {
    Workload::find(&run.workload).map(|workload| workload.script(run.seed))
}

/// Makes one state again and looks at it. `None` if there is no such state.
#[must_use]
pub fn repeat(id: &StateId) -> Option<Result<String, Violation>> {
    let script = script_of(&id.run)?;
    match record(&script) {
        Ok(recording) => {
            let options = script.settings.options();
            Sweep::new(&recording, id.run.clone(), options, id.effort).repeat(id)
        }
        Err(problem) => Some(Err(Violation::of_run(id.run.clone(), problem))),
    }
}

/// Looks for a shorter script that breaks the same promise, asking at most `attempts` times.
#[must_use]
pub fn shrink(script: &Script, effort: Effort, attempts: usize) -> Option<Script> {
    let run = RunId { workload: SCRIPT.to_owned(), seed: 0 };
    let wrong = |script: &Script| {
        let swept: Checked<_> = caught(|| Ok(sweep_script(script, run.clone(), effort).1));
        let outcome = swept.ok()?;
        outcome.violations.first().map(|violation| violation.problem.wrong)
    };
    let first = wrong(script)?;
    Some(script.shrink(attempts, |script| wrong(script) == Some(first)))
}

#[cfg(test)]
mod tests {
    use cairn_sim::Level;

    use super::*;

    #[test]
    fn what_fills_cells_looks_at_all_states_of_theirs_and_at_no_others() {
        let script = Workload::find("create").expect("it is in the catalogue").script(1);
        let run = || RunId { workload: "create".to_owned(), seed: 1 };
        let cells = BTreeSet::from([(Row::Commit, Level::Torn), (Row::Close, Level::Subset)]);
        let all = sweep_script(&script, run(), Effort::QUICK).1;
        let some = sweep_states(&script, run(), Effort::QUICK, States::Filling(&cells)).1;
        assert!(some.table.count_in(&cells) > 0);
        assert_eq!(some.table.count_in(&cells), all.table.count_in(&cells));
        // What is found in states, they were found in: crashes of recovery, and repairs.
        let others = some.table.filled().filter(|cell| !cells.contains(cell));
        let is_found = |(row, _)| matches!(row, Row::Recovery | Row::Repair);
        assert!(others.into_iter().all(is_found));
        assert!(some.checked < all.checked / 2, "{} of {}", some.checked, all.checked);
    }
}
