//! Space on disk: what the environment takes, what it may take, and who holds back what could go.
//!
//! There are two limits, as Berkeley DB JE has them: [`Options::max_disk`] on what the environment
//! takes, and [`Options::free_disk`] on what it leaves of each device. A commit that comes near one
//! of them first lets everything go that can go. If that does not help, it is refused with
//! [`EnvError::DiskLimit`], unless it only deletes. The room for this is kept from the beginning: a
//! commit that adds something must leave enough for a checkpoint of all that has changed, and for
//! some more journal. So deleting, checkpoints, cleaning and closing always find room, and the
//! environment stays valid.
//!
//! [`Options::max_disk`]: crate::Options#structfield.max_disk
//! [`Options::free_disk`]: crate::Options#structfield.free_disk

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use cairn_btree::FrozenRoot;
use cairn_io::{
    Dir,
    shared::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use cairn_log::{FileClass, FileNumber};

use crate::{
    EnvError, EnvResult, FileSpace, checkpoint::Checkpointer, core::Core, sync::lock, tell,
};

/// What is kept beside everything else: headers, the record of a checkpoint, the table of files.
const SLACK: u64 = 64 << 10;
/// A journal file grows by at most this much at a time; two steps are kept.
const JOURNAL_STEP: u64 = 4 << 20;

/// A limit of the space on disk that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskLimit {
    /// [`Options::max_disk`](crate::Options#structfield.max_disk).
    MaxDisk {
        /// Bytes that the environment may take.
        bytes: u64,
    },
    /// [`Options::free_disk`](crate::Options#structfield.free_disk).
    FreeDisk {
        /// Bytes that are to stay free.
        bytes: u64,
        /// Bytes that are free.
        free: u64,
        /// On the device of this directory.
        path: PathBuf,
    },
}

impl fmt::Display for DiskLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxDisk { bytes } => write!(f, "the environment may take {bytes} bytes"),
            Self::FreeDisk { bytes, free, path } => write!(
                f,
                "{bytes} bytes are to stay free at {}, where {free} are free",
                path.display()
            ),
        }
    }
}

/// Who keeps log files from being removed that nothing else needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceHolder {
    /// What it is.
    pub kind: HolderKind,
    /// The last commit that it sees.
    pub commit: u64,
    /// Bytes of log files that could go but for it. What several hold is counted for each.
    pub bytes: u64,
    /// How long it has done so: since the first checkpoint that it has outlived, or, for a backup,
    /// since it was begun.
    pub since: Duration,
}

/// The kinds of [`SpaceHolder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HolderKind {
    /// Snapshots, cursors or transactions of one version.
    Reader,
    /// A backup in progress.
    Backup,
    /// [`Options::keep_journal`](crate::Options#structfield.keep_journal): what came after the commit can be
    /// gone back to.
    History,
    /// A sink that commits do not wait for: it has yet to get the journal since the commit.
    Sink,
}

impl fmt::Display for SpaceHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, commit, bytes, since } = self;
        let who = match kind {
            HolderKind::Reader => "a reader of",
            HolderKind::Backup => "a backup of",
            HolderKind::History => "the history since",
            HolderKind::Sink => "a sink that lacks the journal since",
        };
        write!(f, "{who} commit {commit} holds back {bytes} bytes for {} s", since.as_secs())
    }
}

/// A list of holders, for messages.
pub(crate) fn show_holders(holders: &[SpaceHolder]) -> String {
    match holders {
        [] => "nobody holds anything back".into(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Space on disk: see [`Environment::space`](crate::Environment::space).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceReport {
    /// Bytes that the log files take, zeros ahead of the journal included.
    pub used: u64,
    /// Bytes of them that the newest checkpoint can reach.
    pub live: u64,
    /// The log files, in the order of their numbers.
    pub files: Vec<FileSpace>,
    /// Bytes that are kept for deletes, checkpoints, cleaning and closing while there is a limit.
    pub kept: u64,
    /// Free bytes of the device that has the least; `None` if that was not asked for by
    /// [`Options::free_disk`](crate::Options#structfield.free_disk).
    pub free: Option<u64>,
    /// Who keeps log files from being removed, and how much of them: the largest first.
    pub holders: Vec<SpaceHolder>,
    /// Backups that have lost their files since the open, for they had cost more than they may.
    pub lost_backups: u64,
    /// Commits that were refused with [`EnvError::DiskLimit`] since the open.
    pub refused_commits: u64,
}

/// What is known of the space on disk.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// What the log files took when they were last looked at, and what has been added since.
    used: AtomicU64,
    /// What was free then on the tightest device.
    free: AtomicU64,
    /// Which of the directories that was.
    tightest: AtomicUsize,
    /// Bytes of nodes that the writer owns.
    private: AtomicU64,
    refused: AtomicU64,
    /// Versions before this gen are too old to be read.
    too_old: AtomicU64,
    /// What had happened when everything was last let go that could go.
    relieved: Mutex<Option<Moment>>,
}

/// What must have changed for another attempt to be worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    commit: u64,
    checkpoint: u64,
    oldest_reader: Option<u64>,
    pins: usize,
}

impl Space {
    pub(crate) fn note_private(&self, bytes: usize) {
        self.private.store(bytes as u64, Ordering::Relaxed);
    }
}

impl Core {
    fn has_disk_limit(&self) -> bool {
        self.options.max_disk > 0 || self.options.free_disk > 0
    }

    /// An error if a commit of `bytes` bytes that adds something would come too near to a limit, and
    /// nothing could be let go. The caller holds no lock.
    pub(crate) fn admit(&self, bytes: u64) -> EnvResult<()> {
        if !self.has_disk_limit() || self.reached(bytes).is_none() {
            return Ok(());
        }
        // One at a time; who has waited finds what the one before has done.
        let mut relieved = lock(&self.space.relieved);
        self.measure_space()?;
        if self.reached(bytes).is_none() {
            return Ok(());
        }
        let is_new = *relieved != Some(self.moment());
        if is_new {
            self.relieve_disk()?;
            self.measure_space()?;
            *relieved = Some(self.moment());
        }
        match self.reached(bytes) {
            None => Ok(()),
            Some(limit) => {
                self.space.refused.fetch_add(1, Ordering::Relaxed);
                let checkpointer = lock(&self.checkpointer);
                let error = EnvError::DiskLimit {
                    limit,
                    used: self.used(),
                    kept: self.kept(),
                    holders: self.space_holders(&checkpointer),
                };
                if is_new {
                    tell::disk_limit(tell::display(&error));
                }
                Err(error)
            }
        }
    }

    /// The limit that a commit of `bytes` bytes would reach.
    fn reached(&self, bytes: u64) -> Option<DiskLimit> {
        // As a record of the journal, and as part of a node.
        let needed = self.kept().saturating_add(bytes.saturating_mul(2));
        let (max, keep) = (self.options.max_disk, self.options.free_disk);
        if max > 0 && self.used().saturating_add(needed) > max {
            return Some(DiskLimit::MaxDisk { bytes: max });
        }
        let free = self.free();
        if keep > 0 && free < keep.saturating_add(needed) {
            let tightest = self.space.tightest.load(Ordering::Relaxed);
            let path = self.files.path_of(u16::try_from(tightest).unwrap_or(0));
            return Some(DiskLimit::FreeDisk { bytes: keep, free, path });
        }
        None
    }

    /// Whether an eighth of the room or less is left: then less waste is tolerated.
    pub(crate) fn is_short_of_disk(&self) -> bool {
        let (max, keep) = (self.options.max_disk, self.options.free_disk);
        max > 0 && self.used().saturating_add(self.kept()) > max - max / 8
            || keep > 0 && self.free() < keep.saturating_add(keep / 8).saturating_add(self.kept())
    }

    /// How much of what the files take should be in use: more when space is short.
    pub(crate) fn space_target(&self) -> f64 {
        let harder = if self.is_short_of_disk() { 10 } else { 0 };
        f64::from((self.options.space_target + harder).clamp(1, 95)) / 100.0
    }

    /// Bytes that must stay free for a checkpoint of everything that has changed, and for the journal.
    fn kept(&self) -> u64 {
        let changed = self.forest.dirty() as u64 + self.space.private.load(Ordering::Relaxed);
        changed + changed / 4 + 2 * self.options.journal_file_bytes.min(JOURNAL_STEP) + SLACK
    }

    fn used(&self) -> u64 {
        self.space.used.load(Ordering::Relaxed) + self.files.grown()
    }

    fn free(&self) -> u64 {
        self.space.free.load(Ordering::Relaxed).saturating_sub(self.files.grown())
    }

    /// Looks at how much the log files take and, if there is a limit for that, how much is free.
    pub(crate) fn measure_space(&self) -> EnvResult<()> {
        self.files.forget_growth();
        self.space.used.store(self.files.footprint(), Ordering::Relaxed);
        let mut tightest = (u64::MAX, 0);
        if self.options.free_disk > 0 {
            // Several data directories may be several devices.
            for (directory, dir) in self.files.dirs() {
                tightest = tightest.min((Dir::space(&**dir)?.free, usize::from(directory)));
            }
        }
        self.space.free.store(tightest.0, Ordering::Relaxed);
        self.space.tightest.store(tightest.1, Ordering::Relaxed);
        Ok(())
    }

    /// As [`Core::measure_space`], if there is a limit.
    pub(crate) fn watch_space(&self) -> EnvResult<()> {
        if self.has_disk_limit() { self.measure_space() } else { Ok(()) }
    }

    fn moment(&self) -> Moment {
        Moment {
            commit: self.latest.load(Ordering::Acquire),
            checkpoint: lock(&self.checkpointer).newest.as_ref().map_or(0, |c| c.record.number),
            oldest_reader: self.oldest_reader(),
            pins: lock(&self.pins).len(),
        }
    }

    /// Lets go what can go: files that nothing needs, and then what the cleaner makes of files that
    /// hold little.
    fn relieve_disk(&self) -> EnvResult<()> {
        let tolerant = |result: EnvResult<()>| match result {
            // A device that is really full; an exclusive transaction, for which the cleaner waits; or
            // files that are damaged, which stay.
            Err(error) if error.may_try_again() => Ok(()),
            Err(EnvError::Busy { .. }) => Ok(()),
            Err(error) if error.kind() == crate::ErrorKind::Corrupt && self.check().is_ok() => {
                Ok(())
            }
            result => result,
        };
        self.files.drop_spares();
        // The first finds files dead, the second lets them go.
        for _ in 0..2 {
            self.schedule.want_checkpoints(1);
            tolerant(self.checkpoint().map(drop))?;
        }
        // What is moved out of files that somebody holds takes space and frees none.
        let holders = self.space_holders(&lock(&self.checkpointer));
        let is_journal = |kind| matches!(kind, HolderKind::History | HolderKind::Sink);
        if holders.iter().all(|holder| is_journal(holder.kind)) {
            let target = self.space_target();
            tolerant(self.clean_to(target).map(drop))?;
        }
        Ok(())
    }

    /// Who keeps files from being removed that nothing else needs.
    pub(crate) fn space_holders(&self, checkpointer: &Checkpointer) -> Vec<SpaceHolder> {
        let now = self.world.monotonic();
        let dead = self.dead_files(checkpointer);
        let (_, lag) = self.shipping.lag(now);
        let pins = lock(&self.pins);
        let mut holders = Vec::new();
        holders.extend(self.sink_holder(&pins.shipping, &dead, lag));
        for pin in pins.iter() {
            let bytes = bytes_of(&dead, |file| pin.holds(file.number, file.cut));
            let since = now.saturating_sub(pin.since());
            let kind = if pin.is_backup() { HolderKind::Backup } else { HolderKind::Reader };
            holders.push(SpaceHolder { kind, commit: pin.commit(), bytes, since });
        }
        for (frozen, commit) in self.forest.active_before(checkpointer.cut.unwrap_or(0)) {
            if pins.iter().any(|pin| pin.version() == Some(frozen)) {
                continue;
            }
            let bytes = bytes_of(&dead, |file| file.cut > frozen);
            let seen = checkpointer.readers.get(&frozen).copied().unwrap_or(now);
            let since = now.saturating_sub(seen);
            holders.push(SpaceHolder { kind: HolderKind::Reader, commit, bytes, since });
        }
        holders.extend(self.history_holder(checkpointer, &dead));
        holders.retain(|holder| holder.bytes > 0);
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.bytes));
        holders
    }

    /// The journal that is kept as history, beyond what is needed.
    fn history_holder(&self, checkpointer: &Checkpointer, dead: &[Dead]) -> Option<SpaceHolder> {
        let from = self.history_from(&checkpointer.utilization)?;
        let oldest = self.files.find(from)?;
        let bytes = bytes_of(dead, |file| file.is_journal && file.number >= from);
        let age = self.world.wall().0.saturating_sub(oldest.header().created);
        Some(SpaceHolder {
            kind: HolderKind::History,
            commit: oldest.header().first_sequence.saturating_sub(1),
            bytes,
            since: Duration::from_micros(age),
        })
    }

    /// The journal that sinks have yet to get, beyond what is needed.
    fn sink_holder(
        &self,
        unshipped: &BTreeSet<FileNumber>,
        dead: &[Dead],
        since: Duration,
    ) -> Option<SpaceHolder> {
        let oldest = self.files.find(*unshipped.first()?)?;
        let commit = oldest.header().first_sequence.saturating_sub(1);
        let bytes = bytes_of(dead, |file| unshipped.contains(&file.number));
        Some(SpaceHolder { kind: HolderKind::Sink, commit, bytes, since })
    }

    /// Files that nothing needs but perhaps those who hold them.
    fn dead_files(&self, checkpointer: &Checkpointer) -> Vec<Dead> {
        let files = checkpointer.utilization.files.iter();
        files
            .filter_map(|(number, file)| {
                let (_, cut) = file.dead_since?;
                let bytes = self.files.find(*number)?.footprint();
                let is_journal = file.class == FileClass::Journal;
                Some(Dead { number: *number, is_journal, cut, bytes })
            })
            .collect()
    }

    /// Takes note of who holds versions that are older than the newest checkpoint, and ends those who
    /// have done so for too long or at too high a price.
    pub(crate) fn end_what_is_too_old(&self, checkpointer: &mut Checkpointer) {
        let now = self.world.monotonic();
        let before = std::mem::take(&mut checkpointer.readers);
        let cut = checkpointer.cut.unwrap_or(0);
        for (frozen, _) in self.forest.active_before(cut) {
            let since = before.get(&frozen).copied().unwrap_or(now);
            checkpointer.readers.insert(frozen, since);
        }
        let dead = self.dead_files(checkpointer);
        let mut pins = lock(&self.pins);
        let roots = pins.lose(now, |pin| bytes_of(&dead, |file| pin.holds(file.number, file.cut)));
        let pinned = pins.oldest_version().unwrap_or(u64::MAX);
        drop(pins);
        drop(roots);
        // A fork reads the version that it was made of.
        if let Some(limit) = self.options.snapshot_age
            && !self.is_exclusive()
        {
            let old = checkpointer.readers.iter().filter(|(_, since)| now - **since > limit);
            let too_old = old.map(|(frozen, _)| frozen + 1).max().unwrap_or(0);
            self.space.too_old.fetch_max(too_old.min(pinned), Ordering::AcqRel);
        }
    }

    /// The gen of the oldest version that somebody may read.
    pub(crate) fn oldest_reader(&self) -> Option<u64> {
        self.forest.oldest_active(self.space.too_old.load(Ordering::Acquire))
    }

    /// An error if a version is too old to be read.
    pub(crate) fn check_age(&self, version: &FrozenRoot) -> EnvResult<()> {
        match self.options.snapshot_age {
            Some(limit) if version.generation() < self.space.too_old.load(Ordering::Acquire) => {
                Err(EnvError::SnapshotTooOld { commit: version.sequence(), limit })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn space_report(&self) -> EnvResult<SpaceReport> {
        let checkpointer = lock(&self.checkpointer);
        self.measure_space()?;
        Ok(SpaceReport {
            used: self.used(),
            live: checkpointer.utilization.live(),
            files: self.space_of_files(&checkpointer.utilization.files),
            kept: self.kept(),
            free: (self.options.free_disk > 0).then(|| self.free()),
            holders: self.space_holders(&checkpointer),
            lost_backups: lock(&self.pins).lost(),
            refused_commits: self.space.refused.load(Ordering::Relaxed),
        })
    }
}

fn bytes_of(dead: &[Dead], is_held: impl Fn(&Dead) -> bool) -> u64 {
    dead.iter().filter(|file| is_held(file)).map(|file| file.bytes).sum()
}

/// A file that nothing needs but whoever holds it.
#[derive(Clone, Copy, Debug)]
struct Dead {
    number: FileNumber,
    is_journal: bool,
    /// Versions before this gen may reach it.
    cut: u64,
    bytes: u64,
}
