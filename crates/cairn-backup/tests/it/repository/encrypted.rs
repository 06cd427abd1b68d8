//! Encrypted repositories: what shows of them, who may do what, and keys that come and go.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, LocalBackend, MemoryBackend, ObjectName, PointOptions,
    ProveOptions, Repository, RestoreOptions, RestoreTo, ShipOptions, Which,
};
use cairn_env::{DatabaseOptions, EnvError, Environment, ErrorKind, KeySource};
use cairn_io::{MemDisk, Name};
use cairn_log::nonces;
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use super::{
    backups::assert_sound,
    both::below,
    fixture::{Kind, backup, local, passphrase, raw_key, restored},
    tricky::{Fate, tricky},
};
use crate::fixture::{content, fill, open, options, world};

type Objects = BTreeMap<ObjectName, Vec<u8>>;

/// All but the wrapped keys.
fn without_keys(mut objects: Objects) -> Objects {
    objects.retain(|name, _| !matches!(name, ObjectName::Keyring { .. }));
    objects
}

fn opened(backend: &Arc<MemoryBackend>) -> Repository {
    Repository::open_in(Arc::clone(backend) as _, &world()).unwrap()
}

/// An encrypted repository with two points and shipped journal.
fn saved(key: &KeySource) -> (Arc<MemoryBackend>, Repository, MemDisk) {
    let (backend, disk) = (Arc::new(MemoryBackend::new()), MemDisk::new());
    let place = Arc::clone(&backend) as _;
    let repository = Repository::create_encrypted_in(place, &world(), key).unwrap();
    let env = open(&disk);
    for n in 0..2 {
        fill(&env, n * 10, 10);
        backup(&repository, &env);
    }
    let how = ShipOptions::default().options(options());
    let mut shipper = repository.shipper(disk.root(), &world(), how).unwrap();
    fill(&env, 100, 3);
    env.close().unwrap();
    shipper.step().unwrap();
    (backend, repository, disk)
}

#[test]
fn each_point_and_moment_comes_back_from_an_encrypted_repository() {
    let (backend, repository, disk) = saved(&raw_key(1));
    assert_sound(&repository);
    let repository = opened(&backend).unlock(&raw_key(1)).unwrap();
    assert_sound(&repository);
    let env = open(&disk);
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options()).to(RestoreTo::Newest);
    repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
    assert_eq!(content(&open(&target)), content(&env));
    let how = ProveOptions::default().options(options());
    let report = repository.prove(None, &Which::Number(2), &how).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    fill(&env, 200, 4);
    let third = backup(&repository, &env);
    assert!(third.kept_bytes > 0, "{third:?}");
    assert_eq!(restored(&repository, &Which::Number(3)), content(&env));
    assert_sound(&repository);
}

/// Invariant 18.
#[test]
fn after_a_rotation_the_old_passphrase_fails_the_new_one_opens_and_no_object_is_rewritten() {
    let (old, new) = (passphrase("old"), passphrase("new"));
    let (backend, repository, disk) = saved(&old);
    let before = backend.objects();
    let points = repository.points(None).unwrap().len();
    // Two who have it open, since before.
    let other = opened(&backend).unlock(&old).unwrap();
    let slot = repository.rotate_key(&new).unwrap();
    assert_eq!((slot.name.as_str(), repository.opened_by()), ("first", Some(slot.number)));
    let after = backend.objects();
    assert_eq!(without_keys(before.clone()), without_keys(after.clone()));
    assert!(before.keys().filter(|name| matches!(name, ObjectName::Keyring { .. })).count() == 2);
    assert!(after.keys().all(|name| matches!(name, ObjectName::Keyring { number: 2, .. })
        || !matches!(name, ObjectName::Keyring { .. })));
    let error = opened(&backend).unlock(&old).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    let opened = opened(&backend).unlock(&new).unwrap();
    assert_eq!(opened.points(None).unwrap().len(), points);
    assert_sound(&opened);
    let env = open(&disk);
    backup(&opened, &env);
    backup(&repository, &env);
    // Who has it open with the old one still reads, and writes nothing any more.
    assert_sound(&other);
    let there = backend.objects();
    let error = other.backup(&env, &PointOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    let error = other.add_key("more", &raw_key(9)).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    assert_eq!(backend.objects(), there);
}

#[test]
fn keys_are_added_listed_and_removed_but_not_the_last_one() {
    let (backend, repository, _) = saved(&raw_key(1));
    let opens = |key: &KeySource| opened(&backend).unlock(key).is_ok();
    let second = repository.add_key("office", &passphrase("office")).unwrap();
    repository.add_key("recovery", &raw_key(3)).unwrap();
    let names = |repository: &Repository| -> Vec<_> {
        repository.keys().unwrap().slots.into_iter().map(|slot| slot.name).collect()
    };
    assert_eq!(names(&opened(&backend)), ["first", "office", "recovery"]);
    assert!(opens(&raw_key(1)) && opens(&passphrase("office")) && opens(&raw_key(3)));
    let error = repository.add_key("office", &raw_key(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // Any key may change them, whoever has changed them before.
    let other = opened(&backend).unlock(&raw_key(3)).unwrap();
    other.remove_key(second.number).unwrap();
    assert!(!opens(&passphrase("office")));
    repository.remove_key(repository.opened_by().unwrap()).unwrap();
    assert!(!opens(&raw_key(1)) && opens(&raw_key(3)));
    let there = backend.objects();
    let error = other.remove_key(other.opened_by().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = other.remove_key(77).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = opened(&backend).add_key("mine", &raw_key(5)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryKeyRequired { .. }), "{error}");
    assert_eq!(backend.objects(), there);
    assert_eq!(names(&other), ["recovery"]);
}

/// Invariant 19.
#[test]
fn a_wrong_or_missing_key_is_found_before_anything_is_written() {
    let (backend, _, disk) = saved(&raw_key(1));
    let there = backend.objects();
    let locked = opened(&backend);
    assert!(locked.is_encrypted() && locked.is_locked());
    let needs_key = |result: Result<(), BackupError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, BackupError::RepositoryKeyRequired { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Key);
    };
    let (env, target) = (open(&disk), MemDisk::new());
    needs_key(locked.backup(&env, &PointOptions::default()).map(drop));
    needs_key(locked.points(None).map(drop));
    needs_key(locked.find(None, &Which::Newest).map(drop));
    needs_key(locked.intervals(None).map(drop));
    needs_key(locked.prove(None, &Which::Newest, &ProveOptions::default()).map(drop));
    needs_key(locked.open_backup(None, &Which::Newest, &RestoreOptions::default()).map(drop));
    for to in [RestoreTo::Newest, RestoreTo::Commit(3)] {
        let how = RestoreOptions::default().options(options()).to(to);
        let root = target.root();
        needs_key(locked.restore_in(None, &Which::Newest, &root, &world(), &how).map(drop));
    }
    for level in [CheckLevel::Content, CheckLevel::Structure, CheckLevel::Open] {
        needs_key(locked.check(&CheckOptions::default().level(level)).map(drop));
    }
    needs_key(locked.check(&CheckOptions::default().record(true)).map(drop));
    needs_key(locked.shipper(disk.root(), &world(), ShipOptions::default()).map(drop));
    assert!(target.root().list().unwrap().is_empty());
    for wrong in 0..1000_u32 {
        let mut key = *blake3::hash(&wrong.to_le_bytes()).as_bytes();
        let error = opened(&backend).unlock(&KeySource::raw(&mut key)).unwrap_err();
        assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    }
    let error = opened(&backend).unlock(&passphrase("right kind of nothing")).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    assert_eq!(backend.objects(), there);

    let plain = Repository::create_in(Arc::new(MemoryBackend::new()), &world()).unwrap();
    let error = plain.keys().unwrap_err();
    assert!(matches!(error, BackupError::RepositoryNotEncrypted { .. }), "{error}");
    let error = plain.unlock(&raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryNotEncrypted { .. }), "{error}");
}

#[test]
fn a_locked_repository_says_what_it_is_and_whether_it_is_whole() {
    let (backend, repository, _) = saved(&raw_key(1));
    let locked = opened(&backend);
    let (info, of_owner) = (locked.info().unwrap(), repository.info().unwrap());
    assert!(info.encrypted);
    assert_eq!(info.environments[0].points, 2);
    assert!(info.environments[0].timelines.iter().all(|(_, origin)| origin.is_none()));
    assert!(of_owner.environments[0].timelines.iter().all(|(_, origin)| origin.is_some()));
    for level in [CheckLevel::Present, CheckLevel::Stored] {
        let how = CheckOptions::default().level(level);
        let (report, full) = (locked.check(&how).unwrap(), repository.check(&how).unwrap());
        assert_eq!((&report.findings, &full.findings), (&Vec::new(), &Vec::new()));
        assert_eq!((report.points, report.segments), (full.points, full.segments));
        assert_eq!((report.objects, report.bytes), (full.objects, full.bytes));
        assert_eq!((report.unused_objects, report.foreign), (0, Vec::new()));
    }
}

/// Invariant 20: of labels, names and content nothing shows, at no moment.
#[test]
fn no_canary_is_anywhere_in_an_encrypted_repository_at_any_moment() {
    const CANARY: &[u8] = b"canary-in-the-coal-mine";
    let text = str::from_utf8(CANARY).unwrap();
    let disk = SimDisk::new();
    let world = SimWorld::new(3).world();
    let place = below(&disk.root(), "repo");
    let memory = MemDisk::new();
    let (env, _) = Environment::open_in(memory.root(), world.clone(), options()).unwrap();
    let db = env.database(text, DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, CANARY, &CANARY.repeat(300))).unwrap();
    let key = KeySource::passphrase(CANARY).unwrap();
    let key = key.cost(cairn_env::KdfCost::new(8, 1).unwrap());
    let made = Repository::create_encrypted_in(local(place), &world, &key).unwrap();
    let how = PointOptions::default().label(text);
    made.backup(&env, &how.compression(cairn_archive::Compression::None)).unwrap();
    let how = ShipOptions::default().options(options());
    let mut shipper = made.shipper(memory.root(), &world, how).unwrap();
    env.write(|txn| txn.put(&db, CANARY, CANARY)).unwrap();
    shipper.step().unwrap();
    made.prove(None, &Which::Newest, &ProveOptions::default().options(options())).unwrap();
    made.rotate_key(&passphrase(&text.repeat(2))).unwrap();
    let (trace, mut files) = (disk.trace(), 0);
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for crashed in cut.crash().images(Level::KeepAll, &Bounds::smoke()) {
            for (path, _) in crashed.image.files() {
                assert!(!path.contains(text), "{path}");
                let bytes = crashed.image.read(path).unwrap();
                let shows = bytes.windows(CANARY.len()).any(|window| window == CANARY);
                assert!(!shows, "{path}");
                files += 1;
            }
        }
    }
    assert!(files > 500, "{files}");
}

/// The other way round: what the test above looks for does show where nothing is encrypted.
#[test]
fn a_canary_shows_in_a_repository_that_is_not_encrypted() {
    let backend = Arc::new(MemoryBackend::new());
    let repository = Kind::Plain.create(Arc::clone(&backend) as _);
    let env = open(&MemDisk::new());
    let db = env.database("canary", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, b"canary", b"canary")).unwrap();
    let how = PointOptions::default().compression(cairn_archive::Compression::None);
    repository.backup(&env, &how).unwrap();
    let shows = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"canary");
    assert!(backend.objects().values().any(|bytes| shows(bytes)));
}

#[test]
fn no_nonce_is_used_twice_under_a_key_of_a_repository() {
    nonces::watch();
    let world = SimWorld::new(3).world();
    let (disk, place) = (MemDisk::new(), Arc::new(MemoryBackend::new()));
    let (env, _) = Environment::open_in(disk.root(), world.clone(), options()).unwrap();
    let repository = Kind::Unlocked.create_at(place, &world);
    for n in 0..4 {
        fill(&env, n * 10, 10);
        backup(&repository, &env);
    }
    let how = ShipOptions::default().options(options());
    let mut shipper = repository.shipper(disk.root(), &world, how).unwrap();
    fill(&env, 100, 3);
    shipper.step().unwrap();
    repository.rotate_key(&raw_key(7)).unwrap();
    repository.add_key("more", &raw_key(8)).unwrap();
    assert!(nonces::count() > 30, "{}", nonces::count());
}

/// One copy of the wrapped keys is enough.
#[test]
fn the_wrapped_keys_are_there_twice_and_either_opens() {
    let (backend, _, _) = saved(&raw_key(1));
    let objects = backend.objects();
    let keys = objects.keys().filter(|name| matches!(name, ObjectName::Keyring { .. }));
    let keys: Vec<_> = keys.copied().collect();
    let [one, two] = keys[..] else { panic!("{keys:?}") };
    for (name, bytes) in [one, two].map(|name| (name, objects[&name].clone())) {
        for damaged in [None, Some(Vec::new()), Some(bytes[..bytes.len() - 1].to_vec())] {
            let backend = Arc::new(MemoryBackend::new());
            for (other, bytes) in &objects {
                let bytes = if *other == name { damaged.clone() } else { Some(bytes.clone()) };
                bytes.into_iter().for_each(|bytes| backend.replace(*other, bytes));
            }
            assert_sound_but(&opened(&backend).unlock(&raw_key(1)).unwrap(), name);
        }
    }
    // Without both, the error says what is missing.
    let backend = Arc::new(MemoryBackend::new());
    without_keys(objects).into_iter().for_each(|(name, bytes)| backend.replace(name, bytes));
    let error = opened(&backend).unlock(&raw_key(1)).unwrap_err();
    assert!(matches!(&error, BackupError::Object(object) if object.object() == one), "{error}");
}

#[track_caller]
fn assert_sound_but(repository: &Repository, damaged: ObjectName) {
    let report = repository.check(&CheckOptions::default()).unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| finding.object).collect();
    assert_eq!(found, [damaged]);
}

/// Whoever clears the mark of encryption gets nothing stored in the clear.
#[test]
fn what_is_not_encrypted_does_not_pass_in_an_encrypted_repository_nor_the_other_way_round() {
    let env = open(&MemDisk::new());
    fill(&env, 0, 10);
    let [plain, encrypted] = [Kind::Plain, Kind::Unlocked].map(|kind| {
        let backend = Arc::new(MemoryBackend::new());
        backup(&kind.create(Arc::clone(&backend) as _), &env);
        backend.objects()
    });
    let mut exchanged = 0;
    for (kind, mut objects, others) in
        [(Kind::Plain, plain.clone(), &encrypted), (Kind::Unlocked, encrypted.clone(), &plain)]
    {
        // The same random numbers are the same uuid: only the encryption differs.
        let point = |name: &ObjectName| matches!(name, ObjectName::Point { .. });
        let name = *others.keys().find(|name| point(name)).unwrap();
        objects.insert(name, others[&name].clone());
        let backend = Arc::new(MemoryBackend::new());
        objects.into_iter().for_each(|(name, bytes)| backend.replace(name, bytes));
        let error = kind.open(backend).unwrap().find(None, &Which::Newest).unwrap_err();
        let is_it = error.to_string().contains("encrypted, other than all of this repository");
        assert!(is_it && error.kind() == ErrorKind::Corrupt, "{error}");
        exchanged += 1;
    }
    assert_eq!(exchanged, 2);
    // A header that says that nothing is encrypted is refused by who has a key.
    let backend = Arc::new(MemoryBackend::new());
    encrypted.into_iter().for_each(|(name, bytes)| backend.replace(name, bytes));
    backend.replace(ObjectName::Header, plain[&ObjectName::Header].clone());
    let error = opened(&backend).unlock(&raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryNotEncrypted { .. }), "{error}");
}

/// A store that fails, or whose answer is lost, at each step of a change of keys.
#[test]
fn whatever_fails_while_keys_are_changed_one_set_of_them_counts() {
    for fate in [Fate::Lost, Fate::Unknown] {
        let mut failures = 0;
        loop {
            let (backend, _, _) = saved(&raw_key(1));
            let (mut count, failing) = (0, failures);
            let hook = move |_: &ObjectName| {
                count += 1;
                if count - 1 == failing { fate } else { Fate::Good }
            };
            let place = tricky(&backend, hook, |_, _| {}).unlock(&raw_key(1)).unwrap();
            let result = place.rotate_key(&raw_key(2));
            let opens = [1, 2].map(|key| opened(&backend).unlock(&raw_key(key)).is_ok());
            if result.is_ok() {
                assert_eq!(opens, [false, true]);
                break;
            }
            assert!(opens == [true, false] || opens == [false, true], "{fate:?} {failures}");
            let key = raw_key(if opens[0] { 1 } else { 2 });
            let again = opened(&backend).unlock(&key).unwrap();
            again.rotate_key(&raw_key(3)).unwrap();
            assert!(opened(&backend).unlock(&key).is_err());
            assert_sound(&opened(&backend).unlock(&raw_key(3)).unwrap());
            failures += 1;
        }
        assert_eq!(failures, 2, "both copies");
    }
}

#[test]
fn of_two_who_change_keys_at_the_same_time_one_does() {
    let (backend, repository, _) = saved(&raw_key(1));
    let mut other = Some(repository);
    let hook = move |_: &ObjectName| {
        if let Some(other) = other.take() {
            other.add_key("faster", &raw_key(5)).unwrap();
        }
        Fate::Good
    };
    let slower = tricky(&backend, hook, |_, _| {}).unlock(&raw_key(1)).unwrap();
    let error = slower.add_key("slower", &raw_key(6)).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::Busy { .. })), "{error}");
    slower.add_key("slower", &raw_key(6)).unwrap();
    let names: Vec<_> = slower.keys().unwrap().slots.into_iter().map(|slot| slot.name).collect();
    assert_eq!(names, ["first", "faster", "slower"]);
    for key in [1, 5, 6] {
        assert!(opened(&backend).unlock(&raw_key(key)).is_ok(), "{key}");
    }
}

#[test]
fn an_encrypted_repository_is_made_where_another_try_has_left_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("repo");
    drop(Repository::create_encrypted(&place, &raw_key(1)).unwrap());
    // As whoever died before the header was stored.
    cairn_io::RealDir::open(&place).unwrap().remove(&Name::constant("repo.cairn")).unwrap();
    let repository = Repository::create_encrypted(&place, &raw_key(2)).unwrap();
    assert_eq!(std::fs::read_dir(place.join("keys")).unwrap().count(), 2);
    assert!(Repository::open(&place).unwrap().unlock(&raw_key(1)).is_err());
    let error = Repository::create_encrypted(&place, &raw_key(3)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryExists { .. }), "{error}");
    assert!(repository.keys().unwrap().slots.len() == 1);
    let error = LocalBackend::create(dir.path()).unwrap_err();
    assert!(matches!(error, BackupError::TargetNotEmpty { .. }), "{error}");
}

#[test]
fn of_two_who_make_a_repository_one_does_and_its_keys_stay() {
    let backend = Arc::new(MemoryBackend::new());
    let (inner, mut is_first) = (Arc::clone(&backend), true);
    let hook = move |name: &ObjectName| {
        if *name == ObjectName::Header && std::mem::take(&mut is_first) {
            let other = SimWorld::new(99).world();
            let place = Arc::clone(&inner) as _;
            Repository::create_encrypted_in(place, &other, &raw_key(2)).unwrap();
        }
        Fate::Good
    };
    let place = || super::tricky::place(&backend, |_| Fate::Good, |_, _| {});
    let slower = super::tricky::place(&backend, hook, |_, _| {});
    let error = Repository::create_encrypted_in(slower, &world(), &raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryExists { .. }), "{error}");
    let objects = backend.objects();
    assert_eq!(objects.len(), 3, "the header, and the keys of one of them: {:?}", objects.keys());
    assert!(opened(&backend).unlock(&raw_key(2)).is_ok());
    // And whoever comes later does not even store keys.
    let error = Repository::create_encrypted_in(place(), &world(), &raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryExists { .. }), "{error}");
    assert_eq!(backend.objects(), objects);
}

/// A listing may be older than the last change of the keys.
#[test]
fn keys_that_a_listing_lacks_count_all_the_same() {
    let (backend, repository, _) = saved(&raw_key(1));
    let folder = cairn_backup::Folder::Keys;
    let old = cairn_backup::RepoBackend::list(&*backend, &folder).unwrap();
    repository.rotate_key(&raw_key(2)).unwrap();
    let stale = move |folder: &cairn_backup::Folder, listed: &mut Vec<_>| {
        if *folder == cairn_backup::Folder::Keys {
            listed.clone_from(&old);
        }
    };
    let place = tricky(&backend, |_| Fate::Good, stale);
    let error = place.clone().unlock(&raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    let place = place.unlock(&raw_key(2)).unwrap();
    place.add_key("more", &raw_key(3)).unwrap();
    assert_eq!(place.keys().unwrap().slots.len(), 2);
    assert!(opened(&backend).unlock(&raw_key(3)).is_ok());
}

/// Nobody waits for ever for others who keep changing the keys.
#[test]
fn keys_that_are_others_each_time_end_in_busy() {
    let (backend, _, _) = saved(&raw_key(1));
    let name = backend.objects().into_keys().find_map(|name| match name {
        ObjectName::Keyring { repository, .. } => Some(repository),
        _ => None,
    });
    let (repository, mut number) = (name.unwrap(), 100);
    let lie = move |folder: &cairn_backup::Folder, listed: &mut Vec<cairn_backup::Listed>| {
        if *folder == cairn_backup::Folder::Keys {
            number += 10;
            let name = ObjectName::Keyring { repository, number, copy: 1 };
            let (name, length) = (name.name().to_string(), Some(1));
            *listed = vec![cairn_backup::Listed { name, length }];
        }
    };
    let error = tricky(&backend, |_| Fate::Good, lie).unlock(&raw_key(1)).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::Busy { .. })), "{error}");
    assert_eq!(error.kind(), ErrorKind::Busy);
}

#[test]
fn a_key_that_cannot_be_had_is_told_from_a_wrong_one() {
    let (backend, _, _) = saved(&raw_key(1));
    let gone = KeySource::key_file("/nowhere/at/all/key");
    let error = opened(&backend).unlock(&gone).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::KeyUnavailable { .. })), "{error}");
    assert!(error.to_string().contains("/nowhere/at/all/key"), "{error}");
}
