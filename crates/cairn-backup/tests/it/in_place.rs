//! Restores in place: the old or the new, whole, and a way back.

use std::sync::Arc;

use cairn_backup::{
    BackupError, BackupResult, RestoreOptions, RestoreReport, backup_to, restore_from,
};
use cairn_env::{
    EnvError, Environment, ErrorKind, Forgotten, forget_old_generation, kept_generation,
    undo_restore,
};
use cairn_io::{DirRef, MemDisk};
use cairn_sim::{Fault, FaultDisk, Rule};

use crate::fixture::{
    Content, content, dir, fill, open, open_in, open_seeded, options, saved, world,
};

pub(crate) fn in_place(backup: &DirRef, target: &DirRef) -> BackupResult<RestoreReport> {
    let options = RestoreOptions::default().options(options()).in_place(true);
    restore_from(backup, target, &world(), &options)
}

fn forget(target: &DirRef) -> Forgotten {
    forget_old_generation(Arc::clone(target), &world(), options()).unwrap()
}

/// A backup, the environment that it was taken of with other things in it since, and the content of both.
fn changed() -> (MemDisk, Content, MemDisk, Content) {
    let (disk, saved) = (MemDisk::new(), MemDisk::new());
    let env = open(&disk);
    fill(&env, 0, 80);
    let backup = cairn_backup::BackupOptions::default();
    backup_to(&env, &dir(&saved), &world(), &backup).unwrap();
    let old = content(&env);
    fill(&env, 40, 100);
    let new = content(&env);
    env.close().unwrap();
    (saved, old, disk, new)
}

#[test]
fn it_goes_back_forward_and_on() {
    let (saved, old, disk, new) = changed();
    let root = dir(&disk);
    let before = disk.files();
    let report = in_place(&dir(&saved), &root).unwrap();
    assert_eq!(report.kept, Some(1));
    let old_files = before.iter().filter(|file| file.0.starts_with("g-"));
    assert!(old_files.clone().all(|file| disk.files().contains(file)), "all of the old is there");
    assert_eq!(content(&open(&disk)), old);
    let kept = kept_generation(Arc::clone(&root)).unwrap().unwrap();
    assert_eq!((kept.current, kept.kept), (2, 1));

    // Back, with commits there; forward, with commits here; and both are still what they were.
    fill(&open(&disk), 900, 5);
    let restored = content(&open(&disk));
    assert_eq!(undo_restore(Arc::clone(&root)).unwrap().current, 1);
    assert_eq!(content(&open(&disk)), new);
    fill(&open(&disk), 800, 5);
    assert_eq!(undo_restore(Arc::clone(&root)).unwrap().current, 2);
    assert_eq!(content(&open(&disk)), restored);

    let again = in_place(&dir(&saved), &root).unwrap_err();
    assert!(again.to_string().contains("undo or forget"), "{again}");
    let gone = forget(&root);
    assert_eq!(gone.generations, 1);
    assert!(gone.files > 3 && gone.bytes > 10_000, "{gone:?}");
    assert_eq!(disk.dirs(), ["g-000002"]);
    assert_eq!(forget(&root), Forgotten::default());
    assert_eq!(content(&open(&disk)), restored);
    let nothing = undo_restore(Arc::clone(&root)).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::InvalidInput);
    assert_eq!(kept_generation(root).unwrap(), None);

    // A backup of what was restored in place restores as well, in place and anew.
    let second = MemDisk::new();
    let options = cairn_backup::BackupOptions::default();
    backup_to(&open(&disk), &dir(&second), &world(), &options).unwrap();
    assert_eq!(in_place(&dir(&second), &dir(&disk)).unwrap().kept, Some(2));
    assert_eq!(content(&open(&disk)), restored);
    assert_eq!(crate::incremental::restored(&dir(&second)), restored);
}

#[test]
fn what_was_not_asked_for_is_refused_and_changes_nothing() {
    let (saved, _, disk, new) = changed();
    let root = dir(&disk);
    let before = disk.files();
    let refused = |result: BackupResult<RestoreReport>, expected: &str| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        error
    };
    // Not in place.
    let options = RestoreOptions::default();
    refused(restore_from(&dir(&saved), &root, &world(), &options), "is not empty");
    // Open, for writing or reading.
    let env = open(&disk);
    let error = refused(in_place(&dir(&saved), &root), "open");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(undo_restore(Arc::clone(&root)).unwrap_err().kind(), ErrorKind::Busy);
    let busy = forget_old_generation(Arc::clone(&root), &world(), self::options()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    drop(env);
    // Of another environment, unless told.
    let (other, theirs) = (MemDisk::new(), MemDisk::new());
    let env = open_seeded(&other, 99);
    fill(&env, 0, 20);
    let full = cairn_backup::BackupOptions::default();
    backup_to(&env, &dir(&theirs), &world(), &full).unwrap();
    let error = refused(in_place(&dir(&theirs), &root), "is the environment");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let lock_aside = |files: Vec<(String, u64)>| {
        files.into_iter().filter(|(path, _)| path != "LOCK").collect::<Vec<_>>()
    };
    assert_eq!(lock_aside(disk.files()), lock_aside(before));
    let told = RestoreOptions::default().in_place(true).other_environment(true);
    restore_from(&dir(&theirs), &root, &world(), &told).unwrap();
    assert_eq!(content(&open(&disk)), content(&env));
    undo_restore(root).unwrap();
    assert_eq!(content(&open(&disk)), new);
    // Something else than an environment.
    let letters = MemDisk::new();
    letters.write("letters/1.txt", b"dear".to_vec()).unwrap();
    let error = in_place(&dir(&saved), &dir(&letters)).unwrap_err();
    assert!(matches!(&error, BackupError::Env(EnvError::NotAnEnvironment { .. })), "{error}");
    assert_eq!(letters.files().len(), 1);
    // A blank directory is as good as in place.
    assert_eq!(in_place(&dir(&saved), &dir(&MemDisk::new())).unwrap().kept, None);
}

#[test]
fn an_environment_that_does_not_open_is_replaced_and_kept_as_it_was() {
    let (saved, old, good, _) = changed();
    for (path, _) in good.files().into_iter().filter(|(path, _)| path.contains('/')) {
        let disk = good.fork();
        disk.remove(&path).unwrap();
        let broken = disk.files();
        in_place(&dir(&saved), &dir(&disk)).unwrap();
        assert_eq!(content(&open(&disk)), old, "{path}");
        undo_restore(dir(&disk)).unwrap();
        assert!(broken.iter().all(|file| file.0 == "CURRENT" || disk.files().contains(file)));
        undo_restore(dir(&disk)).unwrap();
        assert_eq!(content(&open(&disk)), old, "{path}");
    }
}

#[test]
fn the_old_generation_stays_if_the_new_one_does_not_open() {
    let (saved, _, disk, new) = changed();
    in_place(&dir(&saved), &dir(&disk)).unwrap();
    disk.edit("g-000002/STATE", |bytes| bytes.fill(7)).unwrap();
    let error = forget_old_generation(dir(&disk), &world(), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    undo_restore(dir(&disk)).unwrap();
    assert_eq!(content(&open(&disk)), new);
}

/// A damaged backup, a full disk, a failing disk: the environment is as it was, and the next try works.
#[test]
fn a_restore_that_fails_leaves_the_environment_as_it_was() {
    let (saved, old, good, new) = changed();
    for (path, _) in saved.files().into_iter().filter(|(path, _)| path.starts_with("files/")) {
        let (damaged, disk) = (saved.fork(), good.fork());
        damaged.edit(&path, |bytes| *bytes.last_mut().unwrap() ^= 1).unwrap();
        assert_eq!(in_place(&dir(&damaged), &dir(&disk)).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(content(&open(&disk)), new);
        in_place(&dir(&saved), &dir(&disk)).unwrap();
        assert_eq!(disk.dirs().len(), 2, "{:?}", disk.dirs());
        assert_eq!(content(&open(&disk)), old);
    }
    for fault in [Fault::NoSpace, Fault::Eio] {
        let mut failed = 0;
        for call in 0.. {
            let disk = good.fork();
            let faults = FaultDisk::new(disk.root());
            faults.inject(Rule::new(fault).nth(call));
            let result = in_place(&dir(&saved), &faults.root());
            let calls = faults.calls();
            let found = content(&open(&disk));
            if result.is_ok() {
                assert!(found == old, "call {call}");
            } else {
                failed += 1;
                assert!(found == new || found == old, "call {call}");
                if found == new {
                    in_place(&dir(&saved), &disk.root()).unwrap();
                    assert!(content(&open(&disk)) == old, "call {call}");
                }
            }
            if calls <= call {
                break;
            }
        }
        assert!(failed > 50, "{failed}");
    }
}

#[test]
fn an_unfinished_restore_from_before_is_started_over() {
    let (saved, expected) = saved();
    let back = MemDisk::new();
    let faults = FaultDisk::new(back.root());
    faults.inject(Rule::new(Fault::Eio).nth(40));
    in_place(&dir(&saved), &faults.root()).unwrap_err();
    assert!(Environment::open_in(dir(&back), world(), options()).is_err());
    in_place(&dir(&saved), &dir(&back)).unwrap();
    assert_eq!(content(&open_in(&dir(&back))), expected);
}

/// Whoever went back died between the rename of `CURRENT` and the sync of its name. The next process found
/// the old generation and committed there, and a power failure then brought the new one back.
#[test]
fn a_commit_after_going_back_is_not_lost_with_the_name_of_what_was_gone_back_to() {
    use cairn_sim::{Bounds, Image, Level, SimDisk};
    let (saved, _, disk, _) = changed();
    in_place(&dir(&saved), &dir(&disk)).unwrap();
    let mut died_late = 0;
    for calls in 0..100 {
        let disk = SimDisk::from_image(&Image::of(&disk));
        let faults = FaultDisk::new(disk.root());
        faults.inject(Rule::new(Fault::Eio).nth(calls).and_on());
        let gone_back = undo_restore(faults.root()).is_ok();
        let env = open_in(&disk.root());
        let back = env.identity().generation == 1;
        died_late += u32::from(back && !gone_back);
        fill(&env, 700, 1);
        let committed = content(&env);
        std::mem::forget(env);
        for crashed in disk.crash_images(Level::LoseAll, &Bounds::smoke()) {
            let found = content(&open_in(&crashed.image.to_mem().root()));
            assert_eq!(found, committed, "after {calls} calls: {crashed}");
        }
    }
    assert!(died_late > 0);
}
