//! Statements of predicates, after these were checked.

use super::{Direction, Predicates, Token};
use crate::{
    ConflictResolution, RdbError, RdbResult, Value, ValuesBucket,
    names::{quoted, quoted_table},
};

/// The rowid under a name that no sane table has for a column.
pub(crate) const ROWID: &str = "_rowid_";

/// A statement, and the values of its parameters in their order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SqlInfo {
    /// The statement.
    pub sql: String,
    /// The values.
    pub args: Vec<Value>,
}

impl SqlInfo {
    /// The statement that inserts a row. (ArkData's `getInsertSqlInfo`.)
    ///
    /// # Errors
    /// [`RdbError::InvalidArgs`] for an empty name of a table, and for a bucket without columns.
    pub fn insert(
        table: &str,
        values: &ValuesBucket,
        conflict: ConflictResolution,
    ) -> RdbResult<Self> {
        let (table, conflict) = (quoted_table(table)?, conflict.sql());
        if values.is_empty() {
            return Err(RdbError::args("a row without columns"));
        }
        let columns: Vec<_> = values.columns().map(quoted).collect();
        let parameters = vec!["?"; columns.len()].join(", ");
        let columns = columns.join(", ");
        let sql = format!("INSERT{conflict} INTO {table} ({columns}) VALUES ({parameters})");
        Ok(Self { sql, args: values.values().cloned().collect() })
    }
}

impl Predicates {
    /// The statement that queries columns of the rows: all, if none is named. (ArkData's `getQuerySqlInfo`.)
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`]; [`RdbError::InvalidArgs`] for an empty name of a table.
    pub fn query_sql(&self, columns: &[&str]) -> RdbResult<SqlInfo> {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let columns = match columns {
            [] => "*".into(),
            columns => list(columns.iter().copied()),
        };
        let (from, args) = self.table_and_condition()?;
        let mut info = SqlInfo { sql: format!("SELECT {distinct}{columns} FROM {from}"), args };
        self.grouped(&mut info)?;
        self.ordered(&mut info.sql)?;
        Ok(info)
    }

    /// The statement that sets columns of the rows. (ArkData's `getUpdateSqlInfo`.)
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`], also for groups and distinct values, which are no rows;
    /// [`RdbError::InvalidArgs`] for an empty name of a table, and for a bucket without columns.
    pub fn update_sql(
        &self,
        values: &ValuesBucket,
        conflict: ConflictResolution,
    ) -> RdbResult<SqlInfo> {
        if values.is_empty() {
            return Err(RdbError::args("nothing to be set"));
        }
        let set: Vec<_> = values.columns().map(|column| quoted(column) + " = ?").collect();
        let (rows, args) = self.rows(&format!(" SET {}", set.join(", ")))?;
        let args = values.values().cloned().chain(args).collect();
        Ok(SqlInfo { sql: format!("UPDATE{} {rows}", conflict.sql()), args })
    }

    /// The statement that deletes the rows. (ArkData's `getDeleteSqlInfo`.)
    ///
    /// # Errors
    /// As [`Predicates::update_sql`].
    pub fn delete_sql(&self) -> RdbResult<SqlInfo> {
        let (rows, args) = self.rows("")?;
        Ok(SqlInfo { sql: format!("DELETE FROM {rows}"), args })
    }

    /// Whether a statement that changes the rows finds them by their rowids.
    pub(crate) const fn is_limited(&self) -> bool {
        matches!(self.limit, Some(1..)) || self.offset.is_some()
    }

    fn invalid<T>(&self, what: &str) -> RdbResult<T> {
        Err(RdbError::InvalidPredicates { table: self.table.clone(), what: what.into() })
    }

    /// The table, what is done to it, and which rows of it are meant; and the values for these.
    fn rows(&self, action: &str) -> RdbResult<(String, Vec<Value>)> {
        if self.distinct || !self.group_by.is_empty() || self.having.is_some() {
            return self.invalid("rows are changed, and groups and distinct values are no rows");
        }
        let (table, index) = (quoted_table(&self.table)?, self.index_clause());
        if !self.is_limited() {
            let (condition, args) = self.condition()?;
            return Ok((format!("{table}{index}{action}{condition}"), args));
        }
        let (from, args) = self.table_and_condition()?;
        let mut of = format!("SELECT {ROWID} FROM {from}");
        self.ordered(&mut of)?;
        Ok((format!("{table}{action} WHERE {ROWID} IN ({of})"), args))
    }

    fn index_clause(&self) -> String {
        self.index
            .as_ref()
            .map_or_else(String::new, |index| format!(" INDEXED BY {}", quoted(index)))
    }

    fn table_and_condition(&self) -> RdbResult<(String, Vec<Value>)> {
        let (condition, args) = self.condition()?;
        Ok((format!("{}{}{condition}", quoted_table(&self.table)?, self.index_clause()), args))
    }

    fn grouped(&self, info: &mut SqlInfo) -> RdbResult<()> {
        if !self.group_by.is_empty() {
            info.sql += &format!(" GROUP BY {}", list(self.group_by.iter().map(String::as_str)));
        }
        let Some((condition, args)) = &self.having else { return Ok(()) };
        if self.group_by.is_empty() {
            return self.invalid("a having without a group by");
        }
        info.sql += &format!(" HAVING {condition}");
        info.args.extend(args.iter().cloned());
        Ok(())
    }

    fn ordered(&self, sql: &mut String) -> RdbResult<()> {
        if !self.order.is_empty() {
            let order = self.order.iter().map(|(column, direction)| match direction {
                Direction::Ascending => quoted(column) + " ASC",
                Direction::Descending => quoted(column) + " DESC",
            });
            *sql += &format!(" ORDER BY {}", order.collect::<Vec<_>>().join(", "));
        }
        match (self.limit, self.offset) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return self.invalid("an offset without a limit"),
            (_, Some(..0)) => return self.invalid("an offset is not negative"),
            // To SQLite all are less than none.
            (Some(limit), _) => *sql += &format!(" LIMIT {}", if limit > 0 { limit } else { -1 }),
        }
        if let Some(offset) = self.offset {
            *sql += &format!(" OFFSET {offset}");
        }
        Ok(())
    }

    /// The conditions with what stands between them; and their values.
    fn condition(&self) -> RdbResult<(String, Vec<Value>)> {
        let (mut sql, mut args) = (String::new(), Vec::new());
        // Whether something has to follow that can be true or false.
        let (mut is_open, mut depth) = (true, 0usize);
        for token in &self.tokens {
            let is_implied = !is_open && matches!(token, Token::Condition(_) | Token::BeginWrap);
            if is_implied {
                sql += " AND ";
            }
            match token {
                Token::Condition(condition) => condition.render(&mut sql, &mut args),
                Token::BeginWrap => {
                    sql.push('(');
                    depth += 1;
                }
                Token::EndWrap if depth == 0 => {
                    return self.invalid("a wrap ends that has not begun");
                }
                Token::EndWrap if is_open => {
                    return self.invalid("a wrap ends where a condition is missing");
                }
                Token::EndWrap => {
                    sql.push(')');
                    depth -= 1;
                }
                Token::And | Token::Or if is_open => {
                    return self.invalid("an and or an or with no condition to its left");
                }
                Token::And => sql += " AND ",
                Token::Or => sql += " OR ",
            }
            is_open = matches!(token, Token::And | Token::Or | Token::BeginWrap);
        }
        if depth > 0 {
            return self.invalid("a wrap does not end");
        }
        if is_open && !self.tokens.is_empty() {
            return self.invalid("an and or an or with no condition to its right");
        }
        let sql = if sql.is_empty() { sql } else { format!(" WHERE {sql}") };
        Ok((sql, args))
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Predicates {
        Predicates::new("t")
    }

    fn select(predicates: &Predicates) -> String {
        let sql = predicates.query_sql(&[]).unwrap().sql;
        sql.strip_prefix("SELECT * FROM `t`").unwrap().trim_start().into()
    }

    #[test]
    fn every_condition_has_its_sql() {
        for (predicates, sql, args) in [
            (all(), "", 0),
            (all().equal_to("a", 1), "WHERE `a` = ?", 1),
            (all().not_equal_to("a", 1), "WHERE `a` <> ?", 1),
            (all().greater_than("a", 1), "WHERE `a` > ?", 1),
            (all().less_than("a", 1), "WHERE `a` < ?", 1),
            (all().greater_than_or_equal_to("a", 1), "WHERE `a` >= ?", 1),
            (all().less_than_or_equal_to("a", 1), "WHERE `a` <= ?", 1),
            (all().contains("a", "x"), "WHERE `a` LIKE ? ESCAPE '\\'", 1),
            (all().not_contains("a", "x"), "WHERE `a` NOT LIKE ? ESCAPE '\\'", 1),
            (all().like("a", "x"), "WHERE `a` LIKE ?", 1),
            (all().not_like("a", "x"), "WHERE `a` NOT LIKE ?", 1),
            (all().glob("a", "x"), "WHERE `a` GLOB ?", 1),
            (all().is_null("a"), "WHERE `a` IS NULL", 0),
            (all().is_not_null("a"), "WHERE `a` IS NOT NULL", 0),
            (all().between("a", 1, 2), "WHERE `a` BETWEEN ? AND ?", 2),
            (all().not_between("a", 1, 2), "WHERE `a` NOT BETWEEN ? AND ?", 2),
            (all().is_in("a", [1, 2]), "WHERE `a` IN (?, ?)", 2),
            (all().is_in("a", ()), "WHERE (`a` IS NULL) IS NULL", 0),
            (all().not_in("a", ()), "WHERE (`a` IS NULL) IS NOT NULL", 0),
            (all().not_in("a", [1]), "WHERE `a` NOT IN (?)", 1),
            (all().is_null("a").is_null("b"), "WHERE `a` IS NULL AND `b` IS NULL", 0),
            (all().is_null("a").or().is_null("b"), "WHERE `a` IS NULL OR `b` IS NULL", 0),
            (all().is_null("a").and().is_null("b"), "WHERE `a` IS NULL AND `b` IS NULL", 0),
            (
                all().is_null("a").begin_wrap().is_null("b").end_wrap(),
                "WHERE `a` IS NULL AND (`b` IS NULL)",
                0,
            ),
            (all().order_by_asc("a").order_by_desc("b"), "ORDER BY `a` ASC, `b` DESC", 0),
            (all().limit_as(3).offset_as(4), "LIMIT 3 OFFSET 4", 0),
            (all().limit_as(0), "LIMIT -1", 0),
            (all().limit_as(-7).offset_as(1), "LIMIT -1 OFFSET 1", 0),
            (
                all().group_by(["a", "b"]).having("count(*) > ?", [1]),
                "GROUP BY `a`, `b` HAVING count(*) > ?",
                1,
            ),
            (all().indexed_by("i`"), "INDEXED BY `i```", 0),
        ] {
            assert_eq!(select(&predicates), sql);
            assert_eq!(predicates.query_sql(&[]).unwrap().args.len(), args, "{sql}");
        }
        let distinct = all().distinct().query_sql(&["a", "b"]).unwrap();
        assert_eq!(distinct.sql, "SELECT DISTINCT `a`, `b` FROM `t`");
    }

    #[test]
    fn what_makes_no_sense_is_refused_when_it_is_used() {
        let of_all = [
            all().or(),
            all().and().is_null("a"),
            all().is_null("a").or(),
            all().is_null("a").or().and().is_null("b"),
            all().begin_wrap(),
            all().begin_wrap().is_null("a"),
            all().end_wrap(),
            all().is_null("a").end_wrap(),
            all().begin_wrap().end_wrap(),
            all().begin_wrap().is_null("a").or().end_wrap(),
            all().begin_wrap().or().is_null("a").end_wrap(),
            all().offset_as(1),
            all().limit_as(1).offset_as(-1),
            all().having("1", ()),
            Predicates::new(""),
        ];
        for predicates in of_all {
            let set = ValuesBucket::new().put("a", 1);
            for error in [
                predicates.query_sql(&[]).unwrap_err(),
                predicates.delete_sql().unwrap_err(),
                predicates.update_sql(&set, ConflictResolution::None).unwrap_err(),
            ] {
                assert_eq!(error.code(), Some(401), "{predicates:?}: {error}");
            }
        }
        for predicates in [all().distinct(), all().group_by(["a"])] {
            predicates.query_sql(&[]).unwrap();
            assert_eq!(predicates.delete_sql().unwrap_err().code(), Some(401));
        }
    }

    #[test]
    fn a_limit_of_nothing_is_none() {
        assert_eq!(all().limit_as(0).delete_sql().unwrap().sql, "DELETE FROM `t`");
        let rest = all().limit_as(0).offset_as(1).delete_sql().unwrap().sql;
        let expected =
            "DELETE FROM `t` WHERE _rowid_ IN (SELECT _rowid_ FROM `t` LIMIT -1 OFFSET 1)";
        assert_eq!(rest, expected);
    }

    #[test]
    fn changes_hit_the_rows_that_a_query_shows() {
        let set = ValuesBucket::new().put("a", 1).put("b", 2);
        let some = all().equal_to("c", 3).indexed_by("i");
        let update = some.update_sql(&set, ConflictResolution::Ignore).unwrap();
        assert_eq!(
            update.sql,
            "UPDATE OR IGNORE `t` INDEXED BY `i` SET `a` = ?, `b` = ? WHERE `c` = ?"
        );
        assert_eq!(update.args, [1, 2, 3].map(Value::from));
        let first = some.order_by_desc("d").limit_as(1);
        assert_eq!(
            first.delete_sql().unwrap().sql,
            "DELETE FROM `t` WHERE _rowid_ IN (SELECT _rowid_ FROM `t` INDEXED BY `i` WHERE `c` = ? \
             ORDER BY `d` DESC LIMIT 1)"
        );
    }

    #[test]
    fn nothing_is_written_into_no_columns() {
        let none = ValuesBucket::new();
        assert!(SqlInfo::insert("t", &none, ConflictResolution::None).is_err());
        assert!(all().update_sql(&none, ConflictResolution::None).is_err());
        let row = ValuesBucket::new().put("a", 1).put("b", Value::Null);
        let insert = SqlInfo::insert("other.t", &row, ConflictResolution::Replace).unwrap();
        assert_eq!(insert.sql, "INSERT OR REPLACE INTO `other`.`t` (`a`, `b`) VALUES (?, ?)");
    }
}
