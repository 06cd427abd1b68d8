//! Reading the row that a result set stands on, and its columns.

use super::{Place, ResultSet};
use crate::{ColumnIndex, ColumnType, FromValue, RdbError, RdbResult, Row, Value};

impl ResultSet<'_> {
    /// The names of the columns.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn column_names(&self) -> RdbResult<&[String]> {
        self.cursor()?;
        Ok(&self.columns)
    }

    /// How many columns there are.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn column_count(&self) -> RdbResult<usize> {
        Ok(self.column_names()?.len())
    }

    /// The number of a column, from 0, by its name, in whatever letters.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`], [`RdbError::AlreadyClosed`].
    pub fn column_index(&self, name: &str) -> RdbResult<usize> {
        name.index_in(self.column_names()?)
    }

    /// The name of a column.
    ///
    /// # Errors
    /// [`RdbError::ColumnOutOfRange`], [`RdbError::AlreadyClosed`].
    pub fn column_name(&self, column: usize) -> RdbResult<&str> {
        let names = self.column_names()?;
        Ok(&names[column.index_in(names)?])
    }

    /// The row that it stands on.
    pub(super) fn current(&self) -> RdbResult<&Row> {
        self.cursor()?;
        let row = match self.place {
            Place::On(row) => Some(row),
            Place::BeforeFirst | Place::AfterLast => None,
        };
        row.and_then(|row| self.window.row(row)).ok_or(RdbError::RowOutOfRange { row })
    }

    fn value(&self, column: usize) -> RdbResult<&Value> {
        self.current()?.value(column)
    }

    /// A column of the row as a type; by its number from 0.
    ///
    /// # Errors
    /// [`RdbError::RowOutOfRange`] if it stands on none; [`RdbError::ColumnOutOfRange`];
    /// [`RdbError::TypeMismatch`] if it cannot be converted without loss, which null can only into an [`Option`];
    /// [`RdbError::AlreadyClosed`].
    pub fn get<T: FromValue>(&self, column: usize) -> RdbResult<T> {
        self.current()?.get(column)
    }

    /// A column of the row.
    ///
    /// # Errors
    /// As [`ResultSet::get`], of which it converts nothing.
    pub fn get_value(&self, column: usize) -> RdbResult<Value> {
        self.value(column).cloned()
    }

    /// The bytes in a column of the row; of text those of its UTF-8.
    ///
    /// # Errors
    /// As [`ResultSet::get`].
    pub fn get_blob(&self, column: usize) -> RdbResult<Vec<u8>> {
        self.get(column)
    }

    /// The text in a column of the row, or the number as text.
    ///
    /// # Errors
    /// As [`ResultSet::get`].
    pub fn get_string(&self, column: usize) -> RdbResult<String> {
        self.get(column)
    }

    /// The whole number in a column of the row.
    ///
    /// # Errors
    /// As [`ResultSet::get`].
    pub fn get_long(&self, column: usize) -> RdbResult<i64> {
        self.get(column)
    }

    /// The number in a column of the row.
    ///
    /// # Errors
    /// As [`ResultSet::get`].
    pub fn get_double(&self, column: usize) -> RdbResult<f64> {
        self.get(column)
    }

    /// The type of what is in a column of the row.
    ///
    /// # Errors
    /// As [`ResultSet::get_value`].
    pub fn column_type(&self, column: usize) -> RdbResult<ColumnType> {
        Ok(self.value(column)?.column_type())
    }

    /// Whether a column of the row is null.
    ///
    /// # Errors
    /// As [`ResultSet::get_value`].
    pub fn is_column_null(&self, column: usize) -> RdbResult<bool> {
        Ok(self.value(column)?.is_null())
    }

    /// The row that it stands on.
    ///
    /// # Errors
    /// [`RdbError::RowOutOfRange`], [`RdbError::AlreadyClosed`].
    pub fn get_row(&self) -> RdbResult<Row> {
        self.current().cloned()
    }
}
