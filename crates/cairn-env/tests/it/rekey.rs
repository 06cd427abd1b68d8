//! Rekeying: new files under a new data key, then all of them, and then the old one is forgotten.

use std::collections::BTreeSet;

use cairn_env::{
    Environment, EnvironmentKeys, KeySource, Options, RekeyReport, RetiredEpochs, VerifyOptions,
    finish_rekey,
};
use cairn_io::Access;
use cairn_log::{LogFile, LogName};
use cairn_sim::{SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options, sweep};

fn key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn options() -> Options {
    small_options().key(key())
}

/// An environment with entries, small and large, in several files.
fn filled(disk: &SimDisk, entries: u32) -> Model {
    let mut test = TestEnv::on(disk.clone(), options());
    let db = test.db("db");
    for n in 0..entries {
        let len = if n % 5 == 0 { 3000 } else { 60 };
        let value = vec![n.to_le_bytes()[0]; len];
        test.env().write(|txn| txn.put(&db, &ordered(n), &value)).unwrap();
        if n % 20 == 10 {
            test.env().checkpoint().unwrap();
        }
    }
    let content = content(test.env()).unwrap();
    test.close();
    content
}

fn keys(disk: &SimDisk) -> cairn_env::UnlockedKeys {
    let keys = EnvironmentKeys::open_in(disk.root(), SimWorld::new(11).world()).unwrap();
    keys.unlock(&key()).unwrap()
}

fn begin(disk: &SimDisk) -> u32 {
    keys(disk).begin_epoch().unwrap()
}

fn finish(disk: &SimDisk) -> RekeyReport {
    finish_rekey(&disk.root(), &SimWorld::new(12).world(), options()).unwrap()
}

/// The key epochs of the log files that lie on a disk.
fn epochs(disk: &SimDisk) -> BTreeSet<u32> {
    let dir = disk.root().open_dir(&cairn_io::Name::new("g-000001").unwrap()).unwrap();
    let names = dir.list().unwrap().into_iter();
    let names = names.filter_map(|entry| entry.display.parse::<LogName>().ok());
    names
        .map(|name| {
            let file = LogFile::open_any(dir.open(&name.to_name(), Access::Read).unwrap()).unwrap();
            file.header().encryption.expect("it is encrypted").epoch
        })
        .collect()
}

fn check(disk: &SimDisk, expected: &Model) {
    let (env, _) = Environment::open_in(disk.root(), SimWorld::new(13).world(), options()).unwrap();
    assert!(content(&env).unwrap() == *expected);
    let verified = env.verify(&VerifyOptions::new()).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    env.close().unwrap();
}

#[test]
fn new_files_are_encrypted_with_the_new_data_key_and_old_ones_are_still_read() {
    let disk = SimDisk::new();
    let mut expected = filled(&disk, 60);
    assert_eq!(epochs(&disk), [1].into());
    assert_eq!(begin(&disk), 2);
    check(&disk, &expected);
    let mut test = TestEnv::on(disk.clone(), options());
    test.put("db", b"new", b"value");
    expected = content(test.env()).unwrap();
    test.close();
    assert_eq!(epochs(&disk), [1, 2].into());
    check(&disk, &expected);
    // Both data keys are needed, so none is forgotten.
    let RetiredEpochs { retired, needed, .. } = keys(&disk).retire_epochs().unwrap();
    assert!(retired.is_empty() && needed.keys().eq([&1]) && !needed[&1].is_empty(), "{needed:?}");
    check(&disk, &expected);
}

#[test]
fn a_finished_rekey_leaves_nothing_under_older_data_keys() {
    let disk = SimDisk::new();
    let expected = filled(&disk, 120);
    begin(&disk);
    begin(&disk);
    let report = finish(&disk);
    assert_eq!((report.epoch, &report.retired[..]), (3, &[1, 2][..]));
    assert!(report.needed.is_empty() && report.cleaned.moved > 0, "{report:?}");
    assert_eq!(epochs(&disk), [3].into());
    assert_eq!(keys(&disk).info().epochs.len(), 1);
    check(&disk, &expected);
    // There is nothing left to do, and it does nothing wrong.
    let again = finish(&disk);
    assert_eq!((again.epoch, again.cleaned.moved, again.retired.len()), (3, 0, 0));
    check(&disk, &expected);
}

#[test]
fn a_rekey_of_an_environment_that_was_never_written_is_no_trouble() {
    let disk = SimDisk::new();
    TestEnv::on(disk.clone(), options()).close();
    begin(&disk);
    finish(&disk);
    check(&disk, &Model::new());
    let mut test = TestEnv::on(disk.clone(), options());
    test.put("db", b"key", b"value");
    test.close();
    assert_eq!(epochs(&disk), [2].into());
}

#[test]
fn a_data_key_stays_as_long_as_somebody_reads_files_that_need_it() {
    let disk = SimDisk::new();
    let expected = filled(&disk, 60);
    begin(&disk);
    let world = SimWorld::new(14).world();
    let (reader, _) = Environment::open_in(disk.root(), world, options().read_only(true)).unwrap();
    let report = finish(&disk);
    assert!(report.retired.is_empty(), "{report:?}");
    assert!(report.needed[&1].iter().all(|name| name.ends_with(".log")), "{report:?}");
    assert!(content(&reader).unwrap() == expected);
    reader.close().unwrap();
    let report = finish(&disk);
    assert_eq!((&report.retired[..], report.needed.len()), (&[1][..], 0), "{report:?}");
    assert_eq!(epochs(&disk), [2].into());
    check(&disk, &expected);
}

#[test]
fn a_crash_in_the_middle_of_a_rekey_loses_nothing() {
    let disk = SimDisk::new();
    let expected = filled(&disk, 12);
    let commits = 13; // the database, and one for each entry
    let mut states = vec![Model::new(); commits];
    states.push(expected.clone());
    let disk = SimDisk::from_image(&disk.image());
    disk.mark("acknowledged", commits as u64);
    begin(&disk);
    finish(&disk);
    let images = sweep(&disk, &options(), &states, &mut |env, _| {
        let verified = env.verify(&VerifyOptions::new()).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    });
    assert!(images > 100, "{images}");
    check(&disk, &expected);
}
