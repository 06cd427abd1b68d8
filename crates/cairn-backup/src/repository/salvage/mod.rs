//! Salvage of a repository: what can be read of its objects, put together as log files again.
//!
//! The names of objects say of which file they hold which bytes, and each frame has a checksum of its own. So neither
//! `repo.cairn` nor any point is needed to have the bytes of log files back, and damage costs a frame. What comes of it looks
//! like the directory of an environment that has lost all but its log files; [`cairn_env::salvage_in`] reads that, record
//! by record, whatever is missing. Nothing is written anywhere.
//!
//! | file | what it is about |
//! |---|---|
//! | `identity` | which repository it is, if its first object is lost |
//! | `survey` | which objects there are, and which frames of them can be read |
//! | `history` | which of them are of the history that is asked for |
//! | `file` | a log file that is put together from frames |

mod file;
mod history;
mod identity;
mod survey;

use std::{collections::BTreeMap, sync::Arc};

use cairn_io::{DirRef, FileExt as _, FileRef, MemDisk, Name};
use cairn_log::{FileNumber, LogFile, LogName, Timeline, Uuid};

use self::{
    file::{Reader, Shown},
    history::History,
    survey::Survey,
};
use super::{ObjectName, Repository};
use crate::{BackupResult, Progress, keyring::KEYRING, progress::Counter, read_only::ReadOnly};

/// The directory in which log files of an environment lie.
const GENERATION: Name = Name::constant("g-000001");

/// How a repository is salvaged.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RepositorySalvageOptions<'a> {
    /// Of which environment; `None` is the only one there is.
    pub environment: Option<Uuid>,
    /// Of which timeline: what was stored on it, and what that goes on from. `None` is that of the newest point that can be
    /// read, or else the one that has the file with the highest number.
    pub timeline: Option<Timeline>,
    /// Called from time to time while objects are read.
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
}

impl std::fmt::Debug for RepositorySalvageOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { environment, timeline, .. } = self;
        f.debug_struct("RepositorySalvageOptions")
            .field("environment", environment)
            .field("timeline", timeline)
            .finish_non_exhaustive()
    }
}

/// What was found in a repository.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RepositorySalvageReport {
    /// Of which environment.
    pub environment: Uuid,
    /// The timeline that was taken, if anything tells.
    pub timeline: Option<Timeline>,
    /// Whether the environment is encrypted, and its wrapped keys are there.
    pub is_encrypted: bool,
    /// How many objects with bytes of log files there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects of which something cannot be read, and what is wrong with them.
    pub damaged: BTreeMap<ObjectName, String>,
    /// Of each point, by its number, why it cannot be restored; `None` if it can.
    pub points: BTreeMap<u64, Option<String>>,
    /// Of each log file that is not there from its beginning to the end that is known, the bytes that are missing: from, to.
    pub missing: BTreeMap<String, Vec<(u64, u64)>>,
    /// Log files of another history, which were left aside.
    pub left_aside: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl RepositorySalvageReport {
    /// Whether nothing is damaged or missing, as far as anybody can tell.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.damaged.is_empty()
            && self.missing.is_empty()
            && self.points.values().all(Option::is_none)
    }
}

/// What can be read of an environment in a repository.
#[derive(Debug)]
#[non_exhaustive]
pub struct RepositorySalvage {
    /// A directory that looks like an environment which has lost all but its log files: for [`cairn_env::salvage_in`] and
    /// [`cairn_env::salvage_to_in`], with [`log_files_only`](cairn_env::SalvageOptions#structfield.log_files_only). Its files are
    /// read from the repository when they are.
    pub directory: DirRef,
    /// What there is, and what is not.
    pub report: RepositorySalvageReport,
}

impl Repository {
    /// Finds out what can be read of an environment in this repository, whatever is damaged of it: see
    /// [`open_damaged`](Self::open_damaged) for one that does not open. Every object is read once, and nothing is written.
    ///
    /// Points that can be restored are told; for what they hold a [`restore`](Self::restore) is better than a salvage.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository, RepositorySalvageOptions};
    /// use cairn_env::{DatabaseOptions, Environment, Options, SalvageOptions, salvage_in};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let place = dir.path().join("repo");
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let users = env.database("users", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// Repository::create(&place)?.backup(&env, &PointOptions::default())?;
    /// std::fs::remove_file(place.join("repo.cairn"))?;
    ///
    /// let repository = Repository::open_damaged(&place, None)?;
    /// let found = repository.salvage(&RepositorySalvageOptions::default())?;
    /// let mut lines = Vec::new();
    /// let what = SalvageOptions::new().log_files_only(true);
    /// salvage_in(found.directory, &Options::default(), &what, &mut |entry| {
    ///     lines.push((entry.database.name.clone(), entry.key.to_vec()));
    ///     Ok(())
    /// })?;
    /// assert_eq!(lines, [("users".to_owned(), b"ada".to_vec())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BackupError::SeveralEnvironments`](crate::BackupError::SeveralEnvironments);
    /// [`BackupError::NoPoint`](crate::BackupError::NoPoint) if there is nothing of it;
    /// [`BackupError::RepositoryKeyRequired`](crate::BackupError::RepositoryKeyRequired); if the place fails. Damage is no error.
    pub fn salvage(
        &self,
        options: &RepositorySalvageOptions<'_>,
    ) -> BackupResult<RepositorySalvage> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        let environment = self.environment(options.environment)?;
        let mut report = RepositorySalvageReport { environment, ..Default::default() };
        let survey = Survey::find(&self.store, environment)?;
        if survey.parts.is_empty() {
            return Err(self.no_point(format!("log file of the environment {environment}")));
        }
        let counter = Counter::new(survey.bytes()?, options.progress);
        let survey = survey.read(&counter, &mut report)?;
        counter.end();
        let history = History::find(&self.store, environment, options.timeline, &survey)?;
        report.timeline = history.timeline;
        report.is_encrypted = history.keyring.is_some();
        report.notes.extend(history.notes.iter().cloned());
        for (number, point) in &history.points {
            let why = match point {
                Ok(point) => survey.why_not(point),
                Err(why) => Some(why.clone()),
            };
            report.points.insert(*number, why);
        }
        let directory = self.show(environment, &survey, &history, &mut report)?;
        Ok(RepositorySalvage { directory, report })
    }

    /// Shows the log files of a history in a directory in memory.
    fn show(
        &self,
        environment: Uuid,
        survey: &Survey<'_>,
        history: &History,
        report: &mut RepositorySalvageReport,
    ) -> BackupResult<DirRef> {
        let root = MemDisk::new().root();
        let dir = root.create_dir(&GENERATION)?;
        let reader = Arc::new(Reader::new(self.store.clone(), environment));
        for (number, parts) in &survey.files() {
            let Some(parts) = history.of(*number, parts) else {
                let first = parts[0];
                let name = LogName::new(first.class, *number, first.timeline);
                report.left_aside.push(name.to_string());
                continue;
            };
            let place = self.store.backend.place();
            let known = history.ends.iter().find(|(name, _)| name.number == *number);
            let end = known.map_or(0, |(_, end)| *end);
            let file = Shown::new(place.as_ref(), (&parts, end), survey, &reader);
            let missing = file.missing();
            let file = ReadOnly::file(file);
            let name = name_of(&file, *number, parts[0].class, parts[0].timeline);
            if !missing.is_empty() {
                report.missing.insert(name.to_string(), missing);
            }
            dir.show(&name.to_name(), &file)?;
        }
        for (name, end) in &history.ends {
            if !survey.has_file(name.number) {
                report.missing.insert(name.to_string(), vec![(0, *end)]);
            }
        }
        if let Some(keyring) = &history.keyring {
            let file = dir.create(&KEYRING)?;
            file.write_all_at(0, keyring)?;
        }
        Ok(root)
    }
}

/// The name that a log file says it has, or else the one that its parts say.
fn name_of(
    file: &FileRef,
    number: FileNumber,
    class: cairn_log::FileClass,
    timeline: Timeline,
) -> LogName {
    let by_parts = LogName::new(class, number, timeline);
    match LogFile::open_any(FileRef::clone(file)) {
        Ok(file) if (file.name().number, file.name().class) == (number, class) => file.name(),
        _ => by_parts,
    }
}
