//! `Row`: the values of a row under the names of its columns, and reading it into a type.

use std::sync::Arc;

use rusqlite::Statement;

use crate::{RdbError, RdbResult, Value, ValuesBucket};

/// The values of a row of a result, under the names of its columns.
///
/// ```
/// use cairn_rdb::{FromRow, RdbConfig, RdbResult, RdbStore, Row, SecurityLevel};
///
/// struct Tea { name: String, price: Option<f64> }
///
/// impl FromRow for Tea {
///     fn from_row(row: &Row) -> RdbResult<Self> {
///         Ok(Self { name: row.get("name")?, price: row.get("price")? })
///     }
/// }
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
/// store.execute_sql("CREATE TABLE tea(name TEXT, price REAL)", ())?;
/// store.execute_sql("INSERT INTO tea VALUES ('green', 2.5), ('mint', NULL)", ())?;
/// let teas: Vec<Tea> = store.query_rows("SELECT * FROM tea ORDER BY name", ())?;
/// assert_eq!((teas[0].name.as_str(), teas[0].price, teas[1].price), ("green", Some(2.5), None));
/// let (count, dearest): (i64, f64) = store.query_one("SELECT count(*), max(price) FROM tea", ())?;
/// assert_eq!((count, dearest), (2, 2.5));
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Columns,
    values: Vec<Value>,
}

/// The names of the columns of a result.
pub(crate) type Columns = Arc<[String]>;

impl Row {
    pub(crate) const fn new(columns: Columns, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The value of a column, by its number from 0 or by its name, as a type.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`]; [`RdbError::TypeMismatch`] if it cannot be converted without loss.
    pub fn get<T: FromValue>(&self, column: impl ColumnIndex) -> RdbResult<T> {
        let at = column.index_in(&self.columns)?;
        convert(self.at(at)?, self.columns.get(at).map_or("", String::as_str))
    }

    /// The value of a column, by its number from 0 or by its name.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`].
    pub fn value(&self, column: impl ColumnIndex) -> RdbResult<&Value> {
        self.at(column.index_in(&self.columns)?)
    }

    fn at(&self, column: usize) -> RdbResult<&Value> {
        let count = self.values.len();
        let missing = || RdbError::ColumnOutOfRange { column: column.to_string(), count };
        self.values.get(column).ok_or_else(missing)
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// The values as they are written.
impl From<Row> for ValuesBucket {
    fn from(row: Row) -> Self {
        row.columns.iter().cloned().zip(row.values).collect()
    }
}

/// The names of the columns of a statement.
pub(crate) fn columns_of(statement: &Statement<'_>) -> Columns {
    statement.column_names().map(String::from).collect()
}

/// The values of a row that a statement stands on.
pub(crate) fn values_of(row: &rusqlite::Row<'_>, count: usize) -> RdbResult<Vec<Value>> {
    let value = |at| row.get_ref(at).map(Value::of_sqlite).map_err(RdbError::of_sqlite);
    (0..count).map(value).collect()
}

/// The value of a column as a type.
fn convert<T: FromValue>(value: &Value, column: &str) -> RdbResult<T> {
    T::from_value(value).ok_or_else(|| RdbError::TypeMismatch {
        column: column.into(),
        found: format!("{:?}", value.column_type()),
        asked: T::NAME,
    })
}

/// What a column is called by: its number from 0, or its name, in whatever letters.
pub trait ColumnIndex {
    /// Its number among columns with these names. Of those with the same name the first one.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`].
    fn index_in(&self, columns: &[String]) -> RdbResult<usize>;
}

impl ColumnIndex for usize {
    fn index_in(&self, columns: &[String]) -> RdbResult<usize> {
        let count = columns.len();
        if *self < count {
            return Ok(*self);
        }
        Err(RdbError::ColumnOutOfRange { column: self.to_string(), count })
    }
}

impl ColumnIndex for &str {
    fn index_in(&self, columns: &[String]) -> RdbResult<usize> {
        let exact = columns.iter().position(|name| name == self);
        let found =
            exact.or_else(|| columns.iter().position(|name| name.eq_ignore_ascii_case(self)));
        let missing =
            || RdbError::ColumnOutOfRange { column: format!("{self:?}"), count: columns.len() };
        found.ok_or_else(missing)
    }
}

/// A type that a value of a column can be read as.
pub trait FromValue: Sized {
    /// What it is called in an error.
    const NAME: &'static str;

    /// The value as this type; `None` if it cannot be without loss.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! values {
    ($($type:ty, $name:literal: $read:expr;)+) => {$(
        impl FromValue for $type {
            const NAME: &'static str = $name;

            fn from_value(value: &Value) -> Option<Self> {
                $read(value)
            }
        }
    )+};
}

values! {
    Value, "value": |value: &Value| Some(value.clone());
    i64, "whole number of 64 bits": Value::to_i64;
    i32, "whole number of 32 bits": |value: &Value| value.to_i64()?.try_into().ok();
    u32, "whole number of 32 bits": |value: &Value| value.to_i64()?.try_into().ok();
    u64, "whole number of 64 bits": |value: &Value| value.to_i64()?.try_into().ok();
    usize, "whole number of this machine": |value: &Value| value.to_i64()?.try_into().ok();
    bool, "true or false": |value: &Value| match value.to_i64()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    f64, "number": Value::to_f64;
    String, "text": |value: &Value| value.to_text().map(Into::into);
    Vec<u8>, "bytes": |value: &Value| value.as_bytes().map(Vec::from);
}

impl<T: FromValue> FromValue for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A type that a row can be read into: a type of values takes the first column, a tuple of such types the first ones.
pub trait FromRow: Sized {
    /// Reads a row.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`], [`RdbError::TypeMismatch`], and what an implementation says.
    fn from_row(row: &Row) -> RdbResult<Self>;
}

impl FromRow for Row {
    fn from_row(row: &Row) -> RdbResult<Self> {
        Ok(row.clone())
    }
}

macro_rules! first_columns {
    ($($type:ty)+) => {$(
        /// The first column.
        impl FromRow for $type {
            fn from_row(row: &Row) -> RdbResult<Self> {
                row.get(0)
            }
        }
    )+};
}

first_columns! { Value i64 i32 u32 u64 usize bool f64 String Vec<u8> }

/// The first column.
impl<T: FromValue> FromRow for Option<T> {
    fn from_row(row: &Row) -> RdbResult<Self> {
        row.get(0)
    }
}

macro_rules! tuples {
    ($($($name:ident $at:literal)+;)+) => {$(
        impl<$($name: FromValue),+> FromRow for ($($name,)+) {
            fn from_row(row: &Row) -> RdbResult<Self> {
                Ok(($(row.get::<$name>($at as usize)?,)+))
            }
        }
    )+};
}

tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let columns = ["n", "Name", "name", "gone"].map(String::from);
        let values = vec![Value::from(300), Value::from("a"), Value::from("b"), Value::Null];
        Row::new(columns.into(), values)
    }

    #[test]
    fn a_column_is_found_by_number_by_name_and_in_other_letters() {
        let row = row();
        assert_eq!(row.get::<i64>(0).unwrap(), 300);
        assert_eq!(row.get::<String>("name").unwrap(), "b");
        assert_eq!(row.get::<String>("NAME").unwrap(), "a");
        for error in [row.get::<i64>(4).unwrap_err(), row.get::<i64>("x").unwrap_err()] {
            assert_eq!(error.code(), Some(14_800_013));
        }
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        let row = row();
        assert_eq!(row.get::<Option<i64>>("gone").unwrap(), None);
        assert_eq!(row.get::<i64>("gone").unwrap_err().code(), Some(14_800_041));
        assert_eq!(row.get::<bool>("n").unwrap_err().code(), Some(14_800_041));
        let error = row.get::<i64>("name").unwrap_err();
        assert_eq!(
            error.to_string(),
            "column name holds Text, which is no whole number of 64 bits"
        );
    }

    #[test]
    fn a_tuple_takes_the_first_columns() {
        let read: (u32, Vec<u8>) = FromRow::from_row(&row()).unwrap();
        assert_eq!(read, (300, b"a".to_vec()));
        assert!(<(i64, i64, i64, i64, i64)>::from_row(&row()).is_err());
    }
}
