//! File: what SQLite sees as a file: shared by its handles, written by one of them at a time.

mod commit;
mod handle;
mod memory;
mod names;
mod offered;
mod outcome;
mod pragma;
mod writers;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cairn_env::{Database, Environment};
use rusqlite::ffi;

pub(crate) use handle::{Handle, Level};
pub(crate) use memory::MemoryFile;
pub(crate) use names::{MAX_NAME_LEN, check_name, database_name, file_name, is_beside};
pub(crate) use offered::offer;
pub(crate) use outcome::{Answer, Outcome, failed};
pub use outcome::{Cause, take_cause};
pub(crate) use pragma::{ENVIRONMENT, Reply};
use writers::{HandleId, Writers};

use crate::{
    pages::{Head, ReadError, Version},
    sync::lock,
};

/// The SQL files of an open environment.
///
/// Locks are taken in this order: the files, the handles, the state of a handle, where a file is, writers; then
/// those of the environment.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) env: Environment,
    /// Tells them from those of other environments, and of other times.
    pub(crate) id: u64,
    /// Those that somebody has open.
    open: Mutex<BTreeMap<String, Weak<SqlFile>>>,
    /// All handles.
    handles: Mutex<BTreeMap<HandleId, Weak<handle::Shared>>>,
    next_handle: AtomicU64,
}

/// A SQL file that somebody has open.
#[derive(Debug)]
pub(crate) struct SqlFile {
    /// The name of its database.
    database_name: String,
    /// What was seen of it last.
    known: Mutex<Known>,
    /// The newest change of it.
    newest: AtomicU64,
    /// The highest numbers that a connection may have seen.
    seen: Mutex<Head>,
    /// What was met first of it that is damaged.
    damage: Mutex<Option<String>>,
    writers: Writers,
}

/// Where a file is, and what its head was at a commit: most that ask do so before there is another one.
#[derive(Clone, Debug, Default)]
struct Known {
    place: Option<Database>,
    commit: Option<u64>,
    head: Head,
}

impl Known {
    fn of(version: &Version) -> Self {
        let place = version.database().cloned();
        Self { place, commit: Some(version.commit()), head: *version.head() }
    }
}

impl Files {
    pub(crate) fn new(env: Environment) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            env,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            open: Mutex::default(),
            handles: Mutex::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    /// The file `name`, whether it exists or not.
    pub(crate) fn file(&self, name: &str) -> Result<Arc<SqlFile>, ReadError> {
        if let Some(file) = lock(&self.open).get(name).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let version = Version::new(self.env.latest_snapshot()?, &database_name(name), None)?;
        Ok(self.join(name, Some(&version)))
    }

    /// The file `name`, which was like this just now.
    fn join(&self, name: &str, version: Option<&Version>) -> Arc<SqlFile> {
        let mut open = lock(&self.open);
        if let Some(file) = open.get(name).and_then(Weak::upgrade) {
            return file;
        }
        let head = version.map_or_else(Head::default, |version| *version.head());
        let file = Arc::new(SqlFile {
            database_name: database_name(name),
            known: Mutex::new(version.map(Known::of).unwrap_or_default()),
            newest: AtomicU64::new(head.change),
            seen: Mutex::new(head),
            damage: Mutex::default(),
            writers: Writers::default(),
        });
        open.retain(|_, file| file.strong_count() > 0);
        open.insert(name.into(), Arc::downgrade(&file));
        file
    }

    /// The file `name`, also if it cannot be read.
    pub(crate) fn file_to_replace(&self, name: &str) -> Result<Arc<SqlFile>, ReadError> {
        match self.file(name) {
            Err(_) if !self.env.is_valid() => self.file(name),
            Err(_) => Ok(self.join(name, None)),
            found => found,
        }
    }

    /// What was met of a file that is damaged, since this was asked last.
    pub(crate) fn take_damage(&self, name: &str) -> Option<String> {
        let file = lock(&self.open).get(name).and_then(Weak::upgrade)?;
        file.take_damage()
    }

    /// Keeps all others from writing to a file, after waiting for whoever does at most `patience`.
    pub(crate) fn alone(
        self: &Arc<Self>,
        file: &Arc<SqlFile>,
        patience: Duration,
    ) -> Option<Alone> {
        let id = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let is_given = file.writers.take(id, &*self.env.world(), patience);
        is_given.then(|| Alone { file: Arc::clone(file), id })
    }

    /// SQLite removes a file that it had beside others.
    pub(crate) fn removed(&self, name: &str) -> Answer<()> {
        commit::commit_tied(self, name)
    }

    /// Whether there is such a file.
    pub(crate) fn exists(&self, name: &str) -> Result<bool, ReadError> {
        let found = self.env.latest_snapshot()?.database(&database_name(name))?;
        Ok(found.is_some())
    }
}

/// Nobody else writes to a file as long as this lives.
#[derive(Debug)]
pub(crate) struct Alone {
    file: Arc<SqlFile>,
    id: HandleId,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.file.writers.release(self.id);
    }
}

impl SqlFile {
    /// The file as it is now.
    fn now(&self, env: &Environment) -> Result<Version, ReadError> {
        let snapshot = env.latest_snapshot()?;
        let known = lock(&self.known).clone();
        if known.commit == Some(snapshot.commit()) {
            return Ok(Version::known(snapshot, known.place, known.head));
        }
        let version = Version::new(snapshot, &self.database_name, known.place.as_ref())?;
        *lock(&self.known) = Known::of(&version);
        Ok(version)
    }

    /// Takes note of a failure, if it is damage of this file.
    fn note(&self, outcome: Outcome) -> Outcome {
        if [ffi::SQLITE_CORRUPT, ffi::SQLITE_IOERR_DATA].contains(&outcome.0) {
            let mut damage = lock(&self.damage);
            damage.get_or_insert_with(|| outcome::last_cause().unwrap_or_default());
        }
        outcome
    }

    /// What was met of it that is damaged; afterwards it is forgotten.
    pub(crate) fn take_damage(&self) -> Option<String> {
        lock(&self.damage).take()
    }

    /// The highest numbers that anybody may have seen of it.
    pub(crate) fn head(&self, env: &Environment) -> Head {
        let seen = *lock(&self.seen);
        match self.now(env) {
            Ok(version) => version.head().or_higher(&seen),
            Err(_) => seen, // damaged: what it is replaced by is what helps
        }
    }

    /// It has been committed, or another file has taken its place, or none.
    pub(crate) fn replaced(&self, place: Option<Database>, head: Head) {
        *lock(&self.known) = Known { place, ..Known::default() };
        let mut seen = lock(&self.seen);
        *seen = head.or_higher(&seen);
        self.newest.store(head.change, Ordering::Release);
    }

    /// Whether somebody has changed it since.
    fn is_newer_than(&self, version: &Version) -> bool {
        self.newest.load(Ordering::Acquire) != version.head().change
    }
}
