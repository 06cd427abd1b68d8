//! `kill9`: real processes that die, and `live`: how one of them lives.

use std::path::PathBuf;

use cairn_torture::kill9::{self, Lie, Life, Plan};

use super::{Result, Verdict, number, threads};

/// Deaths in a chain of a full run.
const CHAIN: u64 = 200;

#[derive(clap::Args)]
pub(crate) struct Kill9 {
    /// 500 deaths in two chains; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// 10,000 deaths in fifty chains
    #[arg(long)]
    full: bool,
    /// Another number of chains, of 200 deaths each
    #[arg(long, conflicts_with = "full")]
    chains: Option<u32>,
    /// What all choices follow from
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many chains go on side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Where the chains have their directories [default: in memory where there is such a place]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Run one chain up to a cycle: what is printed with a failure
    #[arg(long, value_name = "CHAIN/CYCLE", value_parser = place)]
    repeat: Option<(u32, u32)>,
    /// Let processes acknowledge before the commit has returned: that must be found
    #[arg(long, conflicts_with_all = ["full", "repeat"])]
    planted: bool,
}

impl Kill9 {
    pub(super) fn run(&self) -> Result {
        let (chains, deaths) = match (self.chains, self.full) {
            (Some(chains), _) => (chains, CHAIN),
            (None, true) => (50, CHAIN),
            (None, false) => (2, 250),
        };
        let mut plan = Plan {
            program: std::env::current_exe()?,
            within: self.dir.clone().unwrap_or_else(kill9::in_memory),
            seed: self.seed,
            chains: 0..chains,
            deaths,
            last_cycle: u32::MAX,
            threads: threads(self.threads),
            lie: self.planted.then_some(Lie::EarlyAck),
            hungry: false,
        };
        if let Some((chain, cycle)) = self.repeat {
            (plan.chains, plan.deaths, plan.last_cycle) = (chain..chain + 1, u64::MAX, cycle);
        }
        let report = kill9::run(&plan);
        println!("kill9: {} chains, seed {:#x}", plan.chains.len(), self.seed);
        println!("{report}");
        if self.planted {
            return Ok(planted(&report, plan.chains.len()));
        }
        for violation in &report.violations {
            let kill9::Violation { chain, cycle, problem, left } = violation;
            println!("chain {chain}, cycle {cycle}: {problem}\n  left in {}", left.display());
            println!("  cargo xtask kill9 --seed {:#x} --repeat {chain}/{cycle}", self.seed);
        }
        let is_good = report.violations.is_empty();
        let figures = vec![report.figure("G9", "processes killed")];
        Ok(Verdict { is_good, seed: self.seed, figures })
    }
}

/// What comes of chains whose processes lie: each must be found out.
pub(super) fn planted(report: &kill9::Report, chains: usize) -> Verdict {
    for violation in &report.violations {
        let kill9::Violation { chain, cycle, problem, left } = violation;
        println!("chain {chain}, cycle {cycle}, found out: {problem}");
        std::fs::remove_dir_all(left).unwrap_or(()); // what a lie has left is of no use
    }
    let found = report.violations.iter();
    let found =
        found.filter(|found| found.problem.wrong == cairn_torture::problem::Wrong::LostCommit);
    Verdict::plain(found.count() == chains)
}

fn place(text: &str) -> std::result::Result<(u32, u32), String> {
    let bad = || format!("{text} is no CHAIN/CYCLE");
    let (chain, cycle) = text.split_once('/').ok_or_else(bad)?;
    Ok((chain.parse().map_err(|_| bad())?, cycle.parse().map_err(|_| bad())?))
}

#[derive(clap::Args)]
pub(crate) struct Live {
    #[command(flatten)]
    life: Life,
}

impl Live {
    pub(super) fn run(&self) -> Verdict {
        Verdict::plain(self.life.run())
    }
}
