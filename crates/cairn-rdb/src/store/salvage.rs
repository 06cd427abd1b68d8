//! Salvage: the rows of a damaged file that can be read, brought into a store.

use cairn_env::ErrorKind;
use rusqlite::{Connection, Row, ToSql, TransactionBehavior, params_from_iter};

use super::{
    RdbStore,
    file::{Access, connect, file_exists},
};
use crate::{RdbError, RdbResult, SqlFiles, TransferError};

/// What was brought out of a damaged file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The tables, by name.
    pub tables: Vec<SalvagedTable>,
    /// What was left out: virtual tables with those that they are stored in, and indexes, triggers and views that cannot
    /// be made of what there is now.
    pub left_out: Vec<String>,
}

/// What was brought out of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedTable {
    /// Its name.
    pub name: String,
    /// How many rows were put into the store.
    pub rows: u64,
    /// Whether every row could be read.
    pub is_complete: bool,
    /// Between which rowids, both included, rows may be missing. A table without rowids has none.
    pub gaps: Vec<(i64, i64)>,
}

impl SalvageReport {
    /// Whether everything was brought out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty() && self.tables.iter().all(|table| table.is_complete)
    }
}

impl RdbStore {
    /// Brings what can be read of a damaged SQL file into this store, in one commit: of a store that was set aside
    /// (`NAME.damaged-1`) into the empty one that has taken its place. Tables that the store does not have are made;
    /// rows that it has already, by a key, stay as they are; then come indexes, triggers and views. The damaged file is
    /// only read. What lies behind damage is searched for by its rowids, so a damaged page costs no more than the rows
    /// on it, and on the pages to which it alone leads.
    ///
    /// Result sets and transactions of the store end, and observers are told to read it again.
    ///
    /// # Errors
    /// [`RdbError::Transfer`] if there is no such file; what SQLite says if not even its schema can be read (14800011);
    /// if somebody else writes to the store for too long. Then nothing has changed.
    pub fn salvage(&self, damaged: &str) -> RdbResult<SalvageReport> {
        self.check_writable()?;
        let env = &self.shared.env;
        if damaged == self.name() {
            return Err(RdbError::args("a store cannot be salvaged into itself"));
        }
        if !file_exists(env, damaged)? {
            return Err(TransferError::NotFound { name: damaged.into() }.into());
        }
        let source = connect(env, damaged, Access::ReadOnly)?;
        let mut target = connect(env, self.name(), Access::ReadWrite)?;
        let lenient = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON";
        target.execute_batch(lenient).map_err(RdbError::of_sqlite)?;
        let txn = target.transaction_with_behavior(TransactionBehavior::Immediate);
        let txn = txn.map_err(RdbError::of_sqlite)?;
        let report = Salvage { source: &source, target: &txn }.run()?;
        txn.commit().map_err(RdbError::of_sqlite)?;
        drop(source);
        SqlFiles::of(env).take_damage(damaged); // it is no news
        self.shared.content_replaced();
        Ok(report)
    }
}

struct Salvage<'c> {
    source: &'c Connection,
    target: &'c Connection,
}

/// A table of the damaged file.
struct Table {
    name: String,
    has_rowids: bool,
    /// Those that are stored, in their order, quoted.
    columns: Vec<String>,
    /// The key of a table without rowids, quoted.
    key: Vec<String>,
}

impl Salvage<'_> {
    fn run(&self) -> RdbResult<SalvageReport> {
        let mut report = SalvageReport::default();
        let listed = "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' \
                      AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND type <> 'view' ORDER BY name";
        let listed = rows(self.source, listed, |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
        })?;
        for (name, kind, is_without_rowid) in listed {
            if kind != "table" {
                report.left_out.push(name);
                continue;
            }
            let table = self.table(name, !is_without_rowid)?;
            self.make(&table.name)?;
            report.tables.push(self.fill(&table)?);
        }
        let rest = "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') \
                    AND sql IS NOT NULL ORDER BY type = 'trigger', rowid";
        let rest = rows(self.source, rest, |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        for (name, sql) in rest {
            if !self.has(&name)? && self.target.execute_batch(&sql).is_err() {
                report.left_out.push(name);
            }
        }
        Ok(report)
    }

    fn table(&self, name: String, has_rowids: bool) -> RdbResult<Table> {
        let sql = "SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid";
        let mut statement = self.source.prepare(sql).map_err(RdbError::of_sqlite)?;
        let columns = statement.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)));
        let columns: rusqlite::Result<Vec<(String, i64)>> = columns.and_then(Iterator::collect);
        let columns = columns.map_err(RdbError::of_sqlite)?;
        let mut key: Vec<_> = columns.iter().filter(|(_, pk)| *pk > 0).collect();
        key.sort_by_key(|(_, pk)| *pk);
        let key = key.into_iter().map(|(name, _)| quoted(name)).collect();
        let columns = columns.iter().map(|(name, _)| quoted(name)).collect();
        Ok(Table { name, has_rowids, columns, key })
    }

    fn has(&self, name: &str) -> RdbResult<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)";
        self.target.query_row(sql, [name], |row| row.get(0)).map_err(RdbError::of_sqlite)
    }

    fn make(&self, table: &str) -> RdbResult<()> {
        if self.has(table)? {
            return Ok(());
        }
        let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?";
        let sql: String =
            self.source.query_row(sql, [table], |row| row.get(0)).map_err(RdbError::of_sqlite)?;
        self.target.execute_batch(&sql).map_err(RdbError::of_sqlite)
    }

    fn fill(&self, table: &Table) -> RdbResult<SalvagedTable> {
        let mut found = SalvagedTable {
            name: table.name.clone(),
            is_complete: true,
            ..SalvagedTable::default()
        };
        match table.has_rowids {
            true => self.by_rowid(table, &mut found)?,
            false => self.by_both_ends(table, &mut found)?,
        }
        Ok(found)
    }

    /// From rowid to rowid; behind damage on with the next rowid that can be read.
    fn by_rowid(&self, table: &Table, found: &mut SalvagedTable) -> RdbResult<()> {
        let rowid = table.rowid();
        let columns = [std::slice::from_ref(&rowid), &table.columns].concat();
        let read = format!(
            "SELECT {} FROM {} WHERE {rowid} >= ? ORDER BY {rowid}",
            columns.join(", "),
            quoted(&table.name)
        );
        // The whole of the next row: it may be what it has on pages of its own that is damaged.
        let probe = format!("{read} LIMIT 1");
        let can_be_read = |at: i64| match self.source.query_row(&probe, [at], |_| Ok(())) {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(true),
            Err(error) => damage(error).map(|()| false),
        };
        let mut next = Some(i64::MIN);
        while let Some(start) = next {
            let mut last = None;
            let end = self.copy(table, &columns, &read, &[&start], found, |row| {
                last = Some(row.get(0)?);
                Ok(())
            })?;
            if end {
                return Ok(());
            }
            found.is_complete = false;
            let lost = last.map_or(Some(start), |last: i64| last.checked_add(1));
            let Some(lost) = lost else { return Ok(()) };
            next = first_behind(lost, can_be_read)?;
            found.gaps.push((lost, next.map_or(i64::MAX, |next| next - 1)));
        }
        Ok(())
    }

    /// From the beginning up to damage, and from the end down to damage.
    fn by_both_ends(&self, table: &Table, found: &mut SalvagedTable) -> RdbResult<()> {
        for order in ["ASC", "DESC"] {
            let key: Vec<_> = table.key.iter().map(|column| format!("{column} {order}")).collect();
            let (columns, name) = (table.columns.join(", "), quoted(&table.name));
            let read = format!("SELECT {columns} FROM {name} ORDER BY {}", key.join(", "));
            if self.copy(table, &table.columns, &read, &[], found, |_| Ok(()))? {
                return Ok(());
            }
            found.is_complete = false;
        }
        Ok(())
    }

    /// Copies what a query answers; says whether it came to its end, or to damage.
    fn copy(
        &self,
        table: &Table,
        columns: &[String],
        read: &str,
        args: &[&dyn ToSql],
        found: &mut SalvagedTable,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> RdbResult<bool> {
        let places = vec!["?"; columns.len()].join(", ");
        let (name, columns) = (quoted(&table.name), columns.join(", "));
        let insert = format!("INSERT OR IGNORE INTO {name} ({columns}) VALUES ({places})");
        let mut insert = self.target.prepare(&insert).map_err(RdbError::of_sqlite)?;
        let count = insert.parameter_count();
        let mut read = match self.source.prepare(read) {
            Ok(read) => read,
            Err(error) => return damage(error).map(|()| false),
        };
        let mut rows = match read.query(args) {
            Ok(rows) => rows,
            Err(error) => return damage(error).map(|()| false),
        };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(true),
                Err(error) => return damage(error).map(|()| false),
            };
            let values = (0..count).map(|at| row.get_ref(at)).collect::<rusqlite::Result<Vec<_>>>();
            let values = match values {
                Ok(values) => values,
                Err(error) => return damage(error).map(|()| false),
            };
            let values = values.into_iter().map(rusqlite::types::ToSqlOutput::Borrowed);
            let put = insert.execute(params_from_iter(values)).map_err(RdbError::of_sqlite)?;
            found.rows += put as u64;
            each(row).map_err(RdbError::of_sqlite)?;
        }
    }
}

impl Table {
    /// A name of the rowid that is none of a column.
    fn rowid(&self) -> String {
        let is_free = |name: &&str| {
            !self.columns.iter().any(|column| column.trim_matches('"').eq_ignore_ascii_case(name))
        };
        ["rowid", "_rowid_", "oid"].into_iter().find(is_free).unwrap_or("rowid").into()
    }
}

/// The first rowid from `lost` on at which something can be read again: searched for in steps that double, and then by
/// halves, so that a damaged page is left by about as many questions as a rowid has bits.
fn first_behind(lost: i64, can_be_read: impl Fn(i64) -> RdbResult<bool>) -> RdbResult<Option<i64>> {
    let (mut bad, mut step) = (lost, 1_i64);
    let mut good = loop {
        let at = bad.saturating_add(step);
        if at == bad {
            return Ok(None);
        }
        if can_be_read(at)? {
            break at;
        }
        (bad, step) = (at, step.saturating_mul(2));
    };
    while bad + 1 < good {
        let middle = bad.midpoint(good);
        match can_be_read(middle)? {
            true => good = middle,
            false => bad = middle,
        }
    }
    Ok(Some(good))
}

/// An error unless it is damage.
fn damage(error: rusqlite::Error) -> RdbResult<()> {
    let error = RdbError::of_sqlite(error);
    match error.kind() {
        ErrorKind::Corrupt => Ok(()),
        _ => Err(error),
    }
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> RdbResult<Vec<T>> {
    let mut statement = connection.prepare(sql).map_err(RdbError::of_sqlite)?;
    let rows = statement.query_map([], each).map_err(RdbError::of_sqlite)?;
    rows.collect::<rusqlite::Result<_>>().map_err(RdbError::of_sqlite)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_damage_is_found_wherever_it_begins() {
        for (from, to) in [(1, 1), (1, 2), (5, 900), (-40, 3), (0, i64::MAX - 1)] {
            let asked = std::cell::Cell::new(0);
            let can_be_read = |at| {
                asked.set(asked.get() + 1);
                Ok(!(from..=to).contains(&at))
            };
            assert_eq!(first_behind(from, can_be_read).unwrap(), Some(to + 1));
            assert!(asked.get() < 130, "{}", asked.get());
        }
        assert_eq!(first_behind(7, |_| Ok(false)).unwrap(), None);
        assert_eq!(first_behind(i64::MAX, |_| Ok(false)).unwrap(), None);
    }
}
