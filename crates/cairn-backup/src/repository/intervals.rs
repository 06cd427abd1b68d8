//! `Repository::intervals`: which moments can be restored, and which cannot, and why.
//!
//! An interval begins at a point and goes on as far as journal was shipped without a gap. What is told comes from
//! points and segments alone, without a key and without reading a byte of the journal.

use cairn_log::{Timeline, Uuid};

use super::{Repository, point::Point, segment::Segment};
use crate::{BackupError, BackupResult};

/// A commit, and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "all that there is to say of it")]
pub struct Moment {
    /// Its number.
    pub commit: u64,
    /// Its time, in microseconds since 1970.
    pub time: u64,
}

/// Commits that can be restored, each of them: and each time from that of the first up to, and without, that of the
/// last, behind which there may have been others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestorableInterval {
    /// The point from which it goes on.
    pub base: u64,
    /// The first commit: that of the point.
    pub from: Moment,
    /// The last one.
    pub to: Moment,
    /// How many segments were shipped for it, and bytes of the journal in them.
    pub segments: u64,
    /// See [`segments`](Self#structfield.segments).
    pub bytes: u64,
}

/// Commits that cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hole {
    /// The last commit before it that can be restored; `None` if there is none.
    pub after: Option<Moment>,
    /// The first one behind it; `None` if there is none yet.
    pub before: Option<Moment>,
    /// Why.
    pub why: String,
}

/// The newest segment of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastShipped {
    /// Its number.
    pub segment: u64,
    /// When it was stored, in microseconds since 1970.
    pub stored: u64,
    /// The newest commit up to its end.
    pub newest: Moment,
}

/// What can be restored of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelineIntervals {
    /// The timeline.
    pub timeline: Timeline,
    /// What can be restored, in order.
    pub intervals: Vec<RestorableInterval>,
    /// What cannot, in order.
    pub holes: Vec<Hole>,
    /// The newest segment, if it can be read.
    pub last: Option<LastShipped>,
}

/// Segments that go on from each other without a gap, from the newest to the oldest.
struct Run {
    /// The newest of it.
    to: Moment,
    segments: u64,
    bytes: u64,
    /// The one that was added last.
    oldest: Segment,
    oldest_number: u64,
}

impl Run {
    fn new(number: u64, segment: Segment) -> Self {
        let to = Moment { commit: segment.newest.0, time: segment.newest.1 };
        let bytes = segment.bytes();
        Self { to, segments: 1, bytes, oldest: segment, oldest_number: number }
    }

    fn add(&mut self, number: u64, segment: Segment) {
        self.segments += 1;
        self.bytes += segment.bytes();
        (self.oldest, self.oldest_number) = (segment, number);
    }

    /// The points from which it goes on, the earliest first.
    fn base<'a>(&self, points: &'a [(u64, Point)]) -> Option<&'a (u64, Point)> {
        let is_whole = self.oldest_number == self.oldest.interval;
        let named = points.iter().find(|(number, _)| *number == self.oldest.base);
        if let Some(named) = named.filter(|_| is_whole) {
            return Some(named);
        }
        // Without its point, the file in which it begins may lack its own beginning.
        let (file, is_whole) = (self.oldest.file.number, self.oldest.start == 0);
        points.iter().find(|(_, point)| {
            let end = point.cut.journal_end.map(|end| end.file);
            end.is_some_and(|end| end > file || is_whole && end == file)
                && point.cut.commit <= self.to.commit
        })
    }
}

impl Repository {
    /// What can be restored of an environment, timeline by timeline: from points, and from the journal that was shipped.
    /// `None` means the only environment that there is.
    ///
    /// # Errors
    /// [`BackupError::SeveralEnvironments`], [`BackupError::NoPoint`] if there is nothing of it; if the place fails. A
    /// point or segment that cannot be read leaves a hole.
    pub fn intervals(&self, environment: Option<Uuid>) -> BackupResult<Vec<TimelineIntervals>> {
        let environment = self.environment(environment)?;
        let mut points = Vec::new();
        for number in self.store.numbers(environment)? {
            match self.store.point(environment, number) {
                Err(BackupError::Object(_)) => {}
                read => points.push((number, read?.point)),
            }
        }
        let mut timelines = self.store.shipped_timelines(environment)?;
        timelines.extend(points.iter().map(|(_, point)| point.cut.timeline));
        timelines.sort_unstable();
        timelines.dedup();
        let found = timelines.into_iter().map(|timeline| {
            let of = points.iter().filter(|(_, point)| point.cut.timeline == timeline);
            let mut of: Vec<_> = of.cloned().collect();
            of.sort_by_key(|(number, point)| (point.cut.commit, *number));
            self.timeline_intervals(environment, timeline, &of)
        });
        found.collect()
    }

    fn timeline_intervals(
        &self,
        environment: Uuid,
        timeline: Timeline,
        points: &[(u64, Point)],
    ) -> BackupResult<TimelineIntervals> {
        let (mut last, mut run) = (None, None::<Run>);
        // Each with why there is nothing between it and the one before, if that is known.
        let mut intervals: Vec<(RestorableInterval, Option<String>)> = Vec::new();
        let mut lost: Option<(u64, String)> = None;
        let mut ends = |run: Run, why: Option<String>| match run.base(points) {
            Some((number, point)) => {
                let from = Moment { commit: point.cut.commit, time: point.cut.time };
                let Run { to, segments, bytes, .. } = run;
                let (base, to) = (*number, to.max(from));
                intervals.push((RestorableInterval { base, from, to, segments, bytes }, why));
            }
            None => lost = Some((run.to.commit, "the point before it cannot be read".into())),
        };
        for read in self.store.segments_back(environment, timeline)? {
            let read = match read {
                Ok(read) => read,
                Err(error @ BackupError::Object(_)) => {
                    run.take().into_iter().for_each(|run| ends(run, Some(error.to_string())));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (number, segment) = (read.number, read.segment);
            let newest = Moment { commit: segment.newest.0, time: segment.newest.1 };
            let stored = segment.created;
            last.get_or_insert(LastShipped { segment: number, stored, newest });
            let (is_first, why) = (number == segment.interval, segment.gap.clone());
            match &mut run {
                Some(run) => run.add(number, segment),
                None => run = Some(Run::new(number, segment)),
            }
            if is_first {
                run.take().into_iter().for_each(|run| ends(run, why.clone()));
            }
        }
        run.take().into_iter().for_each(|run| ends(run, None));
        intervals.reverse();
        for (number, point) in points {
            let at = Moment { commit: point.cut.commit, time: point.cut.time };
            if !intervals.iter().any(|(known, _)| known.from <= at && at <= known.to) {
                let alone =
                    RestorableInterval { base: *number, from: at, to: at, segments: 0, bytes: 0 };
                intervals.push((alone, None));
            }
        }
        // What was shipped again, from the same point, is told once.
        intervals.sort_by_key(|(interval, _)| (interval.from, std::cmp::Reverse(interval.to)));
        let mut reached = None;
        intervals.retain(|(interval, _)| {
            let is_news = reached.is_none_or(|reached| interval.to > reached);
            reached = reached.max(Some(interval.to));
            is_news
        });
        let mut holes = Vec::new();
        for pair in intervals.windows(2) {
            let [(before, _), (behind, why)] = pair else { continue };
            if behind.from.commit > before.to.commit + 1 {
                let why = why.clone().unwrap_or("no journal was shipped between them".into());
                holes.push(Hole { after: Some(before.to), before: Some(behind.from), why });
            }
        }
        let newest = intervals.iter().map(|(interval, _)| interval.to).max();
        if let Some((commit, why)) = lost
            && newest.is_none_or(|newest| newest.commit < commit)
        {
            holes.push(Hole { after: newest, before: None, why });
        }
        let intervals = intervals.into_iter().map(|(interval, _)| interval).collect();
        Ok(TimelineIntervals { timeline, intervals, holes, last })
    }
}
