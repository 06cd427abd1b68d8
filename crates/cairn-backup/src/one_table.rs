//! One table of a SQL file, with its rows, indexes and triggers: it comes into a file that is there, in one transaction of
//! SQLite. Everything else in that file stays as it is.

use cairn_archive::ArchiveError;
use cairn_rdb::{
    Access, SqlFiles, SqliteConnections, TransferError,
    rusqlite::{self, Connection, OptionalExtension as _, TransactionBehavior, types::ToSqlOutput},
};

use crate::{
    BackupError, BackupResult,
    one::{Bringing, OneReport},
    sql_text::quoted,
};

/// A table, as the backup has it.
struct Table {
    name: String,
    /// What makes it and its indexes, in their order.
    made_by: Vec<String>,
    triggers: Vec<String>,
    /// What is read of a row, and written: columns that are not generated, and the rowid where a name for it is left.
    columns: Vec<String>,
    /// Up to where `AUTOINCREMENT` has counted.
    sequence: Option<i64>,
}

impl Bringing<'_> {
    pub(crate) fn table(&self, file: &str, table: &str) -> BackupResult<OneReport> {
        if self.options.name.is_some_and(|name| name != table) {
            let what = "a table keeps its name: its indexes and triggers name it".into();
            return Err(BackupError::InvalidInput { what });
        }
        if self.then.is_encrypted() && !self.env.is_encrypted() && !self.options.in_the_clear {
            return Err(ArchiveError::WouldBePlain { path: file.into() }.into());
        }
        for env in [self.then, self.env] {
            if !SqlFiles::of(env).exists(file)? {
                return Err(self.none("SQL file", file));
            }
        }
        let commit = self.then.snapshot()?.commit();
        let mut source =
            self.then.sqlite_connection(file, Access::ReadOnly).map_err(TransferError::from)?;
        // All that is read is of one commit, also of an environment that goes on.
        let source = source.transaction().map_err(TransferError::from)?;
        let found = Table::find(&source, table)
            .map_err(TransferError::from)?
            .ok_or_else(|| self.none("table", table))?;
        let mut target =
            self.env.sqlite_connection(file, Access::ReadWrite).map_err(TransferError::from)?;
        let there = kind_of(&target, &found.name).map_err(TransferError::from)?;
        match there.as_deref() {
            None => {}
            Some("table") if self.options.replace => {}
            Some(_) => {
                return Err(BackupError::TableExists { file: file.into(), table: found.name });
            }
        }
        let brought = found.bring(&source, &mut target, there.is_some());
        Ok(OneReport { commit, entries: brought.map_err(TransferError::from)? })
    }
}

/// What has this name: a table, a view, or what SQLite keeps for itself.
fn kind_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let sql =
        "SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

impl Table {
    /// The table of this name, if it is one whose rows lie in it.
    fn find(source: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT name, wr FROM pragma_table_list \
             WHERE schema = 'main' AND type = 'table' AND name = ?1 COLLATE NOCASE \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let found = source.query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: Option<(String, bool)> = found.optional()?;
        let Some((name, is_without_rowid)) = found else { return Ok(None) };
        let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
            let mut statement = source.prepare(sql)?;
            let texts = statement.query_map([&name], |row| row.get(0))?;
            texts.collect()
        };
        let of = |kind: &str| {
            texts(&format!(
                "SELECT sql FROM sqlite_schema WHERE type = '{kind}' AND tbl_name = ?1 COLLATE NOCASE \
                 AND sql IS NOT NULL ORDER BY rowid"
            ))
        };
        let mut made_by = of("table")?;
        made_by.extend(of("index")?);
        let triggers = of("trigger")?;
        let all = texts("SELECT name FROM pragma_table_xinfo(?1)")?;
        let rowid = ["rowid", "_rowid_", "oid"].into_iter();
        let rowid = rowid
            .filter(|_| !is_without_rowid)
            .find(|rowid| all.iter().all(|column| !column.eq_ignore_ascii_case(rowid)));
        let own = texts("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
        let columns =
            rowid.map(str::to_owned).into_iter().chain(own.iter().map(|name| quoted(name)));
        let columns = columns.collect();
        let counts = kind_of(source, "sqlite_sequence")?.is_some();
        let sequence = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
        let sequence = match counts {
            true => source.query_row(sequence, [&name], |row| row.get(0)).optional()?,
            false => None,
        };
        Ok(Some(Self { name, made_by, triggers, columns, sequence }))
    }

    /// Makes it in another file, with all rows; returns how many there are.
    fn bring(
        &self,
        source: &Connection,
        target: &mut Connection,
        is_there: bool,
    ) -> rusqlite::Result<u64> {
        // Rows come as they are, and what refers to them stays.
        target.pragma_update(None, "foreign_keys", false)?;
        target.pragma_update(None, "ignore_check_constraints", true)?;
        let target = target.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let table = quoted(&self.name);
        if is_there {
            target.execute(&format!("DROP TABLE main.{table}"), [])?;
        }
        let (make, indexes) = self.made_by.split_at(1.min(self.made_by.len()));
        make.iter().try_for_each(|sql| target.execute(sql, []).map(drop))?;
        let columns = self.columns.join(", ");
        let values = vec!["?"; self.columns.len()].join(", ");
        let mut rows = 0;
        {
            let mut read = source.prepare(&format!("SELECT {columns} FROM main.{table}"))?;
            let into = format!("INSERT INTO main.{table} ({columns}) VALUES ({values})");
            let mut write = target.prepare(&into)?;
            let mut row = read.query([])?;
            while let Some(row) = row.next()? {
                for at in 0..self.columns.len() {
                    // As it lies there, whatever it claims to be.
                    write.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(row.get_ref(at)?))?;
                }
                write.raw_execute()?;
                rows += 1;
            }
        }
        // Nothing fires for rows that were there all the time.
        for sql in indexes.iter().chain(&self.triggers) {
            target.execute(sql, [])?;
        }
        if let Some(sequence) = self.sequence {
            let update = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = ?2";
            if target.execute(update, (sequence, &self.name))? == 0 {
                let insert = "INSERT INTO sqlite_sequence (seq, name) VALUES (?1, ?2)";
                target.execute(insert, (sequence, &self.name))?;
            }
        }
        target.commit()?;
        Ok(rows)
    }
}
