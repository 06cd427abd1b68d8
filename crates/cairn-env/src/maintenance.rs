//! What happens beside commits: flushing in the background, checkpoints, eviction.
//!
//! All of it is steps. The background worker takes them when they are due; where there is no
//! worker, or where it does not keep up, the committing thread takes them itself.

use std::{
    sync::{Arc, TryLockError, Weak},
    time::Duration,
};

use cairn_io::{
    Step, Worker,
    shared::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
use cairn_log::FileNumber;

use crate::{
    Durability, EnvError, EnvResult, cleaner::Cleaning, core::Core, environment::Open,
    scrub::Scrubber, sync::lock,
};

/// After this long without commits the watermark is written as a record of its own.
const IDLE: Duration = Duration::from_millis(10);
/// Nodes that one step of a checkpoint writes.
const STEP_NODES: usize = 64;
/// Steps of a cleaning that go with one of a checkpoint. While checkpoints follow each other they make as much garbage as they
/// write; about half of what the cleaner goes through is in use.
const CLEANING_PACE: usize = 2;

/// Of the budget for memory: what it is exceeded by before commits help the worker to make room.
const TOLERATED: usize = 16;

/// When something is due, for the worker to see without a lock.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Monotonic time in microseconds at which undurable commits must be synced; 0: none.
    flush_at: AtomicU64,
    /// Journal bytes since the newest checkpoint was begun.
    journal_bytes: AtomicU64,
    /// End of what is accepted minus what is written, as of the newest commit.
    unwritten: AtomicU64,
    /// Whether steps have left a checkpoint unfinished: whoever began it, the worker ends it.
    in_checkpoint: AtomicBool,
    /// Checkpoints that are wanted even if no commit has come since the last one.
    wanted: AtomicU32,
    /// Whether this run has written: recovery has done what it left to do, and new files bear the mark
    /// of this run. Before that nothing may be written in the background.
    pub(crate) begun: AtomicBool,
    /// Whether the worker sleeps until it is woken, so that a commit has to, lest the watermark is not
    /// written when the log goes idle. Not so while commits come one after the other.
    asleep: AtomicBool,
    /// Whether dropped databases may not be gone yet.
    pub(crate) has_graves: AtomicBool,
    /// Bytes beyond the budget for memory that could not be made free when it was tried last.
    in_use: AtomicUsize,
}

impl Schedule {
    pub(crate) fn committed(&self, journal_bytes: u64, unwritten: u64) {
        self.journal_bytes.store(journal_bytes, Ordering::Relaxed);
        self.unwritten.store(unwritten, Ordering::Relaxed);
    }

    /// Asks for `n` checkpoints, also if no commit has come since the last one.
    pub(crate) fn want_checkpoints(&self, n: u32) {
        self.wanted.fetch_max(n, Ordering::Relaxed);
    }

    /// Whether a checkpoint was asked for; it is the one that begins now.
    pub(crate) fn take_wanted(&self) -> bool {
        let less = |wanted: u32| wanted.checked_sub(1);
        self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(crate) fn checkpoint_begun(&self) {
        self.journal_bytes.store(0, Ordering::Relaxed);
    }

    /// Notes that commits must be durable at `at`; returns whether that is news.
    fn flush_by(&self, at: u64) -> bool {
        let before = self.flush_at.load(Ordering::Relaxed);
        if before != 0 && before <= at {
            return false;
        }
        self.flush_at.store(at.max(1), Ordering::Relaxed);
        true
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Core {
    /// What a commit leaves to do: called without any lock.
    pub(crate) fn after_commit(&self, durability: Durability) -> EnvResult<()> {
        let wait = match durability {
            Durability::Sync => None,
            Durability::WriteNoSync | Durability::NoSync => Some(self.options.flush_interval),
            Durability::Relaxed(at_most) => Some(at_most.min(self.options.flush_interval)),
        };
        if let Some(wait) = wait {
            if self.must_write(self.schedule.unwritten.load(Ordering::Relaxed)) {
                match self.flush_to(self.latest.load(Ordering::Acquire), false) {
                    // On a full disk it waits in memory; nothing else is accepted meanwhile.
                    Err(error) if error.may_try_again() => {}
                    flushed => flushed?,
                }
            }
            let has_schedule = self.schedule.flush_at.load(Ordering::Relaxed) != 0;
            if self.options.background && (!has_schedule || wait < self.options.flush_interval) {
                let at = micros(self.world.monotonic() + wait);
                if self.schedule.flush_by(at) {
                    self.wake_worker();
                }
            }
        }
        self.rouse();
        // Nothing that goes wrong with a checkpoint undoes a commit that is in the journal. If it fails
        // the environment, the next call is told; if not, the next commit tries again.
        drop(self.relieve());
        Ok(())
    }

    /// Wakes the worker if it sleeps for good.
    fn rouse(&self) {
        fence(Ordering::SeqCst); // the commit is there for the worker to see, or its sleep for us
        if self.schedule.asleep.load(Ordering::Relaxed) {
            self.schedule.asleep.store(false, Ordering::Relaxed);
            self.wake_worker();
        }
    }

    /// Whether so much has changed that a checkpoint should be made.
    fn checkpoint_is_due(&self, factor: u64) -> bool {
        let most_dirty = self.forest.options().cache_bytes as u64 * 2 / 5;
        self.schedule.wanted.load(Ordering::Relaxed) > 0
            || self.schedule.journal_bytes.load(Ordering::Relaxed)
                >= self.options.checkpoint_bytes.saturating_mul(factor)
            || self.forest.dirty() as u64 > most_dirty.saturating_mul(factor)
    }

    /// Keeps journal and memory within bounds: wakes the worker, helps it, or does its work.
    fn relieve(&self) -> EnvResult<()> {
        if !self.checkpoint_is_due(1) {
            if self.options.background && self.forest.excess() > 0 {
                self.wake_worker();
            }
            return Ok(());
        }
        if self.options.background {
            if !self.checkpoint_is_due(2) {
                self.wake_worker();
                return Ok(());
            }
            // The worker does not keep up: whoever writes helps, and so is slowed down.
            if self.step_checkpoint(STEP_NODES)? {
                self.wake_worker();
            }
            return Ok(());
        }
        self.checkpoint().map(drop)
    }

    /// Takes a step of a checkpoint, unless somebody else is at it. Returns whether there is more.
    fn step_checkpoint(&self, max: usize) -> EnvResult<bool> {
        let mut checkpointer = match self.checkpointer.try_lock() {
            Ok(checkpointer) => checkpointer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let stepped = self.checkpoint_step(&mut checkpointer, max);
        let has_more = matches!(stepped, Ok(None));
        self.schedule.in_checkpoint.store(has_more, Ordering::Relaxed);
        match stepped {
            Ok(_) => Ok(has_more),
            Err(error) if error.is_no_space() => Ok(false), // tried again when more has changed
            Err(error) => Err(error),
        }
    }

    /// Before a commit takes its place: whoever wants more memory makes room for it, if the worker does not keep up.
    pub(crate) fn make_memory_room(&self) -> EnvResult<()> {
        let tolerated = self.forest.options().cache_bytes / TOLERATED;
        let excess = || self.forest.excess();
        let in_use = &self.schedule.in_use;
        if excess() <= tolerated + in_use.load(Ordering::Relaxed) || !self.may_write_nodes() {
            return Ok(());
        }
        let mut before = excess();
        while before > tolerated {
            let written = match self.write_back(STEP_NODES) {
                // Full disks are the journal's concern: what it accepts is not refused because of memory.
                Err(error) if error.may_try_again() => return Ok(()),
                written => written?,
            };
            let after = excess();
            if written == 0 && after >= before {
                // All of it is in use: no use looking again before there is more.
                in_use.store(after, Ordering::Relaxed);
                return Ok(());
            }
            before = after;
        }
        in_use.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Whether nodes may be written outside of a checkpoint.
    fn may_write_nodes(&self) -> bool {
        !self.options.read_only && self.schedule.begun.load(Ordering::Acquire)
    }

    /// How long to wait after an error: whatever it was about, commits become durable in time.
    fn until_flush(&self, at_most: Duration) -> Duration {
        match self.schedule.flush_at.load(Ordering::Relaxed) {
            0 => at_most,
            at => {
                let now = micros(self.world.monotonic());
                at_most.min(Duration::from_micros(at.saturating_sub(now)))
            }
        }
    }

    /// Takes the step that is due, if any, and says when the next one will be.
    fn maintain(&self, state: &mut State) -> EnvResult<Step> {
        self.check()?;
        let now = micros(self.world.monotonic());
        let flush_at = self.schedule.flush_at.load(Ordering::Relaxed);
        if flush_at != 0 && flush_at <= now {
            // Commits that come now get a time of their own.
            self.schedule.flush_at.store(0, Ordering::Relaxed);
            let flushed = self.flush_to(self.latest.load(Ordering::Acquire), true);
            if flushed.as_ref().is_err_and(EnvError::may_try_again) {
                self.schedule.flush_by(now + micros(self.options.flush_interval));
            }
            return flushed.map(|()| Step::Did);
        }
        let wrote_back =
            self.forest.excess() > 0 && self.may_write_nodes() && self.write_back(STEP_NODES)? > 0;
        let in_checkpoint = self.schedule.in_checkpoint.load(Ordering::Relaxed);
        let may_clean = self.schedule.begun.load(Ordering::Acquire) && !self.is_exclusive();
        if (in_checkpoint || self.checkpoint_is_due(1))
            && !self.options.read_only
            && self.step_checkpoint(STEP_NODES)?
        {
            let mut steps = 0;
            while steps < CLEANING_PACE && may_clean && state.cleaning.is_some() {
                self.clean(state)?;
                steps += 1;
            }
            return Ok(Step::Did);
        }
        if self.tend()? {
            return Ok(Step::Did);
        }
        if may_clean {
            if self.schedule.has_graves.load(Ordering::Acquire) && self.empty_graves()? {
                return Ok(Step::Did);
            }
            if self.options.space_target > 0 && self.clean(state)? {
                return Ok(Step::Did);
            }
        }
        if wrote_back {
            return Ok(Step::Did);
        }
        let mut next = match flush_at {
            0 => None,
            at => Some(Duration::from_micros(at.saturating_sub(now))),
        };
        if let Some(wait) = self.tend_again() {
            next = Some(next.map_or(wait, |next| next.min(wait)));
        }
        // Last of all: whatever else there is to do has gone before.
        if let Some(wait) = state.scrubber.step(self) {
            if wait.is_zero() {
                return Ok(Step::Did);
            }
            next = Some(next.map_or(wait, |next| next.min(wait)));
        }
        // Before looking what there is: a commit after the look finds it set.
        self.schedule.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let progress = (self.latest.load(Ordering::Acquire), self.journal.durable());
        if progress != state.seen {
            (state.seen, state.seen_at) = (progress, now);
        }
        if state.marked != progress {
            let idle_at = state.seen_at + micros(IDLE);
            if now < idle_at {
                self.schedule.asleep.store(false, Ordering::Relaxed); // it looks again anyway
                let wait = Duration::from_micros(idle_at - now);
                return Ok(Step::Idle(Some(next.map_or(wait, |next| next.min(wait)))));
            }
            state.marked = progress;
            self.write_watermark()?;
        }
        Ok(Step::Idle(next))
    }

    /// Takes a step of cleaning; returns whether it did anything. Which files are worth it is asked
    /// once after each checkpoint; files that are not full add up to a quarter of one, or nothing is
    /// done, lest a checkpoint make work for the cleaner and the cleaner for a checkpoint.
    fn clean(&self, state: &mut State) -> EnvResult<bool> {
        if let Some(cleaning) = &mut state.cleaning {
            if !self.clean_step(cleaning)? {
                state.unreadable.extend(cleaning.damaged.iter().map(|(number, _)| *number));
                state.cleaning = None;
                // The first finds the files dead, the second lets them go.
                self.schedule.want_checkpoints(2);
            }
            return Ok(true);
        }
        let Ok(checkpointer) = self.checkpointer.try_lock() else { return Ok(false) };
        let newest = checkpointer
            .newest
            .as_ref()
            .map_or((0, 0), |newest| (newest.record.number, newest.record.sequence));
        let before = std::mem::replace(&mut state.looked_at, newest);
        if before == newest {
            return Ok(false);
        }
        if before.1 != newest.1 {
            // Files that are written without any commit in between are the cleaner's own.
            state.clean_before = Some(self.files.next());
            state.cleaned.clear();
        }
        let skip = [&state.unreadable[..], &state.cleaned].concat();
        let target = self.space_target();
        let least = self.options.node_file_bytes / 4;
        let before = state.clean_before.unwrap_or(FileNumber::FIRST);
        state.cleaning = self.to_clean(&checkpointer, target, least, before, &skip);
        if let Some(cleaning) = &state.cleaning {
            state.cleaned.extend(cleaning.numbers());
        }
        Ok(state.cleaning.is_some())
    }

    /// Writes the watermark without a sync, if it has moved: a log that goes idle then proves how far
    /// it was durable.
    fn write_watermark(&self) -> EnvResult<()> {
        let moved = {
            let mut commit = lock(&self.commit);
            let before = commit.watermark;
            self.append_watermark(&mut commit)?;
            commit.watermark != before
        };
        if moved { self.write_accepted() } else { Ok(()) }
    }
}

/// What the worker remembers between steps.
#[derive(Debug, Default)]
struct State {
    /// Files that are being cleaned.
    cleaning: Option<Cleaning>,
    /// The checkpoint after which the files were looked at last, and its commit.
    looked_at: (u64, u64),
    /// Files from this one on were written since the newest commit.
    clean_before: Option<FileNumber>,
    /// Files that were cleaned since then.
    cleaned: Vec<FileNumber>,
    /// Files that cannot be cleaned, since they are damaged.
    unreadable: Vec<FileNumber>,
    scrubber: Scrubber,
    /// The newest commit and the newest durable one when it looked last, and since when they are that.
    seen: (u64, u64),
    seen_at: u64,
    /// Those for which the watermark was written last.
    marked: (u64, u64),
}

/// The background worker of one environment. It does not keep the environment open.
struct Maintenance {
    core: Weak<Core>,
    state: State,
}

impl Worker for Maintenance {
    fn name(&self) -> &'static str {
        "cairn-maintenance"
    }

    fn step(&mut self) -> Step {
        let Some(core) = self.core.upgrade() else { return Step::Done };
        match core.maintain(&mut self.state) {
            Ok(step) => step,
            // Whatever is lasting has failed the environment, and every handle says so.
            Err(EnvError::Closed | EnvError::Poisoned { .. } | EnvError::CommitUnknown { .. }) => {
                Step::Done
            }
            Err(_) => Step::Idle(Some(core.until_flush(Duration::from_secs(1)))),
        }
    }

    fn panicked(&mut self, message: &str) {
        if let Some(core) = self.core.upgrade() {
            core.failure.poison(EnvError::internal(format!("the background worker: {message}")));
        }
    }
}

/// Starts the background worker, if the options ask for one.
pub(crate) fn start(core: &Arc<Open>) -> EnvResult<()> {
    if core.options.background && !core.options.read_only {
        let worker = Maintenance { core: core.downgrade(), state: State::default() };
        *lock(&core.worker) = Some(core.world.start(Box::new(worker))?);
    }
    Ok(())
}
