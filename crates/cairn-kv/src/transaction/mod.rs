//! `KvTransaction`: changes of a store that happen together or not at all.
//!
//! `part` is what a store is to a transaction of its environment, its own or one that `within` is given.

mod part;
mod within;

use std::fmt;

use cairn_env::{EnvError, Transaction};

use part::Part;
pub use within::KvWithin;

use crate::{Entry, KvError, KvResult, KvStore, Value};

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
    part: Part,
    txn: Transaction,
}

impl KvTransaction {
    pub(crate) fn begin(store: &KvStore) -> KvResult<Self> {
        let mut txn = store.shared.env.begin_write()?;
        Ok(Self { part: Part::of(store, &mut txn)?, txn })
    }

    /// The value of a key, as this transaction left it.
    ///
    /// # Errors
    /// As [`KvStore::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> KvResult<Option<Value>> {
        self.part.get(&self.txn, key.as_ref())
    }

    /// The entries whose keys begin with `prefix`, as this transaction left them.
    ///
    /// # Errors
    /// As [`KvStore::get_entries`].
    pub fn get_entries(&self, prefix: impl AsRef<[u8]>) -> KvResult<Vec<Entry>> {
        self.part.get_entries(&self.txn, prefix.as_ref())
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// As [`KvStore::put`]; then the transaction is as it was.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Value>) -> KvResult<()> {
        self.part.put(&mut self.txn, key.as_ref(), &value.into())
    }

    /// Puts entries.
    ///
    /// # Errors
    /// As [`KvStore::put_batch`]. If the environment refuses one, those before it are put.
    pub fn put_batch(&mut self, entries: impl IntoIterator<Item = Entry>) -> KvResult<()> {
        self.part.put_batch(&mut self.txn, entries)
    }

    /// Deletes a key; one that is not there is no error.
    ///
    /// # Errors
    /// As [`KvStore::delete`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> KvResult<()> {
        self.part.delete(&mut self.txn, key.as_ref())
    }

    /// Commits.
    ///
    /// # Errors
    /// A conflict; [`KvError::Closed`] if the store was closed or restored meanwhile; what a commit answers.
    pub fn commit(self) -> KvResult<()> {
        self.part.check()?;
        let Self { part, txn } = self;
        match txn.commit_with(part.store.origin().durability) {
            Ok(_) => Ok(()),
            // What it has changed was replaced by a restore.
            Err(EnvError::NoSuchDatabase { .. }) => Err(KvError::Closed { what: "transaction" }),
            // The store was closed or restored meanwhile, if it was that.
            Err(error @ EnvError::InvalidInput { .. }) => part.check().and(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the changes up, which dropping it does as well.
    pub fn rollback(self) {}
}

impl fmt::Debug for KvTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvTransaction({:?}, {:?})", self.part.store, self.txn)
    }
}
