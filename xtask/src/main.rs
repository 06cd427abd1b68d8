//! `cargo xtask`: the project's automation, one file or directory per command.
//!
//! Checks of facts about the repository ([`layers`], [`tidy`]) work on a [`Repository`] held in
//! memory, so that a test can give each of them a small repository that breaks it. They also run
//! as tests of this package: whoever runs `cargo test` gets them. Everything else starts `cargo`
//! and `git` in the root of the repository.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command line tool")]
#![expect(clippy::disallowed_methods, reason = "xtask stands outside the engine: it has a clock")]

mod ci;
mod coverage;
mod deps;
mod figure;
mod forward;
mod fuzz;
mod goldens;
mod layers;
mod markdown;
mod metadata;
mod miri;
mod mutants;
mod nightly;
mod object_store;
mod page;
mod process;
mod ratio;
mod reliability;
mod repository;
mod rust_source;
mod spec;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::{forward::Rest, repository::Repository};

/// What a command returns: nothing, or a message that says what to do.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The project's automation.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    /// Run exactly what CI runs, fastest failure first
    Ci(ci::Options),
    /// Check the edges between the crates against the allow-list in the root manifest
    Layers,
    /// Check facts about the repository: module docs, unsafe code, documents, links
    Tidy,
    /// Regenerate the tables of docs from the code
    Spec {
        /// Change nothing; fail if a page differs from the code
        #[arg(long)]
        check: bool,
    },
    /// Count the dependencies, flag duplicates, check licences and sources
    Deps,
    /// Accept changed goldens, then show what changed
    Goldens(Rest),
    /// Run the benchmarks (`--test` runs each once), `compare` with other engines, or measure what has `goals`, or `memory`
    Bench(Rest),
    /// Sweep crashes over whole-engine workloads
    Crash(Rest),
    /// Flip every bit of an environment and look for silence
    Flip(Rest),
    /// Damage every block and every file of an environment and look for silence
    Blocks(Rest),
    /// Damage an encrypted environment as somebody does who has no key, and look for silence
    Tamper(Rest),
    /// Bring encrypted environments back to where they were: no nonce is used twice
    Nonces(Rest),
    /// Crash an environment and its replica, each in its own way and at its own time
    Replicas(Rest),
    /// Let every call to the disk fail, in every way
    IoErrors(Rest),
    /// Let transactions get in each other's way, and explain all that they saw
    Serial(Rest),
    /// Let the syncs of each site do nothing in turn: a crash must show that they are missed
    SyncMutants(Rest),
    /// Plant historic bugs in the engine, one at a time, and see that a rig finds each
    Planted(Rest),
    /// Let threads take their steps in orders that a seed decides (a build of its own)
    Schedules(Rest),
    /// Run all rigs, and hold what they count against the goals of docs/reliability.md
    Reliability(reliability::Options),
    /// Run all rigs in turn with new seeds, for hours; can be stopped and gone on with
    Torture(torture::Options),
    /// Look for inputs that break a promise, and replay those that were found
    #[command(subcommand)]
    Fuzz(fuzz::Fuzz),
    /// Count the lines of the engine that tests reach (needs cargo-llvm-cov)
    Coverage(coverage::Options),
    /// Change the code on which durability depends: the tests must notice (needs cargo-mutants)
    Mutants(mutants::Options),
    /// Interpret unit tests, also on machines of other kinds (needs nightly with Miri)
    Miri(miri::Options),
    /// Lint and test repositories in object stores, against a real S3 server (needs Python for that)
    ObjectStore,
    /// Make the report of a sample, and look at it in a browser without a window
    Page(page::Options),
    /// Count lines of tests against lines of code
    Ratio(ratio::Options),
    /// Let real processes die on one environment, again and again
    Kill9(Rest),
    /// See how much memory inputs take (`bound`), and let processes die for want of it (`hunger`)
    Memory(Rest),
    /// Let real processes lose their file system, again and again (needs root)
    PowerCut(Rest),
    /// Let everything work and everything go wrong, as a seed decides
    Simulate(Rest),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Ci(options) => ci::run(&options),
        Command::Layers => layers::run(),
        Command::Tidy => tidy::run(),
        Command::Spec { check } => spec::run(check),
        Command::Deps => deps::run(),
        Command::Goldens(rest) => goldens::run(&rest),
        Command::Bench(rest) => forward::bench(&rest),
        Command::Crash(rest) => forward::CRASH.run(&rest),
        Command::Flip(rest) => forward::FLIP.run(&rest),
        Command::Blocks(rest) => forward::BLOCKS.run(&rest),
        Command::Tamper(rest) => forward::TAMPER.run(&rest),
        Command::Nonces(rest) => forward::NONCES.run(&rest),
        Command::Replicas(rest) => forward::REPLICAS.run(&rest),
        Command::IoErrors(rest) => forward::IO_ERRORS.run(&rest),
        Command::Serial(rest) => forward::SERIAL.run(&rest),
        Command::Planted(rest) => forward::planted(&rest),
        Command::SyncMutants(rest) => forward::SYNC_MUTANTS.run(&rest),
        Command::Schedules(rest) => forward::schedules(&rest),
        Command::Reliability(options) => reliability::run(&options),
        Command::Torture(options) => torture::run(&options),
        Command::Fuzz(what) => fuzz::run(&what),
        Command::Coverage(options) => coverage::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Miri(options) => miri::run(&options),
        Command::ObjectStore => object_store::run(),
        Command::Page(options) => page::run(&options),
        Command::Ratio(options) => ratio::run(&options),
        Command::Kill9(rest) => forward::KILL9.run(&rest),
        Command::Memory(rest) => forward::MEMORY.run(&rest),
        Command::PowerCut(rest) => forward::POWER_CUT.run(&rest),
        Command::Simulate(rest) => forward::SIMULATE.run(&rest),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what a check found; any finding makes the command fail.
fn report(check: &str, findings: &[String]) -> Result {
    for finding in findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(format!("{check}: one finding, above").into()),
        n => Err(format!("{check}: {n} findings, above").into()),
    }
}
