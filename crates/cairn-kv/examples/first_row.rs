//! How soon the first row of a large result set is there, with a small cache: puts entries, opens the store again,
//! and times the first row of sets over all of them.
//!
//! ```sh
//! cargo run --release -p cairn-kv --example first_row -- 10000000
//! ```
#![expect(clippy::print_stdout, reason = "the output is what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::time::Instant;

use cairn_env::{Durability, Environment, Options};
use cairn_kv::{Entry, KvOptions, KvStore, Limits, SecurityLevel};

const BATCH: u64 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let options = || Options::default().cache_bytes(8 << 20);
    let kv_options = || {
        let limits = Limits::default().batch(10_000);
        KvOptions::new(SecurityLevel::S1).limits(limits).durability(Durability::NoSync)
    };

    let (env, _) = Environment::open(dir.path(), options())?;
    let store = KvStore::open(&env, "rows", kv_options())?;
    for first in (0..rows).step_by(10_000) {
        let batch = first..rows.min(first + BATCH);
        store.put_batch(batch.map(|n| Entry::new(format!("row-{n:012}"), format!("value {n}"))))?;
    }
    drop(store);
    env.close()?;

    let (env, _) = Environment::open(dir.path(), options())?;
    let store = KvStore::open(&env, "rows", kv_options())?;
    for prefix in ["", "row-", "row-0000"] {
        let began = Instant::now();
        let mut set = store.get_result_set(prefix)?;
        assert!(set.move_to_first()? && set.entry()?.is_some());
        println!("first of {rows} rows with {prefix:?}: {:?}", began.elapsed());
    }
    let began = Instant::now();
    assert_eq!(store.get_result_set("")?.count()?, rows);
    println!("their count: {:?}", began.elapsed());
    println!("nodes in memory: {} KiB", env.stats()?.cache_resident >> 10);
    drop(store);
    env.close()?;
    Ok(())
}
