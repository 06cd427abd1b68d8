//! `LocalBackend`: a repository in a directory.
//!
//! An object is written under a temporary name, synced, renamed to its own where nothing may be, and then its
//! directory is synced: after each object, or after many of which nobody knows before. A directory counts only when it is durable in the one above, up to that of the
//! repository: the first time that something is stored in it, all of them are synced, whoever has made them.
//!
//! Temporary names have the number of the slot that their writer holds, by a kernel lock: so what stands under
//! one is that writer's own, or of a dead one before it, and may be removed.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cairn_io::{
    Access, Dir, DirExt, DirRef, EntryKind, FileExt, FileRef, IoError, IoOp, IoResult, LockError,
    LockGuard, LockMode, Name, RealDir, SyncSite,
};

use super::{BackendError, BackendResult, Begun, Listed, Put, RepoBackend};
use crate::{
    BackupError, BackupResult,
    backup::open_or_create,
    repository::names::{Folder, HEADER, KEYS, ObjectName},
};

/// The bytes of an object.
const OBJECT: SyncSite = SyncSite::new("repository.object");
/// The name of an object.
const NAMES: SyncSite = SyncSite::new("repository.names");
/// The names of the directories above it.
const FOLDERS: SyncSite = SyncSite::new("repository.folders");

/// Every durability barrier of a repository in a directory, by name.
pub const REPOSITORY_SYNC_SITES: &[SyncSite] = &[OBJECT, NAMES, FOLDERS];

/// The directory of the slots of writers.
const WRITERS: Name = Name::constant("writers");
/// How many may write at the same time.
const SLOTS: u32 = 64;
/// Bytes after which the disk is told to write.
const WRITTEN_AT_ONCE: usize = 4 << 20;
/// Bytes that are compared while the processor still has them.
const COMPARED_AT_ONCE: usize = 256 << 10;

/// A repository in a directory of this machine, or one that it has mounted.
#[derive(Debug)]
pub struct LocalBackend {
    root: DirRef,
    writing: Mutex<Writing>,
}

/// What somebody who stores objects holds.
#[derive(Debug, Default)]
struct Writing {
    /// Slots that nobody writes in at the moment: each thread that stores an object takes one.
    free: Vec<Slot>,
    /// Folders that are durable.
    folders: BTreeMap<Folder, DirRef>,
}

/// A slot that is ours, and the temporary name that goes with it.
#[derive(Debug)]
struct Slot {
    name: Name,
    _lock: LockGuard,
}

impl LocalBackend {
    /// The repository in the directory `path`, which must exist.
    ///
    /// # Errors
    /// If it does not, or the disk fails.
    pub fn open(path: impl AsRef<Path>) -> IoResult<Self> {
        RealDir::open(path.as_ref()).map(Self::in_dir)
    }

    /// A place for a new repository in the directory `path`, which must be missing or empty.
    ///
    /// # Errors
    /// [`BackupError::TargetNotEmpty`], or what the disk answers.
    pub fn create(path: impl AsRef<Path>) -> BackupResult<Self> {
        let this = Self::in_dir(open_or_create(path.as_ref())?);
        this.check_blank()?;
        Ok(this)
    }

    /// The repository in any directory.
    #[must_use]
    pub fn in_dir(root: DirRef) -> Self {
        Self { root, writing: Mutex::default() }
    }

    /// An error if the directory holds anything that is of no repository.
    fn check_blank(&self) -> BackupResult<()> {
        // Keys are stored before the header: who has made them may have died between the two.
        let keys = self.list(&Folder::Keys)?;
        let are_keys = keys.iter().all(|listed| Folder::Keys.object(&listed.name).is_some());
        let is_ours = |name: &Name| {
            *name == WRITERS || *name == HEADER || *name == KEYS && are_keys || is_temporary(name)
        };
        let foreign = |entry: &cairn_io::Entry| {
            entry.display != "lost+found" && !entry.name.as_ref().is_some_and(is_ours)
        };
        match self.root.list()?.iter().any(foreign) {
            true => Err(BackupError::TargetNotEmpty { path: self.root.path().to_owned() }),
            false => Ok(()),
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Nothing in it is half done between two statements that can panic.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of `folder`, if it is there.
    fn find(&self, folder: &Folder) -> IoResult<Option<DirRef>> {
        let mut dir = DirRef::clone(&self.root);
        for name in folder.path() {
            dir = match dir.open_dir(&name) {
                Ok(below) => below,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some(dir))
    }

    /// The directory of an object that has to be there.
    fn folder_of(&self, name: &ObjectName) -> BackendResult<DirRef> {
        self.find(&name.folder())?.ok_or(BackendError::NotFound { object: *name })
    }

    fn open_object(&self, name: &ObjectName) -> BackendResult<FileRef> {
        match self.folder_of(name)?.open(&name.name(), Access::Read) {
            Err(error) if error.is_not_found() => Err(BackendError::NotFound { object: *name }),
            opened => Ok(opened?),
        }
    }

    /// Makes the directory of `folder` if it is missing, and durable in any case: who has made it may have died
    /// before that.
    fn make(&self, writing: &mut Writing, folder: Folder) -> IoResult<DirRef> {
        if let Some(dir) = writing.folders.get(&folder) {
            return Ok(DirRef::clone(dir));
        }
        let mut dir = DirRef::clone(&self.root);
        for name in folder.path() {
            let below = open_or_create_in(&*dir, &name)?;
            dir.sync(FOLDERS)?;
            dir = below;
        }
        writing.folders.insert(folder, DirRef::clone(&dir));
        Ok(dir)
    }

    /// A slot, and with it a temporary name that nobody else uses.
    fn slot(&self, writing: &mut Writing) -> IoResult<Slot> {
        if let Some(slot) = writing.free.pop() {
            return Ok(slot);
        }
        let dir = open_or_create_in(&*self.root, &WRITERS)?;
        for slot in 0..SLOTS {
            let (lock, name) = slot_names(slot);
            match dir.lock(&lock, LockMode::Exclusive) {
                Ok(guard) => return Ok(Slot { name, _lock: guard }),
                Err(LockError::Io(error)) => return Err(error),
                Err(_) => {}
            }
        }
        let why = io::Error::other(format!("{SLOTS} others write to this repository"));
        Err(IoError::new(IoOp::Lock, dir.path(), why))
    }

    /// Writes an object under a temporary name. Several threads write at the same time, each under its own.
    fn begin(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Written<'_>> {
        let (slot, dir) = {
            let mut writing = self.writing();
            let slot = self.slot(&mut writing)?;
            (slot, self.make(&mut writing, name.folder())?)
        };
        let mut written = Written { of: self, name: *name, dir, file: None, slot: Some(slot) };
        written.write(bytes)?;
        Ok(written)
    }
}

/// An object under a temporary name, which is removed if it does not get its own: it is in nobody's way, and on a full disk
/// every byte counts.
struct Written<'a> {
    of: &'a LocalBackend,
    name: ObjectName,
    dir: DirRef,
    file: Option<FileRef>,
    slot: Option<Slot>,
}

impl Written<'_> {
    fn write(&mut self, bytes: &[u8]) -> IoResult<()> {
        let Some(Slot { name, .. }) = &self.slot else { return Ok(()) };
        let file = match self.dir.create(name) {
            // Of a writer that died. It may be a second name of an object: it is removed, never written to.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.remove(name)?;
                self.dir.create(name)?
            }
            created => created?,
        };
        let mut at = 0;
        for piece in bytes.chunks(WRITTEN_AT_ONCE) {
            file.write_all_at(at, piece)?;
            // The disk begins with it while the rest is copied.
            file.write_back(at, piece.len() as u64);
            at += piece.len() as u64;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Makes it durable, and then gives it its name. That is durable with the directory, which is returned.
    fn end(mut self) -> BackendResult<(Put, DirRef)> {
        if let Some(file) = self.file.take() {
            file.sync(OBJECT)?;
        }
        let dir = DirRef::clone(&self.dir);
        let Some(slot) = self.slot.take() else { return Ok((Put::Existed, dir)) };
        let put = match dir.rename_new(&slot.name, &self.name.name()) {
            Ok(()) => Put::Stored,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                dir.remove(&slot.name)?;
                Put::Existed
            }
            Err(error) => return Err(error.into()),
        };
        self.of.writing().free.push(slot);
        Ok((put, dir))
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            drop(self.dir.remove(&slot.name));
        }
    }
}

fn slot_names(slot: u32) -> (Name, Name) {
    let name = |text: String| Name::new(text).expect("a letter, two digits, and a suffix");
    (name(format!("w{slot:02}")), name(format!("w{slot:02}.tmp")))
}

fn is_temporary(name: &Name) -> bool {
    (0..SLOTS).any(|slot| slot_names(slot).1 == *name)
}

fn open_or_create_in(dir: &dyn Dir, name: &Name) -> IoResult<DirRef> {
    match dir.open_dir(name) {
        Err(error) if error.is_not_found() => match dir.create_dir(name) {
            // Another writer was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => dir.open_dir(name),
            created => created,
        },
        opened => opened,
    }
}

impl RepoBackend for LocalBackend {
    fn place(&self) -> String {
        self.root.path().display().to_string()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        let (put, dir) = self.begin(name, bytes)?.end()?;
        dir.sync(NAMES)?;
        Ok(put)
    }

    fn put_unsettled(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        Ok(self.begin(name, bytes)?.end()?.0)
    }

    fn begin_put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Begun<'_>> {
        let written = self.begin(name, bytes)?;
        Ok(Box::new(move || Ok(written.end()?.0)))
    }

    fn holds(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<bool> {
        let file = self.open_object(name)?;
        if file.len()? != bytes.len() as u64 {
            return Ok(false);
        }
        let mut read = vec![0; COMPARED_AT_ONCE.min(bytes.len())];
        let mut at = 0;
        for piece in bytes.chunks(COMPARED_AT_ONCE) {
            let read = &mut read[..piece.len()];
            if file.read_full_at(at, read)? != piece.len() || read != piece {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        let file = self.open_object(name)?;
        let left = usize::try_from(file.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let read = file.read_full_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        let Some(dir) = self.find(&name.folder())? else { return Ok(None) };
        match dir.open(&name.name(), Access::Read) {
            Err(error) if error.is_not_found() => Ok(None),
            opened => Ok(Some(opened?.len()?)),
        }
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        let dir = self.make(&mut self.writing(), *folder)?;
        Ok(dir.sync(NAMES)?)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        let Some(dir) = self.find(folder)? else { return Ok(Vec::new()) };
        let mut listed = Vec::new();
        for entry in dir.list()? {
            let name = entry.display;
            match (entry.kind, entry.name) {
                (EntryKind::Dir, _) => listed.push(Listed { name, length: None }),
                (EntryKind::File, Some(file)) if !is_temporary(&file) => {
                    match dir.open(&file, Access::Read) {
                        Ok(file) => listed.push(Listed { name, length: Some(file.len()?) }),
                        // It went between the two.
                        Err(error) if error.is_not_found() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                _ => {}
            }
        }
        Ok(listed)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        let Some(dir) = self.find(&name.folder())? else { return Ok(()) };
        match dir.remove(&name.name()) {
            Err(error) if error.is_not_found() => Ok(()),
            removed => {
                removed?;
                Ok(dir.sync(NAMES)?)
            }
        }
    }
}

/// Whether there is a repository in the directory `path`.
pub(super) fn is_repository(path: impl AsRef<Path>) -> bool {
    RealDir::open(path.as_ref()).is_ok_and(|dir| dir.has(&HEADER).unwrap_or(false))
}
