//! `Lsn`, `FileNumber`, `FileClass`, `Timeline`: where a record stands.

use std::{fmt, num::NonZeroU64, str::FromStr};

/// The number of a log file: one sequence for all classes, from 1, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileNumber(u32);

impl FileNumber {
    /// The first file of an environment.
    pub const FIRST: Self = Self(1);

    /// File number `number`; `None` for 0, which no file has.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number after this one; `None` when the numbers are used up.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for FileNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for FileNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {self}")
    }
}

/// The three classes of log files. They share one numbering and one framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the classes are part of the file format")]
pub enum FileClass {
    /// Commit records: the only files with a commit's sync.
    Journal,
    /// Tree nodes and checkpoint records, written by checkpoints, eviction and the cleaner.
    Node,
    /// Large values that the cleaner moved.
    Value,
}

impl FileClass {
    /// The byte that stands for the class in a file header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Journal => 1,
            Self::Node => 2,
            Self::Value => 3,
        }
    }

    /// The class of a code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Journal),
            2 => Some(Self::Node),
            3 => Some(Self::Value),
            _ => None,
        }
    }

    /// The letter that begins the file's name.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Journal => 'J',
            Self::Node => 'N',
            Self::Value => 'V',
        }
    }
}

impl fmt::Display for FileClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal",
            Self::Node => "node",
            Self::Value => "value",
        })
    }
}

/// A line of history. Every restore and every fork opens a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(pub u32);

impl Timeline {
    /// The timeline on which an environment is created.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timeline {self}")
    }
}

/// The position of a record: file number and offset, in 61 bits.
///
/// Records begin at multiples of 8 bytes, so 29 bits hold any offset below [`Lsn::MAX_OFFSET`]; the
/// file number has 32. Zero is free (`Option<Lsn>` takes 8 bytes), and so are the three upper
/// bits, which the tree uses to tell kinds of child references apart. The order is that of
/// (file number, offset).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(NonZeroU64);

impl Lsn {
    const OFFSET_BITS: u32 = 29;
    /// Offsets are below this: a log file is at most 4 GiB long.
    pub const MAX_OFFSET: u64 = 8 << Self::OFFSET_BITS;
    /// How many bits an `Lsn` needs.
    pub const BITS: u32 = 32 + Self::OFFSET_BITS;

    /// The position `offset` in `file`; `None` if the offset is no multiple of 8 or too large.
    #[must_use]
    pub const fn new(file: FileNumber, offset: u64) -> Option<Self> {
        if !offset.is_multiple_of(8) || offset >= Self::MAX_OFFSET {
            return None;
        }
        match NonZeroU64::new(((file.0 as u64) << Self::OFFSET_BITS) | (offset / 8)) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The position as stored on disk.
    #[must_use]
    pub const fn to_raw(self) -> u64 {
        self.0.get()
    }

    /// A stored position; `None` for 0 and for values that no file can have.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        if raw >> Self::BITS != 0 || raw >> Self::OFFSET_BITS == 0 {
            return None;
        }
        match NonZeroU64::new(raw) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The file.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the file number has 32 bits")]
    pub const fn file(self) -> FileNumber {
        FileNumber((self.0.get() >> Self::OFFSET_BITS) as u32)
    }

    /// The offset in the file, in bytes.
    #[must_use]
    pub const fn offset(self) -> u64 {
        (self.0.get() & ((1 << Self::OFFSET_BITS) - 1)) * 8
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:06x}", self.file(), self.offset())
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({self})")
    }
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log position: expected FILE:OFFSET in hexadecimal, for example 00000003:0001f0")]
pub struct InvalidLsn;

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, InvalidLsn> {
        let (file, offset) = text.split_once(':').ok_or(InvalidLsn)?;
        let file = u32::from_str_radix(file, 16).map_err(|_| InvalidLsn)?;
        let offset = u64::from_str_radix(offset, 16).map_err(|_| InvalidLsn)?;
        FileNumber::new(file).and_then(|file| Self::new(file, offset)).ok_or(InvalidLsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_text_and_bytes() {
        for (file, offset) in [(1, 0), (1, 8), (3, 0x1f0), (u32::MAX, Lsn::MAX_OFFSET - 8)] {
            let lsn = Lsn::new(FileNumber::new(file).unwrap(), offset).unwrap();
            assert_eq!((lsn.file().get(), lsn.offset()), (file, offset));
            assert_eq!(Lsn::from_raw(lsn.to_raw()), Some(lsn));
            assert_eq!(lsn.to_string().parse(), Ok(lsn));
        }
        assert_eq!(Lsn::new(FileNumber::FIRST, 0x1f0).unwrap().to_string(), "00000001:0001f0");
    }

    #[test]
    fn impossible_positions_are_refused() {
        assert_eq!(Lsn::new(FileNumber::FIRST, 4), None);
        assert_eq!(Lsn::new(FileNumber::FIRST, Lsn::MAX_OFFSET), None);
        for raw in [0, 1, (1 << 29) - 1, 1 << 61, u64::MAX] {
            assert_eq!(Lsn::from_raw(raw), None, "{raw:x}");
        }
        for text in ["", "1", "0:8", "1:4", "x:0", "1:fffffffff0"] {
            assert_eq!(text.parse::<Lsn>(), Err(InvalidLsn), "{text}");
        }
    }

    #[test]
    fn the_order_is_that_of_file_and_offset() {
        let at = |file, offset| Lsn::new(FileNumber::new(file).unwrap(), offset).unwrap();
        assert!(at(1, 4096) < at(1, 4104));
        assert!(at(1, Lsn::MAX_OFFSET - 8) < at(2, 0));
    }
}
