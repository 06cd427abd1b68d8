//! Files of exports that were never finished.

use cairn_io::{Dir, DirExt, Name};
use cairn_log::Uuid;

use crate::{ArchiveFile, ArchiveResult};

/// What the name of an unfinished archive begins with; its id follows.
const PREFIX: &str = "unfinished-";

/// The name under which an archive is written.
pub(crate) fn name_of(archive: Uuid) -> Name {
    Name::new(format!("{PREFIX}{archive}")).expect("hexadecimal digits behind letters are a name")
}

/// Whether something has the name of an archive.
pub(crate) fn exists(archive: &ArchiveFile) -> ArchiveResult<bool> {
    Ok(archive.dir().has(archive.name())?)
}

/// Removes what an export has left that failed. Its error is what counts; should this fail as well, the file
/// stays, under a name that [`remove_unfinished`] knows.
pub(crate) fn remove_quietly(file: &ArchiveFile) {
    file.dir().remove(file.name()).unwrap_or_default();
}

/// Removes what exports into a directory have left that were killed; returns how many files that were.
///
/// Only for whoever knows that no export into this directory is going on.
///
/// # Errors
/// If the disk fails.
pub fn remove_unfinished(dir: &dyn Dir) -> ArchiveResult<usize> {
    let mut removed = 0;
    for entry in dir.list()? {
        let Some(name) = entry.name else { continue };
        let id = name.as_str().strip_prefix(PREFIX).map(str::parse::<Uuid>);
        if matches!(id, Some(Ok(_))) {
            dir.remove(&name)?;
            removed += 1;
        }
    }
    Ok(removed)
}
