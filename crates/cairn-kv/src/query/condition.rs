//! What a query asks of a value: an expression, read from calls, and held against documents.

use serde_json::Value as Json;

use super::{Call, Comparison, Test, checked_path, like::like};
use crate::{
    KvError, KvResult, Scalar, Schema, ValueType,
    scalar::is_number,
    schema::{self, Kind},
};

/// Groups lie in each other so deep, at most.
const MAX_DEPTH: usize = 32;

/// Conditions and what joins them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Test { path: Vec<String>, test: Test },
}

/// Reads an expression; `None` if there are no calls.
pub(super) fn parse(calls: &[&Call]) -> KvResult<Option<Expression>> {
    if calls.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader { calls, at: 0, depth: 0 };
    let expression = reader.any()?;
    match reader.next() {
        None => Ok(Some(expression)),
        Some(_) => Err(KvError::query("a group ends that did not begin")),
    }
}

struct Reader<'c> {
    calls: &'c [&'c Call],
    at: usize,
    depth: usize,
}

impl<'c> Reader<'c> {
    fn next(&self) -> Option<&'c Call> {
        self.calls.get(self.at).copied()
    }

    fn any(&mut self) -> KvResult<Expression> {
        let mut terms = vec![self.all()?];
        while let Some(Call::Or) = self.next() {
            self.at += 1;
            terms.push(self.all()?);
        }
        Ok(joined(terms, Expression::Any))
    }

    fn all(&mut self) -> KvResult<Expression> {
        let mut terms = vec![self.one()?];
        loop {
            match self.next() {
                Some(Call::And) => self.at += 1,
                Some(Call::Condition { .. } | Call::BeginGroup) => {}
                _ => return Ok(joined(terms, Expression::All)),
            }
            terms.push(self.one()?);
        }
    }

    fn one(&mut self) -> KvResult<Expression> {
        let Some(call) = self.next() else {
            return Err(KvError::query("a condition is missing at its end"));
        };
        self.at += 1;
        match call {
            Call::Condition { field, test } => {
                Ok(Expression::Test { path: checked_path(field)?, test: test.clone() })
            }
            Call::BeginGroup => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    let what = format!("groups lie in each other {MAX_DEPTH} deep at most");
                    return Err(KvError::query(what));
                }
                let inner = self.any()?;
                match self.next() {
                    Some(Call::EndGroup) => self.at += 1,
                    _ => return Err(KvError::query("a group does not end")),
                }
                self.depth -= 1;
                Ok(inner)
            }
            Call::And => Err(KvError::query("an `and` has nothing before it")),
            Call::Or => Err(KvError::query("an `or` has nothing before it")),
            _ => Err(KvError::query("a group is empty, or ends that did not begin")),
        }
    }
}

fn joined(mut terms: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match terms.len() {
        1 => terms.remove(0),
        _ => join(terms),
    }
}

impl Expression {
    /// An error unless all of its conditions are on fields of the schema, and can hold.
    pub(crate) fn check(&self, schema: &Schema) -> KvResult<()> {
        match self {
            Self::All(terms) | Self::Any(terms) => {
                terms.iter().try_for_each(|term| term.check(schema))
            }
            Self::Test { path, test } => {
                let value_type = field_type(schema, path)?;
                let show = path.join(".");
                let differs = |what: String| {
                    Err(KvError::query(format!(
                        "field {show:?} is a {value_type:?}, and no {what}"
                    )))
                };
                match test {
                    Test::Compare(_, scalar) if !scalar.compares_with(value_type) => {
                        differs(format!("{scalar}"))
                    }
                    Test::In { list, numbers, .. } => {
                        let is_right = match numbers {
                            true => is_number(value_type),
                            false => value_type == ValueType::String,
                        };
                        match list.iter().find(|scalar| !scalar.compares_with(value_type)) {
                            Some(scalar) => differs(format!("{scalar}")),
                            None if !is_right => differs("such list".into()),
                            None => Ok(()),
                        }
                    }
                    Test::Like { .. } if value_type != ValueType::String => {
                        differs("string that could be like something".into())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn holds(&self, schema: &Schema, document: &Json) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(schema, document)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(schema, document)),
            Self::Test { path, test } => test.holds(&schema.see(document, path)),
        }
    }
}

/// The type of a field of the schema.
pub(crate) fn field_type(schema: &Schema, path: &[String]) -> KvResult<ValueType> {
    match schema.leaf(path) {
        Some(leaf) => Ok(leaf.value_type),
        None => Err(KvError::query(format!("the schema has no field {:?}", path.join(".")))),
    }
}

impl Test {
    /// Whether it holds for what a field is seen as.
    pub(super) fn holds(&self, seen: &Scalar) -> bool {
        if let Self::In { list, negated: true, .. } = self
            && list.is_empty()
        {
            return true;
        }
        if *seen == Scalar::Null {
            return *self == Self::IsNull(true);
        }
        match self {
            Self::IsNull(null) => !null,
            Self::Compare(_, scalar) if Kind::of(seen) != Kind::of(scalar) => false,
            Self::Compare(comparison, scalar) => {
                let order = seen.cmp(scalar);
                match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::Less => order.is_lt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                    Comparison::LessOrEqual => order.is_le(),
                }
            }
            Self::In { list, negated, .. } => list.contains(seen) != *negated,
            Self::Like { pattern, negated } => match seen {
                Scalar::String(text) => like(pattern, text) != *negated,
                _ => false,
            },
        }
    }
}

/// What decides whether an entry is meant, by its value.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) schema: std::sync::Arc<Schema>,
    pub(crate) expression: Expression,
}

impl Filter {
    /// Whether a stored value is meant. What is no document is not.
    pub(crate) fn admits(&self, stored: &[u8]) -> bool {
        schema::parse(self.schema.skip, stored)
            .is_ok_and(|document| self.expression.holds(&self.schema, &document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Query;

    fn parsed(query: Query) -> KvResult<Option<Expression>> {
        Ok(query.parts()?.condition)
    }

    fn test(field: &str) -> Expression {
        Expression::Test { path: vec![field.into()], test: Test::IsNull(true) }
    }

    #[test]
    fn and_binds_more_than_or_and_may_be_left_out() {
        let query = Query::new().is_null("a").or().is_null("b").and().is_null("c").is_null("$.d");
        let and = Expression::All(vec![test("b"), test("c"), test("d")]);
        assert_eq!(parsed(query).unwrap().unwrap(), Expression::Any(vec![test("a"), and]));
        let query =
            Query::new().begin_group().is_null("a").or().is_null("b").end_group().is_null("c");
        let or = Expression::Any(vec![test("a"), test("b")]);
        assert_eq!(parsed(query).unwrap().unwrap(), Expression::All(vec![or, test("c")]));
        assert_eq!(parsed(Query::new().limit(1, 2)).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let new = Query::new;
        let deep = (0..33).fold(new(), |query, _| query.begin_group()).is_null("a");
        for query in [
            new().and(),
            new().or().is_null("a"),
            new().is_null("a").and(),
            new().is_null("a").or(),
            new().is_null("a").and().or().is_null("b"),
            new().begin_group().is_null("a"),
            new().is_null("a").end_group(),
            new().begin_group().end_group(),
            new().is_null(""),
            new().is_null("$."),
            new().is_null("a^b"),
            new().is_null("a..b"),
            new().order_by_asc(""),
            new().set_suggest_index("^"),
            new().limit(1, 2).limit(3, 4),
            new().device_id("a").device_id("b"),
            new().prefix_key("a").prefix_key("b"),
            (0..33).fold(deep, |query, _| query.end_group()),
        ] {
            let error = query.parts().unwrap_err();
            assert!(matches!(error, KvError::InvalidQuery { .. }), "{query:?}");
            assert_eq!(error.code(), Some(401));
        }
    }

    #[test]
    fn an_empty_in_holds_for_nothing_and_an_empty_not_in_for_everything() {
        let none = |negated| Test::In { list: Vec::new(), numbers: true, negated };
        for seen in [Scalar::Null, 7.into(), "x".into()] {
            assert!(!none(false).holds(&seen) && none(true).holds(&seen));
        }
    }

    #[test]
    fn nothing_but_is_null_holds_for_null() {
        use Comparison::{Equal, NotEqual};
        let null = Scalar::Null;
        assert!(Test::IsNull(true).holds(&null) && !Test::IsNull(false).holds(&null));
        assert!(!Test::Compare(Equal, 7.into()).holds(&null));
        assert!(!Test::Compare(NotEqual, 7.into()).holds(&null));
        let list = |negated| Test::In { list: vec![7.into()], numbers: true, negated };
        assert!(!list(false).holds(&null) && !list(true).holds(&null));
        assert!(!Test::Like { pattern: "%".into(), negated: true }.holds(&null));
    }
}
