//! `tamper`: changes by somebody who has no key.

use cairn_torture::{
    part::Part,
    tamper::{self, Case},
};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Tamper {
    /// Some cases of each kind; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// Every byte of every record and header, every record in every place, every earlier slot of the state
    #[arg(long)]
    full: bool,
    /// Of all cases only this part, as 3/8
    #[arg(long, default_value = "1/1")]
    part: Part,
    /// Which cases a short run takes
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many cases are looked at side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Do one case again: subject and case, by number
    #[arg(long, value_name = "CASE")]
    repeat: Option<Case>,
}

impl Tamper {
    pub(super) fn run(&self) -> Result {
        let Self { full, part, seed, .. } = *self;
        if let Some(case) = self.repeat {
            let repeated = tamper::repeat(case).map_err(|problem| problem.to_string())?;
            let (tampering, judged) = repeated.ok_or("no such case, or it changes nothing")?;
            match &judged {
                Ok(verdict) => println!("{tampering}\n  {}: nothing is wrong", verdict.name()),
                Err(problem) => println!("{tampering}\n  {problem}"),
            }
            return Ok(Verdict::plain(judged.is_ok()));
        }
        let each = if full { None } else { Some(400) };
        let plan = tamper::Plan { each, part, seed, threads: threads(self.threads) };
        let report = tamper::run(&plan).map_err(|problem| problem.to_string())?;
        println!("tamper: {}, part {part}, seed {seed:#x}", if full { "full" } else { "smoke" });
        println!("{report}");
        let figures = report.figures("G24", "tampering noticed");
        Ok(Verdict { is_good: report.is_good(), seed, figures })
    }
}
