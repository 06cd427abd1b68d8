//! Two archives, or an archive and a live store: every difference, and nothing else.

use std::collections::BTreeMap;

use cairn_archive::{
    ArchiveError, ArchiveKeys, Change, DiffReport, Difference, ExportOptions, Side, diff,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use crate::fixture::{Model, TestStore, by_word, small_options};

fn store(model: &Model, seed: u64) -> TestStore {
    let store = TestStore::seeded(small_options(), seed);
    for (name, entries) in model {
        let db = store.db(name);
        let put = |txn: &mut cairn_env::Transaction| {
            entries.iter().try_for_each(|(key, value)| txn.put(&db, key, value))
        };
        store.env().write(put).unwrap();
    }
    store
}

type Found = Vec<(String, Option<Vec<u8>>, Change)>;

fn run(one: Side, other: Side, names: &[&str]) -> (Found, DiffReport) {
    let mut found = Found::new();
    let mut tell = |difference: &Difference| {
        found.push((difference.database.clone(), difference.key.clone(), difference.change));
        Ok(())
    };
    let report = diff(one, other, names, &mut tell, None).unwrap();
    (found, report)
}

/// What must be found, by the models alone.
fn expected(one: &Model, other: &Model) -> Found {
    let mut found = Found::new();
    let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    for name in names {
        let (a, b) = match (one.get(name), other.get(name)) {
            (Some(a), Some(b)) => (a, b),
            (Some(_), None) => {
                found.push((name.clone(), None, Change::Removed));
                continue;
            }
            _ => {
                found.push((name.clone(), None, Change::Added));
                continue;
            }
        };
        let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let change = match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) if a == b => continue,
                (Some(_), Some(_)) => Change::Changed,
                (Some(_), None) => Change::Removed,
                _ => Change::Added,
            };
            found.push((name.clone(), Some(key.clone()), change));
        }
    }
    found
}

fn models() -> impl Strategy<Value = Model> {
    let entries = btree_map(vec(0u8..4, 0..4), vec(0u8..2, 0..3), 0..20);
    btree_map("[a-d]", entries, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_difference_is_found_and_nothing_else(one: bool, left in models(), right in models()) {
        let (a, b) = (store(&left, 1), store(&right, 2));
        let mut options = ExportOptions::default();
        options.frame_len = 20;
        a.export("a", &options).unwrap();
        let open = |store: &TestStore, name: &str| {
            Side::archive(store.archive(name).open(&ArchiveKeys::none()).unwrap())
        };
        let names = ["a", "b", "c", "d"];
        let other = match one {
            true => Side::live(b.env().snapshot().unwrap()),
            false => {
                b.export("b", &ExportOptions::default()).unwrap();
                open(&b, "b")
            }
        };
        let (found, report) = run(open(&a, "a"), other, &names);
        let should = expected(&left, &right);
        prop_assert_eq!(report.is_same(), should.is_empty());
        let count = |change| should.iter().filter(|found| found.2 == change).count() as u64;
        prop_assert_eq!(
            (report.added, report.removed, report.changed),
            (count(Change::Added), count(Change::Removed), count(Change::Changed))
        );
        prop_assert_eq!(found, should);
        let entries = |name: &String, entries: &BTreeMap<Vec<u8>, Vec<u8>>| {
            let other = right.get(name);
            let same = |(key, value): &(&Vec<u8>, &Vec<u8>)| {
                other.is_some_and(|other| other.get(*key) == Some(*value))
            };
            entries.iter().filter(same).count() as u64
        };
        prop_assert_eq!(report.same, left.iter().map(|(name, of)| entries(name, of)).sum::<u64>());
    }
}

/// Indexes are compared like everything else, and what is behind the last difference is verified too.
#[test]
fn both_archives_are_read_to_their_ends() {
    let store = TestStore::new(small_options());
    let users = store.db("users");
    store.env().index(&users, by_word()).unwrap();
    store.put("users", b"ada", b"one two");
    store.export("a", &ExportOptions::default()).unwrap();
    let open = |name: &str| Side::archive(store.archive(name).open(&ArchiveKeys::none()).unwrap());
    let live = || Side::live(store.env().snapshot().unwrap());
    let (found, report) = run(open("a"), live(), &["users"]);
    assert_eq!((found.len(), report.same), (0, 3));
    store.put("users", b"ada", b"one three");
    let (found, report) = run(open("a"), live(), &["users"]);
    assert_eq!((report.changed, report.added, report.removed), (1, 1, 1), "{found:?}");

    let broken = store.archive("broken");
    let whole = cairn_io::DirExt::read_small(broken.dir(), store.archive("a").name(), 1 << 20);
    let whole = whole.unwrap();
    let file = broken.dir().create(broken.name()).unwrap();
    cairn_io::FileExt::write_all_at(&*file, 0, &whole[..whole.len() - 1]).unwrap();
    let error = diff(open("broken"), live(), &["users"], &mut |_| Ok(()), None).unwrap_err();
    assert!(matches!(error, ArchiveError::Truncated { .. }), "{error}");
}
