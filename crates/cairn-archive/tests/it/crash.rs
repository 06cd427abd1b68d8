//! Crashes, failures and second thoughts at every moment: the old or the new, whole.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, ArchiveReport, ExportOptions, ImportOptions, StoreInfo,
    export, remove_unfinished, remove_unfinished_imports,
};
use cairn_env::{EnvError, Environment, Options, VerifyOptions};
use cairn_io::{DirRef, Name, RealDir};
use cairn_sim::{Bounds, Fault, FaultDisk, Level, Rule, SimDisk, SimWorld, Trace};

use crate::fixture::{TestStore, content, ordered, raw_key, small_options};

fn filled(options: Options, entries: u32) -> TestStore {
    let store = TestStore::new(options);
    let db = store.db("db");
    let put = |txn: &mut cairn_env::Transaction| {
        (0..entries).try_for_each(|n| txn.put(&db, &ordered(n), &[7; 100]))
    };
    store.env().write(put).unwrap();
    store
}

/// Two exports under one name, and what they have made.
fn two_exports() -> (SimDisk, Vec<ArchiveReport>) {
    let store = filled(small_options(), 40);
    let disk = SimDisk::new();
    let file = ArchiveFile::new(disk.root(), Name::constant("archive"));
    let (info, world) = (StoreInfo::databases(), store.world.world());
    let mut made = Vec::new();
    let mut options = ExportOptions::default().replace(true);
    options.frame_len = 500;
    for round in 1..=2u8 {
        store.put("db", b"round", &[round]);
        let snapshot = store.env().snapshot().unwrap();
        let report = export(store.env(), &snapshot, &info, &["db"], &file, &world, &options);
        made.push(report.unwrap());
        disk.mark("made", round.into());
    }
    (disk, made)
}

/// How many crash states have no archive, the first, and the second; or what is wrong with one.
fn sweep(trace: &Trace, made: &[ArchiveReport]) -> Result<[usize; 3], String> {
    let (mut cuts, mut seen, mut found_of) = (trace.cuts(), BTreeSet::new(), [0; 3]);
    while let Some(cut) = cuts.next_cut() {
        let promised = cut.mark("made").unwrap_or(0);
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert((crashed.image.hash(), promised)) {
                    continue;
                }
                let place = format!("cut {}, {crashed}", cut.position());
                let disk = crashed.image.to_mem();
                let file = ArchiveFile::new(disk.root(), Name::constant("archive"));
                let found = match file.verify(&ArchiveKeys::none(), None) {
                    Err(ArchiveError::NotFound { .. }) => 0,
                    Ok(report) => {
                        1 + made.iter().position(|made| *made == report).expect("one of the two")
                    }
                    Err(error) => return Err(format!("{place}: {error}")),
                };
                if (found as u64) < promised {
                    return Err(format!("{place}: archive {promised} is lost"));
                }
                found_of[found] += 1;
                remove_unfinished(&*disk.root()).unwrap();
                let left = disk.root().list().unwrap().len();
                assert_eq!(left, usize::from(found > 0), "{place}");
            }
        }
    }
    Ok(found_of)
}

/// At every crash of two exports under one name there is no archive, the first, or the second; each is whole,
/// and what is left of the other goes.
#[test]
fn a_crash_in_an_export_leaves_the_old_archive_or_the_new_one() {
    let (disk, made) = two_exports();
    let found_of = sweep(&disk.trace(), &made).unwrap();
    assert!(found_of.iter().all(|&found| found > 0), "{found_of:?}");
}

/// Each sync of an export is there for a crash that would do harm without it.
#[test]
fn no_sync_of_an_export_can_be_left_out() {
    let (disk, made) = two_exports();
    for site in cairn_archive::SYNC_SITES {
        let without = disk.trace().without_syncs(|removed, _| removed == *site);
        let wrong = sweep(&without, &made).expect_err(site.name());
        // Without its name an archive is lost, without its bytes there is one that is not whole.
        assert_eq!(wrong.contains("is lost"), site.name() == "archive.name", "{site}: {wrong}");
    }
}

/// At every crash of an import the store is the one before or that of the archive, whole, and goes on.
#[test]
fn a_crash_in_an_import_leaves_the_old_store_or_the_new_one() {
    for options in [small_options(), small_options().key(raw_key(1))] {
        let mut store = filled(options, 60);
        store.put("second", b"key", b"in the archive");
        store.export("one", &ExportOptions::default()).unwrap();
        let archived = content(store.env());
        store.put("db", &ordered(3), b"later");
        store.put("second", b"later", b"as well");
        store.put("third", b"not in", b"the archive");
        let before = content(store.env());
        store.reopen();
        // From here on the trace counts: what was before is durable.
        let start = store.disk.image();
        std::mem::forget(store.env.take());
        store.disk = SimDisk::from_image(&start);
        store.open();
        store.import(&store.archive("one"), ImportOptions::default()).unwrap();
        store.disk.mark("imported", 1);
        assert!(content(store.env()) == archived);
        store.close();

        let trace = store.disk.trace();
        let (mut cuts, mut seen, mut found_of) = (trace.cuts(), BTreeSet::new(), [0; 2]);
        let mut removed = 0;
        while let Some(cut) = cuts.next_cut() {
            let promised = cut.mark("imported").is_some();
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    if !seen.insert((crashed.image.hash(), promised)) {
                        continue;
                    }
                    let place = || format!("cut {}, {crashed}", cut.position());
                    let (disk, world) = (crashed.image.to_mem(), SimWorld::new(9));
                    let (env, report) =
                        Environment::open_in(disk.root(), world.world(), store.options.clone())
                            .unwrap_or_else(|error| panic!("{}: {error}", place()));
                    removed += remove_unfinished_imports(&env).unwrap();
                    let found = content(&env);
                    let is_new = found == archived;
                    assert!(is_new || !promised && found == before, "{}: {report}", place());
                    found_of[usize::from(is_new)] += 1;
                    let db = env.find_database("db").unwrap().unwrap();
                    env.write(|txn| txn.put(&db, b"goes", b"on")).unwrap();
                    let findings = env.verify(&VerifyOptions::new()).unwrap().findings;
                    assert!(findings.is_empty(), "{}: {findings:?}", place());
                }
            }
        }
        assert!(found_of.iter().all(|&found| found > 0), "{found_of:?}");
        assert!(removed > 0, "no crash has left a database that was being filled");
    }
}

/// Whatever call of the disk of archives fails: an error, no new archive, and nothing left but what a crash
/// leaves; and then it works.
#[test]
fn a_disk_that_fails_or_is_full_leaves_the_archive_before() {
    let store = filled(small_options(), 40);
    let (info, world) = (StoreInfo::databases(), store.world.world());
    for fault in [Fault::Eio, Fault::NoSpace] {
        for call in 0.. {
            let disk = FaultDisk::new(SimDisk::new().root());
            let file = ArchiveFile::new(disk.root(), Name::constant("archive"));
            let make = || {
                let mut options = ExportOptions::default().replace(true);
                options.frame_len = 1000;
                let snapshot = store.env().snapshot()?;
                export(store.env(), &snapshot, &info, &["db"], &file, &world, &options)
            };
            let first = make().unwrap();
            store.put("db", b"round", &[1]);
            disk.inject(Rule::new(fault).nth(call));
            let failed = make();
            disk.clear();
            let verified = file.verify(&ArchiveKeys::none(), None).unwrap();
            match &failed {
                Ok(report) => assert_eq!(verified, *report, "call {call}"),
                Err(error) => {
                    let is_disk = matches!(error, ArchiveError::Io(_));
                    assert!(is_disk, "call {call}: {error}");
                    // A failed sync of the name leaves open which it is.
                    assert!(verified == first || error.to_string().contains("archive.name"));
                }
            }
            remove_unfinished(&*disk.root()).unwrap();
            assert_eq!(disk.root().list().unwrap().len(), 1, "call {call}");
            assert_eq!(make().unwrap().totals, store_totals(&file));
            if failed.is_ok() {
                assert!(call > 5, "{call} calls");
                break;
            }
        }
    }
}

fn store_totals(file: &ArchiveFile) -> cairn_archive::Totals {
    file.verify(&ArchiveKeys::none(), None).unwrap().totals
}

/// Whatever call of the disk of the environment fails in an import: the old content or, where a sync failed,
/// either; never anything else.
#[test]
fn a_disk_that_fails_or_is_full_leaves_the_store_before() {
    let store = filled(small_options(), 60);
    store.export("one", &ExportOptions::default()).unwrap();
    let archived = content(store.env());
    store.put("db", b"later", b"v");
    let before = content(store.env());
    let mut store = store;
    store.close();
    let (start, archive) = (store.disk.image(), store.archive("one"));
    for fault in [Fault::Eio, Fault::NoSpace] {
        let mut refused = 0;
        for call in 0.. {
            let (sim, world) = (SimDisk::from_image(&start), SimWorld::new(3));
            let disk = FaultDisk::new(sim.root());
            let open = || Environment::open_in(disk.root(), world.world(), small_options());
            let (env, _) = open().unwrap();
            disk.inject(Rule::new(fault).nth(call));
            let options = ImportOptions::default();
            let result = cairn_archive::import(&env, &archive, &StoreInfo::databases(), &options);
            disk.clear();
            // It took effect, and is written as soon as there is room.
            let is_pending =
                matches!(result, Err(ArchiveError::Env(EnvError::CommitPending { .. })));
            if is_pending {
                env.sync().unwrap();
            }
            if env.is_valid() {
                let is_new = result.is_ok() || is_pending;
                let expected = if is_new { &archived } else { &before };
                // The failure may have kept it from cleaning up behind itself.
                remove_unfinished_imports(&env).unwrap();
                assert!(content(&env) == *expected, "call {call}");
                let db = env.find_database("db").unwrap().unwrap();
                let goes_on = env.write(|txn| txn.put(&db, b"goes", b"on"));
                goes_on.unwrap_or_else(|error| panic!("call {call}: {error}"));
            }
            drop(env);
            let (env, _) = open().unwrap();
            remove_unfinished_imports(&env).unwrap();
            let mut found = content(&env);
            found.get_mut("db").unwrap().remove(&b"goes"[..]);
            assert!(found == archived || result.is_err() && found == before, "call {call}");
            match result {
                Ok(_) => break,
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 3, "{refused} calls failed");
    }
}

/// Cancelled at every report: nothing has changed, and nothing is left.
#[test]
fn whoever_cancels_finds_everything_as_it_was() {
    let store = filled(small_options(), 200);
    store.put("blob", b"large", &vec![1; 1_500_000]);
    let mut reports = 0;
    for stop_at in 0.. {
        let count = AtomicU64::new(0);
        let stop = |_| match count.fetch_add(1, Ordering::Relaxed) == stop_at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let options = ExportOptions::default().compression(cairn_archive::Compression::None);
        match store.export("one", &options.progress(Some(&stop))) {
            Err(ArchiveError::Cancelled) => {
                assert!(store.archives.root().list().unwrap().is_empty());
            }
            made => {
                made.unwrap();
                reports = stop_at;
                break;
            }
        }
    }
    assert!(reports > 6, "{reports} reports of an export");
    store.put("db", b"later", b"v");
    let before = content(store.env());
    for stop_at in 0.. {
        let count = AtomicU64::new(0);
        let stop = |_| match count.fetch_add(1, Ordering::Relaxed) == stop_at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let options = ImportOptions::default().progress(Some(&stop));
        match store.import(&store.archive("one"), options) {
            Err(ArchiveError::Cancelled) => {
                assert!(content(store.env()) == before);
            }
            imported => {
                imported.unwrap();
                reports = stop_at;
                break;
            }
        }
    }
    assert!(reports > 6, "{reports} reports of an import");
    assert!(content(store.env()) != before);
}

/// A name that is taken stays what it is, unless it is to be replaced.
#[test]
fn a_name_that_is_taken_is_left_alone() {
    let store = filled(small_options(), 3);
    let first = store.export("one", &ExportOptions::default()).unwrap();
    store.put("db", b"later", b"v");
    let error = store.export("one", &ExportOptions::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Exists { .. }), "{error}");
    assert_eq!(store.archive("one").verify(&ArchiveKeys::none(), None).unwrap(), first);
    let second = store.export("one", &ExportOptions::default().replace(true)).unwrap();
    assert_eq!(store.archive("one").verify(&ArchiveKeys::none(), None).unwrap(), second);
    assert_eq!(store.archives.root().list().unwrap().len(), 1);
}

/// Cleaning up leaves alone what somebody writes, and takes what nobody does any more.
#[test]
fn what_is_being_written_is_not_removed_as_unfinished() {
    let scratch = tempfile::tempdir().unwrap();
    for dir in [SimDisk::new().root(), RealDir::open(scratch.path()).unwrap()] {
        let store = filled(small_options(), 40);
        let (info, world) = (StoreInfo::databases(), store.world.world());
        let left = Name::constant("unfinished-00112233445566778899aabbccddeeff");
        let other = Name::constant("unfinished");
        for name in [&left, &other] {
            dir.create(name).unwrap();
        }
        let file = ArchiveFile::new(DirRef::clone(&dir), Name::constant("archive"));
        let [calls, removed] = [0, 0].map(AtomicU64::new);
        let clean = |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            removed.fetch_add(remove_unfinished(&*dir).unwrap() as u64, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let options = ExportOptions::default().progress(Some(&clean));
        let snapshot = store.env().snapshot().unwrap();
        export(store.env(), &snapshot, &info, &["db"], &file, &world, &options).unwrap();
        assert!(calls.into_inner() > 1);
        assert_eq!(removed.into_inner(), 1, "what was left before");
        file.verify(&ArchiveKeys::none(), None).unwrap();
        let names: Vec<_> = dir.list().unwrap().into_iter().map(|entry| entry.display).collect();
        assert_eq!(names, ["archive", "unfinished"]);
    }
}
