//! What is known of points because somebody has looked.

use std::sync::Arc;

use cairn_archive::database_totals;
use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, ListedPoint, MemoryBackend, ObjectError, ObjectName,
    PointOptions, PointState, ProveOptions, Repository, Which,
};
use cairn_env::{Environment, Options};
use cairn_io::MemDisk;
use cairn_log::{DataKey, DataKeys};

use crate::fixture::{fill, open, options, world};

fn made(options: Options) -> (Environment, Arc<MemoryBackend>, Repository) {
    let (env, _) = Environment::open_in(MemDisk::new().root(), world(), options).unwrap();
    fill(&env, 0, 60);
    env.checkpoint().unwrap();
    fill(&env, 40, 60);
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    for n in 0..2 {
        fill(&env, 100 + n, 1);
        repository.backup(&env, &PointOptions::default().part_bytes(5000)).unwrap();
    }
    (env, backend, repository)
}

fn prove(repository: &Repository, number: u64) -> cairn_backup::ProveReport {
    let how = ProveOptions::default().options(options());
    repository.prove(None, &Which::Number(number), &how).unwrap()
}

fn states(repository: &Repository) -> Vec<PointState> {
    repository.points(None).unwrap().iter().map(ListedPoint::state).collect()
}

fn proofs(backend: &MemoryBackend) -> Vec<ObjectName> {
    let names = backend.objects().into_keys();
    names.filter(|name| matches!(name, ObjectName::Proof { .. })).collect()
}

/// A proof stores that it was made, and nothing else (invariant 4 of a backup holds for what looks at it, too).
#[test]
fn a_point_is_proved_where_it_lies_and_only_the_proof_is_written() {
    let (env, backend, repository) = made(options());
    let before = backend.objects();
    assert_eq!(states(&repository), [PointState::Copied; 2]);
    let report = prove(&repository, 2);
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!(states(&repository), [PointState::Copied, PointState::Proved]);
    let mut after = backend.objects();
    let [name] = *proofs(&backend) else { panic!("there is one proof") };
    after.remove(&name);
    assert_eq!(after, before);

    let snapshot = env.snapshot().unwrap();
    let db = env.find_database("db").unwrap().unwrap();
    let opened = report.proof.unwrap().opened.unwrap();
    let totals = database_totals(&snapshot, &db).unwrap();
    assert_eq!(opened.totals.unwrap(), [("db".to_owned(), totals)]);
    assert_eq!((opened.databases, opened.entries), (1, totals.entries));
    assert!(opened.values > 0 && opened.nodes > 1);
    // Nothing is written at all if that is asked for.
    let how = ProveOptions::default().options(options()).skip_record(true);
    assert!(repository.prove(None, &Which::Number(1), &how).unwrap().proof.is_some());
    assert_eq!(proofs(&backend).len(), 1);
}

#[test]
fn a_check_makes_of_points_what_its_level_proves_if_it_is_told_to_record_it() {
    let (_env, backend, repository) = made(options());
    let check = |level, record| {
        let how = CheckOptions::default().level(level).options(options()).record(record);
        let report = repository.check(&how).unwrap();
        assert_eq!(report.findings, []);
    };
    check(CheckLevel::Open, false);
    check(CheckLevel::Present, true);
    assert_eq!(proofs(&backend), []);
    check(CheckLevel::Stored, true);
    assert_eq!(states(&repository), [PointState::Checked; 2]);
    check(CheckLevel::Open, true);
    assert_eq!(states(&repository), [PointState::Proved; 2]);
    check(CheckLevel::Content, true);
    assert_eq!(states(&repository), [PointState::Proved; 2]);
    let listed = repository.points(None).unwrap();
    assert_eq!(listed[0].proofs.len(), 3);
    assert_eq!(listed[0].best_proof().unwrap().level, CheckLevel::Open);
    assert!(listed[0].best_proof().unwrap().opened.is_some());
}

/// What is damaged is proved by nobody, and a check at any level that sees it records nothing of it.
#[test]
fn a_point_that_is_damaged_is_not_proved() {
    let (_env, backend, repository) = made(options());
    let objects = backend.objects();
    let newest = repository.points(None).unwrap().remove(1).point.unwrap();
    let old = repository.points(None).unwrap().remove(0).point.unwrap();
    let old: Vec<_> = old.objects().map(|needed| needed.name).collect();
    for needed in newest.objects().filter(|needed| !old.contains(&needed.name)) {
        let mut bytes = objects[&needed.name].clone();
        *bytes.last_mut().unwrap() ^= 1;
        backend.replace(needed.name, bytes);
        let how = ProveOptions::default().options(options());
        let error = repository.prove(None, &Which::Newest, &how).unwrap_err();
        let BackupError::Object(ObjectError::Damaged { object, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(object, needed.name);
        for level in [CheckLevel::Stored, CheckLevel::Open] {
            let how = CheckOptions::default().level(level).options(options()).record(true);
            let report = repository.check(&how).unwrap();
            assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        }
        assert_ne!(states(&repository)[0], PointState::Copied);
        assert_eq!(states(&repository)[1], PointState::Copied);
        backend.replace(needed.name, objects[&needed.name].clone());
    }
    assert!(prove(&repository, 2).findings.is_empty());
}

#[test]
fn what_an_application_finds_wrong_is_a_finding_and_no_proof() {
    let (_env, backend, repository) = made(options());
    let also = |env: &Environment| match env.find_database("users") {
        Ok(Some(_)) => Ok(()),
        _ => Err("there are no users".to_owned()),
    };
    let how = ProveOptions::default().options(options()).also(&also);
    let report = repository.prove(None, &Which::Newest, &how).unwrap();
    assert_eq!(report.findings, ["there are no users"]);
    assert!(report.proof.is_none());
    assert_eq!(proofs(&backend), []);
}

/// A flipped bit in a proof is found, and makes nothing proved that is not (invariant 9).
#[test]
fn each_flipped_bit_of_a_proof_is_found_and_proves_nothing() {
    let (_env, backend, repository) = made(options());
    prove(&repository, 2);
    let [name] = *proofs(&backend) else { panic!("there is one proof") };
    let whole = backend.objects()[&name].clone();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            backend.replace(name, bytes);
            assert_eq!(states(&repository), [PointState::Copied; 2], "byte {at}, bit {bit}");
            let how = CheckOptions::default().level(CheckLevel::Present);
            let findings = repository.check(&how).unwrap().findings;
            assert_eq!(findings.len(), 1, "byte {at}, bit {bit}: {findings:?}");
            assert_eq!(findings[0].object, name);
        }
    }
}

/// A proof under the name of another point, or of a point that was replaced, is of none that is there.
#[test]
fn a_proof_is_of_its_point_and_of_no_other() {
    let (_env, backend, repository) = made(options());
    prove(&repository, 2);
    let [name] = *proofs(&backend) else { panic!("there is one proof") };
    let ObjectName::Proof { environment, hash, .. } = name else { unreachable!() };
    let bytes = backend.objects()[&name].clone();
    let other = ObjectName::Proof { environment, point: 1, hash };
    backend.replace(other, bytes);
    assert_eq!(states(&repository), [PointState::Copied, PointState::Proved]);
    let findings = repository.check(&CheckOptions::default()).unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.object).collect::<Vec<_>>(), [other]);

    // Another repository, with another point of the same number.
    let (env, others, repository) = made(options());
    fill(&env, 500, 9);
    repository.backup(&env, &PointOptions::default()).unwrap();
    prove(&repository, 3);
    let point = ObjectName::Point { environment, number: 3 };
    let replaced = {
        let other = open(&MemDisk::new());
        fill(&other, 0, 3);
        let backend = Arc::new(MemoryBackend::new());
        let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
        for _ in 0..3 {
            fill(&other, 0, 1);
            repository.backup(&other, &PointOptions::default()).unwrap();
        }
        backend.objects()
    };
    for (name, bytes) in
        replaced.into_iter().filter(|(name, _)| !matches!(name, ObjectName::Header))
    {
        others.replace(name, bytes);
    }
    let listed = repository.points(None).unwrap();
    assert!(listed[2].point.is_ok(), "{:?}", listed[2].point);
    assert_eq!(listed[2].state(), PointState::Copied);
    let findings = repository.check(&CheckOptions::default().level(CheckLevel::Present)).unwrap();
    let of_proof = |object: &ObjectName| matches!(object, ObjectName::Proof { .. });
    assert!(findings.findings.iter().any(|finding| of_proof(&finding.object)));
    assert_eq!(point.folder().of(), Some(environment));
}

/// Of an encrypted environment, a proof says nothing by which somebody could find out what it holds (invariant 20).
#[test]
fn a_proof_of_an_encrypted_environment_tells_nothing_of_its_content() {
    let encrypted = options().encryption(DataKeys::new([(1, DataKey::new([9; 32]))]).unwrap());
    let (_env, backend, repository) = made(encrypted.clone());
    let how = ProveOptions::default().options(encrypted);
    let report = repository.prove(None, &Which::Newest, &how).unwrap();
    assert_eq!(report.proof.unwrap().opened.unwrap().totals, None);
    assert_eq!(states(&repository)[1], PointState::Proved);
    let without = ProveOptions::default().options(options());
    let error = repository.prove(None, &Which::Newest, &without).unwrap_err();
    assert!(error.to_string().contains("data key of epoch 1"), "{error}");
    assert_eq!(proofs(&backend).len(), 1);
}
