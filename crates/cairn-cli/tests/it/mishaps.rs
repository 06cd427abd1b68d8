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

/// A moment of which no journal was shipped: what is missing is said, and not a file that was never there.
#[test]
fn a_moment_in_a_hole_is_not_in_the_repository_and_the_commit_before_it_is_named() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    dir.run(&["put", "data", "a", "1"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    for n in ["2", "3"] {
        dir.run(&["put", "data", "a", n]).good();
    }
    dir.run(&["checkpoint", "data"]).good();
    dir.run(&["put", "data", "a", "4"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    dir.run(&["put", "data", "a", "5"]).good();
    dir.run(&["ship", "data", "backups", "--once"]).good();

    let to = |how: &[&str]| dir.run(&[&["restore", "backups", "new"], how].concat());
    for how in [&["--to-commit", "2"][..], &["--to-commit", "4", "--point", "1"]] {
        let ran = to(how);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("it has no journal behind commit 1, which is of"), "{}", ran.err);
        assert!(ran.err.contains("`--to-commit 1` restores"), "{}", ran.err);
        assert!(!ran.err.contains(".point"), "no path in which nothing lies: {}", ran.err);
    }
    for how in [["--to-label", "none"], ["--to-commit", "9"], ["--at", "2001-01-01T00:00:00Z"]] {
        let ran = to(&how);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("`cairn ship status backups` says"), "{}", ran.err);
    }
    assert!(!dir.path("new").exists());
    to(&["--to-commit", "4"]).good();
    assert_eq!(dir.run(&["get", "new", "a"]).text(), "4");
}

/// Points have labels and commits have marks: who takes one for the other is told what he means.
#[test]
fn the_label_of_a_point_given_as_a_mark_is_recognised() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"a".to_vec(), b"1".to_vec())]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups", "--label", "monday"]).good();
    let ran = dir.run(&["restore", "backups", "new", "--to-label", "monday"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("`--label monday` restores it"), "{}", ran.err);
    let ran = dir.run(&["restore", "backups", "new", "--to-label", "tuesday"]);
    assert!(!ran.err.contains("`--label"), "{}", ran.err);
    dir.run(&["restore", "backups", "new", "--label", "monday"]).good();
}

/// A copy that was restored to be looked at is backed up, too, and is the newest point from then on.
#[test]
fn a_newer_commit_on_another_timeline_is_pointed_out() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"a".to_vec(), b"1".to_vec())]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let ran = dir.run(&["backups", "backups"]).good();
    assert!(!ran.text().contains("timeline"), "{}", ran.text());
    dir.run(&["restore", "backups", "copy"]).good();
    dir.run(&["backup", "copy", "--repo", "backups"]).good();
    let quiet = dir.run(&["restore", "backups", "same"]).good();
    assert_eq!(quiet.err, "", "the other timeline has nothing that is newer");
    dir.run(&["put", "data", "a", "2"]).good();
    dir.run(&["ship", "data", "backups", "--once"]).good();

    let ran = dir.run(&["restore", "backups", "older"]).good();
    let command = "`cairn restore backups NEW --point 1 --to-commit 3`";
    assert!(ran.err.contains("on timeline 00000001 there is commit 3"), "{}", ran.err);
    assert!(ran.err.contains(command), "{}", ran.err);
    assert_eq!(dir.run(&["get", "older", "a"]).text(), "1");
    let args = ["restore", "backups", "newer", "--point", "1", "--to-commit", "3"];
    assert_eq!(dir.run(&args).good().err, "");
    assert_eq!(dir.run(&["get", "newer", "a"]).text(), "2");
    let ran = dir.run(&["backups", "backups"]).good();
    assert!(ran.text().lines().next().unwrap().ends_with("; timeline 00000001"), "{}", ran.text());
}

/// The first point took what a backup had stored that was killed before its point.
#[test]
fn what_a_killed_backup_has_left_makes_no_increment_of_the_first_point() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"a".to_vec(), vec![7; 9000])]));
    dir.run(&["repo", "init", "backups"]).good();
    let back_up = || {
        let ran = dir.run(&["backup", "data", "--repo", "backups", "--json"]).good();
        json(ran.text()).remove(0)
    };
    back_up();
    for (path, _) in dir.files("backups") {
        if path.extension().is_some_and(|kind| kind == "point" || kind == "idx") {
            fs::remove_file(path).unwrap();
        }
    }
    let report = back_up();
    assert_eq!((&report["full"], &report["new_objects"]), (&true.into(), &0.into()), "{report}");
    assert_eq!(back_up()["full"], false);
    let ran = dir.run(&["backups", "backups", "--json"]).good();
    let full: Vec<_> = json(ran.text()).iter().map(|point| point["full"].clone()).collect();
    assert_eq!(full, [true, false]);
    let ran = dir.run(&["backups", "backups"]).good();
    let mut lines = ran.text().lines();
    assert!(!lines.next().unwrap().contains("; full, 0 B stored"), "{}", ran.text());
    assert!(lines.next().unwrap().contains("; increment, 0 B stored"), "{}", ran.text());
}

/// The key of one environment is not tried on the others.
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

/// Journal that goes already goes once: a prune by a timer makes no tomb of nothing each time.
#[test]
fn the_points_of_all_environments_of_a_repository_are_listed() {
    let dir = Dir::new();
    for env in ["one", "two"] {
        dir.run(&["init", env]).good();
        dir.run(&["put", env, "a", "1"]).good();
    }
    dir.run(&["repo", "init", "backups"]).good();
    let ran = dir.run(&["backup", "one", "two", "--repo", "backups", "--label", "both"]).good();
    let made = ran.text();
    assert!(made.starts_with("one: point 1 ") && made.contains("\ntwo: point 1 "), "{made}");
    let listed = dir.run(&["backups", "backups", "--json"]);
    let points = json(listed.good().text());
    let mut environments: Vec<_> =
        points.iter().map(|point| point["environment"].as_str().unwrap()).collect();
    assert!(environments.len() == 2 && environments[0] != environments[1], "{points:?}");
    let ran = dir.run(&["backups", "backups"]).good();
    let told: Vec<_> = ran.text().lines().collect();
    assert_eq!(told.len(), 4, "{told:?}");
    for environment in environments.drain(..) {
        let at = told.iter().position(|line| *line == format!("environment {environment}:"));
        assert!(told[at.unwrap() + 1].starts_with("point 1: commit 1 of "), "{told:?}");
        let one = dir.run(&["backups", "backups", "--environment", environment]);
        assert_eq!(one.good().text().lines().count(), 1);
    }
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

/// A link stands for what any disk may do: one object cannot be read, and that is not the only damage.
#[test]
fn an_object_that_the_disk_does_not_give_keeps_a_check_from_nothing() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"a".to_vec(), vec![7; 9000])]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let mut objects = dir.files("backups").into_keys();
    let mut object =
        || objects.find(|path| path.extension().is_some_and(|kind| kind == "obj")).unwrap();
    let (unreadable, damaged) = (object(), object());
    fs::rename(&unreadable, dir.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path("elsewhere"), &unreadable).unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, bytes).unwrap();
    for level in ["stored", "content", "structure"] {
        let ran = dir.run(&["repo", "check", "backups", "--level", level, "--json"]);
        assert_eq!(ran.code, 1, "{level}: {}", ran.text());
        let report = json(ran.text()).remove(0);
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 2, "{level}: {report}");
        for (path, what) in [(&unreadable, "it cannot be read: "), (&damaged, "")] {
            let is_it = |finding: &&Value| {
                let object = finding["object"].as_str().unwrap();
                path.to_str().unwrap().ends_with(object) && finding["points"][0] == 1
            };
            let finding = findings.iter().find(is_it).unwrap();
            assert!(finding["problem"].as_str().unwrap().starts_with(what), "{report}");
        }
    }
}

#[test]
fn a_range_of_keys_comes_back_and_all_others_stay() {
    let dir = Dir::new();
    let entries = |all: [&str; 5]| -> Entries {
        let keys = ["a", "b1", "b2", "c", "d"].into_iter().map(|key| key.as_bytes().to_vec());
        let all = keys.zip(all.map(|value| value.as_bytes().to_vec()));
        all.filter(|(_, value)| !value.is_empty()).collect()
    };
    dir.environment("data", &entries(["1"; 5]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    dir.run(&["delete", "data", "b1"]).good();
    for key in ["b2", "b3", "c", "d"] {
        dir.run(&["put", "data", key, "2"]).good();
    }
    let bring = |more: &[&str]| {
        dir.run(&[&["restore", "backups", "data", "--db", "main", "--json"], more].concat())
    };
    let ran = bring(&["--from-key", "b", "--to-key", "c"]).good();
    assert_eq!(json(ran.text())[0]["entries"], 2);
    assert_eq!(dir.entries("data"), entries(["1", "1", "1", "2", "2"]));
    bring(&["--from-key", "64", "--hex"]).good();
    assert_eq!(dir.entries("data"), entries(["1", "1", "1", "2", "1"]));
    assert_eq!(bring(&["--from-key", "x", "--hex"]).code, 2);
    assert_eq!(dir.run(&["restore", "backups", "data", "--to-key", "c"]).code, 2);
}

#[test]
fn what_is_no_environment_and_what_only_reads_say_what_to_type_instead() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"a".to_vec(), b"1".to_vec())]));
    dir.run(&["sql", "data", "app.db", "CREATE TABLE t (n); INSERT INTO t VALUES (1)"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    let ran = dir.run(&["restore", "backups", "new"]);
    assert!(ran.err.contains("`cairn backup ENV --repo REPO` makes a point"), "{}", ran.err);
    dir.run(&["backup", "data", "--repo", "backups", "--label", "monday"]).good();
    for (args, code, what) in [
        (&["backup", "data", "backups"][..], 2, "`--repo backups` makes the next point"),
        (&["repair", "backups@monday", "new"], 2, "`cairn restore` makes an environment of it"),
        (&["info", "backups"], 2, "`cairn backups` lists what there is"),
        (&["log", "backups"], 1, "it is a repository"),
        (&["find-last", "backups", "DELETE FROM t", "--sql", "app.db"], 2, "only reads"),
    ] {
        let ran = dir.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(what), "{args:?}: {}", ran.err);
    }
}
