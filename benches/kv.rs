//! The key-value store beside the engine that it stands on: the same entries, read and put by both; and
//! queries on an indexed field.

use cairn_benches::{ENTRIES, VALUE, existing, key};
use cairn_env::{Database, Durability, Environment, Options};
use cairn_kv::{
    Entry, FieldNode, KvOptions, KvStore, Limits, Query, Schema, SecurityLevel, ValueType,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

const NO_DISK: &str = "the temporary directory can be written";

/// How many entries have the same age.
const OF_AN_AGE: u64 = 1000;

struct Full {
    _dir: TempDir,
    env: Environment,
    store: KvStore,
    /// In which the store keeps its entries.
    data: Database,
}

/// A store with entries, as the one of `environment` has them.
fn full(schema: Option<Schema>, entry: impl Fn(u64) -> Entry) -> Full {
    let dir = tempfile::tempdir().expect(NO_DISK);
    let (env, _) = Environment::open(dir.path().join("env"), Options::new()).expect(NO_DISK);
    let mut options = KvOptions::new(SecurityLevel::S1)
        .limits(Limits::default().batch(10_000))
        .durability(Durability::NoSync);
    options.schema = schema;
    let store = KvStore::open(&env, "bench", options).expect(NO_DISK);
    for first in (0..ENTRIES).step_by(10_000) {
        store.put_batch((first..first + 10_000).map(&entry)).expect(NO_DISK);
    }
    env.checkpoint().expect(NO_DISK);
    let data = env.find_database("cairn.kv/bench").expect(NO_DISK).expect("the store is there");
    Full { _dir: dir, env, store, data }
}

fn entries(c: &mut Criterion) {
    let full = full(None, |n| Entry::new(key(n), VALUE.as_slice()));
    let mut n = 0;
    c.bench_function("kv/get", |b| {
        b.iter(|| {
            n += 1;
            full.store.get(existing(n)).expect(NO_DISK)
        });
    });
    c.bench_function("kv/get_of_the_engine", |b| {
        b.iter(|| {
            n += 1;
            full.env.snapshot().expect(NO_DISK).get(&full.data, &existing(n)).expect(NO_DISK)
        });
    });
    c.bench_function("kv/put_no_sync", |b| {
        b.iter(|| {
            n += 1;
            full.store.put(existing(n), VALUE.as_slice()).expect(NO_DISK);
        });
    });
    c.bench_function("kv/put_no_sync_of_the_engine", |b| {
        b.iter(|| {
            n += 1;
            let put = |txn: &mut cairn_env::Transaction| txn.put(&full.data, &existing(n), &VALUE);
            full.env.write_with(Durability::NoSync, put).expect(NO_DISK);
        });
    });
}

fn queries(c: &mut Criterion) {
    let mut schema = Schema::new();
    schema.root.append_child(FieldNode::new("age", ValueType::Integer));
    schema.root.append_child(FieldNode::new("name", ValueType::String));
    schema.indexes = vec!["$.age".into()];
    let full = full(Some(schema), |n| {
        let age = n % (ENTRIES / OF_AN_AGE);
        Entry::new(key(n), format!("{{\"name\":\"somebody {n}\",\"age\":{age}}}"))
    });
    let ages = i64::try_from(ENTRIES / OF_AN_AGE).expect("there are few");
    let mut n = 0;
    let mut query = || {
        n += 7;
        Query::new().equal_to("$.age", n % ages)
    };
    c.bench_function("kv/query_first_row", |b| {
        b.iter(|| {
            let mut set = full.store.get_result_set(query()).expect(NO_DISK);
            assert!(set.move_to_first().expect(NO_DISK));
        });
    });
    let mut group = c.benchmark_group("kv/query");
    group.throughput(Throughput::Elements(OF_AN_AGE));
    group.bench_function("all_rows", |b| {
        b.iter(|| {
            let found = full.store.get_entries(query()).expect(NO_DISK);
            assert_eq!(found.len() as u64, OF_AN_AGE);
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = entries, queries
}
criterion_main!(benches);
