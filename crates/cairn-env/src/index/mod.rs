//! Indexes: databases whose entries follow from those of another one.
//!
//! An index is a multimap from the keys that a function makes of an entry to the key of that entry. It
//! is changed in the transaction that changes the entry, so at every commit it is what the function
//! would make of all entries: `registry` says which indexes there are, `upkeep` changes them, `build`
//! makes them, `check` compares.

mod build;
mod check;
mod cursor;
mod registry;
mod upkeep;

use std::{collections::BTreeSet, fmt, ops::RangeBounds, sync::Arc};

use bytes::Bytes;

pub(crate) use check::{Disagreement, check};
pub use cursor::IndexCursor;
pub(crate) use registry::{IndexChange, IndexState, Indexes, Registry};

use crate::{
    Database, EnvError, EnvResult, Keys, Multimap, Pairs, Value, View, view::version_with,
};

type Extract = dyn Fn(&[u8], &[u8], &mut dyn FnMut(&[u8])) + Send + Sync;

/// What an index is: its name, and the function that makes its keys. Functions cannot be stored, so
/// that each process says it again: see [`Environment::index`](crate::Environment::index).
#[derive(Clone)]
pub struct IndexDef {
    name: String,
    version: u32,
    unique: bool,
    extract: Arc<Extract>,
}

impl IndexDef {
    /// An index whose keys `extract` makes: it is given the key and the value of an entry and calls its
    /// third argument with each key under which the entry is to be found, any number of them.
    ///
    /// It must make the same of the same entry each time. Give it another `version` whenever it makes
    /// something else: the index is then built again.
    pub fn new(
        name: impl Into<String>,
        version: u32,
        extract: impl Fn(&[u8], &[u8], &mut dyn FnMut(&[u8])) + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), version, unique: false, extract: Arc::new(extract) }
    }

    /// No two entries may have a key in common: a change that would is refused with
    /// [`EnvError::NotUnique`].
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The keys of an entry.
    fn keys(&self, key: &[u8], value: &[u8]) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        (self.extract)(key, value, &mut |key| {
            keys.insert(key.to_vec());
        });
        keys
    }
}

impl fmt::Debug for IndexDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unique = if self.unique { ", unique" } else { "" };
        write!(f, "IndexDef({:?}, version {}{unique})", self.name, self.version)
    }
}

/// A handle to an index: finds the entries of a database by other keys than their own.
///
/// From [`Environment::index`](crate::Environment::index). Reads are the same from a snapshot and from a
/// transaction, where they count: to have looked for a key is to have read which entries have it.
/// The index is a database of its own, listed among them by its name; to drop it, drop
/// [`Index::database`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pairs: Multimap,
    primary: Database,
    /// The first commit at which nothing is missing.
    since: u64,
}

/// An entry that was found by an index.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexEntry {
    /// The key of the index that led to it.
    pub key: Bytes,
    /// Its own key.
    pub primary_key: Bytes,
    /// Its value.
    pub value: Value,
}

impl Index {
    /// The database in which its keys lie.
    #[must_use]
    pub const fn database(&self) -> &Database {
        self.pairs.database()
    }

    /// The database whose entries it finds.
    #[must_use]
    pub const fn primary(&self) -> &Database {
        &self.primary
    }

    /// The first entry with `key`: the only one if the index is unique.
    ///
    /// # Errors
    /// As [`Index::range`].
    pub fn get(&self, view: &impl View, key: &[u8]) -> EnvResult<Option<IndexEntry>> {
        self.range(view, key..=key)?.next().transpose()
    }

    /// The entries whose keys in the index lie in `range`: in the order of these, then of their own
    /// keys; from both ends. An entry comes once for each of its keys.
    ///
    /// # Errors
    /// [`EnvError::NoSuchDatabase`] in a view in which the index is not, or not whole; else as
    /// [`Snapshot::range`](crate::Snapshot::range).
    pub fn range<'v, 'k, V: View>(
        &self,
        view: &'v V,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<IndexEntries<'v, V>> {
        let pairs = self.pairs_in(view)?.range(view, range)?;
        Ok(IndexEntries { view, index: self.clone(), pairs })
    }

    /// The entries whose keys in the index begin with `prefix`.
    ///
    /// # Errors
    /// As [`Index::range`].
    pub fn prefix<'v, V: View>(
        &self,
        view: &'v V,
        prefix: &[u8],
    ) -> EnvResult<IndexEntries<'v, V>> {
        let pairs = self.pairs_in(view)?.prefix(view, prefix)?;
        Ok(IndexEntries { view, index: self.clone(), pairs })
    }

    /// The keys of the entries with `key`, in order and from both ends. The entries are not read.
    ///
    /// # Errors
    /// As [`Index::range`].
    pub fn primary_keys<'v, V: View>(
        &self,
        view: &'v V,
        key: &[u8],
    ) -> EnvResult<impl DoubleEndedIterator<Item = EnvResult<Bytes>> + use<'v, V>> {
        self.pairs_in(view)?.values(view, key)
    }

    /// The keys of the index in `range`, each once, in order and from both ends.
    ///
    /// # Errors
    /// As [`Index::range`].
    pub fn keys<'v, 'k, V: View>(
        &self,
        view: &'v V,
        range: impl RangeBounds<&'k [u8]>,
    ) -> EnvResult<Keys<'v, V>> {
        self.pairs_in(view)?.keys(view, range)
    }

    /// The pairs of the index in a view in which it is whole.
    fn pairs_in(&self, view: &impl View) -> EnvResult<&Multimap> {
        if version_with(view, self.database())? < self.since {
            return Err(EnvError::NoSuchDatabase { name: self.database().name().into() });
        }
        Ok(&self.pairs)
    }
}

/// Entries that were found by an index: see [`Index::range`].
pub struct IndexEntries<'v, V: View + 'v> {
    view: &'v V,
    index: Index,
    pairs: Pairs<V::Entries<'v>>,
}

impl<V: View> IndexEntries<'_, V> {
    fn entry(&self, pair: EnvResult<(Bytes, Bytes)>) -> EnvResult<IndexEntry> {
        let (key, primary_key) = pair?;
        match self.view.value(&self.index.primary, &primary_key)? {
            Some(value) => Ok(IndexEntry { key, primary_key, value }),
            None => Err(EnvError::IndexDisagrees {
                index: self.index.database().name().into(),
                key: key.to_vec(),
                primary_key: primary_key.to_vec(),
            }),
        }
    }
}

impl<V: View> Iterator for IndexEntries<'_, V> {
    type Item = EnvResult<IndexEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next()?;
        Some(self.entry(pair))
    }
}

impl<V: View> DoubleEndedIterator for IndexEntries<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.next_back()?;
        Some(self.entry(pair))
    }
}

impl<V: View> fmt::Debug for IndexEntries<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexEntries({:?})", self.index.database().name())
    }
}
