//! `io-errors`: every call to the disk fails, in every way.

use cairn_torture::{
    io_errors::{self, Case},
    part::Part,
};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct IoErrors {
    /// 300 calls, spread over the runs; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// All calls
    #[arg(long)]
    full: bool,
    /// Only one of so many parts of the runs
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1")]
    part: Part,
    /// What is written
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many runs go on side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Let one call fail again: data directories, call, kind
    #[arg(long, value_name = "CASE")]
    repeat: Option<Case>,
}

impl IoErrors {
    pub(super) fn run(&self) -> Result {
        let Self { full, seed, part, .. } = *self;
        if let Some(case) = &self.repeat {
            let failed = io_errors::fail(case, seed);
            match &failed {
                Ok(_) => println!("{case}: nothing is wrong"),
                Err(violation) => println!("{violation}"),
            }
            return Ok(Verdict::plain(failed.is_ok()));
        }
        let calls = if full { None } else { Some(300) };
        let plan = io_errors::Plan { calls, part, seed, threads: threads(self.threads) };
        let report = io_errors::run(&plan).map_err(|problem| problem.to_string())?;
        println!("io-errors: {}, seed {seed:#x}", if full { "full" } else { "smoke" });
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed, figures: report.figures() })
    }
}
