//! The tables of a SQL file on two sides, row by row.

use std::collections::{BTreeMap, BTreeSet};

use cairn_archive::Change;
use cairn_rdb::{
    Access, SqlFiles, SqliteConnections, TransferError,
    rusqlite::{self, Connection, Rows, Statement},
};

use super::{
    Compare, CompareReport, ComparedEntry, ComparedKey, ComparedSort, ComparedStore, ComparedTable,
    change, merge,
    rows::{Encoding, Part, Reading, RowKey, next},
};
use crate::{BackupError, BackupResult};

/// A table, as one side has it.
#[derive(Debug)]
struct Table {
    key: RowKey,
    /// Those that are not generated.
    columns: Vec<String>,
    /// What makes it.
    sql: String,
}

/// What a file has, as one side has it.
#[derive(Debug, Default)]
struct Schema {
    tables: BTreeMap<String, Table>,
    /// All that has no rows of its own: its kind, and what makes it.
    others: BTreeMap<String, (String, String)>,
}

impl Compare<'_, '_> {
    pub(super) fn sql(&mut self, report: &mut CompareReport) -> BackupResult<()> {
        for name in self.names(|env, _| Ok(SqlFiles::of(env).names()?))? {
            let open = |env| -> BackupResult<Option<Connection>> {
                if !SqlFiles::of(env).exists(&name)? {
                    return Ok(None);
                }
                let opened = env.sqlite_connection(&name, Access::ReadOnly);
                Ok(Some(opened.map_err(TransferError::from)?))
            };
            let [one, other] = self.sides;
            let sides = [open(one)?, open(other)?];
            let store = self.file(&name, &sides)?;
            report.stores.push(store);
        }
        Ok(())
    }

    fn file(&mut self, file: &str, sides: &[Option<Connection>; 2]) -> BackupResult<ComparedStore> {
        // What is read of a file that goes on is of one commit.
        let begin = |side: &Option<Connection>| -> rusqlite::Result<(Schema, Option<Encoding>)> {
            let Some(connection) = side else { return Ok((Schema::default(), None)) };
            connection.execute_batch("BEGIN")?;
            Ok((Schema::read(connection)?, Some(Encoding::of(connection)?)))
        };
        let [one, other] = sides;
        let (ones, one_encoding) = begin(one).map_err(TransferError::from)?;
        let (others, other_encoding) = begin(other).map_err(TransferError::from)?;
        let encoding = match (one_encoding, other_encoding) {
            (Some(one), Some(other)) if one != other => {
                let what = format!(
                    "the texts of the SQL file {file:?} are {one:?} on one side and {other:?} on the other: their \
                     tables have no order in common"
                );
                return Err(BackupError::InvalidInput { what });
            }
            (one, other) => one.or(other).unwrap_or(Encoding::Utf8),
        };
        let names: BTreeSet<_> = ones.tables.keys().chain(others.tables.keys()).collect();
        let mut store = ComparedStore {
            sort: ComparedSort::Sql,
            name: file.into(),
            change: change(&one.as_ref().map(drop), &other.as_ref().map(drop)),
            counts: Default::default(),
            tables: Vec::new(),
            definitions: ones.differing(&others),
        };
        for name in names {
            let tables = [ones.tables.get(name), others.tables.get(name)];
            let table = self.table((file, name), sides, tables, encoding)?;
            store.counts.same += table.counts.same;
            store.counts.added += table.counts.added;
            store.counts.removed += table.counts.removed;
            store.counts.changed += table.counts.changed;
            store.tables.push(table);
        }
        Ok(store)
    }

    fn table(
        &mut self,
        (file, table): (&str, &str),
        sides: &[Option<Connection>; 2],
        tables: [Option<&Table>; 2],
        encoding: Encoding,
    ) -> BackupResult<ComparedTable> {
        let [one, other] = tables;
        let (key, columns) = match (one, other) {
            (Some(one), Some(other)) => one.in_common(other),
            (Some(only), None) | (None, Some(only)) => (only.key.clone(), only.columns.clone()),
            (None, None) => (RowKey::All, Vec::new()),
        };
        let reading = Reading { table: table.into(), key, columns };
        let (sql, key) = reading.sql();
        let mut a = prepare(sides[0].as_ref().filter(|_| one.is_some()), &sql)?;
        let mut b = prepare(sides[1].as_ref().filter(|_| other.is_some()), &sql)?;
        let (mut ones, mut others) = (query(a.as_mut())?, query(b.as_mut())?);
        let (mut read, progress) = (self.read, self.options.progress);
        let counts = merge(
            || next(ones.as_mut(), key),
            || next(others.as_mut(), key),
            |one, other| encoding.order(&one.key, &other.key),
            |one, other| one.digest == other.digest,
            |change, row| {
                read += row.bytes;
                progress.inspect(|progress| progress(read));
                if let Some(change) = change {
                    let key = row.key.iter().map(Part::show);
                    let key = ComparedKey::Row(key.collect::<Vec<_>>().join("|"));
                    let (sort, store) = (ComparedSort::Sql, file.to_owned());
                    let table = Some(table.to_owned());
                    (self.found)(&ComparedEntry { sort, store, table, key, change });
                }
            },
        )?;
        self.read = read;
        let made_by = |table: Option<&Table>| table.map(|table| table.sql.clone());
        let change = change(&made_by(one), &made_by(other));
        Ok(ComparedTable { name: table.into(), change, counts })
    }
}

fn prepare<'c>(side: Option<&'c Connection>, sql: &str) -> BackupResult<Option<Statement<'c>>> {
    let prepared = side.map(|connection| connection.prepare(sql)).transpose();
    Ok(prepared.map_err(TransferError::from)?)
}

fn query<'s>(statement: Option<&'s mut Statement<'_>>) -> BackupResult<Option<Rows<'s>>> {
    let rows = statement.map(|statement| statement.query([])).transpose();
    Ok(rows.map_err(TransferError::from)?)
}

impl Schema {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut schema = Self::default();
        let sql = "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' \
             AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, is_without_rowid): (String, bool) = (row.get(0)?, row.get(1)?);
            let table = Table::read(connection, &name, is_without_rowid)?;
            schema.tables.insert(name, table);
        }
        let sql = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema \
             WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name, sql): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            match schema.tables.get_mut(&name) {
                Some(table) => table.sql = sql,
                None => drop(schema.others.insert(name, (kind, sql))),
            }
        }
        Ok(schema)
    }

    /// What has no rows of its own and differs.
    fn differing(&self, other: &Self) -> Vec<(String, Change)> {
        let names: BTreeSet<_> = self.others.keys().chain(other.others.keys()).collect();
        let differing = names.into_iter().filter_map(|name| {
            let (one, other) = (self.others.get(name), other.others.get(name));
            let (kind, _) = other.or(one)?;
            Some((format!("{kind} {name}"), change(&one, &other)?))
        });
        differing.collect()
    }
}

impl Table {
    fn read(connection: &Connection, name: &str, is_without_rowid: bool) -> rusqlite::Result<Self> {
        let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
            connection.prepare(sql)?.query_map([name], |row| row.get(0))?.collect()
        };
        let all = texts("SELECT name FROM pragma_table_xinfo(?1)")?;
        let columns =
            texts("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
        let key = match is_without_rowid {
            true => RowKey::Primary(texts(
                "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk",
            )?),
            false => {
                let is_free = |rowid: &&str| {
                    all.iter().all(|column: &String| !column.eq_ignore_ascii_case(rowid))
                };
                let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
                rowid.map_or(RowKey::All, RowKey::Rowid)
            }
        };
        Ok(Self { key, columns, sql: String::new() })
    }

    /// What tells the rows of both from each other, and the columns that both have.
    fn in_common(&self, other: &Self) -> (RowKey, Vec<String>) {
        let has = |name: &&String| other.columns.iter().any(|of| of.eq_ignore_ascii_case(name));
        let columns: Vec<_> = self.columns.iter().filter(has).cloned().collect();
        let key = match (&self.key, &other.key) {
            (RowKey::Primary(one), RowKey::Primary(other)) if one == other => self.key.clone(),
            (RowKey::Rowid(_), RowKey::Rowid(name)) => {
                let is_free =
                    |name: &str| self.columns.iter().all(|of| !of.eq_ignore_ascii_case(name));
                if is_free(name) { other.key.clone() } else { RowKey::All }
            }
            _ => RowKey::All,
        };
        (key, columns)
    }
}
