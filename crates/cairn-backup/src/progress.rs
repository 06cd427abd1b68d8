//! How far a backup, restore or verification has come, and whether it goes on.

use std::{
    cell::Cell,
    sync::{Arc, PoisonError},
};

use cairn_io::{
    WorldRef,
    shared::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{BackupError, BackupResult, Cancel, Pace, pace::Throttle, sync::lock};

/// How far a backup, restore or verification has come. It never goes back, `total` stays what it is, and in the end
/// `done` is `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Called from time to time while something long goes on, always by the thread that waits for it.
pub(crate) type Report<'a> = Option<&'a (dyn Fn(Progress) + Send + Sync)>;

/// Counts bytes for one thread, and reports those of all if it is the one that waits.
pub(crate) struct Counter<'a> {
    flow: Arc<Flow>,
    report: Report<'a>,
    /// What was counted here.
    counted: Cell<u64>,
    /// What is to be read again, and was counted.
    again: Cell<u64>,
}

/// What the threads of a copy share.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    total: u64,
    state: Mutex<State>,
    news: Condvar,
    throttle: Option<Throttle>,
    cancel: Cancel,
    /// One of the threads has failed.
    has_failed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    /// Whether something has happened since somebody has looked.
    is_new: bool,
}

impl Flow {
    /// Counts bytes, and returns how many there are now.
    fn count(&self, bytes: u64) -> u64 {
        let mut state = lock(&self.state);
        state.done += bytes;
        state.done
    }

    /// What was found damaged is read again elsewhere: that is more than there was to do.
    fn at(&self, done: u64) -> Progress {
        Progress { done: done.min(self.total), total: self.total }
    }

    fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || self.has_failed()
    }

    /// Whether one of the threads has.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Ends what the other threads are doing.
    pub(crate) fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Tells who waits that there is something to see.
    pub(crate) fn ring(&self) {
        lock(&self.state).is_new = true;
        self.news.notify_one();
    }

    /// Waits until something has happened since the last time.
    pub(crate) fn wait(&self) {
        let mut state = lock(&self.state);
        while !state.is_new {
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_new = false;
    }
}

impl<'a> Counter<'a> {
    pub(crate) fn new(total: u64, report: Report<'a>) -> Self {
        Self::of(Arc::new(Flow { total, ..Flow::default() }), report)
    }

    /// One that keeps to a pace.
    pub(crate) fn paced(
        total: u64,
        report: Report<'a>,
        pace: &Pace<'_>,
        world: &WorldRef,
    ) -> BackupResult<Self> {
        pace.check()?;
        let throttle = pace.bytes_per_second.map(|bytes| Throttle::new(world, bytes));
        let cancel = pace.cancel.cloned().unwrap_or_default();
        let counter =
            Self::of(Arc::new(Flow { total, throttle, cancel, ..Flow::default() }), report);
        counter.check()?;
        Ok(counter)
    }

    /// One more for the same bytes: who has no report tells the one who has.
    pub(crate) fn of(flow: Arc<Flow>, report: Report<'a>) -> Self {
        Self { flow, report, counted: Cell::new(0), again: Cell::new(0) }
    }

    pub(crate) const fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// So many bytes were read.
    ///
    /// # Errors
    /// [`BackupError::Cancelled`].
    pub(crate) fn add(&self, bytes: u64) -> BackupResult<()> {
        self.check()?;
        if let Some(throttle) = &self.flow.throttle {
            throttle.pass(bytes, || self.flow.is_over());
        }
        self.skip(bytes)
    }

    /// So many bytes are done, and nothing had to be read for that.
    ///
    /// # Errors
    /// [`BackupError::Cancelled`].
    pub(crate) fn skip(&self, bytes: u64) -> BackupResult<()> {
        let known = bytes.min(self.again.get());
        self.again.set(self.again.get() - known);
        self.counted.set(self.counted.get() + bytes - known);
        let done = self.flow.count(bytes - known);
        match self.report {
            Some(report) => report(self.flow.at(done)),
            None => self.flow.ring(),
        }
        self.check()
    }

    /// An error if it does not go on.
    pub(crate) fn check(&self) -> BackupResult<()> {
        match self.flow.is_over() {
            true => Err(BackupError::Cancelled),
            false => Ok(()),
        }
    }

    /// What was counted here, up to now.
    pub(crate) fn counted(&self) -> u64 {
        self.counted.get()
    }

    /// So much is to be read once more, and has been counted.
    pub(crate) fn again(&self, bytes: u64) {
        self.again.set(self.again.get() + bytes);
    }

    /// Bytes done, of all threads.
    pub(crate) fn done(&self) -> u64 {
        self.flow.count(0)
    }

    /// Reports what others have done.
    pub(crate) fn tell(&self) {
        if let Some(report) = self.report {
            report(self.flow.at(self.done()));
        }
    }

    /// It has come to its end, also if some bytes were not worth reading.
    pub(crate) fn end(&self) {
        let missing = self.flow.total.saturating_sub(self.done());
        self.flow.count(missing);
        self.tell();
    }
}
