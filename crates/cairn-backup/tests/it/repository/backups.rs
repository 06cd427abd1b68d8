//! Points: what they hold, what they cost, and what comes back.

use std::sync::Arc;

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, MemoryBackend, PointOptions, Repository, RestoreOptions,
    RestoreTo, Which, backup_each,
};
use cairn_env::{EnvError, VerifyOptions};
use cairn_io::MemDisk;

use super::{
    fixture::{Kind, backup, repository, restored, small},
    tricky::{Fate, tricky},
};
use crate::fixture::{content, fill, open, open_seeded, options, world};

#[track_caller]
pub(crate) fn assert_sound(repository: &Repository) {
    for level in
        [CheckLevel::Present, CheckLevel::Stored, CheckLevel::Content, CheckLevel::Structure]
    {
        let report = repository.check(&CheckOptions::default().level(level)).unwrap();
        assert_eq!(report.findings, [], "{level:?}");
        assert_eq!(report.foreign, Vec::<String>::new());
    }
}

#[test]
fn each_point_comes_back_as_it_was() {
    let disk = MemDisk::new();
    let (env, repository) = (open(&disk), repository());
    let mut contents = Vec::new();
    for n in 0..5 {
        fill(&env, n * 20, 30);
        if n % 2 == 0 {
            env.checkpoint().unwrap();
        }
        let report = backup(&repository, &env);
        assert_eq!(report.number, u64::from(n) + 1);
        assert_eq!(report.is_full, n == 0);
        assert_eq!(report.commit, env.snapshot().unwrap().commit());
        assert!(report.damaged.is_empty(), "{report:?}");
        contents.push(content(&env));
    }
    for (number, content) in (1..).zip(&contents) {
        assert_eq!(&restored(&repository, &Which::Number(number)), content, "point {number}");
    }
    assert_eq!(restored(&repository, &Which::Newest), contents[4]);
    assert_sound(&repository);
    let points = repository.points(None).unwrap();
    assert_eq!(points.len(), 5);
    let point = points[4].point.as_ref().unwrap();
    assert_eq!(point.databases.as_ref().unwrap()[0].name, "db");
    assert_eq!(point.databases.as_ref().unwrap()[0].entries, contents[4]["db"].len() as u64);
}

#[test]
fn the_next_point_stores_what_is_new() {
    let disk = MemDisk::new();
    let (env, repository) = (open(&disk), repository());
    fill(&env, 0, 400);
    env.checkpoint().unwrap();
    let full = backup(&repository, &env);
    fill(&env, 1000, 4);
    let next = backup(&repository, &env);
    assert!(full.is_full && !next.is_full);
    assert_eq!(next.bytes - next.kept_bytes, new_bytes(&repository), "{next:?}");
    assert!(next.new_bytes < full.new_bytes / 4, "{full:?} {next:?}");
}

/// Bytes of the files of the newest point that the one before does not have.
fn new_bytes(repository: &Repository) -> u64 {
    let points = repository.points(None).unwrap();
    let [.., before, newest] = &*points else { panic!("there are two") };
    let (before, newest) = (before.point.as_ref().unwrap(), newest.point.as_ref().unwrap());
    let is_new = |file: &&cairn_backup::PointFile| !before.files.contains(file);
    newest.files.iter().filter(is_new).map(|file| file.length).sum()
}

#[test]
fn nothing_has_changed_and_nothing_but_the_journal_that_was_finished_is_stored() {
    let disk = MemDisk::new();
    let (env, repository) = (open(&disk), repository());
    fill(&env, 0, 50);
    backup(&repository, &env);
    let second = backup(&repository, &env);
    let third = backup(&repository, &env);
    assert_eq!((second.commit, third.commit), (50 + 1, 50 + 1));
    assert_eq!(third.new_objects, 0, "{third:?}");
    assert_eq!(third.kept_bytes, third.bytes);
}

#[test]
fn points_are_found_by_number_and_label() {
    let disk = MemDisk::new();
    let (env, repository) = (open(&disk), repository());
    let mut contents = Vec::new();
    for (n, label) in [(0, "monday"), (10, "tuesday"), (20, "monday")] {
        fill(&env, n, 10);
        repository.backup(&env, &small().label(label)).unwrap();
        contents.push(content(&env));
    }
    let label = |label: &str| Which::Label(label.into());
    assert_eq!(restored(&repository, &label("tuesday")), contents[1]);
    assert_eq!(restored(&repository, &label("monday")), contents[2]);
    for which in [label("sunday"), Which::Number(4), Which::Number(0)] {
        let error = repository.find(None, &which).unwrap_err();
        assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
    }
    for bad in ["", "two\nlines", &"long".repeat(64)] {
        let error = repository.backup(&env, &PointOptions::default().label(bad)).unwrap_err();
        assert!(matches!(error, BackupError::InvalidInput { .. }), "{error}");
    }
    assert_eq!(repository.points(None).unwrap().len(), 3);
}

#[test]
fn an_empty_repository_has_nothing_to_restore() {
    let repository = repository();
    let error = repository.points(None).unwrap_err();
    assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
    let unknown = cairn_log::Uuid([7; 16]);
    let error = repository.points(Some(unknown)).unwrap_err();
    assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
    assert!(error.to_string().contains(&unknown.to_string()), "{error}");
    let target = MemDisk::new();
    let how = RestoreOptions::default();
    let error =
        repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap_err();
    assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
    assert!(target.root().list().unwrap().is_empty());
    assert_sound(&repository);
}

#[test]
fn each_commit_that_a_journal_holds_can_be_restored() {
    let disk = MemDisk::new();
    let (env, repository) = (open(&disk), repository());
    let mut contents = vec![content(&env)];
    let (mut first, mut last) = (0, 0);
    for n in 0..4 {
        for m in 0..6 {
            fill(&env, n * 6 + m, 1);
            let (commit, content) = (env.snapshot().unwrap().commit(), content(&env));
            contents.resize(usize::try_from(commit).unwrap() + 1, content);
        }
        let report = backup(&repository, &env);
        first = if n == 0 { report.commit } else { first };
        last = report.commit;
    }
    let mut found = 0;
    for commit in 0..=last + 1 {
        let (target, to) = (MemDisk::new(), RestoreTo::Commit(commit));
        let how = RestoreOptions::default().options(options()).to(to);
        let result = repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how);
        match result {
            Ok(report) => {
                assert_eq!(report.commit, commit);
                let index = usize::try_from(commit).unwrap();
                assert_eq!(content(&open(&target)), contents[index], "commit {commit}");
                found += 1;
            }
            Err(BackupError::Env(EnvError::OutOfReach { .. }) | BackupError::NotShipped { .. }) => {
                assert!(target.root().list().unwrap().is_empty());
                assert!(!(first..=last).contains(&commit), "commit {commit}");
            }
            Err(error) => panic!("commit {commit}: {error}"),
        }
    }
    assert!(found > 18, "{found}");
}

#[test]
fn a_restore_in_place_can_be_undone_and_the_next_points_are_of_another_timeline() {
    let (disk, place) = (MemDisk::new(), repository());
    let env = open(&disk);
    fill(&env, 0, 20);
    backup(&place, &env);
    let old = content(&env);
    fill(&env, 20, 20);
    let new = content(&env);
    let second = backup(&place, &env);
    env.close().unwrap();
    let how = RestoreOptions::default().options(options()).in_place(true);
    place.restore_in(None, &Which::Number(1), &disk.root(), &world(), &how).unwrap();
    let env = open(&disk);
    assert_eq!(content(&env), old);
    fill(&env, 100, 5);
    let third = backup(&place, &env);
    assert_eq!((third.number, third.damaged.len()), (3, 0));
    assert!(third.kept_bytes > 0, "{third:?}");
    let other = content(&env);
    env.close().unwrap();

    cairn_env::undo_restore(disk.root()).unwrap();
    let env = open(&disk);
    assert_eq!(content(&env), new);
    let fourth = backup(&place, &env);
    assert!(fourth.kept_bytes >= second.bytes, "{second:?} {fourth:?}");
    for (number, content) in [(1, &old), (2, &new), (3, &other), (4, &new)] {
        assert_eq!(&restored(&place, &Which::Number(number)), content, "point {number}");
    }
    assert_eq!(restored(&place, &Which::Newest), new);
    let info = place.info().unwrap();
    assert_eq!(info.environments[0].timelines.len(), 2);
    assert_sound(&place);
}

#[test]
fn what_was_restored_is_backed_up_again_and_again() {
    let (disk, place) = (MemDisk::new(), repository());
    let env = open(&disk);
    fill(&env, 0, 20);
    backup(&place, &env);
    for n in 1..4 {
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        place.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
        let env = open(&target);
        fill(&env, n * 100, 10);
        let report = backup(&place, &env);
        assert!(report.kept_bytes > 0);
        assert_eq!(restored(&place, &Which::Newest), content(&env));
        let report = env.verify(&VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty());
    }
    assert_sound(&place);
}

/// A machine was rolled back, or a copy opened: both go on as the same environment on the same timeline.
#[test]
fn a_copy_that_went_its_own_way_is_refused() {
    let disk = MemDisk::new();
    let place = repository();
    let env = open(&disk);
    fill(&env, 0, 20);
    env.close().unwrap();
    let copy = disk.fork();
    let env = open(&disk);
    fill(&env, 20, 20);
    backup(&place, &env);
    let mine = content(&env);
    let copied = open_seeded(&copy, 99);
    fill(&copied, 500, 30);
    let error = place.backup(&copied, &small()).unwrap_err();
    assert!(matches!(error, BackupError::OtherPast { point: 1, .. }), "{error}");
    assert_eq!(restored(&place, &Which::Newest), mine);
    fill(&env, 60, 5);
    assert_eq!(backup(&place, &env).number, 2);
    assert_sound(&place);
}

#[test]
fn several_environments_share_a_repository() {
    let place = repository();
    let mut all = Vec::new();
    for seed in [11, 12] {
        let disk = MemDisk::new();
        let env = open_seeded(&disk, seed);
        fill(&env, u32::try_from(seed).unwrap(), 10);
        let report = backup(&place, &env);
        assert_eq!(report.number, 1);
        all.push((report.environment, content(&env)));
    }
    let error = place.points(None).unwrap_err();
    assert!(matches!(error, BackupError::SeveralEnvironments { count: 2, .. }), "{error}");
    for (environment, expected) in &all {
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        let which = Which::Newest;
        place.restore_in(Some(*environment), &which, &target.root(), &world(), &how).unwrap();
        assert_eq!(&content(&open(&target)), expected);
    }
    assert_sound(&place);
}

#[test]
fn of_several_environments_and_repositories_one_that_fails_keeps_none_from_its_point() {
    let [one, other] = [1, 2].map(|seed| open_seeded(&MemDisk::new(), seed));
    [&one, &other].into_iter().for_each(|env| fill(env, 0, 20));
    let good = [1, 2].map(|_| repository());
    let inner = Arc::new(MemoryBackend::new());
    Kind::Plain.create(Arc::clone(&inner) as _);
    let full = tricky(&inner, |_| Fate::Lost, |_, _| ());
    let reports = backup_each(&[&one, &other], &[&good[0], &full, &good[1]], &small());
    assert_eq!(reports.len(), 6);
    for (at, report) in reports.iter().enumerate() {
        let env = if at < 3 { &one } else { &other };
        assert_eq!(report.environment, env.identity().environment);
        assert_eq!(report.result.is_ok(), at % 3 != 1, "{:?}", report.result);
    }
    for (repository, env) in good.iter().flat_map(|to| [(to, &one), (to, &other)]) {
        let points = repository.points(Some(env.identity().environment)).unwrap();
        assert_eq!(points.len(), 1);
        let (target, how) = (MemDisk::new(), RestoreOptions::default().options(options()));
        let of = Some(env.identity().environment);
        repository.restore_in(of, &Which::Newest, &target.root(), &world(), &how).unwrap();
        assert_eq!(content(&open(&target)), content(env));
    }
}
