//! How a process comes in that only reads: by a pin, beside whoever writes.
//!
//! It takes the protector, looks whether somebody has the environment open for writing, reads the
//! state file and lists the log files. All of these it pins, and lets the protector go: from then on
//! nothing that it has found can vanish. When it has found out what it needs, the pin gets smaller.

use std::{collections::BTreeSet, io::ErrorKind};

use cairn_io::{DirRef, FileExt, FileRef, IoError, LockError, LockGuard, LockMode, Name, World};
use cairn_log::{FileNumber, Uuid};

use crate::{
    EnvError, EnvResult,
    core::Core,
    pin::{protector::Protector, text::PinText},
    root::{Generation, LOCK, Root},
    sync::lock,
};

/// What keeps others from an environment that is open.
pub(crate) enum Hold {
    /// The environment's lock: a writer, or a reader where no pin can be made.
    Lock(#[expect(dead_code, reason = "held for its Drop")] LockGuard),
    /// A reader beside whoever writes.
    Pin(OwnPin),
}

/// A reader on its way in.
pub(crate) struct Entry {
    /// `None` where nothing can be written, and no pin made.
    protector: Option<Protector>,
    lock: Option<LockGuard>,
    /// Whether somebody has the environment open for writing.
    pub(crate) has_writer: bool,
}

/// The pin of this process.
pub(crate) struct OwnPin {
    root: Root,
    dir: DirRef,
    pub(crate) name: Name,
    file: FileRef,
    text: PinText,
    _lock: LockGuard,
}

impl Root {
    /// Comes in to read. Waits for the protector.
    pub(crate) fn enter(&self, world: &dyn World) -> EnvResult<Entry> {
        let protector = match self.protect(world) {
            Ok(protector) => protector,
            // A disk that cannot be written, and on which nobody has ever pinned.
            Err(EnvError::Io(_)) => {
                let lock = Some(self.lock_shared()?);
                return Ok(Entry { protector: None, lock, has_writer: false });
            }
            Err(error) => return Err(error),
        };
        // A writer takes its lock under the protector, so it does not stumble over this.
        let has_writer = match self.dir.lock(&LOCK, LockMode::Shared) {
            Ok(_free) => false,
            Err(LockError::HeldHere | LockError::HeldElsewhere { .. }) => true,
            Err(error) => return Err(self.lock_error(error)),
        };
        Ok(Entry { protector: Some(protector), lock: None, has_writer })
    }
}

impl Entry {
    /// Pins `files` and lets the protector go. Where no pin can be made, because the disk is full or may
    /// not be written, the environment's lock keeps writers out, as long as there is none.
    pub(crate) fn pin(
        self,
        root: &Root,
        world: &dyn World,
        environment: Uuid,
        generation: Generation,
        files: BTreeSet<FileNumber>,
    ) -> EnvResult<Hold> {
        let Some(protector) = self.protector else {
            return self.lock.map(Hold::Lock).ok_or_else(|| EnvError::internal("a reader's lock"));
        };
        let (process, since) = (world.process(), world.wall());
        let text = PinText { environment, generation, process, since, files };
        match OwnPin::create(root, &protector, world, text) {
            Ok(pin) => Ok(Hold::Pin(pin)),
            Err(LockError::Io(error)) if may_be_read_only(&error) => match self.has_writer {
                true => Err(error.into()),
                false => root.lock_shared().map(Hold::Lock),
            },
            Err(error) => Err(root.lock_error(error)),
        }
    }
}

fn may_be_read_only(error: &IoError) -> bool {
    error.is_no_space()
        || matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

impl OwnPin {
    fn create(
        root: &Root,
        protector: &Protector,
        world: &dyn World,
        text: PinText,
    ) -> Result<Self, LockError> {
        let dir = protector.make_pins()?;
        let mut id = [0; 8];
        world.random(&mut id);
        let name = Name::new(format!("{:016x}", u64::from_le_bytes(id))).map_err(|_| {
            IoError::new(cairn_io::IoOp::Create, dir.path(), ErrorKind::InvalidInput)
        })?;
        let file = dir.create(&name)?;
        let written = dir.lock(&name, LockMode::Shared).and_then(|lock| {
            // Shared, and nobody else has it: so the lock leaves what stands in the file alone.
            file.write_all_at(0, text.encode().as_bytes())?;
            Ok(lock)
        });
        match written {
            Ok(lock) => {
                let root = Root::new(DirRef::clone(&root.dir));
                Ok(Self { root, dir, name, file, text, _lock: lock })
            }
            Err(error) => {
                dir.remove(&name).unwrap_or_default();
                protector.clear();
                Err(error)
            }
        }
    }

    /// Pins `files` as well, which have come into being since.
    pub(crate) fn grow(
        &mut self,
        world: &dyn World,
        files: impl Iterator<Item = FileNumber>,
    ) -> EnvResult<()> {
        let _protector = self.root.protect(world)?;
        self.text.files.extend(files);
        Ok(self.file.write_all_at(0, self.text.encode().as_bytes())?)
    }

    /// Pins `files`, all of which are pinned already, and no others any more. Whoever reads the pin
    /// meanwhile cannot make sense of it, and takes everything to be pinned.
    fn narrow(&mut self, files: BTreeSet<FileNumber>) {
        debug_assert!(files.is_subset(&self.text.files), "a pin grows only under the protector");
        if self.text.files == files {
            return;
        }
        self.text.files = files;
        let text = self.text.encode();
        // What is pinned too long costs space and nothing else.
        let written = self.file.write_all_at(0, text.as_bytes());
        written.and_then(|()| self.file.set_len(text.len() as u64)).unwrap_or_default();
    }
}

impl Drop for OwnPin {
    fn drop(&mut self) {
        // Whoever is about to lock it, to see whether we live, makes it anew and finds it dead.
        self.dir.remove(&self.name).unwrap_or_default();
        if let Ok(Some(protector)) = self.root.protect_now() {
            protector.clear();
        }
    }
}

impl Core {
    /// Pins no more than this process needs of an environment that it reads; once it is closed, that is
    /// what its backups have not released.
    pub(crate) fn narrow_pin(&self, is_closed: bool) {
        let mut hold = lock(&self.hold);
        let pins = lock(&self.pins);
        if is_closed && pins.len() == 0 {
            *hold = None;
        } else if let Some(Hold::Pin(pin)) = &mut *hold {
            let mut files = pins.all();
            if !is_closed {
                files.extend(self.files.all().iter().map(|file| file.header().number));
            }
            pin.narrow(files);
        }
    }
}
