//! Random SQL gives the same answers as in SQLite alone: over several connections, with savepoints, spills, vacuums,
//! and transactions over two files.
//!
//! `CAIRN_SQL_CASES` says how many histories, of 60 statements on average (default: 24).

use std::{cell::Cell, io::Write};

use cairn_rdb::rusqlite::{self, Connection, types::Value};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use crate::fixture::{check, connect, environment};

/// What a connection is told.
#[derive(Clone, Debug)]
enum Step {
    Sql(String),
    Query(&'static str),
}

/// Rows of a few tables, some of them long, so that pages split, overflow and are given back.
fn step() -> impl Strategy<Value = Step> {
    let table = prop_oneof![Just("t"), Just("u"), Just("b.t")];
    let key = 0..60i64;
    let len = prop_oneof![8 => 0..50usize, 3 => 0..1500usize, 1 => 0..30_000usize];
    let put = (table.clone(), key.clone(), len).prop_map(|(table, key, len)| {
        format!(
            "INSERT OR REPLACE INTO {table} VALUES ({key}, {key} % 7, hex(zeroblob({len} / 2)))"
        )
    });
    let update = (table.clone(), 0..7i64).prop_map(|(table, group)| {
        format!("UPDATE {table} SET grp = grp + 1, text = text || 'x' WHERE grp = {group}")
    });
    let delete = (table.clone(), key)
        .prop_map(|(table, key)| format!("DELETE FROM {table} WHERE id >= {key}"));
    let many = table.prop_map(|table| {
        format!(
            "INSERT OR IGNORE INTO {table} WITH RECURSIVE s(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM s WHERE n < 700)
             SELECT n, n % 7, 'filler ' || n FROM s"
        )
    });
    let fixed = |sql: &'static str| Just(sql.to_owned());
    let sql = prop_oneof![
        12 => put,
        3 => update,
        3 => delete,
        1 => many,
        2 => fixed("BEGIN"),
        2 => fixed("BEGIN IMMEDIATE"),
        4 => fixed("COMMIT"),
        1 => fixed("ROLLBACK"),
        2 => fixed("SAVEPOINT s"),
        1 => fixed("ROLLBACK TO s"),
        1 => fixed("RELEASE s"),
        1 => fixed("VACUUM"),
        1 => fixed("PRAGMA incremental_vacuum(3)"),
        1 => fixed("PRAGMA page_size = 1024"),
        1 => fixed("PRAGMA page_size = 8192"),
        1 => fixed("CREATE TABLE IF NOT EXISTS later (id INTEGER PRIMARY KEY, grp, text)"),
        1 => fixed("DROP TABLE IF EXISTS later"),
        1 => fixed("CREATE INDEX IF NOT EXISTS by_text ON t (text)"),
        1 => fixed("DROP INDEX IF EXISTS by_text"),
        1 => fixed("REINDEX"),
    ];
    let query = prop_oneof![
        Just("SELECT count(*), sum(id), sum(length(text)) FROM t"),
        Just("SELECT * FROM t WHERE grp = 3 ORDER BY id"),
        Just("SELECT t.id, u.id FROM t JOIN u ON t.grp = u.grp ORDER BY 1, 2 LIMIT 50"),
        Just("SELECT id, length(text) FROM b.t ORDER BY text, id"),
        Just("SELECT grp, count(*) FROM u GROUP BY grp ORDER BY grp"),
        Just("SELECT name FROM sqlite_schema ORDER BY name"),
    ];
    prop_oneof![4 => sql.prop_map(Step::Sql), 1 => query.prop_map(Step::Query)]
}

const SETUP: &str = "
    PRAGMA cache_size = 12;
    CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, grp, text);
    CREATE TABLE IF NOT EXISTS u (id INTEGER PRIMARY KEY, grp, text);
    CREATE INDEX IF NOT EXISTS t_grp ON t (grp);
    CREATE TABLE IF NOT EXISTS b.t (id INTEGER PRIMARY KEY, grp, text);";

fn rows(connection: &Connection, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let run = || -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|n| row.get(n)).collect())?;
        rows.collect()
    };
    run().map_err(|error| error.to_string())
}

fn answer(connection: &Connection, step: &Step) -> Result<Vec<Vec<Value>>, String> {
    match step {
        Step::Sql(sql) => {
            connection.execute_batch(sql).map(|()| Vec::new()).map_err(|e| e.to_string())
        }
        Step::Query(sql) => rows(connection, sql),
    }
}

/// Everything that a file holds.
fn dump(connection: &Connection) -> Vec<Vec<Vec<Value>>> {
    ["t", "u", "b.t"]
        .map(|table| rows(connection, &format!("SELECT * FROM {table} ORDER BY id")).unwrap())
        .into()
}

fn run(connections: usize, steps: &[(usize, Step)], auto_vacuum: u8) {
    let dir = tempfile::tempdir().unwrap();
    let env = environment();
    let begin = |connection: &Connection, b: &str| {
        let sql = format!(
            "ATTACH '{b}' AS b; PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA b.auto_vacuum = {auto_vacuum}; {SETUP}"
        );
        connection.execute_batch(&sql).unwrap();
    };
    let b = dir.path().join("b.db");
    let pairs: Vec<(Connection, Connection)> = (0..connections)
        .map(|_| {
            let ours = connect(&env, "a.db");
            begin(&ours, "b.db");
            let stock = Connection::open(dir.path().join("a.db")).unwrap();
            stock.pragma_update(None, "journal_mode", "memory").unwrap();
            stock.pragma_update(None, "synchronous", "off").unwrap();
            begin(&stock, b.to_str().unwrap());
            stock.busy_timeout(std::time::Duration::ZERO).unwrap();
            ours.busy_timeout(std::time::Duration::ZERO).unwrap();
            (ours, stock)
        })
        .collect();
    for (n, (at, step)) in steps.iter().enumerate() {
        // One transaction at a time: who may go on beside whom is where the two differ, by design.
        let busy = pairs.iter().position(|(ours, _)| !ours.is_autocommit());
        let (ours, stock) = &pairs[busy.unwrap_or(at % connections)];
        let (found, expected) = (answer(ours, step), answer(stock, step));
        assert_eq!(found, expected, "step {n}: {step:?}");
        assert_eq!(ours.is_autocommit(), stock.is_autocommit(), "step {n}: {step:?}");
    }
    for (ours, stock) in &pairs {
        if !ours.is_autocommit() {
            ours.execute_batch("ROLLBACK").unwrap();
            stock.execute_batch("ROLLBACK").unwrap();
        }
    }
    for (ours, stock) in &pairs {
        assert_eq!(dump(ours), dump(stock));
        check(ours);
        assert_eq!(
            rows(ours, "PRAGMA b.integrity_check"),
            Ok(vec![vec![Value::Text("ok".into())]])
        );
    }
}

fn cases() -> u32 {
    std::env::var("CAIRN_SQL_CASES").map_or(24, |text| text.parse().unwrap())
}

#[test]
fn random_sql_gives_the_answers_of_sqlite_alone() {
    let config = ProptestConfig {
        cases: cases(),
        source_file: Some(file!()),
        test_name: Some(concat!(module_path!(), "::random_sql")),
        ..ProptestConfig::default()
    };
    let statements = Cell::new(0);
    let histories = (vec((0..4usize, step()), 1..120), 0..3u8);
    let done = TestRunner::new(config).run(&histories, |(steps, auto_vacuum)| {
        run(4, &steps, auto_vacuum);
        statements.set(statements.get() + steps.len());
        Ok(())
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
    let (count, cases) = (statements.get(), cases());
    let mut out = std::io::stdout();
    writeln!(out, "{count} statements in {cases} histories were answered alike").unwrap();
}
