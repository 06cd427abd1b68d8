//! The commands: what each is told, and what it concludes.

mod blocks;
mod corpus;
mod crash;
mod flip;
mod io_errors;
mod kill9;
mod nonces;
mod planted;
mod power_cut;
mod replicas;
mod serial;
mod simulate;
mod sync_mutants;
mod tamper;

use cairn_torture::figure::Figure;

/// What a command returns: a verdict, or why there is none.
type Result<T = Verdict> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What a rig has concluded.
pub(crate) struct Verdict {
    /// Whether nothing was wrong and nothing was left out.
    pub(crate) is_good: bool,
    /// The seed that it began with.
    pub(crate) seed: u64,
    /// What it has counted.
    pub(crate) figures: Vec<Figure>,
}

impl Verdict {
    /// One without figures: of what repeats a failure, or looks at a part.
    fn plain(is_good: bool) -> Self {
        Self { is_good, seed: 0, figures: Vec::new() }
    }
}

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Crash workloads at every write and every sync
    Crash(Box<crash::Crash>),
    /// Let the syncs of each site do nothing in turn: a crash must show that they are missed
    SyncMutants(sync_mutants::SyncMutants),
    /// Flip every bit of small environments and of a backup
    Flip(flip::Flip),
    /// Zero, misplace, exchange, cut and set back blocks and files of environments and of backups
    Blocks(blocks::Blocks),
    /// Change encrypted environments without their key: nothing of it passes
    Tamper(tamper::Tamper),
    /// Bring encrypted environments back to where they were: no nonce is used twice
    Nonces(nonces::Nonces),
    /// Crash an environment and its replica, each in its own way
    Replicas(replicas::Replicas),
    /// Let every call to the disk fail, in every way
    IoErrors(io_errors::IoErrors),
    /// Let transactions get in each other's way, and explain all that they saw
    Serial(serial::Serial),
    /// Let real processes die on one environment, again and again
    Kill9(kill9::Kill9),
    /// Let real processes lose their file system, again and again (needs root)
    PowerCut(power_cut::PowerCut),
    /// Live until killed: what `kill9` and `power-cut` start
    #[command(hide = true)]
    Live(kill9::Live),
    /// Plant historic bugs in the engine, one at a time: a rig must find each
    Planted(planted::Planted),
    /// Let everything work and everything go wrong, in one thread, as a seed decides
    Simulate(simulate::Simulate),
    /// Write the corpus of the fuzz targets, cut out of real environments
    Corpus(corpus::Corpus),
}

impl Command {
    pub(crate) fn run(&self) -> Result {
        match self {
            Self::Crash(command) => command.run(),
            Self::SyncMutants(command) => command.run(),
            Self::Flip(command) => command.run(),
            Self::Blocks(command) => command.run(),
            Self::Tamper(command) => command.run(),
            Self::Nonces(command) => command.run(),
            Self::Replicas(command) => command.run(),
            Self::IoErrors(command) => command.run(),
            Self::Serial(command) => command.run(),
            Self::Kill9(command) => command.run(),
            Self::PowerCut(command) => command.run(),
            Self::Live(command) => Ok(command.run()),
            Self::Planted(command) => command.run(),
            Self::Simulate(command) => command.run(),
            Self::Corpus(command) => command.run(),
        }
    }
}

/// A number, in decimal or after `0x`.
fn number(text: &str) -> std::result::Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

/// How many jobs go on side by side.
fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
