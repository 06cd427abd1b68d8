//! An encrypted repository, looked at by who has no key: lies that only hashes give away.

use cairn_archive::Compression;
use cairn_env::UnlockedKeyring;
use cairn_io::MemDisk;
use cairn_log::Digest;
use cairn_sim::SimWorld;

use super::forged::{Forged, fill, key, open, options};
use crate::{
    BackupError, CheckFinding, CheckLevel, CheckOptions, ObjectError, ObjectName, PartName,
    PointOptions, ProveOptions, ShortHash, Which,
};

fn findings(forged: &Forged, level: CheckLevel) -> Vec<CheckFinding> {
    forged.locked().check(&CheckOptions::default().level(level)).unwrap().findings
}

#[test]
fn segments_that_do_not_follow_each_other_are_found_without_the_key() {
    let forged = Forged::with_segments(true);
    assert_eq!(findings(&forged, CheckLevel::Stored), []);
    forged.say_segment(2, |_, previous| *previous = Digest([7; 32]));
    let found = findings(&forged, CheckLevel::Present);
    let [found] = &*found else { panic!("{found:?}") };
    assert_eq!((found.object, found.at), (forged.segment_name(2), Some(0)));
    assert!(found.problem.contains("the segment before is"), "{found:?}");
}

/// Without the key nobody can tell what a part of shipped journal holds; but its name has the hash of what is stored.
#[test]
fn a_part_that_is_whole_under_the_name_of_another_one_is_found_without_the_key() {
    let forged = Forged::with_segments(true);
    let segment = forged.segment(forged.last_segment()).segment;
    let (start, part) = segment.placed().next().unwrap();
    let name = segment.part_name(start, part);
    let content = forged.store().part(forged.environment, name, part).unwrap();
    // Encrypted once more: the same content, and other bytes.
    let unnamed = PartName { hash: ShortHash(0), ..name };
    let stored = forged
        .store()
        .encode_part(forged.environment, unnamed, &content, 0, Compression::None)
        .unwrap();
    assert_ne!(stored.part, name);
    let object = ObjectName::Part { environment: forged.environment, part: name };
    forged.backend.replace(object, stored.bytes);
    assert_eq!(findings(&forged, CheckLevel::Present), []);
    let found = findings(&forged, CheckLevel::Stored);
    let [found] = &*found else { panic!("{found:?}") };
    assert_eq!((found.object, found.at), (object, Some(0)));
    assert_eq!(found.problem, format!("its hash is {}", stored.stored));
    // Who has the key knows it from the segment.
    let found = forged.findings(CheckLevel::Stored);
    let [found] = &*found else { panic!("{found:?}") };
    assert_eq!((found.object, &*found.points), (object, &[1][..]));
}

#[test]
fn a_proof_is_held_against_its_name_without_the_key() {
    let forged = Forged::with_segments(true);
    let how = ProveOptions::default().options(options());
    forged.repository.prove(None, &Which::Number(1), &how).unwrap();
    assert_eq!(findings(&forged, CheckLevel::Stored), []);
    let proofs = forged.store().proof_names(forged.environment).unwrap();
    let [proof @ ObjectName::Proof { environment, point, .. }] = proofs[..] else { panic!() };
    let renamed = ObjectName::Proof { environment, point, hash: ShortHash(12) };
    let bytes = forged.bytes(proof);
    forged.backend.replace(renamed, bytes.clone());
    let found = findings(&forged, CheckLevel::Present);
    let [found] = &*found else { panic!("{found:?}") };
    assert_eq!((found.object, found.at, &*found.points), (renamed, Some(0), &[1][..]));
    assert_eq!(found.problem, format!("its hash is {}", Digest::of(&bytes)));
    // One that is cut is found as that.
    forged.backend.replace(renamed, bytes[..bytes.len() - 1].to_vec());
    let found = findings(&forged, CheckLevel::Present);
    assert_eq!(found.iter().map(|found| found.object).collect::<Vec<_>>(), [renamed]);
}

/// The same number of a change of keys, by two who did not see each other: one copy of each.
#[test]
fn copies_of_the_wrapped_keys_that_differ_are_found_with_and_without_the_key() {
    let forged = Forged::with_segments(true);
    let [one, two] = ["one", "two"].map(|name| {
        let other = forged.again();
        other.repository.add_key(name, &key()).unwrap();
        other
    });
    let is_keyring = |name: &ObjectName| matches!(name, ObjectName::Keyring { .. });
    let names: Vec<_> = one.backend.objects().into_keys().filter(is_keyring).collect();
    let [_, second @ ObjectName::Keyring { number: 2, copy: 2, .. }] = names[..] else {
        panic!("{names:?}")
    };
    assert_ne!(one.bytes(second), two.bytes(second));
    one.backend.replace(second, two.bytes(second));
    for found in [findings(&one, CheckLevel::Present), one.findings(CheckLevel::Present)] {
        let [found] = &*found else { panic!("{found:?}") };
        assert_eq!((found.object, found.at), (second, Some(0)));
        assert_eq!(found.problem, "it differs from the other copy");
    }
}

/// Keys of somebody who has made others: what was encrypted before could not be read with them.
#[test]
fn keys_that_are_others_than_those_of_the_objects_are_refused_before_anything_is_stored() {
    let forged = Forged::with_segments(true);
    let (repository, other) = (forged.store().repository, SimWorld::new(99).world());
    let mut keys = UnlockedKeyring::create(repository, "first", &key(), &*other).unwrap();
    keys.next_write(&*other).unwrap();
    let bytes = keys.next_write(&*other).unwrap();
    let name = |copy| ObjectName::Keyring { repository, number: 2, copy };
    for copy in [1, 2] {
        forged.backend.replace(name(copy), bytes.clone());
    }
    let objects = forged.backend.objects();
    let env = open(&MemDisk::new());
    fill(&env, 0, 3);
    let backup = forged.repository.backup(&env, &PointOptions::default()).map(drop);
    let added = forged.repository.add_key("more", &key()).map(drop);
    for result in [backup, added] {
        match result {
            Err(BackupError::Object(ObjectError::Damaged { object, problem, .. })) => {
                assert_eq!(object, name(1));
                assert!(problem.contains("other keys than those"), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(forged.backend.objects(), objects);
}

#[test]
fn wrapped_keys_under_another_number_are_not_believed() {
    let forged = Forged::with_segments(true);
    let repository = forged.store().repository;
    let name = |number, copy| ObjectName::Keyring { repository, number, copy };
    for copy in [1, 2] {
        forged.backend.replace(name(2, copy), forged.bytes(name(1, copy)));
    }
    match forged.locked().unlock(&key()) {
        Err(BackupError::Object(ObjectError::Damaged { object, problem, .. })) => {
            assert_eq!(object, name(2, 1));
            assert_eq!(problem, "it is another object than its name says");
        }
        other => panic!("{other:?}"),
    }
    let found = findings(&forged, CheckLevel::Present);
    let found: Vec<_> = found.iter().map(|found| found.object).collect();
    assert_eq!(found, [name(2, 1), name(2, 2)]);
}
