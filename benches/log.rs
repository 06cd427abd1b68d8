//! Records: append, read, check.

use std::hint::black_box;

use cairn_io::{MemDisk, SyncSite};
use cairn_log::{
    FileClass, FileHeader, FileNumber, LogWriter, RecordKind, Scan, Scanner, Uuid, crc32c,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SITE: SyncSite = SyncSite::new("bench.log");

fn writer() -> LogWriter {
    let header =
        FileHeader::first(FileClass::Node, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]));
    LogWriter::create(&*MemDisk::new().root(), header, None).expect("memory does not fail")
}

fn filled(records: u64) -> LogWriter {
    let mut log = writer();
    for sequence in 1..=records {
        log.append(RecordKind::LEAF, sequence, &[&[7; 4000]]).expect("memory does not fail");
    }
    log.write().expect("memory does not fail");
    log.sync(SITE).expect("memory does not fail");
    log
}

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("log/crc32c");
    for len in [64_usize, 4096, 65_536] {
        let bytes = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |b| b.iter(|| crc32c(black_box(&bytes))));
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("log/append");
    for len in [128_usize, 8192] {
        let body = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |b| {
            b.iter_batched_ref(
                writer,
                |log| {
                    for sequence in 1..=100 {
                        log.append(RecordKind::LEAF, sequence, &[&body]).expect("there is room");
                    }
                    log.write().expect("memory does not fail")
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn read(c: &mut Criterion) {
    let log = filled(1000);
    let mut lsns = Vec::new();
    let mut scanner = Scanner::new(log.file(), log.end());
    while let Ok(Scan::Record(record)) = scanner.next() {
        lsns.push(record.lsn);
    }
    let mut next = lsns.iter().cycle();
    c.bench_function("log/read", |b| {
        b.iter(|| log.file().read(*next.next().expect("it is a cycle")));
    });
}

fn scan(c: &mut Criterion) {
    let log = filled(1000);
    let mut group = c.benchmark_group("log/scan");
    group.throughput(Throughput::Bytes(log.end()));
    group.bench_function("4 MB", |b| {
        b.iter(|| {
            let mut scanner = Scanner::new(log.file(), log.end());
            let mut records = 0;
            while let Ok(Scan::Record(_)) = scanner.next() {
                records += 1;
            }
            assert_eq!(records, 1000);
        });
    });
}

criterion_group!(benches, checksum, append, read, scan);
criterion_main!(benches);
