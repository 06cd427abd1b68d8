//! A part: an object with bytes of a log file.

use cairn_archive::Compression;
use cairn_log::{Digest, FileNumber, Timeline, Uuid, crc32c};

use super::{
    frames::{self, Damaged, Ratio},
    layout::{MAX_PART, PART_MAGIC, VERSION, repository_part as layout},
    names::{ObjectName, PartName, ShortHash},
    secrecy::{Lying, Secrecy},
    statement::Unread,
};

/// What a part is of, and what it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartId {
    pub(crate) repository: Uuid,
    pub(crate) environment: Uuid,
    /// Its hash is that of what is stored; zero while that is not known.
    pub(crate) name: PartName,
}

/// A part as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPart {
    pub(crate) environment: Uuid,
    pub(crate) part: PartName,
    pub(crate) bytes: Vec<u8>,
    /// Of all bytes that are stored.
    pub(crate) stored: Digest,
    /// Of the bytes of the file.
    pub(crate) content: Digest,
}

/// What a part holds.
#[derive(Debug)]
pub(crate) struct DecodedPart {
    /// Bytes of the file, and their hash.
    pub(crate) content: Vec<u8>,
    pub(crate) digest: Digest,
    /// What tells it from others with the same bytes.
    pub(crate) copy: u32,
    /// How its frames lie in it, and where the first one begins.
    pub(crate) lying: Lying,
    pub(crate) begin: usize,
}

impl StoredPart {
    pub(crate) const fn name(&self) -> ObjectName {
        ObjectName::Part { environment: self.environment, part: self.part }
    }
}

/// Makes the object that holds `content`; another `copy` of it has another name.
pub(crate) fn encode(
    id: &PartId,
    content: &[u8],
    copy: u32,
    compression: Compression,
    secrecy: &Secrecy,
) -> std::io::Result<StoredPart> {
    let digest = Digest::of(content);
    let mut bytes = vec![0; layout::LEN];
    layout::MAGIC.set_bytes(&mut bytes, PART_MAGIC);
    layout::VERSION.set_number(&mut bytes, VERSION);
    layout::CLASS.set_number(&mut bytes, id.name.class.code().into());
    layout::ALGORITHM.set_number(&mut bytes, secrecy.algorithm());
    layout::FRAMES.set_number(&mut bytes, frames::count(content.len()) as u64);
    layout::REPOSITORY.set_bytes(&mut bytes, &id.repository.0);
    layout::ENVIRONMENT.set_bytes(&mut bytes, &id.environment.0);
    layout::TIMELINE.set_number(&mut bytes, id.name.timeline.0.into());
    layout::FILE.set_number(&mut bytes, id.name.file.get().into());
    layout::START.set_number(&mut bytes, id.name.start);
    layout::LENGTH.set_number(&mut bytes, content.len() as u64);
    if matches!(secrecy, Secrecy::Plain) {
        layout::CONTENT.set_bytes(&mut bytes, &digest.0);
    }
    layout::COPY.set_number(&mut bytes, copy.into());
    let crc = crc32c(&bytes[..layout::CRC.offset]);
    layout::CRC.set_number(&mut bytes, crc.into());
    let cipher = secrecy.begin(&mut bytes)?;
    frames::append(content, compression, Ratio::Any, cipher.as_ref(), &mut bytes)?;
    let stored = Digest::of(&bytes);
    let part = PartName { hash: ShortHash::of(stored), ..id.name };
    Ok(StoredPart { environment: id.environment, part, bytes, stored, content: digest })
}

/// The bytes of the file in a part that is to be `id`, and their hash, which were compared with what the part says
/// of them, or come from who has the key.
pub(crate) fn decode(id: &PartId, object: &[u8], secrecy: &Secrecy) -> Result<DecodedPart, Unread> {
    let Some(head) = object.get(..layout::LEN) else {
        return Err(Damaged::new(object.len(), "it ends within its head").into());
    };
    if layout::MAGIC.of(head) != PART_MAGIC {
        let problem = "it does not begin as an object with bytes of a log file";
        return Err(Damaged::new(0, problem).into());
    }
    if layout::CRC.number(head) != u64::from(crc32c(&head[..layout::CRC.offset])) {
        return Err(Damaged::new(0, "the checksum of its head does not match").into());
    }
    if layout::VERSION.number(head) != VERSION {
        let version = layout::VERSION.number(head);
        return Err(Unread::Unsupported(format!("it is of version {version}")));
    }
    let PartName { timeline, class, file, start, length, .. } = id.name;
    let is_this = layout::REPOSITORY.of(head) == id.repository.0
        && layout::ENVIRONMENT.of(head) == id.environment.0
        && layout::CLASS.number(head) == u64::from(class.code())
        && layout::TIMELINE.number(head) == u64::from(timeline.0)
        && layout::FILE.number(head) == u64::from(file.get())
        && layout::START.number(head) == start
        && layout::LENGTH.number(head) == length;
    if !is_this {
        return Err(Damaged::new(0, "it is another object than its name says").into());
    }
    let length = match usize::try_from(length) {
        Ok(len @ 1..) if length <= MAX_PART => len,
        _ => return Err(Damaged::new(0, "it holds no bytes, or too many").into()),
    };
    if layout::FRAMES.number(head) != frames::count(length) as u64
        || layout::RESERVED.of(head).iter().any(|byte| *byte != 0)
    {
        return Err(Damaged::new(0, "its head holds what was never written").into());
    }
    let (lying, begin) = secrecy.of(object, layout::LEN, layout::ALGORITHM.number(head))?;
    let content = frames::content(object, begin, length, Ratio::Any, &lying, 0)?;
    let digest = Digest::of(&content);
    let said = match lying {
        Lying::Plain => digest,
        Lying::Encrypted(_) | Lying::Locked => Digest([0; 32]),
    };
    if layout::CONTENT.of(head) != said.0 {
        return Err(Damaged::new(layout::LEN, "the hash of its content does not match").into());
    }
    match lying {
        Lying::Locked => Err(Unread::Locked),
        lying => {
            let copy = u32::try_from(layout::COPY.number(head)).unwrap_or(u32::MAX);
            Ok(DecodedPart { content, digest, copy, lying, begin })
        }
    }
}

/// An object for the format page.
pub(crate) fn example(content: &[u8]) -> (PartId, Vec<u8>) {
    let name = PartName {
        timeline: Timeline::FIRST,
        class: cairn_log::FileClass::Node,
        file: FileNumber::FIRST,
        start: 0,
        length: content.len() as u64,
        hash: ShortHash(0),
    };
    let id = PartId { repository: Uuid([0xcd; 16]), environment: Uuid([0xab; 16]), name };
    let part =
        encode(&id, content, 0, Compression::None, &Secrecy::Plain).expect("nothing is compressed");
    (id, part.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn damaged(decoded: Result<DecodedPart, Unread>) -> Damaged {
        match decoded {
            Err(Unread::Damaged(damaged)) => damaged,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_flip_and_cut_of_a_part_is_found() {
        let (id, whole) = example(b"the bytes of a log file");
        let found = decode(&id, &whole, &Secrecy::Plain).unwrap();
        assert_eq!(found.content, b"the bytes of a log file");
        assert_eq!(found.digest, Digest::of(&found.content));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let damaged = damaged(decode(&id, &flipped, &Secrecy::Plain));
                assert_eq!(damaged.at, if at < layout::LEN { 0 } else { 128 }, "byte {at}");
            }
            assert!(decode(&id, &whole[..at], &Secrecy::Plain).is_err());
        }
        assert!(decode(&id, &[&*whole, &[0]].concat(), &Secrecy::Plain).is_err());
    }

    #[test]
    fn a_part_is_read_as_what_it_is_and_nothing_else() {
        let (id, whole) = example(b"the bytes of a log file");
        let others = [
            PartId { repository: Uuid([0; 16]), ..id },
            PartId { environment: Uuid([0; 16]), ..id },
            PartId { name: PartName { timeline: Timeline(9), ..id.name }, ..id },
            PartId { name: PartName { class: cairn_log::FileClass::Value, ..id.name }, ..id },
            PartId { name: PartName { file: FileNumber::new(2).unwrap(), ..id.name }, ..id },
            PartId { name: PartName { start: 1, ..id.name }, ..id },
            PartId { name: PartName { length: 22, ..id.name }, ..id },
        ];
        for other in others {
            let damaged = damaged(decode(&other, &whole, &Secrecy::Plain));
            assert!(damaged.problem.contains("another object"), "{damaged:?}");
        }
    }

    /// With a checksum that is right: of a later version, or a bug of whoever wrote it.
    #[test]
    fn a_head_that_was_never_written_is_refused_whatever_its_checksum_says() {
        let (id, whole) = example(b"the bytes of a log file");
        let forged = |field: cairn_log::layout::Field, value| {
            let mut forged = whole.clone();
            field.set_number(&mut forged, value);
            let crc = crc32c(&forged[..layout::CRC.offset]);
            layout::CRC.set_number(&mut forged, crc.into());
            forged
        };
        match decode(&id, &forged(layout::VERSION, 9), &Secrecy::Plain) {
            Err(Unread::Unsupported(what)) => assert_eq!(what, "it is of version 9"),
            other => panic!("{other:?}"),
        }
        let found = damaged(decode(&id, &forged(layout::FRAMES, 2), &Secrecy::Plain));
        assert_eq!((found.at, &*found.problem), (0, "its head holds what was never written"));
        for length in [0, MAX_PART + 1] {
            let other = PartId { name: PartName { length, ..id.name }, ..id };
            let found = damaged(decode(&other, &forged(layout::LENGTH, length), &Secrecy::Plain));
            assert_eq!((found.at, &*found.problem), (0, "it holds no bytes, or too many"));
        }
        let mut forged = whole;
        layout::CONTENT.set_bytes(&mut forged, &[7; 32]);
        let crc = crc32c(&forged[..layout::CRC.offset]);
        layout::CRC.set_number(&mut forged, crc.into());
        let found = damaged(decode(&id, &forged, &Secrecy::Plain));
        assert_eq!(found.problem, "the hash of its content does not match");
    }

    #[test]
    fn a_second_copy_has_another_name() {
        let (id, _) = example(b"bytes");
        let [one, two] = [0, 1]
            .map(|copy| encode(&id, b"bytes", copy, Compression::None, &Secrecy::Plain).unwrap());
        assert_ne!(one.name(), two.name());
        assert_eq!(one.content, two.content);
    }
}
