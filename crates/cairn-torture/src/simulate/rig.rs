//! The rig: seeds side by side, each twice if it is to be alike; failures repeated and made short.

use std::{fmt, str::FromStr};

use cairn_sim::{Choices, Chooser, FuzzBytes, InvalidChoices, Recorder, Replay, Seeded, shrink};

use super::{Outcome, Plan, Tally, simulate};
use crate::{
    figure::Figure,
    pool,
    problem::{Problem, Wrong},
};

/// Which simulations are run.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Campaign {
    /// What each is made of.
    pub plan: Plan,
    /// The first seed.
    pub seed: u64,
    /// How many.
    pub seeds: u64,
    /// How many side by side.
    pub threads: usize,
    /// How many of the first ones are run a second time, which must do exactly the same.
    pub twice: u64,
}

/// What the simulations have come to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many have been run.
    pub seeds: u64,
    /// How often things happened in all of them.
    pub tally: Tally,
    /// How many were run twice.
    pub twice: u64,
    /// The seeds of those that did something else the second time.
    pub unlike: Vec<u64>,
    /// What broke a promise.
    pub failures: Vec<Failure>,
    /// Tells reports apart: the same for the same seeds, however many go side by side.
    pub hash: u128,
}

/// A simulation that broke a promise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The plan.
    pub plan: &'static str,
    /// The seed.
    pub seed: u64,
    /// After how many events.
    pub steps: u64,
    /// The promise.
    pub problem: Problem,
}

/// A run as a list of choices: what repeats it without a seed. It prints as a text and parses back.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plan and a list")]
pub struct Repro {
    /// What it is made of.
    pub plan: Plan,
    /// What was chosen.
    pub choices: Choices,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failures.is_empty() && self.unlike.is_empty()
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let Tally { steps, crashes, nested, backups, restores, .. } = self.tally;
        let wrong = self.failures.len() as u64;
        let figure = |goal, name, value, wrong| Figure { goal, name, value, wrong };
        vec![
            figure("G12", "simulated seeds", self.seeds, wrong),
            figure("G12", "simulated events", steps, 0),
            figure("G12", "simulated crashes", crashes, 0),
            figure("G2", "simulated crashes of recovery", nested, 0),
            figure("G27", "backups in simulations", backups, 0),
            figure("G27", "restores in simulations", restores, 0),
            figure("G13", "seeds that ran twice alike", self.twice, self.unlike.len() as u64),
        ]
    }

    fn add(&mut self, plan: &Plan, seed: u64, (outcome, again): (Outcome, Option<Outcome>)) {
        let Outcome { tally, hash, problem, .. } = outcome;
        self.seeds += 1;
        self.tally.add(&tally);
        self.hash = self.hash.rotate_left(5) ^ hash;
        if let Some(again) = again {
            self.twice += 1;
            if (again.hash, again.tally) != (hash, tally) {
                self.unlike.push(seed);
            }
        }
        let failed = |problem| Failure { plan: plan.name, seed, steps: tally.steps, problem };
        self.failures.extend(problem.map(failed));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { steps, commits, conflicts, crashes, nested, lies, .. } = self.tally;
        let Tally { faults, poisoned, backups, restores, .. } = self.tally;
        let mut line = |what: &str, count: u64| writeln!(f, "{what:<44} {count:>12}");
        line("seeds", self.seeds)?;
        line("events", steps)?;
        line("commits", commits)?;
        line("conflicts", conflicts)?;
        line("crashes", crashes)?;
        line("  of them in the middle of recovery", nested)?;
        line("  after syncs that did nothing", lies.0)?;
        line("    found out rather than healed", lies.1)?;
        line("calls that failed, or read something wrong", faults)?;
        line("failures that took opening again", poisoned)?;
        line("backups", backups)?;
        line("restores", restores)?;
        line("seeds that ran twice", self.twice)?;
        line("  and did not do the same", self.unlike.len() as u64)?;
        line("seeds that broke a promise", self.failures.len() as u64)?;
        write!(f, "hash {:032x}", self.hash)?;
        for seed in &self.unlike {
            write!(f, "\nNOT DETERMINISTIC: seed {seed:#x} did two different things")?;
        }
        self.failures.iter().try_for_each(|failure| write!(f, "\n\n{failure}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, seed, steps, problem } = self;
        writeln!(f, "{problem}")?;
        writeln!(f, "  after {steps} events of plan {plan}, seed {seed:#x}")?;
        writeln!(f, "  cargo xtask simulate --plan {plan} --seed {seed:#x} --seeds 1 --story")?;
        write!(f, "  cargo xtask simulate --plan {plan} --seed {seed:#x} --seeds 1 --shrink FILE")
    }
}

/// Runs the simulations; `told` hears of the progress.
pub fn run(campaign: &Campaign, told: &mut dyn FnMut(&Report)) -> Report {
    /// More failures than that tell nothing new.
    const FAILURES: usize = 5;
    let Campaign { plan, seed, seeds, threads, twice } = campaign;
    let mut report = Report::default();
    let batch = (*threads as u64 * 8).max(1);
    let mut next = 0;
    while next < *seeds && report.failures.len() < FAILURES {
        let end = seeds.min(&(next + batch)).to_owned();
        let jobs: Vec<u64> = (next..end).collect();
        let outcomes = pool::run(*threads, &jobs, |number| {
            let one = || simulate(plan, &mut Seeded::new(seed + number), false);
            (one(), (number < twice).then(one))
        });
        for (number, outcome) in jobs.into_iter().zip(outcomes) {
            report.add(plan, seed + number, outcome);
        }
        next = end;
        told(&report);
    }
    report
}

impl Repro {
    /// The run of a seed.
    #[must_use]
    pub fn of_seed(plan: &Plan, seed: u64) -> Self {
        Self::of(plan, Seeded::new(seed))
    }

    /// The run of an input of the fuzz target `simulation`.
    #[must_use]
    pub fn of_input(input: &[u8]) -> Self {
        Self::of(&Plan::FUZZ, FuzzBytes::new(input))
    }

    fn of(plan: &Plan, chooser: impl Chooser + Send) -> Self {
        let mut chooser = Recorder::new(chooser);
        let outcome = simulate(plan, &mut chooser, false);
        let steps = usize::try_from(outcome.tally.steps).unwrap_or(usize::MAX);
        // Where it came to a bad end it ends.
        let steps = if outcome.problem.is_some() { steps } else { plan.steps };
        Self { plan: Plan { steps, ..plan.clone() }, choices: chooser.into_choices() }
    }

    /// Runs it, with its story.
    #[must_use]
    pub fn repeat(&self) -> Outcome {
        simulate(&self.plan, &mut Replay::from(&self.choices), true)
    }

    /// Looks for a shorter one that breaks the same promise, asking at most `attempts` times. `None` if
    /// this one breaks none.
    #[must_use]
    pub fn shrunk(&self, attempts: usize) -> Option<Self> {
        let wrong_of = |plan: &Plan, values: &[usize]| -> Option<Wrong> {
            let outcome = simulate(plan, &mut Replay::new(values), false);
            outcome.problem.map(|problem| problem.wrong)
        };
        let wrong = |values: &[usize]| wrong_of(&self.plan, values);
        let values = self.choices.values();
        let first = wrong(&values)?;
        let short = shrink(&values, attempts, |values| wrong(values) == Some(first));
        // Not more events than that takes: zeros make events, too.
        let of_steps = |steps| Plan { steps, ..self.plan.clone() };
        let enough = |steps: &usize| wrong_of(&of_steps(*steps), &short) == Some(first);
        let plan = of_steps((0..self.plan.steps).find(enough).unwrap_or(self.plan.steps));
        let mut chooser = Recorder::new(Replay::new(short.clone()));
        simulate(&plan, &mut chooser, false);
        let mut choices = chooser.into_choices();
        choices.0.truncate(short.len());
        Some(Self { plan, choices })
    }
}

impl fmt::Display for Repro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}\nsteps {}\n{}", self.plan.name, self.plan.steps, self.choices)
    }
}

/// A text that is no [`Repro`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRepro {
    /// It does not begin with a plan and a number of steps.
    #[error("it must begin with lines `plan NAME` and `steps NUMBER`, of a plan that there is")]
    Head,
    /// What follows is no list of choices.
    #[error(transparent)]
    Choices(#[from] InvalidChoices),
}

impl FromStr for Repro {
    type Err = InvalidRepro;

    fn from_str(text: &str) -> Result<Self, InvalidRepro> {
        let mut lines = text.splitn(3, '\n');
        let mut head = |word: &str| lines.next()?.strip_prefix(word).map(str::trim);
        let plan = head("plan ").and_then(Plan::find).ok_or(InvalidRepro::Head)?;
        let steps = head("steps ").and_then(|steps| steps.parse().ok());
        let steps = steps.ok_or(InvalidRepro::Head)?;
        let choices = lines.next().unwrap_or_default().parse()?;
        Ok(Self { plan: Plan { steps, ..plan }, choices })
    }
}
