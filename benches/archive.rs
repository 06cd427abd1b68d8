//! Export, verification and import of a store on the disk, beside what they cannot be faster than: copying and
//! hashing the same bytes, and loading the same entries in their order.

use std::path::Path;

use cairn_archive::{
    ArchiveFile, ArchiveKeys, Compression, ExportOptions, ImportOptions, StoreInfo, export_to,
    import,
};
use cairn_env::{Durability, Environment, Options};
use cairn_io::{Access, FileExt, IoResult, Name, RealDir, SyncSite};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const NO_DISK: &str = "the temporary directory can be written";
const BYTES: usize = 64 << 20;

fn key(n: usize) -> [u8; 16] {
    let mut key = *b"key-000000000000";
    for (place, digit) in key[4..].iter_mut().rev().zip(0..) {
        *place = b'0' + u8::try_from(n / 10_usize.pow(digit) % 10).unwrap_or(0);
    }
    key
}

/// Values that compress about as texts do.
fn value(n: usize, len: usize) -> Vec<u8> {
    let mut state = n as u64 + 1;
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"etaoinshrdlucmfw"[usize::try_from(*state >> 60).unwrap_or(0)]
    };
    (0..len).map(|_| next(&mut state)).collect()
}

fn open(path: &Path) -> Environment {
    Environment::open(path, Options::default()).expect(NO_DISK).0
}

fn load(env: &Environment, len: usize) {
    let mut txn = env.begin_exclusive().expect(NO_DISK);
    let db = txn.create_database("db", cairn_env::DatabaseOptions::default()).expect(NO_DISK);
    let entries = (0..BYTES / (16 + len)).map(|n| (key(n), value(n, len)));
    txn.load(&db, entries).expect(NO_DISK);
    txn.commit_with(Durability::Sync).expect(NO_DISK);
}

/// What every archive costs at least: reads a file, hashes it, writes it, and makes that durable.
fn copy_and_hash(from: &Path, to: &Path) -> IoResult<blake3::Hash> {
    const COPY: SyncSite = SyncSite::new("bench.copy");
    let open = |path: &Path| RealDir::open(path.parent().unwrap_or(path));
    let from = open(from)?.open(&Name::constant("kept"), Access::Read)?;
    let to = open(to)?.create(&Name::constant("copy"))?;
    let (mut buf, mut hasher, mut at) = (vec![0; 256 << 10], blake3::Hasher::new(), 0);
    loop {
        let read = from.read_full_at(at, &mut buf)?;
        if read == 0 {
            to.sync(COPY)?;
            return Ok(hasher.finalize());
        }
        hasher.update(&buf[..read]);
        to.write_all_at(at, &buf[..read])?;
        at += read as u64;
    }
}

fn archives(c: &mut Criterion) {
    let scratch = || tempfile::tempdir().expect(NO_DISK);
    for len in [100, 4000] {
        let dir = scratch();
        let env = open(&dir.path().join("env"));
        load(&env, len);
        env.checkpoint().expect(NO_DISK);
        let snapshot = env.snapshot().expect(NO_DISK);
        let store = StoreInfo::databases();
        let export = |path: &Path, compression| {
            let options = ExportOptions::default().compression(compression);
            export_to(&env, &snapshot, &store, &["db"], path, &options).expect(NO_DISK)
        };
        let kept = dir.path().join("kept");
        let made = export(&kept, Compression::None);
        assert_eq!(made.totals.entries(), (BYTES / (16 + len)) as u64);

        let mut group = c.benchmark_group("archive");
        group.throughput(Throughput::Bytes(made.bytes));
        let row = |name: &str| BenchmarkId::new(name, format!("values of {len}"));
        group.bench_function(row("copy and hash"), |b| {
            let run = |to: &mut tempfile::TempDir| {
                copy_and_hash(&kept, &to.path().join("copy")).expect(NO_DISK)
            };
            b.iter_batched_ref(scratch, run, BatchSize::PerIteration);
        });
        for (name, compression) in
            [("export", Compression::None), ("export, zstd 3", Compression::Zstd(3))]
        {
            group.bench_function(row(name), |b| {
                let run = |to: &mut tempfile::TempDir| export(&to.path().join("a"), compression);
                b.iter_batched_ref(scratch, run, BatchSize::PerIteration);
            });
        }
        let file = ArchiveFile::at(&kept).expect(NO_DISK);
        group.bench_function(row("verify"), |b| {
            b.iter(|| file.verify(&ArchiveKeys::none(), None).expect(NO_DISK));
        });
        let fresh = || {
            let dir = scratch();
            let env = open(&dir.path().join("env"));
            (dir, env)
        };
        group.bench_function(row("sorted load"), |b| {
            let run = |(_, env): &mut (tempfile::TempDir, Environment)| load(env, len);
            b.iter_batched_ref(fresh, run, BatchSize::PerIteration);
        });
        group.bench_function(row("import"), |b| {
            let run = |(_, env): &mut (tempfile::TempDir, Environment)| {
                let options = ImportOptions::default().other_store(true);
                import(env, &file, &store, &options).expect(NO_DISK)
            };
            b.iter_batched_ref(fresh, run, BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = archives
}
criterion_main!(benches);
