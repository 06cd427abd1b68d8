//! Shipped journal: every commit of it comes back, what is said to be restorable is, and a gap ends what is.

use std::collections::BTreeMap;

use cairn_backup::{
    BackupError, BackupResult, Repository, RestoreOptions, RestoreReport, RestoreTo, ShipOptions,
    Shipper, Which,
};
use cairn_env::{DatabaseOptions, EnvError, Environment, JournalRetention, Options};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::SimWorld;

use super::{
    backups::assert_sound,
    fixture::{backup, repository},
};
use crate::fixture::{Content, content, fill, open, options, world};

/// What the environment held at each commit, and when that was.
pub(crate) type Model = BTreeMap<u64, (u64, Content)>;

/// Small segments, so that files have several.
pub(crate) fn how() -> ShipOptions {
    ShipOptions::default().options(options()).segment_bytes(3000)
}

pub(crate) fn shipper(place: &Repository, root: &DirRef) -> Shipper {
    place.shipper(DirRef::clone(root), &world(), how()).unwrap()
}

/// One that is there together with others, and so has other random numbers.
pub(crate) fn another(place: &Repository, root: &DirRef, seed: u64) -> Shipper {
    place.shipper(DirRef::clone(root), &SimWorld::new(seed).world(), how()).unwrap()
}

/// Ships all that there is.
#[track_caller]
pub(crate) fn ship(shipper: &mut Shipper) -> u64 {
    loop {
        let report = shipper.step().unwrap();
        if !report.has_more {
            return report.newest.map_or(0, |(commit, _)| commit);
        }
    }
}

/// Takes note of what there is.
pub(crate) fn note(env: &Environment, model: &mut Model) {
    model.insert(env.snapshot().unwrap().commit(), (0, content(env)));
}

pub(crate) fn restore(
    place: &Repository,
    which: &Which,
    to: RestoreTo,
    options: &Options,
) -> BackupResult<(RestoreReport, Content)> {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options.clone()).to(to);
    let report = place.restore_in(None, which, &target.root(), &world(), &how)?;
    let (env, _) = Environment::open_in(target.root(), world(), options.clone()).unwrap();
    Ok((report, content(&env)))
}

/// Restores to each commit of the model that lies in an interval, and compares; each other one is refused. Returns how
/// many were restored.
#[track_caller]
pub(crate) fn assert_intervals(place: &Repository, model: &Model, options: &Options) -> usize {
    let timelines = place.intervals(None).unwrap();
    let [timeline] = &*timelines else { panic!("{timelines:?}") };
    let mut good = 0;
    for (commit, (_, expected)) in model {
        let is_in = timeline
            .intervals
            .iter()
            .any(|interval| (interval.from.commit..=interval.to.commit).contains(commit));
        let result = restore(place, &Which::Newest, RestoreTo::Commit(*commit), options);
        match result {
            Ok((report, found)) => {
                assert_eq!(report.commit, *commit);
                assert!(found == *expected, "commit {commit} is another one");
                good += 1;
            }
            Err(error) if !is_in => {
                assert!(
                    matches!(
                        error,
                        BackupError::Env(EnvError::OutOfReach { .. })
                            | BackupError::NotShipped { .. }
                            | BackupError::Object(_)
                    ),
                    "commit {commit}: {error}"
                );
            }
            Err(error) => panic!("commit {commit} of {timeline:?}: {error}"),
        }
    }
    good
}

/// Invariant 16: a restore to every commit of a short history equals a model.
#[test]
fn each_commit_that_was_shipped_comes_back_as_it_was() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    let mut shipper = shipper(&place, &disk.root());
    let mut model = Model::new();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    note(&env, &mut model);
    for n in 0..60_u32 {
        fill(&env, n % 25, 1);
        note(&env, &mut model);
        if n % 13 == 5 {
            env.checkpoint().unwrap();
            env.clean().unwrap();
        }
        if n % 17 == 3 {
            env.write(|txn| txn.delete(&db, &(n % 25).to_le_bytes()).map(drop)).unwrap();
            note(&env, &mut model);
        }
        if n % 3 == 0 {
            ship(&mut shipper);
        }
        if n == 30 {
            backup(&place, &env);
        }
    }
    let last = env.snapshot().unwrap().commit();
    env.close().unwrap();
    assert_eq!(ship(&mut shipper), last);
    let timelines = place.intervals(None).unwrap();
    assert_eq!((timelines.len(), timelines[0].intervals.len()), (1, 1), "{timelines:?}");
    assert_eq!((timelines[0].holes.len(), timelines[0].intervals[0].to.commit), (0, last));
    let good = assert_intervals(&place, &model, &options());
    let from = timelines[0].intervals[0].from.commit;
    assert!(good as u64 > last - from && from < 5, "{good} {from} {last}");
    let (report, found) = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
    assert_eq!((report.commit, &found), (last, &model[&last].1));
    assert_sound(&place);
    assert!(
        place.points(None).unwrap().len() <= 2,
        "one to begin with, and the one that was asked for"
    );
}

#[test]
fn a_shipper_goes_on_where_the_repository_says() {
    let disk = MemDisk::new();
    let (mut env, place) = (open(&disk), repository());
    let mut model = Model::new();
    for n in 0..12 {
        fill(&env, n, 3);
        note(&env, &mut model);
        // Each is another one, and so is the writer.
        ship(&mut shipper(&place, &disk.root()));
        if n % 4 == 1 {
            env.close().unwrap();
            ship(&mut shipper(&place, &disk.root()));
            env = open(&disk);
        }
        if n % 4 == 3 {
            drop(env); // as a process that dies
            env = open(&disk);
        }
    }
    env.close().unwrap();
    ship(&mut shipper(&place, &disk.root()));
    assert_eq!(place.points(None).unwrap().len(), 1);
    let timelines = place.intervals(None).unwrap();
    assert!(timelines[0].holes.is_empty(), "{timelines:?}");
    assert_eq!(assert_intervals(&place, &model, &options()), model.len());
    assert_sound(&place);
}

/// Invariants 14 and 15: what is said to be restorable is; what was not shipped is refused, and nothing behind it is
/// taken for it.
#[test]
fn journal_that_went_before_it_was_shipped_is_a_hole_with_a_new_point_behind_it() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    let mut model = Model::new();
    let mut put = |from: u32| {
        for n in 0..8 {
            fill(&env, from + n, 1);
            note(&env, &mut model);
        }
    };
    put(0);
    ship(&mut shipper(&place, &disk.root()));
    put(10);
    ship(&mut shipper(&place, &disk.root()));
    for n in 0..4 {
        put(20 + n * 10);
        env.checkpoint().unwrap();
        env.clean().unwrap();
    }
    env.checkpoint().unwrap();
    let mut goes_on = shipper(&place, &disk.root());
    let report = goes_on.step().unwrap();
    assert!(report.gap.is_some() && report.points.len() == 1, "{report:?}");
    put(60);
    let report = goes_on.step().unwrap();
    assert!(report.gap.is_none() && report.segments > 0, "{report:?}");
    env.close().unwrap();
    ship(&mut goes_on);
    let timelines = place.intervals(None).unwrap();
    let [timeline] = &*timelines else { panic!("{timelines:?}") };
    assert_eq!((timeline.intervals.len(), timeline.holes.len()), (2, 1), "{timelines:?}");
    let hole = &timeline.holes[0];
    assert!(hole.why.contains("not there") || hole.why.contains("does not follow"), "{hole:?}");
    let (after, before) = (hole.after.unwrap().commit, hole.before.unwrap().commit);
    let inside = model.keys().filter(|commit| (after + 1..before).contains(*commit)).count();
    assert!(inside > 10, "{hole:?}");
    let good = assert_intervals(&place, &model, &options());
    assert!(good + inside <= model.len(), "{good} {inside} of {}", model.len());
    // A time in the hole is refused, too.
    let time = hole.after.unwrap().time;
    let result = restore(&place, &Which::Newest, RestoreTo::Time(time), &options());
    assert!(result.is_err(), "{result:?}");
    assert_sound(&place);
}

/// Times, marks and positions, in the middle of what was shipped.
#[test]
fn times_marks_and_positions_lead_into_shipped_journal() {
    let disk = MemDisk::new();
    let sim = SimWorld::new(5);
    let shared: WorldRef = sim.world();
    let (env, _) = Environment::open_in(disk.root(), shared.clone(), options()).unwrap();
    let place = repository();
    let mut shipper = shipper(&place, &disk.root());
    let mut at = Vec::new();
    for n in 0..20_u32 {
        sim.advance(std::time::Duration::from_secs(1));
        fill(&env, n, 1);
        if n % 5 == 0 {
            env.mark(if n == 5 { "five" } else { "other" }).unwrap();
        }
        let marks = env.marks().unwrap();
        at.push((shared.wall().0, content(&env), marks.last().cloned()));
        ship(&mut shipper);
        if n == 9 {
            backup(&place, &env);
        }
    }
    env.close().unwrap();
    ship(&mut shipper);
    for (n, (time, expected, _)) in at.iter().enumerate().take(19).skip(1) {
        let to = RestoreTo::Time(*time);
        let (_, found) = restore(&place, &Which::Newest, to, &options()).unwrap();
        assert!(found == *expected, "second {n}");
    }
    let result = restore(&place, &Which::Newest, RestoreTo::Time(at[19].0 + 5_000_000), &options());
    assert!(matches!(result, Err(BackupError::Env(EnvError::OutOfReach { .. }))), "{result:?}");
    for (label, n) in [("five", 5), ("other", 15)] {
        let to = RestoreTo::Label(label.into());
        let (_, found) = restore(&place, &Which::Newest, to, &options()).unwrap();
        assert!(found == at[n].1, "{label}");
        let mark = at[n].2.clone().unwrap();
        let to = RestoreTo::Lsn(mark.lsn);
        let (report, found) = restore(&place, &Which::Newest, to, &options()).unwrap();
        assert!(found == at[n].1 && report.commit == mark.commit, "{label}");
    }
    let to = RestoreTo::Label("never".into());
    let result = restore(&place, &Which::Newest, to, &options());
    assert!(matches!(result, Err(BackupError::Env(EnvError::OutOfReach { .. }))), "{result:?}");
    // From a point of one's own choice, too.
    let to = RestoreTo::Commit(at[15].2.clone().unwrap().commit);
    let (_, found) = restore(&place, &Which::Number(1), to, &options()).unwrap();
    assert!(found == at[15].1);
    assert_eq!(
        restore(&place, &Which::Number(2), RestoreTo::Newest, &options()).unwrap().1,
        at[9].1
    );
}

/// Invariant 17: what was restored goes on as another timeline, and both stay restorable.
#[test]
fn what_was_restored_ships_on_a_timeline_of_its_own() {
    let disk = MemDisk::new();
    // One for all: else a timeline would come again.
    let world = SimWorld::new(8).world();
    let open = || Environment::open_in(disk.root(), world.clone(), options()).unwrap().0;
    let place = repository();
    let ship = || ship(&mut shipper(&place, &disk.root()));
    let env = open();
    fill(&env, 0, 10);
    let first = content(&env);
    let commit = env.snapshot().unwrap().commit();
    ship();
    fill(&env, 10, 10);
    let second = (env.snapshot().unwrap().commit(), content(&env));
    env.close().unwrap();
    ship();
    let how = RestoreOptions::default().options(options()).in_place(true);
    let how = how.to(RestoreTo::Commit(commit));
    place.restore_in(None, &Which::Newest, &disk.root(), &world, &how).unwrap();
    cairn_env::forget_old_generation(disk.root(), &world, options()).unwrap();
    let env = open();
    assert_eq!(content(&env), first);
    fill(&env, 50, 10);
    ship();
    fill(&env, 60, 10);
    let third = (env.snapshot().unwrap().commit(), content(&env));
    env.close().unwrap();
    ship();
    let timelines = place.intervals(None).unwrap();
    assert_eq!(timelines.len(), 2, "{timelines:?}");
    assert!(timelines.iter().all(|timeline| timeline.holes.is_empty()), "{timelines:?}");
    let newest = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
    assert_eq!((newest.0.commit, newest.1), third);
    let to = RestoreTo::Commit(second.0);
    let old = restore(&place, &Which::Number(1), to, &options()).unwrap();
    assert_eq!((old.0.commit, old.1), second);
    assert_sound(&place);
}

/// Journal bytes have one home: a point names the parts that were shipped.
#[test]
fn a_point_does_not_store_again_what_was_shipped() {
    let disk = MemDisk::new();
    let options = options().journal_file_bytes(8 << 20).keep_journal(JournalRetention::Forever);
    let (env, _) = Environment::open_in(disk.root(), world(), options).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let place = repository();
    fill(&env, 0, 1);
    let mut shipper = place.shipper(disk.root(), &world(), how().segment_bytes(1 << 20)).unwrap();
    ship(&mut shipper);
    let mut value = vec![0; 60_000];
    for n in 0..40_u32 {
        // What does not shrink.
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut value);
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &value)).unwrap();
        ship(&mut shipper);
    }
    let report = place.backup(&env, &cairn_backup::PointOptions::default()).unwrap();
    assert!(report.new_bytes < 400_000 && report.kept_bytes > 2_000_000, "{report:?}");
    assert_eq!(super::fixture::restored(&place, &Which::Newest), content(&env));
    assert_sound(&place);
}

/// A copy that went its own way on the same timeline is told from the original.
#[test]
fn a_copy_that_went_its_own_way_is_refused() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    fill(&env, 0, 20);
    env.close().unwrap();
    ship(&mut shipper(&place, &disk.root()));
    let copy = disk.fork();
    for (disk, from) in [(&disk, 100), (&copy, 200)] {
        let env = open(disk);
        fill(&env, from, 10);
        env.close().unwrap();
    }
    ship(&mut shipper(&place, &disk.root()));
    let error = shipper(&place, &copy.root()).step().unwrap_err();
    assert!(matches!(error, BackupError::ShippedOtherwise { .. }), "{error}");
    assert_sound(&place);
}

#[test]
fn an_environment_without_a_commit_is_shipped_when_it_has_one() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    let mut shipper = shipper(&place, &disk.root());
    assert_eq!(ship(&mut shipper), 0);
    assert_eq!(ship(&mut shipper), 0);
    fill(&env, 0, 5);
    env.close().unwrap();
    assert!(ship(&mut shipper) > 3);
    assert_eq!(place.points(None).unwrap().len(), 1);
    let (_, found) = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
    assert_eq!(found["db"].len(), 5);
}
