//! The journal's worker: what commits do not wait for is written behind them, and lost is only what may be.

use cairn_env::Durability;
use cairn_io::Step;
use cairn_sim::{Bounds, Chooser, Level, Seeded, SimDisk};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

/// Lets the journal's worker step until it has nothing to do.
fn run_journal_worker(test: &TestEnv) {
    let worker = test.world.workers().into_iter().find(|id| id.to_string().contains("journal"));
    let worker = worker.expect("it runs as long as the environment is open");
    while test.world.step(worker) == Some(Step::Did) {}
}

/// Commits about `kib` KiB that nobody waits for.
fn commit_unsynced(test: &TestEnv, kib: u32) {
    let db = test.db("db");
    for n in 0..kib {
        let put = |txn: &mut cairn_env::Transaction| txn.put(&db, &ordered(n), &[7; 1000]);
        test.env().write_with(Durability::NoSync, put).unwrap();
    }
}

/// The records that were written to the journal since the mark, in bytes of each write, and how many syncs for commits there
/// were.
fn since_mark(test: &TestEnv) -> (Vec<usize>, usize) {
    /// Zeros are written in pieces of this.
    const ZEROS: usize = 1 << 16;
    let trace = test.disk.trace().to_string();
    let (_, after) = trace.split_once("mark begin").unwrap();
    let writes = after.lines().filter(|line| line.contains("write g-000001/J-"));
    let lengths = writes.map(|line| line.rsplit('+').next().unwrap().trim().parse().unwrap());
    let syncs = after.lines().filter(|line| line.contains("(commit)")).count();
    (lengths.filter(|len| *len != ZEROS).collect(), syncs)
}

fn begin(cache_bytes: usize) -> TestEnv {
    let options = small_options().background(true).cache_bytes(cache_bytes);
    let test = TestEnv::new(options.journal_file_bytes(64 << 20));
    test.put("db", b"first", b"value");
    test.disk.mark("begin", 1);
    test
}

#[test]
fn the_worker_writes_what_nobody_waits_for() {
    // At most 512 KiB wait, and a quarter of that is a piece.
    let test = begin(32 << 20);
    commit_unsynced(&test, 100);
    run_journal_worker(&test);
    assert_eq!(since_mark(&test), (vec![], 0), "too little to write");
    commit_unsynced(&test, 200);
    assert_eq!(since_mark(&test), (vec![], 0), "commits leave it to the worker");
    run_journal_worker(&test);
    let (writes, syncs) = since_mark(&test);
    assert!(writes.len() == 1 && writes[0] > 300_000 && syncs == 0, "{writes:?}, {syncs} syncs");
}

#[test]
fn who_commits_writes_when_the_worker_does_not_keep_up() {
    let test = begin(32 << 20);
    commit_unsynced(&test, 1200);
    let (writes, syncs) = since_mark(&test);
    assert!(writes.len() == 2 && syncs == 0, "{writes:?}, {syncs} syncs");
    assert!(writes.iter().all(|len| (512 << 10..514 << 10).contains(len)), "{writes:?}");
}

#[test]
fn the_worker_syncs_before_commits_have_to() {
    let mut test = begin(512 << 20);
    for _ in 0..10 {
        commit_unsynced(&test, 1000);
        run_journal_worker(&test);
    }
    let (_, syncs) = since_mark(&test);
    assert_eq!(syncs, 1, "after 8 MiB");
    let crashed = test.disk.crash(Level::LoseAll, &Bounds::smoke(), &mut Seeded::new(1));
    std::mem::forget(test.env.take());
    test.disk = SimDisk::from_image(&crashed.image);
    test.open().unwrap();
    let kept = test.env().recovery_report().sequence;
    assert!((8000..10_000).contains(&kept), "{kept} commits are there, and nobody waited for any");
}

#[test]
fn the_file_is_as_long_as_it_must_be_before_commits_come_to_its_end() {
    let test = begin(32 << 20);
    for _ in 0..20 {
        commit_unsynced(&test, 200);
        run_journal_worker(&test);
    }
    test.disk.mark("begin", 2);
    for _ in 0..20 {
        let trace = |test: &TestEnv| test.disk.trace().to_string();
        let before = trace(&test);
        commit_unsynced(&test, 200);
        let after = trace(&test);
        let by_commits = after.strip_prefix(&before).unwrap();
        assert!(!by_commits.contains("journal.extend"), "{by_commits}");
        run_journal_worker(&test);
    }
}

/// The least that the worker takes at once is a piece of 16 KiB.
#[test]
fn a_crash_keeps_what_was_acknowledged_whenever_the_worker_came_by() {
    let options = small_options().background(true).journal_file_bytes(256 << 10);
    let mut images = 0;
    for seed in 0..2 {
        let (mut test, mut random) = (TestEnv::new(options.clone()), Seeded::new(seed));
        let mut states = vec![Model::new()];
        let db = test.db("db");
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", 1);
        for n in 0..40u32 {
            let is_synced = random.choose(12, "synced") == 0;
            let durability = if is_synced { Durability::Sync } else { Durability::NoSync };
            let value = vec![u8::try_from(n).unwrap(); 6000];
            let put = |txn: &mut cairn_env::Transaction| txn.put(&db, &ordered(n % 7), &value);
            test.env().write_with(durability, put).unwrap();
            states.push(content(test.env()).unwrap());
            if is_synced {
                test.disk.mark("acknowledged", states.len() as u64 - 1);
            }
            while random.choose(3, "step") == 0 && test.world.step_any(&mut random).is_some() {}
        }
        test.close();
        images += sweep(&test.disk, &options.clone().background(false), &states, &mut |_, _| ());
    }
    assert!(images > 200, "only {images} states");
}
