//! Real processes and real files: a process commits and says so, is killed, its directory is deleted, and the
//! replica has every commit that it has reported.
//!
//! `CAIRN_REPLICA_KILLS` says how often (default: 8).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use cairn_env::{DatabaseOptions, Environment, Options, ReplicaPolicy};

use crate::fixture::{ordered, small_options};

/// How often what was a replica takes the place of what was lost, before it starts over.
const GENERATIONS: usize = 40;
/// The directory in which the process works that is killed.
const DIR: &str = "CAIRN_REPLICA_DIR";

fn options(dir: &Path) -> Options {
    let options = small_options().background(true).journal_file_bytes(64 << 10);
    options.checkpoint_bytes(256 << 10).replica(dir.join("there"), ReplicaPolicy::Require)
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
        env.write(|txn| txn.put(&db, &ordered(n), &[7; 200])).unwrap();
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

#[test]
#[expect(clippy::disallowed_methods, reason = "nobody has the directory, and no power fails")]
#[expect(clippy::print_stdout, reason = "a long run says how far it is")]
fn the_replica_of_a_killed_process_has_every_reported_commit() {
    let kills = std::env::var("CAIRN_REPLICA_KILLS").map_or(8, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let (mut committed, mut most) = (0, 0);
    for kill in 0..kills {
        if kill % GENERATIONS == 0 && here.exists() {
            // Nothing is looked for that a longer history would show, and all of it is read each time.
            std::fs::remove_dir_all(&here).unwrap();
            committed += std::mem::take(&mut most);
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "replica_kills::the_process_that_is_killed", "--nocapture"]);
        command.env(DIR, dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut victim = Victim(command.spawn().unwrap());
        let reports = BufReader::new(victim.0.stdout.take().unwrap()).lines();
        let mut reports = reports.map(Result::unwrap);
        // Another number each time: in the middle of a checkpoint, of a copy, of the next journal file.
        let wanted = 20 + kill * 97 % 700;
        let acknowledged = |line: &String| {
            line.rsplit_once("acknowledged ").map(|(_, n)| n.parse::<u32>().unwrap())
        };
        let last = reports.by_ref().filter_map(|line| acknowledged(&line)).nth(wanted);
        drop(victim);
        // What it said until it died counts as well.
        let last = reports.filter_map(|line| acknowledged(&line)).last().or(last);
        let last = last.expect("it has said so many");
        std::fs::remove_dir_all(&here).unwrap();
        let (env, report) = Environment::open(&there, small_options()).unwrap();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        let snapshot = env.snapshot().unwrap();
        let found = snapshot.len(&db).unwrap();
        assert!(found > u64::from(last), "kill {kill}: {last} was reported; {report}");
        assert!(found <= u64::from(last) + 2, "kill {kill}: {found} after {last}");
        for n in 0..u32::try_from(found).unwrap() {
            assert!(
                snapshot.get(&db, &ordered(n)).unwrap().is_some(),
                "kill {kill}: {n}; {report}"
            );
        }
        most = found;
        drop(snapshot);
        // It takes the place of what was lost, and gets a replica of its own.
        env.write(|txn| txn.put(&db, &ordered(u32::MAX), b"own way")).unwrap();
        env.write(|txn| txn.delete(&db, &ordered(u32::MAX))).unwrap();
        env.close().unwrap();
        std::fs::rename(&there, &here).unwrap();
        if kill % 50 == 49 {
            println!("{} kills", kill + 1);
        }
    }
    committed += most;
    assert!(committed > 20 * u64::try_from(kills).unwrap(), "{committed}");
    println!("{kills} kills, {committed} commits");
}
