//! Encrypted environments: nothing to read without the key, and nothing to change unnoticed.

use std::collections::BTreeSet;

use cairn_env::{
    DatabaseOptions, EnvError, EnvResult, Environment, ErrorKind, Options, VerifyOptions,
};
use cairn_io::{Access, Name};
use cairn_log::{
    DataKey, DataKeys, Digest, FRAME_LEN, FileSeed, HEADER_LEN, LogFile, RecordKind, Scan, Scanner,
    TAGGED_SEAL_RECORD_LEN, crc32c, layout, nonces,
};
use cairn_sim::{Image, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

/// What stands in keys and values, and nowhere on the disk.
const CANARY: &str = "the-canary-that-nobody-may-read";

fn keys_of(epochs: &[u32]) -> DataKeys {
    let byte = |epoch: u32| epoch.to_le_bytes()[0] ^ 0x5a;
    DataKeys::new(epochs.iter().map(|&epoch| (epoch, DataKey::new([byte(epoch); 32])))).unwrap()
}

fn encrypted() -> Options {
    small_options().encryption(keys_of(&[1]))
}

fn open(image: &Image, options: Options) -> EnvResult<Environment> {
    let disk = SimDisk::from_image(image);
    Ok(Environment::open_in(disk.root(), SimWorld::new(5).world(), options)?.0)
}

/// Values small and large, old and new, moved by the cleaner, and a few files of each class. The images are
/// those after each step.
fn history(options: Options) -> (TestEnv, Vec<Image>) {
    let mut test = TestEnv::new(options);
    let mut images = Vec::new();
    steps(&mut test, &mut |image| images.push(image.clone()));
    let mut images: Vec<_> = images.into_iter().step_by(40).collect();
    test.close();
    images.push(test.disk.image());
    (test, images)
}

fn steps(test: &mut TestEnv, note: &mut dyn FnMut(&Image)) {
    for round in 0..6u32 {
        for i in 0..40u32 {
            let len = if i % 5 == 0 { 3000 } else { 40 };
            let value = format!("{CANARY} {round} {i} {}", "x".repeat(len));
            test.put("db", &ordered((i * 7 + round * 13) % 150), value.as_bytes());
            note(&test.disk.image());
        }
        test.put("db", CANARY.as_bytes(), CANARY.as_bytes());
        match round {
            1 | 3 => drop(test.env().checkpoint().unwrap()),
            2 => test.reopen(),
            4 => drop(test.env().clean().unwrap()),
            _ => {}
        }
        note(&test.disk.image());
    }
}

fn closed() -> (Image, Vec<Image>) {
    let (test, images) = history(encrypted());
    (test.disk.image(), images)
}

#[test]
fn an_environment_opens_with_its_keys_and_is_refused_by_name_without() {
    let (image, _) = closed();
    let env = open(&image, encrypted()).unwrap();
    assert_eq!(env.stats().unwrap().key_epoch, 1);
    let found = content(&env).unwrap();
    drop(env);
    let (plain, _) = history(small_options());
    let plain = plain.disk.image();
    let env = open(&plain, small_options()).unwrap();
    assert_eq!(env.stats().unwrap().key_epoch, 0);
    assert!(content(&env).unwrap() == found, "the same history with and without encryption");
    drop(env);

    let error = |image: &Image, options: Options| open(image, options).unwrap_err();
    let without = error(&image, small_options());
    assert!(matches!(without, EnvError::KeyRequired { epoch: 1, .. }), "{without}");
    let other_epoch = error(&image, small_options().encryption(keys_of(&[2])));
    assert!(matches!(other_epoch, EnvError::KeyRequired { epoch: 1, .. }), "{other_epoch}");
    let unasked = error(&plain, encrypted());
    assert!(matches!(unasked, EnvError::NotEncrypted { .. }), "{unasked}");
    for error in [without, other_epoch, unasked] {
        assert_eq!(error.kind(), ErrorKind::Key);
    }
    for n in 0..2000u32 {
        let mut bytes = [0x5a; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        let wrong = DataKeys::new([(1, DataKey::new(bytes))]).unwrap();
        let error = error(&image, small_options().encryption(wrong));
        assert!(matches!(error, EnvError::WrongKey { epoch: 1, .. }), "{error}");
    }
}

#[test]
fn nothing_that_was_put_can_be_read_on_the_disk() {
    let (image, images) = closed();
    let (plain, _) = history(small_options());
    let shows = |image: &Image| {
        let names = ["db", CANARY, &CANARY[..12]];
        image.files().any(|(path, _)| {
            let bytes = image.read(path).unwrap();
            names[1..].iter().any(|text| bytes.windows(text.len()).any(|w| w == text.as_bytes()))
        })
    };
    assert!(shows(&plain.disk.image()), "it would be found");
    assert!(images.iter().chain([&image]).all(|image| !shows(image)));
}

#[test]
fn what_a_crash_leaves_shows_nothing_and_recovers() {
    let mut test = TestEnv::new(encrypted());
    let mut states = vec![Model::new()];
    test.disk.mark("acknowledged", 0);
    let db = test.db("db");
    states.push(content(test.env()).unwrap());
    for i in 0..8u32 {
        let value = format!("{CANARY} {i} {}", "y".repeat(if i == 3 { 2000 } else { 20 }));
        test.put("db", &ordered(i), value.as_bytes());
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", u64::from(i) + 2);
        if i == 4 {
            test.env().checkpoint().unwrap();
        }
    }
    drop(db);
    std::mem::forget(test.env.take());
    let images = sweep(&test.disk, &encrypted(), &states, &mut |env, _| {
        assert!(env.verify(&VerifyOptions::new()).unwrap().findings.is_empty());
    });
    assert!(images > 50, "{images}");
}

/// The records of a log file: where each begins, and its length.
fn records(image: &Image, path: &str) -> Vec<(usize, usize)> {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let disk = SimDisk::from_image(&image.below(dir));
    let handle = disk.root().open(&Name::new(name).unwrap(), Access::Read).unwrap();
    let file = LogFile::open_any(handle).unwrap();
    let mut scanner = Scanner::new(&file, u64::MAX);
    let mut found = Vec::new();
    while let Scan::Record(record) = scanner.next().unwrap() {
        let number = |n: u64| usize::try_from(n).unwrap();
        found.push((number(record.lsn.offset()), number(record.header.record_len())));
    }
    found
}

/// Makes everything right that can be computed without the key: the checksums of the record at `offset`, and
/// the digest in the seal with its checksums.
fn put_right(bytes: &mut [u8], offset: usize) {
    let crc = crc32c(&bytes[..layout::file_header::CRC.offset]);
    layout::file_header::CRC.set_number(bytes, crc.into());
    let uuid = cairn_log::Uuid(layout::file_header::FILE.of(bytes).try_into().unwrap());
    let put_right = |bytes: &mut [u8], at: usize| {
        let len = usize::try_from(layout::frame::LENGTH.number(&bytes[at..])).unwrap();
        let end = at + FRAME_LEN + len.next_multiple_of(8);
        if end > bytes.len() {
            return;
        }
        let body = crc32c(&bytes[at + FRAME_LEN..end]);
        layout::frame::BODY_CRC.set_number(&mut bytes[at..], body.into());
        let head = crc32c(&bytes[at + 4..at + FRAME_LEN]) ^ FileSeed::of(uuid).at(at as u64);
        layout::frame::HEAD_CRC.set_number(&mut bytes[at..], head.into());
    };
    if offset + FRAME_LEN <= bytes.len() {
        put_right(bytes, offset);
    }
    let seal = bytes.len() - usize::try_from(TAGGED_SEAL_RECORD_LEN).unwrap();
    if bytes[seal + layout::frame::KIND.offset] == RecordKind::SEAL.code() {
        let digest = Digest::of(&bytes[..seal]);
        layout::seal::DIGEST.set_bytes(&mut bytes[seal + FRAME_LEN..], &digest.0);
        put_right(bytes, seal);
    }
}

/// Whether opening, reading everything or verifying finds that `image` is not what was written.
fn is_detected(image: &Image) -> bool {
    let Ok(env) = open(image, encrypted().read_only(true)) else { return true };
    content(&env).is_err() || !env.verify(&VerifyOptions::new()).unwrap().findings.is_empty()
}

fn logs(image: &Image) -> Vec<String> {
    let logs = image.files().map(|(path, _)| path.to_owned());
    logs.filter(|path| path.ends_with(".log")).collect()
}

#[test]
fn each_record_that_is_moved_duplicated_dropped_or_changed_is_detected() {
    let (image, _) = closed();
    assert!(image.total_bytes() >= 64 << 10, "{}", image.total_bytes());
    assert!(!is_detected(&image));
    let mut cases = 0;
    for path in logs(&image) {
        let records = records(&image, &path);
        for (i, &(at, len)) in records.iter().enumerate() {
            let mut check = |what: &str, place: usize, change: &dyn Fn(&mut Vec<u8>)| {
                let changed = image.with_edit(&path, |bytes| {
                    change(bytes);
                    put_right(bytes, place);
                });
                if changed.read(&path) == image.read(&path) {
                    return;
                }
                cases += 1;
                assert!(is_detected(&changed), "{what}: {path}, offset {at}");
            };
            check("dropped", at, &|bytes| bytes[at..at + len].fill(0));
            check("cut out", at, &|bytes| drop(bytes.drain(at..at + len)));
            check("changed", at, &|bytes| bytes[at + len - 9] ^= 1);
            check("other commit", at, &|bytes| bytes[at + layout::frame::SEQUENCE.offset] ^= 1);
            // In place of each of a few others, and doubled behind itself.
            for other in [i + 1, i + 3, i + records.len() - 1] {
                let (to, room) = records[other % records.len()];
                if to != at && len <= room {
                    check("moved", to, &|bytes| {
                        bytes.copy_within(at..at + len, to);
                        bytes[to + len..to + room].fill(0);
                    });
                }
            }
            // What stands behind the end of a journal file does not count, whatever it is.
            if i + 1 < records.len() {
                check("doubled", at + len, &|bytes| {
                    let record = bytes[at..at + len].to_vec();
                    bytes.splice(at + len..at + len, record);
                });
            }
        }
    }
    assert!(cases > 1000, "{cases}");
}

/// A file that has no seal has no digest that vouches for all of it.
#[test]
fn each_record_of_a_journal_that_a_crash_has_cut_is_authentic_or_detected() {
    let mut test = TestEnv::new(encrypted());
    for i in 0..12u32 {
        test.put("db", &ordered(i), &vec![7; if i % 3 == 0 { 1500 } else { 30 }]);
    }
    test.kill();
    test.put("db", b"after", b"the crash");
    test.close();
    let image = test.disk.image();
    assert!(!is_detected(&image));
    let mut cases = 0;
    for path in logs(&image).into_iter().filter(|path| path.contains("/J-")) {
        let records = records(&image, &path);
        let bytes = image.read(&path).unwrap();
        let is_seal = |at: usize| bytes[at + layout::frame::KIND.offset] == RecordKind::SEAL.code();
        if records.last().is_none_or(|(at, _)| is_seal(*at)) {
            continue;
        }
        for (at, len) in records {
            for byte in [at + layout::frame::KIND.offset, at + FRAME_LEN, at + len - 9] {
                let changed = image.with_edit(&path, |bytes| {
                    bytes[byte] ^= 1;
                    put_right(bytes, at);
                });
                cases += 1;
                assert!(is_detected(&changed), "{path}, byte {byte}");
            }
        }
    }
    assert!(cases > 30, "{cases}");
}

/// Errors are written to logs. What they say of damage, as text and as a program prints it, is places and checksums.
#[test]
fn no_error_about_damage_shows_what_was_encrypted() {
    let (image, _) = closed();
    let shows = |text: &str| {
        let numbers: Vec<_> = CANARY[..12].bytes().map(|byte| byte.to_string()).collect();
        text.contains(&CANARY[..12]) || text.contains(&numbers.join(", "))
    };
    assert!(shows(CANARY) && shows(&format!("{:?}", CANARY.as_bytes())));
    let mut errors = 0;
    let mut check = |text: String| {
        errors += 1;
        assert!(!shows(&text), "{text}");
    };
    let paths: Vec<_> = image.files().map(|(path, len)| (path.to_owned(), len)).collect();
    for (path, len) in paths {
        let step = usize::try_from(len / 60).unwrap().max(1);
        for at in (0..usize::try_from(len).unwrap()).step_by(step) {
            let env =
                match open(&image.with_bit_flipped(&path, at * 8), encrypted().read_only(true)) {
                    Ok(env) => env,
                    Err(error) => {
                        check(format!("{error} {error:?}"));
                        continue;
                    }
                };
            check(format!("{env:?} {} {:?}", env.recovery_report(), env.recovery_report()));
            if let Err(error) = content(&env) {
                check(format!("{error} {error:?}"));
            }
            match env.verify(&VerifyOptions::new()) {
                // Whoever has asked for them by the key is told which keys are affected, apart from the problem.
                Ok(report) => report.findings.into_iter().for_each(|one| check(one.problem)),
                Err(error) => check(format!("{error} {error:?}")),
            }
        }
    }
    assert!(errors > 300, "{errors}");
}

#[test]
fn each_header_field_that_is_changed_is_detected() {
    let (image, _) = closed();
    for path in logs(&image) {
        for at in 0..usize::try_from(HEADER_LEN).unwrap() - 4 {
            let field =
                layout::file_header::FIELDS.iter().find(|field| field.range().contains(&at));
            if field.is_none_or(|field| field.name == "PADDING" && at % 256 != 0) {
                continue;
            }
            let changed = image.with_edit(&path, |bytes| {
                bytes[at] ^= 1;
                put_right(bytes, usize::MAX - FRAME_LEN);
            });
            assert!(is_detected(&changed), "{path}, byte {at}");
        }
    }
}

#[test]
fn each_file_that_is_swapped_renamed_missing_or_from_an_earlier_time_is_detected() {
    let (image, images) = closed();
    let logs = logs(&image);
    for one in &logs {
        assert!(is_detected(&image.without(one)) || !is_needed(&image, one), "without {one}");
        for two in logs.iter().filter(|two| one < *two) {
            assert!(is_detected(&image.with_swapped(one, two)), "{one} and {two}");
            let copied = image.with_file(one, image.read(two).unwrap());
            assert!(is_detected(&copied), "{two} as {one}");
        }
        for earlier in &images {
            if let Some(bytes) = earlier.read(one)
                && Some(&bytes) != image.read(one).as_ref()
            {
                assert!(is_detected(&image.with_file(one, bytes)), "{one} as it was");
            }
        }
        // Of the same number and name, from another environment with the same keys.
        let other = TestEnv::seeded(SimDisk::new(), encrypted(), 8);
        assert!(other.disk.image().files().count() > 0);
    }
}

/// Whether the environment needs the file: what it knows it has.
fn is_needed(image: &Image, path: &str) -> bool {
    let env = open(image, encrypted().read_only(true)).unwrap();
    let name = path.rsplit('/').next().unwrap();
    let set = env.begin_backup().unwrap();
    set.files().iter().any(|file| file.name.to_string() == name)
}

#[test]
fn a_file_of_a_twin_with_the_same_keys_is_detected() {
    let (image, _) = closed();
    // A copy of an early state that went on in its own way: same environment, same keys, same numbers.
    let test = TestEnv::new(encrypted());
    let start = test.disk.image();
    drop(test);
    let disk = SimDisk::from_image(&start);
    let world = SimWorld::new(99);
    let (env, _) = Environment::open_in(disk.root(), world.world(), encrypted()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let mut cases = 0;
    for i in 0..800u32 {
        env.write(|txn| txn.put(&db, &ordered(i), &[7; 200])).unwrap();
        if i % 20 != 0 {
            continue;
        }
        env.checkpoint().unwrap();
        let twin = disk.image();
        for path in logs(&image).into_iter().chain(["g-000001/STATE".to_owned()]) {
            if let Some(bytes) = twin.read(&path) {
                cases += 1;
                assert!(is_detected(&image.with_file(&path, bytes)), "{path}");
            }
        }
    }
    assert!(cases > 60, "{cases}");
}

#[test]
fn each_slot_of_the_state_that_is_put_back_is_detected_or_changes_nothing() {
    const STATE: &str = "g-000001/STATE";
    const SLOT: usize = 4096;
    let (image, images) = closed();
    // Every content that each slot had after one of the calls that write it.
    let mut slots: [BTreeSet<Vec<u8>>; 2] = Default::default();
    let mut test = TestEnv::new(encrypted());
    let mut note = |image: &Image| {
        let state = image.read(STATE).unwrap();
        slots[0].insert(state[..SLOT].to_vec());
        slots[1].insert(state[SLOT..].to_vec());
    };
    steps(&mut test, &mut note);
    test.close();
    note(&test.disk.image());
    let (mut detected, mut harmless) = (0, 0);
    for image in images.iter().chain([&image]) {
        let Some(now) = image.read(STATE) else { continue };
        for (place, slots) in slots.iter().enumerate() {
            for slot in slots {
                let range = place * SLOT..(place + 1) * SLOT;
                if now[range.clone()] == slot[..] || slot.iter().all(|&byte| byte == 0) {
                    continue;
                }
                let put_back = image.with_edit(STATE, |bytes| bytes[range].copy_from_slice(slot));
                let before = open(image, encrypted()).map(|env| content(&env).unwrap()).unwrap();
                match open(&put_back, encrypted()) {
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        detected += 1;
                    }
                    // The last write undone, as a crash right before it does: the same commits.
                    Ok(env) => {
                        assert!(content(&env).unwrap() == before);
                        harmless += 1;
                    }
                }
            }
        }
    }
    assert!(detected > 50 && harmless <= 2 * images.len(), "{detected} {harmless}");
    // In each other's place, and with a bit changed and the checksum made right.
    let swapped = image.with_edit(STATE, |bytes| bytes.rotate_left(SLOT));
    assert!(is_detected(&swapped));
    for place in [0, SLOT] {
        for at in 0..SLOT - 4 {
            let changed = image.with_edit(STATE, |bytes| {
                let slot = &mut bytes[place..place + SLOT];
                slot[at] ^= 1;
                let crc = crc32c(&slot[..SLOT - 4]);
                slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
            });
            match open(&changed, encrypted().read_only(true)) {
                Err(error) => assert!(
                    [ErrorKind::Corrupt, ErrorKind::Key, ErrorKind::Unsupported]
                        .contains(&error.kind())
                ),
                // What no state looks like is damage to that slot, and reported.
                Ok(env) => assert!(env.recovery_report().state_slot_damaged, "byte {at}"),
            }
        }
    }
}

#[test]
fn no_nonce_is_used_twice_whatever_crashes_and_is_copied() {
    nonces::watch();
    let mut test = TestEnv::new(encrypted());
    let world = SimWorld::new(77); // one world for all copies, as the randomness of a machine is one
    for round in 0..30u32 {
        for i in 0..20u32 {
            let len = if i % 4 == 0 { 2000 } else { 30 };
            test.put("db", &ordered(i * 31 % 50), &vec![7; len]);
        }
        match round % 5 {
            0 => drop(test.env().checkpoint().unwrap()),
            1 => test.kill(),
            2 => drop(test.env().clean().unwrap()),
            3 => test.reopen(),
            _ => {}
        }
        // A copy of what is there goes on for a while, too.
        let disk = SimDisk::from_image(&test.disk.image());
        let (copy, _) = Environment::open_in(disk.root(), world.world(), encrypted()).unwrap();
        let db = copy.database("db", DatabaseOptions::default()).unwrap();
        for i in 0..10 {
            copy.write(|txn| txn.put(&db, &ordered(i), &[9; 100])).unwrap();
        }
        if round % 3 == 0 {
            std::mem::forget(copy);
        }
    }
    assert!(nonces::count() > 1000, "{}", nonces::count());
}

#[test]
fn a_new_epoch_is_what_new_files_are_written_with_and_old_ones_stay_readable() {
    let mut test = TestEnv::new(encrypted());
    for i in 0..100u32 {
        test.put("db", &ordered(i), &[1; 300]);
    }
    test.close();
    test.options = small_options().encryption(keys_of(&[1, 2]));
    test.open().unwrap();
    for i in 50..150u32 {
        test.put("db", &ordered(i), &[2; 300]);
    }
    assert_eq!(test.env().stats().unwrap().key_epoch, 2);
    let expected = content(test.env()).unwrap();
    assert_eq!(test.env().key_epochs().into_keys().collect::<Vec<_>>(), [1, 2]);
    test.reopen();
    assert!(content(test.env()).unwrap() == expected);
    // The cleaner moves what the old files hold; nothing then needs the old key.
    let mut left = 10;
    while test.env().key_epochs().contains_key(&1) {
        left -= 1;
        assert!(left > 0, "{:?}", test.env().key_epochs());
        for i in 0..150u32 {
            let value = expected["db"][&ordered(i)[..]].clone();
            test.put("db", &ordered(i), &value);
        }
        test.env().checkpoint().unwrap();
        test.env().clean().unwrap();
        test.env().checkpoint().unwrap();
    }
    test.close();
    test.options = small_options().encryption(keys_of(&[2]));
    test.open().unwrap();
    assert!(content(test.env()).unwrap() == expected);
}
