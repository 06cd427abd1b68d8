//! Verification lists everything that is wrong, and what each of it takes away.

use std::collections::BTreeSet;

use cairn_env::{Environment, Finding, Options, Reach, VerifyOptions};
use cairn_io::{Access, FileExt, Name};
use cairn_log::{LogFile, RecordKind, Scan, Scanner};
use cairn_sim::{Image, SimDisk, SimWorld};

use crate::fixture::{TestEnv, ordered, small_options};

const KEYS: u32 = 600;

/// A closed environment whose only database has a tree of several levels and large values in the
/// journal.
fn sample() -> Image {
    let mut test = TestEnv::new(small_options().space_target(0).node_file_bytes(64 << 10));
    for n in 0..KEYS {
        test.put("db", &ordered(n), &vec![3; if n % 50 == 0 { 3000 } else { 60 }]);
    }
    test.close();
    test.disk.image()
}

fn open(image: &Image, options: Options) -> (SimDisk, Environment) {
    let disk = SimDisk::from_image(image);
    let env = Environment::open_in(disk.root(), SimWorld::new(5).world(), options).unwrap().0;
    (disk, env)
}

/// The records of the log files: path, offset, kind.
fn records(image: &Image, class: char) -> Vec<(String, usize, RecordKind)> {
    let (disk, _env) = open(image, small_options());
    let mut found = Vec::new();
    for (path, _) in image.files().filter(|(path, _)| path.contains(&format!("/{class}-"))) {
        let (dir, name) = path.rsplit_once('/').unwrap();
        let dir = disk.root().open_dir(&Name::new(dir).unwrap()).unwrap();
        let file = dir.open(&Name::new(name).unwrap(), Access::Read).unwrap();
        let file = LogFile::open_any(file).unwrap();
        let mut scanner = Scanner::new(&file, u64::MAX);
        while let Ok(Scan::Record(record)) = scanner.next() {
            let offset = usize::try_from(record.lsn.offset()).unwrap();
            found.push((path.to_owned(), offset, record.header.kind));
        }
    }
    found
}

/// Which keys cannot be read.
fn unreadable(env: &Environment) -> BTreeSet<u32> {
    let snapshot = env.snapshot().unwrap();
    let db = snapshot.database("db").unwrap().unwrap();
    (0..KEYS).filter(|n| snapshot.get(&db, &ordered(*n)).is_err()).collect()
}

/// Which keys findings say cannot be read.
fn said(findings: &[Finding]) -> BTreeSet<u32> {
    let lies_in = |n: &u32| {
        let key = ordered(*n);
        findings.iter().filter(|finding| finding.reach == Reach::Keys).any(|finding| {
            let (from, to) = finding.keys.as_ref().unwrap();
            *from <= key.to_vec() && to.as_ref().is_none_or(|to| key.as_slice() < to.as_slice())
        })
    };
    (0..KEYS).filter(lies_in).collect()
}

#[test]
fn every_one_of_many_damages_is_listed_with_what_it_takes_away() {
    let image = sample();
    let nodes = records(&image, 'N');
    let leaves: Vec<_> = nodes.iter().filter(|(.., kind)| *kind == RecordKind::LEAF).collect();
    let branch = nodes.iter().rfind(|(.., kind)| *kind == RecordKind::BRANCH).unwrap();
    let values = records(&image, 'J');
    let value = values.iter().find(|(path, at, _)| {
        let bytes = image.read(path).unwrap();
        bytes.len() > at + 3000 && bytes[at + 200..at + 2800].iter().all(|byte| *byte == 3)
    });
    let value = value.expect("large values stand in the journal");
    // The payloads of three leaves, the header of a fourth, a large value, and a seal.
    let mut damaged = image.clone();
    let mut spots = BTreeSet::new();
    let mut flip = |(path, at, _): &(String, usize, RecordKind), by: usize, image: &mut Image| {
        *image = image.with_bit_flipped(path, (at + by) * 8 + 1);
        spots.insert((path.rsplit('/').next().unwrap().to_owned(), *at as u64));
    };
    for leaf in [leaves[3], leaves[10], leaves[11]] {
        flip(leaf, 40, &mut damaged);
    }
    flip(leaves[20], 9, &mut damaged);
    flip(value, 500, &mut damaged);
    let seal = nodes.iter().find(|(.., kind)| *kind == RecordKind::SEAL);
    let seal = seal.expect("finished files end with one");
    flip(seal, 30, &mut damaged);
    let (_disk, env) = open(&damaged, small_options().read_only(true).create(false));
    let report = env.verify(&VerifyOptions::new()).unwrap();
    let named: BTreeSet<_> = report
        .findings
        .iter()
        .map(|finding| (finding.file.clone().unwrap_or_default(), finding.offset.unwrap_or(0)))
        .collect();
    let value_place =
        spots.iter().find(|(name, at)| value.0.ends_with(name) && value.1 as u64 == *at);
    for spot in &spots {
        // Of a value, the place is that of its bytes.
        let inside =
            |place: &&(String, u64)| place.0 == spot.0 && (spot.1..spot.1 + 200).contains(&place.1);
        let found =
            if Some(spot) == value_place { named.iter().find(inside) } else { named.get(spot) };
        assert!(found.is_some(), "{spot:?} is missing in {:#?}", report.findings);
    }
    assert_eq!(
        report.findings.len(),
        spots.len(),
        "nothing is there twice: {:#?}",
        report.findings
    );
    let lost = unreadable(&env);
    assert!(lost.len() > 4);
    assert_eq!(said(&report.findings), lost);
    let seal = report.findings.iter().filter(|finding| finding.reach != Reach::Keys);
    assert_eq!(seal.count(), 1);
    drop(env);

    // Below a damaged branch nobody can tell what is needed.
    let damaged = damaged.with_bit_flipped(&branch.0, (branch.1 + 30) * 8);
    let (_disk, env) = open(&damaged, small_options());
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert_eq!(said(&report.findings), unreadable(&env));
    assert!(report.findings.iter().any(|finding| finding.reach == Reach::Unknown));
    assert!(report.findings.iter().all(|finding| finding.reach != Reach::Nothing));
}

/// What is damaged while it is in memory can still be read, and saved.
#[test]
fn damage_to_what_is_in_memory_is_found_and_called_so() {
    let image = sample();
    let nodes = records(&image, 'N');
    let (path, at, _) = nodes.iter().find(|(.., kind)| *kind == RecordKind::LEAF).unwrap();
    let (disk, env) = open(&image, small_options());
    assert!(unreadable(&env).is_empty());
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = disk.root().open_dir(&Name::new(dir).unwrap()).unwrap();
    let file = dir.open(&Name::new(name).unwrap(), Access::ReadWrite).unwrap();
    for at in [100, *at as u64 + 50] {
        file.write_all_at(at, b"rot").unwrap();
    }
    let report = env.verify(&VerifyOptions::new()).unwrap();
    let reaches: Vec<Reach> = report.findings.iter().map(|finding| finding.reach).collect();
    assert_eq!(reaches, [Reach::NextOpen, Reach::Memory], "{:#?}", report.findings);
    assert!(report.findings[1].keys.is_some());
    assert!(unreadable(&env).is_empty());
}

#[test]
fn files_that_only_an_open_needs_are_verified_too() {
    let image = sample();
    let without = |name: &str| {
        let (disk, env) = open(&image, small_options());
        let report = env.verify(&VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty());
        let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
        let root = disk.root();
        let dir =
            if dir.is_empty() { root } else { root.open_dir(&Name::new(dir).unwrap()).unwrap() };
        dir.remove(&Name::new(file).unwrap()).unwrap();
        env.verify(&VerifyOptions::new()).unwrap().findings
    };
    let journal = image.files().find(|(path, _)| path.contains("/J-")).unwrap().0.to_owned();
    for path in ["CURRENT", "g-000001/STATE", &journal] {
        let findings = without(path);
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].reach, Reach::NextOpen);
        assert!(findings[0].to_string().contains(name), "{findings:?}");
    }
}

#[test]
fn nodes_that_a_replay_has_written_for_want_of_memory_are_no_finding() {
    // There was enough of it until now: everything is in the journal alone.
    let test = TestEnv::new(small_options().cache_bytes(16 << 20));
    for n in 0..KEYS {
        test.put("db", &ordered(n), &[3; 200]);
    }
    let killed = test.disk.image();
    let files = |image: &Image| image.files().filter(|(path, _)| path.contains("/N-")).count();
    let (disk, env) = open(&killed, small_options().cache_bytes(0).checkpoint_bytes(1 << 30));
    assert!(files(&disk.image()) > files(&killed), "nothing was written for want of memory");
    assert_eq!(env.verify(&VerifyOptions::new()).unwrap().findings, []);
}
