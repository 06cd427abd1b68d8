//! Opening, closing and deleting: which stores there are, and which of them are open in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

use cairn_archive::remove_unfinished_imports;
use cairn_env::{Database, DatabaseOptions, Environment, Index, IndexDef};

use super::{Content, Shared};
use crate::{
    KvError, KvOptions, KvResult, Schema, names,
    record::StoreRecord,
    schema::{self, index_key, path_of},
    sync::lock,
};

/// The version of the function that makes the keys of an index: another one builds it again.
const INDEX_VERSION: u32 = 1;

/// The stores that are open in this process, by id. It is attached to their environment, which those hold.
#[derive(Default)]
struct Registry(Mutex<BTreeMap<String, Weak<Shared>>>);

/// Opens a store, or joins those who have it open.
pub(super) fn open(env: &Environment, id: &str, options: &KvOptions) -> KvResult<Arc<Shared>> {
    names::check_store_id(id)?;
    options.check()?;
    if options.encrypt && !env.is_encrypted() {
        return Err(KvError::NotEncrypted { store: id.into() });
    }
    // What a restore has left that was killed. Whoever cannot remove it can open a store all the same.
    remove_unfinished_imports(env).unwrap_or_default();
    let registry = env.attached::<Registry>();
    let mut open = lock(&registry.0);
    let shared = open.get(id).and_then(Weak::upgrade).filter(|shared| {
        let is_open = shared.is_open();
        if !is_open {
            // Whoever restores it goes on: other content is about to come.
            shared.restoring.wait();
        }
        is_open
    });
    let data = recorded(env, id, options, shared.is_some())?;
    let shared = match shared {
        Some(shared) => shared,
        None => {
            let schema = options.schema.clone().map(Arc::new);
            let indexes = indexes(env, id, &data, schema.as_ref())?;
            let content = Content::now(env, data, indexes)?;
            let shared = Shared::new(env.clone(), id.into(), options.store_type, schema, content);
            let shared = Arc::new(shared);
            open.retain(|_, other| other.strong_count() > 0);
            open.insert(id.into(), Arc::downgrade(&shared));
            shared
        }
    };
    shared.set_limits(options.limits);
    Ok(shared)
}

/// The database of the entries, created if need be, after what is recorded was compared.
fn recorded(env: &Environment, id: &str, options: &KvOptions, is_open: bool) -> KvResult<Database> {
    let asked = StoreRecord::of(options)?;
    let Some(record) = find_record(env, id)? else {
        return create(env, id, options, &asked);
    };
    let reopened = record.reopened(id, &asked)?;
    if is_open {
        record.check_same_schema(id, &asked, "it cannot change while the store is open")?;
    }
    if env.options().read_only {
        record.check_same_schema(id, &asked, "it cannot change where nothing is written")?;
    }
    let name = names::data(id);
    let data = env.find_database(&name)?.ok_or_else(|| KvError::Corrupt {
        store: id.into(),
        what: format!("its database {name:?} is missing"),
    })?;
    if reopened != record && !env.options().read_only {
        change(env, id, &data, &record, &reopened)?;
    }
    Ok(data)
}

/// Records what is new, and drops the indexes that the schema does not have any more, in one commit. Those that
/// it does not have yet are built after that: without them the store is the new one already.
fn change(
    env: &Environment,
    id: &str,
    data: &Database,
    old: &StoreRecord,
    new: &StoreRecord,
) -> KvResult<()> {
    let mut gone = Vec::new();
    if let (old, Some(new)) = (old.schema(id)?, new.schema(id)?) {
        if new.has_fields_beyond(old.as_ref()) {
            for entry in env.snapshot()?.iter(data)? {
                let (key, stored) = entry?;
                new.check_entry(&key, &stored)?;
            }
        }
        for number in old.iter().flat_map(|old| old.indexes_unlike(&new)) {
            gone.extend(env.find_database(&names::index(id, number))?);
        }
    }
    let stores = env.database(names::STORES, DatabaseOptions::default())?;
    Ok(env.write(|txn| {
        txn.put(&stores, id.as_bytes(), &new.encode())?;
        gone.iter().try_for_each(|index| txn.drop_database(index))
    })?)
}

/// The store and its database come into being in one commit.
fn create(
    env: &Environment,
    id: &str,
    options: &KvOptions,
    record: &StoreRecord,
) -> KvResult<Database> {
    if !options.create_if_missing || env.options().read_only {
        return Err(KvError::StoreNotFound { store: id.into() });
    }
    let name = names::data(id);
    if env.find_database(&name)?.is_some() {
        return Err(KvError::NameTaken { database: name });
    }
    Ok(env.write(|txn| {
        let stores = txn.create_database(names::STORES, DatabaseOptions::default())?;
        txn.put(&stores, id.as_bytes(), &record.encode())?;
        txn.create_database(&name, DatabaseOptions::default())
    })?)
}

fn find_record(env: &Environment, id: &str) -> KvResult<Option<StoreRecord>> {
    let snapshot = env.snapshot()?;
    let Some(stores) = snapshot.database(names::STORES)? else { return Ok(None) };
    let found = snapshot.get(&stores, id.as_bytes())?;
    found.map(|record| StoreRecord::decode(id, &record)).transpose()
}

/// What is recorded of a store, which must exist.
pub(super) fn record(env: &Environment, id: &str) -> KvResult<StoreRecord> {
    names::check_store_id(id)?;
    find_record(env, id)?.ok_or_else(|| KvError::StoreNotFound { store: id.into() })
}

/// The indexes of a schema, built where they are not.
pub(crate) fn indexes(
    env: &Environment,
    id: &str,
    data: &Database,
    schema: Option<&Arc<Schema>>,
) -> KvResult<Vec<Index>> {
    let Some(schema) = schema else { return Ok(Vec::new()) };
    let defined = schema.indexes.iter().enumerate().map(|(number, field)| {
        let (schema, path) = (Arc::clone(schema), path_of(field));
        let def = IndexDef::new(names::index(id, number), INDEX_VERSION, move |_, stored, emit| {
            if let Ok(document) = schema::parse(schema.skip, stored) {
                emit(&index_key(&schema.see(&document, &path)).bytes);
            }
        });
        Ok(env.index(data, def)?)
    });
    defined.collect()
}

/// The ids of all stores, in order.
pub(crate) fn store_ids(env: &Environment) -> KvResult<Vec<String>> {
    let snapshot = env.snapshot()?;
    let Some(stores) = snapshot.database(names::STORES)? else { return Ok(Vec::new()) };
    let ids = snapshot.iter(&stores)?.map(|entry| {
        let (id, _) = entry?;
        Ok(String::from_utf8_lossy(&id).into_owned())
    });
    ids.collect()
}

/// Deletes a store, and closes whoever has it open.
pub(crate) fn delete(env: &Environment, id: &str) -> KvResult<()> {
    names::check_store_id(id)?;
    let registry = env.attached::<Registry>();
    let mut open = lock(&registry.0);
    if find_record(env, id)?.is_none() {
        return Err(KvError::StoreNotFound { store: id.into() });
    }
    let shared = open.get(id).and_then(Weak::upgrade);
    let mut content = shared.as_ref().map(|shared| shared.content_alone());
    env.write(|txn| {
        let stores = txn.create_database(names::STORES, DatabaseOptions::default())?;
        txn.delete(&stores, id.as_bytes())?;
        let data = txn.create_database(&names::data(id), DatabaseOptions::default())?;
        txn.drop_database(&data)
    })?;
    if let Some(content) = &mut content {
        **content = None;
    }
    drop(content);
    if let Some(shared) = shared {
        shared.close();
    }
    open.remove(id);
    Ok(())
}
