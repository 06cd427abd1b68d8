//! The replica: what was acknowledged is on both sides, whatever crashes, and only one of them ever goes on.

use std::collections::BTreeSet;

use cairn_env::{
    DatabaseOptions, Durability, EnvError, EnvResult, Environment, Options, RecoveryReport,
    ReplicaPolicy, ReplicaState, VerifyOptions,
};
use cairn_io::{DirRef, Name, SyncSite};
use cairn_sim::{Bounds, Fault, FaultDisk, Image, Level, Rule, SimDisk, SimWorld, Trace};

use crate::fixture::{Model, content, ordered, small_options};

const HERE: Name = Name::constant("here");
pub(crate) const THERE: Name = Name::constant("there");

/// A disk with two directories: what a crash leaves of one does not depend on what it leaves of the other.
pub(crate) fn two_directories() -> SimDisk {
    let disk = SimDisk::new();
    for name in [HERE, THERE] {
        disk.root().create_dir(&name).unwrap();
    }
    disk.root().sync(SyncSite::new("test")).unwrap();
    SimDisk::from_image(&disk.image())
}

pub(crate) fn side(disk: &SimDisk, name: &Name) -> DirRef {
    disk.root().open_dir(name).unwrap()
}

pub(crate) fn open(
    root: DirRef,
    options: &Options,
    seed: u64,
) -> EnvResult<(Environment, RecoveryReport)> {
    Environment::open_in(root, SimWorld::new(seed).world(), options.clone())
}

/// Opens `here` with its replica `there`.
pub(crate) fn open_both(
    disk: &SimDisk,
    options: &Options,
    policy: ReplicaPolicy,
) -> EnvResult<Environment> {
    let options = options.clone().replica_in(side(disk, &THERE), policy);
    open(side(disk, &HERE), &options, 3).map(|(env, _)| env)
}

pub(crate) fn put(env: &Environment, key: &[u8], value: &[u8]) -> EnvResult<()> {
    let db = env.database("db", DatabaseOptions::default())?;
    env.write(|txn| txn.put(&db, key, value))
}

pub(crate) fn get(env: &Environment, key: &[u8]) -> Option<Vec<u8>> {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.snapshot().unwrap().get(&db, key).unwrap().map(|value| value.to_vec())
}

fn state(env: &Environment) -> ReplicaState {
    env.replica().unwrap().unwrap().state
}

/// What is on the disk, with the processes gone.
pub(crate) fn killed(disk: &SimDisk, env: Environment) -> SimDisk {
    let image = disk.image();
    std::mem::forget(env);
    SimDisk::from_image(&image)
}

/// One side as it was, and the other as it was at another time.
fn mixed(here: &Image, there: &Image) -> SimDisk {
    let mut mixed = Image::new();
    for (image, side) in [(here, "here/"), (there, "there/")] {
        for (path, _) in image.files().filter(|(path, _)| path.starts_with(side)) {
            mixed = mixed.with_file(path, image.read(path).unwrap());
        }
    }
    SimDisk::from_image(&mixed)
}

pub(crate) fn verified(env: &Environment) {
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// Runs a small workload, keeping the state after each commit, and marks each acknowledgement.
fn workload(disk: &SimDisk, env: &Environment, commits: u32) -> Vec<Model> {
    let mut states = vec![Model::new()];
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    states.push(content(env).unwrap());
    disk.mark("acknowledged", 1);
    for i in 0..commits {
        let durability = if i % 3 == 2 { Durability::NoSync } else { Durability::Sync };
        let byte = u8::try_from(i).unwrap();
        env.write_with(durability, |txn| {
            txn.put(&db, &(i % 7).to_le_bytes(), &[byte; 40])?;
            if i % 5 == 0 {
                txn.delete(&db, &((i + 3) % 7).to_le_bytes())?;
                txn.put(&db, b"large", &[byte; 1500])?;
            }
            Ok(())
        })
        .unwrap();
        states.push(content(env).unwrap());
        if durability == Durability::Sync {
            disk.mark("acknowledged", states.len() as u64 - 1);
        }
        if i % 10 == 9 {
            env.checkpoint().unwrap();
        }
    }
    states
}

/// Holds a side against what was acknowledged.
fn check(
    env: &Environment,
    report: &RecoveryReport,
    acknowledged: u64,
    states: &[Model],
    at: &str,
) {
    let commit = report.sequence;
    assert!(commit >= acknowledged, "{at}: {acknowledged} is lost; {report}");
    let found = content(env).unwrap();
    assert!(found == states[usize::try_from(commit).unwrap()], "{at}: {report}");
}

/// Crashes what `disk` has seen everywhere; `look` gets each distinct image, what was acknowledged, and its
/// place. Returns how many there were.
pub(crate) fn crashes(
    disk: &SimDisk,
    every: usize,
    mut look: impl FnMut(&Image, u64, &str),
) -> usize {
    let trace = disk.trace();
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        let Some(acknowledged) = cut.mark("acknowledged") else { continue };
        if !cut.position().is_multiple_of(every) {
            continue;
        }
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if seen.insert((crashed.image.hash(), acknowledged)) {
                    let place = format!("cut {}: {crashed}", cut.position());
                    look(&crashed.image, acknowledged, &place);
                }
            }
        }
    }
    seen.len()
}

#[test]
fn a_replica_alone_has_every_acknowledged_commit_whatever_crashes() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    let states = workload(&disk, &env, 40);
    env.close().unwrap();
    let images = crashes(&disk, 1, |image, acknowledged, at| {
        let disk = SimDisk::from_image(image);
        let (env, report) = open(side(&disk, &THERE), &small_options(), 9)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        check(&env, &report, acknowledged, &states, at);
    });
    assert!(images > 1000, "only {images} states");
}

#[test]
fn both_sides_have_every_acknowledged_commit_when_they_meet_again() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    let states = workload(&disk, &env, 24);
    env.close().unwrap();
    let mut brought = 0;
    let images = crashes(&disk, 3, |image, acknowledged, at| {
        let disk = SimDisk::from_image(image);
        let options = small_options().replica_in(side(&disk, &THERE), ReplicaPolicy::Require);
        let (env, report) =
            open(side(&disk, &HERE), &options, 9).unwrap_or_else(|error| panic!("{at}: {error}"));
        check(&env, &report, acknowledged, &states, at);
        assert_eq!(state(&env), ReplicaState::Attached);
        brought += u64::from(report.from_replica > 0);
        put(&env, b"next", b"value").unwrap();
        let disk = killed(&disk, env);
        let (env, _) = open(side(&disk, &THERE), &small_options(), 9)
            .unwrap_or_else(|error| panic!("{at}, then alone: {error}"));
        assert_eq!(get(&env, b"next").as_deref(), Some(&b"value"[..]), "{at}");
        verified(&env);
    });
    assert!(images > 300, "only {images} states");
    assert!(brought > 0, "the replica was never ahead");
}

#[test]
fn a_replica_starts_from_newer_checkpoints_and_keeps_no_more_than_it_needs() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for round in 0..60u8 {
        env.write(|txn| (0..20).try_for_each(|n| txn.put(&db, &ordered(n), &[round; 100])))
            .unwrap();
        if round % 10 == 9 {
            env.checkpoint().unwrap();
            env.clean().unwrap();
        }
    }
    let status = env.replica().unwrap().unwrap();
    assert_eq!(status.base_checkpoint, env.stats().unwrap().checkpoints);
    assert_eq!((status.lag_bytes, status.detached), (0, 0));
    let bytes = |name: &str| -> u64 {
        let image = disk.image();
        let logs =
            image.files().filter(|(path, _)| path.starts_with(name) && path.ends_with(".log"));
        logs.map(|(_, len)| len).sum()
    };
    assert!(bytes("there") <= bytes("here") + (64 << 10), "{} {}", bytes("there"), bytes("here"));
    let expected = content(&env).unwrap();
    let disk = killed(&disk, env);
    let (env, report) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
    assert!(report.checkpoint.is_some_and(|(number, _)| number > 3), "{report}");
    assert_eq!(content(&env).unwrap(), expected);
    verified(&env);
}

#[test]
fn an_environment_that_requires_its_replica_fails_with_it() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let faults = FaultDisk::new(there.root());
    let options = small_options().replica_in(faults.root(), ReplicaPolicy::Require);
    let (env, _) = open(here.root(), &options, 3).unwrap();
    put(&env, b"1", b"on both").unwrap();
    faults.inject(Rule::new(Fault::Eio).site(SyncSite::new("replica.sync")).and_on());
    let error = put(&env, b"2", b"on one").unwrap_err();
    assert!(matches!(error, EnvError::CommitUnknown { .. }), "{error}");
    assert!(!env.is_valid());
    drop(env);
    faults.clear();
    let (env, _) = open(here.root(), &options, 3).unwrap();
    assert_eq!(get(&env, b"1").as_deref(), Some(&b"on both"[..]));
    put(&env, b"3", b"on both").unwrap();
    drop(env);
    // Without its replica it does not even open.
    faults.inject(Rule::new(Fault::Eio).and_on());
    open(here.root(), &options, 3).unwrap_err();
}

#[test]
fn an_environment_that_may_go_on_without_its_replica_says_so_and_gives_it_a_new_base() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let faults = FaultDisk::new(there.root());
    let options = small_options().replica_in(faults.root(), ReplicaPolicy::Degrade);
    let world = SimWorld::new(3);
    let (env, _) = Environment::open_in(here.root(), world.world(), options).unwrap();
    put(&env, b"1", b"on both").unwrap();
    assert_eq!(state(&env), ReplicaState::Attached);
    faults.inject(Rule::new(Fault::Eio).site(SyncSite::new("replica.sync")).and_on());
    put(&env, b"2", b"on one").unwrap();
    let status = env.replica().unwrap().unwrap();
    assert_eq!((status.state, status.detached), (ReplicaState::Detached, 1));
    assert!(status.last_error.is_some());
    // What it is now stands on the disk, not only in memory.
    let image = here.image();
    let text = String::from_utf8(image.read("REPLICA").unwrap().to_vec()).unwrap();
    assert!(text.contains("side source\n") && text.contains(" detached\n"), "{text}");
    faults.clear();
    world.advance(std::time::Duration::from_secs(2));
    env.checkpoint().unwrap();
    assert_eq!(state(&env), ReplicaState::Attached);
    put(&env, b"3", b"on both").unwrap();
    std::mem::forget(env);
    let there = SimDisk::from_image(&there.image());
    let (env, _) = open(there.root(), &small_options(), 9).unwrap();
    for key in [b"1", b"2", b"3"] {
        assert!(get(&env, key).is_some(), "{key:?}");
    }
    verified(&env);
}

#[test]
fn a_replica_that_is_back_is_stale_and_never_wins_and_what_it_had_alone_is_kept() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"on both").unwrap();
    // The replica's disk has a commit that this side's has lost.
    let before = disk.image();
    put(&env, b"2", b"there alone").unwrap();
    let after = disk.image();
    std::mem::forget(env);
    let disk = mixed(&before, &after);
    // Without its replica it goes on alone, also if nothing else says so.
    let (env, _) = open(side(&disk, &HERE), &small_options(), 4).unwrap();
    put(&env, b"3", b"here alone").unwrap();
    let disk = killed(&disk, env);
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    assert_eq!(get(&env, b"2"), None);
    assert_eq!(get(&env, b"3").as_deref(), Some(&b"here alone"[..]));
    let disk = killed(&disk, env);
    let image = disk.image();
    let kept = image.files().find(|(path, _)| path.starts_with("there/") && path.contains("torn-"));
    let (path, _) = kept.expect("what it had alone is kept");
    let bytes = image.read(path).unwrap();
    assert!(bytes.windows(11).any(|window| window == b"there alone"));
    let (env, _) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
    assert_eq!((get(&env, b"2"), get(&env, b"3").is_some()), (None, true));
    verified(&env);
}

#[test]
fn what_a_replica_has_beyond_its_source_comes_back_to_it() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"on both").unwrap();
    let before = disk.image();
    put(&env, b"2", b"there alone").unwrap();
    let after = disk.image();
    std::mem::forget(env);
    let disk = mixed(&before, &after);
    let options = small_options().replica_in(side(&disk, &THERE), ReplicaPolicy::Require);
    let (env, report) = open(side(&disk, &HERE), &options, 4).unwrap();
    assert!(report.from_replica > 0, "{report}");
    assert_eq!(get(&env, b"2").as_deref(), Some(&b"there alone"[..]));
}

#[test]
fn a_replica_that_was_opened_goes_its_own_way_and_is_refused_to_its_source() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"on both").unwrap();
    let timeline = env.identity().timeline;
    // As long as its source has it, nobody else opens it.
    let error = open(side(&disk, &THERE), &small_options(), 9).unwrap_err();
    assert!(matches!(error, EnvError::AlreadyOpen { .. }), "{error}");
    let disk = killed(&disk, env);
    let (env, _) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
    put(&env, b"2", b"there").unwrap();
    assert_ne!(env.identity().timeline, timeline);
    let timeline = env.identity().timeline;
    env.close().unwrap();
    let error = open_both(&disk, &small_options(), ReplicaPolicy::Degrade).unwrap_err();
    assert!(matches!(error, EnvError::Replica { .. }), "{error}");
    let (env, _) = open(side(&disk, &THERE), &small_options(), 10).unwrap();
    assert_eq!(env.identity().timeline, timeline, "it is no replica any more");
    assert!(get(&env, b"2").is_some());
}

#[test]
fn a_source_from_before_never_takes_its_replica_back() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"on both").unwrap();
    env.close().unwrap();
    let old = disk.image();
    // Alone, and with its replica again: that is another attachment.
    let (env, _) = open(side(&disk, &HERE), &small_options(), 4).unwrap();
    put(&env, b"2", b"alone").unwrap();
    env.close().unwrap();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"3", b"on both").unwrap();
    env.close().unwrap();
    let new = disk.image();
    let disk = mixed(&old, &new);
    let before = disk.image();
    let error = open_both(&disk, &small_options(), ReplicaPolicy::Degrade).unwrap_err();
    assert!(matches!(&error, EnvError::Replica { why, .. } if why.contains("ahead")), "{error}");
    assert_eq!(disk.image().hash(), before.hash(), "nothing was touched");
}

#[test]
fn what_is_no_replica_is_left_alone() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let (env, _) = open(there.root(), &small_options(), 5).unwrap();
    put(&env, b"k", b"an environment of its own").unwrap();
    env.close().unwrap();
    let before = there.image().hash();
    let options = small_options().replica_in(there.root(), ReplicaPolicy::Degrade);
    let error = open(here.root(), &options, 3).unwrap_err();
    assert!(matches!(error, EnvError::Replica { .. }), "{error}");
    assert_eq!(there.image().hash(), before);
}

#[test]
fn a_replica_that_is_being_filled_when_a_crash_comes_is_filled_again() {
    let disk = two_directories();
    let (env, _) = open(side(&disk, &HERE), &small_options(), 4).unwrap();
    let states = workload(&disk, &env, 12);
    env.close().unwrap();
    let disk = SimDisk::from_image(&disk.image());
    let acknowledged = states.len() as u64 - 1;
    disk.mark("acknowledged", acknowledged);
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    drop(env);
    let (mut whole, mut none) = (0, 0);
    crashes(&disk, 2, |image, acknowledged, at| {
        let crashed = SimDisk::from_image(image);
        // Alone it is everything, or no environment at all.
        match open(side(&crashed, &THERE), &small_options().create(false), 9) {
            Ok((env, report)) => {
                check(&env, &report, acknowledged, &states, at);
                whole += 1;
            }
            Err(EnvError::NotAnEnvironment { .. }) => none += 1,
            Err(error) => panic!("{at}: {error}"),
        }
        let disk = SimDisk::from_image(image);
        let env = open_both(&disk, &small_options(), ReplicaPolicy::Require)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        put(&env, b"next", b"value").unwrap();
        let disk = killed(&disk, env);
        let (env, _) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
        assert!(get(&env, b"next").is_some(), "{at}");
    });
    assert!(whole > 10 && none > 10, "{whole} whole, {none} none");
}

/// Values that fill journal files of their own, transactions in parts, data directories and encryption: the
/// replica gets the same bytes.
#[test]
fn whatever_is_committed_is_on_the_replica() {
    let key = cairn_log::DataKey::new([7; 32]);
    let keys = cairn_log::DataKeys::new([(1, key)]).unwrap();
    for options in [
        small_options(),
        small_options().data_directories(3),
        small_options().encryption(keys.clone()),
    ] {
        let disk = two_directories();
        let env = open_both(&disk, &options, ReplicaPolicy::Require).unwrap();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        put(&env, b"large", &vec![1; 3 << 20]).unwrap();
        let mut txn = env.begin_exclusive().unwrap();
        for n in 0..3000 {
            txn.put(&db, &ordered(n), &[2; 100]).unwrap();
        }
        txn.commit().unwrap();
        env.checkpoint().unwrap();
        env.compact().unwrap();
        put(&env, b"larger", &vec![3; 5 << 20]).unwrap();
        let expected = content(&env).unwrap();
        let disk = killed(&disk, env);
        let env = open_both(&disk, &options, ReplicaPolicy::Require).unwrap();
        assert_eq!(state(&env), ReplicaState::Attached);
        put(&env, b"last", b"one").unwrap();
        let disk = killed(&disk, env);
        let (env, _) = open(side(&disk, &THERE), &options, 9).unwrap();
        let mut found = content(&env).unwrap();
        assert_eq!(found.get_mut("db").unwrap().remove(&b"last"[..]).as_deref(), Some(&b"one"[..]));
        assert!(found == expected, "{} entries", found["db"].len());
        verified(&env);
    }
}

#[test]
fn the_worker_fills_a_replica_beside_commits() {
    let disk = two_directories();
    let world = SimWorld::new(3);
    let options = small_options().background(true);
    let options = options.replica_in(side(&disk, &THERE), ReplicaPolicy::Degrade);
    let (env, _) = Environment::open_in(side(&disk, &HERE), world.world(), options).unwrap();
    assert_eq!(state(&env), ReplicaState::Detached);
    for n in 0..100 {
        put(&env, &ordered(n), &[1; 300]).unwrap();
        for worker in world.runnable() {
            world.step(worker);
        }
    }
    assert_eq!(state(&env), ReplicaState::Attached);
    let expected = content(&env).unwrap();
    let disk = killed(&disk, env);
    let (env, _) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
    assert!(content(&env).unwrap() == expected);
    verified(&env);
}

/// Syncs that a replica costs are needed: without them some crash loses what was acknowledged, or leaves a replica
/// that does not open. (That of a header takes a torn write to show: see below. Of those of the file `REPLICA`, of what a replica was found with, and of what was brought over
/// from it, no crash of runs as small as these shows that.)
#[test]
fn without_its_syncs_a_replica_loses_what_was_acknowledged() {
    let needed = |options: Options, commits, sites: &[&str]| {
        let disk = two_directories();
        let env = open_both(&disk, &options, ReplicaPolicy::Require).unwrap();
        let states = workload(&disk, &env, commits);
        env.close().unwrap();
        for site in sites {
            let trace = disk.trace().without_syncs(|removed, _| removed.name() == *site);
            assert!(is_broken(&trace, &options, &states), "nothing shows that {site} is needed");
        }
        assert!(!is_broken(&disk.trace(), &options, &states), "with all of them nothing is broken");
    };
    let files = ["replica.journal", "replica.copy", "replica.names"];
    needed(small_options(), 40, &[&files[..], &["replica.sync"]].concat());
    // A journal file that has to grow.
    needed(small_options().journal_file_bytes(1 << 20), 240, &["replica.extend"]);
}

/// Whether a crash of this run leaves a replica alone that breaks a promise.
fn is_broken(trace: &Trace, options: &Options, states: &[Model]) -> bool {
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        let Some(acknowledged) = cut.mark("acknowledged") else { continue };
        for level in [Level::LoseAll, Level::Subset] {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                let disk = SimDisk::from_image(&crashed.image);
                let Ok((env, report)) = open(side(&disk, &THERE), options, 9) else { return true };
                let expected = states.get(usize::try_from(report.sequence).unwrap());
                let found = content(&env);
                if report.sequence < acknowledged
                    || !found.is_ok_and(|found| Some(&found) == expected)
                {
                    return true;
                }
            }
        }
    }
    false
}

/// Commits and checkpoints with a replica on which call number `nth`, and with `and_on` every one after it,
/// fails. Returns the keys that were acknowledged, and whether a call was struck.
fn with_fault(
    here: &SimDisk,
    there: &SimDisk,
    policy: ReplicaPolicy,
    nth: u64,
    and_on: bool,
) -> (Vec<u32>, bool) {
    let (faults, world) = (FaultDisk::new(there.root()), SimWorld::new(3));
    let options = small_options().replica_in(faults.root(), policy);
    let rule = Rule::new(Fault::Eio).nth(nth);
    faults.inject(if and_on { rule.and_on() } else { rule });
    let mut acknowledged = Vec::new();
    let opened = Environment::open_in(here.root(), world.world(), options);
    if policy == ReplicaPolicy::Degrade {
        let error = opened.as_ref().err();
        assert!(error.is_none(), "call {nth}: {error:?}");
    }
    if let Ok((env, _)) = opened {
        for n in 0..40 {
            let done = put(&env, &ordered(n), &[7; 700]);
            assert!(policy == ReplicaPolicy::Require || done.is_ok(), "call {nth}: {done:?}");
            assert_eq!(done.is_ok(), env.is_valid(), "call {nth}: {done:?}");
            if done.is_err() {
                break;
            }
            acknowledged.push(n);
            if n % 10 == 9 && env.checkpoint().is_err() {
                break;
            }
        }
        // The process dies: locks of a disk in memory go with its handles alone.
        std::mem::forget(env);
    }
    (acknowledged, !faults.struck().is_empty())
}

#[test]
fn whatever_call_to_the_replica_fails_nothing_that_was_acknowledged_is_lost() {
    for policy in [ReplicaPolicy::Require, ReplicaPolicy::Degrade] {
        for and_on in [false, true] {
            let mut calls = 0;
            for nth in (0_u64..).step_by(7) {
                let (here, there) = (SimDisk::new(), SimDisk::new());
                let (acknowledged, struck) = with_fault(&here, &there, policy, nth, and_on);
                if !struck {
                    break;
                }
                calls += 1;
                let place = format!("{policy:?}, call {nth}, {and_on}");
                let (here, there) =
                    (SimDisk::from_image(&here.image()), SimDisk::from_image(&there.image()));
                if policy == ReplicaPolicy::Require && !acknowledged.is_empty() {
                    // Alone: it has everything that was acknowledged.
                    let alone = SimDisk::from_image(&there.image());
                    let (env, report) = open(alone.root(), &small_options(), 9)
                        .unwrap_or_else(|error| panic!("{place}: {error}"));
                    for n in &acknowledged {
                        assert!(get(&env, &ordered(*n)).is_some(), "{place}: {n}; {report}");
                    }
                }
                // Together again, with nothing that fails.
                let options = small_options().replica_in(there.root(), policy);
                let (env, report) = open(here.root(), &options, 4)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(state(&env), ReplicaState::Attached, "{place}");
                put(&env, b"next", b"value").unwrap();
                for n in &acknowledged {
                    assert!(get(&env, &ordered(*n)).is_some(), "{place}: {n}; {report}");
                }
                let expected = content(&env).unwrap();
                std::mem::forget(env);
                let there = SimDisk::from_image(&there.image());
                let (env, report) = open(there.root(), &small_options(), 9)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert!(content(&env).unwrap() == expected, "{place}: {report}");
                verified(&env);
            }
            assert!(calls > 30, "{policy:?}: only {calls} calls");
        }
    }
}

/// The newest journal file of a replica could not be read for a moment: the one before it was taken for the
/// newest, and what followed was sent again, in place of what was there. A process that died in the middle of
/// that left a replica without commits that it had had.
#[test]
fn whatever_fails_when_both_meet_again_the_replica_keeps_what_it_has() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    for n in 0..40 {
        put(&env, &ordered(n), &[7; 700]).unwrap();
    }
    let expected = content(&env).unwrap();
    let disk = killed(&disk, env);
    let mut calls = 0;
    for nth in 0_u64.. {
        let disk = SimDisk::from_image(&disk.image());
        let faults = FaultDisk::new(side(&disk, &THERE));
        // The call fails, and then the process dies.
        faults.inject(Rule::new(Fault::Eio).nth(nth));
        let options = small_options().replica_in(faults.root(), ReplicaPolicy::Require);
        let opened = open(side(&disk, &HERE), &options, 4);
        let struck = !faults.struck().is_empty();
        std::mem::forget(opened);
        let trace = disk.trace();
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            for crashed in cut.crash().images(Level::LoseAll, &Bounds::smoke()) {
                let disk = SimDisk::from_image(&crashed.image);
                let (env, report) = open(side(&disk, &THERE), &small_options(), 9)
                    .unwrap_or_else(|error| panic!("call {nth}, {crashed}: {error}"));
                assert!(content(&env).unwrap() == expected, "call {nth}, {crashed}: {report}");
            }
        }
        if !struck {
            break;
        }
        calls += 1;
    }
    assert!(calls > 20, "only {calls} calls");
}

/// The zeros ahead of a journal file were written together with its header. When power was lost, a torn write of
/// zeros left other bytes behind a header that was lost, and the replica took that for damage.
#[test]
fn a_journal_file_of_a_replica_that_was_not_begun_is_no_damage() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    let states = workload(&disk, &env, 40);
    env.close().unwrap();
    // Many writes that are torn, beside any others that are lost.
    let bounds = Bounds { torn_subsets_of_max: 4, torn_subsets_sampled: 12, ..Bounds::smoke() };
    let trace = disk.trace();
    let (mut cuts, mut images) = (trace.cuts(), 0);
    while let Some(cut) = cuts.next_cut() {
        let Some(acknowledged) = cut.mark("acknowledged") else { continue };
        let is_begun = |entry: &cairn_sim::Entry| {
            entry.path().starts_with("there/") && entry.to_string().starts_with("create")
        };
        if !cut.crash().pending().any(is_begun) {
            continue;
        }
        for crashed in cut.crash().images(Level::Torn, &bounds) {
            let at = format!("cut {}: {crashed}", cut.position());
            let disk = SimDisk::from_image(&crashed.image);
            let (env, report) = open(side(&disk, &THERE), &small_options(), 9)
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            check(&env, &report, acknowledged, &states, &at);
            images += 1;
        }
    }
    assert!(images > 100, "only {images} states");
}
