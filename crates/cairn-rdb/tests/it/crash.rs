//! Crashes at every write and sync of what SQL does: each file is what it was before a transaction or after it, and
//! several files that were changed together are so together.

use std::collections::BTreeMap;

use cairn_archive::{BackupPlace, ExportOptions, ImportOptions};
use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::{DirExt, DirRef, FileExt, Name, SyncSite, WorldRef};
use cairn_rdb::{PlainOptions, SYNC_SITES, SqlFiles, rusqlite::Connection};
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
