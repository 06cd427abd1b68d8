//! Places that fail while journal is shipped, answers that are lost, listings that lie, and two who ship the same.

use std::sync::Arc;

use cairn_backup::{BackupError, Folder, MemoryBackend, ObjectName, Repository, RestoreTo, Which};
use cairn_io::MemDisk;
use cairn_sim::SimWorld;

use super::{
    backups::assert_sound,
    shipped::{Model, another, assert_intervals, how, note, restore, ship, shipper},
    tricky::{self, Fate, honest},
};
use crate::fixture::{fill, open, options, world};

/// As a place whose listings lack all segments.
fn tricky(
    inner: &Arc<MemoryBackend>,
    put: impl FnMut(&ObjectName) -> Fate + Send + 'static,
) -> Repository {
    tricky::tricky(inner, put, |folder, listed| {
        if let Folder::Segments(..) = folder {
            listed.clear();
        }
    })
}

fn place() -> Arc<MemoryBackend> {
    let inner = Arc::new(MemoryBackend::new());
    Repository::create_in(Arc::clone(&inner) as _, &world()).unwrap();
    inner
}

/// Invariants 22 and 23: whether the answer of a store is lost, or the store, or a listing lacks every segment, each
/// commit counts once and comes back.
#[test]
fn whatever_fails_the_next_step_goes_on_and_each_commit_is_there_once() {
    for fate in [Fate::Lost, Fate::Unknown] {
        let mut runs = 0;
        loop {
            let (disk, inner) = (MemDisk::new(), place());
            let env = open(&disk);
            let mut count = 0;
            let tricky = tricky(&inner, move |_| {
                count += 1;
                if count == runs + 1 { fate } else { Fate::Good }
            });
            let mut shipper = shipper(&tricky, &disk.root());
            let (mut model, mut failed) = (Model::new(), 0);
            for n in 0..8 {
                fill(&env, n, 1);
                note(&env, &mut model);
                match shipper.step() {
                    Ok(_) => {}
                    Err(error) => {
                        assert!(
                            matches!(error, BackupError::Backend(_)),
                            "{fate:?} {runs}: {error}"
                        );
                        failed += 1;
                    }
                }
            }
            env.close().unwrap();
            while shipper.step().is_err() {
                failed += 1;
            }
            if failed == 0 {
                break;
            }
            let last = *model.last_key_value().unwrap().0;
            let place = honest(&inner);
            assert_sound(&place);
            let timelines = tricky.intervals(None).unwrap();
            let [interval] = &*timelines[0].intervals else { panic!("{timelines:?}") };
            assert_eq!(interval.to.commit, last, "{fate:?} {runs}");
            assert_eq!(place.intervals(None).unwrap(), timelines);
            // A point may have been made of which nobody was told.
            assert!(place.points(None).unwrap().len() <= 2, "{fate:?} {runs}");
            for place in [&place, &tricky] {
                let newest = restore(place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
                assert!(newest.1 == model[&last].1, "{fate:?} {runs}");
            }
            runs += 1;
        }
        assert!(runs > 12, "{runs}");
    }
}

/// Invariant 8: two who ship the same environment lose nothing, and what they have stored is one chain.
#[test]
fn two_who_ship_the_same_make_one_chain() {
    let (disk, inner) = (MemDisk::new(), place());
    let env = open(&disk);
    let place = honest(&inner);
    // They cut it differently.
    let mut one = shipper(&place, &disk.root());
    let seeded = SimWorld::new(77).world();
    let mut other = place.shipper(disk.root(), &seeded, how().segment_bytes(700)).unwrap();
    let mut model = Model::new();
    for n in 0..20 {
        fill(&env, n, 2);
        note(&env, &mut model);
        match n % 3 {
            0 => drop(one.step().unwrap()),
            1 => drop(other.step().unwrap()),
            _ => {
                drop(other.step().unwrap());
                drop(one.step().unwrap());
            }
        }
    }
    env.close().unwrap();
    ship(&mut one);
    ship(&mut other);
    let timelines = place.intervals(None).unwrap();
    assert_eq!((timelines[0].intervals.len(), timelines[0].holes.len()), (1, 0), "{timelines:?}");
    assert_eq!(assert_intervals(&place, &model, &options()), model.len());
    assert_sound(&place);
}

/// One stands still where it is about to store a segment, while the other one stores several.
#[test]
fn who_was_overtaken_goes_on_behind_the_other() {
    for meanwhile in 1..4_u32 {
        let (disk, inner) = (MemDisk::new(), place());
        let env = open(&disk);
        fill(&env, 0, 5);
        let place = honest(&inner);
        let mut other = shipper(&place, &disk.root());
        ship(&mut other);
        fill(&env, 10, 3);
        let (mut is_busy, root, shipped) = (false, disk.root(), Arc::clone(&inner));
        let env = Arc::new(env);
        let writer = Arc::clone(&env);
        let stall = move |name: &ObjectName| {
            if matches!(name, ObjectName::Segment { .. }) && !is_busy {
                is_busy = true;
                for n in 0..meanwhile {
                    ship(&mut another(&honest(&shipped), &root, 100 + u64::from(n)));
                    fill(&writer, 20 + n * 5, 4);
                }
            }
            Fate::Good
        };
        let mut slow = another(&tricky(&inner, stall), &disk.root(), 78);
        ship(&mut slow);
        fill(&env, 50, 3);
        ship(&mut slow);
        let mut model = Model::new();
        note(&env, &mut model);
        fill(&env, 60, 1);
        ship(&mut other);
        assert!(assert_intervals(&place, &model, &options()) == 1, "{meanwhile}");
        let timelines = place.intervals(None).unwrap();
        assert!(timelines[0].holes.is_empty(), "{timelines:?}");
        assert_sound(&place);
    }
}
