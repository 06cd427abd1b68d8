//! Of which tables SQLite does not report every row that changes.

use std::collections::BTreeSet;

use super::Conn;
use crate::{RdbResult, Value, names::quoted};

/// Whether a statement may have changed rows of a table that were not reported. SQLite reports
///
/// - no row of a table without rowids;
/// - no row that is deleted because another one takes its place, under another rowid;
/// - no rowid that a row had before it got another one.
pub(super) fn may_miss_rows(
    conn: &Conn,
    replaces: bool,
    schema: &str,
    table: &str,
    columns: &BTreeSet<String>,
) -> RdbResult<bool> {
    const WITHOUT_ROWID: &str =
        "SELECT 1 FROM pragma_table_list WHERE schema = ? AND name = ? AND wr";
    const UNIQUE: &str = "SELECT 1 FROM pragma_index_list(?2, ?1) WHERE \"unique\"";
    const KEY: &str = "SELECT lower(name) FROM pragma_table_info(?2, ?1) WHERE pk = 1";
    let ask = |sql| conn.first_value(sql, &[schema, table]);
    if ask(WITHOUT_ROWID)?.is_some() {
        return Ok(true);
    }
    if !columns.is_empty() {
        let is_updated = |name: &str| columns.contains(name);
        let key = ask(KEY)?;
        if is_updated("rowid") || matches!(key, Some(Value::Text(key)) if is_updated(&key)) {
            return Ok(true);
        }
    }
    Ok(replaces && ask(UNIQUE)?.is_some())
}

/// Whether a statement may put rows in the place of others: it says so, or a table or trigger does that it may meet.
pub(super) fn may_replace(conn: &Conn, sql: &str) -> RdbResult<bool> {
    if sql.to_ascii_lowercase().contains("replace") {
        return Ok(true);
    }
    for schema in conn.settings.schemas() {
        let schema = quoted(schema);
        let defined = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE sql LIKE '%replace%'");
        if conn.first_value(&defined, &[])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
