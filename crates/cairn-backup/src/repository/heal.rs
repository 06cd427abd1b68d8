//! `Repository::heal`: damaged files of an environment get the bytes that a repository has of them.
//!
//! A finished log file never changes, so that any point which holds it has what it was, whenever that point was made; a
//! journal file may also lie in segments, or begin in a point and go on in them. Of what is in no file there, the newest
//! commit gives the large values, if it was shipped.

use std::path::{Path, PathBuf};

use cairn_env::{Copies, Environment, HealReport, HealSource, Options, RestoreTo};
use cairn_io::DirRef;
use cairn_log::{Digest, FileClass, LogName, Timeline, Uuid};

use super::{Repository, Which, journal::Journal, point::PointFile, view};
use crate::{BackupResult, RestoreOptions};

impl Repository {
    /// Reads all finished files of an environment, and puts what the repository has of those that are damaged in their
    /// place, byte for byte, as [`Environment::heal`] does with a replica: readers and writers go on, and nothing goes
    /// back to what it was.
    ///
    /// A file comes from the newest point that has it whole, or from shipped journal. What came into being after the
    /// newest point is in no file of the repository: if the journal was shipped up to the newest commit, large values
    /// get another place with what that says ([`HealedFile::by_content`](cairn_env::HealedFile#structfield.by_content)),
    /// as do nodes that are in memory. The rest stays damaged, and is listed with the keys that it concerns.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let repository = Repository::create(dir.path().join("repo"))?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let users = env.database("users", DatabaseOptions::default())?;
    /// # env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    ///
    /// let report = repository.heal(&env)?;
    /// assert!(report.healed.is_empty() && report.left.is_empty(), "nothing was damaged");
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// [`BackupError::NoPoint`](crate::BackupError::NoPoint) if the repository has nothing of this environment;
    /// [`BackupError::RepositoryKeyRequired`](crate::BackupError::RepositoryKeyRequired); otherwise as [`Environment::heal`]. An object that cannot be read is no
    /// copy, and is named where there is no other.
    pub fn heal(&self, env: &Environment) -> BackupResult<HealReport> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        let environment = env.identity().environment;
        if self.store.numbers(environment)?.is_empty() {
            return Err(self.no_point(format!("backup of the environment {environment}")));
        }
        let timeline = env.identity().timeline;
        Ok(env.heal_by(&Saved { repository: self, environment, timeline })?)
    }
}

/// What a repository has of an environment.
#[derive(Debug)]
struct Saved<'r> {
    repository: &'r Repository,
    environment: Uuid,
    /// On which that goes on.
    timeline: Timeline,
}

impl HealSource for Saved<'_> {
    fn copies(&self, file: LogName, length: u64) -> Copies<'_> {
        match self.repository.store.numbers(self.environment) {
            Ok(numbers) => Box::new(Candidates {
                saved: self,
                file,
                length,
                numbers,
                journal: (file.class == FileClass::Journal).then(Journal::default),
                told: Vec::new(),
            }),
            Err(error) => Box::new(std::iter::once(Err(error.to_string()))),
        }
    }

    fn at(&self, commit: u64, options: Options) -> Result<Environment, String> {
        let how = RestoreOptions::default().options(options).to(RestoreTo::Commit(commit));
        let opened = self.repository.open_backup(Some(self.environment), &Which::Newest, &how);
        opened
            .map(|(env, _)| env)
            .map_err(|error| format!("the repository does not lead to commit {commit}: {error}"))
    }
}

/// The files of one name and length, the newest point first, then what segments have: see [`HealSource::copies`].
struct Candidates<'s> {
    saved: &'s Saved<'s>,
    file: LogName,
    length: u64,
    /// Of the points that are yet to be looked into, the newest last.
    numbers: Vec<u64>,
    /// What points have of a journal file; taken when it was told.
    journal: Option<Journal>,
    /// Most points have the same.
    told: Vec<PointFile>,
}

impl Candidates<'_> {
    /// What a point has of the file, if that was not told before.
    fn in_point(&mut self, number: u64) -> BackupResult<Option<PointFile>> {
        let Saved { repository, environment, .. } = *self.saved;
        let point = repository.store.point(environment, number)?.point;
        if let Some(journal) = &mut self.journal {
            journal.add_point(&point, self.file.number);
        }
        // None before it has a file that came into being after it.
        let cut = &point.cut;
        if cut.timeline == self.saved.timeline && cut.next_file <= self.file.number {
            self.numbers.clear();
        }
        let is_it = |file: &PointFile| file.name == self.file && file.length == self.length;
        Ok(point.files.into_iter().find(|file| is_it(file) && !self.told.contains(file)))
    }

    /// What points and segments together have of a journal file.
    fn shipped(&self, mut journal: Journal) -> BackupResult<Option<PointFile>> {
        let Saved { repository, environment, .. } = *self.saved;
        let LogName { number, timeline, .. } = self.file;
        if let Some(timeline) = timeline {
            repository.add_shipped(&mut journal, environment, timeline, number)?;
        }
        let parts = journal.parts(number);
        let is_whole = parts.iter().map(|part| part.length).sum::<u64>() == self.length;
        // Nobody asks for the hash of all of it: its seal has one, or the file after it.
        let (name, length, digest) = (self.file, self.length, Digest([0; 32]));
        let file = PointFile { name, directory: 0, length, digest, seal: None, parts };
        let is_new = self.told.iter().all(|told| told.parts != file.parts);
        Ok(Some(file).filter(|_| is_whole && is_new))
    }

    fn show(&mut self, place: &Path, file: PointFile) -> DirRef {
        self.told.push(file.clone());
        view::of_file(&self.saved.repository.store, place, self.saved.environment, file)
    }
}

impl Iterator for Candidates<'_> {
    type Item = Result<DirRef, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let Saved { repository, environment, .. } = *self.saved;
        while let Some(number) = self.numbers.pop() {
            match self.in_point(number) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    let place = repository.point_path(environment, number);
                    return Some(Ok(self.show(&place, file)));
                }
                Err(error) => return Some(Err(error.to_string())),
            }
        }
        let journal = self.journal.take()?;
        match self.shipped(journal).transpose()? {
            Ok(file) => {
                let place = PathBuf::from(repository.store.backend.place()).join("segments");
                Some(Ok(self.show(&place, file)))
            }
            Err(error) => Some(Err(error.to_string())),
        }
    }
}
