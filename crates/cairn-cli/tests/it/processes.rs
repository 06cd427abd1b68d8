//! Other processes: one that has the environment open, one that does not read on, one that is full.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::support::{Dir, Entries};

/// A process that has `data` open for writing until it is dropped.
struct Holder(Child);

impl Holder {
    fn new(dir: &Dir) -> Self {
        let mut command =
            dir.command(&["import", "data", "-", "--format", "jsonl", "--batch", "1", "--json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"{\"key\":\"held\",\"value\":\"\"}\n").unwrap();
        // It has committed: so it has the environment.
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn an_environment_that_is_being_written_can_be_read_and_is_locked_for_writers() {
    let dir = Dir::new();
    dir.environment("data", &Entries::new());
    let holder = Holder::new(&dir);
    let pid = format!("(pid {})", holder.0.id());
    // What is durable can be read when the log has gone idle for a moment.
    let begun = Instant::now();
    while dir.run(&["get", "data", "held"]).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody says that it is durable");
    }
    for args in [
        &["scan", "data"][..],
        &["info", "data"],
        &["stats", "data"],
        &["verify", "data"],
        &["export", "data", "exported"],
        &["backup", "data", "first"],
        &["backup", "data", "second", "--since", "first"],
        &["verify", "second"],
        &["restore", "second", "restored"],
        &["get", "restored", "held"],
    ] {
        dir.run(args).good();
    }
    for args in [&["put", "data", "a", "b"][..], &["checkpoint", "data"], &["clean", "data"]] {
        let ran = dir.run(args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(&pid), "{}", ran.err);
    }
    // The log can be read all the same.
    let log = dir.run(&["log", "data"]).good();
    assert!(log.text().contains("held"), "{}", log.text());
    drop(holder);
    dir.run(&["get", "data", "held"]).good();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = Dir::new();
    let entries = (0..50_000u32).map(|i| (i.to_string().into_bytes(), vec![b'v'; 50])).collect();
    dir.environment("data", &entries);
    for args in [
        &["scan", "data"][..],
        &["scan", "data", "--json"],
        &["export", "data", "-"],
        &["log", "data"],
    ] {
        let mut command = dir.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stderr, b"", "{args:?}");
        assert!(output.status.success(), "{args:?}: {:?}", output.status);
    }
}

/// Whoever relies on its lines must not take an import for complete that could not report.
#[test]
fn an_import_whose_report_nobody_reads_fails() {
    let dir = Dir::new();
    dir.environment("data", &Entries::new());
    let lines: String =
        (0..50_000).map(|i| format!("{{\"key\":\"{i}\",\"value\":\"\"}}\n")).collect();
    dir.write("in.jsonl", lines);
    let mut command = dir.command(&["import", "data", "in.jsonl", "--batch", "10", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_full_output_is_a_failure() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"key".to_vec(), b"value".to_vec())]));
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: there is no /dev/full");
        return;
    };
    for args in [&["get", "data", "key"][..], &["scan", "data"], &["export", "data", "-"]] {
        let mut command = dir.command(args);
        let output =
            command.stdout(full.try_clone().unwrap()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{args:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("No space left on device"), "{err}");
    }
}

/// The same command again finishes what a kill has interrupted.
#[test]
fn a_backup_and_a_restore_that_were_cut_short_start_over() {
    let dir = Dir::new();
    let entries: Entries =
        (0..500u32).map(|i| (i.to_string().into_bytes(), vec![7; 5000])).collect();
    dir.environment("data", &entries);
    dir.run(&["backup", "data", "backup"]).good();
    fs::remove_file(dir.path("backup/MANIFEST")).unwrap(); // as before its end
    assert_eq!(dir.run(&["restore", "backup", "new"]).code, 2);
    dir.run(&["backup", "data", "backup"]).good();
    for millis in 1..6 {
        let mut child =
            dir.command(&["restore", "backup", "new"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(2 * millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let info = dir.run(&["info", "new"]);
        // Nothing yet, half a restore that says so, or all of it.
        assert!([0, 2, 3].contains(&info.code), "{}", info.err);
        if info.code == 0 {
            break;
        }
        assert!(info.code == 2 || info.err.contains("unfinished restore"), "{}", info.err);
    }
    if dir.run(&["info", "new"]).code != 0 {
        dir.run(&["restore", "backup", "new"]).good();
    }
    assert_eq!(dir.entries("new"), entries);
}

/// files appear with the first write, and a process that puts once leaves little. `CAIRN_PROCESSES`
/// says how many there are.
#[test]
fn many_processes_that_put_once_leave_few_files() {
    let asked = std::env::var("CAIRN_PROCESSES").ok().and_then(|text| text.parse().ok());
    let processes: u32 = asked.unwrap_or(40);
    let dir = Dir::new();
    dir.environment("data", &Entries::new());
    let mut entries = Entries::new();
    for n in 0..processes {
        let (key, value) = (format!("key {n}"), format!("value {n}"));
        dir.run(&["put", "data", &key, &value]).good();
        entries.insert(key.into_bytes(), value.into_bytes());
    }
    dir.run(&["clean", "data"]).good();
    let (mut files, mut bytes) = (0, 0);
    let mut dirs = vec![dir.path("data")];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => (files, bytes) = (files + 1, bytes + entry.metadata().unwrap().len()),
            }
        }
    }
    eprintln!("{processes} processes: {files} files, {bytes} bytes");
    assert!(files < 20 && bytes < 64 << 20, "{files} files, {bytes} bytes");
    assert_eq!(dir.entries("data"), entries);
}
