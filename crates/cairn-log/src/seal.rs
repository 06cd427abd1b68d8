//! `Seal`: the last record of a finished file.

use crate::{
    Damage, Digest, FRAME_LEN, FrameHeader, StoredAs, TAG_LEN,
    codec::DecodeError,
    layout::{Field, seal as layout},
};

/// Bytes that the sealing record takes in a file.
pub const SEAL_RECORD_LEN: u64 = (FRAME_LEN + layout::LEN) as u64;

/// The same in an encrypted file, where a tag vouches for it.
pub const TAGGED_SEAL_RECORD_LEN: u64 = SEAL_RECORD_LEN + TAG_LEN as u64;

/// Bytes that the sealing record takes in a file that is encrypted or not.
#[must_use]
pub const fn seal_record_len(encrypted: bool) -> u64 {
    if encrypted { TAGGED_SEAL_RECORD_LEN } else { SEAL_RECORD_LEN }
}

/// What a finished file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct Seal {
    /// Offset of the sealing record.
    pub end: u64,
    /// The last commit number in the file or before it (journal).
    pub last_sequence: u64,
    /// How many records stand before the seal.
    pub records: u64,
    /// Smallest commit time in microseconds since 1970 (journal), 0 without commits.
    pub oldest_time: u64,
    /// Largest commit time, likewise.
    pub newest_time: u64,
    /// BLAKE3 of all bytes before the sealing record.
    pub digest: Digest,
    /// Whether a tag follows: the file is encrypted.
    pub tagged: bool,
}

impl Seal {
    /// Length of the finished file.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.end + seal_record_len(self.tagged)
    }

    /// The payload's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; layout::LEN] {
        let mut bytes = [0; layout::LEN];
        for (field, value) in self.numbers() {
            field.set_number(&mut bytes, value);
        }
        layout::DIGEST.set_bytes(&mut bytes, &self.digest.0);
        bytes
    }

    const fn numbers(&self) -> [(Field, u64); 5] {
        [
            (layout::END, self.end),
            (layout::LAST_SEQUENCE, self.last_sequence),
            (layout::RECORDS, self.records),
            (layout::OLDEST_TIME, self.oldest_time),
            (layout::NEWEST_TIME, self.newest_time),
        ]
    }

    /// Decodes the payload of the sealing record at `offset`, which has this header. If that says so, a tag
    /// may follow: it is not looked at.
    ///
    /// # Errors
    /// If it has the wrong length or stands elsewhere than it says.
    pub fn decode(header: &FrameHeader, payload: &[u8], offset: u64) -> Result<Self, Damage> {
        let tagged = header.stored_as == StoredAs::Authenticated;
        let stored = header.len as usize;
        let expected = layout::LEN + if tagged { TAG_LEN } else { 0 };
        let malformed = |field: Field, problem| Damage::Malformed {
            what: "seal",
            source: DecodeError { field: field.name, at: field.offset, problem },
        };
        if stored != expected || payload.len() < layout::LEN || payload.len() > stored {
            return Err(malformed(layout::END, "the payload has the wrong length"));
        }
        let digest = layout::DIGEST.of(payload).try_into().map(Digest);
        let seal = Self {
            end: layout::END.number(payload),
            last_sequence: layout::LAST_SEQUENCE.number(payload),
            records: layout::RECORDS.number(payload),
            oldest_time: layout::OLDEST_TIME.number(payload),
            newest_time: layout::NEWEST_TIME.number(payload),
            digest: digest.map_err(|_| malformed(layout::DIGEST, "ends too early"))?,
            tagged,
        };
        if seal.end == offset { Ok(seal) } else { Err(malformed(layout::END, "is another place")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordKind;

    #[test]
    fn a_seal_survives_its_bytes_and_counts_only_in_its_place() {
        let header = |len: usize, stored_as| FrameHeader {
            kind: RecordKind::SEAL,
            sequence: 0,
            len: u32::try_from(len).unwrap(),
            body_crc: 0,
            durable: 0,
            stored_as,
        };
        let seal = Seal {
            end: 8192,
            last_sequence: 5,
            records: 3,
            oldest_time: 1,
            newest_time: 2,
            digest: Digest::of(b"content"),
            tagged: false,
        };
        let plain = header(layout::LEN, StoredAs::Plain);
        assert_eq!(Seal::decode(&plain, &seal.encode(), 8192), Ok(seal));
        assert!(Seal::decode(&plain, &seal.encode(), 8200).is_err());
        assert!(Seal::decode(&plain, &seal.encode()[1..], 8192).is_err());
        let long = header(layout::LEN + TAG_LEN, StoredAs::Plain);
        assert!(Seal::decode(&long, &seal.encode(), 8192).is_err());
        let tagged = header(layout::LEN + TAG_LEN, StoredAs::Authenticated);
        let with_tag = [&seal.encode()[..], &[7; TAG_LEN]].concat();
        let expected = Ok(Seal { tagged: true, ..seal });
        assert_eq!(Seal::decode(&tagged, &with_tag, 8192), expected);
        assert_eq!(Seal::decode(&tagged, &seal.encode(), 8192), expected);
        assert!(Seal::decode(&plain, &with_tag, 8192).is_err());
        assert_eq!((SEAL_RECORD_LEN % 8, TAGGED_SEAL_RECORD_LEN % 8), (0, 0));
    }
}
