//! Backup and restore of one store.

use cairn_archive::{ArchiveFile, BackupPlace, ExportOptions, ImportOptions};
use cairn_env::{Environment, ErrorKind, KeySource, Options};
use cairn_rdb::{
    PlainOptions, RdbConfig, RdbError, RdbStore, SecurityLevel, StoreEvent, TransactionType,
};

fn open(dir: &tempfile::TempDir) -> (Environment, RdbStore) {
    let path = dir.path().join("data");
    let (env, _) = Environment::open(&path, Options::default()).unwrap();
    BackupPlace::beside(&path).attach(&env);
    let store = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S2)).unwrap();
    store.execute_sql("CREATE TABLE t(n)", ()).unwrap();
    store.execute_sql("INSERT INTO t VALUES (1)", ()).unwrap();
    (env, store)
}

fn sum(store: &RdbStore) -> i64 {
    store.query_one("SELECT sum(n) FROM t", ()).unwrap()
}

#[test]
fn a_restore_ends_what_shows_the_old_and_all_handles_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (env, store) = open(&dir);
    let other = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S2)).unwrap();
    store.backup("Backup.db").unwrap();
    store.execute_sql("INSERT INTO t VALUES (2)", ()).unwrap();
    let mut rows = store.query_sql("SELECT n FROM t", ()).unwrap();
    assert!(rows.go_to_first_row().unwrap());
    let mut txn = other.create_transaction(TransactionType::Deferred).unwrap();
    let observer = other.observe().unwrap();

    store.restore("Backup.db").unwrap();
    assert_eq!((sum(&store), sum(&other)), (1, 1));
    assert_eq!(rows.go_to_next_row().unwrap_err().code(), Some(14_800_014));
    let error = txn.execute("INSERT INTO t VALUES (9)", ()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_014));
    drop((rows, txn));
    assert!(matches!(observer.try_next(), Some(StoreEvent::Reset)));
    other.execute_sql("INSERT INTO t VALUES (5)", ()).unwrap();
    assert_eq!(sum(&store), 6);
    assert!(matches!(observer.try_next(), Some(StoreEvent::Changed(_))));
    store.restore("Backup.db").unwrap(); // as often as one likes
    assert_eq!(sum(&other), 1);
}

#[test]
fn what_cannot_be_restored_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (env, store) = open(&dir);
    let code = |error: RdbError| error.code();
    assert_eq!(code(store.restore("none").unwrap_err()), Some(14_800_010));
    assert_eq!(code(store.backup("../x").unwrap_err()), Some(14_800_010));
    assert_eq!(code(store.delete_backup("none").unwrap_err()), Some(14_800_010));
    store.backup("good").unwrap();
    store.execute_sql("INSERT INTO t VALUES (2)", ()).unwrap();
    let folder = dir.path().join("data.backups/RdbTest.db-sql");
    let good = std::fs::read(folder.join("good.bak")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("cut", &good[..good.len() / 2]),
        ("flipped", &flipped),
        ("foreign", b"SQLite format 3\0"),
    ] {
        std::fs::write(folder.join(format!("{name}.bak")), bytes).unwrap();
        assert_eq!(code(store.restore(name).unwrap_err()), Some(14_800_011), "{name}");
        assert_eq!(sum(&store), 3, "{name}");
    }
    let listed = store.backups().unwrap();
    let good: Vec<_> = listed.iter().filter(|b| b.state.is_ok()).map(|b| &*b.name).collect();
    assert_eq!((listed.len(), good), (5, vec!["good"]));

    let writer = store.create_transaction(TransactionType::Immediate).unwrap();
    assert_eq!(code(store.restore("good").unwrap_err()), Some(14_800_015));
    drop(writer);
    let reader = RdbConfig::new("RdbTest.db", SecurityLevel::S2).read_only(true);
    let reader = RdbStore::open(&env, reader).unwrap();
    assert_eq!(code(reader.restore("good").unwrap_err()), Some(801));
    store.close();
    assert_eq!(code(store.backup("good").unwrap_err()), Some(14_800_014));
    assert_eq!(code(store.restore("good").unwrap_err()), Some(14_800_014));
}

#[test]
fn another_store_takes_a_backup_only_by_name_and_never_below_its_level() {
    let dir = tempfile::tempdir().unwrap();
    let (env, store) = open(&dir);
    let archive = ArchiveFile::at(dir.path().join("moved")).unwrap();
    store.backup_to(&archive, &ExportOptions::default()).unwrap();
    let of = |name, level| RdbStore::open(&env, RdbConfig::new(name, level)).unwrap();
    let same = of("same", SecurityLevel::S2);
    same.restore_from(&archive, &ImportOptions::default()).unwrap();
    assert_eq!(sum(&same), 1);
    let lower = of("lower", SecurityLevel::S1);
    let error = lower.restore_from(&archive, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_017), "{error}");
    assert!(lower.query_one::<i64>("SELECT sum(n) FROM t", ()).is_err());
}

#[test]
fn a_backup_beside_a_writer_holds_what_was_committed_and_replaces_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (env, store) = open(&dir);
    store.backup("Backup.db").unwrap();
    store.set_version(4).unwrap();
    store.execute_sql("INSERT INTO t VALUES (2)", ()).unwrap();
    let mut txn = store.create_transaction(TransactionType::Immediate).unwrap();
    txn.execute("INSERT INTO t VALUES (4)", ()).unwrap();
    // Who only reads backs up as well.
    let config = RdbConfig::new("RdbTest.db", SecurityLevel::S2).read_only(true);
    RdbStore::open(&env, config).unwrap().backup("Backup.db").unwrap();
    txn.commit().unwrap();
    assert_eq!(store.backups().unwrap().len(), 1);
    store.set_version(5).unwrap();
    store.restore("Backup.db").unwrap();
    assert_eq!((sum(&store), store.version().unwrap()), (3, 4));
}

#[test]
fn without_a_place_there_are_no_named_backups() {
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    let store = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S2)).unwrap();
    for error in [
        store.backup("Backup.db").unwrap_err(),
        store.restore("Backup.db").unwrap_err(),
        store.backups().unwrap_err(),
        store.delete_backup("Backup.db").unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(801), "{error}");
    }
}

#[test]
fn a_path_that_leads_nowhere_or_to_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (env, store) = open(&dir);
    let at = |path: &str| ArchiveFile::at(dir.path().join(path));
    // No directories are created, as in ArkData.
    assert_eq!(at("no/directory").unwrap_err().kind(), ErrorKind::Io);
    let plain = store.backup_sqlite(dir.path().join("no/directory"), PlainOptions::default());
    assert_eq!(plain.unwrap_err().code(), Some(14_800_028));
    let missing = store.restore_from(&at("missing").unwrap(), &ImportOptions::default());
    assert_eq!(missing.unwrap_err().code(), Some(14_800_010));
    let plain = store.restore_sqlite(dir.path().join("missing"), PlainOptions::default());
    assert_eq!(plain.unwrap_err().code(), Some(14_800_011));
    // A file of the environment itself.
    for own in ["data/CURRENT", "data/new", "data/g-000001/STATE"].map(|path| at(path).unwrap()) {
        let options = ExportOptions::default().replace(true);
        let error = store.backup_to(&own, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let options = PlainOptions::default().replace(true);
        let plain = store.backup_sqlite(own.path(), options).unwrap_err();
        assert_eq!(plain.kind(), ErrorKind::InvalidInput, "{plain}");
    }
    assert_eq!(sum(&store), 1);

    RdbStore::delete_store(&env, "RdbTest.db").unwrap();
    assert_eq!(store.backup("Backup.db").unwrap_err().code(), Some(14_800_014));
    assert_eq!(store.restore("Backup.db").unwrap_err().code(), Some(14_800_014));
}

#[test]
fn plain_files_go_out_and_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let (_env, store) = open(&dir);
    let path = dir.path().join("plain.db");
    store.backup_sqlite(&path, PlainOptions::default()).unwrap();
    store.execute_sql("DELETE FROM t", ()).unwrap();
    store.restore_sqlite(&path, PlainOptions::default()).unwrap();
    assert_eq!(sum(&store), 1);
    std::fs::write(&path, "no database at all").unwrap();
    let error = store.restore_sqlite(&path, PlainOptions::default()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_011), "{error}");
    assert_eq!(sum(&store), 1);
}

#[test]
fn a_backup_of_an_encrypted_store_opens_with_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = |first: u8| {
        let mut bytes = std::array::from_fn(|n| first + u8::try_from(n).unwrap());
        Options::default().key(KeySource::raw(&mut bytes))
    };
    let (env, _) = Environment::in_memory(key(1)).unwrap();
    let config = RdbConfig::new("RdbTest.db", SecurityLevel::S2).encrypt(true);
    let store = RdbStore::open(&env, config.clone()).unwrap();
    store.execute_sql("CREATE TABLE t(n)", ()).unwrap();
    store.execute_sql("INSERT INTO t VALUES ('canary')", ()).unwrap();
    let archive = ArchiveFile::at(dir.path().join("sealed")).unwrap();
    store.backup_to(&archive, &ExportOptions::default()).unwrap();
    let bytes = std::fs::read(archive.path()).unwrap();
    assert!(!bytes.windows(6).any(|bytes| bytes == b"canary"));
    store.restore_from(&archive, &ImportOptions::default()).unwrap();

    let (env, _) = Environment::in_memory(key(2)).unwrap();
    let other = RdbStore::open(&env, config).unwrap();
    let error = other.restore_from(&archive, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_011), "{error}");
}
