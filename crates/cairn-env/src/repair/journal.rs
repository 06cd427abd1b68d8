//! `Commits`: which commits the journal files still hold, and which of them count.
//!
//! What lies behind the end of a journal file does not count, whatever it is: its commits were given up
//! by a recovery, and their numbers may have been used again. Where the end is not on record, records
//! behind damage count as far as the file is known to have been durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_log::{
    FileClass, FileNumber, LogError, LogFile, Lsn, Record, RecordKind, Stop,
    tail::{self, Outside, Tail, Verdict},
};

use super::{
    Missing, RepairReport,
    scan::{self, Scanned},
    source::Source,
};
use crate::{
    EnvError, EnvResult,
    commit::{CommitRecord, Decoder},
};

/// The commits that can be replayed.
pub(crate) struct Commits {
    files: Vec<Part>,
    /// Runs of commits without a gap, in order.
    runs: Vec<(u64, u64)>,
    /// The newest commit that is known of, here or not.
    pub(crate) newest: u64,
    /// Whether there certainly was no newer one.
    pub(crate) is_end_known: bool,
    /// Whether something stands behind the end that is no whole record, or proves nothing: what a crash
    /// leaves, or damage to the last commits.
    has_torn_end: bool,
    /// Up to which commit the files of each incarnation are known to hold what was never given up.
    proven: BTreeMap<u64, u64>,
}

/// A journal file as far as it counts.
struct Part {
    file: Arc<LogFile>,
    limit: u64,
    /// Commits above this are of another history.
    newest: u64,
}

/// How far a journal file counts whose end is not on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenEnd {
    /// Up to damage, and behind it as far as the file is known to have been durable.
    Proven,
    /// Up to its last whole record: that one was written, whether or not anybody was told so.
    Whole,
}

impl Commits {
    pub(crate) fn find(
        source: &Source,
        open_end: OpenEnd,
        report: &mut RepairReport,
    ) -> EnvResult<Self> {
        let mut this = Self {
            files: Vec::new(),
            runs: Vec::new(),
            newest: 0,
            is_end_known: false,
            has_torn_end: false,
            proven: BTreeMap::new(),
        };
        let mut last = None;
        for file in source.of_class(FileClass::Journal) {
            let scanned = scan::records(file, u64::MAX, &mut |_| Ok(()))?;
            let (limit, recorded) = end_of(source, file, &scanned);
            let limit = match (open_end, recorded) {
                (OpenEnd::Whole, false) => limit.max(scanned.end),
                _ => limit,
            };
            this.files.push(Part { file: Arc::clone(file), limit, newest: u64::MAX });
            last = Some((file, scanned, recorded));
        }
        // The numbers that a file begins with were not given to commits of files before it for good.
        let mut bound = u64::MAX;
        for part in this.files.iter_mut().rev() {
            part.newest = bound;
            bound = bound.min(part.file.header().first_sequence.saturating_sub(1));
        }
        this.collect(source, report)?;
        this.is_end_known = match last {
            Some((_, _, true)) => true,
            Some((file, scanned, false)) => match tail_of(source, file, &scanned) {
                Ok(tail) => {
                    this.has_torn_end = tail.verdict == Verdict::Torn;
                    if this.has_torn_end {
                        let (name, bytes) = (file.name().to_string(), tail.bytes);
                        let what =
                            format!("{bytes} bytes behind the end of the journal do not count");
                        report.damage(&name, tail.offset, what);
                    }
                    tail.damage().is_none()
                }
                // What the disk does not give may have been anything.
                Err(EnvError::Log(LogError::Io(_))) => false,
                Err(error) => return Err(error),
            },
            None => source.states.first().is_some_and(|state| state.journal.is_none()),
        };
        if let Some(state) = source.states.first() {
            let named = state.journal.map(|(number, _)| number);
            let last = this.files.last().map(|part| part.file.header().number);
            let closed = source.is_state_certain && state.clean;
            this.is_end_known = closed || this.is_end_known && named <= last;
        }
        let unreadable = source.unreadable.iter().rev();
        let newest = unreadable.filter(|(_, class)| **class == FileClass::Journal).map(|(n, _)| *n);
        if let (Some(newest), false) = (newest.max(), this.is_closed(source)) {
            let last = this.files.last().map(|part| part.file.header().number);
            this.is_end_known &= last.is_some_and(|last| newest < last);
        }
        Ok(this)
    }

    fn is_closed(&self, source: &Source) -> bool {
        source.is_state_certain && source.states.first().is_some_and(|state| state.clean)
    }

    /// Takes note of the commits, and of what the headers and the state say of others.
    fn collect(&mut self, source: &Source, report: &mut RepairReport) -> EnvResult<()> {
        let (mut runs, mut newest) = (Vec::<(u64, u64)>::new(), 0);
        let mut parts = Parts::default();
        for part in &self.files {
            let header = part.file.header();
            let first = header.first_sequence.saturating_sub(1);
            newest = newest.max(first);
            prove(&mut self.proven, header.incarnation, first);
            if let Some(previous) = header.previous {
                newest = newest.max(previous.last_sequence);
                if let Ok(file) = source.file(previous.file) {
                    prove(&mut self.proven, file.header().incarnation, previous.last_sequence);
                }
            }
            let name = part.file.name().to_string();
            let mut malformed = Vec::new();
            let scanned = scan::records(&part.file, part.limit, &mut |record| {
                let Some(commit) = part.commit(&record, &mut parts) else { return Ok(()) };
                let sequence = record.header.sequence;
                if runs.last().is_some_and(|run| sequence <= run.1) {
                    return Ok(());
                }
                if let Err(problem) = commit {
                    newest = newest.max(sequence);
                    malformed.push((record.lsn.offset(), problem));
                    return Ok(());
                }
                match runs.last_mut() {
                    Some(run) if run.1 + 1 == sequence => run.1 = sequence,
                    _ => runs.push((sequence, sequence)),
                }
                Ok(())
            })?;
            if let Some(run) = runs.last() {
                prove(&mut self.proven, header.incarnation, run.1);
            }
            for gap in scanned.gaps.iter().filter(|gap| gap.at < part.limit) {
                report.damage(&name, gap.at, &gap.problem);
                let is_commit = [RecordKind::TRANSACTION, RecordKind::COMMIT];
                let commit = gap.header.filter(|header| is_commit.contains(&header.kind));
                let lost = commit.map_or(0, |header| header.sequence);
                newest = newest.max(lost.min(part.newest));
            }
            for (offset, problem) in malformed {
                report.damage(&name, offset, problem);
            }
        }
        for state in &source.states {
            newest = newest.max(state.sequence);
            newest = newest.max(state.tail.map_or(0, |tail| tail.last_sequence));
            prove(&mut self.proven, state.incarnation, state.sequence);
        }
        self.newest = newest.max(runs.last().map_or(0, |run| run.1));
        self.runs = runs;
        Ok(())
    }

    /// A checkpoint in this file holds everything up to this commit, so that was durable.
    pub(crate) fn checkpointed(&mut self, file: &LogFile, commit: u64) {
        self.newest = self.newest.max(commit);
        prove(&mut self.proven, file.header().incarnation, commit);
    }

    /// Whether the change with this number in a node of this file is of a commit that was never given
    /// up: a crash takes commits back that nobody had synced, and leaves may have been written with them.
    pub(crate) fn is_proven(&self, source: &Source, file: &LogFile, commit: u64) -> bool {
        let incarnation = file.header().incarnation;
        let newest = source.files.values().map(|file| file.header().incarnation).max();
        commit <= self.proven.get(&incarnation).copied().unwrap_or(0)
            || !self.is_end_known && newest == Some(incarnation)
    }

    /// A state of this commit, or of a later one, and the commits that are here, give everything.
    pub(crate) fn complete_from(&self) -> u64 {
        let mut from = self.newest;
        for (first, last) in self.runs.iter().rev() {
            if *last < from {
                break;
            }
            from = first.saturating_sub(1).min(from);
        }
        from
    }

    /// The commit before the first one that is here.
    pub(crate) fn first_held(&self) -> u64 {
        self.runs.first().map_or(self.newest, |run| run.0.saturating_sub(1))
    }

    /// The commits after `from` that are not here.
    pub(crate) fn lost_after(&self, from: u64) -> Vec<Missing> {
        let (mut lost, mut next) = (Vec::new(), from + 1);
        let end = (self.newest + 1, self.newest + 1);
        for (first, last) in self.runs.iter().chain([&end]) {
            if *first > next {
                lost.push(Missing::Commits { from: next, to: Some(first - 1) });
            }
            next = next.max(last + 1);
        }
        if !self.is_end_known || self.has_torn_end {
            lost.push(Missing::Commits { from: self.newest + 1, to: None });
        }
        lost
    }

    /// Calls `each` with the changes of every commit, in order; those of one in parts come piecemeal.
    pub(crate) fn replay(
        &self,
        each: &mut dyn FnMut(Change, Decoder<'_>) -> EnvResult<()>,
    ) -> EnvResult<()> {
        let mut last = 0;
        let mut parts = Parts::default();
        for part in &self.files {
            scan::records(&part.file, part.limit, &mut |record| {
                let Some(commit) = part.commit(&record, &mut parts) else { return Ok(()) };
                let Ok(Commit { sequence, parts }) = commit else { return Ok(()) };
                if sequence <= last {
                    return Ok(());
                }
                last = sequence;
                let Some(parts) = parts else {
                    let Ok(decoder) = Decoder::new(record.body) else { return Ok(()) };
                    let lsn = record.lsn;
                    return each(Change { sequence, in_parts: false, lsn }, decoder);
                };
                for lsn in parts {
                    let body = self.read(lsn)?;
                    let Ok(decoder) = Decoder::new(&body) else { continue };
                    each(Change { sequence, in_parts: true, lsn }, decoder)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Calls `each` with what [`Commits::replay`] leaves out: the changes of transactions that do not count, or of
    /// which it cannot be told.
    pub(crate) fn apart(
        &self,
        each: &mut dyn FnMut(Apart, Change, Decoder<'_>) -> EnvResult<()>,
    ) -> EnvResult<()> {
        let mut last = 0;
        let mut parts = Parts::default();
        let mut open: Vec<(u64, Lsn)> = Vec::new();
        let mut all = |why, in_parts, parts: Vec<(u64, Lsn)>| -> EnvResult<()> {
            for (sequence, lsn) in parts {
                let body = self.read(lsn)?;
                let Ok(decoder) = Decoder::new(&body) else { continue };
                each(why, Change { sequence, in_parts, lsn }, decoder)?;
            }
            Ok(())
        };
        for part in &self.files {
            scan::records(&part.file, u64::MAX, &mut |record| {
                let (kind, sequence) = (record.header.kind, record.header.sequence);
                let is_transaction = kind == RecordKind::TRANSACTION;
                if kind == RecordKind::PART {
                    let is_first = Decoder::new(record.body).is_ok_and(|part| part.head == 0);
                    if is_first || open.last().is_some_and(|last| last.0 != sequence) {
                        all(Apart::Unfinished, true, std::mem::take(&mut open))?;
                    }
                    open.push((sequence, record.lsn));
                }
                let commit = part.commit(&record, &mut parts);
                if !is_transaction && kind != RecordKind::COMMIT {
                    return Ok(());
                }
                let before = std::mem::take(&mut open);
                let counts = match commit {
                    Some(Ok(commit)) if commit.sequence > last => {
                        last = commit.sequence;
                        let used: BTreeSet<Lsn> = commit.parts.into_iter().flatten().collect();
                        let left = before.into_iter().filter(|(_, lsn)| !used.contains(lsn));
                        return all(Apart::Unfinished, true, left.collect());
                    }
                    Some(Err(_)) => Apart::Incomplete,
                    _ => Apart::GivenUp,
                };
                if !is_transaction {
                    return all(counts, true, before);
                }
                all(Apart::Unfinished, true, before)?;
                all(counts, false, vec![(sequence, record.lsn)])
            })?;
        }
        all(Apart::Unfinished, true, open)
    }

    /// How far a journal file counts.
    pub(crate) fn limit_of(&self, file: FileNumber) -> Option<u64> {
        let part = self.files.iter().find(|part| part.file.header().number == file);
        part.map(|part| part.limit)
    }

    fn read(&self, lsn: Lsn) -> EnvResult<Vec<u8>> {
        let file = self.files.iter().find(|part| part.file.header().number == lsn.file());
        let file = file.ok_or_else(|| EnvError::internal("a part of a file that is gone"))?;
        Ok(file.file.read(lsn)?.body)
    }
}

/// Which commit a change is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) sequence: u64,
    pub(crate) in_parts: bool,
    /// The record that holds it.
    pub(crate) lsn: Lsn,
}

/// Why a transaction does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// It stands behind the end of its journal file: a recovery has given it up.
    GivenUp,
    /// No COMMIT record follows its parts.
    Unfinished,
    /// Its COMMIT record is there, and not all of its parts; or its record makes no sense from some place on.
    Incomplete,
}

impl Change {
    /// Whether it counts for what is as commit `commit` has left it. What was written of a commit in parts
    /// may have been written half way; doing all of it again makes it whole.
    pub(crate) const fn counts_after(self, commit: u64) -> bool {
        commit < self.sequence || self.in_parts && commit == self.sequence
    }
}

/// A commit that the journal holds.
struct Commit {
    sequence: u64,
    /// Where its parts stand, if it has any.
    parts: Option<Vec<Lsn>>,
}

/// The parts before a COMMIT.
#[derive(Default)]
struct Parts {
    sequence: u64,
    /// A number that one has given up another one may have.
    incarnation: u64,
    places: Vec<Lsn>,
}

impl Parts {
    fn add(&mut self, record: &Record<'_>, incarnation: u64) {
        let Ok(part) = Decoder::new(record.body) else { return };
        let sequence = record.header.sequence;
        if part.head == 0 {
            *self = Self { sequence, incarnation, places: Vec::new() };
        }
        let is_next = (self.sequence, self.incarnation) == (sequence, incarnation)
            && part.head == self.places.len() as u64
            && check(record.body).is_ok();
        if is_next {
            self.places.push(record.lsn);
        }
    }

    /// The commit that a COMMIT record makes; what is wrong with it if that is none.
    fn commit(&mut self, record: &Record<'_>, incarnation: u64) -> Result<Commit, String> {
        let this = std::mem::take(self);
        let commit = CommitRecord::decode(record.body).map_err(|error| error.to_string())?;
        let (sequence, places) = (record.header.sequence, this.places);
        if (this.sequence, this.incarnation, places.len() as u64)
            == (sequence, incarnation, commit.parts)
        {
            return Ok(Commit { sequence, parts: Some(places) });
        }
        let (here, all) = (places.len(), commit.parts);
        Err(format!("of the {all} parts of commit {} {here} are here", record.header.sequence))
    }
}

impl Part {
    /// The commit that a record is, if it is one and counts; what is wrong with it if it is damaged.
    fn commit(&self, record: &Record<'_>, parts: &mut Parts) -> Option<Result<Commit, String>> {
        let (header, incarnation) = (record.header, self.file.header().incarnation);
        // The transaction that the next file goes on with has the number that it begins with.
        let is_part = header.kind == RecordKind::PART;
        let newest = if is_part { self.newest.saturating_add(1) } else { self.newest };
        if record.lsn.offset() >= self.limit || header.sequence > newest {
            return None;
        }
        match header.kind {
            RecordKind::TRANSACTION => {
                let commit = Commit { sequence: header.sequence, parts: None };
                Some(check(record.body).map(|()| commit).map_err(|error| error.to_string()))
            }
            RecordKind::PART => {
                parts.add(record, incarnation);
                None
            }
            RecordKind::COMMIT => Some(parts.commit(record, incarnation)),
            _ => None,
        }
    }
}

fn prove(proven: &mut BTreeMap<u64, u64>, incarnation: u64, commit: u64) {
    let known = proven.entry(incarnation).or_default();
    *known = (*known).max(commit);
}

/// An error unless the changes of a transaction, a part or a moved value make sense.
pub(crate) fn check(body: &[u8]) -> Result<(), cairn_log::codec::DecodeError> {
    let mut decoder = Decoder::new(body)?;
    while decoder.next()?.is_some() {}
    Ok(())
}

/// Where a journal file ends as far as it counts, and whether that is on record.
fn end_of(source: &Source, file: &LogFile, scanned: &Scanned) -> (u64, bool) {
    let number = file.header().number;
    let next = source.of_class(FileClass::Journal).filter_map(|next| next.header().previous);
    let by_next =
        next.filter(|previous| previous.file == number).map(|previous| previous.end).min();
    let tails = source.states.iter().filter_map(|state| state.tail);
    let by_state = tails.filter(|tail| tail.file == number).map(|tail| tail.end).next();
    let sealed = scanned.sealed.then_some(scanned.end);
    match by_next.or(by_state).or(sealed) {
        Some(end) => (end, true),
        None => {
            let durable = scanned.durable.max(durable_by_state(source, number).unwrap_or(0));
            (scanned.first_end.max(durable), false)
        }
    }
}

fn durable_by_state(source: &Source, number: FileNumber) -> Option<u64> {
    let journals = source.states.iter().filter_map(|state| state.journal);
    journals.filter(|(file, _)| *file == number).map(|(_, durable)| durable).max()
}

/// What the end of the newest journal file is, where it is not on record.
fn tail_of(source: &Source, file: &LogFile, scanned: &Scanned) -> EnvResult<Tail> {
    let promised = durable_by_state(source, file.header().number);
    let known_durable = scanned.durable.max(promised.unwrap_or(0));
    // Records behind damage count up to where the file was durable; there it must end.
    let mut end = scanned.first_end;
    scan::records(file, known_durable, &mut |record| {
        end = end.max(record.lsn.offset() + record.header.record_len());
        Ok(())
    })?;
    let stop = Stop { offset: end, damage: None, seal: None };
    let promised = promised.is_some();
    let outside = Outside { recorded_end: None, known_durable, promised, strict: false };
    Ok(tail::judge(file, &stop, outside)?)
}
