//! Queries on an indexed field of JSON documents: CairnDB's key-value store beside SQLite, with json1 and an index of
//! the same field.
//!
//! Both answer the same queries in turn: the documents of an age, and those of ten ages that follow each other. Of
//! each the time to the first row counts, and rows per second. Both have everything in their caches.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use cairn_env::{Durability, Environment, Options};
use cairn_kv::{
    Entry, FieldNode, KvOptions, KvStore, Limits, Query, Schema, SecurityLevel, ValueType,
};
use rusqlite::{Connection, params};

use crate::Result;

/// So many documents have the same age.
const OF_AN_AGE: u64 = 100;
const BATCH: u64 = 10_000;
const CACHE: usize = 1 << 30;

#[derive(clap::Args)]
pub struct Json {
    /// How many documents
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How many queries of each kind
    #[arg(long, default_value_t = 500)]
    queries: u64,
}

/// Ages from the first on, before the second.
type Ages = (i64, i64);

/// Asks for ages; returns how long the first row took and how long all of them, and how many there were.
type Ask<'a> = &'a dyn Fn(Ages) -> Result<(Duration, Duration, u64)>;

pub fn run(json: &Json) -> Result {
    let dir = tempfile::tempdir()?;
    let (_env, store) = fill_cairn(&dir.path().join("cairn"), json.entries)?;
    let sqlite = fill_sqlite(&dir.path().join("sqlite"), json.entries)?;
    let engines: [(&str, Ask<'_>); 2] = [
        ("cairndb", &|ages| ask_cairn(&store, ages)),
        ("sqlite", &|ages| ask_sqlite(&sqlite, ages)),
    ];
    let ages = i64::try_from(json.entries.div_ceil(OF_AN_AGE))?;
    for (kind, width) in [("one age", 1), ("ten ages", 10)] {
        let mut rows: [Vec<(Duration, Duration, u64)>; 2] = Default::default();
        for n in 0..json.queries {
            // No order, and the same for both.
            let first = i64::try_from(crate::data::mix(n) % u64::try_from(ages)?)?;
            let mut counts = Vec::new();
            for ((_, ask), rows) in engines.iter().zip(&mut rows) {
                rows.push(ask((first, first + width))?);
                counts.extend(rows.last().map(|row| row.2));
            }
            if counts[0] != counts[1] {
                return Err(format!("age {first}: {counts:?} documents").into());
            }
        }
        for ((name, _), rows) in engines.iter().zip(&mut rows) {
            rows.sort();
            let first = rows[rows.len() / 2].0;
            let (time, count) = rows
                .iter()
                .fold((0.0, 0), |(time, count), row| (time + row.1.as_secs_f64(), count + row.2));
            let per_second = count as f64 / time;
            println!("{kind:10} {name:8} first row {first:>10.1?}  {per_second:>12.0} rows/s");
        }
    }
    Ok(())
}

fn document(n: u64, entries: u64) -> String {
    let age = crate::data::mix(n) % entries.div_ceil(OF_AN_AGE);
    format!("{{\"name\":\"somebody {n}\",\"age\":{age},\"score\":{}.5}}", n % 1000)
}

fn fill_cairn(dir: &Path, entries: u64) -> Result<(Environment, KvStore)> {
    let (env, _) = Environment::open(dir, Options::default().cache_bytes(CACHE))?;
    let mut schema = Schema::new();
    schema.root.append_child(FieldNode::new("name", ValueType::String));
    schema.root.append_child(FieldNode::new("age", ValueType::Integer));
    schema.root.append_child(FieldNode::new("score", ValueType::Double));
    schema.indexes = vec!["$.age".into()];
    let options = KvOptions::new(SecurityLevel::S1)
        .schema(schema)
        .limits(Limits::default().batch(usize::try_from(BATCH)?))
        .durability(Durability::NoSync);
    let store = KvStore::open(&env, "json", options)?;
    for first in (0..entries).step_by(usize::try_from(BATCH)?) {
        let batch = first..entries.min(first + BATCH);
        store.put_batch(batch.map(|n| Entry::new(format!("{n:08}"), document(n, entries))))?;
    }
    env.checkpoint()?;
    Ok((env, store))
}

fn fill_sqlite(file: &Path, entries: u64) -> Result<Connection> {
    let mut sqlite = Connection::open(file)?;
    sqlite.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA cache_size = -1048576;
         CREATE TABLE store (key TEXT PRIMARY KEY, value TEXT);
         CREATE INDEX by_age ON store (json_extract(value, '$.age'));",
    )?;
    for first in (0..entries).step_by(usize::try_from(BATCH)?) {
        let txn = sqlite.transaction()?;
        for n in first..entries.min(first + BATCH) {
            txn.prepare_cached("INSERT INTO store VALUES (?1, ?2)")?
                .execute(params![format!("{n:08}"), document(n, entries)])?;
        }
        txn.commit()?;
    }
    sqlite.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")?;
    Ok(sqlite)
}

fn ask_cairn(store: &KvStore, (from, to): Ages) -> Result<(Duration, Duration, u64)> {
    let query = match to - from {
        1 => Query::new().equal_to("$.age", from),
        _ => Query::new().greater_than_or_equal_to("$.age", from).less_than("$.age", to),
    };
    let start = Instant::now();
    let mut set = store.get_result_set(query)?;
    let (mut first, mut rows) = (None, 0);
    for entry in set.entries() {
        entry?;
        first.get_or_insert_with(|| start.elapsed());
        rows += 1;
    }
    let all = start.elapsed();
    Ok((first.unwrap_or(all), all, rows))
}

fn ask_sqlite(sqlite: &Connection, (from, to): Ages) -> Result<(Duration, Duration, u64)> {
    let start = Instant::now();
    let of_one = "SELECT key, value FROM store WHERE json_extract(value, '$.age') = ?1";
    let of_some = "SELECT key, value FROM store WHERE json_extract(value, '$.age') >= ?1 \
                   AND json_extract(value, '$.age') < ?2";
    let mut statement = sqlite.prepare_cached(if to - from == 1 { of_one } else { of_some })?;
    let mut found = match to - from {
        1 => statement.query([from])?,
        _ => statement.query([from, to])?,
    };
    let (mut first, mut rows) = (None, 0);
    while let Some(row) = found.next()? {
        let (_key, _value): (String, String) = (row.get(0)?, row.get(1)?);
        first.get_or_insert_with(|| start.elapsed());
        rows += 1;
    }
    let all = start.elapsed();
    Ok((first.unwrap_or(all), all, rows))
}
