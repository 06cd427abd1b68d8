//! Transactions.

use cairn_env::ErrorKind;
use cairn_rdb::{
    ConflictResolution, Predicates, RdbError, RdbResult, StoreEvent, TransactionType, Value,
    ValuesBucket,
};

use super::fixture::{names, row, table};

#[test]
fn a_transaction_happens_whole_or_not_at_all() {
    let store = table();
    for kind in [TransactionType::Deferred, TransactionType::Immediate, TransactionType::Exclusive]
    {
        store.execute_sql("DELETE FROM t", ()).unwrap();
        let mut txn = store.create_transaction(kind).unwrap();
        assert_eq!(txn.batch_insert("t", &["a", "b", "c"].map(row)).unwrap(), 3);
        let a = Predicates::new("t").equal_to("name", "a");
        assert_eq!(txn.delete(&a).unwrap(), 1);
        let b = Predicates::new("t").equal_to("name", "b");
        assert_eq!(txn.update(&row("B"), &b).unwrap(), 1);
        assert_eq!(txn.execute("INSERT INTO t VALUES (9, ?, 1)", ("d",)).unwrap(), Value::from(9));
        assert_eq!(txn.query_rows::<String>("SELECT name FROM t", ()).unwrap().concat(), "Bcd");
        assert_eq!(txn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
        assert_eq!(names(&store), "");
        txn.commit().unwrap();
        assert_eq!(names(&store), "Bcd");

        let mut txn = store.create_transaction(kind).unwrap();
        txn.execute("DELETE FROM t", ()).unwrap();
        txn.rollback().unwrap();
        let mut txn = store.create_transaction(kind).unwrap();
        txn.execute("DELETE FROM t", ()).unwrap();
        drop(txn);
        assert_eq!(names(&store), "Bcd");
    }
}

#[test]
fn a_closure_is_a_transaction() {
    let store = table();
    let id = store.write(|txn| txn.insert("t", &row("a"))).unwrap();
    assert_eq!(id, 1);
    let failed: RdbResult<()> = store.write(|txn| {
        txn.insert("t", &row("b"))?;
        Err(RdbError::NoRow)
    });
    assert_eq!(failed.unwrap_err().code(), Some(14_800_018));
    assert_eq!(names(&store), "a");
}

#[test]
fn what_begins_or_ends_a_transaction_is_refused_within_one() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    for sql in
        ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ATTACH '' AS o", "SELECT 1"]
    {
        assert_eq!(txn.execute(sql, ()).unwrap_err().code(), Some(14_800_021), "{sql}");
    }
    assert_eq!(txn.query_sql("COMMIT", ()).unwrap_err().code(), Some(14_800_021));
    assert_eq!(txn.query_sql("DELETE FROM t", ()).unwrap_err().code(), Some(14_800_019));
    txn.commit().unwrap();
    assert_eq!(names(&store), "a");
}

#[test]
fn a_statement_that_fails_leaves_the_transaction_as_it_was() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    let doubled = ["b", "c", "b"].map(row);
    for conflict in [ConflictResolution::None, ConflictResolution::Fail] {
        let error = txn.batch_insert_with("t", &doubled, conflict).unwrap_err();
        assert_eq!(error.code(), Some(14_800_032));
    }
    txn.insert("t", &row("d")).unwrap();
    txn.commit().unwrap();
    assert_eq!(names(&store), "ad");
}

#[test]
fn a_transaction_resolves_conflicts_as_the_store_does() {
    let store = table();
    store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    let (ignore, replace) = (ConflictResolution::Ignore, ConflictResolution::Replace);
    assert_eq!(txn.insert_with("t", &row("a"), ignore).unwrap(), None);
    assert_eq!(txn.insert_with("t", &row("a"), replace).unwrap(), Some(3));
    let third = Predicates::new("t").equal_to("id", 3);
    assert_eq!(txn.update_with(&row("b"), &third, ignore).unwrap(), 0);
    assert_eq!(txn.update_with(&row("b"), &third, replace).unwrap(), 1);
    txn.commit().unwrap();
    assert_eq!(
        store.query_rows::<(i64, String)>("SELECT * FROM t", ()).unwrap(),
        [(3, "b".into())]
    );
}

/// What follows would otherwise be committed statement by statement.
#[test]
fn a_transaction_that_sqlite_has_ended_is_closed() {
    for batch in [false, true] {
        let store = table();
        store.insert("t", &row("a")).unwrap();
        let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
        txn.insert("t", &row("b")).unwrap();
        let error = match batch {
            true => txn
                .batch_insert_with("t", &[row("c"), row("a")], ConflictResolution::Rollback)
                .err(),
            false => txn.insert_with("t", &row("a"), ConflictResolution::Rollback).err(),
        };
        assert_eq!(error.unwrap().code(), Some(14_800_032));
        let all = Predicates::new("t");
        for closed in [
            txn.insert("t", &row("c")).unwrap_err(),
            txn.execute("DELETE FROM t", ()).unwrap_err(),
            txn.delete(&all).unwrap_err(),
            txn.update(&ValuesBucket::new().put("score", 1), &all).unwrap_err(),
            txn.batch_insert("t", &[row("c")]).unwrap_err(),
            txn.query(&all, &[]).unwrap_err(),
            txn.commit().unwrap_err(),
        ] {
            assert_eq!((closed.code(), closed.kind()), (Some(14_800_014), ErrorKind::Closed));
        }
        assert_eq!(names(&store), "a");
        store.write(|txn| txn.insert("t", &row("d"))).unwrap();
        assert_eq!(names(&store), "ad");
    }
}

#[test]
fn four_transactions_go_on_at_a_time_and_the_fifth_waits_for_two_seconds() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    let begin = || store.create_transaction(TransactionType::Deferred);
    let mut open: Vec<_> = (0..4).map(|_| begin().unwrap()).collect();
    for txn in &open {
        assert_eq!(txn.query_one::<String>("SELECT name FROM t", ()).unwrap(), "a");
    }
    let error = begin().unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(14_800_015), ErrorKind::Busy));
    assert!(error.is_retryable() && error.to_string().contains("2000 ms"), "{error}");
    open.pop();
    begin().unwrap().rollback().unwrap();
    // They are those of this store alone.
    assert_eq!(names(&store), "a");
}

#[test]
fn who_waits_for_a_transaction_gets_the_one_that_ends() {
    let store = table();
    let mut open: Vec<_> =
        (0..4).map(|_| store.create_transaction(TransactionType::Deferred).unwrap()).collect();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| store.write(|txn| txn.insert("t", &row("a"))));
        open.clear();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(names(&store), "a");
}

#[test]
fn a_snapshot_that_was_overtaken_cannot_be_written() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Deferred).unwrap();
    assert_eq!(txn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    store.insert("t", &row("a")).unwrap();
    assert_eq!(txn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    let error = txn.insert("t", &row("b")).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(14_800_024), ErrorKind::Conflict));
    assert!(error.is_retryable());
    drop(txn);
    store.write(|txn| txn.insert("t", &row("b"))).unwrap();
    assert_eq!(names(&store), "ab");
}

#[test]
fn a_commit_that_is_refused_has_not_happened() {
    let store = table();
    let sql = "CREATE TABLE child(of REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)";
    store.execute_sql(sql, ()).unwrap();
    store.execute_sql("PRAGMA foreign_keys = ON", ()).unwrap();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.execute("INSERT INTO child VALUES (7)", ()).unwrap();
    assert_eq!(txn.commit().unwrap_err().code(), Some(14_800_032));
    assert_eq!(store.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap(), 0);
}

#[test]
fn result_sets_of_a_transaction_see_what_it_has_changed() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.batch_insert("t", &["a", "b"].map(row)).unwrap();
    let late = Predicates::new("t").greater_than("id", 1);
    let (mut one, mut other) =
        (txn.query(&late, &["name"]).unwrap(), txn.query_sql("SELECT name FROM t", ()).unwrap());
    assert!(one.go_to_first_row().unwrap() && other.go_to_last_row().unwrap());
    assert_eq!(
        (one.get_string(0).unwrap(), other.get_string(0).unwrap()),
        ("b".into(), "b".into())
    );
    assert!(other.go_to_first_row().unwrap());
    assert_eq!((other.get_string(0).unwrap(), other.row_count().unwrap()), ("a".into(), 2));
    drop((one, other));
    txn.insert("t", &row("c")).unwrap();
    txn.commit().unwrap();
    assert_eq!(names(&store), "abc");
}

#[test]
fn a_transaction_may_go_to_another_thread() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            txn.insert("t", &row("a")).unwrap();
            txn.commit().unwrap();
        });
    });
    assert_eq!(names(&store), "a");
}

#[test]
fn one_transaction_writes_at_a_time() {
    let store = table();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    for error in [
        store.insert("t", &row("b")).unwrap_err(),
        store.create_transaction(TransactionType::Immediate).unwrap_err(),
    ] {
        assert_eq!((error.code(), error.kind()), (Some(14_800_024), ErrorKind::Busy), "{error}");
        assert!(error.is_retryable());
    }
    txn.commit().unwrap();
    store.insert("t", &row("b")).unwrap();
    assert_eq!(names(&store), "ab");
}

#[test]
fn a_savepoint_undoes_what_has_failed_within_it() {
    let store = table();
    let observer = store.observe().unwrap();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("a")).unwrap();
    let within = txn.savepoint(|txn| {
        txn.insert("t", &row("b"))?;
        let failed: RdbResult<()> = txn.savepoint(|txn| {
            txn.insert("t", &row("c"))?;
            Err(RdbError::NoRow)
        });
        assert_eq!(failed.unwrap_err().code(), Some(14_800_018));
        txn.insert("t", &row("d"))
    });
    within.unwrap();
    txn.savepoint(|txn| txn.batch_insert_with("t", &["e", "a"].map(row), ConflictResolution::None))
        .unwrap_err();
    txn.commit().unwrap();
    assert_eq!(names(&store), "abd");
    let Some(StoreEvent::Changed(change)) = observer.try_next() else { panic!("it is told") };
    assert_eq!(change.tables[0].inserted, [1, 2, 3]);
    // One whose transaction ends within it says so.
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    let ended = txn.savepoint(|txn| {
        drop(txn.insert_with("t", &row("a"), ConflictResolution::Rollback));
        Ok(())
    });
    assert_eq!(ended.unwrap_err().code(), Some(14_800_014));
    assert_eq!(txn.commit().unwrap_err().code(), Some(14_800_014));
}
