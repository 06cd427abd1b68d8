//! `sync-mutants`: every sync is needed, and the sweep would miss it.

use std::path::PathBuf;

use cairn_torture::{
    mutants::{self, Known},
    state_id::Effort,
};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct SyncMutants {
    /// Only this site
    #[arg(long)]
    site: Option<String>,
    /// Look first where they were missed before
    #[arg(long, conflicts_with = "full")]
    known: bool,
    /// Write down where they were missed, for `--known`
    #[arg(long, value_name = "FILE", conflicts_with = "site")]
    write: Option<PathBuf>,
    /// Many images of each crash
    #[arg(long)]
    full: bool,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many sites are looked at side by side
    #[arg(long)]
    threads: Option<usize>,
}

impl SyncMutants {
    pub(super) fn run(&self) -> Result {
        let effort = if self.full { Effort::FULL } else { Effort::SMOKE };
        let mut syncs = mutants::syncs();
        if let Some(name) = &self.site {
            syncs.retain(|syncs| syncs.to_string() == *name || syncs.site.to_string() == *name);
            if syncs.is_empty() {
                return Err(format!("there is no site {name}").into());
            }
        }
        let threads = threads(self.threads);
        let report = match self.known {
            true => mutants::run_known(&syncs, &Known::committed()?, effort, self.seed, threads),
            false => mutants::run(&syncs, effort, self.seed, threads),
        };
        println!("{report}");
        if let Some(path) = &self.write {
            std::fs::write(path, Known::of(&report).to_text())?;
        }
        if self.site.is_some() {
            for proof in report.mutants.iter().filter_map(|mutant| mutant.proof.as_ref()) {
                println!(
                    "{}\n  after    {}\n  crash    {}",
                    proof.problem, proof.after, proof.crash
                );
            }
            return Ok(Verdict::plain(report.is_good()));
        }
        Ok(Verdict { is_good: report.is_good(), seed: self.seed, figures: report.figures() })
    }
}
