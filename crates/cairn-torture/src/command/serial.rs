//! `serial`: histories of concurrent transactions.

use cairn_torture::serial;

use super::{Result, Verdict, number};

#[derive(clap::Args)]
pub(crate) struct Serial {
    /// How many, half of them in threads
    #[arg(long, default_value_t = 200_000)]
    transactions: u64,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
}

impl Serial {
    pub(super) fn run(&self) -> Result {
        let report =
            serial::run(self.transactions, self.seed).map_err(|problem| problem.to_string())?;
        println!("{report}");
        Ok(Verdict { is_good: report.is_good(), seed: self.seed, figures: report.figures() })
    }
}
