//! Salvage against a model, and how fast it is.

use cairn_env::{DatabaseOptions, Environment, Standing, salvage};
use proptest::prelude::*;

use crate::{
    fixture::{TestEnv, content, ordered, small_options},
    salvage::{Given, everything, model, newest, salvaged},
};

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, usize),
    Delete(u8, u8),
    Drop(u8),
    Rename(u8, u8),
    Checkpoint,
    Compact,
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0u8..3, 0u8..40, prop_oneof![0usize..60, 1100usize..1500]);
    prop_oneof![
        20 => put.prop_map(|(db, key, len)| Step::Put(db, key, len)),
        6 => (0u8..3, 0u8..40).prop_map(|(db, key)| Step::Delete(db, key)),
        1 => (0u8..3).prop_map(Step::Drop),
        1 => (0u8..3, 0u8..3).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_was_done_the_newest_values_and_only_true_ones_come_back(
        steps in prop::collection::vec(step(), 1..120),
        memory in prop_oneof![Just(256usize << 20), 500usize..5000],
    ) {
        let mut test = TestEnv::new(small_options());
        let mut ever = std::collections::BTreeSet::new();
        let name = |n: u8| format!("db{n}");
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(db, key, len) => {
                    let value = vec![u8::try_from(n).unwrap(); len];
                    test.put(&name(db), &[key], &value);
                    ever.insert((vec![key], value));
                }
                Step::Delete(db, key) => {
                    let db = test.db(&name(db));
                    test.env().write(|txn| txn.delete(&db, &[key])).unwrap();
                }
                Step::Drop(db) => {
                    let db = test.db(&name(db));
                    test.env().write(|txn| txn.drop_database(&db)).unwrap();
                }
                Step::Rename(from, to) => {
                    let db = test.db(&name(from));
                    if test.env().find_database(&name(to)).unwrap().is_none() {
                        test.env().write(|txn| txn.rename_database(&db, &name(to))).unwrap();
                    }
                }
                Step::Checkpoint => drop(test.env().checkpoint().unwrap()),
                Step::Compact => drop(test.env().compact().unwrap()),
                Step::Reopen => test.reopen(),
                Step::Kill => test.kill(),
            }
        }
        let expected = content(test.env()).unwrap();
        let image = test.disk.image();
        let (found, report) = salvaged(&image, &newest().memory(memory));
        prop_assert_eq!(model(&found, &report), expected, "{:#?}", report);
        prop_assert!(report.is_complete(), "{:#?}", report);
        let (all, _) = salvaged(&image, &everything().memory(memory));
        for given in &all {
            let is_true = |value| ever.contains(&(given.key.clone(), value));
            prop_assert!(given.value.clone().is_none_or(is_true), "{:?}", given);
        }
        for given in found {
            let same = |one: &&Given| (one.tree, &one.key) == (given.tree, &given.key);
            let last = all.iter().filter(same).rfind(|one| one.standing == Standing::Committed);
            prop_assert_eq!(&last.unwrap().value, &given.value);
        }
    }
}

/// How fast it is: `cargo xtask bench goals`.
#[test]
#[ignore = "it writes half a gigabyte, and counts only in release"]
#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "a figure to be read")]
#[expect(clippy::cast_precision_loss, reason = "three digits are enough")]
fn salvage_speed() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path(), cairn_env::Options::default()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in 0..4000u32 {
        let put = |txn: &mut cairn_env::Transaction| {
            (0..100).try_for_each(|i| {
                let key = (n * 100 + i).wrapping_mul(2_654_435_761);
                txn.put(&db, &ordered(key), &[7; 500])?;
                if i == 0 { txn.put(&db, &ordered(!key), &[8; 20_000]) } else { Ok(()) }
            })
        };
        env.write_with(cairn_env::Durability::NoSync, put).unwrap();
    }
    env.close().unwrap();
    std::fs::write(dir.path().join("CURRENT"), "lost").unwrap();
    for what in [newest(), everything()] {
        let (begun, mut bytes) = (std::time::Instant::now(), 0);
        let options = cairn_env::Options::default();
        let report = salvage(dir.path(), &options, &what, &mut |entry| {
            bytes += entry.value.map_or(0, <[u8]>::len);
            Ok(())
        });
        let report = report.unwrap();
        let (mib, seconds) = (report.bytes() >> 20, begun.elapsed().as_secs_f64());
        let rate = report.bytes() as f64 / 1e6 / seconds;
        eprintln!("{what:?}: {mib} MiB of log in {seconds:.2} s, {rate:.0} MB/s, {bytes} bytes");
        assert_eq!(bytes, 4000 * (100 * 500 + 20_000));
        assert!(what.all_versions || rate >= 200.0, "{rate:.0} MB/s");
    }
}
