//! Simulation: the whole engine at work on disks that lose power and fail, in one thread, where a chooser
//! decides every turn.
//!
//! Clients with open transactions, the background worker, scrubbing, checkpoints, backups and restores
//! are *actors*: each [`Event`] lets one of them go a step further. Other events are what befalls them:
//! the process dies or the power fails, at rest or in the middle of a call; a call to the disk fails, a
//! read is wrong, a device says that it has synced and has not. After each crash the environment is opened
//! again, which may be cut short as well, and goes on with the same history.
//!
//! What is expected is kept beside it (`ledger`): a state for each commit, and up to which of them
//! somebody was told that it is durable. What is found must be one of the states that this leaves open;
//! what transactions, snapshots and backups see must be exactly one state.
//!
//! One body runs under every chooser: all runs of a tiny plan, seeds at scale, a fuzzer's bytes, a list that
//! repeats a failure. (The idea of one deterministic process in which everything happens is
//! FoundationDB's and TigerBeetle's.)

mod clients;
mod copies;
mod crash;
mod ledger;
mod plan;
mod rig;
#[cfg(test)]
mod tests;
mod trouble;
mod upkeep;
mod watch;

use std::{fmt, time::Duration};

use cairn_env::{EnvError, Environment, PendingCommit, Scrub, Snapshot};
use cairn_sim::{Chooser, ChooserExt as _, FaultDisk, Image, SimWorld};

use crate::{
    client::Client,
    model::Contents,
    problem::{Checked, Problem, Wrong, caught},
    script::Settings,
};
use copies::Copies;
use ledger::Ledger;
pub use plan::{Event, Odds, Plan};
pub use rig::{Campaign, Failure, InvalidRepro, Report, Repro, run};
use trouble::Trouble;
use watch::Watched;

/// How often things happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Events.
    pub steps: u64,
    /// Commits that took effect.
    pub commits: u64,
    /// Transactions that were told of a conflict.
    pub conflicts: u64,
    /// Deaths of the process and power failures.
    pub crashes: u64,
    /// Those in the middle of what comes after another one.
    pub nested: u64,
    /// Power failures after a disk had lied, and how many of them were found out rather than healed.
    pub lies: (u64, u64),
    /// Calls that failed, or gave wrong bytes.
    pub faults: u64,
    /// Failures that an environment did not survive without being opened again.
    pub poisoned: u64,
    /// Backups that were finished.
    pub backups: u64,
    /// Restores that were held against what the backup was made of.
    pub restores: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.commits += other.commits;
        self.conflicts += other.conflicts;
        self.crashes += other.crashes;
        self.nested += other.nested;
        self.lies.0 += other.lies.0;
        self.lies.1 += other.lies.1;
        self.faults += other.faults;
        self.poisoned += other.poisoned;
        self.backups += other.backups;
        self.restores += other.restores;
    }
}

/// What a simulation came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How often things happened.
    pub tally: Tally,
    /// What was done to the disks, and what they hold in the end: the same for the same choices.
    pub hash: u128,
    /// The first promise that was broken.
    pub problem: Option<Problem>,
    /// What happened, one line for each event, if that was asked for.
    pub story: Vec<String>,
}

/// Runs a simulation, with its story if `tell`. The same choices make the same run.
pub fn simulate(plan: &Plan, chooser: &mut (dyn Chooser + Send), tell: bool) -> Outcome {
    let mut simulation = Simulation::new(plan, chooser, tell);
    let problem = caught(|| simulation.run()).err();
    simulation.end_process();
    let hash = simulation.hash_of_all();
    let Simulation { tally, story, .. } = simulation;
    Outcome { tally, hash, problem, story: story.unwrap_or_default() }
}

/// One process that has the environment open.
struct Process {
    env: Environment,
    /// Between it and the disk.
    faults: FaultDisk,
    world: SimWorld,
    clients: Vec<Option<Client>>,
    /// Snapshots that are kept, with what they hold.
    held: Vec<(Snapshot, Contents)>,
    waiting: Vec<PendingCommit>,
    /// Commits that are to be durable by then.
    deadlines: Vec<(u64, Duration)>,
    scrub: Option<Scrub>,
    /// The newest commit of which somebody was told that it took effect: whoever looks sees it.
    acknowledged: u64,
    /// Whether syncs do nothing: then nothing is durable.
    is_lied_to: bool,
    trouble: Option<Trouble>,
}

struct Simulation<'c> {
    plan: &'c Plan,
    chooser: &'c mut (dyn Chooser + Send),
    settings: Settings,
    ledger: Ledger,
    disk: Watched,
    process: Option<Process>,
    copies: Copies,
    /// Between two pieces of a backup: nobody can take the environment away from under it.
    is_in_backup: bool,
    /// Whether no sync did anything while it was opened last.
    is_opened_by_lies: bool,
    /// What went wrong in there.
    found: Option<Problem>,
    /// Processes so far; worlds take their seeds from it.
    processes: u64,
    /// The newest value, which nobody else ever puts.
    values: u32,
    /// Of disks that are no more.
    hash: u128,
    tally: Tally,
    story: Option<Vec<String>>,
}

impl<'c> Simulation<'c> {
    fn new(plan: &'c Plan, chooser: &'c mut (dyn Chooser + Send), tell: bool) -> Self {
        Self {
            plan,
            chooser,
            settings: Settings::SMALL,
            ledger: Ledger::new(),
            disk: Watched::new(&Image::new()),
            process: None,
            copies: Copies::new(),
            is_in_backup: false,
            is_opened_by_lies: false,
            found: None,
            processes: 0,
            values: 0,
            hash: 0,
            tally: Tally::default(),
            story: tell.then(Vec::new),
        }
    }

    fn run(&mut self) -> Checked<()> {
        self.settings = *self.chooser.pick(self.plan.settings, "settings");
        self.reopen()?;
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        self.finish()
    }

    /// Lets something happen.
    fn step(&mut self) -> Checked<()> {
        let weights: Vec<u32> = self.plan.odds.iter().map(|(odds, _)| *odds).collect();
        let (_, event) = self.plan.odds[self.weighted(&weights, "event")];
        self.tally.steps += 1;
        match event {
            Event::Client => self.client()?,
            Event::Work => self.work()?,
            Event::Pass => self.pass(),
            Event::Group => self.group()?,
            Event::Sync => self.sync()?,
            Event::Snapshot => self.snapshot()?,
            Event::Read => self.read()?,
            Event::Checkpoint => self.checkpoint()?,
            Event::Clean => self.clean()?,
            Event::Exclusive => self.exclusive()?,
            Event::Scrub => self.scrub()?,
            Event::Verify => self.verify()?,
            Event::Backup => self.backup()?,
            Event::Restore => self.restore()?,
            Event::Close => self.close()?,
            Event::Kill => self.kill()?,
            Event::Power => self.power()?,
            Event::Doom => self.doom(),
            Event::Fault => self.fault(),
            Event::Misread => self.misread(),
        }
        self.after_step()
    }

    /// What follows from what has just happened.
    fn after_step(&mut self) -> Checked<()> {
        if self.is_in_backup {
            return Ok(());
        }
        if self.is_dead() {
            return self.die_midway();
        }
        let Some(process) = &self.process else { return Ok(()) };
        if !process.env.is_valid() {
            return self.poisoned();
        }
        self.endure()?;
        let Some(process) = &self.process else { return Ok(()) };
        let open = process.clients.iter().flatten().map(|client| client.since);
        let needed = open.min().unwrap_or(u64::MAX);
        self.ledger.forget_before(needed);
        Ok(())
    }

    /// Everything comes to rest: what there is must be whole, after closing and opening it once more.
    fn finish(&mut self) -> Checked<()> {
        self.disk.revive();
        self.lift()?;
        if self.process.as_ref().is_some_and(|process| process.is_lied_to) {
            self.power()?;
        }
        self.read()?;
        self.verify()?;
        self.close_in_order()?;
        if self.process.is_none() {
            self.reopen()?;
        }
        self.restore_all()?;
        self.close_in_order()
    }

    /// One of several things, each as often as its weight says, or with a plan that goes through all of
    /// them, each once.
    fn weighted(&mut self, weights: &[u32], tag: &'static str) -> usize {
        match self.plan.is_even {
            true => self.chooser.choose(weights.len(), tag),
            false => self.chooser.weighted(weights, tag),
        }
    }

    fn tell(&mut self, what: fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            let depth = if self.is_in_backup { "  meanwhile: " } else { "" };
            story.push(format!("{:5} {depth}{what}", self.tally.steps));
        }
    }

    /// Whether the process has died in the middle of something.
    fn is_dead(&self) -> bool {
        self.disk.is_dead()
    }

    /// Whether something was done to the disk that may make calls fail.
    fn is_troubled(&self) -> bool {
        self.is_dead()
            || self.process.as_ref().is_some_and(|process| {
                let has_struck = |trouble: &Trouble| trouble.is_full || process.faults.has_struck();
                process.trouble.as_ref().is_some_and(has_struck)
            })
    }

    /// What came of something that must not fail unless the disk does; `None` if it failed.
    fn unless_troubled<T>(&mut self, what: &str, done: Result<T, EnvError>) -> Checked<Option<T>> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) if self.is_troubled() => {
                self.tell(format_args!("{what} fails: {error}"));
                Ok(None)
            }
            Err(error) => Err(Problem::new(Wrong::Run, format!("{what}: {error}"))),
        }
    }

    /// Ends the process: nothing that it still does reaches the disk.
    fn end_process(&mut self) {
        if let Some(process) = self.process.take() {
            process.faults.die();
        }
    }

    fn hash_of_all(&self) -> u128 {
        let images = [&self.disk, &self.copies.disk]
            .map(|watched| watched.hash().rotate_left(31) ^ watched.disk.image().hash());
        images.into_iter().fold(self.hash, |hash, image| hash.rotate_left(17) ^ image)
    }
}
