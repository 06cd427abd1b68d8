//! What a statement may do: what depends on nothing but the file, and ends soon.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use cairn_rdb::rusqlite::{
    self, Connection,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
    types::Value,
};

/// What these do is the same for every file that is read and written as SQLite does it.
const PRAGMAS: [&str; 20] = [
    "application_id",
    "auto_vacuum",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "defer_foreign_keys",
    "encoding",
    "foreign_key_check",
    "foreign_keys",
    "freelist_count",
    "incremental_vacuum",
    "index_info",
    "index_list",
    "integrity_check",
    "page_count",
    "page_size",
    "quick_check",
    "secure_delete",
    "table_info",
    "user_version",
];
/// These answer as the clock or chance has it, or reach beyond the file.
const FUNCTIONS: [&str; 12] = [
    "random",
    "randomblob",
    "date",
    "time",
    "datetime",
    "julianday",
    "unixepoch",
    "strftime",
    "timediff",
    "load_extension",
    "fts3_tokenizer",
    "sqlite_offset",
];
/// A statement takes so many steps of SQLite's machine, in portions of [`PORTION`].
const PORTIONS: u32 = 100;
const PORTION: i32 = 500;

/// A query is asked for so many rows, at most.
const ROWS: usize = 300;

/// A connection that does nothing for long.
pub(super) struct Bounded {
    connection: Connection,
    /// Portions of steps that are left to a statement.
    left: Arc<AtomicU32>,
}

impl Bounded {
    pub(super) fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, 100_000),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 10_000),
            (Limit::SQLITE_LIMIT_COLUMN, 50),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 40),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
            (Limit::SQLITE_LIMIT_VDBE_OP, 20_000),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
        ] {
            connection.set_limit(limit, most)?;
        }
        connection.execute_batch("PRAGMA cache_size = 12; PRAGMA trusted_schema = OFF")?;
        let left = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&left);
        let is_over = move || counter.fetch_sub(1, Ordering::Relaxed) <= 1;
        connection.progress_handler(PORTION, Some(is_over))?;
        Ok(Self { connection, left })
    }

    /// Has the statements to come do nothing that depends on more than the file. Not for a file that may have names
    /// that are no text.
    pub(super) fn comparable(mut self) -> rusqlite::Result<Self> {
        let rule = |context: AuthContext<'_>| is_allowed(context.action);
        self.connection.authorizer(Some(rule))?;
        Ok(self)
    }

    /// Carries out one statement. Returns its first rows, or what SQLite says.
    pub(super) fn run(&self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        self.left.store(PORTIONS, Ordering::Relaxed);
        let rows = || -> rusqlite::Result<Vec<Vec<Value>>> {
            let mut statement = self.connection.prepare(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| (0..columns).map(|n| row.get(n)).collect())?;
            rows.take(ROWS).collect()
        };
        rows().map_err(|error| error.to_string())
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }
}

fn is_allowed(action: AuthAction<'_>) -> Authorization {
    let is_one_of = |names: &[&str], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let is_allowed = match action {
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateVtable { .. } => false,
        AuthAction::Pragma { pragma_name, .. } => is_one_of(&PRAGMAS, pragma_name),
        AuthAction::Function { function_name } => !is_one_of(&FUNCTIONS, function_name),
        _ => true,
    };
    if is_allowed { Authorization::Allow } else { Authorization::Deny }
}
