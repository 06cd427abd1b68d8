//! Values of types of your own, as JSON: in databases, and in key-value stores.
//!
//! JSON is what a schema of a store can look into, what other languages read, and what says itself what it is;
//! so a field can be added to a type that has `#[serde(default)]` for it, and what was stored before is still
//! read.

use std::{fmt, marker::PhantomData};

use cairn_env::{Database, EnvError, EnvResult, KeyBounds, Transaction, View};
use serde::{Serialize, de::DeserializeOwned};

/// A database whose values are of type `V`. Any [`Database`] can be one; the keys are bytes.
///
/// ```
/// use cairndb::{DatabaseOptions, Environment, Options, typed::TypedDatabase};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct User {
///     name: String,
///     #[serde(default)]
///     tags: Vec<String>,
/// }
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let users = TypedDatabase::<User>::new(env.database("users", DatabaseOptions::default())?);
/// let ada = User { name: "Ada".into(), tags: vec!["math".into()] };
/// env.write(|txn| users.put(txn, b"1", &ada))?;
/// assert_eq!(users.get(&env.snapshot()?, b"1")?, Some(ada));
/// # Ok::<(), cairndb::EnvError>(())
/// ```
pub struct TypedDatabase<V> {
    database: Database,
    values: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> TypedDatabase<V> {
    /// The values of `database` as values of type `V`.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database, values: PhantomData }
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if what is stored there is no `V`; as [`View::value`].
    pub fn get(&self, view: &impl View, key: &[u8]) -> EnvResult<Option<V>> {
        view.value(&self.database, key)?.map(|stored| self.decode(key, &stored)).transpose()
    }

    /// The entries whose keys lie within the bounds, in their order and from both ends.
    ///
    /// # Errors
    /// As [`View::entries`]; those of [`TypedDatabase::get`] come as items.
    pub fn entries<'v, W: View>(
        &'v self,
        view: &'v W,
        bounds: KeyBounds<'_>,
    ) -> EnvResult<impl DoubleEndedIterator<Item = EnvResult<(Vec<u8>, V)>> + use<'v, V, W>> {
        let entries = view.entries(&self.database, bounds)?;
        Ok(entries.map(|entry| {
            let (key, stored) = entry?;
            let value = self.decode(&key, &stored)?;
            Ok((key.to_vec(), value))
        }))
    }

    /// Puts a value.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a value that JSON does not have; as [`Transaction::put`].
    pub fn put(&self, txn: &mut Transaction, key: &[u8], value: &V) -> EnvResult<()> {
        let stored = serde_json::to_vec(value).map_err(|error| EnvError::InvalidInput {
            what: format!("the value cannot be stored as JSON: {error}"),
        })?;
        txn.put(&self.database, key, &stored)
    }

    /// Deletes a key; one that is not there is no error.
    ///
    /// # Errors
    /// As [`Transaction::delete`].
    pub fn delete(&self, txn: &mut Transaction, key: &[u8]) -> EnvResult<()> {
        txn.delete(&self.database, key)
    }

    fn decode(&self, key: &[u8], stored: &[u8]) -> EnvResult<V> {
        serde_json::from_slice(stored).map_err(|error| EnvError::InvalidInput {
            what: format!(
                "what database {:?} holds under {:?} is no {}: {error}",
                self.database.name(),
                String::from_utf8_lossy(key),
                std::any::type_name::<V>()
            ),
        })
    }
}

impl<V> Clone for TypedDatabase<V> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), values: PhantomData }
    }
}

impl<V> fmt::Debug for TypedDatabase<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedDatabase<{}>({:?})", std::any::type_name::<V>(), self.database.name())
    }
}

#[cfg(feature = "kv")]
pub use store::TypedStore;

#[cfg(feature = "kv")]
mod store {
    use super::{DeserializeOwned, PhantomData, Serialize, fmt};
    use crate::kv::{Entry, KvError, KvResult, KvStore, Query};

    /// A store whose values are of type `V`: strings of JSON, which its schema can look into.
    ///
    /// ```
    /// use cairndb::{
    ///     Environment, Options,
    ///     kv::{FieldNode, KvOptions, KvStore, Query, Schema, SecurityLevel, ValueType},
    ///     typed::TypedStore,
    /// };
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize, Debug, PartialEq)]
    /// struct Book {
    ///     title: String,
    ///     year: i32,
    /// }
    ///
    /// let mut schema = Schema::new();
    /// schema.root.append_child(FieldNode::new("year", ValueType::Integer));
    /// schema.indexes = vec!["$.year".into()];
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let options = KvOptions::new(SecurityLevel::S1).schema(schema);
    /// let books = TypedStore::<Book>::new(KvStore::open(&env, "books", options)?);
    ///
    /// books.put("1", &Book { title: "Emma".into(), year: 1815 })?;
    /// books.put("2", &Book { title: "Persuasion".into(), year: 1817 })?;
    /// let late = books.get_entries(Query::new().greater_than("$.year", 1815))?;
    /// assert_eq!(late[0].1.title, "Persuasion");
    /// assert_eq!(books.get("1")?.unwrap().year, 1815);
    /// # Ok::<(), cairndb::kv::KvError>(())
    /// ```
    pub struct TypedStore<V> {
        store: KvStore,
        values: PhantomData<fn() -> V>,
    }

    impl<V: Serialize + DeserializeOwned> TypedStore<V> {
        /// The values of `store` as values of type `V`.
        #[must_use]
        pub const fn new(store: KvStore) -> Self {
            Self { store, values: PhantomData }
        }

        /// The store.
        #[must_use]
        pub const fn store(&self) -> &KvStore {
            &self.store
        }

        /// The value of `key`.
        ///
        /// # Errors
        /// [`KvError::ValueMismatch`] if what is stored there is no `V`; as [`KvStore::get`].
        pub fn get(&self, key: impl AsRef<[u8]>) -> KvResult<Option<V>> {
            let Some(value) = self.store.get(key.as_ref())? else { return Ok(None) };
            decode(Entry::new(key, value)).map(|(_, value)| Some(value))
        }

        /// Puts a value.
        ///
        /// # Errors
        /// [`KvError::ValueMismatch`] for a value that JSON does not have; as [`KvStore::put`].
        pub fn put(&self, key: impl AsRef<[u8]>, value: &V) -> KvResult<()> {
            self.store.put(key, encode(value)?)
        }

        /// Puts values, all or none.
        ///
        /// # Errors
        /// As [`TypedStore::put`] and [`KvStore::put_batch`].
        pub fn put_batch<'v, K: AsRef<[u8]>>(
            &self,
            entries: impl IntoIterator<Item = (K, &'v V)>,
        ) -> KvResult<()>
        where
            V: 'v,
        {
            let entry = |(key, value): (K, &V)| Ok(Entry::new(key.as_ref(), encode(value)?));
            self.store.put_batch(entries.into_iter().map(entry).collect::<KvResult<Vec<_>>>()?)
        }

        /// Deletes a key; one that is not there is no error.
        ///
        /// # Errors
        /// As [`KvStore::delete`].
        pub fn delete(&self, key: impl AsRef<[u8]>) -> KvResult<()> {
            self.store.delete(key)
        }

        /// The entries that a query means.
        ///
        /// # Errors
        /// As [`TypedStore::get`] and [`KvStore::get_entries`].
        pub fn get_entries(&self, query: impl Into<Query>) -> KvResult<Vec<(Vec<u8>, V)>> {
            self.store.get_entries(query)?.into_iter().map(decode).collect()
        }
    }

    fn encode(value: &impl Serialize) -> KvResult<String> {
        serde_json::to_string(value).map_err(|error| KvError::ValueMismatch {
            what: format!("it cannot be stored as JSON: {error}"),
        })
    }

    fn decode<V: DeserializeOwned>(entry: Entry) -> KvResult<(Vec<u8>, V)> {
        let document = entry.value.as_bytes().unwrap_or_default();
        match serde_json::from_slice(document) {
            Ok(value) => Ok((entry.key.to_vec(), value)),
            Err(error) => Err(KvError::ValueMismatch {
                what: format!(
                    "under {:?} is no {}: {error}",
                    entry.key_str(),
                    std::any::type_name::<V>()
                ),
            }),
        }
    }

    impl<V> Clone for TypedStore<V> {
        fn clone(&self) -> Self {
            Self { store: self.store.clone(), values: PhantomData }
        }
    }

    impl<V> fmt::Debug for TypedStore<V> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "TypedStore<{}>({:?})", std::any::type_name::<V>(), self.store.id())
        }
    }

    #[cfg(test)]
    mod tests {
        use cairn_env::{DatabaseOptions, EnvError, Environment, Options};

        use super::*;
        use crate::{
            kv::{KvOptions, SecurityLevel},
            typed::TypedDatabase,
        };

        #[test]
        fn what_is_of_another_type_is_an_error_and_no_value() {
            let (env, _) = Environment::in_memory(Options::default()).unwrap();
            let store = KvStore::open(&env, "s", KvOptions::new(SecurityLevel::S1)).unwrap();
            let numbers = TypedStore::<u8>::new(store.clone());
            numbers.put("a", &7).unwrap();
            store.put("b", "300").unwrap();
            store.put("c", 7).unwrap();
            assert_eq!(numbers.get("a").unwrap(), Some(7));
            assert_eq!(numbers.get("x").unwrap(), None);
            for key in ["b", "c"] {
                assert!(matches!(numbers.get(key), Err(KvError::ValueMismatch { .. })), "{key}");
            }
            assert!(numbers.get_entries("").is_err());
            assert_eq!(numbers.get_entries("a").unwrap(), [(b"a".to_vec(), 7)]);
            numbers.delete("b").unwrap();
            numbers.put_batch([("c", &8), ("d", &9)]).unwrap();
            let all = numbers.get_entries("").unwrap().into_iter().map(|(_, number)| number);
            assert!(all.eq([7, 8, 9]));
        }

        /// JSON has no number that is none: nothing of the batch is put.
        #[test]
        fn a_value_that_json_does_not_have_is_refused() {
            use std::collections::BTreeMap;
            let (env, _) = Environment::in_memory(Options::default()).unwrap();
            let store = KvStore::open(&env, "s", KvOptions::new(SecurityLevel::S1)).unwrap();
            let maps = TypedStore::<BTreeMap<Vec<u8>, u8>>::new(store.clone());
            let (good, bad) = (BTreeMap::new(), BTreeMap::from([(vec![1], 2)]));
            for error in [
                maps.put("a", &bad).unwrap_err(),
                maps.put_batch([("a", &good), ("b", &bad)]).unwrap_err(),
            ] {
                assert!(matches!(error, KvError::ValueMismatch { .. }), "{error}");
            }
            assert_eq!(store.get_result_size("").unwrap(), 0);
        }

        #[test]
        fn entries_of_a_database_come_from_both_ends() {
            use std::ops::Bound::{Excluded, Included, Unbounded};
            let (env, _) = Environment::in_memory(Options::default()).unwrap();
            let database = env.database("d", DatabaseOptions::default()).unwrap();
            let typed = TypedDatabase::<(u8, String)>::new(database.clone());
            let value = |n: u8| (n, n.to_string());
            env.write(|txn| (0..5).try_for_each(|n| typed.put(txn, &[n], &value(n)))).unwrap();
            let snapshot = env.snapshot().unwrap();
            let bounds = (Included(&[1u8][..]), Excluded(&[4u8][..]));
            let found: Vec<_> =
                typed.entries(&snapshot, bounds).unwrap().rev().map(Result::unwrap).collect();
            assert_eq!(found, [3, 2, 1].map(|n| (vec![n], value(n))));
            env.write(|txn| txn.put(&database, b"x", b"{}")).unwrap();
            let snapshot = env.snapshot().unwrap();
            let mut all = typed.entries(&snapshot, (Unbounded, Unbounded)).unwrap();
            assert!(matches!(all.next_back(), Some(Err(EnvError::InvalidInput { .. }))));
        }
    }
}
