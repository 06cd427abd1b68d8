//! Damage to a backup, and to what is backed up: found, named, and never restored.

use cairn_backup::{
    BackupError, BackupOptions, RestoreOptions, backup_to, restore_from, verify_in,
};
use cairn_env::{Environment, ErrorKind};
use cairn_io::{IoOp, MemDisk};
use cairn_sim::{Fault, FaultDisk, Rule};

use crate::fixture::{content, dir, fill, open, open_in, options, saved, world};

#[test]
fn damage_anywhere_in_a_backup_is_found_and_named() {
    let (saved, _) = saved();
    for (path, len) in saved.files() {
        for at in [0, 1, 4000, 4096, 5000, len / 2, len - 100, len - 1] {
            if at >= len {
                continue;
            }
            let damaged = saved.fork();
            let at = usize::try_from(at).unwrap();
            damaged.edit(&path, |bytes| bytes[at] ^= 0x10).unwrap();
            let name = path.rsplit('/').next().unwrap();
            let found = match verify_in(&*dir(&damaged), None) {
                Err(error) => error.to_string(),
                Ok(report) => {
                    assert_eq!(report.findings.len(), 1, "{path} at {at}");
                    report.findings[0].error.to_string()
                }
            };
            assert!(found.contains(name), "{found}");
            let back = MemDisk::new();
            let result =
                restore_from(&dir(&damaged), &dir(&back), &world(), &RestoreOptions::default());
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt, "{path} at {at}");
            assert!(Environment::open_in(dir(&back), world(), options().create(false)).is_err());
        }
    }
}

/// A restore that could not read what it had written took that for damage.
#[test]
fn a_restore_whose_target_cannot_be_read_blames_the_disk() {
    let (saved, _) = saved();
    let mut failed = 0;
    for call in 0.. {
        let target = FaultDisk::new(MemDisk::new().root());
        target.inject(Rule::new(Fault::Eio).op(IoOp::Read).nth(call));
        let result =
            restore_from(&dir(&saved), &target.root(), &world(), &RestoreOptions::default());
        if !target.has_struck() {
            break;
        }
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Io, "call {call}: {error}");
            failed += 1;
        }
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn missing_cut_and_swapped_files_are_found_before_anything_is_written() {
    let (saved, _) = saved();
    let files: Vec<String> = saved.files().into_iter().map(|(path, _)| path).collect();
    let attempt = |damaged: &MemDisk| {
        let back = MemDisk::new();
        let result = restore_from(&dir(damaged), &dir(&back), &world(), &RestoreOptions::default());
        (result.unwrap_err(), back.files().len())
    };
    for path in files.iter().filter(|path| path.starts_with("files/")) {
        let damaged = saved.fork();
        damaged.remove(path).unwrap();
        let (error, written) = attempt(&damaged);
        assert!(matches!(error, BackupError::FileMissing { .. }), "{error}");
        assert_eq!(written, 0);
        let damaged = saved.fork();
        damaged.edit(path, |bytes| bytes.truncate(bytes.len() - 1)).unwrap();
        let (error, written) = attempt(&damaged);
        assert!(matches!(error, BackupError::FileDamaged { .. }), "{error}");
        assert_eq!(written, 0);
    }
    let damaged = saved.fork();
    damaged.remove("MANIFEST").unwrap();
    let (error, written) = attempt(&damaged);
    assert!(matches!(error, BackupError::NoManifest { .. }), "{error}");
    assert_eq!(written, 0);
}

#[test]
fn extra_files_in_a_backup_do_no_harm_and_are_mentioned() {
    let (saved, expected) = saved();
    saved.write("files/notes.txt", b"mine".to_vec()).unwrap();
    let report = verify_in(&*dir(&saved), None).unwrap();
    assert!(report.findings.is_empty());
    assert_eq!(report.extra, ["notes.txt"]);
    let back = MemDisk::new();
    restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    assert_eq!(content(&open(&back)), expected);
}

#[test]
fn a_damaged_environment_is_not_backed_up() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 200);
    env.checkpoint().unwrap();
    let node_file =
        disk.files().into_iter().find(|(path, len)| path.contains("/N-") && *len > 8000).unwrap();
    disk.edit(&node_file.0, |bytes| bytes[6000] ^= 1).unwrap();
    let saved = MemDisk::new();
    let error = backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let name = node_file.0.rsplit('/').next().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    assert!(verify_in(&*dir(&saved), None).is_err(), "nothing was published");
    assert!(env.is_valid());
}

/// What a read got wrong once went into the copy of a journal file that a crash had ended, and of every
/// seal: these were checked by reading them once more. Such a backup was whole by its manifest and did not
/// restore.
#[test]
fn a_read_that_is_wrong_once_never_gets_into_a_backup() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 10);
    env.checkpoint().unwrap();
    fill(&env, 10, 10);
    let crashed = disk.fork();
    drop(env);
    let (mut refused, mut whole) = (0, 0);
    // Bits of the file header, of the first records, and of whatever stands at the ends of files.
    for bit in [0, 900, 33_000, 40_003, 7_654_321, usize::MAX] {
        for nth in 0..40 {
            let faults = FaultDisk::new(crashed.fork().root());
            let env = open_in(&faults.root());
            faults.inject(Rule::new(Fault::FlippedRead(bit)).op(IoOp::Read).nth(nth));
            let saved = MemDisk::new();
            let made = backup_to(&env, &saved.root(), &world(), &BackupOptions::default());
            match made {
                Ok(_) | Err(_) if !faults.has_struck() => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}, read {nth}: {error}");
                    refused += 1;
                }
                Ok(_) => {
                    let back = MemDisk::new();
                    let options = RestoreOptions::default();
                    restore_from(&saved.root(), &back.root(), &world(), &options)
                        .unwrap_or_else(|error| panic!("bit {bit}, read {nth}: {error}"));
                    assert_eq!(content(&open(&back)), content(&env), "bit {bit}, read {nth}");
                    whole += 1;
                }
            }
        }
    }
    assert!(refused > 10, "{refused} refused, {whole} whole");
}
