//! `KvWithin`: a store within a transaction that somebody else commits.

use cairn_env::Transaction;

use super::part::Part;
use crate::{Entry, KvResult, KvStore, Value};

/// A store within a transaction of its environment, which commits what changes here together with everything else that
/// it changes: other stores, databases, SQL files. From [`KvStore::within`].
///
/// It may be asked for again and again in the same transaction. When that is committed, the store's observers are told
/// as of any change of it; the transaction's durability counts, and not that of the handle.
///
/// ```
/// use cairn_kv::{KvOptions, KvStore, SecurityLevel};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let stock = KvStore::open(&env, "stock", KvOptions::new(SecurityLevel::S1))?;
/// let orders = KvStore::open(&env, "orders", KvOptions::new(SecurityLevel::S1))?;
/// stock.put("mint", 7i64)?;
///
/// let mut txn = env.begin_write()?;
/// let left = stock.within(&mut txn)?.get("mint")?.and_then(|left| left.as_i64()).unwrap_or(0);
/// stock.within(&mut txn)?.put("mint", left - 1)?;
/// orders.within(&mut txn)?.put("2024-1", "mint")?;
/// txn.commit()?;
/// assert_eq!(stock.get("mint")?.unwrap().as_i64(), Some(6));
/// assert_eq!(orders.get("2024-1")?.unwrap().as_str(), Some("mint"));
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Debug)]
pub struct KvWithin<'t> {
    part: Part,
    txn: &'t mut Transaction,
}

impl KvStore {
    /// The store within a transaction of its environment, to change both at once.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`](cairn_env::EnvError::InvalidInput) for a transaction of another environment;
    /// [`KvError::NotSupported`](crate::KvError::NotSupported) if a handle of another device takes part in it already;
    /// [`KvError::Closed`](crate::KvError::Closed).
    pub fn within<'t>(&self, txn: &'t mut Transaction) -> KvResult<KvWithin<'t>> {
        Ok(KvWithin { part: Part::of(self, txn)?, txn })
    }
}

impl KvWithin<'_> {
    /// The value of a key, as the transaction left it.
    ///
    /// # Errors
    /// As [`KvTransaction::get`](crate::KvTransaction::get).
    pub fn get(&self, key: impl AsRef<[u8]>) -> KvResult<Option<Value>> {
        self.part.get(self.txn, key.as_ref())
    }

    /// The entries whose keys begin with `prefix`, as the transaction left them.
    ///
    /// # Errors
    /// As [`KvTransaction::get_entries`](crate::KvTransaction::get_entries).
    pub fn get_entries(&self, prefix: impl AsRef<[u8]>) -> KvResult<Vec<Entry>> {
        self.part.get_entries(self.txn, prefix.as_ref())
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// As [`KvTransaction::put`](crate::KvTransaction::put).
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Value>) -> KvResult<()> {
        self.part.put(self.txn, key.as_ref(), &value.into())
    }

    /// Puts entries.
    ///
    /// # Errors
    /// As [`KvTransaction::put_batch`](crate::KvTransaction::put_batch).
    pub fn put_batch(&mut self, entries: impl IntoIterator<Item = Entry>) -> KvResult<()> {
        self.part.put_batch(self.txn, entries)
    }

    /// Deletes a key; one that is not there is no error.
    ///
    /// # Errors
    /// As [`KvTransaction::delete`](crate::KvTransaction::delete).
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> KvResult<()> {
        self.part.delete(self.txn, key.as_ref())
    }
}
