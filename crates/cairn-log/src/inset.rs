//! `Inset`: a part of a payload that is encrypted on its own, so that it can be read alone.
//!
//! A tag vouches for everything that was encrypted at once. Without insets, to read one of a hundred large
//! values of a transaction would be to decrypt them all. The table of a record's insets stands behind its
//! payload, in the clear: what it says, their places and lengths, the reader of a record needs before it
//! has decrypted anything.

use std::ops::Range;

use crate::codec::{ByteReader, ByteWriter};

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the count behind a table, and of each entry in it.
const COUNT_LEN: usize = 4;
const ENTRY_LEN: usize = 8;

/// A part of a payload that is encrypted on its own. Room for its tag, [`TAG_LEN`] bytes, follows it in the
/// payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct Inset {
    /// Where in the payload it begins.
    pub offset: u32,
    /// Its bytes, without the tag.
    pub len: u32,
}

impl Inset {
    /// Its place in the payload, without the tag.
    pub(crate) const fn range(self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }

    const fn end(self) -> usize {
        self.offset as usize + self.len as usize + TAG_LEN
    }
}

/// Bytes that the table of this many insets takes.
pub(crate) const fn table_len(count: usize) -> usize {
    if count == 0 { 0 } else { count * ENTRY_LEN + COUNT_LEN }
}

/// The table of `insets`.
pub(crate) fn encode(insets: &[Inset]) -> Vec<u8> {
    let mut table = Vec::with_capacity(table_len(insets.len()));
    for inset in insets {
        table.put_u32(inset.offset);
        table.put_u32(inset.len);
    }
    table.put_u32(u32::try_from(insets.len()).expect("each takes more bytes than one"));
    table
}

/// The insets of a payload from the table behind it, and the length of the payload alone; `None` if that
/// is no table of insets that stand in the payload one after another.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Vec<Inset>, usize)> {
    let count_at = bytes.len().checked_sub(COUNT_LEN)?;
    let count = ByteReader::new(&bytes[count_at..]).u32("insets").ok()?;
    let table = usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)?;
    let payload_len = count_at.checked_sub(table).filter(|_| count > 0)?;
    let mut reader = ByteReader::new(&bytes[payload_len..count_at]);
    let mut insets = Vec::new();
    let mut end = 0;
    for _ in 0..count {
        let inset = Inset { offset: reader.u32("offset").ok()?, len: reader.u32("length").ok()? };
        if (inset.offset as usize) < end || inset.end() > payload_len {
            return None;
        }
        end = inset.end();
        insets.push(inset);
    }
    Some((insets, payload_len))
}

/// What of a payload of `len` bytes is not in an inset, tags included.
pub(crate) fn around(insets: &[Inset], len: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    insets.iter().map(|inset| (inset.offset as usize, inset.end())).chain([(len, len)]).map(
        move |(begin, end)| {
            let between = at..begin;
            at = end;
            between
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Vec<Inset>, Vec<u8>) {
        let insets = vec![Inset { offset: 8, len: 4 }, Inset { offset: 32, len: 0 }];
        let mut bytes = vec![0; 50];
        bytes.extend_from_slice(&encode(&insets));
        (insets, bytes)
    }

    #[test]
    fn a_table_survives_its_bytes() {
        let (insets, bytes) = example();
        assert_eq!(bytes.len(), 50 + table_len(2));
        assert_eq!(decode(&bytes), Some((insets.clone(), 50)));
        let around: Vec<_> = around(&insets, 50).collect();
        assert_eq!(around, [0..8, 28..32, 48..50]);
    }

    #[test]
    fn no_table_makes_the_reader_leave_the_payload() {
        let (_, bytes) = example();
        for len in 0..bytes.len() {
            drop(decode(&bytes[..len]));
        }
        for bit in 50 * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Some((insets, len)) = decode(&flipped) {
                assert!(around(&insets, len).all(|part| part.start <= part.end && part.end <= len));
            }
        }
        assert_eq!(decode(&encode(&[])), None, "a table of none has no entry");
    }
}
