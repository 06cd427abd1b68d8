//! `cairn init --data-dirs`: every other command finds the files by itself.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use cairndb::{DatabaseOptions, Environment, Options};

use crate::support::Dir;

/// An environment in three data directories, with some files in each.
fn spread(dir: &Dir, name: &str) {
    dir.run(&["init", name, "--data-dirs", "3"]).good();
    for round in 0..4 {
        let rows: String = (0..50).map(|n| format!("{n},{}\n", round * n)).collect();
        dir.write("in.csv", format!("key,value\n{rows}"));
        dir.run(&["import", name, "in.csv", "--key", "key"]).good();
        dir.run(&["checkpoint", name]).good();
    }
}

/// The log files of an environment without which it does not open.
fn needed(dir: &Dir, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = dir.files(name).into_keys().collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    found.retain(|path| {
        let aside = dir.path("aside");
        fs::rename(path, &aside).unwrap();
        let code = dir.run(&["info", name]).code;
        fs::rename(&aside, path).unwrap();
        code != 0
    });
    assert!(!found.is_empty());
    found
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Both commands that look refuse it with exit code 3, and say all of this.
#[track_caller]
fn refused(dir: &Dir, env: &str, parts: &[&str]) {
    let ran = dir.run(&["info", env]);
    assert_eq!(ran.code, 3, "{}{}", ran.text(), ran.err);
    for part in parts.iter().chain(&["nothing was changed"]) {
        assert!(ran.err.contains(part), "{part:?}: {}", ran.err);
    }
    assert_eq!(dir.run(&["verify", env]).code, 3);
}

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
        assert!(dir.path(name).join("data003/g-000001/DIR").exists());
        let log = dir.run(&["log", name]).good();
        assert!(log.text().contains("TRANSACTION"), "{}", log.text());
        let in_root = fs::read_dir(dir.path(name).join("g-000001")).unwrap();
        assert_eq!(in_root.count(), 1, "only STATE");
    }
    assert_eq!(dir.run(&["init", "more", "--data-dirs", "1000"]).code, 2);
}

#[test]
fn removing_data002_is_refused_by_name() {
    let dir = Dir::new();
    spread(&dir, "data");
    fs::rename(dir.path("data/data002"), dir.path("aside")).unwrap();
    refused(&dir, "data", &["data002: it is missing", "has 3 of them"]);
    fs::create_dir(dir.path("data/data002")).unwrap(); // the mount point of a disk that is not mounted
    refused(&dir, "data", &["data002: its directory g-000001 is missing", "mounted"]);
    fs::remove_dir(dir.path("data/data002")).unwrap();
    fs::rename(dir.path("aside"), dir.path("data/data002")).unwrap();
    dir.run(&["verify", "data"]).good();
}

#[test]
fn two_log_files_swapped_between_environments_are_refused_by_name() {
    let dir = Dir::new();
    spread(&dir, "data");
    spread(&dir, "other");
    for path in needed(&dir, "data") {
        let other = dir.path("other").join(path.strip_prefix(dir.path("data")).unwrap());
        let swap = || {
            fs::rename(&path, dir.path("aside")).unwrap();
            fs::rename(&other, &path).unwrap();
            fs::rename(dir.path("aside"), &other).unwrap();
        };
        swap();
        for env in ["data", "other"] {
            refused(&dir, env, &[file_name(&path), "the environment"]);
        }
        swap();
    }
    dir.run(&["verify", "data"]).good();
    dir.run(&["verify", "other"]).good();
}

#[test]
fn a_file_restored_into_the_wrong_data_directory_is_refused_by_name() {
    let dir = Dir::new();
    spread(&dir, "data");
    dir.run(&["backup", "data", "saved"]).good();
    dir.run(&["restore", "saved", "back"]).good();
    for right in needed(&dir, "back") {
        let name = file_name(&right);
        let home = file_name(right.ancestors().nth(2).unwrap());
        let wrong_home = if home == "data001" { "data002" } else { "data001" };
        let wrong = dir.path("back").join(wrong_home).join("g-000001").join(name);
        // By hand, from the backup: first instead of the right one, then beside it.
        fs::copy(dir.path("saved/files").join(name), &wrong).unwrap();
        refused(&dir, "back", &[name, "same number"]);
        fs::rename(&right, dir.path("aside")).unwrap();
        refused(&dir, "back", &[name, "the data directory in its header", home, wrong_home]);
        fs::remove_file(&wrong).unwrap();
        refused(&dir, "back", &[home, "missing"]);
        fs::rename(dir.path("aside"), &right).unwrap();
    }
    dir.run(&["verify", "back"]).good();
}

#[test]
fn a_copy_taken_with_cp_while_writing_is_one_commit_or_named() {
    let dir = Dir::new();
    dir.run(&["init", "data", "--data-dirs", "2"]).good();
    let options = Options::default().journal_file_bytes(64 << 10).node_file_bytes(64 << 10);
    let (env, _) = Environment::open(dir.path("data"), options).unwrap();
    let db = env.database("main", DatabaseOptions::default()).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                // Each commit writes all of the keys: a mixture of two would show.
                env.write(|txn| (0..20).try_for_each(|key| txn.put(&db, &[key], &n.to_le_bytes())))
                    .unwrap();
                if n.is_multiple_of(50) {
                    env.checkpoint().unwrap();
                }
            }
        });
        for round in 0..8 {
            let copy = format!("copy{round}");
            Command::new("cp")
                .args(["-r", "data", &copy])
                .current_dir(dir.path(""))
                .status()
                .unwrap();
            let ran = dir.run(&["verify", &copy]);
            match ran.code {
                0 => {
                    let values: BTreeSet<_> = dir.entries(&copy).into_values().collect();
                    assert!(values.len() <= 1, "a mixture of {} commits", values.len());
                }
                1 | 3 => assert!(format!("{}{}", ran.text(), ran.err).contains(".log"), "{ran:?}"),
                other => panic!("{other}: {ran:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    env.close().unwrap();
    Command::new("cp").args(["-r", "data", "closed"]).current_dir(dir.path("")).status().unwrap();
    dir.run(&["verify", "closed"]).good();
}

#[test]
fn directories_that_are_there_are_used_if_they_are_empty_and_no_links() {
    let dir = Dir::new();
    fs::create_dir_all(dir.path("data/data001/lost+found")).unwrap(); // as a mount has it
    fs::create_dir_all(dir.path("data/data002")).unwrap();
    dir.run(&["init", "data", "--data-dirs", "3"]).good();
    assert!(dir.path("data/data001/lost+found").is_dir());
    dir.run(&["verify", "data"]).good();
    dir.write("full/data001/letter.txt", "dear");
    let ran = dir.run(&["init", "full", "--data-dirs", "2"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    fs::create_dir_all(dir.path("linked")).unwrap();
    fs::create_dir_all(dir.path("elsewhere")).unwrap();
    symlink(dir.path("elsewhere"), dir.path("linked/data002")).unwrap();
    let ran = dir.run(&["init", "linked", "--data-dirs", "2"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("data002: it is no directory; links are not followed"), "{}", ran.err);
    assert_eq!(fs::read_dir(dir.path("elsewhere")).unwrap().count(), 0);
    assert!(!dir.path("linked/CURRENT").exists());
}

#[test]
fn info_tells_where_the_files_lie_and_what_a_restore_in_place_has_kept() {
    let dir = Dir::new();
    spread(&dir, "data");
    let before = dir.entries("data");
    dir.run(&["backup", "data", "saved"]).good();
    dir.run(&["put", "data", "later", "1"]).good();
    let info = dir.run(&["info", "data"]).good();
    assert!(info.text().contains("data dirs    3"), "{}", info.text());
    assert!(
        info.text().contains("data/data002  ") && !info.text().contains("kept"),
        "{}",
        info.text()
    );
    dir.run(&["restore", "saved", "data", "--in-place"]).good();
    assert_eq!(dir.entries("data"), before);
    let info = dir.run(&["info", "data"]).good();
    for part in ["generation 1 from before", "restore --undo data`", "restore --forget-old data`"] {
        assert!(info.text().contains(part), "{}", info.text());
    }
    let json = dir.run(&["info", "data", "--json"]).good();
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(json["data_directories"].as_array().unwrap().len(), 3);
    let kept = json["kept"]["bytes"].as_u64().unwrap();
    assert!(kept > 10_000, "{kept}");
    dir.run(&["restore", "--undo", "data"]).good();
    assert_eq!(dir.entries("data").len(), before.len() + 1);
    dir.run(&["restore", "--undo", "data"]).good();
    let gone = dir.run(&["restore", "--forget-old", "data", "--json"]).good();
    let gone: serde_json::Value = serde_json::from_str(gone.text()).unwrap();
    assert_eq!(gone["generations"], 1);
    assert_eq!(dir.entries("data"), before);
    let old =
        dir.files("data").into_keys().filter(|path| path.to_str().unwrap().contains("g-000001"));
    assert_eq!(old.count(), 0);
}
