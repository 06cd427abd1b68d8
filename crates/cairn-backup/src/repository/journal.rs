//! `Journal`: what a repository has of the journal of a timeline, wherever it came from.
//!
//! Points and segments say which parts hold which bytes of a journal file. From all of them together a file is put
//! together as far as parts lead from its beginning on. Whether files follow each other, and are those that a point goes
//! on with, is told by the files themselves: each names the end of the one before with its hash.

use std::{collections::BTreeMap, path::Path};

use cairn_env::EnvError;
use cairn_log::{Digest, FileClass, FileNumber, LogName};

use super::{
    Repository,
    names::ObjectName,
    point::{Part, Point, PointFile},
    segment::Segment,
};
use crate::{BackupError, BackupResult};

/// The journal past a point.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    files: BTreeMap<FileNumber, Shipped>,
    /// The newest wrapped keys.
    keyring: Option<Vec<u8>>,
    /// Why there is not all of it.
    pub(crate) broken: Option<BackupError>,
}

/// What there is of a journal file.
#[derive(Debug)]
struct Shipped {
    name: LogName,
    directory: u16,
    /// By where they begin.
    parts: BTreeMap<u64, Vec<Part>>,
    /// Where the last of them ends that a segment has.
    shipped: u64,
}

impl Shipped {
    fn add(&mut self, start: u64, part: Part) {
        let parts = self.parts.entry(start).or_default();
        if !parts.contains(&part) {
            parts.push(part);
        }
    }

    /// Parts that lead from the beginning of the file as far as any do, and where they end.
    fn path(&self) -> (u64, Vec<Part>) {
        // Where a part ends that can be reached, with that part and where it begins.
        let mut reached: BTreeMap<u64, (u64, Part)> = BTreeMap::new();
        for (start, parts) in &self.parts {
            if *start != 0 && !reached.contains_key(start) {
                continue;
            }
            for part in parts {
                reached.entry(start.saturating_add(part.length)).or_insert((*start, *part));
            }
        }
        let end = reached.keys().next_back().copied().unwrap_or(0);
        let (mut path, mut at) = (Vec::new(), end);
        while let Some((start, part)) = reached.get(&at).filter(|_| at > 0) {
            path.push(*part);
            at = *start;
        }
        path.reverse();
        (end, path)
    }
}

impl Journal {
    fn shipped(&mut self, name: LogName, directory: u16) -> &mut Shipped {
        self.files.entry(name.number).or_insert(Shipped {
            name,
            directory,
            parts: BTreeMap::new(),
            shipped: 0,
        })
    }

    /// Adds what a point has of journal files from number `from` on.
    pub(crate) fn add_point(&mut self, point: &Point, from: FileNumber) {
        for file in &point.files {
            if file.name.class == FileClass::Journal && file.name.number >= from {
                let shipped = self.shipped(file.name, file.directory);
                file.placed().for_each(|(start, part)| shipped.add(start, *part));
            }
        }
    }

    /// Adds a segment.
    pub(crate) fn add_segment(&mut self, segment: &Segment) {
        let shipped = self.shipped(segment.file, segment.directory);
        segment.placed().for_each(|(start, part)| shipped.add(start, *part));
        shipped.shipped = shipped.shipped.max(segment.end);
    }

    /// The parts of a file from its beginning on, as far as they go.
    pub(crate) fn parts(&self, number: FileNumber) -> Vec<Part> {
        self.files.get(&number).map(|shipped| shipped.path().1).unwrap_or_default()
    }

    /// The journal as files of a point that is none: what the restore of `base` goes on with, up to the file `until`.
    pub(crate) fn view(&mut self, path: &Path, base: &Point, until: Option<FileNumber>) -> Point {
        let mut files = Vec::new();
        for (number, shipped) in &self.files {
            if until.is_some_and(|until| *number > until) {
                break;
            }
            let (length, parts) = shipped.path();
            if length > 0 {
                // Nobody asks for the hash of all of it: the file after it has one, or none is known.
                let (name, directory, digest) = (shipped.name, shipped.directory, Digest([0; 32]));
                files.push(PointFile { name, directory, length, digest, seal: None, parts });
            }
            if length < shipped.shipped {
                let missing = shipped.name.to_string();
                let why = format!("what was shipped of it does not go on at {length:x}");
                let (path, last, time) = (path.to_owned(), base.cut.commit, base.cut.time);
                let gap = EnvError::JournalGap { path, missing, why, last, time };
                self.broken.get_or_insert(gap.into());
                break;
            }
        }
        let keyring = base.keyring.as_ref().and(self.keyring.clone().or(base.keyring.clone()));
        Point { files, keyring, ..base.clone() }
    }
}

/// Cuts a view where an object begins that cannot be read: what is before that is still there. Says whether it has it.
pub(crate) fn cut_before(view: &mut Point, object: ObjectName) -> bool {
    let environment = view.cut.environment;
    let place = view.files.iter().enumerate().find_map(|(index, file)| {
        let part = file.objects(environment).position(|needed| needed.name == object)?;
        Some((index, part))
    });
    let Some((index, part)) = place else { return false };
    view.files.truncate(index + 1);
    let file = &mut view.files[index];
    file.parts.truncate(part);
    file.length = file.parts.iter().map(|part| part.length).sum();
    if file.parts.is_empty() {
        view.files.pop();
    }
    true
}

impl Repository {
    /// The journal of the timeline of `base` from the file on in which that ends, as segments and the points `others`
    /// have it.
    pub(crate) fn journal(&self, base: &Point, others: &[&Point]) -> BackupResult<Journal> {
        let from = base.cut.journal_end.map_or(FileNumber::FIRST, |end| end.file);
        let (environment, timeline) = (base.cut.environment, base.cut.timeline);
        let mut journal = Journal::default();
        [base].iter().chain(others).for_each(|point| journal.add_point(point, from));
        for read in self.store.segments_back(environment, timeline)? {
            let read = match read {
                Ok(read) => read,
                Err(error @ BackupError::Object(_)) => {
                    journal.broken = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let segment = read.segment;
            if segment.file.number < from {
                break;
            }
            if read.number == segment.interval && segment.start > 0 {
                // The beginning of the file is in the point.
                match self.store.point(environment, segment.base) {
                    Err(BackupError::Object(_)) => {}
                    read => journal.add_point(&read?.point, segment.file.number),
                }
            }
            if journal.keyring.is_none() {
                journal.keyring.clone_from(&segment.keyring);
            }
            journal.add_segment(&segment);
            // What goes on from the point, or from one before it, needs nothing older.
            let begins = if segment.start > 0 {
                Some((segment.file.number, segment.start))
            } else {
                segment.follows
            };
            let end = base.cut.journal_end.map(|end| (end.file, end.end));
            if read.number == segment.interval && begins <= end {
                break;
            }
        }
        Ok(journal)
    }

    /// The segments that hold bytes of files from `from` on.
    pub(crate) fn shipped_from(
        &self,
        environment: cairn_log::Uuid,
        timeline: cairn_log::Timeline,
        from: FileNumber,
    ) -> BackupResult<Journal> {
        let mut journal = Journal::default();
        self.add_shipped(&mut journal, environment, timeline, from)?;
        Ok(journal)
    }

    /// Adds these segments to what is there of the journal.
    pub(crate) fn add_shipped(
        &self,
        journal: &mut Journal,
        environment: cairn_log::Uuid,
        timeline: cairn_log::Timeline,
        from: FileNumber,
    ) -> BackupResult<()> {
        for read in self.store.segments_back(environment, timeline)? {
            match read {
                Ok(read) if read.segment.file.number < from => break,
                Ok(read) => journal.add_segment(&read.segment),
                // What cannot be read is not used again.
                Err(BackupError::Object(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
