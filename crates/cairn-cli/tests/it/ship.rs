//! Shipping from a process of its own, beside an application, which is killed at any moment.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use cairndb::{DatabaseOptions, Environment, Options};
use serde_json::Value;

use crate::support::{Dir, Entries, Session};

/// `cairn ship`, killed when this is dropped.
struct Shipper {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Shipper {
    fn start(dir: &Dir) -> Self {
        let mut command = dir.command(&["ship", "data", "backups", "--every", "50", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads what it says until it has shipped this commit.
    fn until(&mut self, commit: u64) -> Vec<Value> {
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it has ended: {said:?}");
            let value: Value = serde_json::from_str(&line).unwrap();
            let newest = value["commit"].as_u64().unwrap_or(0);
            said.push(value);
            if newest >= commit {
                return said;
            }
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn each_commit_of_an_application_is_restored_from_what_a_killed_shipper_has_shipped() {
    let dir = Dir::new();
    let (env, _) = Environment::open(dir.path("data"), Options::default()).unwrap();
    let db = env.database("main", DatabaseOptions::default()).unwrap();
    dir.run(&["repo", "init", "backups"]).good();
    let mut expected = vec![(env.snapshot().unwrap().commit(), Entries::new())];
    let mut points = 0;
    for round in 0..4_u8 {
        let mut shipper = Shipper::start(&dir);
        for n in 0..5_u8 {
            let mut entries = expected.last().unwrap().1.clone();
            entries.insert(vec![n], vec![round; 100]);
            env.write(|txn| txn.put(&db, &[n], &[round; 100])).unwrap();
            let commit = env.snapshot().unwrap().commit();
            for said in shipper.until(commit) {
                points += said["points"].as_array().unwrap().len();
                assert_eq!(said["gap"], Value::Null);
            }
            expected.push((commit, entries));
        }
    }
    assert_eq!(points, 1, "whoever comes next goes on from there");
    drop(env);
    for (commit, entries) in expected.iter().skip(1).step_by(3) {
        let target = format!("restored-{commit}");
        dir.run(&["restore", "backups", &target, "--to-commit", &commit.to_string()]).good();
        assert_eq!(dir.entries(&target), *entries, "commit {commit}");
    }
    dir.run(&["restore", "backups", "newest"]).good();
    assert_eq!(dir.entries("newest"), expected.last().unwrap().1);
    dir.run(&["repo", "check", "backups", "--level", "structure"]).good();
}

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("ship data backups --once");
    session.run("init data");
    session.run("ship data backups --once");
    session.run("repo init backups");
    session.run("ship status backups");
    session.run("ship data backups --once");
    session.run("put data ada 1815");
    session.run("ship data backups --once");
    session.run("put data grace 1906");
    session.run("mark data here");
    session.run("ship data backups --once");
    session.run("ship data backups --once");
    session.run("put data alan 1912");
    session.run("ship status backups");
    session.run("restore backups newest");
    session.run("scan newest");
    session.run("restore backups first --to-commit 1");
    session.run("restore backups marked --to-label here");
    session.run("restore backups none --to-commit 4");
    session.run("restore backups none --to-label there");
    session.run("repo check backups --level structure");
    session.run("ship data");
    session.run("ship");
    session
}

#[test]
fn journal_is_shipped_and_told_of_in_text() {
    session(false).compare("ship-text.txt");
}

#[test]
fn journal_is_shipped_and_told_of_in_json() {
    session(true).compare("ship-json.txt");
}
