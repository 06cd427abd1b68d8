//! How far a standby is behind, with real files, real workers and a real clock, while commits go on.

use std::time::Duration;

use cairn_backup::{Repository, ShipOptions, Standby, StandbyOptions};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{RealWorld, World as _};

/// Prints how long each of some thousands of commits takes from its acknowledgement until it can be read from the standby,
/// and holds 99 % of them to a second. It is one of the goals (`cargo xtask bench goals`); alone:
/// `cargo nextest run -p cairn-backup -E 'test(lag)' --run-ignored only --no-capture`
#[test]
#[ignore = "measures, for half a minute"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn the_lag_of_a_standby_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let (live, place, other) =
        (dir.path().join("live"), dir.path().join("repo"), dir.path().join("other"));
    let (env, _) = Environment::open(&live, Options::default()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, b"first", b"one")).unwrap();
    let repository = Repository::create(&place).unwrap();
    let shipping = repository.ship(&live, ShipOptions::default()).unwrap();
    while shipping.status().newest.is_none() {
        std::thread::yield_now();
    }
    let standby = Standby::follow(repository, &other, StandbyOptions::default()).unwrap();
    let following = standby.start().unwrap();
    let world = RealWorld::new();
    let began = world.monotonic();
    let (mut lags, mut sent, mut n) = (Vec::new(), std::collections::VecDeque::new(), 0_u64);
    while world.monotonic() - began < Duration::from_secs(20) {
        // About a megabyte each second in transactions of a few kilobytes.
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &[7; 4000])).unwrap();
        n += 1;
        sent.push_back((env.snapshot().unwrap().commit(), world.monotonic()));
        if n.is_multiple_of(20) {
            let seen = following.read().unwrap().snapshot().unwrap().commit();
            while sent.front().is_some_and(|(commit, _)| *commit <= seen) {
                lags.push(world.monotonic() - sent.pop_front().unwrap().1);
            }
        }
        world.pause(Duration::from_millis(4));
    }
    lags.sort_unstable();
    let at = |share: usize| lags[(lags.len() - 1) * share / 100];
    println!(
        "{n} commits in 20 s; until it can be read from the standby: median {:?}, 90 % {:?}, 99 % {:?}, most {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    assert!(shipping.status().trouble.is_none() && following.trouble().is_none());
    assert!(at(99) <= Duration::from_secs(1), "{:?}", at(99));
}
