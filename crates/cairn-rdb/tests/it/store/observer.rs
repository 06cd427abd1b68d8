//! Observers: which rows they are told of, when, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cairn_rdb::{
    ConflictResolution, Observer, Predicates, RdbConfig, RdbResult, RdbStore, RdbTransaction,
    SecurityLevel, StoreEvent, TransactionType, ValuesBucket,
};
use proptest::{collection::vec, prelude::*};

use super::fixture::{environment, row, store, table};

/// What there is to be told, as text: `t+1,2~3-4` for rows inserted, updated and deleted, `?` if these are not all.
fn told(observer: &Observer) -> String {
    let mut told = Vec::new();
    while let Some(event) = observer.try_next() {
        let StoreEvent::Changed(change) = event else {
            told.push("reset".into());
            continue;
        };
        let table = |table: &cairn_rdb::TableChanges| {
            let rows = |sign: &str, rows: &[i64]| match rows {
                [] => String::new(),
                rows => {
                    let rows: Vec<_> = rows.iter().map(i64::to_string).collect();
                    format!("{sign}{}", rows.join(","))
                }
            };
            let (inserted, updated) = (rows("+", &table.inserted), rows("~", &table.updated));
            let (deleted, more) =
                (rows("-", &table.deleted), if table.is_complete { "" } else { "?" });
            format!("{}{inserted}{updated}{deleted}{more}", table.table)
        };
        told.push(change.tables.iter().map(table).collect::<Vec<_>>().join(" "));
    }
    told.join("; ")
}

fn observed() -> (RdbStore, Observer) {
    let store = table();
    let observer = store.observe().unwrap();
    (store, observer)
}

#[test]
fn each_commit_is_told_once() {
    let (store, observer) = observed();
    store.insert("t", &row("a")).unwrap();
    store.batch_insert_with("t", &["b", "c"].map(row), ConflictResolution::None).unwrap();
    store.update(&row("A"), &Predicates::new("t").equal_to("id", 1)).unwrap();
    store.delete(&Predicates::new("t").equal_to("id", 2)).unwrap();
    store.execute("UPDATE t SET score = 1 WHERE id = 99", ()).unwrap();
    store.execute_sql("SELECT 1", ()).unwrap();
    assert_eq!(told(&observer), "t+1; t+2,3; t~1; t-2");
    // SQLite does not report rows of a table that is emptied at once.
    store.execute_sql("DELETE FROM t", ()).unwrap();
    assert_eq!(told(&observer), "t-1,3");
    store.execute_sql("DROP TABLE t", ()).unwrap();
    assert_eq!(told(&observer), "");
}

#[test]
fn what_was_prepared_before_is_told_as_well() {
    let store = table();
    store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    for _ in 0..2 {
        store.execute("DELETE FROM t", ()).unwrap();
        store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    }
    let observer = store.observe().unwrap();
    store.execute("DELETE FROM t", ()).unwrap();
    assert_eq!(told(&observer), "t-1,2");
    drop(observer);
    store.insert("t", &row("a")).unwrap();
    let late = store.observe().unwrap();
    store.insert("t", &row("b")).unwrap();
    assert_eq!(told(&late), "t+2");
}

#[test]
fn a_transaction_is_told_at_its_commit_and_only_what_has_come_of_it() {
    let (store, observer) = observed();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    txn.insert("t", &row("b")).unwrap();
    txn.update(&row("c"), &Predicates::new("t").equal_to("id", 1)).unwrap();
    txn.delete(&Predicates::new("t").equal_to("id", 2)).unwrap();
    assert_eq!(told(&observer), "");
    txn.commit().unwrap();
    assert_eq!(told(&observer), "t+1");
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("d")).unwrap();
    drop(txn);
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.execute("DELETE FROM t", ()).unwrap();
    txn.rollback().unwrap();
    assert_eq!(told(&observer), "");
}

/// SQLite reports the rows of a statement while it goes on, also if it undoes them at its end.
#[test]
fn what_a_statement_that_fails_has_undone_is_not_told() {
    let (store, observer) = observed();
    store.insert("t", &row("z")).unwrap();
    let fails = "INSERT OR FAIL INTO t(name) VALUES ('a'), ('b'), ('z'), ('c')";
    let aborts = "INSERT INTO t(name) VALUES ('d'), ('z')";
    store.execute(fails, ()).unwrap_err();
    store.execute(aborts, ()).unwrap_err();
    assert_eq!(told(&observer), "t+1; t+2,3");
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.execute("INSERT INTO t(name) VALUES ('e')", ()).unwrap();
    txn.execute(aborts, ()).unwrap_err();
    txn.execute("UPDATE t SET name = 'same'", ()).unwrap_err();
    let none = ConflictResolution::None;
    txn.batch_insert_with("t", &["f", "g", "z"].map(row), none).unwrap_err();
    txn.execute("INSERT OR FAIL INTO t(name) VALUES ('h'), ('z')", ()).unwrap_err();
    txn.commit().unwrap();
    assert_eq!(told(&observer), "t+4,5");
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("i")).unwrap();
    txn.insert_with("t", &row("z"), ConflictResolution::Rollback).unwrap_err();
    drop(txn);
    assert_eq!(told(&observer), "");
}

#[test]
fn triggers_and_cascades_are_told() {
    let (store, observer) = observed();
    store.execute_sql("CREATE TABLE log(what)", ()).unwrap();
    let sql = "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.name); END";
    store.execute_sql(sql, ()).unwrap();
    let sql = "CREATE TABLE child(of REFERENCES t(id) ON DELETE CASCADE)";
    store.execute_sql(sql, ()).unwrap();
    store.execute_sql("PRAGMA foreign_keys = ON", ()).unwrap();
    store.insert("t", &row("a")).unwrap();
    store.execute("INSERT INTO child VALUES (1)", ()).unwrap();
    store.execute("DELETE FROM t", ()).unwrap();
    assert_eq!(told(&observer), "log+1 t+1; child+1; child-1 t-1");
}

/// SQLite does not report these: the table is said to have changed, and whoever wants to know reads it.
#[test]
fn what_is_not_reported_is_said_to_be_missing() {
    let (store, observer) = observed();
    store.execute_sql("CREATE TABLE plain(k PRIMARY KEY, v) WITHOUT ROWID", ()).unwrap();
    store.execute("INSERT INTO plain VALUES (1, 1)", ()).unwrap();
    store.execute("UPDATE plain SET v = 2", ()).unwrap();
    store.execute("DELETE FROM plain WHERE k = 9", ()).unwrap(); // no row
    store.execute("DELETE FROM plain", ()).unwrap();
    assert_eq!(told(&observer), "plain?; plain?; plain?");
    // A row that gives way to another one.
    store.batch_insert_with("t", &["a", "b"].map(row), ConflictResolution::None).unwrap();
    store.insert_with("t", &row("a"), ConflictResolution::Replace).unwrap();
    store.batch_insert("t", &[row("b")]).unwrap();
    store.execute("UPDATE OR REPLACE t SET name = 'b' WHERE id = 3", ()).unwrap();
    assert_eq!(told(&observer), "t+1,2; t+3?; t+4?; t~3?");
    // A row that gets another rowid.
    store.execute("UPDATE t SET id = 70 WHERE id = 3", ()).unwrap();
    assert_eq!(told(&observer), "t~70?");
    // Nothing can give way where the rowid alone is unique.
    store.execute_sql("CREATE TABLE u(id INTEGER PRIMARY KEY, v)", ()).unwrap();
    store.batch_insert("u", &[ValuesBucket::new().put("id", 5)]).unwrap();
    store.batch_insert("u", &[ValuesBucket::new().put("id", 5)]).unwrap();
    assert_eq!(told(&observer), "u+5; u+5");
    // A table that says so itself.
    store.execute_sql("CREATE TABLE w(v UNIQUE ON CONFLICT REPLACE)", ()).unwrap();
    store.execute("INSERT INTO w VALUES (1)", ()).unwrap();
    assert_eq!(told(&observer), "w+1?");
}

/// It was told of as inserted and deleted, which is nothing, though it had been there before.
#[test]
fn a_row_that_is_replaced_and_then_deleted_is_gone() {
    let (store, observer) = observed();
    store.execute_sql("CREATE TABLE u(id INTEGER PRIMARY KEY, v)", ()).unwrap();
    store.execute("INSERT INTO u VALUES (5, 1)", ()).unwrap();
    store
        .write(|txn| {
            txn.execute("REPLACE INTO u VALUES (5, 2)", ())?;
            txn.execute("DELETE FROM u WHERE id = 5", ())
        })
        .unwrap();
    assert_eq!(told(&observer), "u+5; u-5");
}

#[test]
fn temporary_tables_are_not_told_and_virtual_ones_as_they_are_stored() {
    let (store, observer) = observed();
    store.execute_sql("CREATE TEMP TABLE tmp(a)", ()).unwrap();
    store.execute_sql("INSERT INTO tmp VALUES (1)", ()).unwrap();
    assert_eq!(told(&observer), "");
    store.execute_sql("CREATE VIRTUAL TABLE f USING fts5(body)", ()).unwrap();
    told(&observer);
    store.execute_sql("INSERT INTO f VALUES ('tea')", ()).unwrap();
    assert!(told(&observer).contains("f_content+1"));
}

#[test]
fn a_store_is_told_what_others_write_that_have_attached_it() {
    let env = environment();
    let open = |name| RdbStore::open(&env, RdbConfig::new(name, SecurityLevel::S1)).unwrap();
    let (one, other) = (open("one"), open("other"));
    other.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    one.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    let (of_one, of_other) = (one.observe().unwrap(), other.observe().unwrap());
    one.attach("other", "o").unwrap();
    one.execute_sql("INSERT INTO o.t VALUES (1)", ()).unwrap();
    assert_eq!((told(&of_one), told(&of_other)), ("".into(), "t+1".into()));
    one.write(|txn| {
        txn.execute("INSERT INTO t VALUES (1)", ())?;
        txn.execute("DELETE FROM o.t", ())
    })
    .unwrap();
    assert_eq!((told(&of_one), told(&of_other)), ("t+1".into(), "t-1".into()));
    other.execute_sql("INSERT INTO t VALUES (3)", ()).unwrap();
    assert_eq!((told(&of_one), told(&of_other)), ("".into(), "t+1".into()));
    one.detach("o").unwrap();
    one.execute_sql("DELETE FROM t", ()).unwrap();
    assert_eq!((told(&of_one), told(&of_other)), ("t-1".into(), "".into()));
}

#[test]
fn more_rows_than_are_kept_become_one_reset() {
    let (store, observer) = observed();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?)
                INSERT INTO t(name) SELECT i FROM n";
    store.execute(fill, (70_000,)).unwrap();
    store.execute("DELETE FROM t WHERE id = 1", ()).unwrap();
    assert_eq!(told(&observer), "reset; t-1");
    for _ in 0..2 {
        store.execute("UPDATE t SET score = 1 WHERE id <= 40000", ()).unwrap();
    }
    assert_eq!(told(&observer), "reset");
}

#[test]
fn who_begins_in_the_middle_of_a_transaction_is_told_to_read_again() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    let observer = store.observe().unwrap();
    txn.insert("t", &row("b")).unwrap();
    txn.commit().unwrap();
    assert_eq!(told(&observer), "reset");
    store.insert("t", &row("c")).unwrap();
    assert_eq!(told(&observer), "t+3");
    store.create_transaction(TransactionType::Immediate).unwrap().commit().unwrap();
    assert_eq!(told(&observer), "");
}

#[test]
fn commits_of_many_threads_are_told_in_their_order() {
    let (store, observer) = observed();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..25 {
                    let row = row(&format!("{thread}-{n}"));
                    match thread % 2 {
                        0 => store.insert("t", &row).map(drop).unwrap(),
                        _ => store.write(|txn| txn.insert("t", &row)).map(drop).unwrap(),
                    }
                }
            });
        }
    });
    // Rowids grow from commit to commit.
    let told: Vec<String> = told(&observer).split("; ").map(String::from).collect();
    let expected: Vec<String> = (1..=100).map(|id| format!("t+{id}")).collect();
    assert_eq!(told, expected);
}

#[test]
fn who_waits_is_woken() {
    let (store, observer) = observed();
    std::thread::scope(|scope| {
        scope.spawn(|| store.insert("t", &row("a")).unwrap());
        let event = observer.next_within(Duration::from_secs(60));
        assert!(matches!(event, Some(StoreEvent::Changed(_))));
    });
    assert_eq!(observer.next_within(Duration::ZERO), None);
    assert!(!observer.is_ended());
    store.close();
    assert!(observer.is_ended());
}

/// What may happen to the tables `t` and `u`.
#[derive(Clone, Debug)]
enum Step {
    Statement(String),
    Batch(Vec<(i64, u8)>, ConflictResolution),
}

fn steps() -> impl Strategy<Value = Step> {
    let or = || {
        prop_oneof![
            Just(""),
            Just("OR IGNORE"),
            Just("OR REPLACE"),
            Just("OR FAIL"),
            Just("OR ROLLBACK")
        ]
    };
    let (id, value) = (|| 1i64..7, || 0u8..6);
    let table = || prop_oneof![Just("t"), Just("u")];
    let statement = prop_oneof![
        (or(), table(), id(), value()).prop_map(|(or, table, id, value)| {
            format!("INSERT {or} INTO {table} VALUES ({id}, {value}), ({id} + 1, {value} + 1)")
        }),
        (or(), table(), id(), value()).prop_map(|(or, table, id, value)| {
            format!("UPDATE {or} {table} SET v = {value} + id % 2 WHERE id >= {id}")
        }),
        (or(), table(), id(), id()).prop_map(|(or, table, id, to)| {
            format!("UPDATE {or} {table} SET id = {to} WHERE id = {id}")
        }),
        (table(), id()).prop_map(|(table, id)| format!("DELETE FROM {table} WHERE id > {id}")),
        table().prop_map(|table| format!("DELETE FROM {table}")),
        (table(), id(), value()).prop_map(|(table, id, value)| {
            format!(
                "INSERT INTO {table} VALUES ({id}, {value}) ON CONFLICT DO UPDATE SET v = v + 1"
            )
        }),
    ]
    .prop_map(Step::Statement);
    let conflict = prop_oneof![
        Just(ConflictResolution::None),
        Just(ConflictResolution::Replace),
        Just(ConflictResolution::Fail),
    ];
    let batch = (vec((id(), value()), 1..4), conflict);
    prop_oneof![5 => statement, 1 => batch.prop_map(|(rows, conflict)| Step::Batch(rows, conflict))]
}

type Rows = BTreeMap<(String, i64), i64>;

fn rows(store: &RdbStore) -> Rows {
    let sql = "SELECT 't', id, v FROM t UNION ALL SELECT 'u', id, v FROM u UNION ALL SELECT 'l', rowid, v FROM l";
    let rows: Vec<(String, i64, i64)> = store.query_rows(sql, ()).unwrap();
    rows.into_iter().map(|(table, id, value)| ((table, id), value)).collect()
}

fn take(txn: &mut RdbTransaction, step: &Step) -> RdbResult<()> {
    match step {
        Step::Statement(sql) => txn.execute(sql, ()).map(drop),
        Step::Batch(rows, conflict) => {
            txn.batch_insert_with("t", &buckets(rows), *conflict).map(drop)
        }
    }
}

fn buckets(rows: &[(i64, u8)]) -> Vec<ValuesBucket> {
    rows.iter().map(|(id, value)| ValuesBucket::new().put("id", *id).put("v", *value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is done, alone or in transactions that are committed or not: what is told is what has changed, and
    /// if it is not all then that is said.
    #[test]
    fn what_is_told_is_what_has_changed(
        work in vec((vec(steps(), 1..5), any::<bool>(), any::<bool>()), 1..8),
    ) {
        let store = store();
        for sql in [
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)",
            "CREATE TABLE u(id INTEGER PRIMARY KEY, v)",
            "CREATE TABLE l(v)",
            "CREATE TRIGGER i AFTER INSERT ON u BEGIN INSERT INTO l VALUES (new.v); END",
            "CREATE TRIGGER d AFTER DELETE ON u BEGIN DELETE FROM l WHERE v = old.v; END",
        ] {
            store.execute_sql(sql, ()).unwrap();
        }
        let observer = store.observe().unwrap();
        for (steps, is_transaction, is_committed) in work {
            let before = rows(&store);
            if is_transaction {
                let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
                for step in &steps {
                    drop(take(&mut txn, step));
                }
                if is_committed {
                    drop(txn.commit()); // it may have ended already
                }
            } else {
                for step in &steps {
                    drop(match step {
                        Step::Statement(sql) => store.execute(sql, ()).map(drop),
                        Step::Batch(rows, conflict) => {
                            store.batch_insert_with("t", &buckets(rows), *conflict).map(drop)
                        }
                    });
                }
            }
            let after = rows(&store);
            let (mut told, mut partly) = (Rows::new(), BTreeSet::new());
            let mut events = 0;
            while let Some(event) = observer.try_next() {
                events += 1;
                let StoreEvent::Changed(change) = event else { panic!("too little for that") };
                for table in &change.tables {
                    if !table.is_complete {
                        partly.insert(table.table.clone());
                    }
                    let of = |rows: &[i64], what: i64| -> Vec<_> {
                        rows.iter().map(|row| ((table.table.clone(), *row), what)).collect()
                    };
                    told.extend(of(&table.inserted, 1));
                    told.extend(of(&table.updated, 2));
                    told.extend(of(&table.deleted, 3));
                }
            }
            prop_assert!(!is_transaction || events <= usize::from(is_committed));
            for row in before.keys().chain(after.keys()) {
                if partly.contains(&row.0) {
                    continue;
                }
                let what = told.get(row).copied();
                let expected = match (before.get(row), after.get(row)) {
                    (None, Some(_)) => vec![Some(1), Some(2)], // several statements may have updated it
                    (Some(_), None) => vec![Some(3)],
                    // It may have been written as it was, or be another one under its rowid.
                    (Some(old), Some(new)) if old == new => vec![None, Some(1), Some(2)],
                    _ => vec![Some(1), Some(2)],
                };
                prop_assert!(expected.contains(&what), "{:?}: {:?}, told {:?}", steps, row, what);
            }
        }
    }
}
