//! What a backup finds in the place of the parts that it is about to store.

use cairn_archive::Compression;
use cairn_io::MemDisk;
use cairn_log::Digest;

use super::forged::{Forged, fill, open, options, world};
use crate::{
    CheckLevel, ObjectName, PartName, PointOptions, RepoBackend as _, RestoreOptions, ShortHash,
    Which,
};

/// An object that nobody names is used only if it holds what the file holds; what it holds else does no harm.
#[test]
fn objects_that_somebody_has_left_are_used_only_if_they_hold_what_the_file_holds() {
    let env = open(&MemDisk::new());
    fill(&env, 0, 20);
    // Which objects there will be.
    let (learned, repository) = Forged::empty(false);
    repository.backup(&env, &PointOptions::default()).unwrap();
    let of = |name: &ObjectName| match *name {
        ObjectName::Part { environment, part } => Some((environment, part)),
        _ => None,
    };
    let objects = learned.objects();
    let (environment, part) = objects.keys().find_map(of).unwrap();
    let right = objects[&ObjectName::Part { environment, part }].clone();
    let content = repository.store.decode_part(environment, part, &right).unwrap().content;
    let unnamed = PartName { hash: ShortHash(0), ..part };
    let encoded = |content: &[u8]| {
        let compression = Compression::None;
        repository.store.encode_part(environment, unnamed, content, 1, compression).unwrap()
    };
    let named = |bytes: &[u8], hash| {
        (ObjectName::Part { environment, part: PartName { hash, ..part } }, bytes.to_vec())
    };
    let mut other = content.clone();
    other[5000] ^= 1;
    let other = encoded(&other);
    let same = encoded(&content);
    let garbage = vec![7; 100];
    let rows = [
        ("other bytes of the file", named(&other.bytes, other.part.hash), 0),
        ("no object at all", named(&garbage, ShortHash::of(Digest::of(&garbage))), 0),
        ("another hash than its name", named(&same.bytes, ShortHash(77)), 0),
        (
            "more than it can have",
            named(&vec![0; content.len() * 2 + (1 << 20) + 1], ShortHash(78)),
            0,
        ),
        ("the same, stored otherwise", named(&same.bytes, same.part.hash), 1),
    ];
    for (what, (name, bytes), adopted) in rows {
        let (backend, repository) = Forged::empty(false);
        backend.replace(name, bytes.clone());
        let report = repository.backup(&env, &PointOptions::default()).unwrap();
        assert_eq!(report.adopted_objects, adopted, "{what}");
        assert!(report.damaged.is_empty(), "{what}: it is of no point");
        let forged = Forged { backend, repository, environment };
        assert_eq!(forged.findings(CheckLevel::Structure), [], "{what}");
        let used = forged.point(1).objects().any(|needed| needed.name == name);
        assert_eq!(used, adopted == 1, "{what}");
        assert_eq!(forged.check(CheckLevel::Present).unused_objects, 1 - adopted, "{what}");
        assert_eq!(forged.bytes(name), bytes, "{what}");
    }
}

/// The second reading can be left out, and then the point says so; what it holds is the same.
#[test]
fn a_point_that_was_not_read_back_says_so() {
    let env = open(&MemDisk::new());
    fill(&env, 0, 20);
    let [read, skipped] = [false, true].map(|skip| {
        let (backend, repository) = Forged::empty(false);
        let how = PointOptions::default().skip_read_back(skip);
        repository.backup(&env, &how).unwrap();
        Forged { backend, repository, environment: env.identity().environment }
    });
    assert!(read.point(1).is_read_back && !skipped.point(1).is_read_back);
    assert!(read.point(1).objects().eq(skipped.point(1).objects()));
    assert_eq!(skipped.findings(CheckLevel::Open), []);
    // What is in the way is compared all the same, and is no part of the point.
    let name = read.point(1).objects().next().unwrap().name;
    let (backend, repository) = Forged::empty(false);
    let mut damaged = read.bytes(name);
    *damaged.last_mut().unwrap() ^= 1;
    backend.replace(name, damaged.clone());
    let how = PointOptions::default().skip_read_back(true);
    let report = repository.backup(&env, &how).unwrap();
    let [evidence] = &*report.damaged else { panic!("{report:?}") };
    assert!(evidence.contains(&name.to_string()), "{evidence}");
    assert_eq!(backend.objects()[&name], damaged);
    let (target, how) = (MemDisk::new().root(), RestoreOptions::default().options(options()));
    repository.restore_in(None, &Which::Newest, &target, &world(), &how).unwrap();
    assert_eq!(backend.length(&name).unwrap(), Some(damaged.len() as u64));
}
