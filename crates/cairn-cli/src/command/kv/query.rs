//! `cairn kv query`: the entries of a store that a query means.

use cairndb::kv::{Query, Scalar};
use serde::Serialize;

use super::{Place, ValueJson, show};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
    saved::EnvironmentArgs,
    text,
};

/// Print entries of a store: by the beginning of their keys, by fields of their values
///
/// A condition is FIELD OPERATOR VALUE, as one argument. Operators: = != < <= > >= like unlike null
/// notnull; the last two take no value. A value is JSON, or else text. All conditions must hold.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn kv query data notes --prefix t
  cairn kv query data people --where '$.age >= 18' --order '$.age' --desc --limit 10
  cairn kv query data people --where '$.name like A%' --explain"
)]
pub(super) struct QueryCommand {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// Only keys that begin with this
    #[arg(long, value_name = "P", default_value = "")]
    prefix: String,
    /// A condition on a field; may be given several times
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// In the order of this field
    #[arg(long, value_name = "FIELD")]
    order: Option<String>,
    /// The other way round
    #[arg(long, requires = "order")]
    desc: bool,
    /// At most so many entries
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// After leaving out so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,
    /// Say how entries are found, and what that takes, instead of printing them
    #[arg(long)]
    explain: bool,
}

#[derive(Serialize)]
struct ExplainJson {
    query: String,
    index: Option<String>,
    ranges: usize,
    sorted: bool,
    examined: u64,
    returned: u64,
}

impl QueryCommand {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let query = self.query()?;
        let (_env, store) = self.place.for_reading(&self.of)?;
        if self.explain {
            let explained = store.explain(&query)?;
            let text = query.sql_like()?;
            output.line(format_args!("query:{}", text::escape(text.as_bytes())))?;
            output.line(format_args!("{explained}"))?;
            output.json(&ExplainJson {
                query: text,
                index: explained.index.clone(),
                ranges: explained.ranges,
                sorted: explained.sorted,
                examined: explained.examined,
                returned: explained.returned,
            })?;
            return Ok(Exit::Good);
        }
        for entry in store.get_result_set(&query)?.entries() {
            let entry = entry?;
            output.line(format_args!("{}\t{}", text::escape(&entry.key), show(&entry.value)))?;
            output.json(&ValueJson::from(&entry))?;
        }
        Ok(Exit::Good)
    }

    fn query(&self) -> Result<Query, Failure> {
        let mut query = Query::new();
        if !self.prefix.is_empty() {
            query = query.prefix_key(&self.prefix);
        }
        for condition in &self.conditions {
            query = add(query, condition).ok_or_else(|| {
                let shown = text::escape_short(condition.as_bytes(), 80);
                Failure::usage(format_args!("{shown:?} is no condition: FIELD OPERATOR VALUE"))
            })?;
        }
        query = match (&self.order, self.desc) {
            (None, _) => query,
            (Some(field), false) => query.order_by_asc(field),
            (Some(field), true) => query.order_by_desc(field),
        };
        match (self.limit, self.offset) {
            (None, 0) => {}
            (limit, offset) => query = query.limit(limit.unwrap_or(u64::MAX), offset),
        }
        Ok(match &self.place.device {
            Some(device) => query.device_id(device),
            None => query,
        })
    }
}

/// Adds a condition to a query; `None` if it is none.
fn add(query: Query, condition: &str) -> Option<Query> {
    let (field, rest) = condition.trim().split_once(char::is_whitespace)?;
    let (operator, value) = match rest.trim().split_once(char::is_whitespace) {
        Some((operator, value)) => (operator, Some(value.trim())),
        None => (rest.trim(), None),
    };
    Some(match (operator, value) {
        ("=", Some(value)) => query.equal_to(field, scalar(value)),
        ("!=", Some(value)) => query.not_equal_to(field, scalar(value)),
        ("<", Some(value)) => query.less_than(field, scalar(value)),
        ("<=", Some(value)) => query.less_than_or_equal_to(field, scalar(value)),
        (">", Some(value)) => query.greater_than(field, scalar(value)),
        (">=", Some(value)) => query.greater_than_or_equal_to(field, scalar(value)),
        ("like", Some(value)) => query.like(field, value),
        ("unlike", Some(value)) => query.unlike(field, value),
        ("null", None) => query.is_null(field),
        ("notnull", None) => query.is_not_null(field),
        _ => return None,
    })
}

/// What a value on the command line means: JSON, or else text.
fn scalar(text: &str) -> Scalar {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Bool(is)) => is.into(),
        Ok(serde_json::Value::String(text)) => text.into(),
        Ok(serde_json::Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(other)) => other.into(),
            (None, None) => text.into(),
        },
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_meant() {
        for (condition, text) in [
            ("$.a = 7", " ^EQUAL INTEGER $.a 7"),
            ("$.a != 1.5", " ^NOT_EQUAL DOUBLE $.a 1.500000"),
            ("$.a < x y", " ^LESS STRING $.a x^^y"),
            ("$.a <= \"7\"", " ^LESS_EQUAL STRING $.a 7"),
            ("  $.a   >  true ", " ^GREATER BOOL $.a true"),
            ("$.a >= null", " ^GREATER_EQUAL STRING $.a null"),
            ("$.a like A%", " ^LIKE $.a A%"),
            ("$.a unlike 7", " ^NOT_LIKE $.a 7"),
            ("$.a null", " ^IS_NULL $.a"),
            ("$.a notnull", " ^IS_NOT_NULL $.a"),
        ] {
            let query = add(Query::new(), condition).unwrap();
            assert_eq!(query.sql_like().unwrap(), text, "{condition}");
        }
        for condition in ["", "$.a", "$.a =", "$.a is 7", "$.a null 7", "= 7"] {
            assert!(add(Query::new(), condition).is_none(), "{condition}");
        }
    }
}
