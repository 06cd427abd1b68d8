//! What is typed in a hurry at a repository, and what is said to it.

use serde_json::Value;

use crate::support::{Dir, Entries};

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

