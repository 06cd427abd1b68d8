//! Each rule that a VFS has to follow, by what goes wrong without it.

use std::{sync::mpsc, thread};

use cairn_rdb::{
    Access, SqliteConnections,
    rusqlite::{self, ffi},
};

use crate::fixture::{check, code, connect, environment, number, text};

#[test]
fn rule_1_a_reader_sees_one_version_until_it_ends() {
    let env = environment();
    let writer = connect(&env, "app.db");
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    let reader = connect(&env, "app.db");
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&reader, "SELECT sum(n) FROM t"), 1);
    writer.execute_batch("INSERT INTO t VALUES (10)").unwrap();
    assert_eq!(number(&reader, "SELECT sum(n) FROM t"), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(number(&reader, "SELECT sum(n) FROM t"), 11);
}

#[test]
fn rule_2_who_has_read_what_was_changed_since_may_not_write() {
    let env = environment();
    let (a, b) = (connect(&env, "app.db"), connect(&env, "app.db"));
    a.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    a.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&a, "SELECT count(*) FROM t"), 1);
    b.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(code(a.execute_batch("INSERT INTO t VALUES (3)")), ffi::SQLITE_BUSY_SNAPSHOT);
    a.execute_batch("ROLLBACK; INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(number(&b, "SELECT sum(n) FROM t"), 6);
}

#[test]
fn rule_2_changes_of_other_files_make_nobody_wait() {
    let env = environment();
    let (a, b) = (connect(&env, "a.db"), connect(&env, "b.db"));
    a.execute_batch("CREATE TABLE t (n)").unwrap();
    b.execute_batch("CREATE TABLE t (n)").unwrap();
    a.execute_batch("BEGIN IMMEDIATE").unwrap();
    b.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    a.execute_batch("INSERT INTO t VALUES (3); COMMIT").unwrap();
    assert_eq!((number(&a, "SELECT n FROM t"), number(&b, "SELECT n FROM t")), (3, 2));
}

#[test]
fn rule_3_writers_take_turns_and_nobody_starves() {
    const WRITERS: usize = 6;
    const COMMITS: i64 = 60;
    let env = environment();
    connect(&env, "app.db").execute_batch("CREATE TABLE t (writer, n)").unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let env = &env;
            scope.spawn(move || {
                let connection = connect(env, "app.db");
                for n in 0..COMMITS {
                    connection.execute("INSERT INTO t VALUES (?, ?)", (writer as i64, n)).unwrap();
                }
            });
        }
    });
    let connection = connect(&env, "app.db");
    assert_eq!(number(&connection, "SELECT count(*) FROM t"), WRITERS as i64 * COMMITS);
    check(&connection);
}

#[test]
fn rule_4_a_writer_that_commits_does_not_wait_for_readers() {
    let env = environment();
    let (reader, writer) = (connect(&env, "app.db"), connect(&env, "app.db"));
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2), (3)").unwrap();
    let mut statement = reader.prepare("SELECT n FROM t").unwrap();
    let mut rows = statement.query([]).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<_, i64>(0).unwrap(), 1);
    writer.execute_batch("BEGIN EXCLUSIVE; DELETE FROM t; COMMIT").unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<_, i64>(0).unwrap(), 2);
}

#[test]
fn rule_5_files_are_not_opened_without_locks() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connect(&env, "other.db").execute_batch("CREATE TABLE t (n)").unwrap();
    for parameter in ["nolock=1", "immutable=1"] {
        let sql = format!("ATTACH 'file:other.db?{parameter}' AS other");
        assert_eq!(
            code(connection.execute_batch(&sql)) & 0xff,
            ffi::SQLITE_CANTOPEN,
            "{parameter}"
        );
    }
    connection.execute_batch("ATTACH 'file:other.db?mode=ro' AS other").unwrap();
    assert_eq!(number(&connection, "SELECT count(*) FROM other.t"), 0);
}

#[test]
fn rule_6_a_cursor_goes_on_across_commits_of_its_own_connection() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); CREATE TABLE log (n)").unwrap();
    connection
        .execute_batch("INSERT INTO t SELECT value FROM generate_series(1, 500)")
        .unwrap_or_else(|_| {
            let rows =
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500)";
            connection.execute_batch(&format!("INSERT INTO t {rows} SELECT n FROM s")).unwrap();
        });
    let mut statement = connection.prepare("SELECT n FROM t").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut sum = 0;
    while let Some(row) = rows.next().unwrap() {
        let n: i64 = row.get(0).unwrap();
        sum += n;
        connection.execute("INSERT INTO log VALUES (?)", [n]).unwrap();
    }
    assert_eq!(sum, number(&connection, "SELECT sum(n) FROM log"));
}

#[test]
fn rule_7_what_is_spilled_is_seen_by_nobody_else() {
    let env = environment();
    let (writer, reader) = (connect(&env, "app.db"), connect(&env, "app.db"));
    writer.execute_batch("PRAGMA cache_size = 10; CREATE TABLE t (n, filler)").unwrap();
    writer.execute_batch("BEGIN").unwrap();
    for n in 0..2000 {
        writer.execute("INSERT INTO t VALUES (?, zeroblob(500))", [n]).unwrap();
    }
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 0);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 2000);
    check(&reader);
}

#[test]
fn rule_8_what_was_rolled_back_is_gone_even_if_it_was_spilled_and_synced() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("PRAGMA cache_size = 10; CREATE TABLE t (n, filler)").unwrap();
    connection.execute_batch("INSERT INTO t VALUES (1, zeroblob(9000))").unwrap();
    let commits = env.latest_snapshot().unwrap().commit();
    connection.execute_batch("BEGIN").unwrap();
    for n in 0..500 {
        connection.execute("INSERT INTO t VALUES (?, zeroblob(500))", [n]).unwrap();
    }
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(env.latest_snapshot().unwrap().commit(), commits, "a rollback commits nothing");
    assert_eq!(number(&connection, "SELECT count(*) FROM t"), 1);
    assert_eq!(number(&connect(&env, "app.db"), "SELECT count(*) FROM t"), 1);
    check(&connection);
}

#[test]
fn rule_8_a_transaction_commits_without_any_sync_as_well() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection
        .execute_batch("PRAGMA synchronous = OFF; CREATE TABLE t (n); INSERT INTO t VALUES (1)")
        .unwrap();
    assert_eq!(number(&connect(&env, "app.db"), "SELECT n FROM t"), 1);
}

#[test]
fn rule_9_a_connection_that_is_dropped_in_a_transaction_leaves_nothing() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("PRAGMA cache_size = 1; CREATE TABLE t (n, filler)").unwrap();
    connection.execute_batch("BEGIN; INSERT INTO t VALUES (1, zeroblob(100000))").unwrap();
    drop(connection);
    let connection = connect(&env, "app.db");
    assert_eq!(number(&connection, "SELECT count(*) FROM t"), 0);
    connection.execute_batch("INSERT INTO t VALUES (1, 2)").unwrap();
}

#[test]
fn rule_12_a_commit_is_waited_for_when_others_may_write_already() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    let before = env.latest_snapshot().unwrap().commit();
    connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(env.durable_snapshot().unwrap().commit(), before + 1, "synced by default");
    connection.execute_batch("PRAGMA synchronous = NORMAL; INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(env.latest_snapshot().unwrap().commit(), before + 2);
    assert_eq!(env.durable_snapshot().unwrap().commit(), before + 1, "not waited for");
}

#[test]
fn rule_13_several_files_are_committed_by_one_commit() {
    let env = environment();
    for mode in ["memory", "delete", "truncate", "persist"] {
        let connection = connect(&env, "a.db");
        connection.execute_batch("ATTACH 'b.db' AS b; ATTACH 'c.db' AS c").unwrap();
        for database in ["main", "b", "c"] {
            let sql = format!("PRAGMA {database}.journal_mode = {mode}");
            assert_eq!(text(&connection, &sql), mode);
            let sql = format!("DROP TABLE IF EXISTS {database}.t; CREATE TABLE {database}.t (n)");
            connection.execute_batch(&sql).unwrap();
        }
        let before = env.latest_snapshot().unwrap().commit();
        connection
            .execute_batch(
                "BEGIN; INSERT INTO main.t VALUES (1); INSERT INTO b.t VALUES (2); INSERT INTO c.t VALUES (3); COMMIT",
            )
            .unwrap();
        assert_eq!(env.latest_snapshot().unwrap().commit(), before + 1, "{mode}");
        for (file, n) in [("a.db", 1), ("b.db", 2), ("c.db", 3)] {
            let other = connect(&env, file);
            assert_eq!(number(&other, "SELECT n FROM t"), n, "{mode}");
            check(&other);
        }
    }
}

#[test]
fn rule_13_a_file_that_shrinks_is_cut_in_that_commit() {
    let env = environment();
    let connection = connect(&env, "a.db");
    connection.execute_batch("ATTACH 'b.db' AS b").unwrap();
    connection
        .execute_batch("PRAGMA b.auto_vacuum = FULL; PRAGMA main.auto_vacuum = FULL")
        .unwrap();
    connection.execute_batch("CREATE TABLE main.t (x); CREATE TABLE b.t (x)").unwrap();
    for database in ["main", "b"] {
        let sql = format!("INSERT INTO {database}.t VALUES (zeroblob(200000))");
        connection.execute_batch(&sql).unwrap();
    }
    let before = env.latest_snapshot().unwrap().commit();
    connection.execute_batch("BEGIN; DELETE FROM main.t; DELETE FROM b.t; COMMIT").unwrap();
    assert_eq!(env.latest_snapshot().unwrap().commit(), before + 1);
    for file in ["a.db", "b.db"] {
        let other = connect(&env, file);
        assert!(number(&other, "PRAGMA page_count") < 10);
        check(&other);
    }
}

#[test]
fn rule_14_statements_and_savepoints_are_taken_back_alone() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n UNIQUE); INSERT INTO t VALUES (5)").unwrap();
    connection
        .execute_batch("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2)")
        .unwrap();
    assert!(connection.execute_batch("INSERT INTO t VALUES (3), (4), (5)").is_err());
    connection.execute_batch("ROLLBACK TO s; INSERT INTO t VALUES (9); COMMIT").unwrap();
    assert_eq!(text(&connection, "SELECT group_concat(n, ' ' ORDER BY n) FROM t"), "1 5 9");
}

#[test]
fn rule_15_there_is_no_log_and_always_a_journal() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    assert_eq!(text(&connection, "PRAGMA journal_mode = WAL"), "memory");
    assert_eq!(text(&connection, "PRAGMA journal_mode = OFF"), "memory");
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
        .unwrap();
    assert_eq!(number(&connection, "SELECT count(*) FROM t"), 0);
}

#[test]
fn rule_16_nobody_locks_all_others_out() {
    let env = environment();
    let (a, b) = (connect(&env, "app.db"), connect(&env, "app.db"));
    assert_eq!(text(&a, "PRAGMA locking_mode = EXCLUSIVE"), "normal");
    a.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    for n in 2..20 {
        a.execute("UPDATE t SET n = ?", [n]).unwrap();
        assert_eq!(number(&b, "SELECT n FROM t"), n);
    }
}

#[test]
fn rule_19_pages_of_any_size_are_read_and_written() {
    let env = environment();
    for size in [512, 1024, 4096, 8192, 65536] {
        let connection = connect(&env, &format!("{size}.db"));
        connection
            .execute_batch(&format!("PRAGMA page_size = {size}; CREATE TABLE t (n, filler)"))
            .unwrap();
        assert_eq!(number(&connection, "PRAGMA page_size"), size);
        for n in 0..200 {
            connection.execute("INSERT INTO t VALUES (?, zeroblob(777))", [n]).unwrap();
        }
        let other = connect(&env, &format!("{size}.db"));
        assert_eq!(number(&other, "SELECT sum(n) FROM t"), 199 * 100);
        check(&other);
    }
}

#[test]
fn rule_19_a_vacuum_changes_the_size_of_pages() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n, filler)").unwrap();
    for n in 0..300 {
        connection.execute("INSERT INTO t VALUES (?, zeroblob(777))", [n]).unwrap();
    }
    for size in [8192, 1024, 65536, 512, 4096] {
        connection.execute_batch(&format!("PRAGMA page_size = {size}; VACUUM")).unwrap();
        assert_eq!(number(&connection, "PRAGMA page_size"), size);
        let other = connect(&env, "app.db");
        assert_eq!(number(&other, "SELECT sum(n) FROM t"), 299 * 150);
        check(&other);
    }
}

#[test]
fn rule_20_what_was_cut_is_zero_when_the_file_grows_again() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE t (x)").unwrap();
    connection.execute_batch("INSERT INTO t VALUES (randomblob(300000))").unwrap();
    connection
        .execute_batch(
            "PRAGMA cache_size = 5; BEGIN; DELETE FROM t; PRAGMA incremental_vacuum;
             INSERT INTO t VALUES (zeroblob(200000)); COMMIT",
        )
        .unwrap();
    check(&connection);
    let other = connect(&env, "app.db");
    assert_eq!(number(&other, "SELECT x = zeroblob(200000) FROM t"), 1);
    check(&other);
}

#[test]
fn rule_21_an_image_of_a_file_with_a_log_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.db");
    let plain = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(text(&plain, "PRAGMA journal_mode = WAL"), "wal");
    plain.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (7)").unwrap();
    let env = environment();
    let mut connection = connect(&env, "app.db");
    let backup = rusqlite::backup::Backup::new(&plain, &mut connection).unwrap();
    backup.run_to_completion(100, std::time::Duration::ZERO, None).unwrap();
    drop(backup);
    assert_eq!(number(&connection, "SELECT n FROM t"), 7);
    let other = connect(&env, "app.db");
    assert_eq!(number(&other, "SELECT n FROM t"), 7);
    other.execute_batch("INSERT INTO t VALUES (8)").unwrap();
    check(&other);
}

#[test]
fn a_plain_file_is_a_copy_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let env = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (7)").unwrap();
    let path = dir.path().join("copy.db");
    let mut plain = rusqlite::Connection::open(&path).unwrap();
    let backup = rusqlite::backup::Backup::new(&connection, &mut plain).unwrap();
    backup.run_to_completion(100, std::time::Duration::ZERO, None).unwrap();
    drop(backup);
    assert_eq!(number(&plain, "SELECT n FROM t"), 7);
    let path = dir.path().join("into.db");
    connection.execute_batch(&format!("VACUUM INTO 'file:{}?vfs=unix'", path.display())).unwrap();
    let plain = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(number(&plain, "SELECT n FROM t"), 7);
    connection.execute_batch("VACUUM INTO 'copy.db'").unwrap();
    assert_eq!(number(&connect(&env, "copy.db"), "SELECT n FROM t"), 7);
}

#[test]
fn rule_23_temporary_tables_and_sorting_work_encrypted_or_not() {
    for env in [environment(), crate::fixture::encrypted()] {
        let connection = connect(&env, "app.db");
        connection
            .execute_batch(
                "PRAGMA temp_store = FILE; PRAGMA cache_size = 10; CREATE TEMP TABLE t (n, filler);
                 WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)
                 INSERT INTO t SELECT n, zeroblob(200) FROM s;
                 CREATE TABLE sorted AS SELECT n FROM t ORDER BY -n;",
            )
            .unwrap();
        assert_eq!(number(&connection, "SELECT n FROM sorted LIMIT 1"), 20000);
        connection.execute_batch("DROP TABLE t; VACUUM").unwrap();
        check(&connection);
    }
}

#[test]
fn rule_24_a_file_that_cannot_be_opened_is_an_error() {
    let env = environment();
    assert_eq!(
        code(env.sqlite_connection("none.db", Access::ReadWrite)) & 0xff,
        ffi::SQLITE_CANTOPEN
    );
    assert_eq!(
        code(env.sqlite_connection("none.db", Access::ReadOnly)) & 0xff,
        ffi::SQLITE_CANTOPEN
    );
    for name in ["", "a/b", "file:a", "a-wal", "a-journal", "..", &"x".repeat(129)] {
        let result = env.sqlite_connection(name, Access::Create);
        assert_eq!(code(result) & 0xff, ffi::SQLITE_CANTOPEN, "{name:?}");
    }
    let connection = connect(&env, "app.db");
    for name in ["a/b", "b-journal"] {
        let sql = format!("ATTACH '{name}' AS other");
        assert_eq!(code(connection.execute_batch(&sql)) & 0xff, ffi::SQLITE_CANTOPEN, "{name:?}");
    }
    drop(connection);
    env.clone().close().unwrap();
    assert_eq!(code(env.sqlite_connection("app.db", Access::Create)) & 0xff, ffi::SQLITE_CANTOPEN);
}

#[test]
fn a_file_comes_into_being_with_its_first_commit() {
    let env = environment();
    let connection = connect(&env, "app.db");
    assert_eq!(number(&connection, "SELECT count(*) FROM sqlite_schema"), 0);
    assert!(env.snapshot().unwrap().databases().unwrap().is_empty());
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    assert_eq!(env.snapshot().unwrap().databases().unwrap()[0].name(), "sql/app.db");
}

#[test]
fn two_connections_create_a_file_at_the_same_time() {
    let env = environment();
    thread::scope(|scope| {
        for n in 0..4 {
            let env = &env;
            scope.spawn(move || {
                let connection = connect(env, "app.db");
                let own = connect(env, &format!("{n}.db"));
                own.execute_batch("CREATE TABLE t (n)").unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n)").unwrap();
                connection.execute("INSERT INTO t VALUES (?)", [n]).unwrap();
                connection.execute_batch("COMMIT").unwrap();
            });
        }
    });
    assert_eq!(number(&connect(&env, "app.db"), "SELECT sum(n) FROM t"), 6);
}

#[test]
fn files_are_there_when_the_environment_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    for round in 1..4 {
        let (env, _) = cairn_env::Environment::open(&path, cairn_env::Options::default()).unwrap();
        let connection = connect(&env, "app.db");
        connection
            .execute_batch("CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)")
            .unwrap();
        assert_eq!(number(&connection, "SELECT sum(n) FROM t"), round);
        drop(connection);
        env.close().unwrap();
    }
}

#[test]
fn an_environment_that_is_only_read_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (env, _) = cairn_env::Environment::open(&path, cairn_env::Options::default()).unwrap();
    connect(&env, "app.db").execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    env.close().unwrap();
    let options = cairn_env::Options::default().read_only(true);
    let (env, _) = cairn_env::Environment::open(&path, options).unwrap();
    let connection = connect(&env, "app.db");
    assert_eq!(number(&connection, "SELECT sum(n) FROM t"), 1);
    let result = connection.execute_batch("INSERT INTO t VALUES (1)");
    assert_eq!(code(result) & 0xff, ffi::SQLITE_READONLY);
}

#[test]
fn a_writer_waits_for_another_one() {
    let env = environment();
    let connection = connect(&env, "app.db");
    connection
        .execute_batch("CREATE TABLE t (n); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
        .unwrap();
    let (begun, has_begun) = mpsc::channel();
    thread::scope(|scope| {
        let env = &env;
        scope.spawn(move || {
            let other = connect(env, "app.db");
            begun.send(()).unwrap();
            other.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        });
        has_begun.recv().unwrap();
        connection.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(number(&connection, "SELECT sum(n) FROM t"), 3);
}
