//! Paths and files that are not what they should be: each gets its own error, which names the file; the
//! exit code tells what to do; and nothing is changed.

use std::{fs, path::PathBuf};

use crate::support::{Dir, Entries};

fn entries() -> Entries {
    (0..400u32)
        .map(|i| (format!("{i:04}").into_bytes(), vec![b'v'; 200 * (i as usize % 7)]))
        .collect()
}

/// An environment `data` with a journal that is not in its checkpoint alone, and a backup of it.
fn sample() -> Dir {
    let dir = Dir::new();
    dir.environment("data", &entries());
    dir.run(&["put", "data", "one", "more"]).good();
    dir.run(&["backup", "data", "backup"]).good();
    dir
}

/// The log files of the environment that hold something which is needed.
fn needed(dir: &Dir) -> Vec<PathBuf> {
    let names = dir.files("backup/files").into_keys();
    let names = names.map(|path| path.file_name().unwrap().to_owned());
    names.map(|name| dir.path("data/g-000001").join(name)).collect()
}

/// Runs a command that must fail, change nothing, and say this.
#[track_caller]
fn refused(dir: &Dir, args: &[&str], code: i32, words: &[&str]) {
    let before = dir.files(".");
    let ran = dir.run(args);
    assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
    let mut lines = ran.err.lines();
    let error = lines.next().unwrap();
    assert!(error.starts_with("error: "), "{}", ran.err);
    assert!(lines.next().unwrap().starts_with("advice: "), "{}", ran.err);
    assert_eq!(lines.next(), None, "{}", ran.err);
    for word in words {
        assert!(error.contains(word), "{args:?}: {word}: {error}");
    }
    assert!(dir.files(".") == before, "{args:?} has changed files");
    let json = dir.run(&[args, &["--json"]].concat());
    assert_eq!(json.code, code);
    let value: serde_json::Value = serde_json::from_str(json.text().trim()).unwrap();
    assert_eq!(format!("error: {}", value["error"]["message"].as_str().unwrap()), error);
}

#[test]
fn a_path_that_is_no_environment() {
    let dir = Dir::new();
    dir.write("letters/letter.txt", "somebody else's");
    fs::create_dir(dir.path("empty")).unwrap();
    for (path, word) in [
        ("nowhere", "there is no such directory"),
        ("letters", "holds something else"),
        ("letters/letter.txt", "it is not a directory"),
        ("empty", "it is empty"),
    ] {
        let words = [path, "is no CairnDB environment", word];
        for args in [
            &["get", path, "key"][..],
            &["put", path, "key", "value"],
            &["scan", path],
            &["info", path],
            &["verify", path],
            &["checkpoint", path],
            &["export", path, "out.csv"],
            &["import", path, "letters"],
            &["backup", path, "backup"],
        ] {
            refused(&dir, args, 2, &words);
        }
    }
    refused(&dir, &["init", "letters"], 2, &["holds something else"]);
    refused(&dir, &["restore", "letters", "new"], 2, &["holds no finished backup"]);
    refused(&dir, &["restore", "nowhere", "new"], 2, &["there is no backup nowhere"]);
    assert!(!dir.path("new").exists() && !dir.path("backup").exists());
}

#[test]
fn a_missing_file() {
    let dir = sample();
    let all = dir.entries("data");
    for path in needed(&dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::rename(&path, dir.path("aside")).unwrap();
        if name.starts_with('J') && dir.run(&["info", "data"]).code == 0 {
            // All that it held is in the checkpoint.
            assert_eq!(dir.entries("data"), all);
        } else {
            refused(&dir, &["get", "data", "0001"], 3, &[name, "missing"]);
            refused(&dir, &["put", "data", "a", "b"], 3, &[name, "missing"]);
            let verified = dir.run(&["verify", "data"]);
            assert_eq!(verified.code, 3);
            assert!(verified.text().contains(name), "{}", verified.text());
        }
        fs::rename(dir.path("aside"), &path).unwrap();
    }
    fs::rename(dir.path("data/g-000001/STATE"), dir.path("aside")).unwrap();
    refused(&dir, &["get", "data", "0001"], 3, &["STATE is missing"]);
    fs::rename(dir.path("data/g-000001"), dir.path("aside2")).unwrap();
    refused(&dir, &["get", "data", "0001"], 3, &["g-000001"]);
}

#[test]
fn a_file_of_the_wrong_length_or_of_no_length() {
    let dir = sample();
    let all = dir.run(&["scan", "data"]).out;
    for path in needed(&dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let content = fs::read(&path).unwrap();
        for len in [0, 100, content.len() / 2, content.len() - 1] {
            fs::write(&path, &content[..len]).unwrap();
            let (scan, verified) = (dir.run(&["scan", "data"]), dir.run(&["verify", "data"]));
            if scan.code == 0 {
                // Nothing that is read was cut off, only the seal; which is found all the same.
                assert_eq!((all.as_slice(), verified.code), (&*scan.out, 1), "{name} {len}");
            } else {
                refused(&dir, &["export", "data", "all.csv"], 3, &[name]);
                assert_eq!(verified.code, 3, "{name} {len}");
            }
            assert!(verified.text().contains(name), "{}", verified.text());
        }
        fs::write(&path, content).unwrap();
    }
    for file in ["CURRENT", "g-000001/STATE"] {
        let path = dir.path("data").join(file);
        let content = fs::read(&path).unwrap();
        fs::write(&path, "").unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        refused(&dir, &["get", "data", "0001"], 3, &[name]);
        fs::write(&path, content).unwrap();
    }
    assert_eq!(dir.run(&["verify", "data"]).code, 0);
}

#[test]
fn a_flipped_bit() {
    let dir = sample();
    for path in needed(&dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let content = fs::read(&path).unwrap();
        let mut flipped = content.clone();
        let middle = content.len() / 2;
        flipped[middle] ^= 4;
        fs::write(&path, flipped).unwrap();
        let verified = dir.run(&["verify", "data"]);
        assert!([1, 3].contains(&verified.code), "{}", verified.code);
        assert!(verified.text().contains(name), "{}", verified.text());
        assert_eq!(dir.run(&["backup", "data", "second"]).code, 3, "damage is not backed up");
        assert!(!dir.path("second/MANIFEST").exists());
        fs::write(&path, content).unwrap();
        fs::remove_dir_all(dir.path("second")).unwrap_or_default();
    }
}

#[test]
fn swapped_and_foreign_files() {
    let dir = sample();
    dir.environment("other", &entries());
    let files = needed(&dir);
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (first, second) = (&files[0], files.last().unwrap());
    fs::rename(first, dir.path("aside")).unwrap();
    fs::rename(second, first).unwrap();
    fs::rename(dir.path("aside"), second).unwrap();
    refused(&dir, &["info", "data"], 3, &["-0000"]);
    fs::rename(first, dir.path("aside")).unwrap();
    fs::rename(second, first).unwrap();
    fs::rename(dir.path("aside"), second).unwrap();

    for path in [first.clone(), dir.path("data/g-000001/STATE")] {
        let content = fs::read(&path).unwrap();
        let mut other = dir.path("other/g-000001").join(name(&path));
        if !other.exists() {
            let class = &name(&path)[..1];
            let files = dir.files("other/g-000001").into_keys();
            other = files.into_iter().find(|path| name(path).starts_with(class)).unwrap();
        }
        fs::copy(other, &path).unwrap();
        refused(&dir, &["export", "data", "all.csv"], 3, &[&name(&path)]);
        fs::write(&path, "hello, I am a letter").unwrap();
        refused(&dir, &["export", "data", "all.csv"], 3, &[&name(&path)]);
        fs::write(&path, content).unwrap();
    }
}

#[test]
fn a_stale_file() {
    let dir = sample();
    let old = fs::read(dir.path("data/g-000001/STATE")).unwrap();
    for i in 0..3 {
        dir.run(&["put", "data", &format!("later {i}"), "value"]).good();
        dir.run(&["checkpoint", "data"]).good();
    }
    fs::write(dir.path("data/g-000001/STATE"), old).unwrap();
    refused(&dir, &["info", "data"], 3, &["-0000"]);
}

#[test]
fn an_extra_file_is_left_alone_and_told() {
    let dir = sample();
    dir.write("data/g-000001/letter.txt", "somebody else's");
    let ran = dir.run(&["info", "data"]).good();
    assert!(ran.text().contains("letter.txt is not ours and was left alone"), "{}", ran.text());
    let ran = dir.run(&["put", "data", "a", "b"]).good();
    assert!(ran.err.contains("note: ") && ran.err.contains("letter.txt"), "{}", ran.err);
    assert_eq!(fs::read(dir.path("data/g-000001/letter.txt")).unwrap(), b"somebody else's");
}

#[test]
fn a_newer_version() {
    let dir = sample();
    dir.write("data/CURRENT", "CairnDB environment 3\nsomething new\n");
    let ran = dir.run(&["info", "data"]);
    assert!(ran.err.contains("use the version of cairn that wrote these files"), "{}", ran.err);
    refused(&dir, &["info", "data"], 3, &["CURRENT", "CairnDB environment 3"]);
    forge(&dir, |lines| *lines = vec!["CairnDB backup 4".into(), "something new".into()]);
    refused(&dir, &["restore", "backup", "new"], 3, &["MANIFEST", "CairnDB backup 4"]);
    assert!(!dir.path("new").exists());
}

#[test]
fn a_key_or_value_over_the_limit() {
    let dir = sample();
    let key = "k".repeat(4097);
    refused(&dir, &["put", "data", &key, "v"], 2, &["key of 4097 bytes", "at most 4096"]);
    let file = fs::File::create_new(dir.path("large")).unwrap();
    file.set_len((256 << 20) + 1).unwrap(); // it takes no space
    fs::create_dir(dir.path("in")).unwrap();
    fs::rename(dir.path("large"), dir.path("in/large")).unwrap();
    let ran = dir.run(&["import", "data", "in"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("in/large has 256 MiB, a value at most 256 MiB"), "{}", ran.err);
}

#[test]
fn a_read_only_directory() {
    use std::os::unix::fs::PermissionsExt;
    let dir = sample();
    let mode = |path: &str, mode| {
        fs::set_permissions(dir.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("data/g-000001", 0o500);
    let writable = fs::write(dir.path("data/g-000001/probe"), "").is_ok();
    if writable {
        eprintln!("SKIPPED: this user may write everywhere");
    } else {
        let ran = dir.run(&["put", "data", "a", "b"]);
        assert_eq!(ran.code, 5, "{}", ran.err);
        assert!(ran.err.contains("data/g-000001"), "{}", ran.err);
        dir.run(&["get", "data", "one"]).good();
    }
    mode("data/g-000001", 0o700);
}

/// Replaces a line of the manifest, and makes its checksum right again.
fn forge(dir: &Dir, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(dir.path("backup/MANIFEST")).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.pop().unwrap();
    change(&mut lines);
    let body = lines.join("\n") + "\n";
    let hash = blake3::hash(body.as_bytes());
    dir.write("backup/MANIFEST", format!("{body}blake3 {hash}\n"));
}

#[test]
fn a_hostile_manifest() {
    let hash = "00".repeat(32);
    let forged = [
        format!("file ../../../../escape 0 4664 {hash}"),
        format!("file /etc/passwd 0 4664 {hash}"),
        format!("file N-00000002.log/x 0 4664 {hash}"),
        format!("file N-00000002.log 0 18446744073709551615 {hash}"),
        format!("file N-00000002.log 0 9223372036854775807 {hash}"),
        format!("file N-00000002.log 0 -1 {hash}"),
        format!("file N-00000002.log 99999999 4664 {hash}"),
        "file N-00000002.log 0 4664 00".to_owned(),
        "commit 99999999999999999999999999".to_owned(),
        "x".repeat(1 << 20),
    ];
    for line in forged {
        let dir = sample();
        forge(&dir, |lines| {
            let file = lines.iter().position(|line| line.starts_with("file ")).unwrap();
            lines[file] = line.clone();
        });
        let ran = dir.run(&["restore", "backup", "new"]);
        let shown = &line[..line.len().min(60)];
        assert!([3, 5].contains(&ran.code), "{shown}: {} {}", ran.code, ran.err);
        assert!(ran.err.contains("backup"), "{shown}: {}", ran.err);
        assert!(!dir.path("new").exists(), "{shown}");
        assert_ne!(dir.run(&["verify", "backup"]).code, 0, "{shown}");
        assert!(ran.err.len() < 2000, "{shown}");
    }
    // Without a right checksum nothing of it counts.
    let dir = sample();
    let text = fs::read_to_string(dir.path("backup/MANIFEST")).unwrap();
    dir.write("backup/MANIFEST", text.replace("commit ", "commit 1"));
    refused(&dir, &["restore", "backup", "new"], 3, &["MANIFEST"]);
}

#[test]
fn a_damaged_backup_is_not_restored_and_each_file_is_named() {
    let dir = sample();
    for (path, content) in dir.files("backup/files") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut flipped = content.clone();
        flipped[content.len() / 2] ^= 1;
        fs::write(&path, flipped).unwrap();
        if dir.path("new").exists() {
            // What the attempt before has brought of this very file would be as good.
            fs::remove_dir_all(dir.path("new")).unwrap();
        }
        let ran = dir.run(&["restore", "backup", "new"]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains(name), "{}", ran.err);
        // What is there of it does not open, and says how to go on.
        refused(&dir, &["info", "new"], 3, &["unfinished restore", "cairn restore"]);
        let verified = dir.run(&["verify", "backup"]);
        assert_eq!(verified.code, 1);
        assert!(verified.text().contains(name), "{}", verified.text());
        fs::remove_file(&path).unwrap();
        assert!(dir.run(&["restore", "backup", "new"]).err.contains(name));
        fs::write(&path, content).unwrap();
    }
    // Made again, it comes to a good end.
    dir.run(&["restore", "backup", "new"]).good();
    assert_eq!(dir.entries("new"), dir.entries("data"));
}
