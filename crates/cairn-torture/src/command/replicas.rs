//! `replicas`: an environment and its replica, each of which crashes in its own way.

use cairn_torture::replicas;

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Replicas {
    /// 2,500 states; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// 50,000 states
    #[arg(long)]
    full: bool,
    /// How many, instead
    #[arg(long)]
    states: Option<u64>,
    /// The first seed; each history of 2,500 states takes one
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many histories go on side by side
    #[arg(long)]
    threads: Option<usize>,
}

impl Replicas {
    pub(super) fn run(&self) -> Result {
        let Self { full, seed, .. } = *self;
        let states = self.states.unwrap_or(if full { 50_000 } else { 2500 });
        let plan = replicas::Plan { states, seed, threads: threads(self.threads), without: None };
        println!("replicas: {states} states of both sides, seed {seed:#x}");
        let report = replicas::run(&plan);
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed, figures: report.figures() })
    }
}
