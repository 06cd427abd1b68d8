//! `DrillPolicy`: when the next drill is due.

use std::{fmt, time::Duration};

use cairn_log::Uuid;

use super::Drill;
use crate::{
    BackupResult,
    repository::{Repository, names::ObjectName},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// When a drill is due. Each condition by itself makes it so; the first drill is due as soon as there is a point.
///
/// ```
/// use std::time::Duration;
/// use cairn_backup::{DrillOptions, DrillPoint, DrillPolicy, PointOptions, Repository};
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # let dir = tempfile::tempdir().unwrap();
/// # let repository = Repository::create(dir.path().join("repo"))?;
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// # let db = env.database("db", DatabaseOptions::default())?;
/// # env.write(|txn| txn.put(&db, b"k", b"v"))?;
/// repository.backup(&env, &PointOptions::default())?;
///
/// // Now and then, in a program that makes backups:
/// let policy = DrillPolicy::new().every(Duration::from_secs(7 * 24 * 3600)).after_points(100);
/// if repository.drill_due(None, &policy)?.is_some() {
///     let scratch = dir.path();
///     repository.drill(None, &DrillPoint::Random(None), scratch, &DrillOptions::default())?;
/// }
/// assert!(repository.drill_due(None, &policy)?.is_none());
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrillPolicy {
    /// When the last one is so long ago (default: 7 days; `None`: however long it is).
    pub every: Option<Duration>,
    /// When there are so many points that are newer than all that the last one could choose from (default: `None`).
    pub after_points: Option<u64>,
    /// When the last one has failed and is so long ago (default: 1 day; `None`: as if it had passed).
    pub retry: Option<Duration>,
}

impl Default for DrillPolicy {
    fn default() -> Self {
        Self { every: Some(7 * DAY), after_points: None, retry: Some(DAY) }
    }
}

/// Why a drill is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrillDue {
    /// There was none so far.
    First,
    /// The last one has failed.
    Retry,
    /// The last one is so long ago.
    Time(Duration),
    /// There are so many points that are newer than the last one.
    Points(u64),
}

impl fmt::Display for DrillDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("there was no drill so far"),
            Self::Retry => f.write_str("the last drill has failed"),
            Self::Time(age) => write!(f, "the last drill was {} s ago", age.as_secs()),
            Self::Points(1) => f.write_str("1 point is newer than the last drill"),
            Self::Points(points) => write!(f, "{points} points are newer than the last drill"),
        }
    }
}

impl DrillPolicy {
    /// Every 7 days, and a day after one that has failed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`DrillPolicy::every`](DrillPolicy#structfield.every).
    #[must_use]
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// Sets [`DrillPolicy::after_points`](DrillPolicy#structfield.after_points).
    #[must_use]
    pub const fn after_points(mut self, points: u64) -> Self {
        self.after_points = Some(points);
        self
    }

    /// Sets [`DrillPolicy::retry`](DrillPolicy#structfield.retry).
    #[must_use]
    pub const fn retry(mut self, after: Duration) -> Self {
        self.retry = Some(after);
        self
    }

    /// Whether a drill is due at the time `now`, and why. `last` is the last one there was, and `numbers` are those of the
    /// points that there are: without any, there is nothing to be tried.
    #[must_use]
    pub fn due(&self, last: Option<&Drill>, numbers: &[u64], now: u64) -> Option<DrillDue> {
        if numbers.is_empty() {
            return None;
        }
        let Some(last) = last else { return Some(DrillDue::First) };
        let age = Duration::from_micros(now.saturating_sub(last.made));
        if !last.passed() && self.retry.is_some_and(|retry| age >= retry) {
            return Some(DrillDue::Retry);
        }
        if self.every.is_some_and(|every| age >= every) {
            return Some(DrillDue::Time(age));
        }
        let newer = numbers.iter().filter(|number| **number > last.newest).count() as u64;
        let are_many = self.after_points.is_some_and(|points| newer >= points.max(1));
        are_many.then_some(DrillDue::Points(newer))
    }
}

impl Repository {
    /// Whether a [drill](Self::drill) of an environment is due, and why. One that was recorded while the clock was ahead of
    /// what it is now counts for nothing: nobody knows when it was made.
    ///
    /// # Errors
    /// [`SeveralEnvironments`](crate::BackupError::SeveralEnvironments), [`NoPoint`](crate::BackupError::NoPoint) if there
    /// is nothing of any; [`RepositoryKeyRequired`](crate::BackupError::RepositoryKeyRequired); if the place fails.
    pub fn drill_due(
        &self,
        environment: Option<Uuid>,
        policy: &DrillPolicy,
    ) -> BackupResult<Option<DrillDue>> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        let environment = self.environment(environment)?;
        let now = self.world.wall().0;
        let last = self.last_drill(environment, now)?;
        Ok(policy.due(last.as_ref(), &self.store.numbers(environment)?, now))
    }

    /// The drills of an environment in the order of time, each with the number of its point; also of points that have been
    /// removed since.
    ///
    /// # Errors
    /// As [`drill_due`](Self::drill_due).
    pub fn drills(&self, environment: Option<Uuid>) -> BackupResult<Vec<(u64, Drill)>> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        let names = self.store.drill_names(self.environment(environment)?)?.into_iter();
        let read = names.filter_map(|name| self.store.readable_drill(name).transpose());
        read.map(|read| read.map(|read| (read.point, read.drill))).collect()
    }

    /// The last drill up to a time that can be read.
    fn last_drill(&self, environment: Uuid, now: u64) -> BackupResult<Option<Drill>> {
        for name in self.store.drill_names(environment)?.into_iter().rev() {
            let is_past = matches!(name, ObjectName::Drill { made, .. } if made <= now);
            if is_past && let Some(read) = self.store.readable_drill(name)? {
                return Ok(Some(read.drill));
            }
        }
        Ok(None)
    }
}
