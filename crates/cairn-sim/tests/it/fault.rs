//! `FaultDisk`: which calls are struck, and what they see.

use std::io::ErrorKind;

use cairn_io::{Access, DirExt, FileExt, IoOp, LockError, LockMode, MemDisk, SyncSite};
use cairn_sim::{Bounds, Fault, FaultDisk, Level, Rule, SimDisk};

use crate::{SITE, durable_file, file_with, name};

fn disk() -> FaultDisk {
    FaultDisk::new(MemDisk::new().root())
}

fn is_eio(error: &cairn_io::IoError) -> bool {
    error.source.raw_os_error() == Some(5)
}

#[test]
fn calls_are_counted_by_kind_and_site() {
    let disk = disk();
    let root = disk.root();
    let file = file_with(&root, "a", b"123");
    file.sync(SITE).unwrap();
    root.sync(SyncSite::new("other")).unwrap();
    root.sync(SITE).unwrap();
    assert_eq!(disk.calls(), 5);
    assert_eq!(disk.calls_of(IoOp::Create), 1);
    assert_eq!(disk.calls_of(IoOp::Sync), 3);
    assert_eq!(disk.calls_of(IoOp::Rename), 0);
    assert_eq!(disk.syncs(), [(SyncSite::new("other"), 1), (SITE, 2)].into());
}

#[test]
fn every_kind_of_call_can_fail() {
    let disk = disk();
    let root = disk.root();
    let file = file_with(&root, "a", b"123");
    root.create_dir(&name("d")).unwrap();
    disk.inject(Rule::new(Fault::Eio).and_on());
    let before = disk.calls();
    let (a, b, d) = (name("a"), name("b"), name("d"));
    let errors = [
        root.open(&a, Access::Read).unwrap_err(),
        root.open_dir(&d).unwrap_err(),
        root.create(&b).unwrap_err(),
        root.create_dir(&b).unwrap_err(),
        root.rename(&a, &b).unwrap_err(),
        root.rename_new(&a, &b).unwrap_err(),
        root.remove(&a).unwrap_err(),
        root.remove_dir(&d).unwrap_err(),
        root.list().unwrap_err(),
        root.sync(SITE).unwrap_err(),
        root.space().unwrap_err(),
        file.read_at(0, &mut [0]).unwrap_err(),
        file.write_at(0, b"x").unwrap_err(),
        file.sync(SITE).unwrap_err(),
        file.set_len(0).unwrap_err(),
        file.len().unwrap_err(),
        file.links().unwrap_err(),
    ];
    for error in &errors {
        assert!(is_eio(error), "{error}");
        assert_eq!(error.site, (error.op == IoOp::Sync).then_some(SITE));
    }
    assert!(
        matches!(root.lock(&b, LockMode::Exclusive), Err(LockError::Io(error)) if is_eio(&error))
    );
    assert_eq!(disk.calls() - before, errors.len() as u64 + 1);
    assert_eq!(disk.struck().len(), errors.len() + 1);
    disk.clear();
    assert_eq!(root.list().unwrap().len(), 2, "nothing was done");
    assert_eq!(root.read_small(&a, 9).unwrap(), b"123");
}

#[test]
fn a_rule_strikes_once_or_from_a_call_on() {
    let disk = disk();
    let file = file_with(&disk.root(), "a", b"");
    disk.inject(Rule::new(Fault::NoSpace).op(IoOp::Write).nth(1));
    file.write_all_at(0, b"1").unwrap();
    assert!(file.write_all_at(0, b"2").unwrap_err().is_no_space());
    file.write_all_at(0, b"3").unwrap();

    disk.inject(Rule::new(Fault::ReadOnly).op(IoOp::Write).nth(2).and_on());
    file.write_all_at(0, b"1").unwrap();
    file.write_all_at(0, b"2").unwrap();
    for _ in 0..3 {
        let error = file.write_all_at(0, b"3").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(disk.struck()[0], "call 2: write mem:/a: NoSpace");
}

#[test]
fn a_rule_strikes_by_file_site_and_range() {
    let disk = disk();
    let root = disk.root();
    let (log, other) = (file_with(&root, "1.log", b"123456"), file_with(&root, "x", b"123"));
    disk.inject(Rule::new(Fault::Kind(ErrorKind::QuotaExceeded)).site(SITE).and_on());
    log.sync(SyncSite::new("other")).unwrap();
    assert!(log.sync(SITE).unwrap_err().is_no_space());
    disk.clear();

    let latent = || Rule::new(Fault::Eio).op(IoOp::Read).range(2..4).and_on();
    disk.inject(latent().file(|name| name.ends_with(".log")));
    let mut two = [0; 2];
    log.read_exact_at(0, &mut two).unwrap();
    log.read_exact_at(4, &mut two).unwrap();
    assert!(is_eio(&log.read_exact_at(1, &mut two).unwrap_err()));
    assert!(is_eio(&log.read_exact_at(3, &mut two).unwrap_err()));
    other.read_exact_at(1, &mut two).unwrap();
    log.write_all_at(2, b"..").unwrap();
    log.len().unwrap();
}

#[test]
fn short_transfers_are_looped_over_and_an_empty_one_is_an_error() {
    let disk = disk();
    let file = file_with(&disk.root(), "a", b"");
    disk.inject(Rule::new(Fault::Short).and_on());
    file.write_all_at(0, b"1234567").unwrap();
    let mut seven = [0; 7];
    file.read_exact_at(0, &mut seven).unwrap();
    assert_eq!(&seven, b"1234567");
    assert_eq!(file.read_at(0, &mut seven).unwrap(), 4);
    disk.clear();

    disk.inject(Rule::new(Fault::Zero).and_on());
    assert_eq!(file.write_all_at(0, b"x").unwrap_err().kind(), ErrorKind::WriteZero);
    let error = file.read_exact_at(0, &mut seven).unwrap_err();
    assert!(error.to_string().contains("before the end"), "{error}");
    assert_eq!(file.len().unwrap(), 7, "other calls are left alone");
}

#[test]
fn a_failing_write_may_have_done_a_part() {
    let disk = disk();
    let file = file_with(&disk.root(), "a", b"....");
    disk.inject(Rule::new(Fault::PartThenEio));
    assert!(is_eio(&file.write_all_at(0, b"1234").unwrap_err()));
    let mut four = [0; 4];
    file.read_exact_at(0, &mut four).unwrap();
    assert_eq!(&four, b"12..");
}

#[test]
fn a_write_may_be_dropped_and_a_read_may_be_wrong() {
    let disk = disk();
    let file = file_with(&disk.root(), "a", b"abc");
    disk.inject(Rule::new(Fault::LostWrite));
    file.write_all_at(0, b"xyz").unwrap();
    disk.inject(Rule::new(Fault::FlippedRead(9)));
    let mut three = [0; 3];
    file.read_exact_at(0, &mut three).unwrap();
    assert_eq!(&three, b"a`c");
    file.read_exact_at(0, &mut three).unwrap();
    assert_eq!(&three, b"abc");
    assert_eq!(disk.struck().len(), 2);
}

#[test]
fn a_fault_that_does_not_fit_the_call_strikes_nothing() {
    let disk = disk();
    disk.inject(Rule::new(Fault::Short));
    disk.inject(Rule::new(Fault::FlippedRead(0)));
    let file = file_with(&disk.root(), "a", b"123456");
    assert_eq!(disk.struck(), [""; 0]);
    assert_eq!(file.len().unwrap(), 6);
}

#[test]
fn a_skipped_sync_succeeds_and_makes_nothing_durable() {
    let sim = SimDisk::new();
    let disk = FaultDisk::new(sim.root());
    disk.skip_syncs([SITE]);
    durable_file(&disk.root(), "a", b"1");
    assert_eq!(sim.pending(), 2);
    assert_eq!(disk.syncs(), [(SITE, 2)].into());
    disk.root().sync(SyncSite::new("other")).unwrap();
    assert_eq!(sim.pending(), 1);
    disk.clear();
    disk.root().open(&name("a"), Access::Read).unwrap().sync(SITE).unwrap();
    assert_eq!(sim.pending(), 0);
}

#[test]
fn a_failed_sync_on_a_simulated_disk_loses_its_writes() {
    let sim = SimDisk::new();
    let disk = FaultDisk::on_sim(&sim, 0);
    let file = durable_file(&disk.root(), "a", b"old");
    file.write_all_at(0, b"new").unwrap();
    disk.inject(Rule::new(Fault::NoSpace).op(IoOp::Sync));
    let error = file.sync(SITE).unwrap_err();
    assert!(error.is_no_space() && error.site == Some(SITE));
    file.sync(SITE).unwrap();
    let mut seen = [0; 3];
    file.read_exact_at(0, &mut seen).unwrap();
    assert_eq!(&seen, b"new");
    let after = sim.crash_images(Level::KeepAll, &Bounds::smoke());
    assert_eq!(**after[0].image.read("a").unwrap(), *b"old");
}

#[test]
fn an_interrupted_transfer_is_repeated_and_a_read_of_nothing_is_no_end_of_file() {
    let disk = FaultDisk::new(MemDisk::new().root());
    let file = disk.root().create(&name("file")).unwrap();
    disk.inject(Rule::new(Fault::Interrupted).op(IoOp::Write));
    file.write_all_at(0, b"twelve bytes").unwrap();
    disk.inject(Rule::new(Fault::Interrupted).op(IoOp::Read));
    let mut bytes = [0; 20];
    assert_eq!(file.read_full_at(0, &mut bytes).unwrap(), 12);
    assert_eq!(disk.struck().len(), 2);
    disk.inject(Rule::new(Fault::Zero).op(IoOp::Read).and_on());
    let error = file.read_full_at(0, &mut bytes).unwrap_err();
    assert!(error.to_string().contains("before the end"), "{error}");
    disk.clear();
    assert_eq!(file.read_full_at(12, &mut bytes).unwrap(), 0);
}

/// Somebody else may extend a file between a read that ends where it ended and the question how long it
/// is. Whoever opened a copy for reading beside a writer was told of a faulty disk.
#[test]
fn a_file_that_grows_while_it_is_read_is_read_on() {
    let disk = FaultDisk::new(MemDisk::new().root());
    let file = disk.root().create(&name("file")).unwrap();
    file.write_all_at(0, b"twelve bytes").unwrap();
    disk.inject(Rule::new(Fault::Zero).op(IoOp::Read));
    let mut bytes = [0; 20];
    assert_eq!(file.read_full_at(0, &mut bytes).unwrap(), 12);
    assert_eq!(&bytes[..12], b"twelve bytes");
    assert_eq!(disk.struck().len(), 1);
}
