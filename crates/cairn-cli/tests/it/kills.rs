//! Processes that are killed with SIGKILL while another one has the same environment open.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Stdio},
};

use cairndb::{DatabaseOptions, Environment, Options, Snapshot};

use crate::support::{Dir, Entries};

/// A process that is killed when this is dropped, if not before.
struct Victim(Child);

impl Victim {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Files of 64 KiB, of which each rewrite leaves none that is needed.
fn small() -> Options {
    Options::default().journal_file_bytes(64 << 10).node_file_bytes(64 << 10)
}

fn open(path: &Path) -> Environment {
    Environment::open(path, small()).unwrap().0
}

fn rewrite(env: &Environment, round: u8) {
    let database = env.database("main", DatabaseOptions::default()).unwrap();
    for n in 0..500_u32 {
        let (key, value) = (n.to_le_bytes(), vec![round; 1000]);
        env.write(|txn| txn.put(&database, &key, &value)).unwrap();
    }
    env.compact().unwrap();
}

fn entries(snapshot: &Snapshot) -> Entries {
    let database = snapshot.database("main").unwrap().unwrap();
    let entries = snapshot.iter(&database).unwrap().map(Result::unwrap);
    entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Bytes of the log files.
fn on_disk(dir: &Dir) -> u64 {
    let files = dir.files("data").into_iter();
    let logs = files.filter(|(path, _)| path.extension().is_some_and(|text| text == "log"));
    logs.map(|(_, content)| content.len() as u64).sum()
}

#[test]
fn a_reader_that_is_killed_gives_its_pin_and_the_space_back() {
    let dir = Dir::new();
    let env = open(&dir.path("data"));
    rewrite(&env, 1);
    // Nobody reads what it prints, so it stays in the middle.
    let mut command = dir.command(&["scan", "data", "--json"]);
    let mut reader = Victim(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let mut printed = BufReader::with_capacity(1, reader.0.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    rewrite(&env, 2);
    rewrite(&env, 3);
    let pins = env.pins().unwrap();
    assert_eq!(pins.len(), 1, "{pins:?}");
    let held = on_disk(&dir);
    reader.kill();
    rewrite(&env, 4);
    assert!(env.pins().unwrap().is_empty());
    let left = on_disk(&dir);
    assert!(left + 300_000 < held, "{left} bytes of {held}");
    env.close().unwrap();
    assert!(dir.files("data/pins").is_empty());
}

#[test]
fn readers_go_on_when_the_writer_is_killed_and_another_comes() {
    let dir = Dir::new();
    let env = open(&dir.path("data"));
    rewrite(&env, 1);
    env.close().unwrap();
    for round in 0..3_u8 {
        let args = ["import", "data", "-", "--format", "jsonl", "--batch", "1", "--json"];
        let mut command = dir.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = Victim(command.spawn().unwrap());
        let (mut input, output) = (writer.0.stdin.take().unwrap(), writer.0.stdout.take().unwrap());
        let mut reports = BufReader::new(output);
        let mut put = |key: &str| {
            writeln!(input, "{{\"key\":\"{key}\",\"value\":\"{round}\"}}").unwrap();
            let mut line = String::new();
            reports.read_line(&mut line).unwrap();
            assert!(line.contains("commit"), "{line}");
        };
        put("first");
        put("second");
        let (reader, _) = Environment::open(dir.path("data"), small().read_only(true)).unwrap();
        let snapshot = reader.snapshot().unwrap();
        let before = entries(&snapshot);
        // A commit tells that the one before it is durable.
        assert_eq!(before[&b"first"[..]], [b'0' + round]);
        put("third");
        writer.kill();
        assert!(entries(&snapshot) == before);
        let next = open(&dir.path("data"));
        let found = entries(&next.snapshot().unwrap());
        assert_eq!(found[&b"third"[..]], [b'0' + round], "it was reported");
        rewrite(&next, 10 + round);
        rewrite(&next, 20 + round);
        assert_eq!(next.pins().unwrap().len(), 1);
        assert!(entries(&snapshot) == before);
        drop(snapshot);
        reader.close().unwrap();
        rewrite(&next, 30 + round);
        assert!(next.pins().unwrap().is_empty());
        next.close().unwrap();
    }
}
