//! `JournalWorker`: writes the journal behind those who do not wait for it, syncs it, and lengthens its file ahead of them.
//!
//! A commit that is not synced is a copy into memory. What it leaves behind, its bytes in the file, a sync before there is
//! too much that is not durable, and zeros for what comes next, was half of the time of a load (measured: 480 of 1,040 ms
//! for 300,000 entries of 1 KiB) as long as whoever committed did it. Commits that wait for the disk do not come here: they
//! flush for each other.

use std::sync::{Arc, Weak};

use cairn_io::{
    Step, Worker,
    shared::atomic::{Ordering, fence},
};

use crate::{
    EnvError, EnvResult,
    core::Core,
    environment::Open,
    journal::{self, UNSYNCED_LIMIT},
    sync::lock,
};

/// Bytes that are accepted and not yet written, at most, before whoever commits writes them.
const MOST_UNWRITTEN: usize = 8 << 20;
/// The same with little memory: as much as a part of the budget.
const PART_OF_BUDGET: usize = 64;
const LEAST_UNWRITTEN: usize = 64 << 10;
/// The part of it that the worker writes at once.
const PIECES: u64 = 4;

/// What there is to do for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Much is accepted and not written.
    Write,
    /// Much is not durable.
    Sync,
    /// The file soon ends.
    Extend,
}

impl Core {
    /// What is accepted and not written at most, before it is written by whoever commits.
    fn most_unwritten(&self) -> u64 {
        let part = self.options.cache_bytes / PART_OF_BUDGET;
        part.clamp(LEAST_UNWRITTEN, MOST_UNWRITTEN) as u64
    }

    /// Has the worker write the journal when `unwritten` bytes of it are much. Returns whether the caller has to do it: where
    /// there is no worker, or when it does not keep up.
    pub(crate) fn must_write(&self, unwritten: u64) -> bool {
        let most = self.most_unwritten();
        if self.options.background && unwritten >= most / PIECES {
            fence(Ordering::SeqCst); // the bytes are there for the worker to see, or its sleep for us
            if !self.journal.has_worker_awake.swap(true, Ordering::SeqCst)
                && let Some(worker) = &*lock(&self.journal_worker)
            {
                worker.wake();
            }
        }
        unwritten >= most
    }

    /// Does the next thing that there is to do; returns whether there was any.
    fn tend_journal(&self) -> EnvResult<bool> {
        self.check()?;
        let mut need = self.journal_need();
        if need.is_none() {
            // Before looking again: whoever commits after that rings.
            self.journal.has_worker_awake.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            need = self.journal_need();
        }
        match need {
            None => return Ok(false),
            Some(Need::Write) => self.flush_now(false)?,
            Some(Need::Sync) => self.flush_now(true)?,
            Some(Need::Extend) => self.extend_ahead(self.most_unwritten())?,
        }
        Ok(true)
    }

    fn journal_need(&self) -> Option<Need> {
        let commit = lock(&self.commit);
        let appender = commit.appender.as_ref()?;
        let end = appender.end();
        if self.journal.undurable(end) >= UNSYNCED_LIMIT / 2 {
            return Some(Need::Sync);
        }
        let unwritten = self.journal.unwritten(end);
        if unwritten >= self.most_unwritten() / PIECES {
            return Some(Need::Write);
        }
        let is_short = journal::length_ahead(appender, self.most_unwritten()).is_some();
        (is_short && !self.is_short_of_disk()).then_some(Need::Extend)
    }
}

/// The worker for the journal of one environment. It does not keep the environment open.
struct JournalWorker {
    core: Weak<Core>,
}

impl Worker for JournalWorker {
    fn name(&self) -> &'static str {
        "cairn-journal"
    }

    fn step(&mut self) -> Step {
        let Some(core) = self.core.upgrade() else { return Step::Done };
        match core.tend_journal() {
            Ok(true) => Step::Did,
            Ok(false) => Step::Idle(None),
            // Whatever is lasting has failed the environment, and every handle says so.
            Err(EnvError::Closed | EnvError::Poisoned { .. } | EnvError::CommitUnknown { .. }) => {
                Step::Done
            }
            // The disk is full, which the next commit is told, and rings.
            Err(_) => {
                core.journal.has_worker_awake.store(false, Ordering::SeqCst);
                Step::Idle(None)
            }
        }
    }

    fn panicked(&mut self, message: &str) {
        if let Some(core) = self.core.upgrade() {
            core.failure.poison(EnvError::internal(format!("the journal worker: {message}")));
        }
    }
}

/// Starts the worker, if the options ask for one.
pub(crate) fn start(core: &Arc<Open>) -> EnvResult<()> {
    if core.options.background && !core.options.read_only {
        let worker = JournalWorker { core: core.downgrade() };
        *lock(&core.journal_worker) = Some(core.world.start(Box::new(worker))?);
    }
    Ok(())
}
