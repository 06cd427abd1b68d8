//! Asking: statements that change nothing and have columns.

use rusqlite::CachedStatement;

use super::{Conn, Kind, Known, bind, kind::Pragma, refuse, settings::About};
use crate::{
    FromRow, RdbError, RdbResult, Row, Value,
    error::beginning,
    row::{Columns, columns_of, values_of},
};

impl Conn {
    /// Prepares a query, and gives it the values of its parameters.
    pub(crate) fn prepare_query(
        &self,
        sql: &str,
        args: &[Value],
    ) -> RdbResult<CachedStatement<'_>> {
        let (mut statement, known) = self.prepare(sql)?;
        if let Some(error) = refuse(sql, known.kind) {
            return Err(error);
        }
        let is_query = matches!(known.kind, Kind::Query | Kind::Pragma);
        if !is_query || statement.column_count() == 0 {
            return Err(RdbError::NotAQuery { sql: beginning(sql) });
        }
        check_pragma(sql, &known)?;
        bind(&mut statement, args)?;
        Ok(statement)
    }

    /// The first rows of a query, at most so many, as a type. They are of one version without a transaction around
    /// it, since the statement is not stepped through again.
    pub(crate) fn first_rows<T: FromRow>(
        &self,
        sql: &str,
        args: &[Value],
        max: usize,
    ) -> RdbResult<Vec<T>> {
        let mut statement = self.prepare_query(sql, args)?;
        let (mut rows, mut found, mut columns) = (statement.raw_query(), Vec::new(), None);
        while found.len() < max
            && let Some(row) = rows.next().map_err(RdbError::of_sqlite)?
        {
            let columns = columns.get_or_insert_with(|| columns_of(row.as_ref()));
            let values = values_of(row, columns.len())?;
            found.push(T::from_row(&Row::new(Columns::clone(columns), values))?);
        }
        Ok(found)
    }
}

/// An error for a pragma that would set something on the one connection that happens to answer.
fn check_pragma(sql: &str, known: &Known) -> RdbResult<()> {
    match &known.pragma {
        Some(Pragma { name, is_set: true, .. })
            if known.kind == Kind::Pragma && About::pragma(name) != About::Store =>
        {
            let why = "it is about connections: execute it on the store";
            Err(RdbError::SqlNotSupported { sql: beginning(sql), why })
        }
        _ => Ok(()),
    }
}
