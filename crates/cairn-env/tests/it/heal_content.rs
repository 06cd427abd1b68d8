//! Healing by content: what the replica has as commits, and not as a file, is brought from there all the same.

use cairn_env::{
    DatabaseOptions, Environment, Event, HealReport, Options, Reach, ReplicaPolicy, VerifyOptions,
};
use cairn_io::{DirRef, IoOp};
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk, SimWorld};

use crate::{
    fixture::{Model, content, ordered, small_options},
    scrub::rot,
};

/// An environment whose replica gets every commit, and no file that was written since the first checkpoint.
struct Sample {
    here: SimDisk,
    there: SimDisk,
    faults: FaultDisk,
    world: SimWorld,
    options: Options,
    env: Environment,
    expected: Model,
}

impl Sample {
    fn new(options: Options) -> Self {
        let (here, there, world) = (SimDisk::new(), SimDisk::new(), SimWorld::new(3));
        let faults = FaultDisk::new(there.root());
        let options = options.space_target(0).replica_in(faults.root(), ReplicaPolicy::Require);
        let env = Environment::open_in(here.root(), world.world(), options.clone()).unwrap().0;
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        let fill = |from: u32, count: u32| {
            for n in from..from + count {
                let len = if n.is_multiple_of(3) { 2500 } else { 90 };
                let value = vec![n.to_le_bytes()[0]; len];
                env.write(|txn| txn.put(&db, &ordered(n), &value)).unwrap();
            }
        };
        fill(0, 60);
        env.checkpoint().unwrap();
        let copying = |name: &str| name.contains("arriving-");
        faults.inject(Rule::new(Fault::Eio).op(IoOp::Create).file(copying).and_on());
        fill(20, 60);
        env.compact().unwrap();
        fill(100, 10);
        let expected = content(&env).unwrap();
        Self { here, there, faults, world, options, env, expected }
    }

    /// Finished files of this class that the replica lacks.
    fn alone(&self, class: &str) -> Vec<String> {
        let (here, there) = (self.here.image(), self.there.image());
        let paths = here.files().map(|(path, _)| path.to_owned());
        paths.filter(|path| path.contains(class) && there.read(path).is_none()).collect()
    }

    fn damage(&self, path: &str) {
        let len = self.here.image().read(path).unwrap().len();
        rot(&self.here, path, 4200.min(len - 60));
        assert!(!self.env.scrub().unwrap().findings.is_empty(), "{path}");
    }

    /// As many checkpoints as it takes for a file to go, with something to write for each.
    fn checkpoints(&mut self) {
        let db = self.env.database("db", DatabaseOptions::default()).unwrap();
        for n in 0..4 {
            self.env.write(|txn| txn.put(&db, b"goes on", &[n])).unwrap();
            self.env.checkpoint().unwrap();
        }
        self.expected.get_mut("db").unwrap().insert(b"goes on".into(), vec![3]);
    }

    fn check(&self, what: &str) {
        assert!(content(&self.env).unwrap() == self.expected, "{what}");
        let findings = self.env.verify(&VerifyOptions::new()).unwrap().findings;
        assert!(findings.is_empty(), "{what}: {findings:#?}");
    }
}

fn opened(world: &SimWorld, options: &Options, root: DirRef) -> Environment {
    Environment::open_in(root, world.world(), options.clone()).unwrap().0
}

fn both_ways() -> [Options; 2] {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    [small_options(), small_options().encryption(keys)]
}

#[test]
fn values_in_a_damaged_file_that_the_replica_lacks_get_another_place() {
    for options in both_ways() {
        let mut sample = Sample::new(options);
        let events = sample.env.events().unwrap();
        let files = sample.alone("/V-");
        assert!(files.len() > 1, "{files:?}");
        for path in files {
            if sample.here.image().read(&path).is_none() {
                continue; // nothing needs it any more
            }
            sample.damage(&path);
            sample.checkpoints();
            let is_it = |event: &Event| matches!(event, Event::Healed(healed) if healed.by_content && path.ends_with(&healed.file));
            let told: Vec<_> = (&events).collect();
            assert!(told.iter().any(is_it), "{path}: {told:?}");
            assert!(sample.here.image().read(&path).is_none(), "it is gone");
            sample.check(&path);
        }
        // The base is not held up by what could not be copied.
        sample.faults.clear();
        sample.world.advance(std::time::Duration::from_secs(2));
        sample.checkpoints();
        let base = sample.env.replica().unwrap().unwrap().base_checkpoint;
        assert_eq!(base, sample.env.stats().unwrap().checkpoints);
        // What was written anew is there after an open, and on the replica.
        sample.env.close().unwrap();
        sample.env = opened(&sample.world, &sample.options, sample.here.root());
        sample.check("opened again");
        let there = SimDisk::from_image(&sample.there.image());
        let mut alone = sample.options.clone();
        alone.replica = None;
        let env = opened(&sample.world, &alone, there.root());
        assert!(content(&env).unwrap() == sample.expected);
    }
}

#[test]
fn nodes_in_a_damaged_file_that_the_replica_lacks_are_written_anew_if_they_are_in_memory() {
    let mut sample = Sample::new(small_options());
    // All of it is.
    sample.check("whole");
    let files = sample.alone("/N-");
    assert!(files.len() > 1, "{files:?}");
    for path in files {
        if sample.here.image().read(&path).is_none() {
            continue;
        }
        sample.damage(&path);
        let report: HealReport = sample.env.heal_from(sample.there.root()).unwrap();
        assert!(report.healed.iter().all(|file| file.by_content), "{report:?}");
        assert!(report.left.is_empty() && report.not_healed.is_empty(), "{report:#?}");
        sample.checkpoints();
        assert!(sample.here.image().read(&path).is_none(), "{path} is gone");
        sample.check(&path);
    }
}

#[test]
fn nodes_that_are_nowhere_else_are_listed_with_their_keys_and_the_rest_goes_on() {
    let mut sample = Sample::new(small_options());
    sample.checkpoints();
    let files = sample.alone("/N-");
    sample.env.close().unwrap();
    let (before, mut listed, mut serves) = (sample.here.image(), 0, 0);
    for path in files {
        sample.here = SimDisk::from_image(&before);
        let there = SimDisk::from_image(&sample.there.image());
        let faults = FaultDisk::new(there.root());
        let copying = |name: &str| name.contains("arriving-");
        faults.inject(Rule::new(Fault::Eio).op(IoOp::Create).file(copying).and_on());
        sample.options = sample.options.clone().replica_in(faults.root(), ReplicaPolicy::Require);
        sample.env = opened(&sample.world, &sample.options, sample.here.root());
        sample.damage(&path);
        let report = sample.env.heal_from(there.root()).unwrap();
        if report.not_healed.is_empty() {
            // It held what nobody needs, or what was read when it was opened.
            assert!(report.left.is_empty(), "{report:#?}");
            continue;
        }
        let named = report.left.iter().filter(|finding| finding.keys.is_some()).count();
        assert!(
            named > 0 && report.left.iter().any(|one| one.reach != Reach::Nothing),
            "{report:#?}"
        );
        assert!(sample.env.is_valid());
        let db = sample.env.database("db", DatabaseOptions::default());
        let put = |db| sample.env.write(|txn| txn.put(&db, b"zzz", b"goes on"));
        // If it is not the very one that is listed.
        serves += u32::from(db.and_then(put).is_ok());
        listed += 1;
    }
    assert!(listed > 1 && serves > 0, "{listed}, {serves}");
}

/// It went its own way from there, and has as many commits.
#[test]
fn nothing_is_taken_from_a_replica_that_has_gone_another_way() {
    let sample = Sample::new(small_options());
    let other = SimDisk::from_image(&sample.there.image());
    let mut alone = sample.options.clone();
    alone.replica = None;
    // The same number of commits, the same keys, the same lengths.
    let again = |env: &Environment| {
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        for n in (0..80).step_by(3) {
            env.write(|txn| txn.put(&db, &ordered(n), &[9; 2500])).unwrap();
        }
    };
    let env = opened(&sample.world, &alone, other.root());
    again(&env);
    env.close().unwrap();
    again(&sample.env);
    sample.env.compact().unwrap();
    sample.damage(sample.alone("/V-").last().unwrap());
    let report = sample.env.heal_from(other.root()).unwrap();
    assert!(report.healed.is_empty() && !report.left.is_empty(), "{report:#?}");
    let why = report.not_healed.values().next().unwrap();
    assert!(why.contains("another way"), "{why}");
}

/// It may have another value under the key: nothing is taken from it that is not of the very commit.
#[test]
fn nothing_is_taken_from_a_replica_that_has_not_every_commit() {
    let sample = Sample::new(small_options());
    let db = sample.env.database("db", DatabaseOptions::default()).unwrap();
    let stale = SimDisk::from_image(&sample.there.image());
    // Of the same length, and so would be the checksum if it were of the same bytes.
    for n in (0..80).step_by(3) {
        sample.env.write(|txn| txn.put(&db, &ordered(n), &[201; 2500])).unwrap();
    }
    let expected = content(&sample.env).unwrap();
    sample.env.compact().unwrap();
    let alone = sample.alone("/V-");
    let path = alone.last().unwrap();
    sample.damage(path);
    let report = sample.env.heal_from(stale.root()).unwrap();
    assert!(report.healed.is_empty() && !report.left.is_empty(), "{report:#?}");
    let why = report.not_healed.values().next().unwrap();
    assert!(why.contains("not the newest commits"), "{why}");
    // The one that has them all is as good as ever.
    let report = sample.env.heal_from(sample.there.root()).unwrap();
    assert!(report.left.is_empty() && report.healed[0].by_content, "{report:#?}");
    assert!(content(&sample.env).unwrap() == expected);
}
