//! What a pin says: who pins which log files, since when.

use std::{collections::BTreeSet, str::FromStr};

use cairn_io::WallTime;
use cairn_log::{FileNumber, Uuid, crc32c};

use crate::root::Generation;

const MAGIC: &str = "CairnDB pin 1";

/// The content of a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinText {
    pub(crate) environment: Uuid,
    pub(crate) generation: Generation,
    /// The process that holds it: for people.
    pub(crate) process: u32,
    /// When it was made.
    pub(crate) since: WallTime,
    pub(crate) files: BTreeSet<FileNumber>,
}

impl PinText {
    /// Text, as `CURRENT` is, for the same reasons.
    pub(crate) fn encode(&self) -> String {
        let Self { environment, generation, process, since, files } = self;
        let mut text = format!(
            "{MAGIC}\nuuid {environment}\ngeneration {}\nprocess {process}\nsince {}\nfiles",
            generation.dir_name(),
            since.0
        );
        for (first, last) in ranges(files) {
            text.push_str(&match first == last {
                true => format!(" {first:08x}"),
                false => format!(" {first:08x}-{last:08x}"),
            });
        }
        let crc = crc32c(format!("{text}\n").as_bytes());
        format!("{text}\ncrc32c {crc:08x}\n")
    }

    /// Accepts exactly what `encode` makes.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let environment = Uuid::from_str(lines.next()?.strip_prefix("uuid ")?).ok()?;
        let generation = lines.next()?.strip_prefix("generation g-")?.parse().ok()?;
        let process = lines.next()?.strip_prefix("process ")?.parse().ok()?;
        let since = lines.next()?.strip_prefix("since ")?.parse().ok()?;
        let listed = lines.next()?.strip_prefix("files")?;
        let crc = lines.next()?.strip_prefix("crc32c ")?;
        // Before the ranges are believed and filled: damage may make them long.
        let body = text.strip_suffix(&format!("crc32c {crc}\n"))?;
        if crc != format!("{:08x}", crc32c(body.as_bytes())) {
            return None;
        }
        let mut files = BTreeSet::new();
        for range in listed.split_ascii_whitespace() {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |digits| u32::from_str_radix(digits, 16).ok();
            for number in number(first)?..=number(last)? {
                files.insert(FileNumber::new(number)?);
            }
        }
        let generation = Generation(generation);
        let this = Self { environment, generation, process, since: WallTime(since), files };
        (this.encode() == text).then_some(this)
    }
}

/// The numbers as ranges without gaps, first and last included.
fn ranges(files: &BTreeSet<FileNumber>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in files.iter().map(|file| file.get()) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// The example in `docs/format/environment.md`.
pub(crate) fn pin_example() -> String {
    let files = [3, 4, 5, 9, 0x1a].into_iter().filter_map(FileNumber::new).collect();
    let (process, since) = (4711, WallTime(1_790_000_000_000_000));
    let environment = Uuid([0xab; 16]);
    let generation = Generation::FIRST;
    let pin = PinText { environment, generation, process, since, files };
    format!("```text\n{}```\n", pin.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_and_no_cut_of_a_pin_passes() {
        for numbers in [&[][..], &[1], &[1, 2, 3, 7, 9, 10, u32::MAX - 1]] {
            let pin = PinText {
                environment: Uuid([7; 16]),
                generation: Generation(3),
                process: 12,
                since: WallTime(99),
                files: numbers.iter().copied().filter_map(FileNumber::new).collect(),
            };
            let text = pin.encode();
            assert_eq!(PinText::decode(&text), Some(pin));
            for bit in 0..text.len() * 8 {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let flipped = String::from_utf8_lossy(&bytes).into_owned();
                assert_eq!(PinText::decode(&flipped), None, "bit {bit}");
            }
            for len in 0..text.len() {
                assert_eq!(PinText::decode(&text[..len]), None);
            }
        }
    }

    #[test]
    fn other_spellings_of_a_pin_are_refused() {
        let sealed = |body: &str| format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()));
        let head = format!(
            "{MAGIC}\nuuid {}\ngeneration g-000001\nprocess 1\nsince 2\nfiles",
            Uuid([7; 16])
        );
        assert!(PinText::decode(&sealed(&format!("{head} 00000001\n"))).is_some());
        for files in [" 1", " 00000002 00000001", " 00000001 00000002", " 00000000", " 00000002-1"]
        {
            assert_eq!(PinText::decode(&sealed(&format!("{head}{files}\n"))), None, "{files}");
        }
        // A newer version is not guessed at.
        let newer = sealed(&format!("{head} 00000001\n").replace("pin 1", "pin 2"));
        assert_eq!(PinText::decode(&newer), None);
    }
}
