//! Limits: those of SQLite, and that of the environment.

use cairn_env::{Environment, ErrorKind, Options};
use cairn_rdb::{Predicates, RdbError, RdbStore, ValuesBucket};

use super::fixture::{config, store, table};

#[test]
fn more_conditions_than_sqlite_takes_are_an_error() {
    let store = table();
    let conditions = |count: i64| {
        let with_one_more = |all: Predicates, n| all.not_equal_to("id", n);
        store.query(&(0..count).fold(Predicates::new("t"), with_one_more), &[])
    };
    assert_eq!(conditions(900).unwrap().row_count().unwrap(), 0);
    assert_eq!(conditions(1100).unwrap_err().code(), Some(14_800_021));
}

#[test]
fn a_table_has_at_most_2000_columns() {
    let store = store();
    let create = |table: &str, count: usize| {
        let columns: Vec<_> = (0..count).map(|n| format!("c{n}")).collect();
        store.execute_sql(&format!("CREATE TABLE {table}({})", columns.join(", ")), ())
    };
    create("most", 2000).unwrap();
    let row: ValuesBucket = (0..2000).map(|n| (format!("c{n}"), n)).collect();
    store.insert("most", &row).unwrap();
    assert_eq!(store.query(&Predicates::new("most"), &[]).unwrap().column_count().unwrap(), 2000);
    assert_eq!(create("more", 2001).unwrap_err().code(), Some(14_800_021));
}

/// SQLite hands on that there is no room, and not why.
#[test]
fn a_limit_of_the_disk_is_14800047_at_an_open_and_a_full_disk_to_a_statement() {
    let environment = |bytes| {
        let options = Options::default().background(false).max_disk(bytes);
        Environment::in_memory(options.journal_file_bytes(64 << 10)).unwrap().0
    };
    let error = RdbStore::open(&environment(64 << 10), config()).unwrap_err();
    assert!(matches!(error, RdbError::Env(_)), "{error}");
    assert_eq!((error.code(), error.kind()), (Some(14_800_047), ErrorKind::Full));

    let store = RdbStore::open(&environment(8 << 20), config()).unwrap();
    store.execute_sql("CREATE TABLE t(b)", ()).unwrap();
    let fill = || store.execute_sql("INSERT INTO t VALUES (randomblob(200000))", ());
    let error = (0..100).find_map(|_| fill().err()).expect("100 of them are 20 MB");
    assert_eq!((error.code(), error.kind()), (Some(14_800_029), ErrorKind::Full), "{error}");
    assert!(store.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap() > 0);
}
