//! `planted`: whether the rigs find the bugs of the catalogue.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use cairn_torture::{
    part::Part,
    planted::{CATALOGUE, Plan, Plant, Report},
};

use super::{Result, Verdict, threads};

/// What a short run hunts: found quickly, and from all parts of the engine.
const SMOKE: &[u32] = &[1, 3, 8, 12, 16, 22, 24, 26, 31, 35];

#[derive(clap::Args)]
pub(crate) struct Planted {
    /// Ten that are found quickly, which is the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// All of them
    #[arg(long)]
    full: bool,
    /// Only this one; may be repeated
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["smoke", "full"])]
    only: Vec<u32>,
    /// Only one of so many parts of them
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1")]
    part: Part,
    /// Run nothing; say what is planted, and what it is modelled on
    #[arg(long)]
    list: bool,
    /// How long all rigs together may take for one
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,
    /// A file in which this program notes what was found, and from which it goes on when it was stopped
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// How many are hunted side by side
    #[arg(long)]
    threads: Option<usize>,
}

impl Planted {
    pub(super) fn run(&self) -> Result {
        let plants = self.plants()?;
        if self.list {
            plants.iter().for_each(|plant| print_entry(plant));
            return Ok(Verdict::plain(true));
        }
        if !cairn_io::planted::POSSIBLE {
            return Err("this build has no planted bugs: `cargo xtask planted` makes one".into());
        }
        let plan = Plan {
            limit: Duration::from_secs(self.limit),
            threads: threads(self.threads),
            is_quick: !self.full && self.only.is_empty(),
            ledger: self.ledger.clone(),
        };
        let (done, all) = (AtomicUsize::new(0), plants.len() + 1);
        let report = Report::new(&plants, &plan, &|hunt| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            eprintln!("{done:>2}/{all} {hunt:52}");
        })?;
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed: 1, figures: report.figures() })
    }

    fn plants(&self) -> Result<Vec<&'static Plant>> {
        let numbers: Vec<u32> = match (self.only.is_empty(), self.full || self.list) {
            (false, _) => self.only.clone(),
            (true, true) => CATALOGUE.iter().map(|plant| plant.number).collect(),
            (true, false) => SMOKE.to_vec(),
        };
        let mut index = 0..;
        let is_meant = |_: &u32| index.next().is_some_and(|index| self.part.has(index));
        let found = |number| Plant::find(number).ok_or(format!("there is no plant {number}"));
        Ok(numbers
            .into_iter()
            .filter(is_meant)
            .map(found)
            .collect::<std::result::Result<_, _>>()?)
    }
}

fn print_entry(plant: &Plant) {
    let Plant { here, model, .. } = plant;
    println!("{plant}\n   here   {here}\n   there  {model}: {}", model.there);
    println!("   source {}", model.source);
}
