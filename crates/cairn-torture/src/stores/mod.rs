//! Key-value stores: every crash of what one does, and what must be there after it.
//!
//! The rigs of environments know nothing of stores. What a store adds to one is small: folders of backups, and
//! content that comes from an archive in one commit. `sweep` looks at all of its crashes.

mod sweep;

use std::collections::BTreeMap;

use bytes::Bytes;
use cairn_env::{Environment, Options};
use cairn_io::{DirRef, Name, SyncSite, WorldRef};
use cairn_kv::{
    BackupPlace, FieldNode, KvOptions, KvResult, KvStore, Schema, SecurityLevel, Value, ValueType,
};

pub(crate) use sweep::{Swept, sweep};

const DATA: Name = Name::constant("data");
const BACKUPS: Name = Name::constant("backups");
/// The store of all runs.
pub(crate) const STORE: &str = "store";

/// The entries of a store.
pub(crate) type Entries = BTreeMap<Bytes, Value>;

/// The syncs that stores and their archives add to those of environments.
#[must_use]
pub fn sites() -> Vec<SyncSite> {
    [cairn_archive::SYNC_SITES, cairn_kv::SYNC_SITES].concat()
}

/// Makes room for an environment and for its backups.
pub(crate) fn prepare(root: &DirRef) -> KvResult<()> {
    root.create_dir(&DATA)?;
    root.create_dir(&BACKUPS)?;
    Ok(root.sync(SyncSite::new("torture.root"))?)
}

/// Opens the environment. Small everything: a few entries split a leaf, a few commits fill a journal file.
pub(crate) fn open_environment(root: &DirRef, world: &WorldRef) -> KvResult<Environment> {
    let options = Options::default()
        .background(false)
        .leaf_bytes(256)
        .cache_bytes(256 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10);
    let (data, backups) = (root.open_dir(&DATA)?, root.open_dir(&BACKUPS)?);
    let (env, _) = Environment::open_in(data, WorldRef::clone(world), options)?;
    BackupPlace::new(backups, WorldRef::clone(world)).attach(&env);
    Ok(env)
}

/// Opens the store, or creates it: people with an age and a name, of which the age has an index.
pub(crate) fn open_store(env: &Environment) -> KvResult<KvStore> {
    let mut schema = Schema::new();
    for field in [
        FieldNode::new("age", ValueType::Integer).nullable(true),
        FieldNode::new("name", ValueType::String).default_value("nobody"),
    ] {
        schema.root.append_child(field);
    }
    schema.indexes = vec!["$.age".into()];
    KvStore::open(env, STORE, KvOptions::new(SecurityLevel::S1).schema(schema))
}

/// The document of a person; `None` is null or missing.
pub(crate) fn person(age: Option<i32>, name: Option<&str>) -> String {
    let age = age.map_or_else(|| "null".into(), |age| age.to_string());
    let name = name.map_or_else(String::new, |name| format!(",\"name\":\"{name}\""));
    format!("{{\"age\":{age}{name}}}")
}

/// All entries of a store.
pub(crate) fn entries(store: &KvStore) -> KvResult<Entries> {
    let entries = store.get_entries("")?;
    Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
}
