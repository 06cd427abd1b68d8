//! `Multimap`: a database whose keys have sorted sets of values.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;

use crate::{
    Database, DatabaseKind, DatabaseOptions, EnvError, EnvResult, Environment, KeyBounds,
    Transaction, View,
    pair::{self, OwnBounds},
    snapshot::end_of_prefix,
};

/// A database whose keys have sorted sets of values.
///
/// A pair of key and value is stored as one key of the tree, so that a set can be of any size and
/// costs no more than its values. How many pairs there are is known ([`Snapshot::len`]); how many
/// values a key has is counted when it is asked. Reads are the same from a snapshot and from a
/// transaction, where they count: to have read the values of a key is to have read that there are no
/// others.
///
/// Key and value together have at most [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) − 2 bytes, in which each
/// zero byte of the key counts twice. (Sorted duplicates: Berkeley DB.)
///
/// ```
/// use cairn_env::{Environment, Options};
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let tags = env.multimap("tags")?;
/// env.write(|txn| {
///     tags.put(txn, b"rust", b"cairn")?;
///     tags.put(txn, b"rust", b"tokio")?;
///     tags.put(txn, b"java", b"je")
/// })?;
/// let snapshot = env.snapshot()?;
/// let values: Vec<_> = tags.values(&snapshot, b"rust")?.collect::<Result<_, _>>()?;
/// assert_eq!(values, ["cairn", "tokio"]);
/// let keys: Vec<_> = tags.keys(&snapshot, ..)?.rev().collect::<Result<_, _>>()?;
/// assert_eq!(keys, ["rust", "java"]);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
///
/// [`Snapshot::len`]: crate::Snapshot::len
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multimap {
    database: Database,
}

impl TryFrom<Database> for Multimap {
    type Error = EnvError;

    /// [`EnvError::WrongKind`] if it is of another kind.
    fn try_from(database: Database) -> EnvResult<Self> {
        database.expect_kind(DatabaseKind::Multimap)?;
        Ok(Self { database })
    }
}

impl Environment {
    /// The multimap `name`, created if there is no database of that name.
    ///
    /// # Errors
    /// As [`Environment::database`].
    pub fn multimap(&self, name: &str) -> EnvResult<Multimap> {
        self.database(name, DatabaseOptions::default().kind(DatabaseKind::Multimap))?.try_into()
    }
}

impl Multimap {
    /// The pairs of an index: each of its keys with the keys of the entries that it leads to.
    pub(crate) const fn of_index(database: Database) -> Self {
        Self { database }
    }

    /// The database in which it lies.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Adds a value to those of `key`; does nothing if it has it. Reads nothing, so it cannot
    /// conflict.
    ///
    /// # Errors
    /// [`EnvError::PairTooLong`], and as [`Transaction::put`]: then nothing was changed.
    pub fn put(&self, txn: &mut Transaction, key: &[u8], value: &[u8]) -> EnvResult<()> {
        self.database.expect_kind(DatabaseKind::Multimap)?;
        txn.set(&self.database, &pair::encode(key, value)?, Some(Vec::new()))
    }

    /// Removes a value of `key`; does nothing if it does not have it. Reads nothing, so it cannot
    /// conflict.
    ///
    /// # Errors
    /// As [`Multimap::put`].
    pub fn delete(&self, txn: &mut Transaction, key: &[u8], value: &[u8]) -> EnvResult<()> {
        self.database.expect_kind(DatabaseKind::Multimap)?;
        txn.set(&self.database, &pair::encode(key, value)?, None)
    }

    /// Removes all values of `key`; returns how many there were. Reads them.
    ///
    /// # Errors
    /// As [`Multimap::put`] and [`Multimap::values`]; some may then have been removed.
    pub fn delete_all(&self, txn: &mut Transaction, key: &[u8]) -> EnvResult<u64> {
        self.database.expect_kind(DatabaseKind::Multimap)?;
        let values: Vec<Bytes> = self.values(txn, key)?.collect::<EnvResult<_>>()?;
        for value in &values {
            self.delete(txn, key, value)?;
        }
        Ok(values.len() as u64)
    }

    /// Whether `key` has this value.
    ///
    /// # Errors
    /// As [`Snapshot::contains`](crate::Snapshot::contains). A pair that is too long is in no multimap.
    pub fn contains(&self, view: &impl View, key: &[u8], value: &[u8]) -> EnvResult<bool> {
        match pair::encode(key, value) {
            Ok(pair) => view.has(&self.database, &pair),
            Err(_) => Ok(false),
        }
    }

    /// The first value of `key`.
    ///
    /// # Errors
    /// As [`Multimap::values`].
    pub fn first(&self, view: &impl View, key: &[u8]) -> EnvResult<Option<Bytes>> {
        self.values(view, key)?.next().transpose()
    }

    /// The values of `key`, in order and from both ends.
    ///
    /// # Errors
    /// As [`Snapshot::range`](crate::Snapshot::range).
    pub fn values<'v, V: View>(
        &self,
        view: &'v V,
        key: &[u8],
    ) -> EnvResult<impl DoubleEndedIterator<Item = EnvResult<Bytes>> + use<'v, V>> {
        let pairs = self.range(view, key..=key)?;
        Ok(pairs.map(|pair| pair.map(|(_, value)| value)))
    }

    /// How many values `key` has. Goes over them.
    ///
    /// # Errors
    /// As [`Multimap::values`].
    pub fn count(&self, view: &impl View, key: &[u8]) -> EnvResult<u64> {
        let mut count = 0;
        for value in self.values(view, key)? {
            value?;
            count += 1;
        }
        Ok(count)
    }

    /// The pairs whose keys lie in `range`, in order and from both ends.
    ///
    /// # Errors
    /// As [`Snapshot::range`](crate::Snapshot::range).
    pub fn range<'v, 'k, V: View>(
        &self,
        view: &'v V,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<Pairs<V::Entries<'v>>> {
        let bounds = pair::bounds(own(range.start_bound()), own(range.end_bound()));
        self.pairs(view, as_ref(&bounds))
    }

    /// The pairs whose keys begin with `prefix`, in order and from both ends.
    ///
    /// # Errors
    /// As [`Snapshot::range`](crate::Snapshot::range).
    pub fn prefix<'v, V: View>(
        &self,
        view: &'v V,
        prefix: &[u8],
    ) -> EnvResult<Pairs<V::Entries<'v>>> {
        let prefix = pair::prefix(prefix);
        let end = end_of_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        self.pairs(view, as_ref(&(Bound::Included(prefix), end)))
    }

    fn pairs<'v, V: View>(
        &self,
        view: &'v V,
        bounds: KeyBounds<'_>,
    ) -> EnvResult<Pairs<V::Entries<'v>>> {
        let entries = view.entries(&self.database, bounds)?;
        Ok(Pairs { entries, database: self.database.clone() })
    }

    /// The keys in `range`, each once, in order and from both ends. Passes over the values without
    /// reading all of them.
    ///
    /// # Errors
    /// As [`Snapshot::range`](crate::Snapshot::range).
    pub fn keys<'v, 'k, V: View>(
        &self,
        view: &'v V,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<Keys<'v, V>> {
        let bounds = pair::bounds(own(range.start_bound()), own(range.end_bound()));
        Ok(Keys { view, multimap: self.clone(), bounds: Some(bounds) })
    }
}

fn own<'k>(bound: Bound<&&'k [u8]>) -> Bound<&'k [u8]> {
    bound.map(|key| *key)
}

fn as_ref(bounds: &OwnBounds) -> KeyBounds<'_> {
    (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice))
}

/// Pairs of keys and values: see [`Multimap::range`].
#[derive(Debug)]
pub struct Pairs<I> {
    entries: I,
    database: Database,
}

impl<I> Pairs<I> {
    fn pair(&self, entry: EnvResult<(Bytes, Bytes)>) -> EnvResult<(Bytes, Bytes)> {
        let (stored, _) = entry?;
        match pair::decode(&stored) {
            Some((key, value)) => Ok((key.into(), stored.slice_ref(value))),
            None => Err(EnvError::NoPair {
                database: self.database.name().into(),
                stored: stored.to_vec(),
            }),
        }
    }
}

impl<I: Iterator<Item = EnvResult<(Bytes, Bytes)>>> Iterator for Pairs<I> {
    type Item = EnvResult<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(self.pair(entry))
    }
}

impl<I: DoubleEndedIterator<Item = EnvResult<(Bytes, Bytes)>>> DoubleEndedIterator for Pairs<I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next_back()?;
        Some(self.pair(entry))
    }
}

/// Keys, each once: see [`Multimap::keys`].
#[derive(Debug)]
pub struct Keys<'v, V> {
    view: &'v V,
    multimap: Multimap,
    /// What is left; `None` at the end.
    bounds: Option<OwnBounds>,
}

impl<'v, V: View> Keys<'v, V> {
    /// Takes the key at one end, and what is left then.
    fn step(
        &mut self,
        take: impl FnOnce(&mut Pairs<V::Entries<'v>>) -> Option<EnvResult<(Bytes, Bytes)>>,
        left: impl FnOnce(&mut OwnBounds, &[u8]),
    ) -> Option<EnvResult<Bytes>> {
        let bounds = self.bounds.as_mut()?;
        let taken = match self.multimap.pairs(self.view, as_ref(bounds)) {
            Ok(mut pairs) => take(&mut pairs),
            Err(error) => Some(Err(error)),
        };
        match taken {
            Some(Ok((key, _))) => {
                left(bounds, &key);
                Some(Ok(key))
            }
            Some(Err(error)) => Some(Err(error)), // the same place answers again
            None => {
                self.bounds = None;
                None
            }
        }
    }
}

impl<V: View> Iterator for Keys<'_, V> {
    type Item = EnvResult<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next, |left, key| left.0 = Bound::Included(pair::end_of(key)))
    }
}

impl<V: View> DoubleEndedIterator for Keys<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let take = DoubleEndedIterator::next_back;
        self.step(take, |left, key| left.1 = Bound::Excluded(pair::start_of(key)))
    }
}
