//! The segments of a timeline: stored, read, and followed backwards from the newest, each by the hash in the one after.

use cairn_log::{Digest, Timeline, Uuid};

use super::{
    frames::Damaged,
    names::{Folder, ObjectName},
    segment::Segment,
    statement::{self, StatementKind},
    store::{MAX_POINT, Store},
};
use crate::{BackupResult, ObjectError};

/// A segment as it lies in the repository.
#[derive(Clone, Debug)]
pub(crate) struct ReadSegment {
    pub(crate) number: u64,
    /// The hash of the one before.
    pub(crate) previous: Digest,
    /// Its own.
    pub(crate) hash: Digest,
    /// Features that who writes behind it has to know.
    pub(crate) to_write: u64,
    pub(crate) segment: Segment,
}

impl Store {
    pub(crate) fn encode_segment(
        &self,
        environment: Uuid,
        number: u64,
        previous: Digest,
        segment: &Segment,
    ) -> BackupResult<Vec<u8>> {
        let of = (environment, number);
        self.encode_statement(StatementKind::Segment, of, previous, &segment.encode())
    }

    /// Reads a segment.
    pub(crate) fn segment(
        &self,
        environment: Uuid,
        timeline: Timeline,
        number: u64,
    ) -> BackupResult<ReadSegment> {
        let name = ObjectName::Segment { environment, timeline, number };
        let bytes = self.whole(name, MAX_POINT)?;
        self.decode_segment(name, &bytes)
    }

    /// What a segment says that was read.
    pub(crate) fn decode_segment(
        &self,
        name: ObjectName,
        bytes: &[u8],
    ) -> BackupResult<ReadSegment> {
        let ObjectName::Segment { environment, timeline, number } = name else {
            let problem = "it is no segment".into();
            return Err(self.damaged(name, Damaged { at: 0, problem }));
        };
        let (previous, content) =
            self.decode_statement(name, StatementKind::Segment, (environment, number), bytes)?;
        let decoded = Segment::decode(&content);
        let segment = decoded.map_err(|error| self.no_content(name, error))?;
        if segment.timeline != timeline {
            let problem = format!("it is of the timeline {}", segment.timeline);
            return Err(self.damaged(name, Damaged { at: 0, problem }));
        }
        let to_write = statement::features_to_write(bytes);
        Ok(ReadSegment { number, previous, hash: Digest::of(bytes), to_write, segment })
    }

    /// The timelines on which journal of an environment was shipped.
    pub(crate) fn shipped_timelines(&self, environment: Uuid) -> BackupResult<Vec<Timeline>> {
        let listed = self.backend.list(&Folder::SegmentTimelines(environment))?;
        Ok(listed.iter().filter_map(|listed| Folder::timeline(&listed.name)).collect())
    }

    /// The number of the newest segment of a timeline; 0 if there is none. A listing may lack what was stored lately,
    /// so it is looked behind its end.
    pub(crate) fn newest_segment(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<u64> {
        let folder = Folder::Segments(environment, timeline);
        let listed = self.backend.list(&folder)?;
        let number = |name: &str| match folder.object(name)? {
            ObjectName::Segment { number, .. } => Some(number),
            _ => None,
        };
        let newest = listed.iter().filter_map(|listed| number(&listed.name)).max().unwrap_or(0);
        let mut newest = newest.max(self.first_segment(environment, timeline)?.saturating_sub(1));
        while let Some(number) = newest.checked_add(1) {
            let name = ObjectName::Segment { environment, timeline, number };
            match self.backend.length(&name)? {
                Some(_) => newest = number,
                None => break,
            }
        }
        Ok(newest)
    }

    /// The segments of a timeline, the newest first; for one that cannot be read, or is not what the one after it says,
    /// what is wrong with it.
    pub(crate) fn segments_back(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<SegmentsBack<'_>> {
        let number = self.newest_segment(environment, timeline)?;
        let first = self.first_segment(environment, timeline)?;
        Ok(SegmentsBack { store: self, environment, timeline, first, number, hash: None })
    }
}

/// See [`Store::segments_back`].
pub(crate) struct SegmentsBack<'a> {
    store: &'a Store,
    environment: Uuid,
    timeline: Timeline,
    /// Of the oldest one; those before it were removed.
    first: u64,
    /// Of the next one.
    number: u64,
    /// What the one after it says of it.
    hash: Option<Digest>,
}

impl SegmentsBack<'_> {
    /// As it is, with the number of each.
    pub(crate) fn numbered(mut self) -> impl Iterator<Item = (u64, BackupResult<ReadSegment>)> {
        std::iter::from_fn(move || {
            let number = self.number;
            Some((number, self.next()?))
        })
    }
}

impl Iterator for SegmentsBack<'_> {
    type Item = BackupResult<ReadSegment>;

    fn next(&mut self) -> Option<Self::Item> {
        let (environment, timeline, number) = (self.environment, self.timeline, self.number);
        if number < self.first.max(1) {
            return None;
        }
        self.number -= 1;
        let expected = self.hash.take();
        let read =
            self.store.segment(environment, timeline, number).and_then(|read| {
                match expected.is_none_or(|expected| expected == read.hash) {
                    true => Ok(read),
                    false => {
                        let object = ObjectName::Segment { environment, timeline, number };
                        let problem = "it is another one than the segment after it says".into();
                        let place = self.store.backend.place();
                        Err(ObjectError::Damaged { place, object, at: 0, problem }.into())
                    }
                }
            });
        self.hash = read.as_ref().ok().map(|read| read.previous);
        Some(read)
    }
}
