//! `ExclusiveTransaction`: changes of any size that take effect together, one transaction at a time.

mod replace;

use std::{
    collections::BTreeSet,
    fmt,
    marker::PhantomData,
    ops::RangeBounds,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use cairn_btree::{TreeId, TreeWriter, ValuePointer, ValueRef};

use super::{CommitInfo, check_lengths};
use crate::{
    Database, DatabaseKind, DatabaseOptions, Durability, EnvError, EnvResult, Range, Snapshot,
    Value,
    commit::{self, Encoder},
    database::{self, NAMES},
    descriptor::Descriptor,
    door::Inside,
    index::IndexChange,
};

/// Changes are logged in parts of about this many bytes.
const PART_BYTES: usize = 1 << 20;

/// A transaction that may change more than fits into memory: it changes a fork of the trees in place
/// and logs its changes while it goes on. Made by
/// [`Environment::begin_exclusive`](crate::Environment::begin_exclusive).
///
/// While it is open, commits of other threads wait, so it never conflicts; snapshots go on and see
/// nothing of it. It costs a journal record per MiB of changes rather than one of everything. Dropping it
/// gives it up: what it has written then takes space in the log until the cleaner has been there. After a
/// crash it is there as a whole or not at all. (Berkeley DB's exclusive database handles are for the same
/// uses; LMDB and redb know no other transactions.)
///
/// ```
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let mut txn = env.begin_exclusive()?;
/// let db = txn.create_database("squares", DatabaseOptions::default())?;
/// txn.load(&db, (0..10_000u32).map(|n| (n.to_be_bytes(), (n * n).to_be_bytes())))?;
/// txn.delete(&db, &7u32.to_be_bytes())?;
/// txn.commit()?;
/// assert_eq!(env.snapshot()?.len(&db)?, 9_999);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[must_use = "dropping a transaction gives it up"]
pub struct ExclusiveTransaction {
    core: Inside,
    /// `None` when it has ended.
    fork: Option<TreeWriter>,
    /// Changes that the fork has and the journal has not.
    unlogged: Encoder,
    parts: u64,
    /// The number that its commit will have.
    sequence: u64,
    /// Whether it has put anything, so that limits of the space on disk hold for it.
    adds: bool,
    drops: bool,
    /// The databases that it has put in place of others.
    replaced: BTreeSet<TreeId>,
    /// Changes of the indexes that come with its commit.
    index_changes: Vec<IndexChange>,
    /// What failed half way: nothing can be committed any more.
    failed: Option<Arc<EnvError>>,
    /// It belongs to the thread that the others wait for.
    not_send: PhantomData<*const ()>,
}

impl ExclusiveTransaction {
    pub(crate) fn begin(core: Inside) -> EnvResult<Self> {
        let (fork, sequence) = core.begin_exclusive()?;
        core.holders.transactions.fetch_add(1, Ordering::AcqRel);
        let unlogged = Encoder::new(Vec::new(), core.files.is_encrypted());
        Ok(Self {
            core,
            fork: Some(fork),
            unlogged,
            parts: 0,
            sequence,
            adds: false,
            drops: false,
            replaced: BTreeSet::new(),
            index_changes: Vec::new(),
            failed: None,
            not_send: PhantomData,
        })
    }

    /// The value of `key`, as this transaction left it.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&mut self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        self.get_in(database.tree, key)
    }

    fn get_in(&mut self, tree: TreeId, key: &[u8]) -> EnvResult<Option<Value>> {
        let found = self.fork()?.get_with(tree, key, |value| match value {
            ValueRef::Inline(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            ValueRef::Pointer(pointer) => Err(pointer),
        })?;
        match found {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes.into())),
            Some(Err(pointer)) => Ok(Some(self.core.large_value(pointer)?.into())),
        }
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&mut self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        Ok(self.fork()?.get_with(database.tree, key, |_| ())?.is_some())
    }

    /// How many entries the database has, as this transaction left it. Costs nothing.
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] if there is no such database.
    pub fn len(&mut self, database: &Database) -> EnvResult<u64> {
        let len = self.fork()?.len(database.tree)?;
        len.ok_or_else(|| EnvError::NoSuchDatabase { name: database.name().into() })
    }

    /// Whether the database has no entries.
    ///
    /// # Errors
    /// As [`ExclusiveTransaction::len`].
    pub fn is_empty(&mut self, database: &Database) -> EnvResult<bool> {
        Ok(self.len(database)? == 0)
    }

    /// The entries whose keys lie in `range`, in order and from both ends, as this transaction left
    /// them.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn range<'k>(
        &mut self,
        database: &Database,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<ExclusiveRange<'_>> {
        Ok(ExclusiveRange { range: self.now()?.range(database, range)?, transaction: PhantomData })
    }

    /// The entries whose keys begin with `prefix`, as [`ExclusiveTransaction::range`] gives them.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn prefix(&mut self, database: &Database, prefix: &[u8]) -> EnvResult<ExclusiveRange<'_>> {
        let range = self.now()?.prefix(database, prefix)?;
        Ok(ExclusiveRange { range, transaction: PhantomData })
    }

    fn now(&mut self) -> EnvResult<Snapshot> {
        let sequence = self.sequence;
        let frozen = self.fork()?.freeze(sequence)?;
        Ok(Snapshot::new(self.core.follow(), frozen))
    }

    /// Puts a value.
    ///
    /// # Errors
    /// If key or value exceed their limits, or there is no such database: then nothing was changed. If
    /// the disk fails or is full: then the transaction can only be given up.
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> EnvResult<()> {
        check_lengths(key, Some(value))?;
        self.check_writable(database)?;
        self.put_in(database.tree, key, value, database.embed_max)
    }

    fn put_in(
        &mut self,
        tree: TreeId,
        key: &[u8],
        value: &[u8],
        embed_max: usize,
    ) -> EnvResult<()> {
        let sequence = self.sequence;
        self.adds = true;
        if value.len() > embed_max {
            let offset = self.unlogged.put_large(tree, key, value);
            let crc = cairn_log::crc32c(value);
            let lsn = self.log()?;
            let pointer = lsn
                .and_then(|lsn| commit::pointer(lsn, offset, value.len(), crc))
                .ok_or_else(|| EnvError::internal("a large value without a position"))?;
            return self.change(|fork| insert(fork, tree, key, pointer, sequence));
        }
        self.unlogged.put(tree, key, value, embed_max);
        self.change(|fork| {
            fork.insert(tree, key, ValueRef::Inline(value), sequence).map(drop)?;
            Ok(())
        })?;
        self.log_if_much()
    }

    /// Puts entries whose keys ascend, which is the fastest way to fill a database: leaves are filled one
    /// after the other. Returns how many there were. Keys may lie between those that are there already.
    ///
    /// Into a database that this transaction has made by
    /// [`replace_database`](ExclusiveTransaction::replace_database), entries go as they are stored.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a key that is not above the one before it: the entries before it
    /// are put. [`EnvError::NoPair`] for what is no entry of a multimap or an index. As
    /// [`ExclusiveTransaction::put`].
    pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        database: &Database,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> EnvResult<u64> {
        self.check_loadable(database)?;
        self.load_ascending(database, entries)
    }

    /// As [`load`](ExclusiveTransaction::load), of entries as they are stored, also into a multimap, whose keys and
    /// values are one key then: for copies of databases.
    ///
    /// # Errors
    /// As [`load`](ExclusiveTransaction::load).
    pub fn load_stored<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        database: &Database,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> EnvResult<u64> {
        match database.kind() {
            DatabaseKind::Multimap => self.check_database(database)?,
            DatabaseKind::Map | DatabaseKind::Index => self.check_loadable(database)?,
        }
        self.load_ascending(database, entries)
    }

    fn load_ascending<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        database: &Database,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> EnvResult<u64> {
        let (mut count, mut last) = (0, Vec::new());
        for (key, value) in entries {
            let (key, value) = (key.as_ref(), value.as_ref());
            if count > 0 && key <= &last[..] {
                let show = |key| cairn_log::dump::show_bytes(key, 32);
                let (key, last) = (show(key), show(&last));
                let what = format!("keys of a load ascend, but {key} comes after {last}");
                return Err(EnvError::InvalidInput { what });
            }
            check_lengths(key, Some(value))?;
            replace::check_entry(database, key, value)?;
            self.put_in(database.tree, key, value, database.embed_max)?;
            last.clear();
            last.extend_from_slice(key);
            count += 1;
        }
        Ok(count)
    }

    /// Removes a key; returns whether it had a value.
    ///
    /// # Errors
    /// As [`ExclusiveTransaction::put`].
    pub fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        check_lengths(key, None)?;
        self.check_writable(database)?;
        self.delete_in(database.tree, key)
    }

    fn delete_in(&mut self, tree: TreeId, key: &[u8]) -> EnvResult<bool> {
        let sequence = self.sequence;
        let mut was_there = false;
        self.change(|fork| {
            was_there = fork.remove(tree, key, sequence)?.is_some();
            Ok(())
        })?;
        if was_there {
            self.unlogged.delete(tree, key);
            self.log_if_much()?;
        }
        Ok(was_there)
    }

    /// The database `name`, created if it does not exist; it comes into being with the commit.
    ///
    /// # Errors
    /// As [`Transaction::create_database`](crate::Transaction::create_database).
    pub fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
        database::check_name(name)?;
        if let Some(descriptor) = self.get_in(NAMES, name.as_bytes())? {
            let found = Descriptor::decode(name, &descriptor)?.database;
            return found.expect_kind(options.kind).map(|()| found);
        }
        options.check_kind(name)?;
        let created = Database::create(name, self.core.next_tree()?, options);
        self.create_tree(created.tree)?;
        self.put_in(
            NAMES,
            name.as_bytes(),
            &Descriptor::from(created.clone()).encode(),
            usize::MAX,
        )?;
        Ok(created)
    }

    /// Creates a tree, and that of the list of databases if this is the first.
    fn create_tree(&mut self, tree: TreeId) -> EnvResult<()> {
        for tree in [NAMES, tree] {
            if !self.fork()?.has(tree)? {
                self.unlogged.create(tree);
                self.change(|fork| Ok(fork.create(tree)?))?;
            }
        }
        Ok(())
    }

    /// Drops a database with everything in it and with its indexes, as
    /// [`Transaction::drop_database`](crate::Transaction::drop_database) does.
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] if it does not exist, or not any more.
    pub fn drop_database(&mut self, database: &Database) -> EnvResult<()> {
        self.check_database(database)?;
        self.drop_with_indexes(database)
    }

    /// Commits with the environment's durability.
    ///
    /// # Errors
    /// [`EnvError::CommitUnknown`] if a sync failed: the environment must be opened again, and only then
    /// is it known whether the commit is there. Any other error: nothing was changed.
    pub fn commit(self) -> EnvResult<CommitInfo> {
        let durability = self.core.options.durability;
        self.commit_with(durability)
    }

    /// Commits with a durability of its own.
    ///
    /// # Errors
    /// As [`ExclusiveTransaction::commit`].
    pub fn commit_with(mut self, durability: Durability) -> EnvResult<CommitInfo> {
        self.fork()?;
        self.log()?;
        if self.parts == 0 {
            return Ok(CommitInfo { commit: self.sequence - 1 });
        }
        let Some(fork) = self.fork.take() else { return Err(ended()) };
        let changes = std::mem::take(&mut self.index_changes);
        let commit = self.core.commit_fork(fork, self.parts, changes)?;
        if self.drops {
            self.core.schedule.has_graves.store(true, Ordering::Release);
            self.core.wake_worker();
        }
        self.core.acknowledge(commit, durability)?;
        Ok(CommitInfo { commit })
    }

    /// The fork, unless something has failed before.
    fn fork(&mut self) -> EnvResult<&mut TreeWriter> {
        self.core.check()?;
        if let Some(cause) = &self.failed {
            let what = format!("the transaction has failed and can only be given up: {cause}");
            return Err(EnvError::InvalidInput { what });
        }
        self.fork.as_mut().ok_or_else(ended)
    }

    fn check_database(&mut self, database: &Database) -> EnvResult<()> {
        if self.fork()?.has(database.tree)? {
            Ok(())
        } else {
            Err(EnvError::NoSuchDatabase { name: database.name().into() })
        }
    }

    /// An error unless entries of the database can be changed here.
    fn check_writable(&mut self, database: &Database) -> EnvResult<()> {
        database.expect_kind(DatabaseKind::Map)?;
        self.check_no_index(database)?;
        self.check_database(database)
    }

    /// An error if a change would leave an index behind.
    fn check_no_index(&self, database: &Database) -> EnvResult<()> {
        if database.kind() != DatabaseKind::Index && !self.has_index(database)? {
            return Ok(());
        }
        let what = format!(
            "database {:?} has an index or is one, which an exclusive transaction does not keep up: use \
             begin_write, or drop the index before and build it again after",
            database.name()
        );
        Err(EnvError::InvalidInput { what })
    }

    /// Changes the fork, and keeps its memory within bounds.
    fn change(&mut self, change: impl FnOnce(&mut TreeWriter) -> EnvResult<()>) -> EnvResult<()> {
        let sequence = self.sequence;
        let fork = self.fork()?;
        let result = change(fork).and_then(|()| {
            let fork = self.fork.as_mut().ok_or_else(ended)?;
            if self.core.bound_private_of(fork, sequence)? && self.core.forest.excess() > 0 {
                self.core.write_back(usize::MAX)?;
            }
            Ok(())
        });
        result.map_err(|error| self.fail(error))
    }

    fn log_if_much(&mut self) -> EnvResult<()> {
        if self.unlogged.len() >= PART_BYTES { self.log().map(drop) } else { Ok(()) }
    }

    /// Logs what was not logged yet; returns where the record stands.
    fn log(&mut self) -> EnvResult<Option<cairn_log::Lsn>> {
        if self.unlogged.is_empty() {
            return Ok(None);
        }
        let files = &self.core.files;
        let next = Encoder::new(Vec::new(), files.is_encrypted());
        let encoder = std::mem::replace(&mut self.unlogged, next);
        let logged = files.payload(encoder).map_err(EnvError::from).and_then(|mut part| {
            part.set(commit::TIME, &self.parts.to_le_bytes());
            self.core.append_part(self.sequence, &mut part, self.adds)
        });
        let lsn = logged.map_err(|error| self.fail(error))?;
        self.parts += 1;
        Ok(Some(lsn))
    }

    fn fail(&mut self, error: EnvError) -> EnvError {
        let why = EnvError::internal(error.to_string());
        self.failed.get_or_insert_with(|| Arc::new(why));
        error
    }
}

/// Entries in the order of their keys, from both ends: see [`ExclusiveTransaction::range`].
#[derive(Debug)]
pub struct ExclusiveRange<'t> {
    range: Range,
    /// What is given up must not be held by anybody.
    transaction: PhantomData<&'t mut ExclusiveTransaction>,
}

impl Iterator for ExclusiveRange<'_> {
    type Item = EnvResult<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.range.next()
    }
}

impl DoubleEndedIterator for ExclusiveRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back()
    }
}

fn insert(
    fork: &mut TreeWriter,
    tree: TreeId,
    key: &[u8],
    pointer: ValuePointer,
    sequence: u64,
) -> EnvResult<()> {
    fork.insert(tree, key, ValueRef::Pointer(pointer), sequence)?;
    Ok(())
}

fn ended() -> EnvError {
    EnvError::internal("an exclusive transaction that has ended")
}

impl Drop for ExclusiveTransaction {
    fn drop(&mut self) {
        if let Some(fork) = self.fork.take() {
            // A failure has failed the environment, which every handle says from now on.
            self.core.end_exclusive(Some(fork)).unwrap_or_default();
        }
        self.core.holders.transactions.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for ExclusiveTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExclusiveTransaction(commit {}, {} parts)", self.sequence, self.parts)
    }
}
