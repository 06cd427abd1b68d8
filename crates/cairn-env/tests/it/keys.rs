//! Opening an encrypted environment: by its keys, and by nothing else.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use cairn_env::{
    EnvError, EnvResult, Environment, EnvironmentKeys, ErrorKind, KdfCost, KeyProvider, KeyRequest,
    KeySource, Keyring, Options, RecoveryReport, held_keys,
};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::{TestEnv, small_options};

fn key(text: &str) -> KeySource {
    KeySource::passphrase(text).unwrap().cost(KdfCost::new(8, 1).unwrap())
}

fn with(key: KeySource) -> Options {
    small_options().key(key)
}

fn open(disk: &SimDisk, options: Options) -> EnvResult<(Environment, RecoveryReport)> {
    Environment::open_in(disk.root(), SimWorld::new(5).world(), options)
}

#[test]
fn an_encrypted_environment_opens_with_its_key_only() {
    for directories in [0, 3] {
        let disk = SimDisk::new();
        let options = with(key("right")).data_directories(directories);
        let mut test = TestEnv::on(disk.clone(), options);
        test.put("db", b"key", b"value");
        test.reopen();
        test.close();
        for read_only in [false, true] {
            let refused = |options: Options| open(&disk, options.read_only(read_only)).unwrap_err();
            assert!(matches!(refused(with(key("wrong"))), EnvError::WrongKey { .. }));
            assert!(matches!(refused(small_options()), EnvError::KeyRequired { .. }));
            let (env, report) = open(&disk, with(key("right")).read_only(read_only)).unwrap();
            assert!(report.unknown_files.is_empty(), "{report}");
            let db = env.find_database("db").unwrap().unwrap();
            assert_eq!(env.snapshot().unwrap().get(&db, b"key").unwrap().unwrap(), b"value");
            env.close().unwrap();
        }
    }
}

#[test]
fn a_plain_environment_takes_no_key() {
    let disk = SimDisk::new();
    TestEnv::on(disk.clone(), small_options()).close();
    let error = open(&disk, with(key("any"))).unwrap_err();
    assert!(matches!(error, EnvError::NotEncrypted { .. }) && error.kind() == ErrorKind::Key);
    let error = EnvironmentKeys::open_in(disk.root(), SimWorld::new(5).world()).unwrap_err();
    assert!(matches!(error, EnvError::NotEncrypted { .. }), "{error}");
    open(&disk, small_options()).unwrap();
}

#[test]
fn keys_come_from_files_bytes_and_callbacks_too() {
    struct Agent(bool);
    impl KeyProvider for Agent {
        fn key(
            &self,
            request: &KeyRequest<'_>,
            key: &mut [u8; 32],
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            if !self.0 {
                return Err("the agent is asleep".into());
            }
            *key = *request.salt;
            Ok(())
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("key");
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    fs::write(&path, bytes).unwrap();
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o600);
    let disk = SimDisk::new();
    open(&disk, with(KeySource::key_file(&path))).unwrap().0.close().unwrap();
    open(&disk, with(KeySource::raw(&mut bytes.clone()))).unwrap().0.close().unwrap();
    set_mode(0o644);
    let error = open(&disk, with(KeySource::key_file(&path))).unwrap_err();
    assert!(matches!(error, EnvError::KeyUnavailable { .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");

    let disk = SimDisk::new();
    let agent = |awake| KeySource::provider(Arc::new(Agent(awake)));
    open(&disk, with(agent(true))).unwrap().0.close().unwrap();
    open(&disk, with(agent(true))).unwrap().0.close().unwrap();
    let error = open(&disk, with(agent(false))).unwrap_err();
    assert!(error.to_string().contains("the agent is asleep"), "{error}");
    assert!(matches!(error, EnvError::KeyUnavailable { .. }));
}

#[test]
fn a_damaged_or_foreign_keyring_is_named() {
    let (disk, other) = (SimDisk::new(), SimDisk::new());
    TestEnv::on(disk.clone(), with(key("right"))).close();
    TestEnv::seeded(other.clone(), with(key("right")), 99).close();
    const KEYRING: &str = "g-000001/KEYRING";
    let image = disk.image();
    let refused = |image| {
        let error = open(&SimDisk::from_image(&image), with(key("right"))).unwrap_err();
        assert!(error.to_string().contains("KEYRING"), "{error}");
        error
    };
    for bit in (0..image.read(KEYRING).unwrap().len() * 8).step_by(11) {
        let error = refused(image.with_bit_flipped(KEYRING, bit));
        assert!(matches!(error, EnvError::KeyringDamaged { .. }), "bit {bit}: {error}");
    }
    let foreign = image.with_file(KEYRING, other.image().read(KEYRING).unwrap());
    assert!(matches!(refused(foreign), EnvError::ForeignFile { .. }));
}

#[test]
fn a_crash_while_an_encrypted_environment_is_created_leaves_nothing_or_all_of_it() {
    let disk = SimDisk::new();
    let options = with(key("right"));
    open(&disk, options.clone()).unwrap().0.close().unwrap();
    disk.mark("created", 1);
    let (trace, mut images) = (disk.trace(), 0);
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::full()) {
                let disk = SimDisk::from_image(&crashed.image);
                let (_, report) = open(&disk, options.clone())
                    .unwrap_or_else(|error| panic!("{crashed}: {error}"));
                assert!(!report.created || cut.mark("created").is_none(), "{crashed}");
                images += 1;
            }
        }
    }
    assert!(images > 30, "{images}");
}

#[test]
fn keys_change_while_the_environment_is_open() {
    let mut test = TestEnv::new(with(key("old")));
    test.put("db", b"key", b"value");
    let world = test.world.world();
    let keys = EnvironmentKeys::open_in(test.disk.root(), world).unwrap();
    let mut keys = keys.unlock(&key("old")).unwrap();
    keys.add("second", &key("second")).unwrap();
    keys.rotate(&key("new")).unwrap();
    let error = keys.begin_epoch().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    test.put("db", b"key", b"other");
    test.close();
    for (text, opens) in [("old", false), ("new", true), ("second", true)] {
        test.options = with(key(text));
        assert_eq!(test.open().is_ok(), opens, "{text}");
        if opens {
            test.close();
        }
    }
}

/// Beside a writer the state was held against the keys before the keyring was unlocked, so that no key was right.
#[test]
fn a_reader_beside_a_writer_opens_with_its_key() {
    let disk = SimDisk::new();
    let test = TestEnv::on(disk.clone(), with(key("right")));
    test.put("db", b"key", b"value");
    test.env().checkpoint().unwrap();
    let (reader, _) = open(&disk, with(key("right")).read_only(true)).unwrap();
    let db = reader.find_database("db").unwrap().unwrap();
    assert_eq!(reader.snapshot().unwrap().get(&db, b"key").unwrap().unwrap(), b"value");
    let refused = |options: Options| open(&disk, options.read_only(true)).unwrap_err();
    assert!(matches!(refused(with(key("wrong"))), EnvError::WrongKey { .. }));
    assert!(matches!(refused(small_options()), EnvError::KeyRequired { .. }));
}

/// The key that has opened the keyring is right. So what of the state does not fit it was changed, by somebody who
/// put the checksum right.
#[test]
fn a_slot_of_the_state_that_was_changed_is_no_wrong_key_and_no_foreign_keyring() {
    const SLOT: usize = 4096;
    let disk = SimDisk::new();
    let mut test = TestEnv::on(disk.clone(), with(key("right")));
    test.put("db", b"key", b"value");
    test.close();
    let image = disk.image();
    let state = "g-000001/STATE";
    let number = |slot: usize| image.read(state).unwrap()[slot * SLOT + 16];
    let newest = usize::from(number(1) > number(0)) * SLOT;
    for at in 16..288 {
        let changed = image.with_edit(state, |bytes| {
            bytes[newest + at] ^= 1;
            let crc = cairn_log::crc32c(&bytes[newest..newest + SLOT - 4]);
            bytes[newest + SLOT - 4..newest + SLOT].copy_from_slice(&crc.to_le_bytes());
        });
        let disk = SimDisk::from_image(&changed);
        match open(&disk, with(key("right"))) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
                assert!(error.to_string().contains("STATE"), "byte {at}: {error}");
            }
            Ok((_, report)) => assert!(report.state_slot_damaged, "byte {at}: {report}"),
        }
    }
}

#[test]
fn ten_thousand_wrong_keys_open_no_environment() {
    let disk = SimDisk::new();
    let mut test = TestEnv::on(disk.clone(), with(key("right")));
    test.put("db", b"key", b"value");
    test.close();
    let mut keys = EnvironmentKeys::open_in(disk.root(), SimWorld::new(5).world())
        .unwrap()
        .unlock(&key("right"));
    let raw = |n: u32| {
        let mut bytes = [0x5a; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        KeySource::raw(&mut bytes)
    };
    keys.as_mut().unwrap().add("raw", &raw(10_000)).unwrap();
    for n in 0..10_000 {
        let error = open(&disk, with(raw(n)).read_only(true)).unwrap_err();
        assert!(matches!(error, EnvError::WrongKey { .. }), "{n}: {error}");
    }
    open(&disk, with(raw(10_000)).read_only(true)).unwrap();
}

/// What is kept for whoever can open the environment is encrypted with these, so the file must hold them.
#[test]
fn the_held_keys_are_those_that_the_keyring_file_holds() {
    let disk = SimDisk::new();
    let (env, _) = open(&disk, with(key("right"))).unwrap();
    let held = held_keys(&env).unwrap().expect("it is encrypted");
    let keyring = Keyring::decode(&held.keyring, "KEYRING".as_ref()).unwrap();
    assert_eq!(keyring.environment(), env.identity().environment);
    assert!(keyring.unlock(&key("right")).unwrap().data_keys() == held.data_keys);
    env.close().unwrap();
    let (plain, _) = open(&SimDisk::new(), small_options()).unwrap();
    assert!(held_keys(&plain).unwrap().is_none());
}
