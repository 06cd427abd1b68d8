//! Crashes at every operation of a repository that is made and of two backups, of the repository, of the environment,
//! and of both: each point that is listed is whole, none that was reported is lost, and the next backup succeeds.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, REPOSITORY_SYNC_SITES, Repository, RestoreOptions, Which,
};
use cairn_env::{DatabaseOptions, Environment};
use cairn_io::MemDisk;
use cairn_sim::{Bounds, Image, SimDisk, SimWorld, Trace};

use super::{
    both::{Known, below, sweep_both},
    fixture::{local, small},
};
use crate::fixture::{Content, content, fill, options};

/// What the environment held at each commit.
type Contents = BTreeMap<u64, Content>;

/// Makes a repository, and two points in it. Each is told to the disk.
fn run() -> (Trace, Contents) {
    let disk = SimDisk::new();
    let world = SimWorld::new(3).world();
    let (env_dir, place) = (below(&disk.root(), "env"), below(&disk.root(), "repo"));
    disk.root().sync(cairn_io::SyncSite::new("test.dirs")).unwrap();
    let (env, _) = Environment::open_in(env_dir, world.clone(), options()).unwrap();
    let mut contents = Contents::new();
    let mut note = || contents.insert(env.snapshot().unwrap().commit(), content(&env));
    note();
    env.database("db", DatabaseOptions::default()).unwrap();
    note();
    let mut put = |n| {
        fill(&env, n, 1);
        note();
    };
    (0..3).for_each(&mut put);
    let repository = Repository::create_in(local(place), &world).unwrap();
    disk.mark("made", 1);
    for point in 1..3 {
        repository.backup(&env, &small()).unwrap();
        disk.mark("points", point);
        (0..2).for_each(|n| put(u32::try_from(point).unwrap() * 4 + n));
    }
    env.close().unwrap();
    (disk.trace(), contents)
}

/// What must be true of an environment and a repository after a crash, which had reported so many points.
fn judge(image: &Image, (made, points): Known, contents: &Contents) -> Result<(), String> {
    let text = |error: BackupError| error.to_string();
    let disk = image.to_mem();
    let world = SimWorld::new(9).world();
    let place = local(below(&disk.root(), "repo"));
    let repository = match Repository::open_in(Arc::clone(&place), &world) {
        Ok(repository) => repository,
        Err(BackupError::NotARepository { .. }) if !made => {
            Repository::create_in(place, &world).map_err(text)?
        }
        Err(error) => return Err(error.to_string()),
    };
    let report = |repository: &Repository, level| {
        let how = CheckOptions::default().level(level);
        let report = repository.check(&how).map_err(text)?;
        match &*report.findings {
            [] => Ok(report.points),
            findings => Err(format!("{findings:?}")),
        }
    };
    let listed = report(&repository, CheckLevel::Structure)?;
    if listed < points {
        return Err(format!("{points} points were reported, {listed} are there"));
    }
    let restore = |number: u64| {
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        let which = Which::Number(number);
        let report = repository
            .restore_in(None, &which, &target.root(), &world, &how)
            .map_err(|error| format!("point {number}: {error}"))?;
        let (env, _) = Environment::open_in(target.root(), world.clone(), options())
            .map_err(|error| format!("point {number}: {error}"))?;
        match contents.get(&report.commit) {
            Some(expected) if *expected == content(&env) => Ok(report.commit),
            _ => Err(format!("point {number} holds something else at commit {}", report.commit)),
        }
    };
    let mut commit = 0;
    for number in 1..=listed {
        commit = restore(number)?;
    }
    let (env, _) = Environment::open_in(below(&disk.root(), "env"), world.clone(), options())
        .map_err(|error| error.to_string())?;
    let found = env.snapshot().map_err(|error| error.to_string())?.commit();
    if found < commit {
        return Err(format!("the environment lost commit {commit}, which a point has"));
    }
    let next = repository.backup(&env, &small()).map_err(text)?;
    if next.number != listed + 1 || restore(next.number)? != found {
        return Err(format!("the next backup is {next:?}, after {listed}, of commit {found}"));
    }
    report(&repository, CheckLevel::Stored).map(drop)
}

fn sweep(trace: &Trace, contents: &Contents) -> Result<usize, String> {
    sweep_both(trace, "points", &Bounds::smoke(), &|image, known| judge(image, known, contents))
}

#[test]
fn each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost() {
    let (trace, contents) = run();
    let states = sweep(&trace, &contents).unwrap();
    assert!(states > 500, "{states}");
}

/// Each sync is needed: without it, a crash breaks a promise.
#[test]
fn each_sync_of_a_repository_is_needed() {
    let (trace, contents) = run();
    for needed in REPOSITORY_SYNC_SITES {
        let without = trace.without_syncs(|site, _| site == *needed);
        assert!(sweep(&without, &contents).is_err(), "{needed}");
    }
}
