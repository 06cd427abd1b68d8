//! Archive: a SQL file as a portable, checked file of its own, and back.

use std::cell::Cell;

use cairn_archive::{
    ArchiveFile, ArchiveReport, ExportOptions, ImportOptions, ImportReport, StoreInfo, StoreKind,
    export, import,
};

use super::{SqlFiles, TransferError, TransferResult, outrun};
use crate::{file::database_name, pages::Head};

impl SqlFiles {
    /// Writes a file to an archive, as of one commit, while it is used. It is synced, read back and checked before it
    /// has its name; encrypted when the environment is, unless the options say otherwise. `recorded` is what a
    /// store wants to find in it.
    ///
    /// ```
    /// # use cairn_env::{Environment, Options};
    /// # use cairn_rdb::{Access, SqlFiles, SqliteConnections};
    /// use cairn_archive::{ArchiveFile, ExportOptions, ImportOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let connection = env.sqlite_connection("app.db", Access::Create)?;
    /// # connection.execute_batch("CREATE TABLE pets (name TEXT)")?;
    /// let (files, archive) = (SqlFiles::of(&env), ArchiveFile::at(dir.path().join("monday"))?);
    /// files.back_up("app.db", &archive, &[], &ExportOptions::default())?;
    /// connection.execute_batch("DROP TABLE pets")?;
    /// files.restore("app.db", &archive, &ImportOptions::default())?;
    /// let count: i64 = connection.query_row("SELECT count(*) FROM pets", [], |row| row.get(0))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; as [`export`].
    pub fn back_up(
        &self,
        name: &str,
        archive: &ArchiveFile,
        recorded: &[u8],
        options: &ExportOptions<'_>,
    ) -> TransferResult<ArchiveReport> {
        super::check(name)?;
        let (env, database) = (self.env(), database_name(name));
        if !env.options().read_only {
            env.sync()?;
        }
        let snapshot = env.durable_snapshot()?;
        if snapshot.database(&database)?.is_none() {
            return Err(TransferError::NotFound { name: name.into() });
        }
        let store = store_info(name, recorded);
        let world = env.world();
        Ok(export(env, &snapshot, &store, &[&database], archive, &world, options)?)
    }

    /// Puts what an archive holds in the place of a file, in one commit: killed at any moment, the file is the old one
    /// or that of the archive, whole. All of the archive is verified first. The file need not exist, and may be
    /// damaged.
    ///
    /// Connections see what the archive holds from their next transaction on; those that read at the moment
    /// go on with what they see until they end. Nobody writes to the file meanwhile.
    ///
    /// # Errors
    /// [`TransferError::Busy`] if somebody writes to it for more than two seconds; as [`import`]: above all
    /// whatever is wrong with the archive.
    pub fn restore(
        &self,
        name: &str,
        archive: &ArchiveFile,
        options: &ImportOptions<'_>,
    ) -> TransferResult<ImportReport> {
        let (file, _alone) = self.alone(name)?;
        let (before, new) = (file.head(self.env()), Cell::new(Head::default()));
        let own = database_name(name);
        let rename = |_: &str| own.clone();
        let outrun = |txn: &mut cairn_env::ExclusiveTransaction, header: &cairn_archive::Header| {
            if let Some(change) = options.before_commit {
                change(txn, header)?;
            }
            new.set(outrun(txn, name, before)?);
            Ok(())
        };
        let own_name = [own.as_str()];
        let mut how = options.clone().replaces(&own_name).rename(&rename).before_commit(&outrun);
        how.progress = options.progress;
        let report = import(self.env(), archive, &store_info(name, &[]), &how)?;
        file.replaced(report.databases.first().cloned(), new.get());
        Ok(report)
    }
}

/// What archives say of the file that they are of.
fn store_info(name: &str, recorded: &[u8]) -> StoreInfo {
    let kind = StoreKind::RELATIONAL;
    StoreInfo { kind, name: name.into(), options: recorded.into(), ..StoreInfo::databases() }
}
