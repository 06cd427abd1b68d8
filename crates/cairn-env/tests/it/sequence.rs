//! Sequences: no number twice, whoever asks and whatever crashes.

use std::collections::BTreeSet;

use cairn_env::{DatabaseOptions, EnvError, Environment, Options, SequenceOptions};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

use crate::fixture::{TestEnv, small_options};

#[test]
fn numbers_go_on_after_a_reopen_and_leave_out_what_was_taken() {
    let mut test = TestEnv::new(small_options());
    let options = || SequenceOptions::default().cache(10);
    let numbers = |test: &TestEnv| {
        let sequence = test.env().sequence(&test.db("db"), b"s", options()).unwrap();
        (0..12).map(|_| sequence.next().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&test), (1..=12).collect::<Vec<_>>());
    test.reopen();
    assert_eq!(numbers(&test), (21..=32).collect::<Vec<_>>());
    test.kill();
    assert_eq!(numbers(&test), (41..=52).collect::<Vec<_>>());
}

#[test]
fn handles_and_their_clones_share_no_number() {
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let options = || SequenceOptions::default().cache(7);
    let shared = env.sequence(&db, b"s", options()).unwrap();
    let numbers: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let own = env.sequence(&db, b"s", options()).unwrap();
                let sequence = if i % 2 == 0 { shared.clone() } else { own };
                let take = move || (0..500).map(|_| sequence.next().unwrap()).collect();
                scope.spawn(take)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for of_thread in &numbers {
        assert!(of_thread.is_sorted_by(|a, b| a < b), "they increase");
    }
    assert_eq!(numbers.iter().flatten().collect::<BTreeSet<_>>().len(), 2000);
}

#[test]
fn a_sequence_is_what_it_was_created_as() {
    let test = TestEnv::new(small_options());
    let (env, db) = (test.env(), test.db("db"));
    let options = SequenceOptions::default;
    let sequence = env.sequence(&db, b"s", options().range(1..=3).cache(2)).unwrap();
    let refused = env.sequence(&db, b"s", options().range(1..=4)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the sequence goes from 1 to 3 in steps of 1, and not from 1 to 4 in steps of 1"
    );
    assert_eq!([(); 3].map(|()| sequence.next().unwrap()), [1, 2, 3]);
    for _ in 0..2 {
        let error = sequence.next().unwrap_err();
        assert_eq!(error.to_string(), "the numbers of the sequence are used up");
    }
    // Used up is not gone.
    let again = env.sequence(&db, b"s", options().range(1..=3)).unwrap();
    assert!(matches!(again.next(), Err(EnvError::Exhausted { .. })));
    test.put("db", b"other", b"no sequence");
    let refused = env.sequence(&db, b"other", options()).unwrap_err();
    assert_eq!(refused.to_string(), "there is no sequence under other in database \"db\"");
    env.write(|txn| txn.delete(&db, b"s")).unwrap();
    assert!(matches!(again.next(), Err(EnvError::InvalidInput { .. })));
}

/// A number that anybody has been given before a power failure is not given out after it.
#[test]
fn a_crash_repeats_no_number() {
    for cache in [1, 3] {
        let mut test = TestEnv::new(small_options());
        let options = || SequenceOptions::default().cache(cache);
        let sequence = test.env().sequence(&test.db("db"), b"s", options()).unwrap();
        for round in 0..30u64 {
            let number = sequence.next().unwrap();
            test.disk.mark("given", number.cast_unsigned());
            if round % 9 == 8 {
                test.env().checkpoint().unwrap();
            }
        }
        drop(sequence);
        test.close();
        let trace = test.disk.trace();
        let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
        while let Some(cut) = cuts.next_cut() {
            let given = cut.mark("given").unwrap_or(0);
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    if !seen.insert((crashed.image.hash(), given)) {
                        continue;
                    }
                    let (disk, world) = (SimDisk::from_image(&crashed.image), SimWorld::new(9));
                    let opened = Environment::open_in(disk.root(), world.world(), small_options());
                    let env = opened.unwrap().0;
                    let db = env.database("db", DatabaseOptions::default()).unwrap();
                    let number = env.sequence(&db, b"s", options()).unwrap().next().unwrap();
                    assert!(
                        number.cast_unsigned() > given,
                        "{crashed}: {number}, {given} was given"
                    );
                }
            }
        }
        assert!(seen.len() > 300, "only {} states", seen.len());
    }
}
