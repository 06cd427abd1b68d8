//! How long commits take while something runs in the background: nothing, a checkpoint, the cleaner, a backup.
//!
//! One thread commits single puts, one after the other, and notes how long each took. What runs beside it is made ready
//! while nothing is measured, then runs once, or several times, until there is enough.

mod commits;
mod table;

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use cairn_backup::Repository;
use cairn_env::{DatabaseOptions, Durability, Environment, Options};

use crate::{Result, backup, data::Data, page, round};
use commits::{Commits, Percentiles};

#[derive(clap::Args)]
pub struct Latency {
    /// How many entries with values of 1 KiB
    #[arg(long, default_value_t = 300_000)]
    entries: u64,
    /// For how long each is measured at least, in milliseconds
    #[arg(long, default_value_t = 2000)]
    millis: u64,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to put the files while it runs (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write this part of the page to this file, and its plot beside it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What runs beside the commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Checkpoint,
    Cleaner,
    Backup,
}

impl Beside {
    const ALL: [Self; 4] = [Self::Nothing, Self::Checkpoint, Self::Cleaner, Self::Backup];
}

/// The commits that are measured.
const KINDS: [(&str, Durability); 2] = [("Sync", Durability::Sync), ("NoSync", Durability::NoSync)];

/// What was measured of one kind of commits beside one thing, in one round.
struct Measured {
    kind: &'static str,
    beside: Beside,
    percentiles: Percentiles,
}

type Round = Vec<Measured>;

pub fn run(latency: &Latency) -> Result {
    let mut rounds = Vec::new();
    for number in 0..latency.rounds {
        eprintln!("round {} of {}", number + 1, latency.rounds);
        let mut round = Round::new();
        for (kind, durability) in KINDS {
            for beside in Beside::ALL {
                let dir = round::scratch(latency.dir.as_deref())?;
                let percentiles = measure(dir.path(), beside, durability, latency)?;
                round.push(Measured { kind, beside, percentiles });
            }
        }
        rounds.push(round);
    }
    let text = table::text(&rounds, latency.entries)?;
    println!("{text}");
    if let Some(path) = &latency.write {
        page::write(path, "latency", &text)?;
        page::write_beside(path, "latency.svg", &table::chart(&rounds).svg()?)?;
    }
    Ok(())
}

/// Of an environment of its own, in which nothing begins by itself but the flush of commits that are not synced.
fn measure(
    dir: &Path,
    beside: Beside,
    durability: Durability,
    latency: &Latency,
) -> Result<Percentiles> {
    let data = Data::new(latency.entries, 1024);
    let options =
        Options::default().cache_bytes(1 << 30).checkpoint_bytes(u64::MAX).space_target(0);
    let (env, _) = Environment::open(dir.join("env"), options)?;
    let database = env.database("main", DatabaseOptions::default())?;
    let mut commits = Commits::new(&env, &database, &data);
    commits.load()?;
    env.checkpoint()?;
    let enough = Duration::from_millis(latency.millis);
    while commits.measured() < enough {
        match beside {
            Beside::Nothing => commits.during(durability, || Ok(thread::sleep(enough)))?,
            Beside::Checkpoint => {
                commits.change(data.entries / 4)?;
                commits.during(durability, || Ok(env.checkpoint().map(|_| ())?))?;
            }
            Beside::Cleaner => {
                commits.change(data.entries / 2)?;
                env.checkpoint()?;
                commits.during(durability, || Ok(env.compact().map(|_| ())?))?;
            }
            Beside::Backup => {
                let place = dir.join("place");
                commits.during(durability, || {
                    Repository::create(&place)?.backup(&env, &backup::cairn::point())?;
                    Ok(())
                })?;
                std::fs::remove_dir_all(place)?;
            }
        }
    }
    let percentiles = commits.percentiles();
    drop(database);
    env.close()?;
    Ok(percentiles)
}
