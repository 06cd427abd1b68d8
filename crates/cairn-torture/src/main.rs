//! The rigs on the command line, one file per command.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod command;

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser as _;
use command::{Command, Verdict};

/// Whole-engine workloads with a model: every crash, every bit, every sync site
#[derive(clap::Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Add what was counted to this file, each figure as a line of JSON
    #[arg(long, global = true, value_name = "FILE")]
    figures: Option<PathBuf>,
}

fn main() -> ExitCode {
    cairn_torture::planted::plant();
    let args = Args::parse();
    let outcome = args.command.run().and_then(|verdict| {
        if let Some(path) = &args.figures {
            add_figures(path, &verdict)?;
        }
        Ok(verdict.is_good)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a report for people, not data of an engine")]
fn add_figures(path: &Path, verdict: &Verdict) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    verdict.figures.iter().try_for_each(|figure| writeln!(file, "{}", figure.line(verdict.seed)))
}
