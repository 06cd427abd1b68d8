//! Upkeep: a transaction changes the indexes together with the entries that they follow.

use std::{collections::BTreeSet, sync::Arc};

use super::{Multimap, registry::IndexState};
use crate::{Database, DatabaseKind, EnvError, EnvResult, Transaction, pair};

/// A change of one entry: of a database or of an index.
type Change = (Database, Vec<u8>, Option<Vec<u8>>);

impl Transaction {
    /// Changes an entry, and the indexes with it. Where there are any, the old value is read: who
    /// does not know it cannot say which keys are gone.
    pub(crate) fn change_entry(
        &mut self,
        database: &Database,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> EnvResult<()> {
        database.expect_kind(DatabaseKind::Map)?;
        let Some(set) = self.indexes()?.get(&database.tree).map(Arc::clone) else {
            return self.set(database, key, value);
        };
        let mut changes = Vec::new();
        let mut old = None;
        for index in set.indexes.iter().filter(|index| !self.is_dropped(&index.database)) {
            let Some(def) = &index.def else {
                if index.facts.building {
                    continue; // it counts for nothing, and will be built from the beginning
                }
                return Err(EnvError::IndexNotRegistered {
                    database: database.name().into(),
                    index: index.database.name().into(),
                    version: index.facts.version,
                });
            };
            if old.is_none() {
                old = Some(self.get(database, key)?);
            }
            let keys_of = |value: Option<&[u8]>| {
                value.map_or_else(BTreeSet::new, |value| def.keys(key, value))
            };
            let before = keys_of(old.iter().flatten().next().map(|old| &**old));
            let after = keys_of(value.as_deref());
            for gone in before.difference(&after) {
                changes.push((index.database.clone(), pair::encode(gone, key)?, None));
            }
            for new in after.difference(&before) {
                changes.push(self.new_pair(index, new, key)?);
            }
        }
        changes.insert(0, (database.clone(), key.to_vec(), value));
        self.set_all(changes)
    }

    /// Puts all keys of an entry into an index that is being built.
    pub(super) fn put_into(
        &mut self,
        index: &IndexState,
        key: &[u8],
        value: &[u8],
    ) -> EnvResult<()> {
        let Some(def) = &index.def else { return Ok(()) };
        for new in def.keys(key, value) {
            let change = self.new_pair(index, &new, key)?;
            self.set_all(vec![change])?;
        }
        Ok(())
    }

    /// The change that leads from `key` of an index to the entry `primary_key`.
    fn new_pair(&self, index: &IndexState, key: &[u8], primary_key: &[u8]) -> EnvResult<Change> {
        if index.facts.unique {
            let pairs = Multimap::of_index(index.database.clone());
            for other in pairs.values(self, key)? {
                let other = other?;
                if other != primary_key {
                    return Err(EnvError::NotUnique {
                        index: index.database.name().into(),
                        key: key.to_vec(),
                        primary_key: other.to_vec(),
                    });
                }
            }
        }
        Ok((index.database.clone(), pair::encode(key, primary_key)?, Some(Vec::new())))
    }

    /// Makes all changes or none.
    fn set_all(&mut self, changes: Vec<Change>) -> EnvResult<()> {
        let bytes = |(_, key, value): &Change| Self::bytes_of(key, value.as_deref());
        self.has_room(changes.iter().map(bytes).sum())?;
        for (database, key, value) in changes {
            self.set(&database, &key, value)?; // the first is the one that may be refused
        }
        Ok(())
    }
}
