//! Readers beside a writer: what they see, what they keep, and when it goes.

use std::{collections::BTreeSet, time::Duration};

use cairn_env::{
    BackupSet, Durability, EnvError, EnvResult, Environment, ErrorKind, Options, VerifyOptions,
};
use cairn_io::{Access, DirRef, FileExt, IoOp, LockMode, Name};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk, SimWorld};

use crate::fixture::{Model, TestEnv, content, small_options, sweep};

const PINS: Name = Name::constant("pins");
const PROTECTOR: Name = Name::constant("PROTECTOR");

fn read_in(dir: DirRef, seed: u64) -> EnvResult<Environment> {
    let options = small_options().read_only(true);
    Ok(Environment::open_in(dir, SimWorld::new(seed).world(), options)?.0)
}

/// Opens what `test` has open, as another process would.
fn read(test: &TestEnv, seed: u64) -> Environment {
    read_in(test.disk.root(), seed).unwrap()
}

/// Rewrites everything, so that the files of before are dead after it.
fn rewrite(test: &TestEnv, round: u8) {
    let db = test.db("db");
    for n in 0..60u32 {
        let value = vec![round; if n % 9 == 0 { 3000 } else { 60 }];
        test.env().write(|txn| txn.put(&db, &n.to_le_bytes(), &value)).unwrap();
    }
    for _ in 0..3 {
        test.env().clean().unwrap();
    }
    test.env().checkpoint().unwrap();
}

/// The log files on a disk, by name.
fn logs(disk: &SimDisk) -> BTreeSet<String> {
    let generation = disk.root().open_dir(&Name::constant("g-000001")).unwrap();
    let names = generation.list().unwrap().into_iter().map(|entry| entry.display);
    names.filter(|name| name.parse::<cairn_log::LogName>().is_ok()).collect()
}

fn names(set: &BackupSet) -> BTreeSet<String> {
    set.files().iter().map(|file| file.name.to_string()).collect()
}

fn pins(disk: &SimDisk) -> usize {
    match disk.root().open_dir(&PINS) {
        Ok(dir) => dir.list().unwrap().len(),
        Err(_) => 0,
    }
}

fn is_sound(env: &Environment) {
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

#[test]
fn a_reader_sees_what_is_known_to_be_durable_and_does_not_advance() {
    let test = TestEnv::new(small_options());
    let mut states = vec![content(test.env()).unwrap()];
    test.db("db");
    states.push(content(test.env()).unwrap());
    let mut readers = Vec::new();
    for n in 0..150u32 {
        test.put("db", &n.to_le_bytes(), &[1; 200]);
        states.push(content(test.env()).unwrap());
        if n % 40 == 17 {
            test.env().checkpoint().unwrap();
        }
        if n % 10 == 9 {
            let reader = read(&test, n.into());
            let commit = reader.recovery_report().sequence;
            // A commit proves that the one before it was durable.
            assert!(commit + 1 >= test.env().stats().unwrap().commits, "{n}: {commit}");
            readers.push(reader);
        }
    }
    for reader in &readers {
        let commit = usize::try_from(reader.recovery_report().sequence).unwrap();
        assert!(content(reader).unwrap() == states[commit], "{commit}");
        assert!(matches!(reader.begin_write(), Err(EnvError::ReadOnly)));
        is_sound(reader);
    }
    assert_eq!(test.env().pins().unwrap().len(), readers.len());
}

#[test]
fn writers_and_readers_come_and_go_in_any_order() {
    let mut test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let beside = read(&test, 1);
    test.close();
    let alone = read(&test, 2);
    test.open().unwrap();
    rewrite(&test, 2);
    let second = Environment::open_in(test.disk.root(), test.world.world(), small_options());
    assert!(matches!(second, Err(EnvError::AlreadyOpen { .. })));
    assert_eq!(content(&beside).unwrap(), content(&alone).unwrap());
    assert_ne!(content(&beside).unwrap(), content(test.env()).unwrap());
    is_sound(&beside);
    drop(beside);
    alone.close().unwrap();
    assert!(test.disk.root().open_dir(&PINS).is_err(), "nothing is left of a reader");
}

#[test]
fn what_a_reader_needs_stays_until_it_lets_go() {
    let mut test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let reader = read(&test, 1);
    let seen = content(&reader).unwrap();
    let set = reader.begin_backup().unwrap();
    let needed = names(&set);
    drop(set);
    for round in 2..6 {
        rewrite(&test, round);
        assert!(needed.is_subset(&logs(&test.disk)));
    }
    // Nor does another process that comes after this one take them for leftovers.
    test.reopen();
    rewrite(&test, 7);
    assert!(needed.is_subset(&logs(&test.disk)));
    assert_eq!(content(&reader).unwrap(), seen);
    is_sound(&reader);
    let pins = test.env().pins().unwrap();
    let [pin] = &pins[..] else { panic!("{pins:?}") };
    assert_eq!((pin.process, pin.files >= needed.len() as u64), (Some(1), true));
    assert!(pin.held_bytes > pin.bytes / 2, "{pin:?}");
    // Dead or not, the files go as soon as it lets go.
    drop(reader);
    assert_eq!(test.env().pins().unwrap(), []);
    rewrite(&test, 8);
    assert!(needed.is_disjoint(&logs(&test.disk)), "{needed:?} {:?}", logs(&test.disk));
}

#[test]
fn a_backup_outlives_its_reader_and_lets_go_of_file_after_file() {
    let test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let reader = read(&test, 1);
    let set = reader.begin_backup().unwrap();
    assert!(set.snapshot().is_some());
    reader.close().unwrap();
    assert!(set.snapshot().is_none());
    rewrite(&test, 2);
    assert!(names(&set).is_subset(&logs(&test.disk)));
    let pinned = |test: &TestEnv| test.env().pins().unwrap().iter().map(|pin| pin.files).sum();
    let mut left: u64 = pinned(&test);
    assert_eq!(left, set.files().len() as u64);
    for file in set.files() {
        file.copy(|_, _| Ok::<(), EnvError>(())).unwrap();
        set.release(file);
        left -= 1;
        assert_eq!(pinned(&test), left);
    }
    drop(set);
    assert_eq!(pins(&test.disk), 0);
}

#[test]
fn the_pin_of_a_killed_reader_goes_with_what_it_pinned() {
    let mut test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let reader = read(&test, 1);
    let needed = names(&reader.begin_backup().unwrap());
    rewrite(&test, 2);
    assert!(needed.is_subset(&logs(&test.disk)));
    // Both are killed; the disk has the pin and nobody has its lock.
    std::mem::forget(reader);
    test.kill();
    assert_eq!(pins(&test.disk), 1);
    assert_eq!(content(&read(&test, 2)).unwrap(), content(test.env()).unwrap());
    rewrite(&test, 3);
    assert_eq!(pins(&test.disk), 0);
    assert!(needed.is_disjoint(&logs(&test.disk)));
}

#[test]
fn a_damaged_pin_pins_everything_as_long_as_its_holder_lives() {
    let test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let reader = read(&test, 1);
    let dir = test.disk.root().open_dir(&PINS).unwrap();
    let name = dir.list().unwrap().remove(0).name.unwrap();
    dir.open(&name, Access::ReadWrite).unwrap().write_all_at(40, b"?").unwrap();
    let before = logs(&test.disk);
    rewrite(&test, 2);
    assert!(before.is_subset(&logs(&test.disk)));
    let pins = test.env().pins().unwrap();
    assert_eq!((pins.len(), pins[0].process, pins[0].since), (1, None, None));
    assert_eq!(pins[0].files, logs(&test.disk).len() as u64);
    drop(reader);
    rewrite(&test, 3);
    assert!(before.is_disjoint(&logs(&test.disk)));
}

/// Whoever is beginning to pin has the protector: until it lets go nothing is removed, and nobody waits.
#[test]
fn nothing_is_removed_while_somebody_has_the_protector() {
    let test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let before = logs(&test.disk);
    let protector = test.disk.root().lock(&PROTECTOR, LockMode::Exclusive).unwrap();
    rewrite(&test, 2);
    assert!(before.is_subset(&logs(&test.disk)));
    // A reader waits for it, but not for ever; nor does a writer that comes in.
    let refused = read_in(test.disk.root(), 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    drop(protector);
    rewrite(&test, 3);
    assert!(before.is_disjoint(&logs(&test.disk)));
}

#[test]
fn where_no_pin_can_be_made_a_reader_keeps_writers_out_instead() {
    let mut test = TestEnv::new(small_options());
    rewrite(&test, 1);
    for fault in [Fault::NoSpace, Fault::ReadOnly] {
        let faulty = FaultDisk::new(test.disk.root());
        faulty.inject(Rule::new(fault).op(IoOp::Create).and_on());
        faulty.inject(Rule::new(fault).op(IoOp::Write).and_on());
        // Beside a writer that is no way in.
        assert!(matches!(read_in(faulty.root(), 1), Err(EnvError::Io(_))));
        test.close();
        let reader = read_in(faulty.root(), 1).unwrap();
        assert!(matches!(test.open(), Err(EnvError::AlreadyOpen { .. })));
        assert_eq!(pins(&test.disk), 0);
        drop(read_in(test.disk.root(), 2).unwrap());
        drop(reader);
        test.open().unwrap();
    }
}

/// Behind the durable position anything may stand, half written; before it nothing may be wrong.
#[test]
fn only_damage_below_the_durable_position_is_damage_beside_a_writer() {
    let test = TestEnv::new(small_options());
    for n in 0..20u32 {
        test.put("db", &n.to_le_bytes(), &[1; 100]);
    }
    let journal = logs(&test.disk).into_iter().rfind(|name| name.starts_with('J')).unwrap();
    let generation = test.disk.root().open_dir(&Name::constant("g-000001")).unwrap();
    let file = generation.open(&Name::new(journal).unwrap(), Access::ReadWrite).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() / 8 * 8 + 8;
    let whole = read(&test, 1).recovery_report().sequence;
    file.write_all_at(end as u64, &[0xa5; 100]).unwrap();
    let reader = read(&test, 1);
    assert_eq!(reader.recovery_report().sequence, whole);
    assert_eq!(reader.recovery_report().torn_tail, None);
    is_sound(&reader);
    // The last record, half there: it is not what proves anything durable. All others are.
    let at = |offset: usize| {
        file.write_all_at(offset as u64, &[bytes[offset] ^ 1]).unwrap();
        let opened = read_in(test.disk.root(), 2).map(|env| env.recovery_report().sequence);
        file.write_all_at(offset as u64, &bytes[offset..=offset]).unwrap();
        opened
    };
    for offset in (4096..end).step_by(7) {
        match at(offset) {
            Ok(commit) => assert!(commit >= whole - 1 && offset > end - 300, "{offset}: {commit}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{offset}: {error}"),
        }
    }
    file.write_all_at(end as u64, &[0; 100]).unwrap();
}

/// A crash at any moment, with the pin of a reader lying around or half there: the environment opens,
/// nothing is lost, and what the dead reader pinned goes.
#[test]
fn a_crash_beside_a_reader_loses_nothing_and_leaves_no_pin() {
    let disk = SimDisk::new();
    let options = small_options();
    let test = TestEnv::on(disk.clone(), options.clone());
    let mut states = vec![Model::new()];
    test.db("db");
    states.push(content(test.env()).unwrap());
    let mut readers: Vec<Environment> = Vec::new();
    for n in 0..14u32 {
        test.put("db", &(n % 4).to_le_bytes(), &[1; 900]);
        states.push(content(test.env()).unwrap());
        disk.mark("acknowledged", test.env().stats().unwrap().commits);
        match n % 5 {
            1 => readers.push(read(&test, n.into())),
            2 => drop(test.env().checkpoint().unwrap()),
            3 => drop(readers.pop()),
            4 => drop(test.env().clean().unwrap()),
            _ => {}
        }
    }
    assert_eq!(states.len() as u64, test.env().stats().unwrap().commits + 1);
    let images = sweep(&disk, &options, &states, &mut |env, expected| {
        let db = env.find_database("db").unwrap();
        if let Some(db) = db {
            env.write(|txn| txn.put(&db, b"after", b"")).unwrap();
            env.checkpoint().unwrap();
            assert_eq!(env.pins().unwrap(), []);
        }
        assert!(expected.len() <= 1);
    });
    assert!(images > 300, "{images}");
}

/// `Options` of readers and writers need not agree on anything.
#[test]
fn a_reader_may_have_other_options() {
    let test = TestEnv::new(small_options());
    rewrite(&test, 1);
    let options = Options::default().read_only(true).create(false);
    let (env, report) =
        Environment::open_in(test.disk.root(), SimWorld::new(1).world(), options).unwrap();
    assert_eq!(content(&env).unwrap(), content(test.env()).unwrap());
    assert_eq!(report.leftovers, [""; 0]);
}

/// The watermark of a log that went idle was once written only after commits that did not ask for a sync,
/// and only if these came before the worker first looked: what was acknowledged stayed unseen by readers.
#[test]
fn what_is_durable_is_seen_by_readers_as_soon_as_the_log_goes_idle() {
    let mut test = TestEnv::new(small_options());
    test.close();
    test.options = small_options().background(true);
    test.open().unwrap();
    let db = test.db("db");
    let levels = [Durability::Sync, Durability::NoSync, Durability::Sync];
    for (n, durability) in (0..12u8).zip(levels.into_iter().cycle()) {
        test.env().write_with(durability, |txn| txn.put(&db, b"key", &[n])).unwrap();
        for _ in 0..3 {
            test.world.run_until_idle(100);
            test.world.advance(Duration::from_secs(1));
        }
        let reader = read(&test, n.into());
        assert_eq!(content(&reader).unwrap(), content(test.env()).unwrap(), "{n} {durability:?}");
    }
}

#[test]
fn a_reader_beside_an_exclusive_transaction_sees_all_of_it_or_nothing() {
    let test = TestEnv::new(small_options().cache_bytes(48 << 10));
    rewrite(&test, 1);
    let db = test.db("db");
    let before = content(test.env()).unwrap();
    let mut seeds = 0..;
    let mut seen = || content(&read(&test, seeds.next().unwrap())).unwrap();
    for keep in [false, true] {
        let mut txn = test.env().begin_exclusive().unwrap();
        for n in 0..2000u32 {
            txn.put(&db, &n.to_le_bytes(), &vec![7; if n % 100 == 0 { 3000 } else { 60 }]).unwrap();
            match n {
                500 => drop(test.env().checkpoint().unwrap()),
                _ if n % 400 == 399 => assert!(seen() == before, "{n}"),
                _ => {}
            }
        }
        let set = read(&test, 1000).begin_backup().unwrap();
        assert!(set.files().iter().any(|file| file.name.class == cairn_log::FileClass::Journal));
        if keep {
            txn.commit().unwrap();
        } else {
            drop(txn);
            assert!(seen() == before);
        }
    }
    // What proves that the commit was durable comes after it.
    test.put("db", b"next", b"1");
    test.env().sync().unwrap();
    let after = seen();
    assert_eq!(after["db"].len(), 2000 + usize::from(after["db"].contains_key(&b"next"[..])));
    is_sound(&read(&test, 2000));
}
