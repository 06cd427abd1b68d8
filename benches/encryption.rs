//! What encryption costs: the same work in a plain and in an encrypted environment.

use cairn_env::{DatabaseOptions, Durability, Environment, Options};
use cairn_log::{DataKey, DataKeys};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const NO_DISK: &str = "the temporary directory can be written";

fn kinds() -> [(&'static str, Options); 2] {
    let keys = DataKeys::new([(1, DataKey::new([7; DataKey::LEN]))]).expect("one key");
    [("plain", Options::new()), ("encrypted", Options::new().encryption(keys))]
}

fn values(c: &mut Criterion) {
    for len in [100, 1 << 10, 16 << 10, 256 << 10] {
        let value = vec![7; len];
        let entries = (64_u64 << 20) / (len as u64).max(1 << 10);
        for (kind, options) in kinds() {
            let dir = tempfile::tempdir().expect(NO_DISK);
            let opened = Environment::open(dir.path().join("env"), options);
            let (env, _) = opened.expect(NO_DISK);
            let database = env.database("main", DatabaseOptions::default()).expect(NO_DISK);
            let mut n = 0_u64;
            let mut group = c.benchmark_group(format!("encryption/put-{len}"));
            group.throughput(Throughput::Bytes(len as u64)).sample_size(20);
            group.bench_function(kind, |b| {
                b.iter(|| {
                    n += 1;
                    let key = (n % entries).to_le_bytes();
                    env.write_with(Durability::NoSync, |txn| txn.put(&database, &key, &value))
                        .expect(NO_DISK)
                });
            });
            group.finish();
            env.checkpoint().expect(NO_DISK);
            let (snapshot, last) = (env.snapshot().expect(NO_DISK), n.min(entries - 1));
            let mut group = c.benchmark_group(format!("encryption/get-{len}"));
            group.throughput(Throughput::Bytes(len as u64)).sample_size(20);
            group.bench_function(kind, |b| {
                b.iter(|| {
                    n += 1;
                    let key = (1 + cairn_benches::mix(n) % last.max(1)).to_le_bytes();
                    snapshot.get(&database, &key).expect(NO_DISK)
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, values);
criterion_main!(benches);
