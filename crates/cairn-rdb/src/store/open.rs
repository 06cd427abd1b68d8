//! Opening, closing and deleting: which stores there are, and which of them are open in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

use cairn_env::{DatabaseOptions, EnvResult, Environment, Transaction};

use super::{
    Shared,
    file::{Access, connect, file_exists, remove_file},
    rebuild::rebuild,
};
use crate::{
    HaMode, RdbConfig, RdbError, RdbResult, RebuildType, names,
    observer::Order,
    record::{Pending, StoreRecord},
    sync::lock,
};

/// The stores of an environment that this process knows, by name. It is attached to their environment, which
/// those that are open hold.
#[derive(Default)]
struct Registry {
    open: Mutex<BTreeMap<String, Weak<Shared>>>,
    /// Also of stores that are not open and are changed by those that have attached them.
    orders: Mutex<BTreeMap<String, Arc<Order>>>,
}

/// Who is told of changes in a store.
pub(super) fn order_of(env: &Environment, store: &str) -> Arc<Order> {
    let registry = env.attached::<Registry>();
    let mut orders = lock(&registry.orders);
    Arc::clone(orders.entry(store.into()).or_default())
}

/// A store that was opened.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    /// Whether nobody else has it open.
    pub(super) is_alone: bool,
    pub(super) rebuilt: RebuildType,
}

/// Opens a store, or joins those who have it open.
pub(super) fn open(env: &Environment, config: &RdbConfig) -> RdbResult<Opened> {
    config.check()?;
    let name = &config.name;
    if config.encrypt && !env.is_encrypted() {
        return Err(RdbError::NotEncrypted { store: name.clone() });
    }
    if config.ha_mode != HaMode::Single && env.replica()?.is_none() {
        let what = format!("{:?}: the environment has no replica", config.ha_mode);
        return Err(RdbError::NotSupported { what });
    }
    // What a restore has left that was killed. Whoever cannot remove it can open a store all the same.
    cairn_archive::remove_unfinished_imports(env).unwrap_or_default();
    let registry = env.attached::<Registry>();
    let mut open = lock(&registry.open);
    let shared = open.get(name).and_then(Weak::upgrade).filter(|shared| shared.is_open());
    let is_alone = shared.is_none();
    let rebuilt = record_open(env, config, !is_alone)?;
    let shared = shared.unwrap_or_else(|| {
        let shared = Shared::new(env.clone(), name.clone(), order_of(env, name));
        let shared = Arc::new(shared);
        open.retain(|_, other| other.strong_count() > 0);
        open.insert(name.clone(), Arc::downgrade(&shared));
        shared
    });
    shared.set_max_result_sets(config.result_sets);
    Ok(Opened { shared, is_alone, rebuilt })
}

/// Compares what is recorded with what is asked for, records what is new, and acts on damage that is recorded, unless
/// somebody has the store open.
fn record_open(env: &Environment, config: &RdbConfig, is_open: bool) -> RdbResult<RebuildType> {
    let name = &config.name;
    let only_reads = config.read_only || env.options().read_only;
    let asked = StoreRecord::of(config);
    let Some(record) = settled_record(env, name, only_reads)? else {
        return match only_reads {
            true => Err(RdbError::StoreNotFound { store: name.clone() }),
            false => create(env, name, &asked).map(|()| RebuildType::None),
        };
    };
    let reopened = record.reopened(name, &asked)?;
    if !file_exists(env, name)? {
        let what = format!("its file {name:?} is missing");
        return Err(RdbError::Corrupt { store: name.clone(), what });
    }
    if reopened != record && !only_reads {
        put_record(env, name, &reopened)?;
    }
    match &reopened.damage {
        None => Ok(RebuildType::None),
        Some(_) if is_open => Ok(RebuildType::None), // its handles go on as far as they can
        Some(damage) if only_reads => {
            Err(RdbError::Damaged { store: name.clone(), damage: damage.clone() })
        }
        Some(_) => rebuild(env, name, &reopened, config.allow_rebuild),
    }
}

/// Its file comes into being in a commit of its own, so it is recorded first that it is to come. One that is there, which
/// somebody has made who needs no store, becomes that of the store.
fn create(env: &Environment, name: &str, record: &StoreRecord) -> RdbResult<()> {
    if file_exists(env, name)? {
        return put_record(env, name, record);
    }
    put_record(env, name, &record.with(Some(Pending::Creating)))?;
    finish_creation(env, name, record)
}

pub(super) fn finish_creation(
    env: &Environment,
    name: &str,
    record: &StoreRecord,
) -> RdbResult<()> {
    let file = connect(env, name, Access::Create)?;
    let write = "PRAGMA user_version = 0"; // SQLite writes a file when something is written to it
    file.execute_batch(write).map_err(RdbError::of_sqlite)?;
    put_record(env, name, &record.with(None))
}

/// What is recorded of a store, after what was still to be done.
fn settled_record(
    env: &Environment,
    name: &str,
    only_reads: bool,
) -> RdbResult<Option<StoreRecord>> {
    let Some(record) = find_record(env, name)? else { return Ok(None) };
    match record.pending {
        None => Ok(Some(record)),
        Some(_) if only_reads => Ok(None),
        Some(Pending::Creating) => {
            finish_creation(env, name, &record)?;
            Ok(Some(record.with(None)))
        }
        Some(Pending::Deleting) => {
            finish_deletion(env, name)?;
            Ok(None)
        }
    }
}

fn find_record(env: &Environment, name: &str) -> RdbResult<Option<StoreRecord>> {
    let snapshot = env.snapshot()?;
    let Some(stores) = snapshot.database(names::STORES)? else { return Ok(None) };
    let found = snapshot.get(&stores, name.as_bytes())?;
    found.map(|record| StoreRecord::decode(name, &record)).transpose()
}

pub(super) fn put_record(env: &Environment, name: &str, record: &StoreRecord) -> RdbResult<()> {
    Ok(env.write(|txn| put_record_in(txn, name, record))?)
}

pub(super) fn put_record_in(
    txn: &mut Transaction,
    name: &str,
    record: &StoreRecord,
) -> EnvResult<()> {
    let stores = txn.create_database(names::STORES, DatabaseOptions::default())?;
    txn.put(&stores, name.as_bytes(), &record.encode())
}

/// What is recorded of a store, which must exist.
pub(super) fn record(env: &Environment, name: &str) -> RdbResult<StoreRecord> {
    names::check_store_name(name)?;
    let found = find_record(env, name)?.filter(|record| record.pending.is_none());
    found.ok_or_else(|| RdbError::StoreNotFound { store: name.into() })
}

/// Does something while a store exists, which is not deleted meanwhile.
pub(super) fn while_recorded<T>(
    env: &Environment,
    name: &str,
    act: impl FnOnce() -> T,
) -> RdbResult<T> {
    let registry = env.attached::<Registry>();
    let _open = lock(&registry.open);
    record(env, name)?;
    Ok(act())
}

/// The names of all stores, in order.
pub(super) fn store_names(env: &Environment) -> RdbResult<Vec<String>> {
    let snapshot = env.snapshot()?;
    let Some(stores) = snapshot.database(names::STORES)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in snapshot.iter(&stores)? {
        let (name, record) = entry?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if StoreRecord::decode(&name, &record)?.pending.is_none() {
            found.push(name);
        }
    }
    Ok(found)
}

/// Deletes a store, and closes whoever has it open.
///
/// Its file goes in a commit of its own, so it is recorded first that it is to go: whoever opens the store after a
/// death in between finds that, and goes on.
pub(super) fn delete(env: &Environment, name: &str) -> RdbResult<()> {
    names::check_store_name(name)?;
    let registry = env.attached::<Registry>();
    let mut open = lock(&registry.open);
    let record = record(env, name)?;
    if let Some(by) = attached_by(&open, name) {
        let what = format!("store {name:?}, which is attached by {by:?},");
        return Err(RdbError::Busy { what, waited_ms: 0 });
    }
    put_record(env, name, &record.with(Some(Pending::Deleting)))?;
    if let Some(shared) = open.remove(name).and_then(|shared| shared.upgrade()) {
        shared.close();
    }
    finish_deletion(env, name)
}

fn finish_deletion(env: &Environment, name: &str) -> RdbResult<()> {
    remove_file(env, name)?;
    Ok(env.write(|txn| {
        let stores = txn.create_database(names::STORES, DatabaseOptions::default())?;
        txn.delete(&stores, name.as_bytes()).map(drop)
    })?)
}

/// A store that is open and has this one attached.
fn attached_by(open: &BTreeMap<String, Weak<Shared>>, name: &str) -> Option<String> {
    let mut stores = open.values().filter_map(Weak::upgrade).filter(|store| store.is_open());
    let found = stores.find(|store| store.settings().attached.values().any(|of| of == name));
    found.map(|store| store.name.clone())
}

#[cfg(test)]
mod tests {
    use cairn_env::Options;

    use super::*;
    use crate::{RdbStore, SecurityLevel};

    /// The process died between the two commits of a deletion.
    #[test]
    fn a_deletion_that_was_begun_is_finished_by_the_next_open() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let config = RdbConfig::new("s", SecurityLevel::S3);
        let store = RdbStore::open(&env, config.clone()).unwrap();
        store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
        store.close();
        let deleting = record(&env, "s").unwrap().with(Some(Pending::Deleting));
        put_record(&env, "s", &deleting).unwrap();
        assert_eq!(store_names(&env).unwrap(), [""; 0]);
        assert_eq!(record(&env, "s").unwrap_err().code(), Some(14_800_042));
        let error = RdbStore::open(&env, config.clone().read_only(true)).unwrap_err();
        assert_eq!(error.code(), Some(14_800_042));
        let store = RdbStore::open(&env, RdbConfig::new("s", SecurityLevel::S1)).unwrap();
        let tables: i64 = store.query_one("SELECT count(*) FROM sqlite_schema", ()).unwrap();
        assert_eq!(tables, 0);
    }

    /// The process died between the commits of a creation.
    #[test]
    fn a_creation_that_was_begun_is_finished_by_the_next_open() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let config = RdbConfig::new("s", SecurityLevel::S3);
        let creating = StoreRecord::of(&config).with(Some(Pending::Creating));
        put_record(&env, "s", &creating).unwrap();
        assert_eq!(store_names(&env).unwrap(), [""; 0]);
        let error = RdbStore::open(&env, config.clone().read_only(true)).unwrap_err();
        assert_eq!(error.code(), Some(14_800_042));
        let store = RdbStore::open(&env, config.clone()).unwrap();
        store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
        assert_eq!(store_names(&env).unwrap(), ["s"]);
        RdbStore::open(&env, config.read_only(true)).unwrap();
    }

    #[test]
    fn a_store_whose_file_is_missing_is_damaged_and_not_empty() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let config = RdbConfig::new("s", SecurityLevel::S3);
        RdbStore::open(&env, config.clone()).unwrap().close();
        remove_file(&env, "s").unwrap();
        let error = RdbStore::open(&env, config).unwrap_err();
        assert_eq!(error.code(), Some(14_800_011));
    }

    #[test]
    fn a_file_that_belongs_to_no_store_becomes_that_of_the_store() {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let raw = connect(&env, "raw", Access::Create).unwrap();
        raw.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7)").unwrap();
        let config = RdbConfig::new("raw", SecurityLevel::S1);
        let error = RdbStore::open(&env, config.clone().read_only(true)).unwrap_err();
        assert_eq!(error.code(), Some(14_800_042));
        let store = RdbStore::open(&env, config).unwrap();
        assert_eq!(store.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 7);
        assert_eq!(store_names(&env).unwrap(), ["raw"]);
    }
}
