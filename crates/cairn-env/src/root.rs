//! The root of an environment: which generation directory counts, and who may open it.
//!
//! ```text
//! CURRENT      names the generation directory; replaced as a whole
//! LOCK         locked by whoever has the environment open; never removed
//! RESTORING    there only while a restore fills the directory
//! g-000001/    STATE and the log files
//! ```

use std::str::FromStr;

use cairn_io::{DirExt, DirRef, LockGuard, LockMode, Name};
use cairn_log::{Uuid, crc32c};

use crate::{EnvError, EnvResult, sites};

const CURRENT: Name = Name::constant("CURRENT");
const CURRENT_NEW: Name = Name::constant("CURRENT.new");
const LOCK: Name = Name::constant("LOCK");
const RESTORING: Name = Name::constant("RESTORING");
const RESTORING_NEW: Name = Name::constant("RESTORING.new");

/// Number of a generation directory. A restore in place fills a new one and switches to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u32);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn dir_name(self) -> Name {
        Name::new(format!("g-{:06}", self.0)).expect("letters, digits and '-'")
    }
}

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) environment: Uuid,
    pub(crate) generation: Generation,
}

const MAGIC: &str = "CairnDB environment 1";

impl Current {
    /// Text, so that it says at 3 a.m. what it is; with a checksum, so that no damage passes.
    fn encode(&self) -> String {
        let body = format!(
            "{MAGIC}\nuuid {}\ngeneration {}\n",
            self.environment,
            self.generation.dir_name()
        );
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let environment = Uuid::from_str(lines.next()?.strip_prefix("uuid ")?).ok()?;
        let number = lines.next()?.strip_prefix("generation g-")?.parse().ok()?;
        let current = Self { environment, generation: Generation(number) };
        (current.encode() == text).then_some(current)
    }
}

/// The example in `docs/format/environment.md`.
pub(crate) fn current_example() -> String {
    let current = Current { environment: Uuid([0xab; 16]), generation: Generation::FIRST };
    format!("```text\n{}```\n", current.encode())
}

/// The root directory of an environment.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) dir: DirRef,
}

impl Root {
    pub(crate) fn new(dir: DirRef) -> Self {
        Self { dir }
    }

    /// Locks the environment for this process, or for reading together with other readers.
    pub(crate) fn lock(&self, read_only: bool) -> EnvResult<LockGuard> {
        let mode = if read_only { LockMode::Shared } else { LockMode::Exclusive };
        self.dir
            .lock(&LOCK, mode)
            .map_err(|error| EnvError::lock(self.dir.path().to_owned(), error))
    }

    /// What `CURRENT` says; `None` if there is none.
    pub(crate) fn current(&self) -> EnvResult<Option<Current>> {
        let bytes = match self.dir.read_small(&CURRENT, 4096) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                let what = "it is far too long to be what its name says".into();
                return Err(EnvError::Damaged { path: self.dir.path().join("CURRENT"), what });
            }
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        match Current::decode(text) {
            Some(current) => Ok(Some(current)),
            None if text.starts_with("CairnDB environment ") && !text.starts_with(MAGIC) => {
                let path = self.dir.path().join("CURRENT");
                let needs = text.lines().next().unwrap_or_default().to_owned();
                Err(EnvError::Unsupported { path, needs })
            }
            None => Err(EnvError::Damaged {
                path: self.dir.path().join("CURRENT"),
                what: "it does not name a generation directory with a valid checksum".into(),
            }),
        }
    }

    /// Makes `current` the one that counts: old or new after a crash, never anything else.
    pub(crate) fn switch(&self, current: Current) -> EnvResult<()> {
        let text = current.encode();
        Ok(self.dir.replace_small(&CURRENT, &CURRENT_NEW, text.as_bytes(), sites::CURRENT)?)
    }

    /// The text that an unfinished restore left.
    pub(crate) fn restoring(&self) -> EnvResult<Option<String>> {
        match self.dir.read_small(&RESTORING, 64 << 10) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the directory holds nothing, or only what an unfinished creation leaves.
    pub(crate) fn is_blank(&self) -> EnvResult<bool> {
        let first = Generation::FIRST.dir_name();
        for entry in self.dir.list()? {
            let known = match &entry.name {
                Some(name) if [LOCK, CURRENT_NEW, RESTORING_NEW].contains(name) => true,
                Some(name) if *name == first => self
                    .dir
                    .open_dir(name)?
                    .list()?
                    .iter()
                    .all(|entry| entry.name.as_ref() == Some(&crate::state::STATE)),
                _ => entry.display == "lost+found",
            };
            if !known {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first generation directory, empty, whatever an earlier attempt left.
    pub(crate) fn create_first_generation(&self) -> EnvResult<DirRef> {
        let name = Generation::FIRST.dir_name();
        if self.dir.has(&name)? {
            let dir = self.dir.open_dir(&name)?;
            for entry in dir.list()? {
                if let Some(name) = entry.name {
                    dir.remove(&name)?;
                }
            }
            return Ok(dir);
        }
        Ok(self.dir.create_dir(&name)?)
    }

    pub(crate) fn open_generation(&self, generation: Generation) -> EnvResult<DirRef> {
        let name = generation.dir_name();
        self.dir.open_dir(&name).map_err(|error| {
            if error.is_not_found() {
                EnvError::NeedsRepair {
                    path: self.dir.path().to_owned(),
                    why: format!("CURRENT names the directory {name}, which is missing"),
                }
            } else {
                error.into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flipped_bit_of_current_is_noticed() {
        let current = Current { environment: Uuid([0xab; 16]), generation: Generation(7) };
        let text = current.encode();
        assert_eq!(Current::decode(&text), Some(current));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(Current::decode(&flipped), None, "bit {bit}");
        }
        for len in 0..text.len() {
            assert_eq!(Current::decode(&text[..len]), None);
        }
    }
}
