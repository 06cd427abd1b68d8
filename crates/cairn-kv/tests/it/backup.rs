//! Backups: what ArkData's guide does, its limits and outcomes, and what its own get wrong.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::PathBuf,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use cairn_archive::{ArchiveError, ArchiveFile, Step};
use cairn_env::{Environment, ErrorKind, Options, VerifyOptions};
use cairn_kv::{
    BackupOptions, BackupPlace, BackupSchedule, DeleteStatus, KvError, KvManager, KvManagerConfig,
    KvOptions, KvStore, Limits, Query, SecurityLevel, StoreEvent, SubscribeType,
};
use tempfile::TempDir;

use crate::{
    fixture::{options, people, store},
    observer::{content, replay},
};

/// A manager on a directory, and a store of it with an entry.
pub(crate) struct Kept {
    pub(crate) dir: TempDir,
    pub(crate) manager: KvManager,
    pub(crate) store: KvStore,
}

pub(crate) fn kept(options: KvOptions) -> Kept {
    kept_with(options, KvManagerConfig::new())
}

pub(crate) fn kept_with(options: KvOptions, config: KvManagerConfig) -> Kept {
    let dir = tempfile::tempdir().unwrap();
    let manager = KvManager::open(dir.path().join("data"), config).unwrap();
    let store = manager.get_store("storeId", options).unwrap();
    Kept { dir, manager, store }
}

impl Kept {
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("data.backups").join("storeId").join(format!("{name}.bak"))
    }

    fn files(&self) -> Vec<String> {
        let folder = self.file("x").with_file_name("");
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[track_caller]
fn verified(env: &Environment) {
    let report = env.verify(&VerifyOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn a_restored_store_is_what_it_was() {
    let kept = kept(options());
    let store = &kept.store;
    store.put("key_test_string", "value_test_string").unwrap();
    let backup = store.backup("BK001").unwrap();
    assert_eq!((backup.name.as_str(), backup.entries), ("BK001", 1));
    store.delete("key_test_string").unwrap();
    store.put("later", 1).unwrap();
    let restored = store.restore("BK001").unwrap();
    assert_eq!(restored, backup);
    let entries = store.get_entries("").unwrap();
    assert_eq!(entries, [cairn_kv::Entry::new("key_test_string", "value_test_string")]);
    // It can be repeated, and written to.
    store.put("after", 2).unwrap();
    store.restore("BK001").unwrap();
    assert_eq!(store.get("after").unwrap(), None);
    store.put("after", 3).unwrap();
    assert_eq!(store.get_result_size("").unwrap(), 2);
    verified(kept.manager.environment());
}

#[test]
fn an_empty_store_is_backed_up_and_restored() {
    let kept = kept(options());
    assert_eq!(kept.store.backup("empty").unwrap().entries, 0);
    kept.store.put("a", 1).unwrap();
    kept.store.restore("empty").unwrap();
    assert_eq!(kept.store.get_result_size("").unwrap(), 0);
}

#[test]
fn a_backup_over_a_name_replaces_that_backup() {
    let Kept { store, .. } = &kept(options());
    store.put("a", 1).unwrap();
    store.backup("BK001").unwrap();
    store.put("a", 2).unwrap();
    store.backup("BK001").unwrap();
    store.put("a", 3).unwrap();
    store.restore("BK001").unwrap();
    assert_eq!(store.get("a").unwrap(), Some(2.into()));
    assert_eq!(store.backups().unwrap().len(), 1);
}

#[test]
fn a_backup_that_is_cancelled_leaves_the_old_one() {
    let kept = kept(options());
    let store = &kept.store;
    store.put("a", 1).unwrap();
    let old = store.backup("BK001").unwrap();
    store.put("a", 2).unwrap();
    for step in [Step::Writing, Step::Verifying] {
        let stop = move |progress: cairn_archive::Progress| match progress.step == step {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let error =
            store.backup_with("BK001", BackupOptions::new().progress(Some(&stop))).unwrap_err();
        assert!(matches!(error, KvError::Archive(ArchiveError::Cancelled)));
        assert_eq!(kept.files(), ["BK001.bak"]);
        assert_eq!(store.backups().unwrap()[0].state.as_ref().unwrap(), &old);
        let error = store.restore_with("BK001", BackupOptions::new().progress(Some(&stop)));
        if step == Step::Verifying {
            assert!(error.is_err());
            assert_eq!(store.get("a").unwrap(), Some(2.into()));
        } else {
            assert_eq!(store.get("a").unwrap(), Some(1.into()));
            store.put("a", 2).unwrap();
        }
    }
}

#[test]
fn at_most_5_backups_are_kept_and_the_automatic_one_does_not_count() {
    let kept = kept(options());
    let store = &kept.store;
    store.auto_backup().unwrap();
    for n in 1..=5 {
        store.backup(&format!("BK00{n}")).unwrap();
    }
    let error = store.backup("BK006").unwrap_err();
    assert!(matches!(error, KvError::BackupLimit { max: 5, count: 5 }));
    assert_eq!(error.code(), None);
    store.backup("BK003").unwrap(); // that name is there
    store.auto_backup().unwrap();
    store.delete_backup(["BK001"]).unwrap();
    store.backup("BK006").unwrap();
    assert_eq!(kept.files().len(), 6);
    let limits = Limits::default().backups(6);
    let more = kept.manager.get_store("storeId", options().limits(limits)).unwrap();
    more.backup("BK007").unwrap();
}

#[test]
fn names_of_backups_lead_nowhere_else() {
    let Kept { store, .. } = &kept(options());
    for name in ["", "autoBackup", "a/b", "../BK001", "..", "/tmp/x", "a\0", &"x".repeat(97)] {
        let error = store.backup(name).unwrap_err();
        assert!(matches!(error, KvError::InvalidBackupName { .. }), "{name:?}");
        assert_eq!(error.code(), Some(401));
    }
    for name in ["true", "1", "1.0"] {
        store.backup(name).unwrap();
        store.restore(name).unwrap();
    }
}

#[test]
fn a_missing_backup_is_an_error_and_never_another_one() {
    let Kept { store, .. } = &kept(options());
    for made in [false, true] {
        if made {
            store.backup("BK001").unwrap();
        }
        let error = store.restore("BK002").unwrap_err();
        assert!(matches!(error, KvError::NoSuchBackup { .. }));
        assert_eq!(error.code(), Some(401));
        assert_eq!(store.restore("").unwrap_err().code(), Some(401));
    }
}

#[test]
fn deleting_answers_for_each_name_in_their_order() {
    let Kept { store, .. } = &kept(options());
    assert!(matches!(store.delete_backup([""; 0]).unwrap_err(), KvError::EmptyBatch));
    let codes = |names: &[&str]| -> Vec<(String, u32)> {
        let results = store.delete_backup(names).unwrap();
        results.into_iter().map(|(name, status)| (name, status.code())).collect()
    };
    assert_eq!(codes(&["autoBackup"]), [("autoBackup".into(), 27_459_591)]);
    store.backup("b").unwrap();
    store.backup("a").unwrap();
    store.auto_backup().unwrap();
    let expected = [
        ("", 27_459_591),
        ("../a", 27_459_591),
        ("a", 0),
        ("autoBackup", 27_459_585),
        ("b", 0),
        ("none", 27_459_591),
    ];
    let expected = expected.map(|(name, code)| (name.to_owned(), code));
    assert_eq!(codes(&["none", "b", "a", "autoBackup", "a", "", "../a"]), expected);
    assert_eq!(codes(&["b"]), [("b".into(), 27_459_591)]);
    assert_eq!(store.backups().unwrap().len(), 1);
}

#[test]
fn a_closed_store_can_list_and_delete_its_backups_and_no_more() {
    let Kept { store, manager, .. } = &kept(options());
    store.backup("BK001").unwrap();
    manager.close_store("storeId");
    for error in [
        store.backup("BK002").unwrap_err(),
        store.restore("BK001").unwrap_err(),
        store.restore_latest().unwrap_err(),
        store.auto_backup().unwrap_err(),
    ] {
        assert_eq!(error.code(), Some(15_100_005));
    }
    assert_eq!(store.backups().unwrap().len(), 1);
    assert!(matches!(store.delete_backup(["BK001"]).unwrap()[0].1, DeleteStatus::Deleted));
}

#[test]
fn deleting_a_store_keeps_its_backups() {
    let kept = kept(options());
    kept.store.put("a", 1).unwrap();
    kept.store.backup("BK001").unwrap();
    kept.manager.delete_store("storeId").unwrap();
    assert_eq!(kept.store.restore("BK001").unwrap_err().code(), Some(15_100_005));
    let again = kept.manager.get_store("storeId", options()).unwrap();
    again.restore("BK001").unwrap();
    assert_eq!(again.get("a").unwrap(), Some(1.into()));
}

/// In ArkData each of these makes a restore fail.
#[test]
fn who_is_looking_does_not_stand_in_the_way() {
    let Kept { store, manager, .. } = &kept(options());
    store.put("a", 1).unwrap();
    store.backup("BK001").unwrap();
    store.put("a", 2).unwrap();
    let other = manager.get_store("storeId", options()).unwrap();
    let observers =
        [SubscribeType::All, SubscribeType::Remote].map(|kind| other.observe(kind).unwrap());
    let mut set = other.get_result_set("").unwrap();
    assert!(set.move_to_first().unwrap());
    let mut txn = other.start_transaction().unwrap();
    txn.put("b", 1).unwrap();
    other.put("a", 3).unwrap();
    store.restore("BK001").unwrap();
    // The set and the transaction end, the other handle goes on, observers are told once.
    for error in
        [set.entry().unwrap_err(), set.move_to_next().unwrap_err(), txn.commit().unwrap_err()]
    {
        assert!(matches!(error, KvError::Closed { .. }));
        assert_eq!(error.code(), Some(15_100_005));
    }
    assert_eq!(other.get("a").unwrap(), Some(1.into()));
    other.put("a", 4).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| observers[0].try_next()).collect();
    let [StoreEvent::Changed(before), StoreEvent::Reset, StoreEvent::Changed(after)] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (before.updated[0].value.clone(), after.updated[0].value.clone()),
        (3.into(), 4.into())
    );
    let events: Vec<_> = std::iter::from_fn(|| observers[1].try_next()).collect();
    assert_eq!(events, [StoreEvent::Reset]);
    // Sets that have ended make room.
    for _ in 0..8 {
        drop(store.get_result_set("").unwrap());
    }
}

/// What really cannot be done at the time says who is in the way. ArkData gives its number to neither.
#[test]
fn a_second_restore_at_the_time_is_busy() {
    let Kept { store, .. } = &kept(options());
    store.put("a", 1).unwrap();
    store.backup("BK001").unwrap();
    let meanwhile = |_| {
        let error = store.restore("BK001").unwrap_err();
        assert!(matches!(error, KvError::Busy { what: "another restore of the store" }), "{error}");
        assert_eq!((error.code(), error.kind()), (None, ErrorKind::Busy));
        ControlFlow::Continue(())
    };
    store.restore_with("BK001", BackupOptions::new().progress(Some(&meanwhile))).unwrap();
    store.restore("BK001").unwrap(); // the first one is over
}

/// Who opens a store that was closed while it is restored waits for what comes, and has that.
#[test]
fn a_store_that_is_closed_and_opened_during_a_restore_has_what_was_restored() {
    let Kept { store, manager, .. } = &kept(options());
    store.put("a", 1).unwrap();
    store.backup("BK001").unwrap();
    store.put("a", 2).unwrap();
    let env = manager.environment();
    let (tell, told) = mpsc::channel();
    let (tell, told) = (Mutex::new(Some(tell)), Mutex::new(told));
    thread::scope(|scope| {
        let opening = Mutex::new(None);
        let reopen = |progress: cairn_archive::Progress| {
            if progress.step == Step::Importing
                && let Some(tell) = tell.lock().unwrap().take()
            {
                store.close();
                let open = move || {
                    let opened = KvStore::open(env, "storeId", options()).unwrap();
                    tell.send(()).unwrap();
                    opened
                };
                *opening.lock().unwrap() = Some(scope.spawn(open));
                // It has all the time that it needs to open what is about to go.
                let early = told.lock().unwrap().recv_timeout(Duration::from_millis(100));
                assert!(early.is_err(), "it has opened what is about to go");
            }
            ControlFlow::Continue(())
        };
        store.restore_with("BK001", BackupOptions::new().progress(Some(&reopen))).unwrap();
        let opened = opening.lock().unwrap().take().unwrap().join().unwrap();
        assert_eq!(opened.get("a").unwrap(), Some(1.into()));
        opened.put("a", 3).unwrap();
    });
}

#[test]
fn a_schema_and_its_indexes_come_back() {
    let Kept { store, manager, .. } = &kept(options().schema(people()));
    for n in 0..20 {
        store.put(format!("k{n:02}"), format!("{{\"name\":\"x\",\"age\":{}}}", n % 4)).unwrap();
    }
    store.backup("BK001").unwrap();
    let query = || Query::new().equal_to("$.age", 3);
    for n in 0..20 {
        store.put(format!("k{n:02}"), r#"{"name":"y","age":3}"#).unwrap();
    }
    assert_eq!(store.get_result_size(query()).unwrap(), 20);
    store.restore("BK001").unwrap();
    assert_eq!(store.get_result_size(query()).unwrap(), 5);
    let explained = store.explain(query()).unwrap();
    assert_eq!((explained.index.as_deref(), explained.examined), (Some("$.age"), 5));
    store.put("k99", r#"{"name":"y","age":3}"#).unwrap();
    assert_eq!(store.get_result_size(query()).unwrap(), 6);
    verified(manager.environment());
}

#[test]
fn a_damaged_archive_is_refused_and_nothing_changes() {
    let kept = kept(options());
    let store = &kept.store;
    store.put("a", 1).unwrap();
    store.backup("BK001").unwrap();
    store.put("a", 2).unwrap();
    let whole = fs::read(kept.file("BK001")).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [&[][..], b"something else", &whole[..whole.len() - 1], &flipped] {
        fs::write(kept.file("BK001"), bytes).unwrap();
        let error = store.restore("BK001").unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some(15_100_003), ErrorKind::Corrupt), "{error}");
        assert_eq!(store.get("a").unwrap(), Some(2.into()));
        let listed = store.backups().unwrap();
        assert_eq!(listed[0].state.as_ref().unwrap_err().code(), Some(15_100_003));
    }
    fs::write(kept.file("BK001"), whole).unwrap();
    store.restore("BK001").unwrap();
    assert_eq!(store.get("a").unwrap(), Some(1.into()));
}

#[test]
fn the_latest_is_the_newest_good_one_by_its_commit() {
    let kept = kept(options());
    let store = &kept.store;
    let error = store.restore_latest().unwrap_err();
    assert!(matches!(error, KvError::NoGoodBackup { .. }), "{error}");
    assert_eq!((error.code(), error.kind()), (Some(401), ErrorKind::NotFound));
    for (name, value) in [("z", 1), ("y", 2), ("x", 3)] {
        store.put("a", value).unwrap();
        store.backup(name).unwrap();
    }
    store.put("a", 4).unwrap();
    store.auto_backup().unwrap();
    assert_eq!(store.restore_latest().unwrap().name, "autoBackup");
    assert_eq!(store.get("a").unwrap(), Some(4.into()));
    fs::write(kept.file("autoBackup"), "").unwrap();
    fs::write(kept.file("x"), "no archive").unwrap();
    assert_eq!(store.restore_latest().unwrap().name, "y");
    assert_eq!(store.get("a").unwrap(), Some(2.into()));
}

#[test]
fn an_archive_of_another_store_is_restored_only_when_that_is_said() {
    let kept = kept(options());
    let other = kept.manager.get_store("other", options()).unwrap();
    other.put("theirs", 1).unwrap();
    other.backup("BK001").unwrap();
    kept.store.put("ours", 1).unwrap();
    kept.store.backup("BK001").unwrap();
    let theirs = kept.dir.path().join("data.backups/other/BK001.bak");
    fs::copy(&theirs, kept.file("BK001")).unwrap();
    let error = kept.store.restore("BK001").unwrap_err();
    assert!(matches!(error, KvError::Archive(ArchiveError::OtherStore { .. })), "{error}");
    assert_eq!(kept.store.get("ours").unwrap(), Some(1.into()));
    let archive = ArchiveFile::at(&theirs).unwrap();
    kept.store.restore_from(&archive, BackupOptions::new()).unwrap();
    assert_eq!(kept.store.get("theirs").unwrap(), Some(1.into()));
    assert_eq!(kept.store.get("ours").unwrap(), None);
    assert_eq!(other.get("theirs").unwrap(), Some(1.into()));
    kept.store.put("more", 1).unwrap();
    assert_eq!(other.get("more").unwrap(), None);
    verified(kept.manager.environment());
}

#[test]
fn a_backup_of_another_sort_of_store_is_refused() {
    let kept = kept(KvOptions::new(SecurityLevel::S2));
    kept.store.put("a", 1).unwrap();
    kept.store.backup("BK001").unwrap();
    let archive = ArchiveFile::at(kept.file("BK001")).unwrap();
    let restore = |id: &str, options: KvOptions| {
        let store = kept.manager.get_store(id, options).unwrap();
        store.restore_from(&archive, BackupOptions::new()).map(|backup| backup.entries)
    };
    let error = restore("lower", KvOptions::new(SecurityLevel::S1)).unwrap_err();
    assert!(matches!(error, KvError::LowerSecurity { .. }));
    assert_eq!(error.code(), None);
    assert_eq!(restore("higher", KvOptions::new(SecurityLevel::S3)).unwrap(), 1);
    // Its value does not follow the schema, which came later than the backup; and a schema stays.
    let schema = || KvOptions::new(SecurityLevel::S2).schema(people());
    assert_eq!(restore("schema", schema()).unwrap_err().code(), Some(401));
    let store = kept.manager.get_store("schema", schema()).unwrap();
    store.backup("BK001").unwrap();
    let path = kept.file("BK001").with_file_name("../schema/BK001.bak");
    let archive = ArchiveFile::at(path).unwrap();
    let error = kept.store.restore_from(&archive, BackupOptions::new()).unwrap_err();
    assert_eq!(error.code(), Some(15_100_002));
}

#[test]
fn the_automatic_backup_is_made_by_call_and_by_schedule() {
    let kept = kept(options());
    let store = &kept.store;
    let mut schedule = BackupSchedule::every(Duration::from_secs(10));
    let mut at = |second| schedule.step(store, Duration::from_secs(second)).unwrap().is_some();
    assert_eq!(
        [at(100), at(101), at(109), at(110), at(115), at(200)],
        [true, false, false, true, false, true]
    );
    assert_eq!(kept.files(), ["autoBackup.bak"]);
    store.put("a", 1).unwrap();
    store.restore("autoBackup").unwrap();
    assert_eq!(store.get("a").unwrap(), None);
    let never = kept.manager.get_store("never", options().backup(false)).unwrap();
    let error = never.auto_backup().unwrap_err();
    assert!(matches!(error, KvError::NotSupported { .. }));
    assert!(schedule.step(&never, Duration::from_secs(300)).is_err());
    never.backup("BK001").unwrap();
}

#[test]
fn who_brings_an_environment_says_where_backups_lie() {
    let store = store();
    for error in [store.backup("BK001").unwrap_err(), store.restore("BK001").unwrap_err()] {
        assert!(matches!(error, KvError::NotSupported { .. }));
        assert_eq!(error.code(), None);
    }
}

#[test]
fn a_store_with_the_longest_id_has_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    BackupPlace::at(dir.path().join("kept")).attach(&env);
    let ids = ["x".repeat(100), "x".repeat(128)];
    for id in &ids {
        let store = KvStore::open(&env, id, options()).unwrap();
        store.put("id", id.len() as i64).unwrap();
        store.backup("BK001").unwrap();
        store.put("id", 0).unwrap();
    }
    for id in &ids {
        let store = KvStore::open(&env, id, options()).unwrap();
        store.restore("BK001").unwrap();
        assert_eq!(store.get("id").unwrap(), Some((id.len() as i64).into()));
        assert_eq!(store.backups().unwrap().len(), 1);
    }
}

/// Writers, readers with result sets, an observer, backups and restores, all at once: nothing waits for ever, no
/// reader sees half a restore, and what the observer was told since the last reset is what changed since.
#[test]
fn everything_goes_on_during_backups_and_restores() {
    let kept = kept(options());
    let store = &kept.store;
    // Each batch puts one number under four keys: whoever sees two numbers has seen half of something.
    let put = |n: i32| {
        let entries = (0..4).map(|key| cairn_kv::Entry::new(format!("k{key}"), n));
        store.put_batch(entries).unwrap();
    };
    put(0);
    store.backup("BK001").unwrap();
    let observer = store.observe(SubscribeType::All).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
    thread::scope(|scope| {
        for writer in 0..2 {
            scope.spawn(move || (0..60).for_each(|n| put(n * 2 + writer)));
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done() {
                    let entries = store.get_entries("k").unwrap();
                    assert_eq!(entries.len(), 4);
                    assert!(entries.windows(2).all(|pair| pair[0].value == pair[1].value));
                    assert!(store.get("k0").unwrap().is_some());
                    let mut set = store.get_result_set("k").unwrap();
                    let ended = set.entries().find_map(Result::err);
                    assert!(ended.is_none_or(|error| error.code() == Some(15_100_005)));
                }
            });
        }
        for _ in 0..10 {
            store.backup("BK002").unwrap();
            store.restore("BK001").unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    put(1000);
    let mut events: Vec<_> = std::iter::from_fn(|| observer.try_next()).collect();
    let resets = events.iter().filter(|event| **event == StoreEvent::Reset).count();
    assert_eq!(resets, 10);
    let last = events.iter().rposition(|event| *event == StoreEvent::Reset).unwrap();
    let mut state: BTreeMap<_, _> =
        (0..4).map(|key| (format!("k{key}"), cairn_kv::Value::from(0))).collect();
    for event in events.drain(last + 1..) {
        let StoreEvent::Changed(change) = event else { panic!() };
        for entry in &change.updated {
            assert!(state.insert(entry.key_str().into_owned(), entry.value.clone()).is_some());
        }
    }
    let held = content(store)
        .into_iter()
        .map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value));
    assert!(state.into_iter().eq(held));
    let mut nothing = BTreeMap::new();
    assert_eq!(replay(&observer, &mut nothing), 0);
    verified(kept.manager.environment());
}
