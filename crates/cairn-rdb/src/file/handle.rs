//! Handle: a SQL file as one connection has it open.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rusqlite::ffi;

use super::{
    Answer, Files, Outcome, SqlFile,
    commit::{self, SharedPending},
    failed, outcome,
    pragma::{self, Reply, Synchronous},
    writers::HandleId,
};
use crate::{
    pages::{CHUNK, Draft, Version, WriteError, place},
    sync::lock,
};

/// How far a handle has locked its file. (<https://sqlite.org/lockingv3.html>)
///
/// Readers hold [`Level::Shared`] and read one version; nothing keeps them from it. Only the levels from
/// [`Level::Reserved`] on exclude each other, and they are one and the same here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    pub(crate) fn of(number: i32) -> Option<Self> {
        let levels = [Self::None, Self::Shared, Self::Reserved, Self::Pending, Self::Exclusive];
        levels.get(usize::try_from(number).ok()?).copied()
    }
}

/// A SQL file as one connection has it open.
#[derive(Debug)]
pub(crate) struct Handle {
    files: Arc<Files>,
    shared: Arc<Shared>,
}

/// What the other handles of a connection can see of one.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: HandleId,
    pub(super) file: Arc<SqlFile>,
    /// The connection that it belongs to; 0 until that is known.
    pub(super) connection: AtomicUsize,
    pub(super) state: Mutex<State>,
}

/// What a handle is about.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) level: Level,
    /// What it reads, from the first lock until the last is given back.
    pub(super) version: Option<Version>,
    /// What it has written.
    pub(super) draft: Option<Draft>,
    pub(super) phase: Phase,
    /// The file that ties the journals of several files together, if SQLite made one.
    pub(super) super_journal: Option<String>,
    /// Whether what it commits is to survive more than the process.
    pub(super) is_to_last: bool,
    pub(super) synchronous: Synchronous,
    /// What it has committed, and not waited for.
    pub(super) pending: Option<SharedPending>,
}

/// How far a transaction that writes has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// SQLite writes.
    #[default]
    Writing,
    /// SQLite has written everything: the first phase of the commit has passed.
    Ready,
    /// It is committed.
    Committed,
}

impl State {
    fn version(&self, shared: &Shared, files: &Files) -> Answer<Version> {
        match &self.version {
            Some(version) => Ok(version.clone()),
            // SQLite reads the header when it opens a file, before it locks it.
            None => shared.file.now(&files.env).map_err(|e| failed(ffi::SQLITE_IOERR_READ, e)),
        }
    }

    fn len(&self, version: &Version) -> u64 {
        self.draft.as_ref().map_or_else(|| version.head().len, Draft::len)
    }

    /// What it may write to, and what that is a draft of.
    fn writable(&mut self, code: i32) -> Answer<(&mut Draft, &Version)> {
        match (&mut self.draft, &self.version, self.phase) {
            (Some(draft), Some(version), Phase::Writing | Phase::Ready) => Ok((draft, version)),
            // Without the lock: `nolock` would do that.
            _ => Err(Outcome(code)),
        }
    }
}

impl Handle {
    /// Opens a file.
    pub(crate) fn open(files: Arc<Files>, file: Arc<SqlFile>) -> Self {
        let id = files.next_handle.fetch_add(1, Ordering::Relaxed);
        let shared =
            Arc::new(Shared { id, file, connection: AtomicUsize::new(0), state: Mutex::default() });
        lock(&files.handles).insert(id, Arc::downgrade(&shared));
        Self { files, shared }
    }

    /// The connection that it belongs to is this one.
    pub(crate) fn belongs_to(&self, connection: usize) {
        self.shared.connection.store(connection, Ordering::Release);
    }

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// `SQLITE_IOERR_SHORT_READ` where the file ends before: the rest is zero.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> Answer<()> {
        let state = lock(&self.shared.state);
        let pinned;
        let version = match &state.version {
            Some(version) => version,
            None => {
                pinned = state.version(&self.shared, &self.files)?;
                &pinned
            }
        };
        let there = state.len(version).saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        let mut rest = there;
        let mut offset = offset;
        while !rest.is_empty() {
            let (chunk, at) = place(offset).map_err(|e| failed(ffi::SQLITE_IOERR_READ, e))?;
            let len = rest.len().min(CHUNK - at);
            let (now, later) = rest.split_at_mut(len);
            let read = match &state.draft {
                Some(draft) => draft.read(version, chunk, at, now),
                None => version.read(chunk, at, now),
            };
            read.map_err(|e| self.shared.file.note(failed(ffi::SQLITE_IOERR_READ, e)))?;
            offset += len as u64;
            rest = later;
        }
        match beyond.is_empty() {
            true => Ok(()),
            false => Err(Outcome(ffi::SQLITE_IOERR_SHORT_READ)),
        }
    }

    /// Writes into the draft.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Answer<()> {
        let mut state = lock(&self.shared.state);
        let (draft, version) = state.writable(ffi::SQLITE_IOERR_WRITE)?;
        let written = draft.write(version, offset, bytes);
        written.map_err(|e| self.shared.file.note(failed(ffi::SQLITE_IOERR_WRITE, e)))
    }

    /// Cuts the draft.
    pub(crate) fn truncate(&self, len: u64) -> Answer<()> {
        let mut state = lock(&self.shared.state);
        if state.phase == Phase::Committed {
            return Ok(()); // it was cut when it was committed, together with another file
        }
        let (draft, version) = state.writable(ffi::SQLITE_IOERR_TRUNCATE)?;
        // SQLite does this in the second phase as well.
        draft.truncate(version, len).map_err(outcome::failed_in_phase_two)
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> Answer<u64> {
        let state = lock(&self.shared.state);
        let version = state.version(&self.shared, &self.files)?;
        Ok(state.len(&version))
    }

    /// What is committed next is to survive what the environment says.
    pub(crate) fn sync(&self) {
        lock(&self.shared.state).is_to_last = true;
    }

    /// Everything is written: the first phase of a commit has passed, or a rollback is nearly done.
    pub(crate) fn written(&self, super_journal: Option<String>) {
        let mut state = lock(&self.shared.state);
        if state.phase == Phase::Writing {
            state.phase = Phase::Ready;
        }
        state.super_journal = super_journal;
    }

    /// The second phase of a commit, and the only point at which anything is: together with what the other
    /// files of the connection have ready.
    pub(crate) fn commit(&self) -> Answer<()> {
        commit::commit(&self.files, &self.shared)
    }

    /// Locks the file up to `level`.
    ///
    /// # Errors
    /// `SQLITE_BUSY` if somebody else writes, and `SQLITE_BUSY_SNAPSHOT` if somebody has since this one has
    /// begun to read.
    pub(crate) fn lock(&self, level: Level) -> Answer<()> {
        /// So long it waits for whoever writes. SQLite's own waiting comes on top of that.
        const PATIENCE: Duration = Duration::from_millis(200);
        let mut state = lock(&self.shared.state);
        if level <= state.level {
            return Ok(());
        }
        let (file, id) = (&self.shared.file, self.shared.id);
        let failed = |error| file.note(failed(ffi::SQLITE_IOERR_LOCK, error));
        if state.version.is_none() {
            state.version =
                Some(file.now(&self.files.env).map_err(WriteError::from).map_err(failed)?);
        }
        if level >= Level::Reserved && state.level < Level::Reserved {
            let world = self.files.env.world();
            if !file.writers.take(id, &*world, PATIENCE) {
                return Err(Outcome(ffi::SQLITE_BUSY));
            }
            let version = state.version.as_ref().expect("it was just taken");
            if file.is_newer_than(version) {
                file.writers.step_aside(id, &*world);
                return Err(Outcome(ffi::SQLITE_BUSY_SNAPSHOT));
            }
            state.draft = Some(Draft::of(version));
            state.phase = Phase::Writing;
            state.is_to_last = false;
        }
        state.level = level;
        Ok(())
    }

    /// Gives locks back, down to `level`. What was written and not committed is gone; what was committed is
    /// waited for, after others may write.
    pub(crate) fn unlock(&self, level: Level) -> Answer<()> {
        let mut state = lock(&self.shared.state);
        if level >= state.level {
            return Ok(());
        }
        let had = std::mem::replace(&mut state.level, level);
        let mut answer = Ok(());
        if had >= Level::Reserved && level < Level::Reserved {
            let draft = state.draft.take();
            if state.phase == Phase::Committed && level == Level::Shared {
                // Before anybody else writes: SQLite's cache holds exactly this version.
                let now = self.shared.file.now(&self.files.env);
                let now = now.map_err(|error| failed(ffi::SQLITE_IOERR_UNLOCK, error));
                state.version = now.map_err(|outcome| answer = Err(outcome)).ok();
            }
            state.phase = Phase::Writing;
            state.super_journal = None;
            self.shared.file.writers.release(self.shared.id);
            drop(draft);
        }
        if level == Level::None {
            state.version = None;
        }
        let pending = state.pending.take();
        drop(state);
        let waited = pending.map_or(Ok(()), |pending| commit::wait(&pending));
        answer.and(waited)
    }

    /// Whether somebody writes.
    pub(crate) fn is_reserved(&self) -> bool {
        self.shared.file.writers.is_taken()
    }

    pub(crate) fn level(&self) -> Level {
        lock(&self.shared.state).level
    }

    pub(crate) fn pragma(&self, name: &str, value: Option<&str>) -> Reply {
        if name.eq_ignore_ascii_case(pragma::ENVIRONMENT) {
            return Reply::Text(self.files.id.to_string().into());
        }
        pragma::pragma(name, value, &mut lock(&self.shared.state).synchronous)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SQLite has given back all locks. Should it not have, nobody is kept waiting for that.
        let _not_waited_for: Answer<()> = self.unlock(Level::None);
        lock(&self.files.handles).remove(&self.shared.id);
    }
}
