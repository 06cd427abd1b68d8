//! `Cursor`: the segments of a timeline from a position on, for who has what is before that.
//!
//! Forward each segment is the one that names the hash of the one before. Where one goes on that has a position is
//! found backwards, once.

use cairn_log::{Digest, FileNumber, Timeline, Uuid};

use super::{Repository, names::ObjectName, segment::Segment, segments::ReadSegment};
use crate::{BackupError, BackupResult, ObjectError};

/// Behind which segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    number: u64,
    hash: Digest,
}

/// What comes behind a cursor.
#[derive(Debug)]
pub(crate) enum Next {
    Nothing,
    Segment(Box<ReadSegment>),
    /// There is more, and what comes between cannot be had.
    Hole(String),
}

impl Repository {
    /// Where the journal of a timeline goes on from `position`, or from its beginning.
    pub(crate) fn cursor_at(
        &self,
        environment: Uuid,
        timeline: Timeline,
        position: Option<(FileNumber, u64)>,
    ) -> BackupResult<Cursor> {
        let mut cursor = None;
        for (number, read) in self.store.segments_back(environment, timeline)?.numbered() {
            let read = match read {
                Ok(read) => read,
                // What is behind it is looked at first; if that does not go on, this is why.
                Err(BackupError::Object(_)) => break,
                Err(error) => return Err(error),
            };
            if reaches(&read.segment, position).is_before() {
                cursor.get_or_insert(Cursor { number, hash: read.hash });
                break;
            }
            cursor = Some(Cursor { number: number - 1, hash: read.previous });
            if reaches(&read.segment, position).goes_on() {
                break;
            }
        }
        Ok(cursor.unwrap_or(Cursor { number: 0, hash: Digest([0; 32]) }))
    }

    /// The segment behind a cursor.
    pub(crate) fn next_segment(
        &self,
        environment: Uuid,
        timeline: Timeline,
        cursor: Cursor,
    ) -> BackupResult<Next> {
        let name = |number| ObjectName::Segment { environment, timeline, number };
        let number = cursor.number + 1;
        let read = match self.store.segment(environment, timeline, number) {
            Ok(read) => read,
            Err(BackupError::Object(ObjectError::Missing { .. })) => {
                let first = self.store.first_segment(environment, timeline)?;
                let is_later = self.store.backend.length(&name(number + 1))?.is_some();
                if !is_later && first <= number {
                    return Ok(Next::Nothing);
                }
                // Both may have been stored since it was looked for.
                match self.store.segment(environment, timeline, number) {
                    Ok(read) => read,
                    Err(BackupError::Object(ObjectError::Missing { .. })) => {
                        let why = format!("segment {number} is not there any more");
                        return Ok(Next::Hole(why));
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(BackupError::Object(error @ ObjectError::Damaged { .. })) => {
                return Ok(Next::Hole(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        Ok(match read.previous == cursor.hash {
            true => Next::Segment(Box::new(read)),
            false => Next::Hole(format!("segment {number} goes on from another one")),
        })
    }

    /// Hands out the bytes of a segment, each part with where in the file it begins.
    pub(crate) fn each_part(
        &self,
        environment: Uuid,
        segment: &Segment,
        mut each: impl FnMut(u64, &[u8]) -> BackupResult<()>,
    ) -> BackupResult<()> {
        for (start, part) in segment.placed() {
            let name = segment.part_name(start, part);
            each(start, &self.store.part(environment, name, part)?)?;
        }
        Ok(())
    }

    /// The newest commit of a timeline that was shipped or is in a point, and its time in microseconds since 1970; `None` if
    /// there is nothing of it, or it cannot be read.
    ///
    /// # Errors
    /// If the place fails.
    pub fn newest_moment(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<(u64, u64)>> {
        let shipped = match self.store.segments_back(environment, timeline)?.next() {
            Some(Ok(read)) => Some(read.segment.newest),
            Some(Err(BackupError::Object(_))) | None => None,
            Some(Err(error)) => return Err(error),
        };
        let point = self.newest_of(environment, timeline)?;
        let point = point.map(|(_, point)| (point.cut.commit, point.cut.time));
        Ok(shipped.max(point))
    }
}

impl Cursor {
    /// Behind this segment.
    pub(crate) const fn behind(read: &ReadSegment) -> Self {
        Self { number: read.number, hash: read.hash }
    }

    /// Whether nothing was shipped that would lead on.
    pub(crate) const fn is_first(&self) -> bool {
        self.number == 0
    }
}

/// How a segment lies to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaches {
    /// All of it is before.
    Before,
    /// It goes on from there, or has bytes on both sides.
    On,
    /// It begins behind.
    Behind,
}

impl Reaches {
    pub(crate) const fn is_before(self) -> bool {
        matches!(self, Self::Before)
    }

    pub(crate) const fn goes_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// See [`Reaches`].
pub(crate) fn reaches(segment: &Segment, position: Option<(FileNumber, u64)>) -> Reaches {
    let file = segment.file.number;
    match position {
        _ if segment.goes_on_from(position) => Reaches::On,
        Some((at, end)) if file < at || file == at && segment.end <= end => Reaches::Before,
        Some((at, end)) if file == at && segment.start <= end => Reaches::On,
        _ => Reaches::Behind,
    }
}
