//! Replay: the journal past a checkpoint, file after file, up to where it validly ends.

use std::{collections::BTreeMap, sync::Arc};

use cairn_btree::{Forest, TreeWriter};
use cairn_io::{Access, File, FileExt};
use cairn_log::{
    Damage, FileClass, FileNumber, HEADER_LEN, LogError, LogFile, LogName, Lsn, Predecessor,
    Record, RecordKind, Scan, Scanner, Stop, Uuid,
    tail::{self, Outside, Verdict},
};

use crate::{
    EnvError, EnvResult,
    commit::{Decoder, apply_ops},
    files::Files,
    recovery::{
        check_uuid,
        parts::Parts,
        report::{RecoveryReport, TornTail},
    },
    state::State,
    utilization::FileEnd,
};

/// What replay works on.
pub(crate) struct Replay<'a> {
    pub(crate) files: &'a Files,
    pub(crate) forest: &'a Arc<Forest>,
    pub(crate) writer: &'a mut TreeWriter,
    pub(crate) state: &'a State,
    pub(crate) strict: bool,
    pub(crate) read_only: bool,
    /// Whether another process is writing the journal: then it ends where it is known to be durable.
    pub(crate) has_writer: bool,
    /// All journal files in the directory.
    pub(crate) journals: &'a BTreeMap<FileNumber, LogName>,
    /// The first that the checkpoint has seen being written.
    pub(crate) open_ended: Option<FileNumber>,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) next_tree: u32,
    pub(crate) report: &'a mut RecoveryReport,
    /// Files that were replayed to their ends, or need not be.
    pub(crate) ended: Vec<(FileNumber, FileEnd)>,
    pub(crate) parts: Parts,
}

/// Where the journal ends.
#[derive(Debug)]
pub(crate) enum End {
    /// There is no journal.
    Nowhere,
    /// At the end that is recorded already.
    Recorded(Predecessor),
    /// In this file, at this offset; its digest is still to be computed.
    At(Arc<LogFile>, u64, Option<TornTail>),
}

impl Replay<'_> {
    /// Replays everything from `start` on.
    pub(crate) fn run(&mut self, start: Option<Lsn>) -> EnvResult<End> {
        let newest = self.journals.keys().next_back().copied();
        if let Some(tail) = self.state.tail
            && tail.last_sequence == self.sequence
            && newest.is_none_or(|newest| newest <= tail.file)
            && self.state.journal.is_none_or(|(file, _)| file <= tail.file)
        {
            self.note_ends(start, tail.file)?;
            return Ok(End::Recorded(tail));
        }
        let first = match start {
            Some(lsn) => lsn.file(),
            None => match self.first_journal()? {
                Some(file) => file,
                None => return Ok(End::Nowhere),
            },
        };
        let mut offset = start.map_or(HEADER_LEN, Lsn::offset);
        let mut file = self.open(first)?.ok_or_else(|| self.missing(first, "the checkpoint"))?;
        loop {
            // Planted: only the first file replayed.
            let next = if cairn_io::planted::is(17) { None } else { self.successor(&file)? };
            let recorded = match (self.recorded_end(&file, next.as_ref()), &next) {
                (None, None) if self.has_writer => Some(self.durable_end(&mut file, offset)?),
                (recorded, _) => recorded,
            };
            let stop = self.replay_file(&file, offset, recorded)?;
            match next {
                Some(next) => {
                    self.check_successor(&file, &stop, &next)?;
                    (file, offset) = (next, HEADER_LEN);
                }
                None => {
                    self.give_up_parts()?;
                    return self.end(file, &stop, recorded);
                }
            }
        }
    }

    /// Takes note of where journal files end that nothing has to be replayed from. The checkpoint does not
    /// know them, or has seen them being written; where a crash has ended one, only the file after it says
    /// where. (A file without an end could neither be backed up nor ever be cleaned.)
    fn note_ends(&mut self, start: Option<Lsn>, tail: FileNumber) -> EnvResult<()> {
        let start = start.map_or(FileNumber::FIRST, Lsn::file);
        let first = self.open_ended.map_or(start, |open| open.min(start));
        let numbers: Vec<_> = self.journals.keys().copied().collect();
        for number in numbers.into_iter().filter(|number| (first..=tail).contains(number)) {
            let Some(file) = self.open(number)? else { continue };
            let next = self.successor(&file)?;
            if let Some(end) = self.recorded_end(&file, next.as_ref()) {
                let is_sealed = file.seal(end)?.is_some();
                let end = if is_sealed { FileEnd::Sealed(end) } else { FileEnd::Cut(end) };
                self.ended.push((number, end));
            }
        }
        Ok(())
    }

    /// The first journal file of an environment without a checkpoint.
    fn first_journal(&self) -> EnvResult<Option<FileNumber>> {
        let first = self.begun_after(None)?;
        match (first, self.state.journal) {
            (Some(first), _) => match first.header().previous {
                None => Ok(Some(first.header().number)),
                Some(previous) => Err(self.missing(previous.file, "the journal file after it")),
            },
            (None, Some((file, _))) => Err(self.missing(file, "the state file")),
            (None, None) => Ok(None),
        }
    }

    fn missing(&self, file: FileNumber, why: &str) -> EnvError {
        let name = LogName::new(FileClass::Journal, file, self.files.identity.timeline);
        EnvError::MissingFile {
            name: self.journals.get(&file).copied().unwrap_or(name).to_string(),
            dir: self.files.dir_of(file).path().to_owned(),
            why: format!("it is needed by {why}"),
        }
    }

    /// Opens a journal file. `None` if it is not there or was never begun: a crash in the middle of its
    /// creation leaves a file without a valid header and with nothing behind it. So does a creation that
    /// failed, if its removal is lost; then there may be others after it, which do not follow it.
    pub(super) fn open(&self, number: FileNumber) -> EnvResult<Option<Arc<LogFile>>> {
        let Some(name) = self.journals.get(&number) else { return Ok(None) };
        if let Some(file) = self.files.find(number) {
            return Ok(Some(file));
        }
        match self.files.open(*name) {
            Ok(file) => check_uuid(self.state, &file).map(|()| Some(file)),
            Err(error @ LogError::Corrupt { .. }) => {
                match !self.is_promised(number) && is_unborn(self.files, name)? {
                    true => Ok(None),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the state file, or the next file that was begun, says that this one was.
    fn is_promised(&self, number: FileNumber) -> bool {
        let by_state = self.state.journal.is_some_and(|(file, _)| file == number)
            || self.state.tail.is_some_and(|tail| tail.file == number);
        let mut later = self.journals.range(number..).skip(1);
        let next = later.find_map(|(_, name)| self.files.look_at(*name).ok());
        let previous = next.and_then(|next| next.header().previous);
        by_state || previous.is_some_and(|previous| previous.file == number)
    }

    /// The journal file that follows `file`.
    fn successor(&self, file: &LogFile) -> EnvResult<Option<Arc<LogFile>>> {
        let number = file.header().number;
        let promised = self.state.journal.map(|(file, _)| file).filter(|newest| *newest > number);
        match (self.begun_after(Some(number))?, promised) {
            (None, Some(promised)) => Err(self.missing(promised, "the state file")),
            (next, _) => Ok(next),
        }
    }

    /// The next journal file that was begun after `number`, and not given up at once: when the device was
    /// full, it had no records yet and was removed, which a crash may have undone. The file that was begun
    /// in place of it names the same predecessor.
    fn begun_after(&self, number: Option<FileNumber>) -> EnvResult<Option<Arc<LogFile>>> {
        let mut later = self.journals.keys().filter(|later| number.is_none_or(|n| **later > n));
        let mut begun = || -> EnvResult<Option<Arc<LogFile>>> {
            for later in later.by_ref() {
                if let Some(file) = self.open(*later)? {
                    return Ok(Some(file));
                }
            }
            Ok(None)
        };
        let mut next = begun()?;
        while let Some(file) = &next
            && let Some(after) = begun()?
            && after.header().previous == file.header().previous
        {
            next = Some(after);
        }
        Ok(next)
    }

    fn recorded_end(&self, file: &LogFile, next: Option<&Arc<LogFile>>) -> Option<u64> {
        let number = file.header().number;
        let by_next = next
            .and_then(|next| next.header().previous)
            .filter(|previous| previous.file == number)
            .map(|previous| previous.end);
        by_next.or(self.state.tail.filter(|tail| tail.file == number).map(|tail| tail.end))
    }

    /// How far the journal file that another process is writing is known to be durable: the largest
    /// watermark in it, or all of it if it has come to an end meanwhile. What follows may be half
    /// written, and does not count.
    ///
    /// Bytes that are no record and should be one look like damage if the file was written on or cut
    /// between two looks. They are damage if another look finds the same.
    fn durable_end(&self, file: &mut Arc<LogFile>, from: u64) -> EnvResult<u64> {
        let stated = self.state.journal.filter(|(number, _)| *number == file.header().number);
        let stated = stated.map_or(HEADER_LEN, |(_, durable)| durable);
        let mut before = None;
        loop {
            let mut scanner = Scanner::from(file, from, u64::MAX);
            let scanned = loop {
                match scanner.next() {
                    Ok(Scan::Record(_)) => {}
                    Ok(Scan::End(stop)) => break Ok(stop),
                    Err(error) => break Err(error),
                }
            };
            let place = Some(scanner.position());
            let known_durable = stated.max(scanner.known_durable());
            let error = match scanned {
                // What stands before a seal was durable before the seal was written.
                Ok(Stop { offset, seal: Some(_), .. }) => return Ok(offset),
                Ok(stop) => {
                    let outside = Outside { known_durable, ..Outside::default() };
                    match tail::judge(file, &stop, outside)?.damage() {
                        None => return Ok(known_durable),
                        Some(damage) => file.corrupt(stop.offset, damage),
                    }
                }
                Err(error) => error,
            };
            if place == before {
                return Err(error.into());
            }
            before = place;
            *file = self.files.open(file.name())?; // as long as it is now
        }
    }

    /// Replays the records of one file; damage below its recorded end is an error.
    fn replay_file(
        &mut self,
        file: &LogFile,
        offset: u64,
        recorded: Option<u64>,
    ) -> EnvResult<Stop> {
        self.report.journal_files += 1;
        let mut scanner = Scanner::from(file, offset, recorded.unwrap_or(u64::MAX));
        let stop = loop {
            match scanner.next()? {
                Scan::Record(record) => self.record(file, &record)?,
                Scan::End(stop) => break stop,
            }
        };
        self.report.replayed_bytes += stop.offset.saturating_sub(offset);
        let complete = stop.seal.is_some() || recorded == Some(stop.offset);
        if complete {
            let end = if stop.seal.is_some() { FileEnd::Sealed } else { FileEnd::Cut };
            self.ended.push((file.header().number, end(stop.offset)));
        }
        if !complete {
            let durable = self.state.journal.filter(|(number, _)| *number == file.header().number);
            let outside = Outside {
                recorded_end: recorded,
                known_durable: scanner.known_durable().max(durable.map_or(0, |(_, at)| at)),
                promised: durable.is_some(),
                strict: self.strict,
            };
            let tail = tail::judge(file, &stop, outside)?;
            if let Some(damage) = tail.damage() {
                return Err(file.corrupt(stop.offset, damage).into());
            }
            if tail.verdict == Verdict::Torn {
                self.report.torn_tail = Some(TornTail {
                    lsn: file.lsn(stop.offset)?,
                    bytes: tail.bytes,
                    set_aside: set_aside_name(file, stop.offset),
                });
            }
        }
        Ok(stop)
    }

    fn record(&mut self, file: &LogFile, record: &Record<'_>) -> EnvResult<()> {
        let Record { lsn, header, body } = *record;
        match header.kind {
            RecordKind::ACKNOWLEDGE | RecordKind::SEAL => return Ok(()),
            RecordKind::TRANSACTION | RecordKind::PART | RecordKind::COMMIT => {}
            found => {
                let expected = "a record of the journal that this version knows";
                return Err(file
                    .corrupt(lsn.offset(), Damage::WrongKind { expected, found })
                    .into());
            }
        }
        if header.sequence <= self.sequence {
            return Ok(()); // the checkpoint has it
        }
        if header.sequence != self.sequence + 1 {
            return Err(EnvError::Inconsistent {
                file: lsn.file(),
                offset: lsn.offset(),
                what: format!("commit {} follows commit {}", header.sequence, self.sequence),
            });
        }
        let time = match header.kind {
            RecordKind::PART => return self.part(file, record),
            RecordKind::COMMIT => self.commit_parts(file, record)?,
            _ => {
                self.give_up_parts()?;
                let malformed = |source| {
                    file.corrupt(lsn.offset(), Damage::Malformed { what: "transaction", source })
                };
                let decoder = Decoder::new(body).map_err(malformed)?;
                check_all(decoder.clone()).map_err(malformed)?;
                let time = decoder.head;
                apply_ops(self.writer, decoder, lsn, header.sequence, &mut self.next_tree)?;
                time
            }
        };
        self.time = self.time.max(time);
        self.sequence = header.sequence;
        self.report.replayed_commits += 1;
        self.keep_budget()
    }

    /// Writes back what replay has made dirty when it exceeds the memory for nodes.
    fn keep_budget(&mut self) -> EnvResult<()> {
        const EVERY: u64 = 256;
        if !self.report.replayed_commits.is_multiple_of(EVERY) {
            return Ok(());
        }
        let cache = self.forest.cache();
        if !self.read_only && cache.resident + self.writer.private_bytes() > cache.budget {
            drop(self.writer.freeze(self.sequence)?);
            self.forest.write_back(usize::MAX)?;
        }
        Ok(())
    }

    fn check_successor(&self, file: &LogFile, stop: &Stop, next: &LogFile) -> EnvResult<()> {
        let header = next.header();
        let Some(previous) = header.previous else {
            return Err(EnvError::ForeignFile {
                path: next.path().to_owned(),
                why: format!("it claims to be the first journal file, but follows {}", file.name()),
            });
        };
        if previous.file != file.header().number {
            return Err(self.missing(previous.file, &format!("{}, which follows it", next.name())));
        }
        let known = header.encryption.map(|encryption| encryption.previous);
        let known = known.filter(|uuid| *uuid != Uuid::default());
        if known.is_some_and(|uuid| uuid != file.header().file) {
            let why = format!("{} follows another file of this number", next.name());
            return Err(EnvError::ForeignFile { path: file.path().to_owned(), why });
        }
        if previous.end != stop.offset || previous.last_sequence != self.sequence {
            return Err(EnvError::Inconsistent {
                file: header.number,
                offset: 0,
                what: format!(
                    "it follows commit {} at {:x} of {}, which ends with commit {} at {:x}",
                    previous.last_sequence,
                    previous.end,
                    file.name(),
                    self.sequence,
                    stop.offset
                ),
            });
        }
        Ok(())
    }

    fn end(&mut self, file: Arc<LogFile>, stop: &Stop, recorded: Option<u64>) -> EnvResult<End> {
        if let Some(tail) = self.state.tail
            && tail.file == file.header().number
            && recorded == Some(stop.offset)
            && tail.last_sequence == self.sequence
        {
            return Ok(End::Recorded(tail));
        }
        Ok(End::At(file, stop.offset, self.report.torn_tail.clone()))
    }
}

/// Whether nothing but zeros stands behind the place of the header of a log file: records are written only
/// after the header is durable.
pub(crate) fn is_unborn(files: &Files, name: &LogName) -> EnvResult<bool> {
    has_no_records(&*files.dir_of(name.number).open(&name.to_name(), Access::Read)?)
}

/// Whether a log file has nothing but zeros behind the place of its header.
pub(crate) fn has_no_records(file: &dyn File) -> EnvResult<bool> {
    let mut buf = vec![0; 64 << 10];
    let mut at = HEADER_LEN;
    loop {
        match file.read_full_at(at, &mut buf)? {
            0 => return Ok(true),
            n if buf[..n].iter().any(|&byte| byte != 0) => return Ok(false),
            n => at += n as u64,
        }
    }
}

/// Checks all changes of a transaction before the first one is applied.
pub(super) fn check_all(mut decoder: Decoder<'_>) -> Result<(), cairn_log::codec::DecodeError> {
    while decoder.next()?.is_some() {}
    Ok(())
}

/// The name under which cut bytes are kept.
pub(crate) fn set_aside_name(file: &LogFile, offset: u64) -> String {
    format!("torn-{}-{offset:08x}.bytes", file.header().number)
}
