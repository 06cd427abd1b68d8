//! Head: what is recorded of a file as a whole.

use super::{header::Header, layout::CHUNK_LEN};

/// Its version, in its first byte.
const VERSION: u8 = 1;

/// What is recorded of a file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the file.
    pub(crate) len: u64,
    /// How many commits have changed it: 1, 2, 3 …
    pub(crate) change: u64,
    /// The highest values that two counters of SQLite ever had: what is put in the place of this file must
    /// have higher ones, lest a connection takes it for what it knows.
    pub(crate) counter: u32,
    pub(crate) cookie: u32,
}

impl Head {
    /// Bytes of it.
    pub(crate) const LEN: usize = 32;

    /// Offset, size, name and meaning of each field.
    pub(super) const FIELDS: [(usize, usize, &'static str, &'static str); 7] = [
        (0, 1, "version", "1"),
        (1, 3, "reserved", "zero"),
        (4, 4, "chunk", "bytes of a chunk: 4096"),
        (8, 8, "len", "bytes of the file"),
        (16, 8, "change", "how many commits have changed it"),
        (24, 4, "counter", "the highest change counter that its header ever had"),
        (28, 4, "cookie", "the highest schema cookie that its header ever had"),
    ];

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = VERSION;
        out[4..8].copy_from_slice(&CHUNK_LEN.to_le_bytes());
        out[8..16].copy_from_slice(&self.len.to_le_bytes());
        out[16..24].copy_from_slice(&self.change.to_le_bytes());
        out[24..28].copy_from_slice(&self.counter.to_le_bytes());
        out[28..32].copy_from_slice(&self.cookie.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| "a head of another length")?;
        let u32_at = |at: usize| u32::from_le_bytes(array(&bytes[at..at + 4]));
        let u64_at = |at: usize| u64::from_le_bytes(array(&bytes[at..at + 8]));
        if bytes[0] != VERSION || bytes[1..4] != [0; 3] {
            return Err("a head of another version");
        }
        if u32_at(4) != CHUNK_LEN {
            return Err("chunks of another length");
        }
        Ok(Self { len: u64_at(8), change: u64_at(16), counter: u32_at(24), cookie: u32_at(28) })
    }

    /// With the numbers of the other one where those are higher.
    pub(crate) fn or_higher(&self, other: &Self) -> Self {
        Self {
            len: self.len,
            change: self.change.max(other.change),
            counter: self.counter.max(other.counter),
            cookie: self.cookie.max(other.cookie),
        }
    }

    /// Counts in a header that was just written.
    pub(super) fn count(&mut self, header: Header<&[u8]>) {
        self.counter = self.counter.max(header.change_counter());
        self.cookie = self.cookie.max(header.schema_cookie());
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("cut to this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_fields_are_next_to_each_other() {
        let end = Head::FIELDS.iter().fold(0, |end, &(offset, size, ..)| {
            assert_eq!(offset, end);
            end + size
        });
        assert_eq!(end, Head::LEN);
    }

    #[test]
    fn a_head_survives_its_bytes_and_nothing_else_passes() {
        let head = Head { len: 5 << 40, change: 77, counter: 12, cookie: 13 };
        let bytes = head.encode();
        assert_eq!(Head::decode(&bytes), Ok(head));
        assert!(Head::decode(&bytes[1..]).is_err());
        for (at, byte) in [(0, 2), (2, 1), (5, 0)] {
            let mut other = bytes;
            other[at] = byte;
            assert!(Head::decode(&other).is_err(), "byte {at}");
        }
    }
}
