//! What a statement does: told by SQLite's authorizer while it prepares the statement, not by its text.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use rusqlite::{
    Connection, Statement,
    hooks::{AuthAction, AuthContext, Authorization},
};

use crate::{RdbError, RdbResult, sync::lock};

/// What sort of statement one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing and has columns.
    Query,
    Insert,
    UpdateOrDelete,
    Pragma,
    /// It changes what there is, or keeps it in order.
    Definition,
    /// It begins or ends a transaction or a savepoint.
    Transaction,
    /// It attaches or detaches a database.
    Attach,
    /// There is no statement.
    Empty,
    /// Whatever else, such as VACUUM.
    Other,
}

/// What is known of a statement.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) pragma: Option<Pragma>,
    /// The tables that it may write, itself and by triggers.
    pub(crate) writes: Writes,
}

/// What a pragma is.
#[derive(Clone, Debug)]
pub(crate) struct Pragma {
    /// Its name, in small letters.
    pub(crate) name: String,
    /// Whether it is of one schema.
    pub(crate) has_schema: bool,
    /// Whether it is given a value.
    pub(crate) is_set: bool,
}

/// Tables, by schema and name, and the columns that are updated.
pub(crate) type Writes = BTreeMap<(String, String), BTreeSet<String>>;

/// What the authorizer was asked for since the statement began to be prepared.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    is_something: bool,
    defines: bool,
    is_transaction: bool,
    attaches: bool,
    inserts: bool,
    changes: bool,
    pragma: Option<Pragma>,
    writes: Writes,
    /// Whether every row that is deleted is to be reported.
    pub(crate) is_observed: bool,
}

impl Seen {
    /// Begins to watch a connection.
    pub(crate) fn watch(connection: &mut Connection) -> RdbResult<Arc<Mutex<Self>>> {
        let seen = Arc::<Mutex<Self>>::default();
        let watching = Arc::clone(&seen);
        let hook = move |asked: AuthContext<'_>| lock(&watching).see(&asked);
        connection.authorizer(Some(hook)).map_err(RdbError::of_sqlite)?;
        Ok(seen)
    }

    /// Forgets what was seen.
    pub(crate) fn begin(&mut self) {
        *self = Self { is_observed: self.is_observed, ..Self::default() };
    }

    fn see(&mut self, asked: &AuthContext<'_>) -> Authorization {
        self.is_something = true;
        let is_own = asked.accessor.is_none(); // and not of a trigger
        let schema = asked.database_name.unwrap_or("main");
        match asked.action {
            AuthAction::Insert { table_name } => {
                self.inserts |= is_own;
                self.write(schema, table_name, None);
            }
            AuthAction::Update { table_name, column_name } => {
                self.changes |= is_own;
                self.write(schema, table_name, Some(column_name));
            }
            AuthAction::Delete { table_name } => {
                self.changes |= is_own;
                self.write(schema, table_name, None);
                // It goes on, but row by row: otherwise to delete all rows of a table would tell of none. To
                // drop a table asks for this as well, and would not go on.
                if self.is_observed && !self.defines && !table_name.starts_with("sqlite_") {
                    return Authorization::Ignore;
                }
            }
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
                self.is_transaction = true;
            }
            AuthAction::Attach { .. } | AuthAction::Detach { .. } => self.attaches = true,
            AuthAction::Pragma { pragma_name, pragma_value } => {
                self.pragma.get_or_insert_with(|| Pragma {
                    name: pragma_name.to_ascii_lowercase(),
                    has_schema: asked.database_name.is_some(),
                    is_set: pragma_value.is_some(),
                });
            }
            AuthAction::Read { .. }
            | AuthAction::Select
            | AuthAction::Function { .. }
            | AuthAction::Recursive => {}
            _ => self.defines = true,
        }
        Authorization::Allow
    }

    fn write(&mut self, schema: &str, table: &str, column: Option<&str>) {
        if schema != "temp" && !table.starts_with("sqlite_") {
            let columns = self.writes.entry((schema.into(), table.into())).or_default();
            columns.extend(column.map(str::to_ascii_lowercase));
        }
    }

    /// What is known of the statement that was prepared since the beginning.
    pub(crate) fn known(&self, statement: &Statement<'_>) -> Known {
        let is_query = statement.readonly() && statement.column_count() > 0;
        let kind = match self {
            _ if statement.is_explain() != 0 => Kind::Query,
            Self { defines: true, .. } => Kind::Definition,
            Self { is_transaction: true, .. } => Kind::Transaction,
            Self { attaches: true, .. } => Kind::Attach,
            Self { pragma: Some(_), .. } => Kind::Pragma,
            Self { inserts: true, .. } => Kind::Insert,
            Self { changes: true, .. } => Kind::UpdateOrDelete,
            _ if is_query => Kind::Query,
            // Of a statement that has nothing to do, such as REINDEX without indexes, nothing is asked either.
            Self { is_something: false, .. } if statement.expanded_sql().is_none() => Kind::Empty,
            _ => Kind::Other,
        };
        Known { kind, pragma: self.pragma.clone(), writes: self.writes.clone() }
    }

    /// Whether it is not clear which of what was seen the statement does itself. A virtual table that the connection
    /// meets for the first time prepares statements of its own, which it does not do again.
    pub(crate) fn is_mixed(&self, statement: &Statement<'_>) -> bool {
        let is_query = statement.readonly() && statement.column_count() > 0;
        let sorts = [
            is_query,
            self.pragma.is_some(),
            self.inserts,
            self.changes,
            self.defines,
            self.is_transaction || self.attaches,
        ];
        sorts.into_iter().filter(|is_one| *is_one).count() > 1
    }

    /// Whether nothing was prepared since the beginning.
    pub(crate) const fn is_idle(&self) -> bool {
        !self.is_something
    }

    pub(crate) const fn writes(&self) -> &Writes {
        &self.writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conn::Conn, store::file::Access};

    #[test]
    fn sqlite_says_what_a_statement_does() {
        let (env, _) = cairn_env::Environment::in_memory(Default::default()).unwrap();
        let open = || Conn::open(&env, "s", Access::Create, Arc::default()).unwrap();
        let sql = "CREATE TABLE t(a UNIQUE); CREATE VIEW v AS SELECT * FROM t;
                   CREATE VIRTUAL TABLE r USING rtree(id, a, b); CREATE VIRTUAL TABLE f USING fts4;
                   CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN DELETE FROM t; END";
        open().sqlite.execute_batch(sql).unwrap();
        for (sql, kind) in [
            ("SELECT 1", Kind::Query),
            (" -- why\n WITH c AS (SELECT 1) SELECT * FROM c", Kind::Query),
            ("VALUES (1)", Kind::Query),
            ("EXPLAIN DELETE FROM t", Kind::Query),
            ("EXPLAIN QUERY PLAN SELECT * FROM t", Kind::Query),
            ("INSERT INTO t VALUES (1)", Kind::Insert),
            ("/* DEL */ REPLACE INTO t VALUES (1)", Kind::Insert),
            ("WITH c AS (SELECT 1) INSERT INTO t SELECT * FROM c", Kind::Insert),
            ("INSERT INTO v VALUES (1)", Kind::Insert),
            ("UPDATE t SET a = 1", Kind::UpdateOrDelete),
            ("DELETE FROM t", Kind::UpdateOrDelete),
            ("DELETE FROM t RETURNING a", Kind::UpdateOrDelete),
            ("PRAGMA user_version", Kind::Pragma),
            ("PRAGMA user_version = 3", Kind::Pragma),
            ("CREATE TABLE u AS SELECT 1", Kind::Definition),
            ("DROP TABLE t", Kind::Definition),
            ("ALTER TABLE t ADD COLUMN b", Kind::Definition),
            ("REINDEX", Kind::Definition),
            ("ANALYZE", Kind::Definition),
            ("BEGIN", Kind::Transaction),
            ("COMMIT", Kind::Transaction),
            ("SAVEPOINT s", Kind::Transaction),
            ("ATTACH ':memory:' AS o", Kind::Attach),
            ("SELECT * FROM r", Kind::Query),
            ("SELECT * FROM f", Kind::Query),
            ("DELETE FROM r", Kind::UpdateOrDelete),
            ("INSERT INTO f VALUES ('x')", Kind::Insert),
            ("INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 2", Kind::Insert),
            ("VACUUM", Kind::Other),
            ("", Kind::Empty),
            ("-- nothing", Kind::Empty),
        ] {
            let conn = open();
            assert_eq!(conn.what_is(sql).unwrap().kind, kind, "{sql}");
        }
    }

    #[test]
    fn what_triggers_write_is_known_and_is_not_what_the_statement_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        let seen = Seen::watch(&mut connection).unwrap();
        let sql = "CREATE TABLE t(a); CREATE TABLE u(b);
                   CREATE TRIGGER i AFTER DELETE ON t BEGIN INSERT INTO u VALUES (1); END";
        connection.execute_batch(sql).unwrap();
        lock(&seen).begin();
        let statement = connection.prepare("DELETE FROM t").unwrap();
        let known = lock(&seen).known(&statement);
        assert_eq!(known.kind, Kind::UpdateOrDelete);
        let tables: Vec<_> = known.writes.keys().map(|(_, table)| table.as_str()).collect();
        assert_eq!(tables, ["t", "u"]);
    }
}
