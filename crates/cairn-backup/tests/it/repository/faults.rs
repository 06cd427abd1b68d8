//! Places that fail, answers that are lost, listings that lie, and writers at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cairn_backup::{BackupError, Folder, Listed, MemoryBackend, ObjectName, Repository, Which};
use cairn_env::Environment;
use cairn_io::MemDisk;

use super::{
    backups::assert_sound,
    fixture::{backup, restored, small},
    tricky::{Fate, honest, tricky},
};
use crate::fixture::{content, fill, open, world};

/// An environment with a point, and something new.
fn start() -> (Environment, Arc<MemoryBackend>) {
    let env = open(&MemDisk::new());
    fill(&env, 0, 20);
    let inner = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&inner) as _, &world()).unwrap();
    backup(&repository, &env);
    fill(&env, 100, 10);
    (env, inner)
}

/// Fails the `n`th store, and all after it if it is `and_on`.
fn nth(n: usize, fate: Fate, and_on: bool) -> impl FnMut(&ObjectName) -> Fate + Send {
    let mut count = 0;
    move |_| {
        count += 1;
        if count - 1 == n || and_on && count > n { fate } else { Fate::Good }
    }
}

#[test]
fn whatever_fails_is_an_error_and_the_next_backup_goes_on_with_what_is_there() {
    for (fate, and_on) in [(Fate::Lost, true), (Fate::Lost, false), (Fate::Unknown, false)] {
        let mut runs = 0;
        loop {
            let (env, inner) = start();
            let result = tricky(&inner, nth(runs, fate, and_on), |_, _| {}).backup(&env, &small());
            if result.is_ok() {
                break;
            }
            let what = format!("{fate:?} {runs}");
            let error = result.unwrap_err();
            assert!(matches!(error, BackupError::Backend(_)), "{what}: {error}");
            let place = honest(&inner);
            assert_sound(&place);
            let before = place.points(None).unwrap().len() as u64;
            let there = inner.objects().len();
            let report = backup(&place, &env);
            assert_eq!(report.number, before + 1, "{what}");
            let number = Which::Number(report.number);
            assert_eq!(restored(&place, &number), content(&env), "{what}");
            assert_sound(&place);
            // What the failed one has stored is used, unless it was all of it, and there is a point.
            let stored = inner.objects().len() - there;
            assert!(stored as u64 <= report.new_objects + 3, "{what}: {stored} {report:?}");
            let left = runs + usize::from(fate == Fate::Unknown);
            let parts = report.new_objects + report.adopted_objects;
            if before == 1 {
                assert!(report.adopted_objects >= (left as u64).min(parts), "{what}: {report:?}");
            }
            runs += 1;
        }
        assert!(runs > 5, "{runs}");
    }
}

#[test]
fn a_listing_that_lacks_points_loses_none() {
    for lacking in 1..=3 {
        let (env, inner) = start();
        backup(&honest(&inner), &env);
        fill(&env, 200, 5);
        let lie = move |folder: &Folder, listed: &mut Vec<Listed>| {
            if matches!(folder, Folder::Points(_)) {
                listed.retain(|listed| {
                    let number = |name: &str| u64::from_str_radix(name.get(..16)?, 16).ok();
                    number(&listed.name).is_none_or(|number| number < lacking)
                });
            }
        };
        let report = backup(&tricky(&inner, |_| Fate::Good, lie), &env);
        assert_eq!(report.number, 3, "{lacking}");
        let place = honest(&inner);
        assert_sound(&place);
        assert_eq!(restored(&place, &Which::Newest), content(&env));
        assert_eq!(place.points(None).unwrap().len(), 3);
    }
}

#[test]
fn a_listing_that_lacks_objects_loses_none_and_finds_nothing_missing() {
    let (env, inner) = start();
    let lie = |folder: &Folder, listed: &mut Vec<Listed>| {
        if matches!(folder, Folder::Data(..) | Folder::Log(..)) {
            listed.clear();
        }
    };
    let place = tricky(&inner, |_| Fate::Good, lie);
    assert_sound(&place);
    let report = backup(&place, &env);
    assert!(report.kept_bytes > 0 && report.damaged.is_empty(), "{report:?}");
    assert_sound(&place);
    assert_sound(&honest(&inner));
}

/// One writer has come to where it stores its point, and stands still while another one begins and ends.
#[test]
fn two_writers_at_the_same_time_both_have_their_point() {
    for meanwhile in 1..4 {
        let (env, inner) = start();
        let env = Arc::new(env);
        let is_busy = AtomicBool::new(false);
        let (other, place) = (Arc::clone(&env), honest(&inner));
        let stall = move |name: &ObjectName| {
            if matches!(name, ObjectName::Point { .. }) && !is_busy.swap(true, Ordering::SeqCst) {
                for n in 0..meanwhile {
                    fill(&other, 300 + n * 10, 5);
                    backup(&place, &other);
                }
            }
            Fate::Good
        };
        let first = content(&env);
        let report = backup(&tricky(&inner, stall, |_, _| {}), &env);
        assert_eq!(report.number, u64::from(meanwhile) + 2);
        let place = honest(&inner);
        assert_sound(&place);
        assert_eq!(restored(&place, &Which::Number(report.number)), first);
        // The one with the highest number is not the newest.
        assert_eq!(restored(&place, &Which::Newest), content(&env));
        fill(&env, 400, 5);
        assert_eq!(backup(&place, &env).number, u64::from(meanwhile) + 3);
        assert_sound(&place);
        assert_eq!(restored(&place, &Which::Newest), content(&env));
    }
}
