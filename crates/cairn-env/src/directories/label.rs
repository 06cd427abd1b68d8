//! `Label`: the file `DIR`, by which a generation directory says of which data directory it is.

use cairn_io::{Dir, DirExt, FileExt, Name};
use cairn_log::{Uuid, crc32c};

use crate::{EnvResult, root::Generation, sites};

pub(crate) const DIR: Name = Name::constant("DIR");
const MAGIC: &str = "CairnDB data directory 2";

/// What the file `DIR` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) environment: Uuid,
    pub(crate) generation: Generation,
    pub(crate) number: u16,
    pub(crate) count: u16,
}

impl Label {
    /// Writes it into a generation directory that has none. Its name is not durable yet.
    pub(crate) fn create(&self, dir: &dyn Dir) -> EnvResult<()> {
        let file = dir.create(&DIR)?;
        file.write_all_at(0, self.encode().as_bytes())?;
        Ok(file.sync(sites::CREATE_STATE)?)
    }

    /// Reads it; or says why there is none.
    pub(super) fn read(dir: &dyn Dir) -> EnvResult<Result<Self, &'static str>> {
        let bytes = match dir.read_small(&DIR, 4096) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Err("missing")),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Ok(Self::decode(text).ok_or("damaged, or of another version"))
    }

    /// What it says that another should be found in its place.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let Self { environment, generation, number, count } = *self;
        if environment != expected.environment {
            let this = expected.environment;
            return Some(format!(
                "it belongs to the environment {environment}, this one is {this}"
            ));
        }
        if number != expected.number {
            return Some(format!("it is {} of this environment", super::name(number)));
        }
        if count != expected.count {
            let has = expected.count;
            return Some(format!(
                "it is one of {count} data directories; the environment has {has}"
            ));
        }
        (generation != expected.generation)
            .then(|| format!("what lies there was {} once", generation.dir_name()))
    }

    fn encode(&self) -> String {
        let Self { environment, generation, number, count } = self;
        let named = generation.dir_name();
        let body = format!(
            "{MAGIC}\nuuid {environment}\ngeneration {named}\ndirectory {number} of {count}\n"
        );
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let environment = lines.next()?.strip_prefix("uuid ")?.parse().ok()?;
        let generation = Generation(lines.next()?.strip_prefix("generation g-")?.parse().ok()?);
        let (number, count) = lines.next()?.strip_prefix("directory ")?.split_once(" of ")?;
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        let label = Self { environment, generation, number, count };
        (label.encode() == text).then_some(label)
    }
}

/// The example in `docs/format/environment.md`.
pub(crate) fn label_example() -> String {
    let environment = Uuid([0xab; 16]);
    let label = Label { environment, generation: Generation::FIRST, number: 2, count: 3 };
    format!("```text\n{}```\n", label.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_a_label_passes() {
        let environment = Uuid([0xab; 16]);
        let label = Label { environment, generation: Generation(7), number: 2, count: 3 };
        let text = label.encode();
        assert_eq!(Label::decode(&text), Some(label));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Label::decode(&String::from_utf8_lossy(&bytes)), None, "bit {bit}");
        }
    }
}
