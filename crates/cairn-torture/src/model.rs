//! The reference: what an environment holds after each commit, and what may be found after a crash.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cairn_env::{
    Database, DatabaseOptions, EnvResult, Environment, ExclusiveTransaction, Snapshot, Transaction,
};
use cairn_sim::Seeded;

use crate::operation::Change;

/// Everything in an environment, as ordered maps. Clones are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<String, Arc<BTreeMap<Vec<u8>, Bytes>>>);

/// The states after commit 0, 1, 2 … of one line of history.
pub type History = Vec<Contents>;

/// What of a history may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "checks state each field")]
pub struct Expected {
    /// Which history.
    pub history: usize,
    /// Commits up to here are durable: somebody was told so.
    pub durable: u64,
    /// Commits up to here are written: the death of the process cannot take them back.
    pub written: u64,
    /// Commits up to here were begun.
    pub begun: u64,
}

impl Contents {
    /// Applies a transaction.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let name = database_name(change.database());
            if let Change::Drop { .. } = change {
                self.0.remove(&name);
                continue;
            }
            let entries = Arc::make_mut(self.0.entry(name).or_default());
            match *change {
                Change::Put { key, value, len, .. } => {
                    entries.insert(key_bytes(key), value_bytes(value, len));
                }
                Change::Delete { key, .. } => {
                    entries.remove(&key_bytes(key));
                }
                Change::Create { .. } | Change::Drop { .. } => {}
            }
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, database: u8, key: u16) -> Option<&Bytes> {
        self.0.get(&database_name(database))?.get(&key_bytes(key))
    }

    /// All entries of a database.
    #[must_use]
    pub fn scan(&self, database: u8) -> Vec<(Vec<u8>, Bytes)> {
        let entries = self.0.get(&database_name(database));
        let entries = entries.iter().flat_map(|entries| entries.iter());
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let entries = self.0.values().flat_map(|entries| entries.iter());
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    /// The names of the databases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All entries of the database of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&BTreeMap<Vec<u8>, Bytes>> {
        self.0.get(name).map(|entries| &**entries)
    }

    /// Everything in an environment, as far as its newest state.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn of(env: &Environment) -> EnvResult<Self> {
        let snapshot = env.snapshot()?;
        let mut contents = Self::default();
        for database in snapshot.databases()? {
            let mut entries = BTreeMap::new();
            for entry in snapshot.iter(&database)? {
                let (key, value) = entry?;
                entries.insert(key.to_vec(), Bytes::copy_from_slice(&value));
            }
            contents.0.insert(database.name().to_owned(), Arc::new(entries));
        }
        Ok(contents)
    }

    /// The state after one more transaction.
    #[must_use]
    pub fn after(&self, changes: &[Change]) -> Self {
        let mut after = self.clone();
        after.apply(changes);
        after
    }

    /// How many entries all databases have together.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.values().map(|database| database.len()).sum()
    }

    /// How the newest state of `env` differs; `None` if it does not.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn difference(&self, env: &Environment) -> EnvResult<Option<String>> {
        self.difference_from(&env.snapshot()?)
    }

    /// How what `snapshot` sees differs; `None` if it does not.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn difference_from(&self, snapshot: &Snapshot) -> EnvResult<Option<String>> {
        let databases = snapshot.databases()?;
        let found: Vec<_> = databases.iter().map(|database| database.name().to_owned()).collect();
        let wanted: Vec<_> = self.0.keys().cloned().collect();
        if found != wanted {
            return Ok(Some(format!("databases {found:?} instead of {wanted:?}")));
        }
        for (database, wanted) in databases.iter().zip(self.0.values()) {
            let name = database.name();
            let counted = snapshot.len(database)?;
            if counted != wanted.len() as u64 {
                let wanted = wanted.len();
                return Ok(Some(format!("{name} counts {counted} entries instead of {wanted}")));
            }
            let mut wanted = wanted.iter();
            for entry in snapshot.iter(database)? {
                let (key, value) = entry?;
                let Some((wanted_key, wanted_value)) = wanted.next() else {
                    return Ok(Some(format!("{name} has {} too much", show(&key))));
                };
                if *wanted_key != key {
                    let (found, wanted) = (show(&key), show(wanted_key));
                    return Ok(Some(format!("{name} has {found} in place of {wanted}")));
                }
                if *wanted_value != value {
                    return Ok(Some(format!("{name} has another value for {}", show(&key))));
                }
            }
            if let Some((key, _)) = wanted.next() {
                return Ok(Some(format!("{name} lacks {}", show(key))));
            }
        }
        Ok(None)
    }
}

impl Contents {
    /// For an environment of which not everything can be read: an entry that can be read and is not
    /// what it must be.
    #[must_use]
    pub fn wrong_value(&self, env: &Environment) -> Option<String> {
        let snapshot = env.snapshot().ok()?;
        for (name, entries) in &self.0 {
            let database = match snapshot.database(name) {
                Ok(Some(database)) => database,
                Ok(None) => return Some(format!("database {name} is not there")),
                Err(_) => continue,
            };
            for (key, wanted) in entries.iter() {
                match snapshot.get(&database, key) {
                    Ok(Some(value)) if *value == **wanted => {}
                    Err(_) => {}
                    Ok(Some(_)) => return Some(format!("{name} has another {}", show(key))),
                    Ok(None) => return Some(format!("{name} lacks {}", show(key))),
                }
            }
        }
        None
    }
}

/// The database of this number, which comes into being if it is not there.
///
/// # Errors
/// What the transaction answers.
pub fn database(txn: &mut Transaction, number: u8) -> EnvResult<Database> {
    let options = DatabaseOptions::default().embed_max(EMBED_MAX);
    txn.create_database(&database_name(number), options)
}

/// Puts `changes` into a transaction; databases come into being with their first change.
///
/// # Errors
/// What the transaction answers.
pub fn fill(txn: &mut Transaction, changes: &[Change]) -> EnvResult<()> {
    for change in changes {
        let database = database(txn, change.database())?;
        match *change {
            Change::Put { key, value, len, .. } => {
                txn.put(&database, &key_bytes(key), &value_bytes(value, len))?;
            }
            Change::Delete { key, .. } => txn.delete(&database, &key_bytes(key))?,
            Change::Create { .. } => {}
            Change::Drop { .. } => txn.drop_database(&database)?,
        }
    }
    Ok(())
}

/// Puts `changes` into an exclusive transaction, as [`fill`] does into another one.
///
/// # Errors
/// What the transaction answers.
pub fn fill_exclusive(txn: &mut ExclusiveTransaction, changes: &[Change]) -> EnvResult<()> {
    let options = DatabaseOptions::default().embed_max(EMBED_MAX);
    for change in changes {
        let database = txn.create_database(&database_name(change.database()), options)?;
        match *change {
            Change::Put { key, value, len, .. } => {
                txn.put(&database, &key_bytes(key), &value_bytes(value, len))?;
            }
            Change::Delete { key, .. } => drop(txn.delete(&database, &key_bytes(key))?),
            Change::Create { .. } => {}
            Change::Drop { .. } => txn.drop_database(&database)?,
        }
    }
    Ok(())
}

/// A value above this stands beside the tree, in the journal.
pub const EMBED_MAX: usize = 200;

fn database_name(number: u8) -> String {
    format!("db{number}")
}

/// Some keys are long, so that nodes differ in how many they hold.
pub(crate) fn key_bytes(number: u16) -> Vec<u8> {
    let mut key = format!("{number:05}").into_bytes();
    if number.is_multiple_of(7) {
        key.resize(60, b'x');
    }
    key
}

fn value_bytes(number: u32, len: u32) -> Bytes {
    let mut bytes = vec![0; len as usize];
    match number.is_multiple_of(2) {
        // What can be compressed.
        true => bytes.chunks_mut(4).for_each(|part| {
            part.copy_from_slice(&number.to_le_bytes()[..part.len()]);
        }),
        false => Seeded::new(number.into()).fill(&mut bytes),
    }
    bytes.into()
}

fn show(key: &[u8]) -> String {
    String::from_utf8_lossy(&key[..key.len().min(5)]).into_owned()
}

#[cfg(test)]
mod tests {
    use cairn_env::Options;

    use super::*;

    const PUT: Change = Change::Put { database: 0, key: 7, value: 3, len: 40 };
    const LARGE: Change = Change::Put { database: 1, key: 1, value: 4, len: 1000 };

    #[test]
    fn contents_agree_with_an_environment_that_had_the_same_changes_and_with_no_other() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        env.write(|txn| fill(txn, &[PUT, LARGE])).unwrap();
        let contents = Contents::default().after(&[PUT, LARGE]);
        assert_eq!(contents.difference(&env).unwrap(), None);
        assert_eq!(contents.entries(), 2);

        let differs = |changes: &[Change]| contents.after(changes).difference(&env).unwrap();
        assert!(differs(&[Change::Delete { database: 0, key: 7 }]).unwrap().contains("counts 1"));
        let other = Change::Put { database: 0, key: 7, value: 5, len: 40 };
        assert!(differs(&[other]).unwrap().contains("another value"));
        let moved = Change::Put { database: 0, key: 8, value: 3, len: 40 };
        let gone = Change::Delete { database: 0, key: 7 };
        assert!(differs(&[moved, gone]).unwrap().contains("in place of"));
        let more = Change::Put { database: 2, key: 0, value: 0, len: 0 };
        assert!(differs(&[more]).unwrap().contains("databases"));
    }
}
