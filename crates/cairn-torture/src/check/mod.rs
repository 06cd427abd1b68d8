//! The oracle: holds what a crash left against what was known.

pub(crate) mod copies;
pub(crate) mod generations;
mod nested;
mod repaired;

use cairn_env::{Environment, Options, RecoveryReport, TornTail, VerifyOptions};
use cairn_io::MemDisk;
use cairn_sim::{Image, Level, Seeded, SimWorld};

pub use nested::Nested;

use crate::{
    model::{Contents, Expected, History},
    problem::{Checked, Problem, Wrong},
    run::{Knowledge, Recording, state},
    without::Without,
};

/// What was looked at beside the state itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Looked {
    /// Crashes of recovery.
    pub nested: Vec<Nested>,
    /// What was damaged once more, and repaired.
    pub repaired: Option<u128>,
}

/// Holds the image of a crash against what was known: everything that a user would do next has to
/// work. Returns what was looked at on the way. In crashes of recovery, the syncs `without` do nothing.
///
/// # Errors
/// The first promise that is broken.
pub fn check(
    recording: &Recording,
    knows: &Knowledge,
    image: &Image,
    level: Level,
    options: &Options,
    without: Option<Without>,
    random: &mut Seeded,
) -> Checked<Looked> {
    let options = options.clone().background(false);
    let histories = &recording.histories;
    match knows {
        Knowledge::Environment(known) => {
            let (allowed, found, expected) =
                generations::check(image, known, histories, level, &options)?;
            let nested = nested::sample(image, &allowed, &found, &options, without, random)?;
            let mut repaired = None;
            if known.kept.is_none() && known.instead.is_none() && without.is_none() {
                repaired = repaired::sample(image, histories, &expected, &found, &options, random)?;
            }
            Ok(Looked { nested, repaired })
        }
        Knowledge::Backups(backups) => {
            copies::backups(image, backups, histories, &options, random)?;
            Ok(Looked::default())
        }
        Knowledge::Restores(restores) => {
            copies::restores(image, restores, histories, &options)?;
            Ok(Looked::default())
        }
    }
}

/// The states that may be found: those of the commits from `first` on.
#[derive(Clone, Debug)]
pub(crate) struct Allowed<'h> {
    first: u64,
    states: Vec<&'h Contents>,
}

impl<'h> Allowed<'h> {
    pub(crate) fn new(histories: &'h [History], expected: &Expected, least: u64) -> Self {
        // A commit that was begun and then told of a conflict left no state.
        let newest = (histories[expected.history].len() as u64 - 1).min(expected.begun);
        let states = (least..=newest).map(|commit| state(histories, expected, commit));
        Self { first: least, states: states.collect() }
    }

    /// The states of commit `first` and those after it.
    pub(crate) fn from_on(first: u64, states: Vec<&'h Contents>) -> Self {
        Self { first, states }
    }

    /// This one state alone, after commit `commit`.
    pub(crate) fn only(commit: u64, contents: &'h Contents) -> Self {
        Self { first: commit, states: vec![contents] }
    }

    /// The state after `commit`.
    pub(crate) fn get(&self, commit: u64) -> Checked<&'h Contents> {
        let least = self.first;
        let most = least + self.states.len() as u64 - 1;
        if commit < least {
            let story = format!("commit {least} was acknowledged as durable, found is {commit}");
            return Err(Problem::new(Wrong::LostCommit, story));
        }
        let index = usize::try_from(commit - least).unwrap_or(usize::MAX);
        self.states.get(index).copied().ok_or_else(|| {
            let story = format!("the newest commit that was begun is {most}, found is {commit}");
            Problem::new(Wrong::InventedCommit, story)
        })
    }
}

/// What was found in an image.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) commit: u64,
    pub(crate) torn: Option<TornTail>,
}

/// Checks that an environment opens from `image` as what it may be, whole, and that opening it
/// changes nothing, so that opening it again gives the same.
pub(crate) fn environment(
    image: &Image,
    allowed: &Allowed<'_>,
    options: &Options,
) -> Checked<Found> {
    let disk = image.to_mem();
    let world = SimWorld::new(1);
    let opened = Environment::open_in(disk.root(), world.world(), options.clone());
    let (env, report) = opened.map_err(|error| Problem::new(Wrong::Refused, error))?;
    let told = |problem: Problem| Problem {
        story: format!("{}; the report: {report}", problem.story),
        ..problem
    };
    whole(&env, &report, allowed).map_err(told)?;
    drop(env);
    /// After so many commits replay may have to write nodes back; sooner if memory is short, because one
    /// commit may consist of any number of parts.
    const MAY_WRITE: u64 = 256;
    let is_short = 2 * report.replayed_bytes >= options.cache_bytes as u64;
    if !report.created && report.replayed_commits < MAY_WRITE && !is_short {
        unchanged(image, &disk).map_err(told)?;
    }
    Ok(Found { commit: report.sequence, torn: report.torn_tail })
}

/// Checks an open environment: its content, its structure, and what recovery says.
pub(crate) fn whole(
    env: &Environment,
    report: &RecoveryReport,
    allowed: &Allowed<'_>,
) -> Checked<()> {
    let finding = |what: String| Err(Problem::new(Wrong::Finding, what));
    holds(env, report, allowed)?;
    let verified = env.verify(&VerifyOptions::new());
    let verified = verified.map_err(|error| Problem::new(Wrong::Finding, error))?;
    if let Some(found) = verified.findings.first() {
        return finding(format!("verification: {found}"));
    }
    // A crash hides no checkpoint: what it needs is durable before anything refers to it.
    if let Some(why) = &report.older_checkpoint {
        return finding(format!("the newest checkpoint was passed over: {why}"));
    }
    if !report.unknown_files.is_empty() {
        return finding(format!("files that are not ours: {:?}", report.unknown_files));
    }
    Ok(())
}

/// Checks the content of an open environment alone.
pub(crate) fn holds(
    env: &Environment,
    report: &RecoveryReport,
    allowed: &Allowed<'_>,
) -> Checked<()> {
    let difference = allowed.get(report.sequence)?.difference(env);
    match difference.map_err(|error| Problem::new(Wrong::Content, error))? {
        None => Ok(()),
        Some(story) => Err(Problem::new(Wrong::Content, story)),
    }
}

/// Checks that `disk` still holds what `image` does, but for the locks.
fn unchanged(image: &Image, disk: &MemDisk) -> Checked<()> {
    let is_lock = |path: &str| ["LOCK", "PROTECTOR"].contains(&path);
    let before: Vec<_> = image.files().filter(|(path, _)| !is_lock(path)).collect();
    let after = disk.files();
    let after: Vec<_> = after.iter().filter(|(path, _)| !is_lock(path)).collect();
    let wrong = |story: String| Err(Problem::new(Wrong::OpenWrites, story));
    if before.len() != after.len() {
        return wrong(format!("{before:?} became {after:?}"));
    }
    for ((path, _), (after, _)) in before.into_iter().zip(after) {
        let same = path == after && image.read(path).as_deref() == disk.read(path).ok().as_deref();
        if !same {
            return wrong(format!("{path} is not what it was"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
