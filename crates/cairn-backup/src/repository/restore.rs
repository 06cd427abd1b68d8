//! `Repository::restore`: a point becomes an environment, by the restore that any backup goes through.

use std::path::{Path, PathBuf};

use cairn_env::{EnvError, Environment, RecoveryReport, RestoreTo};
use cairn_io::{DirRef, WorldRef};
use cairn_log::Uuid;

use super::{Repository, point::Point, view};
use crate::{
    BackupError, BackupResult, RestoreOptions, RestoreReport, backup::open_or_create,
    restore::Source,
};

/// Which point is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "that is how points are told apart")]
pub enum Which {
    /// The newest: of the points on the timeline of the one with the highest number, the one with the newest
    /// commit. With a moment to restore, the one that leads there.
    #[default]
    Newest,
    /// The one with this number.
    Number(u64),
    /// The newest one with this label.
    Label(String),
}

/// A point, and what goes on from it.
struct Chosen {
    number: u64,
    point: Point,
    /// A later point whose journal leads to the moment.
    journal: Option<(u64, Point)>,
}

impl Repository {
    /// The point that is meant, and its number; `None` is the only environment that there is.
    ///
    /// # Errors
    /// [`BackupError::NoPoint`], [`BackupError::SeveralEnvironments`]; if it cannot be read.
    pub fn find(&self, environment: Option<Uuid>, which: &Which) -> BackupResult<(u64, Point)> {
        let environment = self.environment(environment)?;
        let numbers = self.store.numbers(environment)?;
        let nothing =
            |what: String| self.no_point(format!("point {what} of the environment {environment}"));
        let read = |number: u64| Ok((number, self.store.point(environment, number)?.point));
        match which {
            Which::Number(number) if numbers.contains(number) => read(*number),
            Which::Number(number) => Err(nothing(number.to_string())),
            Which::Label(label) => {
                for number in numbers.into_iter().rev() {
                    let (number, point) = read(number)?;
                    if point.label.as_ref() == Some(label) {
                        return Ok((number, point));
                    }
                }
                Err(nothing(format!("with the label {label:?}")))
            }
            Which::Newest => {
                let last = numbers.last().ok_or_else(|| nothing("at all".into()))?;
                let mut newest = read(*last)?;
                // Two writers at the same time may have ended in the other order.
                for number in numbers.iter().rev().skip(1) {
                    let (number, point) = read(*number)?;
                    if point.cut.timeline != newest.1.cut.timeline
                        || point.cut.commit <= newest.1.cut.commit
                    {
                        break;
                    }
                    newest = (number, point);
                }
                Ok(newest)
            }
        }
    }

    /// The point that leads to a moment. Without a journal from elsewhere, that is the first one whose cut is not
    /// before it; and where the journal in that begins too late, the one before with the journal in this.
    fn choose(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Vec<Chosen>> {
        let has_journal = options.journal.is_some() || options.journal_in.is_some();
        let (number, point) = self.find(environment, which)?;
        let is_reached = |point: &Point| match options.to {
            RestoreTo::Commit(commit) => point.cut.commit >= commit,
            RestoreTo::Time(time) => point.cut.time > time,
            _ => true,
        };
        let only = *which != Which::Newest
            || has_journal
            || !matches!(options.to, RestoreTo::Commit(_) | RestoreTo::Time(_));
        if only || !is_reached(&point) {
            return Ok(vec![Chosen { number, point, journal: None }]);
        }
        let environment = point.cut.environment;
        let (mut after, mut before) = ((number, point), None);
        for number in self.store.numbers(environment)?.into_iter().rev() {
            let earlier = match self.store.point(environment, number) {
                // Another one may do. If none does, the moment is out of reach.
                Err(BackupError::Object(_)) => continue,
                read => read?.point,
            };
            if number == after.0 || earlier.cut.timeline != after.1.cut.timeline {
                continue;
            }
            if !is_reached(&earlier) {
                before = Some((number, earlier));
                break;
            }
            after = (number, earlier);
        }
        let mut chosen = vec![Chosen { number: after.0, point: after.1.clone(), journal: None }];
        chosen.extend(before.map(|(number, point)| {
            let journal = Some(after);
            Chosen { number, point, journal }
        }));
        Ok(chosen)
    }

    /// Restores a point into the directory `target`, as [`restore`](crate::restore()) does with a backup in a
    /// directory: into a new one, or in place, with all that this can do. Every object is compared with both of its
    /// hashes, every file with that in the point, before its bytes are used.
    ///
    /// With [`RestoreOptions::to`](RestoreOptions#structfield.to), a commit or a time, and [`Which::Newest`], the
    /// point is looked for whose journal holds that moment, alone or together with that of the next point, on the
    /// timeline of the newest one.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`restore`](crate::restore()); [`BackupError::Object`]
    /// names the object that is damaged or missing.
    pub fn restore(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        target: impl AsRef<Path>,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<RestoreReport> {
        let source = self.preflight(environment, which, options)?;
        let to = open_or_create(target.as_ref())?;
        source.restore(&to, &self.world, options).map_err(view::surface)
    }

    /// As [`restore`](Self::restore), into any directory.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_in(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        target: &DirRef,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<RestoreReport> {
        let source = self.preflight(environment, which, options)?;
        source.restore(target, world, options).map_err(view::surface)
    }

    /// Opens a point for reading where it lies, as [`open_backup`](crate::open_backup) does with a backup in a
    /// directory, without restoring it. Each part of a file is read whole and compared with both of its hashes when
    /// the first byte of it is needed.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository, RestoreOptions, Which};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let repository = Repository::create(dir.path().join("repo"))?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let users = env.database("users", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    /// env.write(|txn| txn.delete(&users, b"ada"))?;
    ///
    /// let (then, _) = repository.open_backup(None, &Which::Newest, &RestoreOptions::default())?;
    /// let users = then.find_database("users")?.unwrap();
    /// assert_eq!(then.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Self::restore) before it writes, and as an open after it.
    pub fn open_backup(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<(Environment, RecoveryReport)> {
        let source = self.preflight(environment, which, options)?;
        source.open(&self.world, options).map_err(view::surface)
    }

    /// Looks for what is missing, a wrong key and the moment before anything is written.
    fn preflight(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Source> {
        let mut refused = None;
        for Chosen { number, point, journal } in self.choose(environment, which, options)? {
            self.check_present(&point)?;
            let environment = point.cut.environment;
            let open =
                |number, point| view::open(&self.store, &self.place(environment, number), point);
            let dir = open(number, point);
            let journal = journal.map(|(number, point)| open(number, point));
            let mut options = options.clone();
            if let Some(journal) = &journal {
                options.journal_in = Some(journal);
            }
            match Source::preflight(dir, &self.world, &options).map_err(view::surface) {
                // The one before may reach it.
                Err(error @ BackupError::Env(EnvError::OutOfReach { .. })) => {
                    refused.get_or_insert(error);
                }
                found => return found,
            }
        }
        Err(refused.unwrap_or_else(|| self.no_point("point".into())))
    }

    /// An error unless each object of a point is there, and as long as it has to be.
    pub(super) fn check_present(&self, point: &Point) -> BackupResult<()> {
        for needed in point.objects() {
            match self.store.backend.length(&needed.name)? {
                Some(length) if length == needed.stored_length => {}
                Some(length) => {
                    let problem = format!("it has {length} bytes, not {}", needed.stored_length);
                    let damaged = super::frames::Damaged { at: length, problem };
                    return Err(self.store.damaged(needed.name, damaged));
                }
                None => return Err(self.store.missing(needed.name)),
            }
        }
        Ok(())
    }

    fn place(&self, environment: Uuid, number: u64) -> PathBuf {
        self.point_path(environment, number)
    }
}
