//! Crashes at every write and sync of what SQL does: each file is what it was before a transaction or after it, and
//! several files that were changed together are so together.

use std::collections::BTreeMap;

use cairn_archive::{BackupPlace, ExportOptions, ImportOptions};
use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::{DirExt, DirRef, FileExt, Name, SyncSite, WorldRef};
use cairn_rdb::{
    PlainOptions, RdbConfig, RdbStore, RebuildType, SYNC_SITES, SecurityLevel, SqlFiles,
    rusqlite::Connection,
};
use cairn_sim::{Bounds, FaultDisk, SimDisk, SimWorld};

use crate::fixture::{connect, dump, number};

/// Small everything: a few pages fill a journal file.
fn options() -> Options {
    Options::default()
        .background(false)
        .leaf_bytes(512)
        .cache_bytes(256 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10)
}

fn open(root: &DirRef, world: &WorldRef) -> Environment {
    Environment::open_in(DirRef::clone(root), WorldRef::clone(world), options()).unwrap().0
}

/// What the files hold; a file that is not there holds nothing.
type State = [String; 2];

fn state(env: &Environment) -> State {
    ["a.db", "b.db"].map(|name| dump(&connect(env, name)))
}

/// Transactions, each of which changes what a crash can leave at once.
const STEPS: &[&str] = &[
    "BEGIN; CREATE TABLE t (id INTEGER PRIMARY KEY, text); CREATE INDEX by_text ON t (text); COMMIT",
    "CREATE TABLE b.t (id INTEGER PRIMARY KEY, text)",
    "INSERT INTO t VALUES (1, 'one'), (2, 'two')",
    "BEGIN; INSERT INTO t VALUES (3, 'three'); INSERT INTO b.t VALUES (3, 'three'); COMMIT",
    "PRAGMA cache_size = 5; BEGIN; INSERT INTO t SELECT 100 + id, hex(zeroblob(3000)) FROM t;
     SAVEPOINT s; DELETE FROM t WHERE id < 100; ROLLBACK TO s; UPDATE b.t SET text = 'drei'; COMMIT",
    "DELETE FROM t WHERE id >= 100",
    "VACUUM",
    "BEGIN; DROP TABLE b.t; CREATE TABLE b.u (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (9, 'nine'); COMMIT",
];

fn run(mode: &str) -> (SimDisk, Vec<State>) {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let env = open(&disk.root(), &world);
    let connection = connect(&env, "a.db");
    connection.execute_batch("ATTACH 'b.db' AS b").unwrap();
    for database in ["main", "b"] {
        connection.execute_batch(&format!("PRAGMA {database}.journal_mode = {mode}")).unwrap();
    }
    let mut states = vec![state(&env)];
    disk.mark("step", 0);
    for (n, step) in STEPS.iter().enumerate() {
        connection.execute_batch(step).unwrap();
        states.push(state(&env));
        disk.mark("step", n as u64 + 1);
        if n % 3 == 2 {
            env.checkpoint().unwrap();
        }
    }
    drop(connection);
    env.close().unwrap();
    (disk, states)
}

fn look(root: &DirRef, states: &[State]) -> Result<usize, String> {
    let world = SimWorld::new(9).world();
    let env = open(root, &world);
    let found = state(&env);
    let at = states.iter().position(|state| *state == found);
    let at = at.ok_or_else(|| format!("{found:?} is none of {states:?}"))?;
    let report = env.verify(&VerifyOptions::default()).unwrap();
    if !report.findings.is_empty() {
        return Err(format!("{report:?}"));
    }
    let connection: Connection = connect(&env, "a.db"); // and it goes on
    connection.execute_batch("CREATE TABLE after (n); INSERT INTO after VALUES (1)").unwrap();
    Ok(at)
}

#[test]
fn a_crash_leaves_all_files_before_a_transaction_or_after_it() {
    // In the second mode SQLite ties the journals of several files together.
    for mode in ["memory", "delete"] {
        let (disk, states) = run(mode);
        let (reached, seen) = disk
            .trace()
            .sweep_steps("step", &states, &Bounds::smoke(), look)
            .unwrap_or_else(|what| panic!("{mode}, {what}"));
        assert!(reached.into_iter().eq(0..states.len()), "each step is where a crash can leave it");
        assert!(seen > 50, "{seen} states");
    }
}

const DATA: Name = Name::constant("data");
const BACKUPS: Name = Name::constant("backups");
const PLAIN: Name = Name::constant("plain.db");

/// What there is beside a file: the rows that each of its backups has, and the plain file.
#[derive(Clone, Debug, Default, PartialEq)]
struct Outside {
    rows: i64,
    backups: BTreeMap<String, i64>,
    plain: Option<Vec<u8>>,
}

fn open_beside(root: &DirRef, world: &WorldRef) -> Environment {
    let env = open(&root.open_dir(&DATA).unwrap(), world);
    let backups = root.open_dir(&BACKUPS).unwrap();
    BackupPlace::new(backups, WorldRef::clone(world)).attach(&env);
    env
}

fn rows(connection: &Connection) -> i64 {
    number(connection, "SELECT count(*) FROM t")
}

fn plain(root: &DirRef) -> Option<Vec<u8>> {
    if !root.has(&PLAIN).unwrap() {
        return None;
    }
    let file = root.open(&PLAIN, cairn_io::Access::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    Some(bytes)
}

/// Backups, restores and exports, and what there is after each; without the syncs of one site, if one is given.
fn run_outside(without: Option<SyncSite>) -> (SimDisk, Vec<Outside>) {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let faults = FaultDisk::new(disk.root());
    faults.skip_syncs(without);
    let root = faults.root();
    root.create_dir(&DATA).unwrap();
    root.create_dir(&BACKUPS).unwrap();
    root.sync(SyncSite::new("test.root")).unwrap();
    let env = open_beside(&root, &world);
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    let mut states = vec![Outside::default()];
    disk.mark("step", 0);
    let mut done = |change: &dyn Fn(&mut Outside)| {
        let mut state = states.last().unwrap().clone();
        state.rows = rows(&connection);
        change(&mut state);
        states.push(state);
        disk.mark("step", states.len() as u64 - 1);
    };
    let (export, import) = (ExportOptions::default(), ImportOptions::default());
    connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    done(&|_| {});
    files.back_up_as("app.db", "one", &[], &export).unwrap();
    done(&|state| state.backups.extend([("one".into(), 1)]));
    connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    done(&|_| {});
    files.back_up_as("app.db", "two", &[], &export).unwrap();
    done(&|state| state.backups.extend([("two".into(), 2)]));
    files.export_sqlite_to("app.db", &root, &PLAIN, PlainOptions::default()).unwrap();
    let first = plain(&root);
    done(&|state| state.plain.clone_from(&first));
    files.restore_named("app.db", "one", &import).unwrap();
    done(&|_| {});
    let replace = PlainOptions::default().replace(true);
    files.export_sqlite_to("app.db", &root, &PLAIN, replace).unwrap();
    let second = plain(&root);
    done(&|state| state.plain.clone_from(&second));
    files.delete_backup("app.db", "two").unwrap();
    done(&|state| state.backups.retain(|name, _| name != "two"));
    connection.execute_batch("INSERT INTO t VALUES (3), (4)").unwrap();
    done(&|_| {});
    drop((connection, files));
    env.close().unwrap();
    (disk, states)
}

fn look_outside(root: &DirRef, states: &[Outside]) -> Result<usize, String> {
    let world = SimWorld::new(9).world();
    let env = open_beside(root, &world);
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    let mut found = Outside { rows: rows(&connection), plain: plain(root), ..Outside::default() };
    for listed in files.backups("app.db").unwrap() {
        listed.state.map_err(|error| error.to_string())?;
        files.restore_named("app.db", &listed.name, &ImportOptions::default()).unwrap();
        found.backups.insert(listed.name, rows(&connection));
    }
    states
        .iter()
        .position(|state| *state == found)
        .ok_or_else(|| format!("{found:?} is none of {states:?}"))
}

#[test]
fn a_crash_leaves_backups_and_plain_files_before_a_call_or_after_it() {
    let (disk, states) = run_outside(None);
    let (reached, _) =
        disk.trace().sweep_steps("step", &states, &Bounds::smoke(), look_outside).unwrap();
    assert!(reached.into_iter().eq(0..states.len()), "each step is where a crash can leave it");
}

#[test]
fn without_any_sync_of_this_crate_something_is_lost() {
    for &site in SYNC_SITES {
        let (disk, states) = run_outside(Some(site));
        disk.trace()
            .sweep_steps("step", &states, &Bounds::smoke(), look_outside)
            .expect_err(&format!("{site} is not needed"));
    }
}

/// A file of SQLite's own takes the place of one, which is compacted then, and another one comes after it.
#[test]
fn a_crash_leaves_a_file_before_an_import_or_compacting_or_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let plain = |name: &str, rows: i64| {
        let path = dir.path().join(name);
        let file = Connection::open(&path).unwrap();
        let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, text); CREATE INDEX by_text ON t (text)";
        file.execute_batch(sql).unwrap();
        for n in 0..rows {
            let sql = "INSERT INTO t VALUES (?, ? || hex(zeroblob(900)))";
            file.execute(sql, (n, n)).unwrap();
        }
        file.execute("DELETE FROM t WHERE id % 3 > 0", []).unwrap();
        path
    };
    let (first, second) = (plain("first.db", 14), plain("second.db", 5));
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let env = open(&disk.root(), &world);
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text)").unwrap();
    let state = |env: &Environment| {
        let connection = connect(env, "app.db");
        let pages = number(&connection, "PRAGMA page_count");
        (pages, dump(&connection))
    };
    let mut states = vec![state(&env)];
    disk.mark("step", 0);
    let import = || files.import_sqlite("app.db", &first, PlainOptions::default()).map(drop);
    let compact = || files.compact("app.db").map(drop);
    let again = || files.import_sqlite("app.db", &second, PlainOptions::default()).map(drop);
    let steps: [&dyn Fn() -> cairn_rdb::TransferResult<()>; 3] = [&import, &compact, &again];
    for step in steps {
        step().unwrap();
        states.push(state(&env));
        disk.mark("step", states.len() as u64 - 1);
    }
    assert!(states[2].0 < states[1].0 && states[2].1 == states[1].1, "it was compacted");
    drop((connection, files));
    env.close().unwrap();
    let look = |root: &DirRef, states: &[(i64, String)]| -> Result<usize, String> {
        let env = open(root, &SimWorld::new(9).world());
        let found = state(&env);
        let at = states.iter().position(|state| *state == found);
        let at = at.ok_or_else(|| format!("{} pages, {}", found.0, found.1))?;
        SqlFiles::of(&env).compact("app.db").map_err(|error| error.to_string())?;
        let names = SqlFiles::of(&env).names().unwrap();
        if names != ["app.db"] {
            return Err(format!("{names:?}"));
        }
        if dump(&connect(&env, "app.db")) != found.1 {
            return Err("compacting has changed it".into());
        }
        Ok(at)
    };
    let swept = disk.trace().sweep_steps("step", &states, &Bounds::smoke(), look);
    let (reached, seen) = swept.unwrap_or_else(|what| panic!("{what}"));
    assert!(reached.into_iter().eq(0..states.len()), "each step is where a crash can leave it");
    assert!(seen > 30, "{seen} states");
}

fn rebuildable() -> RdbConfig {
    RdbConfig::new("app.db", SecurityLevel::S1).allow_rebuild(true)
}

/// A store that is damaged is set aside with the rest of its rows, and an empty one takes its place: a crash leaves the
/// rows in one of the two, and the store is opened again in either case.
#[test]
fn a_crash_leaves_a_damaged_store_in_place_or_set_aside() {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let env = open(&disk.root(), &world);
    let store = RdbStore::open(&env, rebuildable()).unwrap();
    for table in ["a", "b"] {
        store.execute_sql(&format!("CREATE TABLE {table}(x)"), ()).unwrap();
        let sql = format!("INSERT INTO {table} VALUES (1), (2), (hex(zeroblob(3000)))");
        store.execute_sql(&sql, ()).unwrap();
    }
    let root_page = "SELECT rootpage FROM sqlite_schema WHERE name = 'a'";
    let root_page: i64 = store.query_one(root_page, ()).unwrap();
    store.close();
    drop(store);
    damage_page(&env, root_page.unsigned_abs());
    disk.mark("step", 0);
    let store = RdbStore::open(&env, rebuildable()).unwrap();
    let error = store.query_one::<i64>("SELECT count(*) FROM a", ()).unwrap_err();
    assert_eq!(error.code(), Some(14_800_011));
    store.close();
    drop(store);
    let store = RdbStore::open(&env, rebuildable()).unwrap();
    assert_eq!(store.rebuilt(), RebuildType::Rebuilt);
    disk.mark("step", 1);
    store.execute_sql("CREATE TABLE after(x)", ()).unwrap();
    disk.mark("step", 2);
    drop(store);
    env.close().unwrap();
    let look = |root: &DirRef, may_be: &[usize]| -> Result<usize, String> {
        let env = open(root, &SimWorld::new(9).world());
        let aside = "app.db.damaged-1";
        let is_aside = SqlFiles::of(&env).exists(aside).unwrap();
        let rows = "SELECT count(*) FROM b";
        let store = RdbStore::open(&env, rebuildable()).map_err(|error| error.to_string())?;
        let tables = "SELECT count(*) FROM sqlite_schema";
        let mut tables: i64 = store.query_one(tables, ()).map_err(|error| error.to_string())?;
        let rest = number(&connect(&env, if tables < 2 { aside } else { "app.db" }), rows);
        if rest != 3 {
            return Err(format!("{rest} rows of 3, {tables} tables, aside: {is_aside}"));
        }
        if tables == 2 {
            // Nobody has met the damage before it was cut off: now somebody does.
            assert!(!is_aside);
            store.query_one::<i64>("SELECT count(*) FROM a", ()).unwrap_err();
            store.close();
            drop(store);
            let store = RdbStore::open(&env, rebuildable()).map_err(|error| error.to_string())?;
            assert_eq!(store.rebuilt(), RebuildType::Rebuilt);
            assert_eq!(number(&connect(&env, aside), rows), 3);
            tables = 0;
        } else if !is_aside {
            // The damage was recorded, and this open has acted on it.
            tables = 0;
        }
        let found = match (is_aside, tables) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, _) => 2,
        };
        may_be.iter().position(|state| *state == found).ok_or_else(|| format!("{found}"))
    };
    let swept = disk.trace().sweep_steps("step", &[0, 1, 2], &Bounds::smoke(), look);
    let (reached, seen) = swept.unwrap_or_else(|what| panic!("{what}"));
    assert!(reached.into_iter().eq(0..3), "each step is where a crash can leave it");
    assert!(seen > 10, "{seen} states");
}

/// Puts something into a page of a file that cannot be there.
#[expect(clippy::big_endian_bytes, reason = "keys of pages are in their order")]
fn damage_page(env: &Environment, page: u64) {
    let database = env.find_database("sql/app.db").unwrap().unwrap();
    let chunk = (page - 1).to_be_bytes();
    let snapshot = env.snapshot().unwrap();
    let keys: Vec<_> = snapshot.iter(&database).unwrap().map(|entry| entry.unwrap().0).collect();
    let of_page: Vec<_> = keys.iter().filter(|key| key.starts_with(&chunk[4..])).collect();
    assert!(!of_page.is_empty(), "page {page} is none of {keys:?}");
    env.write(|txn| of_page.iter().try_for_each(|key| txn.put(&database, key, b"damaged")))
        .unwrap();
}
