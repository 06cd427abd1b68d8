//! What a replica on the same disk costs, and how fast what it has is replayed: commits per second with it as a part of
//! those without, and operations per second of opening one whose source is gone.
//!
//! Rounds with and without take turns, so that whatever else the machine does concerns both; medians are printed. A round
//! of a replay opens a copy of what the source has left that never made a checkpoint.
#![expect(clippy::print_stdout, reason = "a report for people")]
#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::time::{Duration, Instant};

use cairn_benches::replica::{Alone, Lost, NO_DISK};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);
const REPLAYS: usize = 5;
/// Operations that a replay goes through, and how many of them are in one commit.
const OPERATIONS: u64 = 1_000_000;
const IN_A_COMMIT: u64 = 100;

/// Commits per second in one round.
fn rate(alone: &Alone, threads: u64) -> f64 {
    let (began, mut commits) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        alone.commit(threads, 50);
        commits += 50 * threads;
    }
    commits as f64 / began.elapsed().as_secs_f64()
}

/// Sorts, and returns the one in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn commits(threads: u64, goal: f64) {
    let [without, with] = [false, true].map(|with| Alone::new(with).expect(NO_DISK));
    for both in [&without, &with] {
        rate(both, threads); // the first files
    }
    let (mut alone, mut both, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Who comes first has the other one's leftovers behind it: in turns.
        let (a, b) = match round % 2 {
            0 => {
                let a = rate(&without, threads);
                (a, rate(&with, threads))
            }
            _ => {
                let b = rate(&with, threads);
                (rate(&without, threads), b)
            }
        };
        alone.push(a);
        both.push(b);
        ratios.push(b / a);
    }
    let ratio = median(&mut ratios);
    println!(
        "commits, {threads} thread{}: {:.0}/s without, {:.0}/s with: {ratio:.2} of it \
         ({:.2} … {:.2}; goal {goal})",
        if threads == 1 { "" } else { "s" },
        median(&mut alone),
        median(&mut both),
        ratios[0],
        ratios[ROUNDS - 1],
    );
}

fn replays() {
    let lost = Lost::new(OPERATIONS, IN_A_COMMIT).expect(NO_DISK);
    let mut rates = Vec::new();
    for _ in 0..REPLAYS {
        let replica = lost.copy().expect(NO_DISK);
        let began = Instant::now();
        let replayed = replica.open().expect(NO_DISK);
        assert_eq!(replayed, OPERATIONS);
        rates.push(OPERATIONS as f64 / began.elapsed().as_secs_f64());
    }
    let rate = median(&mut rates);
    println!(
        "replay, {IN_A_COMMIT} operations a commit: {rate:.0} operations/s \
         ({:.0} … {:.0}; goal 500000)",
        rates[0],
        rates[REPLAYS - 1],
    );
}

fn main() {
    commits(1, 0.6);
    commits(8, 0.8);
    replays();
}
