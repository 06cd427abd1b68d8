//! How fast copies and restores go, whether they go on, and what they say of it.

use std::sync::{Arc, Mutex};

use cairn_backup::{
    BackupError, BackupOptions, BackupResult, Cancel, CheckLevel, CheckOptions, Pace, PointOptions,
    Progress, Repository, RestoreOptions, RestoreTo, Which, backup_to, restore_from, verify_in,
};
use cairn_env::{EnvError, Environment, ErrorKind, kept_generation};
use cairn_io::{DirRef, MemDisk, RealWorld, WorldRef};
use cairn_sim::{Image, SimDisk, SimWorld};

use crate::{
    fixture::{Content, content, fill, open, options, world},
    repository::fixture::local,
};

type Told<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Something that is copied; what the target then holds, if it is an environment.
type Way = fn(&WorldRef, Pace<'_>, Told<'_>) -> BackupResult<Option<Content>>;

/// An environment with several files, and what it holds.
fn filled(disk: &MemDisk) -> (Environment, Content) {
    let env = open(disk);
    fill(&env, 0, 120);
    let content = content(&env);
    (env, content)
}

fn saved_in(disk: &MemDisk) -> DirRef {
    let saved = MemDisk::new().root();
    backup_to(&open(disk), &saved, &world(), &BackupOptions::default()).unwrap();
    saved
}

fn to_directory(world: &WorldRef, pace: Pace<'_>, told: Told<'_>) -> BackupResult<Option<Content>> {
    let (disk, target) = (MemDisk::new(), MemDisk::new().root());
    let (env, _) = filled(&disk);
    let how = BackupOptions::default().pace(pace).progress(told);
    backup_to(&env, &target, world, &how)?;
    assert!(verify_in(&*target, Some(told))?.findings.is_empty());
    Ok(None)
}

fn since_another(
    world: &WorldRef,
    pace: Pace<'_>,
    told: Told<'_>,
) -> BackupResult<Option<Content>> {
    let disk = MemDisk::new();
    filled(&disk).0.close().unwrap();
    let (saved, root) = (saved_in(&disk), MemDisk::new());
    // Links need one disk: the one before lies beside the new one.
    let place = |name| root.root().create_dir(&cairn_io::Name::new(name).unwrap()).unwrap();
    let (one, two) = (place("one"), place("two"));
    let env = open(&disk);
    backup_to(&env, &one, world, &BackupOptions::default()).unwrap();
    fill(&env, 500, 40);
    drop(saved);
    let how = BackupOptions::default().since_in(&one).pace(pace).progress(told);
    assert!(backup_to(&env, &two, world, &how)?.linked_files > 0);
    Ok(None)
}

fn point(world: &WorldRef, pace: Pace<'_>, told: Told<'_>) -> BackupResult<Option<Content>> {
    let (disk, place) = (MemDisk::new(), MemDisk::new().root());
    let (env, content) = filled(&disk);
    let repository = Repository::create_in(local(place), world)?;
    let how = PointOptions::default().part_bytes(5000).pace(pace).progress(told);
    repository.backup(&env, &how)?;
    let found = restored(&repository)?;
    assert_eq!(found, content);
    Ok(None)
}

fn second_point(world: &WorldRef, pace: Pace<'_>, told: Told<'_>) -> BackupResult<Option<Content>> {
    let (disk, place) = (MemDisk::new(), MemDisk::new().root());
    let (env, _) = filled(&disk);
    let repository = Repository::create_in(local(place), world)?;
    repository.backup(&env, &PointOptions::default()).unwrap();
    fill(&env, 300, 50);
    let how = PointOptions::default().pace(pace).progress(told);
    assert!(repository.backup(&env, &how)?.kept_bytes > 0);
    assert_eq!(restored(&repository)?, content(&env));
    Ok(None)
}

fn restored(repository: &Repository) -> BackupResult<Content> {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options());
    repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how)?;
    Ok(content(&open(&target)))
}

fn restore(world: &WorldRef, pace: Pace<'_>, told: Told<'_>) -> BackupResult<Option<Content>> {
    let (disk, target) = (MemDisk::new(), MemDisk::new());
    filled(&disk).0.close().unwrap();
    let how = RestoreOptions::default().options(options()).pace(pace).progress(told);
    restore_from(&saved_in(&disk), &target.root(), world, &how)?;
    Ok(Some(content(&open(&target))))
}

fn restore_point(
    world: &WorldRef,
    pace: Pace<'_>,
    told: Told<'_>,
) -> BackupResult<Option<Content>> {
    let (disk, target) = (MemDisk::new(), MemDisk::new());
    let (env, _) = filled(&disk);
    let repository = Repository::create_in(local(MemDisk::new().root()), world)?;
    repository.backup(&env, &PointOptions::default().part_bytes(5000)).unwrap();
    let how = RestoreOptions::default().options(options()).pace(pace).progress(told);
    repository.restore_in(None, &Which::Newest, &target.root(), world, &how)?;
    Ok(Some(content(&open(&target))))
}

fn restore_delta(
    world: &WorldRef,
    pace: Pace<'_>,
    told: Told<'_>,
) -> BackupResult<Option<Content>> {
    let disk = MemDisk::new();
    filled(&disk).0.close().unwrap();
    let saved = saved_in(&disk);
    fill(&open(&disk), 700, 30);
    let how = RestoreOptions::default().options(options()).in_place(true).delta(true);
    restore_from(&saved, &disk.root(), world, &how.pace(pace).progress(told))?;
    Ok(Some(content(&open(&disk))))
}

fn restore_to_a_moment(
    world: &WorldRef,
    pace: Pace<'_>,
    told: Told<'_>,
) -> BackupResult<Option<Content>> {
    let (disk, target) = (MemDisk::new(), MemDisk::new());
    let (env, _) = filled(&disk);
    let commit = env.snapshot().unwrap().commit();
    env.close().unwrap();
    let saved = saved_in(&disk);
    let env = open(&disk);
    fill(&env, 400, 100);
    env.close().unwrap();
    let journal = disk.root();
    let how = RestoreOptions::default().options(options()).to(RestoreTo::Commit(commit));
    let how = how.journal_in(&journal).pace(pace).progress(told);
    restore_from(&saved, &target.root(), world, &how)?;
    Ok(Some(content(&open(&target))))
}

const WAYS: [(&str, Way); 8] = [
    ("to a directory", to_directory),
    ("since another", since_another),
    ("a point", point),
    ("a second point", second_point),
    ("a restore", restore),
    ("a restore of a point", restore_point),
    ("a delta restore", restore_delta),
    ("a restore to a moment", restore_to_a_moment),
];

/// Invariant 31 of the repository.
#[test]
fn progress_is_monotone_and_ends_at_100_percent_whatever_the_number_of_threads() {
    let expected = filled(&MemDisk::new()).1;
    let real: WorldRef = Arc::new(RealWorld::new());
    for (what, way) in WAYS {
        // Where others help, who waits may hear of it only in the end.
        let worlds = [(1, world(), 3), (3, world(), 3), (4, WorldRef::clone(&real), 0)];
        for (threads, world, least) in worlds {
            let told = Mutex::new(Vec::new());
            let tell = |progress| told.lock().unwrap().push(progress);
            let found = way(&world, Pace::default().threads(threads), &tell).unwrap();
            if let Some(found) = found {
                assert_eq!(found, expected, "{what}");
            }
            let told = told.into_inner().unwrap();
            // One after the other, each from its beginning.
            let mut runs = told.chunk_by(|one, next| one.done <= next.done);
            let (count, what) = (usize::from(what == "to a directory") + 1, (what, threads));
            assert_eq!(runs.clone().count(), count, "{what:?}: {told:?}");
            assert!(runs.clone().all(|run| run.iter().all(|told| told.total == run[0].total)));
            let is_whole = |run: &[Progress]| {
                run.len() > least
                    && run.last().is_some_and(|last| last.total > 0 && last.done == last.total)
            };
            assert!(runs.all(is_whole), "{what:?}: {told:?}");
        }
    }
}

/// Ends what it is used for at its report with this number.
struct After {
    cancel: Cancel,
    left: Mutex<usize>,
}

impl After {
    fn reports(count: usize) -> Self {
        Self { cancel: Cancel::new(), left: Mutex::new(count) }
    }

    fn tell(&self) {
        let mut left = self.left.lock().unwrap();
        match *left {
            0 => self.cancel.cancel(),
            _ => *left -= 1,
        }
    }
}

fn objects(place: &MemDisk) -> usize {
    place.files().iter().filter(|file| file.0.ends_with(".obj")).count()
}

#[test]
fn a_cancelled_backup_is_no_point_and_the_next_one_uses_what_it_has_stored() {
    let disk = MemDisk::new();
    let (env, _) = filled(&disk);
    let real: WorldRef = Arc::new(RealWorld::new());
    // Threads may have done everything before one of them looks.
    for (threads, world, least) in [(1, world(), Some(5)), (3, real, None)] {
        let mut adopted = 0;
        for nth in 0.. {
            let place = MemDisk::new();
            let repository = Repository::create_in(local(place.root()), &world).unwrap();
            let after = After::reports(nth);
            let tell = |_| after.tell();
            let pace = Pace::default().threads(threads).cancel(&after.cancel);
            let how = PointOptions::default().part_bytes(5000).pace(pace).progress(&tell);
            match repository.backup(&env, &how) {
                Ok(_) => {
                    assert!(least.is_none_or(|least| nth > least), "{nth}");
                    break;
                }
                Err(error) => {
                    assert!(matches!(error, BackupError::Cancelled), "{error}");
                    assert_eq!(error.kind(), ErrorKind::Expired);
                }
            }
            assert_eq!(
                repository.info().unwrap().environments.first().map_or(0, |of| of.points),
                0
            );
            let check = repository.check(&CheckOptions::default().level(CheckLevel::Structure));
            assert!(check.unwrap().findings.is_empty());
            let stored = objects(&place);
            let report =
                repository.backup(&env, &PointOptions::default().part_bytes(5000)).unwrap();
            assert_eq!(report.adopted_objects, stored as u64, "{report:?}");
            adopted += report.adopted_objects;
            assert_eq!(objects(&place) as u64, report.new_objects + stored as u64);
            assert_eq!(restored(&repository).unwrap(), content(&env));
        }
        fill(&env, 0, 1); // the environment goes on
        assert!(least.is_none_or(|least| adopted >= 3 * least as u64), "{adopted}");
    }
}

#[test]
fn a_cancelled_backup_into_a_directory_is_none_and_starts_over() {
    let disk = MemDisk::new();
    let (env, _) = filled(&disk);
    for nth in 0.. {
        let after = After::reports(nth);
        let tell = |_| after.tell();
        let target = MemDisk::new().root();
        let how = BackupOptions::default().pace(Pace::default().cancel(&after.cancel));
        match backup_to(&env, &target, &world(), &how.progress(&tell)) {
            Ok(_) => {
                assert!(nth > 5, "{nth}");
                break;
            }
            Err(error) => assert!(matches!(error, BackupError::Cancelled), "{error}"),
        }
        assert_eq!(verify_in(&*target, None).unwrap_err().kind(), ErrorKind::NotFound);
        backup_to(&env, &target, &world(), &BackupOptions::default()).unwrap();
    }
}

#[test]
fn a_cancelled_restore_has_changed_nothing_and_the_next_one_takes_what_it_has_brought() {
    let source = MemDisk::new();
    let (env, expected) = filled(&source);
    let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
    repository.backup(&env, &PointOptions::default()).unwrap();
    fill(&env, 1000, 10);
    let newer = content(&env);
    env.close().unwrap();
    let source = Image::of(&source);
    for in_place in [false, true] {
        let mut taken = 0;
        for nth in 0.. {
            let target = if in_place { source.to_mem() } else { MemDisk::new() };
            let after = After::reports(nth);
            let tell = |_| after.tell();
            let how = RestoreOptions::default().options(options()).in_place(in_place);
            let pace = Pace::default().cancel(&after.cancel);
            let restore = |how: RestoreOptions<'_>| {
                repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how)
            };
            if let Err(error) = restore(how.clone().pace(pace).progress(&tell)) {
                assert!(matches!(error, BackupError::Cancelled), "{error}");
            } else {
                assert!(nth > 5, "{nth}");
                break;
            }
            if in_place {
                assert_eq!(content(&open(&target)), newer);
            } else {
                let error = Environment::open_in(target.root(), world(), options()).unwrap_err();
                assert!(matches!(error, EnvError::IncompleteRestore { .. }), "{error}");
            }
            let brought = target.files().into_iter().filter(|(path, _)| {
                let counts = in_place && path.starts_with("g-000001");
                path.ends_with(".log") && !path.contains("arriving-") && !counts
            });
            let brought = brought.count() as u64;
            let report = restore(how).unwrap();
            assert_eq!(report.taken_files, brought);
            taken += brought;
            assert_eq!(content(&open(&target)), expected);
            let kept = kept_generation(target.root()).unwrap();
            assert_eq!(kept.is_some(), in_place);
            assert_eq!(target.dirs().len(), 1 + usize::from(in_place), "{:?}", target.dirs());
        }
        assert!(taken > 10, "{taken}");
    }
}

#[test]
fn a_copy_takes_as_long_as_its_rate_says() {
    for (what, way) in WAYS {
        let sim = SimWorld::new(5);
        let (world, total) = (sim.world(), Mutex::new(0));
        let tell = |progress: Progress| *total.lock().unwrap() = progress.total;
        let began = world.monotonic();
        way(&world, Pace::default().threads(2).bytes_per_second(10_000), &tell).unwrap();
        let took = (world.monotonic() - began).as_secs_f64();
        let most = *total.lock().unwrap() as f64 / 10_000.0;
        // What is known already is not read, and the last piece waits for nobody.
        let least = match what {
            "a restore" | "a restore of a point" | "a point" => most - 2.0,
            "a delta restore" => 0.0,
            _ => 0.2,
        };
        let most = if what == "to a directory" { 2.0 * most } else { most };
        assert!((least..most + 0.1).contains(&took), "{what}: {took} of {most}");
    }
    let nothing = Pace::default().bytes_per_second(0);
    let error = restore(&world(), nothing, &|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn on_the_simulator_threads_change_nothing() {
    let images = [1, 5].map(|threads| {
        let disk = SimDisk::new();
        let world = SimWorld::new(9).world();
        let place = |name| disk.root().create_dir(&cairn_io::Name::new(name).unwrap()).unwrap();
        let (live, repo, back) = (place("env"), place("repo"), place("back"));
        let (env, _) = Environment::open_in(live, WorldRef::clone(&world), options()).unwrap();
        fill(&env, 0, 60);
        let pace = Pace::default().threads(threads);
        let repository = Repository::create_in(local(repo), &world).unwrap();
        let how = PointOptions::default().part_bytes(3000).pace(pace);
        repository.backup(&env, &how).unwrap();
        let how = RestoreOptions::default().options(options()).pace(pace);
        repository.restore_in(None, &Which::Newest, &back, &world, &how).unwrap();
        (disk.image().hash(), disk.trace().entries().len())
    });
    assert_eq!(images[0], images[1]);
}
