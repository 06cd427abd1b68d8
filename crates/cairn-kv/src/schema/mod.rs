//! `Schema`: what the values of a store look like, so that they can be checked and found.
//!
//! The values of a store with a schema are JSON. `field` is one of the fields that they have, `text` the
//! schema as JSON, `document` one value under a schema, `growth` what may become of a schema, `index_key` the order of what an index holds.

mod document;
mod field;
mod growth;
mod index_key;
mod text;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub(crate) use document::{at, parse};
pub use field::FieldNode;
pub(crate) use field::Leaf;
pub(crate) use index_key::{IndexKey, Kind, index_key, kind_range, spec};

use crate::{KvError, KvResult, Scalar, Value};

/// Most fields of a schema.
const MAX_FIELDS: usize = 256;
/// Most indexes of a schema.
const MAX_INDEXES: usize = 32;
/// Most bytes that may come before the JSON of a value.
const MAX_SKIP: usize = 4_194_302;

/// Whether a value may have fields of which the schema does not speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum SchemaMode {
    /// It may.
    #[default]
    Compatible,
    /// It may not.
    Strict,
}

/// What the values of a store look like: a tree of named fields, and which of them have an index.
///
/// A value is a string, or a byte array, that holds one JSON object. A field that may not be null must be
/// there, unless it has a default. What was put is what comes back: a default is what a query sees where
/// the field is missing, and changes no value.
///
/// # Growth
///
/// A store may be opened with another schema than it was created with, if the new one has all fields of the old one
/// as they were, the same mode and the same [`Schema::skip`]. If values may have other fields, new ones may come
/// that may be null or have a default; values that were put before must follow them, else the open says
/// [`KvError::ValueMismatch`] and nothing has changed. Indexes may come and go.
///
/// ```
/// use cairn_kv::{FieldNode, Schema, ValueType};
///
/// let mut schema = Schema::new();
/// schema.root.append_child(FieldNode::new("name", ValueType::String));
/// schema.root.append_child(FieldNode::new("age", ValueType::Integer).default_value(18));
/// let mut city = FieldNode::object("city");
/// city.append_child(FieldNode::new("zip", ValueType::String).nullable(true));
/// schema.root.append_child(city);
/// schema.indexes = vec!["$.age".into(), "$.city.zip".into()];
/// assert_eq!(Schema::from_json(&schema.to_json()?)?, schema);
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Schema {
    /// The fields of the object that each value is. Its own name counts for nothing.
    pub root: FieldNode,
    /// The paths of the fields that have an index, such as `$.city.zip`.
    pub indexes: Vec<String>,
    /// Whether values may have other fields, too (default: they may).
    pub mode: SchemaMode,
    /// So many bytes of each value come before its JSON (default: 0, at most 4194302).
    pub skip: usize,
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

impl Schema {
    /// A schema without fields.
    #[must_use]
    pub fn new() -> Self {
        let (indexes, mode) = (Vec::new(), SchemaMode::default());
        Self { root: FieldNode::object("root"), indexes, mode, skip: 0 }
    }

    /// An error unless it is one: names, types, defaults and limits.
    ///
    /// # Errors
    /// [`KvError::InvalidSchema`].
    pub fn check(&self) -> KvResult<()> {
        let fields = self.root.check_root()?;
        if fields > MAX_FIELDS {
            return Err(KvError::schema(format!(
                "{fields} fields are too many: at most {MAX_FIELDS}"
            )));
        }
        if self.skip > MAX_SKIP {
            let skip = self.skip;
            return Err(KvError::schema(format!("{skip} bytes to skip: at most {MAX_SKIP}")));
        }
        let indexes = self.indexes.len();
        if indexes > MAX_INDEXES {
            return Err(KvError::schema(format!(
                "{indexes} indexes are too many: at most {MAX_INDEXES}"
            )));
        }
        let mut seen = BTreeSet::new();
        for index in &self.indexes {
            let path = path_of(index);
            if self.leaf(&path).is_none() {
                return Err(KvError::schema(format!("the index {index:?} is of no field")));
            }
            if !seen.insert(path) {
                return Err(KvError::schema(format!("the index {index:?} is there twice")));
            }
        }
        Ok(())
    }

    /// The field at the end of a path, if it is one that holds something itself.
    pub(crate) fn leaf(&self, path: &[String]) -> Option<&Leaf> {
        let (mut node, mut path) = (&self.root, path);
        while let Some((name, rest)) = path.split_first() {
            (node, path) = (node.child(name)?, rest);
        }
        node.leaf()
    }

    /// An error unless a value follows the schema.
    ///
    /// # Errors
    /// [`KvError::ValueMismatch`].
    pub(crate) fn check_value(&self, value: &Value) -> KvResult<()> {
        document::check(self, value.as_bytes()).map_err(|what| KvError::ValueMismatch { what })
    }

    /// An error that names the key unless the value of an entry follows the schema, as both are stored.
    ///
    /// # Errors
    /// [`KvError::ValueMismatch`].
    pub(crate) fn check_entry(&self, key: &[u8], stored: &[u8]) -> KvResult<()> {
        document::check(self, Value::stored_document(stored)).map_err(|what| {
            let what = format!("under {:?}: {what}", String::from_utf8_lossy(key));
            KvError::ValueMismatch { what }
        })
    }

    /// What a query sees of a field of a document.
    pub(crate) fn see(&self, document: &serde_json::Value, path: &[String]) -> Scalar {
        match at(document, path) {
            Some(found) => found,
            None => self.leaf(path).and_then(|leaf| leaf.default.clone()).unwrap_or(Scalar::Null),
        }
    }
}

/// The names of a path: `$.city.zip`, or `city.zip`.
pub(crate) fn path_of(text: &str) -> Vec<String> {
    text.strip_prefix("$.").unwrap_or(text).split('.').map(str::to_owned).collect()
}
