//! The sweep: every cut of a recording, every crash there, each distinct state held against the
//! oracle.

use std::{collections::BTreeSet, fmt, ops::Range};

use cairn_env::Options;
use cairn_sim::{CrashImage, Cut, Level, Seeded};

use crate::{
    check::{Looked, check},
    model::Expected,
    problem::{Problem, caught},
    row::{Row, rows},
    run::{KNOWS, Knowledge, Life, Recording},
    state_id::{Effort, RunId, StateId},
    table::{Cell, Table},
    without::Without,
};

/// What a sweep of one run has shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// What was looked at.
    pub table: Table,
    /// How many states were held against the oracle.
    pub checked: u64,
    /// How many crashes of recovery were, beside them.
    pub nested: u64,
    /// Broken promises, the first of each kind in each row.
    pub violations: Vec<Violation>,
    /// How many more there were.
    pub more_violations: u64,
}

/// A state in which a promise is broken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// What is wrong.
    pub problem: Problem,
    /// The state; `None` if the run itself has failed.
    pub state: Option<StateId>,
    /// The run.
    pub run: RunId,
    /// What the engine was doing.
    pub row: Option<Row>,
    /// The last thing that the disk had done.
    pub after: String,
    /// What the crash kept and lost.
    pub crash: String,
}

impl Violation {
    /// The run itself has failed.
    #[must_use]
    pub fn of_run(run: RunId, problem: Problem) -> Self {
        Self { problem, state: None, run, row: None, after: String::new(), crash: String::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.problem)?;
        if let (Some(state), Some(row)) = (&self.state, self.row) {
            writeln!(f, "  during   {row}")?;
            writeln!(f, "  after    #{} {}", state.position.wrapping_sub(1), self.after)?;
            writeln!(f, "  crash    {}", self.crash)?;
        }
        write!(f, "  run      {}", self.run)?;
        if self.run.workload == SCRIPT {
            return Ok(());
        }
        write!(f, "\n  repeat   cargo run --profile torture -p cairn-torture -- crash ")?;
        match &self.state {
            Some(state) => write!(f, "--repeat {state}"),
            None => write!(f, "--run {}", self.run),
        }
    }
}

/// The workload of a run whose script was given.
pub const SCRIPT: &str = "script";

/// What a sweep goes through, and when it ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sweep<'r> {
    recording: &'r Recording,
    run: RunId,
    options: Options,
    effort: Effort,
    without: Option<Without>,
    near: Option<(usize, Range<usize>)>,
    filling: Option<&'r BTreeSet<Cell>>,
    stop_at_first: bool,
}

impl<'r> Sweep<'r> {
    /// A sweep of `recording`, which was made with these options.
    #[must_use]
    pub fn new(recording: &'r Recording, run: RunId, options: Options, effort: Effort) -> Self {
        let (without, near, filling) = (None, None, None);
        Self { recording, run, options, effort, without, near, filling, stop_at_first: false }
    }

    /// As if the disk had said `Ok` to these syncs and done nothing; ends with the first broken promise.
    #[must_use]
    pub fn without(mut self, syncs: Without) -> Self {
        self.without = Some(syncs);
        self.stop_at_first = true;
        self
    }

    /// Only cuts around that of this state: what it shows is likely to show there still when the engine
    /// does a few operations more or less than it did.
    #[must_use]
    pub fn near(mut self, state: &StateId) -> Self {
        const AROUND: usize = 12;
        let positions = state.position.saturating_sub(AROUND)..state.position + AROUND;
        self.near = Some((state.life, positions));
        self
    }

    /// Only states that may count in these cells.
    #[must_use]
    pub(crate) fn filling(mut self, cells: &'r BTreeSet<Cell>) -> Self {
        self.filling = Some(cells);
        self
    }

    /// Ends with the first broken promise.
    #[must_use]
    pub fn until_first(mut self) -> Self {
        self.stop_at_first = true;
        self
    }

    /// Goes through everything.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut kinds = BTreeSet::new();
        for life in 0..self.recording.lives.len() {
            let mut checked = BTreeSet::new();
            self.each_state(life, &mut |state| {
                if !outcome.table.enter(state.row, state.id.level, state.key()) {
                    return true;
                }
                if !checked.insert(state.key()) {
                    return true;
                }
                outcome.checked += 1;
                match self.check(&state) {
                    Ok(Looked { nested, repaired, .. }) => {
                        outcome.nested += nested.len() as u64;
                        let recovery = match self.options.data_directories {
                            0 => Row::Recovery,
                            _ => Row::RecoverySpread,
                        };
                        for nested in nested {
                            outcome.table.enter(recovery, nested.level, fold(nested.image, 1));
                        }
                        if let Some(image) = repaired {
                            outcome.table.enter(Row::Repair, state.id.level, fold(image, 2));
                        }
                    }
                    Err(problem) if kinds.insert((problem.wrong, state.row)) => {
                        outcome.violations.push(state.violation(problem));
                    }
                    Err(_) => outcome.more_violations += 1,
                }
                !self.stop_at_first || outcome.violations.is_empty()
            });
            if self.stop_at_first && !outcome.violations.is_empty() {
                break;
            }
        }
        outcome
    }

    /// Looks at one state again. `None` if there is no such state.
    #[must_use]
    pub fn repeat(&self, id: &StateId) -> Option<Result<String, Violation>> {
        let mut answer = None;
        self.recording.lives.get(id.life)?;
        self.each_state(id.life, &mut |state| {
            if state.id != *id {
                return true;
            }
            answer = Some(match self.check(&state) {
                Ok(_) => Ok(format!("{}: nothing is wrong with {}", state.row, state.crashed)),
                Err(problem) => Err(state.violation(problem)),
            });
            false
        });
        answer
    }

    fn check(&self, state: &State<'_>) -> Result<Looked, Problem> {
        let mut random = Seeded::new(self.run.seed).stream(&state.id.to_string());
        let image = &state.crashed.image;
        let level = state.id.level;
        let (options, without) = (&self.options, self.without);
        caught(|| check(self.recording, state.knows, image, level, options, without, &mut random))
    }

    /// Whether a state counts in a cell that is to be filled, or what is found in it may.
    fn may_fill(&self, row: Row, level: Level) -> bool {
        let is_found = |cell: &Cell| match *cell {
            (Row::Recovery | Row::RecoverySpread, _) => true, // crashed again, at any level
            (Row::Repair, at) => at == level,
            cell => cell == (row, level),
        };
        self.filling.is_none_or(|cells| cells.iter().any(is_found))
    }

    /// Calls `visit` with each state of a life, until it answers `false`.
    fn each_state(&self, number: usize, visit: &mut dyn FnMut(State<'_>) -> bool) {
        let positions = match &self.near {
            None => 0..usize::MAX,
            Some((life, positions)) if *life == number => positions.clone(),
            Some(_) => return,
        };
        let life = &self.recording.lives[number];
        let trace = match self.without {
            Some(removed) => removed.removed_from(&life.trace),
            None => life.trace.clone(),
        };
        let rows = rows(&trace);
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            if cut.position() >= positions.end {
                return;
            }
            if cut.position() < positions.start {
                continue;
            }
            let (Some(row), Some(knows)) = (rows[cut.position()], knowledge(life, &cut)) else {
                continue;
            };
            for level in Level::ALL.into_iter().filter(|level| self.may_fill(row, *level)) {
                let images: Vec<_> = cut.crash().images(level, &self.effort.bounds).collect();
                let step = images.len().div_ceil(self.effort.images_max).max(1);
                // Not always the same ones: where they begin depends on the place.
                let images = images.into_iter().enumerate().skip(cut.position() % step);
                for (index, crashed) in images.step_by(step) {
                    let id = StateId {
                        effort: self.effort,
                        run: self.run.clone(),
                        life: number,
                        position: cut.position(),
                        level,
                        index,
                    };
                    let after = cut.last_entry().map_or_else(String::new, ToString::to_string);
                    if !visit(State { id, row, knows, crashed: &crashed, after: &after }) {
                        return;
                    }
                }
            }
        }
    }
}

fn knowledge<'l>(life: &'l Life, cut: &Cut<'_>) -> Option<&'l Knowledge> {
    let mark = cut.mark(KNOWS)?;
    life.knowledge.get(usize::try_from(mark).ok()?)
}

struct State<'s> {
    id: StateId,
    row: Row,
    knows: &'s Knowledge,
    crashed: &'s CrashImage,
    after: &'s str,
}

impl State<'_> {
    /// Tells states apart: the image, and what must be found in it. A commit that was begun and
    /// has not yet changed anything makes no difference.
    fn key(&self) -> u64 {
        let known = match self.knows {
            Knowledge::Environment(known) => {
                let least = |expected: &Expected| match self.id.level {
                    Level::KeepAll => expected.written + 1,
                    _ => expected.durable + 1,
                };
                let known = [Some(known.current), known.instead, known.kept];
                known.iter().map(|known| known.as_ref().map_or(0, least)).fold(1, list)
            }
            Knowledge::Backups(backups) => {
                let known = backups.iter().map(|backup| u64::from(backup.done.is_some()));
                known.fold(1, list)
            }
            Knowledge::Restores(restores) => {
                let known = restores.iter().map(|r| 2 * r.expected.durable + u64::from(r.done));
                known.fold(1, list)
            }
        };
        fold(self.crashed.image.hash(), known)
    }

    fn violation(&self, problem: Problem) -> Violation {
        Violation {
            problem,
            state: Some(self.id.clone()),
            run: self.id.run.clone(),
            row: Some(self.row),
            after: self.after.to_owned(),
            crash: self.crashed.to_string(),
        }
    }
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// One word from a list and one more number: the order counts.
fn list(all: u64, one: u64) -> u64 {
    (all.rotate_left(7) ^ one).wrapping_mul(ODD)
}

/// One word from a hash and a number.
#[expect(clippy::cast_possible_truncation, reason = "the halves of a hash are hashes")]
fn fold(hash: u128, number: u64) -> u64 {
    (hash as u64) ^ ((hash >> 64) as u64).rotate_left(17) ^ number.wrapping_mul(ODD)
}
