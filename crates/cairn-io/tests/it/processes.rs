//! What needs a process of its own: locks between processes, and the umask.
//!
//! The test binary starts itself with one of these tests selected and a variable set that makes
//! the test play the child.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cairn_io::{LockError, LockMode, Name, RealDir};
use rustix::fs::{Mode, RawMode};

const VARIABLE: &str = "CAIRN_IO_TEST_CHILD";
const LOCK: Name = Name::constant("LOCK");

/// Starts this test binary as a child that runs `test` with `argument`.
fn child(test: &str, argument: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("processes::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn argument() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Says `line` to the parent and waits until the parent closes the pipe.
fn say_and_wait(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsaid {line}").unwrap();
    out.flush().unwrap();
    std::io::stdin().lines().count();
}

fn heard(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("said ")?.to_owned()))
        .unwrap()
}

fn finished(mut child: Child) {
    drop(child.stdin.take());
    // A child that still writes its closing lines must not meet a closed pipe.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut rest).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_lock_held_by_another_process_is_refused_with_its_pid() {
    if let Some(path) = argument() {
        let dir = RealDir::open(Path::new(&path)).unwrap();
        let _guard = dir.lock(&LOCK, LockMode::Exclusive).unwrap();
        return say_and_wait("locked");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = RealDir::open(scratch.path()).unwrap();
    let path = scratch.path().to_str().unwrap();
    let mut holder = child("a_lock_held_by_another_process_is_refused_with_its_pid", path);
    assert_eq!(heard(&mut holder), "locked");
    for mode in [LockMode::Exclusive, LockMode::Shared] {
        match dir.lock(&LOCK, mode) {
            Err(error @ LockError::HeldElsewhere { pid }) => {
                assert_eq!(pid, Some(holder.id()));
                assert!(error.to_string().contains(&format!("(pid {})", holder.id())));
            }
            other => panic!("{other:?}"),
        }
    }
    finished(holder);
    drop(dir.lock(&LOCK, LockMode::Exclusive).unwrap());
}

/// A writer that had closed an environment and lived on was once named as the holder to the next
/// writer, who in truth was kept out by a reader.
#[test]
fn a_former_holder_is_not_taken_for_the_present_one() {
    if let Some(path) = argument() {
        let dir = RealDir::open(Path::new(&path)).unwrap();
        let _guard = dir.lock(&LOCK, LockMode::Shared).unwrap();
        return say_and_wait("locked");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = RealDir::open(scratch.path()).unwrap();
    drop(dir.lock(&LOCK, LockMode::Exclusive).unwrap()); // this process lives on
    let path = scratch.path().to_str().unwrap();
    let mut holder = child("a_former_holder_is_not_taken_for_the_present_one", path);
    assert_eq!(heard(&mut holder), "locked");
    match dir.lock(&LOCK, LockMode::Exclusive) {
        Err(LockError::HeldElsewhere { pid: None }) => {}
        other => panic!("{other:?}"),
    }
    finished(holder);
}

#[test]
fn a_killed_process_leaves_no_lock() {
    if let Some(path) = argument() {
        let dir = RealDir::open(Path::new(&path)).unwrap();
        let _guard = dir.lock(&LOCK, LockMode::Exclusive).unwrap();
        return say_and_wait("locked");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = RealDir::open(scratch.path()).unwrap();
    let mut holder = child("a_killed_process_leaves_no_lock", scratch.path().to_str().unwrap());
    assert_eq!(heard(&mut holder), "locked");
    assert!(matches!(dir.lock(&LOCK, LockMode::Exclusive), Err(LockError::HeldElsewhere { .. })));
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(dir.lock(&LOCK, LockMode::Exclusive).unwrap());
}

#[test]
fn shared_locks_of_two_processes_admit_each_other_and_no_writer() {
    if let Some(path) = argument() {
        let dir = RealDir::open(Path::new(&path)).unwrap();
        let _guard = dir.lock(&LOCK, LockMode::Shared).unwrap();
        return say_and_wait("locked");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = RealDir::open(scratch.path()).unwrap();
    let path = scratch.path().to_str().unwrap();
    // An id left by a holder that has ended must not be taken for the present one's.
    fs::write(scratch.path().join("LOCK"), format!("{}\n", i32::MAX)).unwrap();
    let mut holder = child("shared_locks_of_two_processes_admit_each_other_and_no_writer", path);
    assert_eq!(heard(&mut holder), "locked");
    let ours = dir.lock(&LOCK, LockMode::Shared).unwrap();
    assert!(matches!(dir.lock(&LOCK, LockMode::Exclusive), Err(LockError::HeldHere)));
    drop(ours);
    match dir.lock(&LOCK, LockMode::Exclusive) {
        Err(LockError::HeldElsewhere { pid: None }) => {}
        other => panic!("{other:?}"),
    }
    finished(holder);
}

#[test]
fn modes_are_exact_whatever_the_umask() {
    if let Some(argument) = argument() {
        let (umask, path) = argument.split_once(' ').unwrap();
        let bits = RawMode::from_str_radix(umask, 8).unwrap();
        rustix::process::umask(Mode::from_raw_mode(bits));
        let path = PathBuf::from(path).join(umask);
        let dir = RealDir::create(&path).unwrap();
        dir.create(&Name::constant("file")).unwrap();
        dir.create_dir(&Name::constant("dir")).unwrap();
        drop(dir.lock(&LOCK, LockMode::Exclusive).unwrap());
        return say_and_wait("created");
    }
    let scratch = tempfile::tempdir().unwrap();
    for umask in ["000", "077", "027", "277"] {
        let argument = format!("{umask} {}", scratch.path().display());
        let mut creator = child("modes_are_exact_whatever_the_umask", &argument);
        assert_eq!(heard(&mut creator), "created");
        finished(creator);
        let root = scratch.path().join(umask);
        for (name, expected) in [("", 0o700), ("file", 0o600), ("dir", 0o700), ("LOCK", 0o600)] {
            let mode = fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, expected, "umask {umask}: {name:?} has {mode:o}");
        }
    }
}
