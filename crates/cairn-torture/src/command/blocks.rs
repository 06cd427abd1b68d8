//! `blocks`: blocks and files damaged at rest.

use cairn_torture::blocks::{self, Case};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Blocks {
    /// Some damages of each kind, and files cut at each boundary of a record; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// Every damage of every block and file, and files cut at each byte
    #[arg(long)]
    full: bool,
    /// Which damages a short run takes
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many damages are looked at side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Do one damage again: subject and damage, by number
    #[arg(long, value_name = "CASE")]
    repeat: Option<Case>,
}

impl Blocks {
    pub(super) fn run(&self) -> Result {
        let Self { full, seed, .. } = *self;
        if let Some(case) = self.repeat {
            let repeated = blocks::repeat(case).map_err(|problem| problem.to_string())?;
            let (damage, judged) = repeated.ok_or("no such damage, or it changes nothing")?;
            match &judged {
                Ok(verdict) => println!("{damage}\n  {}: nothing is wrong", verdict.name()),
                Err(problem) => println!("{damage}\n  {problem}"),
            }
            return Ok(Verdict::plain(judged.is_ok()));
        }
        let each = if full { None } else { Some(1000) };
        let plan = blocks::Plan { each, seed, threads: threads(self.threads) };
        let report = blocks::run(&plan).map_err(|problem| problem.to_string())?;
        println!("blocks: {}, seed {seed:#x}", if full { "full" } else { "smoke" });
        println!("{report}");
        let figures = report.figures("G6", "blocks and files damaged");
        Ok(Verdict { is_good: report.is_good(), seed, figures })
    }
}
