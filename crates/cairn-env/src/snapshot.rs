//! `Snapshot`: a view that never changes, and iteration over it.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use cairn_btree::{Cursor as TreeCursor, FrozenRoot, ValueRef};

use crate::{
    Database, EnvError, EnvResult, Stored, Value, database::NAMES, descriptor::Descriptor,
    door::Inside, seen::Seen, view::Sealed,
};

/// A view of all databases at one commit, which never changes.
///
/// It is owned, `Send` and `'static`: keep it as long as you like, in any thread. It never conflicts
/// with writers and never waits for them; while it lives, what was superseded since stays in memory
/// and on disk.
pub struct Snapshot {
    core: Inside,
    version: Seen,
}

impl Snapshot {
    pub(crate) fn new(core: Inside, version: impl Into<Seen>) -> Self {
        core.holders.snapshots.fetch_add(1, Ordering::AcqRel);
        Self { core, version: version.into() }
    }

    /// The version, for who needs more of it than values.
    fn root(&self) -> EnvResult<&Arc<FrozenRoot>> {
        self.core.make(&self.version)
    }

    /// Reads from it, unless the environment has failed or the snapshot is too old. What is too old may
    /// become so in the middle of it, and then miss a file.
    fn read<T>(&self, look: impl FnOnce() -> EnvResult<T>) -> EnvResult<T> {
        self.check()?;
        look().map_err(|error| self.explain(error))
    }

    fn check(&self) -> EnvResult<()> {
        self.core.check()?;
        self.core.check_age_of(&self.version)
    }

    fn explain(&self, error: EnvError) -> EnvError {
        self.core.check_age_of(&self.version).err().unwrap_or(error)
    }

    /// The number of the last commit that it holds.
    #[must_use]
    pub fn commit(&self) -> u64 {
        self.version.sequence()
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// If the value or a node on the way to it cannot be read: other keys can be. If the environment
    /// has failed or was closed.
    pub fn get(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        self.read(|| self.core.get_in(&self.version, database.tree, key))
    }

    /// The values of two keys, of which the second is above the first: of neighbours both are found at the cost of one.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"tea", b"mint"))?;
    /// let [tea, with] = env.snapshot()?.get_both(&db, b"tea", b"tea/with")?;
    /// assert_eq!((&tea.unwrap()[..], with.is_none()), (&b"mint"[..], true));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_both(
        &self,
        database: &Database,
        first: &[u8],
        second: &[u8],
    ) -> EnvResult<[Option<Value>; 2]> {
        debug_assert!(first < second, "the second is above the first");
        self.read(|| self.core.get_both(self.root()?, database.tree, first, second))
    }

    /// The values of several keys, in their order. Their ways down the tree go side by side: of a database that does not fit
    /// the processor's caches, a value costs about two thirds of what [`get`](Self::get) costs.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"tea", b"mint"))?;
    /// let found = env.snapshot()?.get_many(&db, &[b"tea", b"ale"])?;
    /// assert_eq!(found[0].as_deref(), Some(&b"mint"[..]));
    /// assert!(found[1].is_none());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Snapshot::get`], if any of them cannot be read.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        database: &Database,
        keys: &[K],
    ) -> EnvResult<Vec<Option<Value>>> {
        self.read(|| self.core.get_many(self.root()?, database.tree, keys))
    }

    /// What `read` makes of the value of `key`: a small one is given to it where it lies, without a copy and without
    /// keeping its leaf in memory any longer.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"tea", b"mint"))?;
    /// let len = env.snapshot()?.get_with(&db, b"tea", |value| value.len())?;
    /// assert_eq!(len, Some(4));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_with<R>(
        &self,
        database: &Database,
        key: &[u8],
        read: impl FnOnce(Stored<'_>) -> R,
    ) -> EnvResult<Option<R>> {
        self.read(|| self.core.get_in_with(&self.version, database.tree, key, read))
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Snapshot::get`]; the value itself is not read.
    pub fn contains(&self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        self.read(|| self.core.has_in(&self.version, database.tree, key))
    }

    /// How many entries the database has. Costs nothing.
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] if the snapshot is older than the database.
    pub fn len(&self, database: &Database) -> EnvResult<u64> {
        let len = self.read(|| Ok(self.root()?.len(database.tree)?))?;
        len.ok_or_else(|| EnvError::NoSuchDatabase { name: database.name().into() })
    }

    /// Whether the database has no entries.
    ///
    /// # Errors
    /// As [`Snapshot::len`].
    pub fn is_empty(&self, database: &Database) -> EnvResult<bool> {
        Ok(self.len(database)? == 0)
    }

    /// The entries whose keys lie in `range`, in order; from both ends.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| (0..10u8).try_for_each(|n| txn.put(&db, &[n], &[n, n])))?;
    /// let snapshot = env.snapshot()?;
    /// let keys: Vec<u8> = snapshot
    ///     .range(&db, [3u8].as_slice()..[6u8].as_slice())?
    ///     .map(|entry| entry.map(|(key, _)| key[0]))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(keys, [3, 4, 5]);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the environment has failed or was closed. Errors while iterating come as items; after the
    /// first one the same place answers with an error again, so a loop that goes on sees it.
    pub fn range<'k>(
        &self,
        database: &Database,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<Range> {
        let own = |bound: Bound<&&'k [u8]>| bound.map(|key| key.to_vec());
        Range::new(self, database, own(range.start_bound()), own(range.end_bound()))
    }

    /// The entries whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn prefix(&self, database: &Database, prefix: &[u8]) -> EnvResult<Range> {
        let end = end_of_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Range::new(self, database, Bound::Included(prefix.to_vec()), end)
    }

    /// All entries, in order.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn iter(&self, database: &Database) -> EnvResult<Range> {
        Range::new(self, database, Bound::Unbounded, Bound::Unbounded)
    }

    /// A cursor over the database, before its first entry.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn cursor(&self, database: &Database) -> EnvResult<Cursor> {
        let cursor = self.read(|| Ok(self.root()?.cursor(database.tree)?))?;
        Ok(Cursor { snapshot: self.clone(), cursor })
    }

    /// As [`Snapshot::cursor`], for who goes over all of a large database once, as a backup does: what is read for it is
    /// not kept in memory, so that what others use stays there.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    pub fn scan(&self, database: &Database) -> EnvResult<Cursor> {
        let cursor = self.read(|| Ok(self.root()?.scan(database.tree)?))?;
        Ok(Cursor { snapshot: self.clone(), cursor })
    }

    /// The database `name`, of whatever kind, if this snapshot knows it.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub fn database(&self, name: &str) -> EnvResult<Option<Database>> {
        match self.read(|| self.core.get_in(&self.version, NAMES, name.as_bytes()))? {
            Some(descriptor) => Ok(Some(Descriptor::decode(name, &descriptor)?.database)),
            None => Ok(None),
        }
    }

    /// All databases, indexes among them, by name.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub fn databases(&self) -> EnvResult<Vec<Database>> {
        Ok(self.descriptors()?.into_iter().map(|found| found.database).collect())
    }

    /// What is recorded of all databases, by name.
    pub(crate) fn descriptors(&self) -> EnvResult<Vec<Descriptor>> {
        self.read(|| {
            let mut cursor = self.root()?.cursor(NAMES)?;
            let mut databases = Vec::new();
            while cursor.next()? {
                let name = String::from_utf8_lossy(cursor.key()).into_owned();
                let value = cursor.value().map(|value| self.core.value(value)).transpose()?;
                databases.push(Descriptor::decode(&name, &value.unwrap_or_default())?);
            }
            Ok(databases)
        })
    }
}

impl Sealed for Snapshot {
    fn version_with(&self, database: &Database) -> EnvResult<Option<u64>> {
        self.read(|| Ok(self.root()?.has(database.tree)?.then_some(self.commit())))
    }
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        Self::new(self.core.follow(), self.version.clone())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.core.holders.snapshots.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot(commit {})", self.commit())
    }
}

/// The first key that does not begin with `prefix` and is above all that do.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A moving position in a database of a snapshot.
#[derive(Debug)]
pub struct Cursor {
    snapshot: Snapshot,
    cursor: TreeCursor,
}

impl Cursor {
    /// Moves to the first entry whose key is not below `key`; returns whether there is one.
    ///
    /// # Errors
    /// If a node cannot be read; then seek again before moving on.
    pub fn seek(&mut self, key: &[u8]) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.seek(key)?))
    }

    /// Moves to the last entry whose key is below `key`; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn seek_before(&mut self, key: &[u8]) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.seek_before(key)?))
    }

    /// Moves to the first entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn first(&mut self) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.first()?))
    }

    /// Moves to the last entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn last(&mut self) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.last()?))
    }

    /// Moves to the next entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    #[expect(clippy::should_implement_trait, reason = "entries borrow the cursor")]
    pub fn next(&mut self) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.next()?))
    }

    /// Moves to the previous entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn previous(&mut self) -> EnvResult<bool> {
        self.snapshot.read(|| Ok(self.cursor.previous()?))
    }

    /// The key of the entry; empty if the cursor stands on none.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    /// The value of the entry; a small one without a copy, a large one is read now.
    ///
    /// # Errors
    /// If a large value cannot be read.
    pub fn value_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> EnvResult<Option<R>> {
        Ok(self.stored()?.map(|value| read(&value)))
    }

    /// The value of the entry, where it lies.
    ///
    /// # Errors
    /// If a large value cannot be read.
    pub fn stored(&self) -> EnvResult<Option<Stored<'_>>> {
        match self.cursor.value() {
            None => Ok(None),
            Some(ValueRef::Inline(bytes)) => Ok(Some(Stored::Embedded(bytes))),
            Some(ValueRef::Pointer(pointer)) => {
                let value = self.snapshot.read(|| self.snapshot.core.large_value(pointer))?;
                Ok(Some(Stored::Beside(value)))
            }
        }
    }

    /// A copy of the value of the entry.
    ///
    /// # Errors
    /// If a large value cannot be read.
    pub fn value(&self) -> EnvResult<Option<Bytes>> {
        let value = |value| self.snapshot.read(|| self.snapshot.core.value(value));
        self.cursor.value().map(value).transpose()
    }
}

/// Entries in the order of their keys, from both ends: see [`Snapshot::range`].
#[derive(Debug)]
pub struct Range {
    snapshot: Snapshot,
    front: End,
    back: End,
    /// Keys at which the two ends stand; they have met when the front is not below the back.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    done: bool,
}

#[derive(Debug)]
struct End {
    cursor: TreeCursor,
    placed: bool,
}

impl Range {
    fn new(
        snapshot: &Snapshot,
        database: &Database,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
    ) -> EnvResult<Self> {
        let end_of = || -> EnvResult<End> {
            let cursor = snapshot.read(|| Ok(snapshot.root()?.cursor(database.tree)?))?;
            Ok(End { cursor, placed: false })
        };
        Ok(Self {
            front: end_of()?,
            back: end_of()?,
            snapshot: snapshot.clone(),
            start,
            end,
            done: false,
        })
    }

    fn below_end(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
        }
    }

    fn above_start(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
        }
    }

    fn step_front(&mut self) -> EnvResult<Option<(Bytes, Bytes)>> {
        self.snapshot.check()?;
        let cursor = &mut self.front.cursor;
        let found = match (&self.start, self.front.placed) {
            (_, true) => cursor.next()?,
            (Bound::Unbounded, false) => cursor.first()?,
            (Bound::Included(key), false) => cursor.seek(key)?,
            (Bound::Excluded(key), false) => {
                cursor.seek(key)? && (cursor.key() != &key[..] || cursor.next()?)
            }
        };
        self.front.placed = true;
        if !found || !self.below_end(self.front.cursor.key()) {
            self.done = true;
            return Ok(None);
        }
        let entry = self.entry(true)?;
        // The other end may come up to here and no further.
        self.start = Bound::Excluded(self.front.cursor.key().to_vec());
        Ok(entry)
    }

    fn step_back(&mut self) -> EnvResult<Option<(Bytes, Bytes)>> {
        self.snapshot.check()?;
        let cursor = &mut self.back.cursor;
        let found = match (&self.end, self.back.placed) {
            (_, true) => cursor.previous()?,
            (Bound::Unbounded, false) => cursor.last()?,
            (Bound::Excluded(key), false) => cursor.seek_before(key)?,
            (Bound::Included(key), false) => {
                cursor.seek(key)? && cursor.key() == &key[..] || cursor.seek_before(key)?
            }
        };
        self.back.placed = true;
        if !found || !self.above_start(self.back.cursor.key()) {
            self.done = true;
            return Ok(None);
        }
        let entry = self.entry(false)?;
        self.end = Bound::Excluded(self.back.cursor.key().to_vec());
        Ok(entry)
    }

    fn entry(&self, front: bool) -> EnvResult<Option<(Bytes, Bytes)>> {
        let cursor = if front { &self.front.cursor } else { &self.back.cursor };
        let Some(value) = cursor.value() else { return Ok(None) };
        let value = self.snapshot.core.value(value)?;
        Ok(Some((Bytes::copy_from_slice(cursor.key()), value)))
    }
}

impl Iterator for Range {
    type Item = EnvResult<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.step_front().map_err(|error| self.snapshot.explain(error)).transpose()
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.step_back().map_err(|error| self.snapshot.explain(error)).transpose()
    }
}
