//! Fixed layouts as data: the constants from which both the code and `docs/format` come.
//!
//! [`layout!`](crate::layout!) turns a list of fields into constants that encoders and decoders
//! use, and into a table that `cargo xtask spec` prints into the format pages. So the page and the
//! code cannot drift apart.

use std::{fmt::Write as _, ops::Range};

/// One field of a fixed layout.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Offset from the beginning of the structure, in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
    /// Name in the documentation.
    pub name: &'static str,
    /// Meaning and allowed values.
    pub meaning: &'static str,
}

impl Field {
    /// The bytes of the field.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size
    }

    /// The first byte after the field.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.offset + self.size
    }

    /// The field's bytes within `structure`.
    ///
    /// # Panics
    /// If `structure` is shorter than its layout: decoders check the length first.
    #[must_use]
    #[inline]
    pub fn of<'a>(&self, structure: &'a [u8]) -> &'a [u8] {
        &structure[self.range()]
    }

    /// The field as a little-endian number.
    ///
    /// # Panics
    /// As [`Field::of`], and for fields above 8 bytes.
    #[must_use]
    #[inline]
    pub fn number(&self, structure: &[u8]) -> u64 {
        assert!(self.size <= 8, "numbers have at most 8 bytes");
        let mut wide = [0; 8];
        wide[..self.size].copy_from_slice(self.of(structure));
        u64::from_le_bytes(wide)
    }

    /// Writes the field as a little-endian number.
    ///
    /// # Panics
    /// As [`Field::number`], and if the number needs more bytes than the field has.
    #[inline]
    pub fn set_number(&self, structure: &mut [u8], value: u64) {
        assert!(self.size == 8 || value >> (8 * self.size) == 0, "{} exceeds its field", self.name);
        structure[self.range()].copy_from_slice(&value.to_le_bytes()[..self.size]);
    }

    /// Writes the field's bytes.
    ///
    /// # Panics
    /// If `bytes` is not of the field's size.
    pub fn set_bytes(&self, structure: &mut [u8], bytes: &[u8]) {
        structure[self.range()].copy_from_slice(bytes);
    }
}

/// A layout as a Markdown table: offset, size, field, meaning.
#[must_use]
pub fn table(fields: &[Field]) -> String {
    let mut text = String::from("| offset | size | field | meaning |\n|--:|--:|---|---|\n");
    for Field { offset, size, name, meaning } in fields {
        let name = name.to_lowercase();
        writeln!(text, "| {offset} | {size} | `{name}` | {meaning} |")
            .expect("a String takes any text");
    }
    text
}

/// Bytes as a labelled block for a format page: one line per part.
#[must_use]
pub fn example(parts: &[(&str, &[u8])]) -> String {
    let mut text = String::from("```text\n");
    for (label, bytes) in parts {
        let mut lines = bytes.chunks(16);
        let first = lines.next().unwrap_or_default();
        let hex = |bytes: &[u8]| {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        };
        writeln!(text, "{:<47}  {label}", hex(first)).expect("a String takes any text");
        for line in lines {
            writeln!(text, "{}", hex(line)).expect("a String takes any text");
        }
    }
    text.push_str("```\n");
    text
}

/// The fields of a structure and their bytes, as parts of an [`example`].
#[must_use]
pub fn parts<'a>(fields: &[Field], structure: &'a [u8]) -> Vec<(&'static str, &'a [u8])> {
    fields.iter().map(|field| (field.name, field.of(structure))).collect()
}

/// Declares a fixed layout: a module with one [`Field`] constant per field, `FIELDS` and `LEN`.
///
/// ```
/// cairn_log::layout! {
///     /// An example.
///     mod point {
///         X: 4 = "distance from the left",
///         Y: 2 = "distance from the top",
///     }
/// }
/// let mut bytes = [0; point::LEN];
/// point::Y.set_number(&mut bytes, 7);
/// assert_eq!((bytes, point::Y.offset), ([0, 0, 0, 0, 7, 0], 4));
/// ```
#[macro_export]
macro_rules! layout {
    ($(#[$meta:meta])* $vis:vis mod $name:ident { $($field:ident : $size:literal = $meaning:literal,)+ }) => {
        $(#[$meta])*
        $vis mod $name {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "positions of the constants of the same name, some of which have underscores")]
            #[derive(Clone, Copy)]
            enum Position { $($field),+ }
            const SIZES: &[usize] = &[$($size),+];
            const fn offset(position: usize) -> usize {
                let (mut sum, mut i) = (0, 0);
                while i < position {
                    sum += SIZES[i];
                    i += 1;
                }
                sum
            }
            $(
                #[doc = $meaning]
                pub const $field: $crate::layout::Field = $crate::layout::Field {
                    offset: offset(Position::$field as usize),
                    size: $size,
                    name: stringify!($field),
                    meaning: $meaning,
                };
            )+
            /// All fields in order.
            pub const FIELDS: &[$crate::layout::Field] = &[$($field),+];
            /// Size of the structure in bytes.
            pub const LEN: usize = offset(SIZES.len());
        }
    };
}

crate::layout! {
    /// The header of a record.
    pub mod frame {
        HEAD_CRC: 4 = "CRC-32C of bytes 4 to 23, combined by XOR with the CRC-32C of the file's uuid and with offset / 8",
        BODY_CRC: 4 = "CRC-32C of the payload as stored, with its padding",
        LENGTH: 4 = "bytes of payload as stored; the record ends at the next multiple of 8 after it, padded with zeros",
        DURABLE: 4 = "journal: distance back, in units of 8 bytes, from this record to the position that was known to be durable when it was written; 0xffffffff: nothing of this file yet. Other classes: 0xffffffff",
        SEQUENCE: 6 = "commit number of the transaction, or of the newest change in a node",
        KIND: 1 = "kind of the record, see the list of kinds",
        FLAGS: 1 = "how the payload is stored. In a file that is not encrypted: 0 as it is; 8 compressed, a node. In an encrypted one: 1 encrypted; 3 encrypted, with insets; 4 in the clear with a tag. Other values are reserved",
    }
}

crate::layout! {
    /// The block that every log file begins with.
    pub mod file_header {
        MAGIC: 8 = "`CAIRNLOG`",
        VERSION: 2 = "format version: 1; 2 with encryption",
        CLASS: 1 = "1 journal, 2 node, 3 value",
        ALGORITHM: 1 = "encryption algorithm; 0: none, 1: AES-256-GCM. Other values are reserved",
        DIRECTORY: 2 = "data directory in which the file lies; 0: the root",
        RESERVED: 2 = "zero",
        FEATURES: 8 = "bits of features that a reader must know; an unknown bit refuses the file. 1, node files: checkpoints in it may have a tree digest; 2, node files: leaves may be deltas; 4, node files: nodes may be compressed",
        ENVIRONMENT: 16 = "uuid of the environment",
        FILE: 16 = "uuid of the file, random",
        NUMBER: 4 = "number of the file",
        TIMELINE: 4 = "timeline on which the file was begun",
        INCARNATION: 8 = "how many times the environment had been opened for writing, or an exclusive transaction given up",
        GENERATION: 4 = "number of the generation directory in which the file was begun",
        KEY_EPOCH: 4 = "epoch of the data key; 0 without encryption",
        SALT: 32 = "salt of the file key; zero without encryption",
        CREATED: 8 = "microseconds since 1970-01-01T00:00:00Z, for people",
        FIRST_SEQUENCE: 8 = "journal: commit number of the first commit record that may follow; else 0",
        PREVIOUS_FILE: 4 = "journal: number of the preceding journal file; 0: none",
        PREVIOUS_DIRECTORY: 2 = "journal: its data directory",
        RESERVED_2: 2 = "zero",
        PREVIOUS_END: 8 = "journal: its end; what lies beyond does not count",
        PREVIOUS_SEQUENCE: 8 = "journal: the last commit number in it",
        CHAIN: 32 = "journal: BLAKE3 of its bytes up to that end; else zero",
        CAPACITY: 8 = "journal: length up to which the file may grow; else 0",
        UNSYNCED: 8 = "journal: upper limit of the bytes that may be written and not yet durable; else 0",
        PREVIOUS_UUID: 16 = "journal, encrypted: uuid of the preceding journal file; zero: unknown. Else zero",
        MAC: 32 = "encrypted: HMAC-SHA-256 of this block with zeros in this field and the next but one. Else zero",
        PADDING: 3844 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

crate::layout! {
    /// The payload of the record that ends a finished file.
    pub mod seal {
        END: 8 = "offset of this record: the digest covers the bytes before it",
        LAST_SEQUENCE: 8 = "journal: the last commit number in the file or before it; else 0",
        RECORDS: 8 = "number of records before this one",
        OLDEST_TIME: 8 = "journal: smallest commit time, microseconds since 1970; 0 without commits",
        NEWEST_TIME: 8 = "journal: largest commit time, likewise",
        DIGEST: 32 = "BLAKE3 of the bytes before this record",
    }
}

crate::layout! {
    /// What stands before the block of LZ4 of a compressed payload.
    pub mod compressed {
        LENGTH: 4 = "bytes of the payload, 128 to 1,048,576",
    }
}

/// The tables of `docs/format` that this crate owns, by name.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    let mut kinds = String::from("| kind | name | class | payload |\n|--:|---|---|---|\n");
    for kind in crate::RecordKind::ALL {
        writeln!(
            kinds,
            "| {} | {} | {} | {} |",
            kind.code(),
            kind.name(),
            kind.place(),
            kind.meaning()
        )
        .expect("a String takes any text");
    }
    let mut cases = String::from("| # | case | verdict |\n|--:|---|---|\n");
    for (i, case) in crate::tail::CASES.iter().enumerate() {
        writeln!(cases, "| {} | {} | {:?} |", i + 1, case.when, case.verdict)
            .expect("a String takes any text");
    }
    vec![
        ("frame", table(frame::FIELDS)),
        ("file_header", table(file_header::FIELDS)),
        ("seal", table(seal::FIELDS)),
        ("compressed", table(compressed::FIELDS)),
        ("record_kinds", kinds),
        ("tail_cases", cases),
        ("record_example", record_example()),
        ("encrypted_record_example", crate::cipher::example()),
    ]
}

/// A record in a file with the uuid 01 02 … 10, at offset 4096.
fn record_example() -> String {
    let uuid = crate::Uuid(std::array::from_fn(|i| u8::try_from(i + 1).unwrap_or(0)));
    let body = b"any payload";
    let mut padded = body.to_vec();
    padded.resize(16, 0);
    let header = crate::FrameHeader {
        kind: crate::RecordKind::TRANSACTION,
        sequence: 7,
        len: 11,
        body_crc: crate::crc32c(&padded),
        durable: 0x20,
        stored_as: crate::StoredAs::Plain,
    };
    let head = header.encode(crate::FileSeed::of(uuid), 4096);
    let mut parts = parts(frame::FIELDS, &head);
    parts.push(("payload", body));
    parts.push(("padding", &padded[body.len()..]));
    example(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_each_other_without_gaps() {
        for (fields, len) in [
            (frame::FIELDS, frame::LEN),
            (file_header::FIELDS, file_header::LEN),
            (seal::FIELDS, seal::LEN),
        ] {
            let end = fields.iter().fold(0, |at, field| {
                assert_eq!(field.offset, at, "{}", field.name);
                field.end()
            });
            assert_eq!(end, len);
        }
        assert_eq!(frame::LEN, 24);
        assert_eq!(file_header::LEN, 4096);
    }

    #[test]
    #[should_panic(expected = "exceeds its field")]
    fn a_number_that_does_not_fit_is_a_bug() {
        frame::KIND.set_number(&mut [0; frame::LEN], 256);
    }
}
