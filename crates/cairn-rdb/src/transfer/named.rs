//! Named: the backups of a SQL file under names, in a folder of its own beside the environment.

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, ArchiveReport, BackupFolder, BackupPlace,
    ExportOptions, ImportOptions, ImportReport,
};
use cairn_io::{Name, SyncSite};

use super::{SqlFiles, TransferError, TransferResult, check};

/// The folder of a file: without it a crash takes its backups along.
pub(super) const FOLDER: SyncSite = SyncSite::new("rdb.backup-folder");
/// Deleting a backup: without it a crash brings back one that was said to be gone.
pub(super) const DELETED: SyncSite = SyncSite::new("rdb.backup-deleted");

/// A backup that is listed: what is known of it, or what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListedSqlBackup {
    /// What it is called.
    pub name: String,
    /// What it holds, if all of it could be read and checked.
    pub state: TransferResult<ArchiveReport>,
}

impl SqlFiles {
    /// As [`SqlFiles::back_up`], under a name, in the folder of the file where the environment's backups lie
    /// ([`BackupPlace`]). It takes the place of one that has the name when it is whole; until then that one is there.
    ///
    /// # Errors
    /// [`TransferError::InvalidBackupName`]: it has 1 to 96 letters, digits, `-`, `_` and `.`, and does not begin with
    /// a `.`; [`TransferError::NoPlace`]; as [`SqlFiles::back_up`].
    pub fn back_up_as(
        &self,
        file: &str,
        name: &str,
        recorded: &[u8],
        options: &ExportOptions<'_>,
    ) -> TransferResult<ArchiveReport> {
        check(file)?;
        let name = file_of(name)?;
        let folder = self.place()?.make(&folder(file), FOLDER)?;
        folder.remove_unfinished()?;
        let archive = folder.archive(&name);
        self.back_up(file, &archive, recorded, &options.clone().replace(true))
    }

    /// The backup of a file under a name, which need not be there.
    ///
    /// # Errors
    /// [`TransferError::NoSuchBackup`] if the file has none at all; as [`SqlFiles::back_up_as`].
    pub fn backup_named(&self, file: &str, name: &str) -> TransferResult<ArchiveFile> {
        check(file)?;
        let none = || TransferError::NoSuchBackup { file: file.into(), name: name.into() };
        let folder = self.place()?.find(&folder(file))?.ok_or_else(none)?;
        Ok(folder.archive(&file_of(name)?))
    }

    /// As [`SqlFiles::restore`], from a backup under a name.
    ///
    /// # Errors
    /// [`TransferError::NoSuchBackup`]; as [`SqlFiles::restore`].
    pub fn restore_named(
        &self,
        file: &str,
        name: &str,
        options: &ImportOptions<'_>,
    ) -> TransferResult<ImportReport> {
        let archive = self.backup_named(file, name)?;
        match self.restore(file, &archive, options) {
            Err(TransferError::Archive(ArchiveError::NotFound { .. })) => {
                Err(TransferError::NoSuchBackup { file: file.into(), name: name.into() })
            }
            restored => restored,
        }
    }

    /// The backups of a file by name. Each is read and checked, which takes its time.
    ///
    /// # Errors
    /// [`TransferError::NoPlace`]; if the folder cannot be read.
    pub fn backups(&self, file: &str) -> TransferResult<Vec<ListedSqlBackup>> {
        check(file)?;
        let Some(folder) = self.place()?.find(&folder(file))? else { return Ok(Vec::new()) };
        let listed = folder.verify_all(&ArchiveKeys::of(self.env())?)?.into_iter();
        let listed = listed.map(|(name, state)| ListedSqlBackup {
            name,
            state: state.map_err(TransferError::from),
        });
        Ok(listed.collect())
    }

    /// Deletes a backup.
    ///
    /// # Errors
    /// [`TransferError::NoSuchBackup`]; if the disk fails: then it is still there, or may be.
    pub fn delete_backup(&self, file: &str, name: &str) -> TransferResult<()> {
        check(file)?;
        let none = || TransferError::NoSuchBackup { file: file.into(), name: name.into() };
        let folder = self.place()?.find(&folder(file))?.ok_or_else(none)?;
        match folder.delete(&file_of(name)?, DELETED) {
            Err(error) if error.is_not_found() => Err(none()),
            deleted => Ok(deleted?),
        }
    }

    fn place(&self) -> TransferResult<BackupPlace> {
        BackupPlace::of(self.env()).ok_or(TransferError::NoPlace)
    }
}

/// The file of a backup.
fn file_of(name: &str) -> TransferResult<Name> {
    let invalid = || TransferError::InvalidBackupName { name: name.into() };
    BackupFolder::file_of(name).ok_or_else(invalid)
}

/// The folder of a file. No key-value store has one of the same name, since its id has no `-`.
fn folder(file: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if file.chars().all(is_name) && !file.starts_with('.') {
        return format!("{file}-sql");
    }
    let digits = file.bytes().map(|byte| format!("{byte:02x}"));
    format!("{}-sqlx", digits.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_a_folder_of_its_own() {
        assert_eq!(folder("app.db"), "app.db-sql");
        assert_eq!(folder("é b"), "c3a92062-sqlx");
        assert_eq!(folder(".x"), "2e78-sqlx");
        assert_ne!(folder("2e78"), folder(".x"));
    }
}
