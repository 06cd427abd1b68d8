//! A schema as JSON, under ArkData's names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    FieldNode, Schema, SchemaMode,
    field::{Content, Leaf},
};
use crate::{KvError, KvResult, Scalar, ValueType};

const VERSION: &str = "1.0";
/// Fields that lie in each other are read so deep, and no deeper: more than any schema may have.
const MAX_READ_DEPTH: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
struct Text {
    schema_version: String,
    #[serde(default)]
    schema_mode: SchemaMode,
    schema_define: Map<String, Json>,
    #[serde(default)]
    schema_indexes: Vec<String>,
    #[serde(default)]
    #[serde(rename = "SCHEMA_SKIPSIZE")]
    skip_size: usize,
}

impl Schema {
    /// The schema as JSON, under ArkData's names: `SCHEMA_VERSION`, `SCHEMA_MODE`, `SCHEMA_DEFINE`,
    /// `SCHEMA_INDEXES`, `SCHEMA_SKIPSIZE`. A field reads like `"STRING, NOT NULL, DEFAULT 'x'"`.
    ///
    /// # Errors
    /// [`KvError::InvalidSchema`] as from [`Schema::check`].
    pub fn to_json(&self) -> KvResult<String> {
        self.check()?;
        let text = Text {
            schema_version: VERSION.into(),
            schema_mode: self.mode,
            schema_define: show_all(self.root.children()),
            schema_indexes: self.indexes.clone(),
            skip_size: self.skip,
        };
        serde_json::to_string(&text).map_err(|error| KvError::schema(error.to_string()))
    }

    /// The schema that such a text says.
    ///
    /// # Errors
    /// [`KvError::InvalidSchema`].
    pub fn from_json(text: &str) -> KvResult<Self> {
        let text: Text =
            serde_json::from_str(text).map_err(|error| KvError::schema(error.to_string()))?;
        if text.schema_version != VERSION {
            let version = text.schema_version;
            return Err(KvError::schema(format!("version {version:?} is not {VERSION:?}")));
        }
        let content = Content::Object(read_all(&text.schema_define, 0)?);
        let schema = Self {
            root: FieldNode { name: "root".into(), content },
            indexes: text.schema_indexes,
            mode: text.schema_mode,
            skip: text.skip_size,
        };
        schema.check()?;
        Ok(schema)
    }
}

fn show_all(fields: &[FieldNode]) -> Map<String, Json> {
    fields.iter().map(|field| (field.name.clone(), show(field))).collect()
}

fn show(field: &FieldNode) -> Json {
    let leaf = match &field.content {
        Content::Object(children) => return Json::Object(show_all(children)),
        Content::Leaf(leaf) => leaf,
    };
    let mut text = type_name(leaf.value_type).to_owned();
    if !leaf.nullable {
        text += ", NOT NULL";
    }
    match &leaf.default {
        None => {}
        Some(Scalar::String(default)) => text += &format!(", DEFAULT '{default}'"),
        Some(default) => text += &format!(", DEFAULT {default}"),
    }
    Json::String(text)
}

fn read_all(fields: &Map<String, Json>, depth: usize) -> KvResult<Vec<FieldNode>> {
    if depth > MAX_READ_DEPTH {
        return Err(KvError::schema("too many fields lie in each other"));
    }
    fields.iter().map(|(name, json)| read(name, json, depth)).collect()
}

fn read(name: &str, json: &Json, depth: usize) -> KvResult<FieldNode> {
    let content = match json {
        Json::Object(children) => Content::Object(read_all(children, depth + 1)?),
        Json::String(text) => match read_leaf(text) {
            Some(leaf) => Content::Leaf(leaf),
            None => {
                return Err(KvError::schema(format!("{text:?} says nothing of field {name:?}")));
            }
        },
        _ => return Err(KvError::schema(format!("field {name:?} is neither text nor an object"))),
    };
    Ok(FieldNode { name: name.into(), content })
}

/// `TYPE[, NOT NULL][, DEFAULT value]`; a string stands in single quotes, and may hold anything.
fn read_leaf(text: &str) -> Option<Leaf> {
    let (name, mut rest) = text.split_once(',').unwrap_or((text, ""));
    let value_type = type_named(name.trim())?;
    let mut leaf = Leaf { value_type, nullable: true, default: None };
    if let Some(after) = rest.trim_start().strip_prefix("NOT NULL") {
        leaf.nullable = false;
        rest = match after.trim_start() {
            "" => "",
            after => after.strip_prefix(',')?,
        };
    }
    if !rest.trim().is_empty() {
        let default = rest.trim_start().strip_prefix("DEFAULT ")?;
        leaf.default = Some(read_default(value_type, default.trim())?);
    }
    Some(leaf)
}

fn read_default(value_type: ValueType, text: &str) -> Option<Scalar> {
    match value_type {
        ValueType::String => text.strip_prefix('\'')?.strip_suffix('\'').map(Scalar::from),
        ValueType::Boolean => text.parse::<bool>().ok().map(Scalar::from),
        _ => {
            let whole = text.parse::<i64>().ok().map(Scalar::from);
            whole.or_else(|| text.parse::<f64>().ok().map(Scalar::from))
        }
    }
}

const TYPES: [(ValueType, &str); 7] = [
    (ValueType::String, "STRING"),
    (ValueType::Integer, "INTEGER"),
    (ValueType::Long, "LONG"),
    (ValueType::Float, "FLOAT"),
    (ValueType::Double, "DOUBLE"),
    (ValueType::Boolean, "BOOL"),
    (ValueType::ByteArray, "BYTE_ARRAY"),
];

fn type_name(value_type: ValueType) -> &'static str {
    TYPES.iter().find(|(of, _)| *of == value_type).map_or("", |(_, name)| name)
}

fn type_named(name: &str) -> Option<ValueType> {
    TYPES.iter().find(|(_, of)| *of == name).map(|(value_type, _)| *value_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Schema {
        let mut schema = Schema::new();
        let name = FieldNode::new("name", ValueType::String).default_value("it's, x");
        assert!(schema.root.append_child(name));
        assert!(schema.root.append_child(FieldNode::new("age", ValueType::Integer).nullable(true)));
        let mut inner = FieldNode::object("inner");
        assert!(inner.append_child(FieldNode::new("score", ValueType::Double).default_value(-1.5)));
        assert!(inner.append_child(FieldNode::new("ok", ValueType::Boolean).default_value(true)));
        assert!(schema.root.append_child(inner));
        schema.indexes = vec!["$.name".into(), "inner.score".into()];
        schema.mode = SchemaMode::Strict;
        schema.skip = 3;
        schema
    }

    #[test]
    fn a_schema_is_written_under_the_names_of_arkdata() {
        assert_eq!(
            example().to_json().unwrap(),
            "{\"SCHEMA_VERSION\":\"1.0\",\"SCHEMA_MODE\":\"STRICT\",\"SCHEMA_DEFINE\":{\
             \"age\":\"INTEGER\",\"inner\":{\"ok\":\"BOOL, NOT NULL, DEFAULT true\",\
             \"score\":\"DOUBLE, NOT NULL, DEFAULT -1.5\"},\
             \"name\":\"STRING, NOT NULL, DEFAULT 'it's, x'\"},\
             \"SCHEMA_INDEXES\":[\"$.name\",\"inner.score\"],\"SCHEMA_SKIPSIZE\":3}"
        );
    }

    #[test]
    fn a_schema_survives_its_text() {
        let text = example().to_json().unwrap();
        let read = Schema::from_json(&text).unwrap();
        assert_eq!(read.to_json().unwrap(), text);
        assert_eq!(read.leaf(&super::super::path_of("$.name")), example().leaf(&["name".into()]));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let of = |define: &str, indexes: &str| {
            format!(
                "{{\"SCHEMA_VERSION\":\"1.0\",\"SCHEMA_MODE\":\"STRICT\",\"SCHEMA_DEFINE\":{define},\
                 \"SCHEMA_INDEXES\":{indexes},\"SCHEMA_SKIPSIZE\":0}}"
            )
        };
        Schema::from_json(&of("{\"a\":\"STRING\"}", "[\"$.a\"]")).unwrap();
        let deep = "{\"a\":".repeat(5) + "{\"b\":\"STRING\"}" + &"}".repeat(5);
        for (define, indexes) in [
            ("{\"a\":\"TEXT\"}", "[]"),
            ("{\"a\":\"BYTE_ARRAY\"}", "[]"),
            ("{\"a\":\"STRING, DEFAULT x\"}", "[]"),
            ("{\"a\":\"INTEGER, DEFAULT 1.5\"}", "[]"),
            ("{\"a\":\"INTEGER, DEFAULT 2147483648\"}", "[]"),
            ("{\"a\":\"STRING NOT NULL\"}", "[]"),
            ("{\"a\":7}", "[]"),
            ("{\"7\":\"STRING\"}", "[]"),
            ("{\"\":\"STRING\"}", "[]"),
            ("{\"a b\":\"STRING\"}", "[]"),
            ("{\"a\":\"STRING\"}", "[\"$.b\"]"),
            ("{\"a\":\"STRING\"}", "[\"$.a\",\"a\"]"),
            ("{\"a\":{\"b\":\"STRING\"}}", "[\"$.a\"]"),
            (deep.as_str(), "[]"),
        ] {
            let error = Schema::from_json(&of(define, indexes)).unwrap_err();
            assert_eq!(error.code(), Some(401), "{define} {indexes}");
        }
        for text in ["", "{}", "[]", "{\"SCHEMA_VERSION\":\"2.0\",\"SCHEMA_DEFINE\":{}}"] {
            assert!(Schema::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schema_has_at_most_256_fields_and_32_indexes() {
        let mut schema = Schema::new();
        for n in 0..256 {
            schema.root.append_child(FieldNode::new(format!("f{n}"), ValueType::Long));
        }
        schema.indexes = (0..32).map(|n| format!("$.f{n}")).collect();
        schema.check().unwrap();
        schema.indexes.push("$.f32".into());
        assert!(schema.check().is_err());
        schema.indexes.clear();
        schema.root.append_child(FieldNode::new("more", ValueType::Long));
        assert!(schema.check().is_err());
    }

    #[test]
    fn a_child_is_appended_once_and_only_to_an_object() {
        let mut root = FieldNode::object("root");
        assert!(root.append_child(FieldNode::new("a", ValueType::Long)));
        assert!(!root.append_child(FieldNode::new("a", ValueType::String)));
        let mut leaf = FieldNode::new("leaf", ValueType::Long);
        assert!(!leaf.append_child(FieldNode::new("a", ValueType::Long)));
    }

    #[test]
    fn the_bytes_to_skip_are_at_most_4194302() {
        let mut schema = Schema::new();
        schema.skip = 4_194_302;
        schema.check().unwrap();
        schema.skip += 1;
        assert_eq!(schema.check().unwrap_err().code(), Some(401));
    }
}
