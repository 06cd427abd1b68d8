//! Random histories: what happens to an environment between its backups, and each point that comes of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cairn_backup::{
    BackupError, Cancel, CheckLevel, CheckOptions, Pace, PointOptions, PointState, Progress,
    Repository, RestoreOptions, Which,
};
use cairn_env::{Environment, ErrorKind, Options, VerifyOptions};
use cairn_io::{DirRef, IoOp, MemDisk, WorldRef};
use cairn_sim::{ChooserExt as _, Fault, FaultDisk, Rule, Seeded, SimWorld};

use super::{
    backups::assert_sound,
    fixture::{local, repository, repository_for, small},
};
use crate::fixture::{Content, content, fill, options, world};

fn open(dir: &DirRef, options: Options) -> Environment {
    open_at(dir, &world(), options)
}

fn open_at(dir: &DirRef, world: &WorldRef, options: Options) -> Environment {
    Environment::open_in(DirRef::clone(dir), WorldRef::clone(world), options).unwrap().0
}

fn restored(place: &Repository, number: u64, options: &Options) -> Content {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options.clone());
    place.restore_in(None, &Which::Number(number), &target.root(), &world(), &how).unwrap();
    // Its trees consist of the nodes of which the environment knew that they do.
    let reader = open(&target.root(), options.clone().read_only(true).create(false));
    let (_, point) = place.find(None, &Which::Number(number)).unwrap();
    let report = reader.verify(&VerifyOptions::new()).unwrap();
    assert_eq!(report.tree_digest, point.tree_digest);
    assert_eq!(point.tree_digest.is_some(), point.cut.checkpoint.is_some());
    drop(reader);
    content(&open(&target.root(), options.clone()))
}

/// Cancels something at its report with this number; says whether it was done before.
fn cut_short(
    reports: usize,
    act: impl FnOnce(Pace<'_>, &(dyn Fn(Progress) + Send + Sync)) -> Result<(), BackupError>,
) -> bool {
    let (cancel, left) = (Cancel::new(), Mutex::new(reports));
    let tell = |_| match &mut *left.lock().unwrap() {
        0 => cancel.cancel(),
        left => *left -= 1,
    };
    match act(Pace::default().cancel(&cancel), &tell) {
        Ok(()) => true,
        Err(BackupError::Cancelled) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Writes, deletes, checkpoints, cleans, dies, opens again, backs up, restores in place, undoes; backups and restores are
/// cut short, and made again.
fn history(seed: u64) {
    let mut random = Seeded::new(seed);
    let directories = if random.range(0..3, "directories") == 0 { 2 } else { 0 };
    let options = options().data_directories(directories);
    let (mut disk, place) = (MemDisk::new(), repository_for(seed));
    let mut dir = disk.root();
    // One for all: else a timeline would come again.
    let world = SimWorld::new(seed).world();
    let mut env = open_at(&dir, &world, options.clone());
    let mut points = BTreeMap::new();
    for step in 0..40 {
        match random.range(0..11, "step") {
            0..=2 => fill(&env, u32::try_from(random.range(0..200, "from")).unwrap(), 10),
            3 => {
                let db = env.database("db", cairn_env::DatabaseOptions::default()).unwrap();
                for n in 0..u32::try_from(random.range(1..60, "to")).unwrap() {
                    env.write(|txn| txn.delete(&db, &n.to_le_bytes()).map(drop)).unwrap();
                }
            }
            4 => drop(env.checkpoint().unwrap()),
            5 => drop(env.clean().unwrap()),
            6 => {
                env.close().unwrap();
                env = open_at(&dir, &world, options.clone());
            }
            7 => {
                // The process dies: nobody closes anything.
                disk = disk.fork();
                dir = disk.root();
                env = open_at(&dir, &world, options.clone());
            }
            8 if !points.is_empty() => {
                env.close().unwrap();
                let number = random.range(1..points.len() + 1, "point") as u64;
                let how = RestoreOptions::default().options(options.clone()).in_place(true);
                let how = how.delta(random.range(0..2, "delta") == 0);
                let restore = |how: &RestoreOptions<'_>| {
                    place.restore_in(None, &Which::Number(number), &dir, &world, how)
                };
                if random.range(0..2, "cut short") == 0 {
                    cut_short(random.range(0..12, "reports"), |pace, progress| {
                        restore(&how.clone().pace(pace).progress(progress)).map(drop)
                    });
                }
                if cairn_env::kept_generation(DirRef::clone(&dir)).unwrap().is_none() {
                    restore(&how).unwrap();
                }
                if random.range(0..2, "undo") == 0 {
                    cairn_env::undo_restore(DirRef::clone(&dir)).unwrap();
                }
                cairn_env::forget_old_generation(DirRef::clone(&dir), &world, options.clone())
                    .unwrap();
                env = open_at(&dir, &world, options.clone());
            }
            _ => {
                let how = small().part_bytes(random.range(500..20_000, "part") as u64);
                let is_cut_short = random.range(0..3, "cut short") == 0
                    && !cut_short(random.range(0..12, "reports"), |pace, progress| {
                        place.backup(&env, &how.pace(pace).progress(progress)).map(drop)
                    });
                if !is_cut_short && place.points(None).is_ok_and(|is| is.len() > points.len()) {
                    points.insert(points.len() as u64 + 1, content(&env));
                    continue;
                }
                let report = place.backup(&env, &how).unwrap();
                assert_eq!(report.number, points.len() as u64 + 1, "seed {seed}, step {step}");
                points.insert(report.number, content(&env));
            }
        }
    }
    if points.is_empty() {
        return;
    }
    let how = CheckOptions::default().level(CheckLevel::Structure).record(true);
    assert_eq!(place.check(&how).unwrap().findings, [], "seed {seed}");
    let listed = place.points(None).unwrap();
    assert_eq!(listed.len(), points.len(), "seed {seed}");
    let mut trees = BTreeMap::new();
    for point in listed {
        let of = point.point.as_ref().unwrap();
        let cut = (of.cut.timeline, of.cut.checkpoint_number, of.cut.checkpoint);
        let said = trees.entry(cut).or_insert(of.tree_digest);
        assert_eq!(*said, of.tree_digest, "seed {seed}: points of one checkpoint");
        let (number, expected) = (point.number, &points[&point.number]);
        assert_eq!(point.state(), PointState::Checked, "seed {seed}, point {number}");
        assert_eq!(&restored(&place, number, &options), expected, "seed {seed}, point {number}");
    }
    assert_sound(&place);
}

#[test]
fn each_point_of_random_histories_comes_back_as_it_was() {
    // How many, and from which on: for a long run.
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap())
    };
    let (count, from) = (number("CAIRN_HISTORIES", 30), number("CAIRN_HISTORIES_FROM", 0));
    (from..from + count).for_each(history);
}

/// An error at the nth call of the disk on which the repository lies: nothing that was there is lost, the error
/// comes out, and the next backup succeeds.
#[test]
fn each_failed_call_of_the_disk_comes_out_and_harms_nothing() {
    for (op, fault) in [
        (IoOp::Write, Fault::NoSpace),
        (IoOp::Write, Fault::Eio),
        (IoOp::Read, Fault::Eio),
        (IoOp::Create, Fault::NoSpace),
        (IoOp::Rename, Fault::Eio),
        (IoOp::Sync, Fault::Eio),
        (IoOp::List, Fault::Eio),
        (IoOp::Write, Fault::LostWrite),
        (IoOp::Read, Fault::FlippedRead(77)),
    ] {
        let mut failed = 0;
        for nth in 0.. {
            let env = open(&MemDisk::new().root(), options());
            fill(&env, 0, 10);
            let disk = MemDisk::new();
            let honest = Repository::create_in(local(disk.root()), &world()).unwrap();
            honest.backup(&env, &PointOptions::default()).unwrap();
            fill(&env, 50, 10);
            let faults = FaultDisk::new(disk.root());
            faults.inject(Rule::new(fault).op(op).nth(nth));
            let what = format!("{op} {nth}");
            let backed_up = Repository::open_in(local(faults.root()), &world())
                .and_then(|place| place.backup(&env, &PointOptions::default()));
            if !faults.has_struck() {
                backed_up.unwrap();
                // Some faults do nothing to some calls.
                match faults.calls_of(op) > nth {
                    true => continue,
                    false => break,
                }
            }
            let listed = honest.points(None).unwrap().len();
            match backed_up {
                // A temporary file that cannot be removed is in nobody's way.
                Ok(report) => assert_eq!(report.number, 2, "{what}"),
                Err(error) => {
                    let kind = error.kind();
                    let is_right = match fault {
                        Fault::NoSpace => kind == ErrorKind::Full,
                        Fault::LostWrite | Fault::FlippedRead(_) => kind == ErrorKind::Corrupt,
                        _ => kind == ErrorKind::Io,
                    };
                    assert!(is_right, "{what}: {kind:?} {error}");
                    failed += 1;
                }
            }
            // What a write that was lost has left says so itself.
            if fault != Fault::LostWrite {
                assert_sound(&honest);
            }
            let report = honest.backup(&env, &PointOptions::default()).unwrap();
            assert_eq!(report.number, listed as u64 + 1, "{what}");
            assert_eq!(restored(&honest, report.number, &options()), content(&env), "{what}");
        }
        assert!(failed > 1, "{op}: {failed}");
    }
}

#[test]
fn an_environment_without_a_commit_can_be_backed_up_and_restored() {
    let (env, place) = (open(&MemDisk::new().root(), options()), repository());
    for number in 1..3 {
        let report = place.backup(&env, &small()).unwrap();
        assert_eq!((report.number, report.commit, report.bytes), (number, 0, 0));
        assert_eq!(restored(&place, number, &options()), Content::new());
    }
    assert_sound(&place);
}

/// The cleaner goes on while a backup is made, and takes what that has released.
#[test]
fn writers_checkpoints_and_the_cleaner_go_on_during_a_backup() {
    let (env, place) = (open(&MemDisk::new().root(), options()), repository());
    fill(&env, 0, 200);
    let env = Arc::new(env);
    let (at_cut, busy) = (Mutex::new(Content::new()), Arc::clone(&env));
    let count = std::sync::atomic::AtomicU32::new(0);
    let progress = |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fill(&busy, n % 200, 3);
        busy.checkpoint().unwrap();
        busy.clean().unwrap();
    };
    let note = |snapshot: cairn_env::Snapshot| {
        let db = snapshot.database("db").unwrap().unwrap();
        let entries = snapshot.iter(&db).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        at_cut.lock().unwrap().insert("db".into(), entries.collect());
    };
    let how = small().progress(&progress).at_cut(&note);
    let report = place.backup(&env, &how).unwrap();
    assert!(count.into_inner() > 3);
    assert_eq!(restored(&place, report.number, &options()), *at_cut.lock().unwrap());
    assert_sound(&place);
    let error = place.find(None, &Which::Number(2)).unwrap_err();
    assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
}
