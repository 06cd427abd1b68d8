//! Environments and stores for tests.

use cairn_env::{Environment, Options};
use cairn_kv::{FieldNode, KvOptions, KvStore, Schema, SecurityLevel, ValueType};

/// An environment in memory without a worker.
pub(crate) fn environment() -> Environment {
    Environment::in_memory(Options::default().background(false)).unwrap().0
}

pub(crate) fn options() -> KvOptions {
    KvOptions::new(SecurityLevel::S1)
}

pub(crate) fn store() -> KvStore {
    KvStore::open(&environment(), "store", options()).unwrap()
}

/// People: a name, an age, a score, a city, whether they are active.
pub(crate) fn people() -> Schema {
    let mut schema = Schema::new();
    for field in [
        FieldNode::new("name", ValueType::String),
        FieldNode::new("age", ValueType::Integer).nullable(true),
        FieldNode::new("score", ValueType::Double).default_value(1.5),
        FieldNode::new("active", ValueType::Boolean).nullable(true),
        FieldNode::new("id", ValueType::Long).nullable(true),
    ] {
        assert!(schema.root.append_child(field));
    }
    let mut city = FieldNode::object("city");
    assert!(city.append_child(FieldNode::new("zip", ValueType::String).nullable(true)));
    assert!(schema.root.append_child(city));
    schema.indexes = ["$.age", "$.name", "$.score", "$.city.zip"].map(String::from).into();
    schema
}
