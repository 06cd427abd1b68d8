//! `flip`: damage at rest.

use cairn_torture::{flip, part::Part};

use super::{Result, Verdict, number, threads};

#[derive(clap::Args)]
pub(crate) struct Flip {
    /// One bit of each byte, all bits where much depends on few bytes; the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// Every bit of every byte, of large environments too
    #[arg(long)]
    full: bool,
    /// Only one of so many parts of the flips
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1")]
    part: Part,
    /// Which bits a short run takes
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// How many damages are looked at side by side
    #[arg(long)]
    threads: Option<usize>,
}

impl Flip {
    pub(super) fn run(&self) -> Result {
        let Self { full, seed, part, .. } = *self;
        let plan = flip::Plan { every_bit: full, part, seed, threads: threads(self.threads) };
        let report = flip::run(&plan).map_err(|problem| problem.to_string())?;
        println!("flip: {}, seed {seed:#x}", if full { "full" } else { "smoke" });
        println!("{report}");
        Ok(Verdict {
            is_good: report.is_good(),
            seed,
            figures: report.figures("G5", "bits flipped"),
        })
    }
}
