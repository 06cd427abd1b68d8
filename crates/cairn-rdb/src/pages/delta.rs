//! Delta: the bytes of a chunk that differ from its base.
//!
//! It is cumulative: it says all differences from the base, and replaces the delta before it. (The idea of
//! Berkeley DB JE's BIN-deltas, for bytes of a page.)

use super::layout::{CHUNK, MAX_DELTA, STAMP};

/// Bytes before each run: where it begins, and how long it is.
const RUN: usize = 4;

/// Equal bytes between two runs that are cheaper to repeat than to leave out.
const GAP: usize = 8;

/// What makes `image` of `base`, which the change `stamp` wrote; `None` if it is longer than it may be.
pub(super) fn encode(stamp: u64, base: &[u8; CHUNK], image: &[u8; CHUNK]) -> Option<Vec<u8>> {
    let mut delta = stamp.to_le_bytes().to_vec();
    let mut at = 0;
    while let Some(start) = next_difference(base, image, at) {
        let mut end = start + 1;
        while let Some(next) = next_difference(base, image, end) {
            if next - end >= GAP {
                break;
            }
            end = next + 1;
        }
        if delta.len() + RUN + end - start > MAX_DELTA {
            return None;
        }
        delta.extend(u16_of(start));
        delta.extend(u16_of(end - start));
        delta.extend_from_slice(&image[start..end]);
        at = end;
    }
    Some(delta)
}

fn u16_of(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a chunk has fewer bytes").to_le_bytes()
}

/// The first byte from `at` on that differs.
fn next_difference(base: &[u8; CHUNK], image: &[u8; CHUNK], at: usize) -> Option<usize> {
    const WORD: usize = size_of::<u64>();
    const BLOCK: usize = 16 * WORD;
    let mut at = at;
    // Most of a chunk is equal, so equal blocks are passed over without asking which of their bytes differ.
    while at < CHUNK {
        let aligned = at.is_multiple_of(WORD);
        if aligned && at + BLOCK <= CHUNK && block_difference::<BLOCK>(base, image, at) == 0 {
            at += BLOCK;
        } else if aligned && word(base, at) == word(image, at) {
            at += WORD;
        } else {
            let end = (at / WORD + 1) * WORD;
            match (at..end).find(|&n| base[n] != image[n]) {
                Some(found) => return Some(found),
                None => at = end,
            }
        }
    }
    None
}

/// Zero if all bytes of a block are equal.
fn block_difference<const BLOCK: usize>(base: &[u8; CHUNK], image: &[u8; CHUNK], at: usize) -> u64 {
    (at..at + BLOCK).step_by(8).fold(0, |all, at| all | (word(base, at) ^ word(image, at)))
}

fn word(of: &[u8; CHUNK], at: usize) -> u64 {
    u64::from_le_bytes(*of[at..].first_chunk().expect("a chunk is a whole number of words"))
}

/// Makes the image of its base, in place.
///
/// # Errors
/// What is wrong with the delta; the image is then of no use.
pub(super) fn apply(stamp: u64, image: &mut [u8], delta: &[u8]) -> Result<(), &'static str> {
    let (named, mut runs) = delta.split_first_chunk::<STAMP>().ok_or("a delta that is cut")?;
    if u64::from_le_bytes(*named) != stamp {
        return Err("a delta of another base");
    }
    while !runs.is_empty() {
        let (head, rest) = runs.split_first_chunk::<RUN>().ok_or("a run that is cut")?;
        let [a, b, c, d] = *head;
        let (start, len) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let (start, len) = (usize::from(start), usize::from(len));
        let bytes = rest.get(..len).ok_or("a run that is cut")?;
        let target = image.get_mut(start..start + len).ok_or("a run beyond its chunk")?;
        target.copy_from_slice(bytes);
        runs = &rest[len..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn equal_images_have_an_empty_delta() {
        let image = [7; CHUNK];
        assert_eq!(encode(3, &image, &image).unwrap(), 3u64.to_le_bytes());
    }

    #[test]
    fn what_differs_too_much_has_none() {
        assert!(encode(1, &[0; CHUNK], &[1; CHUNK]).is_none());
        let mut image = [0; CHUNK];
        image[CHUNK - (MAX_DELTA - STAMP - RUN)..].fill(1);
        assert_eq!(encode(1, &[0; CHUNK], &image).unwrap().len(), MAX_DELTA);
        image[CHUNK - (MAX_DELTA - STAMP - RUN) - 1..].fill(1);
        assert!(encode(1, &[0; CHUNK], &image).is_none());
    }

    #[test]
    fn a_delta_of_another_base_is_refused() {
        let (base, mut image) = ([0; CHUNK], [0; CHUNK]);
        image[9] = 1;
        let delta = encode(4, &base, &image).unwrap();
        assert_eq!(apply(5, &mut base.clone(), &delta), Err("a delta of another base"));
    }

    proptest! {
        #[test]
        fn a_delta_gives_the_image_back(changes in vec((0..CHUNK, any::<u8>()), 0..60)) {
            let base = std::array::from_fn(|n| u8::try_from(n % 251).unwrap());
            let mut image = base;
            changes.iter().for_each(|&(at, byte)| image[at] = byte);
            let delta = encode(8, &base, &image).unwrap();
            let mut found = base;
            apply(8, &mut found, &delta).unwrap();
            prop_assert!(found == image);
            for len in 0..delta.len() {
                // Whatever a cut one does, it does not panic.
                apply(8, &mut base.clone(), &delta[..len]).unwrap_or_default();
            }
        }

        #[test]
        fn hostile_deltas_are_refused_or_harmless(delta in vec(any::<u8>(), 0..200)) {
            apply(0, &mut [0; CHUNK], &delta).unwrap_or_default();
        }
    }
}
