//! Records: append, read, check.

use std::hint::black_box;

use cairn_benches::mix;
use cairn_io::{MemDisk, SyncSite};
use cairn_log::{
    FileClass, FileHeader, FileNumber, LogWriter, Payload, RecordKind, Scan, Scanner, Uuid, crc32c,
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

/// Nodes of 8 KiB: entries with values of text, and noise, which is found not to get shorter.
fn compressed(c: &mut Criterion) {
    let text: Vec<u8> = (0..)
        .flat_map(|n: u64| {
            format!("{:08} the value of entry {}; ", mix(n) % 100_000, n).into_bytes()
        })
        .take(8192)
        .collect();
    let noise: Vec<u8> = (0..1024).flat_map(|n| mix(n).to_le_bytes()).collect();
    let mut group = c.benchmark_group("log/compressed");
    group.throughput(Throughput::Bytes(8192));
    for (name, body) in [("text", &text), ("noise", &noise)] {
        group.bench_function(format!("prepare {name}"), |b| {
            b.iter(|| Payload::compressed(black_box(body.clone())));
        });
    }
    let mut log = writer();
    let payload = Payload::compressed(text).expect("it is not long");
    let (lsn, _) = log.append_payload(RecordKind::LEAF, 1, &payload).expect("there is room");
    group.bench_function("read text", |b| b.iter(|| log.file().read(lsn)));
}

criterion_group!(benches, checksum, append, read, scan, compressed);
criterion_main!(benches);
