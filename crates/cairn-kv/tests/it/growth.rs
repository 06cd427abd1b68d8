//! Schemas that grow: what may come, what is refused, and what becomes of values, indexes and backups.

use cairn_env::{Environment, Options, VerifyOptions};
use cairn_kv::{
    BackupOptions, FieldNode, KvError, KvManager, KvManagerConfig, KvStore, Query, Schema,
    SchemaMode, ValueType,
};

use crate::fixture::{environment, options};

/// A name, and an index of it.
fn old() -> Schema {
    let mut schema = Schema::new();
    schema.root.append_child(FieldNode::new("name", ValueType::String));
    schema.indexes = vec!["$.name".into()];
    schema
}

/// With an age, whose index takes the place of that of the name.
fn new() -> Schema {
    let mut schema = old();
    schema.root.append_child(FieldNode::new("age", ValueType::Integer).default_value(7));
    schema.indexes = vec!["$.age".into(), "$.name".into()];
    schema
}

fn open(env: &Environment, schema: Schema) -> Result<KvStore, KvError> {
    KvStore::open(env, "store", options().schema(schema))
}

fn fill(store: &KvStore) {
    for n in 0..6 {
        store.put(format!("k{n}"), format!(r#"{{"name":"n{}"}}"#, n % 2)).unwrap();
    }
}

/// What is found by a query, which an index must help.
#[track_caller]
fn finds(store: &KvStore, query: Query, index: &str, count: u64) {
    let explained = store.explain(&query).unwrap();
    assert_eq!((explained.index.as_deref(), explained.returned), (Some(index), count));
    assert_eq!(store.get_result_size(&query).unwrap(), count);
}

#[track_caller]
fn verified(env: &Environment) {
    let report = env.verify(&VerifyOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn new_fields_and_indexes_are_there_for_old_values() {
    let env = environment();
    let store = open(&env, old()).unwrap();
    fill(&store);
    store.close();
    let store = open(&env, new()).unwrap();
    finds(&store, Query::new().equal_to("$.age", 7), "$.age", 6);
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 3);
    store.put("k9", r#"{"name":"n1","age":8}"#).unwrap();
    finds(&store, Query::new().greater_than("$.age", 7), "$.age", 1);
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 4);
    verified(&env);
}

#[test]
fn a_schema_that_has_grown_does_not_shrink() {
    let env = environment();
    open(&env, old()).unwrap().close();
    open(&env, new()).unwrap().close();
    let error = open(&env, old()).unwrap_err();
    assert_eq!(error.code(), Some(15_100_002));
    assert!(matches!(&error, KvError::ChangedOptions { option: "schema", .. }), "{error}");
    assert!(error.to_string().ends_with("it does not have $.age any more"), "{error}");
    open(&env, new()).unwrap();
}

#[test]
fn a_store_without_a_schema_gets_one_that_its_values_follow() {
    let dir = tempfile::tempdir().unwrap();
    let manager = KvManager::open(dir.path().join("data"), KvManagerConfig::new()).unwrap();
    let store = manager.get_store("store", options()).unwrap();
    fill(&store);
    store.backup("before").unwrap();
    store.put("number", 7).unwrap();
    manager.close_store("store");

    let error = manager.get_store("store", options().schema(old())).unwrap_err();
    assert!(matches!(error, KvError::ValueMismatch { .. }), "{error}");
    assert!(error.to_string().contains("number"), "{error}");
    let store = manager.get_store("store", options()).unwrap(); // nothing has changed
    store.delete("number").unwrap();
    manager.close_store("store");

    let store = manager.get_store("store", options().schema(old())).unwrap();
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 3);
    assert!(matches!(store.put("number", 7).unwrap_err(), KvError::ValueMismatch { .. }));
    store.put("later", r#"{"name":"n1"}"#).unwrap();
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 4);
    store.restore("before").unwrap(); // it had none then
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 3);
    manager.close_store("store");

    let error = manager.get_store("store", options()).unwrap_err();
    assert!(matches!(&error, KvError::ChangedOptions { option: "schema", .. }), "{error}");
    verified(manager.environment());
}

#[test]
fn indexes_come_and_go() {
    let env = environment();
    let store = open(&env, new()).unwrap();
    fill(&store);
    store.close();
    for indexes in [&["$.age"][..], &[], &["$.name"], &["$.name", "$.age"], &["$.age", "$.name"]] {
        let mut schema = new();
        schema.indexes = indexes.iter().map(|&index| index.into()).collect();
        let store = open(&env, schema).unwrap();
        for index in indexes {
            let query = match *index {
                "$.age" => Query::new().equal_to("$.age", 7),
                _ => Query::new().like("$.name", "%").set_suggest_index("$.name"),
            };
            finds(&store, query, index, 6);
        }
        // No index is left that nobody keeps up.
        store.put("k0", r#"{"name":"n9"}"#).unwrap();
        let left = env.snapshot().unwrap().shapes().unwrap();
        let left = left.iter().filter(|shape| shape.index.is_some()).count();
        assert_eq!(left, indexes.len());
        verified(&env);
        store.close();
    }
}

#[test]
fn a_strict_schema_gets_indexes_and_no_fields() {
    let env = environment();
    let strict = |mut schema: Schema| {
        schema.mode = SchemaMode::Strict;
        schema
    };
    let store = open(&env, strict(old())).unwrap();
    fill(&store);
    store.close();
    let error = open(&env, strict(new())).unwrap_err();
    assert!(error.to_string().ends_with("no new field, such as $.age"), "{error}");
    assert_eq!(open(&env, old()).unwrap_err().code(), Some(15_100_002)); // another mode
    let mut without = strict(old());
    without.indexes.clear();
    open(&env, without).unwrap().close();
    let store = open(&env, strict(old())).unwrap();
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 3);
}

#[test]
fn a_schema_does_not_change_while_the_store_is_open() {
    let env = environment();
    let store = open(&env, old()).unwrap();
    let error = open(&env, new()).unwrap_err();
    assert_eq!(error.code(), Some(15_100_002));
    assert!(error.to_string().ends_with("it cannot change while the store is open"), "{error}");
    fill(&store);
    open(&env, old()).unwrap().close();
    open(&env, new()).unwrap();
}

#[test]
fn values_that_do_not_follow_what_is_new_are_named_and_nothing_changes() {
    let env = environment();
    let store = open(&env, old()).unwrap();
    store.put("free", r#"{"name":"x","age":"seven"}"#).unwrap(); // which was no field yet
    store.close();
    let error = open(&env, new()).unwrap_err();
    assert!(matches!(error, KvError::ValueMismatch { .. }));
    assert!(error.to_string().contains("under \"free\": $.age is a string"), "{error}");
    let store = open(&env, old()).unwrap();
    finds(&store, Query::new().equal_to("$.name", "x"), "$.name", 1);
    store.put("free", r#"{"name":"x","age":8}"#).unwrap();
    store.close();
    let store = open(&env, new()).unwrap();
    finds(&store, Query::new().equal_to("$.age", 8), "$.age", 1);
}

#[test]
fn where_nothing_is_written_a_schema_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path(), Options::default()).unwrap();
    open(&env, old()).unwrap();
    env.close().unwrap();
    let (env, _) = Environment::open(dir.path(), Options::default().read_only(true)).unwrap();
    assert_eq!(open(&env, new()).unwrap_err().code(), Some(15_100_002));
    open(&env, old()).unwrap();
}

#[test]
fn a_backup_from_before_is_restored_into_what_the_schema_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let manager = KvManager::open(dir.path().join("data"), KvManagerConfig::new()).unwrap();
    let store = manager.get_store("store", options().schema(old())).unwrap();
    store.put("free", r#"{"name":"x","age":"seven"}"#).unwrap();
    store.backup("other").unwrap();
    store.delete("free").unwrap();
    fill(&store);
    store.backup("before").unwrap();
    manager.close_store("store");

    let store = manager.get_store("store", options().schema(new())).unwrap();
    store.put("later", r#"{"name":"x","age":1}"#).unwrap();
    store.restore("before").unwrap();
    finds(&store, Query::new().equal_to("$.age", 7), "$.age", 6);
    finds(&store, Query::new().equal_to("$.name", "n1"), "$.name", 3);
    store.put("later", r#"{"name":"n1","age":1}"#).unwrap();
    finds(&store, Query::new().less_than("$.age", 7), "$.age", 1);
    verified(manager.environment());

    // What does not follow the schema as it is now stays away.
    let error = store.restore("other").unwrap_err();
    assert!(matches!(error, KvError::ValueMismatch { .. }), "{error}");
    assert_eq!(store.get_result_size("").unwrap(), 7);

    // And there is no way back.
    store.backup("after").unwrap();
    let path = dir.path().join("data.backups/store/after.bak");
    let archive = cairn_archive::ArchiveFile::at(path).unwrap();
    let behind = manager.get_store("behind", options().schema(old())).unwrap();
    let error = behind.restore_from(&archive, BackupOptions::new()).unwrap_err();
    assert_eq!(error.code(), Some(15_100_002));
    verified(manager.environment());
}
