//! How fast a backup or a restore goes, as arguments of both.

use cairndb::backup::Pace;

use crate::text;

#[derive(clap::Args)]
pub(super) struct PaceArgs {
    /// How many files to copy at the same time [default: by the processors, 4 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// How much to read in a second at most, such as 20MiB
    #[arg(long, value_name = "SIZE", value_parser = text::parse_size)]
    rate: Option<u64>,
}

impl PaceArgs {
    pub(super) fn pace(&self) -> Pace<'static> {
        let pace = Pace::default().threads(self.threads.map_or(0, usize::from));
        self.rate.map_or(pace, |bytes| pace.bytes_per_second(bytes))
    }
}
