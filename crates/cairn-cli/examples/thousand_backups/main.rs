//! Makes a thousand hot backups, full and incremental, by the writing process and others, and checks that each
//! restores to exactly its commit.
//!
//! ```sh
//! cargo run --release -p cairn-cli --example thousand_backups
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that starts processes, and prints what came of it"
)]

mod harness;
mod history;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Instant, SystemTime},
};

use clap::Parser;

use crate::harness::{Plan, Result, Summary};

/// Make backups of an environment that is being written, and check that each restores to its commit
#[derive(Parser)]
struct Args {
    /// How many backups are made
    #[arg(long, default_value_t = 1000)]
    backups: u32,
    /// Repeats the choices of another run: kinds, settings and what is written, but not who is when how far
    #[arg(long)]
    seed: Option<u64>,
    /// Where everything lies: an existing, empty directory [default: a fresh one, removed if all is well]
    #[arg(long)]
    dir: Option<PathBuf>,
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
        backups: args.backups,
        seed: args.seed.unwrap_or_else(|| now.subsec_nanos().into()),
        dir: args.dir.unwrap_or_else(|| temporary.path().to_owned()),
    };
    let this = std::env::current_exe()?;
    let cairn = || {
        let mut command = Command::new(&this);
        command.arg("cairn");
        command
    };
    println!("{} backups, --seed {}", plan.backups, plan.seed);
    let began = Instant::now();
    let result = harness::run(&plan, cairn, |line| {
        println!("{:>5.0} s  {line}", began.elapsed().as_secs_f64());
    });
    let Summary { equal, in_pieces, commit, bytes, written, beside_max } = match result {
        Ok(summary) => summary,
        Err(error) => {
            println!("everything stays in {}", plan.dir.display());
            println!(
                "repeat: cargo run --release -p cairn-cli --example thousand_backups -- --backups {} \
                 --seed {}",
                plan.backups, plan.seed
            );
            drop(temporary.keep());
            return Err(error);
        }
    };
    for (kind, count) in &equal {
        println!("{count:>5} {kind}");
    }
    println!(
        "{} of {}: each restores to exactly its cut, by digest over database, key and value, in {:.0} s; \
         {commit} commits meanwhile, {bytes} bytes backed up, {in_pieces} backups with a journal in pieces; \
         incremental ones wrote {written} bytes, each at most {beside_max} beside what was new to the log",
        equal.values().sum::<u32>(),
        plan.backups,
        began.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}
