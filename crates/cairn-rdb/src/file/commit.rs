//! Commit: what the files of a connection have ready becomes one commit of the environment.

use std::sync::{Arc, Mutex, MutexGuard, atomic::Ordering};

use cairn_env::{Database, Durability, EnvError, PendingCommit};
use rusqlite::ffi;

use super::{
    Answer, Files, Outcome, failed,
    handle::{Phase, Shared, State},
    offered, outcome,
};
use crate::{
    pages::{Head, WriteError},
    sync::lock,
};

/// Larger drafts are committed by an exclusive transaction, which does not hold them in memory once more.
const LARGE: usize = 64 << 20;

/// A commit that nobody has waited for yet. Whoever takes it does.
#[derive(Clone, Debug)]
pub(super) struct SharedPending(Arc<Mutex<Option<PendingCommit>>>);

/// A file whose draft is ready, and the state of its handle.
struct Part<'s> {
    shared: &'s Shared,
    state: MutexGuard<'s, State>,
}

/// Commits what `shared` has ready, together with all that the other handles of its connection have.
///
/// # Errors
/// Then nothing is committed, and SQLite drops what it remembers of the file.
pub(super) fn commit(files: &Files, shared: &Shared) -> Answer<()> {
    let state = lock(&shared.state);
    match state.phase {
        Phase::Committed => return Ok(()),
        Phase::Writing if state.draft.as_ref().is_none_or(|draft| draft.is_unchanged()) => {
            return Ok(()); // nothing was written
        }
        Phase::Writing => return Err(Outcome(ffi::SQLITE_IOERR_WRITE)),
        Phase::Ready => {}
    }
    let others = others(files, shared);
    let mut parts = vec![Part { shared, state }];
    parts.extend(others.iter().filter_map(|other| {
        let state = lock(&other.state);
        (state.phase == Phase::Ready).then_some(Part { shared: other, state })
    }));
    commit_parts(files, &mut parts)
}

/// Commits what is ready of the files whose journals are tied together under this name. For SQLite, the
/// removal of that name is the commit, and what the second phase answers counts for nothing.
///
/// # Errors
/// As [`commit`].
pub(super) fn commit_tied(files: &Files, super_journal: &str) -> Answer<()> {
    let handles: Vec<_> =
        lock(&files.handles).values().filter_map(std::sync::Weak::upgrade).collect();
    let mut parts: Vec<_> = handles
        .iter()
        .filter_map(|shared| {
            // Another connection's may be at work; it is not tied to this name then.
            let state = shared.state.try_lock().ok()?;
            let is_tied = state.super_journal.as_deref() == Some(super_journal);
            (is_tied && state.phase == Phase::Ready).then_some(Part { shared, state })
        })
        .collect();
    if parts.is_empty() { Ok(()) } else { commit_parts(files, &mut parts) }
}

/// The other handles of the connection.
fn others(files: &Files, shared: &Shared) -> Vec<Arc<Shared>> {
    let connection = shared.connection.load(Ordering::Acquire);
    let handles = lock(&files.handles);
    if connection == 0 || handles.len() == 1 {
        return Vec::new();
    }
    handles
        .values()
        .filter_map(std::sync::Weak::upgrade)
        .filter(|other| other.id != shared.id)
        .filter(|other| other.connection.load(Ordering::Acquire) == connection)
        .collect()
}

fn commit_parts(files: &Files, parts: &mut [Part<'_>]) -> Answer<()> {
    let (stored, pending) = store(files, parts).map_err(|error| {
        let outcome = outcome::failed_in_phase_two(error);
        match parts {
            [part] => part.shared.file.note(outcome),
            _ => outcome, // one of them is damaged, and it is not said which
        }
    })?;
    let pending = SharedPending(Arc::new(Mutex::new(pending)));
    for (part, (database, head)) in parts.iter_mut().zip(stored) {
        part.shared.file.replaced(Some(database), head);
        part.state.draft = None;
        part.state.phase = Phase::Committed;
        part.state.pending = Some(pending.clone());
    }
    Ok(())
}

/// Where the files are now, and what is to be waited for.
type Stored = (Vec<(Database, Head)>, Option<PendingCommit>);

fn store(files: &Files, parts: &mut [Part<'_>]) -> Result<Stored, WriteError> {
    let full = files.env.options().durability;
    // The strictest of them.
    let durability = parts
        .iter()
        .map(|part| match part.state.is_to_last {
            true => part.state.synchronous.durability(full),
            false => Durability::NoSync,
        })
        .max_by_key(|durability| match durability {
            Durability::NoSync => 0,
            Durability::Relaxed(_) => 1,
            Durability::WriteNoSync => 2,
            Durability::Sync => 3,
        })
        .unwrap_or(full);
    let mut bytes = 0;
    for part in parts.iter_mut() {
        let State { draft, version, .. } = &mut *part.state;
        let (Some(draft), Some(version)) = (draft, version) else { continue };
        draft.trim(version)?;
        bytes += draft.bytes();
    }
    if let Some(mut txn) = offered::take(files) {
        let stored = store_all(&mut txn, parts)?;
        return Ok((stored, Some(txn.submit(durability)?)));
    }
    if bytes > LARGE {
        let mut txn = files.env.begin_exclusive()?;
        let stored = store_all(&mut txn, parts)?;
        txn.commit_with(durability)?;
        return Ok((stored, None));
    }
    loop {
        let mut txn = files.env.begin_write()?;
        let stored = store_all(&mut txn, parts)?;
        match txn.submit(durability) {
            Ok(pending) => return Ok((stored, Some(pending))),
            // Two files that came into being at the same time.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn store_all(
    txn: &mut impl crate::pages::Target,
    parts: &[Part<'_>],
) -> Result<Vec<(Database, Head)>, WriteError> {
    let stored = parts.iter().filter_map(|part| {
        let (draft, version) = (part.state.draft.as_ref()?, part.state.version.as_ref()?);
        let file = &part.shared.file;
        let seen = *lock(&file.seen);
        Some(draft.store(txn, &file.database_name, version, &seen))
    });
    stored.collect()
}

/// Waits until a commit is as durable as it was to be, unless somebody else does.
///
/// # Errors
/// If that cannot be known. `COMMIT` then fails, although others may see the commit already; the environment has
/// failed, and must be opened again.
pub(super) fn wait(pending: &SharedPending) -> Answer<()> {
    let Some(pending) = lock(&pending.0).take() else { return Ok(()) };
    match pending.wait() {
        Ok(_) => Ok(()),
        // It is there, and will last as soon as there is room.
        Err(error @ EnvError::CommitPending { .. }) => {
            let _told_apart = failed(ffi::SQLITE_IOERR_FSYNC, error);
            Ok(())
        }
        Err(error) => Err(failed(ffi::SQLITE_IOERR_FSYNC, error)),
    }
}
