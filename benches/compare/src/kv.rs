//! What the key-value store costs beside the engine that it stands on: the same puts and gets, in turn.
//!
//! A round is some thousand calls of one and then of the other; ratios are taken within a round, where the machine was
//! the same for both, and the table shows their medians.

use std::time::{Duration, Instant};

use cairn_env::{Durability, Environment, Options, Transaction};
use cairn_kv::{Entry, KvOptions, KvStore, Limits, SecurityLevel, Value};

use crate::{Result, data::mix};

const VALUE: [u8; 100] = [7; 100];
const BATCH: u64 = 10_000;

#[derive(clap::Args)]
pub struct Kv {
    /// How many entries
    #[arg(long, default_value_t = 200_000)]
    entries: u64,
    /// How many calls of each in a round
    #[arg(long, default_value_t = 20_000)]
    calls: u64,
    /// How many rounds
    #[arg(long, default_value_t = 41)]
    rounds: u64,
}

pub fn run(what: &Kv) -> Result {
    let dir = tempfile::tempdir()?;
    let (env, _) = Environment::open(dir.path().join("env"), Options::default())?;
    let options = KvOptions::new(SecurityLevel::S1)
        .limits(Limits::default().batch(usize::try_from(BATCH)?))
        .durability(Durability::NoSync);
    let store = KvStore::open(&env, "bench", options)?;
    for first in (0..what.entries).step_by(usize::try_from(BATCH)?) {
        let batch = first..what.entries.min(first + BATCH);
        store.put_batch(batch.map(|n| Entry::new(key(n), VALUE.as_slice())))?;
    }
    env.checkpoint()?;
    let data = env.find_database("cairn.kv/bench")?.ok_or("the store has no database")?;

    let some_key = |n: u64| key(mix(n) % what.entries);
    // Both look at what they get: the engine lends it, so that one who does not has not fetched it.
    let seen = |last: Option<&u8>| match last == VALUE.last() {
        true => Ok(()),
        false => Err(format!("{last:?} is not what was put").into()),
    };
    let get = |n| {
        let found = store.get(some_key(n))?;
        seen(found.as_ref().and_then(Value::as_bytes).and_then(<[u8]>::last))
    };
    let get_of_the_engine = |n| {
        let found = env.snapshot()?.get(&data, &some_key(n))?;
        seen(found.as_ref().and_then(|found| found.last()))
    };
    let put = |n| Ok(store.put(some_key(n), VALUE.as_slice())?);
    let stored = [&[cairn_kv::ValueType::ByteArray as u8][..], &VALUE].concat();
    let put_of_the_engine = |n| {
        let put = |txn: &mut Transaction| txn.put(&data, &some_key(n), &stored);
        Ok(env.write_with(Durability::NoSync, put)?)
    };
    compare("get", what, [&get, &get_of_the_engine])?;
    compare("put", what, [&put, &put_of_the_engine])
}

/// One call, the n-th.
type Call<'a> = &'a dyn Fn(u64) -> Result;

fn compare(name: &str, what: &Kv, calls: [Call<'_>; 2]) -> Result {
    let mut times: [Vec<Duration>; 2] = Default::default();
    let mut ratios = Vec::new();
    for round in 0..what.rounds {
        let mut took = [Duration::ZERO; 2];
        // Who goes first has a cache that the other has filled: by turns.
        for which in [round % 2, 1 - round % 2] {
            let which = usize::try_from(which)?;
            let start = Instant::now();
            (0..what.calls).try_for_each(|n| calls[which](round * what.calls + n))?;
            took[which] = start.elapsed();
            times[which].push(took[which]);
        }
        ratios.push(took[0].as_secs_f64() / took[1].as_secs_f64());
    }
    let each = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() / what.calls as f64 * 1e9
    });
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!("{name}  store {:>6.0} ns  engine {:>6.0} ns  {ratio:.2} of it", each[0], each[1]);
    Ok(())
}

fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(n + 1).to_le_bytes());
    key[8..].copy_from_slice(&n.to_le_bytes());
    key
}
