//! `Secrecy`: how the objects of an encrypted repository are encrypted, and for whom.
//!
//! Each object has a key of its own, which comes from the data key of the repository, its head, and a salt that is drawn
//! for it and stands behind that. Its frames are compressed, then encrypted, numbered. The tag of each vouches for the
//! head of the object, for the salt, and for the head of the frame: so a frame is right in its place in its object
//! only, and an object under its own name only.
//!
//! Hashes and checksums are of what is stored. So whoever has no key still finds what is damaged.

use std::fmt;

use cairn_io::WorldRef;
use cairn_log::{DataKeys, NumberedCipher, TAG_LEN, crc32c};

use super::{
    frames::Damaged,
    layout::{ENCRYPTED, repository_encryption as layout},
    statement::Unread,
};

/// Whether the objects of a repository are encrypted, and whether their keys are at hand.
#[derive(Clone, Debug)]
pub(crate) enum Secrecy {
    Plain,
    /// They are encrypted, and nobody has given a key: what takes only hashes can be done all the same.
    Locked,
    Unlocked(ObjectKeys),
}

/// What encrypts new objects, and decrypts those that are there.
#[derive(Clone)]
pub(crate) struct ObjectKeys {
    keys: DataKeys,
    world: WorldRef,
}

/// How the frames of an object that is read lie there.
#[derive(Debug)]
pub(crate) enum Lying {
    Plain,
    Encrypted(ObjectCipher),
    /// Only their checksums can be compared.
    Locked,
}

/// What encrypts and decrypts the frames of one object.
#[derive(Debug)]
pub(crate) struct ObjectCipher {
    cipher: NumberedCipher,
    /// The head of the object, and what stands behind it: what each tag vouches for beside the frame.
    head: Vec<u8>,
}

impl Secrecy {
    /// What the head of an object says.
    pub(crate) const fn algorithm(&self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Locked | Self::Unlocked(_) => ENCRYPTED,
        }
    }

    pub(crate) const fn is_locked(&self) -> bool {
        matches!(self, Self::Locked)
    }

    /// Ends the head of a new object, of which all but this is there; returns what encrypts the frames behind it.
    pub(crate) fn begin(&self, object: &mut Vec<u8>) -> std::io::Result<Option<ObjectCipher>> {
        let keys = match self {
            Self::Plain => return Ok(None),
            Self::Unlocked(keys) => keys,
            Self::Locked => return Err(std::io::Error::other("the repository is locked")),
        };
        let mut block = [0; layout::LEN];
        let mut salt = [0; 32];
        keys.world.random(&mut salt);
        let (epoch, data_key) = keys.keys.newest();
        layout::EPOCH.set_number(&mut block, epoch.into());
        layout::SALT.set_bytes(&mut block, &salt);
        let crc = crc32c(&block[..layout::CRC.offset]);
        layout::CRC.set_number(&mut block, crc.into());
        let cipher = NumberedCipher::new(&data_key.derive(LABEL, &salt, &[object]));
        object.extend_from_slice(&block);
        Ok(Some(ObjectCipher { cipher, head: object.clone() }))
    }

    /// How the frames of an object lie there, and where the first one begins; the head of `head` bytes says how they
    /// are encrypted.
    pub(crate) fn of(
        &self,
        object: &[u8],
        head: usize,
        algorithm: u64,
    ) -> Result<(Lying, usize), Unread> {
        match algorithm {
            0 | ENCRYPTED if algorithm != self.algorithm() => {
                let is = if algorithm == 0 { "not encrypted" } else { "encrypted" };
                let problem = format!("it is {is}, other than all of this repository");
                return Err(Damaged::new(0, problem).into());
            }
            0 => return Ok((Lying::Plain, head)),
            ENCRYPTED => {}
            other => {
                return Err(Unread::Unsupported(format!(
                    "it is encrypted by the algorithm {other}"
                )));
            }
        }
        let begin = head + layout::LEN;
        let Some(block) = object.get(head..begin) else {
            return Err(Damaged::new(object.len(), "it ends within its head").into());
        };
        let crc = u64::from(crc32c(&block[..layout::CRC.offset]));
        if layout::CRC.number(block) != crc || layout::RESERVED.number(block) != 0 {
            return Err(Damaged::new(head, "what is said of its key is damaged").into());
        }
        let Self::Unlocked(keys) = self else { return Ok((Lying::Locked, begin)) };
        let epoch = layout::EPOCH.number(block);
        let key = u32::try_from(epoch).ok().and_then(|epoch| keys.keys.get(epoch));
        let Some(data_key) = key else {
            let problem =
                format!("it is encrypted with a key of epoch {epoch}, which there is not");
            return Err(Damaged::new(head, problem).into());
        };
        let key = data_key.derive(LABEL, layout::SALT.of(block), &[&object[..head]]);
        let cipher = NumberedCipher::new(&key);
        Ok((Lying::Encrypted(ObjectCipher { cipher, head: object[..begin].to_vec() }), begin))
    }
}

/// What the key of an object is derived for.
const LABEL: &str = "cairn/v1/repository/object";

impl ObjectKeys {
    pub(crate) const fn new(keys: DataKeys, world: WorldRef) -> Self {
        Self { keys, world }
    }
}

impl ObjectCipher {
    /// Encrypts what is stored of frame `number`, and puts its tag behind it.
    pub(crate) fn encrypt(&self, number: u64, frame_head: &[u8], stored: &mut Vec<u8>) {
        self.cipher.encrypt(number, &self.vouched(frame_head), stored);
    }

    /// Decrypts what is stored of frame `number`; `None` if it is not what was encrypted as that.
    pub(crate) fn decrypt(&self, number: u64, frame_head: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
        let mut content = stored.to_vec();
        self.cipher.decrypt(number, &self.vouched(frame_head), &mut content).ok()?;
        Some(content)
    }

    fn vouched(&self, frame_head: &[u8]) -> Vec<u8> {
        [&self.head, frame_head].concat()
    }
}

impl Lying {
    /// Bytes that are stored of a frame beside its content.
    pub(crate) const fn tag_len(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Encrypted(_) | Self::Locked => TAG_LEN,
        }
    }
}

impl fmt::Debug for ObjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKeys({:?})", self.keys)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cairn_archive::Compression;
    use cairn_io::RealWorld;
    use cairn_log::{DataKey, Digest, Uuid};

    use super::*;
    use crate::repository::{
        layout::{FRAME, repository_frame, repository_part},
        part::{self, PartId},
        statement::{self, StatementId, StatementKind},
    };

    fn unlocked(key: u8) -> Secrecy {
        let keys = DataKeys::new([(1, DataKey::new([key; 32]))]).unwrap();
        Secrecy::Unlocked(ObjectKeys::new(keys, Arc::new(RealWorld::new())))
    }

    /// A part, and its object.
    fn encoded(content: &[u8], secrecy: &Secrecy) -> (PartId, Vec<u8>) {
        let (id, _) = part::example(content);
        let part = part::encode(&id, content, 0, Compression::None, secrecy).unwrap();
        (id, part.bytes)
    }

    #[track_caller]
    fn assert_not_authentic(id: &PartId, object: &[u8], secrecy: &Secrecy) {
        match part::decode(id, object, secrecy) {
            Err(Unread::Damaged(Damaged { problem, .. })) => {
                assert!(problem.contains("not authentic"), "{problem}");
            }
            other => panic!("{other:?}"),
        }
        // All that takes no key is right.
        let locked = part::decode(id, object, &Secrecy::Locked);
        assert!(matches!(locked, Err(Unread::Locked)), "{locked:?}");
    }

    #[test]
    fn the_same_content_is_other_bytes_each_time_and_comes_back() {
        let secrecy = unlocked(1);
        let content = vec![7; 3 * FRAME / 2];
        let (id, one) = encoded(&content, &secrecy);
        let (_, two) = encoded(&content, &secrecy);
        assert_ne!(one, two);
        for object in [&one, &two] {
            assert!(part::decode(&id, object, &secrecy).unwrap().content == content);
        }
        assert_not_authentic(&id, &one, &unlocked(2));
    }

    #[test]
    fn a_frame_is_right_in_its_place_in_its_object_only() {
        let secrecy = unlocked(1);
        let content = vec![7; 2 * FRAME];
        let (id, one) = encoded(&content, &secrecy);
        let (_, two) = encoded(&content, &secrecy);
        let begin = repository_part::LEN + layout::LEN;
        let frame = repository_frame::LEN + FRAME + TAG_LEN;
        assert_eq!(one.len(), begin + 2 * frame);
        // The two frames in the other order, and one of another object with the same name and content.
        let (first, second) = one[begin..].split_at(frame);
        assert_not_authentic(&id, &[&one[..begin], second, first].concat(), &secrecy);
        assert_not_authentic(&id, &[&one[..begin], first, first].concat(), &secrecy);
        assert_not_authentic(
            &id,
            &[&one[..begin], first, &two[begin + frame..]].concat(),
            &secrecy,
        );
        // What is said of the key of another one.
        let head = &one[..repository_part::LEN];
        let other = &two[repository_part::LEN..begin];
        assert_not_authentic(&id, &[head, other, &one[begin..]].concat(), &secrecy);
    }

    #[test]
    fn each_flip_of_an_encrypted_statement_is_found_with_and_without_the_key() {
        let secrecy = unlocked(1);
        let (repository, environment) = (Uuid([1; 16]), Uuid([2; 16]));
        let id = StatementId { kind: StatementKind::Point, repository, environment, number: 3 };
        let whole = statement::encode(&id, Digest([9; 32]), b"a secret", &secrecy).unwrap();
        assert!(!whole.windows(6).any(|window| window == b"secret"));
        let read = statement::decode(&id, &whole, &secrecy);
        assert_eq!(read, Ok((Digest([9; 32]), b"a secret".to_vec())));
        let locked = statement::decode(&id, &whole, &Secrecy::Locked);
        assert_eq!(locked, Err(Unread::Locked));
        assert_eq!(statement::previous_of(&whole), Digest([9; 32]));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                for secrecy in [&secrecy, &Secrecy::Locked] {
                    let read = statement::decode(&id, &flipped, secrecy);
                    let Err(Unread::Damaged(damaged)) = read else { panic!("{at}: {read:?}") };
                    assert!(damaged.at <= at as u64);
                }
            }
        }
        // A head that says something else, with the right checksum, is authentic no more.
        let mut forged = whole.clone();
        forged[72] ^= 1;
        statement::mend(&mut forged);
        assert!(matches!(statement::decode(&id, &forged, &secrecy), Err(Unread::Damaged(_))));
        let other = statement::encode(&id, Digest([9; 32]), b"a secret", &Secrecy::Locked);
        assert!(other.is_err());
    }

    #[test]
    fn an_index_is_for_everybody() {
        let (repository, environment) = (Uuid([1; 16]), Uuid([2; 16]));
        let id = StatementId { kind: StatementKind::Index, repository, environment, number: 3 };
        let object = statement::encode(&id, Digest([0; 32]), b"names", &unlocked(1)).unwrap();
        for secrecy in [Secrecy::Plain, Secrecy::Locked, unlocked(2)] {
            assert_eq!(statement::decode(&id, &object, &secrecy).unwrap().1, b"names");
        }
    }
}
