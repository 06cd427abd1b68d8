//! The exclusive mode: one transaction changes a fork of the trees, and all commits wait for it.

use std::sync::PoisonError;

use cairn_btree::TreeWriter;
use cairn_io::shared::{
    MutexGuard,
    atomic::Ordering,
    thread::{self, ThreadId},
};
use cairn_log::{FrameHeader, Lsn, Payload, RecordKind};

use super::parts::CommitRecord;
use crate::{
    EnvError, EnvResult,
    core::{CommitState, Core},
    index::IndexChange,
    journal::Room,
    sync::{lock, lock_soon},
};

/// The exclusive transaction that is open.
#[derive(Debug)]
pub(crate) struct Exclusive {
    thread: ThreadId,
    /// Where its first part stands: replay must not begin behind that.
    pub(crate) first_part: Option<Lsn>,
    /// What [`CommitState::journaled`] was before that.
    pub(crate) journaled_before: u64,
}

impl Core {
    /// The commit lock, when no exclusive transaction is open, and the number of the next commit is
    /// free.
    pub(super) fn lock_shared(&self) -> EnvResult<MutexGuard<'_, CommitState>> {
        loop {
            let mut commit = lock_soon(&self.commit);
            while let Some(exclusive) = &commit.exclusive {
                if exclusive.thread == thread::current().id() {
                    let what =
                        "this thread has an exclusive transaction open, for which this would wait";
                    return Err(EnvError::InvalidInput { what: what.into() });
                }
                self.check()?;
                commit = self.turn_over.wait(commit).unwrap_or_else(PoisonError::into_inner);
            }
            if !commit.has_traces {
                return Ok(commit);
            }
            drop(commit);
            self.check()?;
            self.end_incarnation()?;
        }
    }

    /// The commit lock, for upkeep that changes where things stand: not while a fork is about to
    /// replace all that.
    pub(crate) fn lock_for_upkeep(&self) -> EnvResult<MutexGuard<'_, CommitState>> {
        let commit = lock(&self.commit);
        match commit.exclusive {
            None => Ok(commit),
            Some(_) => Err(EnvError::Busy { holders: vec!["an exclusive transaction".into()] }),
        }
    }

    /// Whether an exclusive transaction is open.
    pub(crate) fn is_exclusive(&self) -> bool {
        lock(&self.commit).exclusive.is_some()
    }

    /// Begins an exclusive transaction: its fork, and the number that its commit will have.
    pub(crate) fn begin_exclusive(&self) -> EnvResult<(TreeWriter, u64)> {
        let _guard = self.failure.on_panic();
        let mut commit = self.lock_in_turn()?;
        self.check_write()?;
        let sequence = commit.sequence + 1;
        if sequence > FrameHeader::MAX_SEQUENCE {
            return Err(EnvError::Exhausted { what: "commit numbers" });
        }
        let fork = commit.writer.fork(sequence - 1)?;
        commit.exclusive = Some(Exclusive {
            thread: thread::current().id(),
            first_part: None,
            journaled_before: commit.journaled,
        });
        Ok((fork, sequence))
    }

    /// Logs a part of a transaction that, as far as is known, `adds` something, or only deletes.
    pub(crate) fn append_part(
        &self,
        sequence: u64,
        payload: &mut Payload,
        adds: bool,
    ) -> EnvResult<Lsn> {
        self.check_write()?;
        self.write_what_waits()?;
        if adds {
            self.admit(payload.record_len())?;
        }
        let (lsn, unwritten) = {
            let _guard = self.failure.on_panic();
            let mut commit = self.lock_with_room(payload.record_len())?;
            let (lsn, unwritten) = self.append(&mut commit, RecordKind::PART, sequence, payload)?;
            let exclusive = commit.exclusive.as_mut();
            let exclusive = exclusive.ok_or_else(|| EnvError::internal("a part of nothing"))?;
            exclusive.first_part.get_or_insert(lsn);
            (lsn, unwritten)
        };
        if self.must_write(unwritten) {
            self.write_accepted()?;
        }
        Ok(lsn)
    }

    /// Commits what the fork has become. It is visible when this returns.
    pub(crate) fn commit_fork(
        &self,
        fork: TreeWriter,
        parts: u64,
        index_changes: Vec<IndexChange>,
    ) -> EnvResult<u64> {
        let mut payload = self.files.payload_of(CommitRecord { time: 0, parts }.encode())?;
        let result = self.lock_with_room(payload.record_len());
        let _guard = self.failure.on_panic();
        let mut commit = match result {
            Ok(commit) => commit,
            Err(error) => {
                self.end_exclusive(Some(fork))?;
                return Err(error);
            }
        };
        let (sequence, time) = (commit.sequence + 1, self.world.wall().0.max(commit.time));
        payload.set(super::record::TIME, &time.to_le_bytes());
        match self.append(&mut commit, RecordKind::COMMIT, sequence, &payload) {
            Ok(_) => {}
            Err(error) => {
                drop(commit);
                self.end_exclusive(Some(fork))?;
                return Err(error);
            }
        }
        commit.writer.adopt(fork);
        commit.committed(sequence, time);
        self.indexes.apply(index_changes, sequence);
        commit.recent.pass(sequence);
        self.latest.store(sequence, Ordering::SeqCst);
        drop(commit);
        self.end_exclusive(None)?;
        Ok(sequence)
    }

    /// Lets the others go on; a fork that is left is given up.
    pub(crate) fn end_exclusive(&self, fork: Option<TreeWriter>) -> EnvResult<()> {
        let given_up = fork.map_or(Ok(()), |fork| self.give_up(fork));
        lock(&self.commit).exclusive = None;
        self.turn_over.notify_all();
        given_up
    }

    fn give_up(&self, fork: TreeWriter) -> EnvResult<()> {
        {
            let _guard = self.failure.on_panic();
            let _nobody_writes = lock(&self.evicting);
            let mut commit = lock(&self.commit);
            let exclusive = commit.exclusive.as_ref();
            let is_logged = exclusive.is_some_and(|exclusive| exclusive.first_part.is_some());
            commit.has_traces |= is_logged || fork.is_spilled();
            let given_up = commit.writer.give_up_fork(fork);
            given_up
                .map_err(|error| EnvError::Poisoned { cause: self.failure.poison(error.into()) })?;
            if !commit.has_traces {
                return Ok(());
            }
        }
        match self.end_incarnation() {
            Err(error) if error.is_no_space() => Ok(()), // whoever commits next tries again
            result => result,
        }
    }

    /// The number of what was given up will be that of another commit. So that parts and leaves of both
    /// are never taken for one another, what was written until now is of an incarnation that ends here.
    fn end_incarnation(&self) -> EnvResult<()> {
        self.seal_journal(|_| Ok(()))?;
        let _nobody_writes = lock(&self.evicting);
        self.files.end_nodes().map_err(|error| self.node_failure(error.into()))?;
        let mut commit = lock(&self.commit);
        if std::mem::take(&mut commit.has_traces) {
            self.files.identity.incarnation.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes back nodes that were not used lately: at most `max` of them, and only as long as the
    /// budget for memory is exceeded. Returns how many.
    pub(crate) fn write_back(&self, max: usize) -> EnvResult<usize> {
        let _one_at_a_time = lock(&self.evicting);
        self.forest.write_back(max).map_err(|error| self.node_failure(error.into()))
    }

    /// The commit lock, with room in the journal for a record of `len` bytes.
    fn lock_with_room(&self, len: u64) -> EnvResult<MutexGuard<'_, CommitState>> {
        loop {
            self.check_write()?;
            let commit = lock(&self.commit);
            match commit.appender.as_ref().map(|appender| self.room(appender, len)) {
                Some(Room::Here) => return Ok(commit),
                Some(_) | None => {
                    drop(commit);
                    self.make_journal_room(len)?;
                }
            }
        }
    }
}
