//! Backups of encrypted environments: the keyring goes with them, and nothing is written for a wrong key.

use cairn_backup::{
    BackupError, BackupOptions, BackupReport, BackupResult, MANIFEST_NAME, Manifest,
    RestoreOptions, RestoreReport, backup_to, check_key_in, publish_in, restore_from, verify_in,
};
use cairn_env::{EnvError, Environment, EnvironmentKeys, ErrorKind, KdfCost, KeySource, Options};
use cairn_io::{FileExt, MemDisk, Name};

use crate::fixture::{content, fill, options, world};

fn key(text: &str) -> KeySource {
    KeySource::passphrase(text).unwrap().cost(KdfCost::new(8, 1).unwrap())
}

fn with(key: &KeySource) -> Options {
    options().key(key.clone())
}

fn open(disk: &MemDisk, key: &KeySource) -> Environment {
    Environment::open_in(disk.root(), world(), with(key)).unwrap().0
}

fn backup(env: &Environment, options: &BackupOptions<'_>) -> BackupResult<(MemDisk, BackupReport)> {
    let saved = MemDisk::new();
    let report = backup_to(env, &saved.root(), &world(), options)?;
    Ok((saved, report))
}

fn restore(
    saved: &MemDisk,
    to: &MemDisk,
    options: Options,
    in_place: bool,
) -> BackupResult<RestoreReport> {
    let options = RestoreOptions::default().options(options).in_place(in_place);
    restore_from(&saved.root(), &to.root(), &world(), &options)
}

fn rotate(disk: &MemDisk, old: &KeySource, new: &KeySource) {
    let keys = EnvironmentKeys::open_in(disk.root(), world()).unwrap();
    keys.unlock(old).unwrap().rotate(new).unwrap();
}

#[test]
fn a_backup_has_the_keys_of_its_time() {
    let (disk, back, monday, tuesday) =
        (MemDisk::new(), MemDisk::new(), key("monday"), key("tuesday"));
    let env = open(&disk, &monday);
    fill(&env, 0, 60);
    let (saved, _) = backup(&env, &BackupOptions::default()).unwrap();
    let expected = content(&env);
    env.close().unwrap();
    rotate(&disk, &monday, &tuesday);
    check_key_in(&*saved.root(), Some(&monday)).unwrap();
    restore(&saved, &back, with(&monday), false).unwrap();
    assert_eq!(content(&open(&back, &monday)), expected);
    // In place as well, and what is kept has its own.
    restore(&saved, &disk, with(&monday), true).unwrap();
    let opens = |key: &KeySource| Environment::open_in(disk.root(), world(), with(key)).is_ok();
    assert!(opens(&monday) && !opens(&tuesday));
    cairn_env::undo_restore(disk.root()).unwrap();
    assert!(!opens(&monday) && opens(&tuesday));
    cairn_env::forget_old_generation(disk.root(), &world(), with(&tuesday)).unwrap();
    assert!(opens(&tuesday));
    let keyrings = disk.files().into_iter().filter(|(path, _)| path.ends_with("KEYRING"));
    assert_eq!(keyrings.count(), 1);
}

#[test]
fn nothing_is_written_for_a_wrong_key_or_without_one() {
    let (disk, right) = (MemDisk::new(), key("right"));
    let env = open(&disk, &right);
    fill(&env, 0, 30);
    let (saved, _) = backup(&env, &BackupOptions::default()).unwrap();
    let plain = MemDisk::new();
    let plain_env = crate::fixture::open(&plain);
    fill(&plain_env, 0, 3);
    plain_env.close().unwrap();
    let (plain_saved, _) =
        backup(&crate::fixture::open(&plain), &BackupOptions::default()).unwrap();
    type Expected = fn(&EnvError) -> bool;
    let cases: [(&MemDisk, Options, Expected); 3] = [
        (&saved, with(&key("wrong")), |error| matches!(error, EnvError::WrongKey { .. })),
        (&saved, options(), |error| matches!(error, EnvError::KeyRequired { .. })),
        (&plain_saved, with(&right), |error| matches!(error, EnvError::NotEncrypted { .. })),
    ];
    for (saved, options, expected) in cases {
        for in_place in [false, true] {
            let target = if in_place { plain.fork() } else { MemDisk::new() };
            let before = target.files();
            let error = restore(saved, &target, options.clone(), in_place).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Key);
            assert!(matches!(&error, BackupError::Env(error) if expected(error)), "{error}");
            assert_eq!(target.files(), before);
        }
    }
}

#[test]
fn a_keyring_that_is_damaged_or_missing_in_a_backup_is_found_without_a_key() {
    let (disk, right) = (MemDisk::new(), key("right"));
    let env = open(&disk, &right);
    fill(&env, 0, 3);
    let (saved, _) = backup(&env, &BackupOptions::default()).unwrap();
    let report = verify_in(&*saved.root(), None).unwrap();
    assert!(report.findings.is_empty() && report.extra.is_empty(), "{report:?}");
    let is_found = |damaged: &MemDisk, what: &str| {
        let report = verify_in(&*damaged.root(), None).unwrap();
        let [finding] = &*report.findings else { panic!("{what}: {:?}", report.findings) };
        assert!(finding.error.to_string().contains("KEYRING"), "{what}: {}", finding.error);
        assert!(report.extra.is_empty());
        let error = restore(damaged, &MemDisk::new(), with(&right), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    };
    let bytes = saved.read("files/KEYRING").unwrap().len();
    for bit in (0..bytes * 8).step_by(7) {
        let damaged = saved.fork();
        damaged.edit("files/KEYRING", |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
        is_found(&damaged, &format!("bit {bit}"));
    }
    let missing = saved.fork();
    missing.remove("files/KEYRING").unwrap();
    is_found(&missing, "missing");
    let cut = saved.fork();
    cut.edit("files/KEYRING", |bytes| bytes.truncate(100)).unwrap();
    is_found(&cut, "cut");
}

/// Nobody learns from the first restore that their key is none any more.
#[test]
fn a_program_whose_key_was_rotated_away_is_refused_its_backup() {
    let (disk, old, new) = (MemDisk::new(), key("old"), key("new"));
    let env = open(&disk, &old);
    fill(&env, 0, 10);
    rotate(&disk, &old, &new);
    let error = backup(&env, &BackupOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::WrongKey { .. })), "{error}");
    fill(&env, 10, 10);
    env.close().unwrap();
    let (saved, _) = backup(&open(&disk, &new), &BackupOptions::default()).unwrap();
    restore(&saved, &MemDisk::new(), with(&new), false).unwrap();
}

#[test]
fn an_incremental_backup_has_the_newer_keyring() {
    let (disk, old, new) = (MemDisk::new(), key("old"), key("new"));
    let env = open(&disk, &old);
    fill(&env, 0, 60);
    let (first, _) = backup(&env, &BackupOptions::default()).unwrap();
    env.close().unwrap();
    rotate(&disk, &old, &new);
    let env = open(&disk, &new);
    fill(&env, 60, 20);
    let since = first.root();
    let (second, report) = backup(&env, &BackupOptions::default().since_in(&since)).unwrap();
    // Log files are shared, and the keyring is not: it is that of now.
    assert!(report.linked_files > 0);
    check_key_in(&*first.root(), Some(&old)).unwrap();
    check_key_in(&*second.root(), Some(&new)).unwrap();
    let back = MemDisk::new();
    restore(&second, &back, with(&new), false).unwrap();
    assert_eq!(content(&open(&back, &new)), content(&env));
}

#[test]
fn files_that_a_tool_has_copied_get_the_keyring_of_their_cut() {
    let (disk, right) = (MemDisk::new(), key("right"));
    let env = open(&disk, &right);
    fill(&env, 0, 30);
    let set = env.begin_backup().unwrap();
    let saved = MemDisk::new();
    let files = saved.root().create_dir(&Name::new("files").unwrap()).unwrap();
    files.create(&Name::new("KEYRING").unwrap()).unwrap().write_all_at(0, b"of yesterday").unwrap();
    for file in set.files() {
        let copy = files.create(&file.name.to_name()).unwrap();
        file.copy(|at, bytes| Ok::<_, EnvError>(copy.write_all_at(at, bytes)?)).unwrap();
    }
    publish_in(&set, &saved.root(), &world(), None).unwrap();
    let back = MemDisk::new();
    restore(&saved, &back, with(&right), false).unwrap();
    assert_eq!(content(&open(&back, &right)), content(&env));
}

/// Two environments with one passphrase: whatever the manifest says, the keyring of the one is not that of the other.
#[test]
fn the_keyring_of_another_environment_is_refused_by_name() {
    let right = key("right");
    let [(saved, one), (other, two)] = [3, 99].map(|seed| {
        let world = cairn_sim::SimWorld::new(seed).world();
        let (env, _) = Environment::open_in(MemDisk::new().root(), world, with(&right)).unwrap();
        fill(&env, 0, 3);
        let (saved, _) = backup(&env, &BackupOptions::default()).unwrap();
        (saved, env.identity().environment)
    });
    let theirs = other.read("files/KEYRING").unwrap();
    saved.write("files/KEYRING", theirs).unwrap();
    let mut manifest = Manifest::read(&*saved.root()).unwrap();
    manifest.keyring = Manifest::read(&*other.root()).unwrap().keyring;
    saved.write(MANIFEST_NAME, manifest.encode().into_bytes()).unwrap();
    let report = verify_in(&*saved.root(), None).unwrap();
    let [found] = &*report.findings else { panic!("{:?}", report.findings) };
    let target = MemDisk::new();
    let why = format!("it is the keyring of the environment {two}, the backup is of {one}");
    for error in [
        &found.error,
        &check_key_in(&*saved.root(), Some(&right)).unwrap_err(),
        &restore(&saved, &target, with(&right), false).unwrap_err(),
    ] {
        assert!(matches!(error, BackupError::Env(EnvError::ForeignFile { .. })), "{error}");
        assert!(error.to_string().contains(&why), "{error}");
    }
    assert_eq!(target.files(), []);
}

/// The key opens the keyring: whether it opens the files as well, only they can say.
#[test]
fn a_key_is_tried_on_the_first_record_of_a_file_and_damage_there_is_named() {
    let (disk, right) = (MemDisk::new(), key("right"));
    let env = open(&disk, &right);
    fill(&env, 0, 3);
    let (saved, _) = backup(&env, &BackupOptions::default()).unwrap();
    check_key_in(&*saved.root(), Some(&right)).unwrap();
    let file = Manifest::read(&*saved.root()).unwrap().files[0].name.to_string();
    let first = usize::try_from(cairn_log::HEADER_LEN).unwrap() + cairn_log::FRAME_LEN;
    saved.edit(&format!("files/{file}"), |bytes| bytes[first] ^= 1).unwrap();
    let error = check_key_in(&*saved.root(), Some(&right)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(&file), "{error}");
}
