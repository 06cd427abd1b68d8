//! `JournalSource::since`: the journal of a directory past a position, for who follows it while it is written.
//!
//! Nothing is said here that a crash could take back: a file that has a successor counts up to where that says, the
//! newest one up to where records or the state file say that it was durable.

use std::fmt;

use cairn_io::{DirRef, WorldRef};
use cairn_log::{
    Damage, DataKeys, Digest, FileNumber, HEADER_LEN, LogFile, LogName, LogResult, Predecessor,
    Scan, Scanner, Timeline,
};

use super::{commits::commit_of, source::JournalSource};
use crate::{EnvError, EnvResult, files::unlock};

/// So many log files that are not there yet are pinned: with journal files of 64 MiB, what would be written in minutes.
const TO_COME: u32 = 1024;

/// A part of a journal file that is durable.
pub struct JournalRange {
    file: LogFile,
    /// Where it begins: 0, or where a record does.
    pub start: u64,
    /// Where it ends: where a record does.
    pub end: u64,
}

/// What there is of a journal past a position.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "it goes on or it does not")]
pub enum Since {
    /// All of it, in order; none if there is nothing new.
    Ranges(Vec<JournalRange>),
    /// There is more of it, and what comes between is not there any more.
    Gone {
        /// How that is known.
        why: String,
    },
}

/// Whole records of a journal file: see [`JournalRange::span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalSpan {
    /// Where they end.
    pub end: u64,
    /// The first commit among them and the last; `None` if there is none.
    pub commits: Option<(u64, u64)>,
    /// The times of these two, in microseconds since 1970: times never go back.
    pub times: Option<(u64, u64)>,
    /// BLAKE3 of the bytes from where it begins to their end, as they were checked.
    pub digest: Digest,
}

impl JournalSource {
    /// The journal of the environment or replica in `root`, from the file `from` on, as [`open`](Self::open) has it. As
    /// long as the value lives, none of these files goes, and none of those that are begun next.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn follow(root: DirRef, world: &WorldRef, from: FileNumber) -> EnvResult<Self> {
        Self::open_from(root, world, from, TO_COME)
    }

    /// The journal has come to its end, since [nobody writes it any more](crate::supersede): then the newest file counts as
    /// far as recovery would go, not only as far as it is known to be durable. Nothing changes as long as somebody has the
    /// environment open for writing.
    #[must_use]
    pub fn to_its_end(mut self) -> Self {
        self.is_over = !self.has_writer;
        self
    }

    /// The timeline to which new journal files of the environment belong; `None` of a backup.
    #[must_use]
    pub const fn timeline(&self) -> Option<Timeline> {
        self.timeline
    }

    /// The durable journal past `at`, a file and where in it a record ends; `None`: from the first commit on. It is
    /// given out once: a later call finds nothing. With the keys of an encrypted environment, what is given out has
    /// them.
    ///
    /// # Errors
    /// [`EnvError::OtherHistory`] if the journal ends before `at`; if a file that is needed is damaged, or its key is
    /// not there.
    pub fn since(
        &mut self,
        at: Option<(FileNumber, u64)>,
        keys: Option<&DataKeys>,
    ) -> EnvResult<Since> {
        let mut files = std::mem::take(&mut self.files);
        let (mut ranges, mut at, began) = (Vec::new(), at, at);
        let mut has_file = at.is_none();
        if let Some((number, start)) = at
            && let Some((name, file)) = files.remove(&number)
        {
            has_file = true;
            let file = unlock(file?, keys)?;
            let end = self.durable_end(&file, start, &files)?;
            if end < start {
                return Err(self.ends_before(name, end, start));
            }
            if end > start {
                ranges.push(JournalRange { file, start, end });
            }
            at = Some((number, end));
        }
        while let Some(next) = successor(&files, at) {
            let Some((_, file)) = files.remove(&next) else { break };
            let file = unlock(file?, keys)?;
            let end = self.durable_end(&file, 0, &files)?;
            if end <= HEADER_LEN {
                has_file = true;
                break; // nothing in it counts yet
            }
            ranges.push(JournalRange { file, start: 0, end });
            (at, has_file) = (Some((next, end)), true);
        }
        let is_newer = |number: FileNumber| at.is_none_or(|(file, _)| number > file);
        if let Some((_, (name, file))) = files.into_iter().find(|(number, _)| is_newer(*number)) {
            let previous = file?.header().previous;
            return match (previous, began) {
                (Some(previous), Some((file, start)))
                    if previous.file == file && previous.end < start =>
                {
                    Err(self.ends_before(name, previous.end, start))
                }
                _ => Ok(Since::Gone { why: format!("{name} does not follow what is known of it") }),
            };
        }
        match (at, self.tail) {
            (Some((file, end)), tail) if !has_file => match tail {
                Some(tail) if (tail.file, tail.end) == (file, end) => {}
                Some(tail) if (tail.file, tail.end) < (file, end) => {
                    let what = format!("the end of journal file {}", tail.file);
                    return Err(self.ends_before(what, tail.end, end));
                }
                _ => {
                    let why = format!("journal file {file} is not there any more");
                    return Ok(Since::Gone { why });
                }
            },
            _ => {}
        }
        if let Some(name) = self.promised.filter(|name| is_newer(name.number)) {
            let is_empty = self.durable.is_none_or(|(_, end)| end <= HEADER_LEN);
            let is_recorded = self.tail.is_some_and(|tail| tail.file == name.number);
            if !is_empty || is_recorded {
                return Ok(Since::Gone { why: format!("{name} is not there") });
            }
        }
        Ok(Since::Ranges(ranges))
    }

    fn ends_before(&self, by: impl fmt::Display, end: u64, start: u64) -> EnvError {
        let why = format!("by {by} it ends at {end:x}, and {start:x} was read of it before");
        EnvError::OtherHistory { path: self.path.clone(), why }
    }

    /// How far a file is durable, of which that is known up to `from`; `later` are those after it.
    fn durable_end(&self, file: &LogFile, from: u64, later: &Opened) -> EnvResult<u64> {
        let number = file.header().number;
        let follows = |(_, (_, later)): (_, &(_, LogResult<LogFile>))| {
            later.as_ref().ok()?.header().previous.filter(|previous| previous.file == number)
        };
        if let Some(previous) = later.iter().rev().find_map(follows) {
            return Ok(previous.end);
        }
        if let Some(tail) = self.tail.filter(|tail| tail.file == number) {
            return Ok(tail.end);
        }
        if self.is_over {
            return self.end_of_last(file);
        }
        let from = from.max(HEADER_LEN);
        let mut scanner = Scanner::from(file, from, u64::MAX);
        let stop = loop {
            if let Scan::End(stop) = scanner.next()? {
                break stop;
            }
        };
        let recorded = self.durable.filter(|(newest, _)| *newest == number).map(|(_, end)| end);
        let end = scanner.known_durable().max(recorded.unwrap_or(from)).max(from);
        match end <= stop.offset {
            true => Ok(end),
            false => Err(file.corrupt(stop.offset, stop.damage.unwrap_or(Damage::Nothing)).into()),
        }
    }
}

type Opened = std::collections::BTreeMap<FileNumber, (LogName, LogResult<LogFile>)>;

/// The file that goes on from `at`. Of several the last: the others were given up at once.
fn successor(files: &Opened, at: Option<(FileNumber, u64)>) -> Option<FileNumber> {
    let is_next = |file: &LogFile| match (file.header().previous, at) {
        (Some(previous), Some(at)) => (previous.file, previous.end) == at,
        (None, None) => true,
        _ => false,
    };
    let mut found = files.iter().rev().filter(|(_, (_, file))| file.as_ref().is_ok_and(is_next));
    found.next().map(|(number, _)| *number)
}

impl JournalRange {
    /// The file in which it lies.
    #[must_use]
    pub const fn file(&self) -> &LogFile {
        &self.file
    }

    /// The journal file before it, and where that has ended; `None` if it is the first.
    #[must_use]
    pub fn previous(&self) -> Option<Predecessor> {
        self.file.header().previous
    }

    /// Records from `from` on, which has to be where one begins, or 0: at least one, and no more than needed for
    /// `most` bytes. Each is checked.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` if one is damaged.
    pub fn span(&self, from: u64, most: u64) -> EnvResult<JournalSpan> {
        let mut before = blake3::Hasher::new();
        if from == 0 {
            before.update(&self.file.header().encode()[..]);
        }
        let scanner = Scanner::from(&self.file, from.max(HEADER_LEN), self.end);
        let mut scanner = scanner.with_digest(before);
        let mut span =
            JournalSpan { end: from, commits: None, times: None, digest: Digest([0; 32]) };
        while span.end < self.end && (span.end == from || span.end - from < most) {
            let record = match scanner.next()? {
                Scan::Record(record) => record,
                Scan::End(stop) => {
                    let damage = stop.damage.unwrap_or(Damage::Nothing);
                    return Err(self.file.corrupt(stop.offset, damage).into());
                }
            };
            if let Some(commit) = commit_of(&self.file, &record)? {
                let (commit, time) = (commit.sequence, commit.time);
                span.commits = Some((span.commits.map_or(commit, |(first, _)| first), commit));
                span.times = Some((span.times.map_or(time, |(first, _)| first), time));
            }
            span.end = record.lsn.offset() + record.header.record_len();
        }
        span.digest =
            scanner.digest().ok_or_else(|| EnvError::internal("a scan without digest"))?;
        Ok(span)
    }
}

impl fmt::Debug for JournalRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalRange({} {:x}-{:x})", self.file.name(), self.start, self.end)
    }
}
