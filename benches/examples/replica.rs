//! Commits per second with a replica on the same disk, as a part of those without one: rounds of both in turns, so
//! that whatever else the machine does concerns both.
#![expect(clippy::print_stdout, reason = "a report for people")]
#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::time::{Duration, Instant};

use cairn_benches::replica::{Alone, NO_DISK};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);

/// Commits per second in one round.
fn rate(alone: &Alone, threads: u64) -> f64 {
    let (began, mut commits) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        alone.commit(threads, 50);
        commits += 50 * threads;
    }
    commits as f64 / began.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    for threads in [1, 8] {
        let [without, with] = [false, true].map(|with| Alone::new(with).expect(NO_DISK));
        let (mut alone, mut both, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(rate(&without, threads));
            both.push(rate(&with, threads));
            ratios.push(both[both.len() - 1] / alone[alone.len() - 1]);
        }
        println!(
            "{threads} threads: {:.0}/s without, {:.0}/s with, {:.2} of it ({:.2} … {:.2})",
            median(&mut alone),
            median(&mut both),
            median(&mut ratios),
            ratios[0],
            ratios[ROUNDS - 1],
        );
    }
}
