//! `View`: what entries can be read from, be it a snapshot or a transaction.

use std::ops::Bound;

use bytes::Bytes;

use crate::{Database, EnvError, EnvResult, Range, Snapshot, Transaction, TransactionRange, Value};

/// The bounds of a range of keys.
pub type KeyBounds<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// What entries can be read from: a [`Snapshot`], or a [`Transaction`], whose reads count.
///
/// What is built on databases ([`Multimap`](crate::Multimap), [`Index`](crate::Index)) reads through
/// this, so that it reads the same from both.
///
/// ```
/// use cairn_env::{Database, DatabaseOptions, EnvResult, Environment, Options, View};
///
/// fn total(view: &impl View, prices: &Database) -> EnvResult<u64> {
///     let mut total = 0;
///     for entry in view.entries(prices, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))? {
///         total += u64::from(entry?.1[0]);
///     }
///     Ok(total)
/// }
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let prices = env.database("prices", DatabaseOptions::default())?;
/// let total = env.write(|txn| {
///     txn.put(&prices, b"apple", &[3])?;
///     total(txn, &prices)
/// })?;
/// assert_eq!(total, 3);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[expect(private_bounds, reason = "nothing else can be one")]
pub trait View: Sealed {
    /// Entries in the order of their keys, from both ends.
    type Entries<'v>: DoubleEndedIterator<Item = EnvResult<(Bytes, Bytes)>>
    where
        Self: 'v;

    /// The value of `key`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn value(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>>;

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Snapshot::contains`].
    fn has(&self, database: &Database, key: &[u8]) -> EnvResult<bool>;

    /// The entries whose keys lie within the bounds.
    ///
    /// # Errors
    /// As [`Snapshot::range`].
    fn entries(&self, database: &Database, bounds: KeyBounds<'_>) -> EnvResult<Self::Entries<'_>>;

    /// How many entries the database has. In a transaction this counts as a read of all of it.
    ///
    /// # Errors
    /// As [`Snapshot::len`].
    fn count(&self, database: &Database) -> EnvResult<u64>;
}

/// What a view can do that is nobody else's business.
pub(crate) trait Sealed {
    /// The number of the newest commit in it, if it has the tree of this database.
    fn version_with(&self, database: &Database) -> EnvResult<Option<u64>>;
}

/// The newest commit in the view, which must have the database.
pub(crate) fn version_with(view: &impl View, database: &Database) -> EnvResult<u64> {
    let missing = || EnvError::NoSuchDatabase { name: database.name().into() };
    view.version_with(database)?.ok_or_else(missing)
}

impl View for Snapshot {
    type Entries<'v> = Range;

    fn value(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        self.get(database, key)
    }

    fn has(&self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        self.contains(database, key)
    }

    fn entries(&self, database: &Database, bounds: KeyBounds<'_>) -> EnvResult<Range> {
        self.range(database, bounds)
    }

    fn count(&self, database: &Database) -> EnvResult<u64> {
        self.len(database)
    }
}

impl View for Transaction {
    type Entries<'v> = TransactionRange<'v>;

    fn value(&self, database: &Database, key: &[u8]) -> EnvResult<Option<Value>> {
        self.get(database, key)
    }

    fn has(&self, database: &Database, key: &[u8]) -> EnvResult<bool> {
        self.contains(database, key)
    }

    fn entries(
        &self,
        database: &Database,
        bounds: KeyBounds<'_>,
    ) -> EnvResult<TransactionRange<'_>> {
        self.range(database, bounds)
    }

    fn count(&self, database: &Database) -> EnvResult<u64> {
        self.len(database)
    }
}
