//! Crashes at every operation of a small run: what was acknowledged is there, and nothing else is.

use cairn_env::{Durability, Environment};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, small_options};

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
    let trace = test.disk.trace();
    let mut cuts = trace.cuts();
    let mut images = 0;
    let mut seen = std::collections::BTreeSet::new();
    let bounds = Bounds::smoke();
    while let Some(cut) = cuts.next_cut() {
        let acknowledged = cut.mark("acknowledged").unwrap_or(0);
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &bounds) {
                if !seen.insert((crashed.image.hash(), acknowledged)) {
                    continue;
                }
                images += 1;
                let disk = SimDisk::from_image(&crashed.image);
                let world = SimWorld::new(9);
                let opened = Environment::open_in(disk.root(), world.world(), small_options());
                let (env, report) = opened
                    .unwrap_or_else(|error| panic!("cut {}: {crashed}: {error}", cut.position()));
                let found = content(&env).unwrap();
                let commit = report.sequence;
                assert!(
                    commit >= acknowledged,
                    "cut {}: {crashed}: commit {acknowledged} was acknowledged, {commit} is there; {report}",
                    cut.position()
                );
                let commit = usize::try_from(commit).unwrap();
                assert!(found == states[commit], "cut {}: {crashed}: {report}", cut.position());
            }
        }
    }
    assert!(images > 2000, "only {images} states");
}
