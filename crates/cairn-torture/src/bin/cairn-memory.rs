//! The rigs that need an allocator which counts, and can be told that there is no more: a program of its
//! own, so that no other rig pays for it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::{fs::OpenOptions, io::Write as _, path::PathBuf, process::ExitCode};

use cairn_torture::{
    figure::Figure,
    kill9::{self, Life, Plan},
    memory::{self, Gauge},
};
use cap::Cap;
use clap::Parser as _;
use peak_alloc::PeakAlloc;

/// Limits what there is, and below that counts what there was at most. `Cap` counts as well, and must not: an
/// allocation that fails wraps what it has left for a moment, in which it lets another one through; from then on
/// what it counts never comes out, and every thread waits for that in every allocation.
#[global_allocator]
static ALLOCATOR: Cap<PeakAlloc> = Cap::new(COUNTER, usize::MAX);
static COUNTER: PeakAlloc = PeakAlloc;

/// Memory: how much inputs take, and what is left when there is none
#[derive(clap::Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Add what was counted to this file, each figure as a line of JSON
    #[arg(long, global = true, value_name = "FILE")]
    figures: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Give every decoder its corpus and mutations of it, and see what they take
    Bound(How),
    /// Let real processes die for want of memory, again and again on one environment
    Hunger(How),
    /// Live until there is no memory left: what `hunger` starts
    #[command(hide = true)]
    Live {
        #[command(flatten)]
        life: Box<Life>,
    },
}

#[derive(clap::Args)]
struct How {
    /// A short run, which is the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// A long one
    #[arg(long)]
    full: bool,
    /// What all choices follow from
    #[arg(long, default_value = "1", value_parser = number)]
    seed: u64,
    /// Print each input before it is given: the last one is the one that took too much
    #[arg(long)]
    trace: bool,
    /// Run one chain up to a cycle: what is printed with a failure
    #[arg(long, value_name = "CHAIN/CYCLE", value_parser = place)]
    repeat: Option<(u32, u32)>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        Command::Bound(how) => bound(how),
        Command::Hunger(how) => hunger(how),
        Command::Live { life } => {
            kill9::starve_with(starve);
            return if life.run() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    let reported = outcome.and_then(|(is_good, seed, figures)| {
        add_figures(args.figures.as_ref(), seed, &figures)?;
        Ok(is_good)
    });
    match reported {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// From now on there are so many bytes more.
fn starve(bytes: usize) {
    // It fails only for a limit below what there is, when another thread was faster: then the next one is.
    while ALLOCATOR.set_limit(ALLOCATOR.allocated().saturating_add(bytes)).is_err() {}
}

fn bound(how: &How) -> Result<(bool, u64, Vec<Figure>)> {
    let gauge = Gauge {
        peak: || COUNTER.peak_usage(),
        limit: |bytes| match bytes {
            Some(bytes) => starve(bytes),
            None => ALLOCATOR.set_limit(usize::MAX).expect("no limit is below what there is"),
        },
    };
    let trace = |target: &str, input: &[u8]| {
        if how.trace {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{target} {hex}");
        }
    };
    let report = memory::bound(gauge, if how.full { 1 } else { 10 }, how.seed, &trace)?;
    println!("{report}");
    Ok((true, how.seed, report.figures()))
}

fn hunger(how: &How) -> Result<(bool, u64, Vec<Figure>)> {
    let (chains, deaths) = if how.full { (26, 200) } else { (2, 150) };
    let parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let mut plan = Plan {
        program: std::env::current_exe()?,
        within: kill9::in_memory(),
        seed: how.seed,
        chains: 0..chains,
        deaths,
        last_cycle: u32::MAX,
        threads: parallel,
        lie: None,
        hungry: true,
    };
    if let Some((chain, cycle)) = how.repeat {
        (plan.chains, plan.deaths, plan.last_cycle) = (chain..chain + 1, u64::MAX, cycle);
    }
    let report = kill9::run(&plan);
    println!("{report}");
    for violation in &report.violations {
        let kill9::Violation { chain, cycle, problem, left } = violation;
        println!("chain {chain}, cycle {cycle}: {problem}\n  left in {}", left.display());
        println!("  cargo xtask memory hunger --seed {:#x} --repeat {chain}/{cycle}", how.seed);
    }
    let figure = report.figure("G26", "deaths for want of memory");
    Ok((report.violations.is_empty(), how.seed, vec![figure]))
}

#[expect(clippy::disallowed_methods, reason = "a report for people, not data of an engine")]
fn add_figures(path: Option<&PathBuf>, seed: u64, figures: &[Figure]) -> std::io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    figures.iter().try_for_each(|figure| writeln!(file, "{}", figure.line(seed)))
}

/// A number, in decimal or after `0x`.
fn number(text: &str) -> std::result::Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

fn place(text: &str) -> std::result::Result<(u32, u32), String> {
    let bad = || format!("{text} is no CHAIN/CYCLE");
    let (chain, cycle) = text.split_once('/').ok_or_else(bad)?;
    Ok((chain.parse().map_err(|_| bad())?, cycle.parse().map_err(|_| bad())?))
}
