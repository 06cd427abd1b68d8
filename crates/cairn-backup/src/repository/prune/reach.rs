//! What is there of an environment, and who needs it: all points and segments that count, and all objects.
//!
//! Nothing here trusts a listing: a point that it lacks is looked for by its number, and an object that it lacks is in no
//! tomb.

use std::collections::{BTreeMap, HashMap};

use cairn_log::{Digest, FileNumber, Timeline, Uuid};

use super::tombs::Tombs;
use crate::{
    BackupError, BackupResult, ObjectError,
    repository::{
        Repository,
        names::{Folder, ObjectName, PartName},
        point::Point,
        statement::{self, Unread},
        store::MAX_POINT,
    },
};

/// Points and segments that count, and the parts that they need, each of which has a place in `parts`.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) points: Vec<Reached>,
    pub(super) segments: BTreeMap<Timeline, Vec<ReachedSegment>>,
    /// The parts that any of them needs, with the bytes that are stored.
    pub(super) parts: Vec<(PartName, u64)>,
    places: HashMap<PartName, u32>,
    /// The largest number under which a point is, or was.
    pub(super) last: u64,
    /// What cannot be read, so that nobody knows what it needs.
    pub(super) unreadable: Vec<(ObjectName, String)>,
}

/// A point.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) number: u64,
    /// Of all of it.
    pub(super) hash: Digest,
    /// Its last commit.
    pub(super) commit: u64,
    pub(super) created: u64,
    pub(super) label: Option<String>,
    pub(super) timeline: Timeline,
    /// The journal file in which it ends.
    pub(super) file: FileNumber,
    /// The places of the parts that it needs.
    pub(super) parts: Vec<u32>,
}

/// A segment.
#[derive(Debug)]
pub(super) struct ReachedSegment {
    pub(super) number: u64,
    pub(super) file: FileNumber,
    /// If the beginning of its file is in a point only: in which one.
    pub(super) begins_behind: Option<u64>,
    pub(super) parts: Vec<u32>,
}

/// The parts that are there.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) parts: HashMap<PartName, u64>,
    /// What lies there and is of somebody else.
    pub(super) foreign: Vec<String>,
}

impl Reach {
    fn place(&mut self, part: PartName, stored_length: u64) -> u32 {
        let next = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        *self.places.entry(part).or_insert_with(|| {
            self.parts.push((part, stored_length));
            next
        })
    }

    /// The place of a part, if anything needs it.
    pub(super) fn place_of(&self, part: &PartName) -> Option<usize> {
        self.places.get(part).map(|place| *place as usize)
    }

    /// For each part, whether points and segments need it of which `stays` says so.
    pub(super) fn needed(
        &self,
        point_stays: impl Fn(&Reached) -> bool,
        segment_stays: impl Fn(Timeline, &ReachedSegment) -> bool,
    ) -> Vec<bool> {
        let mut needed = vec![false; self.parts.len()];
        let points = self.points.iter().filter(|point| point_stays(point));
        let places = points.flat_map(|point| &point.parts);
        let segments = self.segments.iter().flat_map(|(timeline, segments)| {
            segments.iter().filter(|segment| segment_stays(*timeline, segment))
        });
        for place in places.chain(segments.flat_map(|segment| &segment.parts)) {
            needed[*place as usize] = true;
        }
        needed
    }
}

impl Repository {
    /// All points and segments that count, by what `tombs` say.
    pub(super) fn reach(&self, environment: Uuid, tombs: &Tombs) -> BackupResult<Reach> {
        let mut reach = self.reach_points(environment, tombs)?;
        for timeline in self.store.shipped_timelines(environment)? {
            self.reach_segments(environment, timeline, &mut reach)?;
        }
        Ok(reach)
    }

    /// All points that count, by what `tombs` say.
    pub(super) fn reach_points(&self, environment: Uuid, tombs: &Tombs) -> BackupResult<Reach> {
        let mut reach = Reach::default();
        let listed = self.store.listed_numbers(environment)?;
        for (number, _) in &tombs.left {
            self.reach_point(environment, tombs, *number, &mut reach)?;
        }
        reach.last = tombs.boundary;
        while let Some(number) = reach.last.checked_add(1) {
            let name = ObjectName::Point { environment, number };
            let is_listed = listed.binary_search(&number).is_ok();
            if is_listed || self.store.backend.length(&name)?.is_some() {
                self.reach_point(environment, tombs, number, &mut reach)?;
                reach.last = number;
                continue;
            }
            let Some(later) = listed.iter().find(|later| **later > number) else { break };
            if tombs.counts(number) {
                reach.unreadable.push((name, format!("it is missing: the next point is {later}")));
            }
            reach.last = later - 1;
        }
        Ok(reach)
    }

    fn reach_point(
        &self,
        environment: Uuid,
        tombs: &Tombs,
        number: u64,
        reach: &mut Reach,
    ) -> BackupResult<()> {
        if !tombs.counts(number) {
            return Ok(());
        }
        let name = ObjectName::Point { environment, number };
        let read = self.store.whole(name, MAX_POINT).and_then(|bytes| {
            let point = self.store.decode_point(environment, number, &bytes)?.point;
            Ok((bytes, point))
        });
        let (bytes, point) = match read {
            Ok(read) => read,
            Err(error) => return unreadable(name, error, reach),
        };
        let hash = Digest::of(&bytes);
        if tombs.hash_of(number).is_some_and(|known| known != hash) {
            reach.unreadable.push((name, "it is another point than the tombs say".into()));
            return Ok(());
        }
        match statement::features_to_write(&bytes) {
            0 => {}
            features => {
                let what = format!("to remove any needs the features {features:#x}");
                return Err(self.store.unread(name, Unread::Unsupported(what)));
            }
        }
        let parts = parts_of(&point).map(|(part, length)| reach.place(part, length)).collect();
        let file = point.cut.journal_end.map_or(FileNumber::FIRST, |end| end.file);
        let (created, timeline, label) = (point.created, point.cut.timeline, point.label);
        let commit = point.cut.commit;
        reach.points.push(Reached { number, hash, commit, created, label, timeline, file, parts });
        Ok(())
    }

    fn reach_segments(
        &self,
        environment: Uuid,
        timeline: Timeline,
        reach: &mut Reach,
    ) -> BackupResult<()> {
        for (number, read) in self.store.segments_back(environment, timeline)?.numbered() {
            let name = ObjectName::Segment { environment, timeline, number };
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    unreadable(name, error, reach)?;
                    continue;
                }
            };
            if read.to_write != 0 {
                let what = format!("to remove any needs the features {:#x}", read.to_write);
                return Err(self.store.unread(name, Unread::Unsupported(what)));
            }
            let segment = read.segment;
            let parts = segment.placed().map(|(start, part)| {
                reach.place(segment.part_name(start, part), part.stored_length)
            });
            let parts = parts.collect();
            let is_behind = number == segment.interval && segment.start > 0;
            let begins_behind = is_behind.then_some(segment.base);
            let file = segment.file.number;
            let reached = ReachedSegment { number, file, begins_behind, parts };
            reach.segments.entry(timeline).or_default().push(reached);
        }
        Ok(())
    }

    /// All parts of an environment that a listing has.
    pub(super) fn listed_parts(&self, environment: Uuid) -> BackupResult<Present> {
        let backend = &self.store.backend;
        let mut present = Present::default();
        let mut folders = Vec::new();
        for (above, below) in [
            (Folder::DataTimelines(environment), Folder::Data as fn(_, _) -> _),
            (Folder::LogTimelines(environment), Folder::Log),
            (Folder::SegmentTimelines(environment), Folder::Segments),
        ] {
            for listed in backend.list(&above)? {
                match Folder::timeline(&listed.name) {
                    Some(timeline) => folders.push(below(environment, timeline)),
                    None => present.foreign.push(format!("{above}/{}", listed.name)),
                }
            }
        }
        let others = [Folder::Points, Folder::Timelines, Folder::Proofs, Folder::Tombs];
        folders.extend(others.map(|folder| folder(environment)));
        for folder in folders {
            for listed in backend.list(&folder)? {
                match (folder.object(&listed.name), listed.length) {
                    (Some(ObjectName::Part { part, .. }), Some(length)) => {
                        present.parts.insert(part, length);
                    }
                    (Some(_), Some(_)) => {}
                    _ => present.foreign.push(format!("{folder}/{}", listed.name)),
                }
            }
        }
        Ok(present)
    }
}

/// The parts that a point needs, and the bytes that are stored of each.
fn parts_of(point: &Point) -> impl Iterator<Item = (PartName, u64)> + '_ {
    point.files.iter().flat_map(|file| {
        file.placed().map(move |(start, part)| (file.part_name(start, part), part.stored_length))
    })
}

/// Takes note of what cannot be read; any other error is the place's.
fn unreadable(name: ObjectName, error: BackupError, reach: &mut Reach) -> BackupResult<()> {
    match error {
        BackupError::Object(
            error @ (ObjectError::Missing { .. } | ObjectError::Damaged { .. }),
        ) => {
            reach.unreadable.push((name, error.to_string()));
            Ok(())
        }
        error => Err(error),
    }
}
