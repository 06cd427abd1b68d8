//! Salvage of repositories: whatever can be read of one comes back, whatever else is damaged or gone, and it is said
//! what is not.

use std::{collections::BTreeSet, sync::Arc};

use cairn_backup::{
    BackupError, Folder, MemoryBackend, ObjectName, PointOptions, RepoBackend as _, Repository,
    RepositorySalvage, RepositorySalvageOptions, RestoreOptions, Which,
};
use cairn_env::{Environment, Options, SalvageOptions, SalvageReport, salvage_in, salvage_to_in};
use cairn_io::MemDisk;
use cairn_log::{DataKey, DataKeys};

use super::{
    fixture::{Kind, backup, raw_key, restored},
    shipped::{how, ship},
};
use crate::fixture::{Content, content, fill, open, options, world};

/// A repository with two points and the journal from there on, and what it leads to.
fn saved(options: &Options, kind: Kind) -> (Arc<MemoryBackend>, Content) {
    let (backend, disk) = (Arc::new(MemoryBackend::new()), MemDisk::new());
    let place = kind.create(Arc::clone(&backend) as _);
    let env = Environment::open_in(disk.root(), world(), options.clone()).unwrap().0;
    for n in 0..2 {
        fill(&env, n * 20, 30);
        env.checkpoint().unwrap();
        backup(&place, &env);
    }
    let mut shipper = place.shipper(disk.root(), &world(), how().options(options.clone())).unwrap();
    fill(&env, 45, 20);
    let expected = content(&env);
    env.close().unwrap();
    ship(&mut shipper);
    (backend, expected)
}

fn opened(backend: &Arc<MemoryBackend>, kind: Kind) -> Repository {
    let key = (kind != Kind::Plain).then(|| raw_key(1));
    Repository::open_damaged_in(Arc::clone(backend) as _, &world(), key.as_ref()).unwrap()
}

fn salvaged(place: &Repository) -> RepositorySalvage {
    place.salvage(&RepositorySalvageOptions::default()).unwrap()
}

/// What a new environment holds that was made of it.
fn into_new(found: &RepositorySalvage, options: &Options) -> (Content, SalvageReport) {
    let (target, what) = (MemDisk::new(), SalvageOptions::new().log_files_only(true));
    let from = found.directory.clone();
    let report = salvage_to_in(from, target.root(), world(), options.clone(), &what).unwrap();
    let env = Environment::open_in(target.root(), world(), options.clone()).unwrap().0;
    (content(&env), report)
}

fn objects(backend: &MemoryBackend, is_it: impl Fn(&ObjectName) -> bool) -> Vec<ObjectName> {
    backend.objects().into_keys().filter(is_it).collect()
}

const fn is_part(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Part { .. })
}

#[test]
fn everything_comes_back_with_nothing_left_but_the_bytes_of_log_files() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    for (options, kind) in [
        (options(), Kind::Plain),
        (options().encryption(keys), Kind::Plain),
        (options(), Kind::Unlocked),
    ] {
        let (backend, expected) = saved(&options, kind);
        let found = salvaged(&opened(&backend, kind));
        assert!(found.report.is_complete(), "{:?}", found.report);
        assert_eq!(found.report.points.len(), 2);
        let (whole, report) = into_new(&found, &options);
        assert!(whole == expected && report.damaged() == 0, "{report:?}");
        assert!(report.notes.is_empty(), "a repository has no CURRENT and no STATE: {report:?}");

        // The keys of an encrypted one are all that is needed beside them.
        let is_other =
            |name: &ObjectName| !is_part(name) && !matches!(name, ObjectName::Keyring { .. });
        for name in objects(&backend, is_other) {
            backend.delete(&name).unwrap();
        }
        assert!(Repository::open_in(Arc::clone(&backend) as _, &world()).is_err());
        let before = backend.objects();
        let place = opened(&backend, kind);
        let found = salvaged(&place);
        assert_eq!((found.report.points.len(), found.report.damaged.len()), (0, 0));
        assert!(!found.report.notes.is_empty() && found.report.missing.is_empty());
        assert!(into_new(&found, &options).0 == expected, "from {kind:?}");
        // Nothing is written there, now or later.
        let error = place.backup(&open(&MemDisk::new()), &PointOptions::default()).unwrap_err();
        assert!(error.to_string().contains("features"), "{error}");
        assert!(backend.objects() == before);
    }
}

/// Points that are whole are restored although the object is lost that makes it a repository.
#[test]
fn points_are_listed_and_restored_without_the_first_object() {
    let (backend, _) = saved(&options(), Kind::Plain);
    let whole = Repository::open_in(Arc::clone(&backend) as _, &world()).unwrap();
    let expected = restored(&whole, &Which::Number(1));
    for damage in [None, Some(vec![0; 128])] {
        backend.delete(&ObjectName::Header).unwrap();
        if let Some(bytes) = damage {
            backend.put(&ObjectName::Header, &bytes).unwrap();
        }
        let place = opened(&backend, Kind::Plain);
        assert_eq!(place.points(None).unwrap().len(), 2);
        assert!(restored(&place, &Which::Number(1)) == expected);
    }
    let nothing = Arc::new(MemoryBackend::new());
    let error = Repository::open_damaged_in(nothing, &world(), None).unwrap_err();
    assert!(matches!(error, BackupError::NotARepository { .. }), "{error}");
}

#[test]
fn whatever_object_is_damaged_or_gone_the_rest_comes_back_and_it_is_named() {
    for kind in [Kind::Plain, Kind::Unlocked] {
        let (whole, expected) = saved(&options(), kind);
        let everything: BTreeSet<_> =
            expected["db"].iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let parts = objects(&whole, is_part);
        let (mut lost, mut kept, mut complete) = (0, 0, 0);
        for (nth, name) in parts.iter().enumerate() {
            let backend = Arc::new(MemoryBackend::new());
            for (other, mut bytes) in whole.objects() {
                if other == *name {
                    if nth % 2 == 0 {
                        continue;
                    }
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                backend.put(&other, &bytes).unwrap();
            }
            let found = salvaged(&opened(&backend, kind));
            let is_complete = found.report.is_complete();
            assert_eq!(found.report.damaged.contains_key(name), nth % 2 == 1, "{name}");
            let named = found.report.points.values().flatten();
            assert!(named.into_iter().all(|why| why.contains(&name.to_string())), "{name}");
            let mut given = BTreeSet::new();
            let what = SalvageOptions::new();
            salvage_in(found.directory, &options(), &what, &mut |entry| {
                let value = entry.value.unwrap_or_default().to_vec();
                assert!(
                    entry.is_substitute || everything.contains(&(entry.key.to_vec(), value)),
                    "{name}: what never was"
                );
                given.insert(entry.key.to_vec());
                Ok(())
            })
            .unwrap();
            // The same bytes may be there once more, as a point and as shipped journal have them.
            assert!(!is_complete || given.len() == everything.len(), "{name}");
            complete += usize::from(is_complete);
            lost += everything.len() - given.len();
            kept += given.len();
        }
        assert!(complete < parts.len() / 4, "{complete} of {}", parts.len());
        assert!(parts.len() > 10 && lost > 0 && kept > lost * 10, "{kept} kept, {lost} lost");
    }
}

#[test]
fn of_two_histories_each_is_salvaged_by_itself() {
    let (backend, expected) = saved(&options(), Kind::Plain);
    let place = Repository::open_in(Arc::clone(&backend) as _, &world()).unwrap();
    let (first, point) = place.find(None, &Which::Number(1)).unwrap();
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options());
    place.restore_in(None, &Which::Number(first), &target.root(), &world(), &how).unwrap();
    let env = open(&target);
    fill(&env, 500, 30);
    env.checkpoint().unwrap();
    backup(&place, &env);
    let (_, newest) = place.find(None, &Which::Newest).unwrap();
    assert_ne!(newest.cut.timeline, point.cut.timeline);
    let found = salvaged(&place);
    assert_eq!(found.report.timeline, Some(newest.cut.timeline));
    assert!(!found.report.left_aside.is_empty());
    assert!(into_new(&found, &options()).0 == content(&env));
    let mut how = RepositorySalvageOptions::default();
    how.timeline = Some(point.cut.timeline);
    let found = place.salvage(&how).unwrap();
    assert!(into_new(&found, &options()).0 == expected, "{:?}", found.report);
}

#[test]
fn what_is_encrypted_is_salvaged_with_its_key_or_not_at_all() {
    let (backend, _) = saved(&options(), Kind::Unlocked);
    backend.delete(&ObjectName::Header).unwrap();
    let locked = Repository::open_damaged_in(Arc::clone(&backend) as _, &world(), None).unwrap();
    assert!(locked.is_locked());
    let error = locked.salvage(&RepositorySalvageOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryKeyRequired { .. }), "{error}");
    let wrong = raw_key(9);
    let error = Repository::open_damaged_in(backend as _, &world(), Some(&wrong)).unwrap_err();
    assert!(matches!(error, BackupError::WrongRepositoryKey { .. }), "{error}");
    let nobody = Folder::Environments.to_string();
    assert_eq!(nobody, "envs", "by which `cairn salvage` knows one without its first object");
}
