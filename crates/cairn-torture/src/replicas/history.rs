//! A history: what an environment and its replica do, and what there was after each commit.

use std::collections::BTreeMap;

use cairn_env::{
    DatabaseOptions, Durability, EnvResult, Environment, Options, RecoveryReport, ReplicaPolicy,
    ReplicaState,
};
use cairn_io::{DirRef, Name, SyncSite};
use cairn_sim::{ChooserExt as _, Fault, FaultDisk, Rule, Seeded, SimDisk, SimWorld, Trace};

use crate::{
    model::Contents,
    problem::{Checked, Problem, Wrong},
};

/// The environment, and its replica: two directories of one disk, so that both have one order of what was done,
/// and what a crash leaves of one does not depend on what it leaves of the other.
pub(super) const SIDES: [&str; 2] = ["here", "there"];
/// The newest commit that is acknowledged as durable; of the replica, that it must have.
pub(super) const ACKNOWLEDGED: [&str; 2] = ["acknowledged", "acknowledged there"];

/// What was done, as a trace with marks, and what there was after each commit.
pub(super) struct History {
    pub(super) trace: Trace,
    pub(super) states: BTreeMap<u64, Contents>,
}

/// Small everything: a few entries split a leaf, a few commits fill a journal file.
pub(super) fn options() -> Options {
    Options::default()
        .background(false)
        .leaf_bytes(256)
        .cache_bytes(256 << 10)
        .journal_file_bytes(16 << 10)
        .node_file_bytes(16 << 10)
}

/// Opens an environment in a world of its own.
pub(super) fn open(
    root: DirRef,
    options: Options,
    seed: u64,
) -> EnvResult<(Environment, RecoveryReport)> {
    Environment::open_in(root, SimWorld::new(seed).world(), options)
}

impl History {
    /// Does what `seed` chooses: three times with the replica, alone in between, and once with one that fails.
    pub(super) fn record(seed: u64) -> Checked<Self> {
        Recorder::new(seed)
            .and_then(|mut recorder| {
                recorder.run()?;
                Ok(Self { trace: recorder.disk.trace(), states: recorder.states })
            })
            .map_err(|error| Problem::new(Wrong::Run, error))
    }
}

struct Recorder {
    disk: SimDisk,
    random: Seeded,
    /// Of each life another one: no two draw the same identities.
    seeds: Seeded,
    states: BTreeMap<u64, Contents>,
}

impl Recorder {
    fn new(seed: u64) -> EnvResult<Self> {
        let disk = SimDisk::new();
        for side in SIDES {
            disk.root().create_dir(&Name::constant(side))?;
        }
        disk.root().sync(SyncSite::new("torture.replicas"))?;
        let disk = SimDisk::from_image(&disk.image());
        let states = BTreeMap::from([(0, Contents::default())]);
        let [random, seeds] = ["history", "lives"].map(|name| Seeded::new(seed).stream(name));
        Ok(Self { disk, random, seeds, states })
    }

    fn side(&self, side: usize) -> EnvResult<DirRef> {
        Ok(self.disk.root().open_dir(&Name::constant(SIDES[side]))?)
    }

    fn run(&mut self) -> EnvResult<()> {
        self.live(Some(ReplicaPolicy::Require))?;
        self.live(None)?;
        self.live(Some(ReplicaPolicy::Require))?;
        self.live_with_one_that_fails()?;
        self.live(Some(ReplicaPolicy::Require))
    }

    /// Opens, commits, and closes or is killed.
    fn live(&mut self, policy: Option<ReplicaPolicy>) -> EnvResult<()> {
        let mut options = options();
        if let Some(policy) = policy {
            options = options.replica_in(self.side(1)?, policy);
        }
        let (env, _) = open(self.side(0)?, options, self.seeds.next_u64())?;
        let commits = self.random.range(12..30, "commits");
        self.commit(&env, commits)?;
        self.end(env)
    }

    /// Commits with a replica that fails in the middle, and comes back.
    fn live_with_one_that_fails(&mut self) -> EnvResult<()> {
        let faults = FaultDisk::new(self.side(1)?);
        let options = options().replica_in(faults.root(), ReplicaPolicy::Degrade);
        let world = SimWorld::new(self.seeds.next_u64());
        let (env, _) = Environment::open_in(self.side(0)?, world.world(), options)?;
        let commits = self.random.range(4..12, "before");
        self.commit(&env, commits)?;
        let nth = self.random.range(0..40, "call") as u64;
        faults.inject(Rule::new(Fault::Eio).nth(nth).and_on());
        let commits = self.random.range(8..20, "without");
        self.commit(&env, commits)?;
        faults.clear();
        world.advance(std::time::Duration::from_secs(2));
        env.checkpoint()?;
        let commits = self.random.range(4..12, "after");
        self.commit(&env, commits)?;
        self.end(env)
    }

    fn end(&mut self, env: Environment) -> EnvResult<()> {
        if self.random.choose_bool("killed") {
            // Its locks go with it; what it has written stays, as the disk has it.
            drop(env);
            return Ok(());
        }
        env.close()
    }

    fn commit(&mut self, env: &Environment, commits: usize) -> EnvResult<()> {
        for _ in 0..commits {
            match self.random.weighted(&[20, 6, 3, 2, 1, 1], "what") {
                0 => self.put(env, Durability::Sync)?,
                1 => self.put(env, Durability::NoSync)?,
                2 => drop(env.checkpoint()?),
                3 => drop(env.mark("here")?),
                4 => drop(env.clean()?),
                _ => self.load(env)?,
            }
            self.acknowledged(env)?;
        }
        Ok(())
    }

    fn put(&mut self, env: &Environment, durability: Durability) -> EnvResult<()> {
        let db = env.database("db", DatabaseOptions::default())?;
        self.note(env)?;
        let key = self.random.range(0..20, "key").to_le_bytes();
        let len = *self.random.pick(&[10, 60, 60, 200, 1500, 5000], "length");
        let mut value = vec![0; len];
        self.random.fill(&mut value);
        let deletes = self.random.range(0..5, "delete") == 0;
        env.write_with(durability, |txn| match deletes {
            true => txn.delete(&db, &key).map(drop),
            false => txn.put(&db, &key, &value),
        })?;
        self.note(env)
    }

    /// A transaction in parts.
    fn load(&mut self, env: &Environment) -> EnvResult<()> {
        let db = env.database("db", DatabaseOptions::default())?;
        self.note(env)?;
        let mut load = env.begin_exclusive()?;
        for n in 0..self.random.range(20..120, "entries") {
            load.put(&db, &n.to_le_bytes(), &[7; 90])?;
        }
        load.commit()?;
        self.note(env)
    }

    fn note(&mut self, env: &Environment) -> EnvResult<()> {
        let commit = env.snapshot()?.commit();
        self.states.insert(commit, Contents::of(env)?);
        Ok(())
    }

    /// Marks how far the commits are that each side must have from now on.
    fn acknowledged(&mut self, env: &Environment) -> EnvResult<()> {
        self.note(env)?;
        let durable = env.stats()?.durable_commits;
        self.disk.mark(ACKNOWLEDGED[0], durable);
        if env.replica()?.is_some_and(|replica| replica.state == ReplicaState::Attached) {
            self.disk.mark(ACKNOWLEDGED[1], durable);
        }
        Ok(())
    }
}
