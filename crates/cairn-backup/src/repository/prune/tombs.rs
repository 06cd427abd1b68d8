//! `Tombs`: what was removed of the backups of an environment, and what is about to be.
//!
//! Each change is a new object with the next number, which says all there is to say; the one with the largest number
//! counts. Two cannot both store the same number, so those who remove take turns, and whoever died in the middle has
//! left behind how far it was.

use cairn_log::{
    Digest, FileClass, Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use crate::repository::{
    fields::{FieldWriter, Fields, file_number, line},
    layout::MAX_PART,
    names::{PartName, ShortHash},
};

/// How far the removing of what is in a tomb has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the stages of the format page")]
pub enum TombStage {
    /// Its points are not listed any more, and everything is still there: it can be taken back.
    Waiting,
    /// It is being found out what of it a point needs that was not there when it was made. Who stores a point meanwhile
    /// puts it back to waiting.
    Closing,
    /// What it holds is being deleted: nobody relies on it any more.
    Deleting,
}

impl TombStage {
    const ALL: [Self; 3] = [Self::Waiting, Self::Closing, Self::Deleting];

    const fn code(self) -> u8 {
        match self {
            Self::Waiting => 1,
            Self::Closing => 2,
            Self::Deleting => 3,
        }
    }
}

/// What is to be deleted together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tomb {
    /// Its number, which no other tomb of the environment has.
    pub id: u64,
    /// How far it is.
    pub stage: TombStage,
    /// Of those that were deleted, or are being, the how manieth; 0 before that.
    pub(crate) closed: u64,
    /// When it was made, in microseconds since 1970.
    pub made: u64,
    /// Until when it can be taken back.
    pub until: u64,
    /// The numbers of its points.
    pub points: Vec<u64>,
    /// On which timelines shipped journal goes, and the first segment that stays.
    pub segments: Vec<(Timeline, u64)>,
    /// The parts in it, in order, with the bytes that are stored of each.
    pub parts: Vec<(PartName, u64)>,
}

impl Tomb {
    /// Bytes that are stored of its parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, length)| length).sum()
    }

    /// Whether a part is in it.
    pub(crate) fn has(&self, part: &PartName) -> bool {
        self.parts.binary_search_by_key(part, |(name, _)| *name).is_ok()
    }
}

/// All that was removed of an environment, and is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tombs {
    /// Its number; 0 if nothing was ever removed.
    pub(crate) number: u64,
    /// Of all of the object with that number.
    pub(crate) hash: Digest,
    pub(crate) created: u64,
    pub(crate) library: String,
    /// Random: whose it is.
    pub(crate) writer: Uuid,
    /// The largest number that a point may have had which was removed. What is stored under one up to it counts for
    /// nothing, unless it is one of `left`.
    pub(crate) boundary: u64,
    /// How many tombs were deleted, or are being.
    pub(crate) closed: u64,
    /// The points up to the boundary that stay, with the hash of all of each.
    pub(crate) left: Vec<(u64, Digest)>,
    /// The first segment that counts, of timelines on which shipped journal was removed.
    pub(crate) segments: Vec<(Timeline, u64)>,
    pub(crate) tombs: Vec<Tomb>,
    /// Fields of later versions.
    pub(crate) unknown: Vec<(u64, Vec<u8>)>,
}

impl Default for Tombs {
    fn default() -> Self {
        Self {
            number: 0,
            hash: Digest([0; 32]),
            created: 0,
            library: String::new(),
            writer: Uuid::default(),
            boundary: 0,
            closed: 0,
            left: Vec::new(),
            segments: Vec::new(),
            tombs: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

const ABOUT: u64 = 1;
const REMOVED: u64 = 2;
const LEFT: u64 = 3;
const SEGMENTS: u64 = 4;
const TOMBS: u64 = 5;

/// The fields of tombs, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (ABOUT, "about", "library: text; created: u64; writer: 16 bytes, random"),
    (
        REMOVED,
        "removed",
        "the boundary, the number of tombs that were deleted, or are being: varint",
    ),
    (
        LEFT,
        "left",
        "for each point up to the boundary that stays, in order: number: varint; BLAKE3 of all of it: 32 bytes; missing if there is none",
    ),
    (
        SEGMENTS,
        "segments",
        "for each timeline on which segments were removed, in order: timeline: u32; the first segment that counts: varint; missing if there is none",
    ),
    (
        TOMBS,
        "tombs",
        "for each, in the order of the ids: id: varint; stage, 1 waiting, 2 closing, 3 deleting: u8; of the deleted ones the how manieth, before that 0: varint; made, until: u64; number of points: varint, and the number of each: varint; number of timelines: varint, and for each as in field 4; number of parts: varint, and for each, in order: timeline: u32; class: u8; file, start, length: varint; hash in its name: u64; stored length: varint; missing if there is none",
    ),
];

impl Tombs {
    /// Whether a point is in a tomb: it may still be there, and is not listed.
    pub(crate) fn hides(&self, number: u64) -> bool {
        self.tombs.iter().any(|tomb| tomb.points.binary_search(&number).is_ok())
    }

    /// Whether what lies under the number of a point was removed, or never was one.
    pub(crate) fn is_gone(&self, number: u64) -> bool {
        number <= self.boundary && self.hash_of(number).is_none()
    }

    /// Whether what lies under the number of a point is one.
    pub(crate) fn counts(&self, number: u64) -> bool {
        !self.is_gone(number) && !self.hides(number)
    }

    /// The first number behind another one under which there may be a point: up to the boundary, under which there is one.
    pub(crate) fn next_counting(&self, number: u64) -> Option<u64> {
        let left = self
            .left
            .iter()
            .map(|(left, _)| *left)
            .find(|left| *left > number && !self.hides(*left));
        let behind = number.max(self.boundary).checked_add(1);
        left.or_else(|| (behind?..=u64::MAX).find(|number| !self.hides(*number)))
    }

    /// The hash of a point up to the boundary that stays.
    pub(crate) fn hash_of(&self, number: u64) -> Option<Digest> {
        let at = self.left.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.left.get(at)?.1)
    }

    /// The first segment of a timeline that counts.
    pub(crate) fn first_segment(&self, timeline: Timeline) -> u64 {
        let known = self.segments.iter().find(|(of, _)| *of == timeline);
        known.map_or(1, |(_, first)| *first)
    }

    /// Whether a part is being deleted, so that nobody may rely on it.
    pub(crate) fn dooms(&self, part: &PartName) -> bool {
        self.tombs.iter().any(|tomb| tomb.stage == TombStage::Deleting && tomb.has(part))
    }

    pub(crate) fn tomb(&self, id: u64) -> Option<&Tomb> {
        self.tombs.iter().find(|tomb| tomb.id == id)
    }

    /// The tombs whose parts are being deleted, and were not yet when `closed` were.
    pub(crate) fn deleting_since(&self, closed: u64) -> impl Iterator<Item = &Tomb> {
        self.tombs.iter().filter(move |tomb| tomb.closed > closed)
    }

    /// Its content, for a statement.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_prefixed(self.library.as_bytes());
            bytes.put_u64(self.created);
            bytes.extend_from_slice(&self.writer.0);
        });
        fields.put(REMOVED, |bytes| {
            bytes.put_varint(self.boundary);
            bytes.put_varint(self.closed);
        });
        if !self.left.is_empty() {
            fields.put(LEFT, |bytes| {
                for (number, hash) in &self.left {
                    bytes.put_varint(*number);
                    bytes.extend_from_slice(&hash.0);
                }
            });
        }
        if !self.segments.is_empty() {
            fields.put(SEGMENTS, |bytes| put_segments(&self.segments, bytes));
        }
        if !self.tombs.is_empty() {
            fields.put(TOMBS, |bytes| self.tombs.iter().for_each(|tomb| put_tomb(tomb, bytes)));
        }
        for (tag, unknown) in &self.unknown {
            fields.put(*tag, |bytes| bytes.extend_from_slice(unknown));
        }
        fields.finish()
    }

    /// Decodes the content of a statement with this number and hash.
    pub(crate) fn decode(number: u64, hash: Digest, content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (library, created, writer) = fields.take(ABOUT, "about", |reader| {
            let library = line(reader, "library")?.to_owned();
            Ok((library, reader.u64("created")?, Uuid(reader.array("writer")?)))
        })?;
        let (boundary, closed) = fields.take(REMOVED, "removed", |reader| {
            Ok((reader.varint("boundary")?, reader.varint("closed")?))
        })?;
        let left = fields.find(LEFT, |reader| {
            at_least_one(reader, |reader| {
                Ok((reader.varint("left")?, Digest(reader.array("left")?)))
            })
        })?;
        let segments = fields.find(SEGMENTS, |reader| at_least_one(reader, segment))?;
        let tombs = fields.find(TOMBS, |reader| at_least_one(reader, tomb))?;
        let (left, segments) = (left.unwrap_or_default(), segments.unwrap_or_default());
        let tombs = tombs.unwrap_or_default();
        let unknown = fields.rest();
        let wrong = |field, problem| DecodeError { field, at: 0, problem };
        if !ascends(left.iter().map(|(number, _)| *number))
            || left.iter().any(|(number, _)| *number > boundary)
        {
            return Err(wrong("left", "are not points up to the boundary, in order"));
        }
        if !ascends(segments.iter().map(|(timeline, _)| *timeline)) {
            return Err(wrong("segments", "are not in their order"));
        }
        if !ascends(tombs.iter().map(|tomb: &Tomb| tomb.id)) {
            return Err(wrong("tombs", "are not in their order"));
        }
        if tombs.iter().any(|tomb| {
            (tomb.stage != TombStage::Deleting) != (tomb.closed == 0) || tomb.closed > closed
        }) {
            return Err(wrong("tombs", "are not as many as are being deleted"));
        }
        Ok(Self {
            number,
            hash,
            created,
            library,
            writer,
            boundary,
            closed,
            left,
            segments,
            tombs,
            unknown,
        })
    }
}

fn ascends<T: PartialOrd>(keys: impl Iterator<Item = T>) -> bool {
    keys.is_sorted_by(|one, other| one < other)
}

/// Entries up to the end of a field that would be missing if there were none.
fn at_least_one<'a, T>(
    reader: &mut ByteReader<'a>,
    mut decode: impl FnMut(&mut ByteReader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut entries = vec![decode(reader)?];
    while !reader.rest().is_empty() {
        entries.push(decode(reader)?);
    }
    Ok(entries)
}

fn put_segments(segments: &[(Timeline, u64)], bytes: &mut Vec<u8>) {
    for (timeline, first) in segments {
        bytes.put_u32(timeline.0);
        bytes.put_varint(*first);
    }
}

fn segment(reader: &mut ByteReader<'_>) -> Result<(Timeline, u64), DecodeError> {
    Ok((Timeline(reader.u32("timeline")?), reader.varint("segment")?))
}

fn put_tomb(tomb: &Tomb, bytes: &mut Vec<u8>) {
    bytes.put_varint(tomb.id);
    bytes.put_u8(tomb.stage.code());
    bytes.put_varint(tomb.closed);
    bytes.put_u64(tomb.made);
    bytes.put_u64(tomb.until);
    bytes.put_varint(tomb.points.len() as u64);
    tomb.points.iter().for_each(|number| bytes.put_varint(*number));
    bytes.put_varint(tomb.segments.len() as u64);
    put_segments(&tomb.segments, bytes);
    bytes.put_varint(tomb.parts.len() as u64);
    for (part, stored_length) in &tomb.parts {
        bytes.put_u32(part.timeline.0);
        bytes.put_u8(part.class.code());
        bytes.put_varint(part.file.get().into());
        bytes.put_varint(part.start);
        bytes.put_varint(part.length);
        bytes.put_u64(part.hash.0);
        bytes.put_varint(*stored_length);
    }
}

fn tomb(reader: &mut ByteReader<'_>) -> Result<Tomb, DecodeError> {
    let id = reader.varint("id")?;
    let before = reader.clone();
    let code = reader.u8("stage")?;
    let stage = TombStage::ALL.into_iter().find(|stage| stage.code() == code);
    let stage = stage.ok_or(before.error("stage", "is none"))?;
    let closed = reader.varint("closed")?;
    let (made, until) = (reader.u64("made")?, reader.u64("until")?);
    let points = several(reader, "points", |reader| reader.varint("point"))?;
    let segments = several(reader, "segments", segment)?;
    let parts = several(reader, "parts", part)?;
    let is_ordered = ascends(points.iter())
        && ascends(segments.iter().map(|(timeline, _)| timeline))
        && ascends(parts.iter().map(|(part, _)| part));
    match is_ordered {
        true => Ok(Tomb { id, stage, closed, made, until, points, segments, parts }),
        false => Err(before.error("tomb", "holds what is not in its order")),
    }
}

/// So many entries as a number before them says; each takes a byte at least, so no number is believed.
fn several<'a, T>(
    reader: &mut ByteReader<'a>,
    field: &'static str,
    mut decode: impl FnMut(&mut ByteReader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.varint(field)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(decode(reader)?);
    }
    Ok(entries)
}

fn part(reader: &mut ByteReader<'_>) -> Result<(PartName, u64), DecodeError> {
    let timeline = Timeline(reader.u32("timeline")?);
    let before = reader.clone();
    let class = FileClass::from_code(reader.u8("class")?);
    let class = class.ok_or(before.error("class", "is none"))?;
    let file = file_number(reader)?;
    let (start, length) = (reader.varint("start")?, reader.varint_max("length", MAX_PART)?);
    let hash = ShortHash(reader.u64("hash")?);
    let name = PartName { timeline, class, file, start, length, hash };
    Ok((name, reader.varint("stored length")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_log::FileNumber;

    fn example() -> Tombs {
        let part = |start| PartName {
            timeline: Timeline(2),
            class: FileClass::Node,
            file: FileNumber::new(7).unwrap(),
            start,
            length: 10,
            hash: ShortHash(99),
        };
        let waiting = Tomb {
            id: 3,
            stage: TombStage::Waiting,
            closed: 0,
            made: 5,
            until: 9,
            points: vec![4, 6],
            segments: vec![(Timeline(1), 20)],
            parts: vec![(part(0), 100), (part(10), 101)],
        };
        let deleting = Tomb { id: 4, stage: TombStage::Deleting, closed: 2, ..waiting.clone() };
        Tombs {
            number: 9,
            hash: Digest::of(b"all"),
            created: 7,
            library: "1.2.3".into(),
            writer: Uuid([3; 16]),
            boundary: 12,
            closed: 2,
            left: vec![(5, Digest::of(b"5")), (12, Digest::of(b"12"))],
            segments: vec![(Timeline(1), 8)],
            tombs: vec![waiting, deleting],
            unknown: vec![(70, b"later".to_vec())],
        }
    }

    fn again(tombs: &Tombs) -> Result<Tombs, DecodeError> {
        Tombs::decode(tombs.number, tombs.hash, &tombs.encode())
    }

    #[test]
    fn what_tombs_say_survives_its_bytes() {
        let whole = example();
        let least =
            Tombs { left: Vec::new(), segments: Vec::new(), tombs: Vec::new(), ..whole.clone() };
        for tombs in [whole, least] {
            assert_eq!(again(&tombs), Ok(tombs.clone()));
            let content = tombs.encode();
            for len in 0..content.len() {
                let cut = Tombs::decode(9, tombs.hash, &content[..len]);
                assert!(cut.is_err() || cut.unwrap().unknown.is_empty(), "{len}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = example();
        let with = |change: &dyn Fn(&mut Tombs)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad
        };
        for bad in [
            with(&|bad| bad.boundary = 11),
            with(&|bad| bad.left.reverse()),
            with(&|bad| bad.closed = 1),
            with(&|bad| bad.tombs[0].closed = 1),
            with(&|bad| bad.tombs[1].closed = 0),
            with(&|bad| bad.tombs.reverse()),
            with(&|bad| bad.tombs[0].points.reverse()),
            with(&|bad| bad.tombs[0].parts.reverse()),
            with(&|bad| bad.segments.push((Timeline(1), 3))),
        ] {
            assert!(again(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_point_counts_unless_it_was_removed_or_is_about_to_be() {
        let tombs = example();
        let counting: Vec<_> = (1..16).filter(|number| tombs.counts(*number)).collect();
        assert_eq!(counting, [5, 12, 13, 14, 15]);
        let next = [0, 5, 12, 14].map(|number| tombs.next_counting(number));
        assert_eq!(next, [Some(5), Some(12), Some(13), Some(15)]);
        assert_eq!(tombs.next_counting(u64::MAX), None);
        assert!(tombs.hides(6) && tombs.is_gone(6) && !tombs.is_gone(13));
        assert_eq!((tombs.first_segment(Timeline(1)), tombs.first_segment(Timeline(2))), (8, 1));
        let part = tombs.tombs[0].parts[0].0;
        assert!(tombs.dooms(&part) && !tombs.dooms(&PartName { start: 1, ..part }));
        assert!(!Tombs { tombs: tombs.tombs[..1].to_vec(), ..tombs }.dooms(&part), "it only waits");
    }
}
