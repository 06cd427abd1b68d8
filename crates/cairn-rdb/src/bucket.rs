//! `ValuesBucket`: the values of some columns of a row that is written.

use crate::Value;

/// The values of some columns of a row that is written, in the order in which they were put.
///
/// A column is there once, in whatever letters: the last value counts. A column that is not in it gets its
/// default when a row is inserted, and stays as it is when one is updated.
///
/// ```
/// use cairn_rdb::{Value, ValuesBucket};
///
/// let row = ValuesBucket::new().put("name", "tea").put("price", 3).put("NAME", "green tea");
/// assert_eq!(row.get("name"), Some(&Value::from("green tea")));
/// assert_eq!(row.columns().collect::<Vec<_>>(), ["name", "price"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValuesBucket(Vec<(String, Value)>);

impl ValuesBucket {
    /// One without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this value in a column.
    #[must_use]
    pub fn put(mut self, column: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(column.into(), value.into());
        self
    }

    fn set(&mut self, column: String, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&column)) {
            Some((_, old)) => *old = value,
            None => self.0.push((column, value)),
        }
    }

    /// The value of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(column)).map(|(_, value)| value)
    }

    /// Its columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(column, _)| column.as_str())
    }

    /// Its values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many columns it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<C: Into<String>, V: Into<Value>> FromIterator<(C, V)> for ValuesBucket {
    fn from_iter<I: IntoIterator<Item = (C, V)>>(columns: I) -> Self {
        columns.into_iter().fold(Self::new(), |bucket, (column, value)| bucket.put(column, value))
    }
}

impl<C: Into<String>, V: Into<Value>, const N: usize> From<[(C, V); N]> for ValuesBucket {
    fn from(columns: [(C, V); N]) -> Self {
        columns.into_iter().collect()
    }
}
