//! Opening, closing, deleting: which stores there are, and what is recorded of them.

use std::time::Duration;

use cairn_env::{Environment, ErrorKind, KeySource, Options, ReplicaPolicy};
use cairn_rdb::{
    HaMode, Predicates, RdbConfig, RdbError, RdbStore, RebuildType, SecurityLevel, TransactionType,
};

use super::fixture::{config, environment, names, row, store, table};

#[test]
fn a_store_is_there_again_when_it_is_opened_again() {
    let env = environment();
    let store = RdbStore::open(&env, config()).unwrap();
    store.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, name)", ()).unwrap();
    store.insert("t", &row("a")).unwrap();
    assert_eq!((store.name(), store.rebuilt()), ("store", RebuildType::None));
    assert!(!store.is_encrypted() && !store.is_read_only());
    store.close();
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!(names(&store), "a");
    assert_eq!(RdbStore::names(&env).unwrap(), ["store"]);
}

#[test]
fn all_handles_of_a_store_are_one() {
    let env = environment();
    let one = RdbStore::open(&env, config()).unwrap();
    let other = RdbStore::open(&env, config()).unwrap();
    one.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, name)", ()).unwrap();
    other.insert("t", &row("a")).unwrap();
    assert_eq!(names(&one), "a");
    other.close();
    assert_eq!(one.version().unwrap_err().code(), Some(14_800_014));
}

#[test]
fn what_is_not_a_name_of_a_store_is_refused() {
    let env = environment();
    for name in ["", "a/b", "a\u{1}", &"x".repeat(129)] {
        let error = RdbStore::open(&env, RdbConfig::new(name, SecurityLevel::S1)).unwrap_err();
        assert_eq!(error.code(), Some(401), "{error}");
        assert_eq!(RdbStore::delete_store(&env, name).unwrap_err().code(), Some(401));
    }
    assert_eq!(RdbStore::names(&env).unwrap(), [""; 0]);
}

#[test]
fn a_security_level_is_recorded_and_never_lowered() {
    let env = environment();
    let open = |level| RdbStore::open(&env, RdbConfig::new("store", level));
    assert_eq!(open(SecurityLevel::S2).unwrap().security_level().unwrap(), SecurityLevel::S2);
    let error = open(SecurityLevel::S1).unwrap_err();
    assert_eq!(error.code(), Some(14_800_017), "{error}");
    assert_eq!(open(SecurityLevel::S3).unwrap().security_level().unwrap(), SecurityLevel::S3);
    assert_eq!(open(SecurityLevel::S2).unwrap_err().code(), Some(14_800_017));
    let recorded = RdbStore::recorded_config(&env, "store").unwrap();
    assert_eq!(recorded, RdbConfig::new("store", SecurityLevel::S3));
    assert_eq!(RdbStore::recorded_config(&env, "other").unwrap_err().code(), Some(14_800_042));
}

#[test]
fn encryption_and_a_replica_are_those_of_the_environment() {
    let env = environment();
    let error = RdbStore::open(&env, config().encrypt(true)).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(14_800_020), ErrorKind::Key));
    let error = RdbStore::open(&env, config().ha_mode(HaMode::MainReplica)).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(801), ErrorKind::Unsupported));
    assert_eq!(RdbStore::names(&env).unwrap(), [""; 0]);
}

#[test]
fn a_handle_that_only_reads_writes_nothing() {
    let env = environment();
    let reading = || RdbStore::open(&env, config().read_only(true));
    assert_eq!(reading().unwrap_err().code(), Some(14_800_042));
    let writing = RdbStore::open(&env, config()).unwrap();
    writing.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, name)", ()).unwrap();
    writing.insert("t", &row("a")).unwrap();
    // A higher level is not recorded by who only reads.
    let higher = RdbConfig::new("store", SecurityLevel::S4).read_only(true);
    assert_eq!(RdbStore::open(&env, higher).unwrap().security_level().unwrap(), SecurityLevel::S2);
    let reading = reading().unwrap();
    assert!(reading.is_read_only());
    assert_eq!(names(&reading), "a");
    let all = Predicates::new("t");
    for refused in [
        reading.execute_sql("DELETE FROM t", ()).unwrap_err(),
        reading.execute("DELETE FROM t", ()).unwrap_err(),
        reading.insert("t", &row("b")).unwrap_err(),
        reading.batch_insert("t", &[row("b")]).unwrap_err(),
        reading.update(&row("b"), &all).unwrap_err(),
        reading.delete(&all).unwrap_err(),
        reading.set_version(2).unwrap_err(),
        reading.create_transaction(TransactionType::Deferred).unwrap_err(),
        reading.query_sql("DELETE FROM t RETURNING name", ()).unwrap_err(),
    ] {
        let code = refused.code().unwrap();
        assert!([801, 14_800_019].contains(&code), "{refused}");
    }
    assert_eq!(names(&writing), "a");
}

#[test]
fn an_environment_that_is_only_read_has_stores_that_are_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let options = || Options::default().background(false);
    let (env, _) = Environment::open(&path, options()).unwrap();
    RdbStore::open(&env, config()).unwrap().set_version(3).unwrap();
    env.close().unwrap();
    let (env, _) = Environment::open(&path, options().read_only(true)).unwrap();
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!(store.version().unwrap(), 3);
    assert_eq!(store.set_version(4).unwrap_err().code(), Some(801));
    let other = RdbConfig::new("other", SecurityLevel::S1);
    assert_eq!(RdbStore::open(&env, other).unwrap_err().code(), Some(14_800_042));
    RdbStore::delete_store(&env, "store").unwrap_err();
}

/// Everything of a store answers that it was closed, whatever it is in the middle of.
#[test]
fn closing_a_store_ends_everything_of_it() {
    let store = table();
    store.insert("t", &row("a")).unwrap();
    let mut found = store.query_sql("SELECT * FROM t", ()).unwrap();
    assert!(found.go_to_first_row().unwrap());
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.insert("t", &row("b")).unwrap();
    let observer = store.observe().unwrap();
    store.close();
    store.close();
    let all = Predicates::new("t");
    for closed in [
        store.execute_sql("SELECT 1", ()).unwrap_err(),
        store.execute("DELETE FROM t", ()).unwrap_err(),
        store.insert("t", &row("c")).unwrap_err(),
        store.update(&row("c"), &all).unwrap_err(),
        store.delete(&all).unwrap_err(),
        store.query(&all, &[]).unwrap_err(),
        store.query_one::<i64>("SELECT 1", ()).unwrap_err(),
        store.version().unwrap_err(),
        store.set_version(1).unwrap_err(),
        store.security_level().unwrap_err(),
        store.create_transaction(TransactionType::Deferred).unwrap_err(),
        store.attach("store", "other").unwrap_err(),
        store.detach("other").unwrap_err(),
        store.observe().unwrap_err(),
        found.row_count().unwrap_err(),
        found.go_to_next_row().unwrap_err(),
        found.get_long(0).unwrap_err(),
        txn.query(&all, &[]).unwrap_err(),
        txn.insert("t", &row("c")).unwrap_err(),
        txn.commit().unwrap_err(),
    ] {
        assert_eq!((closed.code(), closed.kind()), (Some(14_800_014), ErrorKind::Closed));
    }
    assert!(found.is_closed());
    found.close();
    assert!(observer.is_ended());
    assert_eq!(observer.next_within(Duration::from_secs(60)), None);
}

#[test]
fn a_store_that_is_deleted_is_gone_and_can_be_made_anew() {
    let env = environment();
    let store = RdbStore::open(&env, config()).unwrap();
    store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    let mut found = store.query_sql("SELECT * FROM t", ()).unwrap();
    RdbStore::delete_store(&env, "store").unwrap();
    assert_eq!(found.row_count().unwrap_err().code(), Some(14_800_014));
    assert_eq!(store.version().unwrap_err().code(), Some(14_800_014));
    let error = RdbStore::delete_store(&env, "store").unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(14_800_042), ErrorKind::NotFound));
    let anew = RdbStore::open(&env, RdbConfig::new("store", SecurityLevel::S1)).unwrap();
    let tables: i64 = anew.query_one("SELECT count(*) FROM sqlite_schema", ()).unwrap();
    assert_eq!(tables, 0);
    assert_eq!(store.version().unwrap_err().code(), Some(14_800_014));
}

#[test]
fn a_version_is_from_1_and_stays() {
    let store = store();
    assert_eq!(store.version().unwrap(), 0);
    store.set_version(7).unwrap();
    for version in [0, -1, i32::MIN] {
        assert_eq!(store.set_version(version).unwrap_err().code(), Some(401));
    }
    assert_eq!(store.version().unwrap(), 7);
    store.set_version(i32::MAX).unwrap();
    assert_eq!(store.version().unwrap(), i32::MAX);
}

#[test]
fn an_environment_that_was_closed_says_so() {
    let env = environment();
    let store = RdbStore::open(&env, config()).unwrap();
    store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    env.clone().close().unwrap();
    for error in [
        RdbStore::open(&env, config()).unwrap_err(),
        store.execute("DELETE FROM t", ()).unwrap_err(),
        store.query_sql("SELECT * FROM t", ()).unwrap_err(),
        store.create_transaction(TransactionType::Deferred).unwrap_err(),
    ] {
        assert!(matches!(error, RdbError::Env(_)), "{error}");
        assert_eq!(error.code(), Some(14_800_014));
    }
}

#[test]
fn in_an_encrypted_environment_every_store_is() {
    let key = || KeySource::raw(&mut std::array::from_fn(|at| u8::try_from(at).unwrap()));
    let options = Options::default().background(false).key(key());
    let (env, _) = Environment::in_memory(options).unwrap();
    let store = RdbStore::open(&env, config().encrypt(true)).unwrap();
    assert!(store.is_encrypted());
    let error = RdbStore::open(&env, config()).unwrap_err();
    assert!(matches!(error, RdbError::ConfigChanged { option: "encrypt", .. }), "{error}");
    let other = RdbStore::open(&env, RdbConfig::new("other", SecurityLevel::S1)).unwrap();
    assert!(other.is_encrypted());
}

#[test]
fn a_mode_with_a_replica_is_taken_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default()
        .background(false)
        .replica(dir.path().join("replica"), ReplicaPolicy::Degrade);
    let (env, _) = Environment::open(dir.path().join("data"), options).unwrap();
    RdbStore::open(&env, config().ha_mode(HaMode::MainReplica)).unwrap();
    let recorded = RdbStore::recorded_config(&env, "store").unwrap();
    assert_eq!(recorded.ha_mode, HaMode::MainReplica);
    RdbStore::open(&env, config()).unwrap();
    assert_eq!(RdbStore::recorded_config(&env, "store").unwrap().ha_mode, HaMode::Single);
}
