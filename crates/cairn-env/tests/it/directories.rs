//! Data directories: files take turns, each misplaced or missing thing has its own error, and no crash
//! makes a difference.

use cairn_env::{EnvError, EnvResult, Environment, Options, repair_in};
use cairn_io::MemDisk;
use cairn_sim::{Bounds, Image, Level, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

fn spread() -> Options {
    small_options().data_directories(3)
}

fn fill(test: &TestEnv, rounds: std::ops::Range<u32>) {
    let db = test.db("db");
    for round in rounds {
        test.env()
            .write(|txn| {
                (0..30u32).try_for_each(|n| {
                    let len = if n == round % 30 { 1500 } else { 60 };
                    txn.put(&db, &ordered(n * 3 % 80), &vec![u8::try_from(round).unwrap(); len])
                })
            })
            .unwrap();
        if round % 4 == 3 {
            test.env().checkpoint().unwrap();
        }
    }
}

fn sample(seed: u64) -> (Image, Model) {
    let mut test = TestEnv::seeded(SimDisk::new(), spread(), seed);
    fill(&test, 0..30);
    let model = content(test.env()).unwrap();
    test.close();
    (test.disk.image(), model)
}

fn open(image: &Image) -> EnvResult<Model> {
    let disk = SimDisk::from_image(image);
    let (env, _) = Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options())?;
    content(&env)
}

fn logs(image: &Image) -> Vec<String> {
    let files = image.files().map(|(path, _)| path.to_owned());
    files.filter(|path| path.ends_with(".log")).collect()
}

fn needed(image: &Image) -> Vec<String> {
    logs(image).into_iter().filter(|path| open(&image.without(path)).is_err()).collect()
}

fn refused(image: &Image, parts: &[&str]) {
    let error = open(image).expect_err("something is wrong with it");
    assert_eq!(error.kind(), cairn_env::ErrorKind::Corrupt, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?}: {error}");
    }
}

#[test]
fn files_of_all_classes_take_turns_and_everything_works_as_in_one() {
    let mut test = TestEnv::new(spread());
    fill(&test, 0..30);
    test.env().compact().unwrap();
    fill(&test, 30..60);
    let model = content(test.env()).unwrap();
    let trace = test.disk.trace().to_string();
    for directory in 1..=3 {
        for class in ["J-", "N-"] {
            let there = format!("data00{directory}/g-000001/{class}");
            assert!(trace.contains(&there), "no {there}");
        }
    }
    test.kill();
    assert!(content(test.env()).unwrap() == model);
    test.options = small_options(); // the number is part of the environment
    test.reopen();
    assert!(content(test.env()).unwrap() == model);
    test.put("db", b"one more", b"value");
    test.env().checkpoint().unwrap();
    let image = test.disk.image();
    assert!(logs(&image).iter().all(|path| path.starts_with("data00")));
    let (image, _) = sample(7);
    let disk = SimDisk::from_image(&image);
    let world = SimWorld::new(5);
    let other = small_options().data_directories(2);
    let error = Environment::open_in(disk.root(), world.world(), other).unwrap_err();
    assert!(error.to_string().contains("has 3 data directories, not 2"), "{error}");
    let many = Options::default().data_directories(1000);
    let error = Environment::in_memory(many).unwrap_err();
    assert!(error.to_string().contains("at most 999"), "{error}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a directory is moved away as its owner would do it")]
fn a_missing_or_wrong_directory_is_named() {
    let (image, model) = sample(7);
    assert!(open(&image).unwrap() == model);
    let (other, _) = sample(8);
    refused(&image.without("data002"), &["data002", "missing", "3 of them"]);
    let label = |number| format!("data00{number}/g-000001/DIR");
    refused(&image.without(&label(2)), &["data002", "DIR is missing"]);
    let unmounted = image.without("data002").with_file("data002/lost+found/x", vec![1]);
    refused(&unmounted, &["data002", "g-000001 is missing", "mounted"]);
    refused(&image.with_bit_flipped(&label(2), 300), &["data002", "DIR is damaged"]);
    refused(
        &image.with_swapped(&label(1), &label(3)),
        &["data001", "it is data003 of this environment"],
    );
    let foreign = other.read(&label(2)).unwrap();
    refused(
        &image.with_file(&label(2), foreign.clone()),
        &["data002", "belongs to the environment"],
    );
    let elsewhere = image.without("data002").with_file("data002/g-000005/DIR", foreign);
    refused(&elsewhere, &["data002", "g-000001 is missing; is its disk mounted"]);
    // Version 1 had the label beside the generation directories.
    let old = image.without(&label(2)).with_file("data002/DIR", vec![1]);
    let error = open(&old).unwrap_err();
    assert!(matches!(error, EnvError::Unsupported { .. }), "{error}");
    assert!(
        error.to_string().contains("data002/DIR needs data directories of version 1"),
        "{error}"
    );
    // A file or a link in its place.
    let file = image.without("data002").with_file("data002", vec![1]);
    refused(&file, &["data002", "no directory"]);
    let dir = tempfile::tempdir().unwrap();
    let (root, aside) = (dir.path().join("env"), dir.path().join("aside"));
    Environment::open(&root, Options::default().data_directories(2)).unwrap().0.close().unwrap();
    std::fs::rename(root.join("data002"), &aside).unwrap();
    std::os::unix::fs::symlink(&aside, root.join("data002")).unwrap();
    let error = Environment::open(&root, Options::default()).unwrap_err();
    assert!(error.to_string().contains("links are not followed"), "{error}");
}

#[test]
fn a_misplaced_missing_or_foreign_file_is_named() {
    let (image, _) = sample(7);
    let (other, _) = sample(8);
    let needed = needed(&image);
    assert!(needed.len() >= 3, "{needed:?}");
    for path in &needed {
        let (dir, name) = (path.split('/').next().unwrap(), path.rsplit('/').next().unwrap());
        let number = name.trim_end_matches(".log").rsplit('-').next().unwrap();
        refused(&image.without(path), &[number, dir]);
        let bytes = image.read(path).unwrap();
        for place in ["data001", "data002", "data003"].into_iter().filter(|place| *place != dir) {
            let to = path.replace(dir, place);
            let moved = image.without(path).with_file(&to, bytes.clone());
            refused(&moved, &[name, "data directory", dir, place]);
            let twice = image.with_file(&to, bytes.clone());
            refused(&twice, &[name, "same number"]);
        }
        if let Some(foreign) = other.read(path) {
            refused(&image.with_file(path, foreign), &[name, "environment"]);
        }
    }
}

#[test]
fn a_repair_finds_the_files_wherever_they_lie() {
    let (image, model) = sample(7);
    for damaged in [
        image.without("CURRENT").without("g-000001"),
        image.without("data001/g-000001/DIR").without("data002/g-000001/DIR"),
        image.without("CURRENT"),
    ] {
        let (source, target) = (damaged.to_mem(), MemDisk::new());
        let world = SimWorld::new(3);
        let report = repair_in(source.root(), target.root(), world.world(), spread()).unwrap();
        assert!(report.is_complete(), "{report:#?}");
        let (env, _) = Environment::open_in(target.root(), world.world(), spread()).unwrap();
        assert!(content(&env).unwrap() == model);
    }
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_acknowledged() {
    let mut test = TestEnv::new(spread());
    let mut states = vec![Model::new()];
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    test.disk.mark("acknowledged", 1);
    for i in 0..36u32 {
        test.env()
            .write(|txn| {
                (0..6u32).try_for_each(|n| {
                    let len = if n == 3 { 1400 } else { 90 };
                    let key = ordered((i * 5 + n) % 40);
                    txn.put(&db, &key, &vec![u8::try_from(i).unwrap(); len])
                })
            })
            .unwrap();
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", states.len() as u64 - 1);
        match i % 12 {
            5 => drop(test.env().checkpoint().unwrap()),
            11 => drop(test.env().compact().unwrap()),
            _ => {}
        }
    }
    test.close();
    let images = sweep(&test.disk, &spread(), &states, &mut |_, _| ());
    assert!(images > 2000, "only {images} states");
}

/// The sync of the names in each data directory is needed: without it, a crash takes a file away that
/// a checkpoint or the journal refers to.
#[test]
fn after_a_crash_in_a_second_run_the_first_write_finds_all_it_needs() {
    let mut test = TestEnv::new(spread());
    fill(&test, 0..6);
    test.kill();
    let before = content(test.env()).unwrap();
    test.put("db", b"key", b"value");
    let after = content(test.env()).unwrap();
    test.disk.mark("acknowledged", 1);
    let trace = test.disk.trace();
    let (mut cuts, mut images) = (trace.cuts(), 0);
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                images += 1;
                let found =
                    open(&crashed.image).unwrap_or_else(|error| panic!("{crashed}: {error}"));
                let acknowledged = cut.mark("acknowledged").is_some();
                assert!(found == after || !acknowledged && found == before, "{crashed}");
            }
        }
    }
    assert!(images > 20, "only {images} states");
    test.close();
}
