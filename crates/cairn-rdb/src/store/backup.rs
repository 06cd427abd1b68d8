//! Backup and restore of one store: archives under names or anywhere, and plain files of SQLite's.

use std::{cell::RefCell, path::Path};

use cairn_archive::{
    ArchiveFile, ArchiveReport, ExportOptions, Header, ImportOptions, ImportReport,
};
use cairn_env::{EnvError, ExclusiveTransaction};

use super::{RdbStore, open};
use crate::{
    CompactReport, ListedSqlBackup, PlainOptions, RdbError, RdbResult, SqlFiles, TransferResult,
    record::StoreRecord,
};

impl RdbStore {
    /// Backs the store up under a name, while it is used: one archive, as of one commit, in the folder of the store
    /// where the backups of the environment lie ([`BackupPlace`](cairn_archive::BackupPlace)). It is read back and
    /// checked before it takes its name, or the place of the one that has it; so until then, and if it fails or is
    /// killed, the old one is there. Of an encrypted environment the backup is encrypted.
    ///
    /// ```
    /// use cairn_archive::BackupPlace;
    /// use cairn_env::{Environment, Options};
    /// use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("data");
    /// let (env, _) = Environment::open(&path, Options::default())?;
    /// BackupPlace::beside(&path).attach(&env);
    /// let store = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S3))?;
    /// store.execute_sql("CREATE TABLE tea(name)", ())?;
    /// store.execute_sql("INSERT INTO tea VALUES ('mint')", ())?;
    /// store.backup("Backup.db")?;
    /// store.execute_sql("DROP TABLE tea", ())?;
    /// store.restore("Backup.db")?;
    /// assert_eq!(store.query_one::<String>("SELECT name FROM tea", ())?, "mint");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RdbError::Transfer`] for a name that is not one, a place that nobody has said, and a disk that fails or is
    /// full; [`RdbError::AlreadyClosed`].
    pub fn backup(&self, name: &str) -> RdbResult<ArchiveReport> {
        self.backup_with(name, &ExportOptions::default())
    }

    /// As [`RdbStore::backup`], with options: compression, progress.
    ///
    /// # Errors
    /// As [`RdbStore::backup`].
    pub fn backup_with(&self, name: &str, options: &ExportOptions<'_>) -> RdbResult<ArchiveReport> {
        let record = self.record_to_archive()?;
        Ok(self.files().back_up_as(self.name(), name, &record, options)?)
    }

    /// As [`RdbStore::backup`], to an archive anywhere.
    ///
    /// # Errors
    /// As [`RdbStore::backup`]; if there is something of its name, unless the options say that it is replaced.
    pub fn backup_to(
        &self,
        archive: &ArchiveFile,
        options: &ExportOptions<'_>,
    ) -> RdbResult<ArchiveReport> {
        let record = self.record_to_archive()?;
        Ok(self.files().back_up(self.name(), archive, &record, options)?)
    }

    /// Puts a backup in the place of what the store holds, in one commit: killed at any moment, it holds what it did, or
    /// what the backup does. All of the backup is verified before. The store may be damaged, as long as its environment
    /// is valid; the backup stays as it is.
    ///
    /// All handles see what the backup holds, and go on. Result sets and transactions that have begun end with
    /// [`RdbError::AlreadyClosed`]; observers get one [`StoreEvent::Reset`](crate::StoreEvent::Reset).
    ///
    /// # Errors
    /// [`RdbError::Transfer`]: there is no such backup; it is damaged, cut off, empty, of another store, or encrypted
    /// with another key; somebody writes for more than two seconds. [`RdbError::ConfigChanged`] if it is of a
    /// higher security level than the store. [`RdbError::NotSupported`] if this handle only reads;
    /// [`RdbError::AlreadyClosed`]. Nothing has changed then.
    pub fn restore(&self, name: &str) -> RdbResult<ArchiveReport> {
        self.restore_with(name, &ImportOptions::default())
    }

    /// As [`RdbStore::restore`], with options: keys, progress.
    ///
    /// # Errors
    /// As [`RdbStore::restore`].
    pub fn restore_with(
        &self,
        name: &str,
        options: &ImportOptions<'_>,
    ) -> RdbResult<ArchiveReport> {
        self.bring_back(options, |options| self.files().restore_named(self.name(), name, options))
    }

    /// As [`RdbStore::restore`], from an archive anywhere, also from that of another relational store.
    ///
    /// # Errors
    /// As [`RdbStore::restore`].
    pub fn restore_from(
        &self,
        archive: &ArchiveFile,
        options: &ImportOptions<'_>,
    ) -> RdbResult<ArchiveReport> {
        let options = options.clone().other_store(true);
        self.bring_back(&options, |options| self.files().restore(self.name(), archive, options))
    }

    /// The backups of the store by name. Each is read and checked, which takes its time; what is wrong with one stands
    /// in its place.
    ///
    /// # Errors
    /// [`RdbError::Transfer`] if nobody has said where they lie, or the folder cannot be read.
    pub fn backups(&self) -> RdbResult<Vec<ListedSqlBackup>> {
        Ok(self.files().backups(self.name())?)
    }

    /// Deletes a backup.
    ///
    /// # Errors
    /// [`RdbError::Transfer`] if there is no such backup, or the disk fails.
    pub fn delete_backup(&self, name: &str) -> RdbResult<()> {
        Ok(self.files().delete_backup(self.name(), name)?)
    }

    /// Writes the store as of one commit to a plain file of SQLite's, which its shell opens; see
    /// [`SqlFiles::export_sqlite`]. Returns its length in bytes.
    ///
    /// # Errors
    /// As [`SqlFiles::export_sqlite`]; [`RdbError::AlreadyClosed`].
    pub fn backup_sqlite(
        &self,
        path: impl AsRef<Path>,
        options: PlainOptions<'_>,
    ) -> RdbResult<u64> {
        self.shared.check_open()?;
        Ok(self.files().export_sqlite(self.name(), path, options)?)
    }

    /// Puts what a plain file of SQLite's holds in the place of what the store holds; see
    /// [`SqlFiles::import_sqlite`]. Otherwise as [`RdbStore::restore`].
    ///
    /// # Errors
    /// As [`SqlFiles::import_sqlite`] and [`RdbStore::restore`].
    pub fn restore_sqlite(
        &self,
        path: impl AsRef<Path>,
        options: PlainOptions<'_>,
    ) -> RdbResult<u64> {
        self.check_writable()?;
        let bytes = self.files().import_sqlite(self.name(), path, options)?;
        self.shared.content_replaced();
        Ok(bytes)
    }

    /// Writes the store anew without what it does not use, and puts that in its place in one short commit; see
    /// [`SqlFiles::compact`]. Result sets go on with what they show; observers are told to read the store again, since
    /// rows may have other rowids.
    ///
    /// # Errors
    /// As [`SqlFiles::compact`]; [`RdbError::NotSupported`] if this handle only reads; [`RdbError::AlreadyClosed`].
    pub fn compact(&self) -> RdbResult<CompactReport> {
        self.check_writable()?;
        let report = self.files().compact(self.name())?;
        self.shared.order.reset();
        Ok(report)
    }

    fn files(&self) -> SqlFiles {
        SqlFiles::of(&self.shared.env)
    }

    fn record_to_archive(&self) -> RdbResult<Vec<u8>> {
        self.shared.check_open()?;
        Ok(open::record(&self.shared.env, self.name())?.encode())
    }

    /// Restores, unless the archive is of a store of a higher security level.
    fn bring_back(
        &self,
        options: &ImportOptions<'_>,
        restore: impl FnOnce(&ImportOptions<'_>) -> TransferResult<ImportReport>,
    ) -> RdbResult<ArchiveReport> {
        self.check_writable()?;
        let record = open::record(&self.shared.env, self.name())?;
        let refused = RefCell::new(None);
        let check = |txn: &mut ExclusiveTransaction, header: &Header| {
            if let Err(error) = check_level(self.name(), &record, header) {
                let what = error.to_string();
                refused.replace(Some(error));
                return Err(EnvError::InvalidInput { what });
            }
            options.before_commit.map_or(Ok(()), |change| change(txn, header))
        };
        let restored = restore(&options.clone().before_commit(&check));
        if let Some(error) = refused.into_inner() {
            return Err(error);
        }
        let report = restored?;
        self.shared.content_replaced();
        Ok(report.archive)
    }
}

/// An error if the store had a higher security level than it has now. A SQL file alone has none.
fn check_level(store: &str, now: &StoreRecord, header: &Header) -> RdbResult<()> {
    if header.store.options.is_empty() {
        return Ok(());
    }
    let then = StoreRecord::decode(store, &header.store.options)?;
    if then.security_level <= now.security_level {
        return Ok(());
    }
    Err(RdbError::ConfigChanged {
        store: store.into(),
        option: "security level",
        recorded: format!("{:?}", now.security_level),
        asked: format!("{:?}, in the backup", then.security_level),
    })
}
