//! The fixed parts of a repository's objects, as tables from which both the code and
//! `docs/format/repository.md` come.

cairn_log::layout! {
    /// The object `repo.cairn`.
    pub mod repository_header {
        MAGIC: 8 = "`CAIRNREP`",
        MAJOR: 2 = "1; a reader refuses what it does not know",
        MINOR: 2 = "0, of an encrypted repository 1; for people",
        RESERVED: 4 = "zero",
        REPOSITORY: 16 = "uuid of the repository, random",
        CREATED: 8 = "when it was made, in microseconds since 1970: for people",
        TO_READ: 8 = "bits of features that a reader must know. 1: the repository is encrypted",
        TO_WRITE: 8 = "bits of features that only a writer must know. None yet",
        PADDING: 68 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

cairn_log::layout! {
    /// What an object with bytes of a log file begins with.
    pub mod repository_part {
        MAGIC: 8 = "`CAIRNOBJ`",
        VERSION: 2 = "1",
        CLASS: 1 = "of the file: 1 journal, 2 node, 3 value",
        ALGORITHM: 1 = "how the repository has encrypted the frames; 0: not; 1: AES-256-GCM. Other values are reserved",
        FRAMES: 4 = "number of frames that follow",
        REPOSITORY: 16 = "uuid of the repository",
        ENVIRONMENT: 16 = "uuid of the environment",
        TIMELINE: 4 = "timeline of the backup or the shipping that has stored it, as in its name",
        FILE: 4 = "number of the file",
        START: 8 = "where in the file it begins",
        LENGTH: 8 = "bytes of the file, 1 to 16777216",
        CONTENT: 32 = "BLAKE3 of these bytes; zero where they are encrypted",
        COPY: 4 = "a number that gives it another name than objects with the same bytes: see removing",
        RESERVED: 16 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

cairn_log::layout! {
    /// What a point, an index, a timeline, a proof, a drill, a rotation, a segment and what was removed begin with.
    pub mod repository_statement {
        MAGIC: 8 = "`CAIRNPNT`, `CAIRNIDX`, `CAIRNTML`, `CAIRNFNC`, `CAIRNPRF`, `CAIRNDRL`, `CAIRNROT`, `CAIRNSEG`, `CAIRNTMB`",
        VERSION: 2 = "1",
        ALGORITHM: 1 = "how the repository has encrypted the frames; 0: not; 1: AES-256-GCM. Other values are reserved",
        RESERVED: 1 = "zero",
        FRAMES: 4 = "number of frames that follow",
        TO_READ: 8 = "bits of features that a reader must know. None yet",
        TO_WRITE: 8 = "bits of features that only who writes or removes must know. None yet",
        REPOSITORY: 16 = "uuid of the repository",
        ENVIRONMENT: 16 = "uuid of the environment",
        NUMBER: 8 = "number of the point (of a proof and a drill: of what they are), the timeline (of a fence, too), the rotation, the segment, or the tombs",
        PREVIOUS: 32 = "point, segment, tombs: BLAKE3 of all of the one before, zero for the first; proof, drill: that of the point. Else zero",
        LENGTH: 8 = "bytes of content, at most 268435456",
        CONTENT: 32 = "BLAKE3 of the content; zero where it is encrypted",
        PADDING: 12 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

cairn_log::layout! {
    /// What stands between the head of an encrypted object and its frames.
    pub mod repository_encryption {
        EPOCH: 4 = "key epoch whose data key the key of the object is derived from, 1 or more",
        RESERVED: 8 = "zero",
        SALT: 32 = "salt of the key of the object, random",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

cairn_log::layout! {
    /// What a frame begins with.
    pub mod repository_frame {
        STORED: 4 = "bytes that are stored of its content; where it is encrypted, with its tag",
        LENGTH: 4 = "bytes of its content, 1 to 1048576; only the last frame of an object has fewer than 1048576",
        COMPRESSION: 1 = "0 none, 1 Zstandard",
        RESERVED: 3 = "zero",
        CRC: 4 = "CRC-32C of the bytes before and of what is stored",
    }
}

pub(crate) const HEADER_MAGIC: &[u8; 8] = b"CAIRNREP";
pub(crate) const PART_MAGIC: &[u8; 8] = b"CAIRNOBJ";
pub(crate) const VERSION: u64 = 1;
/// The algorithm of objects that are encrypted: AES-256-GCM.
pub(crate) const ENCRYPTED: u64 = 1;
/// The feature that a reader of an encrypted repository must know.
pub(crate) const IS_ENCRYPTED: u64 = 1;

/// Bytes of a log file in one object, at most: what a reader must have room for.
pub(crate) const MAX_PART: u64 = 16 << 20;
/// Bytes of content in a frame, at most.
pub(crate) const FRAME: usize = 1 << 20;
/// Bytes of content of a statement, at most: a point with two million files.
pub(crate) const MAX_STATEMENT: usize = 256 << 20;
/// How many bytes of content a byte that is stored of a statement may stand for.
pub(crate) const MAX_RATIO: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_the_lengths_that_the_page_says() {
        let lengths = (
            repository_header::LEN,
            repository_part::LEN,
            repository_statement::LEN,
            repository_encryption::LEN,
            repository_frame::LEN,
        );
        assert_eq!(lengths, (128, 128, 160, 48, 16));
    }
}
