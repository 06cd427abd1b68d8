//! Rows: as a table for people, as comma-separated values, as JSON for programs.

use cairndb::sql::rusqlite::{Statement, types::ValueRef};
use serde_json::{Map, Number, Value};

use super::query::check;
use crate::{exit::Failure, output::Output, text};

/// How rows are printed where people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Table,
    Csv,
}

/// So many rows decide how wide columns are: what comes later may stand out.
const MEASURED: usize = 200;
/// A wider column is not padded.
const WIDEST: usize = 60;

impl Style {
    /// Runs a query and prints its rows.
    pub(super) fn rows(
        self,
        statement: &mut Statement<'_>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = check(statement.query([]))?;
        if output.is_json() {
            while let Some(row) = check(rows.next())? {
                let mut object = Map::new();
                for (n, name) in names.iter().enumerate() {
                    object.insert(name.clone(), json(check(row.get_ref(n))?));
                }
                output.json(&serde_json::json!({ "row": object }))?;
            }
            return Ok(());
        }
        let texts = |row: &cairndb::sql::rusqlite::Row<'_>| -> Result<Vec<String>, Failure> {
            (0..names.len()).map(|n| Ok(self.text(check(row.get_ref(n))?))).collect()
        };
        if self == Self::Csv {
            let mut out = csv::Writer::from_writer(output.raw());
            let failed = |error: csv::Error| Failure::output(&error.into());
            out.write_record(&names).map_err(failed)?;
            while let Some(row) = check(rows.next())? {
                out.write_record(texts(row)?).map_err(failed)?;
            }
            return out.flush().map_err(|error| Failure::output(&error));
        }
        let mut table = Table::new(&names);
        let mut first = Vec::new();
        while first.len() < MEASURED
            && let Some(row) = check(rows.next())?
        {
            first.push(texts(row)?);
        }
        first.iter().for_each(|row| table.measure(row));
        output.heading(format_args!("{}", table.line(&names)))?;
        for row in &first {
            output.line(format_args!("{}", table.line(row)))?;
        }
        if first.len() == MEASURED {
            while let Some(row) = check(rows.next())? {
                output.line(format_args!("{}", table.line(&texts(row)?)))?;
            }
        }
        Ok(())
    }

    fn text(self, value: ValueRef<'_>) -> String {
        match value {
            ValueRef::Null if self == Self::Csv => String::new(),
            ValueRef::Null => "NULL".into(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) if self == Self::Csv => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Text(text) => text::escape(text),
            ValueRef::Blob(bytes) if self == Self::Csv => text::hex(bytes),
            ValueRef::Blob(bytes) => format!("x'{}'", text::hex(bytes)),
        }
    }
}

/// A value for programs. Bytes, and text that is none, are `{"hex": …}`.
fn json(value: ValueRef<'_>) -> Value {
    let hex = |bytes: &[u8]| serde_json::json!({ "hex": text::hex(bytes) });
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => hex(bytes),
        },
        ValueRef::Blob(bytes) => hex(bytes),
    }
}

/// Columns under each other.
struct Table {
    widths: Vec<usize>,
}

impl Table {
    fn new(names: &[String]) -> Self {
        Self { widths: names.iter().map(|name| width(name)).collect() }
    }

    fn measure(&mut self, row: &[String]) {
        for (widest, field) in self.widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(field)).min(WIDEST);
        }
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (n, (field, width_max)) in row.iter().zip(&self.widths).enumerate() {
            line += field;
            if n + 1 < row.len() {
                let padding = width_max.saturating_sub(width(field)) + 2;
                line.extend(std::iter::repeat_n(' ', padding));
            }
        }
        line
    }
}

fn width(field: &str) -> usize {
    field.chars().count()
}
