//! `Repository::drill`: a restore is tried, as it would be needed, and everything is looked at that it brings back.
//!
//! What was restored is opened, verified, given to the checks of the user, and removed. How long it took and what came of it
//! is recorded in the repository, whether it was good or not.
//!
//! | file | what it is about |
//! |---|---|
//! | `checks` | what the user wants to be looked at |
//! | `scratch` | where it is restored, for a while |
//! | `record` | what is recorded |
//! | `policy` | when the next one is due |

mod checks;
mod policy;
pub(crate) mod record;
mod scratch;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::{DirRef, RealDir, WorldRef};
use cairn_log::{Digest, Uuid};

pub use checks::{DirectoryCheck, DrillCheck};
pub use policy::{DrillDue, DrillPolicy};
pub use record::{Drill, DrillFailure, DrillStage, Restored};

use super::{ObjectName, Repository, Which, store::MAX_POINT};
use crate::{BackupError, BackupResult, Pace, Progress, RestoreOptions, progress::Report, tell};
use scratch::Scratch;

/// Which point a drill restores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one that is named, or any")]
pub enum DrillPoint {
    /// This one. [`Which::Newest`] is restored with the journal that was shipped, as
    /// [`restore`](Repository::restore) does.
    One(Which),
    /// Any of all that there are. The same seed and the same points make it the same one; without a seed it is another one
    /// each time, and the report says with which seed.
    Random(Option<u64>),
}

impl Default for DrillPoint {
    fn default() -> Self {
        Self::One(Which::Newest)
    }
}

/// How a drill is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct DrillOptions<'a> {
    /// With which options the environment is opened; among them its key.
    pub options: Options,
    /// What else is to be so in it.
    pub checks: Vec<DrillCheck<'a>>,
    /// Whether nothing is to be stored in the repository.
    pub skip_record: bool,
    /// Called from time to time while it is restored.
    pub progress: Report<'a>,
    /// How fast it is restored, and whether it goes on.
    pub pace: Pace<'a>,
}

impl<'a> DrillOptions<'a> {
    /// Sets [`DrillOptions::options`](DrillOptions#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Adds to [`DrillOptions::checks`](DrillOptions#structfield.checks).
    #[must_use]
    pub fn check(mut self, check: DrillCheck<'a>) -> Self {
        self.checks.push(check);
        self
    }

    /// Stores nothing: for a repository that must not be written.
    #[must_use]
    pub const fn skip_record(mut self, skip: bool) -> Self {
        self.skip_record = skip;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Sets [`DrillOptions::pace`](DrillOptions#structfield.pace).
    #[must_use]
    pub fn pace(mut self, pace: Pace<'a>) -> Self {
        self.pace = pace;
        self
    }
}

impl fmt::Debug for DrillOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, checks, skip_record, .. } = self;
        f.debug_struct("DrillOptions")
            .field("options", options)
            .field("checks", checks)
            .field("skip_record", skip_record)
            .finish_non_exhaustive()
    }
}

/// What a drill has come to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DrillReport {
    /// The number of the point.
    pub number: u64,
    /// Its environment.
    pub environment: Uuid,
    /// With which seed it was chosen, if it was any.
    pub seed: Option<u64>,
    /// What is recorded.
    pub drill: Drill,
    /// What was wrong, all of it.
    pub findings: Vec<String>,
    /// The scratch directory, if it could not be removed, and why: a check has left something there under a name that
    /// no file of an environment has, or the disk failed. The next drill in the same place tries again.
    pub residue: Option<(PathBuf, String)>,
}

/// What was found up to where it ended.
#[derive(Default)]
struct Found {
    restored: Option<Restored>,
    checks: u64,
    stage: Option<DrillStage>,
    findings: Vec<String>,
    /// Whether the findings may say what an encrypted environment holds.
    is_secret: bool,
}

impl Found {
    fn failed(mut self, stage: DrillStage, finding: String) -> Self {
        self.stage = Some(stage);
        self.findings.push(finding);
        self
    }
}

impl Repository {
    /// Tries a restore: a point is restored into a directory of its own in `scratch`, which must exist; the environment is
    /// opened and [verified](Environment::verify), the checks of the options are made, and the directory is removed. What
    /// came of it is recorded in the repository, also if something was wrong: [`points`](Self::points) shows it.
    ///
    /// Whatever would keep a restore from succeeding makes a drill fail, also a key that does not fit or a disk that is
    /// too small. A drill that is killed leaves its directory, which the next one in the same place removes.
    ///
    /// ```
    /// use cairn_backup::{DrillCheck, DrillOptions, DrillPoint, PointOptions, Repository};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let repository = Repository::create(dir.path().join("repo"))?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let users = env.database("users", DatabaseOptions::default())?;
    /// # env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    ///
    /// let has_users = |env: &Environment| match env.find_database("users") {
    ///     Ok(Some(_)) => Ok(()),
    ///     _ => Err("there are no users".to_owned()),
    /// };
    /// let how = DrillOptions::default().check(DrillCheck::environment("users", &has_users));
    /// let report = repository.drill(None, &DrillPoint::default(), dir.path(), &how)?;
    /// assert!(report.drill.passed());
    /// println!("back after {:?}, {:?} old", report.drill.rto(), report.drill.rpo());
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// As [`find`](Self::find) if there is no such point; [`BackupError::RepositoryKeyRequired`],
    /// [`BackupError::Cancelled`]; if `scratch` cannot be used, or the outcome not be recorded. Anything else is a
    /// finding.
    pub fn drill(
        &self,
        environment: Option<Uuid>,
        point: &DrillPoint,
        scratch: impl AsRef<Path>,
        options: &DrillOptions<'_>,
    ) -> BackupResult<DrillReport> {
        let scratch = RealDir::open(scratch.as_ref())?;
        self.drill_in(environment, point, &scratch, &self.world, options)
    }

    /// As [`drill`](Self::drill), in any directory.
    ///
    /// # Errors
    /// As [`drill`](Self::drill).
    pub fn drill_in(
        &self,
        environment: Option<Uuid>,
        point: &DrillPoint,
        scratch: &DirRef,
        world: &WorldRef,
        options: &DrillOptions<'_>,
    ) -> BackupResult<DrillReport> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        if !options.skip_record {
            self.check_writable()?;
        }
        let environment = self.environment(environment)?;
        let (number, which, seed) = self.drilled(environment, point)?;
        let name = ObjectName::Point { environment, number };
        let of = Digest::of(&self.store.whole(name, MAX_POINT)?);
        let newest = self.store.numbers(environment)?.last().copied().unwrap_or(number);
        let (made, began) = (self.world.wall().0, world.monotonic());
        let took = || world.monotonic().saturating_sub(began);
        let scratch = Scratch::begin(scratch, &**world)?;
        let path = scratch.path();
        let found = self.try_restore((environment, &which), &scratch, world, options, &took);
        let removed = scratch.remove();
        let Found { restored, checks, stage, findings, is_secret } = found?;
        let failed = stage.map(|stage| {
            let hides = is_secret && stage >= DrillStage::Verify;
            let first = findings.first().filter(|_| !hides).map_or("", |first| first);
            DrillFailure::new(stage, first)
        });
        let (took, library) = (micros(took()), env!("CARGO_PKG_VERSION").into());
        let drill = Drill { made, took, library, newest, checks, restored, failed };
        if !options.skip_record {
            self.store.put_drill(environment, number, of, &drill)?;
        }
        let place = tell::display(self.store.backend.place());
        match stage {
            None => tell::drill_passed(place, number, drill.rto().map_or(0, micros)),
            Some(stage) => tell::drill_failed(place, number, tell::display(stage)),
        }
        let residue = removed.err().map(|error| (path, error.to_string()));
        Ok(DrillReport { number, environment, seed, drill, findings, residue })
    }

    /// The number of the point that is meant, how it is restored, and the seed that has chosen it.
    fn drilled(
        &self,
        environment: Uuid,
        point: &DrillPoint,
    ) -> BackupResult<(u64, Which, Option<u64>)> {
        let which = match point {
            DrillPoint::One(which) => which,
            DrillPoint::Random(seed) => {
                let seed = seed.unwrap_or_else(|| {
                    let mut seed = [0; 8];
                    self.world.random(&mut seed);
                    u64::from_le_bytes(seed)
                });
                let numbers = self.store.numbers(environment)?;
                let nothing = || self.no_point(format!("backup of the environment {environment}"));
                let number = chosen(&numbers, seed).ok_or_else(nothing)?;
                return Ok((number, Which::Number(number), Some(seed)));
            }
        };
        match self.find(Some(environment), which) {
            Ok((number, _)) => Ok((number, which.clone(), None)),
            // There it is, and cannot be read: nobody could restore it.
            Err(BackupError::Object(error)) => match error.object() {
                ObjectName::Point { number, .. } => Ok((number, which.clone(), None)),
                _ => Err(error.into()),
            },
            Err(error) => Err(error),
        }
    }

    /// Restores, opens and looks.
    fn try_restore(
        &self,
        (environment, which): (Uuid, &Which),
        scratch: &Scratch,
        world: &WorldRef,
        options: &DrillOptions<'_>,
        took: &dyn Fn() -> Duration,
    ) -> BackupResult<Found> {
        let mut found = Found::default();
        let target = scratch.target()?;
        let how = RestoreOptions { progress: options.progress, ..RestoreOptions::default() };
        let how = how.options(options.options.clone()).pace(options.pace);
        let report = match self.restore_in(Some(environment), which, &target, world, &how) {
            Err(BackupError::Cancelled) => return Err(BackupError::Cancelled),
            Err(error) => return Ok(found.failed(DrillStage::Restore, error.to_string())),
            Ok(report) => report,
        };
        let opened =
            Environment::open_in(DirRef::clone(&target), world.clone(), options.options.clone());
        let env = match opened {
            Err(error) => return Ok(found.failed(DrillStage::Open, error.to_string())),
            Ok((env, _)) => env,
        };
        found.restored = Some(Restored {
            commit: report.commit,
            time: report.time,
            files: report.files,
            bytes: report.bytes,
            entries: report.entries,
            rto: micros(took()),
        });
        found.is_secret = env.is_encrypted();
        match env.verify(&VerifyOptions::new()) {
            Err(error) => found.findings.push(error.to_string()),
            Ok(report) => found.findings.extend(report.findings.iter().map(ToString::to_string)),
        }
        if !found.findings.is_empty() {
            found.stage = Some(DrillStage::Verify);
            return Ok(found);
        }
        let path = target.path().to_owned();
        let (outside, inside): (Vec<_>, Vec<_>) =
            options.checks.iter().partition(|check| check.wants_directory());
        let wrong = inside.iter().filter_map(|check| check.look(Some(&env), &path).err());
        found.findings.extend(wrong);
        match env.close() {
            Ok(()) => {
                let wrong = outside.iter().filter_map(|check| check.look(None, &path).err());
                found.findings.extend(wrong);
            }
            Err(error) => found.findings.push(error.to_string()),
        }
        found.checks = options.checks.len() as u64;
        found.stage = (!found.findings.is_empty()).then_some(DrillStage::Checks);
        Ok(found)
    }
}

/// The number that a seed chooses.
fn chosen(numbers: &[u64], seed: u64) -> Option<u64> {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(&seed.to_le_bytes()).0;
    let draw = u128::from(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    let place = (draw * numbers.len() as u128) >> 64;
    numbers.get(usize::try_from(place).ok()?).copied()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_seed_chooses_always_the_same_and_all_are_chosen_by_some() {
        let numbers = [2, 3, 5, 7];
        let mut times = BTreeMap::new();
        for seed in 0..400 {
            let number = chosen(&numbers, seed).unwrap();
            assert_eq!(chosen(&numbers, seed), Some(number));
            *times.entry(number).or_insert(0) += 1;
        }
        assert!(numbers.iter().all(|number| (60..140).contains(&times[number])), "{times:?}");
        assert_eq!(chosen(&[], 7), None);
    }
}
