//! `--log`: what happens inside is told on standard error, and nothing of it unasked.

use crate::support::Dir;

/// Keys and values that must show nowhere.
const CANARY: &str = "canary";

#[test]
fn events_are_told_as_lines_for_people() {
    let dir = Dir::new();
    let run = |args: &[&str]| dir.run(args).good().err;
    run(&["init", "data"]);
    assert_eq!(run(&["put", "data", "quiet", "1"]), "", "unasked");
    let told = run(&["--log", "debug", "put", "data", CANARY, CANARY]);
    for expected in [
        " INFO  cairn::env: environment opened commit=1 ",
        " DEBUG cairn::env: checkpoint made ",
        " INFO  cairn::env: environment closed path=/",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in\n{told}");
    }
    assert!(!told.contains(CANARY), "{told}");
    let told = run(&["put", "data", "again", "2", "--log", "error"]);
    assert_eq!(told, "", "nothing is wrong");

    run(&["repo", "init", "backups"]);
    let told = run(&["backup", "data", "--repo", "backups", "--log", "info"]);
    assert!(told.contains(" INFO  cairn::backup: point stored "), "{told}");
    assert!(told.contains("number=1") && told.contains("/backups"), "{told}");
    assert!(!told.contains("DEBUG"), "{told}");
    let told = run(&["restore", "backups", "back", "--log", "info"]);
    assert!(told.contains(" INFO  cairn::backup: restore complete "), "{told}");
}

#[test]
fn events_are_told_as_json_to_programs_and_by_the_variable() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    let mut command = dir.command(&["put", "data", CANARY, CANARY, "--json"]);
    let output = command.env("CAIRN_LOG", "info").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let opened = told.lines().find(|line| line.contains("environment opened")).unwrap();
    let opened: serde_json::Value = serde_json::from_str(opened).unwrap();
    assert_eq!((&opened["level"], &opened["target"]), (&"INFO".into(), &"cairn::env".into()));
    assert_eq!(opened["fields"]["commit"], 0);
    assert!(!told.contains(CANARY), "{told}");
    let mut command = dir.command(&["info", "data"]);
    let output = command.env("CAIRN_LOG", "loudly").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("CAIRN_LOG is \"loudly\""), "{complaint}");
}
