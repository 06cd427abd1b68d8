//! What is typed in a hurry at a repository, and what is said to it.

use std::fs;

use serde_json::Value;

use crate::support::{Dir, Entries};

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A private key file.
fn key(dir: &Dir, name: &str) {
    dir.write(name, "0123456789abcdef".repeat(4));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(dir.path(name), private).unwrap();
}

#[test]
fn points_of_plain_and_of_encrypted_environments_are_opened_in_one_check() {
    let dir = Dir::new();
    key(&dir, "key");
    let with = ["--key-file", "key"];
    dir.run(&[&["init", "secret", "--encrypt"][..], &with].concat()).good();
    dir.run(&[&["put", "secret", "a", "1"][..], &with].concat()).good();
    dir.environment("plain", &Entries::from([(b"a".to_vec(), b"1".to_vec())]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "plain", "--repo", "backups"]).good();
    dir.run(&[&["backup", "secret", "--repo", "backups"][..], &with].concat()).good();
    let check = ["repo", "check", "backups", "--level", "open"];
    let ran = dir.run(&[&check[..], &with].concat()).good();
    assert!(ran.text().starts_with("backups: 2 points"), "{}", ran.text());
    assert_eq!(dir.run(&check).code, 2, "without the key");
}

#[test]
fn a_second_prune_finds_nothing_that_goes() {
    let dir = Dir::new();
    dir.environment("data", &Entries::new());
    dir.run(&["repo", "init", "backups"]).good();
    for n in ["1", "2"] {
        dir.run(&["backup", "data", "--repo", "backups"]).good();
        dir.run(&["put", "data", "a", n]).good();
        dir.run(&["ship", "data", "backups", "--once"]).good();
        dir.run(&["checkpoint", "data"]).good();
    }
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let args =
        ["prune", "backups", "--keep-last", "1", "--apply", "--yes-more-than-half", "--json"];
    let prune = || json(dir.run(&args).good().text()).remove(0);
    let first = prune();
    assert_eq!((&first["going"], &first["segments"]), (&2.into(), &1.into()), "{first}");
    let second = prune();
    assert_eq!((&second["tomb"], &second["segments"]), (&Value::Null, &0.into()), "{second}");
    let ran = dir.run(&["unprune", "backups"]).good();
    assert_eq!(ran.text().lines().count(), 1, "{}", ran.text());
    assert_eq!(dir.run(&["backups", "backups"]).good().text().lines().count(), 3);
}

