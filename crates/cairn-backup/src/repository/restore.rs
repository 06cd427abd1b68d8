//! `Repository::restore`: a point becomes an environment, by the restore that any backup goes through.

use std::path::{Path, PathBuf};

use cairn_env::{Cut, EnvError, Environment, RecoveryReport, RestoreTo};
use cairn_io::{DirRef, WorldRef};
use cairn_log::Uuid;

use super::{
    Repository, journal,
    moment::{Chosen, GoesOn},
    point::Point,
    view,
};
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

    /// Restores a point into the directory `target`, as [`restore`](crate::restore()) does with a backup in a
    /// directory: into a new one, or in place, with all that this can do. Every object is compared with both of its
    /// hashes, every file with that in the point, before its bytes are used.
    ///
    /// With [`RestoreOptions::to`](RestoreOptions#structfield.to) and [`Which::Newest`], the point is looked for that
    /// leads to that moment, alone or together with the journal that was shipped and that of the next point, on the
    /// timeline of the newest one. [`RestoreTo::Newest`] then is the newest commit that was shipped. With another
    /// [`Which`], it is all of that point, and to any other moment the journal goes on from it.
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
            let until = match journal {
                GoesOn::All if options.to != RestoreTo::Newest || self.has_more(&point)? => {
                    Some(None)
                }
                GoesOn::Itself | GoesOn::All => None,
                GoesOn::Until(point) => Some(Some(*point)),
            };
            let dir = view::open(&self.store, &self.place(environment, number), point.clone());
            let found = match until {
                None => Source::preflight(dir, &self.world, options).map_err(view::surface),
                Some(until) => self.with_journal(&dir, number, &point, until.as_ref(), options),
            };
            match found {
                // The one before may reach it.
                Err(error @ BackupError::Env(EnvError::OutOfReach { .. })) => {
                    refused.get_or_insert(error);
                }
                // Between this one and the one before, as their numbers and times say.
                Err(error @ BackupError::NotShipped { .. }) => match options.to {
                    RestoreTo::Commit(_) | RestoreTo::Time(_) => refused = Some(error),
                    _ => drop(refused.get_or_insert(error)),
                },
                found => return found,
            }
        }
        Err(refused.unwrap_or_else(|| self.no_point("point".into())))
    }

    /// Whether journal was shipped past the end of a point, or that cannot be told.
    fn has_more(&self, point: &Point) -> BackupResult<bool> {
        let Cut { environment, timeline, journal_end, .. } = point.cut;
        match self.store.segments_back(environment, timeline)?.next() {
            None => Ok(false),
            Some(Ok(read)) => {
                let at = (read.segment.file.number, read.segment.end);
                Ok(journal_end.is_none_or(|end| at > (end.file, end.end)))
            }
            Some(Err(BackupError::Object(_))) => Ok(true),
            Some(Err(error)) => Err(error),
        }
    }

    /// As a preflight of a point, with the journal that the repository has of its timeline, up to the end of another
    /// point.
    fn with_journal(
        &self,
        dir: &DirRef,
        number: u64,
        base: &Point,
        until: Option<&Point>,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Source> {
        let mut journal = self.journal(base, until.as_slice())?;
        let last = until.and_then(|point| point.cut.journal_end).map(|end| end.file);
        let path = self.place(base.cut.environment, number).join("journal");
        let mut files = journal.view(&path, base, last);
        let mut broken = journal.broken;
        loop {
            let there = view::open(&self.store, &path, files.clone());
            let with = RestoreOptions { journal_in: Some(&there), ..options.clone() };
            let found = Source::preflight(DirRef::clone(dir), &self.world, &with);
            match (found.map_err(view::surface), broken) {
                // What comes before it may be all that is needed.
                (Err(BackupError::Object(error)), _)
                    if journal::cut_before(&mut files, error.object()) =>
                {
                    broken = Some(error.into());
                }
                // What there is may not be all there was.
                (Ok(_), Some(broken)) if options.to == RestoreTo::Newest => return Err(broken),
                (
                    Err(BackupError::Env(
                        EnvError::OutOfReach { .. } | EnvError::JournalGap { .. },
                    )),
                    Some(broken),
                ) => return Err(broken),
                // Nothing is broken: that was never shipped.
                (Err(BackupError::Env(EnvError::JournalGap { last, time, .. })), None) => {
                    let place = self.store.backend.place();
                    let what = options.to.to_string();
                    return Err(BackupError::NotShipped { place, what, last, time });
                }
                (found, _) => return found,
            }
        }
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
