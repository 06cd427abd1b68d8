//! Crashes at every operation of a backup: whole, or none.

use std::collections::BTreeSet;

use cairn_backup::{BackupOptions, backup_to, publish_in, verify_in};
use cairn_env::{DatabaseOptions, Environment, ErrorKind};
use cairn_io::{Access, DirExt, DirRef, FileExt, Name, WorldRef};
use cairn_sim::{Bounds, Image, Level, SimDisk, SimWorld};

use crate::{
    fixture::{Content, content, fill, open_in, options},
    incremental::restored,
};

pub(crate) fn below(disk: &SimDisk, name: &str) -> DirRef {
    disk.root().open_dir(&Name::new(name).unwrap()).unwrap()
}

pub(crate) fn create(disk: &SimDisk, name: &str) -> DirRef {
    disk.root().create_dir(&Name::new(name).unwrap()).unwrap()
}

/// A disk with an environment, a backup of it and an empty directory; what the backup holds, and what
/// the environment has held since.
fn start() -> (Image, Content, Content) {
    let disk = SimDisk::new();
    let env = open_in(&create(&disk, "env"));
    fill(&env, 0, 30);
    let world = SimWorld::new(3).world();
    let one = create(&disk, "one");
    backup_to(&env, &one, &world, &BackupOptions::default()).unwrap();
    create(&disk, "two");
    let old = content(&env);
    fill(&env, 20, 20);
    let new = content(&env);
    env.close().unwrap();
    (disk.image(), old, new)
}

/// Runs `work`, and holds what any crash leaves against `check`, which gets the highest mark before it.
/// Returns the number of states.
fn sweep(
    image: &Image,
    work: impl Fn(&SimDisk, &WorldRef),
    check: impl Fn(&SimDisk, u64, &str),
) -> usize {
    let disk = SimDisk::from_image(image);
    work(&disk, &SimWorld::new(8).world());
    let trace = disk.trace();
    let mut cuts = trace.cuts();
    let mut seen = BTreeSet::new();
    while let Some(cut) = cuts.next_cut() {
        let done = cut.mark("done").unwrap_or(0);
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if seen.insert((crashed.image.hash(), done)) {
                    let what = format!("cut {}: {crashed}", cut.position());
                    check(&SimDisk::from_image(&crashed.image), done, &what);
                }
            }
        }
    }
    seen.len()
}

/// What the environment holds, if it opens, as it must.
fn opened(disk: &SimDisk, what: &str) -> Content {
    let world = SimWorld::new(9).world();
    let result = Environment::open_in(below(disk, "env"), world, options().create(false));
    let (env, _) = result.unwrap_or_else(|error| panic!("{what}: {error}"));
    content(&env)
}

/// The backup before is whole; the new one is whole, or none.
fn check_backups(disk: &SimDisk, done: u64, what: &str, old: &Content, new: &Content) {
    let report = verify_in(&*below(disk, "one"), None).unwrap();
    assert!(report.findings.is_empty(), "{what}: {:?}", report.findings);
    match verify_in(&*below(disk, "two"), None) {
        Ok(_) => assert_eq!(&restored(&below(disk, "two")), new, "{what}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{what}: {error}");
            assert_eq!(done, 0, "{what}");
        }
    }
    let found = opened(disk, what);
    assert!(&found == new || found.len() == old.len(), "{what}");
    assert_eq!(&found, new, "{what}");
}

#[test]
fn an_incremental_backup_is_whole_or_none_and_harms_no_other() {
    let (image, old, new) = start();
    let work = |disk: &SimDisk, world: &WorldRef| {
        let env = open_in(&below(disk, "env"));
        let since = below(disk, "one");
        let options = BackupOptions::default().since_in(&since);
        let report = backup_to(&env, &below(disk, "two"), world, &options).unwrap();
        assert!(report.linked_files > 0, "{report:?}");
        disk.mark("done", 1);
    };
    let states =
        sweep(&image, work, |disk, done, what| check_backups(disk, done, what, &old, &new));
    assert!(states > 100, "{states}");
}

/// A journal that somebody else writes has grown: the new backup links what the one before has of it.
#[test]
fn a_backup_that_adds_a_piece_to_a_journal_is_whole_or_none_and_harms_no_other() {
    let disk = SimDisk::new();
    let live = create(&disk, "env");
    let large = || options().journal_file_bytes(4 << 20);
    let open = |dir: &DirRef, seed: u64, options| {
        Environment::open_in(DirRef::clone(dir), SimWorld::new(seed).world(), options).unwrap().0
    };
    let read = |disk: &SimDisk, seed| open(&below(disk, "env"), seed, large().read_only(true));
    let env = open(&live, 1, large());
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let put = |n: u8, len: usize| {
        env.write(|txn| txn.put(&db, &[n], &vec![n; len])).unwrap();
        fill(&env, n.into(), 2);
    };
    put(1, 300 << 10);
    let world = SimWorld::new(3).world();
    backup_to(&read(&disk, 2), &create(&disk, "one"), &world, &BackupOptions::default()).unwrap();
    create(&disk, "two");
    put(3, 3000);
    // Nobody writes any more: who reads now finds all of it.
    let new = content(&env);
    let image = disk.image();
    let work = |disk: &SimDisk, world: &WorldRef| {
        let since = below(disk, "one");
        let how = BackupOptions::default().since_in(&since);
        let report = backup_to(&read(disk, 5), &below(disk, "two"), world, &how).unwrap();
        assert!(report.linked_bytes > 300 << 10, "{report:?}");
        disk.mark("done", 1);
    };
    let check = |disk: &SimDisk, done: u64, what: &str| {
        let report = verify_in(&*below(disk, "one"), None).unwrap();
        assert!(report.findings.is_empty(), "{what}: {:?}", report.findings);
        match verify_in(&*below(disk, "two"), None) {
            Ok(_) => assert!(restored(&below(disk, "two")) == new, "{what}"),
            Err(error) => {
                assert!(error.kind() == ErrorKind::NotFound && done == 0, "{what}: {error}");
            }
        }
    };
    let states = sweep(&image, work, check);
    assert!(states > 20, "{states}");
}

/// The backup before came by a tool that synced nothing: what is linked from it must not be lost with it.
#[test]
fn what_is_linked_is_durable_even_if_the_backup_before_is_not() {
    let (image, _, new) = start();
    let work = |disk: &SimDisk, world: &WorldRef| {
        let copied = create(disk, "copied");
        let (from, to) = (
            below(disk, "one").open_dir(&Name::new("files").unwrap()).unwrap(),
            copied.create_dir(&Name::new("files").unwrap()).unwrap(),
        );
        let copy = |from: &DirRef, to: &DirRef, name: &Name| {
            let bytes = from.read_small(name, 1 << 20).unwrap();
            to.create(name).unwrap().write_all_at(0, &bytes).unwrap();
        };
        for entry in from.list().unwrap() {
            copy(&from, &to, &entry.name.unwrap());
        }
        copy(&below(disk, "one"), &copied, &Name::new("MANIFEST").unwrap());
        let options = BackupOptions::default().since_in(&copied);
        let env = open_in(&below(disk, "env"));
        let report = backup_to(&env, &below(disk, "two"), world, &options).unwrap();
        assert!(report.linked_files > 0, "{report:?}");
        disk.mark("done", 1);
    };
    let check = |disk: &SimDisk, done: u64, what: &str| match verify_in(&*below(disk, "two"), None)
    {
        Ok(_) => assert_eq!(restored(&below(disk, "two")), new, "{what}"),
        Err(error) => assert!(error.kind() == ErrorKind::NotFound && done == 0, "{what}: {error}"),
    };
    let states = sweep(&image, work, check);
    assert!(states > 100, "{states}");
}

#[test]
fn a_published_backup_is_whole_or_none() {
    let (image, old, new) = start();
    let work = |disk: &SimDisk, world: &WorldRef| {
        let env = open_in(&below(disk, "env"));
        let set = env.begin_backup().unwrap();
        let two = below(disk, "two");
        let files = two.create_dir(&Name::new("files").unwrap()).unwrap();
        let from = below(disk, "env").open_dir(&Name::new("g-000001").unwrap()).unwrap();
        for file in set.files() {
            // As cp: nothing is synced.
            let bytes = from.open(&file.name.to_name(), Access::Read).unwrap();
            let mut all = vec![0; usize::try_from(bytes.len().unwrap()).unwrap()];
            bytes.read_exact_at(0, &mut all).unwrap();
            files.create(&file.name.to_name()).unwrap().write_all_at(0, &all).unwrap();
            set.release(file);
        }
        publish_in(&set, &two, world, None).unwrap();
        disk.mark("done", 1);
    };
    let states =
        sweep(&image, work, |disk, done, what| check_backups(disk, done, what, &old, &new));
    assert!(states > 100, "{states}");
}
