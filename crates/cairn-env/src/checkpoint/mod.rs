//! `Checkpointer`: flushes a frozen root, writes its record, and lets go of what it made obsolete.
//!
//! A checkpoint is the flush of one immutable version, so it is exact: the persisted tree is the
//! state after commit S, whatever happens meanwhile. The order of steps is what makes it safe:
//! nodes, then the record that names their root, both durable with their names, then the journal up
//! to S, and only then the state that refers to the record. A file is removed one checkpoint after
//! it was found dead, so that both slots of the state lead to a checkpoint that can be opened.

mod record;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cairn_btree::{Flush, FrozenRoot, Tally};
use cairn_log::{
    Appender, FileClass, FileNumber, HEADER_LEN, LogError, Lsn, RecordKind, Sealed, Uuid,
};

pub(crate) use record::{
    CheckpointRecord, FileEntry, checkpoint_file, checkpoint_head, checkpoint_tail,
};

use crate::{
    EnvError, EnvResult,
    core::Core,
    sync::lock,
    tell,
    utilization::{FileEnd, FileUse, Utilization},
};

/// What an environment knows of its newest durable checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) lsn: Lsn,
    pub(crate) record: CheckpointRecord,
}

/// State of the checkpointer.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// The newest checkpoint, if there is one.
    pub(crate) newest: Option<Durable>,
    /// Its gen, if it was made or opened unchanged by this run. (Its commit does not tell versions
    /// apart: the cleaner makes others of the same one.)
    pub(crate) cut: Option<u64>,
    /// The file that holds the record of the one before: a slot of the state still refers to it.
    pub(crate) older_file: Option<FileNumber>,
    pub(crate) utilization: Utilization,
    /// What [`CommitState::journaled`](crate::core::CommitState) was where replay from the newest begins.
    pub(crate) replay_from: u64,
    /// Versions before the newest cut that somebody holds, and when the first checkpoint saw that.
    pub(crate) readers: BTreeMap<u64, Duration>,
    /// The checkpoint that is being made.
    run: Option<Run>,
    /// Counts begun checkpoints of this process.
    begun: u64,
}

/// A checkpoint that is being made.
#[derive(Debug)]
struct Run {
    flush: Flush,
    /// Where replay goes on from this checkpoint.
    replay_start: Option<Lsn>,
    time: u64,
    next_tree: u32,
    began: u64,
    began_at: Duration,
    replay_from: u64,
}

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Its number; `None` if nothing had changed since the last one.
    pub number: Option<u64>,
    /// The last commit that it holds.
    pub sequence: u64,
    /// Tree nodes that were written.
    pub nodes: u64,
    /// Log files that were removed.
    pub removed_files: u64,
}

impl Checkpointer {
    pub(crate) fn new(
        newest: Option<Durable>,
        older_file: Option<FileNumber>,
        utilization: Utilization,
    ) -> Self {
        Self {
            newest,
            cut: None,
            older_file,
            utilization,
            replay_from: 0,
            readers: BTreeMap::new(),
            run: None,
            begun: 0,
        }
    }
}

impl Core {
    /// Makes a checkpoint of everything committed before the call.
    pub(crate) fn checkpoint(&self) -> EnvResult<CheckpointReport> {
        self.check_upkeep()?;
        let has_graves = self.schedule.has_graves.load(Ordering::Acquire);
        if !self.options.background && has_graves && !self.is_exclusive() {
            while self.empty_graves()? {}
        }
        let mut checkpointer = lock(&self.checkpointer);
        let report = self.checkpoint_held(&mut checkpointer);
        drop(checkpointer);
        if !self.options.background {
            self.tend_all()?;
        }
        report
    }

    /// As [`Core::checkpoint`], for a caller that holds the checkpointer.
    pub(crate) fn checkpoint_held(
        &self,
        checkpointer: &mut Checkpointer,
    ) -> EnvResult<CheckpointReport> {
        let wanted = checkpointer.begun + 1;
        loop {
            // One that is under way was begun too early to count, but must end first.
            if let Some(report) = self.checkpoint_step(checkpointer, usize::MAX)?
                && checkpointer.begun >= wanted
            {
                return Ok(report);
            }
        }
    }

    /// Does at most `max` nodes' worth of work; returns the report when a checkpoint is finished.
    pub(crate) fn checkpoint_step(
        &self,
        checkpointer: &mut Checkpointer,
        max: usize,
    ) -> EnvResult<Option<CheckpointReport>> {
        self.failure.check()?;
        if checkpointer.run.is_none() {
            checkpointer.begun += 1;
            checkpointer.run = self.begin_checkpoint(checkpointer)?;
            if checkpointer.run.is_none() {
                let sequence = checkpointer.newest.as_ref().map_or(0, |c| c.record.sequence);
                return Ok(Some(CheckpointReport { sequence, ..CheckpointReport::default() }));
            }
        }
        let Some(run) = &mut checkpointer.run else { return Ok(None) };
        let stepped = run.flush.step(max);
        match stepped {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => {
                checkpointer.run = None; // what was written stays written
                return Err(self.node_failure(error.into()));
            }
        }
        let Some(run) = checkpointer.run.take() else { return Ok(None) };
        self.end_checkpoint(checkpointer, &run).map(Some)
    }

    /// Freezes what the checkpoint will hold; `None` if nothing has changed.
    fn begin_checkpoint(&self, checkpointer: &Checkpointer) -> EnvResult<Option<Run>> {
        let newest = checkpointer.newest.as_ref().map_or(0, |c| c.record.sequence);
        let wanted = self.schedule.take_wanted() && checkpointer.newest.is_some();
        if wanted || self.latest.load(Ordering::Acquire) != newest {
            // Until then the end of the journal that recovery has replayed is not on record, and
            // the checkpoint would have replay go on from an end before it, through commits that
            // it holds: crash, open, checkpoint, and no open succeeded again.
            self.begin_unless_finished()?;
        }
        let _guard = self.failure.on_panic();
        let mut commit = lock(&self.commit);
        let sequence = commit.sequence;
        if newest == sequence && !wanted {
            commit.journal_bytes = 0;
            self.schedule.checkpoint_begun();
            return Ok(None);
        }
        let frozen = commit.writer.freeze(sequence)?;
        let exclusive = commit.exclusive.as_ref();
        let first_part = exclusive.and_then(|exclusive| exclusive.first_part);
        let replay_from =
            exclusive.map_or(commit.journaled, |exclusive| exclusive.journaled_before);
        let replay_start = match (&commit.appender, commit.tail) {
            _ if first_part.is_some() => first_part,
            (Some(appender), _) => Some(appender.file().lsn(self.replay_end(appender, sequence))?),
            (None, Some(tail)) => Lsn::new(tail.file, tail.end.next_multiple_of(8)),
            (None, None) => None,
        };
        commit.journal_bytes = 0;
        self.schedule.checkpoint_begun();
        let (time, next_tree) = (commit.time, commit.next_tree);
        drop(commit);
        let flush = Flush::new(frozen)?;
        let began_at = self.world.monotonic();
        let began = sequence;
        Ok(Some(Run { flush, replay_start, time, next_tree, began, began_at, replay_from }))
    }

    /// Where the journal ends for a checkpoint of all commits up to `sequence`. It must be durable before
    /// the checkpoint counts. What was written after the commits when these were durable already, to say
    /// so, is not: no sync comes after it.
    fn replay_end(&self, appender: &Appender, sequence: u64) -> u64 {
        if self.journal.durable() < sequence {
            return appender.end();
        }
        self.journal.watermark().unwrap_or(HEADER_LEN).min(appender.end())
    }

    fn end_checkpoint(
        &self,
        checkpointer: &mut Checkpointer,
        run: &Run,
    ) -> EnvResult<CheckpointReport> {
        let frozen = run.flush.frozen();
        let sequence = frozen.sequence();
        // Large values of these commits stay in the journal, and what is shipped from it must not
        // end before a checkpoint.
        self.flush_to(sequence, true)?;
        // Its commits are durable now. An older version of the same commits, from before the cleaner
        // moved their nodes, would keep files that nothing else needs.
        self.published.renew(frozen);
        let tallies = self.forest.settle(frozen.generation());
        let written = self.write_checkpoint(checkpointer, run, frozen, &tallies);
        let (lsn, record) = written.map_err(|error| {
            self.forest.unsettle(tallies.clone());
            self.node_failure(error)
        })?;
        let removable = self.removable(checkpointer, &record);
        let number = record.number;
        // The file in use and the position that is durable in it belong together: under one lock.
        let (tail, journal) = {
            let commit = lock(&self.commit);
            let file = commit.appender.as_ref().map(|appender| appender.file().header().number);
            (commit.tail, file.zip(self.journal.watermark()))
        };
        let next_file = self.files.next();
        let uuid = self.files.get(lsn.file())?.header().file;
        lock(&self.state)
            .write(|state| {
                state.clean = false;
                state.name_checkpoint(lsn, uuid);
                state.checkpoint_number = number;
                state.next_file = next_file;
                state.sequence = sequence;
                if let (Some((file, at)), Some((current, durable))) = (&mut state.journal, journal)
                    && *file == current
                {
                    *at = (*at).max(durable);
                }
                if tail.is_some() {
                    state.name_tail(tail, &self.files);
                }
            })
            .map_err(|error| EnvError::Poisoned { cause: self.failure.poison(error) })?;
        checkpointer.older_file = checkpointer.newest.as_ref().map(|c| c.lsn.file());
        checkpointer.newest = Some(Durable { lsn, record });
        checkpointer.replay_from = run.replay_from;
        checkpointer.cut = Some(frozen.generation());
        self.end_what_is_too_old(checkpointer);
        let removed_files = self.remove_dead(checkpointer, removable);
        self.watch_space()?;
        let nodes = run.flush.written();
        let report =
            CheckpointReport { number: Some(number), sequence: run.began, nodes, removed_files };
        let took = self.world.monotonic().saturating_sub(run.began_at);
        self.counters.checkpointed(&report, took);
        tell::checkpointed(number, run.began, nodes, removed_files, tell::micros(took));
        Ok(report)
    }

    /// Writes the record and makes everything it refers to durable.
    fn write_checkpoint(
        &self,
        checkpointer: &mut Checkpointer,
        run: &Run,
        frozen: &Arc<FrozenRoot>,
        tallies: &[Tally],
    ) -> EnvResult<(Lsn, CheckpointRecord)> {
        self.add_new_files(&mut checkpointer.utilization);
        let mut utilization = checkpointer.utilization.clone();
        utilization.apply(tallies);
        let number = checkpointer.newest.as_ref().map_or(0, |c| c.record.number) + 1;
        let replay_file = run.replay_start.map(Lsn::file);
        // In this order: a move that ends in between is unsettled.
        let is_moving = self.moving.load(Ordering::SeqCst) > 0;
        let mut unsettled = self.forest.unsettled();
        if is_moving {
            let values =
                utilization.files.iter().filter(|(_, file)| file.class == FileClass::Value);
            unsettled.extend(values.map(|(number, _)| *number));
        }
        utilization.mark_dead(number, frozen.generation(), replay_file, &unsettled);
        // Planted: a checkpoint that claims too much.
        let claims_too_much =
            cairn_io::planted::is(14).then(|| self.latest.load(Ordering::Acquire));
        let record = CheckpointRecord {
            number,
            sequence: claims_too_much.unwrap_or(frozen.sequence()),
            root: frozen.root_lsn(),
            replay_start: run.replay_start,
            time: run.time,
            environment: self.files.identity.environment,
            timeline: self.files.identity.timeline,
            next_tree: run.next_tree,
            next_file: self.files.next(),
            files: self.file_table(&utilization, checkpointer, run.replay_start),
            digest: utilization.digest,
        };
        let written =
            self.files.append_node(RecordKind::CHECKPOINT, record.sequence, record.encode())?;
        let finished = self.files.finish_nodes()?;
        for Sealed { file, seal, .. } in finished {
            utilization.add(&file);
            utilization.end(file.header().number, FileEnd::Sealed(seal.file_len()));
        }
        checkpointer.utilization = utilization;
        Ok((written.lsn, record))
    }

    /// Takes note of files that came into being since the last checkpoint.
    pub(crate) fn add_new_files(&self, utilization: &mut Utilization) {
        // Journal files that have come to an end; node files do when they are made durable. First
        // these, then all: the end of a file that is not known yet would be lost.
        let ended = std::mem::take(&mut lock(&self.commit).ended);
        for file in self.files.all() {
            utilization.add(&file);
        }
        for (number, end) in ended {
            utilization.end(number, end);
        }
    }

    fn file_table(
        &self,
        utilization: &Utilization,
        checkpointer: &Checkpointer,
        replay_start: Option<Lsn>,
    ) -> Vec<FileEntry> {
        // A journal file in use holds commits after the cut that need not be durable: the checkpoint
        // may only ask for what is.
        let written = |number: FileNumber, class: FileClass| match (class, replay_start) {
            (FileClass::Journal, Some(start)) if start.file() == number => start.offset(),
            (FileClass::Journal, _) => HEADER_LEN,
            _ => self.files.find(number).map_or(0, |file| file.end()),
        };
        let history = self.history_from(utilization);
        let going: Vec<FileNumber> = utilization
            .files
            .keys()
            .copied()
            .filter(|number| self.is_removable(utilization, checkpointer, history, *number))
            .collect();
        utilization
            .files
            .iter()
            .filter(|(number, _)| !going.contains(number))
            .map(|(number, file)| FileEntry {
                number: *number,
                class: file.class,
                end: file.end,
                directory: file.directory,
                length: file.end.offset().unwrap_or_else(|| written(*number, file.class)),
                live: u64::try_from(file.live).unwrap_or(0),
                file: file.file,
            })
            .collect()
    }

    /// Whether a file may go once the checkpoint that is being made is durable: it was dead one
    /// checkpoint ago, no version in memory can reach it, no slot of the state leads into it, and it is no
    /// `history`, which begins with that journal file.
    fn is_removable(
        &self,
        utilization: &Utilization,
        checkpointer: &Checkpointer,
        history: Option<FileNumber>,
        number: FileNumber,
    ) -> bool {
        let Some(file) = utilization.files.get(&number) else { return false };
        if file.class == FileClass::Journal && history.is_some_and(|from| number >= from) {
            return false;
        }
        let Some((since, cut)) = file.dead_since else { return false };
        let newest = checkpointer.newest.as_ref();
        newest.is_some_and(|newest| {
            since <= newest.record.number
                && newest.lsn.file() != number
                && (file.class != FileClass::Journal
                    || newest.record.replay_start.is_some_and(|start| number < start.file()))
        }) && (cairn_io::planted::is(32) // Planted: files removed under a reader.
            || self.oldest_reader().is_none_or(|oldest| oldest >= cut))
    }

    fn removable(&self, checkpointer: &Checkpointer, record: &CheckpointRecord) -> Vec<FileNumber> {
        let listed: Vec<FileNumber> = record.files.iter().map(|file| file.number).collect();
        let history = self.history_from(&checkpointer.utilization);
        checkpointer
            .utilization
            .files
            .keys()
            .copied()
            .filter(|number| {
                !listed.contains(number)
                    && self.is_removable(&checkpointer.utilization, checkpointer, history, *number)
            })
            .collect()
    }

    /// Removes files that nothing needs. Pinned ones stay, and are looked at again by the next
    /// checkpoint; after a crash the open finds that no table knows them.
    fn remove_dead(&self, checkpointer: &mut Checkpointer, removable: Vec<FileNumber>) -> u64 {
        if removable.is_empty() && lock(&self.pins).deferred.is_empty() {
            return 0;
        }
        let Ok(Some(mut gate)) = self.gate() else { return 0 };
        self.remove_deferred(&mut gate);
        let (mut removed, mut spares) = (0, Vec::new());
        let (capacity, recycle) = (self.options.journal_capacity(), !self.is_short_of_disk());
        for number in removable {
            let is_short = self.files.find(number).is_some_and(|file| file.footprint() <= capacity);
            let gone = match () {
                () if gate.is_pinned(number) => continue,
                () if recycle && is_short => self.files.retire(number),
                () => self.files.remove(number).map(|()| None),
            };
            if let Ok(spare) = gone {
                checkpointer.utilization.files.remove(&number);
                removed += 1;
                spares.extend(spare);
            }
        }
        drop(gate);
        for spare in spares {
            if let Err(error) = self.files.wipe(spare, capacity) {
                // A sync of a directory that failed concerns other files, too.
                self.failure.poison(error.into());
            }
        }
        self.counters.removed_files.fetch_add(removed, Ordering::Relaxed);
        removed
    }

    /// A failure to write nodes leaves the environment valid, unless it was a sync: then nobody
    /// knows what the disk holds.
    pub(crate) fn node_failure(&self, error: EnvError) -> EnvError {
        let is_poisoned = matches!(error, EnvError::Poisoned { .. });
        if self.files.sync_failed() || !is_poisoned && !error.may_try_again() {
            return EnvError::Poisoned { cause: self.failure.poison(error) };
        }
        error
    }
}

/// The table of files of a checkpoint, as the account to go on from.
pub(crate) fn utilization_of(record: &CheckpointRecord) -> Utilization {
    let files: BTreeMap<FileNumber, FileUse> = record
        .files
        .iter()
        .map(|file| {
            (
                file.number,
                FileUse {
                    class: file.class,
                    directory: file.directory,
                    file: file.file,
                    end: file.end,
                    live: i64::try_from(file.live).unwrap_or(i64::MAX),
                    dead_since: None,
                },
            )
        })
        .collect();
    Utilization { files, digest: record.digest }
}

/// The error for a checkpoint record of another environment.
pub(crate) fn foreign(path: &Path, found: Uuid) -> LogError {
    LogError::Foreign {
        path: path.to_owned(),
        what: "the environment",
        expected: "this one".into(),
        found: found.to_string(),
    }
}
