//! `power-cut`: real processes on real file systems that lose power.

use std::path::PathBuf;

use cairn_torture::{
    kill9::{Lie, Plan, Violation},
    power_cut::{self, FileSystem},
};

use super::{Result, Verdict, kill9, number, threads};

#[derive(clap::Args)]
pub(crate) struct PowerCut {
    /// 40 cuts in two chains; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// 2,000 cuts in ten chains
    #[arg(long)]
    full: bool,
    /// What all choices follow from
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many chains go on side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Where the volumes lie, as files [default: the system's directory for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Let processes write without a sync what they say is synced: that must be found
    #[arg(long, conflicts_with = "full")]
    planted: bool,
}

impl PowerCut {
    pub(super) fn run(&self) -> Result {
        let mut kinds = Vec::new();
        for kind in FileSystem::ALL {
            match kind.missing() {
                None => kinds.push(kind),
                Some(why) => println!("SKIPPED on {}: {why}", kind.name()),
            }
        }
        if kinds.is_empty() {
            println!("SKIPPED: nothing was proved");
            return Ok(Verdict::plain(true));
        }
        let (chains, deaths) = match (self.full, self.planted) {
            (true, _) => (10, 200),
            (false, true) => (2, 200),
            (false, false) => (2, 20),
        };
        let plan = Plan {
            program: std::env::current_exe()?,
            within: self.dir.clone().unwrap_or_else(std::env::temp_dir),
            seed: self.seed,
            chains: 0..chains,
            deaths,
            last_cycle: u32::MAX,
            threads: threads(self.threads),
            lie: self.planted.then_some(Lie::NoSync),
            hungry: false,
        };
        let report = power_cut::run(&plan, &kinds);
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        println!("power-cut: {chains} chains on {}, seed {:#x}", names.join(" and "), self.seed);
        println!("{report}");
        if self.planted {
            return Ok(kill9::planted(&report, plan.chains.len()));
        }
        for Violation { chain, cycle, problem, left } in &report.violations {
            let kind = power_cut::kind_of(*chain, &kinds).name();
            println!("{kind}, chain {chain}, cycle {cycle}: {problem}");
            let full = if self.full { " --full" } else { "" };
            println!(
                "  left in {}; cargo xtask power-cut --seed {:#x}{full}",
                left.display(),
                self.seed
            );
        }
        let is_good = report.violations.is_empty();
        let figures = vec![report.figure("G10", "power cuts")];
        Ok(Verdict { is_good, seed: self.seed, figures })
    }
}
