//! `IndexCursor`: a moving position among the keys of an index.

use super::Index;
use crate::{Cursor, EnvError, EnvResult, Snapshot, pair};

/// A moving position in an index of a snapshot: a key of the index, and the key of an entry that has
/// it. The entries themselves are not read. From [`Index::cursor`].
///
/// ```
/// use cairn_env::{DatabaseOptions, Environment, IndexDef, Options};
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// let by_city =
///     env.index(&users, IndexDef::new("users by city", 1, |_name, city, emit| emit(city)))?;
/// env.write(|txn| {
///     txn.put(&users, b"ada", b"London")?;
///     txn.put(&users, b"alan", b"London")?;
///     txn.put(&users, b"emmy", b"Erlangen")
/// })?;
/// let mut cursor = by_city.cursor(&env.snapshot()?)?;
/// assert!(cursor.seek(b"London")?);
/// assert_eq!((cursor.key(), cursor.primary_key()), (&b"London"[..], &b"ada"[..]));
/// assert!(cursor.next()?);
/// assert_eq!(cursor.primary_key(), b"alan");
/// assert!(cursor.seek_before(b"London")?);
/// assert_eq!(cursor.primary_key(), b"emmy");
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Debug)]
pub struct IndexCursor {
    cursor: Cursor,
    index: Index,
    key: Vec<u8>,
    /// Bytes of the key of the entry, with which the stored pair ends.
    primary_len: usize,
}

impl Index {
    /// A cursor over the index, before its first key.
    ///
    /// # Errors
    /// As [`Index::range`].
    pub fn cursor(&self, snapshot: &Snapshot) -> EnvResult<IndexCursor> {
        let cursor = snapshot.cursor(self.pairs_in(snapshot)?.database())?;
        Ok(IndexCursor { cursor, index: self.clone(), key: Vec::new(), primary_len: 0 })
    }
}

impl IndexCursor {
    /// Moves to the first place whose key of the index is not below `key`; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`]; [`EnvError::NoPair`].
    pub fn seek(&mut self, key: &[u8]) -> EnvResult<bool> {
        let found = self.cursor.seek(&pair::start_of(key))?;
        self.arrive(found)
    }

    /// Moves to the last place whose key of the index is below `key`; returns whether there is one.
    ///
    /// # Errors
    /// As [`IndexCursor::seek`].
    pub fn seek_before(&mut self, key: &[u8]) -> EnvResult<bool> {
        let found = self.cursor.seek_before(&pair::start_of(key))?;
        self.arrive(found)
    }

    /// Moves to the first place; returns whether there is one.
    ///
    /// # Errors
    /// As [`IndexCursor::seek`].
    pub fn first(&mut self) -> EnvResult<bool> {
        let found = self.cursor.first()?;
        self.arrive(found)
    }

    /// Moves to the last place; returns whether there is one.
    ///
    /// # Errors
    /// As [`IndexCursor::seek`].
    pub fn last(&mut self) -> EnvResult<bool> {
        let found = self.cursor.last()?;
        self.arrive(found)
    }

    /// Moves to the next place; returns whether there is one.
    ///
    /// # Errors
    /// As [`IndexCursor::seek`].
    #[expect(clippy::should_implement_trait, reason = "keys borrow the cursor")]
    pub fn next(&mut self) -> EnvResult<bool> {
        let found = self.cursor.next()?;
        self.arrive(found)
    }

    /// Moves to the previous place; returns whether there is one.
    ///
    /// # Errors
    /// As [`IndexCursor::seek`].
    pub fn previous(&mut self) -> EnvResult<bool> {
        let found = self.cursor.previous()?;
        self.arrive(found)
    }

    /// The key of the index; empty if the cursor stands nowhere.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The key of the entry; empty if the cursor stands nowhere.
    #[must_use]
    pub fn primary_key(&self) -> &[u8] {
        let stored = self.cursor.key();
        &stored[stored.len().saturating_sub(self.primary_len)..]
    }

    fn arrive(&mut self, found: bool) -> EnvResult<bool> {
        self.key.clear();
        self.primary_len = 0;
        if !found {
            return Ok(false);
        }
        let stored = self.cursor.key();
        let Some(primary_key) = pair::decode_into(stored, &mut self.key) else {
            self.key.clear();
            let database = self.index.database().name().into();
            return Err(EnvError::NoPair { database, stored: stored.to_vec() });
        };
        self.primary_len = primary_key.len();
        Ok(true)
    }
}
