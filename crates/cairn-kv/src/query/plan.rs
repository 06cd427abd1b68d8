//! How the entries that a query means are found: by their keys, or by an index.

use std::fmt;

pub(crate) use super::ranges::{KeyRange, Ranges};
use super::{Parts, condition::field_type, ranges};
use crate::{KvError, KvResult, Schema, ValueType, schema::path_of};

/// How entries are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) access: Access,
    /// Whether they come in the order that is asked for only after they were sorted.
    pub(crate) sorts: bool,
}

/// What is gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The entries with the prefix, in the order of their keys.
    Keys,
    /// So many fields from the first of the schema's indexes, the keys of its index in these ranges.
    Index {
        number: usize,
        ranges: Ranges,
        descending: bool,
        /// Whether the ranges have nothing but what the condition holds for.
        is_exact: bool,
    },
}

/// How a query was executed, and what that took: from [`KvStore::explain`](crate::KvStore::explain).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The field whose index was gone through; `None`: entries were, in the order of their keys.
    pub index: Option<String>,
    /// In how many ranges of keys.
    pub ranges: usize,
    /// Whether the entries had to be found all and sorted before the first one could be given.
    pub sorted: bool,
    /// How many entries, or places of an index, were looked at.
    pub examined: u64,
    /// How many entries are meant.
    pub returned: u64,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.index {
            Some(field) => write!(f, "index of {field}, {} ranges", self.ranges)?,
            None => f.write_str("keys")?,
        }
        let sorted = if self.sorted { ", sorted" } else { "" };
        write!(f, "{sorted}; {} examined, {} returned", self.examined, self.returned)
    }
}

/// The best plan for what a query says.
///
/// # Errors
/// [`KvError::NotSupported`] if it needs a schema and there is none; [`KvError::InvalidQuery`] if it does
/// not fit the schema.
pub(crate) fn plan(parts: &Parts, schema: Option<&Schema>) -> KvResult<Plan> {
    let Some(schema) = schema else {
        let needs =
            parts.condition.is_some() || !parts.orders.is_empty() || parts.suggested.is_some();
        return match needs {
            true => Err(KvError::NotSupported {
                what: "a query on fields, in a store without a schema".into(),
            }),
            false => Ok(Plan { access: Access::Keys, sorts: false }),
        };
    };
    if let Some(condition) = &parts.condition {
        condition.check(schema)?;
    }
    for path in parts.orders.iter().map(|(path, _)| path).chain(&parts.suggested) {
        field_type(schema, path)?;
    }
    let access = chosen(parts, schema);
    let sorts = !parts.orders.is_empty() && !gives_order(&access, parts, schema);
    Ok(Plan { access, sorts })
}

fn chosen(parts: &Parts, schema: &Schema) -> Access {
    let fields = || schema.indexes.iter().map(|index| path_of(index)).enumerate();
    let narrowing = |(number, path): (usize, Vec<String>)| {
        let ranges = ranges::of_field(parts.condition.as_ref()?, &path);
        (!ranges.is_everything()).then(|| {
            let is_suggested = parts.suggested.as_ref() == Some(&path);
            let cost = if is_suggested { Cost::Suggested } else { Cost::of(&ranges) };
            let descending = is_order(parts, &path) == Some(true);
            let is_exact = parts.condition.iter().all(|of| ranges::are_exact(of, &path));
            (cost, Access::Index { number, ranges, descending, is_exact })
        })
    };
    let best = fields().filter_map(narrowing).min_by_key(|(cost, _)| *cost);
    match best {
        Some((cost, access)) if parts.prefix.is_empty() || cost < Cost::Prefix => return access,
        _ => {}
    }
    // Nothing narrows: then an index is of use if it saves sorting.
    let in_order = fields().find_map(|(number, path)| {
        let descending = is_order(parts, &path)?;
        let is_exact = field_type(schema, &path).is_ok_and(|of| of != ValueType::String);
        let ranges = Ranges::everything();
        let of_all = parts.condition.is_none();
        let index = Access::Index { number, ranges, descending, is_exact: of_all };
        (is_exact && parts.prefix.is_empty()).then_some(index)
    });
    in_order.unwrap_or(Access::Keys)
}

/// Whether the field is the only one that entries are ordered by, and whether that descends.
fn is_order(parts: &Parts, path: &[String]) -> Option<bool> {
    match &parts.orders[..] {
        [(by, descending)] if by == path => Some(*descending),
        _ => None,
    }
}

/// Whether entries come in the order that is asked for. Of strings an index knows only the beginning.
fn gives_order(access: &Access, parts: &Parts, schema: &Schema) -> bool {
    let Access::Index { number, descending, .. } = access else { return false };
    let path = path_of(&schema.indexes[*number]);
    let is_exact = field_type(schema, &path).is_ok_and(|of| of != ValueType::String);
    is_exact && is_order(parts, &path) == Some(*descending)
}

/// How much there is to go through, as far as can be told without looking. The smallest is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Suggested,
    /// So many single values.
    Points(usize),
    /// Entries with a prefix.
    Prefix,
    /// Ranges with two ends each.
    Bounded,
    HalfBounded,
}

impl Cost {
    fn of(ranges: &Ranges) -> Self {
        // The first and the last key of a kind have one byte.
        let is_bounded = |range: &KeyRange| {
            range.start.len() > 1 && range.end.as_ref().is_some_and(|end| end.len() > 1)
        };
        match ranges.are_points() {
            true => Self::Points(ranges.0.len()),
            false if ranges.0.iter().all(is_bounded) => Self::Bounded,
            false => Self::HalfBounded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldNode, Query};

    fn schema() -> Schema {
        let mut schema = Schema::new();
        for (name, value_type) in [
            ("age", ValueType::Integer),
            ("city", ValueType::String),
            ("plain", ValueType::Long),
            ("ok", ValueType::Boolean),
        ] {
            schema.root.append_child(FieldNode::new(name, value_type).nullable(true));
        }
        schema.indexes = vec!["$.age".into(), "$.city".into()];
        schema
    }

    /// The field of the index, whether entries are sorted.
    fn planned(query: Query) -> (Option<&'static str>, bool) {
        let Plan { access, sorts } = plan(&query.parts().unwrap(), Some(&schema())).unwrap();
        let field = match access {
            Access::Index { number: 0, .. } => Some("age"),
            Access::Index { .. } => Some("city"),
            Access::Keys => None,
        };
        (field, sorts)
    }

    #[test]
    fn the_index_that_narrows_most_is_used() {
        let new = Query::new;
        for (query, expected) in [
            (new(), (None, false)),
            (new().equal_to("$.age", 7), (Some("age"), false)),
            (new().equal_to("$.plain", 7), (None, false)),
            (new().greater_than("$.age", 7).equal_to("$.city", "x"), (Some("city"), false)),
            (new().equal_to("$.age", 7).or().equal_to("$.city", "x"), (None, false)),
            (new().equal_to("$.age", 7).or().equal_to("$.age", 8), (Some("age"), false)),
            (new().in_numbers("$.age", [1, 2]).equal_to("$.city", "x"), (Some("city"), false)),
            (new().in_numbers("$.age", [0; 0]).equal_to("$.city", "x"), (Some("age"), false)),
            (new().not_in_numbers("$.age", [1]), (None, false)),
            (new().like("$.city", "1%"), (Some("city"), false)),
            (new().equal_to("$.age", 7).prefix_key("k"), (Some("age"), false)),
            (new().less_than("$.age", 7).prefix_key("k"), (None, false)),
            (
                new().equal_to("$.age", 7).is_not_null("$.city").set_suggest_index("$.city"),
                (Some("city"), false),
            ),
            (new().equal_to("$.age", 7).set_suggest_index("$.plain"), (Some("age"), false)),
        ] {
            assert_eq!(planned(query.clone()), expected, "{query:?}");
        }
    }

    #[test]
    fn an_index_gives_the_order_where_it_can() {
        let new = Query::new;
        for (query, expected) in [
            (new().order_by_asc("$.age"), (Some("age"), false)),
            (new().order_by_desc("$.age"), (Some("age"), false)),
            (new().less_than("$.age", 7).order_by_desc("$.age"), (Some("age"), false)),
            (new().order_by_asc("$.age").order_by_asc("$.plain"), (None, true)),
            (new().order_by_asc("$.plain"), (None, true)),
            (new().order_by_asc("$.city"), (None, true)), // long strings would be out of order
            (new().equal_to("$.city", "x").order_by_asc("$.age"), (Some("city"), true)),
            (new().prefix_key("k").order_by_asc("$.age"), (None, true)),
        ] {
            assert_eq!(planned(query.clone()), expected, "{query:?}");
        }
    }

    #[test]
    fn a_query_must_fit_the_schema() {
        let new = Query::new;
        for query in [
            new().equal_to("$.none", 7),
            new().equal_to("$.age", "x"),
            new().equal_to("$.city", 7),
            new().equal_to("$.ok", 1),
            new().equal_to("$.plain", f64::NAN),
            new().like("$.age", "7"),
            new().in_numbers("$.city", [7]),
            new().in_numbers("$.city", [0; 0]),
            new().in_strings("$.age", ["x"]),
            new().order_by_asc("$.none"),
            new().set_suggest_index("$.none"),
        ] {
            let error = plan(&query.parts().unwrap(), Some(&schema())).unwrap_err();
            assert!(matches!(error, KvError::InvalidQuery { .. }), "{query:?}: {error}");
            assert!(matches!(
                plan(&query.parts().unwrap(), None).unwrap_err(),
                KvError::NotSupported { .. }
            ));
        }
        plan(&new().prefix_key("k").limit(1, 2).parts().unwrap(), None).unwrap();
    }
}
