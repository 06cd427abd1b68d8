//! Writing rows: inserting them, one or many, updating and deleting those that predicates mean.

use super::{Conn, bind, run::Changed};
use crate::{
    ConflictResolution, Predicates, RdbError, RdbResult, SqlInfo, ValuesBucket, predicates::ROWID,
};

impl Conn {
    /// Inserts a row. `None` if it was left out.
    pub(crate) fn insert(
        &self,
        table: &str,
        values: &ValuesBucket,
        conflict: ConflictResolution,
    ) -> RdbResult<Option<i64>> {
        let changed = self.change(&SqlInfo::insert(table, values, conflict)?)?;
        Ok((changed.rows > 0).then_some(changed.last_row_id))
    }

    /// Inserts rows, all or none; those that a conflict leaves out are not counted.
    pub(crate) fn batch_insert(
        &self,
        table: &str,
        rows: &[ValuesBucket],
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        if self.is_in_transaction() {
            let mark = self.begin_savepoint()?;
            return match self.insert_all(table, rows, conflict) {
                Ok(inserted) => self.release_savepoint().map(|()| inserted),
                Err(error) => self.undo_savepoint(mark).and(Err(error)),
            };
        }
        self.control("BEGIN IMMEDIATE")?;
        let inserted = self.insert_all(table, rows, conflict);
        let committed = inserted.and_then(|inserted| self.control("COMMIT").map(|()| inserted));
        if committed.is_err() {
            self.roll_back()?;
        }
        committed
    }

    /// Rows that follow each other and have the same columns share a statement.
    fn insert_all(
        &self,
        table: &str,
        rows: &[ValuesBucket],
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        let mut inserted = 0;
        for rows in rows.chunk_by(|one, next| one.columns().eq(next.columns())) {
            let sql = SqlInfo::insert(table, &rows[0], conflict)?.sql;
            let (mut statement, known) = self.prepare(&sql)?;
            let (replaces, before) = (self.will_replace(&sql), self.sqlite.total_changes());
            for row in rows {
                for (at, value) in row.values().enumerate() {
                    let value = value.to_sqlite();
                    statement.raw_bind_parameter(at + 1, value).map_err(RdbError::of_sqlite)?;
                }
                statement.raw_execute().map_err(RdbError::of_sqlite)?;
                inserted += self.sqlite.changes();
            }
            if self.sqlite.total_changes() != before {
                self.tell_what_is_missed(replaces, &known);
            }
        }
        Ok(inserted)
    }

    /// Sets columns of the rows that predicates mean; returns how many rows that were.
    pub(crate) fn update(
        &self,
        values: &ValuesBucket,
        predicates: &Predicates,
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        let info = predicates.update_sql(values, conflict)?;
        self.check_rowid(predicates)?;
        Ok(self.change(&info)?.rows)
    }

    /// Deletes the rows that predicates mean; returns how many that were.
    pub(crate) fn delete(&self, predicates: &Predicates) -> RdbResult<u64> {
        let info = predicates.delete_sql()?;
        self.check_rowid(predicates)?;
        Ok(self.change(&info)?.rows)
    }

    fn change(&self, info: &SqlInfo) -> RdbResult<Changed> {
        let (mut statement, known) = self.prepare(&info.sql)?;
        bind(&mut statement, &info.args)?;
        self.drain(&mut statement, &info.sql, &known, |_| Ok(()))
    }

    /// With a limit, rows are found by their rowids: a column of that name would stand for other rows.
    fn check_rowid(&self, predicates: &Predicates) -> RdbResult<()> {
        if !predicates.is_limited() {
            return Ok(());
        }
        let (schema, table) =
            predicates.table().split_once('.').unwrap_or(("main", predicates.table()));
        let sql = "SELECT 1 FROM pragma_table_xinfo(?, ?) WHERE lower(name) = ?";
        match self.first_value(sql, &[table, schema, ROWID])? {
            None => Ok(()),
            Some(_) => Err(RdbError::InvalidPredicates {
                table: predicates.table().into(),
                what: format!("a limit on a table that has a column {ROWID}"),
            }),
        }
    }
}
