//! `Segment`: shipped journal, and that it counts: which bytes of which file, in which parts, and what they go on from.
//!
//! A segment begins and ends where a record does, at positions that were durable. The segments of a timeline are one
//! chain by their numbers and hashes; an *interval* of it is what goes on without a gap from a point.

use cairn_log::{
    FileClass, FileNumber, LogName, Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use super::{
    fields::{FieldWriter, Fields, directory, file_number, flag, line},
    layout::MAX_PART,
    names::{ObjectName, PartName, ShortHash},
    point::{NeededObject, Part, longest, placed},
};
use cairn_log::Digest;

/// Shipped journal of an environment: part of one file, from one record to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it was stored, in microseconds since 1970: for people.
    pub created: u64,
    /// Random: whose segment it is.
    pub writer: Uuid,
    /// The timeline on which it was shipped.
    pub timeline: Timeline,
    /// The journal file.
    pub file: LogName,
    /// The data directory in which that lies.
    pub directory: u16,
    /// Where in it the segment begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// If it begins the file: the journal file before that, and its end.
    pub follows: Option<(FileNumber, u64)>,
    /// The number of the first segment that goes on without a gap up to this one.
    pub interval: u64,
    /// The point from whose end that one goes on.
    pub base: u64,
    /// Of that one: why it does not go on from the segment before, if there is one.
    pub gap: Option<String>,
    /// The commits whose records end in it.
    pub commits: Option<SegmentCommits>,
    /// The newest commit up to its end, and its time in microseconds since 1970.
    pub newest: (u64, u64),
    /// The wrapped keys, as the keyring file has them, of an encrypted environment.
    pub keyring: Option<Vec<u8>>,
    /// The parts in which its bytes lie, in order, without gaps.
    pub parts: Vec<Part>,
    /// Fields of later versions.
    pub(crate) unknown: Vec<(u64, Vec<u8>)>,
}

/// The commits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct SegmentCommits {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The time of the first one, in microseconds since 1970: the smallest, since times never go back.
    pub first_time: u64,
    /// The time of the last one.
    pub last_time: u64,
}

const ABOUT: u64 = 1;
const RANGE: u64 = 2;
const INTERVAL: u64 = 3;
const FOLLOWS: u64 = 4;
const COMMITS: u64 = 5;
const KEYRING: u64 = 6;
const PARTS: u64 = 7;

/// The fields of a segment, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (ABOUT, "about", "created: u64; writer: 16 bytes, random"),
    (
        RANGE,
        "range",
        "timeline, as in its name: u32; timeline of the journal file: u32; number of that, data directory, start, end: varint; the newest commit up to the end, its time: varint",
    ),
    (
        INTERVAL,
        "interval",
        "number of its first segment: varint; the point from whose end that goes on: varint; of the first one of an interval that has one before it, 1 and why that ended: text; else 0",
    ),
    (
        FOLLOWS,
        "follows",
        "the journal file before its own, where that ended: varint; missing unless the start is 0, and if there is none before",
    ),
    (
        COMMITS,
        "commits",
        "the first, the last, the time of the first, of the last: varint; missing if no record of a commit ends in it",
    ),
    (KEYRING, "keyring", "the keyring file of an encrypted environment; else missing"),
    (
        PARTS,
        "parts",
        "for each: length, stored length: varint; BLAKE3 of the content and of what is stored: 64 bytes",
    ),
];

impl Segment {
    /// Bytes of the journal in it.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Each part with the place in the file where it begins.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u64, &Part)> + '_ {
        placed(&self.parts, self.start)
    }

    /// The name of one of its parts.
    pub(crate) fn part_name(&self, start: u64, part: &Part) -> PartName {
        PartName {
            timeline: self.timeline,
            class: FileClass::Journal,
            file: self.file.number,
            start,
            length: part.length,
            hash: ShortHash::of(part.stored),
        }
    }

    /// The objects that it needs.
    pub(crate) fn objects(&self, environment: Uuid) -> impl Iterator<Item = NeededObject> + '_ {
        self.placed().map(move |(start, part)| NeededObject {
            name: ObjectName::Part { environment, part: self.part_name(start, part) },
            stored_length: part.stored_length,
            stored: part.stored,
        })
    }

    /// Whether it goes on from a file and the end of what is known of it.
    pub(crate) fn goes_on_from(&self, at: Option<(FileNumber, u64)>) -> bool {
        match self.start {
            0 => self.follows == at,
            start => at == Some((self.file.number, start)),
        }
    }

    /// Its content, for a statement.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_u64(self.created);
            bytes.extend_from_slice(&self.writer.0);
        });
        fields.put(RANGE, |bytes| {
            bytes.put_u32(self.timeline.0);
            bytes.put_u32(self.file.timeline.unwrap_or(self.timeline).0);
            bytes.put_varint(self.file.number.get().into());
            bytes.put_varint(self.directory.into());
            bytes.put_varint(self.start);
            bytes.put_varint(self.end);
            bytes.put_varint(self.newest.0);
            bytes.put_varint(self.newest.1);
        });
        fields.put(INTERVAL, |bytes| {
            bytes.put_varint(self.interval);
            bytes.put_varint(self.base);
            bytes.put_u8(self.gap.is_some().into());
            if let Some(gap) = &self.gap {
                bytes.put_prefixed(gap.as_bytes());
            }
        });
        if let Some((file, end)) = self.follows {
            fields.put(FOLLOWS, |bytes| {
                bytes.put_varint(file.get().into());
                bytes.put_varint(end);
            });
        }
        if let Some(commits) = self.commits {
            fields.put(COMMITS, |bytes| {
                let SegmentCommits { first, last, first_time, last_time } = commits;
                [first, last, first_time, last_time].iter().for_each(|n| bytes.put_varint(*n));
            });
        }
        if let Some(keyring) = &self.keyring {
            fields.put(KEYRING, |bytes| bytes.extend_from_slice(keyring));
        }
        fields.put(PARTS, |bytes| {
            for part in &self.parts {
                bytes.put_varint(part.length);
                bytes.put_varint(part.stored_length);
                bytes.extend_from_slice(&part.content.0);
                bytes.extend_from_slice(&part.stored.0);
            }
        });
        for (tag, unknown) in &self.unknown {
            fields.put(*tag, |bytes| bytes.extend_from_slice(unknown));
        }
        fields.finish()
    }

    /// Decodes the content of a statement.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let about = |reader: &mut ByteReader<'_>| {
            Ok((reader.u64("created")?, Uuid(reader.array("writer")?)))
        };
        let (created, writer) = fields.take(ABOUT, "about", about)?;
        let (timeline, file, directory, start, end, newest) =
            fields.take(RANGE, "range", |reader| {
                let timeline = Timeline(reader.u32("timeline")?);
                let of_file = Timeline(reader.u32("timeline")?);
                let file = LogName::new(FileClass::Journal, file_number(reader)?, of_file);
                let directory = directory(reader)?;
                let (start, end) = (reader.varint("start")?, reader.varint("end")?);
                let newest = (reader.varint("newest")?, reader.varint("newest")?);
                Ok((timeline, file, directory, start, end, newest))
            })?;
        let (interval, base, gap) = fields.take(INTERVAL, "interval", |reader| {
            let (interval, base) = (reader.varint("interval")?, reader.varint("base")?);
            let gap = match flag(reader, "gap")? {
                true => Some(line(reader, "gap")?.to_owned()),
                false => None,
            };
            Ok((interval, base, gap))
        })?;
        let follows =
            fields.find(FOLLOWS, |reader| Ok((file_number(reader)?, reader.varint("follows")?)))?;
        let commits = fields.find(COMMITS, |reader| {
            let mut next = || reader.varint("commits");
            let (first, last, first_time, last_time) = (next()?, next()?, next()?, next()?);
            Ok(SegmentCommits { first, last, first_time, last_time })
        })?;
        let keyring = fields
            .find(KEYRING, |reader| Ok(reader.bytes("keyring", reader.rest().len())?.to_vec()))?;
        let parts = fields.take(PARTS, "parts", |reader| parts(timeline, start, end, reader))?;
        let unknown = fields.rest();
        let wrong = |field, problem| DecodeError { field, at: 0, problem };
        if follows.is_some() && start != 0 {
            return Err(wrong("follows", "is of a segment that does not begin a file"));
        }
        if commits.is_some_and(|commits| {
            commits.first > commits.last || (commits.last, commits.last_time) != newest
        }) {
            return Err(wrong("commits", "are not those before the newest"));
        }
        Ok(Self {
            created,
            writer,
            timeline,
            file,
            directory,
            start,
            end,
            follows,
            interval,
            base,
            gap,
            commits,
            newest,
            keyring,
            parts,
            unknown,
        })
    }
}

/// Parts up to the end of the field, which are the bytes from `start` to `end`.
fn parts(
    timeline: Timeline,
    start: u64,
    end: u64,
    reader: &mut ByteReader<'_>,
) -> Result<Vec<Part>, DecodeError> {
    let (mut parts, mut at) = (Vec::new(), start);
    while !reader.rest().is_empty() {
        let part = Part {
            timeline,
            length: reader.varint_max("part", MAX_PART)?,
            stored_length: reader.varint("part")?,
            content: Digest(reader.array("part")?),
            stored: Digest(reader.array("part")?),
        };
        if part.length == 0 || part.stored_length > longest(part.length) {
            return Err(reader.error("part", "is of no length that it can have"));
        }
        at = at.checked_add(part.length).ok_or(reader.error("part", "lies behind everything"))?;
        parts.push(part);
    }
    match at == end && !parts.is_empty() {
        true => Ok(parts),
        false => Err(reader.error("parts", "are not the segment")),
    }
}

/// A segment, for tests and the format page.
#[cfg(test)]
pub(crate) fn example() -> Segment {
    let digest = Digest::of(b"bytes");
    let part = |length| Part {
        timeline: Timeline(2),
        length,
        content: digest,
        stored_length: 200,
        stored: digest,
    };
    let number = |n| FileNumber::new(n).expect("not zero");
    Segment {
        created: 1_790_000_000_000_000,
        writer: Uuid([3; 16]),
        timeline: Timeline(2),
        file: LogName::new(FileClass::Journal, number(7), Timeline::FIRST),
        directory: 1,
        start: 0,
        end: 6000,
        follows: Some((number(5), 8192)),
        interval: 4,
        base: 2,
        gap: Some("journal file 00000004 is not there any more".into()),
        commits: Some(SegmentCommits { first: 5, last: 9, first_time: 100, last_time: 200 }),
        newest: (9, 200),
        keyring: Some(b"keyring".to_vec()),
        parts: vec![part(5000), part(1000)],
        unknown: vec![(99, b"later".to_vec())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_segment_says_survives_its_bytes() {
        let whole = example();
        let least = Segment {
            start: 10,
            end: 5010,
            follows: None,
            gap: None,
            commits: None,
            keyring: None,
            parts: whole.parts[..1].to_vec(),
            unknown: Vec::new(),
            ..whole.clone()
        };
        for segment in [whole, least] {
            let content = segment.encode();
            assert_eq!(Segment::decode(&content), Ok(segment.clone()));
            let places: Vec<_> = segment.placed().map(|(start, _)| start).collect();
            assert_eq!(places[0], segment.start);
            for len in 0..content.len() {
                // Only fields of later versions may be missing.
                let cut = Segment::decode(&content[..len]);
                assert!(cut.is_err() || cut.unwrap().unknown.is_empty(), "{len}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = example();
        for bad in [
            Segment { end: 6001, ..good.clone() },
            Segment { start: 1, ..good.clone() },
            Segment { start: u64::MAX - 5, follows: None, end: 3, ..good.clone() },
            Segment { newest: (8, 200), ..good.clone() },
            Segment { newest: (9, 201), ..good.clone() },
            Segment { parts: Vec::new(), end: 0, ..good.clone() },
            Segment { gap: Some("two\nlines".into()), ..good.clone() },
            Segment { start: 1, end: 6001, ..good.clone() },
            Segment { parts: vec![Part { length: 0, ..good.parts[0] }], end: 0, ..good.clone() },
            Segment {
                parts: vec![Part { stored_length: 1 << 20, ..good.parts[0] }],
                end: 5000,
                ..good.clone()
            },
        ] {
            assert!(Segment::decode(&bad.encode()).is_err(), "{bad:?}");
        }
    }
}
