//! Data directories: a backup records which file lies where, and a restore puts it there again.

use cairn_backup::{
    BackupOptions, BackupResult, Manifest, RestoreOptions, RestoreReport, backup_to, restore_from,
};
use cairn_env::{Environment, ErrorKind, forget_old_generation, kept_generation, undo_restore};
use cairn_io::MemDisk;
use cairn_sim::{Image, SimWorld};

use crate::fixture::{Content, content, dir, fill, open, options, world};

#[test]
fn a_restore_keeps_each_file_in_its_directory() {
    let disk = MemDisk::new();
    let spread = options().data_directories(3);
    let (env, _) = Environment::open_in(disk.root(), world(), spread).unwrap();
    fill(&env, 0, 80);
    env.checkpoint().unwrap();
    fill(&env, 40, 80);
    let (saved, back) = (MemDisk::new(), MemDisk::new());
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    let expected = content(&env);
    let manifest = Manifest::read(&*saved.root()).unwrap();
    assert_eq!(manifest.cut.directories, 3);
    restore_from(&dir(&saved), &dir(&back), &world(), &RestoreOptions::default()).unwrap();
    let image = Image::of(&back);
    for file in &manifest.files {
        let path = format!("data00{}/g-000001/{}", file.directory, file.name);
        assert!(image.read(&path).is_some(), "no {path}");
    }
    // Nobody has to say how many there are.
    let (env, _) = Environment::open_in(back.root(), world(), options()).unwrap();
    assert_eq!(content(&env), expected);
    fill(&env, 500, 30);
    env.close().unwrap();
    let (env, _) = Environment::open_in(back.root(), world(), options()).unwrap();
    assert_eq!(content(&env)["db"].len(), 150);
}

fn spread(disk: &MemDisk, seed: u64, count: u16) -> Environment {
    let (world, options) = (SimWorld::new(seed).world(), options().data_directories(count));
    Environment::open_in(disk.root(), world, options).unwrap().0
}

fn full() -> BackupOptions<'static> {
    BackupOptions::default()
}

/// A backup of an environment in `count` data directories, and what it holds.
fn saved(seed: u64, count: u16) -> (MemDisk, Content) {
    let (disk, saved) = (MemDisk::new(), MemDisk::new());
    let env = spread(&disk, seed, count);
    fill(&env, 0, 30);
    backup_to(&env, &dir(&saved), &world(), &full()).unwrap();
    (saved, content(&env))
}

fn in_place(saved: &MemDisk, disk: &MemDisk) -> BackupResult<RestoreReport> {
    let how = RestoreOptions::default().options(options()).in_place(true).other_environment(true);
    restore_from(&dir(saved), &dir(disk), &world(), &how)
}

#[test]
fn in_place_the_environment_gets_as_many_directories_as_the_backup() {
    for (into, from) in [(3, 3), (1, 3), (3, 1), (0, 2), (2, 0)] {
        let (disk, (saved, theirs)) = (MemDisk::new(), saved(4, from));
        let env = spread(&disk, 3, into);
        fill(&env, 10, 60);
        let ours = content(&env);
        env.close().unwrap();
        // An empty disk is there for the directories to come.
        disk.create_dirs("data003/lost+found").unwrap();
        in_place(&saved, &disk).unwrap();
        let holds = || {
            let env = open(&disk);
            (content(&env), env.data_directories().unwrap().len())
        };
        assert_eq!(holds(), (theirs.clone(), from.into()));
        let kept = kept_generation(disk.root()).unwrap().unwrap();
        assert_eq!((kept.current, kept.kept), (2, 1));
        assert!(kept.files > u64::from(into) + 1 && kept.bytes > 10_000, "{kept:?}");
        undo_restore(disk.root()).unwrap();
        assert_eq!(holds(), (ours, into.into()));
        undo_restore(disk.root()).unwrap();
        let gone = forget_old_generation(disk.root(), &world(), options()).unwrap();
        assert_eq!((gone.generations, gone.files, gone.bytes), (1, kept.files, kept.bytes));
        assert!(disk.dirs().iter().all(|path| !path.ends_with("g-000001")), "{:?}", disk.dirs());
        assert!(disk.dirs().contains(&"data003/lost+found".to_owned()));
        let env = open(&disk);
        fill(&env, 200, 20);
        env.close().unwrap();
        assert_eq!(content(&open(&disk))["db"].len(), theirs["db"].len() + 20);
    }
}

/// A disk of another environment, mounted where one of ours should be, or where one is to come.
#[test]
fn a_data_directory_of_a_stranger_is_refused_and_not_touched() {
    let (saved, theirs) = saved(4, 3);
    let stranger = MemDisk::new();
    let env = spread(&stranger, 5, 3);
    fill(&env, 0, 60);
    env.close().unwrap();
    let mount = |disk: &MemDisk| {
        for (path, _) in
            stranger.files().into_iter().filter(|(path, _)| path.starts_with("data002/"))
        {
            disk.create_dirs(path.rsplit_once('/').unwrap().0).unwrap();
            disk.write(&path, stranger.read(&path).unwrap()).unwrap();
        }
    };
    let refused = |result: BackupResult<RestoreReport>| {
        let error = result.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{said}");
        for part in ["data002", "it holds g-000001", "which nothing here knows"] {
            assert!(said.contains(part), "{part:?}: {said}");
        }
    };
    // In place, over one without data directories, and over one that has lost its own.
    for count in [0, 3] {
        let disk = MemDisk::new();
        let env = spread(&disk, 3, count);
        fill(&env, 0, 60);
        env.close().unwrap();
        for (path, _) in disk.files().into_iter().filter(|(path, _)| path.starts_with("data002/")) {
            disk.remove(&path).unwrap();
        }
        mount(&disk);
        let before = disk.files();
        refused(in_place(&saved, &disk));
        let locks =
            |files: Vec<(String, u64)>| files.into_iter().filter(|(path, _)| path != "LOCK");
        assert!(locks(disk.files()).eq(locks(before)));
    }
    // Into a directory in which a restore was cut short.
    let disk = MemDisk::new();
    disk.write("RESTORING", b"a restore".to_vec()).unwrap();
    mount(&disk);
    refused(restore_from(&dir(&saved), &dir(&disk), &world(), &RestoreOptions::default()));
    assert!(disk.files().iter().any(|(path, _)| path.ends_with(".log")));
    // A link or a file in the way has its own error.
    let disk = MemDisk::new();
    spread(&disk, 3, 1).close().unwrap();
    disk.write("data002", b"a file".to_vec()).unwrap();
    let error = in_place(&saved, &disk).unwrap_err();
    assert!(error.to_string().contains("links are not followed"), "{error}");
    disk.remove("data002").unwrap();
    in_place(&saved, &disk).unwrap();
    assert_eq!(content(&open(&disk)), theirs);
}

/// A restored copy has the uuid of the original, and files of the same numbers.
#[test]
fn log_files_swapped_with_a_restored_copy_are_refused_unless_they_are_the_same() {
    let (saved, _) = saved(4, 2);
    let (one, two) = (MemDisk::new(), MemDisk::new());
    let mut contents = Vec::new();
    for (seed, disk) in (10..).zip([&one, &two]) {
        let world = SimWorld::new(seed).world();
        restore_from(&dir(&saved), &dir(disk), &world, &RestoreOptions::default()).unwrap();
        let (env, _) = Environment::open_in(disk.root(), world, options()).unwrap();
        fill(&env, 100 * u32::try_from(seed).unwrap(), 40);
        env.checkpoint().unwrap();
        fill(&env, 100, 4);
        contents.push(content(&env));
        env.close().unwrap();
    }
    let logs = |disk: &MemDisk| {
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".log"))
    };
    let number = |path: &str| path.rsplit('-').next().unwrap().to_owned();
    let (mut refused, mut harmless) = (0, 0);
    for path in logs(&one).collect::<Vec<_>>() {
        let Some(theirs) = logs(&two).find(|other| number(other) == number(&path)) else {
            continue;
        };
        // In place of it under its own name, and under that which it had.
        for name in [path.clone(), theirs.clone()] {
            let disk = one.fork();
            disk.remove(&path).unwrap();
            disk.create_dirs(name.rsplit_once('/').unwrap().0).unwrap();
            disk.write(&name, two.read(&theirs).unwrap()).unwrap();
            match Environment::open_in(disk.root(), world(), options()) {
                Ok((env, _)) => {
                    assert_eq!(content(&env), contents[0], "{path} as {name}");
                    harmless += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    // A checkpoint of theirs can stand at the very place of ours: then it is another file that it does not know.
                    let text = error.to_string();
                    assert!(
                        text.contains(number(&path).trim_end_matches(".log"))
                            || text.contains("the checkpoint knows another file"),
                        "{error}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 2 && harmless > 2, "{refused} refused, {harmless} harmless");
}
