//! An environment on the disk: reads, commits, checkpoints, recovery.

use std::{fs, io, path::Path};

use cairn_benches::{ENTRIES, Full, VALUE, existing};
use cairn_env::{DatabaseOptions, Durability, Environment, Options};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const NO_DISK: &str = "the temporary directory can be written";

fn reads(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    let snapshot = full.env.snapshot().expect(NO_DISK);
    let mut n = 0;
    c.bench_function("environment/get", |b| {
        b.iter(|| {
            n += 1;
            snapshot.get(&full.database, &existing(n)).expect(NO_DISK)
        });
    });
    let mut cursor = snapshot.cursor(&full.database).expect(NO_DISK);
    c.bench_function("environment/seek", |b| {
        b.iter(|| {
            n += 1;
            cursor.seek(&existing(n)).expect(NO_DISK)
        });
    });
    let mut group = c.benchmark_group("environment/scan");
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("all", |b| {
        b.iter(|| {
            let mut cursor = snapshot.cursor(&full.database).expect(NO_DISK);
            let mut count = 0;
            while cursor.next().expect(NO_DISK) {
                count += 1;
            }
            assert_eq!(count, ENTRIES);
        });
    });
}

/// Entries in order, in one exclusive transaction.
fn exclusive(c: &mut Criterion) {
    const LOADED: u32 = 100_000;
    let mut group = c.benchmark_group("environment/exclusive");
    group.throughput(Throughput::Elements(LOADED.into()));
    let (env, _) = Environment::in_memory(Options::default().background(false)).expect(NO_DISK);
    group.bench_function("load", |b| {
        b.iter_batched(
            || {
                let mut txn = env.begin_exclusive().expect(NO_DISK);
                let new = txn.create_database("new", DatabaseOptions::default()).expect(NO_DISK);
                (txn, new)
            },
            |(mut txn, new)| {
                let entries = (0..LOADED).map(|n| (format!("{n:024}"), VALUE));
                assert_eq!(txn.load(&new, entries).expect(NO_DISK), u64::from(LOADED));
                txn
            },
            BatchSize::PerIteration,
        );
    });
}

fn commits(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    let mut n = 0;
    let mut commit = |keys: u64, durability| {
        let first = n;
        n += keys;
        full.env
            .write_with(durability, |txn| {
                (first..first + keys)
                    .try_for_each(|n| txn.put(&full.database, &existing(n), &VALUE))
            })
            .expect(NO_DISK);
    };
    // What a put is before anybody commits it.
    let mut txn = full.env.begin_write().expect(NO_DISK);
    let mut put = 0;
    c.bench_function("environment/put", |b| {
        b.iter(|| {
            put += 1;
            txn.put(&full.database, &existing(put), &VALUE).expect(NO_DISK);
        });
    });
    drop(txn);
    c.bench_function("environment/commit_no_sync", |b| b.iter(|| commit(1, Durability::NoSync)));
    c.bench_function("environment/commit_sync", |b| b.iter(|| commit(1, Durability::Sync)));
    c.bench_function("environment/commit_1000_sync", |b| {
        b.iter(|| commit(1000, Durability::Sync));
    });
}

fn checkpoint(c: &mut Criterion) {
    let full = Full::new().expect(NO_DISK);
    let mut n = 0;
    let mut change = || {
        full.env
            .write_with(Durability::NoSync, |txn| {
                n += 1000;
                (n..n + 1000).try_for_each(|n| txn.put(&full.database, &existing(n), &VALUE))
            })
            .expect(NO_DISK);
    };
    c.bench_function("environment/checkpoint_of_1000_puts", |b| {
        b.iter_batched(
            &mut change,
            |()| full.env.checkpoint().expect(NO_DISK),
            BatchSize::PerIteration,
        );
    });
}

/// What is in use is moved out of files that hold little else.
fn clean(c: &mut Criterion) {
    // Nobody cleans but this.
    let full = Full::with(Options::new().background(false).space_target(0)).expect(NO_DISK);
    let mut n = 0;
    let mut change = || {
        n += 1000;
        full.env
            .write_with(Durability::NoSync, |txn| {
                (n..n + 1000).try_for_each(|n| txn.put(&full.database, &existing(n), &VALUE))
            })
            .expect(NO_DISK);
        full.env.checkpoint().expect(NO_DISK);
    };
    let clean = || full.env.compact().expect(NO_DISK).moved;
    // What the load has left is another matter.
    clean();
    change();
    let mut group = c.benchmark_group("environment/clean");
    group.throughput(Throughput::Elements(clean()));
    group.bench_function("moved", |b| {
        b.iter_batched(&mut change, |()| clean(), BatchSize::PerIteration);
    });
}

/// An environment whose journal holds all of its commits is opened: everything is replayed.
fn recovery(c: &mut Criterion) {
    let Full { env, database, dir } = Full::new().expect(NO_DISK);
    for first in (0..ENTRIES).step_by(1000) {
        env.write_with(Durability::NoSync, |txn| {
            (first..first + 1000).try_for_each(|n| txn.put(&database, &existing(n), &VALUE))
        })
        .expect(NO_DISK);
    }
    env.sync().expect(NO_DISK);
    // What a process that dies leaves behind; closing it would make a checkpoint.
    let left = dir.path().join("left");
    copy(&dir.path().join("env"), &left).expect(NO_DISK);
    drop(env);
    let mut group = c.benchmark_group("environment/recovery");
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("replay", |b| {
        b.iter(|| {
            // Nothing is written, so that it is the same again each time.
            let options = Options::new().read_only(true);
            let (_, report) = Environment::open(&left, options).expect(NO_DISK);
            assert!(report.replayed_commits > 0);
        });
    });
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = reads, commits, exclusive, checkpoint, clean, recovery
}
criterion_main!(benches);
