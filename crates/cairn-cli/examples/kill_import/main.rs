//! Kills `cairn import` with SIGKILL at random moments, again and again on one environment, and checks after
//! each that every commit which was reported is there.
//!
//! ```sh
//! cargo run --release -p cairn-cli --example kill_import -- --bytes 1GiB --kills 50
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that starts and kills processes, and prints what came of it"
)]

mod harness;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime},
};

use clap::Parser;

use crate::harness::{Plan, Result, Summary};

/// Kill imports, and check that every reported commit is there
#[derive(Parser)]
struct Args {
    /// Size of the JSON lines file, such as 1GiB or 64MiB
    #[arg(long, default_value = "64MiB", value_parser = bytes)]
    bytes: u64,
    /// How many imports are killed
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// The longest time, in seconds, that an import is left alone
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Repeats the delays of another run
    #[arg(long)]
    seed: Option<u64>,
    /// Where the file and the environment lie: an existing directory [default: a fresh one, removed at the end]
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("unknown unit {other:?}: use KiB, MiB or GiB")),
    };
    digits.parse::<u64>().map(|n| n * unit).map_err(|error| error.to_string())
}

fn main() -> Result<ExitCode> {
    // The command is this program, called by another name: no other build of it can get in between.
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|arg| arg == "cairn") {
        return Ok(cairn_cli::run(std::iter::once("cairn".into()).chain(args)));
    }
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let plan = Plan {
        bytes: args.bytes,
        kills: args.kills,
        delay_max: Duration::from_secs_f64(args.seconds),
        seed: args.seed.unwrap_or_else(|| now.subsec_nanos().into()),
        dir: args.dir.unwrap_or_else(|| temporary.path().to_owned()),
    };
    let this = std::env::current_exe()?;
    let cairn = || {
        let mut command = Command::new(&this);
        command.arg("cairn");
        command
    };
    println!("{} kills, {} bytes, --seed {}", plan.kills, plan.bytes, plan.seed);
    let began = Instant::now();
    let summary = harness::run(&plan, cairn, |kill, line| println!("{kill:>3}  {line}"))?;
    let Summary { kills, finished, reported, compared, entries_max, torn_tails } = summary;
    println!(
        "{kills} of {kills}: every reported commit is there, in {:.0} s; {reported} commits reported, \
         {compared} entries compared, at most {entries_max} at once; {finished} imports came to their end, \
         {torn_tails} torn tails set aside",
        began.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}
