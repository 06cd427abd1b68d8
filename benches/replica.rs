//! What a replica on the same disk costs, beside an environment without one. (The example `replica` compares both in
//! turns, and measures how fast what a replica has is replayed.)
#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::time::{Duration, Instant};

use cairn_benches::replica::{Alone, NO_DISK};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// `Sync` commits of one entry, by one thread and by eight.
fn commits(c: &mut Criterion) {
    for threads in [1, 8] {
        let mut group = c.benchmark_group(format!("replica/commit_sync_{threads}"));
        group.throughput(Throughput::Elements(threads));
        for with_replica in [false, true] {
            let alone = Alone::new(with_replica).expect(NO_DISK);
            let name = if with_replica { "with" } else { "without" };
            group.bench_function(name, |b| {
                b.iter_custom(|rounds| -> Duration {
                    let began = Instant::now();
                    alone.commit(threads, rounds);
                    began.elapsed()
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = commits
}
criterion_main!(benches);
