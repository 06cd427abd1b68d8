//! `sync-mutants`: every sync is needed, and the sweep would miss it.

use cairn_torture::{mutants, state_id::Effort};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct SyncMutants {
    /// Only this site
    #[arg(long)]
    site: Option<String>,
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
        let report = mutants::run(&syncs, effort, self.seed, threads(self.threads));
        println!("{report}");
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
