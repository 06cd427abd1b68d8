//! `bring_one`: one store, or one database, of an environment that was opened where it lies, into another one that goes on.
//!
//! It goes through an archive, as any store does that moves: that is verified as a whole before anything changes, is
//! loaded beside everything else while others commit, and takes its place in one commit. So handles of the
//! store go over to what was brought, observers are told, and everything else in the environment stays as it is.

use std::{fmt, ops::Bound};

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, Compression, ExportOptions, ImportOptions, Report,
    StoreInfo, export, import, remove_unfinished,
};
use cairn_env::{DatabaseKind, EnvError, Environment, KeySource};
use cairn_io::{DirRef, MemDisk, Name};
#[cfg(feature = "kv")]
use cairn_kv::KvStore;
#[cfg(feature = "sql")]
use cairn_rdb::{RdbStore, SqlFiles};

use crate::{BackupError, BackupResult};

/// What is brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum One {
    /// A key-value store, with its schema and all indexes.
    #[cfg(feature = "kv")]
    KeyValue(String),
    /// A SQL file: that of a relational store, or one that a program has opened itself.
    #[cfg(feature = "sql")]
    Sql(String),
    /// A table of a SQL file that the other environment has, too: its rows, indexes and triggers, in one transaction of
    /// SQLite. Foreign keys are not looked at.
    #[cfg(feature = "sql")]
    Table {
        /// The SQL file.
        file: String,
        /// The table.
        table: String,
    },
    /// A database that belongs to no store, with its indexes.
    Database(String),
    /// The entries of such a database between two keys. Those that the other environment has between them are
    /// replaced, and all others stay. They have to fit into memory.
    Range {
        /// The database.
        database: String,
        /// Where it begins.
        from: Bound<Vec<u8>>,
        /// Where it ends.
        to: Bound<Vec<u8>>,
    },
}

impl One {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            #[cfg(feature = "kv")]
            Self::KeyValue(id) => id,
            #[cfg(feature = "sql")]
            Self::Sql(file) => file,
            #[cfg(feature = "sql")]
            Self::Table { table, .. } => table,
            Self::Database(database) | Self::Range { database, .. } => database,
        }
    }
}

/// How one is brought.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct OneOptions<'a> {
    /// What it is called from then on (default: what it was called). What has that name is replaced. A table keeps its
    /// name.
    pub name: Option<&'a str>,
    /// Where its archive lies meanwhile, which is removed in the end (default: in memory). Of an encrypted environment it
    /// is encrypted.
    pub scratch: Option<&'a DirRef>,
    /// The key of what it comes from, if the other environment has another one.
    pub key: Option<KeySource>,
    /// Whether what is encrypted may lie in the clear, in an environment that is not (default: it may not).
    pub in_the_clear: bool,
    /// Whether a table that is there is replaced (default: it is not).
    pub replace: bool,
    /// Called from time to time; can end it. Not for a table.
    pub progress: Report<'a>,
}

impl<'a> OneOptions<'a> {
    /// Sets [`OneOptions::name`](OneOptions#structfield.name).
    #[must_use]
    pub const fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets [`OneOptions::scratch`](OneOptions#structfield.scratch).
    #[must_use]
    pub const fn scratch(mut self, scratch: &'a DirRef) -> Self {
        self.scratch = Some(scratch);
        self
    }

    /// Sets [`OneOptions::key`](OneOptions#structfield.key).
    #[must_use]
    pub fn key(mut self, key: KeySource) -> Self {
        self.key = Some(key);
        self
    }

    /// Lets what is encrypted lie in the clear.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Replaces a table that is there.
    #[must_use]
    pub const fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Reports progress; can end it.
    #[must_use]
    pub const fn progress(mut self, progress: Report<'a>) -> Self {
        self.progress = progress;
        self
    }
}

impl fmt::Debug for OneOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, in_the_clear, .. } = self;
        write!(f, "OneOptions(name: {name:?}, in the clear: {in_the_clear})")
    }
}

/// What was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneReport {
    /// The last commit of what it comes from.
    pub commit: u64,
    /// Its entries: of a SQL file, its pages; of a table, its rows.
    pub entries: u64,
}

/// The archive, until it has done its service.
const SCRATCH: Name = Name::constant("one.cairn");

/// Brings one store or database of `then` into `env`, which is open for writing and in use, in one commit: killed at
/// any moment, `env` has it as it was, or as `then` has it. Everything else in `env` stays as it is. `then` is what
/// [`open_backup`](crate::open_backup()) or [`Repository::open_backup`](crate::Repository::open_backup) has opened, at
/// any moment; or any other environment.
///
/// A store that `env` does not have is made first, with the options that it had: killed right then, it is empty.
///
/// ```
/// use cairn_backup::{One, OneOptions, PointOptions, Repository, RestoreOptions, Which, bring_one};
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # let dir = tempfile::tempdir().unwrap();
/// # let repository = Repository::create(dir.path().join("repo"))?;
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
/// repository.backup(&env, &PointOptions::default())?;
/// env.write(|txn| txn.delete(&users, b"ada"))?;
///
/// let (then, _) = repository.open_backup(None, &Which::Newest, &RestoreOptions::default())?;
/// let (one, how) = (One::Database("users".into()), OneOptions::default().name("users-then"));
/// bring_one(&then, &one, &env, &how)?;
/// let users = env.find_database("users-then")?.unwrap();
/// assert_eq!(env.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
///
/// # Errors
/// [`BackupError::NoSuchStore`]; as an archive that is written and restored: see [`import`]. `env` has not changed then.
pub fn bring_one(
    then: &Environment,
    one: &One,
    env: &Environment,
    options: &OneOptions<'_>,
) -> BackupResult<OneReport> {
    let memory;
    let dir = match options.scratch {
        Some(dir) => dir,
        None => {
            memory = MemDisk::new().root();
            &memory
        }
    };
    let archive = ArchiveFile::new(DirRef::clone(dir), SCRATCH);
    // What somebody has left who was killed.
    remove_unfinished(&**dir)?;
    drop_scratch(dir)?;
    let bring = Bringing { then, env, options, archive: &archive };
    let name = options.name.unwrap_or(one.name());
    let brought = match one {
        #[cfg(feature = "kv")]
        One::KeyValue(id) => bring.key_value(id, name),
        #[cfg(feature = "sql")]
        One::Sql(file) => bring.sql(file, name),
        #[cfg(feature = "sql")]
        One::Table { file, table } => bring.table(file, table),
        One::Database(database) => bring.database(database, name),
        One::Range { database, from, to } => bring.range(database, name, (from, to)),
    };
    let dropped = drop_scratch(dir);
    brought.and_then(|brought| dropped.map(|()| brought))
}

fn drop_scratch(dir: &DirRef) -> BackupResult<()> {
    match dir.remove(&SCRATCH) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) struct Bringing<'a> {
    pub(crate) then: &'a Environment,
    pub(crate) env: &'a Environment,
    pub(crate) options: &'a OneOptions<'a>,
    archive: &'a ArchiveFile,
}

impl Bringing<'_> {
    pub(crate) fn none(&self, what: &'static str, name: &str) -> BackupError {
        BackupError::NoSuchStore { what, name: name.into() }
    }

    #[cfg(feature = "kv")]
    fn key_value(&self, id: &str, name: &str) -> BackupResult<OneReport> {
        if !KvStore::ids(self.then)?.iter().any(|known| known == id) {
            return Err(self.none("key-value store", id));
        }
        let options = KvStore::recorded_options(self.then, id)?;
        let how = cairn_kv::BackupOptions::new().compression(Compression::None);
        let how = how.progress(self.options.progress).key(self.options.key.as_ref());
        let how = how.in_the_clear(self.options.in_the_clear);
        let written =
            KvStore::open(self.then, id, options.clone())?.backup_to(self.archive, how)?;
        let is_there = KvStore::ids(self.env)?.iter().any(|known| known == name);
        let options = match is_there {
            true => KvStore::recorded_options(self.env, name)?,
            false => options.create_if_missing(true),
        };
        let store = KvStore::open(self.env, name, options)?;
        match store.restore_from(self.archive, how) {
            Ok(_) => Ok(OneReport { commit: written.commit, entries: written.entries }),
            Err(error) => {
                if !is_there {
                    KvStore::delete_store(self.env, name)?;
                }
                Err(error.into())
            }
        }
    }

    #[cfg(feature = "sql")]
    fn sql(&self, file: &str, name: &str) -> BackupResult<OneReport> {
        let (then, env) = (SqlFiles::of(self.then), SqlFiles::of(self.env));
        if !then.names()?.iter().any(|known| known == file) {
            return Err(self.none("SQL file", file));
        }
        let has = |env: &Environment, name: &str| -> BackupResult<bool> {
            Ok(RdbStore::names(env)?.iter().any(|known| known == name))
        };
        let mut how = ExportOptions::default().compression(Compression::None);
        how.progress = self.options.progress;
        let into = self.import(true);
        if !has(self.then, file)? {
            let report = then.back_up(file, self.archive, &[], &how)?;
            match has(self.env, name)? {
                true => {
                    let config = RdbStore::recorded_config(self.env, name)?;
                    RdbStore::open(self.env, config)?.restore_from(self.archive, &into)?;
                }
                false => drop(env.restore(name, self.archive, &into)?),
            }
            return Ok(OneReport::of(&report));
        }
        let config = RdbStore::recorded_config(self.then, file)?;
        let store = RdbStore::open(self.then, config.clone().read_only(true))?;
        let report = store.backup_to(self.archive, &how)?;
        let is_there = has(self.env, name)?;
        let mut config = match is_there {
            true => RdbStore::recorded_config(self.env, name)?,
            false => config,
        };
        config.name = name.into();
        let store = RdbStore::open(self.env, config)?;
        match store.restore_from(self.archive, &into) {
            Ok(_) => Ok(OneReport::of(&report)),
            Err(error) => {
                if !is_there {
                    drop(store);
                    RdbStore::delete_store(self.env, name)?;
                }
                Err(error.into())
            }
        }
    }

    fn database(&self, database: &str, name: &str) -> BackupResult<OneReport> {
        self.check_plain(database)?;
        self.check_plain(name)?;
        let snapshot = self.then.snapshot()?;
        let missing = || self.none("database", database);
        snapshot.database(database)?.ok_or_else(missing)?;
        let mut how = ExportOptions::default().compression(Compression::None);
        how.progress = self.options.progress;
        let (store, world) = (StoreInfo::databases(), self.env.world());
        let report = export(self.then, &snapshot, &store, &[database], self.archive, &world, &how)?;
        // An index has a name of its own, which another database may have under the name that it had.
        let rename = |of: &str| match of.strip_prefix(database) {
            Some(rest) => format!("{name}{rest}"),
            None if name == database => of.to_owned(),
            None => format!("{name}.{of}"),
        };
        let into = self.import(false);
        import(self.env, self.archive, &store, &into.rename(&rename))?;
        Ok(OneReport::of(&report))
    }

    fn range(
        &self,
        database: &str,
        name: &str,
        (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    ) -> BackupResult<OneReport> {
        self.check_plain(database)?;
        self.check_plain(name)?;
        if self.then.is_encrypted() && !self.env.is_encrypted() && !self.options.in_the_clear {
            let path = self.archive.path();
            return Err(ArchiveError::WouldBePlain { path }.into());
        }
        let snapshot = self.then.snapshot()?;
        let source = snapshot.database(database)?;
        let source = source.ok_or_else(|| self.none("database", database))?;
        let target = self.env.find_database(name)?.ok_or_else(|| self.none("database", name))?;
        if [source.kind(), target.kind()] != [DatabaseKind::Map; 2] {
            let what =
                "only of a database with one value for each key a range can be brought".into();
            return Err(EnvError::InvalidInput { what }.into());
        }
        let bounds = (as_slice(from), as_slice(to));
        let entries = snapshot.range(&source, bounds)?.collect::<Result<Vec<_>, _>>()?;
        self.env.write(|txn| {
            let old = txn.range(&target, bounds)?.map(|entry| Ok(entry?.0.to_vec()));
            for key in old.collect::<Result<Vec<_>, EnvError>>()? {
                txn.delete(&target, &key)?;
            }
            entries.iter().try_for_each(|(key, value)| txn.put(&target, key, value))
        })?;
        Ok(OneReport { commit: snapshot.commit(), entries: entries.len() as u64 })
    }

    /// Databases of stores belong to them, with more than what is in them.
    fn check_plain(&self, name: &str) -> BackupResult<()> {
        if is_of_store(name) {
            let what = format!("the database {name:?} belongs to a store, which is brought as one");
            return Err(EnvError::InvalidInput { what }.into());
        }
        Ok(())
    }

    fn import(&self, other_store: bool) -> ImportOptions<'_> {
        let keys = self.options.key.clone().map_or_else(ArchiveKeys::none, ArchiveKeys::from);
        let mut how = ImportOptions::default().keys(keys).other_store(other_store);
        how.in_the_clear = self.options.in_the_clear;
        how.progress = self.options.progress;
        // Databases as they are have no other name.
        how.other_store |= self.then.identity().environment != self.env.identity().environment;
        how
    }
}

impl OneReport {
    fn of(report: &cairn_archive::ArchiveReport) -> Self {
        Self { commit: report.header.commit, entries: report.totals.entries() }
    }
}

/// Whether a database belongs to a store, or is where stores are recorded.
pub(crate) fn is_of_store(name: &str) -> bool {
    let is_of = |store: &str| {
        name.strip_prefix(store).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ["cairn.kv", "cairn.rdb", "cairn.archive", "sql"].into_iter().any(is_of)
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}
