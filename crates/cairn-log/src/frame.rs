//! The record header, its checksums, and the registry of kinds.

use crate::{FileSeed, crc32c, error::Damage, layout::frame};

/// Bytes of a record header.
pub const FRAME_LEN: usize = frame::LEN;

/// The watermark of a record before which nothing of its file was known to be durable.
pub const NOTHING_DURABLE: u32 = u32::MAX;

/// What a record is. This crate owns the list; the payload belongs to the crate that means it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(u8);

macro_rules! kinds {
    ($($name:ident = $code:literal, $place:literal, $meaning:literal;)+) => {
        impl RecordKind {
            $(#[doc = $meaning] pub const $name: Self = Self($code);)+

            /// All kinds that this version writes or reserves.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The kind of a code; `None` for codes that this version does not know.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// The name in dumps and in the format pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($code => stringify!($name),)+ _ => "UNKNOWN" }
            }

            pub(crate) const fn place(self) -> &'static str {
                match self.0 { $($code => $place,)+ _ => "" }
            }

            pub(crate) const fn meaning(self) -> &'static str {
                match self.0 { $($code => $meaning,)+ _ => "" }
            }
        }
    };
}

kinds! {
    TRANSACTION = 1, "journal", "a committed transaction, whole";
    PART = 2, "journal", "a piece of an exclusive transaction; counts with the COMMIT behind it";
    COMMIT = 3, "journal", "a committed exclusive transaction: its parts stand before it";
    ABORT = 4, "journal", "reserved: such a transaction, given up";
    ROLLBACK_TO = 5, "journal", "reserved: such a transaction, back to a savepoint";
    ACKNOWLEDGE = 6, "journal", "no payload: the watermark as a record of its own";
    SEAL = 7, "any", "the last record of a finished file";
    BARRIER = 8, "journal", "reserved: changes that the journal does not hold";
    LEAF = 16, "node", "a leaf of a tree";
    BRANCH = 17, "node", "an inner node of a tree";
    CATALOG = 18, "node", "a leaf of the catalogue: its entries are trees";
    LEAF_DELTA = 19, "node", "what has changed in a leaf since its base, which is a LEAF";
    PAGES = 20, "node", "reserved: a leaf of a page table";
    CHECKPOINT = 32, "node", "a finished checkpoint: its cut, its root, and the table of files";
    VALUE = 48, "value", "a large value that was moved, as a transaction that puts it";
}

impl RecordKind {
    /// The byte that stands for the kind.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Whether it is a node of a tree, or what has changed in one.
    #[must_use]
    pub const fn is_node(self) -> bool {
        matches!(self, Self::LEAF | Self::BRANCH | Self::CATALOG | Self::LEAF_DELTA)
    }
}

/// How the payload of a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "part of the file format")]
pub enum StoredAs {
    /// As it is, in a file that is not encrypted.
    Plain,
    /// Compressed: a node, in a file that is not encrypted. What is read of it is decompressed.
    Compressed,
    /// Encrypted as a whole.
    Encrypted,
    /// Encrypted in pieces: some of them, the insets, can be read alone.
    EncryptedWithInsets,
    /// In the clear, with a tag behind it: what a seal says is needed where there is no key.
    Authenticated,
}

impl StoredAs {
    const fn flags(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Compressed => 8,
            Self::Encrypted => 1,
            Self::EncryptedWithInsets => 3,
            Self::Authenticated => 4,
        }
    }

    /// What `flags` say of a record in a file that is encrypted or not. No record of an encrypted file
    /// goes without a tag, and only a seal is in the clear; only nodes are compressed.
    fn of(flags: u8, kind: RecordKind, encrypted: bool) -> Option<Self> {
        match (encrypted, kind == RecordKind::SEAL, flags) {
            (false, _, 0) => Some(Self::Plain),
            (false, _, 8) if kind.is_node() => Some(Self::Compressed),
            (true, false, 1) => Some(Self::Encrypted),
            (true, false, 3) => Some(Self::EncryptedWithInsets),
            (true, true, 4) => Some(Self::Authenticated),
            _ => None,
        }
    }
}

impl std::fmt::Display for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Debug for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The header of a record, decoded.
///
/// It has a checksum of its own, which binds it to its file and place and covers the checksum of
/// the payload. So a header can be trusted without its payload: a scan knows where the next record
/// begins even when the payload is damaged, and both checksums can be computed where it suits: the
/// payload's by the thread that made it, the header's when the record gets its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the record is.
    pub kind: RecordKind,
    /// Commit number, or that of the newest change in a node. 48 bits.
    pub sequence: u64,
    /// Bytes of payload as stored, without padding. In an encrypted file that is more than what was
    /// encrypted: there is at least a tag.
    pub len: u32,
    /// CRC-32C of the stored payload with its padding.
    pub body_crc: u32,
    /// The watermark, as stored: see [`FrameHeader::durable_end`].
    pub durable: u32,
    /// How the payload is stored.
    pub stored_as: StoredAs,
}

impl FrameHeader {
    /// The largest commit number.
    pub const MAX_SEQUENCE: u64 = (1 << 48) - 1;

    /// Bytes of the record in the file: header, payload and padding.
    #[must_use]
    pub const fn record_len(&self) -> u64 {
        record_len(self.len as u64)
    }

    /// The position in this file that was known to be durable when the record at `offset` was
    /// written; `None`: nothing of this file.
    #[must_use]
    pub const fn durable_end(&self, offset: u64) -> Option<u64> {
        if self.durable == NOTHING_DURABLE {
            None
        } else {
            offset.checked_sub(self.durable as u64 * 8)
        }
    }

    /// The header's bytes for the place `offset` of a file.
    #[must_use]
    pub fn encode(&self, seed: FileSeed, offset: u64) -> [u8; FRAME_LEN] {
        debug_assert!(
            self.sequence <= Self::MAX_SEQUENCE,
            "commit numbers are checked when given out"
        );
        let mut bytes = self.fields();
        bytes[frame::BODY_CRC.range()].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c(&bytes[frame::BODY_CRC.offset..]) ^ seed.at(offset);
        bytes[frame::HEAD_CRC.range()].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What a tag vouches for beside the payload: all fields but the checksums.
    pub(crate) fn authenticated(&self) -> [u8; 16] {
        let bytes = self.fields();
        std::array::from_fn(|i| bytes[frame::LENGTH.offset + i])
    }

    /// The header's bytes with zeros for the checksums.
    fn fields(&self) -> [u8; FRAME_LEN] {
        let mut bytes = [0; FRAME_LEN];
        bytes[frame::LENGTH.range()].copy_from_slice(&self.len.to_le_bytes());
        bytes[frame::DURABLE.range()].copy_from_slice(&self.durable.to_le_bytes());
        bytes[frame::SEQUENCE.range()].copy_from_slice(&self.sequence.to_le_bytes()[..6]);
        bytes[frame::KIND.offset] = self.kind.0;
        bytes[frame::FLAGS.offset] = self.stored_as.flags();
        bytes
    }

    /// Decodes the header at `offset` of a file with this seed.
    ///
    /// # Errors
    /// What is wrong with it. A header of zeros is [`Damage::Nothing`].
    pub fn decode(bytes: &[u8; FRAME_LEN], seed: FileSeed, offset: u64) -> Result<Self, Damage> {
        let word = |field: crate::layout::Field| {
            let (array, _) = bytes[field.offset..]
                .split_first_chunk::<4>()
                .expect("fields end inside the header");
            u32::from_le_bytes(*array)
        };
        let expected = crc32c(&bytes[frame::BODY_CRC.offset..]) ^ seed.at(offset);
        let found = word(frame::HEAD_CRC);
        if expected != found {
            let empty = bytes.iter().all(|&byte| byte == 0);
            return Err(if empty {
                Damage::Nothing
            } else {
                Damage::HeaderChecksum { expected, found }
            });
        }
        let kind = bytes[frame::KIND.offset];
        let Some(kind) = RecordKind::from_code(kind) else {
            return Err(Damage::UnknownKind { kind });
        };
        let flags = bytes[frame::FLAGS.offset];
        let Some(stored_as) = StoredAs::of(flags, kind, seed.is_encrypted()) else {
            return Err(Damage::UnknownFlags { flags });
        };
        let header = Self {
            kind,
            sequence: frame::SEQUENCE.number(bytes),
            len: word(frame::LENGTH),
            body_crc: word(frame::BODY_CRC),
            durable: word(frame::DURABLE),
            stored_as,
        };
        if header.durable != NOTHING_DURABLE && header.durable_end(offset).is_none() {
            return Err(Damage::Watermark);
        }
        Ok(header)
    }
}

/// Bytes that a payload of `len` bytes takes in a file.
pub(crate) const fn record_len(len: u64) -> u64 {
    FRAME_LEN as u64 + len.next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uuid;

    const SEED: Uuid = Uuid([7; 16]);

    fn example() -> FrameHeader {
        FrameHeader {
            kind: RecordKind::TRANSACTION,
            sequence: 0x0102_0304_0506,
            len: 100,
            body_crc: 0xdead_beef,
            durable: 2,
            stored_as: StoredAs::Plain,
        }
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let seed = FileSeed::of(SEED);
        let header = example();
        assert_eq!(FrameHeader::decode(&header.encode(seed, 4096), seed, 4096), Ok(header));
        assert_eq!(header.record_len(), 24 + 104);
        assert_eq!(header.durable_end(4096), Some(4080));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let seed = FileSeed::of(SEED);
        let bytes = example().encode(seed, 4096);
        for bit in 0..FRAME_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&flipped, seed, 4096).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_counts_only_in_its_file_and_place() {
        let seed = FileSeed::of(SEED);
        let bytes = example().encode(seed, 4096);
        assert!(FrameHeader::decode(&bytes, seed, 4104).is_err());
        assert!(FrameHeader::decode(&bytes, FileSeed::of(Uuid([8; 16])), 4096).is_err());
    }

    #[test]
    fn a_file_has_records_with_tags_or_records_without() {
        let plain = FileSeed::of(SEED);
        let encrypted = FileSeed::encrypted(SEED);
        let seal = RecordKind::SEAL;
        for (stored_as, kind, in_plain, in_encrypted) in [
            (StoredAs::Plain, RecordKind::LEAF, true, false),
            (StoredAs::Plain, seal, true, false),
            (StoredAs::Compressed, RecordKind::LEAF, true, false),
            (StoredAs::Compressed, RecordKind::LEAF_DELTA, true, false),
            (StoredAs::Compressed, RecordKind::TRANSACTION, false, false),
            (StoredAs::Compressed, seal, false, false),
            (StoredAs::Encrypted, RecordKind::LEAF, false, true),
            (StoredAs::Encrypted, seal, false, false),
            (StoredAs::EncryptedWithInsets, RecordKind::LEAF, false, true),
            (StoredAs::EncryptedWithInsets, seal, false, false),
            (StoredAs::Authenticated, RecordKind::LEAF, false, false),
            (StoredAs::Authenticated, seal, false, true),
        ] {
            let header = FrameHeader { stored_as, kind, ..example() };
            for (seed, allowed) in [(plain, in_plain), (encrypted, in_encrypted)] {
                let decoded = FrameHeader::decode(&header.encode(seed, 4096), seed, 4096);
                assert_eq!(decoded.is_ok(), allowed, "{header:?} {seed:?}");
                assert!(!allowed || decoded == Ok(header));
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let seed = FileSeed::of(SEED);
        assert_eq!(FrameHeader::decode(&[0; FRAME_LEN], seed, 4096), Err(Damage::Nothing));
        let kind = FrameHeader { kind: RecordKind(200), ..example() };
        assert_eq!(
            FrameHeader::decode(&kind.encode(seed, 4096), seed, 4096),
            Err(Damage::UnknownKind { kind: 200 })
        );
        let ahead = FrameHeader { durable: 1000, ..example() };
        assert_eq!(
            FrameHeader::decode(&ahead.encode(seed, 4096), seed, 4096),
            Err(Damage::Watermark)
        );
    }
}
