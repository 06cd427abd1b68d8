//! `simulate`: the whole engine at work while everything goes wrong.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cairn_torture::simulate::{Campaign, Outcome, Plan, Report, Repro, run};

use super::{Result, Verdict, number, threads};

/// What a short run does, and how much of it twice.
const SMOKE: (u64, u64) = (200, 50);
/// What a long run does.
const FULL: (u64, u64) = (5000, 1000);

#[derive(clap::Args)]
pub(crate) struct Simulate {
    /// 200 short seeds, 50 of them twice; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// 5000 long seeds, 1000 of them twice
    #[arg(long)]
    full: bool,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many seeds
    #[arg(long)]
    seeds: Option<u64>,
    /// How many of them are run twice, and must do the same; without a number, all
    #[arg(long, value_name = "SEEDS", num_args = 0..=1, default_missing_value = "18446744073709551615")]
    twice: Option<u64>,
    /// What the simulations are made of: smoke, full or fuzz
    #[arg(long)]
    plan: Option<String>,
    /// How many events each has at most
    #[arg(long)]
    steps: Option<usize>,
    /// How many go on side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Tell what happens in the first seed
    #[arg(long)]
    story: bool,
    /// Tell what happens in an input of the fuzz target `simulation`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "plan", "steps"])]
    input: Option<PathBuf>,
    /// Write the choices of the first seed, or of the input, to a file, after looking for fewer that break the same promise
    #[arg(long, value_name = "FILE")]
    shrink: Option<PathBuf>,
    /// Repeat the choices in a file, and tell what happens
    #[arg(long, value_name = "FILE")]
    repeat: Option<PathBuf>,
}

impl Simulate {
    pub(super) fn run(&self) -> Result {
        if let Some(path) = &self.repeat {
            let repro: Repro = std::fs::read_to_string(path)?.parse()?;
            return Ok(Verdict::plain(told(&repro.repeat())));
        }
        let name = self.plan.as_deref().unwrap_or(if self.full { "full" } else { "smoke" });
        let mut plan = Plan::find(name).ok_or_else(|| format!("there is no plan {name}"))?;
        plan.steps = self.steps.unwrap_or(plan.steps);
        if self.story || self.input.is_some() || self.shrink.is_some() {
            let whole = match &self.input {
                Some(path) => Repro::of_input(&std::fs::read(path)?),
                None => Repro::of_seed(&plan, self.seed),
            };
            return match &self.shrink {
                Some(path) => shrink(whole, path),
                None => Ok(Verdict::plain(told(&whole.repeat()))),
            };
        }
        let (seeds, twice) = if self.full { FULL } else { SMOKE };
        let seeds = self.seeds.unwrap_or(seeds);
        let campaign = Campaign {
            plan,
            seed: self.seed,
            seeds,
            threads: threads(self.threads),
            twice: self.twice.unwrap_or(twice).min(seeds),
        };
        println!(
            "simulation: plan {name}, {seeds} seeds from {:#x}, {} threads",
            self.seed, campaign.threads
        );
        let mut progress = Progress::new(seeds);
        let report = run(&campaign, &mut |report| progress.tell(report));
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed: self.seed, figures: report.figures() })
    }
}

fn shrink(whole: Repro, path: &Path) -> Result {
    const ATTEMPTS: usize = 3000;
    let short = whole.shrunk(ATTEMPTS);
    if short.is_none() {
        println!("it breaks no promise");
    }
    let repro = short.unwrap_or(whole);
    std::fs::write(path, repro.to_string())?;
    let is_good = told(&repro.repeat());
    println!(
        "\n{} choices, to be repeated with `cargo xtask simulate --repeat {}`",
        repro.choices.0.len(),
        path.display()
    );
    Ok(Verdict::plain(is_good))
}

/// Tells what happened, and what came of it.
fn told(outcome: &Outcome) -> bool {
    outcome.story.iter().for_each(|line| println!("{line}"));
    match &outcome.problem {
        None => println!("\nall promises were kept"),
        Some(problem) => println!("\n{problem}"),
    }
    outcome.problem.is_none()
}

/// How far it has come, on stderr.
struct Progress {
    seeds: u64,
    began: Instant,
    told: Duration,
}

#[expect(clippy::disallowed_methods, reason = "for people who wait; no engine is asked")]
impl Progress {
    fn new(seeds: u64) -> Self {
        Self { seeds, began: Instant::now(), told: Duration::ZERO }
    }

    fn tell(&mut self, report: &Report) {
        const EVERY: Duration = Duration::from_secs(5);
        let time = self.began.elapsed();
        if time < self.told + EVERY && report.seeds < self.seeds {
            return;
        }
        self.told = time;
        let rate = report.seeds as f64 / time.as_secs_f64();
        let left = (self.seeds - report.seeds) as f64 / rate;
        let (seeds, failures) = (report.seeds, report.failures.len());
        eprintln!(
            "{seeds} of {} seeds, {rate:.1} per second, {left:.0} s left, {failures} failures",
            self.seeds
        );
    }
}
