//! What is built on databases: upkeep of an index, looking up by it, numbers of a sequence.

use cairn_benches::{Full, VALUE, existing};
use cairn_env::{Durability, IndexDef, SequenceOptions};
use criterion::{Criterion, criterion_group, criterion_main};

const NO_DISK: &str = "the temporary directory can be written";

/// Each change moves the entry to another key of the index.
fn indexes(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    let first_bytes = IndexDef::new("first bytes", 1, |_, value, emit| emit(&value[..8]));
    let index = full.env.index(&full.database, first_bytes).expect(NO_DISK);
    let mut n = 0u64;
    c.bench_function("index/commit_1000_no_sync", |b| {
        b.iter(|| {
            let put_1000 = |txn: &mut cairn_env::Transaction| {
                (n..n + 1000).try_for_each(|n| {
                    let mut value = VALUE;
                    value[..8].copy_from_slice(&n.to_le_bytes());
                    txn.put(&full.database, &existing(n), &value)
                })
            };
            full.env.write_with(Durability::NoSync, put_1000).expect(NO_DISK);
            n += 1000;
        });
    });
    let snapshot = full.env.snapshot().expect(NO_DISK);
    let mut wanted = n;
    c.bench_function("index/get", |b| {
        b.iter(|| {
            wanted = if wanted == 0 { n } else { wanted } - 1;
            index.get(&snapshot, &wanted.to_le_bytes()).expect(NO_DISK)
        });
    });
}

fn sequences(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    for (name, cache) in [("next_of_1000", 1000), ("next_sync", 1)] {
        let options = SequenceOptions::default().cache(cache);
        let sequence = full.env.sequence(&full.database, name.as_bytes(), options).expect(NO_DISK);
        c.bench_function(&format!("sequence/{name}"), |b| {
            b.iter(|| sequence.next().expect(NO_DISK));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = indexes, sequences
}
criterion_main!(benches);
