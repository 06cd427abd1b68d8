//! `KvStore`: a handle to a store.
//!
//! `open` says which stores there are, `shared` what the handles of one have in common, `select` how a query
//! is executed, `write` how a change is committed.

mod open;
mod restoring;
mod select;
mod shared;
mod write;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cairn_env::{Durability, EnvError, Environment, Snapshot};

pub(crate) use open::{delete, indexes, store_ids};
pub(crate) use select::Selection;
pub(crate) use shared::{Content, ResultSlot, Shared};
pub(crate) use write::{Change, Origin, check_batch, is_synced, net};

use crate::{
    Entry, Explanation, KvError, KvOptions, KvResult, KvTransaction, Observer, Query, ResultSet,
    StoreType, SubscribeType, Value, device, options::check_device, sync::lock,
};

/// A handle to a store: typed values under keys, in an environment.
///
/// Cheap to clone; any thread may use any clone. All handles of a store in a process see the same; the store
/// is open until the last one is dropped, or [closed](KvStore::close). A key is any bytes, and their order
/// is that of entries.
///
/// Reads see what is durable, and always what this handle has written and what there was when the store was opened.
///
/// ```
/// use cairn_kv::{KvOptions, KvStore, SecurityLevel};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = KvStore::open(&env, "stock", KvOptions::new(SecurityLevel::S1))?;
/// store.put("apples", 11)?;
/// store.put("note", "order more pears")?;
/// assert_eq!(store.get("apples")?.unwrap().as_i64(), Some(11));
/// store.delete("apples")?;
/// assert_eq!(store.get("apples")?, None);
/// assert_eq!(store.get_entries("n")?[0].key, "note");
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Clone)]
pub struct KvStore {
    pub(crate) shared: Arc<Shared>,
    device: Arc<str>,
    durability: Durability,
    /// The newest commit of this handle.
    last: Arc<AtomicU64>,
}

impl KvStore {
    /// Opens the store `id` of an environment, or creates it, as the options say; builds what is missing of
    /// its indexes.
    ///
    /// # Errors
    /// [`KvError::InvalidStoreId`]: it has 1 to 128 letters, digits and underscores.
    /// [`KvError::StoreNotFound`] if it is not to be created; [`KvError::ChangedOptions`];
    /// [`KvError::NotEncrypted`]; [`KvError::NameTaken`]; [`KvError::InvalidSchema`].
    pub fn open(env: &Environment, id: &str, options: KvOptions) -> KvResult<Self> {
        let shared = open::open(env, id, &options)?;
        Ok(Self {
            shared,
            device: options.device.into(),
            durability: write::durability(env, options.durability),
            last: Arc::default(),
        })
    }

    /// Options that open a store as it is recorded: for tools, which know no more of it than its id. It is not
    /// created with them.
    ///
    /// ```
    /// use cairn_kv::{KvOptions, KvStore, SecurityLevel};
    ///
    /// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S3))?.put("tea", 1)?;
    /// let store = KvStore::open(&env, "notes", KvStore::recorded_options(&env, "notes")?)?;
    /// assert_eq!(store.security_level()?, SecurityLevel::S3);
    /// # Ok::<(), cairn_kv::KvError>(())
    /// ```
    ///
    /// # Errors
    /// [`KvError::StoreNotFound`].
    pub fn recorded_options(env: &Environment, id: &str) -> KvResult<KvOptions> {
        open::record(env, id)?.options(id)
    }

    /// The ids of all stores of an environment, in order.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn ids(env: &Environment) -> KvResult<Vec<String>> {
        store_ids(env)
    }

    /// Deletes a store of an environment with everything in it, and closes all of its handles.
    ///
    /// # Errors
    /// [`KvError::StoreNotFound`]. If the environment refuses, the store is as it was.
    pub fn delete_store(env: &Environment, id: &str) -> KvResult<()> {
        delete(env, id)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// What its keys belong to.
    #[must_use]
    pub fn store_type(&self) -> StoreType {
        self.shared.store_type
    }

    /// The device whose keys this handle reads and writes.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// How sensitive its data is, as recorded.
    ///
    /// # Errors
    /// [`KvError::Closed`].
    pub fn security_level(&self) -> KvResult<crate::SecurityLevel> {
        Ok(self.recorded()?.security_level)
    }

    /// Whether it is encrypted, which is to say its environment.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.shared.env.is_encrypted()
    }

    /// Closes the store: all of its handles, result sets and observers, in this process. What was committed
    /// stays.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether both are handles of the store as it was opened once.
    pub(crate) fn is_same_opening(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`KvError::InvalidKey`], [`KvError::Closed`], and if it cannot be read.
    pub fn get(&self, key: impl AsRef<[u8]>) -> KvResult<Option<Value>> {
        self.get_stored(&self.stored_key(&self.device, key.as_ref())?)
    }

    /// The value of a key, which must be there.
    ///
    /// # Errors
    /// [`KvError::KeyNotFound`]; else as [`KvStore::get`].
    pub fn require(&self, key: impl AsRef<[u8]>) -> KvResult<Value> {
        let key = key.as_ref();
        self.get(key)?.ok_or_else(|| KvError::KeyNotFound { key: key.to_vec() })
    }

    /// The value of a key of another device, in a device collaboration store.
    ///
    /// # Errors
    /// [`KvError::NotSupported`] in a store of another type; [`KvError::InvalidDevice`]; else as
    /// [`KvStore::get`].
    pub fn get_from(&self, device: &str, key: impl AsRef<[u8]>) -> KvResult<Option<Value>> {
        if self.store_type() == StoreType::SingleVersion {
            let what = "to get a key of a device, in a store whose keys belong to no device".into();
            return Err(KvError::NotSupported { what });
        }
        check_device(device)?;
        self.get_stored(&self.stored_key(device, key.as_ref())?)
    }

    fn get_stored(&self, stored: &[u8]) -> KvResult<Option<Value>> {
        let found = self.shared.with_content(|content| {
            let (env, needed) = (&self.shared.env, self.needed(content));
            // What is wrong with a value becomes an error out here: those are large to hand on.
            Ok(env.get_durable_with(needed, &content.data, stored, Value::decode)?)
        })?;
        found.map(|value| value.map_err(|what| self.shared.no_value(stored, what))).transpose()
    }

    /// Puts a value under a key, in the place of the one that it has.
    ///
    /// # Errors
    /// [`KvError::InvalidKey`]: it has 1 to 1024 bytes, 896 in a device collaboration store.
    /// [`KvError::ValueTooLong`]; [`KvError::ValueMismatch`] if it does not follow the schema;
    /// [`KvError::Closed`]; what a commit answers.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Value>) -> KvResult<()> {
        let (key, value) = (self.own_key(key.as_ref())?, value.into());
        self.shared.check(&value)?;
        self.write(&[(key, Some(value))])
    }

    /// Puts entries, all or none. Of those with the same key the last one counts.
    ///
    /// # Errors
    /// [`KvError::BatchTooLarge`]: it has 128 at most, unless
    /// [`Limits::batch`](crate::Limits#structfield.batch) says otherwise; else as [`KvStore::put`].
    pub fn put_batch(&self, entries: impl IntoIterator<Item = Entry>) -> KvResult<()> {
        let change = |Entry { key, value }: Entry| {
            self.shared.check(&value)?;
            Ok((Cow::Owned(self.own_key(&key)?.into_owned()), Some(value)))
        };
        let changes = entries.into_iter().map(change).collect::<KvResult<Vec<_>>>()?;
        check_batch(changes.len(), self.shared.limits().batch)?;
        self.write(&net(changes))
    }

    /// Deletes a key; one that is not there is no error.
    ///
    /// # Errors
    /// [`KvError::InvalidKey`], [`KvError::Closed`], and what a commit answers.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> KvResult<()> {
        self.write(&[(self.own_key(key.as_ref())?, None)])
    }

    /// Deletes keys, all or none.
    ///
    /// # Errors
    /// [`KvError::EmptyBatch`]; [`KvError::BatchTooLarge`]; else as [`KvStore::delete`].
    pub fn delete_batch<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> KvResult<()> {
        let change = |key: K| Ok((Cow::Owned(self.own_key(key.as_ref())?.into_owned()), None));
        let changes = keys.into_iter().map(change).collect::<KvResult<Vec<_>>>()?;
        if changes.is_empty() {
            return Err(KvError::EmptyBatch);
        }
        check_batch(changes.len(), self.shared.limits().batch)?;
        self.write(&net(changes))
    }

    /// The entries whose keys begin with a prefix, or those that a query means.
    ///
    /// All of them are brought into memory: for many, [`KvStore::get_result_set`].
    ///
    /// # Errors
    /// [`KvError::InvalidQuery`] and [`KvError::NotSupported`] if the query does not fit the store;
    /// [`KvError::Closed`], and if something cannot be read.
    pub fn get_entries(&self, query: impl Into<Query>) -> KvResult<Vec<Entry>> {
        let (snapshot, selection, _) = self.select(&query.into())?;
        let mut rows = selection.rows(&snapshot)?;
        let (total, offset) = if rows.is_sorted() { (u64::MAX, 0) } else { selection.limit() };
        let (mut entries, mut at) = (Vec::new(), 0);
        let mut found = total > 0 && rows.first()?;
        while found {
            if at >= offset {
                entries.push(self.shared.entry(&selection, &rows)?);
            }
            at += 1;
            found = at < offset.saturating_add(total) && rows.next()?;
        }
        Ok(entries)
    }

    /// The same as a set that is gone through entry by entry.
    ///
    /// # Errors
    /// [`KvError::TooMany`] if 8 are open, unless
    /// [`Limits::result_sets`](crate::Limits#structfield.result_sets) says otherwise; else as
    /// [`KvStore::get_entries`].
    pub fn get_result_set(&self, query: impl Into<Query>) -> KvResult<ResultSet> {
        let slot = ResultSlot::take(&self.shared)?;
        let (snapshot, selection, epoch) = self.select(&query.into())?;
        ResultSet::new(Arc::clone(&self.shared), epoch, snapshot, selection, slot)
    }

    /// How many entries a query means. Goes over them.
    ///
    /// # Errors
    /// As [`KvStore::get_entries`].
    pub fn get_result_size(&self, query: impl Into<Query>) -> KvResult<u64> {
        let (snapshot, selection, _) = self.select(&query.into())?;
        let (total, offset) = selection.limit();
        match selection.len(&snapshot)? {
            Some(all) => Ok(all.saturating_sub(offset).min(total)),
            None => selection.count(&snapshot),
        }
    }

    /// How a query is executed, and what that takes: it is executed to the end.
    ///
    /// ```
    /// use cairn_kv::{FieldNode, KvOptions, KvStore, Query, Schema, SecurityLevel, ValueType};
    ///
    /// let mut schema = Schema::new();
    /// schema.root.append_child(FieldNode::new("age", ValueType::Integer));
    /// schema.indexes.push("$.age".into());
    /// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// let options = KvOptions::new(SecurityLevel::S1).schema(schema);
    /// let store = KvStore::open(&env, "people", options)?;
    /// for n in 0..100 {
    ///     store.put(format!("p{n:02}"), format!("{{\"age\":{}}}", n % 10))?;
    /// }
    /// let explained = store.explain(Query::new().equal_to("$.age", 7))?;
    /// assert_eq!(explained.to_string(), "index of $.age, 1 ranges; 10 examined, 10 returned");
    /// # Ok::<(), cairn_kv::KvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`KvStore::get_entries`].
    pub fn explain(&self, query: impl Into<Query>) -> KvResult<Explanation> {
        let (snapshot, selection, _) = self.select(&query.into())?;
        selection.explain(&snapshot)
    }

    /// Begins a transaction of the store.
    ///
    /// # Errors
    /// [`KvError::Closed`], and what [`Environment::begin_write`] answers.
    pub fn start_transaction(&self) -> KvResult<KvTransaction> {
        KvTransaction::begin(self)
    }

    /// Begins to observe what is committed from now on.
    ///
    /// # Errors
    /// [`KvError::TooMany`] if there are 8, unless
    /// [`Limits::observers`](crate::Limits#structfield.observers) says otherwise; [`KvError::Closed`].
    pub fn observe(&self, kind: SubscribeType) -> KvResult<Observer> {
        let _open = self.shared.content()?;
        let max = self.shared.limits().observers;
        let queue = lock(&self.shared.order).join(kind, &self.device, max)?;
        Ok(Observer::new(Arc::clone(&self.shared), queue))
    }

    /// What is recorded of the store, which must be open.
    pub(crate) fn recorded(&self) -> KvResult<crate::record::StoreRecord> {
        let _open = self.shared.content()?;
        open::record(&self.shared.env, &self.shared.id)
    }

    /// What a query means now.
    fn select(&self, query: &Query) -> KvResult<(Snapshot, Selection, u64)> {
        self.shared.with_content(|content| {
            let selection = Selection::new(&self.shared, content, &self.device, query)?;
            let snapshot = self.snapshot(content)?;
            snapshot.len(&content.data)?; // it must be there
            Ok((snapshot, selection, self.shared.epoch()))
        })
    }

    /// What is durable, if that has the content and everything that this handle has written. It may not: a store
    /// that was created or restored by a commit which is still to be synced is there for this process already.
    fn snapshot(&self, content: &Content) -> KvResult<Snapshot> {
        Ok(self.shared.env.durable_snapshot_with(self.needed(content))?)
    }

    /// A commit that every read has to see.
    fn needed(&self, content: &Content) -> u64 {
        content.since.max(self.last.load(Ordering::Acquire))
    }

    fn write(&self, changes: &[Change<'_>]) -> KvResult<()> {
        self.committed(self.shared.write(self.origin(), changes))
    }

    /// Takes note of a commit of this handle, also of one that took effect and is still to be written.
    pub(crate) fn committed(&self, commit: KvResult<u64>) -> KvResult<()> {
        if let Ok(commit) | Err(KvError::Env(EnvError::CommitPending { commit, .. })) = &commit {
            self.has_committed(*commit);
        }
        commit.map(drop)
    }

    pub(crate) fn has_committed(&self, commit: u64) {
        self.last.fetch_max(commit, Ordering::AcqRel);
    }

    pub(crate) fn origin(&self) -> Origin<'_> {
        let stripped = match self.store_type() {
            StoreType::SingleVersion => 0,
            StoreType::DeviceCollaboration => 1 + self.device.len(),
        };
        Origin { device: &self.device, stripped, durability: self.durability }
    }

    /// The stored form of a key of a device.
    ///
    /// # Errors
    /// [`KvError::InvalidKey`].
    pub(crate) fn stored_key<'k>(&self, device: &str, key: &'k [u8]) -> KvResult<Cow<'k, [u8]>> {
        let (len, max) = (key.len(), self.store_type().max_key_length());
        if !(1..=max).contains(&len) {
            return Err(KvError::InvalidKey { len, max });
        }
        Ok(match self.store_type() {
            StoreType::SingleVersion => Cow::Borrowed(key),
            StoreType::DeviceCollaboration => Cow::Owned([&device::head(device), key].concat()),
        })
    }

    pub(crate) fn own_key<'k>(&self, key: &'k [u8]) -> KvResult<Cow<'k, [u8]>> {
        self.stored_key(&self.device, key)
    }
}

impl fmt::Debug for KvStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvStore({:?}, device {:?})", self.id(), self.device)
    }
}
