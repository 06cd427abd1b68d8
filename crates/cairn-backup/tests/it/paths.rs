//! Paths at which there is no backup, no environment and no repository: what each call says of them.

use std::path::Path;

use cairn_backup::{
    BackupError, BackupOptions, Manifest, Repository, RestoreOptions, RestoreTo, backup, check_key,
    forget_old, is_encrypted, open_backup, restore, undo_restore, verify,
};
use cairn_env::{Environment, ErrorKind, KeySource};

use crate::fixture::{fill, options};

fn key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|at| u8::try_from(at + 1).unwrap()))
}

/// What is not there is not there; what is there and is no directory is something else.
#[test]
fn a_path_that_is_missing_is_told_from_one_that_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, file) = (dir.path().join("missing"), dir.path().join("file"));
    std::fs::write(&file, b"a file").unwrap();
    let target = dir.path().join("target");
    type Call<'a> = &'a dyn Fn(&Path) -> Result<(), BackupError>;
    let rows: [(&str, Call<'_>); 6] = [
        ("verify", &|path| verify(path, None).map(drop)),
        ("check the key", &|path| check_key(path, None).map(drop)),
        ("open", &|path| open_backup(path, &RestoreOptions::default()).map(drop)),
        ("restore", &|path| restore(path, &target, &RestoreOptions::default()).map(drop)),
        ("undo a restore", &|path| undo_restore(path).map(drop)),
        ("forget the old", &|path| forget_old(path, options()).map(drop)),
    ];
    for (what, call) in rows {
        let error = call(&missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{what}: {error}");
        assert!(error.to_string().contains("missing"), "{what}: {error}");
        let error = call(&file).unwrap_err();
        assert!(matches!(error, BackupError::Io(_)), "{what}: {error}");
        assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
    }
    let error = Repository::open(&missing).unwrap_err();
    assert!(matches!(error, BackupError::NotARepository { .. }), "{error}");
    let error = Repository::open(&file).unwrap_err();
    assert!(matches!(error, BackupError::Io(_)), "{error}");
    assert!(!target.exists());
    assert_eq!(std::fs::read(&file).unwrap(), b"a file");
}

#[test]
fn journal_that_is_to_be_read_from_no_directory_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (env, _) = Environment::open(at("live"), options()).unwrap();
    fill(&env, 0, 3);
    backup(&env, at("saved"), &BackupOptions::default()).unwrap();
    std::fs::write(at("file"), b"a file").unwrap();
    for (path, kind) in [("missing", ErrorKind::NotFound), ("file", ErrorKind::Io)] {
        let path = at(path);
        let how = RestoreOptions::default().options(options()).to(RestoreTo::Commit(2));
        let error = restore(at("saved"), at("back"), &how.journal(&path)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!at("back").exists());
    }
}

#[test]
fn whether_a_restore_needs_a_key_is_known_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("live")).unwrap();
    for (name, options) in [("plain", options()), ("encrypted", options().key(key()))] {
        let (env, _) = Environment::open(at("live").join(name), options).unwrap();
        fill(&env, 0, 3);
        backup(&env, at(name), &BackupOptions::default()).unwrap();
    }
    assert!(!is_encrypted(at("plain")) && is_encrypted(at("encrypted")));
    assert!(!is_encrypted(at("missing")) && !is_encrypted(dir.path()));
    check_key(at("encrypted"), Some(&key())).unwrap();
    let kinds = [
        (at("plain"), None),
        (at("plain"), Some(key())),
        (at("encrypted"), None),
        (at("encrypted"), Some(KeySource::raw(&mut [8, 9].repeat(16).try_into().unwrap()))),
    ]
    .map(|(path, key)| match check_key(path, key.as_ref()).unwrap_err() {
        BackupError::Env(error) => {
            assert_eq!(error.kind(), ErrorKind::Key);
            format!("{error:?}").split_once(' ').unwrap().0.to_owned()
        }
        error => panic!("{error}"),
    });
    assert_eq!(kinds, ["NotEncrypted", "NotEncrypted", "KeyRequired", "WrongKey"]);
}

/// What somebody has appended to for ever is damage, and not a disk that does not answer.
#[test]
fn a_manifest_or_keyring_that_has_grown_beyond_all_bounds_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path().join("live"), options().key(key())).unwrap();
    fill(&env, 0, 3);
    let saved = dir.path().join("saved");
    backup(&env, &saved, &BackupOptions::default()).unwrap();
    let how = RestoreOptions::default().options(options().key(key()));
    let grow = |name: &str, length| {
        let path = saved.join(name);
        let before = std::fs::read(&path).unwrap();
        // Without a byte more on the disk.
        #[expect(clippy::disallowed_methods, reason = "somebody else writes into the backup")]
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        (path, before)
    };
    let (path, before) = grow("files/KEYRING", (1 << 20) + 1);
    let report = verify(&saved, None).unwrap();
    let [found] = &*report.findings else { panic!("{:?}", report.findings) };
    for error in [
        &found.error,
        &check_key(&saved, Some(&key())).unwrap_err(),
        &restore(&saved, dir.path().join("back"), &how).unwrap_err(),
    ] {
        assert!(matches!(error, BackupError::FileDamaged { .. }), "{error}");
        assert!(error.to_string().contains("KEYRING"), "{error}");
    }
    std::fs::write(path, before).unwrap();
    let (path, before) = grow("MANIFEST", (128 << 20) + 1);
    for error in [
        verify(&saved, None).unwrap_err(),
        restore(&saved, dir.path().join("back"), &how).unwrap_err(),
    ] {
        assert!(matches!(error, BackupError::ManifestDamaged { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    std::fs::write(path, before).unwrap();
    assert!(!dir.path().join("back").exists());
    restore(&saved, dir.path().join("back"), &how).unwrap();
    let text = std::fs::read_to_string(saved.join("MANIFEST")).unwrap();
    assert!(Manifest::decode(&text).is_ok());
}
