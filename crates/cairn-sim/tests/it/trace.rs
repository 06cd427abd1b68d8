//! `Trace`: what it says of a run, and what a cut knows.

use std::sync::{Arc, Mutex};

use cairn_io::{Access, FileExt, SyncSite};
use cairn_sim::{Bounds, Level, SimDisk, Summary, Writes};

use crate::{SITE, durable_file, file_with, name};

#[test]
fn a_trace_prints_what_was_done_with_paths_as_they_were() {
    let disk = SimDisk::new();
    let root = disk.root();
    let below = root.create_dir(&name("d")).unwrap();
    let file = durable_file(&below, "a", b"12");
    root.rename_new(&name("d"), &name("e")).unwrap();
    file.set_len(1).unwrap();
    file.set_len(1).unwrap(); // changes nothing
    file.write_at(5, b"").unwrap(); // nor does this
    below.rename(&name("a"), &name("b")).unwrap();
    file.write_all_at(1, b"x").unwrap();
    root.sync(SITE).unwrap();
    disk.fail_next_sync(1);
    file.sync(SITE).unwrap_err();
    below.remove(&name("b")).unwrap();
    root.remove_dir(&name("e")).unwrap();
    disk.mark("acknowledged", 3);
    drop(disk.operation("commit"));
    let expected = "\
#0 create-dir d
#1 create d/a
#2 write d/a @0+2
#3 sync d/a (test)
#4 sync d (test)
#5 rename d e
#6 set-len e/a 1
#7 rename e/a e/b
#8 write e/b @1+1
#9 sync / (test)
#10 sync e/b (test) FAILED after 1
#11 remove e/b
#12 remove-dir e
#13 mark acknowledged 3
#14 begin commit
#15 end
";
    assert_eq!(disk.trace().to_string(), expected);
}

#[test]
fn operations_that_fail_are_not_in_the_trace() {
    let disk = SimDisk::new();
    let root = disk.root();
    durable_file(&root, "a", b"");
    let before = disk.trace().entries().len();
    root.create(&name("a")).unwrap_err();
    root.create_dir(&name("a")).unwrap_err();
    root.rename(&name("x"), &name("y")).unwrap_err();
    root.rename_new(&name("a"), &name("a")).unwrap_err();
    root.remove(&name("x")).unwrap_err();
    root.remove_dir(&name("a")).unwrap_err();
    root.open(&name("a"), Access::Read).unwrap().write_at(0, b"x").unwrap_err();
    root.rename(&name("a"), &name("a")).unwrap();
    assert_eq!(disk.trace().entries().len(), before);
}

#[test]
fn a_cut_knows_marks_and_operations() {
    let disk = SimDisk::new();
    let file = file_with(&disk.root(), "a", b"");
    {
        let _commit = disk.operation("commit");
        {
            let _checkpoint = disk.operation("checkpoint");
            file.write_all_at(0, b"1").unwrap();
        }
        disk.mark("acknowledged", 1);
        disk.mark("acknowledged", 2);
    }
    let trace = disk.trace();
    let mut cuts = trace.cuts();
    let mut seen = Vec::new();
    while let Some(cut) = cuts.next_cut() {
        assert_eq!(cut.position(), seen.len());
        seen.push((cut.operation(), cut.mark("acknowledged"), cut.crash().pending().len()));
        assert!(cut.mark("other").is_none());
    }
    let expected = [
        (None, None, 0),
        (None, None, 1), // create
        (Some("commit"), None, 1),
        (Some("checkpoint"), None, 1),
        (Some("checkpoint"), None, 2), // write
        (Some("commit"), None, 2),
        (Some("commit"), Some(1), 2),
        (Some("commit"), Some(2), 2),
        (None, Some(2), 2),
    ];
    assert_eq!(seen, expected);
    assert!(cuts.next_cut().is_none());
}

#[test]
fn a_cut_replays_what_the_disk_knew_at_that_time() {
    let disk = SimDisk::new();
    let root = disk.root();
    let mut live = vec![disk.image().hash()];
    let note = |live: &mut Vec<u128>| live.push(disk.image().hash());
    let file = root.create(&name("a")).unwrap();
    note(&mut live);
    file.write_all_at(0, b"123").unwrap();
    note(&mut live);
    file.sync(SITE).unwrap();
    note(&mut live);
    root.rename(&name("a"), &name("b")).unwrap();
    note(&mut live);
    root.sync(SITE).unwrap();
    note(&mut live);
    let trace = disk.trace();
    let mut cuts = trace.cuts();
    let mut replayed = Vec::new();
    while let Some(cut) = cuts.next_cut() {
        let images = cut.crash().images(Level::KeepAll, &Bounds::smoke());
        replayed.extend(images.map(|crashed| crashed.image.hash()));
    }
    assert_eq!(replayed, live);
}

#[test]
fn a_trace_goes_on_from_an_image() {
    let first = SimDisk::new();
    let below = first.root().create_dir(&name("d")).unwrap();
    file_with(&below, "a", b"1");
    file_with(&first.root(), "b", b"2");
    let second = SimDisk::from_image(&first.image());
    assert_eq!(second.trace().entries().len(), 0);
    let below = second.root().open_dir(&name("d")).unwrap();
    below.open(&name("a"), Access::ReadWrite).unwrap().write_all_at(1, b"x").unwrap();
    below.rename(&name("a"), &name("c")).unwrap();
    let trace = second.trace();
    assert_eq!(*trace.start(), first.image());
    let mut cuts = trace.cuts();
    let mut last = None;
    while let Some(cut) = cuts.next_cut() {
        let images = cut.crash().images(Level::Subset, &Bounds::full());
        last = Some(images.map(|crashed| crashed.image).collect::<Vec<_>>());
    }
    let last = last.unwrap();
    assert_eq!(last.len(), 4);
    assert!(last.contains(&second.image()) && last.contains(&first.image()));
}

#[test]
fn syncs_can_be_taken_out_afterwards() {
    let disk = SimDisk::new();
    let other = SyncSite::new("other");
    let file = durable_file(&disk.root(), "a", b"1");
    file.write_all_at(0, b"2").unwrap();
    file.sync(other).unwrap();
    let pending_at_the_end = |removed: fn(SyncSite, &cairn_sim::Entry) -> bool| {
        let mut cuts = disk.trace().without_syncs(removed).cuts();
        let mut pending = 0;
        while let Some(cut) = cuts.next_cut() {
            pending = cut.crash().pending().len();
        }
        pending
    };
    assert_eq!(pending_at_the_end(|_, _| false), 0);
    assert_eq!(pending_at_the_end(|site, _| site == SyncSite::new("other")), 1);
    assert_eq!(pending_at_the_end(|_, entry| entry.path().is_empty()), 1);
    assert_eq!(pending_at_the_end(|_, _| true), 3);
}

#[test]
fn a_summary_adds_up_writes_and_syncs() {
    let disk = SimDisk::new();
    let root = disk.root();
    let log = durable_file(&root, "1.log", b"123");
    log.write_all_at(0, b"4567").unwrap();
    durable_file(&root, "STATE", b"x");
    disk.fail_next_sync(0);
    log.sync(SITE).unwrap_err();
    let summary =
        Summary::of(&disk.trace(), |path| if path.ends_with(".log") { "log" } else { "other" });
    assert_eq!(summary.classes["log"], Writes { files: 1, writes: 2, bytes: 7 });
    assert_eq!(summary.classes["other"], Writes { files: 1, writes: 1, bytes: 1 });
    assert_eq!((summary.syncs[&SITE], summary.failed_syncs), (4, 1));
    let expected = "\
log: 7 bytes in 2 writes, 1 files created
other: 1 bytes in 1 writes, 1 files created
test: 4 syncs
1 syncs failed
";
    assert_eq!(summary.to_string(), expected);
}

#[test]
fn a_watcher_sees_each_operation_at_once() {
    let disk = SimDisk::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let file = file_with(&disk.root(), "a", b"1");
    disk.watch({
        let seen = Arc::clone(&seen);
        move |entry| seen.lock().unwrap().push(entry.to_string())
    });
    file.write_all_at(1, b"2").unwrap();
    assert_eq!(*seen.lock().unwrap(), ["write a @1+1"]);
}

#[test]
#[should_panic(expected = "the file is sealed")]
fn a_watcher_can_stop_the_culprit() {
    let disk = SimDisk::new();
    let file = file_with(&disk.root(), "a", b"1");
    disk.watch(|entry| panic!("{entry}: the file is sealed"));
    file.write_at(1, b"2").unwrap();
}
