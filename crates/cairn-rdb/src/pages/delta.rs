//! Delta: the bytes of a chunk that differ from its base.
//!
//! It is cumulative: it says all differences from the base, and replaces the delta before it. (The idea of
//! Berkeley DB JE's BIN-deltas, for bytes of a page.)

use std::ops::Range;

use super::layout::{CHUNK, MAX_DELTA, STAMP};

/// Bytes before each run: where it begins, and how long it is.
const RUN: usize = 4;

/// Equal bytes between two runs that are cheaper to repeat than to leave out.
const GAP: usize = 8;

/// What makes `image` of `base`, which the change `stamp` wrote; `None` if it is longer than it may be.
pub(super) fn encode(stamp: u64, base: &[u8; CHUNK], image: &[u8; CHUNK]) -> Option<Vec<u8>> {
    let mut delta = stamp.to_le_bytes().to_vec();
    let mut add = |run: Range<usize>| {
        if delta.len() + RUN + run.len() > MAX_DELTA {
            return None;
        }
        delta.extend(u16_of(run.start));
        delta.extend(u16_of(run.len()));
        delta.extend_from_slice(&image[run]);
        Some(())
    };
    let mut run: Option<Range<usize>> = None;
    for word in differing_words(base, image) {
        match &mut run {
            Some(run) if word.start - run.end < GAP => run.end = word.end,
            run => {
                if let Some(done) = run.replace(word) {
                    add(done)?;
                }
            }
        }
    }
    if let Some(last) = run {
        add(last)?;
    }
    Some(delta)
}

fn u16_of(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a chunk has fewer bytes").to_le_bytes()
}

/// Of each word that differs, from its first byte that does to its last one. Most of a chunk is equal, so whole blocks
/// are passed over first.
fn differing_words<'a>(
    base: &'a [u8; CHUNK],
    image: &'a [u8; CHUNK],
) -> impl Iterator<Item = Range<usize>> + 'a {
    const BLOCK: usize = 128;
    let (base, image) = (base.as_chunks::<BLOCK>().0, image.as_chunks::<BLOCK>().0);
    let blocks = base.iter().zip(image).enumerate();
    blocks
        .filter(|(_, (base, image))| words(*base, *image).fold(0, |all, of| all | of) != 0)
        .flat_map(|(block, (base, image))| {
            let differing = words(base, image).enumerate().filter(|(_, bits)| *bits != 0);
            differing.map(move |(word, bits)| {
                let at = block * BLOCK + word * WORD;
                let (before, behind) = (bits.trailing_zeros() / 8, bits.leading_zeros() / 8);
                at + before as usize..at + WORD - behind as usize
            })
        })
}

const WORD: usize = size_of::<u64>();

/// The bits in which words differ.
fn words<'a>(base: &'a [u8], image: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
    let (base, image) = (base.as_chunks::<WORD>().0, image.as_chunks::<WORD>().0);
    base.iter()
        .zip(image)
        .map(|(base, image)| u64::from_le_bytes(*base) ^ u64::from_le_bytes(*image))
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
