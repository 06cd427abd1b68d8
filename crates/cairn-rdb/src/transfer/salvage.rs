//! Salvage: SQL files of an environment that does not open, as plain files of SQLite's.
//!
//! What a salvage of an environment hands out of a SQL file are its chunks, in their order. They are written as they
//! come. A chunk that is not there, or whose delta belongs to another base, is a hole: the file then has zeros in its
//! place and another name, so that nobody takes it for whole.

use std::path::{Path, PathBuf};

use cairn_env::{Missing, Naming, SalvageReport, SalvagedEntry, Standing};
use cairn_io::{DirRef, FileExt, FileRef, Name, RealDir};

use super::{
    TransferResult,
    plain::{PUBLISHED, WRITTEN},
};
use crate::{
    file::file_name,
    pages::{CHUNK, Head, Piece},
};

/// A SQL file that was brought out of a damaged environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedSqlFile {
    /// What it is called in the environment.
    pub name: String,
    /// Where it is now: `NAME.sqlite` if all of it is there, else `NAME.incomplete.sqlite`.
    pub path: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that are lost, and zeros now: from the first to before the second.
    pub missing: Vec<(u64, u64)>,
    /// Bytes that may be older than the rest, likewise.
    pub doubtful: Vec<(u64, u64)>,
}

impl SalvagedSqlFile {
    /// Whether all of it is there, and of one time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.doubtful.is_empty()
    }
}

/// Writes the SQL files that a [salvage](cairn_env::salvage()) hands out into a directory.
#[derive(Debug)]
pub struct SqlSalvage {
    dir: DirRef,
    open: Option<OpenFile>,
    done: Vec<Done>,
}

/// A file that is being written.
#[derive(Debug)]
struct OpenFile {
    database: String,
    unfinished: Name,
    file: FileRef,
    head: Option<Head>,
    /// The chunk that a delta may still follow: its number, the stamp of its base, its image.
    pending: Option<(u32, u64, Box<[u8; CHUNK]>)>,
    /// Chunks up to here are written, or noted as missing.
    next: u64,
    missing: Vec<(u64, u64)>,
}

/// A file that only wants its name.
#[derive(Debug)]
struct Done {
    database: String,
    unfinished: Name,
    bytes: u64,
    missing: Vec<(u64, u64)>,
}

impl SqlSalvage {
    /// Files go to the directory `path`, which is created if it is not there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(path: impl AsRef<Path>) -> TransferResult<Self> {
        let path = path.as_ref();
        let dir = match RealDir::open(path) {
            Err(error) if error.is_not_found() => RealDir::create(path)?,
            opened => opened?,
        };
        Ok(Self::in_dir(dir))
    }

    /// Files go to this directory.
    #[must_use]
    pub const fn in_dir(dir: DirRef) -> Self {
        Self { dir, open: None, done: Vec::new() }
    }

    /// Takes what was handed out: the newest values, in their order. What is of no SQL file is passed over, and so is
    /// what stands for a newer version: chunks of different times make no file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn take(&mut self, entry: &SalvagedEntry<'_>) -> TransferResult<()> {
        let database = entry.database;
        let counts = database.naming == Naming::Current
            && entry.standing == Standing::Committed
            && !entry.is_substitute;
        let Some(value) = entry.value.filter(|_| counts && file_name(&database.name).is_some())
        else {
            return Ok(());
        };
        if self.open.as_ref().is_some_and(|open| open.database != database.name) {
            self.finish()?;
        }
        if self.open.is_none() {
            let number = self.done.len();
            let unfinished = Name::new(format!("unfinished-{number}"));
            let unfinished = unfinished.expect("letters, a dash and digits are a name");
            let file = self.dir.create(&unfinished)?;
            self.open = Some(OpenFile {
                database: database.name.clone(),
                unfinished,
                file,
                head: None,
                pending: None,
                next: 0,
                missing: Vec::new(),
            });
        }
        match &mut self.open {
            Some(open) => open.take(entry.key, value),
            None => Ok(()),
        }
    }

    /// Gives the files their names, and tells what they lack.
    ///
    /// # Errors
    /// Those of the disk; a name that is taken is one.
    pub fn end(mut self, report: &SalvageReport) -> TransferResult<Vec<SalvagedSqlFile>> {
        self.finish()?;
        let mut files = Vec::new();
        for Done { database, unfinished, bytes, missing } in self.done {
            let name = file_name(&database).unwrap_or(&database).to_owned();
            let doubtful = doubtful(&database, bytes, report);
            let is_whole = missing.is_empty() && doubtful.is_empty();
            let end = if is_whole { "sqlite" } else { "incomplete.sqlite" };
            let target = Name::new(format!("{name}.{end}"));
            let target = target.or_else(|_| {
                Name::new(format!("{unfinished}.{end}").replace("unfinished", "file"))
            });
            let target = target.expect("letters, a dash, digits and dots are a name");
            self.dir.rename_new(&unfinished, &target)?;
            let path = self.dir.path().join(target.as_str());
            files.push(SalvagedSqlFile { name, path, bytes, missing, doubtful });
        }
        self.dir.sync(PUBLISHED)?;
        Ok(files)
    }

    fn finish(&mut self) -> TransferResult<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.write_pending()?;
        let written = open.next * CHUNK as u64;
        let bytes = open.head.map_or(written, |head| head.len);
        open.miss(bytes.div_ceil(CHUNK as u64), bytes);
        if open.head.is_none() {
            open.missing.push((bytes, u64::MAX)); // nobody knows how long it was
        }
        open.file.set_len(bytes)?;
        open.file.sync(WRITTEN)?;
        let OpenFile { database, unfinished, missing, .. } = open;
        self.done.push(Done { database, unfinished, bytes, missing });
        Ok(())
    }
}

impl OpenFile {
    fn take(&mut self, key: &[u8], value: &[u8]) -> TransferResult<()> {
        match Piece::of(key, value) {
            Some(Piece::Head(head)) => self.head = Some(head),
            Some(Piece::Base { chunk, stamp, image }) => {
                self.write_pending()?;
                self.pending = Some((chunk, stamp, image));
            }
            Some(Piece::Delta { chunk, delta }) => {
                let fits = match &mut self.pending {
                    Some((base, stamp, image)) if *base == chunk => {
                        delta.apply(*stamp, &mut image[..]).is_ok()
                    }
                    _ => return Ok(()), // its base is missing, which is noted
                };
                if !fits {
                    self.pending = None;
                }
            }
            None => {}
        }
        Ok(())
    }

    fn write_pending(&mut self) -> TransferResult<()> {
        let Some((chunk, _, image)) = self.pending.take() else { return Ok(()) };
        let chunk = u64::from(chunk);
        let is_inside = self.head.is_none_or(|head| chunk * (CHUNK as u64) < head.len);
        if is_inside && chunk >= self.next {
            self.miss(chunk, u64::MAX);
            self.file.write_all_at(chunk * CHUNK as u64, &image[..])?;
            self.next = chunk + 1;
        }
        Ok(())
    }

    /// Notes that the chunks before this one are missing that are not written.
    fn miss(&mut self, before: u64, len: u64) {
        if self.next < before {
            let range = (self.next * CHUNK as u64, (before * CHUNK as u64).min(len));
            self.missing.push(range);
            self.next = before;
        }
    }
}

/// The bytes of a file that a report says may be older than the rest. What a lost commit has changed nobody knows.
fn doubtful(database: &str, bytes: u64, report: &SalvageReport) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    for missing in &report.missing {
        match missing {
            Missing::Keys { database: of, from, to, .. } if of == database => {
                let place = |key: &[u8]| Piece::place(key).min(bytes);
                let from = place(from);
                let to = to.as_ref().map_or(bytes, |to| place(to) + CHUNK as u64);
                ranges.push((from, to.min(bytes).max(from)));
            }
            Missing::Commits { to: Some(_), .. } => ranges.push((0, bytes)),
            _ => {}
        }
    }
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}
