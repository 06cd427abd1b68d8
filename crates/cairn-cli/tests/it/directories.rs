//! `cairn init --data-dirs`: every other command finds the files by itself.

use std::fs;

use crate::support::Dir;

#[test]
fn an_environment_in_three_directories_is_used_like_any_other() {
    let dir = Dir::new();
    dir.run(&["init", "data", "--data-dirs", "3"]).good();
    dir.write("in.csv", "key,value\na,1\nb,2\nc,3\n");
    dir.run(&["import", "data", "in.csv", "--key", "key"]).good();
    dir.run(&["checkpoint", "data"]).good();
    dir.run(&["verify", "data"]).good();
    dir.run(&["backup", "data", "saved"]).good();
    dir.run(&["restore", "saved", "back"]).good();
    assert_eq!(dir.entries("back"), dir.entries("data"));
    for name in ["data", "back"] {
        assert!(dir.path(name).join("data003/DIR").exists());
        let log = dir.run(&["log", name]).good();
        assert!(log.text().contains("TRANSACTION"), "{}", log.text());
        let in_root = fs::read_dir(dir.path(name).join("g-000001")).unwrap();
        assert_eq!(in_root.count(), 1, "only STATE");
    }
    fs::rename(dir.path("data/data002"), dir.path("aside")).unwrap();
    let ran = dir.run(&["scan", "data"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("data002: it is missing"), "{}", ran.err);
    assert_eq!(dir.run(&["init", "more", "--data-dirs", "1000"]).code, 2);
}
