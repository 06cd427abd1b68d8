//! The journal: who may write it, how far it is durable, and how one file follows another.
//!
//! Commits are appended under the commit lock and written by whoever holds the *flush role*: the
//! thread that finds it free flushes for all who wait, so a commit alone costs one write and one
//! sync without any hand-over, and commits that arrive during a sync share the next one. The role
//! is always taken before the commit lock.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use cairn_btree::FrozenRoot;
use cairn_io::{
    Access, IoOp,
    shared::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
        thread,
    },
};
use cairn_log::{
    Appender, CommitSpan, FileClass, FileHeader, FileNumber, Flusher, HEADER_LEN, LogError,
    LogWriter, Predecessor, RecordKind, Sealed, journal_boundary,
};

use crate::{
    EnvError, EnvResult,
    core::{CommitState, Core},
    recovery::Unfinished,
    sites,
    sync::lock,
    tell,
    utilization::FileEnd,
};

/// Of a sync that takes longer, operators are told.
const SLOW_SYNC: Duration = Duration::from_secs(1);
/// Bytes that may be written and not yet durable, apart from one record. What a torn tail can hold at
/// most is derived from it, so more must be damage.
pub(crate) const UNSYNCED_LIMIT: u64 = 16 << 20;
/// A record above this gets a journal file of its own.
const LARGE_RECORD: u64 = 8 << 20;

/// State of the journal beside the commit lock.
///
/// Flushes are numbered. Whoever waits knows whether the flush that is under way covers its commit or
/// only the next one will, and waits with those who wait for the same: so at the end of a flush exactly
/// those wake up who are done, and one who does the next flush.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    role: Mutex<Role>,
    /// For those who wait for an even-numbered flush, and for an odd-numbered one.
    done: [Condvar; 2],
    /// The newest commit that the flush under way covers; 0 while that is not decided yet.
    covering: AtomicU64,
    /// Position of the current file that is known to be durable.
    durable_at: AtomicU64,
    /// End of what is written of the current file.
    written_at: AtomicU64,
    /// Whether the journal worker looks again before it sleeps, so that it need not be woken.
    pub(crate) has_worker_awake: AtomicBool,
    /// Whether the last write found no room: what it was to write waits in memory.
    waits_for_room: AtomicBool,
    /// Commits up to here are written.
    written: AtomicU64,
    /// Commits up to here are durable.
    durable: AtomicU64,
    /// Syncs for commits.
    syncs: AtomicU64,
    /// How many commits each of the last two syncs has made durable.
    batches: [AtomicU64; 2],
    /// What a sync takes, about.
    sync_micros: AtomicU64,
}

#[derive(Debug, Default)]
struct Role {
    /// The writing half of the current file; `None` while somebody has the role, or before the first
    /// write.
    flusher: Option<Flusher>,
    taken: bool,
    /// Number of the flush that is under way, or of the next one.
    flush: usize,
}

impl Journal {
    /// Commits up to `sequence` were found on the disk by recovery.
    pub(crate) fn begin(&self, sequence: u64) {
        self.written.store(sequence, Ordering::Release);
        self.durable.store(sequence, Ordering::Release);
    }

    /// The newest commit that is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// How many syncs commits have cost.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// The position in the current file that is known to be durable: the watermark of new records.
    pub(crate) fn watermark(&self) -> Option<u64> {
        // Planted: written taken for durable.
        let known = if cairn_io::planted::is(8) { &self.written_at } else { &self.durable_at };
        Some(known.load(Ordering::Acquire)).filter(|&at| at > HEADER_LEN)
    }

    /// Bytes before `end` of the current file that are accepted and not yet written.
    pub(crate) fn unwritten(&self, end: u64) -> u64 {
        end.saturating_sub(self.written_at.load(Ordering::Acquire))
    }

    /// Bytes before `end` of the current file that are accepted and not known to be durable.
    pub(crate) fn undurable(&self, end: u64) -> u64 {
        end.saturating_sub(self.durable_at.load(Ordering::Acquire))
    }

    /// Notes that a sync has made everything up to `sequence` durable, and what it took.
    fn note_sync(&self, sequence: u64, took: Duration) {
        let [last, before] = &self.batches;
        before.store(last.load(Ordering::Relaxed), Ordering::Relaxed);
        last.store(sequence.saturating_sub(self.durable()), Ordering::Relaxed);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(1 << 30);
        let average = self.sync_micros.load(Ordering::Relaxed);
        self.sync_micros.store((3 * average + took) / 4, Ordering::Relaxed);
    }

    /// Takes the flush role, waiting for whoever has it.
    fn take_role(&self) -> RoleGuard<'_> {
        let mut role = lock(&self.role);
        while role.taken {
            role = self.wait(role, u64::MAX);
        }
        self.take(role)
    }

    fn take<'a>(&'a self, mut role: MutexGuard<'_, Role>) -> RoleGuard<'a> {
        role.taken = true;
        self.covering.store(0, Ordering::Relaxed);
        RoleGuard { journal: self, flusher: role.flusher.take() }
    }

    /// Waits for the flush that covers commit `sequence`: the one under way, or the next one.
    fn wait<'a>(&self, role: MutexGuard<'a, Role>, sequence: u64) -> MutexGuard<'a, Role> {
        let covering = self.covering.load(Ordering::Acquire);
        // Undecided means that it will cover everything that is committed by now.
        let next = sequence == u64::MAX || covering != 0 && covering < sequence;
        let flush = role.flush + usize::from(next);
        self.done[flush % 2].wait(role).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The flush role; dropping it gives it back.
pub(crate) struct RoleGuard<'a> {
    journal: &'a Journal,
    flusher: Option<Flusher>,
}

impl RoleGuard<'_> {
    /// The journal file in use, and the end of what is written of it.
    pub(crate) fn written(&self) -> Option<(FileNumber, u64)> {
        let flusher = self.flusher.as_ref()?;
        Some((flusher.file().header().number, flusher.written()))
    }
}

impl Drop for RoleGuard<'_> {
    fn drop(&mut self) {
        let mut role = lock(&self.journal.role);
        role.flusher = self.flusher.take();
        role.taken = false;
        let flush = role.flush;
        role.flush += 1;
        drop(role);
        self.journal.done[flush % 2].notify_all();
        // Planted race: nobody for the next flush.
        if !cairn_io::planted::is_race(2) {
            self.journal.done[(flush + 1) % 2].notify_one();
        }
    }
}

impl Core {
    /// Returns when all commits up to `sequence` are written, and with `sync` durable.
    pub(crate) fn flush_to(&self, sequence: u64, sync: bool) -> EnvResult<()> {
        let journal = &self.journal;
        let done = if sync { &journal.durable } else { &journal.written };
        let mut role = lock(&journal.role);
        loop {
            if done.load(Ordering::Acquire) >= sequence {
                // Whoever was woken to do the next flush, and need not, passes that on.
                if !role.taken {
                    journal.done[role.flush % 2].notify_one();
                }
                return Ok(());
            }
            self.failure.check()?;
            if !role.taken {
                break;
            }
            role = journal.wait(role, sequence);
        }
        let mut mine = journal.take(role);
        if sync {
            self.gather();
        }
        match &mut mine.flusher {
            Some(flusher) => self.flush(flusher, sync),
            None => Ok(()), // nothing was ever written
        }
    }

    /// Gives way before a sync to those who are about to commit, for a fraction of what a sync takes.
    ///
    /// The threads whom the last sync has woken are ready to run, but on few cores they do not run
    /// yet: without this, the first of them to commit syncs for itself alone, all others for the next
    /// one, in turns. How many are to be expected, the last two syncs tell; if they do not come, the
    /// next two do not wait for them. A thread that commits alone never waits. (8 threads on 2 cores:
    /// 4.2 commits per sync without, 5.6 to 7.9 with.)
    fn gather(&self) {
        let Journal { batches: [last, before], sync_micros, .. } = &self.journal;
        let expected = last.load(Ordering::Relaxed).max(before.load(Ordering::Relaxed));
        if expected <= 1 {
            return;
        }
        let patience = Duration::from_micros((sync_micros.load(Ordering::Relaxed) / 4).min(50));
        let (began, wanted) = (self.world.monotonic(), self.journal.durable() + expected);
        while self.latest.load(Ordering::Acquire) < wanted
            && self.world.monotonic().saturating_sub(began) < patience
        {
            thread::yield_now();
        }
    }

    /// Writes, and with `sync` syncs, everything that was committed before. The caller has the role.
    fn flush(&self, flusher: &mut Flusher, sync: bool) -> EnvResult<()> {
        // What is frozen here is exactly what the sync makes durable: snapshots of durable commits
        // need no lock later.
        let (sequence, version) = {
            let _guard = self.failure.on_panic();
            let mut commit = lock(&self.commit);
            self.append_watermark(&mut commit)?;
            let sequence = commit.sequence;
            let version = if sync { self.version_to_publish(&mut commit)? } else { None };
            self.journal.covering.store(sequence, Ordering::Release);
            (sequence, version)
        };
        self.write_out(flusher)?;
        self.journal.written.fetch_max(sequence, Ordering::AcqRel);
        if sync {
            let began = self.world.monotonic();
            self.sync_out(flusher)?;
            self.journal.note_sync(sequence, self.world.monotonic().saturating_sub(began));
            self.journal.durable.fetch_max(sequence, Ordering::AcqRel);
            self.published.set(version);
        }
        Ok(())
    }

    /// The version of what a sync is about to make durable, if somebody looks at such versions.
    fn version_to_publish(&self, commit: &mut CommitState) -> EnvResult<Option<Arc<FrozenRoot>>> {
        match self.published.take_wanted() {
            true => Ok(Some(commit.writer.freeze(commit.sequence)?)),
            false => Ok(None),
        }
    }

    /// Appends the watermark as a record of its own if it moved since the last record: what the
    /// last sync made durable is then provable from the journal itself.
    pub(crate) fn append_watermark(&self, commit: &mut CommitState) -> EnvResult<()> {
        let watermark = self.journal.watermark();
        let Some(appender) = &mut commit.appender else { return Ok(()) };
        if watermark <= commit.watermark {
            return Ok(());
        }
        let payload = appender.file().payload(Vec::new())?;
        if appender.room(payload.record_len()) == cairn_log::Room::Here {
            appender.append(RecordKind::ACKNOWLEDGE, commit.sequence, watermark, &payload)?;
            commit.watermark = watermark;
            commit.journaled += payload.record_len();
        }
        Ok(())
    }

    /// Writes, and with `sync` syncs, everything that was committed before, whoever waits for it.
    pub(crate) fn flush_now(&self, sync: bool) -> EnvResult<()> {
        let mut role = self.journal.take_role();
        self.failure.check()?;
        match &mut role.flusher {
            Some(flusher) => self.flush(flusher, sync),
            None => Ok(()),
        }
    }

    /// Extends the journal file if it ends within `lead` bytes, before a commit has to.
    pub(crate) fn extend_ahead(&self, lead: u64) -> EnvResult<()> {
        let mut role = self.journal.take_role();
        let _guard = self.failure.on_panic();
        self.failure.check()?;
        let to =
            lock(&self.commit).appender.as_ref().and_then(|appender| length_ahead(appender, lead));
        if let (Some(to), Some(flusher)) = (to, &mut role.flusher) {
            self.extend(flusher, to)?;
            self.watch_space()?;
        }
        Ok(())
    }

    /// Writes what was accepted, without a sync.
    pub(crate) fn write_accepted(&self) -> EnvResult<()> {
        let mut role = self.journal.take_role();
        self.failure.check()?;
        match &mut role.flusher {
            Some(flusher) => self.write_out(flusher),
            None => Ok(()),
        }
    }

    /// Writes what was accepted. Where a disk is full (journal files have their zeros, so only where
    /// those do not reserve the space), the bytes stay in memory, and the very same ones go to the very
    /// same place the next time. Any other failure leaves positions in the tree that the file does not
    /// have.
    fn write_out(&self, flusher: &mut Flusher) -> EnvResult<()> {
        let written = flusher.write();
        let waits = written.as_ref().is_err_and(LogError::may_try_again);
        self.journal.waits_for_room.store(waits, Ordering::Release);
        match written {
            Ok(end) => {
                self.journal.written_at.store(end, Ordering::Release);
                Ok(())
            }
            Err(error) if waits => Err(error.into()),
            Err(error) => Err(self.commit_unknown(error.into())),
        }
    }

    /// Writes what a full disk has left behind, if it has; an error while there is still no room.
    /// Nothing new is accepted before, so what waits in memory is bounded.
    pub(crate) fn write_what_waits(&self) -> EnvResult<()> {
        if self.journal.waits_for_room.load(Ordering::Acquire) {
            self.write_accepted()?;
        }
        Ok(())
    }

    fn sync_out(&self, flusher: &mut Flusher) -> EnvResult<()> {
        let asked = self.ship_written(flusher)?;
        let began = self.world.monotonic();
        let synced = flusher.sync(sites::COMMIT);
        let took = self.world.monotonic().saturating_sub(began);
        if took > SLOW_SYNC {
            tell::slow_sync(tell::micros(took));
        }
        let shipped = self.ship_synced(asked);
        let end = synced.map_err(|error| self.commit_unknown(error.into()))?;
        shipped?;
        self.journal.durable_at.store(end, Ordering::Release);
        self.journal.syncs.fetch_add(1, Ordering::Relaxed);
        self.ship_durable(flusher);
        Ok(())
    }

    /// Takes the flush role: until it is given back nobody writes the journal, syncs it, or begins a file.
    pub(crate) fn take_flush_role(&self) -> RoleGuard<'_> {
        self.journal.take_role()
    }

    /// Fails the environment because a sync did: nobody knows what the disk holds.
    pub(crate) fn sync_failed(&self, error: cairn_io::IoError) -> EnvError {
        EnvError::Poisoned { cause: self.failure.poison(error.into()) }
    }

    /// Fails the environment; commits that wait learn that their outcome is unknown.
    pub(crate) fn commit_unknown(&self, error: EnvError) -> EnvError {
        // Planted: going on after a failure.
        let cause =
            if cairn_io::planted::is(40) { Arc::new(error) } else { self.failure.poison(error) };
        // Planted race: waiting on after a failure.
        if !cairn_io::planted::is_race(3) {
            self.journal.done.iter().for_each(Condvar::notify_all);
        }
        EnvError::CommitUnknown { cause }
    }

    /// Makes room for a record of `len` bytes: extends the current journal file, or ends it and
    /// begins the next one. Does nothing that could not be done again: a full disk is an error of
    /// this call alone.
    pub(crate) fn make_journal_room(&self, len: u64) -> EnvResult<()> {
        let mut role = self.journal.take_role();
        let _guard = self.failure.on_panic();
        let mut commit = lock(&self.commit);
        self.failure.check()?;
        let Some(appender) = &commit.appender else {
            self.begin_journal(&mut role, &mut commit, len)?;
            return self.watch_space();
        };
        match self.room(appender, len) {
            Room::Here => Ok(()),
            Room::Extend(to) => {
                drop(commit); // commits go on meanwhile, as far as the file reaches
                let flusher = role.flusher.as_mut().ok_or_else(no_flusher)?;
                self.extend(flusher, to)?;
                self.watch_space()
            }
            Room::Sync => {
                drop(commit);
                let flusher = role.flusher.as_mut().ok_or_else(no_flusher)?;
                self.flush(flusher, true)
            }
            Room::NextFile => {
                self.end_journal(&mut role, &mut commit)?;
                self.begin_journal(&mut role, &mut commit, len)?;
                self.watch_space()
            }
        }
    }

    fn extend(&self, flusher: &mut Flusher, to: u64) -> EnvResult<()> {
        flusher.extend(to, sites::JOURNAL_EXTEND).map_err(|error| {
            if error.may_try_again() {
                return error.into();
            }
            EnvError::Poisoned { cause: self.failure.poison(error.into()) }
        })
    }

    /// What stands between a record of `len` bytes and its place.
    pub(crate) fn room(&self, appender: &Appender, len: u64) -> Room {
        let header = appender.file().header();
        let dedicated = header.max_unsynced > UNSYNCED_LIMIT + LARGE_RECORD;
        if len > LARGE_RECORD && !(dedicated && appender.end() == HEADER_LEN) {
            return Room::NextFile;
        }
        match appender.room(len) {
            cairn_log::Room::NextFile => Room::NextFile,
            cairn_log::Room::Extend(to) => Room::Extend(to),
            cairn_log::Room::Here => {
                let durable = self.journal.durable_at.load(Ordering::Acquire).max(HEADER_LEN);
                let unsynced = (appender.end() + len).saturating_sub(durable);
                if unsynced > header.max_unsynced { Room::Sync } else { Room::Here }
            }
        }
    }

    /// Ends the current journal file: everything in it becomes durable, then its seal. The caller
    /// has the role and the commit lock.
    fn end_journal(&self, role: &mut RoleGuard<'_>, commit: &mut CommitState) -> EnvResult<()> {
        let version = self.version_to_publish(commit)?;
        let (Some(appender), Some(flusher)) = (commit.appender.take(), role.flusher.take()) else {
            return Err(no_flusher());
        };
        let mut writer = LogWriter { appender, flusher };
        let span = CommitSpan { last_sequence: commit.sequence, ..commit.span };
        let sealed = match self.seal_writer(&mut writer, span) {
            Ok(sealed) => sealed,
            Err(error) => {
                // On a full disk the file goes on where it is.
                (commit.appender, role.flusher) = (Some(writer.appender), Some(writer.flusher));
                return Err(error);
            }
        };
        let header = sealed.file.header();
        let (file, directory) = (header.number, header.directory);
        self.ship_ended(file, sealed.seal.file_len())?;
        self.journal.written.fetch_max(commit.sequence, Ordering::AcqRel);
        self.journal.durable.fetch_max(commit.sequence, Ordering::AcqRel);
        self.published.set(version);
        commit.tail = Some(Predecessor {
            file,
            directory,
            end: sealed.seal.file_len(),
            last_sequence: commit.sequence,
            chain: sealed.chain,
        });
        commit.ended.push((file, FileEnd::Sealed(sealed.seal.file_len())));
        commit.watermark = None;
        Ok(())
    }

    fn seal_writer(&self, writer: &mut LogWriter, span: CommitSpan) -> EnvResult<Sealed> {
        self.write_out(&mut writer.flusher)?;
        self.sync_out(&mut writer.flusher)?;
        writer.seal(span, sites::JOURNAL_SEAL).map_err(|error| match error.may_try_again() {
            true => error.into(),
            false => self.commit_unknown(error.into()),
        })
    }

    /// Begins to write, if this run has not yet.
    pub(crate) fn begin(&self) -> EnvResult<()> {
        if self.schedule.begun.load(Ordering::Acquire) { Ok(()) } else { self.make_journal_room(0) }
    }

    /// Does what recovery has left to do if a journal's end is not on record yet.
    pub(crate) fn begin_unless_finished(&self) -> EnvResult<()> {
        let unfinished = lock(&self.commit).unfinished.as_ref().is_some_and(Unfinished::is_pending);
        if unfinished { self.make_journal_room(0) } else { Ok(()) }
    }

    /// Ends the current journal file if there is one, for a backup and for closing, and returns what
    /// `look` finds at that very moment, before another commit can begin the next file.
    pub(crate) fn seal_journal<T>(
        &self,
        look: impl FnOnce(&mut CommitState) -> EnvResult<T>,
    ) -> EnvResult<T> {
        let mut role = self.journal.take_role();
        let _guard = self.failure.on_panic();
        let mut commit = lock(&self.commit);
        self.failure.check()?;
        if commit.appender.is_some() {
            self.end_journal(&mut role, &mut commit)?;
        }
        look(&mut commit)
    }

    /// Begins a journal file that has room for a record of `len` bytes. The caller has the role and
    /// the commit lock.
    fn begin_journal(
        &self,
        role: &mut RoleGuard<'_>,
        commit: &mut CommitState,
        len: u64,
    ) -> EnvResult<()> {
        let is_first = commit.unfinished.is_some();
        let is_new = lock(&self.state).state.number == 0;
        if is_new || is_first && self.root.keeps_old_generation()? {
            // Whoever created or restored the environment, or went back from a restore, may have died
            // between the rename that made it visible and the sync that made that durable, or that sync
            // may have failed.
            self.root.confirm().map_err(|error| match error {
                EnvError::Io(error) if error.op == IoOp::Sync => self.sync_failed(error),
                error => error,
            })?;
        }
        self.finish_recovery(commit)?;
        let normal = self.options.journal_capacity();
        let needed = HEADER_LEN + len + self.files.seal_len();
        let (capacity, max_unsynced) = if len > LARGE_RECORD || needed > normal {
            (needed.next_multiple_of(4096), UNSYNCED_LIMIT + LARGE_RECORD + len)
        } else {
            (normal, UNSYNCED_LIMIT + LARGE_RECORD)
        };
        let number = self.files.allocate()?;
        let header = FileHeader {
            first_sequence: commit.sequence + 1,
            previous: commit.tail,
            capacity,
            max_unsynced,
            ..self.files.header(FileClass::Journal, number)
        };
        let name = header.name().to_name();
        let created = self.files.create_journal(header).and_then(|writer| {
            let LogWriter { appender, mut flusher } = writer;
            // The state names only files that were extended for records: see `journal_boundary`.
            flusher.extend(journal_boundary(HEADER_LEN + 1, capacity), sites::JOURNAL_EXTEND)?;
            Ok(LogWriter { appender, flusher })
        });
        let writer = match created {
            Ok(writer) => writer,
            Err(error) if error.may_try_again() => {
                // Nothing depends on the file: without it the next attempt starts over. If even the
                // removal fails, recovery will find a file without records.
                self.files.dir_of(number).remove(&name).unwrap_or_default();
                return Err(error.into());
            }
            Err(error) => {
                return Err(EnvError::Poisoned { cause: self.failure.poison(error.into()) });
            }
        };
        // From here on the file must be there: nothing in it is acknowledged before the state
        // says so.
        let (next_file, sequence) = (self.files.next(), commit.sequence);
        let uuid = writer.file().header().file;
        let noted = lock(&self.state).write(|state| {
            state.clean = false;
            state.name_journal(number, uuid);
            state.next_file = next_file;
            state.sequence = sequence;
            state.incarnation = self.files.identity.incarnation.load(Ordering::Relaxed);
        });
        self.schedule.begun.store(noted.is_ok(), Ordering::Release);
        if let Err(error) = noted {
            return Err(EnvError::Poisoned { cause: self.failure.poison(error) });
        }
        if is_first && let Err(error) = self.settle_attachment() {
            return Err(EnvError::Poisoned { cause: self.failure.poison(error) });
        }
        self.files.add(Arc::clone(writer.file()));
        self.ship_begun(writer.file());
        self.journal.durable_at.store(HEADER_LEN, Ordering::Release);
        self.journal.written_at.store(HEADER_LEN, Ordering::Release);
        let LogWriter { appender, flusher } = writer;
        commit.journal_begun(appender);
        role.flusher = Some(flusher);
        // The new file's header records where the old one ended: what lies beyond is not needed.
        self.trim(commit);
        Ok(())
    }
}

impl Core {
    /// Cuts what lies behind the ends of old journal files: zeros written ahead, and torn bytes that
    /// were set aside. Only to save space: whether it succeeds, and whether it is durable, does not
    /// matter. What somebody pins may be being looked at beyond its end, and is left to the next time.
    fn trim(&self, commit: &mut CommitState) {
        if commit.oversized.is_empty() {
            return;
        }
        let Ok(Some(gate)) = self.gate() else { return };
        for (number, end) in std::mem::take(&mut commit.oversized) {
            if gate.is_pinned(number) {
                commit.oversized.push((number, end));
                continue;
            }
            let name = self.files.find(number).map(|file| file.name().to_name());
            let dir = self.files.dir_of(number);
            let handle = name.and_then(|name| dir.open(&name, Access::ReadWrite).ok());
            if let Some(handle) = handle {
                handle.set_len(end).unwrap_or_default();
            }
        }
    }
}

/// What stands between a record and its place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nothing.
    Here,
    /// The file must be extended to this length.
    Extend(u64),
    /// Too much is written and not yet durable.
    Sync,
    /// The file is full.
    NextFile,
}

/// The length that a file should have by now if it ends within `lead` bytes. Only one of those who write that much is extended
/// ahead: zeros take time and space.
pub(crate) fn length_ahead(appender: &Appender, lead: u64) -> Option<u64> {
    match appender.room(lead) {
        cairn_log::Room::Extend(to) if appender.end() >= lead => Some(to),
        _ => None,
    }
}

fn no_flusher() -> EnvError {
    EnvError::internal("a journal file without a flusher")
}
