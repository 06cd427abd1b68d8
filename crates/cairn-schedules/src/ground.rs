//! What the programs stand on: an environment on a disk that can lose power, what its clients were
//! told, and the check that it is so.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, EnvResult, Environment, Options, VerifyOptions,
};
use cairn_sim::{Bounds, Chooser, Image, Level, Seeded, SimDisk};

use crate::{Checked, POSSIBLE, lock, world::ThreadWorld};

/// So often somebody looks for what must come before it is taken for lost. The threads of the system
/// may be slow; those of a scheduler have all had their turn by then.
pub(super) const PATIENCE: u64 = if POSSIBLE { 2_000 } else { u64::MAX / 2 };

/// Somebody who commits: puts 0, 1, 2 … one after the other, each under a key of its own.
pub(super) type Client = u8;

/// A failure of what should not fail.
pub(super) fn run(error: impl fmt::Display) -> String {
    error.to_string()
}

/// What clients were told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// How many commits each has begun.
    begun: BTreeMap<Client, u8>,
    acknowledged: Vec<Acknowledged>,
}

#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    client: Client,
    number: u8,
    commit: u64,
    durability: Durability,
}

/// How much of what was acknowledged must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// What the disk was asked to keep.
    Synced,
    /// Everything: the environment was closed, or a sync came after it.
    All,
}

/// What a loss of power has left, and what it must hold.
struct Cut {
    level: Level,
    image: Image,
    kept: Kept,
    least: Told,
    most: Told,
}

/// An environment in use.
pub(super) struct Ground {
    pub(super) env: Environment,
    pub(super) db: Database,
    pub(super) book: Book,
}

/// What is left when the environment is gone: the disk, and what its clients were told.
pub(super) struct Book {
    pub(super) disk: SimDisk,
    told: Mutex<Told>,
    cuts: Mutex<Vec<Cut>>,
    chooser: Mutex<Seeded>,
}

/// Little of everything, so that a few commits meet splits, new files and the cleaner.
pub(super) fn options() -> Options {
    Options::new()
        .background(false)
        .leaf_bytes(512)
        .cache_bytes(1 << 20)
        .flush_interval(std::time::Duration::from_millis(1))
}

impl Ground {
    /// A new environment with an empty database.
    pub(super) fn new(seed: u64, options: Options) -> Checked<Self> {
        let disk = SimDisk::new().without_trace();
        let env = open(&disk, seed, options).map_err(run)?;
        let db = env.database("all", DatabaseOptions::default()).map_err(run)?;
        env.sync().map_err(run)?;
        let (told, cuts) = (Mutex::default(), Mutex::default());
        let book = Book { disk, told, cuts, chooser: Mutex::new(Seeded::new(seed)) };
        Ok(Self { env, db, book })
    }

    /// Puts the next value of a client and commits; notes what was begun and what was acknowledged.
    pub(super) fn commit(&self, client: Client, durability: Durability) -> EnvResult<u64> {
        let mut txn = self.env.begin_write()?;
        let told = &self.book.told;
        let number = *lock(told).begun.entry(client).or_default();
        txn.put(&self.db, &[client, number], &value(client, number))?;
        *lock(told).begun.entry(client).or_default() += 1;
        let commit = txn.commit_with(durability)?.commit;
        let acknowledged = Acknowledged { client, number, commit, durability };
        lock(told).acknowledged.push(acknowledged);
        Ok(commit)
    }

    /// Closes the environment, which makes everything durable, and looks at all that is left.
    pub(super) fn close_and_check(self) -> Checked {
        self.env.close().map_err(run)?;
        self.book.lose_power(Level::LoseAll, Kept::All);
        self.book.check()
    }
}

impl Book {
    /// One of `n`, as the seed says.
    pub(super) fn choose(&self, n: usize) -> usize {
        lock(&self.chooser).choose(n, "program")
    }

    /// Opens the environment on this disk again and closes it, as nobody has it any more.
    pub(super) fn open_again(&self) -> Checked {
        open(&self.disk, 1, options()).and_then(Environment::close).map_err(run)
    }

    /// The power fails here, for a copy of the disk: what it has left is looked at later.
    pub(super) fn lose_power(&self, level: Level, kept: Kept) {
        let least = lock(&self.told).clone();
        let image = self.disk.crash(level, &Bounds::smoke(), &mut *lock(&self.chooser)).image;
        let most = lock(&self.told).clone();
        lock(&self.cuts).push(Cut { level, image, kept, least, most });
    }

    /// As [`Book::lose_power`], and as much is lost as the seed says.
    pub(super) fn lose_some_power(&self) {
        let level = [Level::LoseAll, Level::Prefix, Level::Subset][self.choose(3)];
        self.lose_power(level, Kept::Synced);
    }

    /// Looks at what the losses of power have left. The environment must have come to its end.
    pub(super) fn check(&self) -> Checked {
        let cuts = std::mem::take(&mut *lock(&self.cuts));
        cuts.iter().try_for_each(Cut::check)
    }
}

fn open(disk: &SimDisk, seed: u64, options: Options) -> EnvResult<Environment> {
    Environment::open_in(disk.root(), Arc::new(ThreadWorld::new(seed)), options).map(|(env, _)| env)
}

fn value(client: Client, number: u8) -> Vec<u8> {
    [client, number].repeat(20)
}

impl Cut {
    fn check(&self) -> Checked {
        let disk = SimDisk::from_image(&self.image).without_trace();
        let env = open(&disk, 1, options()).map_err(|error| self.problem(error))?;
        let found = self.content(&env).map_err(|error| self.problem(error))?;
        self.compare(&found)?;
        let verified = env.verify(&VerifyOptions::new());
        let verified = verified.map_err(|error| self.problem(error))?;
        if let Some(finding) = verified.findings.first() {
            return Err(self.problem(finding));
        }
        env.close().map_err(|error| self.problem(error))
    }

    /// How many values of each client are there: the first ones, each as it was put.
    fn content(&self, env: &Environment) -> EnvResult<BTreeMap<Client, u8>> {
        let mut found = BTreeMap::new();
        let Some(db) = env.find_database("all")? else { return Ok(found) };
        for entry in env.snapshot()?.iter(&db)? {
            let (key, bytes) = entry?;
            let next = match key[..] {
                [client, number] if bytes[..] == value(client, number)[..] => {
                    let next: &mut u8 = found.entry(client).or_default();
                    (*next == number).then_some(next)
                }
                _ => None,
            };
            match next {
                Some(next) => *next += 1,
                None => {
                    let what = format!("an entry that nobody put here: {key:?}");
                    return Err(EnvError::InvalidInput { what });
                }
            }
        }
        Ok(found)
    }

    fn compare(&self, found: &BTreeMap<Client, u8>) -> Checked {
        let is_there = |one: &Acknowledged| found.get(&one.client).is_some_and(|n| *n > one.number);
        let is_kept =
            |one: &&Acknowledged| self.kept == Kept::All || one.durability == Durability::Sync;
        let must = self.least.acknowledged.iter().filter(is_kept).map(|one| one.commit).max();
        // What is found is a prefix of the commits, whatever was asked of each.
        let is = self.most.acknowledged.iter().filter(|one| is_there(one)).map(|one| one.commit);
        let newest = must.max(is.max()).unwrap_or(0);
        let is_lost = |one: &&Acknowledged| one.commit <= newest && !is_there(one);
        if let Some(lost) = self.most.acknowledged.iter().find(is_lost) {
            let story = format!("commit {} of client {} is not there", lost.commit, lost.client);
            return Err(self.problem(story));
        }
        let begun = |client: &Client| self.most.begun.get(client).copied().unwrap_or(0);
        match found.iter().find(|(client, n)| **n > begun(client)) {
            Some((client, _)) => {
                let story = format!("client {client} has not begun that many");
                Err(self.problem(story))
            }
            None => Ok(()),
        }
    }

    fn problem(&self, story: impl fmt::Display) -> String {
        let (level, kept) = (self.level, self.kept);
        let told = self.most.acknowledged.iter().map(|one| {
            format!("{}.{} {:?} as {}", one.client, one.number, one.durability, one.commit)
        });
        let told = told.collect::<Vec<_>>().join(", ");
        format!("{story}; {level}, to be kept: {kept:?}; acknowledged: {told}")
    }
}
