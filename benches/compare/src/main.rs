//! CairnDB beside other embedded engines: the same work, interleaved, medians, one table.
//!
//! ```text
//! cargo run --release --manifest-path benches/compare/Cargo.toml -- run --write docs/benchmarks.md
//! ```
//!
//! A *turn* is one engine doing all the work ([`work`]) in a process of its own, so that peak memory is
//! that engine's. A *round* is one turn of each engine; ratios are taken within a round, where the
//! machine was the same for all, and the table shows medians over the rounds.
//!
//! Two more commands are about the engine: `rows`, all the rows that it has goals for, and `latency`; `hot` draws what
//! `cargo xtask bench` has measured. Three are about the key-value store: `json`, `kv` and `store`; one is about SQL: `sql`; one about
//! backups of all data: `backup`.
#![deny(unsafe_code)] // but for what heed and SQLite's own benchmark demand

mod backup;
mod chart;
mod data;
mod engine;
mod entries;
mod hot;
mod json;
mod kv;
mod large;
mod latency;
mod measure;
mod page;
mod report;
mod round;
mod rows;
mod sql;
mod store;
mod work;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// What a function returns that only this program's user will see fail.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// CairnDB beside other engines
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench compare")]
enum Command {
    /// Run all engines in turn and print the table
    Run(Run),
    /// The rows of values of 100 bytes and 1 KiB, of files, and of data larger than memory
    Rows(rows::Rows),
    /// How long commits take while something runs in the background
    Latency(latency::Latency),
    /// What `cargo xtask bench` has measured of the hot paths
    Hot(hot::Hot),
    /// Queries on an indexed field of JSON documents, beside SQLite
    Json(json::Json),
    /// Puts and gets of a key-value store, beside those of the engine
    Kv(kv::Kv),
    /// Backup and restore of a key-value store, beside copying and loading
    Store(store::Store),
    /// SQLite on an environment, beside SQLite with a file of its own
    Sql(sql::Sql),
    /// Backups of a repository, beside copying files and the backups of other engines and programs
    Backup(backup::Backup),
    /// One engine, once, in this process; prints JSON
    #[command(hide = true)]
    Turn {
        engine: String,
        #[command(flatten)]
        size: work::Size,
        /// Where to put the files
        #[arg(long)]
        dir: PathBuf,
    },
    /// One engine, one step of `rows`, in this process; prints JSON
    #[command(hide = true)]
    RowsTurn(rows::Turn),
    /// SQLite's own benchmark, once, in this process
    #[command(hide = true)]
    Speedtest(sql::speedtest::Turn),
    /// Make and change a SQL file of many pages; prints JSON
    #[command(hide = true)]
    Pages {
        #[command(subcommand)]
        step: sql::pages::Step,
    },
    /// Open and scan an environment larger than the cache; prints JSON
    #[command(hide = true)]
    Large {
        #[command(subcommand)]
        step: large::Step,
    },
}

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    size: work::Size,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave out all engines but these
    #[arg(long, value_name = "ENGINE")]
    only: Vec<String>,
    /// Leave out the environment of 1 GiB
    #[arg(long)]
    skip_large: bool,
    /// Where to put the files while it runs (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the page to this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Run(run) => round::run(&run),
        Command::Rows(rows) => rows::run(&rows),
        Command::Latency(latency) => latency::run(&latency),
        Command::Hot(hot) => hot::run(&hot),
        Command::Json(json) => json::run(&json),
        Command::Kv(kv) => kv::run(&kv),
        Command::Store(store) => store::run(&store),
        Command::Sql(sql) => sql::run(&sql),
        Command::Backup(backup) => backup::run(&backup),
        Command::Turn { engine, size, dir } => round::turn(&engine, size, &dir),
        Command::RowsTurn(turn) => rows::turn(&turn),
        Command::Speedtest(turn) => sql::speedtest::run(&turn),
        Command::Pages { step } => sql::pages::run(&step),
        Command::Large { step } => large::run(&step),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
