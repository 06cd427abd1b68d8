//! A standby in sessions, and one that follows in a process of its own, beside an application, until it takes over.

use std::process::{Child, Stdio};

use cairndb::{DatabaseOptions, Environment, Options};

use crate::support::{Dir, Entries, Session};

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("standby status other");
    session.run("standby promote other backups");
    session.run("init data");
    session.run("standby follow other backups --once");
    session.run("repo init backups");
    session.run("put data ada 1815");
    session.run("ship data backups --once");
    session.run("standby follow other backups --once");
    session.run("put data grace 1906");
    session.run("ship data backups --once");
    session.run("standby status other backups");
    session.run("standby follow other backups --once");
    session.run("standby status other backups");
    session.run("standby status other");
    session.run("scan other");
    session.run("put other alan 1912");
    session.run("standby follow data backups --once");
    session.run("standby follow third data --once");
    session.run("standby promote third data");
    session.run("put data alan 1912");
    session.run("standby promote other backups");
    session.run("put other alan 1912");
    session.run("ship data backups --once");
    session.run("backup data --repo backups");
    session.run("ship other backups --once");
    session.run("standby follow fourth backups --once");
    session.run("standby promote fourth --without-fence");
    session.run("standby promote fourth");
    session.run("repo check backups --level structure");
    session
}

#[test]
fn a_standby_is_told_of_in_text() {
    session(false).compare("standby-text.txt");
}

#[test]
fn a_standby_is_told_of_in_json() {
    session(true).compare("standby-json.txt");
}

/// `cairn ship` or `cairn standby follow`, killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(dir: &Dir, args: &[&str]) -> Self {
        let mut command = dir.command(args);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_standby_in_a_process_of_its_own_takes_over_with_all_that_was_shipped() {
    let dir = Dir::new();
    let (env, _) = Environment::open(dir.path("data"), Options::default()).unwrap();
    let db = env.database("main", DatabaseOptions::default()).unwrap();
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["ship", "data", "backups", "--once"]).good();
    let mut expected = Entries::new();
    let ships = Running::start(&dir, &["ship", "data", "backups", "--every", "20"]);
    for round in 0..3_u8 {
        let follows =
            Running::start(&dir, &["standby", "follow", "other", "backups", "--every", "20"]);
        for n in 0..20_u8 {
            expected.insert(vec![n], vec![round; 100]);
            env.write(|txn| txn.put(&db, &[n], &[round; 100])).unwrap();
        }
        // Who reads it, beside who follows.
        while !dir.path("other").join("CURRENT").exists() {
            std::thread::yield_now();
        }
        dir.run(&["scan", "other"]).good();
        drop(follows);
    }
    drop(ships);
    drop((db, env));
    dir.run(&["ship", "data", "backups", "--once"]).good();
    dir.run(&["standby", "promote", "other", "backups"]).good();
    assert_eq!(dir.entries("other"), expected);
    let refused = dir.run(&["ship", "data", "backups", "--once"]);
    assert!(refused.code == 2 && refused.err.contains("superseded"), "{}", refused.err);
}
