//! Crashes at every operation of an environment that is shipped and of the repository, of one, of the other, and of both:
//! what was reported to be shipped is there, what is there the environment has not lost, and shipping goes on.

use std::sync::Arc;

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, REPOSITORY_SYNC_SITES, Repository, RestoreTo, Which,
};
use cairn_env::{DatabaseOptions, Environment};
use cairn_io::MemDisk;
use cairn_sim::{Bounds, Image, SimDisk, SimWorld, Trace};

use super::{
    both::{Known, below, sweep_both},
    fixture::local,
    shipped::{Model, how, note, restore},
};
use crate::fixture::{content, fill, options};

/// Commits, and ships what is durable; each step is told to the disk with the newest commit that it has shipped.
fn run() -> (Trace, Model) {
    let disk = SimDisk::new();
    let world = SimWorld::new(3).world();
    let (env_dir, place) = (below(&disk.root(), "env"), below(&disk.root(), "repo"));
    disk.root().sync(cairn_io::SyncSite::new("test.dirs")).unwrap();
    let (env, _) = Environment::open_in(env_dir.clone(), world.clone(), options()).unwrap();
    let mut model = Model::new();
    note(&env, &mut model);
    env.database("db", DatabaseOptions::default()).unwrap();
    note(&env, &mut model);
    let repository = Repository::create_in(local(place), &world).unwrap();
    disk.mark("made", 1);
    let mut shipper = repository.shipper(env_dir, &world, how()).unwrap();
    for n in 0..2 {
        fill(&env, n + 1, 1);
        note(&env, &mut model);
        let report = shipper.step().unwrap();
        disk.mark("shipped", report.newest.unwrap().0);
    }
    env.close().unwrap();
    let report = shipper.step().unwrap();
    disk.mark("shipped", report.newest.unwrap().0);
    (disk.trace(), model)
}

/// What must be true of an environment and a repository after a crash, when that had told of a commit.
fn judge(image: &Image, (made, shipped): Known, model: &Model) -> Result<(), String> {
    let text = |error: BackupError| error.to_string();
    let disk = image.to_mem();
    let world = SimWorld::new(9).world();
    let place = local(below(&disk.root(), "repo"));
    let repository = match Repository::open_in(Arc::clone(&place), &world) {
        Ok(repository) => repository,
        Err(BackupError::NotARepository { .. }) if !made => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let sound = |level| {
        let how = CheckOptions::default().level(level);
        let report = repository.check(&how).map_err(text)?;
        match &*report.findings {
            [] => Ok(()),
            findings => Err(format!("{findings:?}")),
        }
    };
    sound(CheckLevel::Structure)?;
    let intervals = || match repository.intervals(None) {
        Err(BackupError::NoPoint { .. }) => Ok(Vec::new()),
        found => found.map_err(text),
    };
    let ends = intervals()?;
    let ends = ends.first().and_then(|timeline| timeline.intervals.last().cloned());
    let newest = ends.as_ref().map_or(0, |interval| interval.to.commit);
    if newest < shipped {
        return Err(format!("commit {shipped} was said to be shipped, {newest} is the newest"));
    }
    if let Some(interval) = ends {
        // Each of them for other states: which ones a crash leaves is told by the last.
        for commit in [interval.to.commit, interval.from.commit.max(interval.to.commit - 1)] {
            let Some((_, expected)) = model.get(&commit) else { continue };
            let to = RestoreTo::Commit(commit);
            let (_, found) = restore(&repository, &Which::Newest, to, &options()).map_err(text)?;
            if found != *expected {
                return Err(format!("commit {commit} is another one"));
            }
        }
    }
    let dir = below(&disk.root(), "env");
    let (env, _) = Environment::open_in(dir.clone(), world.clone(), options())
        .map_err(|error| error.to_string())?;
    let found = env.snapshot().map_err(|error| error.to_string())?.commit();
    if found < newest {
        return Err(format!("the environment has lost commit {newest}, which was shipped"));
    }
    // Another shipper, after both have come back.
    let mut shipper = repository.shipper(dir, &world, how()).map_err(text)?;
    fill(&env, 70, 2);
    let (last, expected) = (env.snapshot().unwrap().commit(), content(&env));
    shipper.step().map_err(text)?;
    env.close().map_err(|error| error.to_string())?;
    shipper.step().map_err(text)?;
    let newest = restore(&repository, &Which::Newest, RestoreTo::Newest, &options());
    let (report, content) = newest.map_err(text)?;
    if report.commit != last || content != expected {
        return Err(format!("commit {} came back in place of {last}", report.commit));
    }
    let timelines = intervals()?;
    if !timelines.iter().all(|timeline| timeline.holes.is_empty()) {
        return Err(format!("{timelines:?}"));
    }
    sound(CheckLevel::Stored)
}

/// Few images of each kind: each is looked at closely.
fn bounds() -> Bounds {
    let smoke = Bounds::smoke();
    Bounds { subsets_of_max: 1, subsets_sampled: 2, edges_max: 1, tears_sampled: 0, ..smoke }
}

fn sweep(trace: &Trace, model: &Model) -> Result<usize, String> {
    sweep_both(trace, "shipped", &bounds(), &|image, known| judge(image, known, model))
}

/// Invariants 1, 5 and 6 for journal that is shipped.
#[test]
fn what_was_shipped_is_there_after_any_crash_and_shipping_goes_on() {
    let (trace, model) = run();
    let states = sweep(&trace, &model).unwrap();
    assert!(states > 150, "{states}");
}

/// Each sync is needed: without it, a crash breaks a promise.
#[test]
fn each_sync_of_a_repository_is_needed_for_what_is_shipped() {
    let (trace, model) = run();
    for needed in REPOSITORY_SYNC_SITES {
        let without = trace.without_syncs(|site, _| site == *needed);
        assert!(sweep(&without, &model).is_err(), "{needed}");
    }
}

/// A disk that is only there to be written to.
#[test]
fn a_place_that_is_full_is_an_error_and_shipping_goes_on_when_there_is_room() {
    use cairn_io::IoOp;
    use cairn_sim::{Fault, FaultDisk, Rule};
    for (op, fault) in
        [(IoOp::Write, Fault::NoSpace), (IoOp::Write, Fault::Eio), (IoOp::Sync, Fault::Eio)]
    {
        let mut failed = 0;
        for nth in 0.. {
            let (disk, place) = (MemDisk::new(), MemDisk::new());
            let world = SimWorld::new(3).world();
            let (env, _) = Environment::open_in(disk.root(), world.clone(), options()).unwrap();
            fill(&env, 0, 5);
            Repository::create_in(local(place.root()), &world).unwrap();
            let faults = FaultDisk::new(place.root());
            faults.inject(Rule::new(fault).op(op).nth(nth));
            let repository = Repository::open_in(local(faults.root()), &world).unwrap();
            let mut shipper = repository.shipper(disk.root(), &world, how()).unwrap();
            for n in 0..3 {
                fill(&env, 10 + n, 1);
                failed += usize::from(shipper.step().is_err());
            }
            env.close().unwrap();
            failed += usize::from(shipper.step().is_err());
            if !faults.has_struck() {
                break;
            }
            shipper.step().unwrap();
            let newest = restore(&repository, &Which::Newest, RestoreTo::Newest, &options());
            assert_eq!(newest.unwrap().1["db"].len(), 8, "{op} {nth}");
            let report = repository.check(&CheckOptions::default()).unwrap();
            assert_eq!(report.findings, [], "{op} {nth}");
        }
        assert!(failed > 5, "{op}: {failed}");
    }
}
