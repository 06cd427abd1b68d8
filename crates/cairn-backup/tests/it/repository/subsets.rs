//! Checks that look at some of the objects: each is in one part, all are come round, and only what was looked at counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, CheckReport, ListedPoint, MemoryBackend, ObjectName,
    PointState, Repository, Share, Subset,
};
use cairn_env::{Environment, ErrorKind};
use cairn_io::MemDisk;

use super::{
    fixture::{Kind, backup},
    tricky::{Fate, place},
};
use crate::fixture::{fill, open};

/// A repository with some dozens of objects.
fn made(kind: Kind) -> (Environment, Arc<MemoryBackend>, Repository) {
    let env = open(&MemDisk::new());
    fill(&env, 0, 150);
    env.checkpoint().unwrap();
    fill(&env, 100, 100);
    let backend = Arc::new(MemoryBackend::new());
    let repository = kind.create(Arc::clone(&backend) as _);
    backup(&repository, &env);
    fill(&env, 300, 20);
    backup(&repository, &env);
    (env, backend, repository)
}

fn look(repository: &Repository, level: CheckLevel, subset: Subset) -> CheckReport {
    repository.check(&CheckOptions::default().level(level).subset(Some(subset))).unwrap()
}

fn turn(repository: &Repository, runs: u32) -> CheckReport {
    look(repository, CheckLevel::Content, Subset::Rotate(Share::OneIn(runs)))
}

fn states(repository: &Repository) -> Vec<PointState> {
    repository.points(None).unwrap().iter().map(ListedPoint::state).collect()
}

fn parts(backend: &MemoryBackend) -> BTreeMap<ObjectName, Vec<u8>> {
    let mut objects = backend.objects();
    objects.retain(|name, _| matches!(name, ObjectName::Part { .. }));
    objects
}

fn rotations(backend: &MemoryBackend) -> Vec<ObjectName> {
    let names = backend.objects().into_keys();
    names.filter(|name| matches!(name, ObjectName::Rotation { .. })).collect()
}

/// Flips the last bit of all parts, so that whatever is looked at is found.
fn spoil(backend: &MemoryBackend, objects: &BTreeMap<ObjectName, Vec<u8>>) {
    for (name, bytes) in objects {
        let mut bytes = bytes.clone();
        *bytes.last_mut().unwrap() ^= 1;
        backend.replace(*name, bytes);
    }
}

fn mend(backend: &MemoryBackend, objects: &BTreeMap<ObjectName, Vec<u8>>) {
    objects.iter().for_each(|(name, bytes)| backend.replace(*name, bytes.clone()));
}

fn found(report: &CheckReport) -> BTreeSet<ObjectName> {
    report.findings.iter().map(|finding| finding.object).collect()
}

#[test]
fn each_object_is_in_one_part_for_ever_whatever_is_added() {
    for (kind, level) in [
        (Kind::Plain, CheckLevel::Stored),
        (Kind::Plain, CheckLevel::Content),
        (Kind::Locked, CheckLevel::Stored),
    ] {
        let (env, backend, repository) = made(kind.with_key());
        let looker = kind.open(Arc::clone(&backend) as _).unwrap();
        let looked_at = |part| look(&looker, level, Subset::Part { part, of: 3 });
        let objects = parts(&backend);
        spoil(&backend, &objects);
        let before: Vec<_> = (1..=3).map(|part| found(&looked_at(part))).collect();
        mend(&backend, &objects);
        let all: Vec<_> = before.iter().flatten().copied().collect();
        let names: Vec<_> = objects.keys().copied().collect();
        assert_eq!(BTreeSet::from_iter(all.clone()), BTreeSet::from_iter(names));
        // The hash of a file of several parts takes all of them, wherever they stand.
        let is_whole_files = level == CheckLevel::Content;
        assert!(is_whole_files || all.len() == objects.len(), "{kind:?}");
        assert!(before.iter().all(|part| part.len() > 4), "{before:?}");

        fill(&env, 500, 50);
        backup(&repository, &env);
        let later = parts(&backend);
        spoil(&backend, &later);
        for (part, before) in (1..=3).zip(&before) {
            let report = looked_at(part);
            let now = found(&report);
            let left: Vec<_> = before.difference(&now).collect();
            // Of a journal file that has grown it is another whole.
            assert!(is_whole_files || left.is_empty(), "{kind:?}, part {part}: {left:?}");
            assert_eq!(now.len() as u64 + report.skipped_objects, report.objects);
        }
    }
}

#[test]
fn as_many_checks_as_are_said_come_round_all_objects_and_then_points_are_checked() {
    for kind in [Kind::Plain, Kind::Unlocked] {
        let (env, backend, repository) = made(kind);
        let copied = [PointState::Copied; 2];
        let report = turn(&repository, 3);
        assert!(report.skipped_objects > 0 && report.skipped_bytes > 0, "{report:?}");
        assert_eq!((states(&repository), report.completed), (copied.to_vec(), vec![]));
        // A point that comes in between has not been looked at when the others have.
        backup(&repository, &env);
        assert_eq!(turn(&repository, 3).completed, []);
        let completed = turn(&repository, 3).completed;
        let numbers: Vec<_> = completed.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [1, 2]);
        let (checked, copied) = (PointState::Checked, PointState::Copied);
        assert_eq!(states(&repository), [checked, checked, copied]);
        assert_eq!(turn(&repository, 3).completed.len(), 1);
        assert_eq!(states(&repository), [checked; 3]);
        let proof = repository.points(None).unwrap()[2].proofs[0].clone();
        assert_eq!(proof.level, CheckLevel::Content);
        // There is one state, whatever came before.
        assert_eq!(rotations(&backend).len(), 1);
    }
}

/// Wherever it is; and what it belongs to is not checked, also not when the others are.
#[test]
fn damage_is_found_before_all_are_come_round_and_its_point_begins_anew() {
    for nth in (0..).step_by(5) {
        // Each begins with nothing that was read before it was damaged.
        let (_env, backend, repository) = made(Kind::Plain);
        let objects = parts(&backend);
        let Some((name, bytes)) = objects.iter().nth(nth) else { break };
        spoil(&backend, &BTreeMap::from([(*name, bytes.clone())]));
        let reports: Vec<_> = (0..4).map(|_| turn(&repository, 4)).collect();
        let finding = reports.iter().flat_map(|report| &report.findings).next().unwrap();
        assert_eq!(finding.object, *name);
        let completed: BTreeSet<_> = reports.iter().flat_map(|report| &report.completed).collect();
        assert!(completed.iter().all(|(_, number)| !finding.points.contains(number)));
        mend(&backend, &objects);
        // Once round from wherever it was found, nothing is wrong any more.
        let reports: Vec<_> = (0..4).map(|_| turn(&repository, 4)).collect();
        let completed = reports.iter().flat_map(|report| &report.completed);
        assert_eq!(completed.map(|(_, number)| *number).collect::<BTreeSet<_>>(), [1, 2].into());
    }
}

#[test]
fn a_budget_of_bytes_is_kept_and_goes_on_until_all_were_looked_at() {
    let (_env, backend, repository) = made(Kind::Plain);
    let largest = parts(&backend).values().map(Vec::len).max().unwrap() as u64;
    // Less than any object has is one object each time.
    for budget in [1, largest * 3] {
        let mut runs = 0;
        let rotated = Subset::Rotate(Share::Bytes(budget));
        while {
            let report = look(&repository, CheckLevel::Stored, rotated);
            let looked_at = report.bytes - report.skipped_bytes;
            assert!(looked_at <= budget.max(largest) && looked_at > 0, "{looked_at}");
            report.completed.is_empty()
        } {
            runs += 1;
            assert!(runs <= parts(&backend).len(), "{runs}");
        }
        assert!(runs > 2, "{runs}");
    }
    assert_eq!(states(&repository), [PointState::Checked; 2]);
    // And without a state, others each time.
    let some = Subset::Random(Share::PerMillion(200_000));
    let skipped = |_| look(&repository, CheckLevel::Stored, some).skipped_bytes;
    assert!((0..5).map(skipped).collect::<BTreeSet<_>>().len() > 1);
    let all = look(&repository, CheckLevel::Stored, Subset::Random(Share::PerMillion(1_000_000)));
    assert_eq!(all.skipped_objects, 0);
}

#[test]
fn a_point_is_recorded_as_checked_by_a_part_only_if_that_has_all_that_it_needs() {
    let (_env, _, repository) = made(Kind::Plain);
    let record = |subset| {
        let how = CheckOptions::default().subset(Some(subset)).record(true);
        assert_eq!(repository.check(&how).unwrap().findings, []);
    };
    (1..=4).for_each(|part| record(Subset::Part { part, of: 4 }));
    assert_eq!(states(&repository), [PointState::Copied; 2]);
    record(Subset::Part { part: 1, of: 1 });
    assert_eq!(states(&repository), [PointState::Checked; 2]);
}

#[test]
fn what_is_no_subset_and_what_cannot_be_recorded_is_refused() {
    let (_env, backend, repository) = made(Kind::Unlocked);
    let before = backend.objects();
    for (level, subset) in [
        (CheckLevel::Stored, Subset::Part { part: 0, of: 3 }),
        (CheckLevel::Stored, Subset::Part { part: 4, of: 3 }),
        (CheckLevel::Stored, Subset::Rotate(Share::OneIn(0))),
        (CheckLevel::Stored, Subset::Rotate(Share::Bytes(0))),
        (CheckLevel::Stored, Subset::Random(Share::PerMillion(1_000_001))),
        (CheckLevel::Present, Subset::Part { part: 1, of: 3 }),
        (CheckLevel::Structure, Subset::Part { part: 1, of: 3 }),
        (CheckLevel::Open, Subset::Rotate(Share::OneIn(3))),
    ] {
        let how = CheckOptions::default().level(level).subset(Some(subset));
        let error = repository.check(&how).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{subset:?}");
    }
    let locked = Kind::Locked.open(Arc::clone(&backend) as _).unwrap();
    let how = CheckOptions::default().subset(Some(Subset::Rotate(Share::OneIn(3))));
    let error = locked.check(&how).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryKeyRequired { .. }), "{error}");
    assert_eq!(backend.objects(), before);
}

/// Nothing depends on it: what cannot be read is found, begins anew, and is gone then.
#[test]
fn each_flipped_bit_of_what_was_recorded_is_found_and_makes_no_point_checked() {
    for kind in [Kind::Plain, Kind::Unlocked] {
        let (_env, backend, repository) = made(kind);
        assert_eq!(turn(&repository, 2).findings, []);
        let [name] = *rotations(&backend) else { panic!("there is one") };
        let whole = backend.objects()[&name].clone();
        let locked = kind == Kind::Unlocked;
        let mut repositories = vec![repository.clone()];
        repositories.extend(locked.then(|| Kind::Locked.open(Arc::clone(&backend) as _).unwrap()));
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            backend.replace(name, flipped);
            for repository in &repositories {
                let how = CheckOptions::default().level(CheckLevel::Present);
                assert_eq!(found(&repository.check(&how).unwrap()), [name].into(), "byte {at}");
            }
        }
        // What was looked at before counts for nothing.
        let report = turn(&repository, 2);
        assert_eq!((found(&report), report.completed), ([name].into(), vec![]));
        assert_eq!(states(&repository), [PointState::Copied; 2]);
        let report = turn(&repository, 2);
        assert_eq!((found(&report), report.completed.len()), ([].into(), 2));
    }
}

/// Killed before it is recorded, or beside another one: that counts once.
#[test]
fn a_check_that_was_not_recorded_or_came_second_counts_for_nothing() {
    let (_env, backend, repository) = made(Kind::Plain);
    for fate in [Fate::Lost, Fate::Unknown, Fate::Good] {
        let at_put = {
            let repository = repository.clone();
            move |name: &ObjectName| {
                let is_it = matches!(name, ObjectName::Rotation { .. });
                if is_it && fate == Fate::Good {
                    turn(&repository, 100); // the other one is a little faster
                }
                if is_it { fate } else { Fate::Good }
            }
        };
        let tricky = Kind::Plain.open(place(&backend, at_put, |_, _| ())).unwrap();
        let how = CheckOptions::default().subset(Some(Subset::Rotate(Share::OneIn(2))));
        assert_eq!(tricky.check(&how).is_ok(), fate == Fate::Good);
        let expected = match fate {
            Fate::Lost => PointState::Copied,    // nothing has been recorded
            Fate::Unknown => PointState::Copied, // a half has
            Fate::Good => PointState::Checked,   // and the other half, by proofs that came first
        };
        assert_eq!(states(&repository), [expected; 2], "{fate:?}");
    }
    // One hundredth counts of the second half.
    assert_eq!(turn(&repository, 3).completed, []);
    assert!(rotations(&backend).len() == 1);
}
