//! `Transaction`: changes of any databases that take effect together or not at all.

mod exclusive;
mod range;
mod reads;
mod savepoint;
mod submit;

use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeBounds,
    sync::{Arc, OnceLock, PoisonError},
};

use bytes::Bytes;
use cairn_btree::{FrozenRoot, MAX_KEY_LEN, TreeId};
use cairn_io::shared::{Mutex, MutexGuard, atomic::Ordering};

pub use exclusive::{ExclusiveRange, ExclusiveTransaction};
pub use range::TransactionRange;
pub(crate) use reads::{Interval, ReadSet};
pub use savepoint::Savepoint;
pub use submit::{Companion, PendingCommit, Submission};

use crate::{
    Database, DatabaseOptions, Durability, EnvError, EnvResult, Environment, MAX_TRANSACTION_LEN,
    MAX_VALUE_LEN, Snapshot, Value,
    commit::{Encoder, Observed, Request},
    core::Core,
    database::{self, NAMES},
    descriptor::{Descriptor, IndexFacts},
    door::Inside,
    index::{IndexChange, Registry},
    seen::Seen,
    sync::lock,
    view::Sealed,
};

/// A transaction: changes are kept in memory until [`Transaction::commit`], and reads see them.
///
/// Transactions are optimistic and serializable, any number of them at a time. Nothing is locked; if,
/// between this one's first read and its commit, another transaction commits a change of something
/// that this one has read, the commit answers [`EnvError::Conflict`] and nothing has happened: run it
/// again, or let [`Environment::write`](crate::Environment::write) do so. Read is a key that was asked
/// for, whether it was there or not, and everything that a scan went over, the gaps between the
/// entries included. A transaction that reads nothing never conflicts.
///
/// The changes are in the order of the commits: each transaction read what the commits before it had
/// left, and nothing else. (Backward validation: Kung and Robinson, 1981.)
#[must_use = "dropping a transaction gives it up"]
pub struct Transaction {
    core: Inside,
    /// What it sees, from its first read on.
    base: OnceLock<Seen>,
    /// What it has seen.
    reads: Mutex<ReadSet>,
    writes: BTreeMap<TreeId, Writes>,
    /// Databases that it creates: the first number, and their descriptors.
    creates: Vec<Database>,
    /// Databases that it drops.
    drops: Vec<Database>,
    /// The indexes that it keeps up, from its first change on.
    indexes: OnceLock<Arc<Registry>>,
    index_changes: Vec<IndexChange>,
    bytes: usize,
    undo: savepoint::Undo,
    /// Who goes along, by name.
    companions: BTreeMap<String, Arc<dyn Companion>>,
    /// Tells transactions of an environment apart.
    number: u64,
}

/// Changes of one database: a value, or its removal.
#[derive(Debug, Default)]
struct Writes {
    database: Option<Database>,
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What a commit reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The number of the commit: 1, 2, 3 … without gaps. For a transaction that changed nothing,
    /// the number of the newest commit that it could see.
    pub commit: u64,
}

impl Transaction {
    pub(crate) fn new(core: Inside) -> Self {
        core.holders.transactions.fetch_add(1, Ordering::AcqRel);
        let number = core.holders.begun.fetch_add(1, Ordering::Relaxed);
        Self {
            core,
            base: OnceLock::new(),
            reads: Mutex::default(),
            writes: BTreeMap::new(),
            creates: Vec::new(),
            drops: Vec::new(),
            indexes: OnceLock::new(),
            index_changes: Vec::new(),
            bytes: 0,
            undo: savepoint::Undo::default(),
            companions: BTreeMap::new(),
            number,
        }
    }

    /// The version that the transaction sees. The first call decides which one.
    fn base(&self) -> EnvResult<&Seen> {
        self.core.check()?;
        if let Some(base) = self.base.get() {
            self.core.check_age_of(base)?;
            return Ok(base);
        }
        let _first = self.reads();
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        // First this, then the version: each commit after that version is recorded, or known not to
        // be.
        self.core.holders.observers.fetch_add(1, Ordering::SeqCst);
        match self.core.latest() {
            Ok(newest) => Ok(self.base.get_or_init(|| newest)),
            Err(error) => {
                self.core.holders.observers.fetch_sub(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// That version, for who needs more of it than values.
    fn root(&self) -> EnvResult<&Arc<FrozenRoot>> {
        self.core.make(self.base()?)
    }

    fn reads(&self) -> MutexGuard<'_, ReadSet> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> EnvResult<Snapshot> {
        Ok(Snapshot::new(self.core.follow(), self.base()?.clone()))
    }

    /// The value of `key`, as this transaction left it.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        if let Some(change) = self.change(database, key) {
            return Ok(change.map(|value| Bytes::copy_from_slice(value).into()));
        }
        let base = self.base()?;
        // Planted: a miss is no read.
        if !cairn_io::planted::is(27) || self.core.has_in(base, database.tree, key)? {
            self.reads().point(database, key);
        }
        self.core.get_in(base, database.tree, key)
    }

    /// As [`Transaction::get`], but the read does not count: the commit succeeds even if another
    /// transaction has changed the value meanwhile. For hints and statistics; what is decided by such a
    /// read is not serializable.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_untracked(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        match self.change(database, key) {
            Some(change) => Ok(change.map(|value| Bytes::copy_from_slice(value).into())),
            None => self.core.get_in(self.base()?, database.tree, key),
        }
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains(&self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        if let Some(change) = self.change(database, key) {
            return Ok(change.is_some());
        }
        let base = self.base()?;
        self.reads().point(database, key);
        self.core.has_in(base, database.tree, key)
    }

    /// How many entries the database has, as this transaction left it. Counts as a read of all of it.
    ///
    /// # Errors
    /// As [`Snapshot::len`].
    pub fn len(&self, database: &Database) -> EnvResult<u64> {
        let base = self.root()?;
        self.reads().interval(database, Interval::everything());
        let created = self.creates.iter().any(|created| created.tree == database.tree);
        let mut len = match base.len(database.tree)? {
            None if created => 0,
            None => return Err(EnvError::NoSuchDatabase { name: database.name().into() }),
            Some(len) => len,
        };
        for (key, change) in self.writes.get(&database.tree).iter().flat_map(|w| &w.entries) {
            let before = base.get_with(database.tree, key, |_| ())?.is_some();
            match (before, change) {
                (false, Some(_)) => len += 1,
                (true, None) => len -= 1,
                _ => {}
            }
        }
        Ok(len)
    }

    /// Whether the database has no entries, as this transaction left it.
    ///
    /// # Errors
    /// As [`Transaction::len`].
    pub fn is_empty(&self, database: &Database) -> EnvResult<bool> {
        Ok(self.len(database)? == 0)
    }

    /// What the transaction has changed in a database until now, each key once and in order: its value, or `None` if it
    /// was removed.
    pub fn changes(&self, database: &Database) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let entries = self.writes.get(&database.tree).into_iter().flat_map(|of| &of.entries);
        entries.map(|(key, value)| (&key[..], value.as_deref()))
    }

    /// Whether this is a transaction of that environment, opened as it is.
    #[must_use]
    pub fn is_of(&self, env: &Environment) -> bool {
        Arc::ptr_eq(&self.core, &env.core)
    }

    fn change(&self, database: &Database, key: &[u8]) -> Option<Option<&[u8]>> {
        self.writes.get(&database.tree)?.entries.get(key).map(Option::as_deref)
    }

    /// The entries whose keys lie in `range`, in order and from both ends, as this transaction left
    /// them.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn range<'k>(
        &self,
        database: &Database,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<TransactionRange<'_>> {
        let bounds = (range.start_bound().map(|key| *key), range.end_bound().map(|key| *key));
        let stored = self.snapshot()?.range(database, bounds)?;
        let changes = self.writes.get(&database.tree).map(|writes| &writes.entries);
        Ok(TransactionRange::new(self, database, stored, changes, bounds))
    }

    /// The entries whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn prefix(&self, database: &Database, prefix: &[u8]) -> EnvResult<TransactionRange<'_>> {
        match crate::snapshot::end_of_prefix(prefix) {
            Some(end) => self.range(database, prefix..&end[..]),
            None => self.range(database, prefix..),
        }
    }

    /// Puts a value. Reads nothing, so it cannot conflict; but if the database has an
    /// [`Index`](crate::Index), that changes too, and the value that is replaced is read for it.
    ///
    /// # Errors
    /// If key, value or the whole transaction exceed their limits: then nothing was changed. Likewise
    /// [`EnvError::WrongKind`] for a database with another kind of entries,
    /// [`EnvError::IndexNotRegistered`] if it has an index of which nobody has said what it holds, and
    /// [`EnvError::NotUnique`] if an index stands against it.
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> EnvResult<()> {
        self.put_parts(database, key, &[value])
    }

    /// Puts a value that lies in parts, one behind the other: who has it in parts need not join them first.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put_parts(&db, b"tea", &[&[1], b"mint"]))?;
    /// assert_eq!(env.snapshot()?.get(&db, b"tea")?.unwrap(), b"\x01mint");
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_parts(&mut self, database: &Database, key: &[u8], parts: &[&[u8]]) -> EnvResult<()> {
        check_key(key)?;
        check_value_len(parts.iter().map(|part| part.len()).sum())?;
        self.change_entry(database, key, Some(parts.concat()))
    }

    /// Removes a key; does nothing if it has no value. Reads nothing, so it cannot conflict; but see
    /// [`Transaction::put`].
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<()> {
        self.change_entry(database, key, None)
    }

    /// Changes an entry as it is stored.
    pub(crate) fn set(
        &mut self,
        database: &Database,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> EnvResult<()> {
        check_key(key)?;
        if self.is_dropped(database) {
            return Err(EnvError::NoSuchDatabase { name: database.name().into() });
        }
        let bytes = self.has_room(Self::bytes_of(key, value.as_deref()))?;
        let writes = self.writes.entry(database.tree).or_default();
        if writes.database.is_none() {
            writes.database = Some(database.clone());
        }
        let before = writes.entries.insert(key.to_vec(), value);
        self.bytes = match &before {
            Some(replaced) => bytes - Self::bytes_of(key, replaced.as_deref()),
            None => bytes,
        };
        if self.undo.is_armed() {
            self.undo.push(database.tree, key, before);
        }
        Ok(())
    }

    /// Bytes that a change takes in the journal, at most.
    pub(crate) fn bytes_of(key: &[u8], value: Option<&[u8]>) -> usize {
        const OVERHEAD: usize = 32;
        key.len() + value.map_or(0, <[u8]>::len) + OVERHEAD
    }

    /// Bytes of all changes if there were so many more; an error if that is too much.
    pub(crate) fn has_room(&self, more: usize) -> EnvResult<usize> {
        let (bytes, max) = (self.bytes + more, MAX_TRANSACTION_LEN);
        if bytes > max { Err(EnvError::TransactionTooLarge { bytes, max }) } else { Ok(bytes) }
    }

    pub(crate) fn is_dropped(&self, database: &Database) -> bool {
        self.drops.iter().any(|dropped| dropped.tree == database.tree)
    }

    /// The indexes that the transaction keeps up. The first call decides which.
    pub(crate) fn indexes(&self) -> EnvResult<&Arc<Registry>> {
        if let Some(indexes) = self.indexes.get() {
            return Ok(indexes);
        }
        let indexes = self.core.indexes()?;
        Ok(self.indexes.get_or_init(|| indexes))
    }

    /// A change of the indexes that comes with the commit.
    pub(crate) fn change_index(&mut self, change: IndexChange) {
        self.index_changes.push(change);
    }

    /// The database `name`, created if it does not exist; it comes into being with the commit.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is empty or longer than 255 bytes;
    /// [`EnvError::WrongKind`] if it exists and is of another kind.
    pub fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
        database::check_name(name)?;
        let created = self.creates.iter().find(|created| created.name() == name).cloned();
        let found = match created {
            Some(created) => Some(created),
            None => self.descriptor(name)?.map(|found| found.database),
        };
        if let Some(found) = found {
            return found.expect_kind(options.kind).map(|()| found);
        }
        options.check_kind(name)?;
        self.create(name, options, None)
    }

    /// Creates a database that does not exist.
    pub(crate) fn create(
        &mut self,
        name: &str,
        options: DatabaseOptions,
        index: Option<IndexFacts>,
    ) -> EnvResult<Database> {
        let database = Database::create(name, self.core.next_tree()?, options);
        self.describe(&Descriptor { database: database.clone(), index })?;
        self.creates.push(database.clone());
        Ok(database)
    }

    /// Changes what the list of databases says of one.
    pub(crate) fn describe(&mut self, descriptor: &Descriptor) -> EnvResult<()> {
        let name = descriptor.database.name().as_bytes();
        self.set(&Database::names(), name, Some(descriptor.encode()))
    }

    /// What the list of databases says of one.
    pub(crate) fn descriptor(&self, name: &str) -> EnvResult<Option<Descriptor>> {
        let found = self.get(&Database::names(), name.as_bytes())?;
        found.map(|found| Descriptor::decode(name, &found)).transpose()
    }

    /// Drops a database with everything in it. It is gone with the commit, however large it is; the
    /// space comes back by and by. Snapshots from before still have it; in later ones a handle of it
    /// finds nothing, and writing to it is an error. Its name is free for another one, in this
    /// transaction already. Its indexes are dropped with it; to drop one of them alone, drop
    /// [`Index::database`](crate::Index::database).
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("old", DatabaseOptions::default())?;
    /// env.write(|txn| txn.drop_database(&db))?;
    /// assert!(env.find_database("old")?.is_none());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] if it does not exist, or not any more.
    pub fn drop_database(&mut self, database: &Database) -> EnvResult<()> {
        let found = self.descriptor(database.name())?;
        if found.is_none_or(|found| found.database.tree != database.tree) {
            return Err(EnvError::NoSuchDatabase { name: database.name().into() });
        }
        for index in self.indexes_of(database)? {
            if !self.is_dropped(&index) {
                self.drop_alone(&index)?;
            }
        }
        self.drop_alone(database)
    }

    /// Gives a database another name, and returns its handle. Its entries and its indexes stay what they are; older
    /// handles go on as well, and call it by its old name in messages. The old name is free for another one, in this
    /// transaction already.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("users", DatabaseOptions::default())?;
    /// env.write(|txn| {
    ///     txn.rename_database(&db, "users of last year")?;
    ///     txn.create_database("users", DatabaseOptions::default())
    /// })?;
    /// assert!(env.find_database("users of last year")?.is_some());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] if it does not exist, or not any more; [`EnvError::InvalidInput`] for a name that is
    /// taken, empty, or longer than 255 bytes, for an index, whose name says what it is, and for a database that this
    /// transaction has created.
    pub fn rename_database(&mut self, database: &Database, name: &str) -> EnvResult<Database> {
        database::check_name(name)?;
        let found = self.descriptor(database.name())?;
        let found = found.filter(|found| found.database.tree == database.tree);
        let found =
            found.ok_or_else(|| EnvError::NoSuchDatabase { name: database.name().into() })?;
        let why = if found.index.is_some() {
            "it is an index, which is found by its name"
        } else if self.creates.iter().any(|created| created.tree == database.tree) {
            "this transaction has created it: create it under that name"
        } else if self.descriptor(name)?.is_some() {
            "there is a database of that name already"
        } else {
            self.set(&Database::names(), database.name().as_bytes(), None)?;
            let renamed = found.database.renamed(name);
            self.describe(&Descriptor::from(renamed.clone()))?;
            return Ok(renamed);
        };
        let what = format!("database {:?} cannot be called {name:?}: {why}", database.name());
        Err(EnvError::InvalidInput { what })
    }

    fn drop_alone(&mut self, database: &Database) -> EnvResult<()> {
        self.set(&Database::names(), database.name().as_bytes(), None)?;
        self.creates.retain(|created| created.tree != database.tree);
        self.drops.push(database.clone());
        Ok(())
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.writes.is_empty() && self.creates.is_empty()
    }

    /// Commits with the environment's durability.
    ///
    /// # Errors
    /// [`EnvError::Conflict`] if another transaction got in between. [`EnvError::CommitUnknown`] if
    /// a sync failed: the environment must be opened again, and only then is it known whether the
    /// commit is there. Any other error: nothing was changed.
    pub fn commit(self) -> EnvResult<CommitInfo> {
        let durability = self.core.options.durability;
        self.commit_with(durability)
    }

    /// Commits with a durability of its own.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit_with(self, durability: Durability) -> EnvResult<CommitInfo> {
        self.submit(durability)?.wait()
    }

    fn request(&mut self) -> EnvResult<Request> {
        let encrypted = self.core.files.is_encrypted();
        let mut encoder = Encoder::new(Vec::with_capacity(self.bytes + 64), encrypted);
        if self.writes.contains_key(&NAMES) && !self.root()?.has(NAMES)? {
            // Only the first of several may do that.
            self.reads().interval(&Database::names(), Interval::everything());
            encoder.create(NAMES);
        }
        self.creates.iter().for_each(|created| encoder.create(created.tree));
        let dropped = |tree: TreeId| self.drops.iter().any(|dropped| dropped.tree == tree);
        for (&tree, writes) in self.writes.iter().filter(|(tree, _)| !dropped(**tree)) {
            let embed_max = writes.database.as_ref().map_or(0, |database| database.embed_max);
            for (key, value) in &writes.entries {
                match value {
                    Some(value) => encoder.put(tree, key, value, embed_max),
                    None => encoder.delete(tree, key),
                }
            }
        }
        self.drops.iter().for_each(|dropped| encoder.drop_tree(dropped.tree));
        let created = |tree: &TreeId| {
            dropped(*tree)
                || *tree == NAMES
                || self.creates.iter().any(|created| created.tree == *tree)
        };
        let changes = self.writes.iter().filter(|(tree, _)| !created(tree));
        let drop_index = |dropped: &Database| IndexChange::Drop { tree: dropped.tree };
        Ok(Request {
            payload: self.core.files.payload(encoder)?,
            changes: changes.filter_map(|(_, writes)| writes.database.clone()).collect(),
            adds: !self.creates.is_empty()
                || self.writes.values().any(|writes| writes.entries.values().any(Option::is_some)),
            drops: self.drops.clone(),
            indexes: self.indexes.get().cloned(),
            index_changes: self
                .drops
                .iter()
                .map(drop_index)
                .chain(std::mem::take(&mut self.index_changes))
                .collect(),
            observed: self.base.get().map(|base| Observed {
                since: match cairn_io::planted::is(28) {
                    true => self.core.latest.load(Ordering::Acquire), // Planted: reads dated by the commit.
                    false => base.sequence(),
                },
                reads: std::mem::take(&mut *self.reads()).finish(),
            }),
        })
    }
}

impl Core {
    /// A number for a new tree. It is gone even if the transaction never commits: a handle of a database
    /// that did not come into being must not become one of another database.
    fn next_tree(&self) -> EnvResult<TreeId> {
        let mut commit = lock(&self.commit);
        let tree = TreeId(commit.next_tree);
        let next = commit.next_tree.checked_add(1);
        commit.next_tree = next
            .filter(|next| *next < TreeId::LIMIT)
            .ok_or(EnvError::Exhausted { what: "numbers of trees" })?;
        Ok(tree)
    }
}

/// An error unless key and value may be put.
fn check_lengths(key: &[u8], value: Option<&[u8]>) -> EnvResult<()> {
    check_key(key)?;
    value.map_or(Ok(()), |value| check_value_len(value.len()))
}

fn check_key(key: &[u8]) -> EnvResult<()> {
    let (len, max) = (key.len(), MAX_KEY_LEN);
    if len > max { Err(EnvError::KeyTooLong { len, max }) } else { Ok(()) }
}

fn check_value_len(len: usize) -> EnvResult<()> {
    let max = MAX_VALUE_LEN;
    if len > max { Err(EnvError::ValueTooLong { len, max }) } else { Ok(()) }
}

impl Sealed for Transaction {
    fn version_with(&self, database: &Database) -> EnvResult<Option<u64>> {
        Ok(self.root()?.has(database.tree)?.then_some(self.base()?.sequence()))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.base.get().is_some() {
            self.core.holders.observers.fetch_sub(1, Ordering::SeqCst);
        }
        self.core.holders.transactions.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: usize = self.writes.values().map(|writes| writes.entries.len()).sum();
        write!(f, "Transaction({changes} changes)")
    }
}
