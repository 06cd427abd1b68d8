//! `Condition`: what can hold of a column, as it stands in a statement.

use crate::{Value, names::quoted};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) column: String,
    pub(super) test: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Compare(&'static str, Value),
    Like { pattern: String, is_escaped: bool, not: bool },
    Glob(String),
    Null { not: bool },
    Between { low: Value, high: Value, not: bool },
    In { values: Vec<Value>, not: bool },
}

impl Test {
    /// Like a text between two patterns, in which nothing stands for anything else.
    pub(super) fn with_text(before: &str, text: &str, after: &str, not: bool) -> Self {
        let mut pattern = String::from(before);
        for c in text.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern += after;
        Self::Like { pattern, is_escaped: true, not }
    }
}

impl Condition {
    /// Adds it to a statement, and its values to those of the parameters.
    pub(super) fn render(&self, sql: &mut String, args: &mut Vec<Value>) {
        let not = |not: bool| if not { "NOT " } else { "" };
        let column = quoted(&self.column);
        if let Test::In { values, not: is_not } = &self.test
            && values.is_empty()
        {
            // SQLite would not look whether there is such a column. Whether something is null never is.
            *sql += &format!("({column} IS NULL) IS {}NULL", not(*is_not));
            return;
        }
        *sql += &column;
        match &self.test {
            Test::Compare(operator, value) => {
                *sql += &format!(" {operator} ?");
                args.push(value.clone());
            }
            Test::Like { pattern, is_escaped, not: is_not } => {
                let escape = if *is_escaped { " ESCAPE '\\'" } else { "" };
                *sql += &format!(" {}LIKE ?{escape}", not(*is_not));
                args.push(pattern.into());
            }
            Test::Glob(pattern) => {
                *sql += " GLOB ?";
                args.push(pattern.into());
            }
            Test::Null { not: is_not } => *sql += &format!(" IS {}NULL", not(*is_not)),
            Test::Between { low, high, not: is_not } => {
                *sql += &format!(" {}BETWEEN ? AND ?", not(*is_not));
                args.extend([low.clone(), high.clone()]);
            }
            Test::In { values, not: is_not } => {
                let parameters = vec!["?"; values.len()].join(", ");
                *sql += &format!(" {}IN ({parameters})", not(*is_not));
                args.extend(values.iter().cloned());
            }
        }
    }
}
