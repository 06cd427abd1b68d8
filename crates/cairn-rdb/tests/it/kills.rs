//! Real processes and real files: a process commits SQL and says so, is killed, and everything that it has reported is
//! there, in both files or in neither.
//!
//! `CAIRN_SQL_KILLS` says how often (default: 8).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use cairn_env::{Environment, Options};

use crate::fixture::{check, connect, number, text};

/// The directory in which the process works that is killed.
const DIR: &str = "CAIRN_SQL_DIR";

fn open(dir: &Path) -> Environment {
    let options = Options::default().journal_file_bytes(256 << 10).checkpoint_bytes(1 << 20);
    Environment::open(dir.join("data"), options).unwrap().0
}

/// Commits numbers one after the other, from the first that is not there, and says each when it is
/// acknowledged. Each transaction spills, takes something back, and changes two files. Run by the test
/// below, in a process of its own.
#[test]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let env = open(Path::new(&dir));
    let connection = connect(&env, "a.db");
    connection
        .execute_batch(
            "ATTACH 'b.db' AS b; PRAGMA cache_size = 5;
             CREATE TABLE IF NOT EXISTS main.t (n INTEGER PRIMARY KEY, text); CREATE TABLE IF NOT EXISTS b.t (n INTEGER PRIMARY KEY);
             CREATE INDEX IF NOT EXISTS by_text ON t (text); CREATE TABLE IF NOT EXISTS scratch (x)",
        )
        .unwrap();
    let first = number(&connection, "SELECT count(*) FROM main.t");
    let mut out = std::io::stdout();
    for n in first.. {
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; INSERT INTO main.t VALUES ({n}, hex(randomblob(300))); INSERT INTO b.t VALUES ({n});
                 INSERT INTO scratch VALUES (zeroblob(20000)); SAVEPOINT s; DELETE FROM main.t; ROLLBACK TO s;
                 UPDATE main.t SET text = text || 'x' WHERE n = {n} / 2; DELETE FROM scratch; COMMIT"
            ))
            .unwrap();
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
fn a_killed_process_leaves_every_reported_transaction_in_both_files() {
    let kills = std::env::var("CAIRN_SQL_KILLS").map_or(8, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..kills {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kills::the_process_that_is_killed", "--nocapture"]);
        command.env(DIR, dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut victim = Victim(command.spawn().unwrap());
        let reports = BufReader::new(victim.0.stdout.take().unwrap()).lines();
        let mut reports = reports.map(Result::unwrap);
        // Another number each time: in the middle of a checkpoint, of the next journal file.
        let wanted = 3 + kill * 37 % 60;
        let acknowledged = |line: &String| {
            line.rsplit_once("acknowledged ").map(|(_, n)| n.parse::<i64>().unwrap())
        };
        let last = reports.by_ref().filter_map(|line| acknowledged(&line)).nth(wanted);
        drop(victim);
        // What it said until it died counts as well.
        let last = reports.filter_map(|line| acknowledged(&line)).last().or(last).unwrap();
        let env = open(dir.path());
        let connection = connect(&env, "a.db");
        connection.execute_batch("ATTACH 'b.db' AS b").unwrap();
        let numbers = |table: &str| {
            text(&connection, &format!("SELECT count(*) || ' up to ' || max(n) FROM {table}"))
        };
        let found = number(&connection, "SELECT max(n) FROM main.t");
        assert!(found == last || found == last + 1, "kill {kill}: {found} after {last}");
        assert_eq!(numbers("main.t"), format!("{} up to {found}", found + 1), "kill {kill}");
        assert_eq!(numbers("b.t"), numbers("main.t"), "kill {kill}");
        assert_eq!(number(&connection, "SELECT count(*) FROM scratch"), 0, "kill {kill}");
        check(&connection);
        check(&connect(&env, "b.db"));
        drop(connection);
        env.close().unwrap();
    }
}
