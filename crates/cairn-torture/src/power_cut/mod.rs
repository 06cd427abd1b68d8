//! Power cuts on real file systems: the same chains of processes as [`kill9`], in a file system
//! that is shut down under them without writing what it holds, and mounted again.
//!
//! Afterwards every commit that was acknowledged as synced must be there; those that were only written may be
//! gone, as a prefix. The file system is the real one, with its own order of writes and its own log; the block
//! device below it is a file, whose writes are all kept.

mod volume;

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use cairn_io::{RealWorld, World as _};
use cairn_sim::{ChooserExt as _, Seeded};

pub use volume::{FileSystem, Volume, sweep};

use crate::{
    kill9::{self, Death, Ground, Plan, Report, Survives, Tally, Victim, Violation, Word},
    pool,
    problem::{Checked, Problem, Wrong},
};

/// Runs the chains, each in a volume of its own within `plan.within`, one kind of file system after the
/// other.
#[must_use]
pub fn run(plan: &Plan, kinds: &[FileSystem]) -> Report {
    sweep(&plan.within);
    let chains: Vec<_> = plan.chains.clone().collect();
    let mut report = Report::default();
    let run = |chain: &u32| run_chain(plan, kinds, *chain);
    for (tally, violation) in pool::run(plan.threads, &chains, run) {
        report.add(tally, violation);
    }
    report
}

/// The file system of a chain.
#[must_use]
pub fn kind_of(chain: u32, kinds: &[FileSystem]) -> FileSystem {
    let count = u32::try_from(kinds.len().max(1)).unwrap_or(1);
    kinds.get((chain % count) as usize).copied().unwrap_or(FileSystem::Ext4)
}

fn run_chain(plan: &Plan, kinds: &[FileSystem], chain: u32) -> (Tally, Option<Violation>) {
    let mut mains = match Mains::new(&plan.within, kind_of(chain, kinds), chain) {
        Ok(mains) => mains,
        Err(problem) => {
            let left = plan.within.clone();
            return (Tally::default(), Some(Violation { chain, cycle: 0, problem, left }));
        }
    };
    let (tally, problem) = kill9::turns(plan, chain, &mut mains);
    let violation = problem.map(|(cycle, problem)| {
        mains.volume.keep();
        Violation { chain, cycle, problem, left: mains.volume.dir().to_owned() }
    });
    (tally, violation)
}

/// A volume, and whoever holds the plug.
#[derive(Debug)]
struct Mains {
    volume: Volume,
    place: PathBuf,
}

impl Mains {
    fn new(within: &Path, kind: FileSystem, chain: u32) -> Checked<Self> {
        let volume = Volume::make(within, kind, chain)?;
        let place = volume.root().join("place");
        std::fs::create_dir(&place).map_err(|error| Problem::new(Wrong::Run, error))?;
        Ok(Self { volume, place })
    }
}

impl Ground for Mains {
    fn place(&self) -> &Path {
        &self.place
    }

    fn survives(&self) -> Survives {
        Survives::PowerCut
    }

    fn choose(&mut self, random: &mut Seeded, _: bool) -> Death {
        Death::PowerCut(Duration::from_micros(random.range(2_000..120_000, "time") as u64))
    }

    fn bring(&mut self, death: Death, victim: &mut Victim<'_>) -> Checked<ExitStatus> {
        if let Death::PowerCut(time) = death {
            RealWorld::new().pause(time);
        }
        // Only a disk without power answers with errors.
        if victim.has_said(|word| matches!(word, Word::Failed(_))) {
            return Err(Problem::new(Wrong::Run, "it failed before its power was cut"));
        }
        self.volume.cut()?;
        let status = victim.kill()?;
        self.volume.remount()?;
        Ok(status)
    }
}
