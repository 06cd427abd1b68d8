//! Healing by itself: an environment with a replica serves what is damaged, and has its bytes again soon after.

use std::collections::BTreeSet;

use cairn_env::{
    DatabaseOptions, EnvError, EnvResult, Environment, ErrorKind, Event, Options, ReplicaPolicy,
    VerifyOptions,
};
use cairn_io::SyncSite;
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{Fault, FaultDisk, Image, Rule, SimDisk, SimWorld};

use crate::{
    fixture::{Model, content, ordered, small_options},
    scrub::rot,
};

/// Both sides, closed, with files of each class, and what is in them.
struct Sample {
    here: Image,
    there: Image,
    expected: Model,
    options: Options,
}

impl Sample {
    fn new(options: Options) -> Self {
        let (here, there, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(3));
        let options = options.space_target(0);
        let with_replica = options.clone().replica_in(there.root(), ReplicaPolicy::Require);
        let env = Environment::open_in(here.root(), world.world(), with_replica).unwrap().0;
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        let fill = |from: u32, count: u32| {
            for n in from..from + count {
                let len = if n.is_multiple_of(3) { 2500 } else { 90 };
                let value = vec![n.to_le_bytes()[0]; len];
                env.write(|txn| txn.put(&db, &ordered(n), &value)).unwrap();
            }
        };
        for round in 0..6 {
            fill(round * 7, 40);
            env.checkpoint().unwrap();
        }
        env.compact().unwrap();
        fill(20, 60);
        env.checkpoint().unwrap();
        let expected = content(&env).unwrap();
        env.close().unwrap();
        // The replica gets what the close has written when both are open again.
        let with_replica = options.clone().replica_in(there.root(), ReplicaPolicy::Require);
        let env = Environment::open_in(here.root(), world.world(), with_replica).unwrap().0;
        env.checkpoint().unwrap();
        assert_eq!(
            env.replica().unwrap().unwrap().base_checkpoint,
            env.stats().unwrap().checkpoints
        );
        env.close().unwrap();
        Self { here: here.image(), there: there.image(), expected, options }
    }

    /// Opens both sides on disks of their own.
    fn open(&self, here: &SimDisk) -> EnvResult<(Environment, SimDisk)> {
        let there = SimDisk::from_image(&self.there);
        let options = self.options.clone().replica_in(there.root(), ReplicaPolicy::Require);
        let opened = Environment::open_in(here.root(), SimWorld::new(5).world(), options);
        Ok((opened?.0, there))
    }

    fn logs(&self) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
        let paths = self.here.files().map(|(path, _)| path.to_owned());
        let paths = paths.filter(|path| path.ends_with(".log"));
        paths.map(|path| (path.clone(), self.here.read(&path).unwrap().to_vec()))
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn both_ways() -> [Options; 2] {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    [small_options(), small_options().encryption(keys)]
}

#[test]
fn damage_to_each_finished_file_of_a_live_environment_is_healed_while_it_serves() {
    for options in both_ways() {
        let sample = Sample::new(options);
        let (mut healed, mut served) = (BTreeSet::new(), 0);
        for (path, whole) in sample.logs() {
            for byte in [300, 4110, whole.len() / 2, whole.len() - 20] {
                let disk = SimDisk::from_image(&sample.here);
                let (env, _there) = sample.open(&disk).unwrap();
                let events = env.events().unwrap();
                rot(&disk, &path, byte);
                // Whoever reads does not notice.
                assert!(content(&env).unwrap() == sample.expected, "{path}, {byte}");
                served += env.stats().unwrap().second_reads;
                let db = env.database("db", DatabaseOptions::default()).unwrap();
                env.write(|txn| txn.put(&db, b"goes on", b"1")).unwrap();
                let found = env.scrub().unwrap().findings;
                env.checkpoint().unwrap();
                let name = name_of(&path);
                let told = |file: &str| file == name;
                match disk.image().read(&path) {
                    None => {}                        // nothing needs it any more
                    Some(_) if found.is_empty() => {} // behind the end of a journal file
                    Some(now) => {
                        assert!(
                            *now == whole,
                            "{path}, {byte}: {:?}",
                            (&events).collect::<Vec<_>>()
                        );
                        assert!(env.healed().unwrap().iter().any(|healed| told(&healed.file)));
                        let is_told = |event: Event| matches!(event, Event::Healed(healed) if told(&healed.file));
                        assert!((&events).any(is_told), "{path}");
                        assert_eq!(env.stats().unwrap().healed_files, 1);
                        healed.insert(name.as_bytes()[0]);
                    }
                }
                let report = env.verify(&VerifyOptions::new()).unwrap();
                assert!(report.findings.is_empty(), "{path}, {byte}: {:#?}", report.findings);
                assert_eq!(content(&env).unwrap()["db"].len(), sample.expected["db"].len() + 1);
                env.close().unwrap();
            }
        }
        assert_eq!(healed, BTreeSet::from(*b"JNV"));
        assert!(served > 5, "{served}");
    }
}

#[test]
fn what_is_damaged_on_both_sides_is_told_with_the_keys_that_it_concerns() {
    let sample = Sample::new(small_options());
    let (mut told, mut serves) = (0, 0);
    for (path, _) in sample.logs() {
        // Of files that nothing needs any more the replica has none.
        if path.contains("/J-") || sample.there.read(&path).is_none() {
            continue;
        }
        let disk = SimDisk::from_image(&sample.here);
        let (env, there) = sample.open(&disk).unwrap();
        let events = env.events().unwrap();
        rot(&disk, &path, 4200);
        rot(&there, &path, 4200);
        let read = content(&env);
        env.scrub().unwrap();
        env.checkpoint().unwrap();
        let findings = env.verify(&VerifyOptions::new()).unwrap().findings;
        let name = name_of(&path);
        let events: Vec<_> = (&events).collect();
        let by_content = |event: &Event| matches!(event, Event::Healed(healed) if healed.by_content && healed.file == name);
        if events.iter().any(by_content) {
            // What is damaged there nobody needs, or it was in memory.
            assert!(content(&env).unwrap() == sample.expected, "{path}");
            let db = env.database("db", DatabaseOptions::default()).unwrap();
            for n in 0..3 {
                env.write(|txn| txn.put(&db, b"goes on", &[n])).unwrap();
                env.checkpoint().unwrap();
            }
            let findings = env.verify(&VerifyOptions::new()).unwrap().findings;
            assert!(findings.is_empty(), "{path} is gone: {findings:#?}");
            continue;
        }
        assert!(!findings.is_empty(), "{path}");
        let is_told =
            |event: &Event| matches!(event, Event::NotHealed { file, .. } if file == name);
        assert!(events.iter().any(is_told), "{path}: {events:?}");
        told += 1;
        // What does not lie there goes on, and what does is an error and never a wrong value.
        match read {
            Ok(found) => assert!(found == sample.expected, "{path}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{path}: {error}"),
        }
        let db = env.database("db", DatabaseOptions::default());
        serves += u64::from(db.is_ok_and(|db| env.write(|txn| txn.put(&db, b"a", b"1")).is_ok()));
        assert!(env.is_valid());
    }
    assert!(told > 2 && serves > 0, "{told} {serves}");
}

#[test]
fn an_environment_that_does_not_open_for_a_damaged_or_missing_file_gets_it_from_its_replica() {
    for options in both_ways() {
        let sample = Sample::new(options);
        let (mut damaged, mut missing) = (0, 0);
        for (path, whole) in sample.logs() {
            for byte in
                [Some(100), Some(4110), Some(whole.len() - 60), Some(whole.len() - 20), None]
            {
                let broken = match byte {
                    Some(byte) => sample.here.with_edit(&path, |bytes| bytes[byte] ^= 0x10),
                    None => sample.here.without(&path),
                };
                let alone = SimDisk::from_image(&broken);
                let opened = Environment::open_in(
                    alone.root(),
                    SimWorld::new(5).world(),
                    sample.options.clone(),
                );
                let opens_alone = opened.is_ok();
                drop(opened);
                if sample.there.read(&path).is_none() && !opens_alone {
                    // The replica needs it no more: it can be opened in place of this side.
                    let error = sample.open(&SimDisk::from_image(&broken)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{path}, {byte:?}: {error}");
                    continue;
                }
                let disk = SimDisk::from_image(&broken);
                let (env, _there) = match sample.open(&disk) {
                    Ok(opened) => opened,
                    // Without its newest journal file it looks as if it were from before: see `reconcile`.
                    Err(EnvError::Replica { why, .. }) if byte.is_none() => {
                        assert!(why.contains(name_of(&path)), "{path}: {why}");
                        continue;
                    }
                    Err(error) => panic!("{path}, {byte:?}: {error}"),
                };
                let healed = &env.recovery_report().healed;
                if !opens_alone {
                    assert_eq!(healed.len(), 1, "{path}, {byte:?}");
                    assert_eq!(healed[0].file, name_of(&path));
                    assert!(*disk.image().read(&path).unwrap() == whole, "{path}, {byte:?}");
                    *if byte.is_some() { &mut damaged } else { &mut missing } += 1;
                }
                assert!(content(&env).unwrap() == sample.expected, "{path}, {byte:?}");
            }
        }
        assert!(damaged > 5 && missing > 2, "{damaged} damaged, {missing} missing");
    }
}

/// The name alone says nothing if the other side may have gone another way.
#[test]
fn a_stale_replica_brings_no_file_whose_beginning_cannot_be_read() {
    let sample = Sample::new(small_options());
    let disk = SimDisk::from_image(&sample.here);
    let options = sample.options.clone();
    let env = Environment::open_in(disk.root(), SimWorld::new(5).world(), options).unwrap().0;
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, b"alone", b"1")).unwrap();
    env.close().unwrap();
    let image = disk.image();
    let mut refused = 0;
    for (path, _) in image.files().filter(|(path, _)| path.ends_with(".log")) {
        let broken = image.with_edit(path, |bytes| bytes[100] ^= 0x10);
        if broken.read(path) == image.read(path) {
            continue;
        }
        let disk = SimDisk::from_image(&broken);
        if let Err(error) = sample.open(&disk) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{path}: {error}");
            assert!(*disk.image().read(path).unwrap() == *broken.read(path).unwrap());
            refused += 1;
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn events_tell_what_becomes_of_the_replica() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let faults = FaultDisk::new(there.root());
    let options = small_options().replica_in(faults.root(), ReplicaPolicy::Degrade);
    let world = SimWorld::new(3);
    let env = Environment::open_in(here.root(), world.world(), options).unwrap().0;
    let (events, nobody) = (env.events().unwrap(), env.events().unwrap());
    drop(nobody);
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let put = || env.write(|txn| txn.put(&db, b"k", b"v")).unwrap();
    put();
    env.checkpoint().unwrap();
    let rebased = events.next();
    assert!(matches!(rebased, Some(Event::ReplicaRebased { .. })), "{rebased:?}");
    faults.inject(Rule::new(Fault::Eio).site(SyncSite::new("replica.sync")).and_on());
    put();
    assert!(matches!(events.next(), Some(Event::ReplicaLost { .. })));
    faults.clear();
    world.advance(std::time::Duration::from_secs(2));
    env.checkpoint().unwrap();
    let names = (&events).map(|event| match event {
        Event::ReplicaFilling { .. } => "filling",
        Event::ReplicaAttached { .. } => "attached",
        Event::ReplicaRebased { .. } => "rebased",
        other => panic!("{other:?}"),
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names[..2], ["filling", "attached"], "{names:?}");
    assert!(events.next().is_none());
}
