//! Points that go: what stays is whole, whoever writes meanwhile, and whatever a clock or a listing says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, Deleted, Folder, KeptJournal, Listed, MemoryBackend,
    ObjectName, ProveOptions, PruneOptions, PruneRefusal, Repository, RestoreTo, Retention, Which,
};
use cairn_env::Environment;
use cairn_io::MemDisk;

use super::{
    backups::assert_sound,
    fixture::{Kind, backup, repository, restored, small},
    shipped::{Model, assert_intervals, note, restore, ship, shipper},
    tricky::{Fate, honest, tricky},
};
use crate::fixture::{Content, content, fill, open, options, world};

/// A time after all that these tests do, in microseconds since 1970.
pub(crate) const NOW: u64 = 4_000_000_000_000_000;
/// When all that goes has gone.
pub(crate) const LATER: u64 = NOW + 48 * 3600 * 1_000_000;

/// More than half may go, and labels keep nothing.
pub(crate) fn any() -> PruneOptions {
    PruneOptions::default().more_than_half(true)
}

/// Removes all points but the last so many, and deletes them at once.
#[track_caller]
pub(crate) fn prune(place: &Repository, last: u64) -> Deleted {
    prune_by(place, last, &any())
}

#[track_caller]
fn prune_by(place: &Repository, last: u64, options: &PruneOptions) -> Deleted {
    let plan = place.plan_prune(None, &Retention::new().last(last), options, NOW).unwrap();
    assert_eq!(plan.refusals, []);
    place.prune(&plan).unwrap();
    place.delete_pruned(None, LATER).unwrap()
}

pub(crate) fn numbers(place: &Repository) -> Vec<u64> {
    place.points(None).unwrap().iter().map(|listed| listed.number).collect()
}

/// An environment with so many points in memory, and what each of them holds.
pub(crate) fn start(points: u32) -> (Environment, Arc<MemoryBackend>, BTreeMap<u64, Content>) {
    let env = open(&MemDisk::new());
    let inner = Arc::new(MemoryBackend::new());
    let place = Repository::create_in(Arc::clone(&inner) as _, &world()).unwrap();
    let mut contents = BTreeMap::new();
    for n in 0..points {
        fill(&env, n * 20, 20);
        if n % 2 == 1 {
            env.checkpoint().unwrap();
        }
        let report = backup(&place, &env);
        contents.insert(report.number, content(&env));
    }
    (env, inner, contents)
}

#[track_caller]
pub(crate) fn assert_restorable(place: &Repository, contents: &BTreeMap<u64, Content>) {
    assert_sound(place);
    for number in numbers(place) {
        let found = restored(place, &Which::Number(number));
        assert!(found == contents[&number], "point {number} holds something else");
    }
}

#[test]
fn what_goes_can_be_taken_back_until_it_is_deleted_and_what_stays_is_whole() {
    let (env, inner, mut contents) = start(6);
    let place = honest(&inner);
    let all = inner.objects();
    let plan = place.plan_prune(None, &Retention::new().last(2), &any(), NOW).unwrap();
    let of = |points: &[cairn_backup::PlannedPoint]| -> Vec<_> {
        points.iter().map(|point| point.number).collect()
    };
    assert_eq!((of(&plan.kept), of(&plan.going)), (vec![5, 6], vec![1, 2, 3, 4]));
    assert!(plan.objects > 0 && plan.bytes > 0 && plan.unused_objects == 0, "{plan:?}");
    assert_eq!(inner.objects(), all, "a plan changes nothing");

    place.prune(&plan).unwrap();
    assert_eq!(numbers(&place), [5, 6]);
    assert!(matches!(place.find(None, &Which::Number(2)), Err(BackupError::NoPoint { .. })));
    assert_restorable(&place, &contents);
    assert_eq!(place.delete_pruned(None, NOW).unwrap(), Deleted::default(), "it is too early");
    place.take_back(None, None).unwrap();
    assert_eq!(numbers(&place), [1, 2, 3, 4, 5, 6]);
    assert_restorable(&place, &contents);
    assert!(matches!(place.prune(&plan), Err(error) if error.kind() == cairn_env::ErrorKind::Busy));

    let deleted = prune(&place, 2);
    assert_eq!((deleted.points, deleted.objects, deleted.spared), (4, plan.objects, 0));
    assert_restorable(&place, &contents);
    assert_eq!(numbers(&place), [5, 6]);
    assert!(place.take_back(None, None).is_err());
    let report = place.check(&CheckOptions::default()).unwrap();
    assert_eq!((report.unused_objects, report.going_objects), (0, 0));
    assert!(inner.objects().len() < all.len());

    // Numbers are not used again, and what follows is a chain.
    for _ in 0..2 {
        fill(&env, 900, 5);
        let report = backup(&place, &env);
        assert!(report.number > 7 && report.kept_bytes > 0, "{report:?}");
        contents.insert(report.number, content(&env));
        assert_restorable(&place, &contents);
    }
    prune(&place, 1);
    assert_restorable(&place, &contents);
    assert_eq!(numbers(&place).len(), 1);
}

#[test]
fn what_a_point_needs_that_came_after_the_plan_is_spared() {
    let (env, inner, mut contents) = start(2);
    fill(&env, 500, 30);
    env.checkpoint().unwrap();
    // Killed before its point, it leaves objects that nothing needs.
    let is_point = |name: &ObjectName| matches!(name, ObjectName::Point { .. });
    let fate = move |name: &ObjectName| if is_point(name) { Fate::Lost } else { Fate::Good };
    tricky(&inner, fate, |_, _| {}).backup(&env, &small()).unwrap_err();
    let place = honest(&inner);
    let plan = place.plan_prune(None, &Retention::new().last(1), &any(), NOW).unwrap();
    assert!(plan.unused_objects > 0);
    place.prune(&plan).unwrap();
    let report = backup(&place, &env);
    assert!(report.adopted_objects > 0, "{report:?}");
    contents.insert(report.number, content(&env));
    let deleted = place.delete_pruned(None, LATER).unwrap();
    assert!(deleted.spared > 0, "{deleted:?}");
    assert_restorable(&place, &contents);
}

/// Invariant 7. Whenever a writer stands still, and whatever is removed and stored meanwhile, its point is whole or it
/// has none and says so, and all others are whole.
#[test]
fn a_writer_stalled_across_a_prune_loses_nothing() {
    let (mut stored, mut overtaken) = (0, 0);
    // One that was killed leaves objects which this one finds and relies on.
    for (meanwhile, unused) in [(0, true), (0, false), (1, false), (2, true)] {
        for nth in 0.. {
            let (env, inner, mut contents) = start(2);
            let env = Arc::new(env);
            fill(&env, 300, 60);
            env.checkpoint().unwrap();
            let mut left = 3;
            let fate = move |_: &ObjectName| {
                left -= 1;
                if left < 0 { Fate::Lost } else { Fate::Good }
            };
            tricky(&inner, fate, |_, _| {}).backup(&env, &small()).unwrap_err();
            let mine = content(&env);
            let others = Arc::new(Mutex::new(Vec::new()));
            let (other, place, made) = (Arc::clone(&env), honest(&inner), Arc::clone(&others));
            let mut count = 0;
            let stall = move |_: &ObjectName| {
                count += 1;
                if count == nth + 1 {
                    for n in 0..meanwhile {
                        fill(&other, 600 + n * 20, 10);
                        other.checkpoint().unwrap();
                        let report = backup(&place, &other);
                        made.lock().unwrap().push((report.number, content(&other)));
                    }
                    prune_by(&place, 1, &any().unused(unused));
                }
                Fate::Good
            };
            let result = tricky(&inner, stall, |_, _| {}).backup(&env, &small());
            let is_done =
                result.as_ref().is_ok_and(|_| others.lock().unwrap().len() < meanwhile as usize)
                    || meanwhile == 0 && numbers(&honest(&inner)).first() == Some(&1);
            let place = honest(&inner);
            contents.extend(others.lock().unwrap().drain(..));
            match result {
                Ok(report) => {
                    stored += 1;
                    contents.insert(report.number, mine);
                    assert!(numbers(&place).contains(&report.number), "put {nth}: {report:?}");
                }
                Err(BackupError::Overtaken { .. }) => overtaken += 1,
                Err(error) => panic!("put {nth}: {error}"),
            }
            assert_restorable(&place, &contents);
            let report = backup(&place, &env);
            contents.insert(report.number, content(&env));
            assert_restorable(&place, &contents);
            prune(&place, 1);
            assert_restorable(&place, &contents);
            if is_done {
                break;
            }
        }
    }
    assert!(stored > 20 && overtaken > 5, "{stored} {overtaken}");
}

/// Invariant 21.
#[test]
fn a_clock_that_goes_back_removes_nothing() {
    let (_env, inner, contents) = start(4);
    let place = honest(&inner);
    let newest = place.find(None, &Which::Newest).unwrap().1.created;
    let policy = Retention::new().last(1);
    let plan = place.plan_prune(None, &policy, &any(), newest - 1).unwrap();
    assert!(matches!(&*plan.refusals, [PruneRefusal::Clock { .. }]), "{:?}", plan.refusals);
    assert!(matches!(place.prune(&plan), Err(BackupError::PruneRefused { .. })));
    // Ahead by any time it says the same of what stays.
    let ahead = |now| place.plan_prune(None, &policy, &any(), now).unwrap();
    assert_eq!(ahead(newest).kept, ahead(u64::MAX).kept);
    assert!(place.prune(&ahead(NOW)).unwrap().is_some());
    let objects = inner.objects();
    place.delete_pruned(None, newest).unwrap();
    assert_eq!(inner.objects(), objects);
    place.take_back(None, None).unwrap();
    assert_restorable(&place, &contents);
    assert_eq!(numbers(&place).len(), 4);
}

/// Invariant 22: whatever a listing lacks, no object is deleted that a point needs which stays.
#[test]
fn a_listing_that_lacks_something_deletes_nothing_that_is_needed() {
    type Lie = fn(&Folder, &mut Vec<Listed>);
    let lies: [Lie; 5] = [
        |folder, listed| {
            if matches!(folder, Folder::Points(_)) {
                listed.clear();
            }
        },
        |folder, listed| {
            if matches!(folder, Folder::Points(_)) {
                let mut place = 0;
                listed.retain(|_| {
                    place += 1;
                    place % 3 == 0
                });
            }
        },
        |folder, listed| {
            if matches!(folder, Folder::Data(..) | Folder::Log(..)) {
                listed.truncate(listed.len() / 2);
            }
        },
        |folder, listed| {
            if matches!(folder, Folder::Tombs(_)) {
                listed.clear();
            }
        },
        |_, listed| listed.truncate(listed.len().saturating_sub(1)),
    ];
    for (which, lie) in lies.into_iter().enumerate() {
        let (env, inner, mut contents) = start(5);
        let lying = tricky(&inner, |_| Fate::Good, lie);
        let environment = Some(env.identity().environment);
        for last in [3, 1] {
            let policy = Retention::new().last(last);
            let plan = lying.plan_prune(environment, &policy, &any(), NOW).unwrap();
            let staying = plan.kept.len();
            if lying.prune(&plan).is_ok() {
                lying.delete_pruned(environment, LATER).unwrap();
            }
            let place = honest(&inner);
            assert!(numbers(&place).len() >= staying, "lie {which}");
            assert_restorable(&place, &contents);
            fill(&env, 700, 5);
            let report = lying.backup(&env, &small()).unwrap();
            contents.insert(report.number, content(&env));
            assert_restorable(&place, &contents);
        }
    }
}

#[test]
fn nothing_goes_for_a_reason_that_is_told() {
    let (_env, inner, contents) = start(4);
    let place = honest(&inner);
    let policy = Retention::new().last(1);
    let refusals = |place: &Repository, options: &PruneOptions| {
        place.plan_prune(None, &policy, options, NOW).unwrap().refusals
    };
    assert!(matches!(
        &*refusals(&place, &PruneOptions::default()),
        [PruneRefusal::HalfOfPoints { going: 3, of: 4 }, ..]
    ));
    assert_eq!(refusals(&place, &any().require_proof(true)), [PruneRefusal::NoProof]);
    place.prove(None, &Which::Newest, &ProveOptions::default().options(options())).unwrap();
    assert_eq!(refusals(&place, &any().require_proof(true)), []);
    let foreign = |folder: &Folder, listed: &mut Vec<Listed>| {
        if matches!(folder, Folder::Data(..)) {
            listed.push(Listed { name: "n-later.kind".into(), length: Some(3) });
        }
    };
    let lying = tricky(&inner, |_| Fate::Good, foreign);
    assert!(matches!(&*refusals(&lying, &any()), [PruneRefusal::Foreign { .. }]));

    // A part of the newest one is cut, and a point is damaged.
    let newest = place.find(None, &Which::Newest).unwrap().1;
    let name = newest.objects().next().unwrap().name;
    let whole = inner.objects()[&name].clone();
    inner.replace(name, whole[1..].to_vec());
    assert!(
        matches!(&*refusals(&place, &any()), [PruneRefusal::Incomplete { points, .. }] if *points == [4])
    );
    inner.replace(name, whole);
    let environment = newest.cut.environment;
    let name = ObjectName::Point { environment, number: 2 };
    let mut point = inner.objects()[&name].clone();
    point[20] ^= 1;
    inner.replace(name, point);
    assert!(
        matches!(&*refusals(&place, &any()), [PruneRefusal::Unreadable { object, .. }] if *object == name)
    );
    let plan =
        place.plan_prune(None, &Retention::new().last(3), &any().damaged(true), NOW).unwrap();
    place.prune(&plan).unwrap();
    place.delete_pruned(None, LATER).unwrap();
    assert_restorable(&place, &contents);
    assert_eq!(numbers(&place), [1, 3, 4]);
}

#[test]
fn journal_that_stays_leads_from_the_points_that_stay_to_every_commit() {
    for policy in [KeptJournal::SinceOldest, KeptJournal::SinceNewest] {
        let (place, disk) = (repository(), MemDisk::new());
        let (env, mut model) = (open(&disk), Model::new());
        let mut shipping = shipper(&place, &disk.root());
        for n in 0..6 {
            for k in 0..8 {
                fill(&env, n * 100 + k * 3, 3);
                note(&env, &mut model);
                ship(&mut shipping);
            }
            if n % 2 == 1 {
                env.checkpoint().unwrap();
            }
            backup(&place, &env);
        }
        fill(&env, 900, 9);
        note(&env, &mut model);
        ship(&mut shipping);
        let before = assert_intervals(&place, &model, &options());
        let how = Retention::new().last(3).journal(policy);
        let plan = place.plan_prune(None, &how, &any(), NOW).unwrap();
        assert!(plan.segments > 0, "{plan:?}");
        place.prune(&plan).unwrap();
        let deleted = place.delete_pruned(None, LATER).unwrap();
        assert_eq!(deleted.segments, plan.segments);
        assert_sound(&place);
        let after = assert_intervals(&place, &model, &options());
        assert!(after > 3 && after < before, "{before} {after}");
        let timelines = place.intervals(None).unwrap();
        assert!(
            policy != KeptJournal::SinceOldest || timelines[0].holes.is_empty(),
            "{timelines:?}"
        );

        // It goes on, by who has shipped and by somebody else.
        fill(&env, 950, 5);
        note(&env, &mut model);
        ship(&mut shipping);
        fill(&env, 980, 5);
        ship(&mut shipper(&place, &disk.root()));
        env.close().unwrap();
        let (_, found) = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
        assert!(found["db"].len() > 100);
        assert_intervals(&place, &model, &options());
        assert_sound(&place);
    }
}

#[test]
fn an_encrypted_repository_is_pruned_with_its_key_and_checked_without() {
    let disk = MemDisk::new();
    let env = open(&disk);
    let inner = Arc::new(MemoryBackend::new());
    let place = Kind::Unlocked.create(Arc::clone(&inner) as _);
    for n in 0..4 {
        fill(&env, n * 20, 20);
        backup(&place, &env);
    }
    let locked = Kind::Locked.open(Arc::clone(&inner) as _).unwrap();
    let policy = Retention::new().last(2);
    assert!(matches!(
        locked.plan_prune(None, &policy, &any(), NOW),
        Err(BackupError::RepositoryKeyRequired { .. })
    ));
    let plan = place.plan_prune(None, &policy, &any(), NOW).unwrap();
    for round in 0..2 {
        match round {
            0 => drop(place.prune(&plan).unwrap()),
            _ => drop(place.delete_pruned(None, LATER).unwrap()),
        }
        for (place, level) in [(&locked, CheckLevel::Stored), (&place, CheckLevel::Structure)] {
            let report = place.check(&CheckOptions::default().level(level)).unwrap();
            assert_eq!((report.findings, report.points), (Vec::new(), 2));
        }
    }
    assert_eq!(restored(&place, &Which::Newest), content(&env));
}

#[test]
fn each_flipped_bit_of_tombs_is_found_and_hides_no_point_that_stays() {
    let (env, inner, contents) = start(4);
    let place = honest(&inner);
    let plan = place.plan_prune(None, &Retention::new().last(2), &any(), NOW).unwrap();
    place.prune(&plan).unwrap();
    place.delete_pruned(None, LATER).unwrap();
    let environment = env.identity().environment;
    let name = |number, copy| ObjectName::Tombs { environment, number, copy };
    let is_there = |number: &u64| inner.objects().contains_key(&name(*number, 1));
    let newest = (1..).take_while(is_there).last().unwrap();
    let names = [1, 2].map(|copy| name(newest, copy));
    let whole = inner.objects()[&names[0]].clone();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        // One copy, the other one, and both: then only who stores has to know.
        for damaged in [&names[..1], &names[1..], &names] {
            damaged.iter().for_each(|name| inner.replace(*name, flipped.clone()));
            let report = place.check(&CheckOptions::default().level(CheckLevel::Present)).unwrap();
            let found: Vec<_> = report.findings.iter().map(|finding| finding.object).collect();
            assert_eq!(found, damaged, "byte {at}");
            assert_eq!(numbers(&place), [3, 4], "byte {at}");
            let tombs = place.take_back(None, None).unwrap_err();
            match damaged.len() {
                2 => assert!(matches!(tombs, BackupError::Object(_)), "byte {at}: {tombs}"),
                _ => assert!(matches!(tombs, BackupError::NoPoint { .. }), "byte {at}: {tombs}"),
            }
            names.iter().for_each(|name| inner.replace(*name, whole.clone()));
        }
    }
    inner.replace(names[0], vec![0; 9]);
    backup(&place, &env);
    assert_eq!(numbers(&place).len(), 3);
    inner.replace(names[0], whole);
    let mut contents = contents;
    contents.insert(6, content(&env));
    assert_restorable(&place, &contents);
}
