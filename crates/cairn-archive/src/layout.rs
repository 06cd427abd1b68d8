//! The fixed parts of an archive, as tables from which both the code and `docs/format/archive.md` come.

cairn_log::layout! {
    /// What an archive begins with.
    pub mod archive_head {
        MAGIC: 8 = "`CAIRNARC`",
        VERSION: 2 = "format version, 1",
        ALGORITHM: 1 = "how frames are encrypted; 0: not, 1: AES-256-GCM. Other values are reserved",
        RESERVED: 1 = "zero",
        KEYRING_LEN: 4 = "bytes of the keyring that follows; 0 without encryption, at most 65536",
        ENVIRONMENT: 16 = "uuid of the environment that the store is from",
        ARCHIVE: 16 = "uuid of the archive, random",
        KEY_EPOCH: 4 = "epoch of the data key that wraps the key of the archive; 0 without encryption",
        RESERVED_2: 4 = "zero",
        FEATURES: 8 = "bits of features that a reader must know; an unknown bit refuses the archive. None yet",
        SALT: 32 = "salt of the key that wraps; random. Zero without encryption",
        WRAPPED: 32 = "the key of the archive, encrypted. Zero without encryption",
        TAG: 16 = "its authentication tag. Zero without encryption",
        PADDING: 108 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

cairn_log::layout! {
    /// What a frame begins with.
    pub mod archive_frame {
        STORED: 4 = "bytes that are stored of its content",
        LENGTH: 4 = "bytes of its content, at most 1048576",
        KIND: 1 = "1 header, 2 entries, 3 footer",
        COMPRESSION: 1 = "0 none, 1 Zstandard",
        DATABASE: 2 = "entries: which database, by its place in the header, from 0. Else 0",
        RESERVED: 4 = "zero",
    }
}

pub(crate) const MAGIC: &[u8; 8] = b"CAIRNARC";
pub(crate) const VERSION: u64 = 1;
pub(crate) const ALGORITHM: u64 = 1;
/// No keyring is longer.
pub(crate) const MAX_KEYRING: usize = 1 << 16;
/// Bytes of content in a frame, at most: what a reader must have room for.
pub(crate) const MAX_FRAME: usize = 1 << 20;
/// Bytes of content after which a writer begins the next frame.
pub(crate) const FRAME: usize = 256 << 10;
/// Bytes of the digest behind each frame.
pub(crate) const LINK_LEN: usize = 32;

pub(crate) const HEADER: u8 = 1;
pub(crate) const ENTRIES: u8 = 2;
pub(crate) const FOOTER: u8 = 3;

pub(crate) const STORED_AS_IS: u8 = 0;
pub(crate) const ZSTANDARD: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_the_lengths_that_the_page_says() {
        assert_eq!((archive_head::LEN, archive_frame::LEN), (256, 16));
        for fields in [archive_head::FIELDS, archive_frame::FIELDS] {
            fields.iter().fold(0, |at, field| {
                assert_eq!(field.offset, at, "{}", field.name);
                field.end()
            });
        }
    }
}
