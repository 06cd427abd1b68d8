//! Leaves of which little has changed are written as deltas, and read as what they are.

use std::{collections::BTreeMap, sync::Arc};

use cairn_btree::{
    Flush, Forest, ForestOptions, FrozenRoot, MemorySource, NodeName, NodeSource, RecordImage,
    TreeId, TreeWriter, ValueRef, check, describe,
};
use cairn_log::{LogError, Lsn, RecordKind};
use proptest::prelude::*;

const TREE: TreeId = TreeId(20);

fn key(n: u64) -> Vec<u8> {
    format!("{n:06}").into_bytes()
}

/// A tree, its writer, and where its nodes are written to.
struct Tree {
    source: Arc<MemorySource>,
    forest: Arc<Forest>,
    writer: TreeWriter,
    sequence: u64,
}

impl Tree {
    /// One leaf of 40 entries of about 60 bytes.
    fn of_one_leaf() -> Self {
        let mut tree = Self::new(8 << 10);
        (0..40).for_each(|n| tree.put(n, &[7; 50]));
        tree
    }

    fn new(leaf_bytes: usize) -> Self {
        let source = Arc::new(MemorySource::new());
        let options = ForestOptions { leaf_bytes, ..ForestOptions::default() };
        let forest = Forest::new(Arc::clone(&source) as Arc<dyn NodeSource>, options);
        let mut writer = TreeWriter::new(Arc::clone(&forest), None, 1).unwrap();
        writer.create(TREE).unwrap();
        Self { source, forest, writer, sequence: 0 }
    }

    fn put(&mut self, n: u64, value: &[u8]) {
        self.sequence += 1;
        self.writer.insert(TREE, &key(n), ValueRef::Inline(value), self.sequence).unwrap();
    }

    fn remove(&mut self, n: u64) -> bool {
        self.sequence += 1;
        self.writer.remove(TREE, &key(n), self.sequence).unwrap().is_some()
    }

    /// Writes the newest version; returns it, and the kinds of the records that this took.
    fn flush(&mut self) -> (Arc<FrozenRoot>, Vec<RecordKind>) {
        let before = self.source.len();
        let frozen = self.writer.freeze(self.sequence).unwrap();
        let mut flush = Flush::new(Arc::clone(&frozen)).unwrap();
        while !flush.step(usize::MAX).unwrap() {}
        (frozen, (before..self.source.len()).map(|n| self.record(n).0).collect())
    }

    /// The n-th record that was written: its kind, its place and its payload.
    fn record(&self, n: usize) -> (RecordKind, Lsn, Vec<u8>) {
        let lsn = Lsn::from_raw((1 << 29) + n as u64).unwrap();
        let record = self.source.read(lsn).unwrap();
        (record.kind, lsn, record.body)
    }

    /// The newest record of a kind.
    fn newest(&self, kind: RecordKind) -> (Lsn, Vec<u8>) {
        let all = (0..self.source.len()).rev().map(|n| self.record(n));
        let (_, lsn, body) = all.into_iter().find(|record| record.0 == kind).unwrap();
        (lsn, body)
    }

    /// Goes on from what is on disk alone.
    fn reopen(&mut self) {
        let (frozen, _) = self.flush();
        let root = frozen.root_lsn();
        let source = Arc::clone(&self.source) as Arc<dyn NodeSource>;
        self.forest = Forest::new(source, self.forest.options().to_owned());
        let generation = self.writer.generation();
        self.writer = TreeWriter::new(Arc::clone(&self.forest), root, generation).unwrap();
    }
}

fn entries(frozen: &Arc<FrozenRoot>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut cursor = frozen.cursor(TREE).unwrap();
    let (mut all, mut found) = (BTreeMap::new(), cursor.first().unwrap());
    while found {
        let Some(ValueRef::Inline(value)) = cursor.value() else { panic!("no large values") };
        all.insert(cursor.key().to_vec(), value.to_vec());
        found = cursor.next().unwrap();
    }
    all
}

#[test]
fn a_leaf_with_few_changes_is_written_as_a_delta_until_there_are_many() {
    let mut tree = Tree::of_one_leaf();
    assert_eq!(tree.flush().1, [RecordKind::LEAF, RecordKind::CATALOG]);
    let (base, whole) = tree.newest(RecordKind::LEAF);
    tree.put(3, b"changed");
    assert!(tree.remove(5));
    assert_eq!(tree.flush().1, [RecordKind::LEAF_DELTA, RecordKind::CATALOG]);
    let (lsn, body) = tree.newest(RecordKind::LEAF_DELTA);
    assert!(body.len() < 100 && whole.len() > 2000, "{} and {}", body.len(), whole.len());
    let Ok(Some(RecordImage::Delta(delta))) = RecordImage::read(RecordKind::LEAF_DELTA, 1, body)
    else {
        panic!("it is a delta")
    };
    assert_eq!(delta.base(), base);
    let (kind, body) = (RecordKind::LEAF_DELTA, tree.newest(RecordKind::LEAF_DELTA).1);
    let text = describe(kind, &body).unwrap();
    assert!(text.contains("2 entries") && text.contains(&base.to_string()), "{text}");
    let said = RecordImage::read(kind, 1, body).unwrap().unwrap();
    let said: Vec<_> = said.said().collect();
    assert_eq!(said, [(key(3), Some(ValueRef::Inline(b"changed"))), (key(5), None)]);

    // The next one holds all changes since the base, and what is there again was not removed.
    tree.put(5, b"back");
    tree.put(50, b"new");
    assert_eq!(tree.flush().1[0], RecordKind::LEAF_DELTA);
    let (frozen, _) = tree.flush();
    let before = entries(&frozen);
    let report = check(&frozen, &mut |_| {});
    assert_eq!(report.reachable.values().sum::<u64>(), {
        let of = |kind| 24 + tree.newest(kind).1.len().next_multiple_of(8) as u64;
        of(RecordKind::LEAF) + of(RecordKind::LEAF_DELTA) + of(RecordKind::CATALOG)
    });
    tree.reopen();
    let (frozen, written) = tree.flush();
    assert!(written.is_empty() && entries(&frozen) == before && before[&key(5)] == b"back");
    assert_ne!(tree.newest(RecordKind::LEAF_DELTA).0, lsn);

    // Of 41 entries, 8 are more than the part that pays.
    (10..18).for_each(|n| tree.put(n, &[8; 50]));
    assert_eq!(tree.flush().1[0], RecordKind::LEAF);
    tree.put(3, b"again");
    assert_eq!(tree.flush().1[0], RecordKind::LEAF_DELTA);
    assert_ne!(tree.newest(RecordKind::LEAF).0, base);
}

#[test]
fn what_has_been_reachable_is_settled_for_base_and_delta() {
    let mut tree = Tree::of_one_leaf();
    let (mut live, mut random) = (0, 1u64);
    for n in 0..300u64 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(n);
        let which = random >> 40;
        match which % 5 {
            0 => drop(tree.remove(which % 41)),
            _ => tree.put(which % 41, &random.to_le_bytes()),
        }
        if which % 7 < 3 {
            // A version on the way, that is never written, or written late.
            let early = tree.writer.freeze(tree.sequence).unwrap();
            tree.put(which % 40, b"on the way");
            if which % 2 == 0 {
                let mut flush = Flush::new(early).unwrap();
                while !flush.step(usize::MAX).unwrap() {}
            }
        }
        let (frozen, _) = tree.flush();
        let settled = tree.forest.settle(frozen.generation());
        live += settled.iter().map(|tally| tally.bytes).sum::<i64>();
        let report = check(&frozen, &mut |_| {});
        assert!(report.findings.is_empty());
        assert_eq!(live, i64::try_from(report.reachable.values().sum::<u64>()).unwrap(), "{n}");
    }
}

#[test]
fn a_delta_moves_alone_and_a_base_that_has_to_go_makes_a_whole_leaf() {
    let mut tree = Tree::of_one_leaf();
    tree.flush();
    let (base, _) = tree.newest(RecordKind::LEAF);
    tree.put(3, b"changed");
    let (frozen, _) = tree.flush();
    let before = entries(&frozen);
    let (delta, body) = tree.newest(RecordKind::LEAF_DELTA);
    let name = NodeName::read(RecordKind::LEAF_DELTA, &body).unwrap().unwrap();
    let (_, body) = tree.newest(RecordKind::LEAF);
    assert_eq!(NodeName::read(RecordKind::LEAF, &body).unwrap().unwrap(), name);
    for lsn in [base, delta] {
        assert!(frozen.has_node_at(&name, lsn).unwrap(), "both are in use");
    }
    assert!(tree.writer.renew(&name, delta).unwrap());
    assert_eq!(tree.flush().1, [RecordKind::LEAF_DELTA, RecordKind::CATALOG]);
    let (moved, _) = tree.newest(RecordKind::LEAF_DELTA);
    assert!(moved != delta && !tree.writer.renew(&name, delta).unwrap(), "nothing is there now");

    // Not written yet, and already owned by the writer: it needs its base all the same.
    tree.put(4, b"changed, too");
    let frozen = tree.writer.freeze(tree.sequence).unwrap();
    assert!(frozen.has_node_at(&name, base).unwrap());
    tree.put(4, b"and again");
    assert!(tree.writer.renew(&name, base).unwrap());
    assert!(!tree.writer.renew(&name, base).unwrap(), "once is enough");
    drop(frozen);
    let (frozen, written) = tree.flush();
    assert_eq!(written, [RecordKind::LEAF, RecordKind::CATALOG]);
    assert!(!frozen.has_node_at(&name, base).unwrap());
    let mut expected = before;
    expected.insert(key(4), b"and again".to_vec());
    assert_eq!(entries(&frozen), expected);
}

/// A source in which one record stands in the place of another one.
#[derive(Debug)]
struct Misplaced {
    inner: Arc<MemorySource>,
    asked: Lsn,
    given: Lsn,
}

impl NodeSource for Misplaced {
    fn read(&self, lsn: Lsn) -> cairn_log::LogResult<cairn_btree::NodeRecord> {
        self.inner.read(if lsn == self.asked { self.given } else { lsn })
    }

    fn write(
        &self,
        kind: RecordKind,
        sequence: u64,
        body: Vec<u8>,
    ) -> cairn_log::LogResult<cairn_btree::StoredNode> {
        self.inner.write(kind, sequence, body)
    }

    fn damaged(&self, lsn: Lsn, damage: cairn_log::Damage) -> LogError {
        self.inner.damaged(lsn, damage)
    }
}

#[test]
fn another_record_in_the_place_of_the_base_is_refused_by_name() {
    let mut tree = Tree::of_one_leaf();
    tree.flush();
    let (base, _) = tree.newest(RecordKind::LEAF);
    let (catalog, _) = tree.newest(RecordKind::CATALOG);
    (0..30).for_each(|n| tree.put(n, &[9; 50]));
    tree.flush();
    let (later, _) = tree.newest(RecordKind::LEAF);
    assert_ne!(later, base);
    tree.put(3, b"changed");
    let (frozen, _) = tree.flush();
    let (delta, _) = tree.newest(RecordKind::LEAF_DELTA);
    for (given, named, what) in [
        (base, delta, "BASE_CRC at byte 20: is not that of the record at its base's position"),
        (catalog, later, "a leaf with a delta"),
        (delta, later, "a leaf with a delta"),
    ] {
        let source = Misplaced { inner: Arc::clone(&tree.source), asked: later, given };
        let forest = Forest::new(Arc::new(source), ForestOptions::default());
        let mut writer = TreeWriter::new(forest, frozen.root_lsn(), 9).unwrap();
        let version = writer.freeze(99).unwrap();
        let error = version.get_with(TREE, &key(1), |_| ()).unwrap_err();
        let text = error.to_string();
        let at = format!("offset {}:", named.offset());
        assert!(text.contains(what) && text.contains(&at), "{text}, not {what} {at}");
        let findings = check(&version, &mut |_| {}).findings;
        assert_eq!(findings[0].lsn, Some(later), "the delta is what it was: {findings:?}");
    }
}

proptest! {
    /// I-18: base and delta are the leaf, in whatever order it is changed, written, evicted and read.
    #[test]
    fn base_and_delta_are_the_leaf(
        steps in prop::collection::vec((0u64..60, prop::option::weighted(0.8, 0usize..90), 0u8..8), 1..120),
        leaf_bytes in prop::sample::select(vec![256, 1 << 10, 4 << 10]),
    ) {
        let mut tree = Tree::new(leaf_bytes);
        let mut model = BTreeMap::new();
        for n in 0..60u64 {
            tree.put(n, &[1; 40]);
            model.insert(key(n), vec![1; 40]);
        }
        tree.flush();
        for (n, put, then) in steps {
            match put {
                Some(len) => {
                    let value = vec![u8::try_from(len).unwrap(); len];
                    tree.put(n, &value);
                    model.insert(key(n), value);
                }
                None => prop_assert_eq!(tree.remove(n), model.remove(&key(n)).is_some()),
            }
            match then {
                0 => tree.reopen(),
                1 | 2 => {
                    let (frozen, _) = tree.flush();
                    prop_assert!(entries(&frozen) == model);
                    let report = check(&frozen, &mut |_| {});
                    prop_assert!(report.findings.is_empty());
                }
                3 => drop(tree.writer.freeze(tree.sequence).unwrap()),
                _ => {}
            }
        }
        tree.reopen();
        let (frozen, _) = tree.flush();
        prop_assert!(entries(&frozen) == model);
    }
}
