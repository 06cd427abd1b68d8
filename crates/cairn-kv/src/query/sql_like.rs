//! A query as ArkData's text: its calls as tokens, each with a space before it.

use super::{Call, Comparison, Query, Test};
use crate::{KvError, KvResult, MAX_QUERY_LENGTH, Scalar};

impl Query {
    /// The query as ArkData's `getSqlLike` shows it: what was called, in order, the device first. In names
    /// and strings a space is `^^`, `^` is `(^)`, and nothing is `^EMPTY_STRING`.
    ///
    /// # Errors
    /// [`KvError::InvalidQuery`] if it is none; [`KvError::QueryTooLong`].
    pub fn sql_like(&self) -> KvResult<String> {
        self.parts()?;
        let mut text = String::new();
        let (device, others): (Vec<_>, Vec<_>) =
            self.calls.iter().partition(|call| matches!(call, Call::DeviceId(_)));
        device.into_iter().chain(others).for_each(|call| show(call, &mut text));
        let (len, max) = (text.len(), MAX_QUERY_LENGTH);
        if len > max { Err(KvError::QueryTooLong { len, max }) } else { Ok(text) }
    }
}

fn push(text: &mut String, tokens: &[&str]) {
    for token in tokens {
        text.push(' ');
        text.push_str(token);
    }
}

fn show(call: &Call, text: &mut String) {
    match call {
        Call::And => push(text, &["^AND"]),
        Call::Or => push(text, &["^OR"]),
        Call::BeginGroup => push(text, &["^BEGIN_GROUP"]),
        Call::EndGroup => push(text, &["^END_GROUP"]),
        Call::Order { field, descending } => {
            push(text, &[if *descending { "^DESC" } else { "^ASC" }, &escaped(field)]);
        }
        Call::Limit { total, offset } => {
            push(text, &["^LIMIT", &total.to_string(), &offset.to_string()]);
        }
        Call::PrefixKey(prefix) => {
            push(text, &["^KEY_PREFIX", &escaped(&String::from_utf8_lossy(prefix))]);
        }
        Call::SuggestIndex(field) => push(text, &["^SUGGEST_INDEX", &escaped(field)]),
        Call::DeviceId(device) => push(text, &["^DEVICE_ID", &escaped(device)]),
        Call::Condition { field, test } => show_test(&escaped(field), test, text),
    }
}

fn show_test(field: &str, test: &Test, text: &mut String) {
    match test {
        Test::Compare(comparison, scalar) => {
            let token = match comparison {
                Comparison::Equal => "^EQUAL",
                Comparison::NotEqual => "^NOT_EQUAL",
                Comparison::Greater => "^GREATER",
                Comparison::Less => "^LESS",
                Comparison::GreaterOrEqual => "^GREATER_EQUAL",
                Comparison::LessOrEqual => "^LESS_EQUAL",
            };
            push(text, &[token, type_of(scalar), field, &value_of(scalar)]);
        }
        Test::IsNull(true) => push(text, &["^IS_NULL", field]),
        Test::IsNull(false) => push(text, &["^IS_NOT_NULL", field]),
        Test::In { list, numbers, negated } => {
            let token = if *negated { "^NOT_IN" } else { "^IN" };
            let kind = match (list.first(), numbers) {
                (Some(first), _) => type_of(first),
                (None, true) => "DOUBLE",
                (None, false) => "STRING",
            };
            push(text, &[token, kind, field, "^START"]);
            list.iter().for_each(|scalar| push(text, &[&value_of(scalar)]));
            push(text, &["^END"]);
        }
        Test::Like { pattern, negated } => {
            push(text, &[if *negated { "^NOT_LIKE" } else { "^LIKE" }, field, &escaped(pattern)]);
        }
    }
}

fn type_of(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Boolean(_) => "BOOL",
        Scalar::Integer(number) if i32::try_from(*number).is_ok() => "INTEGER",
        Scalar::Integer(_) => "LONG",
        Scalar::Double(_) => "DOUBLE",
        Scalar::String(_) | Scalar::Null => "STRING",
    }
}

fn value_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "null".into(),
        Scalar::Boolean(is) => is.to_string(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Double(number) => format!("{number:.6}"), // as `%f`
        Scalar::String(text) => escaped(text),
    }
}

fn escaped(text: &str) -> String {
    if text.is_empty() {
        return "^EMPTY_STRING".into();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            ' ' => out.push_str("^^"),
            '^' => out.push_str("(^)"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_the_token_of_arkdata() {
        let new = Query::new;
        for (query, text) in [
            (new(), ""),
            (new().equal_to("$.a", 1.5), " ^EQUAL DOUBLE $.a 1.500000"),
            (new().equal_to("$.a", 7), " ^EQUAL INTEGER $.a 7"),
            (new().equal_to("$.a", 1i64 << 40), " ^EQUAL LONG $.a 1099511627776"),
            (new().equal_to("$.a", true), " ^EQUAL BOOL $.a true"),
            (new().equal_to("$.a", "x"), " ^EQUAL STRING $.a x"),
            (new().not_equal_to("$.a", "x"), " ^NOT_EQUAL STRING $.a x"),
            (new().greater_than("$.a", 1), " ^GREATER INTEGER $.a 1"),
            (new().less_than("$.a", 1), " ^LESS INTEGER $.a 1"),
            (new().greater_than_or_equal_to("$.a", 1), " ^GREATER_EQUAL INTEGER $.a 1"),
            (new().less_than_or_equal_to("$.a", 1), " ^LESS_EQUAL INTEGER $.a 1"),
            (new().is_null("$.a"), " ^IS_NULL $.a"),
            (new().is_not_null("$.a"), " ^IS_NOT_NULL $.a"),
            (new().in_numbers("$.a", [1.0, 2.5]), " ^IN DOUBLE $.a ^START 1.000000 2.500000 ^END"),
            (new().in_strings("$.a", ["x", ""]), " ^IN STRING $.a ^START x ^EMPTY_STRING ^END"),
            (new().not_in_numbers("$.a", [7]), " ^NOT_IN INTEGER $.a ^START 7 ^END"),
            (new().not_in_strings("$.a", [""; 0]), " ^NOT_IN STRING $.a ^START ^END"),
            (new().like("$.a", "%x_"), " ^LIKE $.a %x_"),
            (new().unlike("$.a", "x"), " ^NOT_LIKE $.a x"),
            (new().is_null("a").and().is_null("b"), " ^IS_NULL a ^AND ^IS_NULL b"),
            (new().is_null("a").or().is_null("b"), " ^IS_NULL a ^OR ^IS_NULL b"),
            (new().begin_group().is_null("a").end_group(), " ^BEGIN_GROUP ^IS_NULL a ^END_GROUP"),
            (new().order_by_asc("$.a"), " ^ASC $.a"),
            (new().order_by_desc("$.a"), " ^DESC $.a"),
            (new().limit(10, 2), " ^LIMIT 10 2"),
            (new().prefix_key("k"), " ^KEY_PREFIX k"),
            (new().set_suggest_index("$.a"), " ^SUGGEST_INDEX $.a"),
            (new().is_null("a").device_id("d"), " ^DEVICE_ID d ^IS_NULL a"),
        ] {
            assert_eq!(query.sql_like().unwrap(), text);
        }
    }

    #[test]
    fn spaces_and_carets_are_escaped() {
        let query = Query::new().equal_to("$.a", "x y^z").like("$.b", "");
        assert_eq!(
            query.sql_like().unwrap(),
            " ^EQUAL STRING $.a x^^y(^)z ^LIKE $.b ^EMPTY_STRING"
        );
    }

    #[test]
    fn a_query_of_more_than_512000_bytes_is_refused() {
        let of = |len| Query::new().equal_to("$.a", "x".repeat(len));
        assert_eq!(of(511_981).sql_like().unwrap().len(), 512_000);
        let error = of(511_982).sql_like().unwrap_err();
        assert!(matches!(error, KvError::QueryTooLong { len: 512_001, max: 512_000 }));
        assert_eq!(error.code(), Some(401));
    }
}
