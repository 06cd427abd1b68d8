//! `cairn repair`: from an environment that does not open to one that does.

use std::fs;

use crate::support::{Dir, Entries};

fn sample() -> (Dir, Entries) {
    let dir = Dir::new();
    let entries: Entries = (0..500u32)
        .map(|n| (format!("{n:04}").into_bytes(), vec![b'v'; if n % 50 == 0 { 3000 } else { 40 }]))
        .collect();
    dir.environment("data", &entries);
    (dir, entries)
}

#[test]
fn an_environment_without_its_small_files_comes_back_whole() {
    let (dir, entries) = sample();
    fs::remove_file(dir.path("data/CURRENT")).unwrap();
    fs::remove_file(dir.path("data/g-000001/STATE")).unwrap();
    let before = dir.files("data");
    assert_eq!(dir.run(&["scan", "data"]).code, 2);
    let ran = dir.run(&["repair", "data", "new"]).good();
    assert!(ran.text().contains("nothing is missing"), "{}", ran.text());
    assert!(ran.text().contains("note: the file CURRENT is missing"), "{}", ran.text());
    assert_eq!(dir.files("data"), before, "the source was changed");
    dir.run(&["verify", "new"]).good();
    assert_eq!(dir.entries("new"), entries);
    // Neither over something else, nor from nothing.
    assert_eq!(dir.run(&["repair", "data", "new"]).code, 2);
    assert_eq!(dir.run(&["repair", "nowhere", "new2"]).code, 2);
    assert!(!dir.path("new2").exists());
}

#[test]
fn an_error_that_calls_for_a_repair_says_how() {
    let (dir, _) = sample();
    fs::remove_file(dir.path("data/g-000001/STATE")).unwrap();
    let ran = dir.run(&["scan", "data"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("`cairn repair ENV"), "{}", ran.err);
}

#[test]
fn what_is_missing_is_said() {
    let (dir, entries) = sample();
    let nodes = dir.files("data").into_keys().filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("N-")
    });
    for path in nodes {
        let path = dir.path("data").join(path);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let journals = dir.files("data").into_keys().filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("J-")
    });
    // Without the journal the damaged leaf cannot be made up for.
    journals.for_each(|path| fs::remove_file(dir.path("data").join(path)).unwrap());
    let ran = dir.run(&["repair", "data", "new", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.text(), ran.err);
    for part in ["\"complete\":false", "\"what\":\"keys\"", "\"what\":\"value\"", "\"damaged\":[{"]
    {
        assert!(ran.text().contains(part), "{part}: {}", ran.text());
    }
    dir.run(&["verify", "new"]).good();
    let found = dir.entries("new");
    assert!(found.len() > entries.len() / 2 && found.len() < entries.len(), "{}", found.len());
    assert!(found.iter().all(|(key, value)| entries.get(key) == Some(value)));
}
