//! Tests of what only SQLite's own counters show.

use cairn_env::{Environment, Options};
use rusqlite::{Connection, ffi};

use crate::connect::{Access, connect};

/// How many pages SQLite has had to read.
fn misses(connection: &Connection) -> i32 {
    let (mut now, mut high) = (0, 0);
    let status = ffi::SQLITE_DBSTATUS_CACHE_MISS;
    // SAFETY: it is used while the connection is open.
    #[expect(unsafe_code, reason = "what rusqlite does not ask")]
    let handle = unsafe { connection.handle() };
    // SAFETY: the connection is open, and both are numbers.
    #[expect(unsafe_code, reason = "what rusqlite does not ask")]
    let code = unsafe { ffi::sqlite3_db_status(handle, status, &raw mut now, &raw mut high, 0) };
    assert_eq!(code, ffi::SQLITE_OK);
    now
}

#[test]
fn rule_17_a_connection_keeps_what_it_remembers_across_its_own_commits() {
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    let connection = connect(&env, "app.db", Access::Create).unwrap();
    connection.execute_batch("CREATE TABLE t (n, filler)").unwrap();
    for n in 0..400 {
        connection.execute("INSERT INTO t VALUES (?, zeroblob(1000))", [n]).unwrap();
    }
    let sum = || connection.query_row("SELECT sum(n) FROM t", [], |row| row.get::<_, i64>(0));
    sum().unwrap();
    let before = misses(&connection);
    for n in 0..50 {
        connection.execute("UPDATE t SET n = n + 1 WHERE n = ?", [n]).unwrap();
        sum().unwrap();
    }
    assert!(misses(&connection) - before < 10, "{} misses", misses(&connection) - before);
}
