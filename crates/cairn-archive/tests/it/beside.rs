//! Imports beside others: who commits meanwhile, and who gets the journal.

use std::{ops::ControlFlow, sync::Mutex};

use cairn_archive::{Compression, ExportOptions, ImportOptions, Progress, Step, import};
use cairn_env::{DatabaseOptions, EnvError, Environment, ReplicaPolicy};
use cairn_io::MemDisk;
use cairn_sim::{SimDisk, SimWorld};

use crate::fixture::{TestStore, by_word, content, ordered, raw_key, small_options};

/// More than two parts of an import.
fn large() -> TestStore {
    let store = TestStore::new(small_options().cache_bytes(4 << 20));
    for part in 0..10 {
        let db = store.db("db");
        let value = |n: u32| vec![u8::try_from(n % 251).unwrap(); 1000];
        let put = |txn: &mut cairn_env::Transaction| {
            (part * 1000..(part + 1) * 1000).try_for_each(|n| txn.put(&db, &ordered(n), &value(n)))
        };
        store.env().write(put).unwrap();
    }
    store
}

/// Others commit while entries are loaded, to any database. What they change of those that are replaced is replaced.
#[test]
fn others_commit_while_an_import_loads() {
    let store = large();
    let options = ExportOptions::default().compression(Compression::None);
    store.export("one", &options).unwrap();
    let archived = content(store.env());
    let (db, other) = (store.db("db"), store.db("other"));
    let committed = Mutex::new(Vec::new());
    let commit = |progress: Progress| {
        if progress.step == Step::Importing {
            let mut committed = committed.lock().unwrap();
            let key = ordered(u32::try_from(committed.len()).unwrap());
            let put = |txn: &mut cairn_env::Transaction| {
                txn.put(&db, &key, b"replaced")?;
                txn.put(&other, &key, b"stays")
            };
            store.env().write(put).unwrap();
            // Nobody sees anything of what is being loaded under the names that it will have.
            let snapshot = store.env().snapshot().unwrap();
            assert_eq!(snapshot.get(&db, &key).unwrap().unwrap(), b"replaced");
            committed.push(key);
        }
        ControlFlow::Continue(())
    };
    let info = cairn_archive::StoreInfo::databases();
    let options = ImportOptions::default().replaces(&["db"]).progress(Some(&commit));
    import(store.env(), &store.archive("one"), &info, &options).unwrap();

    let committed = committed.lock().unwrap();
    assert!(committed.len() > 20, "{} commits", committed.len());
    let found = content(store.env());
    assert!(found["db"] == archived["db"]);
    assert!(found["other"].keys().eq(committed.iter().map(|key| key.as_slice())));
    assert_eq!(found.len(), 2, "nothing is left beside them");
}

/// What an entry is checked for is asked before anybody sees it; then nothing has changed.
#[test]
fn an_entry_that_is_refused_ends_the_import() {
    let store = large();
    store.export("one", &ExportOptions::default()).unwrap();
    store.put("db", b"later", b"v");
    let before = content(store.env());
    let refuse = |database: &str, key: &[u8], value: &[u8]| {
        assert_eq!((database, value.len()), ("db", 1000));
        match key == ordered(9999) {
            true => Err(EnvError::InvalidInput { what: "the last one".into() }),
            false => Ok(()),
        }
    };
    let error = store.import(&store.archive("one"), ImportOptions::default().check(&refuse));
    assert!(error.unwrap_err().to_string().contains("the last one"));
    assert!(content(store.env()) == before);
}

/// what an import brings is in the journal when it is acknowledged, so a replica alone has it.
#[test]
fn a_replica_alone_has_what_was_imported() {
    for key in [None, Some(raw_key(1))] {
        let (here, there) = (SimDisk::new(), SimDisk::new());
        let plain = || match &key {
            Some(key) => small_options().key(key.clone()),
            None => small_options(),
        };
        let options = plain().replica_in(there.root(), ReplicaPolicy::Require);
        let world = SimWorld::new(7);
        let (env, _) = Environment::open_in(here.root(), world.world(), options).unwrap();
        let db = env.database("db", DatabaseOptions::default()).unwrap();
        env.index(&db, by_word()).unwrap();
        let put = |from: u32| {
            env.write(|txn| {
                (from..from + 100).try_for_each(|n| txn.put(&db, &ordered(n), b"one of many"))
            })
        };
        put(0).unwrap();
        let archives = MemDisk::new();
        let archive =
            cairn_archive::ArchiveFile::new(archives.root(), cairn_io::Name::constant("one"));
        let info = cairn_archive::StoreInfo::databases();
        let export = cairn_archive::export;
        let snapshot = env.snapshot().unwrap();
        let made = ExportOptions::default();
        export(&env, &snapshot, &info, &["db"], &archive, &world.world(), &made).unwrap();
        drop(snapshot);
        let archived = content(&env);
        put(500).unwrap();
        import(&env, &archive, &info, &ImportOptions::default().replaces(&["db"])).unwrap();

        let left = SimDisk::from_image(&there.image());
        std::mem::forget(env); // its side is gone
        let (env, _) = Environment::open_in(left.root(), world.world(), plain()).unwrap();
        assert!(content(&env) == archived);
    }
}
