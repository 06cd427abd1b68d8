//! Directories and files that are not what they should be: each gets its own error, which names the
//! file, and nothing is destroyed.

use cairn_env::{
    DatabaseOptions, EnvError, EnvResult, Environment, ErrorKind, Finding, MAX_KEY_LEN,
    MAX_VALUE_LEN, Options, VerifyOptions,
};
use cairn_io::{FileExt, Name};
use cairn_sim::{Image, SimDisk, SimWorld};

use crate::fixture::{TestEnv, content, ordered, small_options};

fn open(image: &Image) -> EnvResult<Environment> {
    let disk = SimDisk::from_image(image);
    Ok(Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options())?.0)
}

/// Opens and reads everything; the first error.
fn first_error(image: &Image) -> EnvError {
    let disk = SimDisk::from_image(image);
    let result = Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options());
    let error = match result {
        Ok((env, _)) => content(&env).map(drop).expect_err("something is wrong with it"),
        Err(error) => error,
    };
    assert_eq!(disk.image().hash(), image.hash(), "nothing is changed: {error}");
    error
}

/// A closed environment with several files of each kind, and one that was killed.
fn samples() -> [Image; 2] {
    seeded_samples(7)
}

fn seeded_samples(seed: u64) -> [Image; 2] {
    [false, true].map(|killed| {
        let mut test = TestEnv::seeded(SimDisk::new(), small_options(), seed);
        for i in 0..200u32 {
            let large = vec![7; 20 * usize::try_from(i).unwrap()];
            test.put("db", &i.to_le_bytes(), &large);
            if i == 100 {
                test.env().checkpoint().unwrap();
            }
        }
        if killed {
            let image = test.disk.image();
            std::mem::forget(test.env.take());
            image
        } else {
            test.close();
            test.disk.image()
        }
    })
}

fn logs(image: &Image, class: char) -> Vec<String> {
    let logs = image.files().map(|(path, _)| path.to_owned());
    logs.filter(|path| path.contains(&format!("/{class}-"))).collect()
}

fn names(error: &EnvError, path: &str) {
    let name = path.rsplit('/').next().unwrap();
    let number = name.trim_end_matches(".log").rsplit('-').next().unwrap();
    let text = error.to_string();
    assert!(text.contains(name) || text.contains(number), "{text} does not name {name}");
}

#[test]
fn a_directory_of_something_else_is_no_environment() {
    let disk = SimDisk::new();
    let file = disk.root().create(&Name::new("notes.txt").unwrap()).unwrap();
    file.write_all_at(0, b"mine").unwrap();
    let image = disk.image();
    let error = open(&image).unwrap_err();
    assert!(matches!(error, EnvError::NotAnEnvironment { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, b"mine").unwrap();
    for (path, options) in [
        (path, Options::default()),
        (dir.path().join("missing"), Options::default().create(false)),
        (dir.path().join("missing/below"), Options::default()),
    ] {
        let error = Environment::open(&path, options).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was created");
}

#[test]
fn a_missing_file_is_named() {
    for image in samples() {
        let (journals, nodes) = (logs(&image, 'J'), logs(&image, 'N'));
        assert!(journals.len() > 2 && !nodes.is_empty());
        let stats = open(&image).unwrap().stats().unwrap();
        assert!(stats.live_bytes > 0);
        let mut refused = 0;
        for path in journals.iter().chain(&nodes) {
            let damaged = image.without(path);
            match open(&damaged) {
                Ok(env) => {
                    // Dead files may be gone; then nothing is missing.
                    assert_eq!(content(&env).unwrap()["db"].len(), 200, "{path}");
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, EnvError::MissingFile { .. }), "{path}: {error}");
                    names(&error, path);
                }
            }
        }
        assert!(refused >= journals.len(), "{refused} of {journals:?} {nodes:?}");
        let state = first_error(&image.without("g-000001/STATE"));
        assert!(matches!(state, EnvError::NeedsRepair { .. }), "{state}");
        let current = first_error(&image.without("CURRENT"));
        assert!(matches!(current, EnvError::NotAnEnvironment { .. }), "{current}");
    }
}

#[test]
fn a_file_of_the_wrong_length_is_named() {
    for image in samples() {
        for path in logs(&image, 'J').iter().chain(&logs(&image, 'N')) {
            let len = image.read(path).unwrap().len();
            for keep in [0, 1, 4095, 4096, 5000, len / 2, len - 8, len - 1] {
                if keep >= len {
                    continue;
                }
                let damaged = image.with_edit(path, |bytes| bytes.truncate(keep));
                match open(&damaged).and_then(|env| content(&env)) {
                    Ok(content) => {
                        assert_eq!(content["db"].len(), 200, "{path} cut to {keep} of {len}");
                    }
                    Err(error) => names(&error, path),
                }
            }
        }
    }
}

/// A watermark tells how far a journal was durable when a record was written. A scan that stops at a
/// bad record has seen only the watermarks before it, and took the rest of a finished file for the
/// unwritten end of one in use: `verify` passed over damage to records that recovery does not read.
#[test]
fn verify_finds_a_flipped_bit_in_every_finished_file() {
    let [image, _] = samples();
    let mut finished = 0;
    for path in logs(&image, 'J').iter().chain(&logs(&image, 'N')) {
        let len = image.read(path).unwrap().len();
        for byte in (0..len).step_by(397).chain(len - 72..len) {
            let damaged = image.with_bit_flipped(path, byte * 8 + byte % 8);
            let Ok(env) = open(&damaged) else { continue };
            let report = env.verify(&VerifyOptions::new()).unwrap();
            let name = path.rsplit('/').next().unwrap();
            let named = |finding: &Finding| finding.file.as_deref() == Some(name);
            assert!(report.findings.iter().any(named), "{path}, byte {byte}: {report:?}");
            finished += 1;
        }
    }
    assert!(finished > 100, "{finished}");
}

#[test]
fn swapped_files_and_files_of_another_environment_are_named() {
    let [one, _] = samples();
    let [other, _] = seeded_samples(8);
    let all: Vec<String> = logs(&one, 'J').into_iter().chain(logs(&one, 'N')).collect();
    for path in &all {
        for second in all.iter().filter(|second| *second > path) {
            let swapped = one.with_swapped(path, second);
            match open(&swapped).and_then(|env| content(&env)) {
                Ok(content) => assert_eq!(content["db"].len(), 200, "{path} and {second}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
        }
        if let Some(bytes) = other.read(path) {
            let foreign = one.with_file(path, bytes);
            match open(&foreign).and_then(|env| content(&env)) {
                Ok(content) => assert_eq!(content["db"].len(), 200, "{path}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    names(&error, path);
                }
            }
        }
    }
    let state = other.read("g-000001/STATE").unwrap();
    let error = first_error(&one.with_file("g-000001/STATE", state));
    assert!(matches!(error, EnvError::ForeignFile { .. }), "{error}");
}

#[test]
fn an_older_copy_of_a_file_is_named() {
    let mut test = TestEnv::new(small_options());
    for i in 0..60u32 {
        test.put("db", &i.to_le_bytes(), &[7; 200]);
    }
    let before = test.disk.image();
    for i in 60..120u32 {
        test.put("db", &i.to_le_bytes(), &[7; 200]);
    }
    let after = test.disk.image();
    std::mem::forget(test.env.take());
    for (path, _) in before.files().filter(|(path, _)| path.contains("/J-")) {
        let stale = after.with_file(path, before.read(path).unwrap());
        match open(&stale).and_then(|env| content(&env)) {
            Ok(content) => assert_eq!(content["db"].len(), 120, "{path}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
}

#[test]
fn unknown_files_are_left_alone_and_reported() {
    let [image, _] = samples();
    let with = image
        .with_file("g-000001/notes.txt", b"mine".to_vec())
        .with_file("g-000001/N-000000ff.log", vec![0; 10])
        .with_file("lost+found", Vec::new());
    let disk = SimDisk::from_image(&with);
    let (env, report) =
        Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options()).unwrap();
    assert_eq!(report.unknown_files, ["notes.txt"]);
    assert_eq!(report.leftovers, ["N-000000ff.log"]);
    let db = env.find_database("db").unwrap().unwrap();
    env.write(|txn| txn.put(&db, b"more", b"1")).unwrap();
    env.close().unwrap();
    let after = disk.image();
    assert!(after.read("g-000001/notes.txt").is_some());
    assert!(after.read("g-000001/N-000000ff.log").is_none());
}

/// Nodes that no checkpoint was to refer to need no sync, so a crash may leave any part of their file. Without its
/// header such a file was called not ours, and stayed for ever.
#[test]
fn a_file_that_nothing_refers_to_needs_no_header_to_be_ours() {
    let mut test = TestEnv::new(small_options());
    for n in 0..4u32 {
        test.put("db", &ordered(n), &[1; 30]);
        test.env().checkpoint().unwrap();
    }
    test.close();
    let image = test.disk.image();
    let is_there =
        |number: u32| image.files().any(|(path, _)| path.ends_with(&format!("{number:08x}.log")));
    let number = (1..8).find(|number| !is_there(*number)).expect("a file that was removed");
    let path = format!("g-000001/N-{number:08x}.log");
    let disk = SimDisk::from_image(&image.with_file(&path, vec![7; 5000]));
    let (env, report) =
        Environment::open_in(disk.root(), SimWorld::new(5).world(), small_options()).unwrap();
    assert!(report.unknown_files.is_empty(), "{report}");
    assert_eq!(report.leftovers, [&path["g-000001/".len()..]]);
    let db = env.find_database("db").unwrap().unwrap();
    env.write(|txn| txn.put(&db, b"more", b"1")).unwrap();
    env.close().unwrap();
    assert!(disk.image().read(&path).is_none());
}

#[test]
fn a_newer_format_is_unsupported_and_not_called_damaged() {
    let [image, _] = samples();
    let current = String::from_utf8(image.read("CURRENT").unwrap().to_vec()).unwrap();
    let newer =
        image.with_file("CURRENT", current.replace("environment 1", "environment 3").into_bytes());
    assert_eq!(first_error(&newer).kind(), ErrorKind::Unsupported);
    let path = &logs(&image, 'N')[0];
    let newer = image.with_edit(path, |bytes| {
        bytes[8] = 3; // the version
        let crc = cairn_log::crc32c(&bytes[..4092]);
        bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    });
    match open(&newer).and_then(|env| content(&env)) {
        Ok(content) => assert_eq!(content["db"].len(), 200),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            names(&error, path);
        }
    }
}

#[test]
fn limits_are_exact_and_an_error_changes_nothing() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    let error = test.env().write(|txn| txn.put(&db, &vec![0; MAX_KEY_LEN + 1], b"")).unwrap_err();
    assert_eq!(error.to_string(), "a key of 4097 bytes is too long: at most 4096");
    let mut txn = test.env().begin_write().unwrap();
    let long = vec![0; MAX_VALUE_LEN + 1];
    assert!(matches!(txn.put(&db, b"k", &long), Err(EnvError::ValueTooLong { .. })));
    txn.put(&db, b"k", &long[..1000]).unwrap();
    txn.commit().unwrap();
    for name in [String::new(), "x".repeat(256)] {
        let error = test.env().database(&name, DatabaseOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    test.env().database(&"x".repeat(255), DatabaseOptions::default()).unwrap();
    assert_eq!(content(test.env()).unwrap().len(), 2);
}

#[test]
fn reading_only_works_where_nothing_can_be_written() {
    for image in samples() {
        let disk = SimDisk::from_image(&image);
        let options = small_options().read_only(true);
        let world = SimWorld::new(5);
        let (env, _) = Environment::open_in(disk.root(), world.world(), options.clone()).unwrap();
        let (second, _) = Environment::open_in(disk.root(), world.world(), options).unwrap();
        assert_eq!(content(&env).unwrap(), content(&second).unwrap());
        let db = env.find_database("db").unwrap().unwrap();
        assert!(matches!(env.write(|txn| txn.put(&db, b"k", b"v")), Err(EnvError::ReadOnly)));
        assert!(env.checkpoint().is_err() && env.clean().is_err());
        assert!(env.database("other", DatabaseOptions::default()).is_err());
        drop((env, second));
        assert_eq!(disk.image().hash(), image.hash());
    }
}

#[test]
fn another_file_in_place_of_current_is_damage_and_no_full_disk() {
    for image in samples() {
        let error = first_error(&image.with_swapped("CURRENT", &logs(&image, 'J')[0]));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("CURRENT"), "{error}");
    }
}
