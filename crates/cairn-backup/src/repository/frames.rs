//! Frames: what follows the head of an object. Each stands for itself and is checked by itself, so that damage
//! has a place.

use std::borrow::Cow;

use cairn_archive::{Compression, Compressor, Decompressor};
use cairn_log::{TAG_LEN, crc32c_of, layout::Field};

use super::{
    layout::{FRAME, MAX_RATIO, repository_frame as layout},
    secrecy::{Lying, ObjectCipher},
};

/// Where in an object, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) at: u64,
    pub(crate) problem: String,
}

impl Damaged {
    pub(crate) fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at: at as u64, problem: problem.into() }
    }
}

/// How many frames so much content has.
pub(crate) fn count(length: usize) -> usize {
    length.div_ceil(FRAME)
}

/// Whether the frames of an object may stand for any content, or for so much more than is stored only that
/// nobody can be made to take memory by a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ratio {
    Any,
    Bounded,
}

impl Ratio {
    const fn allows(self, stored: usize, length: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Bounded => length <= stored.saturating_mul(MAX_RATIO),
        }
    }
}

/// Appends `content` to `object`, in frames, encrypted if there is a `cipher`.
pub(crate) fn append(
    content: &[u8],
    compression: Compression,
    ratio: Ratio,
    cipher: Option<&ObjectCipher>,
    object: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut compressor = Compressor::new(compression)?;
    for (number, content) in (0..).zip(content.chunks(FRAME)) {
        let at = object.len();
        object.resize(at + layout::LEN, 0);
        let mut is_compressed = compressor.append(content, object)?;
        if !ratio.allows(object.len() - at - layout::LEN, content.len()) {
            object.truncate(at + layout::LEN);
            object.extend_from_slice(content);
            is_compressed = false;
        }
        let tag_len = if cipher.is_some() { TAG_LEN } else { 0 };
        let stored = object.len() - at - layout::LEN + tag_len;
        let head = &mut object[at..at + layout::LEN];
        layout::STORED.set_number(head, stored as u64);
        layout::LENGTH.set_number(head, content.len() as u64);
        layout::COMPRESSION.set_number(head, is_compressed.into());
        if let Some(cipher) = cipher {
            let mut stored = object.split_off(at + layout::LEN);
            cipher.encrypt(number, vouched(&object[at..]), &mut stored);
            object.extend_from_slice(&stored);
        }
        let crc = crc(&object[at..]);
        layout::CRC.set_number(&mut object[at..at + layout::LEN], crc.into());
    }
    Ok(())
}

/// What of the head of a frame its tag vouches for: all but the checksum.
fn vouched(head: &[u8]) -> &[u8] {
    &head[..layout::CRC.offset]
}

/// The checksum of a frame: of all of it but the checksum.
fn crc(frame: &[u8]) -> u32 {
    let (head, stored) = frame.split_at(layout::LEN);
    crc32c_of(&[vouched(head), stored])
}

/// Where a frame is in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramePlace {
    pub(crate) at: u64,
    /// Its bytes, with its head.
    pub(crate) stored: usize,
    /// Bytes of its content.
    pub(crate) length: usize,
}

/// The places of the frames from `at` to the end of an object whose [`content`] was read.
pub(crate) fn places(object: &[u8], at: usize) -> Vec<FramePlace> {
    let (mut at, mut places) = (at, Vec::new());
    while let Some(head) = object.get(at..at + layout::LEN) {
        let number = |field: Field| usize::try_from(field.number(head)).unwrap_or(usize::MAX);
        let stored = number(layout::STORED).saturating_add(layout::LEN);
        places.push(FramePlace { at: at as u64, stored, length: number(layout::LENGTH) });
        at = at.saturating_add(stored);
    }
    places
}

/// The frames of an object that can be read although others cannot, from `begin` on, each with its number; together they
/// had `length` bytes. What is behind damage is found by its checksum, and has a number if there is no more damage behind
/// it.
pub(crate) fn readable(object: &[u8], begin: usize, length: usize) -> Vec<(u64, FramePlace)> {
    let (total, mut at) = (count(length), begin);
    let mut runs: Vec<Vec<FramePlace>> = vec![Vec::new()];
    while at < object.len() {
        match frame_at(object, at, length) {
            Some(place) => {
                at += place.stored;
                runs.last_mut().expect("there is one from the beginning").push(place);
            }
            None => {
                at += 1;
                if runs.last().is_some_and(|run| !run.is_empty()) || runs.len() == 1 {
                    runs.push(Vec::new());
                }
            }
        }
    }
    let mut found: Vec<(u64, FramePlace)> = (0..).zip(runs[0].iter().copied()).collect();
    found.truncate(total);
    let last = runs.last().filter(|_| runs.len() > 1).map_or(&[][..], Vec::as_slice);
    let is_end =
        last.last().is_some_and(|place| place.at + place.stored as u64 == object.len() as u64);
    if let Some(first) =
        total.checked_sub(last.len()).filter(|first| is_end && *first >= found.len())
    {
        found.extend((first as u64..).zip(last.iter().copied()));
    }
    // Of a frame that says it is another one nothing is known.
    found.retain(|(number, place)| {
        let before = usize::try_from(*number).unwrap_or(usize::MAX).saturating_mul(FRAME);
        place.length == FRAME.min(length.saturating_sub(before))
    });
    found
}

/// The frame at a place of an object, if its checksum says that there is one.
fn frame_at(object: &[u8], at: usize, length: usize) -> Option<FramePlace> {
    let head = object.get(at..at + layout::LEN)?;
    let number = |field: Field| usize::try_from(field.number(head)).unwrap_or(usize::MAX);
    let (stored, content) = (number(layout::STORED), number(layout::LENGTH));
    // Before a checksum of a megabyte is made for each byte.
    let is_one = layout::RESERVED.number(head) == 0
        && number(layout::COMPRESSION) <= 1
        && (1..=FRAME.min(length)).contains(&content)
        && stored <= content.saturating_add(TAG_LEN).saturating_add(1024);
    let frame =
        object.get(at..at.checked_add(layout::LEN)?.checked_add(stored).filter(|_| is_one)?)?;
    let is_right = u64::from(crc(frame)) == layout::CRC.number(head);
    is_right.then_some(FramePlace { at: at as u64, stored: frame.len(), length: content })
}

/// The content of the frames from `at` to the end of `object`, if it has exactly `length` bytes; the first of them is
/// frame `number`. Without the key it is nothing, and only its checksums and lengths are looked at.
pub(crate) fn content(
    object: &[u8],
    at: usize,
    length: usize,
    ratio: Ratio,
    lying: &Lying,
    number: u64,
) -> Result<Vec<u8>, Damaged> {
    let mut content = Vec::new();
    let mut decompressor = Decompressor::default();
    let (mut at, mut left) = (at, length);
    for number in number.. {
        if left == 0 {
            break;
        }
        let rest = object.get(at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_at_checked(layout::LEN) else {
            return Err(Damaged::new(at, "it ends within the head of a frame"));
        };
        let field = |field: Field| usize::try_from(field.number(head)).unwrap_or(usize::MAX);
        let (stored_len, frame_len) = (field(layout::STORED), field(layout::LENGTH));
        let Some(stored) = rest.get(..stored_len) else {
            return Err(Damaged::new(
                at,
                "it ends within a frame, or the frame says a wrong length",
            ));
        };
        let frame = &object[at..at + layout::LEN + stored_len];
        if u64::from(crc(frame)) != layout::CRC.number(head) {
            return Err(Damaged::new(at, "the checksum of a frame does not match"));
        }
        let is_compressed = field(layout::COMPRESSION) == 1;
        let is_right = frame_len == FRAME.min(left)
            && layout::RESERVED.number(head) == 0
            && ratio.allows(stored_len, frame_len)
            && field(layout::COMPRESSION) <= 1
            && (is_compressed || stored_len == frame_len + lying.tag_len());
        if !is_right {
            return Err(Damaged::new(at, "the head of a frame is none"));
        }
        let stored = match lying {
            Lying::Plain => Some(Cow::Borrowed(stored)),
            Lying::Encrypted(cipher) => {
                let decrypted = cipher.decrypt(number, vouched(head), stored);
                let not_authentic = "a frame is not authentic: it was not encrypted as this one";
                Some(Cow::Owned(decrypted.ok_or_else(|| Damaged::new(at, not_authentic))?))
            }
            Lying::Locked => None,
        };
        let begin = content.len();
        match stored {
            Some(stored) if is_compressed => {
                content.resize(begin + frame_len, 0);
                let filled = decompressor.fill(&stored, &mut content[begin..]);
                if !filled.map_err(|error| Damaged::new(at, error.to_string()))? {
                    return Err(Damaged::new(
                        at,
                        "a frame does not decompress to what its head says",
                    ));
                }
            }
            Some(stored) => content.extend_from_slice(&stored),
            None => {}
        }
        at += layout::LEN + stored_len;
        left -= frame_len;
    }
    if at == object.len() {
        Ok(content)
    } else {
        Err(Damaged::new(at, "there is more behind its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(content: &[u8], compression: Compression, ratio: Ratio) -> Vec<u8> {
        let mut object = b"head".to_vec();
        append(content, compression, ratio, None, &mut object).unwrap();
        object
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn what_was_framed_comes_back_whether_it_shrinks_or_not() {
        for len in [0, 1, 1000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME] {
            for bytes in [vec![7; len], noise(len)] {
                for compression in [Compression::None, Compression::Zstd(1), Compression::Zstd(9)] {
                    for ratio in [Ratio::Any, Ratio::Bounded] {
                        let object = object(&bytes, compression, ratio);
                        let most = 4 + len + count(len) * layout::LEN;
                        assert!(object.len() <= most, "{len}: {}", object.len());
                        assert!(
                            content(&object, 4, len, ratio, &Lying::Plain, 0).unwrap() == bytes
                        );
                        let each = places(&object, 4).into_iter().flat_map(|place| {
                            let at = usize::try_from(place.at).unwrap();
                            let frame = &object[at..at + place.stored];
                            content(frame, 0, place.length, ratio, &Lying::Plain, 0).unwrap()
                        });
                        assert!(each.eq(bytes.iter().copied()));
                    }
                }
            }
        }
    }

    #[test]
    fn each_flip_and_cut_is_found_and_has_its_place() {
        let bytes = [noise(300), vec![1; 300]].concat();
        for compression in [Compression::None, Compression::Zstd(1)] {
            let whole = object(&bytes, compression, Ratio::Bounded);
            for at in 4..whole.len() {
                for bit in 0..8 {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 1 << bit;
                    let damaged =
                        content(&flipped, 4, 600, Ratio::Bounded, &Lying::Plain, 0).unwrap_err();
                    assert_eq!(damaged.at, 4, "byte {at}");
                }
                assert!(content(&whole[..at], 4, 600, Ratio::Bounded, &Lying::Plain, 0).is_err());
            }
            let longer = [&*whole, &[0]].concat();
            let damaged = content(&longer, 4, 600, Ratio::Bounded, &Lying::Plain, 0).unwrap_err();
            assert_eq!(damaged.at, whole.len() as u64);
            for length in [0, 599, 601] {
                assert!(
                    content(&whole, 4, length, Ratio::Bounded, &Lying::Plain, 0).is_err(),
                    "{length}"
                );
            }
        }
    }

    #[test]
    fn a_few_bytes_cannot_stand_for_many() {
        let zeros = vec![0; FRAME];
        let small = object(&zeros, Compression::Zstd(1), Ratio::Any);
        assert!(small.len() < FRAME / MAX_RATIO);
        assert!(content(&small, 4, FRAME, Ratio::Bounded, &Lying::Plain, 0).is_err());
        let bounded = object(&zeros, Compression::Zstd(1), Ratio::Bounded);
        assert!(content(&bounded, 4, FRAME, Ratio::Bounded, &Lying::Plain, 0).unwrap() == zeros);
    }

    /// The checksum of a frame can be right although its head promises more than there is.
    #[test]
    fn a_frame_that_decompresses_to_less_than_its_head_says_is_damage() {
        let mut object = object(&[7; 1000], Compression::Zstd(1), Ratio::Any);
        layout::LENGTH.set_number(&mut object[4..], 1001);
        let crc = crc(&object[4..]);
        layout::CRC.set_number(&mut object[4..], crc.into());
        let damaged = content(&object, 4, 1001, Ratio::Any, &Lying::Plain, 0).unwrap_err();
        assert_eq!(damaged.at, 4);
        assert!(damaged.problem.contains("decompress"), "{damaged:?}");
    }

    /// What a salvage finds: every frame whose place is certain, whatever is damaged of the others.
    #[test]
    fn frames_before_and_behind_damage_are_found_with_their_numbers() {
        let bytes = vec![7; 4 * FRAME + 9];
        let whole = object(&bytes, Compression::default(), Ratio::Any);
        let all = places(&whole, 4);
        assert_eq!(all.len(), 5);
        let numbers = |object: &[u8]| -> Vec<u64> {
            let found = readable(object, 4, bytes.len());
            for (number, place) in &found {
                let before = usize::try_from(*number).unwrap();
                assert_eq!(*place, all[before], "frame {number}");
            }
            found.into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(&whole), [0, 1, 2, 3, 4]);
        for (nth, place) in all.iter().enumerate() {
            // Its head, where its length stands, its checksum, what it holds.
            for byte in [0, 4, layout::CRC.offset, layout::LEN + 2] {
                let mut damaged = whole.clone();
                damaged[usize::try_from(place.at).unwrap() + byte] ^= 0x40;
                let rest: Vec<u64> = (0..5).filter(|number| *number != nth as u64).collect();
                assert_eq!(numbers(&damaged), rest, "frame {nth}, byte {byte}");
            }
        }
        // Between two that are damaged nothing says how many were lost.
        let mut damaged = whole.clone();
        for nth in [0, 2] {
            damaged[usize::try_from(all[nth].at).unwrap() + 1] ^= 1;
        }
        assert_eq!(numbers(&damaged), [3, 4]);
        let end = usize::try_from(all[3].at).unwrap() + 5;
        assert_eq!(numbers(&whole[..end]), [0, 1, 2], "cut");
        assert_eq!(numbers(&whole[..2]), [0; 0]);
    }
}
