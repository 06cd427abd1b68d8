//! The rigs on the command line: `crash`, `mutants`, `flip`, `corpus`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod args;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;

use args::{Args, Command, CorpusArgs, CrashArgs, FlipArgs, MutantsArgs, SerialArgs};
use cairn_torture::{
    crash::{self, Plan, script_of, shrink, sweep, sweep_script},
    flip, fuzz, mutants,
    script::Script,
    serial,
    state_id::{Effort, RunId},
    sweep::{Outcome, SCRIPT},
    workload::Workload,
};

type Result<T = ExitCode> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Crash(args) => run_crash(&args),
        Command::Mutants(args) => run_mutants(&args),
        Command::Flip(args) => run_flip(&args),
        Command::Serial(args) => run_serial(&args),
        Command::Corpus(args) => write_corpus(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

fn exit(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many runs go on side by side.
fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn run_crash(args: &CrashArgs) -> Result {
    let effort = if args.full { Effort::FULL } else { Effort::SMOKE };
    if let Some(state) = &args.repeat {
        return match crash::repeat(state).ok_or("there is no such state")? {
            Ok(story) => {
                println!("{story}");
                Ok(ExitCode::SUCCESS)
            }
            Err(violation) => {
                println!("{violation}");
                Ok(ExitCode::FAILURE)
            }
        };
    }
    let script = match (&args.run, &args.script) {
        (Some(run), _) => Some((script_of(run).ok_or("there is no such workload")?, run.clone())),
        (_, Some(path)) => {
            let text = std::fs::read_to_string(path)?;
            let run = RunId { workload: SCRIPT.to_owned(), seed: 0 };
            Some((text.parse::<Script>()?, run))
        }
        _ => None,
    };
    if let Some((script, run)) = script {
        return Ok(one_script(&script, run, effort, args.shrink));
    }
    let plan = Plan {
        effort,
        states: args.states.unwrap_or(if args.full { 1_000_000 } else { 40_000 }),
        cleaning: if args.full { 100_000 } else { 0 },
        time: args.time.map(Duration::from_secs),
        only: args.only.clone(),
        seed: args.seed.unwrap_or(1),
        threads: threads(args.threads),
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
    if !args.smoke || !plan.only.is_empty() {
        return Ok(exit(report.is_good()));
    }
    // A sweep that finds nothing is worth as much as what it would have found.
    let mutants = mutants::run(&mutants::syncs(), effort, plan.seed, plan.threads);
    println!("{mutants}");
    Ok(exit(report.is_good() && mutants.is_good()))
}

/// Sweeps one script; prints a shorter one if it breaks a promise and that is asked for.
fn one_script(script: &Script, run: RunId, effort: Effort, shorten: bool) -> ExitCode {
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
    exit(violations.is_empty())
}

fn run_mutants(args: &MutantsArgs) -> Result {
    let effort = if args.full { Effort::FULL } else { Effort::SMOKE };
    let mut syncs = mutants::syncs();
    if let Some(name) = &args.site {
        syncs.retain(|syncs| syncs.to_string() == *name || syncs.site.to_string() == *name);
        if syncs.is_empty() {
            return Err(format!("there is no site {name}").into());
        }
    }
    let report = mutants::run(&syncs, effort, args.seed.unwrap_or(1), threads(args.threads));
    println!("{report}");
    if args.site.is_some() {
        for proof in report.mutants.iter().filter_map(|mutant| mutant.proof.as_ref()) {
            println!("{}\n  after    {}\n  crash    {}", proof.problem, proof.after, proof.crash);
        }
    }
    Ok(exit(report.is_good()))
}

fn run_flip(args: &FlipArgs) -> Result {
    let (seed, threads) = (args.seed.unwrap_or(1), threads(args.threads));
    let plan = flip::Plan { every_bit: args.full, step: 1, seed, threads };
    let report = flip::run(&plan).map_err(|problem| problem.to_string())?;
    println!("flip: {}, seed {seed:#x}", if args.full { "full" } else { "smoke" });
    println!("{report}");
    Ok(exit(report.is_good()))
}

fn run_serial(args: &SerialArgs) -> Result {
    let report =
        serial::run(args.transactions, args.seed).map_err(|problem| problem.to_string())?;
    println!("{report}");
    Ok(exit(report.is_good()))
}

/// Writes the corpus; what fuzzers have added stays.
fn write_corpus(args: &CorpusArgs) -> Result {
    let seeds = fuzz::corpus().map_err(|problem| problem.to_string())?;
    for seed in &seeds {
        let dir = args.dir.join(seed.target);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join(&seed.name), &seed.bytes)?;
    }
    let bytes: usize = seeds.iter().map(|seed| seed.bytes.len()).sum();
    println!("{} inputs, {bytes} bytes in {}", seeds.len(), args.dir.display());
    Ok(ExitCode::SUCCESS)
}
