//! One value under a schema: a JSON object, checked and looked into.

use serde_json::Value as Json;

use super::{FieldNode, Schema, SchemaMode, field::Leaf};
use crate::{Scalar, Value, ValueType};

/// The JSON of a stored value, or what speaks against it.
pub(crate) fn parse(skip: usize, stored: &[u8]) -> Result<Json, String> {
    parse_document(skip, Value::stored_document(stored))
}

fn parse_document(skip: usize, document: Option<&[u8]>) -> Result<Json, String> {
    let Some(bytes) = document else {
        return Err("it is neither a string nor a byte array".into());
    };
    let Some(bytes) = bytes.get(skip..) else {
        return Err(format!("it has {} bytes, of which {skip} are to be skipped", bytes.len()));
    };
    serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))
}

/// What a document holds at a path; `None` if there is nothing. What is neither null nor a boolean, a
/// number or a string counts as null.
pub(crate) fn at(document: &Json, path: &[String]) -> Option<Scalar> {
    let found = path.iter().try_fold(document, |json, name| json.get(name.as_str()))?;
    Some(scalar(found))
}

fn scalar(json: &Json) -> Scalar {
    match json {
        Json::Bool(is) => Scalar::Boolean(*is),
        Json::String(text) => Scalar::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Scalar::Integer(whole),
            (None, Some(other)) => Scalar::Double(other),
            (None, None) => Scalar::Null,
        },
        Json::Null | Json::Array(_) | Json::Object(_) => Scalar::Null,
    }
}

/// What speaks against a value under a schema; without a `document` it is one that can follow none.
pub(super) fn check(schema: &Schema, document: Option<&[u8]>) -> Result<(), String> {
    let document = parse_document(schema.skip, document)?;
    check_object(schema.mode, schema.root.children(), &document, "$")
}

fn check_object(
    mode: SchemaMode,
    fields: &[FieldNode],
    json: &Json,
    place: &str,
) -> Result<(), String> {
    let Json::Object(members) = json else {
        return Err(format!("{place} is no object"));
    };
    if mode == SchemaMode::Strict {
        let is_known = |name: &&String| fields.iter().any(|field| field.name() == *name);
        if let Some(more) = members.keys().find(|name| !is_known(name)) {
            return Err(format!("{place}.{more} is not in the schema"));
        }
    }
    for field in fields {
        let place = format!("{place}.{}", field.name());
        match (field.leaf(), members.get(field.name())) {
            (Some(leaf), found) => check_leaf(leaf, found, &place)?,
            (None, Some(found)) => check_object(mode, field.children(), found, &place)?,
            (None, None) => {
                check_object(
                    mode,
                    field.children(),
                    &Json::Object(serde_json::Map::new()),
                    &place,
                )?;
            }
        }
    }
    Ok(())
}

fn check_leaf(leaf: &Leaf, found: Option<&Json>, place: &str) -> Result<(), String> {
    let Some(found) = found else {
        return match leaf.nullable || leaf.default.is_some() {
            true => Ok(()),
            false => Err(format!("{place} is missing")),
        };
    };
    let is_right = match found {
        Json::Null => leaf.nullable,
        Json::Array(_) | Json::Object(_) => false,
        // The scale of what is written counts: 1.0 is no whole number.
        other => scalar(other).fits(leaf.value_type),
    };
    if is_right { Ok(()) } else { Err(format!("{place} is {}", mismatch(found, leaf.value_type))) }
}

fn mismatch(found: &Json, wanted: ValueType) -> String {
    let kind = match found {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number out of its range or of another type",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    format!("{kind}, and no {wanted:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(mode: SchemaMode) -> Schema {
        let mut schema = Schema::new();
        schema.mode = mode;
        let fields = [
            FieldNode::new("name", ValueType::String),
            FieldNode::new("age", ValueType::Integer).nullable(true),
            FieldNode::new("score", ValueType::Double).default_value(1.5),
            FieldNode::new("id", ValueType::Long).nullable(true),
        ];
        for field in fields {
            schema.root.append_child(field);
        }
        let mut inner = FieldNode::object("inner");
        inner.append_child(FieldNode::new("ok", ValueType::Boolean).nullable(true));
        schema.root.append_child(inner);
        schema
    }

    fn check(mode: SchemaMode, json: &str) -> Result<(), String> {
        super::check(&schema(mode), Value::from(json).as_bytes())
    }

    #[test]
    fn values_that_follow_the_schema_pass() {
        for json in [
            r#"{"name":"x"}"#,
            r#"{"name":"","age":null,"score":2,"id":9223372036854775807,"inner":{"ok":true}}"#,
            r#"{"name":"x","inner":{}}"#,
            r#"{"name":"x","age":-2147483648,"inner":{"ok":null}}"#,
        ] {
            check(SchemaMode::Strict, json).unwrap();
            check(SchemaMode::Compatible, json).unwrap();
        }
    }

    #[test]
    fn values_that_do_not_are_refused_by_place() {
        for (json, place) in [
            ("", "no JSON"),
            ("7", "$ is no object"),
            ("{}", "$.name is missing"),
            (r#"{"name":null}"#, "$.name is null"),
            (r#"{"name":7}"#, "$.name is a number"),
            (r#"{"name":"x","age":2147483648}"#, "$.age is a number"),
            (r#"{"name":"x","age":1.5}"#, "$.age is a number"),
            (r#"{"name":"x","score":null}"#, "$.score is null"),
            (r#"{"name":"x","score":"1"}"#, "$.score is a string"),
            (r#"{"name":"x","id":9223372036854775808}"#, "$.id is a number"),
            (r#"{"name":"x","inner":7}"#, "$.inner is no object"),
            (r#"{"name":"x","inner":{"ok":[]}}"#, "$.inner.ok is an array"),
        ] {
            for mode in [SchemaMode::Strict, SchemaMode::Compatible] {
                let what = check(mode, json).unwrap_err();
                assert!(what.contains(place), "{json}: {what}");
            }
        }
    }

    #[test]
    fn other_fields_are_for_compatible_schemas() {
        for json in [r#"{"name":"x","more":7}"#, r#"{"name":"x","inner":{"more":7}}"#] {
            check(SchemaMode::Compatible, json).unwrap();
            assert!(check(SchemaMode::Strict, json).unwrap_err().contains("more"));
        }
    }

    #[test]
    fn the_bytes_to_skip_are_skipped() {
        let mut schema = schema(SchemaMode::Strict);
        schema.skip = 3;
        let check = |value: Value| super::check(&schema, value.as_bytes());
        check(r#"abc{"name":"x"}"#.into()).unwrap();
        check(b"\xff\xff\xff{\"name\":\"x\"}"[..].into()).unwrap();
        assert!(check("ab".into()).unwrap_err().contains("skipped"));
        assert!(check(7.into()).unwrap_err().contains("neither"));
    }

    #[test]
    fn a_missing_field_is_seen_as_its_default() {
        let schema = schema(SchemaMode::Compatible);
        let document =
            parse_document(0, Value::from(r#"{"name":"x","age":7}"#).as_bytes()).unwrap();
        let see = |path: &str| schema.see(&document, &super::super::path_of(path));
        assert_eq!(see("$.name"), "x".into());
        assert_eq!(see("age"), 7.into());
        assert_eq!(see("$.score"), 1.5.into());
        assert_eq!(see("$.inner.ok"), Scalar::Null);
    }
}
