//! Crashes at every operation of a repository that is made and of two backups, of the repository, of the environment,
//! and of both: each point that is listed is whole, none that was reported is lost, and the next backup succeeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, REPOSITORY_SYNC_SITES, Repository, RestoreOptions, Which,
};
use cairn_env::{DatabaseOptions, Environment};
use cairn_io::{DirRef, MemDisk, Name};
use cairn_sim::{Bounds, Image, Level, SimDisk, SimWorld, Trace};

use super::fixture::{local, small};
use crate::fixture::{Content, content, fill, options};

/// What the environment held at each commit.
type Contents = BTreeMap<u64, Content>;

fn below(root: &DirRef, name: &str) -> DirRef {
    let name = Name::new(name).unwrap();
    root.open_dir(&name).unwrap_or_else(|_| root.create_dir(&name).unwrap())
}

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
fn judge(image: &Image, (made, points): (bool, u64), contents: &Contents) -> Result<(), String> {
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

/// The environment of one image and the repository of another.
fn joined(env: &Image, repository: &Image) -> Image {
    let of = |image: &Image, dir: &str| {
        let dir = format!("{dir}/");
        let files = image.files().filter(|(path, _)| path.starts_with(&dir));
        files.map(|(path, _)| (path.to_owned(), image.read(path).unwrap())).collect::<Vec<_>>()
    };
    let files = of(env, "env").into_iter().chain(of(repository, "repo"));
    files.fold(Image::new(), |image, (path, bytes)| image.with_file(&path, bytes))
}

/// Holds what any crash leaves against [`judge`]; returns the number of states.
fn sweep(trace: &Trace, contents: &Contents) -> Result<usize, String> {
    let mut cuts = trace.cuts();
    let mut seen = BTreeSet::new();
    while let Some(cut) = cuts.next_cut() {
        let known = (cut.mark("made").is_some(), cut.mark("points").unwrap_or(0));
        let mut judged = |image: &Image, what: String| match seen.insert((image.hash(), known)) {
            true => judge(image, known, contents)
                .map_err(|problem| format!("cut {}, {what}: {problem}", cut.position())),
            false => Ok(()),
        };
        let mut extremes = Vec::new();
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                judged(&crashed.image, crashed.to_string())?;
                if matches!(level, Level::KeepAll | Level::LoseAll) {
                    extremes.push(crashed.image);
                }
            }
        }
        if let [all, nothing] = &*extremes {
            judged(&joined(nothing, all), "of the environment alone".into())?;
            judged(&joined(all, nothing), "of the repository alone".into())?;
        }
    }
    Ok(seen.len())
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
