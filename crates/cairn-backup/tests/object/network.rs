//! No point is lost, whatever the network does: each one that was reported comes back as it was, and there is no other.

use std::collections::BTreeMap;

use cairn_backup::{PruneOptions, Put, Repository, RestoreTo, Retention, ShipOptions, Which};
use cairn_env::{Environment, KdfCost, KeySource};
use cairn_io::MemDisk;
use cairn_sim::SimWorld;

use crate::{
    fixture::{
        Content, assert_sound, content, fill, how, open, options, place, repository, restored,
        small, world,
    },
    proxy::{Fate, Proxy, flaky},
    server::Server,
};

/// A time after all that these tests do, in microseconds since 1970.
const NOW: u64 = 4_000_000_000_000_000;
/// When all that goes has gone.
const LATER: u64 = NOW + 48 * 3600 * 1_000_000;

/// What is there is what was reported: those points, with that in them.
#[track_caller]
fn assert_points(place: &Repository, reported: &BTreeMap<u64, Content>) {
    assert_sound(place);
    let there: Vec<_> = place.points(None).unwrap().iter().map(|listed| listed.number).collect();
    assert_eq!(there, reported.keys().copied().collect::<Vec<_>>());
    for (number, expected) in reported {
        let found = restored(place, &Which::Number(*number), RestoreTo::Newest);
        assert!(found == *expected, "point {number} holds something else");
    }
}

fn backup(place: &Repository, env: &Environment, reported: &mut BTreeMap<u64, Content>) {
    let report = place.backup(env, &small()).unwrap();
    assert!(report.damaged.is_empty(), "{report:?}");
    assert_eq!(reported.insert(report.number, content(env)), None);
}

/// Invariants 8, 22 and 23: backups, shipping, checks, restores, and prune, all of it behind a network that loses a third
/// of what is asked the first two times.
#[test]
fn no_point_is_lost_behind_a_bad_network() {
    let Some(server) = Server::start() else { return };
    for seed in 1..=3 {
        let prefix = format!("seed{seed}");
        let network = Proxy::start(Some(server.address), flaky(seed, 35));
        let behind = || place(&prefix, how(network.address).page(3));
        Repository::create_in(behind(), &world()).unwrap();
        let disk = MemDisk::new();
        let env = open(&disk);
        let mut reported = BTreeMap::new();
        for n in 0..4 {
            fill(&env, n * 20, 15);
            if n % 2 == 1 {
                env.checkpoint().unwrap();
            }
            backup(&Repository::open_in(behind(), &world()).unwrap(), &env, &mut reported);
        }
        let place = Repository::open_in(behind(), &world()).unwrap();
        assert_points(&place, &reported);

        let ship = ShipOptions::default().options(options()).segment_bytes(3000);
        let mut shipper = place.shipper(disk.root(), &SimWorld::new(seed).world(), ship).unwrap();
        for n in 0..4 {
            fill(&env, 200 + n * 5, 5);
            while shipper.step().unwrap().has_more {}
        }
        let (shipped, newest) = (content(&env), env.snapshot().unwrap().commit());
        // Of the last commit it is known that it is durable when there is another one, or the end.
        env.close().unwrap();
        while shipper.step().unwrap().has_more {}
        let honest = repository(&prefix, how(server.address));
        let timelines = honest.intervals(None).unwrap();
        // Before it was shipped there are points and nothing between them; behind the last of these all is there.
        assert_eq!(timelines[0].holes.len(), 3, "{timelines:?}");
        let last = timelines[0].intervals.last().unwrap();
        assert_eq!((last.base, last.to.commit), (4, newest));
        for place in [&place, &honest] {
            assert!(restored(place, &Which::Newest, RestoreTo::Newest) == shipped);
        }
        drop(shipper);

        let env = open(&disk);
        backup(&place, &env, &mut reported);
        let any = PruneOptions::default().more_than_half(true);
        let plan = place.plan_prune(None, &Retention::new().last(2), &any, NOW).unwrap();
        assert_eq!(plan.refusals, []);
        place.prune(&plan).unwrap();
        let deleted = place.delete_pruned(None, LATER).unwrap();
        assert!(deleted.points == 3 && deleted.objects > 0, "{deleted:?}");
        reported.retain(|number, _| *number > 3);
        for place in [&place, &honest] {
            assert_points(place, &reported);
        }
        fill(&env, 300, 5);
        backup(&place, &env, &mut reported);
        assert_points(&honest, &reported);
        for (method, fate) in [
            ("PUT", Fate::LostAnswer),
            ("PUT", Fate::TornRequest),
            ("PUT", Fate::TornAnswer),
            ("PUT", Fate::Status(503)),
            ("GET", Fate::TornAnswer),
            ("HEAD", Fate::LostAnswer),
        ] {
            assert!(network.met(method, fate) > 0, "{method} {fate:?}: {}", network.summary());
        }
    }
}

/// Invariant 23: the answer to each store is lost, and each is asked for again. There is one of everything.
#[test]
fn a_store_whose_answer_is_lost_yields_exactly_one_point() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match (asked.method, asked.before) {
        ("PUT", 0) => Fate::LostAnswer,
        _ => Fate::Good,
    });
    let behind = || place("p", how(network.address));
    // Whoever made it is told so, although the second store of the header finds one.
    let made = Repository::create_in(behind(), &world()).unwrap();
    let env = open(&MemDisk::new());
    let mut reported = BTreeMap::new();
    for n in 0..3 {
        fill(&env, n * 20, 20);
        let before = network.met("PUT", Fate::Good);
        backup(&made, &env, &mut reported);
        assert!(network.met("PUT", Fate::Good) > before);
    }
    assert_eq!(reported.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(network.met("PUT", Fate::LostAnswer) > 20, "{}", network.summary());
    assert_points(&repository("p", how(server.address)), &reported);
}

/// The same for an encrypted repository and its keys, of which nobody may have made another one.
#[test]
fn keys_are_made_and_changed_once_behind_a_bad_network() {
    let Some(server) = Server::start() else { return };
    let key = |text: &str| KeySource::passphrase(text).unwrap().cost(KdfCost::new(8, 1).unwrap());
    let (first, second) = (key("first"), key("second"));
    for seed in 10..13 {
        let prefix = format!("seed{seed}");
        let network = Proxy::start(Some(server.address), flaky(seed, 50));
        let behind = || place(&prefix, how(network.address));
        let made = Repository::create_encrypted_in(behind(), &world(), &first).unwrap();
        let env = open(&MemDisk::new());
        fill(&env, 0, 20);
        made.backup(&env, &small()).unwrap();
        made.rotate_key(&second).unwrap();
        let locked = || repository(&prefix, how(server.address));
        assert!(locked().unlock(&first).is_err());
        let unlocked = locked().unlock(&second).unwrap();
        assert_sound(&unlocked);
        assert!(restored(&unlocked, &Which::Newest, RestoreTo::Newest) == content(&env));
        assert_eq!(locked().keys().unwrap().slots.len(), 1);
    }
}

/// Invariant 8: two who back up at the same time, each behind his own bad network, both have their points.
#[test]
fn two_who_write_at_the_same_time_lose_no_point() {
    let Some(server) = Server::start() else { return };
    Repository::create_in(place("p", how(server.address)), &world()).unwrap();
    let write = |seed: u32| {
        let network = Proxy::start(Some(server.address), flaky(seed.into(), 25));
        let place = repository("p", how(network.address));
        // The same environment, as two copies of it are.
        let env = open(&MemDisk::new());
        let mut reported = BTreeMap::new();
        for n in 0..4 {
            fill(&env, n * 20, 10);
            let label = format!("{n} of {seed}");
            let report = place.backup(&env, &small().label(&label)).unwrap();
            assert_eq!(reported.insert(report.number, content(&env)), None);
        }
        reported
    };
    let (mut one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| write(21));
        (write(20), other.join().unwrap())
    });
    assert!(one.keys().all(|number| !other.contains_key(number)), "{one:?}");
    one.extend(other);
    assert_eq!(one.len(), 8);
    assert_points(&repository("p", how(server.address)), &one);
}

/// Large objects are stored by one request each, and come back in ranges.
#[test]
fn a_large_object_goes_and_comes_whole() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match (asked.method, asked.before) {
        ("PUT", 0) => Fate::TornRequest,
        ("GET", 0) => Fate::TornAnswer,
        _ => Fate::Good,
    });
    let place = place("p", how(network.address));
    let bytes: Vec<u8> =
        (0..20 << 20).map(|n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let name = cairn_backup::ObjectName::Header;
    assert_eq!(place.put(&name, &bytes).unwrap(), Put::Stored);
    assert_eq!(network.met("PUT", Fate::Good), 1);
    assert!(place.read(&name, 0, usize::MAX).unwrap() == bytes);
    assert_eq!(place.read(&name, 19 << 20, 100).unwrap(), bytes[19 << 20..][..100]);
}
