//! The cleaner: what is still in use in files that hold little else gets a new place, so that they
//! can go.
//!
//! The account of each file, exact at each checkpoint, only says which files are worth it. Whether a
//! record is in use is decided by looking it up; that nothing in a file is in use any more is decided
//! by the next checkpoint; and the file goes one checkpoint after that, as any dead file does. So a
//! mistake here costs space, never data. Nothing is logged: until a checkpoint refers to the new
//! place, the old one counts.
//!
//! Nodes are not copied but written anew by the next checkpoint ([`TreeWriter::renew`]); large values
//! are copied into value files. (Rosenblum and Ousterhout, 1992; the checkpoint as the only judge is
//! what Berkeley DB JE's cleaner lacks.)
//!
//! [`TreeWriter::renew`]: cairn_btree::TreeWriter::renew

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::{FrozenRoot, NodeName, Reached, TreeId, ValuePointer};
use cairn_log::{
    Damage, FileClass, FileNumber, HEADER_LEN, LogFile, Lsn, Record, RecordKind, Scan, Scanner,
    journal_boundary,
};

use crate::{
    EnvError, EnvResult,
    checkpoint::{Checkpointer, Durable},
    commit::{self, Decoder, Encoder, Op},
    core::Core,
    pin::Pins,
    sync::lock,
    tell,
    utilization::{FileEnd, FileUse, Utilization},
};

/// Bytes in use that are moved at most before a checkpoint writes them.
const ROUND_BYTES: u64 = 64 << 20;
/// Nodes that are renewed under one hold of the commit lock.
const CHUNK: usize = 16;
/// Steps after which a file is held against a newer version, if nobody else has one made.
const BASE_STEPS: u32 = 64;
/// More small files than this are put together, however full they are.
const SMALL_FILES: usize = 32;

/// What the cleaner has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanReport {
    /// Log files that were gone through.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Records that got a new place.
    pub moved: u64,
    /// Log files that were removed since.
    pub removed_files: u64,
}

/// Files that are being cleaned, and how far that is.
#[derive(Debug)]
pub(crate) struct Cleaning {
    /// With their ends.
    files: VecDeque<(FileNumber, u64)>,
    current: Option<Current>,
    pub(crate) report: CleanReport,
    /// Files that could not be read to their ends.
    pub(crate) damaged: Vec<(FileNumber, EnvError)>,
}

#[derive(Debug)]
struct Current {
    file: Arc<LogFile>,
    /// A version that is not older than the file.
    base: Arc<FrozenRoot>,
    /// How many steps there were.
    steps: u32,
    next: u64,
    end: u64,
}

/// Something in use that gets a new place.
#[derive(Debug)]
pub(crate) enum Move {
    Node { name: NodeName, lsn: Lsn },
    Value { tree: TreeId, key: Vec<u8>, old: ValuePointer, new: ValuePointer },
}

impl Cleaning {
    /// To go through these files; `None` if there are none.
    fn of(files: Vec<FileNumber>, utilization: &Utilization) -> Option<Self> {
        let end_of = |number: FileNumber| {
            let file = utilization.files.get(&number)?;
            Some((number, file.end.offset()?))
        };
        (!files.is_empty()).then(|| Self {
            files: files.into_iter().filter_map(end_of).collect(),
            current: None,
            report: CleanReport::default(),
            damaged: Vec::new(),
        })
    }

    /// The files that are still to be gone through.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = FileNumber> {
        self.files.iter().map(|(number, _)| *number)
    }
}

impl Core {
    /// The files to clean so that at least `target` (0 to 1) of what the files take is in use; nothing if
    /// that is so already, or if that would free less than `least` bytes. Files from `before` on and each
    /// of `skip` stay out.
    pub(crate) fn to_clean(
        &self,
        checkpointer: &Checkpointer,
        target: f64,
        least: u64,
        before: FileNumber,
        skip: &[FileNumber],
    ) -> Option<Cleaning> {
        let newest = checkpointer.newest.as_ref()?;
        let pins = lock(&self.pins);
        let history = self.history_from(&checkpointer.utilization);
        let is_candidate = |number: FileNumber, file: &FileUse| {
            // What is moved out of a file that stays takes space and frees none.
            let stays =
                file.class == FileClass::Journal && history.is_some_and(|from| number >= from);
            !stays
                && can_be_emptied(newest, &pins, number, file)
                && number < before
                && !skip.contains(&number)
        };
        let files = choose(
            &checkpointer.utilization,
            is_candidate,
            target,
            least,
            self.options.node_file_bytes,
        );
        Cleaning::of(files, &checkpointer.utilization)
    }

    /// The files that `is_wanted` names, however full they are, as far as they can be emptied now.
    pub(crate) fn to_empty(
        &self,
        checkpointer: &Checkpointer,
        is_wanted: impl Fn(FileNumber) -> bool,
    ) -> Option<Cleaning> {
        let newest = checkpointer.newest.as_ref()?;
        let pins = lock(&self.pins);
        let files = checkpointer.utilization.files.iter();
        let files = files
            .filter(|&(number, file)| {
                is_wanted(*number) && can_be_emptied(newest, &pins, *number, file)
            })
            .map(|(number, _)| *number);
        Cleaning::of(files.collect(), &checkpointer.utilization)
    }

    /// Goes through some more records; returns whether there are others.
    pub(crate) fn clean_step(&self, cleaning: &mut Cleaning) -> EnvResult<bool> {
        self.check_upkeep()?;
        self.begin()?;
        if cleaning.current.is_none() {
            let Some((number, end)) = cleaning.files.pop_front() else { return Ok(false) };
            let Some(file) = self.files.find(number) else { return Ok(true) };
            cleaning.report.files += 1;
            cleaning.report.file_bytes += end;
            self.counters.cleaned_files.fetch_add(1, Ordering::Relaxed);
            self.counters.cleaned_bytes.fetch_add(end, Ordering::Relaxed);
            let base = self.freeze_latest()?;
            cleaning.current = Some(Current { file, base, steps: 0, next: HEADER_LEN, end });
        }
        let Some(current) = &mut cleaning.current else { return Ok(true) };
        // What commits have replaced since is not kept for the cleaner's sake longer than need be.
        current.steps += 1;
        match self.published.peek() {
            Some(published) if published.generation() > current.base.generation() => {
                current.base = published;
            }
            None if current.steps % BASE_STEPS == 0 => current.base = self.freeze_latest()?,
            _ => {}
        }
        let number = current.file.header().number;
        match self.clean_some(current) {
            Ok((moved, more)) => {
                cleaning.report.moved += moved;
                self.counters.moved_records.fetch_add(moved, Ordering::Relaxed);
                if !more {
                    cleaning.current = None;
                }
                Ok(true)
            }
            // What cannot be read stays where it is; the account keeps the file.
            Err(error) if error.kind() == crate::ErrorKind::Corrupt => {
                cleaning.damaged.push((number, error));
                cleaning.current = None;
                Ok(true)
            }
            // A sync that failed is more than a cleaning that did.
            Err(error) if self.files.sync_failed() => Err(self.node_failure(error)),
            Err(error) => Err(error),
        }
    }

    fn clean_some(&self, current: &mut Current) -> EnvResult<(u64, bool)> {
        let from = current.next;
        let _moving = Moving::begin(self);
        let (moves, more) = self.collect(current)?;
        let moved = self.place_anew(moves).inspect_err(|_| current.next = from)?;
        Ok((moved, more))
    }

    /// Has the trees refer to the new places, as far as they still refer to the old ones; returns how many did.
    pub(crate) fn place_anew(&self, moves: Vec<Move>) -> EnvResult<u64> {
        let mut moved = 0;
        let _guard = self.failure.on_panic();
        let mut commit = self.lock_for_upkeep()?;
        for one in moves {
            let done = match one {
                Move::Node { name, lsn } => commit.writer.renew(&name, lsn)?,
                Move::Value { tree, key, old, new } => {
                    commit.writer.move_value(tree, &key, old, new)?
                }
            };
            moved += u64::from(done);
        }
        self.bound_private(&mut commit)?;
        Ok(moved)
    }

    /// Writes a large value with this checksum into a value file, and returns where it stands.
    pub(crate) fn copy_value(
        &self,
        sequence: u64,
        tree: TreeId,
        key: &[u8],
        value: &[u8],
        crc: u32,
    ) -> EnvResult<ValuePointer> {
        let room = Vec::with_capacity(value.len() + key.len() + 64);
        let mut encoder = Encoder::new(room, self.files.is_encrypted());
        let offset = encoder.put_large(tree, key, value);
        let lsn = self.files.append_value(sequence, encoder)?;
        commit::pointer(lsn, offset, value.len(), crc).ok_or_else(no_place)
    }

    /// What is in use among the next records, as far as the version that the file is held against
    /// knows. That loads it, so that it is in memory when the lock is held; values are copied here.
    fn collect(&self, current: &mut Current) -> EnvResult<(Vec<Move>, bool)> {
        let Current { file, base, next, end, steps: _ } = current;
        let mut moves = Vec::new();
        let mut scanner = Scanner::from(file, *next, *end);
        while moves.len() < CHUNK {
            let record = match scanner.next()? {
                Scan::Record(record) => record,
                Scan::End(stop) => {
                    return match stop.damage {
                        Some(damage) if stop.seal.is_none() && stop.offset < *end => {
                            Err(file.corrupt(stop.offset, damage).into())
                        }
                        _ => Ok((moves, false)),
                    };
                }
            };
            *next = record.lsn.offset() + record.header.record_len();
            match record.header.kind {
                RecordKind::TRANSACTION | RecordKind::PART | RecordKind::VALUE => {
                    self.collect_values(base, &record, &mut moves)?;
                }
                kind => {
                    let name = NodeName::read(kind, record.body);
                    let name = name.map_err(|damage| file.corrupt(record.lsn.offset(), damage))?;
                    if let Some(name) = name
                        && base.has_node_at(&name, record.lsn)?
                    {
                        moves.push(Move::Node { name, lsn: record.lsn });
                    }
                }
            }
        }
        Ok((moves, true))
    }

    fn collect_values(
        &self,
        base: &Arc<FrozenRoot>,
        record: &Record<'_>,
        moves: &mut Vec<Move>,
    ) -> EnvResult<()> {
        let malformed = |source| {
            let damage = Damage::Malformed { what: "transaction", source };
            match self.files.find(record.lsn.file()) {
                Some(file) => file.corrupt(record.lsn.offset(), damage).into(),
                None => EnvError::internal("a record of a file that is gone"),
            }
        };
        let mut decoder = Decoder::new(record.body).map_err(malformed)?;
        while let Some(op) = decoder.next().map_err(malformed)? {
            let Op::PutLarge { tree, key, value, crc, offset } = op else { continue };
            let old = commit::pointer(record.lsn, offset, value.len(), crc).ok_or_else(no_place)?;
            if !base.has_value_at(tree, key, old)? {
                continue;
            }
            // The record's own checksum was checked; that of the value is what readers check.
            let checked = self.read_large_value(old)?;
            let new = self.copy_value(record.header.sequence, tree, key, &checked, crc)?;
            moves.push(Move::Value { tree, key: key.to_vec(), old, new });
        }
        Ok(())
    }

    /// Gives what is in use in the files of `cleaning` another place, with the checkpoints that it takes for
    /// them to go.
    pub(crate) fn empty(&self, mut cleaning: Cleaning, report: &mut CleanReport) -> EnvResult<()> {
        while self.clean_step(&mut cleaning)? {}
        if let Some((_, error)) = cleaning.damaged.into_iter().next() {
            return Err(error);
        }
        let CleanReport { files, file_bytes, moved, .. } = cleaning.report;
        tell::cleaned(files, file_bytes, moved);
        report.files += files;
        report.file_bytes += file_bytes;
        report.moved += moved;
        // Finds the files dead.
        self.schedule.want_checkpoints(1);
        report.removed_files += self.checkpoint()?.removed_files;
        report.removed_files += self.let_dead_files_go()?;
        Ok(())
    }

    /// Cleans until at least `target` of what the files take is in use, with the checkpoints that it
    /// takes for files to go.
    pub(crate) fn clean_to(&self, target: f64) -> EnvResult<CleanReport> {
        self.check_upkeep()?;
        let mut report = CleanReport::default();
        let mut done: Vec<FileNumber> = Vec::new();
        while self.empty_graves()? {}
        if target >= 1.0 {
            self.leave_journal_file()?;
        }
        self.checkpoint()?;
        if target >= 1.0 && self.make_leaves_whole()? > 0 {
            self.schedule.want_checkpoints(1);
            self.checkpoint()?;
        }
        // What is written meanwhile is as full as it gets.
        let before = self.files.next();
        loop {
            let cleaning = self.to_clean(&lock(&self.checkpointer), target, 0, before, &done);
            let Some(cleaning) = cleaning else { break };
            done.extend(cleaning.numbers());
            self.empty(cleaning, &mut report)?;
        }
        // What was dead without any cleaning goes as well, a dropped database above all.
        report.removed_files += self.let_dead_files_go()?;
        if target >= 1.0 {
            self.files.drop_spares();
        }
        Ok(report)
    }

    /// Ends the journal file in use, out of which nothing could be moved. If it is longer than a new one, the journal goes on
    /// in such a one, which is none of the spares, and the next checkpoint says so: the old one can be emptied, and goes.
    fn leave_journal_file(&self) -> EnvResult<()> {
        let end = self.seal_journal(|commit| Ok(commit.tail.map_or(0, |tail| tail.end)))?;
        if end > journal_boundary(HEADER_LEN + 1, u64::MAX) {
            self.files.drop_spares();
            self.make_journal_room(0)?;
            self.schedule.want_checkpoints(1);
        }
        Ok(())
    }

    /// Has each leaf that stands as a delta written as a whole, so that what its base says of changed keys takes no space; returns
    /// how many there are.
    fn make_leaves_whole(&self) -> EnvResult<u64> {
        let frozen = self.freeze_latest()?;
        let (mut moves, mut placed) = (Vec::new(), Ok(0u64));
        cairn_btree::check(&frozen, &mut |reached| {
            if let Reached::Node { tree, lower, base: Some(lsn), .. } = reached {
                moves.push(Move::Node { name: NodeName::new(tree, 0, lower.to_vec()), lsn });
            }
            if moves.len() >= CHUNK
                && let Ok(before) = &placed
            {
                let before = *before;
                placed = self.place_anew(std::mem::take(&mut moves)).map(|more| before + more);
            }
        });
        Ok(placed? + self.place_anew(moves)?)
    }

    /// Makes the checkpoint that dead files wait for, if there are any; returns how many went.
    pub(crate) fn let_dead_files_go(&self) -> EnvResult<u64> {
        if !lock(&self.checkpointer).utilization.has_dead() {
            return Ok(0);
        }
        self.schedule.want_checkpoints(1);
        Ok(self.checkpoint()?.removed_files)
    }
}

/// Values are being written to new places that nothing refers to yet: as long as it lives, no value file is
/// found dead. (Two checkpoints in between, by other threads, would let the file go, and then it is referred
/// to.)
pub(crate) struct Moving<'c>(&'c Core);

impl<'c> Moving<'c> {
    pub(crate) fn begin(core: &'c Core) -> Self {
        core.moving.fetch_add(1, Ordering::SeqCst);
        Self(core)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.moving.fetch_sub(1, Ordering::SeqCst);
    }
}

fn no_place() -> EnvError {
    EnvError::internal("a large value without a position")
}

/// Whether what is in use in a file can be given another place now.
fn can_be_emptied(newest: &Durable, pins: &Pins, number: FileNumber, file: &FileUse) -> bool {
    file.live > 0
        && file.end != FileEnd::Open
        && number != newest.lsn.file()
        && (file.class != FileClass::Journal
            || newest.record.replay_start.is_some_and(|start| number < start.file()))
        && !pins.is_probably_pinned(number)
}

/// The emptiest files first, until what remains is full enough or a round is full; and small files, if
/// there are many.
fn choose(
    utilization: &Utilization,
    is_candidate: impl Fn(FileNumber, &FileUse) -> bool,
    target: f64,
    least: u64,
    file_bytes: u64,
) -> Vec<FileNumber> {
    let live = |file: &FileUse| u64::try_from(file.live).unwrap_or(0);
    let length = |file: &FileUse| file.end.offset().unwrap_or(0);
    let mut candidates: Vec<(FileNumber, u64, u64)> = utilization
        .files
        .iter()
        .filter(|(number, file)| is_candidate(**number, file))
        .map(|(number, file)| (*number, live(file), length(file).max(1)))
        .collect();
    // Exact, unlike a comparison of quotients in floating point.
    candidates.sort_by_key(|&(number, live, length)| {
        ((u128::from(live) << 32) / u128::from(length), number)
    });
    let (mut lives, mut lengths) = candidates
        .iter()
        .fold((0, 0), |(lives, lengths), (_, live, length)| (lives + live, lengths + length));
    let (mut chosen, mut moved) = (Vec::new(), 0);
    // What a file takes beside its records is not worth moving them.
    let is_worth_it =
        |live: u64, length: u64| length - live.min(length) > length / 50 + HEADER_LEN + 512;
    let free: u64 = candidates
        .iter()
        .filter(|(_, live, length)| is_worth_it(*live, *length))
        .map(|(_, live, length)| length - live.min(length))
        .sum();
    for &(number, live, length) in &candidates {
        let full = lives as f64 >= target * lengths as f64;
        if full || free < least || moved > 0 && moved + live > ROUND_BYTES {
            break;
        }
        // The emptiest may be a file of a few nodes, of which there is little to gain; larger ones follow.
        if !is_worth_it(live, length) {
            continue;
        }
        chosen.push(number);
        (moved, lengths) = (moved + live, lengths - (length - live.min(length)));
        lives = lives.min(lengths);
    }
    let small: Vec<FileNumber> = candidates
        .iter()
        .filter(|(_, _, length)| *length < file_bytes / 8)
        .map(|(number, ..)| *number)
        .collect();
    if small.len() > SMALL_FILES {
        chosen.extend(
            small.into_iter().filter(|number| !chosen.contains(number)).collect::<Vec<_>>(),
        );
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatabaseOptions, Environment, Options};

    /// A thread had copied values and not yet said where they are; two checkpoints of another one found that
    /// nothing refers to the new file, and removed it. Killed processes found it: values were missing.
    #[test]
    fn a_file_of_values_that_are_being_moved_outlives_checkpoints_of_others() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        let checkpoints = || {
            for n in 0..4_u8 {
                env.write(|txn| txn.put(&db, b"key", &[n])).unwrap();
                env.checkpoint().unwrap();
            }
        };
        checkpoints();
        let moving = Moving::begin(&env.core);
        let mut encoder = Encoder::new(Vec::new(), false);
        encoder.put_large(TreeId(1), b"key", &[7; 5000]);
        let lsn = env.core.files.append_value(1, encoder).unwrap();
        checkpoints();
        assert!(env.core.files.find(lsn.file()).is_some());
        drop(moving);
        checkpoints();
        assert!(env.core.files.find(lsn.file()).is_none());
    }
}
