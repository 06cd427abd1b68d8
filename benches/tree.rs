//! The tree alone, in memory: descent, insertion, splits, freezing.

use std::{hint::black_box, sync::Arc};

use cairn_benches::{ENTRIES, VALUE, existing, key};
use cairn_btree::{
    Forest, ForestOptions, FrozenRoot, MemorySource, TreeId, TreeWriter, ValueRef, check,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const TREE: TreeId = TreeId(1);

fn empty() -> TreeWriter {
    let forest = Forest::new(Arc::new(MemorySource::new()), ForestOptions::default());
    let mut writer = TreeWriter::new(forest, None, 1).expect("memory does not fail");
    writer.create(TREE).expect("memory does not fail");
    writer
}

fn put(writer: &mut TreeWriter, key: &[u8]) {
    writer.insert(TREE, key, ValueRef::Inline(&VALUE), 0).expect("memory does not fail");
}

fn full() -> (TreeWriter, Arc<FrozenRoot>) {
    let mut writer = empty();
    (0..ENTRIES).for_each(|n| put(&mut writer, &key(n)));
    let frozen = writer.freeze(1).expect("memory does not fail");
    (writer, frozen)
}

fn get(c: &mut Criterion) {
    let (_writer, frozen) = full();
    let mut n = 0;
    c.bench_function("tree/get", |b| {
        b.iter(|| {
            n += 1;
            frozen.get_with(TREE, &existing(n), |value| {
                matches!(black_box(value), ValueRef::Inline(_))
            })
        });
    });
}

fn get_many(c: &mut Criterion) {
    let (_writer, frozen) = full();
    let mut n = 0;
    let mut group = c.benchmark_group("tree/get_many");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100", |b| {
        b.iter(|| {
            n += 100;
            let keys: Vec<_> = (n..n + 100).map(existing).collect();
            frozen.get_many(TREE, &keys)
        });
    });
}

fn insert(c: &mut Criterion) {
    let mut group = c.benchmark_group("tree/insert");
    group.throughput(Throughput::Elements(10_000));
    // In order every split is at the end; in random order it is in the middle.
    group.bench_function("ascending", |b| {
        b.iter_batched_ref(
            empty,
            |writer| (0..10_000).for_each(|n| put(writer, format!("{n:016}").as_bytes())),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("random", |b| {
        b.iter_batched_ref(
            empty,
            |writer| (0..10_000).for_each(|n| put(writer, &key(n))),
            BatchSize::LargeInput,
        );
    });
}

/// The put after which a leaf is two.
fn split(c: &mut Criterion) {
    let with = |entries| {
        let mut writer = empty();
        (0..entries).for_each(|n| put(&mut writer, &key(n)));
        writer
    };
    let nodes = |entries| {
        let frozen = with(entries).freeze(1).expect("memory does not fail");
        check(&frozen, &mut |_| {}).nodes
    };
    let is_full = |entries: &u64| nodes(*entries) < nodes(entries + 1);
    let full = (1..).find(is_full).expect("no leaf grows for ever");
    c.bench_function("tree/split", |b| {
        b.iter_batched_ref(|| with(full), |writer| put(writer, &key(full)), BatchSize::SmallInput);
    });
}

fn own_path(c: &mut Criterion) {
    let (mut writer, _frozen) = full();
    let (mut n, mut sequence) = (0, 1);
    c.bench_function("tree/put_after_freeze", |b| {
        b.iter(|| {
            (n, sequence) = (n + 1, sequence + 1);
            put(&mut writer, &existing(n));
            writer.freeze(sequence)
        });
    });
}

criterion_group!(benches, get, get_many, insert, split, own_path);
criterion_main!(benches);
