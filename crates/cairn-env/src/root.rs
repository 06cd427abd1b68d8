//! The root of an environment: which generation directory counts, and who may open it.
//!
//! ```text
//! CURRENT      names the generation directory; replaced as a whole
//! LOCK         locked by whoever has the environment open for writing; never removed
//! PROTECTOR    locked for moments, by whoever begins to pin and by whoever removes; never removed
//! pins/        what other processes pin: see `pin`
//! RESTORING    there only while a restore fills the directory
//! STANDBY      there only as long as the environment is a standby: see `standby`
//! SUPERSEDED   of an environment in whose place a standby was promoted
//! g-000001/    STATE, KEYRING if the environment is encrypted, and the log files
//! ```
//!
//! After a restore in place `CURRENT` also names the generation that was there before. A generation
//! directory that it does not name at all is what an unfinished restore has left, and counts for
//! nothing.

use std::str::FromStr;

use cairn_io::{DirExt, DirRef, Entry, EntryKind, LockGuard, LockMode, Name, World};
use cairn_log::{Uuid, crc32c};

use crate::{
    EnvError, EnvResult, directories,
    keyring::file::KEYRING,
    ship::attachment::REPLICA_NEW,
    sites,
    standby::mark::{STANDBY, STANDBY_NEW},
    state::STATE,
};

pub(crate) const CURRENT: Name = Name::constant("CURRENT");
const CURRENT_NEW: Name = Name::constant("CURRENT.new");
pub(crate) const LOCK: Name = Name::constant("LOCK");
pub(crate) const PROTECTOR: Name = Name::constant("PROTECTOR");
pub(crate) const PINS: Name = Name::constant("pins");
const RESTORING: Name = Name::constant("RESTORING");
const RESTORING_NEW: Name = Name::constant("RESTORING.new");

/// What an unfinished creation, or who only came by, leaves in a root.
const PASSING: [Name; 7] = [
    LOCK,
    PROTECTOR,
    CURRENT_NEW,
    RESTORING_NEW,
    REPLICA_NEW,
    // Before the base of a standby is there, nothing else is.
    STANDBY,
    STANDBY_NEW,
];

/// Number of a generation directory. A restore in place fills a new one and switches to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u32);

impl Generation {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) fn dir_name(self) -> Name {
        Name::new(format!("g-{:06}", self.0)).expect("letters, digits and '-'")
    }

    /// The generation directories in the root or in a data directory.
    pub(crate) fn list(home: &DirRef) -> EnvResult<Vec<Self>> {
        let dirs = home.list()?.into_iter().filter(|entry| entry.kind == EntryKind::Dir);
        let named = |entry: Entry| {
            let generation = Self(entry.display.strip_prefix("g-")?.parse().ok()?);
            (Some(generation.dir_name()) == entry.name).then_some(generation)
        };
        Ok(dirs.filter_map(named).collect())
    }
}

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) environment: Uuid,
    pub(crate) generation: Generation,
}

const MAGIC: &str = "CairnDB environment 1";
/// While an old generation is kept, older versions are to keep their hands off.
const MAGIC_KEEPING: &str = "CairnDB environment 2";

/// All that `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generations {
    /// The generation that counts.
    pub(crate) current: Current,
    /// The one before a restore in place, until it is forgotten.
    pub(crate) kept: Option<Current>,
}

impl Generations {
    /// Text, so that it says at 3 a.m. what it is; with a checksum, so that no damage passes.
    fn encode(&self) -> String {
        let Self { current, kept } = self;
        let magic = if kept.is_some() { MAGIC_KEEPING } else { MAGIC };
        let named = current.generation.dir_name();
        let mut text = format!("{magic}\nuuid {}\ngeneration {named}\n", current.environment);
        if let Some(kept) = kept {
            let named = kept.generation.dir_name();
            text.push_str(&format!("kept {named} {}\n", kept.environment));
        }
        let crc = crc32c(text.as_bytes());
        text.push_str(&format!("crc32c {crc:08x}\n"));
        text
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let is_keeping = match lines.next()? {
            MAGIC => false,
            MAGIC_KEEPING => true,
            _ => return None,
        };
        let environment = Uuid::from_str(lines.next()?.strip_prefix("uuid ")?).ok()?;
        let number = lines.next()?.strip_prefix("generation g-")?.parse().ok()?;
        let current = Current { environment, generation: Generation(number) };
        let mut kept = None;
        if is_keeping {
            let (number, environment) = lines.next()?.strip_prefix("kept g-")?.split_once(' ')?;
            let generation = Generation(number.parse().ok()?);
            kept = Some(Current { environment: Uuid::from_str(environment).ok()?, generation });
        }
        let this = Self { current, kept };
        (this.encode() == text).then_some(this)
    }
}

/// The example in `docs/format/environment.md`.
pub(crate) fn current_example() -> String {
    let current = Current { environment: Uuid([0xab; 16]), generation: Generation::FIRST };
    let text = Generations { current, kept: None }.encode();
    format!("```text\n{text}```\n")
}

/// The same after a restore in place.
pub(crate) fn current_keeping_example() -> String {
    let named = |generation| Current { environment: Uuid([0xab; 16]), generation };
    let kept = Some(named(Generation::FIRST));
    let text = Generations { current: named(Generation(2)), kept }.encode();
    format!("```text\n{text}```\n")
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

    /// Locks the environment for this process, which is going to write it. Those who read it by a pin
    /// go on.
    pub(crate) fn lock(&self, world: &dyn World) -> EnvResult<LockGuard> {
        // Readers on their way in touch the lock for a moment, but never without the protector.
        let _protector = self.protect(world)?;
        self.dir.lock(&LOCK, LockMode::Exclusive).map_err(|error| self.lock_error(error))
    }

    /// Keeps writers out, together with others who do.
    pub(crate) fn lock_shared(&self) -> EnvResult<LockGuard> {
        self.dir.lock(&LOCK, LockMode::Shared).map_err(|error| self.lock_error(error))
    }

    /// What `CURRENT` says; `None` if there is none.
    pub(crate) fn current(&self) -> EnvResult<Option<Current>> {
        Ok(self.generations()?.map(|generations| generations.current))
    }

    /// All that `CURRENT` says; `None` if there is none.
    pub(crate) fn generations(&self) -> EnvResult<Option<Generations>> {
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
        let is_known = [MAGIC, MAGIC_KEEPING].iter().any(|magic| text.starts_with(magic));
        match Generations::decode(text) {
            Some(generations) => Ok(Some(generations)),
            None if text.starts_with("CairnDB environment ") && !is_known => {
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

    /// Whether the generation before a restore in place, or the restored one, is there to go back to.
    pub(crate) fn keeps_old_generation(&self) -> EnvResult<bool> {
        Ok(self.generations()?.is_some_and(|generations| generations.kept.is_some()))
    }

    /// Makes `current` the one that counts: old or new after a crash, never anything else.
    pub(crate) fn switch(&self, current: Current) -> EnvResult<()> {
        self.switch_keeping(Generations { current, kept: None })
    }

    /// As `switch`, and says which old generation is kept.
    pub(crate) fn switch_keeping(&self, generations: Generations) -> EnvResult<()> {
        let text = generations.encode();
        Ok(self.dir.replace_small(&CURRENT, &CURRENT_NEW, text.as_bytes(), sites::CURRENT)?)
    }

    /// Makes durable what `CURRENT` says. It is written anew: a sync that failed leaves a name in memory that
    /// later syncs do not cover. The mark of the restore that it came from is removed if it is there again.
    pub(crate) fn confirm(&self) -> EnvResult<()> {
        let Some(generations) = self.generations()? else { return Ok(()) };
        let text = generations.encode();
        self.dir.replace_small(&CURRENT, &CURRENT_NEW, text.as_bytes(), sites::FIRST_WRITE)?;
        self.end_restoring()
    }

    /// The text that an unfinished restore left. One that has written `CURRENT` is finished: that its mark is
    /// still there, or there again, is no reason to bring anything back once more.
    pub(crate) fn restoring(&self) -> EnvResult<Option<String>> {
        if self.dir.has(&CURRENT)? {
            return Ok(None);
        }
        match self.dir.read_small(&RESTORING, 64 << 10) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the directory holds nothing, or only what an unfinished creation leaves.
    pub(crate) fn is_blank(&self) -> EnvResult<bool> {
        let generation = Generation::FIRST.dir_name();
        let first = [STATE, KEYRING];
        for entry in self.dir.list()? {
            let known = match &entry.name {
                Some(name) if PASSING.contains(name) => true,
                Some(name) if *name == PINS => true,
                Some(name) if *name == generation => self
                    .dir
                    .open_dir(name)?
                    .list()?
                    .iter()
                    .all(|entry| entry.name.as_ref().is_some_and(|name| first.contains(name))),
                _ => match directories::number(&entry.display) {
                    Some(number) => self.is_blank_data(number)?,
                    None => entry.display == "lost+found",
                },
            };
            if !known {
                return Ok(false);
            }
        }
        Ok(true)
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
        let old = Current { environment: Uuid([0xcd; 16]), generation: Generation(5) };
        for kept in [None, Some(old)] {
            let generations = Generations { current, kept };
            let text = generations.encode();
            assert_eq!(Generations::decode(&text), Some(generations));
            for bit in 0..text.len() * 8 {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let flipped = String::from_utf8_lossy(&bytes).into_owned();
                assert_eq!(Generations::decode(&flipped), None, "bit {bit}");
            }
            for len in 0..text.len() {
                assert_eq!(Generations::decode(&text[..len]), None);
            }
        }
    }
}
