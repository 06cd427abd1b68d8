//! Two copies of an environment that went their own ways on one timeline, and one repository: what is refused, and that
//! each point is whole by itself.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cairn_backup::{
    BackupError, MemoryBackend, ObjectName, PointOptions, PointReport, Progress, Repository,
    RestoreTo, Which,
};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::MemDisk;
use cairn_log::FileClass;

use super::{
    backups::assert_sound,
    fixture::{restored, small},
    shipped::{restore, ship, shipper},
};
use crate::fixture::{Content, content, options, world};

/// One environment, closed, and a copy of it.
fn parted() -> (MemDisk, MemDisk, Arc<MemoryBackend>, Repository) {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 1, 5);
    env.close().unwrap();
    let backend = Arc::new(MemoryBackend::new());
    let place = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    let copy = disk.fork();
    (disk, copy, backend, place)
}

/// Backs up beside the one who writes, whose newest journal file goes on; returns what there was, as far as it was known
/// to be durable.
fn backup_beside(
    place: &Repository,
    disk: &MemDisk,
    how: &PointOptions<'_>,
) -> Result<(PointReport, Content), BackupError> {
    let options = large().read_only(true).create(false);
    let (env, _) = Environment::open_in(disk.root(), world(), options).unwrap();
    Ok((place.backup(&env, how)?, content(&env)))
}

/// With journal files that are long enough to be stored in parts that a later point names again.
fn large() -> Options {
    options().journal_file_bytes(8 << 20)
}

fn open(disk: &MemDisk) -> Environment {
    Environment::open_in(disk.root(), world(), large()).unwrap().0
}

/// Puts so many entries, of which the first is large.
fn fill(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let large = vec![from.to_le_bytes()[0]; 300 << 10];
    env.write(|txn| txn.put(&db, b"large", &large)).unwrap();
    crate::fixture::fill(env, from, count);
}

/// Whether what they have in common is stored anew with what comes behind it, or named again by the next point.
#[test]
fn a_copy_whose_newest_journal_file_begins_otherwise_is_refused_and_the_file_is_named() {
    for fill in [fill, crate::fixture::fill] {
        let (disk, copy, backend, place) = parted();
        let (env, other) = (open(&disk), open(&copy));
        fill(&env, 101, 5);
        let how = PointOptions::default();
        let (_, expected) = backup_beside(&place, &disk, &how).unwrap();
        fill(&other, 201, 20);
        let points = |backend: &MemoryBackend| -> Vec<_> {
            let names = backend.objects().into_keys();
            names.filter(|name| matches!(name, ObjectName::Point { .. })).collect()
        };
        let before = points(&backend);
        let error = backup_beside(&place, &copy, &how).unwrap_err();
        let BackupError::OtherPast { environment, point: 1, file, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(environment, env.identity().environment);
        assert_eq!(file.class, FileClass::Journal);
        assert_eq!(points(&backend), before);
        // The one that was first goes on, and what it has there is right.
        fill(&env, 111, 5);
        let (report, newest) = backup_beside(&place, &disk, &how).unwrap();
        assert!(report.damaged.is_empty() && report.kept_bytes > 0, "{report:?}");
        assert!(restored(&place, &Which::Number(1)) == expected);
        assert!(restored(&place, &Which::Newest) == newest);
        assert_sound(&place);
    }
}

/// Journal of one was shipped, and the other one is backed up: its point has nothing of it, and whoever ships is told.
#[test]
fn a_copy_is_backed_up_whole_beside_journal_that_was_shipped_of_the_other() {
    // With more journal than was shipped, and with less.
    for (shipped, count) in [(4, 20), (20, 4)] {
        let (disk, copy, _, place) = parted();
        let env = open(&disk);
        place.backup(&env, &small()).unwrap();
        fill(&env, 101, shipped);
        let mut one = shipper(&place, &disk.root());
        ship(&mut one);
        let other = open(&copy);
        fill(&other, 201, count);
        let bytes = AtomicU64::new(0);
        let progress = |progress: Progress| {
            bytes.store(progress.done.abs_diff(progress.total), Ordering::Relaxed);
        };
        let how = small().progress(&progress);
        let (report, expected) = backup_beside(&place, &copy, &how).unwrap();
        assert_eq!(bytes.into_inner(), 0, "what was done twice counts once");
        assert!(report.damaged.is_empty(), "{report:?}");
        assert!(restored(&place, &Which::Number(2)) == expected);
        // Where its journal ends is certain when it is closed.
        other.close().unwrap();
        let error = shipper(&place, &copy.root()).step().unwrap_err();
        assert!(matches!(error, BackupError::ShippedOtherwise { segment: 1.., .. }), "{error}");
        let (_, found) = restore(&place, &Which::Number(1), RestoreTo::Newest, &options()).unwrap();
        assert_eq!(found["db"].len(), 6, "what there was before they parted");
        assert_sound(&place);
    }
}

/// As a copy that was taken when the journal was shorter, and died.
#[test]
fn a_copy_of_before_is_backed_up_as_what_it_is() {
    let (disk, _, _, place) = parted();
    let env = open(&disk);
    fill(&env, 101, 5);
    let copy = disk.fork();
    fill(&env, 111, 5);
    let (_, first) = backup_beside(&place, &disk, &small()).unwrap();
    let (report, second) = backup_beside(&place, &copy, &small()).unwrap();
    assert_eq!(report.number, 2);
    assert!(first != second);
    assert!(restored(&place, &Which::Number(1)) == first);
    assert!(restored(&place, &Which::Number(2)) == second);
    assert_sound(&place);
}

/// The beginning of a journal file that goes on is not believed to be there: it is looked for.
#[test]
fn a_journal_file_that_goes_on_is_stored_whole_if_its_beginning_is_gone() {
    let (disk, _, backend, place) = parted();
    let env = open(&disk);
    fill(&env, 101, 5);
    let how = PointOptions::default().part_bytes(280 << 10);
    backup_beside(&place, &disk, &how).unwrap();
    let first_part = || {
        let point = place.find(None, &Which::Newest).unwrap().1;
        let file = point.files.iter().rfind(|file| file.seal.is_none()).unwrap();
        let of = |name: &ObjectName| match name {
            ObjectName::Part { part, .. } => part.file == file.name.number,
            _ => false,
        };
        point.objects().map(|needed| needed.name).filter(of).min().unwrap()
    };
    for cut in [0, 1000] {
        let name = first_part();
        let bytes = backend.objects()[&name].clone();
        backend.replace(name, bytes[..bytes.len() * cut / 1001].to_vec());
        fill(&env, 111, 5);
        let (report, expected) = backup_beside(&place, &disk, &how).unwrap();
        let is_named = |damaged: &String| damaged.contains(&name.to_string());
        assert!(!report.damaged.is_empty() && report.damaged.iter().all(is_named), "{report:?}");
        assert!(restored(&place, &Which::Newest) == expected);
        backend.replace(name, bytes);
    }
    assert_sound(&place);
}

/// What was shipped of it is not there any more: a copy of before, or a disk that had promised too much.
#[test]
fn an_environment_that_went_on_before_what_was_shipped_of_it_is_refused() {
    for segments in 1..3 {
        let (disk, _, _, place) = parted();
        let env = open(&disk);
        let mut first = shipper(&place, &disk.root());
        fill(&env, 101, 3);
        ship(&mut first);
        let copy = disk.fork();
        for n in 0..segments {
            fill(&env, 111 + n * 10, 2);
            ship(&mut first);
        }
        let last = place.intervals(None).unwrap()[0].last.unwrap();
        fill(&open(&copy), 201, 1);
        let error = shipper(&place, &copy.root()).step().unwrap_err();
        let BackupError::ShippedOtherwise { segment, environment, .. } = error else {
            panic!("{segments}: {error}")
        };
        assert_eq!((segment, environment), (last.segment, env.identity().environment));
        // Whoever was first goes on.
        fill(&env, 151, 2);
        let newest = ship(&mut first);
        let result = restore(&place, &Which::Newest, RestoreTo::Newest, &options());
        assert_eq!(result.unwrap().0.commit, newest);
        assert_sound(&place);
    }
}
