//! What the command line says.

use std::path::PathBuf;

use cairn_torture::state_id::{RunId, StateId};

/// Whole-engine workloads with a model: every crash, every bit, every sync site
#[derive(clap::Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Crash workloads at every write and every sync
    Crash(Box<CrashArgs>),
    /// Let the syncs of each site do nothing in turn: a crash must show that they are missed
    Mutants(MutantsArgs),
    /// Flip every bit of small environments and of a backup, cut, zero and exchange their files
    Flip(FlipArgs),
    /// Let transactions get in each other's way, and explain all that they saw
    Serial(SerialArgs),
    /// Write the corpus of the fuzz targets, cut out of real environments
    Corpus(CorpusArgs),
}

#[derive(clap::Args)]
pub(crate) struct SerialArgs {
    /// How many, half of them in threads
    #[arg(long, default_value_t = 200_000)]
    pub(crate) transactions: u64,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    pub(crate) seed: u64,
}

#[derive(clap::Args)]
pub(crate) struct CorpusArgs {
    /// The directory, which gets one directory for each target
    #[arg(default_value = "fuzz/corpus")]
    pub(crate) dir: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct FlipArgs {
    /// One bit of each byte, all bits where much depends on few bytes; the default
    #[arg(long, conflicts_with = "full")]
    pub(crate) smoke: bool,
    /// Every bit of every byte
    #[arg(long)]
    pub(crate) full: bool,
    /// Which bits a short run takes
    #[arg(long, value_parser = number)]
    pub(crate) seed: Option<u64>,
    /// How many damages are looked at side by side
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(clap::Args)]
pub(crate) struct MutantsArgs {
    /// Only this site
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// Many images of each crash
    #[arg(long)]
    pub(crate) full: bool,
    /// The first seed
    #[arg(long, value_parser = number)]
    pub(crate) seed: Option<u64>,
    /// How many sites are looked at side by side
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(clap::Args)]
pub(crate) struct CrashArgs {
    /// Some images of each crash, which is the default; then each sync site removed in turn
    #[arg(long, conflicts_with = "full")]
    pub(crate) smoke: bool,
    /// Many images of each crash, many rounds
    #[arg(long)]
    pub(crate) full: bool,
    /// The first seed
    #[arg(long, value_parser = number)]
    pub(crate) seed: Option<u64>,
    /// Go on until there are so many distinct states
    #[arg(long)]
    pub(crate) states: Option<u64>,
    /// Go on for so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "states")]
    pub(crate) time: Option<u64>,
    /// Only this workload; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    pub(crate) only: Vec<String>,
    /// How many runs go on side by side
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Look at one state again
    #[arg(long, value_name = "STATE")]
    pub(crate) repeat: Option<StateId>,
    /// Sweep one run of a workload
    #[arg(long, value_name = "WORKLOAD/SEED", conflicts_with = "repeat")]
    pub(crate) run: Option<RunId>,
    /// Sweep the script in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repeat", "run"])]
    pub(crate) script: Option<PathBuf>,
    /// With --run or --script: look for a shorter script that breaks the same promise
    #[arg(long)]
    pub(crate) shrink: bool,
}

fn number(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}
