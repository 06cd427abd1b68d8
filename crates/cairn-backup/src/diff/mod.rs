//! `diff`: what differs between two environments, by store, table and key; two points of a repository above all.
//!
//! Both sides have their entries in the same order, so one walk over both finds everything, in the memory of one entry of
//! each. Of a key-value store and of a plain database these are its entries, of a SQL file the rows of its tables: that
//! a page of it is another one says nothing to anybody.

mod merge;
#[cfg(feature = "sql")]
mod rows;
#[cfg(feature = "sql")]
mod tables;

use std::{collections::BTreeSet, fmt};

use cairn_archive::Change;
use cairn_env::{Cursor, Database, DatabaseKind, Environment, Snapshot};
use cairn_log::Digest;

use crate::{BackupError, BackupResult, one::is_of_store};
use merge::merge;

/// What sort of store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ComparedSort {
    /// A key-value store.
    KeyValue,
    /// A SQL file: that of a relational store, or one that a program has opened itself.
    Sql,
    /// A database that belongs to no store.
    Database,
}

impl fmt::Display for ComparedSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyValue => "store",
            Self::Sql => "sql",
            Self::Database => "database",
        })
    }
}

/// How two environments are compared.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct CompareOptions<'a> {
    /// Only the stores with this name, of whatever sort: the id of a key-value store, the name of a SQL file, or that of
    /// a database (default: all).
    pub store: Option<&'a str>,
    /// Called from time to time with how many bytes of entries were read.
    pub progress: Option<&'a dyn Fn(u64)>,
}

impl<'a> CompareOptions<'a> {
    /// Sets [`CompareOptions::store`](CompareOptions#structfield.store).
    #[must_use]
    pub const fn store(mut self, store: Option<&'a str>) -> Self {
        self.store = store;
        self
    }

    /// Reports progress.
    #[must_use]
    pub const fn progress(mut self, progress: &'a dyn Fn(u64)) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Debug for CompareOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompareOptions(store: {:?})", self.store)
    }
}

/// One entry, or row, that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedEntry {
    /// What sort of store it is in.
    pub sort: ComparedSort,
    /// What that is called.
    pub store: String,
    /// The table, in a SQL file.
    pub table: Option<String>,
    /// Which one it is.
    pub key: ComparedKey,
    /// How it differs.
    pub change: Change,
}

/// Which entry, or row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "entries have keys, and rows have what tells them apart"
)]
pub enum ComparedKey {
    /// The key of an entry, as it is stored.
    Entry(Vec<u8>),
    /// What tells a row from the others of its table, as text: its rowid, or the columns of its primary key with `|`
    /// between them.
    Row(String),
}

/// How many entries, or rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompareCounts {
    /// That are the same.
    pub same: u64,
    /// That only the second side has.
    pub added: u64,
    /// That only the first side has.
    pub removed: u64,
    /// That both sides have, with different content.
    pub changed: u64,
}

impl CompareCounts {
    /// Whether all are the same.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }

    const fn count(&mut self, change: Option<Change>) {
        match change {
            None => self.same += 1,
            Some(Change::Added) => self.added += 1,
            Some(Change::Removed) => self.removed += 1,
            Some(Change::Changed) => self.changed += 1,
        }
    }
}

/// A store that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedStore {
    /// What sort it is.
    pub sort: ComparedSort,
    /// What it is called.
    pub name: String,
    /// Whether it is there on one side only, or is another sort of thing: a key-value store with other options, a
    /// database of another kind.
    pub change: Option<Change>,
    /// Its entries; of a SQL file the rows of all of its tables.
    pub counts: CompareCounts,
    /// The tables of a SQL file, by name.
    pub tables: Vec<ComparedTable>,
    /// Indexes, views, triggers and virtual tables of a SQL file that differ.
    pub definitions: Vec<(String, Change)>,
}

/// A table that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedTable {
    /// What it is called.
    pub name: String,
    /// Whether it is there on one side only, or is made in another way. Then the columns are compared that both have.
    pub change: Option<Change>,
    /// Its rows.
    pub counts: CompareCounts,
}

impl ComparedStore {
    /// Whether nothing of it differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let tables = self.tables.iter().all(|table| table.change.is_none());
        self.change.is_none() && self.counts.is_same() && tables && self.definitions.is_empty()
    }
}

/// What a comparison has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompareReport {
    /// The last commit of each side.
    pub commits: (u64, u64),
    /// All stores, by their sorts and names.
    pub stores: Vec<ComparedStore>,
}

impl CompareReport {
    /// Whether both sides hold the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.stores.iter().all(ComparedStore::is_same)
    }
}

/// Compares two environments, and gives each entry and row that differs to `found`, as it comes. They are what
/// [`Repository::open_backup`](crate::Repository::open_backup) or [`open_backup`](crate::open_backup()) has opened, or any
/// others.
///
/// ```
/// use cairn_backup::{CompareOptions, PointOptions, Repository, RestoreOptions, Which, compare};
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # let dir = tempfile::tempdir().unwrap();
/// # let repository = Repository::create(dir.path().join("repo"))?;
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
/// repository.backup(&env, &PointOptions::default())?;
/// env.write(|txn| txn.delete(&users, b"ada"))?;
/// repository.backup(&env, &PointOptions::default())?;
///
/// let open = |number| {
///     let (which, how) = (Which::Number(number), RestoreOptions::default());
///     Ok::<_, cairn_backup::BackupError>(repository.open_backup(None, &which, &how)?.0)
/// };
/// let report = compare(&open(1)?, &open(2)?, &CompareOptions::default(), &mut |_| {})?;
/// assert_eq!(report.stores[0].counts.removed, 1);
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
///
/// # Errors
/// [`BackupError::NoSuchStore`] if neither side has the store that the options name; what cannot be read.
pub fn compare(
    one: &Environment,
    other: &Environment,
    options: &CompareOptions<'_>,
    found: &mut dyn FnMut(&ComparedEntry),
) -> BackupResult<CompareReport> {
    let sides = [one, other];
    let snapshots = [one.snapshot()?, other.snapshot()?];
    let commits = (snapshots[0].commit(), snapshots[1].commit());
    let mut compare = Compare { sides, snapshots, options, found, read: 0 };
    let mut report = CompareReport { commits, stores: Vec::new() };
    compare.key_value(&mut report)?;
    compare.sql(&mut report)?;
    compare.databases(&mut report)?;
    match options.store {
        Some(name) if report.stores.is_empty() => {
            Err(BackupError::NoSuchStore { what: "store or database", name: name.into() })
        }
        _ => Ok(report),
    }
}

/// A comparison that goes on.
struct Compare<'a, 'o> {
    sides: [&'a Environment; 2],
    snapshots: [Snapshot; 2],
    options: &'a CompareOptions<'o>,
    found: &'a mut dyn FnMut(&ComparedEntry),
    /// Bytes of entries.
    read: u64,
}

impl Compare<'_, '_> {
    /// The names that both sides have together, as far as they are asked for.
    fn names(
        &self,
        of: impl Fn(&Environment, &Snapshot) -> BackupResult<Vec<String>>,
    ) -> BackupResult<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for (env, snapshot) in self.sides.into_iter().zip(&self.snapshots) {
            names.extend(of(env, snapshot)?);
        }
        names.retain(|name| self.options.store.is_none_or(|store| store == name));
        Ok(names)
    }

    #[cfg(feature = "kv")]
    fn key_value(&mut self, report: &mut CompareReport) -> BackupResult<()> {
        for name in self.names(|env, _| Ok(cairn_kv::KvStore::ids(env)?))? {
            let sort = ComparedSort::KeyValue;
            let mut store = self.database(sort, &name, &format!("cairn.kv/{name}"))?;
            let record = |snapshot: &Snapshot| -> BackupResult<Option<Vec<u8>>> {
                let Some(stores) = snapshot.database("cairn.kv")? else { return Ok(None) };
                Ok(snapshot.get(&stores, name.as_bytes())?.map(|record| record.to_vec()))
            };
            let [one, other] = &self.snapshots;
            let (one, other) = (record(one)?, record(other)?);
            store.change = change(&one, &other);
            report.stores.push(store);
        }
        Ok(())
    }

    #[cfg(not(feature = "kv"))]
    fn key_value(&mut self, _: &mut CompareReport) -> BackupResult<()> {
        Ok(())
    }

    #[cfg(not(feature = "sql"))]
    fn sql(&mut self, _: &mut CompareReport) -> BackupResult<()> {
        Ok(())
    }

    fn databases(&mut self, report: &mut CompareReport) -> BackupResult<()> {
        let plain = |_: &Environment, snapshot: &Snapshot| {
            let databases = snapshot.databases()?.into_iter();
            let is_plain = |database: &Database| {
                database.kind() != DatabaseKind::Index && !is_of_store(database.name())
            };
            let plain = databases.filter(is_plain);
            Ok(plain.map(|database| database.name().to_owned()).collect())
        };
        for name in self.names(plain)? {
            let store = self.database(ComparedSort::Database, &name, &name)?;
            report.stores.push(store);
        }
        Ok(())
    }

    /// Compares the entries of one database.
    fn database(
        &mut self,
        sort: ComparedSort,
        store: &str,
        database: &str,
    ) -> BackupResult<ComparedStore> {
        let [one, other] = &self.snapshots;
        let (ones, others) = (one.database(database)?, other.database(database)?);
        let kind = |found: &Option<Database>| found.as_ref().map(Database::kind);
        let change = change(&kind(&ones), &kind(&others));
        let (mut ones, mut others) = (Entries::of(one, ones)?, Entries::of(other, others)?);
        let (mut read, progress) = (self.read, self.options.progress);
        let counts = merge(
            || ones.next(),
            || others.next(),
            |(one, _), (other, _)| one.cmp(other),
            |(_, one), (_, other)| one == other,
            |change, (key, (length, _))| {
                read += key.len() as u64 + length;
                progress.inspect(|progress| progress(read));
                if let Some(change) = change {
                    let (key, store) = (ComparedKey::Entry(key.clone()), store.to_owned());
                    (self.found)(&ComparedEntry { sort, store, table: None, key, change });
                }
            },
        )?;
        self.read = read;
        let (tables, definitions) = (Vec::new(), Vec::new());
        Ok(ComparedStore { sort, name: store.into(), change, counts, tables, definitions })
    }
}

/// How what may be there on two sides differs.
fn change<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> Option<Change> {
    match (one, other) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (one, other) => (one != other).then_some(Change::Changed),
    }
}

/// The entries of a database that may be there, in the order of their keys.
struct Entries(Option<Cursor>);

/// A key, with the length and the digest of its value.
type Entry = (Vec<u8>, (u64, Digest));

impl Entries {
    fn of(snapshot: &Snapshot, database: Option<Database>) -> BackupResult<Self> {
        Ok(Self(database.map(|database| snapshot.scan(&database)).transpose()?))
    }

    fn next(&mut self) -> BackupResult<Option<Entry>> {
        let Some(cursor) = &mut self.0 else { return Ok(None) };
        if !cursor.next()? {
            return Ok(None);
        }
        let value = cursor.value_with(|value| (value.len() as u64, Digest::of(value)))?;
        Ok(Some((cursor.key().to_vec(), value.unwrap_or_default())))
    }
}
