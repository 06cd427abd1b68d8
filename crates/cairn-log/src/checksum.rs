//! CRC-32C, and the seed that binds a record to its file and place.

use crc_fast::{CrcAlgorithm, Digest, checksum};

use crate::{FileHeader, Uuid};

/// CRC-32C (Castagnoli) of `bytes`.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a 32-bit checksum in a wider return type")]
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// CRC-32C of several pieces, one after the other, as if they were one.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a 32-bit checksum in a wider return type")]
pub fn crc32c_of(pieces: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize() as u32
}

/// What a file mixes into the checksum of each of its records.
///
/// It is derived from the file's uuid, and each record adds its offset. So a record that was
/// written to another file, or to another place of the same file, does not pass, however whole it
/// is; nor does anything left in the blocks of a file from an earlier life of these blocks.
///
/// It also says whether the file is encrypted, which decides what a record header may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSeed {
    crc: u32,
    encrypted: bool,
}

impl FileSeed {
    /// The seed of the file with this uuid, which is not encrypted.
    #[must_use]
    pub fn of(file: Uuid) -> Self {
        Self { crc: crc32c(&file.0), encrypted: false }
    }

    /// The seed of a file that is not encrypted and whose uuid has this checksum.
    pub(crate) const fn of_checksum(crc: u32) -> Self {
        Self { crc, encrypted: false }
    }

    /// The seed of the file with this header.
    #[must_use]
    pub fn of_file(header: &FileHeader) -> Self {
        Self { encrypted: header.encryption.is_some(), ..Self::of(header.file) }
    }

    #[cfg(test)]
    pub(crate) fn encrypted(file: Uuid) -> Self {
        Self { encrypted: true, ..Self::of(file) }
    }

    /// Whether the file is encrypted.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        self.encrypted
    }

    /// What to combine with the checksum of the record at `offset` (a multiple of 8).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "offset / 8 has 29 bits")]
    pub const fn at(self, offset: u64) -> u32 {
        self.crc ^ (offset / 8) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c_of(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c_of(&[]), 0);
    }

    #[test]
    fn places_and_files_differ() {
        let (a, b) = (FileSeed::of(Uuid([1; 16])), FileSeed::of(Uuid([2; 16])));
        assert_ne!(a.at(4096), a.at(4104));
        assert_ne!(a.at(4096), b.at(4096));
    }
}
