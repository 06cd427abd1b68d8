//! `KvTransaction`: changes of a store that happen together or not at all.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use cairn_env::Transaction;

use crate::{
    Entry, KvError, KvResult, KvStore, Value,
    store::{Content, check_batch, net},
};

/// Changes of a store that happen together or not at all. From [`KvStore::start_transaction`].
///
/// What it has changed it sees itself; nobody else does before it is committed. Any number of transactions
/// may be open; if one has read what another has changed since, its commit answers a conflict
/// ([`KvError::is_retryable`]), and nothing has happened. Dropping it rolls back.
///
/// Its changes have 512 MiB at most.
///
/// ```
/// use cairn_kv::{KvOptions, KvStore, SecurityLevel};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = KvStore::open(&env, "accounts", KvOptions::new(SecurityLevel::S4))?;
/// store.put("ada", 10)?;
/// let mut transfer = store.start_transaction()?;
/// let has = transfer.get("ada")?.and_then(|has| has.as_i64()).unwrap_or(0);
/// transfer.put("ada", has - 7)?;
/// transfer.put("emmy", 7i64)?;
/// assert_eq!(store.get("emmy")?, None);
/// transfer.commit()?;
/// assert_eq!(store.get("emmy")?.unwrap().as_i64(), Some(7));
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[must_use = "dropping a transaction rolls it back"]
pub struct KvTransaction {
    store: KvStore,
    content: Content,
    /// The content of the store that it changes.
    epoch: u64,
    txn: Transaction,
    /// The stored keys of what it has changed.
    changed: BTreeSet<Vec<u8>>,
}

impl KvTransaction {
    pub(crate) fn new(store: KvStore, content: Content, epoch: u64, txn: Transaction) -> Self {
        Self { store, content, epoch, txn, changed: BTreeSet::new() }
    }

    fn check(&self) -> KvResult<()> {
        if self.store.shared.epoch() == self.epoch {
            return Ok(());
        }
        Err(KvError::Closed { what: "transaction" })
    }

    /// The value of a key, as this transaction left it.
    ///
    /// # Errors
    /// As [`KvStore::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> KvResult<Option<Value>> {
        self.check()?;
        let stored = self.store.own_key(key.as_ref())?;
        let found = self.txn.get(&self.content.data, &stored)?;
        let decode =
            |value: cairn_env::Value| self.store.shared.decode(&stored, value.into_bytes().into());
        found.map(decode).transpose()
    }

    /// The entries whose keys begin with `prefix`, as this transaction left them.
    ///
    /// # Errors
    /// As [`KvStore::get_entries`].
    pub fn get_entries(&self, prefix: impl AsRef<[u8]>) -> KvResult<Vec<Entry>> {
        self.check()?;
        let stripped = self.store.origin().stripped;
        let head = match stripped {
            0 => Vec::new(),
            _ => crate::device::head(self.store.device()),
        };
        let stored = [&head, prefix.as_ref()].concat();
        let entry = |entry: cairn_env::EnvResult<(bytes::Bytes, bytes::Bytes)>| {
            let (key, value) = entry?;
            let value = self.store.shared.decode(&key, value.into())?;
            Ok(Entry { key: key.slice(stripped..), value })
        };
        self.txn.prefix(&self.content.data, &stored)?.map(entry).collect()
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// As [`KvStore::put`]; then the transaction is as it was.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Value>) -> KvResult<()> {
        self.check()?;
        let (key, value) = (self.store.own_key(key.as_ref())?.into_owned(), value.into());
        self.store.shared.check(&value)?;
        self.change(key, Some(&value))
    }

    /// Puts entries.
    ///
    /// # Errors
    /// As [`KvStore::put_batch`]. If the environment refuses one, those before it are put.
    pub fn put_batch(&mut self, entries: impl IntoIterator<Item = Entry>) -> KvResult<()> {
        self.check()?;
        let change = |Entry { key, value }: Entry| {
            self.store.shared.check(&value)?;
            Ok((Cow::Owned(self.store.own_key(&key)?.into_owned()), Some(value)))
        };
        let changes = entries.into_iter().map(change).collect::<KvResult<Vec<_>>>()?;
        check_batch(changes.len(), self.store.shared.limits().batch)?;
        let mut changes = net(changes).into_iter();
        changes.try_for_each(|(key, value)| self.change(key.into_owned(), value.as_ref()))
    }

    /// Deletes a key; one that is not there is no error.
    ///
    /// # Errors
    /// As [`KvStore::delete`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> KvResult<()> {
        self.check()?;
        let key = self.store.own_key(key.as_ref())?.into_owned();
        self.change(key, None)
    }

    fn change(&mut self, key: Vec<u8>, value: Option<&Value>) -> KvResult<()> {
        match value {
            Some(value) => {
                self.txn.put_parts(&self.content.data, &key, &value.stored()?.parts())?;
            }
            None => self.txn.delete(&self.content.data, &key)?,
        }
        self.changed.insert(key);
        Ok(())
    }

    /// Commits.
    ///
    /// # Errors
    /// A conflict; [`KvError::Closed`] if the store was closed or restored meanwhile; what a commit answers.
    pub fn commit(self) -> KvResult<()> {
        self.check()?;
        let Self { store, txn, changed, .. } = self;
        store.committed(store.shared.commit(store.origin(), txn, &changed))
    }

    /// Gives the changes up, which dropping it does as well.
    pub fn rollback(self) {}
}

impl fmt::Debug for KvTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvTransaction({:?}, {} changes)", self.store, self.changed.len())
    }
}
