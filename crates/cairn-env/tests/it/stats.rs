//! Figures: each says what its explanation says.

use cairn_env::Stats;

use crate::fixture::{TestEnv, ordered, small_options};

fn stats(test: &TestEnv) -> Stats {
    test.env().stats().unwrap()
}

/// Headers, seals and marks of journal files are read by a replay, and are not counted before it.
#[track_caller]
fn assert_about(actual: u64, expected: u64) {
    assert!(actual.abs_diff(expected) <= 128, "{actual}, not about {expected}");
}

/// Loses what only memory has, opens again, and returns how much that had to replay.
fn replayed(test: &mut TestEnv) -> u64 {
    test.kill();
    test.env().recovery_report().replayed_bytes
}

#[test]
fn replay_bytes_are_what_the_open_after_a_crash_replays() {
    let mut test = TestEnv::new(small_options());
    assert_eq!(stats(&test).replay_bytes, 0);
    for n in 0..20 {
        test.put("db", &ordered(n), &vec![1; 100 * n as usize]);
    }
    let expected = stats(&test).replay_bytes;
    assert!(expected > 100 * 190, "{expected}");
    assert_about(replayed(&mut test), expected);
    // They still stand behind the newest checkpoint.
    assert_about(stats(&test).replay_bytes, expected);
    test.put("db", b"after", b"the crash");
    let expected = stats(&test).replay_bytes;
    assert_about(replayed(&mut test), expected);
    test.env().checkpoint().unwrap();
    assert_eq!(stats(&test).replay_bytes, 0);
    assert_about(replayed(&mut test), 0);
}

#[test]
fn replay_bytes_reach_back_to_the_first_part_of_an_exclusive_transaction() {
    let mut test = TestEnv::new(small_options());
    test.put("db", b"before", b"1");
    let db = test.db("db");
    let mut txn = test.env().begin_exclusive().unwrap();
    for n in 0..200 {
        txn.put(&db, &ordered(n), &[2; 900]).unwrap();
    }
    test.env().checkpoint().unwrap();
    txn.commit().unwrap();
    let expected = stats(&test).replay_bytes;
    assert!(expected > 200 * 900, "{expected}");
    assert_about(replayed(&mut test), expected);
}

#[test]
fn conflicts_turns_checkpoints_and_cleaning_are_counted_since_the_open() {
    let mut test = TestEnv::new(small_options().space_target(90));
    test.put("db", b"contested", b"0");
    let db = test.db("db");
    let mut attempts = 0;
    let overtaken = test.env().write(|txn| {
        txn.get(&db, b"contested")?;
        attempts += 1;
        if attempts <= 8 {
            test.put("db", b"contested", &[attempts]);
        }
        txn.put(&db, b"own", b"1")
    });
    overtaken.unwrap();
    for round in 0..5 {
        for n in (0..300).step_by(if round == 0 { 1 } else { 9 }) {
            test.put("db", &ordered(n), &[round; 300]);
        }
        test.env().checkpoint().unwrap();
    }
    assert!(stats(&test).checkpoint_nodes_last > 0);
    let cleaned = test.env().compact().unwrap();
    let stats = stats(&test);
    assert_eq!((stats.conflicts, stats.turns), (8, 1));
    assert!(stats.checkpoints_made >= 5, "{stats:?}");
    assert_eq!(stats.checkpoints_made, stats.checkpoints);
    assert_eq!(
        (stats.cleaned_files, stats.cleaned_bytes, stats.moved_records),
        (cleaned.files, cleaned.file_bytes, cleaned.moved)
    );
    assert!(cleaned.files > 0 && stats.removed_files >= cleaned.removed_files, "{stats:?}");
    test.reopen();
    let stats = self::stats(&test);
    let counted = [stats.conflicts, stats.turns, stats.checkpoints_made, stats.removed_files];
    assert_eq!(counted, [0; 4], "{stats:?}");
}

#[test]
fn a_reader_that_keeps_files_is_a_holder() {
    let test = TestEnv::new(small_options());
    test.put("db", b"a", &[1; 5000]);
    test.env().checkpoint().unwrap();
    let snapshot = test.env().snapshot().unwrap();
    for round in 0..40 {
        for n in 0..40 {
            test.put("db", &ordered(n), &[round; 400]);
        }
        test.env().checkpoint().unwrap();
    }
    let held = stats(&test);
    assert!(held.holders == 1 && held.held_bytes_max > 0 && held.snapshots == 1, "{held:?}");
    drop(snapshot);
    test.env().checkpoint().unwrap();
    assert_eq!(stats(&test).holders, 0);
}

#[test]
fn every_figure_is_explained_and_has_its_value() {
    let test = TestEnv::new(small_options());
    test.put("db", b"a", b"1");
    let stats = stats(&test);
    let text = format!("{stats:?}");
    let mut figures = 0;
    for (figure, value) in stats.figures() {
        assert!(text.contains(&format!("{}: {value}", figure.name)), "{figure:?}: {text}");
        assert!(figure.text.ends_with('.') && !figure.unit.to_string().is_empty(), "{figure:?}");
        figures += 1;
    }
    assert_eq!(figures, text.matches(": ").count(), "{text}");
    assert_eq!(figures, Stats::explain().count());
}
