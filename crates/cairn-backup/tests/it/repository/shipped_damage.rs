//! Damage in shipped journal: each byte of each segment, and what an encrypted environment leaves behind.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{
    BackupError, CheckLevel, CheckOptions, MemoryBackend, ObjectName, Repository, RestoreTo, Which,
};
use cairn_env::{DatabaseOptions, Environment, EnvironmentKeys, ErrorKind, KdfCost, KeySource};
use cairn_io::MemDisk;
use cairn_log::FileClass;

use super::{
    backups::assert_sound,
    fixture::{Kind, raw_key},
    shipped::{Model, assert_intervals, how, note, restore, ship, shipper},
};
use crate::fixture::{content, fill, open, options, world};

type Objects = BTreeMap<ObjectName, Vec<u8>>;

/// A small repository with shipped journal, and what was there at each commit.
fn saved(kind: Kind) -> (Objects, Model) {
    let disk = MemDisk::new();
    let env = open(&disk);
    let backend = Arc::new(MemoryBackend::new());
    let place = kind.create(Arc::clone(&backend) as _);
    let mut shipper = shipper(&place, &disk.root());
    let mut model = Model::new();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in 0..4_u8 {
        env.write(|txn| txn.put(&db, &[n], &[n; 30])).unwrap();
        note(&env, &mut model);
        ship(&mut shipper);
    }
    env.close().unwrap();
    ship(&mut shipper);
    (backend.objects(), model)
}

fn opened(kind: Kind, objects: &Objects) -> Repository {
    let backend = MemoryBackend::new();
    for (name, bytes) in objects {
        backend.replace(*name, bytes.clone());
    }
    kind.open(Arc::new(backend)).unwrap()
}

fn is_found(place: &Repository, level: CheckLevel, name: ObjectName, at: u64) -> bool {
    let level = if place.is_locked() { level.min(CheckLevel::Stored) } else { level };
    let report = place.check(&CheckOptions::default().level(level)).unwrap();
    report
        .findings
        .iter()
        .any(|finding| finding.object == name && finding.at.is_none_or(|found| found <= at))
}

/// Each commit is restored as it was, or refused; returns how many were refused.
#[track_caller]
fn restored(place: &Repository, model: &Model, what: &str) -> usize {
    let unlocked = place.is_locked().then(|| place.clone().unlock(&raw_key(1)).unwrap());
    let place = unlocked.as_ref().unwrap_or(place);
    let last = *model.last_key_value().unwrap().0;
    let moments = model.keys().map(|commit| (RestoreTo::Commit(*commit), *commit));
    let mut refused = 0;
    for (to, commit) in moments.chain([(RestoreTo::Newest, last)]) {
        match restore(place, &Which::Newest, to.clone(), &options()) {
            Ok((report, found)) => {
                assert_eq!(report.commit, commit, "{what}, {to}");
                assert!(found == model[&commit].1, "{what}, {to}");
            }
            Err(error) => {
                let kind = error.kind();
                let is_refused = [ErrorKind::Corrupt, ErrorKind::NotFound].contains(&kind);
                assert!(is_refused, "{what}, {to}: {kind:?} {error}");
                refused += 1;
            }
        }
    }
    refused
}

/// Invariant 9: a flipped bit of a segment, or of what it names, is found and located, and nothing wrong is restored;
/// nor is anything that is older than the newest taken for that.
#[test]
fn each_flipped_bit_of_shipped_journal_is_found_and_never_restored() {
    [Kind::Plain, Kind::Unlocked, Kind::Locked].into_iter().for_each(flip_shipped);
}

fn flip_shipped(kind: Kind) {
    let (objects, model) = saved(kind);
    let whole = opened(kind, &objects);
    assert_sound(&opened(kind.with_key(), &objects));
    assert_eq!(restored(&whole, &model, "whole"), 0);
    let is_shipped =
        |name: &ObjectName| matches!(name, ObjectName::Segment { .. } | ObjectName::Part { .. });
    let (mut flips, mut refused, mut segments) = (0, 0, 0);
    for (name, bytes) in objects.iter().filter(|(name, _)| is_shipped(name)) {
        segments += usize::from(matches!(name, ObjectName::Segment { .. }));
        let mut damaged = objects.clone();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            damaged.insert(*name, flipped);
            let place = opened(kind, &damaged);
            let level = if at % 3 == 0 { CheckLevel::Content } else { CheckLevel::Stored };
            assert!(is_found(&place, level, *name, at as u64), "{name}, byte {at}");
            flips += 1;
            if at % 29 == 0 {
                refused += usize::from(restored(&place, &model, &format!("{name} {at}")) > 0);
            }
        }
    }
    assert!(flips > 2000 && refused > 50 && segments > 3, "{flips} {refused} {segments}");
}

/// Invariant 10: an object that is missing, cut, or stands in the place of another one.
#[test]
fn segments_that_are_missing_cut_or_swapped_are_found() {
    [Kind::Plain, Kind::Unlocked, Kind::Locked].into_iter().for_each(swap_segments);
}

fn swap_segments(kind: Kind) {
    let (objects, model) = saved(kind);
    let segments: Vec<_> =
        objects.keys().filter(|name| matches!(name, ObjectName::Segment { .. })).copied().collect();
    let last = *segments.last().unwrap();
    for (n, name) in segments.iter().enumerate() {
        let mut damaged = objects.clone();
        damaged.remove(name);
        let place = opened(kind, &damaged);
        // That the newest is not there, nothing shows.
        if *name != last {
            assert!(is_found(&place, CheckLevel::Present, *name, 0), "{name}");
            assert!(restored(&place, &model, &name.to_string()) > 0);
        }
        let cut = objects[name].len() - 1 - n;
        damaged.insert(*name, objects[name][..cut].to_vec());
        assert!(
            is_found(&opened(kind, &damaged), CheckLevel::Present, *name, cut as u64),
            "{name}"
        );
        let other = segments[(n + 1) % segments.len()];
        damaged.insert(*name, objects[&other].clone());
        let place = opened(kind, &damaged);
        assert!(is_found(&place, CheckLevel::Present, *name, 0), "{name}");
        restored(&place, &model, &name.to_string());
    }
}

/// A shipper that finds the newest segment damaged leaves it, and begins again at the point: or at a new one, if the
/// journal behind that is gone.
#[test]
fn shipping_goes_on_behind_a_segment_that_is_damaged() {
    for (is_gone, is_part) in [(false, false), (true, false), (false, true)] {
        let disk = MemDisk::new();
        let env = open(&disk);
        let backend = Arc::new(MemoryBackend::new());
        let place = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
        let mut model = Model::new();
        let mut put = |from| {
            fill(&env, from, 4);
            note(&env, &mut model);
        };
        for n in 0..3 {
            put(n * 10);
            ship(&mut shipper(&place, &disk.root()));
        }
        let objects = backend.objects();
        let is_meant = |name: &ObjectName| match name {
            ObjectName::Segment { .. } => !is_part,
            ObjectName::Part { part, .. } => is_part && part.class == FileClass::Journal,
            _ => false,
        };
        let (name, bytes) = objects.iter().rfind(|(name, _)| is_meant(name)).unwrap();
        let mut flipped = bytes.clone();
        flipped[170] ^= 1;
        backend.replace(*name, flipped);
        put(50);
        if is_gone {
            for n in 0..6 {
                put(100 + n * 10);
                env.checkpoint().unwrap();
                env.clean().unwrap();
            }
        }
        let report = shipper(&place, &disk.root()).step().unwrap();
        assert!(report.gap.is_some_and(|gap| gap.contains("damaged")), "{is_gone}");
        assert_eq!(report.points.len(), usize::from(is_gone));
        put(60);
        let expected = content(&env);
        env.close().unwrap();
        ship(&mut shipper(&place, &disk.root()));
        let newest = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
        assert!(newest.1 == expected, "{is_gone}");
        let timelines = place.intervals(None).unwrap();
        let holes = usize::from(is_gone);
        assert_eq!(timelines[0].intervals.len(), 1 + holes, "{timelines:?}");
        assert_eq!(timelines[0].holes.len(), holes, "{timelines:?}");
        let good = assert_intervals(&place, &model, &options());
        assert!(is_gone || good == model.len(), "{good} of {}", model.len());
    }
}

/// Invariants 19 and 20: of an encrypted environment nothing is shipped in the clear, names included; without its key
/// nothing is restored; and keys that it has got since the point go with the journal.
#[test]
fn of_an_encrypted_environment_ciphertext_is_shipped_and_the_keys_that_go_with_it() {
    let disk = MemDisk::new();
    let key = KeySource::passphrase("open sesame").unwrap().cost(KdfCost::new(8, 1).unwrap());
    let options = options().key(key.clone());
    let (env, _) = Environment::open_in(disk.root(), world(), options.clone()).unwrap();
    let db = env.database("canary-name", DatabaseOptions::default()).unwrap();
    let backend = Arc::new(MemoryBackend::new());
    let place = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    let mut shipper = place.shipper(disk.root(), &world(), how().options(options.clone())).unwrap();
    let mut model = Model::new();
    for n in 0..6_u8 {
        let value = format!("canary-value {n}");
        env.write(|txn| txn.put(&db, b"canary-key", value.as_bytes())).unwrap();
        note(&env, &mut model);
        ship(&mut shipper);
    }
    env.close().unwrap();
    ship(&mut shipper);
    let keys = EnvironmentKeys::open_in(disk.root(), world()).unwrap();
    assert_eq!(keys.unlock(&key).unwrap().begin_epoch().unwrap(), 2);
    let (env, _) = Environment::open_in(disk.root(), world(), options.clone()).unwrap();
    for n in 6..12_u8 {
        let value = format!("canary-value {n}");
        env.write(|txn| txn.put(&db, b"canary-key", value.as_bytes())).unwrap();
        note(&env, &mut model);
        ship(&mut shipper);
    }
    env.close().unwrap();
    ship(&mut shipper);
    assert_eq!(place.points(None).unwrap().len(), 1);
    for (name, bytes) in backend.objects() {
        let has = bytes.windows(6).any(|window| window == b"canary");
        assert!(!has, "{name}");
    }
    assert_sound(&place);
    for (commit, (_, expected)) in &model {
        let to = RestoreTo::Commit(*commit);
        let (_, found) = restore(&place, &Which::Newest, to, &options).unwrap();
        assert!(found == *expected, "commit {commit}");
    }
    let error = restore(&place, &Which::Newest, RestoreTo::Newest, &crate::fixture::options());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Key);
    let without = place.shipper(disk.root(), &world(), how()).unwrap().step();
    let error: BackupError = without.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
}
