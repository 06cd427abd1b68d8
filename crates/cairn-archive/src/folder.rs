//! `BackupFolder`: the archives of one store under names.

use cairn_io::{DirRef, Entry, EntryKind, IoResult, Name, SyncSite};

use crate::{ArchiveFile, ArchiveKeys, ArchiveReport, ArchiveResult, remove_unfinished};

/// What the name of an archive ends with.
const SUFFIX: &str = ".bak";

/// The folder of a store in the place of backups: archives under names. From [`BackupPlace`](crate::BackupPlace).
#[derive(Clone, Debug)]
pub struct BackupFolder(DirRef);

impl BackupFolder {
    pub(crate) const fn new(dir: DirRef) -> Self {
        Self(dir)
    }

    /// The file of a backup of this name. It has 1 to 96 letters, digits, `-`, `_` and `.`, and does not begin with a
    /// `.`: so it leads nowhere else. `None` if it is not like that.
    #[must_use]
    pub fn file_of(name: &str) -> Option<Name> {
        let file = Name::new(format!("{name}{SUFFIX}")).ok()?;
        (!name.is_empty()).then_some(file)
    }

    /// The archive in a file of the folder, which need not be there.
    #[must_use]
    pub fn archive(&self, file: &Name) -> ArchiveFile {
        ArchiveFile::new(DirRef::clone(&self.0), file.clone())
    }

    /// The backups, by name; each with its file.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> IoResult<Vec<(String, Name)>> {
        let is_file = |entry: &Entry| entry.kind == EntryKind::File;
        let files = self.0.list()?.into_iter().filter(is_file).filter_map(|entry| entry.name);
        let backups = files.filter_map(|file| {
            let name = file.as_str().strip_suffix(SUFFIX)?.to_owned();
            (!name.is_empty()).then_some((name, file))
        });
        let mut backups: Vec<_> = backups.collect();
        backups.sort();
        Ok(backups)
    }

    /// The backups, by name; each is read and checked, which takes its time.
    ///
    /// # Errors
    /// As [`BackupFolder::names`]. What is wrong with one stands in its place.
    pub fn verify_all(
        &self,
        keys: &ArchiveKeys,
    ) -> IoResult<Vec<(String, ArchiveResult<ArchiveReport>)>> {
        let verify = |(name, file)| (name, self.archive(&file).verify(keys, None));
        Ok(self.names()?.into_iter().map(verify).collect())
    }

    /// Deletes a backup, and syncs that as `site`: without it a crash brings back what was said to be gone.
    ///
    /// # Errors
    /// If there is none, or the disk fails; then it is still there, or may be.
    pub fn delete(&self, file: &Name, site: SyncSite) -> IoResult<()> {
        self.0.remove(file)?;
        self.0.sync(site)
    }

    /// Removes what exports have left that were killed: see [`remove_unfinished`].
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove_unfinished(&self) -> ArchiveResult<usize> {
        remove_unfinished(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use cairn_io::MemDisk;

    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["BK001", "true", "1", "1.0", "a-b_c", &"x".repeat(96)] {
            assert_eq!(BackupFolder::file_of(name).unwrap().as_str(), format!("{name}.bak"));
        }
        for name in
            ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0", ".a", "a b", "ä", &"x".repeat(97)]
        {
            assert_eq!(BackupFolder::file_of(name), None, "{name:?}");
        }
    }

    #[test]
    fn backups_are_listed_by_name_and_nothing_else_is() {
        let dir = MemDisk::new().root();
        for file in ["b.bak", "a.bak", "notes", "unfinished-0011"] {
            dir.create(&Name::new(file).unwrap()).unwrap();
        }
        dir.create_dir(&Name::constant("dir.bak")).unwrap();
        let folder = BackupFolder::new(dir);
        let names = || folder.names().unwrap().into_iter().map(|(name, _)| name);
        assert!(names().eq(["a", "b"]));
        let file = BackupFolder::file_of("a").unwrap();
        folder.delete(&file, SyncSite::new("test")).unwrap();
        assert!(names().eq(["b"]));
        assert!(folder.delete(&file, SyncSite::new("test")).unwrap_err().is_not_found());
    }
}
