//! Delta restores: what the environment has is used if it is what the backup has, and for no other reason.

use std::collections::BTreeMap;

use cairn_backup::{
    BackupOptions, Manifest, PointOptions, Repository, RestoreOptions, RestoreReport, Which,
    backup_to, restore_from,
};
use cairn_env::{Environment, forget_old_generation, undo_restore};
use cairn_io::{DirRef, MemDisk};
use cairn_sim::{Image, SimWorld};

use crate::{
    fixture::{Content, content, fill, options, world},
    repository::fixture::local,
};

/// An environment that has gone on since it was backed up, and both backups of then.
struct Case {
    env: Image,
    saved: DirRef,
    repository: Repository,
    then: Content,
    now: Content,
}

impl Case {
    fn new(directories: u16) -> Self {
        let disk = MemDisk::new();
        let how = options().data_directories(directories);
        let (env, _) = Environment::open_in(disk.root(), world(), how).unwrap();
        fill(&env, 0, 150);
        let saved = MemDisk::new().root();
        backup_to(&env, &saved, &world(), &BackupOptions::default()).unwrap();
        let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
        let report = repository.backup(&env, &PointOptions::default().part_bytes(7000)).unwrap();
        let then = content(&env);
        fill(&env, 100, 60);
        let now = content(&env);
        env.close().unwrap();
        assert_eq!(report.commit, Manifest::read(&*saved).unwrap().cut.commit);
        Self { env: Image::of(&disk), saved, repository, then, now }
    }

    fn restore(&self, disk: &MemDisk, delta: bool, is_point: bool) -> RestoreReport {
        let how = RestoreOptions::default().options(options()).in_place(true).delta(delta);
        let (to, world) = (disk.root(), SimWorld::new(6).world());
        let report = match is_point {
            true => self.repository.restore_in(None, &Which::Newest, &to, &world, &how),
            false => restore_from(&self.saved, &to, &world, &how),
        };
        report.unwrap()
    }
}

fn opened(disk: &MemDisk) -> Content {
    content(&Environment::open_in(disk.root(), world(), options().create(false)).unwrap().0)
}

/// All that a generation holds.
fn generation(disk: &MemDisk, name: &str) -> BTreeMap<String, Vec<u8>> {
    let image = Image::of(disk);
    let files = image.files().filter(|(path, _)| path.contains(name));
    files.map(|(path, _)| (path.to_owned(), image.read(path).unwrap().to_vec())).collect()
}

#[test]
fn a_delta_restore_takes_what_has_not_changed_and_goes_back() {
    for directories in [0, 2] {
        let case = Case::new(directories);
        for is_point in [false, true] {
            let (disk, whole) = (case.env.to_mem(), case.env.to_mem());
            let report = case.restore(&disk, true, is_point);
            assert_eq!(report.taken_files, report.files, "nothing has gone, {report:?}");
            assert_eq!(report.taken_bytes, report.bytes);
            assert_eq!(case.restore(&whole, false, is_point).taken_files, 0);
            assert_eq!(generation(&disk, "g-000002"), generation(&whole, "g-000002"));
            assert_eq!(opened(&disk), case.then);
            // Both go on, and neither sees anything of the other.
            let open = || Environment::open_in(disk.root(), world(), options()).unwrap().0;
            fill(&open(), 700, 20);
            let further = opened(&disk);
            undo_restore(disk.root()).unwrap();
            assert_eq!(opened(&disk), case.now);
            let env = open();
            fill(&env, 800, 90);
            env.checkpoint().unwrap();
            env.close().unwrap();
            let aside = opened(&disk);
            undo_restore(disk.root()).unwrap();
            assert_eq!(opened(&disk), further);
            undo_restore(disk.root()).unwrap();
            assert_eq!(opened(&disk), aside);
            undo_restore(disk.root()).unwrap();
            forget_old_generation(disk.root(), &world(), options()).unwrap();
            assert_eq!(opened(&disk), further);
        }
    }
}

/// Invariant 25 of the repository.
#[test]
fn a_delta_restore_is_byte_equal_to_a_full_one_whatever_lies_in_the_target() {
    for directories in [0, 2] {
        let case = Case::new(directories);
        let manifest = Manifest::read(&*case.saved).unwrap();
        let logs = case.env.files().filter(|(path, _)| path.ends_with(".log"));
        let logs: Vec<_> = logs.map(|(path, _)| path.to_owned()).collect();
        let is_needed =
            |path: &str| manifest.files.iter().any(|file| path.ends_with(&file.name.to_string()));
        let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            usize::try_from(chance % below as u64).unwrap()
        };
        let (mut taken, mut all) = (0, 0);
        for round in 0..60 {
            let mut image = case.env.clone();
            for _ in 0..=next(5) {
                let path = &logs[next(logs.len())];
                if image.read(path).is_none_or(|bytes| bytes.is_empty()) {
                    continue;
                }
                let len = image.read(path).unwrap().len();
                let (at, other) = (next(len), &logs[next(logs.len())]);
                image = match next(7) {
                    0 => image.with_bit_flipped(path, at * 8),
                    1 => image.with_edit(path, |bytes| bytes.truncate(at)),
                    2 => image.with_edit(path, |bytes| bytes.extend_from_slice(&[7; 100])),
                    3 => image.without(path),
                    // As long as it was, and all else.
                    4 => image.with_file(path, vec![0xab; len]),
                    5 if image.read(other).is_some() => image.with_swapped(path, other),
                    _ => image.with_file(&path.replace("J-", "V-"), vec![1; 200]),
                };
            }
            let (disk, whole) = (image.to_mem(), image.to_mem());
            let is_same = |file: &cairn_backup::ManifestFile| {
                let name = file.name.to_string();
                let path = logs.iter().find(|path| path.ends_with(&name));
                path.is_some_and(|path| image.read(path) == case.env.read(path))
            };
            let unchanged = manifest.files.iter().filter(|file| is_same(file)).count() as u64;
            let report = case.restore(&disk, true, round % 2 == 0);
            assert_eq!(report.taken_files, unchanged, "round {round}");
            case.restore(&whole, false, round % 2 == 0);
            assert_eq!(generation(&disk, "g-000002"), generation(&whole, "g-000002"), "{round}");
            assert_eq!(opened(&disk), case.then, "round {round}");
            // What was there is there, whatever it was.
            assert_eq!(generation(&disk, "g-000001"), generation(&image.to_mem(), "g-000001"));
            (taken, all) = (taken + report.taken_files, all + report.files);
        }
        assert!(logs.iter().any(|path| is_needed(path)));
        assert!(taken > all / 4 && taken < all, "{taken} of {all}");
    }
}

/// The moment lies within a journal file that the environment still has: the beginning of it is copied.
#[test]
fn a_delta_restore_to_a_moment_takes_the_beginning_of_a_file() {
    let (disk, saved) = (MemDisk::new(), MemDisk::new().root());
    let open = |options| Environment::open_in(disk.root(), world(), options).unwrap().0;
    let env = open(options());
    fill(&env, 0, 40);
    env.checkpoint().unwrap();
    fill(&env, 40, 30);
    let (commit, then) = (env.snapshot().unwrap().commit(), content(&env));
    fill(&env, 70, 60);
    // Who only reads makes no checkpoint: the backup has the journal since the last one.
    let reader = open(options().read_only(true));
    backup_to(&reader, &saved, &world(), &BackupOptions::default()).unwrap();
    drop(reader);
    fill(&env, 20, 60);
    env.close().unwrap();
    let (delta, whole) = (Image::of(&disk).to_mem(), Image::of(&disk).to_mem());
    let to = cairn_backup::RestoreTo::Commit(commit);
    let how = RestoreOptions::default().options(options()).to(to).in_place(true);
    let restored = |disk: &MemDisk, delta| {
        let (world, how) = (SimWorld::new(6).world(), how.clone().delta(delta));
        restore_from(&saved, &disk.root(), &world, &how).unwrap()
    };
    let report = restored(&delta, true);
    assert_eq!(report.taken_files, report.files);
    assert_eq!(restored(&whole, false).taken_files, 0);
    assert_eq!(generation(&delta, "g-000002"), generation(&whole, "g-000002"));
    let (old, new) = (generation(&delta, "g-000001"), generation(&delta, "g-000002"));
    let is_cut = |(path, bytes): (&String, &Vec<u8>)| {
        let before = old.get(&path.replace("g-000002", "g-000001"));
        path.ends_with(".log") && before.is_some_and(|before| before.len() > bytes.len())
    };
    assert_eq!(new.iter().filter(|file| is_cut(*file)).count(), 1);
    assert_eq!(opened(&delta), then);
}

#[test]
fn without_links_a_delta_restore_copies_from_where_it_is() {
    let case = Case::new(0);
    let disk = case.env.to_mem();
    let faults = cairn_sim::FaultDisk::new(disk.root());
    let no_links = cairn_sim::Rule::new(cairn_sim::Fault::Eio).op(cairn_io::IoOp::Link);
    faults.inject(no_links.and_on());
    let how = RestoreOptions::default().options(options()).in_place(true).delta(true);
    let report = restore_from(&case.saved, &faults.root(), &world(), &how).unwrap();
    assert_eq!((report.taken_files, report.taken_bytes), (report.files, report.bytes));
    assert_eq!(opened(&disk), case.then);
    undo_restore(disk.root()).unwrap();
    assert_eq!(opened(&disk), case.now);
}
