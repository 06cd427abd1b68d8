//! ArkData's guide "Database Backup and Restore", its part on the relational store, step by step, with its names and its
//! error numbers. Each step asserts what the guide promises.
//!
//! ```sh
//! cargo run -p cairndb --example arkdata_rdb_guide
//! ```
#![expect(clippy::print_stdout, reason = "the guide prints what it does")]

use std::{error::Error, fs, path::Path};

use cairndb::{
    Environment, Options, ReplicaPolicy,
    archive::{ArchiveFile, BackupPlace, ExportOptions, ImportOptions},
    sql::{
        HaMode, Predicates, RdbConfig, RdbResult, RdbStore, RebuildType, ResultSet, SecurityLevel,
        ValuesBucket,
    },
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS EMPLOYEE (ID INTEGER PRIMARY KEY AUTOINCREMENT, \
                            NAME TEXT NOT NULL, AGE INTEGER, SALARY REAL, CODES BLOB)";

/// "The database file is corrupted."
const CORRUPT: Option<i64> = Some(14_800_011);
/// "The RdbStore or ResultSet is already closed."
const CLOSED: Option<i64> = Some(14_800_014);

fn main() -> Result {
    let dir = tempfile::tempdir()?;
    manual_backup(dir.path())?;
    automatic_backup(dir.path())?;
    rebuild_and_restore(dir.path())?;
    Ok(())
}

/// An environment whose backups lie beside it.
fn open(path: &Path, options: Options) -> Result<Environment> {
    let (env, _) = Environment::open(path, options)?;
    BackupPlace::beside(path).attach(&env);
    Ok(env)
}

/// So small that what is written below takes several files: those that are finished are what rots.
fn options() -> Options {
    Options::default().journal_file_bytes(64 << 10)
}

/// The number of an error.
fn code<T>(result: RdbResult<T>) -> Option<i64> {
    result.err().and_then(|error| error.code())
}

fn employees(store: &RdbStore) -> RdbResult<i64> {
    store.query_one("SELECT count(*) + 0 * coalesce(sum(length(CODES)), 0) FROM EMPLOYEE", ())
}

fn fill(store: &RdbStore) -> Result {
    store.execute_sql(CREATE_TABLE, ())?;
    for n in 0..60 {
        let values =
            ValuesBucket::new().put("NAME", format!("Lisa {n}")).put("CODES", vec![7; 4000]);
        store.insert("EMPLOYEE", &values)?;
    }
    Ok(())
}

/// Manual backup, and restoring from it.
fn manual_backup(dir: &Path) -> Result {
    let env = open(&dir.join("rdb"), options())?;
    let config = RdbConfig::new("RdbTest.db", SecurityLevel::S3).allow_rebuild(true);
    let store = RdbStore::open(&env, config)?;
    store.execute_sql(CREATE_TABLE, ())?;
    let lisa = ValuesBucket::new().put("NAME", "Lisa").put("AGE", 18).put("SALARY", 100.5);
    store.insert("EMPLOYEE", &lisa)?;
    store.backup("Backup.db")?;
    println!("Succeeded in backing up the RdbStore.");

    store.delete(&Predicates::new("EMPLOYEE"))?;
    assert_eq!(employees(&store)?, 0);
    store.restore("Backup.db")?;
    assert_eq!(employees(&store)?, 1);
    println!("Succeeded in restoring the RdbStore.");
    assert_eq!(code(store.restore("none.db")), Some(14_800_010));
    Ok(())
}

/// Automatic backup: everything that was acknowledged is in the replica, too.
fn automatic_backup(dir: &Path) -> Result {
    let (path, replica) = (dir.join("ha"), dir.join("ha-replica"));
    let name = "BackupResotreTest.db"; // as the guide spells it
    let config = RdbConfig::new(name, SecurityLevel::S3).allow_rebuild(true);
    {
        let env = open(&path, options())?;
        let store = RdbStore::open(&env, config.clone())?;
        // Without a replica of the environment there is nothing that could keep a second copy.
        let mirrored = RdbStore::open(&env, config.clone().ha_mode(HaMode::MainReplica));
        assert_eq!(code(mirrored), Some(801));
        fill(&store)?;
        store.close();
        drop(store);
        env.close()?;
    }
    let with_replica = || options().replica(&replica, ReplicaPolicy::Require);
    let config = config.ha_mode(HaMode::MainReplica);
    {
        let env = open(&path, with_replica())?;
        RdbStore::open(&env, config.clone())?.close();
        env.close()?;
    }
    rot(&path)?;
    {
        // Who reads does not notice; the damaged files get their bytes back in the background, or when it is asked for.
        let env = open(&path, with_replica())?;
        let store = RdbStore::open(&env, config.clone())?;
        assert_eq!(employees(&store)?, 60);
        store.restore_from_replica()?;
        assert_eq!(employees(&store)?, 60);
        println!("Succeeded in restoring the RdbStore from its replica.");
        store.close();
        drop(store);
        env.close()?;
    }

    rot(&path)?;
    {
        // Somebody who goes without the replica meets the damage.
        let env = open(&path, options())?;
        let store = RdbStore::open(&env, config.clone().ha_mode(HaMode::Single))?;
        assert_eq!(code(employees(&store)), CORRUPT);
        store.close();
        drop(store);
        env.close()?;
    }
    let env = open(&path, with_replica())?;
    let store = RdbStore::open(&env, config)?; // which repairs it
    assert_eq!((store.rebuilt(), employees(&store)?), (RebuildType::Repaired, 60));
    println!("The RdbStore was repaired from its replica.");
    Ok(())
}

/// A store that is damaged, and has no replica: it is rebuilt empty, and restored from a backup elsewhere.
fn rebuild_and_restore(dir: &Path) -> Result {
    let path = dir.join("damaged");
    let config = RdbConfig::new("BackupResotreTest.db", SecurityLevel::S3);
    let backup = ArchiveFile::at(dir.join("test_backup.db"))?;
    {
        let env = open(&path, options())?;
        let store = RdbStore::open(&env, config.clone())?;
        fill(&store)?;
        store.backup_to(&backup, &ExportOptions::default())?;
        store.close();
        drop(store);
        env.checkpoint()?;
        env.close()?;
    }
    rot(&path)?;

    // 1. Detect it: a query that needs what is damaged fails, with a number.
    let env = open(&path, options())?;
    let store = RdbStore::open(&env, config.clone())?;
    let mut result_sets: Vec<ResultSet<'_>> = Vec::new();
    let predicates = Predicates::new("EMPLOYEE");
    let found = store.query(&predicates, &["ID", "NAME", "AGE", "SALARY", "CODES"]);
    let outcome = found.and_then(|found| {
        result_sets.push(found);
        while result_sets[0].go_to_next_row()? {}
        Ok(())
    });
    assert_eq!(code(outcome), CORRUPT);
    println!("The RdbStore is damaged.");

    // 2. Close the result sets and the store; twice does no harm.
    for result_set in &mut result_sets {
        result_set.close();
        result_set.close();
        assert_eq!(code(result_set.go_to_first_row()), CLOSED);
    }
    drop(result_sets);
    store.close();
    store.close();

    // 3. Open it again: not without being allowed to rebuild it, and then it is empty.
    assert_eq!(code(RdbStore::open(&env, config.clone())), CORRUPT);
    let store = RdbStore::open(&env, config.allow_rebuild(true))?;
    assert_eq!(store.rebuilt(), RebuildType::Rebuilt);
    store.execute_sql(CREATE_TABLE, ())?;
    assert_eq!(employees(&store)?, 0);
    println!("The RdbStore was rebuilt.");

    // 4. Restore it from the manual backup, which lies anywhere.
    store.restore_from(&backup, &ImportOptions::default())?;
    assert_eq!(employees(&store)?, 60);
    println!("Succeeded in restoring the RdbStore from the backup.");
    Ok(())
}

/// A disk forgets a bit of each finished journal file but the first.
fn rot(env: &Path) -> Result {
    let mut journals: Vec<_> = fs::read_dir(env.join("g-000001"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    journals.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("J-"))
    });
    journals.sort();
    let finished = journals.len().saturating_sub(1).min(4);
    for journal in &journals[1..finished] {
        let mut bytes = fs::read(journal)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(journal, bytes)?;
    }
    Ok(())
}

/// `cargo test` runs examples only as far as they have tests.
#[test]
fn the_guide_does_what_it_says() {
    main().expect("each step holds");
}
