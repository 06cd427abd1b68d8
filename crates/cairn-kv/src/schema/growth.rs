//! Growth: which schema may take the place of another one, under which values were put already.
//!
//! The rules are ArkData's: a schema may get fields that need not be there, and any other indexes.

use super::{FieldNode, Schema, SchemaMode, path_of};

impl Schema {
    /// What speaks against `new` in the place of this schema.
    pub(crate) fn check_growth(&self, new: &Self) -> Result<(), String> {
        if self.mode != new.mode {
            return Err("another mode".into());
        }
        if self.skip != new.skip {
            return Err("another number of bytes to skip".into());
        }
        check_fields(self.mode, self.root.children(), &new.root, "$")
    }

    /// Whether this schema, which has grown from `old`, or from none, has fields that values may not follow: they were
    /// free to have something else in their place.
    pub(crate) fn has_fields_beyond(&self, old: Option<&Self>) -> bool {
        old.is_none_or(|old| old.root.children() != self.root.children())
    }

    /// Which indexes of this schema, by their numbers, `new` does not have at the same place.
    pub(crate) fn indexes_unlike(&self, new: &Self) -> impl Iterator<Item = usize> {
        let is_same = |number: usize, index: &String| {
            new.indexes.get(number).is_some_and(|other| path_of(other) == path_of(index))
        };
        let numbered = self.indexes.iter().enumerate();
        numbered.filter(move |(number, index)| !is_same(*number, index)).map(|(number, _)| number)
    }
}

fn check_fields(
    mode: SchemaMode,
    old: &[FieldNode],
    new: &FieldNode,
    place: &str,
) -> Result<(), String> {
    for field in old {
        let place = format!("{place}.{}", field.name());
        let Some(other) = new.child(field.name()) else {
            return Err(format!("it does not have {place} any more"));
        };
        match (field.leaf(), other.leaf()) {
            (None, None) => check_fields(mode, field.children(), other, &place)?,
            (one, other) if one == other => {}
            _ => return Err(format!("{place} is another field")),
        }
    }
    for field in new.children() {
        let place = format!("{place}.{}", field.name());
        if old.iter().any(|known| known.name() == field.name()) {
            continue;
        }
        if mode == SchemaMode::Strict {
            return Err(format!("a strict schema gets no new field, such as {place}"));
        }
        check_optional(field, &place)?;
    }
    Ok(())
}

/// An error unless a value may do without the field.
fn check_optional(field: &FieldNode, place: &str) -> Result<(), String> {
    match field.leaf() {
        Some(leaf) if leaf.nullable || leaf.default.is_some() => Ok(()),
        Some(_) => Err(format!("{place} is new, may not be null, and has no default")),
        None => field
            .children()
            .iter()
            .try_for_each(|child| check_optional(child, &format!("{place}.{}", child.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValueType;

    fn schema(mode: SchemaMode, fields: impl IntoIterator<Item = FieldNode>) -> Schema {
        let mut schema = Schema::new();
        schema.mode = mode;
        fields.into_iter().for_each(|field| assert!(schema.root.append_child(field)));
        schema
    }

    fn name() -> FieldNode {
        FieldNode::new("name", ValueType::String)
    }

    fn city(inner: FieldNode) -> FieldNode {
        let mut city = FieldNode::object("city");
        assert!(city.append_child(inner));
        city
    }

    #[test]
    fn fields_that_need_not_be_there_may_come() {
        let old = schema(SchemaMode::Compatible, [name(), FieldNode::object("city")]);
        let age = || FieldNode::new("age", ValueType::Integer);
        for more in [
            vec![name(), FieldNode::object("city")],
            vec![name(), FieldNode::object("city"), age().nullable(true)],
            vec![name(), FieldNode::object("city"), age().default_value(7)],
            vec![name(), city(age().nullable(true))],
        ] {
            let new = schema(SchemaMode::Compatible, more);
            old.check_growth(&new).unwrap();
            assert_eq!(new.has_fields_beyond(Some(&old)), old.root != new.root);
            assert!(new.has_fields_beyond(None));
            let is_same = old.root == new.root;
            assert_eq!(new.check_growth(&old).is_ok(), is_same, "there is no way back");
        }
    }

    #[test]
    fn what_values_may_not_follow_is_refused_by_place() {
        let more = |mode, field| schema(mode, [name(), field]);
        let optional = || FieldNode::new("age", ValueType::Integer).nullable(true);
        let compatible = schema(SchemaMode::Compatible, [name()]);
        let strict = schema(SchemaMode::Strict, [name()]);
        for (old, new, why) in [
            (&compatible, schema(SchemaMode::Compatible, []), "$.name"),
            (&compatible, schema(SchemaMode::Compatible, [name().nullable(true)]), "$.name"),
            (&compatible, schema(SchemaMode::Compatible, [name().default_value("x")]), "$.name"),
            (&compatible, schema(SchemaMode::Compatible, [FieldNode::object("name")]), "$.name"),
            (
                &compatible,
                more(SchemaMode::Compatible, optional().nullable(false)),
                "$.age is new, may not be null",
            ),
            (
                &compatible,
                more(SchemaMode::Compatible, city(optional().nullable(false))),
                "$.city.age is new",
            ),
            (&strict, more(SchemaMode::Strict, optional()), "strict"),
            (&strict, schema(SchemaMode::Compatible, [name()]), "mode"),
        ] {
            let found = old.check_growth(&new).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
        let mut skips = compatible.clone();
        skips.skip = 1;
        assert!(compatible.check_growth(&skips).unwrap_err().contains("skip"));
    }

    #[test]
    fn an_index_is_the_same_at_the_same_place() {
        let unlike = |old: &[&str], new: &[&str]| -> Vec<usize> {
            let of = |indexes: &[&str]| {
                let mut schema = Schema::new();
                schema.indexes = indexes.iter().map(|&index| index.into()).collect();
                schema
            };
            of(old).indexes_unlike(&of(new)).collect()
        };
        assert_eq!(unlike(&["$.a", "$.b"], &["a", "$.b", "$.c"]), [0; 0]);
        assert_eq!(unlike(&["$.a", "$.b"], &["$.b"]), [0, 1]);
        assert_eq!(unlike(&["$.a", "$.b"], &["$.a"]), [1]);
        assert_eq!(unlike(&[], &["$.a"]), [0; 0]);
    }
}
