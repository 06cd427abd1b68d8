//! Shipped journal, at all levels: segments name each other and a point, and what they need is
//! what they say.

use std::collections::{BTreeMap, BTreeSet};

use cairn_env::EnvError;
use cairn_io::{Access, DirRef};
use cairn_log::{
    Damage, Digest, FileNumber, LogError, LogFile, LogName, Scan, Scanner, Timeline, Uuid,
};

use super::{Check, CheckLevel, Needed, SharedFile, what_is_wrong};
use crate::{
    BackupError, BackupResult,
    manifest::FILES,
    repository::{
        Repository,
        journal::Journal,
        names::{Folder, ObjectName},
        point::{NeededObject, Point},
        segments::ReadSegment,
        store::Store,
        view,
    },
};

impl Check<'_> {
    /// The segments of an environment, and what they need.
    pub(super) fn shipped(&mut self, environment: Uuid) -> BackupResult<()> {
        let (store, points) = (&self.repository.store, &self.points);
        let points: Vec<_> = points.keys().filter(|(of, _)| *of == environment).collect();
        let points: Vec<_> = points.into_iter().map(|(_, number)| *number).collect();
        let tombs = self.tombs.get(&environment).cloned().unwrap_or_default();
        let is_known = |number| points.contains(&number) || !tombs.counts(number);
        let shipped = CheckedSegments::read(store, environment, &is_known)?;
        self.report.segments += shipped.segments.len() as u64;
        for (NeededObject { name, stored_length, stored }, point) in shipped.objects() {
            let points = Vec::new();
            let needed =
                self.objects.entry(name).or_insert(Needed { stored_length, stored, points });
            if !needed.points.contains(&point) {
                needed.points.push(point);
            }
        }
        self.find_all(&shipped.wrong);
        self.report.foreign.extend(shipped.foreign.iter().cloned());
        self.shipped.push(shipped);
        Ok(())
    }

    fn find_all(&mut self, wrong: &[Wrong]) {
        for (object, at, problem, point) in wrong.iter().cloned() {
            self.find(object, at, problem, vec![point]);
        }
    }

    /// What has been shipped and is in no point, as closely as that is looked at.
    pub(super) fn look_at_shipped(&mut self) -> BackupResult<()> {
        let seen = self.files.iter().flat_map(|SharedFile { environment, file, .. }| {
            file.objects(*environment).map(|object| object.name)
        });
        let seen = seen.chain(self.damaged.iter().copied());
        let skipped = self.objects.keys().filter(|name| !self.chosen.has(name)).copied();
        let seen: BTreeSet<_> = seen.chain(skipped).collect();
        for shipped in std::mem::take(&mut self.shipped) {
            let mut wrong = shipped.content(&self.repository.store, &seen)?;
            if self.level >= CheckLevel::Structure && wrong.is_empty() {
                wrong = shipped.structure(self.repository, &self.points, &self.damaged)?;
            }
            self.find_all(&wrong);
        }
        Ok(())
    }
}

/// Something that is wrong with an object, and the point that is concerned.
pub(crate) type Wrong = (ObjectName, Option<u64>, String, u64);

/// The segments of an environment, and what was found out about them.
#[derive(Debug, Default)]
pub(crate) struct CheckedSegments {
    pub(crate) segments: Vec<(Uuid, ReadSegment)>,
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) foreign: Vec<String>,
}

impl CheckedSegments {
    /// Reads the segments of an environment; each has to be what the one after it says, and go on from a point that is
    /// known.
    pub(crate) fn read(
        store: &Store,
        environment: Uuid,
        is_known: &dyn Fn(u64) -> bool,
    ) -> BackupResult<Self> {
        let mut this = Self::default();
        let above = Folder::SegmentTimelines(environment);
        for listed in store.backend.list(&above)? {
            match Folder::timeline(&listed.name) {
                Some(timeline) => this.timeline(store, environment, timeline, is_known)?,
                None => this.foreign.push(format!("{above}/{}", listed.name)),
            }
        }
        Ok(this)
    }

    fn timeline(
        &mut self,
        store: &Store,
        environment: Uuid,
        timeline: Timeline,
        is_known: &dyn Fn(u64) -> bool,
    ) -> BackupResult<()> {
        let folder = Folder::Segments(environment, timeline);
        let listed = store.backend.list(&folder)?.into_iter();
        let foreign = listed.filter(|listed| folder.object(&listed.name).is_none());
        self.foreign.extend(foreign.map(|listed| format!("{folder}/{}", listed.name)));
        let mut after: Option<ReadSegment> = None;
        for read in store.segments_back(environment, timeline)? {
            let base = after.as_ref().map_or(0, |after| after.segment.base);
            let read = match read {
                Ok(read) => read,
                Err(BackupError::Object(error)) => {
                    let (object, at, problem) = what_is_wrong(error);
                    self.wrong.push((object, at, problem, base));
                    after = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let name = ObjectName::Segment { environment, timeline, number: read.number };
            if let Some(after) = &after
                && after.segment.interval <= read.number
            {
                let end = (read.segment.file.number, read.segment.end);
                if !after.segment.goes_on_from(Some(end)) {
                    let (number, file) = (after.number, after.segment.file);
                    let object = ObjectName::Segment { environment, timeline, number };
                    let problem = format!("in {file} it does not go on from the segment before it");
                    self.wrong.push((object, None, problem, after.segment.base));
                }
            }
            if !is_known(read.segment.base) {
                let problem =
                    format!("it goes on from point {}, which is not there", read.segment.base);
                self.wrong.push((name, None, problem, read.segment.base));
            }
            if read.number == 1 && read.previous != Digest([0; 32]) {
                let problem = "it is the first, and names one before it".into();
                self.wrong.push((name, Some(0), problem, read.segment.base));
            }
            if let Some(after) = after.replace(read) {
                self.segments.push((environment, after));
            }
        }
        self.segments.extend(after.map(|last| (environment, last)));
        Ok(())
    }

    /// The objects that they need, each with the point that it goes on from.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (NeededObject, u64)> + '_ {
        self.segments.iter().flat_map(|(environment, read)| {
            read.segment.objects(*environment).map(|object| (object, read.segment.base))
        })
    }
}

impl CheckedSegments {
    /// Whether each part holds what it was made of; those of `seen` were looked at.
    pub(crate) fn content(
        &self,
        store: &Store,
        seen: &BTreeSet<ObjectName>,
    ) -> BackupResult<Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (environment, read) in &self.segments {
            let segment = &read.segment;
            for (start, part) in segment.placed() {
                let name = segment.part_name(start, part);
                if seen.contains(&ObjectName::Part { environment: *environment, part: name }) {
                    continue;
                }
                match store.part(*environment, name, part) {
                    Ok(_) => {}
                    Err(BackupError::Object(error)) => {
                        let (object, at, problem) = what_is_wrong(error);
                        wrong.push((object, at, problem, segment.base));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(wrong)
    }

    /// Whether the files are journal files, record by record, as far as segments and points have them from their
    /// beginnings on.
    pub(crate) fn structure(
        &self,
        repository: &Repository,
        points: &BTreeMap<(Uuid, u64), Point>,
        damaged: &BTreeSet<ObjectName>,
    ) -> BackupResult<Vec<Wrong>> {
        let mut timelines: BTreeMap<(Uuid, Timeline), (Journal, u64)> = BTreeMap::new();
        for (environment, ReadSegment { segment, .. }) in &self.segments {
            let key = (*environment, segment.timeline);
            let (journal, base) = timelines.entry(key).or_default();
            journal.add_segment(segment);
            *base = segment.base;
        }
        let mut wrong = Vec::new();
        for ((environment, timeline), (mut journal, number)) in timelines {
            let of = |point: &&Point| {
                (point.cut.environment, point.cut.timeline) == (environment, timeline)
            };
            points
                .values()
                .filter(of)
                .for_each(|point| journal.add_point(point, FileNumber::FIRST));
            // Where its own has been removed, any one of the timeline will do.
            let base = points.get(&(environment, number)).or(points.values().find(of));
            let Some(base) = base else { continue };
            let path = repository.point_path(environment, number).join("journal");
            let view = journal.view(&path, base, None);
            let dir = view::open(&repository.store, &path, view.clone()).open_dir(&FILES)?;
            for file in &view.files {
                if file.objects(environment).any(|object| damaged.contains(&object.name)) {
                    continue;
                }
                match read_records(&dir, file.name, file.length).map_err(view::surface) {
                    Ok(()) => {}
                    Err(BackupError::Env(error)) if error.kind() != cairn_env::ErrorKind::Io => {
                        let object = file.objects(environment).last().map(|object| object.name);
                        let Some(object) = object else { continue };
                        let problem = format!("{}: {error}", file.name);
                        wrong.push((object, None, problem, number));
                    }
                    Err(BackupError::Object(error)) => {
                        let (object, at, problem) = what_is_wrong(error);
                        wrong.push((object, at, problem, number));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(wrong)
    }
}

/// Reads all records of a journal file that was put together from parts, up to its end.
fn read_records(files: &DirRef, name: LogName, length: u64) -> BackupResult<()> {
    let failed = |error: LogError| BackupError::from(EnvError::from(error));
    let log = LogFile::open_any(files.open(&name.to_name(), Access::Read)?).map_err(failed)?;
    let mut scanner = Scanner::new(&log, length);
    loop {
        if let Scan::End(stop) = scanner.next().map_err(failed)? {
            return match stop.offset == length {
                true => Ok(()),
                false => {
                    Err(failed(log.corrupt(stop.offset, stop.damage.unwrap_or(Damage::Nothing))))
                }
            };
        }
    }
}
