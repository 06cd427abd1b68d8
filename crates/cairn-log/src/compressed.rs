//! Compressed payloads: nodes that take fewer bytes in the file than they have.
//!
//! A node is read as a whole and kept in memory as it is, so compressing it costs only those who write it, and those who
//! read it from the disk. What is stored is the length of the payload and one block of LZ4, which has no header and no
//! checksum of its own: the record's checksum is over what is stored. In an encrypted file nothing is compressed, because
//! there the length of what is stored would tell of its content (CRIME).

use lz4_flex::block::{DecompressError, compress_into, decompress_into, get_maximum_output_size};

use crate::{
    Damage, FrameHeader,
    codec::DecodeError,
    layout::compressed::{LEN as BLOCK, LENGTH},
};

/// Payloads outside of this are stored as they are. That what is decompressed has at most so much bounds what a reader
/// allocates for bytes that somebody has made up.
const SHORTEST: usize = 128;
const LONGEST: usize = 1 << 20;

/// What is stored of `payload` if it is compressed; `None` if that saves less than an eighth of it.
pub(crate) fn of(payload: &[u8]) -> Option<Vec<u8>> {
    if !(SHORTEST..=LONGEST).contains(&payload.len()) {
        return None;
    }
    let mut stored = vec![0; BLOCK + get_maximum_output_size(payload.len())];
    let len = compress_into(payload, &mut stored[BLOCK..]).ok()?;
    stored.truncate(BLOCK + len);
    LENGTH.set_number(&mut stored, payload.len() as u64);
    (stored.len() <= payload.len() - payload.len() / 8).then_some(stored)
}

/// Has the payload in `payload` that is stored as `stored`, and returns its length.
pub(crate) fn decompress(stored: &[u8], payload: &mut Vec<u8>) -> Result<usize, Damage> {
    payload.clear();
    append(stored, payload)
}

/// Puts the payload of a record, of which what is stored stands in `record` from byte `at` on, in the place of that; returns its
/// length.
pub(crate) fn open(header: &FrameHeader, record: &mut Vec<u8>, at: usize) -> Result<usize, Damage> {
    let stored = record[at..][..header.len as usize].to_vec();
    record.truncate(at);
    append(&stored, record)
}

fn append(stored: &[u8], out: &mut Vec<u8>) -> Result<usize, Damage> {
    let malformed = |at, problem| Damage::Malformed {
        what: "compressed payload",
        source: DecodeError { field: "block", at, problem },
    };
    let block = stored.get(BLOCK..).ok_or(malformed(0, "ends too early"))?;
    let len = usize::try_from(LENGTH.number(stored))
        .ok()
        .filter(|len| (SHORTEST..=LONGEST).contains(len))
        .ok_or(malformed(0, "is of an impossible length"))?;
    let from = out.len();
    out.resize(from + len, 0);
    match decompress_into(block, &mut out[from..]) {
        Ok(found) if found == len => Ok(len),
        Ok(_) => Err(malformed(BLOCK, "gives fewer bytes than it says")),
        Err(DecompressError::OutputTooSmall { .. }) => {
            Err(malformed(BLOCK, "gives more bytes than it says"))
        }
        Err(_) => Err(malformed(BLOCK, "is no block of LZ4")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of a few letters, as entries of a leaf may be.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let word = prop::sample::select(vec!["apple", "pear", "\0\0\x01\0", "x"]);
        prop::collection::vec(word, 0..3000).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn a_payload_survives_compression(
            payload in prop_oneof![text(), prop::collection::vec(any::<u8>(), 0..5000)]
        ) {
            let Some(stored) = of(&payload) else { return Ok(()) };
            prop_assert!(stored.len() <= payload.len() - payload.len() / 8);
            let mut out = vec![9; 3];
            prop_assert_eq!(decompress(&stored, &mut out), Ok(payload.len()));
            prop_assert_eq!(&out, &payload);
        }

        #[test]
        fn bytes_that_somebody_made_up_are_malformed_or_some_payload(
            payload in text(), at in any::<prop::sample::Index>(), byte: u8, cut in 0..20usize
        ) {
            let Some(mut stored) = of(&payload) else { return Ok(()) };
            let at = at.index(stored.len());
            stored[at] ^= byte;
            stored.truncate(stored.len() - cut.min(stored.len()));
            let mut out = Vec::new();
            match decompress(&stored, &mut out) {
                Ok(len) => prop_assert_eq!(len, out.len()),
                Err(damage) => prop_assert!(damage.to_string().starts_with("malformed")),
            }
            prop_assert!(out.len() <= LONGEST);
        }
    }

    #[test]
    fn what_gets_no_shorter_stays_as_it_is() {
        let mut noise = [0; 4000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(of(&noise), None);
        assert_eq!(of(&[7; SHORTEST - 1]), None);
        assert!(of(&[7; SHORTEST]).is_some());
        assert_eq!(of(&vec![7; LONGEST + 1]), None);
    }

    #[test]
    fn a_length_that_no_node_has_allocates_nothing() {
        let mut stored = of(&[7; 1000]).unwrap();
        for len in [0, SHORTEST - 1, LONGEST + 1, u32::MAX as usize] {
            LENGTH.set_number(&mut stored, len as u64);
            let mut out = Vec::new();
            assert!(decompress(&stored, &mut out).is_err());
            assert_eq!(out.capacity(), 0, "{len}");
        }
        for len in [999, 1001] {
            LENGTH.set_number(&mut stored, len);
            assert!(decompress(&stored, &mut Vec::new()).is_err(), "{len}");
        }
    }
}
