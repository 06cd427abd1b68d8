//! Result sets: positions, columns, values, and what they show.

use cairn_rdb::{
    ColumnType, FromRow, Predicates, RdbError, RdbResult, RdbStore, ResultSet, Row, Value,
};
use proptest::prelude::*;

use super::fixture::{config, environment, row, store, table};

/// Numbers from 0 to below `count`, in order.
fn numbers(store: &RdbStore, count: u64) -> ResultSet<'static> {
    let sql =
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT ?";
    store.query_sql(sql, (i64::try_from(count).unwrap(),)).unwrap()
}

#[test]
fn a_result_set_is_gone_through_in_both_directions() {
    let store = store();
    let mut found = numbers(&store, 3);
    assert_eq!(found.row_index().unwrap(), None);
    assert!(!found.is_started().unwrap() && !found.is_ended().unwrap());
    assert!(!found.go_to_previous_row().unwrap());
    for n in 0..3 {
        assert!(found.go_to_next_row().unwrap());
        assert_eq!((found.row_index().unwrap(), found.get_long(0).unwrap()), (Some(n), n as i64));
        assert_eq!(found.is_at_first_row().unwrap(), n == 0);
        assert_eq!(found.is_at_last_row().unwrap(), n == 2);
    }
    assert!(!found.go_to_next_row().unwrap());
    assert!(found.is_started().unwrap() && found.is_ended().unwrap());
    assert!(!found.is_at_last_row().unwrap() && found.row_index().unwrap().is_none());
    assert!(!found.go_to_next_row().unwrap());
    for n in (0..3).rev() {
        assert!(found.go_to_previous_row().unwrap());
        assert_eq!(found.get_long(0).unwrap(), n);
    }
    assert!(!found.go_to_previous_row().unwrap());
    assert!(!found.is_started().unwrap() && !found.is_ended().unwrap());
    assert!(found.go_to_last_row().unwrap() && found.is_at_last_row().unwrap());
    assert!(found.go_to_first_row().unwrap() && found.is_at_first_row().unwrap());
    assert!(found.go_to(2).unwrap() && !found.go_to(-3).unwrap() && !found.is_started().unwrap());
    assert!(found.go_to(3).unwrap() && found.is_at_last_row().unwrap());
    assert!(!found.go_to_row(3).unwrap() && found.is_ended().unwrap());
    assert!(found.go_to(-3).unwrap() && found.is_at_first_row().unwrap());
    assert!(
        found.go_to(0).unwrap()
            && !found.go_to(i64::MAX).unwrap()
            && !found.go_to(i64::MIN).unwrap()
    );
    assert!(found.go_to_row(1).unwrap() && !found.go_to_row(u64::MAX).unwrap());
    assert_eq!(found.row_count().unwrap(), 3);
}

#[test]
fn a_result_set_without_rows_has_columns() {
    let store = table();
    let mut found = store.query(&Predicates::new("t"), &["id", "name"]).unwrap();
    assert_eq!(
        (found.row_count().unwrap(), found.column_names().unwrap().join(",")),
        (0, "id,name".into())
    );
    assert!(found.is_ended().unwrap() && !found.is_started().unwrap());
    for moved in [
        found.go_to_first_row(),
        found.go_to_last_row(),
        found.go_to_next_row(),
        found.go_to_previous_row(),
        found.go_to(1),
        found.go_to_row(0),
        found.is_at_first_row(),
        found.is_at_last_row(),
    ] {
        assert!(!moved.unwrap());
    }
    assert_eq!(found.get_row().unwrap_err().code(), Some(14_800_012));
}

#[test]
fn columns_are_found_by_name_and_by_number() {
    let store = table();
    let mut found = store.query_sql("SELECT id, name AS Title, score + 1 FROM t", ()).unwrap();
    store.insert("t", &row("a")).unwrap();
    assert_eq!(found.column_count().unwrap(), 3);
    assert_eq!(found.column_names().unwrap(), ["id", "Title", "score + 1"]);
    assert_eq!((found.column_index("title").unwrap(), found.column_name(1).unwrap()), (1, "Title"));
    for error in [found.column_index("name").unwrap_err(), found.column_name(3).unwrap_err()] {
        assert_eq!(error.code(), Some(14_800_013), "{error}");
    }
    assert_eq!(found.row_count().unwrap(), 0); // it is older than the row
    found.close();
}

#[test]
fn values_are_read_as_what_they_are_or_refused() {
    let store = store();
    let sql = "SELECT NULL AS n, 7 AS i, 1.5 AS r, 'text' AS t, x'ff00' AS b, '12' AS s, 2.0 AS w";
    let mut found = store.query_sql(sql, ()).unwrap();
    for error in [
        found.get_long(1).unwrap_err(),
        found.get_value(1).unwrap_err(),
        found.is_column_null(0).unwrap_err(),
        found.column_type(0).unwrap_err(),
        found.get_row().unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(14_800_012), "before the first row: {error}");
    }
    assert!(found.go_to_first_row().unwrap());
    use ColumnType::{Blob, Integer, Null, Real, Text};
    let types: Vec<_> = (0..7).map(|column| found.column_type(column).unwrap()).collect();
    assert_eq!(types, [Null, Integer, Real, Text, Blob, Text, Real]);
    assert!(found.is_column_null(0).unwrap() && !found.is_column_null(1).unwrap());
    assert_eq!((found.get_long(1).unwrap(), found.get_double(2).unwrap()), (7, 1.5));
    assert_eq!(
        (found.get_string(3).unwrap(), found.get_blob(4).unwrap()),
        ("text".into(), vec![0xff, 0])
    );
    assert_eq!((found.get_long(5).unwrap(), found.get_long(6).unwrap()), (12, 2));
    assert_eq!((found.get_double(1).unwrap(), found.get_string(2).unwrap()), (7.0, "1.5".into()));
    assert_eq!(found.get_blob(3).unwrap(), b"text");
    assert_eq!(found.get_value(0).unwrap(), Value::Null);
    assert_eq!(found.get::<Option<i64>>(0).unwrap(), None);
    for error in [
        found.get_long(0).unwrap_err(),
        found.get_string(0).unwrap_err(),
        found.get_long(2).unwrap_err(),
        found.get_long(3).unwrap_err(),
        found.get_double(4).unwrap_err(),
        found.get_string(4).unwrap_err(),
        found.get_blob(1).unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(14_800_041), "{error}");
    }
    for error in [found.get_value(7).unwrap_err(), found.is_column_null(7).unwrap_err()] {
        assert_eq!(error.code(), Some(14_800_013), "{error}");
    }
    let row = found.get_row().unwrap();
    assert_eq!((row.columns().len(), row.get::<i64>("I").unwrap()), (7, 7));
    assert!(!found.go_to_next_row().unwrap());
    assert_eq!(found.get_long(1).unwrap_err().code(), Some(14_800_012));
}

#[test]
fn a_result_set_shows_the_store_as_it_was() {
    let store = table();
    store.batch_insert("t", &["a", "b", "c"].map(row)).unwrap();
    let mut found = store.query_sql("SELECT name FROM t ORDER BY id", ()).unwrap();
    store.execute_sql("DELETE FROM t", ()).unwrap();
    store.execute_sql("DROP TABLE t", ()).unwrap();
    for _ in 0..2 {
        assert!(found.go_to_first_row().unwrap());
        assert_eq!(found.rows::<String>().collect::<RdbResult<String>>().unwrap(), "bc");
        assert_eq!(found.row_count().unwrap(), 3);
    }
    assert_eq!(store.query_sql("SELECT name FROM t", ()).unwrap_err().code(), Some(14_800_021));
}

/// More rows than are kept: going back beyond them begins again.
#[test]
fn a_large_result_is_gone_through_in_a_window_of_it() {
    let store = store();
    store.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, b)", ()).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 500)
                INSERT INTO t SELECT i, zeroblob(20000) FROM n";
    store.execute_sql(fill, ()).unwrap();
    let mut found = store.query_sql("SELECT * FROM t ORDER BY id", ()).unwrap();
    for row in [0, 499, 0, 250, 499, 480, 100, 300] {
        assert!(found.go_to_row(row).unwrap());
        assert_eq!(found.get_long(0).unwrap(), row as i64);
        assert_eq!(found.is_at_last_row().unwrap(), row == 499);
        assert_eq!(
            (found.get_long(0).unwrap(), found.get_blob(1).unwrap().len()),
            (row as i64, 20_000)
        );
    }
    assert!(found.go_to_last_row().unwrap());
    for row in (0..499).rev() {
        assert!(found.go_to_previous_row().unwrap());
        assert_eq!(found.get_long(0).unwrap(), row);
    }
    assert!(!found.go_to_previous_row().unwrap());
}

/// ArkData cannot read a row of more than 2 MB.
#[test]
fn a_row_may_be_larger_than_the_window() {
    let store = store();
    let sql = "SELECT zeroblob(5000000) UNION ALL SELECT zeroblob(5000001)";
    let mut found = store.query_sql(sql, ()).unwrap();
    assert!(found.go_to_next_row().unwrap() && !found.is_at_last_row().unwrap());
    assert_eq!(found.get_blob(0).unwrap().len(), 5_000_000);
    assert!(found.go_to_next_row().unwrap() && found.is_at_last_row().unwrap());
    assert_eq!(found.get_blob(0).unwrap().len(), 5_000_001);
    assert!(found.go_to_previous_row().unwrap());
    assert_eq!(found.get_blob(0).unwrap().len(), 5_000_000);
}

#[test]
fn an_error_in_the_middle_is_an_error_of_the_move() {
    let store = store();
    store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    store.execute_sql("INSERT INTO t VALUES (1), (-9223372036854775808), (3)", ()).unwrap();
    let mut found = store.query_sql("SELECT abs(a) FROM t", ()).unwrap();
    assert!(found.go_to_first_row().unwrap());
    assert_eq!(found.go_to_next_row().unwrap_err().code(), Some(14_800_021)); // integer overflow
    assert!(!found.is_started().unwrap());
    assert!(found.go_to_first_row().unwrap());
    assert_eq!(found.get_long(0).unwrap(), 1);
    assert_eq!(found.row_count().unwrap_err().code(), Some(14_800_021));
    assert_eq!(found.get_long(0).unwrap(), 1);
    let rows: Vec<_> = found.rows::<i64>().map(|row| row.is_ok()).collect();
    assert_eq!(rows, [false]);
    let at_once = store.query_sql("SELECT abs(-9223372036854775808)", ()).unwrap_err();
    assert_eq!(at_once.code(), Some(14_800_021));
}

#[test]
fn closing_a_result_set_twice_is_fine_and_makes_room() {
    let env = environment();
    let store = RdbStore::open(&env, config().result_sets(2)).unwrap();
    let open = || store.query_sql("SELECT 1", ());
    let (mut one, other) = (open().unwrap(), open().unwrap());
    let error = open().unwrap_err();
    assert!(matches!(error, RdbError::TooMany { max: 2, .. }) && error.code().is_none(), "{error}");
    assert!(!one.is_closed());
    one.close();
    one.close();
    assert!(one.is_closed());
    for error in [
        one.go_to_next_row().unwrap_err(),
        one.get_long(0).unwrap_err(),
        one.row_count().unwrap_err(),
        one.column_names().unwrap_err(),
        one.is_ended().unwrap_err(),
        one.row_index().unwrap_err(),
        one.get_rows(1, None).unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(14_800_014));
    }
    let again = open().unwrap();
    assert!(open().is_err());
    drop((other, again));
    drop(open().unwrap());
}

#[test]
fn sixty_four_result_sets_are_open_at_a_time() {
    let store = store();
    let mut open: Vec<_> = (0..64).map(|n| numbers(&store, n + 1)).collect();
    assert!(matches!(store.query_sql("SELECT 1", ()), Err(RdbError::TooMany { max: 64, .. })));
    for (n, found) in open.iter_mut().enumerate() {
        assert_eq!(found.row_count().unwrap(), n as u64 + 1);
    }
}

#[test]
fn what_is_no_query_is_refused() {
    let store = table();
    for sql in
        ["DELETE FROM t", "INSERT INTO t(name) VALUES ('a') RETURNING id", "CREATE TABLE u(a)"]
    {
        assert_eq!(store.query_sql(sql, ()).unwrap_err().code(), Some(14_800_019), "{sql}");
    }
    assert_eq!(store.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap(), 2);
    let columns: Vec<Row> = store.query_rows("PRAGMA table_info(t)", ()).unwrap();
    assert_eq!(columns[1].get::<String>("name").unwrap(), "name");
    assert_eq!(store.query_sql("PRAGMA cache_size = 10", ()).unwrap_err().code(), Some(14_800_019));
}

#[test]
fn rows_are_read_into_types_and_got_in_pieces() {
    struct Named {
        id: i64,
        name: String,
    }
    impl FromRow for Named {
        fn from_row(row: &Row) -> RdbResult<Self> {
            Ok(Self { id: row.get("id")?, name: row.get("name")? })
        }
    }
    let store = table();
    store.batch_insert("t", &["a", "b", "c", "d"].map(row)).unwrap();
    let named: Vec<Named> = store.query_rows("SELECT * FROM t WHERE id > ?", (2,)).unwrap();
    assert_eq!((named[0].id, named[1].name.as_str()), (3, "d"));
    let error = store.query_one::<Named>("SELECT id FROM t", ()).err().unwrap();
    assert_eq!(error.code(), Some(14_800_013));
    let error = store.query_one::<i64>("SELECT 1 WHERE 0", ()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_018));

    let mut found = store.query_sql("SELECT name FROM t ORDER BY id", ()).unwrap();
    let mut get = |max, from| {
        let rows = found.get_rows(max, from).unwrap();
        rows.iter().map(|row| row.get::<String>(0).unwrap()).collect::<String>()
    };
    assert_eq!(get(2, None), "ab");
    assert_eq!(get(1, None), "c");
    assert_eq!(get(9, Some(1)), "bcd");
    assert_eq!((get(9, None), get(9, Some(9)), get(0, Some(0))), Default::default());
}

#[test]
fn readers_and_a_writer_do_not_wait_for_each_other() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    let mut txn = store.create_transaction(cairn_rdb::TransactionType::Exclusive).unwrap();
    txn.insert("t", &row("b")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(store.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
                }
            });
        }
    });
    txn.commit().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever way it is moved, it stands where a list of numbers would.
    #[test]
    fn moves_are_those_of_a_list(count in 0u64..6, moves in proptest::collection::vec((0u8..7, -7i64..8), 0..30)) {
        let store = store();
        let mut found = numbers(&store, count);
        let end = i64::try_from(count).unwrap();
        let mut at = -1i64;
        for (kind, by) in moves {
            let (moved, to) = match kind {
                0 => (found.go_to_first_row(), 0),
                1 => (found.go_to_last_row(), (end - 1).max(0)),
                2 => (found.go_to_next_row(), at + 1),
                3 => (found.go_to_previous_row(), at - 1),
                4 => (found.go_to(by), at + by),
                _ => (found.go_to_row(by.unsigned_abs()), by.abs()),
            };
            at = to.clamp(-1, end);
            let is_on = (0..end).contains(&at);
            prop_assert_eq!(moved.unwrap(), is_on);
            prop_assert_eq!(found.row_index().unwrap(), is_on.then_some(at.unsigned_abs()));
            prop_assert_eq!(found.get_long(0).ok(), is_on.then_some(at));
            prop_assert_eq!(found.is_at_last_row().unwrap(), is_on && at == end - 1);
            prop_assert_eq!(found.is_ended().unwrap(), at == end || count == 0);
        }
        prop_assert_eq!(found.row_count().unwrap(), count);
    }
}
