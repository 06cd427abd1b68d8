//! Crashes at every operation of a prune: every point that stays can be restored, and the next prune ends it.

use std::{collections::BTreeMap, collections::BTreeSet};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, Repository, RestoreOptions, Retention, Which,
};
use cairn_env::Environment;
use cairn_io::MemDisk;
use cairn_sim::{Bounds, Image, Level, SimDisk, SimWorld, Trace};

use super::{
    fixture::{local, small},
    prune::{LATER, NOW, any},
};
use crate::fixture::{Content, content, fill, open, options};

/// What the environment held at each commit.
type Contents = BTreeMap<u64, Content>;

/// Makes three points and removes two of them. The disk is told when that begins, and how far it is.
fn run() -> (Trace, Contents) {
    let (disk, env) = (SimDisk::new(), open(&MemDisk::new()));
    let world = SimWorld::new(3).world();
    let repository = Repository::create_in(local(disk.root()), &world).unwrap();
    let mut contents = Contents::new();
    for n in 0..3 {
        fill(&env, n * 3, 3);
        env.compact().unwrap();
        contents.insert(env.snapshot().unwrap().commit(), content(&env));
        repository.backup(&env, &small()).unwrap();
    }
    disk.mark("pruning", 1);
    let plan = repository.plan_prune(None, &Retention::new().last(1), &any(), NOW).unwrap();
    repository.prune(&plan).unwrap();
    disk.mark("pruning", 2);
    let deleted = repository.delete_pruned(None, LATER).unwrap();
    assert!(deleted.points == 2 && deleted.objects > 1, "{deleted:?}");
    disk.mark("pruning", 3);
    (disk.trace(), contents)
}

fn text(error: BackupError) -> String {
    error.to_string()
}

fn check(repository: &Repository) -> Result<u64, String> {
    let how = CheckOptions::default().level(CheckLevel::Structure);
    let report = repository.check(&how).map_err(text)?;
    match &*report.findings {
        [] => Ok(report.unused_objects + report.going_objects),
        findings => Err(format!("{findings:?}")),
    }
}

/// What must be true after a crash, when a prune was so far.
fn judge(image: &Image, far: u64, contents: &Contents) -> Result<(), String> {
    let (disk, world) = (image.to_mem(), SimWorld::new(9).world());
    let repository = Repository::open_in(local(disk.root()), &world).map_err(text)?;
    let all = |repository: &Repository| {
        check(repository)?;
        let mut numbers = Vec::new();
        for listed in repository.points(None).map_err(text)? {
            let (number, target) = (listed.number, MemDisk::new());
            let how = RestoreOptions::default().options(options());
            let which = Which::Number(number);
            let report = repository
                .restore_in(None, &which, &target.root(), &world, &how)
                .map_err(|error| format!("point {number}: {error}"))?;
            let (env, _) = Environment::open_in(target.root(), world.clone(), options())
                .map_err(|error| error.to_string())?;
            if contents.get(&report.commit) != Some(&content(&env)) {
                return Err(format!("point {number} holds something else"));
            }
            numbers.push(number);
        }
        Ok(numbers)
    };
    let numbers = all(&repository)?;
    if numbers != [3] && (far > 1 || numbers != [1, 2, 3]) {
        return Err(format!("the points {numbers:?} are listed"));
    }
    // Whoever comes next ends it.
    let plan = repository.plan_prune(None, &Retention::new().last(1), &any(), NOW).map_err(text)?;
    repository.prune(&plan).map_err(text)?;
    repository.delete_pruned(None, LATER).map_err(text)?;
    if all(&repository)? != [3] || check(&repository)? != 0 {
        return Err("the next prune leaves something".into());
    }
    Ok(())
}

#[test]
fn a_prune_that_is_killed_anywhere_keeps_every_point_that_stays_restorable() {
    let (trace, contents) = run();
    let smoke = Bounds::smoke();
    let bounds =
        Bounds { subsets_of_max: 1, subsets_sampled: 2, edges_max: 1, tears_sampled: 0, ..smoke };
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        let Some(far) = cut.mark("pruning") else { continue };
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &bounds) {
                if seen.insert((crashed.image.hash(), far)) {
                    let judged = judge(&crashed.image, far, &contents);
                    judged.unwrap_or_else(|problem| {
                        panic!("cut {}, {crashed}: {problem}", cut.position())
                    });
                }
            }
        }
    }
    assert!(seen.len() > 40, "{}", seen.len());
}
