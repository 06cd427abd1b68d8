//! Healing: damaged files get their bytes back from a copy, or it is said what stays damaged.

use std::collections::BTreeSet;

use cairn_env::{
    DatabaseOptions, EnvError, Environment, HealReport, Options, Reach, ReplicaPolicy,
    VerifyOptions,
};
use cairn_io::{MemDisk, SyncSite};
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{Bounds, Fault, FaultDisk, Image, Level, Rule, SimDisk, SimWorld};

use crate::{
    fixture::{Model, content, ordered, small_options},
    scrub::rot,
};

fn fill(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in from..from + count {
        let large = vec![n.to_le_bytes()[0]; if n % 3 == 0 { 2500 } else { 90 }];
        env.write(|txn| txn.put(&db, &ordered(n), &large)).unwrap();
    }
}

/// An environment with files of each class and its replica, closed, and what is in it.
fn sample(options: &Options) -> (Image, Image, Model) {
    let (here, there, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(3));
    let options = options.clone().space_target(0);
    let env = Environment::open_in(here.root(), world.world(), options.clone()).unwrap().0;
    for round in 0..6 {
        fill(&env, round * 7, 40);
        env.checkpoint().unwrap();
    }
    env.compact().unwrap();
    fill(&env, 20, 60);
    let expected = content(&env).unwrap();
    env.close().unwrap();
    let both = options.replica_in(there.root(), ReplicaPolicy::Require);
    Environment::open_in(here.root(), world.world(), both).unwrap().0.close().unwrap();
    (here.image(), there.image(), expected)
}

fn logs(image: &Image) -> Vec<String> {
    image.files().map(|(path, _)| path.to_owned()).filter(|path| path.ends_with(".log")).collect()
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn opened(image: &Image, options: &Options) -> (SimDisk, Environment) {
    let disk = SimDisk::from_image(image);
    let env = Environment::open_in(disk.root(), SimWorld::new(5).world(), options.clone());
    (disk, env.unwrap().0)
}

fn heal(env: &Environment, copy: &Image) -> HealReport {
    env.heal_from(SimDisk::from_image(copy).root()).unwrap()
}

fn verified(env: &Environment) {
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

fn healed(report: &HealReport) -> BTreeSet<&str> {
    report.healed.iter().map(|file| file.file.as_str()).collect()
}

#[test]
fn each_damaged_file_is_healed_from_the_replica_or_listed() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    for options in [small_options(), small_options().encryption(keys)] {
        let (here, there, expected) = sample(&options);
        let (mut classes, mut contents, mut listed) = (BTreeSet::new(), 0, 0);
        for path in logs(&here) {
            let (name, whole) = (name_of(&path), here.read(&path).unwrap());
            for byte in [300, 4110, whole.len() / 2, whole.len() - 1] {
                let (disk, env) = opened(&here, &options);
                rot(&disk, &path, byte);
                let found = env.scrub().unwrap().findings;
                let report = heal(&env, &there);
                assert!(env.is_valid());
                if found.is_empty() {
                    // Behind the end of a journal file.
                    assert!(report.healed.is_empty() && report.left.is_empty(), "{report:?}");
                    continue;
                }
                let by_content = report.healed.iter().any(|healed| healed.by_content);
                if there.read(&path).is_none() && by_content {
                    assert!(report.left.is_empty() && content(&env).unwrap() == expected);
                    assert!(disk.image().read(&path).is_none(), "it is gone");
                    contents += 1;
                    continue;
                }
                if there.read(&path).is_none() {
                    assert!(report.healed.is_empty(), "{report:?}");
                    assert!(report.not_healed.contains_key(name), "{report:?}");
                    assert!(!report.left.is_empty(), "{report:?}");
                    listed += 1;
                    continue;
                }
                assert_eq!(healed(&report), BTreeSet::from([name]), "{byte}: {report:?}");
                assert!(report.left.is_empty() && report.not_healed.is_empty(), "{report:?}");
                assert!(disk.image().read(&path).unwrap() == whole, "byte for byte");
                classes.insert(name.as_bytes()[0]);
                // The environment has it at once, and so has the next one that opens it.
                assert!(env.scrub().unwrap().findings.is_empty());
                assert!(content(&env).unwrap() == expected);
                let db = env.database("db", DatabaseOptions::default()).unwrap();
                env.write(|txn| txn.put(&db, b"goes on", b"1")).unwrap();
                env.close().unwrap();
                let (_, env) = opened(&disk.image(), &options);
                verified(&env);
                assert_eq!(content(&env).unwrap()["db"].len(), expected["db"].len() + 1);
            }
        }
        assert_eq!(classes, BTreeSet::from(*b"JNV"));
        assert!(contents + listed > 0, "{contents} by content, {listed} listed");
    }
}

#[test]
fn what_no_copy_has_is_listed_until_one_has_it() {
    let options = small_options();
    let (here, there, expected) = sample(&options);
    let is_there = |path: &String| path.contains("/N-") && there.read(path).is_some();
    let path = logs(&here).into_iter().find(is_there).unwrap();
    let (disk, env) = opened(&here, &options);
    rot(&disk, &path, 4200);
    // Damaged in the same way on both sides.
    let copy = SimDisk::from_image(&there);
    rot(&copy, &path, 4200);
    let report = env.heal_from(copy.root()).unwrap();
    assert!(report.healed.is_empty(), "{report:?}");
    let why = &report.not_healed[name_of(&path)];
    assert!(why.contains("digest") || why.contains("checksum"), "{why}");
    assert!(report.left.iter().any(|finding| finding.reach != Reach::Nothing), "{report:?}");
    let report = heal(&env, &there);
    assert_eq!(healed(&report), BTreeSet::from([name_of(&path)]));
    assert!(report.left.is_empty() && content(&env).unwrap() == expected);
}

#[test]
fn nothing_is_taken_from_another_environment_or_by_who_only_reads() {
    let options = small_options();
    let (here, there, _) = sample(&options);
    let other = MemDisk::new();
    drop(Environment::open_in(other.root(), SimWorld::new(77).world(), options.clone()).unwrap());
    let (disk, env) = opened(&here, &options);
    let error = env.heal_from(other.root()).unwrap_err();
    assert!(matches!(error, EnvError::ForeignFile { .. }), "{error}");
    let error = env.heal_from(MemDisk::new().root()).unwrap_err();
    assert!(matches!(error, EnvError::NotAnEnvironment { .. }), "{error}");
    let report = heal(&env, &there);
    assert!(report.healed.is_empty() && report.left.is_empty() && report.files > 3, "{report:?}");
    env.close().unwrap();
    let (_, reading) = opened(&disk.image(), &options.read_only(true));
    let error = reading.heal_from(SimDisk::from_image(&there).root()).unwrap_err();
    assert!(matches!(error, EnvError::ReadOnly), "{error}");
}

/// Of the file in which the newest checkpoint stands, the seal alone tells that it is finished.
#[test]
fn a_file_whose_seal_was_damaged_before_the_open_is_healed() {
    let options = small_options();
    let (here, there, expected) = sample(&options);
    let mut count = 0;
    for path in logs(&here).into_iter().filter(|path| there.read(path).is_some()) {
        let whole = here.read(&path).unwrap();
        let disk = SimDisk::from_image(&here);
        rot(&disk, &path, whole.len() - 20);
        let options = options.clone();
        let opened = Environment::open_in(disk.root(), SimWorld::new(5).world(), options);
        let Ok((env, _)) = opened else { continue };
        if env.scrub().unwrap().findings.is_empty() {
            continue; // a journal file, whose records say how far it goes
        }
        let report = heal(&env, &there);
        assert_eq!(healed(&report), BTreeSet::from([name_of(&path)]), "{report:?}");
        assert!(disk.image().read(&path).unwrap() == whole && content(&env).unwrap() == expected);
        count += 1;
    }
    assert!(count > 2, "{count}");
}

/// An environment with a damaged value file: what it is, what it was, its path, and the replica.
fn damaged() -> (Image, Vec<u8>, String, Image) {
    let (here, there, _) = sample(&small_options());
    let path = logs(&here).into_iter().find(|path| path.contains("/V-")).unwrap();
    let whole = here.read(&path).unwrap().to_vec();
    let disk = SimDisk::from_image(&here);
    rot(&disk, &path, 4200);
    (disk.image(), whole, path, there)
}

/// Heals, and crashes that at every operation in every way, with some syncs left out: whether each state has the
/// damaged file or the whole one, and the whole one once healing was reported.
fn survives(without: &[SyncSite]) -> bool {
    let (before, whole, path, there) = damaged();
    let broken = before.read(&path).unwrap().to_vec();
    let disk = SimDisk::from_image(&before);
    let faulty = FaultDisk::new(disk.root());
    faulty.skip_syncs(without.iter().copied());
    let world = SimWorld::new(5).world();
    let env = Environment::open_in(faulty.root(), world, small_options()).unwrap().0;
    let report = heal(&env, &there);
    assert_eq!(healed(&report), BTreeSet::from([name_of(&path)]));
    disk.mark("healed", 1);
    std::mem::forget(env);
    let (trace, mut holds, mut seen) = (disk.trace(), true, BTreeSet::new());
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                let now = crashed.image.read(&path).map(|bytes| bytes.to_vec());
                let is_whole = now.as_ref() == Some(&whole);
                let was_reported = cut.mark("healed").is_some();
                holds &= is_whole || !was_reported && now.as_ref() == Some(&broken);
                seen.insert(is_whole);
            }
        }
    }
    assert_eq!(seen.len(), 2);
    holds
}

#[test]
fn a_crash_leaves_the_damaged_file_or_the_whole_one_and_each_sync_is_needed_for_that() {
    assert!(survives(&[]));
    for site in ["heal.copy", "heal.name"] {
        assert!(!survives(&[SyncSite::new(site)]), "{site} is not needed");
    }
}

#[test]
fn a_failing_call_leaves_the_damaged_file_or_the_whole_one() {
    let (before, whole, path, there) = damaged();
    let broken = before.read(&path).unwrap().to_vec();
    let mut outcomes = BTreeSet::new();
    for nth in 0.. {
        let disk = SimDisk::from_image(&before);
        let faulty = FaultDisk::new(disk.root());
        let world = SimWorld::new(5).world();
        let env = Environment::open_in(faulty.root(), world, small_options()).unwrap().0;
        faulty.inject(Rule::new(Fault::Eio).nth(nth));
        let result = env.heal_from(SimDisk::from_image(&there).root());
        if !faulty.has_struck() {
            assert_eq!(healed(&result.unwrap()), BTreeSet::from([name_of(&path)]));
            assert!(nth > 20, "{nth}");
            break;
        }
        faulty.clear();
        let now = disk.image().read(&path).unwrap().to_vec();
        assert!(now == whole || now == broken, "call {nth}");
        let is_healed = result.is_ok_and(|report| !report.healed.is_empty());
        assert!(now == whole || !is_healed, "call {nth}");
        outcomes.insert((now == whole, is_healed));
        drop(env);
    }
    assert!(outcomes.len() > 1, "{outcomes:?}");
}
