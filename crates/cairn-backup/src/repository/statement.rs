//! A statement: an object that says something of others: a point, an index, a timeline, a fence, a proof, a drill, a rotation, a segment,
//! or of what was removed.

use cairn_archive::Compression;
use cairn_log::{Digest, Uuid, crc32c};

use super::{
    frames::{self, Damaged, Ratio},
    layout::{MAX_STATEMENT, VERSION, repository_statement as layout},
    secrecy::{Lying, Secrecy},
};

/// What a statement says something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    Point,
    Index,
    Timeline,
    Fence,
    Proof,
    Drill,
    Rotation,
    Segment,
    Tombs,
}

impl StatementKind {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Point,
        Self::Index,
        Self::Timeline,
        Self::Fence,
        Self::Proof,
        Self::Drill,
        Self::Rotation,
        Self::Segment,
        Self::Tombs,
    ];

    /// What only names and hashes of objects stand in is for everybody: a check of them takes no key.
    const fn is_secret(self) -> bool {
        !matches!(self, Self::Index | Self::Tombs)
    }

    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Point => b"CAIRNPNT",
            Self::Index => b"CAIRNIDX",
            Self::Timeline => b"CAIRNTML",
            Self::Fence => b"CAIRNFNC",
            Self::Proof => b"CAIRNPRF",
            Self::Drill => b"CAIRNDRL",
            Self::Rotation => b"CAIRNROT",
            Self::Segment => b"CAIRNSEG",
            Self::Tombs => b"CAIRNTMB",
        }
    }
}

/// Which statement it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatementId {
    pub(crate) kind: StatementKind,
    pub(crate) repository: Uuid,
    pub(crate) environment: Uuid,
    /// Of the point, the timeline, the rotation, or the segment.
    pub(crate) number: u64,
}

/// Why a statement cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Damaged(Damaged),
    /// It is encrypted, and whole as far as can be told without the key, which is not there.
    Locked,
    /// It is whole, and says something that this version does not know.
    Unsupported(String),
}

impl From<Damaged> for Unread {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

/// Makes the object of a statement with this content.
pub(crate) fn encode(
    id: &StatementId,
    previous: Digest,
    content: &[u8],
    secrecy: &Secrecy,
) -> std::io::Result<Vec<u8>> {
    if content.len() > MAX_STATEMENT {
        return Err(std::io::Error::other("it has more content than a statement may have"));
    }
    let secrecy = if id.kind.is_secret() { secrecy } else { &Secrecy::Plain };
    let digest = match secrecy {
        Secrecy::Plain => Digest::of(content),
        Secrecy::Locked | Secrecy::Unlocked(_) => Digest([0; 32]),
    };
    let mut bytes = vec![0; layout::LEN];
    layout::MAGIC.set_bytes(&mut bytes, id.kind.magic());
    layout::VERSION.set_number(&mut bytes, VERSION);
    layout::ALGORITHM.set_number(&mut bytes, secrecy.algorithm());
    layout::FRAMES.set_number(&mut bytes, frames::count(content.len()) as u64);
    layout::REPOSITORY.set_bytes(&mut bytes, &id.repository.0);
    layout::ENVIRONMENT.set_bytes(&mut bytes, &id.environment.0);
    layout::NUMBER.set_number(&mut bytes, id.number);
    layout::PREVIOUS.set_bytes(&mut bytes, &previous.0);
    layout::LENGTH.set_number(&mut bytes, content.len() as u64);
    layout::CONTENT.set_bytes(&mut bytes, &digest.0);
    let crc = crc32c(&bytes[..layout::CRC.offset]);
    layout::CRC.set_number(&mut bytes, crc.into());
    let cipher = secrecy.begin(&mut bytes)?;
    frames::append(content, Compression::Zstd(1), Ratio::Bounded, cipher.as_ref(), &mut bytes)?;
    Ok(bytes)
}

/// The hash of the point before, and the content of a statement that is to be `id`.
pub(crate) fn decode(
    id: &StatementId,
    object: &[u8],
    secrecy: &Secrecy,
) -> Result<(Digest, Vec<u8>), Unread> {
    let Some(head) = object.get(..layout::LEN) else {
        return Err(Damaged::new(object.len(), "it ends within its head").into());
    };
    if layout::MAGIC.of(head) != id.kind.magic() {
        return Err(Damaged::new(0, "it does not begin as an object of its kind").into());
    }
    if layout::CRC.number(head) != u64::from(crc32c(&head[..layout::CRC.offset])) {
        return Err(Damaged::new(0, "the checksum of its head does not match").into());
    }
    let is_this = layout::REPOSITORY.of(head) == id.repository.0
        && layout::ENVIRONMENT.of(head) == id.environment.0
        && layout::NUMBER.number(head) == id.number;
    if !is_this {
        return Err(Damaged::new(0, "it is another object than its name says").into());
    }
    let (version, features) = (layout::VERSION.number(head), layout::TO_READ.number(head));
    if version != VERSION {
        return Err(Unread::Unsupported(format!("it is of version {version}")));
    }
    if features != 0 {
        return Err(Unread::Unsupported(format!("it needs the features {features:#x}")));
    }
    let secrecy = if id.kind.is_secret() { secrecy } else { &Secrecy::Plain };
    let algorithm = layout::ALGORITHM.number(head);
    let (lying, begin) = secrecy.of(object, layout::LEN, algorithm)?;
    let length = usize::try_from(layout::LENGTH.number(head)).unwrap_or(usize::MAX);
    if length > MAX_STATEMENT
        || layout::FRAMES.number(head) != frames::count(length) as u64
        || layout::RESERVED.number(head) != 0
        || layout::PADDING.of(head).iter().any(|byte| *byte != 0)
    {
        return Err(Damaged::new(0, "its head holds what was never written").into());
    }
    let content = frames::content(object, begin, length, Ratio::Bounded, &lying, 0)?;
    let digest = match lying {
        Lying::Plain => Digest::of(&content),
        Lying::Encrypted(_) | Lying::Locked => Digest([0; 32]),
    };
    if layout::CONTENT.of(head) != digest.0 {
        return Err(Damaged::new(layout::LEN, "the hash of its content does not match").into());
    }
    match lying {
        Lying::Locked => Err(Unread::Locked),
        Lying::Plain | Lying::Encrypted(_) => Ok((previous(head), content)),
    }
}

/// What a statement says to be behind; its head was found to be whole.
fn previous(head: &[u8]) -> Digest {
    let mut previous = [0; 32];
    previous.copy_from_slice(layout::PREVIOUS.of(head));
    Digest(previous)
}

/// What comes before a statement that is whole, and can be read only by who has the key.
pub(crate) fn previous_of(object: &[u8]) -> Digest {
    object.get(..layout::LEN).map_or(Digest([0; 32]), previous)
}

/// Which features who writes to the repository has to know because of this statement; it was decoded.
pub(crate) fn features_to_write(object: &[u8]) -> u64 {
    object.get(..layout::LEN).map_or(0, |head| layout::TO_WRITE.number(head))
}

/// Which statement an object says to be, for whoever has no name for it.
pub(crate) fn id_of(kind: StatementKind, object: &[u8]) -> Option<StatementId> {
    let head = object.get(..layout::LEN)?;
    let (mut repository, mut environment) = ([0; 16], [0; 16]);
    repository.copy_from_slice(layout::REPOSITORY.of(head));
    environment.copy_from_slice(layout::ENVIRONMENT.of(head));
    let number = layout::NUMBER.number(head);
    let (repository, environment) = (Uuid(repository), Uuid(environment));
    Some(StatementId { kind, repository, environment, number })
}

/// Makes the checksum of a changed head right, for tests of what is behind it.
pub(crate) fn mend(object: &mut [u8]) {
    if object.len() >= layout::LEN {
        let crc = crc32c(&object[..layout::CRC.offset]);
        layout::CRC.set_number(object, crc.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> StatementId {
        StatementId {
            kind: StatementKind::Point,
            repository: Uuid([1; 16]),
            environment: Uuid([2; 16]),
            number: 3,
        }
    }

    #[test]
    fn each_flip_and_cut_of_a_statement_is_found() {
        let whole = encode(&id(), Digest([9; 32]), b"content", &Secrecy::Plain).unwrap();
        assert_eq!(
            decode(&id(), &whole, &Secrecy::Plain),
            Ok((Digest([9; 32]), b"content".to_vec()))
        );
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(
                    matches!(decode(&id(), &flipped, &Secrecy::Plain), Err(Unread::Damaged(_))),
                    "byte {at}"
                );
            }
            assert!(
                matches!(decode(&id(), &whole[..at], &Secrecy::Plain), Err(Unread::Damaged(_))),
                "byte {at}"
            );
        }
    }

    #[test]
    fn what_a_later_version_has_written_is_refused_by_name() {
        let whole = encode(&id(), Digest([0; 32]), b"content", &Secrecy::Plain).unwrap();
        for (field, value, named) in [
            (layout::VERSION, 2, "version 2"),
            (layout::TO_READ, 0x10, "features 0x10"),
            (layout::ALGORITHM, 2, "algorithm 2"),
        ] {
            let mut later = whole.clone();
            field.set_number(&mut later, value);
            mend(&mut later);
            let Err(Unread::Unsupported(what)) = decode(&id(), &later, &Secrecy::Plain) else {
                panic!("{named}")
            };
            assert!(what.contains(named), "{what}");
        }
        let mut later = whole;
        layout::TO_WRITE.set_number(&mut later, 4);
        mend(&mut later);
        assert!(decode(&id(), &later, &Secrecy::Plain).is_ok());
        assert_eq!(features_to_write(&later), 4);
    }

    /// With a checksum that is right: a bug of whoever wrote it, or somebody who means harm.
    #[test]
    fn a_head_that_was_never_written_is_damage_whatever_its_checksum_says() {
        let whole = encode(&id(), Digest([0; 32]), b"content", &Secrecy::Plain).unwrap();
        let damaged = |forged: &[u8]| match decode(&id(), forged, &Secrecy::Plain) {
            Err(Unread::Damaged(damaged)) => damaged,
            other => panic!("{other:?}"),
        };
        for (field, value) in [
            (layout::LENGTH, MAX_STATEMENT as u64 + 1),
            (layout::LENGTH, u64::MAX),
            (layout::FRAMES, 2),
            (layout::RESERVED, 1),
        ] {
            let mut forged = whole.clone();
            field.set_number(&mut forged, value);
            mend(&mut forged);
            let found = damaged(&forged);
            assert_eq!((found.at, &*found.problem), (0, "its head holds what was never written"));
        }
        let mut forged = whole;
        layout::CONTENT.set_bytes(&mut forged, &[7; 32]);
        mend(&mut forged);
        let found = damaged(&forged);
        assert_eq!(found.problem, "the hash of its content does not match");
        let too_long = vec![0; MAX_STATEMENT + 1];
        let error = encode(&id(), Digest([0; 32]), &too_long, &Secrecy::Plain).unwrap_err();
        assert!(error.to_string().contains("more content than a statement may have"), "{error}");
    }

    #[test]
    fn a_statement_is_read_as_what_it_is_and_nothing_else() {
        let whole = encode(&id(), Digest([0; 32]), b"content", &Secrecy::Plain).unwrap();
        for other in [
            StatementId { kind: StatementKind::Index, ..id() },
            StatementId { repository: Uuid([7; 16]), ..id() },
            StatementId { environment: Uuid([7; 16]), ..id() },
            StatementId { number: 4, ..id() },
        ] {
            assert!(matches!(decode(&other, &whole, &Secrecy::Plain), Err(Unread::Damaged(_))));
        }
    }
}
