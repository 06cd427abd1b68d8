//! Restores that are cut short anywhere, and are made once more: the target is what it was or what was restored, and
//! what was brought, and is what it should be, is not brought again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_backup::{
    BackupError, BackupOptions, Manifest, PointOptions, Repository, RestoreOptions, RestoreReport,
    Which, backup_to, restore_from,
};
use cairn_env::{EnvError, Environment, kept_generation};
use cairn_io::{IoOp, MemDisk};
use cairn_sim::{Bounds, CrashImage, Fault, FaultDisk, Image, Level, Rule, SimDisk, SimWorld};

use crate::{
    crash::{below, create},
    fixture::{Content, content, fill, open, options, world},
    repository::fixture::local,
};

/// A disk with a backup and what is to become of it.
struct Case {
    start: Image,
    /// What the target holds, if it is an environment, and what the backup does.
    old: Option<Content>,
    new: Content,
    /// The files of the backup.
    files: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn new(directories: u16, in_place: bool) -> Self {
        let disk = SimDisk::new();
        let target = create(&disk, "env");
        let other = if in_place { Arc::clone(&target) } else { create(&disk, "other") };
        let world = SimWorld::new(3).world();
        let how = options().data_directories(directories);
        let (env, _) = Environment::open_in(other, world, how).unwrap();
        fill(&env, 0, 25);
        let saved = create(&disk, "saved");
        backup_to(&env, &saved, &SimWorld::new(5).world(), &BackupOptions::default()).unwrap();
        let new = content(&env);
        fill(&env, 20, 9);
        let old = in_place.then(|| content(&env));
        env.close().unwrap();
        let start = disk.image();
        let manifest = Manifest::read(&*saved).unwrap();
        let read = |file: &cairn_backup::ManifestFile| {
            let bytes = start.read(&format!("saved/files/{}", file.name)).unwrap();
            (file.name.to_string(), bytes.to_vec())
        };
        let files = manifest.files.iter().map(read).collect();
        Self { start, old, new, files }
    }

    fn restore(&self, disk: &SimDisk) -> Result<RestoreReport, BackupError> {
        let how = RestoreOptions::default().options(options()).in_place(self.old.is_some());
        let (world, into) = (SimWorld::new(8).world(), below(disk, "env"));
        restore_from(&below(disk, "saved"), &into, &world, &how)
    }

    /// What the target holds, if it opens.
    fn opened(&self, disk: &SimDisk) -> Result<Option<Content>, String> {
        let world = SimWorld::new(9).world();
        match Environment::open_in(below(disk, "env"), world, options().create(false)) {
            Ok((env, _)) => Ok(Some(content(&env))),
            Err(EnvError::IncompleteRestore { .. } | EnvError::NotAnEnvironment { .. })
                if self.old.is_none() =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The files of attempts that need not be brought again.
    fn brought(&self, image: &Image) -> BTreeSet<String> {
        let staged = image.files().filter_map(|(path, _)| {
            path.strip_prefix("env/")?.strip_suffix("/arriving-staged").map(str::to_owned)
        });
        let staged: BTreeSet<_> = staged.collect();
        let found = image.files().filter_map(|(path, _)| {
            let (dir, name) = path.strip_prefix("env/")?.rsplit_once('/')?;
            let is_of_attempt = staged.contains(dir.rsplit('/').next()?);
            let is_it = self.files.get(name)? == &*image.read(path)?;
            (is_of_attempt && is_it).then(|| name.to_owned())
        });
        found.collect()
    }

    /// What must be true after a crash; then the restore is made once more. Returns how many files were there.
    fn check(&self, image: &Image, done: u64) -> Result<u64, String> {
        let disk = SimDisk::from_image(image);
        let found = self.opened(&disk)?;
        let is_new = found.as_ref() == Some(&self.new);
        if !is_new && (found != self.old || done > 0) {
            return Err("it holds something else".into());
        }
        if is_new {
            return Ok(0);
        }
        let brought = self.brought(&disk.image()).len() as u64;
        let report = self.restore(&disk).map_err(|error| error.to_string())?;
        if report.taken_files != brought {
            return Err(format!("{} files were taken, {brought} were there", report.taken_files));
        }
        match self.opened(&disk)? {
            Some(found) if found == self.new => Ok(brought),
            _ => Err("restored once more, it holds something else".into()),
        }
    }

    /// Crashes a restore of what is on a disk everywhere. Returns the number of states.
    fn sweep(
        &self,
        start: &Image,
        each: &mut dyn FnMut(&CrashImage, u64) -> Result<(), String>,
    ) -> Result<usize, String> {
        let disk = SimDisk::from_image(start);
        self.restore(&disk).map_err(|error| error.to_string())?;
        disk.mark("done", 1);
        let trace = disk.trace();
        let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
        while let Some(cut) = cuts.next_cut() {
            let done = cut.mark("done").unwrap_or(0);
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    if seen.insert((crashed.image.hash(), done)) {
                        let told = |what| format!("cut {}: {what}; {crashed}", cut.position());
                        each(&crashed, done).map_err(told)?;
                    }
                }
            }
        }
        Ok(seen.len())
    }
}

/// Invariant 6 of the repository, of a restore that was cut short twice.
#[test]
fn a_restore_that_was_cut_short_anywhere_goes_on_with_what_it_has_brought() {
    for (directories, in_place) in [(0, false), (2, false), (0, true), (2, true)] {
        let case = Case::new(directories, in_place);
        let (mut taken, mut nth, mut nested) = (BTreeSet::new(), 0, 0);
        let states = case.sweep(&case.start, &mut |crashed, done| {
            let brought = case.check(&crashed.image, done)?;
            if brought > 0 && taken.insert(brought) || nth % 193 == 192 && done == 0 {
                nested += case.sweep(&crashed.image, &mut |again, done| {
                    case.check(&again.image, done).map(drop)
                })?;
            }
            nth += 1;
            Ok(())
        });
        let what = format!("{directories} data directories, in place: {in_place}");
        let states = states.unwrap_or_else(|problem| panic!("{what}: {problem}"));
        assert!(states > 150 && nested > 300, "{what}: {states}, {nested}");
        assert!(taken.len() > 2, "{what}: {taken:?}");
    }
}

/// A restore that was killed when it had brought so much.
fn killed(case: &Case) -> Image {
    let disk = SimDisk::from_image(&case.start);
    case.restore(&disk).unwrap();
    let trace = disk.trace();
    let mut cuts = trace.cuts();
    let mut best = (0, case.start.clone());
    while let Some(cut) = cuts.next_cut() {
        for crashed in cut.crash().images(Level::KeepAll, &Bounds::smoke()) {
            let brought = case.brought(&crashed.image).len();
            if brought >= best.0 {
                best = (brought, crashed.image);
            }
        }
    }
    assert!(best.0 > 2, "{}", best.0);
    best.1
}

#[test]
fn what_was_brought_and_is_damaged_is_brought_again() {
    for directories in [0, 2] {
        let case = Case::new(directories, false);
        let image = killed(&case);
        let all = case.brought(&image).len() as u64;
        let logs =
            image.files().filter(|(path, _)| path.starts_with("env/") && path.ends_with(".log"));
        let logs: Vec<_> = logs.map(|(path, _)| path.to_owned()).collect();
        let damages: [fn(&mut Vec<u8>); 4] = [
            |bytes| bytes[0] ^= 1,
            |bytes| {
                let half = bytes.len() / 2;
                bytes[half] ^= 0x80;
            },
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| bytes.push(0),
        ];
        for damage in damages {
            for path in &logs {
                let damaged = image.with_edit(path, damage);
                assert_eq!(case.check(&damaged, 0).unwrap(), all - 1, "{path}");
            }
            let damaged =
                logs.iter().fold(image.clone(), |image, path| image.with_edit(path, damage));
            assert_eq!(case.check(&damaged, 0).unwrap(), 0);
        }
        let swapped = image.with_swapped(&logs[0], &logs[1]);
        assert_eq!(case.check(&swapped, 0).unwrap(), all - 2);
    }
}

#[test]
fn an_attempt_whose_names_may_not_be_durable_counts_for_nothing() {
    let case = Case::new(2, false);
    let image = killed(&case);
    let generation =
        image.files().find_map(|(path, _)| path.strip_suffix("arriving-staged")).unwrap();
    let without = image.without(&format!("{generation}arriving-staged"));
    assert_eq!(case.check(&without, 0).unwrap(), 0);
}

#[test]
fn another_backup_takes_of_an_attempt_only_what_is_its_own() {
    let case = Case::new(0, false);
    let disk = SimDisk::from_image(&killed(&case));
    let (other, saved) = (MemDisk::new(), MemDisk::new().root());
    let (env, _) =
        Environment::open_in(other.root(), SimWorld::new(77).world(), options()).unwrap();
    fill(&env, 900, 25);
    backup_to(&env, &saved, &world(), &BackupOptions::default()).unwrap();
    let how = RestoreOptions::default().options(options());
    let report = restore_from(&saved, &below(&disk, "env"), &world(), &how).unwrap();
    assert_eq!(report.taken_files, 0);
    assert_eq!(case.opened(&disk).unwrap(), Some(content(&env)));
}

/// A full disk is no reason to begin anew: what is there needs no room.
#[test]
fn what_is_there_is_not_asked_room_for() {
    let source = MemDisk::new();
    let env = open(&source);
    fill(&env, 0, 100);
    let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
    let report = repository.backup(&env, &PointOptions::default()).unwrap();
    let target = SimDisk::new();
    let faults = FaultDisk::on_sim(&target, 0);
    faults.give_room(report.bytes + (24 << 10));
    let how = || RestoreOptions::default().options(options());
    let restore = || {
        let dir = faults.root();
        repository.restore_in(None, &Which::Newest, &dir, &world(), &how())
    };
    faults.inject(Rule::new(Fault::Eio).op(IoOp::Write).nth(7));
    restore().unwrap_err();
    faults.clear();
    let again = restore().unwrap();
    assert!(again.taken_bytes > 24 << 10, "{again:?}");
    let opened = Environment::open_in(target.root(), world(), options()).unwrap();
    assert_eq!(content(&opened.0), content(&env));
}

/// A repository is asked for nothing that is there.
#[test]
fn of_a_repository_what_is_there_is_not_read() {
    let source = MemDisk::new();
    let env = open(&source);
    fill(&env, 0, 100);
    let place = MemDisk::new();
    let repository = Repository::create_in(local(place.root()), &world()).unwrap();
    repository.backup(&env, &PointOptions::default()).unwrap();
    let target = MemDisk::new();
    let cancel = cairn_backup::Cancel::new();
    let tell = |progress: cairn_backup::Progress| {
        if progress.done * 2 > progress.total {
            cancel.cancel();
        }
    };
    let how = RestoreOptions::default().options(options());
    let pace = cairn_backup::Pace::default().cancel(&cancel);
    let cut_short = how.clone().pace(pace).progress(&tell);
    let restored =
        repository.restore_in(None, &Which::Newest, &target.root(), &world(), &cut_short);
    restored.unwrap_err();
    let faults = FaultDisk::new(place.root());
    let again = Repository::open_in(local(faults.root()), &world()).unwrap();
    let reads = |target: &MemDisk| {
        let before = faults.calls_of(IoOp::Read);
        let report = again.restore_in(None, &Which::Newest, &target.root(), &world(), &how);
        (report.unwrap(), faults.calls_of(IoOp::Read) - before)
    };
    let (all, rest) = (reads(&MemDisk::new()).1, reads(&target));
    let taken = rest.0.taken_files;
    assert!(taken > 0 && rest.1 + taken <= all, "{taken} taken, {} of {all}", rest.1);
    assert!(kept_generation(target.root()).unwrap().is_none());
    assert_eq!(content(&open(&target)), content(&env));
}
