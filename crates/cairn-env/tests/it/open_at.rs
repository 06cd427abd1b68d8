//! The environment as it was at a moment, beside the one that goes on.

use std::{collections::BTreeMap, time::Duration};

use cairn_env::{
    DatabaseOptions, EnvError, EnvResult, Environment, ErrorKind, JournalRetention, Options,
    RestoreTo, VerifyOptions,
};
use cairn_io::Name;
use cairn_log::{DataKey, DataKeys};
use cairn_sim::{SimDisk, SimWorld};

use crate::fixture::{Model, content, ordered, small_options};

/// An environment, what it was after each commit, and when that was.
struct Sample {
    disk: SimDisk,
    world: SimWorld,
    env: Environment,
    states: BTreeMap<u64, (u64, Model)>,
}

impl Sample {
    fn new(options: Options) -> Self {
        let (disk, world) = (SimDisk::new(), SimWorld::new(3));
        let env = Environment::open_in(disk.root(), world.world(), options).unwrap().0;
        Self { disk, world, env, states: BTreeMap::new() }
    }

    fn note(&mut self) {
        let commit = self.env.snapshot().unwrap().commit();
        let time = self.env.marks().unwrap().last().map_or(0, |mark| mark.time);
        self.states.insert(commit, (time, content(&self.env).unwrap()));
    }

    /// Commits in two databases, large values among them, and marks, a second apart.
    fn commit(&mut self, from: u32, count: u32) {
        for n in from..from + count {
            self.world.advance(Duration::from_secs(1));
            let db = self.env.database(["a", "b"][n as usize % 2], DatabaseOptions::default());
            let db = db.unwrap();
            self.note();
            let len = if n % 7 == 0 { 2000 } else { 40 };
            let value = vec![n.to_le_bytes()[0]; len];
            self.env
                .write(|txn| {
                    txn.put(&db, &ordered(n % 50), &value)?;
                    if n % 5 == 0 { txn.delete(&db, &ordered((n + 2) % 50)) } else { Ok(()) }
                })
                .unwrap();
            self.note();
            if n % 10 == 0 {
                self.env.mark(&format!("round {n}")).unwrap();
                self.note();
            }
        }
    }

    fn newest(&self) -> u64 {
        *self.states.keys().max().unwrap()
    }

    #[track_caller]
    fn check(&self, to: &RestoreTo, commit: u64) {
        let (then, report) = self.env.open_at(to).unwrap();
        assert_eq!((then.snapshot().unwrap().commit(), report.sequence), (commit, commit), "{to}");
        assert!(content(&then).unwrap() == self.states[&commit].1, "{to}");
        let report = then.verify(&VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty(), "{to}: {:#?}", report.findings);
    }

    fn first(&self) -> u64 {
        match self.env.open_at(&RestoreTo::Commit(u64::MAX)) {
            Err(EnvError::OutOfReach { first, last, .. }) => {
                assert_eq!(last, self.newest());
                first
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_moment_since_the_newest_checkpoint_can_be_opened() {
    let mut sample = Sample::new(small_options());
    sample.commit(0, 40);
    // Without a checkpoint, all of it.
    let all: Vec<u64> = sample.states.keys().copied().collect();
    assert!(all.len() > 40 && sample.first() == 0);
    for commit in &all {
        sample.check(&RestoreTo::Commit(*commit), *commit);
    }
    sample.check(&RestoreTo::Newest, sample.newest());
    // With one, from that on, when the journal before it is not whole any more.
    for _ in 0..3 {
        sample.env.compact().unwrap();
        sample.commit(40, 1);
        sample.env.checkpoint().unwrap();
    }
    let checkpoint = sample.newest();
    sample.commit(40, 20);
    assert_eq!(sample.first(), checkpoint);
    for commit in sample.states.range(checkpoint..).map(|(commit, _)| *commit) {
        sample.check(&RestoreTo::Commit(commit), commit);
    }
    let error = sample.env.open_at(&RestoreTo::Commit(checkpoint - 1)).unwrap_err();
    assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn each_moment_at_all_can_be_opened_where_the_whole_journal_was_kept() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    for options in [small_options(), small_options().encryption(keys)] {
        let mut sample = Sample::new(options.keep_journal(JournalRetention::Forever));
        for round in 0..4 {
            sample.commit(round * 20, 20);
            sample.env.checkpoint().unwrap();
            sample.env.clean().unwrap();
        }
        let all: Vec<u64> = sample.states.keys().copied().collect();
        for commit in all.into_iter().step_by(7) {
            sample.check(&RestoreTo::Commit(commit), commit);
        }
        let marks = sample.env.marks().unwrap();
        for mark in &marks {
            sample.check(&RestoreTo::Label(mark.label.clone()), mark.commit);
            sample.check(&RestoreTo::Lsn(mark.lsn), mark.commit);
        }
        let error = sample.env.open_at(&RestoreTo::Label("nothing".into())).unwrap_err();
        assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
    }
}

#[test]
fn marks_and_times_are_moments() {
    let mut sample = Sample::new(small_options());
    sample.commit(0, 35);
    let marks = sample.env.marks().unwrap();
    assert_eq!(marks.len(), 4);
    for mark in &marks {
        sample.check(&RestoreTo::Label(mark.label.clone()), mark.commit);
        sample.check(&RestoreTo::Time(mark.time), mark.commit);
        sample.check(&RestoreTo::Time(mark.time + 999_999), mark.commit);
    }
    sample.check(&RestoreTo::Time(u64::MAX), sample.newest());
    let error = sample.env.open_at(&RestoreTo::Label("nothing".into())).unwrap_err();
    assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
}

#[test]
fn what_was_opened_stays_what_it_was_while_everything_else_goes_on() {
    let mut sample = Sample::new(small_options());
    sample.commit(0, 20);
    let (commit, (_, expected)) = sample.states.iter().nth(15).unwrap();
    let (commit, expected) = (*commit, expected.clone());
    let (then, _) = sample.env.open_at(&RestoreTo::Commit(commit)).unwrap();
    for round in 1..5 {
        sample.commit(round * 20, 20);
        sample.env.checkpoint().unwrap();
        sample.env.clean().unwrap();
    }
    assert!(content(&then).unwrap() == expected);
    assert!(matches!(then.mark("never"), Err(EnvError::ReadOnly)));
    // A backup of the past can be made of it.
    assert_eq!(then.begin_backup().unwrap().cut().commit, commit);
    // The environment can be closed before; the files stay until the other one is as well.
    sample.env.close().unwrap();
    assert!(content(&then).unwrap() == expected);
    then.close().unwrap();
    let pins = sample.disk.root().open_dir(&Name::constant("pins"));
    assert!(pins.is_err() || pins.unwrap().list().unwrap().is_empty());
    let env = Environment::open_in(sample.disk.root(), sample.world.world(), small_options());
    assert!(content(&env.unwrap().0).unwrap() == sample.states.last_key_value().unwrap().1.1);
}

#[test]
fn an_encrypted_environment_and_one_that_was_killed_have_a_past_as_well() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    for options in [small_options().encryption(keys), small_options()] {
        let mut sample = Sample::new(options.clone());
        sample.commit(0, 20);
        sample.env.checkpoint().unwrap();
        sample.commit(20, 20);
        // Killed, and opened again: nothing has been written since.
        let Sample { disk, world, env, states } = sample;
        let image = disk.image();
        std::mem::forget(env);
        let disk = SimDisk::from_image(&image);
        let open = || -> EnvResult<_> {
            Ok(Environment::open_in(disk.root(), world.world(), options.clone())?.0)
        };
        let env = open().unwrap();
        let mut sample = Sample { disk: disk.clone(), world: world.clone(), env, states };
        let moments: Vec<u64> = sample.states.keys().rev().take(20).copied().collect();
        for commit in &moments {
            sample.check(&RestoreTo::Commit(*commit), *commit);
        }
        sample.commit(40, 10);
        for commit in moments {
            sample.check(&RestoreTo::Commit(commit), commit);
        }
        sample.check(&RestoreTo::Newest, sample.newest());
    }
}
