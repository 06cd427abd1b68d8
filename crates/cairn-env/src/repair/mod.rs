//! Repair: a new environment out of what can be proved of a damaged one.
//!
//! Opening an environment never guesses, so it refuses where acknowledged data is damaged. A repair
//! takes what is left, says what is not, and leaves the source as it is:
//!
//! 1. Every log file is read record by record, on behind damage.
//! 2. Which commits the journal holds, and where it ends, is decided as a recovery does it.
//! 3. The newest checkpoint whose catalogue can be read gives the trees; what cannot be walked is filled
//!    in with older checkpoints and with single leaves, each of which is exact as of some commit.
//! 4. Commits after that are replayed over each range, and everything is written to a new environment.
//!
//! Only bytes with intact checksums count, and no commit that a recovery has given up, so whatever the
//! result holds was once the value of its key. How far that may be from the newest one is in the report.

pub(crate) mod build;
pub(crate) mod journal;
pub(crate) mod missing;
pub(crate) mod pieces;
mod report;
pub(crate) mod scan;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod trees;

use std::{path::Path, sync::Arc};

use cairn_io::{DirRef, RealDir, RealWorld, WorldRef};
use cairn_log::FileNumber;

pub use report::{DamagedPlace, Missing, RepairReport};

use self::{
    journal::{Commits, OpenEnd},
    source::Source,
    target::{By, Target},
    trees::Trees,
};
use crate::{EnvError, EnvResult, Options};

/// Puts what can be proved of the damaged environment in `source` together as a new environment in
/// `target`, which must be a new or empty directory, or hold a repair that was cut short. Nothing in
/// `source` is changed. `options` are those of the new environment; an encrypted one stays encrypted. With
/// [`Options::key`](Options#structfield.key) it gets a keyring of its own, in which that is the only key.
///
/// # Errors
/// [`EnvError::NotAnEnvironment`] if there is nothing to repair; [`EnvError::Locked`] if somebody has the
/// source open; [`EnvError::InvalidInput`] if `target` is not empty; [`EnvError::Unsupported`] if a newer
/// version has written the source; failures of the target's disk. Damage is no error: see
/// [`RepairReport::missing`].
pub fn repair(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: Options,
) -> EnvResult<RepairReport> {
    let source = source_dir(source.as_ref())?;
    repair_in(source, target_dir(target.as_ref())?, Arc::new(RealWorld::new()), options)
}

/// The directory of a damaged environment.
pub(crate) fn source_dir(path: &Path) -> EnvResult<DirRef> {
    let not_there = |why: &str| {
        let path = path.to_owned();
        Err(EnvError::NotAnEnvironment { path, why: why.into() })
    };
    match RealDir::open(path) {
        Err(error) if error.is_not_found() => not_there("there is no such directory"),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            not_there("it is not a directory")
        }
        opened => Ok(opened?),
    }
}

/// The directory of what is made of it, which may be new.
pub(crate) fn target_dir(path: &Path) -> EnvResult<DirRef> {
    match RealDir::open(path) {
        Err(error) if error.is_not_found() => Ok(RealDir::create(path)?),
        opened => Ok(opened?),
    }
}

/// As [`repair`], on any directories and world.
///
/// # Errors
/// As [`repair`].
pub fn repair_in(
    source: DirRef,
    target: DirRef,
    world: WorldRef,
    options: Options,
) -> EnvResult<RepairReport> {
    let mut report = RepairReport::default();
    let source = Source::open(source, &options, &mut report)?;
    let mut commits = Commits::find(&source, OpenEnd::Proven, &mut report)?;
    let trees = Trees::find(&source, &mut commits, &mut report)?;
    report.newest_commit = commits.newest;
    report.checkpoint = trees.checkpoint;
    let names = build::names(&source, &commits, &trees, &mut report)?;
    missing::list(&commits, &trees, &names, &mut report);
    let target = Target::begin(target, &world, options, By::Repair, FileNumber::FIRST)?;
    build::fill(&target.env, &source, &commits, &trees, names, &mut report)?;
    target.finish(&mut report)?;
    Ok(report)
}
