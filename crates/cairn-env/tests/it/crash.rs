//! Crashes at every operation of a small run: what was acknowledged is there, and nothing else is.

use cairn_env::{DatabaseOptions, Durability, Environment};
use cairn_sim::{Bounds, Fault, FaultDisk, Level, Rule, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

/// Runs a small workload, keeping the state after each commit, and marks each acknowledgement.
fn workload(test: &TestEnv, checkpoints: bool) -> Vec<Model> {
    let mut states = vec![Model::new()];
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    test.disk.mark("acknowledged", 1);
    for i in 0..40u32 {
        let durability = if i % 3 == 2 { Durability::NoSync } else { Durability::Sync };
        test.env()
            .write_with(durability, |txn| {
                txn.put(&db, &(i % 7).to_le_bytes(), &[u8::try_from(i).unwrap(); 40])?;
                if i % 5 == 0 {
                    txn.delete(&db, &((i + 3) % 7).to_le_bytes())?;
                    txn.put(&db, b"large", &[u8::try_from(i).unwrap(); 1500])?;
                }
                Ok(())
            })
            .unwrap();
        states.push(content(test.env()).unwrap());
        if durability == Durability::Sync {
            test.disk.mark("acknowledged", states.len() as u64 - 1);
        }
        if checkpoints && i % 10 == 9 {
            test.env().checkpoint().unwrap();
        }
    }
    states
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_acknowledged() {
    let mut test = TestEnv::new(small_options());
    let states = workload(&test, true);
    test.close();
    let images = sweep(&test.disk, &small_options(), &states, &mut |_, _| ());
    assert!(images > 2000, "only {images} states");
}

/// A checkpoint record that found its node file full began another one, which the record's own table
/// did not name. After a crash the first write took that file for a leftover and removed it.
#[test]
fn the_file_that_holds_the_newest_checkpoint_is_never_a_leftover() {
    for entries in 60..90u32 {
        let mut test = TestEnv::new(small_options());
        let db = test.db("db");
        let filled = test
            .env()
            .write(|txn| (0..entries).try_for_each(|n| txn.put(&db, &ordered(n), &[1; 200])));
        filled.unwrap();
        test.env().checkpoint().unwrap();
        test.kill();
        test.put("db", b"first write", b"after recovery");
        test.kill();
        assert_eq!(test.env().recovery_report().older_checkpoint, None);
    }
}

/// A process died after it had created a journal file and before its name was durable. The next one
/// found the name and began the file after it, whose name could then become durable alone.
#[test]
fn a_death_at_any_call_and_a_crash_of_the_next_process_leave_what_opens() {
    let mut dead = false;
    for calls in 0.. {
        let disk = SimDisk::new();
        TestEnv::on(disk.clone(), small_options()).close();
        let faults = FaultDisk::new(disk.root());
        let world = SimWorld::new(1);
        let write = |root| -> cairn_env::EnvResult<()> {
            let (env, _) = Environment::open_in(root, world.world(), small_options())?;
            let db = env.database("db", DatabaseOptions::default())?;
            env.write(|txn| txn.put(&db, b"key", b"value"))?;
            env.checkpoint()?;
            Ok(())
        };
        faults.inject(Rule::new(Fault::Eio).nth(calls).and_on());
        let died = write(faults.root());
        write(disk.root()).unwrap();
        let trace = disk.trace();
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            for level in [Level::Prefix, Level::Subset] {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    let disk = crashed.image.to_mem();
                    Environment::open_in(disk.root(), world.world(), small_options())
                        .unwrap_or_else(|error| panic!("died at {calls}, {crashed}: {error}"));
                }
            }
        }
        if died.is_ok() {
            assert!(dead);
            return;
        }
        dead = true;
    }
}

/// A process died after it had written the state and before that was durable. The next one wrote over the
/// other slot, the durable one: when a power failure tore that and took the first, a state from before both
/// was left, whose files were gone.
#[test]
fn a_state_that_was_found_is_durable_before_the_one_before_it_is_written_over() {
    const STATE: &str = "g-000001/STATE";
    let disk = SimDisk::new();
    let mut test = TestEnv::on(disk.clone(), small_options());
    test.put("db", b"key", b"value");
    test.close();
    let world = SimWorld::new(1);
    let faults = FaultDisk::new(disk.root());
    faults.inject(Rule::new(Fault::Eio).site(cairn_io::SyncSite::new("state")).and_on());
    let (env, _) = Environment::open_in(faults.root(), world.world(), small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, b"key", b"new")).unwrap_err();
    drop((env, db));
    let lost = |disk: &SimDisk| {
        let mut random = cairn_sim::Seeded::new(1);
        disk.crash(Level::LoseAll, &Bounds::smoke(), &mut random).image.read(STATE)
    };
    assert_ne!(lost(&disk), disk.image().read(STATE), "the state was written, not synced");
    let next = Environment::open_in(disk.root(), world.world(), small_options()).unwrap();
    assert_eq!(lost(&disk), disk.image().read(STATE));
    drop(next);
}

/// A checkpoint recorded the journal file in use with the length that it had by then, commits after
/// the cut included. When a power failure took those, the file looked truncated.
#[test]
fn a_checkpoint_asks_for_no_journal_bytes_after_its_cut() {
    let options = small_options().background(true).checkpoint_bytes(4000);
    let mut test = TestEnv::new(options.journal_file_bytes(1 << 20));
    let db = test.db("db");
    // So many nodes that a checkpoint takes several steps; whoever writes that much takes the first.
    let fill = |txn: &mut cairn_env::Transaction| {
        (0..600u32).try_for_each(|n| txn.put(&db, &ordered(n), &[1; 40]))
    };
    test.env().write(fill).unwrap();
    test.env()
        .write_with(Durability::WriteNoSync, |txn| txn.put(&db, b"late", &[2; 1000]))
        .unwrap();
    test.disk.mark("late", 1);
    while test.world.run_until_idle(1) > 0 {}
    let trace = test.disk.trace().to_string();
    let (_, after) = trace.split_once("mark late").unwrap();
    assert!(after.contains("write g-000001/STATE"), "the checkpoint has ended");
    let mut random = cairn_sim::Seeded::new(1);
    let crashed = test.disk.crash(Level::LoseAll, &Bounds::smoke(), &mut random);
    std::mem::forget(test.env.take());
    test.disk = SimDisk::from_image(&crashed.image);
    test.open().unwrap();
    test.put("db", b"first write", b"after recovery"); // the old file is cut
    test.kill();
}

/// An idle worker writes how far the journal is durable behind the last commit, without a sync. A checkpoint
/// of these commits let replay go on behind that: when a power failure took it, it left a hole in the middle
/// of the journal, which verification, the cleaner and every backup met with.
#[test]
fn replay_goes_on_from_where_the_journal_was_durable() {
    let options = small_options().background(true);
    let test = TestEnv::new(options.clone());
    let mut states = vec![Model::new()];
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    test.put("db", b"k", b"v");
    states.push(content(test.env()).unwrap());
    for _ in 0..3 {
        test.world.advance(std::time::Duration::from_millis(20));
        test.world.run_until_idle(20);
    }
    test.env().checkpoint().unwrap();
    test.disk.mark("acknowledged", 2);
    let options = options.background(false);
    sweep(&test.disk, &options, &states, &mut |env, _| {
        env.write(|txn| txn.put(&db, b"next", b"v")).map(drop).unwrap_or_default();
        let verified = env.verify(&cairn_env::VerifyOptions::new()).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
        env.compact().unwrap();
    });
}

/// A journal file that could not be created is removed, and nothing syncs that: after a crash it may be
/// back, empty or with its header alone, beside the one that was created when there was room again, also in
/// another data directory. Recovery took it for damage and refused the environment, with what was
/// acknowledged in it.
#[test]
fn a_journal_file_that_was_given_up_on_a_full_disk_and_is_back_is_no_damage() {
    let mut images = 0;
    for (directories, room) in [(0, 0), (0, 5000), (2, 0), (2, 5000)] {
        let sim = SimDisk::new();
        let disk = FaultDisk::new(sim.root());
        let options = small_options().background(false).data_directories(directories);
        let (env, _) =
            Environment::open_in(disk.root(), SimWorld::new(1).world(), options.clone()).unwrap();
        let put = |key: &[u8]| {
            env.write(|txn| {
                let db = txn.create_database("db", DatabaseOptions::default())?;
                txn.put(&db, key, b"value")
            })
        };
        let mut check = |acknowledged: u64| {
            for crashed in Level::ALL.map(|level| sim.crash_images(level, &Bounds::full())).concat()
            {
                let (disk, world) = (crashed.image.to_mem(), SimWorld::new(2));
                let opened = Environment::open_in(disk.root(), world.world(), options.clone());
                let (env, report) = opened.unwrap_or_else(|error| panic!("{crashed}: {error}"));
                assert_eq!(report.sequence, acknowledged, "{crashed}: {report}");
                assert!(report.unknown_files.is_empty(), "{crashed}: {report}");
                let db = env.database("db", DatabaseOptions::default()).unwrap();
                assert_eq!(env.snapshot().unwrap().len(&db).unwrap(), acknowledged, "{crashed}");
                env.close().unwrap();
                images += 1;
            }
        };
        disk.give_room(room);
        put(b"1").unwrap_err();
        put(b"2").unwrap_err();
        check(0);
        disk.clear();
        put(b"3").unwrap();
        check(1);
    }
    assert!(images > 50, "{images} images");
}

/// A backup, after a recovery, begins a journal file of its own. If no commit came before the environment
/// was closed, no checkpoint knew that file, and the next open took it for a leftover: it was removed, the
/// journal file after it said that it follows it, and the open after the next crash missed it.
#[test]
fn the_journal_file_that_the_next_one_follows_is_never_a_leftover() {
    let sim = SimDisk::new();
    let open = |seed| {
        let (disk, world) = (FaultDisk::new(sim.root()), SimWorld::new(seed));
        let options = small_options().background(false);
        let (env, report) = Environment::open_in(disk.root(), world.world(), options).unwrap();
        (disk, env, report)
    };
    let put = |env: &Environment, key: &[u8]| {
        env.write(|txn| {
            let db = txn.create_database("db", DatabaseOptions::default())?;
            txn.put(&db, key, b"value")
        })
    };
    let kill = |(disk, env, _): (FaultDisk, Environment, _)| {
        disk.die();
        drop(env);
    };
    let first = open(1);
    put(&first.1, b"1").unwrap();
    drop(first.1.begin_backup().unwrap());
    kill(first);

    let (_, env, _) = open(2);
    drop(env.begin_backup().unwrap());
    env.close().unwrap();

    let third = open(3);
    assert!(third.2.leftovers.is_empty(), "{}", third.2);
    put(&third.1, b"2").unwrap();
    kill(third);

    let (.., report) = open(4);
    assert_eq!(report.sequence, 2, "{report}");
}
