//! `Core`: what all handles of an environment share.

use std::{fmt, sync::Arc};

use cairn_btree::{Forest, FrozenRoot, TreeWriter};
use cairn_io::{
    WorkerHandle, WorldRef,
    shared::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        thread::ThreadId,
    },
};
use cairn_log::{Appender, CommitSpan, FileNumber, Predecessor};

use crate::{
    EnvError, EnvResult, HealedFile, Options, RecoveryReport,
    checkpoint::Checkpointer,
    commit::{Exclusive, Recent},
    door::Door,
    environment::{Attached, Counters},
    events::Listeners,
    failure::Failure,
    files::Files,
    index::Indexes,
    journal::Journal,
    maintenance::Schedule,
    pin::{Pins, reader::Hold},
    published::Published,
    recovery::Unfinished,
    root::Root,
    scrub::Scrubbed,
    seen::Seen,
    ship::Shipping,
    space::Space,
    state::StateFile,
    sync::{lock, lock_soon},
    utilization::FileEnd,
    value_cache::ValueCache,
};

/// What all handles of an environment share.
///
/// Locks are taken in this order: healing, building, checkpointer, flush role, evicting, commit, state, feeds, hold,
/// the protector, pins. That of what is tended, and that of the attachment, are held while no other is taken.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) world: WorldRef,
    pub(crate) root: Root,
    pub(crate) files: Arc<Files>,
    pub(crate) forest: Arc<Forest>,
    pub(crate) values: ValueCache,
    pub(crate) report: RecoveryReport,
    pub(crate) failure: Failure,
    pub(crate) journal: Journal,
    pub(crate) commit: Mutex<CommitState>,
    /// Told when a turn or an exclusive transaction is over.
    pub(crate) turn_over: Condvar,
    pub(crate) state: Mutex<StateFile>,
    pub(crate) checkpointer: Mutex<Checkpointer>,
    pub(crate) pins: Mutex<Pins>,
    /// Held by whoever writes nodes back to make room.
    pub(crate) evicting: Mutex<()>,
    pub(crate) indexes: Indexes,
    /// Held by who defines and builds an index.
    pub(crate) building: Mutex<()>,
    /// The newest version whose commits are all durable.
    pub(crate) published: Published,
    /// The newest commit.
    pub(crate) latest: AtomicU64,
    /// The newest commit that was acknowledged, at whatever level, or said to be pending.
    pub(crate) acknowledged: AtomicU64,
    pub(crate) holders: Holders,
    pub(crate) counters: Counters,
    /// How many threads write values to places that nothing refers to yet.
    pub(crate) moving: AtomicUsize,
    pub(crate) schedule: Schedule,
    pub(crate) space: Space,
    /// Who gets the journal while it is written.
    pub(crate) shipping: Shipping,
    /// Held by whoever puts a copy in the place of a damaged file.
    pub(crate) healing: Mutex<()>,
    /// What was healed since the open.
    pub(crate) healed: Mutex<Vec<HealedFile>>,
    /// Who wants to know what happens.
    pub(crate) events: Listeners,
    /// What scrubbing has found out.
    pub(crate) scrubbed: Mutex<Scrubbed>,
    pub(crate) door: Door,
    /// What crates above keep here.
    pub(crate) attached: Attached,
    pub(crate) worker: Mutex<Option<WorkerHandle>>,
    /// Writes the journal of commits that do not wait for it.
    pub(crate) journal_worker: Mutex<Option<WorkerHandle>>,
    /// Whether a reader of a standby has gone on since it was opened.
    pub(crate) has_advanced: AtomicBool,
    /// What keeps others from the environment, as long as it is open.
    pub(crate) hold: Mutex<Option<Hold>>,
}

/// What the commit lock protects.
#[derive(Debug)]
pub(crate) struct CommitState {
    pub(crate) writer: TreeWriter,
    /// The journal file in use; `None` before the first write, and between two files.
    pub(crate) appender: Option<Appender>,
    /// The end of the journal file before the one in use.
    pub(crate) tail: Option<Predecessor>,
    /// What recovery leaves to do before the first write.
    pub(crate) unfinished: Option<Unfinished>,
    /// What the last commits have changed.
    pub(crate) recent: Recent,
    /// The thread whose transactions go before all others.
    pub(crate) turn: Option<ThreadId>,
    /// The exclusive transaction that is open. Until it has ended the writer changes nothing.
    pub(crate) exclusive: Option<Exclusive>,
    /// Whether what was given up has left traces under the number of the next commit, which cannot be
    /// used before that.
    pub(crate) has_traces: bool,
    /// The newest commit.
    pub(crate) sequence: u64,
    /// Its time: commit times never go back.
    pub(crate) time: u64,
    /// The smallest number that no tree has had.
    pub(crate) next_tree: u32,
    /// Commit times in the journal file in use.
    pub(crate) span: CommitSpan,
    /// The watermark of the newest record.
    pub(crate) watermark: Option<u64>,
    /// Journal bytes since the newest checkpoint was begun.
    pub(crate) journal_bytes: u64,
    /// Journal bytes since the open, and those that it has replayed.
    pub(crate) journaled: u64,
    /// Journal files that have come to an end, which the checkpointer does not know yet.
    pub(crate) ended: Vec<(FileNumber, FileEnd)>,
    /// Journal files that are longer than they need be, with their ends.
    pub(crate) oversized: Vec<(FileNumber, u64)>,
}

impl CommitState {
    pub(crate) fn journal_begun(&mut self, appender: Appender) {
        self.appender = Some(appender);
        self.span = CommitSpan::default();
        self.watermark = None;
    }

    /// The newest commit is this one now.
    pub(crate) fn committed(&mut self, sequence: u64, time: u64) {
        self.sequence = sequence;
        self.time = time;
        if self.span.oldest_time == 0 {
            self.span.oldest_time = time;
        }
        self.span.newest_time = time;
    }
}

/// Who keeps the environment from being closed.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) snapshots: AtomicUsize,
    pub(crate) transactions: AtomicUsize,
    /// Transactions that have read something.
    pub(crate) observers: AtomicUsize,
    /// How many transactions have ever begun.
    pub(crate) begun: AtomicU64,
    pub(crate) backups: AtomicUsize,
}

impl Holders {
    /// Those that a close would have to wait for, of so many who are `inside`. A backup of an environment
    /// that is only read can go on without it.
    pub(crate) fn list(&self, read_only: bool, inside: u64) -> Vec<String> {
        let several = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let snapshots = self.snapshots.load(Ordering::Acquire);
        let transactions = self.transactions.load(Ordering::Acquire);
        let backups = if read_only { 0 } else { self.backups.load(Ordering::Acquire) };
        let calls = usize::try_from(inside).unwrap_or(usize::MAX);
        [
            several(snapshots, "snapshot"),
            several(transactions, "transaction"),
            several(backups, "backup"),
            several(calls.saturating_sub(snapshots + transactions + backups), "unfinished call"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Core {
    /// An error if the environment has failed or was closed.
    pub(crate) fn check(&self) -> EnvResult<()> {
        self.failure.check()?;
        if self.door.is_closed() { Err(EnvError::Closed) } else { Ok(()) }
    }

    /// As [`Core::check`], and an error if nothing may be written.
    pub(crate) fn check_write(&self) -> EnvResult<()> {
        self.check()?;
        self.check_upkeep()
    }

    /// An error if the environment has failed or is only read: for upkeep, which also goes on while it
    /// is being closed.
    pub(crate) fn check_upkeep(&self) -> EnvResult<()> {
        self.failure.check()?;
        if self.options.read_only { Err(EnvError::ReadOnly) } else { Ok(()) }
    }

    /// A version with at least all commits that were acknowledged before the call. Takes no lock
    /// while these are durable, as they are where every commit syncs, and somebody reads.
    pub(crate) fn newest(&self) -> EnvResult<Seen> {
        self.check()?;
        self.newest_published().map_or_else(|| self.promise_latest(), |made| Ok(made.into()))
    }

    /// The published version, if it has all commits that were acknowledged before the call.
    pub(crate) fn newest_published(&self) -> Option<Arc<FrozenRoot>> {
        let acknowledged = || self.acknowledged.load(Ordering::Acquire);
        self.published.look().filter(|published| published.sequence() >= acknowledged())
    }

    /// A version with all commits. Takes no lock while all are durable, and somebody reads.
    pub(crate) fn latest(&self) -> EnvResult<Seen> {
        self.check()?;
        match self.published.look() {
            Some(published) if published.sequence() == self.latest.load(Ordering::SeqCst) => {
                Ok(Seen::Made(published))
            }
            _ => self.promise_latest(),
        }
    }

    /// The newest version that no crash can take back. If nobody has looked at one lately, all commits become durable
    /// first.
    pub(crate) fn durable(&self) -> EnvResult<Arc<FrozenRoot>> {
        loop {
            if let Some(published) = self.published.look() {
                return Ok(published);
            }
            let sequence = {
                let _guard = self.failure.on_panic();
                let mut commit = lock(&self.commit);
                let sequence = commit.sequence;
                if self.journal.durable() >= sequence {
                    let version = commit.writer.freeze(sequence)?;
                    // Under the lock: whoever syncs later commits publishes after this.
                    self.published.set(Some(Arc::clone(&version)));
                    return Ok(version);
                }
                sequence
            };
            self.flush_to(sequence, true)?;
            if self.journal.durable() < sequence {
                return Err(EnvError::internal("commits without a journal file"));
            }
        }
    }

    /// The version with all commits, to be made if it is needed.
    fn promise_latest(&self) -> EnvResult<Seen> {
        let _guard = self.failure.on_panic();
        let mut commit = lock_soon(&self.commit);
        let sequence = commit.sequence;
        Ok(Seen::Promised(commit.writer.promise(sequence)?))
    }

    /// A version with all commits.
    pub(crate) fn freeze_latest(&self) -> EnvResult<Arc<FrozenRoot>> {
        let _guard = self.failure.on_panic();
        let mut commit = lock(&self.commit);
        let sequence = commit.sequence;
        Ok(commit.writer.freeze(sequence)?)
    }

    /// Wakes the background worker, if there is one.
    pub(crate) fn wake_worker(&self) {
        if let Some(worker) = &*lock(&self.worker) {
            worker.wake();
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({})", self.root.dir.path().display())
    }
}
