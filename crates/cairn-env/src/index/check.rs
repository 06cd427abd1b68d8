//! Checking: whether an index is what its function makes of the entries.

use crate::{
    Database, EnvResult, Multimap, Snapshot,
    index::{IndexDef, Registry},
};

/// Something in which an index and its database do not agree.
pub(crate) struct Disagreement {
    /// The index.
    pub(crate) index: String,
    /// The key in it.
    pub(crate) key: Vec<u8>,
    pub(crate) what: &'static str,
}

/// Compares all indexes that this process knows the functions of with their databases.
pub(crate) fn check(
    snapshot: &Snapshot,
    registry: &Registry,
    found: &mut dyn FnMut(Disagreement),
) -> EnvResult<()> {
    for set in registry.values() {
        for index in &set.indexes {
            let is_whole = !index.facts.building && index.since <= snapshot.commit();
            if let Some(def) = index.def.as_ref().filter(|_| is_whole) {
                check_index(snapshot, &set.primary, &index.database, def, found)?;
            }
        }
    }
    Ok(())
}

fn check_index(
    snapshot: &Snapshot,
    primary: &Database,
    index: &Database,
    def: &IndexDef,
    found: &mut dyn FnMut(Disagreement),
) -> EnvResult<()> {
    let pairs = Multimap::of_index(index.clone());
    let mut disagree = |key: &[u8], what| {
        found(Disagreement { index: index.name().into(), key: key.to_vec(), what });
    };
    for pair in pairs.range(snapshot, ..)? {
        let (key, primary_key) = pair?;
        let value = snapshot.get(primary, &primary_key)?;
        if value.is_none_or(|value| !def.keys(&primary_key, &value).contains(&key[..])) {
            disagree(&key, "it leads to an entry that does not have it");
        }
    }
    for entry in snapshot.iter(primary)? {
        let (primary_key, value) = entry?;
        for key in def.keys(&primary_key, &value) {
            if !pairs.contains(snapshot, &key, &primary_key)? {
                disagree(&key, "an entry has it that it does not lead to");
            }
        }
    }
    Ok(())
}
