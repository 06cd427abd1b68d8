//! Damage in every byte of a small repository: found, and where it is; and no restore returns anything wrong.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, MemoryBackend, ObjectError, ObjectName, PointOptions,
    Repository, RestoreOptions, Which,
};
use cairn_env::{DatabaseOptions, Environment, ErrorKind};
use cairn_io::MemDisk;

use crate::fixture::{Content, content, open, options, world};

type Objects = BTreeMap<ObjectName, Vec<u8>>;

/// A small repository with two points, and what each holds.
fn saved() -> (Objects, [Content; 2]) {
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let contents = [1_u8, 2].map(|n| {
        env.write(|txn| txn.put(&db, &[n], &[n; 30])).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
        content(&env)
    });
    (backend.objects(), contents)
}

fn opened(objects: &Objects) -> Result<Repository, BackupError> {
    let backend = MemoryBackend::new();
    for (name, bytes) in objects {
        backend.replace(*name, bytes.clone());
    }
    Repository::open_in(Arc::new(backend), &world())
}

/// Where something was found to be wrong.
type Found = (ObjectName, Option<u64>);

fn findings(objects: &Objects, level: CheckLevel) -> Vec<Found> {
    match opened(objects) {
        Ok(repository) => {
            let report = repository.check(&CheckOptions::default().level(level)).unwrap();
            report.findings.into_iter().map(|found| (found.object, found.at)).collect()
        }
        Err(BackupError::Object(ObjectError::Damaged { object, at, .. })) => {
            vec![(object, Some(at))]
        }
        Err(BackupError::NotARepository { .. }) => vec![(ObjectName::Header, None)],
        Err(error) => panic!("{error}"),
    }
}

/// Restores each point, and compares what comes back; returns how many did.
#[track_caller]
fn restored(objects: &Objects, contents: &[Content; 2], what: &str) -> usize {
    let mut good = 0;
    for (number, expected) in (1..).zip(contents) {
        let target = MemDisk::new();
        let result = opened(objects).and_then(|repository| {
            let (which, how) = (Which::Number(number), RestoreOptions::default());
            let how = how.options(options());
            repository.restore_in(None, &which, &target.root(), &world(), &how)
        });
        match result {
            Ok(_) => {
                assert_eq!(&content(&open(&target)), expected, "{what}, point {number}");
                good += 1;
            }
            Err(error) => {
                let kind = error.kind();
                let is_refused = [ErrorKind::Corrupt, ErrorKind::NotFound].contains(&kind);
                assert!(is_refused, "{what}, point {number}: {kind:?} {error}");
                let opened = Environment::open_in(target.root(), world(), options().create(false));
                assert!(opened.is_err(), "{what}: what was not restored opens");
            }
        }
    }
    good
}

#[track_caller]
fn assert_found(objects: &Objects, level: CheckLevel, name: ObjectName, at: u64, what: &str) {
    let findings = findings(objects, level);
    let is_located =
        |(object, found): &Found| *object == name && found.is_none_or(|found| found <= at);
    assert!(findings.iter().any(is_located), "{what}: {findings:?}");
}

#[test]
fn each_flipped_bit_is_found_and_located_and_never_restored() {
    let (objects, contents) = saved();
    assert_eq!(findings(&objects, CheckLevel::Structure), []);
    assert_eq!(restored(&objects, &contents, "whole"), 2);
    let (mut flips, mut refused) = (0, 0);
    for (name, bytes) in &objects {
        let mut damaged = objects.clone();
        for at in 0..bytes.len() {
            let what = format!("{name}, byte {at}");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                damaged.insert(*name, flipped);
                let level = match (at + bit) % 4 {
                    0 => CheckLevel::Content,
                    _ => CheckLevel::Stored,
                };
                assert_found(&damaged, level, *name, at as u64, &what);
                flips += 1;
            }
            if at % 5 == 0 {
                refused += usize::from(restored(&damaged, &contents, &what) < 2);
            }
        }
    }
    assert!(flips > 20_000 && refused > 300, "{flips} {refused}");
}

#[test]
fn each_object_that_was_cut_or_has_gone_is_found() {
    let (objects, contents) = saved();
    for (name, bytes) in &objects {
        let mut damaged = objects.clone();
        for len in (0..bytes.len()).step_by(bytes.len().div_ceil(6)).chain([bytes.len() - 1]) {
            let what = format!("{name} cut to {len}");
            damaged.insert(*name, bytes[..len].to_vec());
            for level in [CheckLevel::Present, CheckLevel::Content] {
                assert_found(&damaged, level, *name, len as u64, &what);
            }
            restored(&damaged, &contents, &what);
        }
        damaged.insert(*name, [&**bytes, &[0]].concat());
        assert_found(&damaged, CheckLevel::Present, *name, bytes.len() as u64, "longer");
        restored(&damaged, &contents, "longer");
        damaged.remove(name);
        if matches!(name, ObjectName::Point { number: 2, .. }) {
            // Nobody knows that there was one; what is left is whole.
            assert_eq!(findings(&damaged, CheckLevel::Structure), []);
        } else {
            let level = CheckLevel::Present;
            assert_found(&damaged, level, *name, 0, &format!("{name} removed"));
        }
        restored(&damaged, &contents, "removed");
    }
}

#[test]
fn no_object_passes_for_another() {
    let (objects, contents) = saved();
    for (name, bytes) in &objects {
        for (other, others) in &objects {
            if name == other {
                continue;
            }
            let what = format!("{other} in the place of {name}");
            let mut damaged = objects.clone();
            damaged.insert(*name, others.clone());
            assert_found(&damaged, CheckLevel::Stored, *name, others.len() as u64, &what);
            restored(&damaged, &contents, &what);
            damaged.insert(*other, bytes.clone());
            // One may be what names the other.
            let findings = findings(&damaged, CheckLevel::Stored);
            let is_found = findings.iter().any(|(found, _)| found == name || found == other);
            assert!(is_found, "{what}, and the other way round: {findings:?}");
            restored(&damaged, &contents, &what);
        }
    }
}

/// What another repository, or an older state of this one, has under the same name.
#[test]
fn no_object_of_another_repository_passes() {
    let (objects, contents) = saved();
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let world = cairn_sim::SimWorld::new(77).world();
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in 1..3_u8 {
        env.write(|txn| txn.put(&db, &[n], &[n; 31])).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
    }
    let mut replayed = 0;
    for (name, bytes) in backend.objects() {
        let is_same = objects.get(&name).is_none_or(|mine| *mine == bytes);
        if is_same {
            continue;
        }
        let mut damaged = objects.clone();
        damaged.insert(name, bytes);
        let what = format!("{name} of another repository");
        assert!(!findings(&damaged, CheckLevel::Stored).is_empty(), "{what}");
        restored(&damaged, &contents, &what);
        replayed += 1;
    }
    assert!(replayed > 2, "{replayed}");
}

/// The next backup is whole whatever has become of the objects that it would have used, and says so.
#[test]
fn a_backup_is_whole_although_objects_of_the_one_before_are_damaged_or_gone() {
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    crate::fixture::fill(&env, 0, 30);
    repository.backup(&env, &PointOptions::default()).unwrap();
    let mut number = 1;
    for (name, bytes) in backend.objects() {
        if !matches!(name, ObjectName::Part { .. }) {
            continue;
        }
        for damaged in [Vec::new(), bytes[..bytes.len() - 1].to_vec()] {
            backend.replace(name, damaged);
            let report = repository.backup(&env, &PointOptions::default()).unwrap();
            number += 1;
            assert_eq!(report.number, number);
            let which = Which::Number(number);
            let (target, how) = (MemDisk::new(), RestoreOptions::default().options(options()));
            repository.restore_in(None, &which, &target.root(), &world(), &how).unwrap();
            assert_eq!(content(&open(&target)), content(&env));
        }
        backend.replace(name, bytes);
    }
    assert!(number > 4, "{number}");
}
