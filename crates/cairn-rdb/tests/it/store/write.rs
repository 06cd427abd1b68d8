//! Inserting, updating and deleting rows.

use cairn_rdb::{ConflictResolution, Predicates, RdbStore, Value, ValuesBucket};

use super::fixture::{names, row, store, table};

fn with_id(id: i64, name: &str) -> ValuesBucket {
    row(name).put("id", id)
}

#[test]
fn an_insert_answers_the_rowid_and_leaves_the_rest_to_the_table() {
    let store = table();
    assert_eq!(store.insert("t", &row("a")).unwrap(), 1);
    assert_eq!(store.insert("t", &with_id(9, "b")).unwrap(), 9);
    assert_eq!(store.insert("t", &row("c").put("score", Value::Null)).unwrap(), 10);
    for (table, bucket, code) in [
        ("t", ValuesBucket::new(), 401),
        ("", row("d"), 401),
        ("t", ValuesBucket::new().put("missing", 1), 14_800_021),
        ("missing", row("d"), 14_800_021),
        ("t", row("a"), 14_800_032),
    ] {
        assert_eq!(store.insert(table, &bucket).unwrap_err().code(), Some(code), "{bucket:?}");
    }
    assert_eq!(names(&store), "abc");
}

#[test]
fn a_conflict_is_resolved_as_it_is_said() {
    use ConflictResolution::{Abort, Fail, Ignore, None, Replace, Rollback};
    for (conflict, answer, left) in [
        (None, Err(14_800_032), "ab"),
        (Rollback, Err(14_800_032), "ab"),
        (Abort, Err(14_800_032), "ab"),
        (Fail, Err(14_800_032), "ab"),
        (Ignore, Ok(Option::None), "ab"),
        (Replace, Ok(Some(5)), "ba"),
    ] {
        let store = table();
        store.batch_insert("t", &[with_id(1, "a"), with_id(2, "b")]).unwrap();
        let inserted = store.insert_with("t", &with_id(5, "a"), conflict);
        assert_eq!(inserted.map_err(|error| error.code().unwrap()), answer, "{conflict:?}");
        assert_eq!(names(&store), left, "{conflict:?}");
    }
}

#[test]
fn an_update_resolves_conflicts_as_it_is_said() {
    use ConflictResolution::{Abort, Fail, Ignore, None, Replace, Rollback};
    // c becomes b, where b is already; d would become b as well.
    for (conflict, answer, left) in [
        (None, Err(14_800_032), "abcd"),
        (Rollback, Err(14_800_032), "abcd"),
        (Abort, Err(14_800_032), "abcd"),
        (Fail, Err(14_800_032), "abcd"),
        (Ignore, Ok(0), "abcd"),
        (Replace, Ok(2), "ab"),
    ] {
        let store = table();
        store.batch_insert("t", &["a", "b", "c", "d"].map(row)).unwrap();
        let late = Predicates::new("t").greater_than("id", 2);
        let updated = store.update_with(&row("b"), &late, conflict);
        assert_eq!(updated.map_err(|error| error.code().unwrap()), answer, "{conflict:?}");
        assert_eq!(names(&store), left, "{conflict:?}");
    }
}

/// ArkData's is atomic for as many rows as fit one statement.
#[test]
fn a_batch_is_inserted_whole_or_not_at_all() {
    let store = table();
    let many: Vec<_> = (0..40_000).map(|n| row(&format!("n{n}"))).collect();
    assert_eq!(store.batch_insert("t", &many).unwrap(), 40_000);
    store.execute_sql("DELETE FROM t", ()).unwrap();
    for conflict in
        [ConflictResolution::None, ConflictResolution::Fail, ConflictResolution::Rollback]
    {
        let mut doubled: Vec<_> = (0..1000).map(|n| row(&format!("n{n}"))).collect();
        doubled.push(row("n0"));
        let error = store.batch_insert_with("t", &doubled, conflict).unwrap_err();
        assert_eq!(error.code(), Some(14_800_032), "{conflict:?}");
        assert_eq!(names(&store), "", "{conflict:?}");
    }
    assert_eq!(store.batch_insert("t", &[]).unwrap(), 0);
    let error = store.batch_insert("t", &[row("a"), ValuesBucket::new()]).unwrap_err();
    assert_eq!((error.code(), names(&store).as_str()), (Some(401), ""));
}

/// As ArkData does it, unless something else is asked for.
#[test]
fn a_batch_replaces_what_is_in_the_way() {
    let store = table();
    store.batch_insert("t", &[with_id(1, "a"), with_id(2, "b")]).unwrap();
    assert_eq!(store.batch_insert("t", &[with_id(3, "a"), with_id(2, "c")]).unwrap(), 2);
    assert_eq!(names(&store), "ca");
    let ignoring = [row("a"), row("d"), row("c")];
    assert_eq!(store.batch_insert_with("t", &ignoring, ConflictResolution::Ignore).unwrap(), 1);
    assert_eq!(names(&store), "cad");
}

#[test]
fn rows_of_a_batch_may_have_different_columns() {
    let store = store();
    store
        .execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, name DEFAULT 'x', score)", ())
        .unwrap();
    let rows = [row("a"), ValuesBucket::new().put("score", 1), row("b"), row("c").put("score", 2)];
    assert_eq!(store.batch_insert("t", &rows).unwrap(), 4);
    assert_eq!(names(&store), "axbc");
}

#[test]
fn updates_and_deletes_hit_what_predicates_mean() {
    let store = table();
    store.batch_insert("t", &["a", "b", "c", "d", "e"].map(row)).unwrap();
    let set = |score: f64| ValuesBucket::new().put("score", score);
    let of = |predicates: Predicates| store.update(&set(1.0), &predicates).unwrap();
    assert_eq!(of(Predicates::new("t").is_in("name", ["a", "c", "z"])), 2);
    assert_eq!(of(Predicates::new("t").equal_to("name", "z")), 0);
    assert_eq!(of(Predicates::new("t").order_by_desc("id").limit_as(2)), 2);
    let scored = Predicates::new("t").is_not_null("score").order_by_desc("name");
    assert_eq!(store.delete(&scored.clone().limit_as(1).offset_as(1)).unwrap(), 1);
    assert_eq!(names(&store), "abce");
    assert_eq!(store.delete(&scored).unwrap(), 3);
    assert_eq!(names(&store), "b");
    assert_eq!(store.delete(&Predicates::new("t")).unwrap(), 1);
}

/// In ArkData a condition with an empty list is dropped, and all rows are hit.
#[test]
fn an_empty_list_never_widens_a_delete() {
    let store = table();
    store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    let none = || Predicates::new("t").is_in("id", ());
    assert_eq!(store.delete(&none()).unwrap(), 0);
    assert_eq!(store.update(&ValuesBucket::new().put("score", 1), &none()).unwrap(), 0);
    assert_eq!(store.delete(&none().or().equal_to("name", "a")).unwrap(), 1);
    assert_eq!(names(&store), "b");
    assert_eq!(store.delete(&Predicates::new("t").not_in("id", ())).unwrap(), 1);
}

/// In double quotes, SQLite would take the name of a column that is not there for a text.
#[test]
fn a_column_that_is_misspelled_is_an_error_and_no_text() {
    let store = table();
    store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    for predicates in [
        Predicates::new("t").not_equal_to("nmae", "a"),
        Predicates::new("t").not_in("nmae", ()),
        Predicates::new("t").is_in("nmae", ()),
        Predicates::new("t").order_by_asc("nmae").limit_as(1),
    ] {
        assert_eq!(store.delete(&predicates).unwrap_err().code(), Some(14_800_021));
    }
    assert_eq!(names(&store), "ab");
}

#[test]
fn a_limit_never_hits_more_rows_than_it_says() {
    let store = store();
    store.execute_sql("CREATE TABLE shadowed(_ROWID_, a)", ()).unwrap();
    store.execute_sql("INSERT INTO shadowed VALUES (1, 'a'), (1, 'b'), (1, 'c')", ()).unwrap();
    let first = Predicates::new("shadowed").limit_as(1);
    assert_eq!(store.delete(&first).unwrap_err().code(), Some(401));
    store.execute_sql("CREATE TABLE plain(a PRIMARY KEY) WITHOUT ROWID", ()).unwrap();
    store.execute_sql("INSERT INTO plain VALUES (1), (2)", ()).unwrap();
    let first = Predicates::new("plain").limit_as(1);
    assert_eq!(store.delete(&first).unwrap_err().code(), Some(14_800_021));
    assert_eq!(store.delete(&Predicates::new("plain").equal_to("a", 1)).unwrap(), 1);
}

#[test]
fn names_may_have_anything() {
    let store = store();
    store.execute_sql("CREATE TABLE \"a `b\"\"\"(\"select\", \"x-y\")", ()).unwrap();
    let bucket = ValuesBucket::new().put("select", 1).put("x-y", 2);
    store.insert("a `b\"", &bucket).unwrap();
    let it = Predicates::new("a `b\"").equal_to("x-y", 2).order_by_asc("select");
    assert_eq!(store.update(&bucket, &it).unwrap(), 1);
    let mut found = store.query(&it, &["x-y", "select"]).unwrap();
    assert!(found.go_to_first_row().unwrap());
    assert_eq!(found.get_row().unwrap().values(), [Value::from(2), Value::from(1)]);
}

#[test]
fn every_value_comes_back_as_it_was_written() {
    let store = store();
    store.execute_sql("CREATE TABLE v(a)", ()).unwrap();
    let values = [
        Value::Null,
        Value::from(i64::MIN),
        Value::from(-0.5),
        Value::from(f64::INFINITY),
        Value::from(""),
        Value::from("ä\0b"),
        Value::from(Vec::<u8>::new()),
        Value::from(vec![0xff; 3 << 20]),
    ];
    let rows: Vec<_> = values.iter().map(|value| ValuesBucket::new().put("a", value)).collect();
    store.batch_insert("v", &rows).unwrap();
    let read: Vec<Value> = store.query_rows("SELECT a FROM v ORDER BY rowid", ()).unwrap();
    assert_eq!(read, values);
    store.execute("INSERT INTO v VALUES (?)", (f64::NAN,)).unwrap();
    let nan: Value = store.query_one("SELECT a FROM v ORDER BY rowid DESC", ()).unwrap();
    assert_eq!(nan, Value::Null);
}

#[test]
fn a_boolean_is_written_as_0_or_1() {
    let store = store();
    store.execute_sql("CREATE TABLE v(a, b)", ()).unwrap();
    store.insert("v", &ValuesBucket::new().put("a", true).put("b", false)).unwrap();
    let read: (i64, i64) =
        store.query_one("SELECT a, b FROM v WHERE typeof(a) = 'integer'", ()).unwrap();
    assert_eq!(read, (1, 0));
}

#[test]
fn many_threads_write_one_store() {
    let store = table();
    let write = |store: RdbStore, thread: usize| {
        for n in 0..50 {
            store.insert("t", &row(&format!("{thread}-{n}"))).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || write(store, thread));
        }
    });
    assert_eq!(store.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 200);
}
