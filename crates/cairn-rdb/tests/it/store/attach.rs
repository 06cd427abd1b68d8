//! Attached stores.

use cairn_rdb::{Predicates, RdbConfig, RdbStore, SecurityLevel, TransactionType, ValuesBucket};

use super::fixture::environment;

fn two() -> (cairn_env::Environment, RdbStore, RdbStore) {
    let env = environment();
    let open = |name| {
        let store = RdbStore::open(&env, RdbConfig::new(name, SecurityLevel::S1)).unwrap();
        store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
        store
    };
    let (one, other) = (open("one"), open("other"));
    (env, one, other)
}

fn count(store: &RdbStore, sql: &str) -> i64 {
    store.query_one(sql, ()).unwrap()
}

#[test]
fn an_attached_store_is_read_and_written_by_its_alias() {
    let (_env, one, other) = two();
    assert_eq!(one.attach("other", "o").unwrap(), 1);
    one.execute_sql("INSERT INTO o.t VALUES (1)", ()).unwrap();
    one.insert("o.t", &ValuesBucket::new().put("a", 2)).unwrap();
    assert_eq!(one.query(&Predicates::new("o.t"), &[]).unwrap().row_count().unwrap(), 2);
    one.delete(&Predicates::new("o.t").equal_to("a", 1).limit_as(1)).unwrap();
    assert_eq!(
        (count(&other, "SELECT count(*) FROM t"), count(&one, "SELECT count(*) FROM t")),
        (1, 0)
    );
    let mut txn = one.create_transaction(TransactionType::Immediate).unwrap();
    txn.execute("INSERT INTO t SELECT a FROM o.t", ()).unwrap();
    txn.execute("DELETE FROM o.t", ()).unwrap();
    assert_eq!(count(&other, "SELECT count(*) FROM t"), 1);
    txn.commit().unwrap();
    assert_eq!(
        (count(&other, "SELECT count(*) FROM t"), count(&one, "SELECT count(*) FROM t")),
        (0, 1)
    );
}

#[test]
fn an_alias_is_used_once_and_detached_as_often_as_one_likes() {
    let (env, one, _other) = two();
    assert_eq!(one.attach("other", "o").unwrap(), 1);
    for alias in ["o", "O"] {
        assert_eq!(one.attach("other", alias).unwrap_err().code(), Some(14_800_016));
    }
    for alias in ["", "main", "temp", "a.b", "a/b"] {
        assert_eq!(one.attach("other", alias).unwrap_err().code(), Some(401), "{alias}");
    }
    assert_eq!(one.attach("missing", "m").unwrap_err().code(), Some(14_800_042));
    RdbStore::open(&env, RdbConfig::new("third", SecurityLevel::S1)).unwrap();
    assert_eq!(one.attach("third", "t `\"'").unwrap(), 2);
    assert_eq!(count(&one, "SELECT count(*) FROM \"t `\"\"'\".sqlite_schema"), 0);
    assert_eq!((one.detach("nobody").unwrap(), one.detach("O").unwrap()), (2, 1));
    assert_eq!(one.query_sql("SELECT * FROM o.t", ()).unwrap_err().code(), Some(14_800_021));
    assert_eq!(one.detach("t `\"'").unwrap(), 0);
    assert_eq!(one.attach("other", "o").unwrap(), 1);
    assert_eq!(count(&one, "SELECT count(*) FROM o.t"), 0);
}

/// SQLite would find the table of the attached store, since it does not look whether there is a newer one before it.
#[test]
fn a_table_of_the_store_itself_comes_first_however_new_it_is() {
    let (_env, one, other) = two();
    other.execute_sql("CREATE TABLE u(a)", ()).unwrap();
    other.execute_sql("INSERT INTO u VALUES (1)", ()).unwrap();
    one.attach("other", "o").unwrap();
    assert_eq!(count(&one, "SELECT count(*) FROM u"), 1);
    one.execute("DELETE FROM u WHERE a = 2", ()).unwrap();
    let txn = one.create_transaction(TransactionType::Deferred).unwrap();
    one.execute_sql("CREATE TABLE u(a)", ()).unwrap();
    assert_eq!(txn.query_one::<i64>("SELECT count(*) FROM u", ()).unwrap(), 1);
    drop(txn);
    assert_eq!(count(&one, "SELECT count(*) FROM u"), 0);
    one.write(|txn| txn.execute("DELETE FROM u", ())).unwrap();
    one.execute("DELETE FROM u", ()).unwrap();
    assert_eq!(
        (count(&one, "SELECT count(*) FROM o.u"), count(&one, "SELECT count(*) FROM u")),
        (1, 0)
    );
}

/// Such a pragma would be executed on each new connection, which would not know the schema any more.
#[test]
fn a_pragma_about_connections_is_not_about_one_schema() {
    let (_env, one, _other) = two();
    one.attach("other", "o").unwrap();
    for sql in ["PRAGMA o.cache_size = 100", "PRAGMA main.cache_size = 100"] {
        assert_eq!(one.execute(sql, ()).unwrap_err().code(), Some(14_800_021), "{sql}");
    }
    one.execute("PRAGMA cache_size = 100", ()).unwrap();
    one.execute("PRAGMA o.user_version = 7", ()).unwrap();
    assert_eq!(count(&one, "PRAGMA o.user_version"), 7);
    one.detach("o").unwrap();
    let txn = one.create_transaction(TransactionType::Deferred).unwrap();
    assert_eq!(txn.query_one::<i64>("PRAGMA cache_size", ()).unwrap(), 100);
}

#[test]
fn more_stores_than_sqlite_attaches_are_refused() {
    let (_env, one, _other) = two();
    for n in 1..=10 {
        assert_eq!(one.attach("other", &format!("o{n}")).unwrap(), n);
    }
    assert_eq!(one.attach("other", "o11").unwrap_err().code(), Some(14_800_021));
    assert_eq!(one.detach("o10").unwrap(), 9);
    assert_eq!(count(&one, "SELECT count(*) FROM o9.t"), 0);
}

#[test]
fn result_sets_keep_what_is_detached() {
    let (_env, one, other) = two();
    other.execute_sql("INSERT INTO t VALUES (7), (8)", ()).unwrap();
    one.attach("other", "o").unwrap();
    let mut found = one.query_sql("SELECT a FROM o.t", ()).unwrap();
    one.detach("o").unwrap();
    assert_eq!(found.rows::<i64>().collect::<Result<Vec<_>, _>>().unwrap(), [7, 8]);
}

#[test]
fn a_store_that_another_one_has_attached_is_not_deleted() {
    let (env, one, other) = two();
    one.attach("other", "o").unwrap();
    let error = RdbStore::delete_store(&env, "other").unwrap_err();
    assert_eq!(error.code(), Some(14_800_015), "{error}");
    assert_eq!(count(&other, "SELECT count(*) FROM t"), 0);
    one.close();
    RdbStore::delete_store(&env, "other").unwrap();
    assert_eq!(RdbStore::names(&env).unwrap(), ["one"]);
}
