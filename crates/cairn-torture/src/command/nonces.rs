//! `nonces`: no pair of key and nonce comes twice.

use cairn_torture::nonces;

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Nonces {
    /// 200,000 encryptions; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// A million of them: a tenth of a full run
    #[arg(long)]
    full: bool,
    /// How many, instead
    #[arg(long)]
    encryptions: Option<u64>,
    /// The first seed; each history of 100,000 takes one
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many histories go on side by side
    #[arg(long)]
    threads: Option<usize>,
}

impl Nonces {
    pub(super) fn run(&self) -> Result {
        let Self { full, seed, .. } = *self;
        let encryptions = self.encryptions.unwrap_or(if full { 1_000_000 } else { 200_000 });
        let plan = nonces::Plan { encryptions, seed, threads: threads(self.threads) };
        println!("nonces: {encryptions} encryptions, seed {seed:#x}");
        let report = nonces::run(&plan);
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed, figures: report.figures() })
    }
}
