//! Clients that get in each other's way.

use std::sync::atomic::{AtomicU64, Ordering};

use cairn_env::{
    Database, DatabaseOptions, Durability, EnvError, EnvResult, Environment, Options, Transaction,
};
use cairn_sim::{Chooser, ChooserExt, Seeded, SimDisk, SimWorld};

use super::{Committed, History, Key, Plan, Step};
use crate::problem::{Checked, Problem, Wrong};

const DATABASE: &str = "accounts";

/// The next value, which nobody else ever puts.
type Values = AtomicU64;

fn failed(error: &EnvError) -> Problem {
    Problem::new(Wrong::Refused, error.to_string())
}

fn options() -> Options {
    // Small leaves and little memory: splits, merges and eviction go on meanwhile.
    Options::default().leaf_bytes(256).cache_bytes(1 << 20).checkpoint_bytes(256 << 10)
}

/// A transaction that is under way.
struct Client {
    transaction: Transaction,
    steps: Vec<Step>,
    left: usize,
}

impl Client {
    fn begin(env: &Environment, random: &mut impl Chooser) -> EnvResult<Self> {
        let left = 1 + random.choose(5, "steps");
        Ok(Self { transaction: env.begin_write()?, steps: Vec::new(), left })
    }

    /// Does something, and notes what it saw.
    fn step(
        &mut self,
        database: &Database,
        plan: &Plan,
        values: &Values,
        random: &mut impl Chooser,
    ) -> EnvResult<()> {
        self.left -= 1;
        let key = any_key(plan, random);
        let step = match random.choose(10, "step") {
            0..=3 => Step::Get(key, self.get(database, key, plan.untracked)?),
            4 | 5 if !plan.untracked => {
                let (from, to) = (key, any_key(plan, random).saturating_add(1));
                let (back, limit) = (random.choose_bool("back"), 1 + random.choose(6, "limit"));
                let seen = self.scan(database, from..to, back, limit)?;
                Step::Scan { from, to, back, limit, seen }
            }
            6 if !plan.untracked && random.choose(4, "count") == 0 => {
                Step::Count(self.transaction.len(database)?)
            }
            7 if random.choose(3, "taken back") == 0 => {
                // Nobody may ever see this value.
                let here = self.transaction.savepoint();
                let value = values.fetch_add(1, Ordering::Relaxed);
                self.transaction.put(database, &[key], &value.to_le_bytes())?;
                return self.transaction.rollback_to(here);
            }
            7 => {
                self.transaction.delete(database, &[key])?;
                Step::Delete(key)
            }
            _ => {
                let value = values.fetch_add(1, Ordering::Relaxed);
                self.transaction.put(database, &[key], &value.to_le_bytes())?;
                Step::Put(key, value)
            }
        };
        self.steps.push(step);
        Ok(())
    }

    fn get(&self, database: &Database, key: Key, untracked: bool) -> EnvResult<Option<u64>> {
        let found = match untracked {
            true => self.transaction.get_untracked(database, &[key])?,
            false => self.transaction.get(database, &[key])?,
        };
        Ok(found.map(|value| number(&value)))
    }

    fn scan(
        &self,
        database: &Database,
        keys: std::ops::Range<Key>,
        back: bool,
        limit: usize,
    ) -> EnvResult<Vec<(Key, u64)>> {
        let (from, to) = ([keys.start], [keys.end]);
        let mut range = self.transaction.range(database, &from[..]..&to[..])?;
        let mut seen = Vec::new();
        while seen.len() < limit {
            let next = if back { range.next_back() } else { range.next() };
            let Some((key, value)) = next.transpose()? else { break };
            seen.push((key.first().copied().unwrap_or(Key::MAX), number(&value)));
        }
        Ok(seen)
    }

    fn commit(self, history: &mut History, durability: Durability) -> EnvResult<()> {
        let wrote = !self.transaction.is_unchanged();
        match self.transaction.commit_with(durability) {
            Ok(info) => {
                history.committed.push(Committed { commit: info.commit, wrote, steps: self.steps });
                Ok(())
            }
            Err(EnvError::Conflict { .. }) => {
                history.conflicts += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn any_key(plan: &Plan, random: &mut impl Chooser) -> Key {
    Key::try_from(random.choose(plan.keys.into(), "key")).unwrap_or(0)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

fn durability(random: &mut impl Chooser) -> Durability {
    if random.choose(20, "sync") == 19 { Durability::Sync } else { Durability::NoSync }
}

/// Clients in one thread on a simulated disk: after each step the seed says whose turn it is.
///
/// # Errors
/// If the engine fails.
pub fn interleaved(plan: &Plan) -> Checked<History> {
    scheduled(plan, &mut Seeded::new(plan.seed).stream("serial"))
}

/// As [`interleaved`], whoever chooses.
///
/// # Errors
/// If the engine fails.
pub fn scheduled(plan: &Plan, random: &mut impl Chooser) -> Checked<History> {
    let (disk, world) = (SimDisk::new(), SimWorld::new(plan.seed));
    let mut run = || -> EnvResult<History> {
        let options = options().background(false);
        let (env, _) = Environment::open_in(disk.root(), world.world(), options)?;
        let database = env.database(DATABASE, DatabaseOptions::default())?;
        let (values, mut history) = (Values::new(0), History::default());
        let mut clients: Vec<Option<Client>> = (0..plan.clients).map(|_| None).collect();
        let mut begun = 0;
        loop {
            // Whoever is at work, or may begin.
            let may_begin = begun < plan.transactions;
            let mut able: Vec<_> =
                clients.iter_mut().filter(|slot| may_begin || slot.is_some()).collect();
            if able.is_empty() {
                break;
            }
            let slot = able.swap_remove(random.choose(able.len(), "client"));
            match slot {
                None => {
                    begun += 1;
                    *slot = Some(Client::begin(&env, random)?);
                }
                Some(client) if client.left > 0 => {
                    client.step(&database, plan, &values, random)?;
                }
                Some(_) => {
                    let durability = durability(random);
                    if let Some(client) = slot.take() {
                        client.commit(&mut history, durability)?;
                    }
                    if random.choose(500, "clean") == 499 {
                        env.clean()?;
                    }
                }
            }
        }
        env.close()?;
        Ok(history)
    };
    run().map_err(|error| failed(&error))
}

/// Clients in threads of their own, with the background worker, in memory.
///
/// # Errors
/// If the engine fails.
pub fn threaded(plan: &Plan) -> Checked<History> {
    let run = || -> EnvResult<History> {
        let (env, _) = Environment::in_memory(options())?;
        let database = env.database(DATABASE, DatabaseOptions::default())?;
        let values = Values::new(0);
        let each = plan.transactions.div_ceil(plan.clients as u64);
        let one = |client: usize| -> EnvResult<History> {
            let mut random = Seeded::new(plan.seed).stream(&format!("client {client}"));
            let mut history = History::default();
            for _ in 0..each {
                let mut client = Client::begin(&env, &mut random)?;
                while client.left > 0 {
                    client.step(&database, plan, &values, &mut random)?;
                    if random.choose(4, "yield") == 0 {
                        std::thread::yield_now();
                    }
                }
                let durability = durability(&mut random);
                client.commit(&mut history, durability)?;
            }
            Ok(history)
        };
        let one = &one;
        let histories: Vec<EnvResult<History>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..plan.clients).map(|client| scope.spawn(move || one(client))).collect();
            let panicked = |_| EnvError::Internal { what: "a client panicked".into() };
            threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
        });
        let mut all = History::default();
        for history in histories {
            let History { committed, conflicts } = history?;
            all.committed.extend(committed);
            all.conflicts += conflicts;
        }
        env.close()?;
        Ok(all)
    };
    run().map_err(|error| failed(&error))
}
