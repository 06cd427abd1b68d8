//! Backups that take over what has not changed: complete, small, and never worse than a full one.

use cairn_backup::{
    BackupError, BackupOptions, BackupReport, RestoreOptions, backup, backup_to, restore_from,
    verify_in,
};
use cairn_env::{Environment, ErrorKind};
use cairn_io::{DirRef, IoOp, MemDisk, Name, RealDir};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk};

use crate::fixture::{Content, content, dir, fill, open, open_in, saved, world};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn incremental(env: &Environment, to: &DirRef, since: &DirRef) -> BackupReport {
    backup_to(env, to, &world(), &BackupOptions::default().since_in(since)).unwrap()
}

/// What a backup holds, once it was verified and restored.
pub(crate) fn restored(backup: &DirRef) -> Content {
    let report = verify_in(&**backup, None).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let back = MemDisk::new();
    restore_from(backup, &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    content(&open(&back))
}

#[test]
fn an_incremental_backup_writes_what_is_new_and_needs_no_other() {
    let disk = SimDisk::new();
    let root = disk.root();
    let below = |text: &str| root.create_dir(&name(text)).unwrap();
    let env = open_in(&below("env"));
    fill(&env, 0, 600);
    let mut previous = below("b0");
    let full = backup_to(&env, &previous, &world(), &BackupOptions::default()).unwrap();
    assert_eq!((full.linked_files, full.linked_bytes), (0, 0));
    let mut expected = Vec::new();
    for round in 1..6u32 {
        fill(&env, 10_000 + round, 2);
        env.checkpoint().unwrap();
        let backup = below(&format!("b{round}"));
        let report = incremental(&env, &backup, &previous);
        assert!(report.linked_files > 0, "{report:?}");
        let new = report.bytes - report.linked_bytes;
        assert!(new < report.bytes / 4, "{report:?}");
        assert!(report.previous_damaged.is_empty());
        expected.push((backup.clone(), content(&env)));
        previous = backup;
    }
    for (entry, _) in disk.image().files().filter(|(path, _)| path.starts_with("b0/")) {
        // The link is gone, not the bytes.
        let (parent, file) = entry.rsplit_once('/').unwrap();
        let parent =
            parent.split('/').fold(disk.root(), |dir, part| dir.open_dir(&name(part)).unwrap());
        parent.remove(&name(file)).unwrap();
    }
    for (backup, expected) in expected {
        assert_eq!(restored(&backup), expected);
    }
}

#[test]
fn a_damaged_file_of_the_one_before_is_copied_anew_and_named() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 200);
    let first = MemDisk::new();
    backup_to(&env, &dir(&first), &world(), &BackupOptions::default()).unwrap();
    let expected = content(&env);
    let mut taken = 0;
    for (path, len) in first.files().into_iter().filter(|(path, _)| path.starts_with("files/")) {
        let at = |part: u64| usize::try_from(part).unwrap();
        let damages: [&dyn Fn(&MemDisk); 6] = [
            &|damaged| damaged.edit(&path, |bytes| bytes[20] ^= 1).unwrap(),
            &|damaged| damaged.edit(&path, |bytes| bytes[at(len / 2)] ^= 1).unwrap(),
            &|damaged| damaged.edit(&path, |bytes| bytes[at(len - 9)] ^= 1).unwrap(),
            &|damaged| damaged.edit(&path, |bytes| bytes.truncate(at(len - 8))).unwrap(),
            &|damaged| damaged.edit(&path, Vec::clear).unwrap(),
            &|damaged| damaged.remove(&path).unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            let damaged = first.fork();
            damage(&damaged);
            let second = MemDisk::new();
            let report = incremental(&env, &dir(&second), &dir(&damaged));
            taken += report.linked_files;
            // A file that the environment has given up meanwhile is not looked at.
            let file = path.rsplit('/').next().unwrap();
            let wanted = second.files().iter().any(|(path, _)| path.ends_with(file));
            assert_eq!(report.previous_damaged.len(), usize::from(wanted), "{path} {number}");
            if wanted {
                assert!(report.previous_damaged[0].contains(file), "{report:?}");
            }
            assert_eq!(restored(&dir(&second)), expected, "{path} {number}");
        }
    }
    assert!(taken > 0);
}

#[test]
fn files_of_other_environments_are_never_taken_for_ours() {
    let (disk, other) = (MemDisk::new(), MemDisk::new());
    let (env, foreign) = (open(&disk), crate::fixture::open_seeded(&other, 77));
    fill(&env, 0, 100);
    fill(&foreign, 0, 100);
    let (ours, theirs, new) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    backup_to(&env, &dir(&ours), &world(), &BackupOptions::default()).unwrap();
    backup_to(&foreign, &dir(&theirs), &world(), &BackupOptions::default()).unwrap();
    let options = |since| BackupOptions::default().since_in(since);
    let since = dir(&theirs);
    let error = backup_to(&env, &dir(&new), &world(), &options(&since)).unwrap_err();
    assert!(matches!(error, BackupError::PreviousForeign { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // Nor is a directory that is no backup.
    let since = dir(&disk);
    let error = backup_to(&env, &dir(&new), &world(), &options(&since)).unwrap_err();
    assert!(matches!(error, BackupError::NoManifest { .. }), "{error}");
    assert!(new.files().is_empty() && new.dirs().is_empty());
    // Their files under our manifest.
    for (path, _) in theirs.files().into_iter().filter(|(path, _)| path.starts_with("files/")) {
        ours.write(&path, theirs.read(&path).unwrap()).unwrap();
    }
    let report = incremental(&env, &dir(&new), &dir(&ours));
    assert!(!report.previous_damaged.is_empty());
    assert_eq!(restored(&dir(&new)), content(&env));
}

/// After a restore the numbers, and so the names, of node files come again on another timeline.
#[test]
fn a_file_of_the_same_name_is_not_the_same_file() {
    let (saved, _) = saved();
    let (left, right) = (MemDisk::new(), MemDisk::new());
    for target in [&left, &right] {
        restore_from(&dir(&saved), &dir(target), &world(), &RestoreOptions::default()).unwrap();
    }
    let (left, right) = (open(&left), crate::fixture::open_seeded(&right, 5));
    fill(&left, 1000, 50);
    fill(&right, 2000, 50);
    let (one, two) = (MemDisk::new(), MemDisk::new());
    backup_to(&left, &dir(&one), &world(), &BackupOptions::default()).unwrap();
    let report = incremental(&right, &dir(&two), &dir(&one));
    assert_eq!(report.previous_damaged, [""; 0]);
    assert_eq!(restored(&dir(&two)), content(&right));
}

#[test]
fn without_links_it_copies_and_a_failing_disk_leaves_no_backup() {
    let live = MemDisk::new();
    let env = open(&live);
    fill(&env, 0, 150);
    let first = MemDisk::new();
    backup_to(&env, &dir(&first), &world(), &BackupOptions::default()).unwrap();
    let none = FaultDisk::new(MemDisk::new().root());
    none.inject(Rule::new(Fault::Eio).op(IoOp::Link).and_on());
    let report = incremental(&env, &none.root(), &dir(&first));
    assert_eq!((report.linked_files, report.previous_damaged.len()), (0, 0));
    assert_eq!(restored(&none.root()), content(&env));
    // Whatever call fails, there is no backup or a good one, and the one before is as it was.
    let before = restored(&dir(&first));
    for fault in [Fault::NoSpace, Fault::Eio] {
        for call in 0.. {
            let target = FaultDisk::new(MemDisk::new().root());
            target.inject(Rule::new(fault).nth(call));
            let since = dir(&first);
            let options = BackupOptions::default().since_in(&since);
            let made = backup_to(&env, &target.root(), &world(), &options);
            let calls = target.calls();
            target.clear();
            match (made, verify_in(&*target.root(), None)) {
                (Ok(report), Ok(found)) => {
                    assert!(found.findings.is_empty());
                    if calls <= call {
                        assert!(report.linked_files > 0);
                        break;
                    }
                }
                (Ok(_), Err(error)) => panic!("call {call}: {error}"),
                (Err(error), Ok(found)) => {
                    assert!(found.findings.is_empty(), "call {call}: {error}");
                }
                (Err(_), Err(error)) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            }
        }
    }
    assert_eq!(restored(&dir(&first)), before);
}

#[test]
fn links_of_the_file_system_are_used_and_planted_ones_are_not_followed() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |text: &str| scratch.path().join(text);
    let (env, _) = Environment::open(path("env"), crate::fixture::options()).unwrap();
    fill(&env, 0, 300);
    backup(&env, path("one"), &BackupOptions::default()).unwrap();
    let since = path("one");
    let report = backup(&env, path("two"), &BackupOptions::default().since(&since)).unwrap();
    assert!(report.linked_files > 3, "{report:?}");
    let shared = |text: &str| {
        let files = RealDir::open(&path(text)).unwrap().open_dir(&name("files")).unwrap();
        let links = files.list().unwrap().into_iter().map(|entry| {
            files.open(&entry.name.unwrap(), cairn_io::Access::Read).unwrap().links().unwrap()
        });
        links.filter(|links| *links > 1).count() as u64
    };
    assert_eq!(shared("two"), report.linked_files);
    // A name in the backup before that leads elsewhere.
    let victim = std::fs::read_dir(path("one/files")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(&victim, path("elsewhere")).unwrap();
    let files = RealDir::open(&path("one/files")).unwrap();
    files.remove(&name(victim.file_name().unwrap().to_str().unwrap())).unwrap();
    std::os::unix::fs::symlink(path("elsewhere"), &victim).unwrap();
    backup(&env, path("three"), &BackupOptions::default().since(&since)).unwrap();
    assert!(
        std::fs::read_dir(path("three/files"))
            .unwrap()
            .all(|entry| { entry.unwrap().file_type().unwrap().is_file() })
    );
    std::fs::remove_dir_all(path("one")).unwrap();
    for backup in ["two", "three"] {
        assert_eq!(restored(&RealDir::open(&path(backup)).unwrap()), content(&env));
    }
}
