//! Files of exports that are not finished: locked as long as somebody writes them, left by whoever died.

use std::io;

use cairn_io::{Access, Dir, DirExt, FileRef, IoError, IoOp, LockError, LockGuard, LockMode, Name};
use cairn_log::Uuid;

use crate::{ArchiveFile, ArchiveResult};

/// What the name of an unfinished archive begins with; its id follows.
const PREFIX: &str = "unfinished-";
/// How often whoever cleans up may come between a name and its lock.
const ATTEMPTS: usize = 16;

/// The name under which an archive is written.
fn name_of(archive: Uuid) -> Name {
    Name::new(format!("{PREFIX}{archive}")).expect("hexadecimal digits behind letters are a name")
}

/// Whether something has the name of an archive.
pub(crate) fn exists(archive: &ArchiveFile) -> ArchiveResult<bool> {
    Ok(archive.dir().has(archive.name())?)
}

/// An archive that is being written, under a name that no other has.
pub(crate) struct Unfinished {
    pub(crate) archive: ArchiveFile,
    pub(crate) file: FileRef,
    /// It says that somebody is writing; it ends with the process. `None` where files cannot be locked.
    _writing: Option<LockGuard>,
}

impl Unfinished {
    /// Creates the file beside what it is to become.
    pub(crate) fn beside(archive: &ArchiveFile, mut id: Uuid) -> ArchiveResult<Self> {
        for _ in 0..ATTEMPTS {
            let archive = ArchiveFile::new(archive.dir_ref(), name_of(id));
            let (dir, name) = (archive.dir(), archive.name());
            let writing = match dir.lock(name, LockMode::Shared) {
                Ok(guard) => Some(guard),
                Err(LockError::Io(error)) if error.kind() == io::ErrorKind::Unsupported => None,
                Err(LockError::Io(error)) => return Err(error.into()),
                Err(_) => {
                    // Somebody has seen it before it was locked, and is about to remove it.
                    id.0[0] = id.0[0].wrapping_add(1);
                    continue;
                }
            };
            let opened = dir.open(name, Access::ReadWrite);
            let file = opened.inspect_err(|_| dir.remove(name).unwrap_or_default())?;
            return Ok(Self { archive, file, _writing: writing });
        }
        let busy = io::ErrorKind::ResourceBusy;
        Err(IoError::new(IoOp::Lock, &archive.path(), busy).into())
    }

    /// Removes it, when the export has failed. The error of that is what counts; should this fail as well, the
    /// file stays, under a name that [`remove_unfinished`] knows.
    pub(crate) fn remove_quietly(&self) {
        self.archive.dir().remove(self.archive.name()).unwrap_or_default();
    }
}

/// Removes what exports into a directory have left that were killed; returns how many files that were.
///
/// What is being written, by this process or another one, stays. Where files cannot be locked that cannot be
/// told, and everything stays.
///
/// # Errors
/// If the disk fails.
pub fn remove_unfinished(dir: &dyn Dir) -> ArchiveResult<usize> {
    let mut removed = 0;
    for entry in dir.list()? {
        let Some(name) = entry.name else { continue };
        let id = name.as_str().strip_prefix(PREFIX).map(str::parse::<Uuid>);
        if !matches!(id, Some(Ok(_))) {
            continue;
        }
        let _alone = match dir.lock(&name, LockMode::Exclusive) {
            Ok(guard) => guard,
            Err(LockError::Io(error)) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(error.into());
            }
            Err(_) => continue,
        };
        dir.remove(&name)?;
        removed += 1;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use cairn_io::MemDisk;

    use super::*;

    #[test]
    fn an_export_takes_another_name_when_somebody_is_about_to_remove_its_first() {
        // Whoever cleans up may see the new file before it is locked, and lock it first: exports failed then.
        let disk = MemDisk::new();
        let id = Uuid([255; 16]);
        let _removing = disk.root().lock(&name_of(id), LockMode::Exclusive).unwrap();
        let wanted = ArchiveFile::new(disk.root(), Name::new("wanted").unwrap());
        let unfinished = Unfinished::beside(&wanted, id).unwrap();
        assert_ne!(*unfinished.archive.name(), name_of(id));
        assert!(exists(&unfinished.archive).unwrap());
        assert_eq!(remove_unfinished(&*disk.root()).unwrap(), 0, "both are somebody's");
    }
}
