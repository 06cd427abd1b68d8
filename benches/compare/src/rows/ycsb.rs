//! The mixes of YCSB: reads and updates of keys of which few are popular.

use std::time::{Duration, Instant};

use crate::{
    Result,
    data::{Data, in_threads, key, mix},
    engine::{Commit, Engine},
};

/// Goes on until the time is up; returns how many operations there were per second. An update is a commit that is not
/// synced; a read has a snapshot of its own.
pub fn mixed(
    engine: &dyn Engine,
    data: &Data,
    reads_in_a_hundred: u64,
    threads: u64,
    duration: Duration,
) -> Result<f64> {
    /// So many, then it looks at the clock.
    const PIECE: u64 = 16;
    engine.prepare(Commit::Unsynced)?;
    let popular = Popular::new(data.entries);
    let start = Instant::now();
    let counts = in_threads(threads, |thread| {
        let mut session = engine.session(Commit::Unsynced)?;
        let (mut done, mut sum) = (0, 0);
        while start.elapsed() < duration {
            for n in done..done + PIECE {
                let dice = mix(n << 3 | thread);
                let key = key(popular.draw(dice));
                if mix(!dice) % 100 < reads_in_a_hundred {
                    sum += u64::from(session.get(&key)?);
                } else {
                    session.commit(&[(key, data.value(dice))])?;
                }
            }
            done += PIECE;
        }
        std::hint::black_box(sum);
        Ok(done)
    });
    Ok(counts?.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

/// Numbers below `count`, the n-th most popular drawn about 1/n^0.99 as often as the first (Gray et al., "Quickly
/// generating billion-record synthetic databases", as YCSB has it), in no order.
struct Popular {
    count: f64,
    alpha: f64,
    eta: f64,
    /// The sum of all weights.
    zeta: f64,
}

const THETA: f64 = 0.99;

impl Popular {
    fn new(count: u64) -> Self {
        let zeta: f64 = (1..=count).map(|n| weight(n as f64)).sum();
        let of_two = weight(1.0) + weight(2.0);
        let count = count as f64;
        let eta = (1.0 - (2.0 / count).powf(1.0 - THETA)) / (1.0 - of_two / zeta);
        Self { count, alpha: 1.0 / (1.0 - THETA), eta, zeta }
    }

    fn draw(&self, dice: u64) -> u64 {
        let Self { count, alpha, eta, zeta } = *self;
        let part = (dice >> 11) as f64 / (1u64 << 53) as f64;
        let rank = match part * zeta {
            sum if sum < weight(1.0) => 0.0,
            sum if sum < weight(1.0) + weight(2.0) => 1.0,
            _ => count * (eta * part - eta + 1.0).powf(alpha),
        };
        // Popular ones do not lie beside each other.
        mix(rank as u64) % count as u64
    }
}

fn weight(rank: f64) -> f64 {
    1.0 / rank.powf(THETA)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn few_are_popular_and_all_are_there() {
        const COUNT: u64 = 1000;
        const DRAWN: u64 = 200_000;
        let popular = Popular::new(COUNT);
        let mut drawn = BTreeMap::new();
        (0..DRAWN).for_each(|n| *drawn.entry(popular.draw(mix(n))).or_insert(0u64) += 1);
        assert!(drawn.keys().all(|n| *n < COUNT));
        let mut counts: Vec<_> = drawn.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // The most popular has 1/zeta of them, the second about half as many.
        let expected = DRAWN as f64 / popular.zeta;
        let part = |count: u64| count as f64 / expected;
        assert!((0.9..1.1).contains(&part(counts[0])), "{}", counts[0]);
        assert!((0.4..0.7).contains(&part(counts[1])), "{}", counts[1]);
        assert!(counts[..10].iter().sum::<u64>() > DRAWN / 3, "{:?}", &counts[..10]);
    }
}
