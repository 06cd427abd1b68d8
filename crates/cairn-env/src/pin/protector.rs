//! The protector: a lock file of the root. Whoever begins to pin holds it, and whoever removes.

use std::time::Duration;

use cairn_io::{Access, DirRef, FileExt, IoResult, LockError, LockGuard, LockMode, Name, World};

use crate::{
    EnvError, EnvResult,
    pin::text::PinText,
    root::{Generation, PINS, PROTECTOR, Root},
};

/// More than any pin takes; what is longer is none.
const LIMIT: u64 = 4 << 20;

/// The protector, held.
pub(crate) struct Protector {
    root: DirRef,
    _lock: LockGuard,
}

/// A pin of somebody who is alive.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: Name,
    /// What it says; `None` if it cannot be read. Then nobody knows what it pins, so it pins everything.
    pub(crate) text: Option<PinText>,
}

impl Found {
    /// Whether it may pin files of this generation.
    pub(crate) fn is_of(&self, generation: Generation) -> bool {
        self.text.as_ref().is_none_or(|text| text.generation == generation)
    }
}

impl Root {
    /// Takes the protector; `None` if somebody else has it.
    pub(crate) fn protect_now(&self) -> EnvResult<Option<Protector>> {
        match self.try_protect() {
            Ok(protector) => Ok(Some(protector)),
            Err(LockError::HeldHere | LockError::HeldElsewhere { .. }) => Ok(None),
            Err(error) => Err(self.lock_error(error)),
        }
    }

    /// Takes the protector, waiting for whoever has it: that takes moments, unless a process is
    /// stopped in the middle.
    pub(crate) fn protect(&self, world: &dyn World) -> EnvResult<Protector> {
        /// Pauses of 1, 2, 4 … 64 ms and so on: about five seconds in all.
        const ATTEMPTS: u32 = 80;
        let mut attempt = 0;
        loop {
            match self.try_protect() {
                Err(LockError::HeldHere | LockError::HeldElsewhere { .. })
                    if attempt < ATTEMPTS =>
                {
                    world.pause(Duration::from_millis(1 << attempt.min(6)));
                    attempt += 1;
                }
                result => return result.map_err(|error| self.lock_error(error)),
            }
        }
    }

    fn try_protect(&self) -> Result<Protector, LockError> {
        let lock = self.dir.lock(&PROTECTOR, LockMode::Exclusive)?;
        Ok(Protector { root: DirRef::clone(&self.dir), _lock: lock })
    }

    pub(crate) fn lock_error(&self, error: LockError) -> EnvError {
        EnvError::lock(self.dir.path().to_owned(), error)
    }
}

impl Protector {
    /// The directory of the pins; `None` if there is none.
    fn open_pins(&self) -> IoResult<Option<DirRef>> {
        match self.root.open_dir(&PINS) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory of the pins, made if there is none. No sync: a pin does not outlive its holder, and
    /// so no crash.
    pub(super) fn make_pins(&self) -> IoResult<DirRef> {
        match self.open_pins()? {
            Some(dir) => Ok(dir),
            None => self.root.create_dir(&PINS),
        }
    }

    /// Removes the directory of the pins if nothing is in it.
    pub(super) fn clear(&self) {
        // If it stays it is found empty.
        self.root.remove_dir(&PINS).unwrap_or_default();
    }

    /// The pins of those who are alive. A lock that can be taken is one whose holder has ended: its pin
    /// is removed.
    pub(crate) fn pins(&self) -> EnvResult<Vec<Found>> {
        let Some(dir) = self.open_pins()? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        // What has no name that we could have given is none of ours.
        for name in dir.list()?.into_iter().filter_map(|entry| entry.name) {
            match dir.lock(&name, LockMode::Exclusive) {
                Err(LockError::HeldHere | LockError::HeldElsewhere { .. }) => {
                    let text = read(&dir, &name);
                    found.push(Found { name, text });
                }
                // Where it cannot be removed it stays a dead one.
                Ok(_dead) => dir.remove(&name).unwrap_or_default(),
                // A directory, say.
                Err(LockError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidInput => {}
                Err(LockError::Io(error)) => return Err(error.into()),
                Err(error) => return Err(EnvError::internal(error.to_string())),
            }
        }
        Ok(found)
    }
}

/// What a pin says. Its holder may be making it smaller, so what makes no sense is looked at again.
fn read(dir: &DirRef, name: &Name) -> Option<PinText> {
    (0..3).find_map(|_| {
        let file = dir.open(name, Access::Read).ok()?;
        let len = file.len().ok().filter(|len| *len <= LIMIT)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_exact_at(0, &mut bytes).ok()?;
        PinText::decode(std::str::from_utf8(&bytes).ok()?)
    })
}
