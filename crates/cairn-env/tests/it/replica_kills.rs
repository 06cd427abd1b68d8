//! Real processes and real files: a process commits and says so, is killed, its directory is deleted, and the
//! replica has every commit that it has reported, and nothing else.
//!
//! `CAIRN_REPLICA_KILLS` says how often (default: 8).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

use cairn_env::{DatabaseOptions, Environment, Options, ReplicaPolicy};

use crate::fixture::{ordered, small_options};

/// How many processes there are at a time, each with directories of its own: what they do most is wait for syncs.
const CHAINS: usize = 4;
/// How often what was a replica takes the place of what was lost, before it starts over: nothing is looked for that a
/// longer history would show, and all of it is read each time.
const GENERATIONS: usize = 10;
/// The directory in which the process works that is killed.
const DIR: &str = "CAIRN_REPLICA_DIR";

/// So small that there are a dozen journal files and some checkpoints within the commits of one life.
fn options(dir: &Path) -> Options {
    let options = small_options().background(true).node_file_bytes(256 << 10);
    options.checkpoint_bytes(24 << 10).replica(dir.join("there"), ReplicaPolicy::Require)
}

fn value(n: u32) -> Vec<u8> {
    n.to_le_bytes().repeat(50)
}

/// Commits numbers one after the other, from the first that is not there, and says each when it is
/// acknowledged. Run by the test below, in a process of its own.
#[test]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    let (env, _) = Environment::open(dir.join("here"), options(dir)).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let first = env.snapshot().unwrap().len(&db).unwrap();
    let mut out = std::io::stdout();
    for n in u32::try_from(first).unwrap().. {
        env.write(|txn| txn.put(&db, &ordered(n), &value(n))).unwrap();
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

/// Killed when it is dropped.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The last number that a process has reported which was killed as soon as it had reported so many.
fn last_of_a_life(dir: &Path, reports: usize) -> u32 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "replica_kills::the_process_that_is_killed", "--nocapture"]);
    command.env(DIR, dir).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut victim = Victim(command.spawn().unwrap());
    let lines = BufReader::new(victim.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut numbers = lines.filter_map(|line| {
        line.rsplit_once("acknowledged ").map(|(_, n)| n.parse::<u32>().unwrap())
    });
    let last = numbers.by_ref().nth(reports);
    drop(victim);
    // What it said until it died counts as well.
    numbers.last().or(last).expect("it has said so many")
}

/// Opens what was the replica: it has everything up to `last`, at most the one commit that was under way, and that is all.
/// It then takes the place of what was lost, and gets a replica of its own. Returns how many commits there are.
fn takes_over(there: &Path, last: u32, kill: usize) -> u64 {
    let (env, report) = Environment::open(there, small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let snapshot = env.snapshot().unwrap();
    let found = snapshot.len(&db).unwrap();
    assert!(found > u64::from(last), "kill {kill}: {last} was reported; {report}");
    assert!(found <= u64::from(last) + 2, "kill {kill}: {found} after {last}");
    for (n, entry) in (0..).zip(snapshot.iter(&db).unwrap()) {
        let (key, found) = entry.unwrap();
        assert!(*key == ordered(n) && *found == value(n), "kill {kill}: {n}; {report}");
    }
    drop(snapshot);
    env.write(|txn| txn.put(&db, &ordered(u32::MAX), b"own way")).unwrap();
    env.write(|txn| txn.delete(&db, &ordered(u32::MAX))).unwrap();
    env.close().unwrap();
    found
}

/// Kills one process after the other, as long as `next` has a number for it below `kills`; returns how many commits were
/// looked for in the end.
#[expect(clippy::disallowed_methods, reason = "nobody has the directory, and no power fails")]
#[expect(clippy::print_stdout, reason = "a long run says how far it is")]
fn chain(next: &AtomicUsize, kills: usize) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let (mut committed, mut most) = (0, 0);
    for life in 0.. {
        let kill = next.fetch_add(1, Ordering::Relaxed);
        if kill >= kills {
            break;
        }
        if life % GENERATIONS == 0 && here.exists() {
            std::fs::remove_dir_all(&here).unwrap();
            committed += std::mem::take(&mut most);
        }
        // Another number each time: in the middle of a checkpoint, of a copy, of the next journal file.
        let last = last_of_a_life(dir.path(), 20 + kill * 97 % 190);
        std::fs::remove_dir_all(&here).unwrap();
        most = takes_over(&there, last, kill);
        std::fs::rename(&there, &here).unwrap();
        if kill % 50 == 49 {
            println!("{} kills", kill + 1);
        }
    }
    committed + most
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run says how far it is")]
fn the_replica_of_a_killed_process_has_every_reported_commit() {
    let kills = std::env::var("CAIRN_REPLICA_KILLS").map_or(8, |text| text.parse().unwrap());
    let (next, committed) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CHAINS.min(kills) {
            scope.spawn(|| committed.fetch_add(chain(&next, kills), Ordering::Relaxed));
        }
    });
    let committed = committed.into_inner();
    assert!(committed > 20 * u64::try_from(kills).unwrap(), "{committed}");
    println!("{kills} kills, {committed} commits");
}
