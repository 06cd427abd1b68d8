//! `crash`: the crash sweep, and what repeats and shrinks its failures.

use std::{path::PathBuf, time::Duration};

use cairn_torture::{
    crash::{self, Plan, script_of, shrink, sweep, sweep_script},
    mutants,
    script::Script,
    state_id::{Effort, RunId, StateId},
    sweep::{Outcome, SCRIPT},
    workload::Workload,
};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Crash {
    /// Some images of each crash, which is the default; then each sync site removed in turn
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// One image of each crash at each level
    #[arg(long, conflicts_with_all = ["smoke", "full"])]
    quick: bool,
    /// Many images of each crash, many rounds
    #[arg(long)]
    full: bool,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// Go on until there are so many distinct states
    #[arg(long)]
    states: Option<u64>,
    /// And until each cell of the table has so many
    #[arg(long, value_name = "STATES", conflicts_with_all = ["only", "first", "time"])]
    cell: Option<u64>,
    /// Go on for so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "states")]
    time: Option<u64>,
    /// Only this workload; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// End with the first broken promise, or after one round
    #[arg(long, conflicts_with_all = ["states", "time"])]
    first: bool,
    /// How many runs go on side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Look at one state again
    #[arg(long, value_name = "STATE")]
    repeat: Option<StateId>,
    /// Sweep one run of a workload
    #[arg(long, value_name = "WORKLOAD/SEED", conflicts_with = "repeat")]
    run: Option<RunId>,
    /// Sweep the script in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repeat", "run"])]
    script: Option<PathBuf>,
    /// With --run or --script: look for a shorter script that breaks the same promise
    #[arg(long)]
    shrink: bool,
}

impl Crash {
    pub(super) fn run(&self) -> Result {
        let effort = match (self.quick, self.full) {
            (true, _) => Effort::QUICK,
            (_, true) => Effort::FULL,
            _ => Effort::SMOKE,
        };
        if let Some(state) = &self.repeat {
            return repeat(state);
        }
        if let Some((script, run)) = self.one_script()? {
            return Ok(Verdict::plain(sweep_one(&script, run, effort, self.shrink)));
        }
        let plan = Plan {
            effort,
            states: self.states.unwrap_or(if self.full { 1_000_000 } else { 40_000 }),
            cleaning: if self.full { 100_000 } else { 0 },
            cell_min: self.cell.unwrap_or(effort.cell_min),
            time: self.time.map(Duration::from_secs),
            only: self.only.clone(),
            first: self.first,
            seed: self.seed,
            threads: threads(self.threads),
        };
        if let Some(name) = plan.only.iter().find(|name| Workload::find(name).is_none()) {
            return Err(format!("there is no workload {name}").into());
        }
        println!("crash sweep: {}, seed {:#x}, {} threads", effort.name, plan.seed, plan.threads);
        let report = sweep(&plan, &mut |report| {
            let thin = match report.thin.len() {
                0 => String::new(),
                thin => format!(", {thin} cells still thin"),
            };
            eprintln!("{} distinct states of {} runs{thin}", report.distinct, report.runs);
        });
        println!("{report}");
        let mut verdict =
            Verdict { is_good: report.is_good(), seed: plan.seed, figures: report.figures() };
        if self.smoke && plan.only.is_empty() && !plan.first {
            // A sweep that finds nothing is worth as much as what it would have found.
            let mutants = mutants::run(&mutants::syncs(), effort, plan.seed, plan.threads);
            println!("{mutants}");
            verdict.is_good &= mutants.is_good();
            verdict.figures.extend(mutants.figures());
        }
        Ok(verdict)
    }

    /// The one script that is to be swept, if it is only one.
    fn one_script(&self) -> Result<Option<(Script, RunId)>> {
        Ok(match (&self.run, &self.script) {
            (Some(run), _) => {
                Some((script_of(run).ok_or("there is no such workload")?, run.clone()))
            }
            (_, Some(path)) => {
                let run = RunId { workload: SCRIPT.to_owned(), seed: 0 };
                Some((std::fs::read_to_string(path)?.parse()?, run))
            }
            _ => None,
        })
    }
}

fn repeat(state: &StateId) -> Result {
    let looked = crash::repeat(state).ok_or("there is no such state")?;
    let is_good = looked.is_ok();
    match looked {
        Ok(story) => println!("{story}"),
        Err(violation) => println!("{violation}"),
    }
    Ok(Verdict::plain(is_good))
}

/// Sweeps one script; prints a shorter one if it breaks a promise and that is asked for.
fn sweep_one(script: &Script, run: RunId, effort: Effort, shorten: bool) -> bool {
    const ATTEMPTS: usize = 1000;
    let (hash, outcome) = sweep_script(script, run, effort);
    let Outcome { table, checked, violations, .. } = &outcome;
    println!("{table}\n{checked} states, trace {hash:032x}");
    for violation in violations {
        println!("\n{violation}");
    }
    if !violations.is_empty() && shorten {
        match shrink(script, effort, ATTEMPTS) {
            Some(short) => println!("\n# to be repeated with `crash --script FILE`\n{short}"),
            None => println!("\nit does not break the same promise twice"),
        }
    }
    violations.is_empty()
}
