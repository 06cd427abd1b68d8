//! `Feed`: what one sink has yet to get, in order.
//!
//! It holds the journal files that are not shipped to their ends, and one position. What is shipped is
//! read from the files again: so nothing is kept in memory for a sink that lags behind, a piece that was
//! refused is simply read once more, and there cannot be a gap.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cairn_io::FileExt;
use cairn_log::{FileNumber, HEADER_LEN, LogFile};

use crate::{
    EnvError, EnvResult,
    ship::{JournalPiece, JournalSink},
};

/// Bytes of one piece, at most.
const PIECE: u64 = 1 << 20;

/// Who pushes what a feed holds, and who waits for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody yet: the sink gets its base.
    Held,
    /// Whoever syncs the journal, before that counts: commits wait for the sink.
    Waited,
    /// The background worker: commits do not wait.
    Behind,
}

/// What one sink has yet to get.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) id: u64,
    pub(crate) sink: Arc<dyn JournalSink>,
    pub(crate) mode: Mode,
    files: VecDeque<Queued>,
    /// Where the first of them goes on.
    at: u64,
    /// The last file that was shipped to its end, and that end.
    previous: Option<(FileNumber, u64)>,
    /// How far the file in use may be shipped.
    available: u64,
    /// Bytes that were shipped.
    pub(crate) shipped: u64,
    /// Since when there is something that it has not got.
    behind_since: Option<Duration>,
    /// What went wrong last with a sink that commits do not wait for, until it takes something again.
    pub(crate) trouble: Option<Arc<EnvError>>,
}

#[derive(Debug)]
struct Queued {
    file: Arc<LogFile>,
    /// Where it has ended; `None` while it is in use.
    end: Option<u64>,
}

/// A part of a journal file that is to be pushed.
#[derive(Debug)]
pub(crate) struct Piece {
    file: Arc<LogFile>,
    from: u64,
    to: u64,
    previous: Option<(FileNumber, u64)>,
}

impl Piece {
    pub(crate) fn push(&self, sink: &dyn JournalSink) -> EnvResult<()> {
        let header = self.file.header();
        let mut bytes = vec![0; usize::try_from(self.to - self.from).unwrap_or(usize::MAX)];
        self.file.handle().read_exact_at(self.from, &mut bytes)?;
        sink.push(&JournalPiece {
            timeline: header.timeline,
            file: header.number,
            offset: self.from,
            bytes: &bytes,
            previous: self.previous.filter(|_| self.from == 0),
        })
    }
}

impl Feed {
    pub(crate) fn new(id: u64, sink: Arc<dyn JournalSink>, mode: Mode) -> Self {
        let (files, at, previous, available, shipped) = (VecDeque::new(), 0, None, HEADER_LEN, 0);
        let (behind_since, trouble) = (None, None);
        Self { id, sink, mode, files, at, previous, available, shipped, behind_since, trouble }
    }

    /// A journal file was begun.
    pub(crate) fn begun(&mut self, file: &Arc<LogFile>) {
        self.files.push_back(Queued { file: Arc::clone(file), end: None });
        self.available = HEADER_LEN;
    }

    /// The journal file `number` has come to an end.
    pub(crate) fn ended(&mut self, number: FileNumber, end: u64) {
        let queued = self.files.iter_mut().find(|queued| queued.file.header().number == number);
        if let Some(queued) = queued {
            queued.end = Some(end);
        }
    }

    /// The file in use may be shipped up to `end`, from now on.
    pub(crate) fn reaches(&mut self, number: FileNumber, end: u64, now: Duration) {
        if self.files.back().is_some_and(|queued| queued.file.header().number == number) {
            self.available = self.available.max(end);
            self.behind_since.get_or_insert(now);
        }
    }

    /// The sink has everything up to `at` in journal file `number`.
    pub(crate) fn resume(&mut self, number: FileNumber, at: u64) {
        self.files.retain(|queued| queued.file.header().number >= number);
        match self.files.front() {
            Some(first) if first.file.header().number == number => self.at = at,
            _ => (self.at, self.previous) = (0, Some((number, at))),
        }
    }

    /// The next piece; `None` if the sink has everything that it may have.
    pub(crate) fn next(&mut self) -> Option<Piece> {
        loop {
            let first = self.files.front()?;
            let end = first.end.unwrap_or(self.available);
            if self.at < end {
                let (file, from) = (Arc::clone(&first.file), self.at);
                let to = end.min(from + PIECE);
                return Some(Piece { file, from, to, previous: self.previous });
            }
            first.end?;
            self.previous = Some((first.file.header().number, end));
            self.at = 0;
            self.files.pop_front();
        }
    }

    /// The sink has taken a piece.
    pub(crate) fn taken(&mut self, piece: &Piece) {
        self.at = piece.to;
        self.shipped += piece.to - piece.from;
        self.trouble = None;
        if self.lag() == 0 {
            self.behind_since = None;
        }
    }

    /// Pushes all that there is, and has the sink make it durable.
    pub(crate) fn drain(&mut self) -> EnvResult<()> {
        if self.push_all()? { self.sink.sync() } else { Ok(()) }
    }

    /// Pushes all that there is; returns whether there was anything.
    pub(crate) fn push_all(&mut self) -> EnvResult<bool> {
        let mut pushed = false;
        while let Some(piece) = self.next() {
            piece.push(&*self.sink)?;
            self.taken(&piece);
            pushed = true;
        }
        Ok(pushed)
    }

    /// Bytes that the sink has yet to get.
    pub(crate) fn lag(&self) -> u64 {
        let ends = self.files.iter().map(|queued| queued.end.unwrap_or(self.available));
        ends.sum::<u64>().saturating_sub(self.at)
    }

    /// For how long there has been something that the sink has not got; nothing if it has everything.
    pub(crate) fn lag_time(&self, now: Duration) -> Duration {
        let since = self.behind_since.filter(|_| self.lag() > 0);
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// The files that it needs.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = FileNumber> + '_ {
        self.files.iter().map(|queued| queued.file.header().number)
    }

    /// The position up to which the sink has everything: a file and an offset in it.
    pub(crate) fn position(&self) -> Option<(FileNumber, u64)> {
        match self.files.front() {
            Some(first) if self.at > 0 => Some((first.file.header().number, self.at)),
            _ => self.previous,
        }
    }
}
