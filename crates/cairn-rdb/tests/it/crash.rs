//! Crashes at every write and sync of what SQL does: each file is what it was before a transaction or after it, and
//! several files that were changed together are so together.

use std::collections::BTreeSet;

use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::{DirRef, WorldRef};
use cairn_rdb::rusqlite::Connection;
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::{connect, dump};

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
        let trace = disk.trace();
        let (mut cuts, mut seen, mut reached) = (trace.cuts(), BTreeSet::new(), BTreeSet::new());
        while let Some(cut) = cuts.next_cut() {
            let Some(step) = cut.mark("step") else { continue };
            let step = usize::try_from(step).unwrap();
            let next = (step + 1).min(states.len() - 1);
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    if !seen.insert((crashed.image.hash(), step)) {
                        continue;
                    }
                    let root = crashed.image.to_mem().root();
                    let found = look(&root, &states[step..=next]).unwrap_or_else(|what| {
                        panic!("{mode}, cut {}, step {step}, {crashed}: {what}", cut.position())
                    });
                    reached.insert(step + found);
                }
            }
        }
        assert!(reached.into_iter().eq(0..states.len()), "each step is where a crash can leave it");
        assert!(seen.len() > 50, "{} states", seen.len());
    }
}
