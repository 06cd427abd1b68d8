//! `cairn salvage`: from an environment that does not open to what can be read of it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::support::{Dir, Entries};

/// An environment whose state is lost, and with damage in two records of its journal.
fn sample() -> (Dir, Entries) {
    let dir = Dir::new();
    let entries: Entries = (0..500u32)
        .map(|n| (format!("{n:04}").into_bytes(), vec![b'v'; if n % 50 == 0 { 3000 } else { 40 }]))
        .collect();
    dir.environment("data", &entries);
    dir.run(&["put", "data", "0001", "newer"]).good();
    dir.run(&["delete", "data", "0002"]).good();
    fs::remove_file(dir.path("data/g-000001/STATE")).unwrap();
    (dir, entries)
}

fn files(dir: &Dir, letter: &str) -> Vec<PathBuf> {
    let is_of = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(letter);
    dir.files("data").into_keys().filter(is_of).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_can_be_read_goes_to_lines_or_to_a_new_environment() {
    let (dir, mut entries) = sample();
    assert_eq!(dir.run(&["scan", "data"]).code, 3);
    let before = dir.files("data");
    let ran = dir.run(&["salvage", "data", "--jsonl", "all.jsonl", "--json"]);
    let report = &lines(ran.text())[0];
    assert_eq!((&report["keys"], &report["versions"]), (&499.into(), &499.into()), "{report}");
    let all = lines(&fs::read_to_string(dir.path("all.jsonl")).unwrap());
    assert_eq!(all.len(), 499);
    assert_eq!((&all[1]["key"], &all[1]["value"]), (&"0001".into(), &"newer".into()));
    assert!(all.iter().all(|line| line["database"] == "main" && line.get("standing").is_none()));
    // Not over what is there, and not to two places at once.
    assert_eq!(dir.run(&["salvage", "data", "--jsonl", "all.jsonl"]).code, 2);
    assert_eq!(dir.run(&["salvage", "data", "--jsonl", "-", "--json"]).code, 2);
    assert_eq!(dir.run(&["salvage", "data", "--to", "new", "--all-versions"]).code, 2);
    assert_eq!(dir.run(&["salvage", "nowhere"]).code, 2);

    let ran = dir.run(&["salvage", "data", "--jsonl", "-", "--all-versions", "--database", "main"]);
    let all = lines(ran.text());
    let of = |key| all.iter().filter(|line| line["key"] == key).collect::<Vec<_>>();
    assert_eq!(
        (of("0001").len(), of("0002").len(), of("0003").len()),
        (2, 2, 1),
        "{:?}",
        of("0001")
    );
    assert_eq!(of("0002")[1]["deleted"], true);
    assert_eq!(dir.run(&["salvage", "data", "--jsonl", "-", "--database", "none"]).text(), "");

    dir.run(&["salvage", "data", "--to", "new"]);
    assert_eq!(dir.files("data"), before, "the source was changed");
    entries.insert(b"0001".to_vec(), b"newer".to_vec());
    entries.remove(&b"0002"[..]);
    assert_eq!(dir.entries("new"), entries);
    assert_eq!(dir.run(&["salvage", "data", "--to", "new"]).code, 2);
}

#[test]
fn what_is_damaged_is_said_by_file_and_range() {
    let (dir, entries) = sample();
    for path in files(&dir, "N-") {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    files(&dir, "J-").into_iter().for_each(|path| fs::remove_file(path).unwrap());
    let ran = dir.run(&["salvage", "data", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.text(), ran.err);
    let report = &lines(ran.text())[0];
    let files = report["files"].as_array().unwrap();
    let damaged = files.iter().flat_map(|file| file["damaged"].as_array().unwrap());
    assert!(damaged.count() > 0 && report["complete"] == false, "{report}");
    let what: BTreeSet<_> = report["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert!(what.contains("keys") && what.contains("value"), "{report}");
    let ran = dir.run(&["salvage", "data"]);
    for part in ["damage: N-", "missing: database \"main\"", "main: "] {
        assert!(ran.text().contains(part), "{part}: {}", ran.text());
    }
    assert!(report["keys"].as_u64().unwrap() < entries.len() as u64);
}

#[test]
fn sql_files_become_plain_ones() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    dir.run(&["sql", "data", "app.db", "CREATE TABLE t (n); INSERT INTO t VALUES (1), (2)"]).good();
    dir.run(&["sql", "export", "data", "app.db", "plain.db"]).good();
    fs::remove_file(dir.path("data/CURRENT")).unwrap();
    let ran = dir.run(&["salvage", "data", "--sqlite", "files"]).good();
    assert!(ran.text().contains("SQL file \"app.db\""), "{}", ran.text());
    let found = fs::read(dir.path("files/app.db.sqlite")).unwrap();
    assert!(found == fs::read(dir.path("plain.db")).unwrap());
}

/// Of a repository without its first object and its points, and with a damaged object.
#[test]
fn a_damaged_repository_gives_what_can_be_read_of_it() {
    let (dir, mut entries) = sample();
    dir.environment("live", &entries);
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "live", "--repo", "backups"]).good();
    let whole = dir.run(&["salvage", "backups", "--json"]).good();
    let report = &lines(whole.text())[0];
    assert_eq!((&report["keys"], &report["complete"]), (&entries.len().into(), &true.into()));
    assert_eq!(report["repository"]["points"][0]["problem"], Value::Null);
    assert_eq!(
        report["notes"],
        Value::Array(Vec::new()),
        "what a repository never has is not missing"
    );

    fs::remove_file(dir.path("backups/repo.cairn")).unwrap();
    for (path, _) in dir.files("backups") {
        if path.extension().is_some_and(|kind| kind != "obj") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(dir.run(&["restore", "backups", "back"]).code, 2);
    let before = dir.files("backups");
    let ran = dir.run(&["salvage", "backups", "--to", "new"]);
    assert_eq!(dir.entries("new"), entries, "{}", ran.text());
    assert!(ran.text().contains("note: no point is left"), "{}", ran.text());
    assert_eq!(dir.files("backups"), before, "nothing was written");

    // The journal alone has all of it, the nodes are there once more.
    let is_node = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("n-");
    let path = before.keys().find(is_node).unwrap();
    let mut bytes = before[path].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    let ran = dir.run(&["salvage", "backups", "--jsonl", "out.jsonl"]);
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert!(ran.text().contains("damaged object: envs/"), "{}", ran.text());
    for line in lines(&fs::read_to_string(dir.path("out.jsonl")).unwrap()) {
        let key = line["key"].as_str().unwrap().as_bytes().to_vec();
        assert_eq!(line["value"].as_str().unwrap().as_bytes(), entries.remove(&key).unwrap());
    }
}
