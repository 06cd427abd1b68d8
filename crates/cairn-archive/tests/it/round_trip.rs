//! What goes into an archive comes out of it, whatever it is and however it is stored.

use cairn_archive::{ArchiveKeys, Compression, ExportOptions, ImportOptions, Step};
use cairn_env::Options;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use crate::fixture::{Model, TestStore, by_word, content, ordered, raw_key, small_options};

/// A store with a map, a multimap, an index, an empty database and values of all sizes.
pub(crate) fn filled(options: Options) -> TestStore {
    let store = TestStore::new(options);
    let (users, _) = (store.db("users"), store.db("nothing"));
    let tags = store.env().multimap("tags").unwrap();
    store.env().index(&users, by_word()).unwrap();
    store
        .env()
        .write(|txn| {
            for n in 0..100 {
                txn.put(&users, &ordered(n), format!("user {n} of all").as_bytes())?;
                tags.put(txn, b"even\0odd", &ordered(n))?;
            }
            txn.put(&users, b"empty", b"")?;
            txn.put(&users, b"", b"of the empty key")?;
            txn.put(&users, b"large", &[b'x'; 5000])
        })
        .unwrap();
    store.put("blobs", b"huge", &(0..1_500_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    store
}

#[test]
fn a_store_comes_back_with_everything_that_belongs_to_it() {
    for options in [small_options(), small_options().key(raw_key(1))] {
        for compression in [Compression::None, Compression::Zstd(1)] {
            let mut store = filled(options.clone());
            let before = content(store.env());
            let made =
                store.export("monday", &ExportOptions::default().compression(compression)).unwrap();
            assert_eq!(made.totals.entries(), made.header.entries());
            assert_eq!(made.key_epoch.is_some(), store.env().is_encrypted());

            let users = store.db("users");
            store.env().write(|txn| txn.delete(&users, &ordered(5))).unwrap();
            store.put("users", b"later", b"than the archive");
            store.put("also later", b"k", b"v");
            assert!(content(store.env()) != before);

            let report = store.import(&store.archive("monday"), ImportOptions::default()).unwrap();
            assert_eq!(report.archive, made);
            assert!(content(store.env()) == before);
            // The index is kept up from the first write on, and again after a restart.
            store.put("users", b"new", b"word");
            let check = |store: &TestStore| {
                let index = store.env().index(&store.db("users"), by_word()).unwrap();
                let snapshot = store.env().snapshot().unwrap();
                assert_eq!(index.primary_keys(&snapshot, b"word").unwrap().count(), 1);
                assert_eq!(index.primary_keys(&snapshot, b"of").unwrap().count(), 101);
            };
            check(&store);
            store.kill();
            check(&store);
            store.reopen();
            let again = store.import(&store.archive("monday"), ImportOptions::default()).unwrap();
            assert_eq!(again.archive, made);
            store.reopen();
            assert!(content(store.env()) == before);
        }
    }
}

/// Progress says what is done, how far it is, and ends where it should.
#[test]
fn progress_ends_at_what_there_is() {
    use std::{ops::ControlFlow, sync::Mutex};
    let store = filled(small_options());
    let seen = Mutex::new(Vec::new());
    let report = |progress| {
        seen.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    };
    let made = store.export("one", &ExportOptions::default().progress(Some(&report))).unwrap();
    let options = ImportOptions::default().progress(Some(&report));
    store.import(&store.archive("one"), options).unwrap();
    let seen = seen.into_inner().unwrap();
    for step in [Step::Writing, Step::Verifying, Step::Importing] {
        let of_step: Vec<_> = seen.iter().filter(|seen| seen.step == step).collect();
        let total = made.totals.entries();
        // What reads an archive as it is stored knows of no entries.
        let known = of_step.iter().filter(|seen| seen.entries_total > 0);
        assert!(known.clone().all(|seen| seen.entries_total == total && seen.entries <= total));
        assert!(known.count() > 0, "{step:?}");
        assert!(!of_step.is_empty(), "{step:?}");
    }
    let last = seen.iter().rfind(|seen| seen.step == Step::Verifying).unwrap();
    assert_eq!((last.entries, last.bytes), (made.totals.entries(), made.bytes));
    assert_eq!(last.bytes_total, Some(made.bytes));
}

/// An archive of no databases, and one of an empty one, are legal, and say what they are.
#[test]
fn an_empty_store_is_no_damage() {
    let store = TestStore::new(small_options());
    let nothing = store.export("nothing", &ExportOptions::default()).unwrap();
    assert_eq!((nothing.header.databases.len(), nothing.totals.entries()), (0, 0));
    store.db("empty");
    let empty = store.export("empty", &ExportOptions::default()).unwrap();
    assert_eq!((empty.header.databases.len(), empty.totals.entries()), (1, 0));
    assert_ne!(nothing.totals.digest, empty.totals.digest);
    store.put("empty", b"k", b"v");
    store.import(&store.archive("empty"), ImportOptions::default()).unwrap();
    assert_eq!(content(store.env()), Model::from([("empty".into(), Default::default())]));
    store.import(&store.archive("nothing"), ImportOptions::default()).unwrap();
    assert_eq!(content(store.env()), Model::new());
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        2 => vec(any::<u8>(), 0..3000),
        1 => (0usize..70_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn models() -> impl Strategy<Value = Model> {
    let entries = btree_map(vec(any::<u8>(), 0..12), values(), 0..30);
    btree_map("[a-z]{1,6}", entries, 0..5)
}

fn set(store: &TestStore, model: &Model) {
    for (name, entries) in model {
        let db = store.db(name);
        let put = |txn: &mut cairn_env::Transaction| {
            entries.iter().try_for_each(|(key, value)| txn.put(&db, key, value))
        };
        store.env().write(put).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any store, in frames of any length, compressed or not, encrypted or not; over any other store.
    #[test]
    fn any_store_comes_back(
        model in models(),
        other in models(),
        frame_len in prop_oneof![1usize..200, Just(0)],
        level in 0i32..4,
        encrypted: bool,
    ) {
        let options = match encrypted {
            true => small_options().key(raw_key(1)),
            false => small_options(),
        };
        let store = TestStore::new(options);
        set(&store, &model);
        let compression = if level == 0 { Compression::None } else { Compression::Zstd(level) };
        let mut options = ExportOptions::default().compression(compression);
        options.frame_len = frame_len;
        let made = store.export("one", &options).unwrap();
        let count: usize = model.values().map(std::collections::BTreeMap::len).sum();
        prop_assert_eq!(made.totals.entries(), count as u64);
        let keys = ArchiveKeys::of(store.env()).unwrap();
        prop_assert_eq!(&store.archive("one").verify(&keys, None).unwrap(), &made);
        let stored = store.archive("one").verify_stored(None).unwrap();
        prop_assert_eq!((stored.digest, stored.bytes), (made.digest, made.bytes));

        // However it is cut and stored, it is the same.
        let same = ExportOptions::default().compression(Compression::None);
        let same = store.export("same", &same).unwrap();
        prop_assert_eq!(same.totals, made.totals);

        set(&store, &other);
        store.import(&store.archive("one"), ImportOptions::default()).unwrap();
        prop_assert_eq!(content(store.env()), model);
    }
}
