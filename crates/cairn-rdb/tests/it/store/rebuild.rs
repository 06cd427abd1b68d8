//! Damaged stores: what still answers, and what an open does about it.

use cairn_archive::{ArchiveFile, ExportOptions, ImportOptions};
use cairn_env::{Environment, Options, ReplicaPolicy};
use cairn_io::MemDisk;
use cairn_rdb::{
    Access, RdbConfig, RdbStore, RebuildType, SecurityLevel, SqlFiles, SqliteConnections,
};
use cairn_sim::{Image, SimWorld};

fn options() -> Options {
    Options::default().background(false).journal_file_bytes(64 << 10)
}

fn open_on(disk: &MemDisk, options: Options) -> Environment {
    Environment::open_in(disk.root(), SimWorld::new(1).world(), options).unwrap().0
}

#[test]
fn without_a_replica_nothing_is_restored_from_it() {
    let (env, _) = Environment::in_memory(options()).unwrap();
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!(store.restore_from_replica().unwrap_err().code(), Some(14_800_010));
}

fn config() -> RdbConfig {
    RdbConfig::new("RdbTest.db", SecurityLevel::S1)
}

fn count(store: &RdbStore, table: &str) -> Result<i64, Option<i64>> {
    let sum = store.query_one(&format!("SELECT sum(length(x)) FROM {table}"), ());
    sum.map_err(|error| error.code())
}

/// A store with two tables, of which one can be read, and a file of its environment that is damaged.
fn damaged() -> MemDisk {
    damaged_so_that(|_| true)
}

/// As `damaged`, in a place that the store shows to be the right one.
fn damaged_so_that(is_right: impl Fn(&RdbStore) -> bool) -> MemDisk {
    let disk = MemDisk::new();
    let env = open_on(&disk, options());
    let store = RdbStore::open(&env, config()).unwrap();
    for table in ["a", "b"] {
        store.execute_sql(&format!("CREATE TABLE {table}(x)"), ()).unwrap();
        for n in 0..30 {
            let sql = format!("INSERT INTO {table} VALUES (? || hex(zeroblob(2000)))");
            store.execute_sql(&sql, (n,)).unwrap();
        }
    }
    store.close();
    drop(store);
    env.close().unwrap();
    let image = Image::of(&disk);
    let journals: Vec<_> = image.files().filter(|(path, _)| path.contains("/J-")).collect();
    for &(path, len) in &journals {
        for byte in (4200..len).step_by(4001) {
            let bit = usize::try_from(byte).unwrap() * 8;
            let disk = image.with_bit_flipped(path, bit).to_mem();
            let opened = Environment::open_in(
                disk.root(),
                SimWorld::new(1).world(),
                options().read_only(true),
            );
            let Ok((env, _)) = opened else { continue };
            let Ok(store) = RdbStore::open(&env, config().read_only(true)) else { continue };
            let is_damaged = count(&store, "a") == Err(Some(14_800_011));
            if is_damaged && count(&store, "b").is_ok() && is_right(&store) {
                return image.with_bit_flipped(path, bit).to_mem();
            }
        }
    }
    panic!("no bit damages one of the tables alone: {journals:?}");
}

#[test]
fn a_damaged_store_answers_what_it_can_until_it_is_opened_again() {
    let disk = damaged();
    let env = open_on(&disk, options());
    let store = RdbStore::open(&env, config().allow_rebuild(true)).unwrap();
    assert_eq!(store.rebuilt(), RebuildType::None, "nobody has met it yet");
    let other = RdbStore::open(&env, config().allow_rebuild(true)).unwrap();
    assert_eq!(count(&store, "a"), Err(Some(14_800_011)));
    assert!(count(&store, "b").is_ok() && count(&other, "b").is_ok());
    let joined = RdbStore::open(&env, config().allow_rebuild(true)).unwrap();
    assert_eq!(joined.rebuilt(), RebuildType::None, "others have it open");
    store.close();

    let reading = config().allow_rebuild(true).read_only(true);
    assert_eq!(RdbStore::open(&env, reading).unwrap_err().code(), Some(14_800_011));
    let refused = RdbStore::open(&env, config()).unwrap_err();
    assert_eq!(refused.code(), Some(14_800_011));
    assert!(refused.to_string().contains("allow_rebuild"), "{refused}");
    let rebuilt = RdbStore::open(&env, config().allow_rebuild(true)).unwrap();
    assert_eq!(rebuilt.rebuilt(), RebuildType::Rebuilt);
    assert_eq!(rebuilt.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap(), 0);
    rebuilt.execute_sql("CREATE TABLE a(x)", ()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let archive = ArchiveFile::at(dir.path().join("backup")).unwrap();
    rebuilt.backup_to(&archive, &ExportOptions::default()).unwrap();
    rebuilt.restore_from(&archive, &ImportOptions::default()).unwrap();
    assert_eq!(rebuilt.rebuilt(), RebuildType::Rebuilt, "it says what the open has done");
    rebuilt.close();
    let again = RdbStore::open(&env, config()).unwrap();
    assert_eq!(again.rebuilt(), RebuildType::None);

    // What was set aside is there, and gives what it can.
    let names = SqlFiles::of(&env).names().unwrap();
    assert_eq!(names, ["RdbTest.db", "RdbTest.db.damaged-1"]);
    let aside = env.sqlite_connection("RdbTest.db.damaged-1", Access::ReadOnly).unwrap();
    let sum = aside.query_row("SELECT sum(length(x)) FROM b", [], |row| row.get::<_, i64>(0));
    assert!(sum.unwrap() > 30 * 4000);
}

#[test]
fn what_can_be_read_of_a_store_that_was_set_aside_is_brought_back() {
    // A page at the end of a branch of the table, and not the one from which all others hang.
    let has_row = |store: &RdbStore, row: i64| {
        store.query_one::<String>("SELECT x FROM a WHERE rowid = ?", (row,)).is_ok()
    };
    let disk = damaged_so_that(|store| has_row(store, 1) && has_row(store, 30));
    let env = open_on(&disk, options());
    let config = config().allow_rebuild(true);
    let store = RdbStore::open(&env, config.clone()).unwrap();
    store.execute_sql("CREATE INDEX b_x ON b(x)", ()).unwrap();
    store.execute_sql("CREATE VIEW both AS SELECT x FROM a UNION ALL SELECT x FROM b", ()).unwrap();
    store.execute_sql("CREATE TABLE pairs(p, q, PRIMARY KEY (p, q)) WITHOUT ROWID", ()).unwrap();
    store.execute_sql("INSERT INTO pairs VALUES (1, 'x'), (1, NULL), (0, x'ff')", ()).unwrap_err();
    store.execute_sql("INSERT INTO pairs VALUES (1, 'x'), (0, x'ff')", ()).unwrap();
    store.execute_sql("CREATE VIRTUAL TABLE words USING fts5(word)", ()).unwrap();
    assert_eq!(count(&store, "a"), Err(Some(14_800_011)));
    store.close();
    let store = RdbStore::open(&env, config).unwrap();
    assert_eq!(store.rebuilt(), RebuildType::Rebuilt);
    store.execute_sql("CREATE TABLE a(x)", ()).unwrap();
    let observer = store.observe().unwrap();

    let report = store.salvage("RdbTest.db.damaged-1").unwrap();
    assert!(!report.is_complete());
    let [a, b, pairs] = &report.tables[..] else { panic!("{report:?}") };
    assert_eq!((b.name.as_str(), b.rows, b.is_complete, &b.gaps[..]), ("b", 30, true, &[][..]));
    assert_eq!((pairs.name.as_str(), pairs.rows, pairs.is_complete), ("pairs", 2, true));
    assert_eq!(a.name, "a");
    assert!((20..30).contains(&a.rows) && !a.is_complete, "{a:?}");
    let [(from, to)] = a.gaps[..] else { panic!("{a:?}") };
    let kept = store
        .query_one::<i64>("SELECT count(*) FROM a WHERE rowid NOT BETWEEN ? AND ?", (from, to));
    assert_eq!(kept.unwrap().unsigned_abs(), a.rows);
    assert_eq!(30 - a.rows, (to - from + 1).unsigned_abs());
    assert!(count(&store, "both").is_ok());
    let all = "SELECT count(*) FROM b INDEXED BY b_x";
    assert_eq!(store.query_one::<i64>(all, ()).unwrap(), 30);
    assert!(report.left_out.iter().all(|name| name.starts_with("words")), "{report:?}");
    assert!(report.left_out.contains(&"words".into()));
    assert!(observer.try_next().is_some());

    // Once more: it has all of it.
    let again = store.salvage("RdbTest.db.damaged-1").unwrap();
    assert!(again.tables.iter().all(|table| table.rows == 0), "{again:?}");
    let missing = store.salvage("RdbTest.db.damaged-2").unwrap_err();
    assert_eq!(missing.kind(), cairn_env::ErrorKind::NotFound, "{missing}");
    assert_eq!(store.salvage("RdbTest.db").unwrap_err().code(), Some(401));
}

#[test]
fn a_damaged_store_is_not_backed_up() {
    let dir = tempfile::tempdir().unwrap();
    let env = open_on(&damaged(), options());
    let store = RdbStore::open(&env, config()).unwrap();
    let archive = ArchiveFile::at(dir.path().join("backup")).unwrap();
    let error = store.backup_to(&archive, &ExportOptions::default()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_011), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "nothing unfinished stays");
}

#[test]
fn a_damaged_store_is_restored_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let archive = ArchiveFile::at(dir.path().join("backup")).unwrap();
    {
        let (env, _) = Environment::in_memory(options()).unwrap();
        let store = RdbStore::open(&env, config()).unwrap();
        store.execute_sql("CREATE TABLE a(x)", ()).unwrap();
        store.execute_sql("INSERT INTO a VALUES ('four')", ()).unwrap();
        store.backup_to(&archive, &ExportOptions::default()).unwrap();
    }
    let env = open_on(&damaged(), options());
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!(count(&store, "a"), Err(Some(14_800_011)));
    store.restore_from(&archive, &ImportOptions::default()).unwrap();
    assert_eq!(count(&store, "a"), Ok(4));
    store.close();
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!((store.rebuilt(), count(&store, "a")), (RebuildType::None, Ok(4)));
}

#[test]
fn a_store_answers_from_the_replica_and_is_repaired_from_it_whether_it_may_be_rebuilt_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let open = || {
        let options = options().replica(&there, ReplicaPolicy::Require);
        Environment::open(&here, options).unwrap().0
    };
    {
        let (env, _) = Environment::open(&here, options()).unwrap();
        let store = RdbStore::open(&env, config()).unwrap();
        store.execute_sql("CREATE TABLE a(x)", ()).unwrap();
        for n in 0..60 {
            store.execute_sql("INSERT INTO a VALUES (? || hex(zeroblob(2000)))", (n,)).unwrap();
        }
        store.close();
        drop(store);
        env.checkpoint().unwrap();
        env.close().unwrap();
        open().close().unwrap(); // the replica has its base
    }
    let journals = std::fs::read_dir(here.join("g-000001")).unwrap().map(|e| e.unwrap().path());
    let mut journals: Vec<_> = journals
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("J-"))
        .collect();
    journals.sort();
    let rot = |journals: &[std::path::PathBuf]| {
        for journal in journals {
            let mut bytes = std::fs::read(journal).unwrap();
            let len = bytes.len();
            bytes[len / 2] ^= 1;
            std::fs::write(journal, bytes).unwrap();
        }
    };
    let all = 60 * 4002 - 10;
    rot(&journals[1..journals.len() - 1]);
    {
        // Who reads does not notice.
        let env = open();
        let store = RdbStore::open(&env, config()).unwrap();
        assert_eq!((store.rebuilt(), count(&store, "a")), (RebuildType::None, Ok(all)));
        store.restore_from_replica().unwrap();
        assert_eq!(count(&store, "a"), Ok(all));
        drop(store);
        env.close().unwrap();
    }
    rot(&journals[1..journals.len() - 1]);
    {
        // Without the replica it is noticed, and noted.
        let (env, _) = Environment::open(&here, options()).unwrap();
        let store = RdbStore::open(&env, config()).unwrap();
        assert_eq!(count(&store, "a"), Err(Some(14_800_011)));
        store.close();
        drop(store);
        env.close().unwrap();
    }
    let env = open();
    let store = RdbStore::open(&env, config()).unwrap();
    assert_eq!((store.rebuilt(), count(&store, "a")), (RebuildType::Repaired, Ok(all)));
    store.close();
    assert_eq!(RdbStore::open(&env, config()).unwrap().rebuilt(), RebuildType::None);
}
