//! Executing a statement: what it answers, and what observers are told of it.

use super::{
    Conn, Kind, Known, bind,
    kind::Pragma,
    refuse,
    settings::About,
    traits::{may_miss_rows, may_replace},
};
use crate::{
    RdbError, RdbResult, Row, Value,
    error::beginning,
    row::{Columns, columns_of, values_of},
    sync::lock,
};

/// What executing a statement has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// How many rows it has changed itself.
    pub(crate) rows: u64,
    /// The rowid of the last row that it has inserted.
    pub(crate) last_row_id: i64,
}

/// What is worth to know of a statement that was executed.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    pub(crate) answer: Value,
    /// The pragma that it has set on the connection, if it has.
    pub(crate) pragma: Option<String>,
}

impl Conn {
    /// Executes a statement to its end, whatever rows it answers, and nothing that only has its own calls.
    pub(crate) fn execute_sql(&self, sql: &str, args: &[Value]) -> RdbResult<Executed> {
        let (mut statement, known) = self.prepare(sql)?;
        self.check_executable(sql, &known)?;
        bind(&mut statement, args)?;
        self.drain(&mut statement, sql, &known, |_| Ok(()))?;
        Ok(Executed { pragma: connection_pragma(&known), ..Executed::default() })
    }

    /// Executes a statement that is no query, and answers what is worth to know of it.
    pub(crate) fn execute(&self, sql: &str, args: &[Value]) -> RdbResult<Executed> {
        let (mut statement, known) = self.prepare(sql)?;
        self.check_executable(sql, &known)?;
        if known.kind == Kind::Query {
            let why = "it is a query, which query_sql answers";
            return Err(RdbError::SqlNotSupported { sql: beginning(sql), why });
        }
        if known.kind == Kind::Pragma && statement.column_count() > 1 {
            let why = "its result has more than one column: query_sql";
            return Err(RdbError::SqlNotSupported { sql: beginning(sql), why });
        }
        bind(&mut statement, args)?;
        let mut answer = None;
        let changed = self.drain(&mut statement, sql, &known, |row| {
            if answer.is_none() {
                answer = Some(row.get_ref(0).map(Value::of_sqlite).map_err(RdbError::of_sqlite)?);
            }
            Ok(())
        })?;
        let answer = match known.kind {
            Kind::Insert if changed.rows == 0 => Value::Null,
            Kind::Insert => changed.last_row_id.into(),
            Kind::UpdateOrDelete => i64::try_from(changed.rows).unwrap_or(i64::MAX).into(),
            Kind::Pragma => answer.unwrap_or_default(),
            _ => Value::Null,
        };
        Ok(Executed { answer, pragma: connection_pragma(&known) })
    }

    /// Executes a statement that changes rows, and answers what it returns of them.
    pub(crate) fn returning(&self, sql: &str, args: &[Value]) -> RdbResult<Vec<Row>> {
        let (mut statement, known) = self.prepare(sql)?;
        self.check_executable(sql, &known)?;
        let changes = matches!(known.kind, Kind::Insert | Kind::UpdateOrDelete);
        if !changes || statement.column_count() == 0 {
            let why = "it does not change rows, or has no RETURNING";
            return Err(RdbError::SqlNotSupported { sql: beginning(sql), why });
        }
        bind(&mut statement, args)?;
        let (mut rows, mut columns) = (Vec::new(), None);
        self.drain(&mut statement, sql, &known, |row| {
            let columns = columns.get_or_insert_with(|| columns_of(row.as_ref()));
            rows.push(Row::new(Columns::clone(columns), values_of(row, columns.len())?));
            Ok(())
        })?;
        Ok(rows)
    }

    fn check_executable(&self, sql: &str, known: &Known) -> RdbResult<()> {
        if let Some(error) = refuse(sql, known.kind) {
            return Err(error);
        }
        let Some(pragma @ Pragma { is_set: true, .. }) = &known.pragma else { return Ok(()) };
        let why = match About::pragma(&pragma.name) {
            _ if known.kind != Kind::Pragma => return Ok(()),
            About::Nobody => "the store relies on it",
            About::Connection if self.is_in_transaction() => {
                "it is about connections: execute it on the store"
            }
            About::Connection if pragma.has_schema => "it is about connections, and not one schema",
            About::Connection | About::Store => return Ok(()),
        };
        Err(RdbError::SqlNotSupported { sql: beginning(sql), why })
    }

    /// Executes a statement that has its values, to its end.
    pub(super) fn drain(
        &self,
        statement: &mut rusqlite::CachedStatement<'_>,
        sql: &str,
        known: &Known,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> RdbResult<()>,
    ) -> RdbResult<Changed> {
        let replaces = self.will_replace(sql);
        let (mark, before) = (self.capture.mark(), self.sqlite.total_changes());
        let mut rows = statement.raw_query();
        let result = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    if let Err(error) = each(row) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(RdbError::of_sqlite(error)),
            }
        };
        drop(rows);
        // How many rows a statement has changed that has failed says whether SQLite has undone them.
        if result.is_err() && self.sqlite.changes() == 0 {
            self.capture.undo_to(mark);
        } else if self.sqlite.total_changes() != before {
            self.tell_what_is_missed(replaces, known);
        }
        result?;
        let (rows, last_row_id) = (self.sqlite.changes(), self.sqlite.last_insert_rowid());
        Ok(Changed { rows, last_row_id })
    }

    /// Whether the statement that is executed next may put rows in the place of others; if nobody observes, that does
    /// not matter.
    pub(super) fn will_replace(&self, sql: &str) -> bool {
        let replaces = self.capture.is_on() && may_replace(self, sql).unwrap_or(true);
        self.capture.begin_statement(replaces);
        replaces
    }

    /// Notes the tables that have changed in ways which SQLite does not report. What cannot be found out may have
    /// happened; it is no error of the statement, which has been executed.
    pub(super) fn tell_what_is_missed(&self, replaces: bool, known: &Known) {
        if !self.capture.is_on() {
            return;
        }
        let mut writes = known.writes.clone();
        for (table, columns) in lock(&self.seen).writes() {
            writes.entry(table.clone()).or_default().extend(columns.iter().cloned());
        }
        for ((schema, table), columns) in &writes {
            if may_miss_rows(self, replaces, schema, table, columns).unwrap_or(true) {
                self.capture.note_missed(schema, table);
            }
        }
    }
}

/// The pragma that a statement sets on whoever executes it, if it does.
fn connection_pragma(known: &Known) -> Option<String> {
    match &known.pragma {
        Some(Pragma { name, is_set: true, .. }) if known.kind == Kind::Pragma => {
            (About::pragma(name) == About::Connection).then(|| name.clone())
        }
        _ => None,
    }
}
