//! Staging: the databases of an import while they are filled, beside everything else and under names of their own.
//!
//! They are filled in parts, each a short exclusive transaction, so that the commits of others come in between; and take
//! their places in one. Whoever dies on the way leaves them to nobody: [`remove_unfinished_imports`] knows them by
//! their names.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use cairn_env::{
    Database, DatabaseKind, DatabaseOptions, Durability, EnvError, EnvResult, Environment,
};
use cairn_log::Uuid;

use crate::sync::lock;

/// What the names of the databases begin with; the id of the import and their number follow.
const PREFIX: &str = "cairn.archive/";

/// The imports of this process into an environment.
#[derive(Debug, Default)]
struct Imports(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    imports: BTreeSet<Uuid>,
    /// Nothing is left of others.
    is_clean: bool,
}

/// An entry, key and value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// The databases of one import. Those that have not taken their places go when this is dropped.
pub(crate) struct Staging<'e> {
    env: &'e Environment,
    id: Uuid,
    imports: Arc<Imports>,
    databases: Vec<Database>,
}

impl<'e> Staging<'e> {
    pub(crate) fn begin(env: &'e Environment) -> Self {
        let (imports, mut id) = (env.attached::<Imports>(), Uuid::default());
        env.world().random(&mut id.0);
        lock(&imports.0).imports.insert(id);
        Self { env, id, imports, databases: Vec::new() }
    }

    /// Creates the next one, to take the place of a database with these options.
    pub(crate) fn create(&mut self, options: DatabaseOptions) -> EnvResult<Database> {
        let kind = match options.kind {
            DatabaseKind::Map => DatabaseKind::Map,
            _ => DatabaseKind::Multimap, // an index has the same entries, and follows nothing yet
        };
        let name = format!("{PREFIX}{}/{}", self.id, self.databases.len());
        let mut txn = self.env.begin_exclusive()?;
        let database = txn.create_database(&name, options.kind(kind))?;
        txn.commit_with(Durability::NoSync)?;
        self.databases.push(database.clone());
        Ok(database)
    }

    /// Loads a part of the entries of a database, above those before.
    pub(crate) fn load(&self, database: &Database, part: &[Entry]) -> EnvResult<()> {
        let mut txn = self.env.begin_exclusive()?;
        txn.load_stored(database, part.iter().map(|(key, value)| (key, value)))?;
        txn.commit_with(Durability::NoSync).map(drop)
    }

    /// All of them, in the order in which they were created.
    pub(crate) fn databases(&self) -> &[Database] {
        &self.databases
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.imports.0);
        running.imports.remove(&self.id);
        // What cannot be dropped now is left as by somebody who died.
        running.is_clean &= drop_all(self.env, &self.databases).is_ok();
    }
}

/// Drops what imports into an environment have left that were killed; returns how many databases that were.
///
/// An import does so itself before it begins, and whatever opens a store does. What can be there was there when the
/// environment was opened, so only the first call looks; and one after an import that could not clean up behind itself.
///
/// # Errors
/// If the environment has failed or its disk does.
pub fn remove_unfinished_imports(env: &Environment) -> EnvResult<usize> {
    if env.options().read_only {
        return Ok(0);
    }
    let imports = env.attached::<Imports>();
    let mut running = lock(&imports.0);
    if running.is_clean {
        return Ok(0);
    }
    let mut left = env.latest_snapshot()?.databases()?;
    left.retain(|database| {
        id_of(database.name()).is_some_and(|import| !running.imports.contains(&import))
    });
    drop_all(env, &left)?;
    running.is_clean = true;
    Ok(left.len())
}

/// The import that a database of this name belongs to, if it belongs to one.
fn id_of(name: &str) -> Option<Uuid> {
    let (id, number) = name.strip_prefix(PREFIX)?.split_once('/')?;
    number.parse::<u32>().ok()?;
    id.parse().ok()
}

/// Drops databases as far as they are still there under their names.
fn drop_all(env: &Environment, databases: &[Database]) -> EnvResult<()> {
    for database in databases {
        match env.write_with(Durability::NoSync, |txn| txn.drop_database(database)) {
            Ok(()) | Err(EnvError::NoSuchDatabase { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_import_are_known_and_no_others() {
        let id = Uuid([7; 16]);
        assert_eq!(id_of(&format!("{PREFIX}{id}/0")), Some(id));
        for name in
            ["", "db", "cairn.archive/", &format!("{PREFIX}{id}"), &format!("{PREFIX}{id}/x")]
        {
            assert_eq!(id_of(name), None, "{name:?}");
        }
    }

    #[test]
    fn what_has_not_taken_its_place_goes_and_what_others_fill_stays() {
        let (env, _) = Environment::in_memory(cairn_env::Options::default()).unwrap();
        let count = || env.snapshot().unwrap().databases().unwrap().len();
        let (mut one, mut other) = (Staging::begin(&env), Staging::begin(&env));
        one.create(DatabaseOptions::default()).unwrap();
        let filled = other.create(DatabaseOptions::default()).unwrap();
        other.load(&filled, &[(b"k".to_vec(), b"v".to_vec())]).unwrap();
        let left = format!("{PREFIX}{}/3", Uuid([7; 16]));
        env.database(&left, DatabaseOptions::default()).unwrap();
        assert_eq!((count(), remove_unfinished_imports(&env).unwrap(), count()), (3, 1, 2));
        drop(one);
        assert_eq!(count(), 1);
        drop(other);
        assert_eq!(count(), 0);
        // It looks once for each open.
        env.database(&left, DatabaseOptions::default()).unwrap();
        assert_eq!(remove_unfinished_imports(&env).unwrap(), 0);
    }
}
