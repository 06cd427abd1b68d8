//! `Rotation`: how far checks that each look at some of the objects have come round all of them.
//!
//! The objects of an environment stand on a circle: each at the beginning of the hash of what is stored, as its name
//! has it. So each has its place from when it is stored, and whatever is added stands between others. A check looks
//! at a stretch, and the next one goes on where it has ended. Of each point it is known for how long a stretch up to
//! there nothing was wrong with what it needs: if that is the whole circle, the point is checked.

use cairn_log::{
    Digest, Uuid,
    codec::{ByteReader, ByteWriter as _, DecodeError},
};

use super::{
    CheckLevel, ObjectName, PartName, Put,
    fields::{FieldWriter, Fields, line, ordered},
    names::Folder,
    statement::StatementKind,
    store::Store,
};
use crate::BackupResult;

/// Places on the circle.
pub(crate) const WHOLE: u128 = 1 << 64;

/// Where a part stands.
pub(crate) const fn place(part: &PartName) -> u64 {
    part.hash.0
}

/// Places that follow each other; behind the last one comes the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: u64,
    /// 1 to [`WHOLE`].
    pub(crate) length: u128,
}

impl Stretch {
    pub(crate) const fn has(&self, place: u64) -> bool {
        (place.wrapping_sub(self.from) as u128) < self.length
    }
}

/// How far checks have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// When it was written, in microseconds since 1970: for people.
    pub(crate) made: u64,
    /// The version of the library that did it.
    pub(crate) library: String,
    /// Where the next check begins.
    pub(crate) next: u64,
    /// The points of which some was looked at, by their numbers.
    pub(crate) points: Vec<Seen>,
}

/// What was looked at of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) point: u64,
    /// The hash of the point.
    pub(crate) of: Digest,
    /// How many places before `next`, without anything wrong.
    pub(crate) places: u64,
    /// How closely, at least.
    pub(crate) level: CheckLevel,
}

impl Rotation {
    /// Goes on by so many places, which were looked at so closely; nothing was wrong with `good`, the points in their
    /// order. Returns those that were come round, and how closely; they begin anew.
    pub(crate) fn go_on(
        &mut self,
        length: u128,
        level: CheckLevel,
        good: &[(u64, Digest)],
    ) -> Vec<(u64, Digest, CheckLevel)> {
        let before = std::mem::take(&mut self.points);
        let mut round = Vec::new();
        for &(point, of) in good {
            let known = before.iter().find(|seen| (seen.point, seen.of) == (point, of));
            let (had, level) =
                known.map_or((0, level), |seen| (seen.places.into(), seen.level.min(level)));
            match u64::try_from(length + had) {
                Ok(places) => self.points.push(Seen { point, of, places, level }),
                Err(_) => round.push((point, of, level)),
            }
        }
        // Of the whole circle nothing is left: the next one begins where this one did.
        self.next = self.next.wrapping_add(u64::try_from(length).unwrap_or(0));
        round
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_prefixed(self.library.as_bytes());
            bytes.put_u64(self.made);
        });
        fields.put(NEXT, |bytes| bytes.put_u64(self.next));
        fields.put(POINTS, |bytes| {
            for seen in &self.points {
                bytes.put_varint(seen.point);
                bytes.extend_from_slice(&seen.of.0);
                bytes.put_u64(seen.places);
                bytes.put_u8(seen.level.code());
            }
        });
        fields.finish()
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (library, made) = fields.take(ABOUT, "about", |reader| {
            Ok((line(reader, "library")?.to_owned(), reader.u64("made")?))
        })?;
        let next = fields.take(NEXT, "next", |reader| reader.u64("next"))?;
        let points = fields.take(POINTS, "points", |reader| ordered(reader, "points", seen))?;
        Ok(Self { made, library, next, points })
    }
}

fn seen(reader: &mut ByteReader<'_>) -> Result<(u64, Seen), DecodeError> {
    let point = reader.varint("point")?;
    let (of, places) = (Digest(reader.array("digest")?), reader.u64("places")?);
    let before = reader.clone();
    let level = CheckLevel::from_code(reader.u8("level")?);
    let level = level.ok_or(before.error("level", "is none"))?;
    Ok((point, Seen { point, of, places, level }))
}

const ABOUT: u64 = 1;
const NEXT: u64 = 2;
const POINTS: u64 = 3;

/// The fields of a rotation, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (ABOUT, "about", "library: text; made: u64"),
    (NEXT, "next", "the place where the next check begins: u64"),
    (
        POINTS,
        "points",
        "for each, in the order of the numbers: number: varint; BLAKE3 of all of its bytes: 32 bytes; places before `next` at which nothing was wrong with what it needs: u64; level: u8",
    ),
];

impl Store {
    /// The numbers of the rotations of an environment, in order: the last one counts.
    pub(crate) fn rotation_numbers(&self, environment: Uuid) -> BackupResult<Vec<u64>> {
        let folder = Folder::Proofs(environment);
        let listed = self.backend.list(&folder)?;
        let number = |name: &str| match folder.object(name)? {
            ObjectName::Rotation { number, .. } => Some(number),
            _ => None,
        };
        let mut numbers: Vec<_> = listed.iter().filter_map(|listed| number(&listed.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a rotation.
    pub(crate) fn rotation(&self, environment: Uuid, number: u64) -> BackupResult<Rotation> {
        let name = ObjectName::Rotation { environment, number };
        let bytes = self.whole(name, super::store::MAX_POINT)?;
        let of = (environment, number);
        let (_, content) = self.decode_statement(name, StatementKind::Rotation, of, &bytes)?;
        Rotation::decode(&content).map_err(|error| self.no_content(name, error))
    }

    /// Stores a rotation and removes those before it. If somebody else has stored one of this number, that one counts:
    /// he began at the same place.
    pub(crate) fn put_rotation(
        &self,
        environment: Uuid,
        number: u64,
        rotation: &Rotation,
    ) -> BackupResult<()> {
        let (kind, of) = (StatementKind::Rotation, (environment, number));
        let bytes = self.encode_statement(kind, of, Digest([0; 32]), &rotation.encode())?;
        let name = ObjectName::Rotation { environment, number };
        if self.backend.put(&name, &bytes)? == Put::Stored {
            self.rotation(environment, number)?;
        }
        for number in self.rotation_numbers(environment)?.into_iter().filter(|old| *old < number) {
            self.backend.delete(&ObjectName::Rotation { environment, number })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: CheckLevel = CheckLevel::Content;

    fn hash(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn a_rotation_comes_back_from_its_bytes_and_from_no_others() {
        let mut rotation = Rotation { made: 7, library: "1.2.3".into(), ..Rotation::default() };
        for good in [&[][..], &[(1, hash(1)), (3, hash(3))]] {
            rotation.go_on(5, LEVEL, good);
            let bytes = rotation.encode();
            assert_eq!(Rotation::decode(&bytes).unwrap(), rotation);
            assert!((0..bytes.len()).all(|len| Rotation::decode(&bytes[..len]).is_err()));
        }
        let mut twice = rotation.clone();
        twice.points.push(twice.points[0]);
        assert!(Rotation::decode(&twice.encode()).is_err());
    }

    #[test]
    fn a_point_is_come_round_when_it_was_good_on_the_whole_circle_without_a_break() {
        let half = WHOLE / 2;
        let (one, other) = ((1, hash(1)), (2, hash(2)));
        let mut rotation = Rotation::default();
        assert_eq!(rotation.go_on(half, LEVEL, &[one]), []);
        // The second one came later, and the first one is come round; less closely, as that was once.
        let stored = CheckLevel::Stored;
        assert_eq!(rotation.go_on(half, stored, &[one, other]), [(1, hash(1), stored)]);
        assert_eq!(rotation.next, 0);
        // Something is wrong with the second one: it begins anew. So does another point of its number.
        assert_eq!(rotation.go_on(half, LEVEL, &[one]), []);
        assert_eq!(rotation.go_on(half, LEVEL, &[(1, hash(9)), other]), []);
        let round = rotation.go_on(half, LEVEL, &[(1, hash(9)), other]);
        assert_eq!(round, [(1, hash(9), LEVEL), (2, hash(2), LEVEL)]);
        assert!(rotation.points.is_empty());
        // All at once.
        assert_eq!(rotation.go_on(WHOLE, LEVEL, &[one]), [(1, hash(1), LEVEL)]);
    }

    #[test]
    fn each_place_is_on_one_of_the_stretches_that_follow_each_other() {
        let length = WHOLE.div_ceil(3);
        let from = |n: u128| u64::try_from(n * length % WHOLE).unwrap();
        let stretches = [0, 1, 2].map(|n| Stretch { from: from(n), length });
        for place in [0, 1, u64::MAX / 3, u64::MAX / 3 + 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let on = stretches.iter().filter(|stretch| stretch.has(place)).count();
            // The last one ends a little behind the beginning of the first one.
            assert!(on == 1 || on == 2 && place < 3, "{place}: {on}");
        }
    }
}
