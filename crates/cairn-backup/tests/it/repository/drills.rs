//! Restores that are tried: what they find, what is recorded of them, and that nothing is left.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, Drill, DrillCheck, DrillDue, DrillOptions, DrillPoint,
    DrillPolicy, DrillReport, DrillStage, MemoryBackend, ObjectName, PointState, PruneRefusal,
    Repository, Retention, Which,
};
use cairn_env::{Environment, Options};
use cairn_io::{DirRef, LockMode, MemDisk, Name, WorldRef};
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{Fault, FaultDisk, Rule, SimWorld};

use super::{
    fixture::{Kind, backup, repository, small},
    prune::{LATER, NOW, any},
    shipped::{ship, shipper},
    tricky::{Fate, tricky},
};
use crate::fixture::{content, fill, open, options, world};

/// A repository with two points of an environment.
fn made(kind: Kind) -> (Environment, Arc<MemoryBackend>, Repository) {
    let env = open(&MemDisk::new());
    fill(&env, 0, 40);
    env.checkpoint().unwrap();
    let backend = Arc::new(MemoryBackend::new());
    let repository = kind.create(Arc::clone(&backend) as _);
    backup(&repository, &env);
    fill(&env, 30, 20);
    backup(&repository, &env);
    (env, backend, repository)
}

fn how() -> DrillOptions<'static> {
    DrillOptions::default().options(options())
}

fn number(number: u64) -> DrillPoint {
    DrillPoint::One(Which::Number(number))
}

/// Tries a restore, and holds that nothing is left of it.
#[track_caller]
fn drill(repository: &Repository, point: &DrillPoint, how: &DrillOptions<'_>) -> DrillReport {
    let scratch = MemDisk::new().root();
    let report = repository.drill_in(None, point, &scratch, &world(), how).unwrap();
    assert_eq!(report.residue, None);
    assert_eq!(scratch.list().unwrap(), []);
    report
}

fn is_drill(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Drill { .. })
}

fn last(repository: &Repository, number: usize) -> Option<Drill> {
    repository.points(None).unwrap()[number - 1].last_drill().cloned()
}

#[test]
fn a_drill_restores_a_point_looks_at_it_and_leaves_what_it_has_found_and_no_residue() {
    for kind in [Kind::Plain, Kind::Unlocked] {
        let (env, backend, repository) = made(kind);
        let (before, expected) = (backend.objects(), content(&env));
        let has_all = |then: &Environment| match content(then) == expected {
            true => Ok(()),
            false => Err("it is something else".to_owned()),
        };
        let looks = AtomicU32::new(0);
        let is_closed = |_: &Path| {
            looks.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let how = how()
            .check(DrillCheck::directory("closed", &is_closed))
            .check(DrillCheck::environment("all", &has_all));
        let report = drill(&repository, &DrillPoint::default(), &how);
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!((report.number, report.drill.checks, report.seed), (2, 2, None));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        let restored = report.drill.restored.unwrap();
        assert_eq!(restored.commit, env.snapshot().unwrap().commit());
        let rpo = Duration::from_micros(report.drill.made - restored.time);
        assert_eq!(report.drill.rpo(), Some(rpo));
        assert_eq!(report.drill.rto(), Some(Duration::from_micros(restored.rto)));
        assert!(restored.rto <= report.drill.took && restored.entries == 50);

        // It is stored that it was so, and nothing else.
        let mut after = backend.objects();
        assert_eq!(after.keys().filter(|name| is_drill(name)).count(), 1);
        after.retain(|name, _| !is_drill(name));
        assert_eq!(after, before);
        let states: Vec<_> = repository.points(None).unwrap().iter().map(|of| of.state()).collect();
        assert_eq!(states, [PointState::Copied, PointState::Proved]);
        assert_eq!(last(&repository, 2), Some(report.drill));
        assert_eq!(last(&repository, 1), None);
        let report = drill(&repository, &number(1), &how.skip_record(true));
        assert_eq!(report.findings, ["all: it is something else"]);
        assert_eq!(last(&repository, 1), None);
    }
}

/// What is restored is what a restore of the newest would bring back, with the journal that was shipped; that another
/// point than the one that was stored is good says nothing of that.
#[test]
fn the_newest_point_is_restored_with_the_journal_that_was_shipped() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 20);
    let repository = repository();
    backup(&repository, &env);
    fill(&env, 200, 5);
    let shipped = ship(&mut shipper(&repository, &disk.root()));
    let report = drill(&repository, &DrillPoint::default(), &how());
    let point = repository.points(None).unwrap().remove(0);
    let commit = point.point.as_ref().unwrap().cut.commit;
    assert_eq!(report.drill.restored.unwrap().commit, shipped);
    assert!(shipped > commit && report.drill.passed());
    assert_eq!((report.number, point.state()), (1, PointState::Copied));
    let report = drill(&repository, &number(1), &how());
    assert_eq!(report.drill.restored.unwrap().commit, commit);
    assert_eq!(repository.points(None).unwrap()[0].state(), PointState::Proved);
}

#[test]
fn a_seed_chooses_the_same_point_and_without_one_any_is_chosen() {
    let (_env, _backend, repository) = made(Kind::Plain);
    let mut chosen = [0; 2];
    for seed in 0..8 {
        let report = drill(&repository, &DrillPoint::Random(Some(seed)), &how());
        assert_eq!(report.seed, Some(seed));
        chosen[usize::try_from(report.number).unwrap() - 1] += 1;
    }
    assert!(chosen.iter().all(|times| *times > 0), "{chosen:?}");
    let report = drill(&repository, &DrillPoint::Random(None), &how());
    let again = drill(&repository, &DrillPoint::Random(report.seed), &how());
    assert_eq!(again.number, report.number);
}

#[test]
fn what_keeps_a_restore_from_succeeding_fails_a_drill_and_is_recorded() {
    let (env, backend, _) = made(Kind::Plain);
    let sim = SimWorld::new(3);
    let repository = Repository::open_in(Arc::clone(&backend) as _, &sim.world()).unwrap();
    drop(env);
    let of_newest = repository.points(None).unwrap().remove(1).point.unwrap();
    let environment = of_newest.cut.environment;
    let objects = backend.objects();
    let point = ObjectName::Point { environment, number: 2 };
    for name in of_newest.objects().map(|needed| needed.name).take(3).chain([point]) {
        let mut bytes = objects[&name].clone();
        *bytes.last_mut().unwrap() ^= 1;
        backend.replace(name, bytes);
        sim.advance(Duration::from_secs(1));
        let report = drill(&repository, &DrillPoint::default(), &how());
        let failed = report.drill.failed.clone().unwrap();
        assert_eq!(failed.stage, DrillStage::Restore);
        assert!(failed.what.contains(&name.to_string()), "{failed:?}");
        assert_eq!((report.number, report.drill.restored), (2, None));
        let listed = repository.points(None).unwrap().remove(1);
        assert_eq!(listed.last_drill(), Some(&report.drill));
        assert_eq!(listed.state(), PointState::Copied);
        backend.replace(name, objects[&name].clone());
    }
    sim.advance(Duration::from_secs(1));
    // The next one is good, and the list says so; what was found of a damaged point is not of this one.
    assert!(drill(&repository, &DrillPoint::default(), &how()).drill.passed());
    let listed = repository.points(None).unwrap().remove(1);
    let passed: Vec<_> = listed.drills.iter().map(Drill::passed).collect();
    assert_eq!(passed, [false, false, false, true]);
    assert_eq!(repository.drills(None).unwrap().len(), 5);
    // No such point, no drill.
    let scratch = MemDisk::new().root();
    let missing = repository.drill_in(None, &number(9), &scratch, &world(), &how());
    assert!(matches!(missing, Err(BackupError::NoPoint { .. })));
    assert_eq!(repository.drills(None).unwrap().len(), 5);
}

/// Of an encrypted environment it is recorded that something was wrong, and not what is in it.
#[test]
fn what_a_check_finds_in_an_encrypted_environment_is_told_and_not_stored() {
    let secret = options().encryption(DataKeys::new([(1, DataKey::new([9; 32]))]).unwrap());
    let (env, _) = Environment::open_in(MemDisk::new().root(), world(), secret.clone()).unwrap();
    fill(&env, 0, 20);
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    let with_keys = |options: Options| DrillOptions::default().options(options);
    backup(&repository, &env);
    let canary = |_: &Environment| Err("canary".to_owned());
    let how = with_keys(secret.clone()).check(DrillCheck::environment("name", &canary));
    let report = drill(&repository, &DrillPoint::default(), &how);
    assert_eq!(report.findings, ["name: canary"]);
    let failed = report.drill.failed.unwrap();
    assert_eq!((failed.stage, &*failed.what), (DrillStage::Checks, ""));
    for bytes in backend.objects().values() {
        assert!(!bytes.windows(6).any(|part| part == b"canary"));
    }
    // Who has no key cannot restore it.
    let report = drill(&repository, &DrillPoint::default(), &with_keys(options()));
    let failed = report.drill.failed.unwrap();
    assert!(failed.stage == DrillStage::Restore && !failed.what.is_empty(), "{failed:?}");
    assert!(drill(&repository, &DrillPoint::default(), &with_keys(secret)).drill.passed());
}

/// The disk of the scratch directory fails at each call, once or from then on, which is what a kill looks like.
#[test]
fn a_drill_that_ends_anywhere_leaves_what_the_next_one_removes() {
    let (_env, _backend, repository) = made(Kind::Plain);
    for from_then_on in [true, false] {
        let (mut calls, mut left) = (0, 0);
        loop {
            let disk = MemDisk::new();
            let faults = FaultDisk::new(disk.root());
            let rule = Rule::new(Fault::Eio).nth(calls);
            faults.inject(if from_then_on { rule.and_on() } else { rule });
            let how = how().skip_record(true);
            let point = DrillPoint::default();
            let tried = repository.drill_in(None, &point, &faults.root(), &world(), &how);
            let residue = disk.root().list().unwrap().len();
            let is_said = match &tried {
                Ok(report) => report.residue.is_some() || residue == 0,
                Err(_) => true,
            };
            assert!(is_said, "{calls}: {residue} of {tried:?}");
            left += residue;
            let again = repository.drill_in(None, &point, &disk.root(), &world(), &how).unwrap();
            assert!(again.drill.passed(), "{calls}: {:?}", again.findings);
            assert_eq!(disk.root().list().unwrap(), [], "{calls}");
            if tried.is_ok_and(|report| report.drill.passed() && report.residue.is_none()) {
                break;
            }
            // Each call of the beginning and the end is tried, and some of the many between.
            calls += if from_then_on { 1 + calls / 8 } else { 7 };
        }
        assert!(calls > 30 && (left > 10 || !from_then_on), "{calls} {left}");
    }
}

fn scratch_of_another(dir: &DirRef, name: &str) -> DirRef {
    let scratch = dir.create_dir(&Name::new(name).unwrap()).unwrap();
    scratch.create(&Name::constant("lock")).unwrap();
    let restored = scratch.create_dir(&Name::constant("restored")).unwrap();
    let below = restored.create_dir(&Name::constant("below")).unwrap();
    below.create(&Name::constant("file")).unwrap();
    scratch
}

#[test]
fn what_another_drill_works_in_stays_and_so_does_what_is_of_somebody_else() {
    let (_env, _backend, repository) = made(Kind::Plain);
    let root = MemDisk::new().root();
    let _dead = scratch_of_another(&root, "cairn-drill-0000000000000001");
    let alive = scratch_of_another(&root, "cairn-drill-0000000000000002");
    let lock = alive.lock(&Name::constant("lock"), LockMode::Exclusive).unwrap();
    let _theirs = scratch_of_another(&root, "cairn-data");
    repository.drill_in(None, &DrillPoint::default(), &root, &world(), &how()).unwrap();
    let names = |dir: &DirRef| -> Vec<_> {
        dir.list().unwrap().into_iter().map(|entry| entry.display).collect()
    };
    assert_eq!(names(&root), ["cairn-data", "cairn-drill-0000000000000002"]);
    assert_eq!(names(&alive), ["lock", "restored"]);
    drop(lock);
    repository.drill_in(None, &DrillPoint::default(), &root, &world(), &how()).unwrap();
    assert_eq!(names(&root), ["cairn-data"]);
}

#[test]
fn a_drill_that_cannot_be_recorded_is_an_error_and_leaves_nothing_either() {
    let (_env, backend, _) = made(Kind::Plain);
    let refuse = |name: &ObjectName| if is_drill(name) { Fate::Lost } else { Fate::Good };
    let repository = tricky(&backend, refuse, |_, _| {});
    let scratch = MemDisk::new().root();
    let tried = repository.drill_in(None, &DrillPoint::default(), &scratch, &world(), &how());
    assert!(matches!(tried, Err(BackupError::Backend(_))));
    assert_eq!(scratch.list().unwrap(), []);
}

#[test]
fn each_flipped_bit_of_a_drill_is_found_and_says_nothing() {
    for kind in [Kind::Plain, Kind::Unlocked] {
        let (_env, backend, repository) = made(kind);
        drill(&repository, &DrillPoint::default(), &how());
        let name = *backend.objects().keys().find(|name| is_drill(name)).unwrap();
        let whole = backend.objects()[&name].clone();
        let check = |repository: &Repository| {
            let how = CheckOptions::default().level(CheckLevel::Present);
            let findings = repository.check(&how).unwrap().findings;
            findings.iter().map(|finding| finding.object).collect::<Vec<_>>()
        };
        assert_eq!(check(&repository), []);
        let locked = matches!(kind, Kind::Unlocked);
        let locked = locked.then(|| Kind::Locked.open(Arc::clone(&backend) as _).unwrap());
        for (at, bit) in (0..whole.len()).map(|at| (at, at % 8)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            backend.replace(name, bytes);
            assert_eq!(last(&repository, 2), None, "byte {at}, bit {bit}");
            assert_eq!(repository.drills(None).unwrap(), []);
            assert_eq!(check(&repository), [name], "byte {at}, bit {bit}");
            if let Some(locked) = &locked {
                assert_eq!(check(locked), [name], "byte {at}, bit {bit}, without the key");
            }
        }
        // Under the name of another time, or another point, it is none.
        backend.replace(name, whole.clone());
        let ObjectName::Drill { environment, point, made, hash } = name else { unreachable!() };
        for other in [
            ObjectName::Drill { environment, point, made: made + 1, hash },
            ObjectName::Drill { environment, point: 1, made, hash },
        ] {
            backend.replace(other, whole.clone());
        }
        assert_eq!(repository.drills(None).unwrap().len(), 1);
        assert_eq!(check(&repository).len(), 2);
    }
}

#[test]
fn a_policy_says_when_the_next_drill_is_due() {
    let sim = SimWorld::new(3);
    let world: WorldRef = sim.world();
    let env = open(&MemDisk::new());
    fill(&env, 0, 5);
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world).unwrap();
    let hour = Duration::from_secs(3600);
    let policy = DrillPolicy::new().every(24 * hour).after_points(2).retry(hour);
    let due = || repository.drill_due(None, &policy).unwrap();
    let point = || repository.backup(&env, &small()).unwrap();
    let try_it = |how: &DrillOptions<'_>| {
        let scratch = MemDisk::new().root();
        repository.drill_in(None, &DrillPoint::default(), &scratch, &world, how).unwrap()
    };
    point();
    assert_eq!(due(), Some(DrillDue::First));
    try_it(&how());
    assert_eq!(due(), None);
    point();
    assert_eq!(due(), None);
    point();
    assert_eq!(due(), Some(DrillDue::Points(2)));
    try_it(&how());
    sim.advance(23 * hour);
    assert_eq!(due(), None);
    sim.advance(hour);
    assert!(matches!(due(), Some(DrillDue::Time(age)) if age >= 24 * hour));
    let wrong = |_: &Environment| Err("no".to_owned());
    try_it(&how().check(DrillCheck::environment("never", &wrong)));
    assert_eq!(due(), None);
    sim.advance(hour);
    assert_eq!(due(), Some(DrillDue::Retry));

    // A clock that was ahead by years when one was made: nobody waits for that time to come.
    sim.advance(20_000 * hour);
    try_it(&how());
    assert_eq!(due(), None);
    sim.set_wall(cairn_io::WallTime(world.wall().0 - 19_000 * 3_600_000_000));
    assert_eq!(due(), Some(DrillDue::Retry));
    try_it(&how());
    assert_eq!(due(), None);
    assert_eq!(repository.drills(None).unwrap().len(), 5);
}

#[test]
fn a_drill_proves_its_point_to_who_removes_others_and_stays_when_that_goes() {
    let (env, _backend, repository) = made(Kind::Plain);
    fill(&env, 300, 5);
    backup(&repository, &env);
    let plan = || {
        let policy = Retention::new().last(1);
        repository.plan_prune(None, &policy, &any().require_proof(true), NOW).unwrap()
    };
    let kept = || plan().kept.iter().map(|point| point.number).collect::<Vec<_>>();
    assert_eq!(plan().refusals, [PruneRefusal::NoProof]);
    let wrong = |_: &Environment| Err("no".to_owned());
    drill(&repository, &number(2), &how().check(DrillCheck::environment("never", &wrong)));
    assert_eq!(plan().refusals, [PruneRefusal::NoProof]);
    drill(&repository, &number(2), &how());
    assert_eq!((kept(), plan().refusals), (vec![2, 3], vec![]));
    drill(&repository, &number(3), &how());
    assert_eq!((kept(), plan().refusals), (vec![3], vec![]));
    repository.prune(&plan()).unwrap();
    assert_eq!(repository.delete_pruned(None, LATER).unwrap().points, 2);
    let drilled: Vec<_> = repository.drills(None).unwrap().iter().map(|(of, _)| *of).collect();
    assert_eq!(drilled, [2, 2, 3]);
    let report = repository.check(&CheckOptions::default()).unwrap();
    assert_eq!((report.findings, report.foreign), (vec![], vec![]));
}
