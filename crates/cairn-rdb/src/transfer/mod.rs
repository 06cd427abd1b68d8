//! Transfer: a whole SQL file goes out, or another one takes its place.

mod archive;
mod compact;
mod error;
mod named;
mod plain;
mod salvage;

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use cairn_env::{EnvError, EnvResult, Environment, ExclusiveTransaction, Transaction};
pub use compact::CompactReport;
pub use error::{TransferError, TransferResult};
pub use named::ListedSqlBackup;
pub use salvage::{SalvagedSqlFile, SqlSalvage};

use crate::{
    connect::files_of,
    file::{Alone, Files, SqlFile, check_name, database_name, file_name},
    pages::Version,
};

/// Every durability barrier of this crate, by name.
pub const SYNC_SITES: &[cairn_io::SyncSite] =
    &[plain::WRITTEN, plain::PUBLISHED, named::FOLDER, named::DELETED];

/// So long a writer of a file is waited for before it is replaced.
const PATIENCE: Duration = Duration::from_secs(2);

/// The SQL files of an environment as wholes: which there are, and what goes in and out.
///
/// ```
/// use cairn_env::{Environment, Options};
/// use cairn_rdb::{Access, SqlFiles, SqliteConnections};
///
/// # let dir = tempfile::tempdir()?;
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let connection = env.sqlite_connection("app.db", Access::Create)?;
/// connection.execute_batch("CREATE TABLE pets (name TEXT); INSERT INTO pets VALUES ('Mia')")?;
///
/// let files = SqlFiles::of(&env);
/// assert_eq!(files.names()?, ["app.db"]);
/// let plain = dir.path().join("plain.db");
/// files.export_sqlite("app.db", &plain, Default::default())?; // which the `sqlite3` shell opens
///
/// files.remove("app.db")?;
/// files.import_sqlite("app.db", &plain, Default::default())?;
/// let count: i64 = connection.query_row("SELECT count(*) FROM pets", [], |row| row.get(0))?;
/// assert_eq!(count, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqlFiles {
    files: Arc<Files>,
}

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferProgress {
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes in all, as far as that is known.
    pub total: u64,
}

/// Called from time to time; what it answers with `Break` ends it with [`TransferError::Cancelled`], and nothing has
/// changed.
pub type TransferReport<'a> =
    Option<&'a (dyn Fn(TransferProgress) -> ControlFlow<()> + Send + Sync)>;

/// How a plain file is written or read.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainOptions<'a> {
    /// Whether a file that exists is replaced (default: it is not).
    pub replace: bool,
    /// Whether it is written although the environment is encrypted and the file will not be (default: it is not).
    pub in_the_clear: bool,
    /// Called from time to time; can end it.
    pub progress: TransferReport<'a>,
}

impl<'a> PlainOptions<'a> {
    /// Sets [`PlainOptions::replace`](PlainOptions#structfield.replace).
    #[must_use]
    pub const fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Writes what an encrypted environment holds in the clear: whoever has the file can read it.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Reports progress; can end it.
    #[must_use]
    pub const fn progress(mut self, progress: TransferReport<'a>) -> Self {
        self.progress = progress;
        self
    }

    fn report(&self, bytes: u64, total: u64) -> TransferResult<()> {
        let progress = TransferProgress { bytes, total };
        match self.progress.map_or(ControlFlow::Continue(()), |report| report(progress)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TransferError::Cancelled),
        }
    }
}

impl fmt::Debug for PlainOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replace, in_the_clear, .. } = self;
        write!(f, "PlainOptions(replace: {replace}, in the clear: {in_the_clear})")
    }
}

impl SqlFiles {
    /// Those of an environment.
    #[must_use]
    pub fn of(env: &Environment) -> Self {
        Self { files: files_of(env) }
    }

    fn env(&self) -> &Environment {
        &self.files.env
    }

    /// The names of all SQL files, in order.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn names(&self) -> TransferResult<Vec<String>> {
        let databases = self.env().latest_snapshot()?.databases()?;
        let names = databases.iter().filter_map(|database| file_name(database.name()));
        Ok(names.map(str::to_owned).collect())
    }

    /// Whether there is a file of this name.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn exists(&self, name: &str) -> TransferResult<bool> {
        check(name)?;
        Ok(self.files.exists(name)?)
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; if the environment cannot be read.
    pub fn len(&self, name: &str) -> TransferResult<u64> {
        check(name)?;
        let version = Version::new(self.env().latest_snapshot()?, &database_name(name), None)?;
        match version.database() {
            Some(_) => Ok(version.head().len),
            None => Err(TransferError::NotFound { name: name.into() }),
        }
    }

    /// Removes a file with everything in it, in one commit. Connections that have it open find it empty; those that
    /// read it at the moment go on with what they see.
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; [`TransferError::Busy`] if somebody writes to it for more than two seconds.
    pub fn remove(&self, name: &str) -> TransferResult<()> {
        let (file, _alone) = self.alone(name)?;
        let mut found = false;
        self.env().write(|txn| {
            let Some(database) = self.env().latest_snapshot()?.database(&database_name(name))?
            else {
                found = false;
                return Ok(());
            };
            found = true;
            txn.drop_database(&database)
        })?;
        if !found {
            return Err(TransferError::NotFound { name: name.into() });
        }
        file.replaced(None, crate::pages::Head::default());
        Ok(())
    }

    /// Gives a file another name, in one commit with what `also` does. Connections that have it open find an empty file
    /// under the old name.
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; [`TransferError::Busy`]; what `also` answers.
    pub(crate) fn set_aside(
        &self,
        name: &str,
        aside: &str,
        also: impl Fn(&mut Transaction) -> EnvResult<()>,
    ) -> TransferResult<()> {
        let (file, _alone) = self.alone(name)?;
        check(aside)?;
        let missing = || EnvError::NoSuchDatabase { name: database_name(name) };
        self.env().write(|txn| {
            let database = self.env().latest_snapshot()?.database(&database_name(name))?;
            txn.rename_database(&database.ok_or_else(missing)?, &database_name(aside))?;
            also(txn)
        })?;
        file.replaced(None, crate::pages::Head::default());
        Ok(())
    }

    /// What was met of a file that is damaged, since this was asked last.
    pub(crate) fn take_damage(&self, name: &str) -> Option<String> {
        self.files.take_damage(name)
    }

    /// Keeps all others from writing to a file.
    fn alone(&self, name: &str) -> TransferResult<(Arc<SqlFile>, Alone)> {
        check(name)?;
        let file = self.files.file_to_replace(name)?;
        let alone = self.files.alone(&file, PATIENCE);
        let alone = alone.ok_or_else(|| TransferError::Busy { name: name.into() })?;
        Ok((file, alone))
    }
}

fn check(name: &str) -> TransferResult<()> {
    match check_name(name) {
        true => Ok(()),
        false => Err(TransferError::InvalidName { name: name.into() }),
    }
}

/// What is put in the place of a file is to be one that no connection takes for the old one.
fn outrun(
    txn: &mut ExclusiveTransaction,
    name: &str,
    before: crate::pages::Head,
) -> EnvResult<crate::pages::Head> {
    let missing = || EnvError::NoSuchDatabase { name: database_name(name) };
    let database = txn.find_database(&database_name(name))?.ok_or_else(missing)?;
    crate::pages::outrun(txn, &database, before)
}
