//! Data directories: log files spread over `data001` to `dataNNN`.
//!
//! ```text
//! data002/
//! ├── DIR          which data directory of which environment this is
//! └── g-000001/    log files
//! ```
//!
//! How many there are is decided when the environment is created, and stands in the state file. In
//! which one a file lies is part of its header and of the table of each checkpoint, so what is missing
//! or misplaced is named, and nothing is searched for. Each may be a mount of its own: the file `DIR`
//! tells a disk that is not mounted from one that has lost its files.

use cairn_io::{DirExt, DirRef, FileExt, IoError, Name};
use cairn_log::{Uuid, crc32c};

use crate::{
    EnvError, EnvResult,
    root::{Generation, Root},
    sites,
};

/// Most data directories of an environment.
pub(crate) const MAX: u16 = 999;
const DIR: Name = Name::constant("DIR");
const MAGIC: &str = "CairnDB data directory 1";

/// The name of data directory `number`, which counts from 1.
pub(crate) fn name(number: u16) -> Name {
    Name::new(format!("data{number:03}")).expect("letters and digits")
}

/// The number of the data directory of this name.
pub(crate) fn number(text: &str) -> Option<u16> {
    let number = text.strip_prefix("data")?.parse().ok().filter(|number| *number > 0)?;
    (name(number).as_str() == text).then_some(number)
}

/// What the file `DIR` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label {
    environment: Uuid,
    number: u16,
    count: u16,
}

impl Label {
    fn encode(&self) -> String {
        let Self { environment, number, count } = self;
        let body = format!("{MAGIC}\nuuid {environment}\ndirectory {number} of {count}\n");
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let environment = lines.next()?.strip_prefix("uuid ")?.parse().ok()?;
        let (number, count) = lines.next()?.strip_prefix("directory ")?.split_once(" of ")?;
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        let label = Self { environment, number, count };
        (label.encode() == text).then_some(label)
    }
}

/// The example in `docs/format/environment.md`.
pub(crate) fn label_example() -> String {
    let label = Label { environment: Uuid([0xab; 16]), number: 2, count: 3 };
    format!("```text\n{}```\n", label.encode())
}

/// An error unless an environment can have so many.
pub(crate) fn check_count(count: u16) -> EnvResult<()> {
    if count > MAX {
        let what = format!("an environment has at most {MAX} data directories, not {count}");
        return Err(EnvError::InvalidInput { what });
    }
    Ok(())
}

/// Whether a directory holds nothing, or only what an unfinished creation leaves.
pub(crate) fn is_blank(dir: &DirRef) -> EnvResult<bool> {
    let first = Generation::FIRST.dir_name();
    for entry in dir.list()? {
        let known = match &entry.name {
            Some(name) if *name == first => dir.open_dir(name)?.list()?.is_empty(),
            Some(name) => *name == DIR || entry.display == "lost+found",
            None => false,
        };
        if !known {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Root {
    /// Makes the data directories of a new environment, durable but for their names. One that is
    /// there already, a mount for example, is used.
    pub(crate) fn create_data(&self, environment: Uuid, count: u16) -> EnvResult<()> {
        for number in 1..=count {
            let dir = self.dir_of_name(&name(number))?;
            let files = Self::below(&dir, &Generation::FIRST.dir_name())?;
            for entry in files.list()? {
                if let Some(name) = entry.name {
                    files.remove(&name)?; // left by an attempt that was cut short
                }
            }
            if dir.has(&DIR)? {
                dir.remove(&DIR)?;
            }
            let label = dir.create(&DIR)?;
            let text = Label { environment, number, count }.encode();
            label.write_all_at(0, text.as_bytes())?;
            label.sync(sites::CREATE_STATE)?;
            dir.sync(sites::CREATE_GENERATION)?;
        }
        Ok(())
    }

    fn dir_of_name(&self, name: &Name) -> EnvResult<DirRef> {
        Self::below(&self.dir, name)
    }

    fn below(dir: &DirRef, name: &Name) -> EnvResult<DirRef> {
        match dir.has(name)? {
            true => Ok(dir.open_dir(name)?),
            false => Ok(dir.create_dir(name)?),
        }
    }

    /// The generation directories in the data directories, in order, each checked.
    pub(crate) fn open_data(
        &self,
        environment: Uuid,
        count: u16,
        generation: Generation,
    ) -> EnvResult<Vec<DirRef>> {
        (1..=count).map(|number| self.open_one(environment, number, count, generation)).collect()
    }

    fn open_one(
        &self,
        environment: Uuid,
        number: u16,
        count: u16,
        generation: Generation,
    ) -> EnvResult<DirRef> {
        let name = name(number);
        let path = self.dir.path().join(name.as_str());
        let wrong = |why: String| Err(EnvError::DataDirectory { path: path.clone(), why });
        let dir = match self.dir.open_dir(&name) {
            Ok(dir) => dir,
            Err(error) if error.is_not_found() => {
                return wrong(format!("it is missing; the environment has {count} of them"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return wrong("it is no directory; links are not followed, mounts are".into());
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = match dir.read_small(&DIR, 4096) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => {
                return wrong("its file DIR is missing; is its disk mounted?".into());
            }
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let Some(label) = Label::decode(text) else {
            return wrong("its file DIR is damaged, or of a newer version".into());
        };
        if label.environment != environment {
            let other = label.environment;
            return wrong(format!(
                "it belongs to the environment {other}, this one is {environment}"
            ));
        }
        if label.number != number {
            return wrong(format!("it is {} of this environment", self::name(label.number)));
        }
        if label.count != count {
            let of = label.count;
            return wrong(format!(
                "it is one of {of} data directories; the environment has {count}"
            ));
        }
        let missing = |error: IoError| match error.is_not_found() {
            true => {
                let why = format!("its directory {} is missing", generation.dir_name());
                EnvError::DataDirectory { path: path.clone(), why }
            }
            false => error.into(),
        };
        dir.open_dir(&generation.dir_name()).map_err(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_a_label_passes() {
        let label = Label { environment: Uuid([0xab; 16]), number: 2, count: 3 };
        let text = label.encode();
        assert_eq!(Label::decode(&text), Some(label));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Label::decode(&String::from_utf8_lossy(&bytes)), None, "bit {bit}");
        }
        assert_eq!(number("data012"), Some(12));
        for other in ["data000", "data12", "data", "data0012", "datum001"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
