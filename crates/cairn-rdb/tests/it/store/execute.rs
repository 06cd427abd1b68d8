//! Statements: what they answer, and which are refused.

use cairn_env::ErrorKind;
use cairn_rdb::{RdbError, Row, Value, ValuesBucket};
use proptest::{collection::vec, prelude::*};

use super::fixture::{names, row, store, table};

#[test]
fn execute_answers_what_is_worth_to_know_of_a_statement() {
    let store = store();
    for (sql, answer) in [
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT UNIQUE)", Value::Null),
        ("INSERT INTO t(name) VALUES ('a'), ('b'), ('c')", Value::Integer(3)),
        ("insert into t values (70, 'x')", Value::Integer(70)),
        ("REPLACE INTO t VALUES (70, 'y')", Value::Integer(70)),
        ("INSERT OR IGNORE INTO t VALUES (71, 'a')", Value::Null),
        ("INSERT INTO t VALUES (71, 'a') ON CONFLICT DO NOTHING", Value::Null),
        ("INSERT INTO t VALUES (72, 'd') RETURNING name", Value::Integer(72)),
        ("WITH c AS (SELECT 1) INSERT INTO t(name) SELECT 'e' FROM c", Value::Integer(73)),
        ("UPDATE t SET name = name || '!' WHERE id < 3", Value::Integer(2)),
        ("  -- why\n DELETE FROM t WHERE id = 3", Value::Integer(1)),
        ("DELETE FROM t WHERE id = 3", Value::Integer(0)),
        ("DELETE FROM t", Value::Integer(5)),
        ("PRAGMA user_version", Value::Integer(0)),
        ("PRAGMA user_version = 5", Value::Null),
        ("PRAGMA user_version", Value::Integer(5)),
        ("PRAGMA encoding", Value::from("UTF-8")),
        ("ALTER TABLE t ADD COLUMN more", Value::Null),
        ("CREATE INDEX i ON t(more)", Value::Null),
        ("ANALYZE", Value::Null),
        ("REINDEX", Value::Null),
        ("VACUUM", Value::Null),
        ("DROP TABLE t", Value::Null),
    ] {
        assert_eq!(store.execute(sql, ()).unwrap(), answer, "{sql}");
    }
}

#[test]
fn parameters_are_given_in_their_order_and_none_is_left_out() {
    let store = table();
    store.execute("INSERT INTO t VALUES (?2, ?1, ?3)", ("a", 7, 1.5)).unwrap();
    store.execute_sql("INSERT INTO t VALUES (?, ?, ?)", (8, "b", None::<f64>)).unwrap();
    let rows: Vec<(i64, String, Option<f64>)> = store.query_rows("SELECT * FROM t", ()).unwrap();
    assert_eq!(rows, [(7, "a".into(), Some(1.5)), (8, "b".into(), None)]);
    let blob: Vec<u8> = store.query_one("SELECT ?", ([1u8, 2],)).unwrap();
    assert_eq!(blob, [1, 2]);
    for error in [
        store.execute("DELETE FROM t WHERE id = ?", ()).unwrap_err(),
        store.execute_sql("DELETE FROM t WHERE id = ?", (1, 2)).unwrap_err(),
        store.query_sql("SELECT ?, ?", (1,)).unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(401), "{error}");
    }
    assert_eq!(names(&store), "ab");
}

#[test]
fn what_has_a_call_of_its_own_is_refused_and_changes_nothing() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    for sql in [
        "BEGIN",
        "begin immediate",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT s",
        "RELEASE s",
        "/* */ ROLLBACK TO s",
        "ATTACH 'other' AS o",
        "DETACH o",
        "PRAGMA journal_mode = OFF",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA query_only = 1",
    ] {
        for error in [store.execute(sql, ()).unwrap_err(), store.execute_sql(sql, ()).unwrap_err()]
        {
            assert_eq!(error.code(), Some(14_800_021), "{sql}: {error}");
        }
        let error = store.query_sql(sql, ()).unwrap_err();
        assert!([14_800_019, 14_800_021].contains(&error.code().unwrap()), "{sql}: {error}");
    }
    for sql in ["SELECT * FROM t", "VALUES (1)", "EXPLAIN DELETE FROM t", "PRAGMA table_info(t)"] {
        assert_eq!(store.execute(sql, ()).unwrap_err().code(), Some(14_800_021), "{sql}");
        store.execute_sql(sql, ()).unwrap();
    }
    for sql in ["", " ; ", "-- nothing", "DELETE FROM t; DELETE FROM t"] {
        let error = store.execute(sql, ()).unwrap_err();
        assert_eq!(error.code(), Some(401), "{sql}: {error}");
    }
    assert_eq!(names(&store), "a");
}

#[test]
fn what_sqlite_refuses_has_its_number() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    for (sql, code, extended) in [
        ("SELEC 1", 14_800_021, 1),
        ("SELECT * FROM missing", 14_800_021, 1),
        ("INSERT INTO t(name) VALUES ('a')", 14_800_032, 2067),
        ("INSERT INTO t(name) VALUES (NULL)", 14_800_032, 1299),
        ("INSERT INTO t VALUES ('x', 'b', 1)", 14_800_033, 20),
        ("INSERT INTO t(name) VALUES (zeroblob(2000000000))", 14_800_031, 18),
    ] {
        let error = store.execute_sql(sql, ()).unwrap_err();
        assert_eq!((error.code(), error.sqlite_code()), (Some(code), Some(extended)), "{error}");
    }
    let RdbError::Sqlite { message, .. } = store.execute_sql("SELECT 1 FORM t", ()).unwrap_err()
    else {
        panic!("SQLite must refuse it");
    };
    assert!(message.contains("near \"t\"") && message.contains("at byte 14"), "{message}");
}

/// In ArkData a pragma like this holds for the connection that happened to execute it.
#[test]
fn a_pragma_about_connections_holds_for_all_of_them() {
    let store = store();
    store.execute_sql("PRAGMA foreign_keys = OFF", ()).unwrap();
    store.execute_sql("CREATE TABLE parent(id INTEGER PRIMARY KEY)", ()).unwrap();
    store.execute_sql("CREATE TABLE child(of REFERENCES parent(id))", ()).unwrap();
    store.execute_sql("INSERT INTO child VALUES (1)", ()).unwrap();
    store.execute("PRAGMA foreign_keys = ON", ()).unwrap();
    let error = store.execute_sql("INSERT INTO child VALUES (2)", ()).unwrap_err();
    assert_eq!(error.sqlite_code(), Some(787));
    let error = store.write(|txn| txn.execute("INSERT INTO child VALUES (2)", ())).unwrap_err();
    assert_eq!(error.sqlite_code(), Some(787));
    assert_eq!(store.query_one::<i64>("PRAGMA foreign_keys", ()).unwrap(), 1);
    let error = store.write(|txn| txn.execute("PRAGMA foreign_keys = OFF", ())).unwrap_err();
    assert_eq!(error.code(), Some(14_800_021));
    store.execute_sql("PRAGMA foreign_keys = OFF", ()).unwrap();
    store.execute_sql("INSERT INTO child VALUES (2)", ()).unwrap();
}

/// Statements stay prepared: they must learn of a schema that has changed.
#[test]
fn a_statement_that_was_prepared_sees_the_newest_schema() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    let columns = || {
        let mut found = store.query_sql("SELECT * FROM t", ()).unwrap();
        assert!(found.go_to_first_row().unwrap());
        (found.column_count().unwrap(), found.get_row().unwrap().values().len())
    };
    assert_eq!(columns(), (3, 3));
    store.execute_sql("ALTER TABLE t ADD COLUMN more DEFAULT 4", ()).unwrap();
    assert_eq!(columns(), (4, 4));
    let empty = || store.query_sql("SELECT * FROM t WHERE 0", ()).unwrap().column_count().unwrap();
    assert_eq!(empty(), 4);
    store.execute_sql("ALTER TABLE t DROP COLUMN more", ()).unwrap();
    assert_eq!((columns(), empty()), ((3, 3), 3));
}

#[test]
fn as_many_statements_as_one_likes_are_executed() {
    let store = table();
    for n in 0..600 {
        assert_eq!(store.query_one::<i64>(&format!("SELECT {n}"), ()).unwrap(), n);
        let created = store.execute(&format!("CREATE TABLE t{n}(a)"), ()).unwrap();
        assert_eq!(created, Value::Null);
    }
    for n in 0..3 {
        store.insert("t", &row(&n.to_string())).unwrap();
    }
    assert_eq!(names(&store), "012");
}

#[test]
fn full_text_and_r_trees_and_json_are_there() {
    let store = store();
    store.execute_sql("CREATE VIRTUAL TABLE f USING fts5(body)", ()).unwrap();
    store.execute_sql("INSERT INTO f VALUES ('green tea'), ('coffee')", ()).unwrap();
    let found: String = store.query_one("SELECT body FROM f WHERE f MATCH ?", ("tea",)).unwrap();
    assert_eq!(found, "green tea");
    store.execute_sql("CREATE VIRTUAL TABLE r USING rtree(id, x1, x2)", ()).unwrap();
    store.execute_sql("INSERT INTO r VALUES (1, 0, 2)", ()).unwrap();
    assert_eq!(store.query_one::<i64>("SELECT id FROM r WHERE x1 < 1", ()).unwrap(), 1);
    let json: i64 = store.query_one("SELECT json_extract(?, '$.a')", ("{\"a\":7}",)).unwrap();
    assert_eq!(json, 7);
}

#[test]
fn a_store_that_may_not_grow_is_full_and_goes_on() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    store.execute("PRAGMA max_page_count = 8", ()).unwrap();
    let large = ValuesBucket::new().put("name", "x".repeat(100_000));
    for error in [
        store.insert("t", &large).unwrap_err(),
        store.write(|txn| txn.insert("t", &large)).unwrap_err(),
        store.batch_insert("t", &[row("b"), large.clone()]).unwrap_err(),
    ] {
        assert_eq!((error.code(), error.kind()), (Some(14_800_029), ErrorKind::Full), "{error}");
    }
    store.insert("t", &row("b")).unwrap();
    assert_eq!(names(&store), "ab");
}

#[test]
fn what_a_statement_returns_is_answered() {
    let store = table();
    let ids: Vec<i64> = store
        .execute_returning("INSERT INTO t(name) VALUES (?), (?) RETURNING id", ("a", "b"))
        .unwrap();
    assert_eq!(ids, [1, 2]);
    let rows: Vec<(i64, String)> = store
        .write(|txn| {
            txn.execute_returning("UPDATE t SET name = name || '!' RETURNING id, name", ())
        })
        .unwrap();
    assert_eq!(rows, [(1, "a!".into()), (2, "b!".into())]);
    let none: Vec<Row> =
        store.execute_returning("DELETE FROM t WHERE id > ? RETURNING *", (9,)).unwrap();
    assert_eq!(none, []);
    for sql in ["SELECT 1", "DELETE FROM t", "PRAGMA user_version", "CREATE TABLE u(a)", "BEGIN"] {
        let error = store.execute_returning::<Row>(sql, ()).unwrap_err();
        assert_eq!(error.code(), Some(14_800_021), "{sql}: {error}");
    }
    assert_eq!(names(&store), "a!b!");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a statement is: afterwards no connection is within a transaction, and the store goes on.
    #[test]
    fn no_text_brings_a_store_to_its_end(words in vec(proptest::sample::select(WORDS), 1..9)) {
        let store = store();
        store.execute_sql("CREATE TABLE t(a UNIQUE, b)", ()).unwrap();
        store.execute_sql("INSERT INTO t VALUES (1, 2)", ()).unwrap();
        let sql = words.join(" ");
        drop(store.execute(&sql, ()));
        drop(store.execute_sql(&sql, (1,)));
        drop(store.execute_returning::<Row>(&sql, ()));
        let rows = store.query_sql(&sql, ()).map(|mut found| found.rows::<Row>().take(9).count());
        drop(rows);
        drop(store.write(|txn| {
            drop(txn.execute(&sql, ()));
            let rows = txn.query_sql(&sql, ()).map(|mut found| found.rows::<Row>().take(9).count());
            drop(rows);
            txn.execute("CREATE TABLE IF NOT EXISTS u(c)", ())
        }));
        store.execute_sql("CREATE TABLE IF NOT EXISTS v(c)", ()).unwrap();
        store.execute_sql("INSERT INTO v VALUES (1)", ()).unwrap();
        prop_assert_eq!(store.query_one::<i64>("SELECT count(*) FROM v", ()).unwrap(), 1);
    }
}

const WORDS: &[&str] = &[
    "SELECT",
    "INSERT",
    "INTO",
    "UPDATE",
    "DELETE",
    "FROM",
    "t",
    "SET",
    "a",
    "=",
    "1",
    "*",
    "WHERE",
    "VALUES",
    "(1, 3)",
    "(2, 2)",
    "PRAGMA",
    "table_info",
    "(t)",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "s",
    "ATTACH",
    "DETACH",
    "':memory:'",
    "AS",
    "VACUUM",
    "ANALYZE",
    "EXPLAIN",
    "OR",
    "REPLACE",
    "ABORT",
    "CREATE",
    "TABLE",
    "DROP",
    "INDEX",
    "ON",
    "TEMP",
    "VIEW",
    "RETURNING",
    "?",
    ";",
    "--",
    "'x",
    "\"",
    "WITH",
    "foreign_keys",
    "journal_mode",
    "user_version",
    "incremental_vacuum",
    "locking_mode",
    "EXCLUSIVE",
    "IMMEDIATE",
    "REINDEX",
];
