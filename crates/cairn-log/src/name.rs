//! `LogName`: how log files are called.

use std::{fmt, str::FromStr};

use cairn_io::Name;

use crate::{FileClass, FileNumber, Timeline};

/// The name of a log file: `J-00000001-00000003.log` (journal: timeline and number),
/// `N-00000004.log`, `V-00000005.log`. Numbers have eight lower-case hexadecimal digits, so names of a
/// class sort as they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the parts of the name are part of the format")]
pub struct LogName {
    /// The file's number.
    pub number: FileNumber,
    /// The file's class.
    pub class: FileClass,
    /// The timeline of a journal file; other classes have none in their names.
    pub timeline: Option<Timeline>,
}

impl LogName {
    /// The name of a file of this class, number and timeline.
    #[must_use]
    pub const fn new(class: FileClass, number: FileNumber, timeline: Timeline) -> Self {
        let timeline = match class {
            FileClass::Journal => Some(timeline),
            FileClass::Node | FileClass::Value => None,
        };
        Self { number, class, timeline }
    }

    /// The name as a file name.
    #[must_use]
    pub fn to_name(self) -> Name {
        Name::new(self.to_string()).expect("a log name is made of letters, digits, '-' and '.'")
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.class.letter())?;
        if let Some(timeline) = self.timeline {
            write!(f, "{timeline}-")?;
        }
        write!(f, "{}.log", self.number)
    }
}

/// A text that is not the name of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a log file")]
pub struct NotALogName;

impl FromStr for LogName {
    type Err = NotALogName;

    fn from_str(text: &str) -> Result<Self, NotALogName> {
        let parse = || {
            let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
            let mut parts = text.strip_suffix(".log")?.split('-');
            let class = match parts.next()? {
                "J" => FileClass::Journal,
                "N" => FileClass::Node,
                "V" => FileClass::Value,
                _ => return None,
            };
            let timeline = match class {
                FileClass::Journal => Some(Timeline(hex(parts.next()?)?)),
                FileClass::Node | FileClass::Value => None,
            };
            let number = FileNumber::new(hex(parts.next()?)?)?;
            Some(Self { number, class, timeline })
        };
        // One spelling per file: whatever does not print as it was written is somebody else's.
        parse().filter(|name| name.to_string() == text).ok_or(NotALogName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        let number = FileNumber::new(0x1f).unwrap();
        let journal = LogName::new(FileClass::Journal, number, Timeline::FIRST);
        assert_eq!(journal.to_string(), "J-00000001-0000001f.log");
        let node = LogName::new(FileClass::Node, number, Timeline::FIRST);
        assert_eq!(node.to_string(), "N-0000001f.log");
        for name in [journal, node] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for bad in [
            "",
            "N-1f.log",
            "N-0000001F.log",
            "N-0000001f",
            "J-0000001f.log",
            "N-00000000.log",
            "X-0000001f.log",
            "N-00000001-0000001f.log",
            "N-+000001f.log",
            "n-0000001f.log",
        ] {
            assert_eq!(bad.parse::<LogName>(), Err(NotALogName), "{bad}");
        }
    }
}
