//! Healing from a backup: what it has of a damaged file takes its place, whatever was committed since.

use std::collections::BTreeSet;

use cairn_backup::{BackupError, BackupOptions, backup_to, heal_from};
use cairn_env::EnvError;
use cairn_io::MemDisk;

use crate::fixture::{content, dir, fill, open, open_seeded, world};

#[test]
fn each_file_that_is_in_the_backup_is_healed_and_the_rest_is_listed() {
    let (live, saved) = (MemDisk::new(), MemDisk::new());
    let env = open(&live);
    fill(&env, 0, 80);
    env.checkpoint().unwrap();
    env.compact().unwrap();
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    fill(&env, 40, 60);
    env.checkpoint().unwrap();
    let expected = content(&env);
    let logs: Vec<String> = live.files().into_iter().map(|(path, _)| path).collect();
    let (mut healed, mut listed) = (BTreeSet::new(), 0);
    for path in logs.iter().filter(|path| path.ends_with(".log")) {
        let Ok(whole) = live.read(path) else { continue };
        live.edit(path, |bytes| bytes[4120] ^= 1).unwrap();
        let name = path.rsplit('/').next().unwrap();
        let report = heal_from(&env, &dir(&saved)).unwrap();
        if report.healed.is_empty() {
            // It came after the backup, is written to, or what was changed lies behind its end.
            let is_told = report.left.is_empty() || report.not_healed.contains_key(name);
            assert!(is_told, "{path}: {report:?}");
            listed += 1;
            live.edit(path, |bytes| bytes[4120] ^= 1).unwrap();
            continue;
        }
        assert_eq!(report.healed[0].file, name);
        assert!(report.left.is_empty(), "{path}: {report:?}");
        assert_eq!(live.read(path).unwrap(), whole, "{path}");
        healed.insert(name.as_bytes()[0]);
    }
    assert!(healed.contains(&b'N') && listed > 0, "{healed:?}, {listed}");
    assert_eq!(content(&env), expected, "nothing went back");
}

#[test]
fn nothing_is_taken_from_a_backup_of_another_environment_or_from_none() {
    let (live, other, saved) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let env = open(&live);
    fill(&env, 0, 10);
    let foreign = open_seeded(&other, 99);
    fill(&foreign, 0, 10);
    backup_to(&foreign, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    let error = heal_from(&env, &dir(&saved)).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::ForeignFile { .. })), "{error}");
    let error = heal_from(&env, &dir(&MemDisk::new())).unwrap_err();
    assert!(matches!(error, BackupError::NoManifest { .. }), "{error}");
}
