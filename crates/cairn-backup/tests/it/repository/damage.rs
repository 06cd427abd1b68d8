//! Damage in every byte of a small repository: found, and where it is; and no restore returns anything wrong.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, Folder, Listed, MemoryBackend, ObjectError, ObjectName,
    PointOptions, Repository, RestoreOptions, Which,
};
use cairn_env::{DatabaseOptions, Environment, ErrorKind};
use cairn_io::MemDisk;

use super::{
    fixture::Kind,
    tricky::{Fate, place},
};
use crate::fixture::{Content, content, open, options, world};

type Objects = BTreeMap<ObjectName, Vec<u8>>;

/// A small repository with two points, and what each holds.
fn saved(kind: Kind) -> (Objects, [Content; 2]) {
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let repository = kind.create(Arc::clone(&backend) as _);
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let contents = [1_u8, 2].map(|n| {
        env.write(|txn| txn.put(&db, &[n], &[n; 30])).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
        content(&env)
    });
    (backend.objects(), contents)
}

fn opened(kind: Kind, objects: &Objects) -> Result<Repository, BackupError> {
    let backend = MemoryBackend::new();
    for (name, bytes) in objects {
        backend.replace(*name, bytes.clone());
    }
    kind.open(Arc::new(backend))
}

/// Where something was found to be wrong.
type Found = (ObjectName, Option<u64>);

fn findings(kind: Kind, objects: &Objects, level: CheckLevel) -> Vec<Found> {
    // Without the key nobody can look closer.
    let level = if kind == Kind::Locked { level.min(CheckLevel::Stored) } else { level };
    match opened(kind, objects) {
        Ok(repository) => {
            let report = repository.check(&CheckOptions::default().level(level)).unwrap();
            report.findings.into_iter().map(|found| (found.object, found.at)).collect()
        }
        Err(BackupError::Object(ObjectError::Damaged { object, at, .. })) => {
            vec![(object, Some(at))]
        }
        Err(BackupError::NotARepository { .. }) => vec![(ObjectName::Header, None)],
        Err(BackupError::Object(error)) => vec![(error.object(), None)],
        Err(error) => panic!("{error}"),
    }
}

/// Restores each point, and compares what comes back; returns how many did.
#[track_caller]
fn restored(kind: Kind, objects: &Objects, contents: &[Content; 2], what: &str) -> usize {
    let mut good = 0;
    for (number, expected) in (1..).zip(contents) {
        let target = MemDisk::new();
        let result = opened(kind.with_key(), objects).and_then(|repository| {
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
fn assert_found(
    kind: Kind,
    objects: &Objects,
    level: CheckLevel,
    (name, at): (ObjectName, u64),
    what: &str,
) {
    let findings = findings(kind, objects, level);
    let is_located =
        |(object, found): &Found| *object == name && found.is_none_or(|found| found <= at);
    assert!(findings.iter().any(is_located), "{what}: {findings:?}");
}

#[test]
fn each_flipped_bit_is_found_and_located_and_never_restored() {
    each_flipped_bit_of(Kind::Plain);
}

#[test]
fn so_is_each_of_an_encrypted_repository() {
    each_flipped_bit_of(Kind::Unlocked);
}

#[test]
fn so_is_each_of_an_encrypted_repository_by_who_has_no_key() {
    each_flipped_bit_of(Kind::Locked);
}

fn each_flipped_bit_of(kind: Kind) {
    let (objects, contents) = saved(kind);
    assert_eq!(findings(kind, &objects, CheckLevel::Structure), []);
    assert_eq!(restored(kind, &objects, &contents, "whole"), 2);
    // A restore takes longer than a check.
    let step = if kind == Kind::Plain { 5 } else { 31 };
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
                assert_found(kind, &damaged, level, (*name, at as u64), &what);
                flips += 1;
            }
            if at % step == 0 {
                refused += usize::from(restored(kind, &damaged, &contents, &what) < 2);
            }
        }
    }
    assert!(flips > 20_000 && refused > 1500 / step, "{flips} {refused}");
}

#[test]
fn each_object_that_was_cut_or_has_gone_is_found() {
    for kind in [Kind::Plain, Kind::Unlocked, Kind::Locked] {
        each_object_that_was_cut_or_has_gone_of(kind);
    }
}

fn each_object_that_was_cut_or_has_gone_of(kind: Kind) {
    let (objects, contents) = saved(kind);
    for (name, bytes) in &objects {
        let mut damaged = objects.clone();
        for len in (0..bytes.len()).step_by(bytes.len().div_ceil(6)).chain([bytes.len() - 1]) {
            let what = format!("{name} cut to {len}");
            damaged.insert(*name, bytes[..len].to_vec());
            for level in [CheckLevel::Present, CheckLevel::Content] {
                assert_found(kind, &damaged, level, (*name, len as u64), &what);
            }
            restored(kind, &damaged, &contents, &what);
        }
        damaged.insert(*name, [&**bytes, &[0]].concat());
        assert_found(kind, &damaged, CheckLevel::Present, (*name, bytes.len() as u64), "longer");
        restored(kind, &damaged, &contents, "longer");
        damaged.remove(name);
        if matches!(name, ObjectName::Point { number: 2, .. }) {
            // Nobody knows that there was one; what is left is whole.
            assert_eq!(findings(kind, &damaged, CheckLevel::Structure), []);
        } else {
            let level = CheckLevel::Present;
            // What an index is called only the point says.
            let found = match *name {
                ObjectName::Index { environment, number, .. } if kind == Kind::Locked => {
                    ObjectName::Point { environment, number }
                }
                name => name,
            };
            assert_found(kind, &damaged, level, (found, 0), &format!("{name} removed"));
        }
        restored(kind, &damaged, &contents, "removed");
    }
}

#[test]
fn no_object_passes_for_another() {
    for kind in [Kind::Plain, Kind::Unlocked, Kind::Locked] {
        exchange_of(kind);
    }
}

fn exchange_of(kind: Kind) {
    let (objects, contents) = saved(kind);
    for (name, bytes) in &objects {
        for (other, others) in &objects {
            // Of the wrapped keys there are two copies.
            if name == other || bytes == others {
                continue;
            }
            let what = format!("{other} in the place of {name}");
            let mut damaged = objects.clone();
            damaged.insert(*name, others.clone());
            assert_found(kind, &damaged, CheckLevel::Stored, (*name, others.len() as u64), &what);
            restored(kind, &damaged, &contents, &what);
            damaged.insert(*other, bytes.clone());
            // One may be what names the other.
            let findings = findings(kind, &damaged, CheckLevel::Stored);
            let is_found = findings.iter().any(|(found, _)| found == name || found == other);
            assert!(is_found, "{what}, and the other way round: {findings:?}");
            restored(kind, &damaged, &contents, &what);
        }
    }
}

/// What another repository, or an older state of this one, has under the same name.
#[test]
fn no_object_of_another_repository_passes() {
    // The same random numbers are the same repository, with the same keys, which went another way.
    for (kind, seed) in
        [(Kind::Plain, 77), (Kind::Unlocked, 77), (Kind::Unlocked, 3), (Kind::Locked, 3)]
    {
        none_of_another(kind, seed);
    }
}

fn none_of_another(kind: Kind, seed: u64) {
    let (objects, contents) = saved(kind);
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let world = cairn_sim::SimWorld::new(seed).world();
    let repository = kind.create_at(Arc::clone(&backend) as _, &world);
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
        assert!(!findings(kind, &damaged, CheckLevel::Stored).is_empty(), "{what}");
        restored(kind, &damaged, &contents, &what);
        replayed += 1;
    }
    assert!(replayed > 1, "{replayed}");
}

/// A listing may still have what is gone. That one cannot be read says nothing of those beside it.
#[test]
fn a_listed_point_that_cannot_be_read_is_the_only_finding() {
    for kind in [Kind::Plain, Kind::Unlocked, Kind::Locked] {
        let (objects, _) = saved(kind);
        for gone in [1, 2] {
            let inner = Arc::new(MemoryBackend::new());
            let mut name = None;
            for (object, bytes) in &objects {
                match object {
                    ObjectName::Point { number, .. } if *number == gone => name = Some(*object),
                    _ => inner.replace(*object, bytes.clone()),
                }
            }
            let name = name.unwrap();
            let stale = Listed { name: name.name().to_string(), length: Some(1) };
            let list = move |folder: &Folder, listed: &mut Vec<Listed>| {
                if *folder == name.folder() {
                    listed.push(stale.clone());
                    listed.sort_by(|one, other| one.name.cmp(&other.name));
                }
            };
            let repository = kind.open(place(&inner, |_| Fate::Good, list)).unwrap();
            let report = repository.check(&CheckOptions::default()).unwrap();
            let found: Vec<_> = report.findings.iter().map(|found| found.object).collect();
            assert_eq!(found, [name], "{kind:?}: {:?}", report.findings);
        }
    }
}

/// The next backup is whole whatever has become of the objects that it would have used, and says so.
#[test]
fn a_backup_is_whole_although_objects_of_the_one_before_are_damaged_or_gone() {
    [Kind::Plain, Kind::Unlocked].into_iter().for_each(backup_beside_damage);
}

fn backup_beside_damage(kind: Kind) {
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let repository = kind.create(Arc::clone(&backend) as _);
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
