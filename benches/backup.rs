//! Backup, verification and restore of a small environment on the disk.

use cairn_backup::{BackupOptions, RestoreOptions, backup, restore, verify};
use cairn_benches::Full;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const NO_DISK: &str = "the temporary directory can be written";

fn copies(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    let scratch = || tempfile::tempdir().expect(NO_DISK);
    let kept = scratch();
    let report = backup(&full.env, kept.path(), &BackupOptions::default()).expect(NO_DISK);
    let mut group = c.benchmark_group("backup");
    group.throughput(Throughput::Bytes(report.bytes));
    group.bench_function("backup", |b| {
        b.iter_batched_ref(
            scratch,
            |dir| backup(&full.env, dir.path(), &BackupOptions::default()).expect(NO_DISK),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("verify", |b| b.iter(|| verify(kept.path(), None).expect(NO_DISK)));
    group.bench_function("restore", |b| {
        b.iter_batched_ref(
            scratch,
            |dir| restore(kept.path(), dir.path(), &RestoreOptions::default()).expect(NO_DISK),
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = copies
}
criterion_main!(benches);
