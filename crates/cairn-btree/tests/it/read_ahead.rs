//! What a scan says that it is going to read.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use cairn_btree::{
    Flush, Forest, ForestOptions, FrozenRoot, MemorySource, NodeRecord, NodeSource, StoredNode,
    TreeId, TreeWriter, ValueRef,
};
use cairn_log::{Damage, LogError, LogResult, Lsn, RecordKind};

const TREE: TreeId = TreeId(1);

fn key(n: u64) -> Vec<u8> {
    format!("{n:08}").into_bytes()
}

/// A source that writes down what is said and what is read.
#[derive(Debug, Default)]
struct Listening {
    nodes: MemorySource,
    expected: Mutex<BTreeSet<Lsn>>,
    /// Leaves that were read, and whether that had been said before.
    read: Mutex<Vec<bool>>,
}

impl NodeSource for Listening {
    fn read(&self, lsn: Lsn) -> LogResult<NodeRecord> {
        let record = self.nodes.read(lsn)?;
        if record.kind == RecordKind::LEAF {
            let was_said = self.expected.lock().unwrap().contains(&lsn);
            self.read.lock().unwrap().push(was_said);
        }
        Ok(record)
    }

    fn expect(&self, lsn: Lsn, len: usize) {
        assert!(len > 0);
        assert!(self.expected.lock().unwrap().insert(lsn), "said twice");
    }

    fn write(&self, kind: RecordKind, sequence: u64, body: Vec<u8>) -> LogResult<StoredNode> {
        self.nodes.write(kind, sequence, body)
    }

    fn damaged(&self, lsn: Lsn, damage: Damage) -> LogError {
        self.nodes.damaged(lsn, damage)
    }
}

/// A tree of a few hundred leaves on three levels, none of which is in memory.
fn cold() -> (Arc<Listening>, Arc<FrozenRoot>) {
    let source = Arc::new(Listening::default());
    let options = ForestOptions { leaf_bytes: 512, branch_entries: 40, ..ForestOptions::default() };
    let forest = Forest::new(source.clone(), options);
    let mut writer = TreeWriter::new(forest, None, 1).unwrap();
    writer.create(TREE).unwrap();
    for n in 0..3000u64 {
        writer.insert(TREE, &key(n), ValueRef::Inline(&[1; 40]), 1).unwrap();
    }
    let frozen = writer.freeze(1).unwrap();
    let mut flush = Flush::new(frozen.clone()).unwrap();
    while !flush.step(100).unwrap() {}
    let forest = Forest::new(source.clone(), options);
    let mut writer = TreeWriter::new(forest, frozen.root_lsn(), 2).unwrap();
    (source, writer.freeze(1).unwrap())
}

#[test]
fn a_long_scan_says_in_both_directions_which_leaves_it_will_read_and_each_once() {
    for is_forward in [true, false] {
        let (source, frozen) = cold();
        let mut cursor = frozen.cursor(TREE).unwrap();
        let mut count = 0;
        if is_forward {
            while cursor.next().unwrap() {
                count += 1;
            }
        } else {
            let mut goes_on = cursor.last().unwrap();
            while goes_on {
                count += 1;
                goes_on = cursor.previous().unwrap();
            }
        }
        assert_eq!(count, 3000);
        let read = source.read.lock().unwrap();
        let unsaid = read.iter().filter(|was_said| !**was_said).count();
        let branches = read.len() / 20 + 1;
        assert!(read.len() > 200, "{} leaves", read.len());
        assert!(unsaid <= 3 + branches, "{unsaid} of {} were read unsaid", read.len());
        assert!(source.expected.lock().unwrap().len() <= read.len());
    }
}

#[test]
fn short_scans_and_what_is_in_memory_are_not_said() {
    let (source, frozen) = cold();
    for n in (0..3000u64).step_by(100) {
        let mut cursor = frozen.cursor(TREE).unwrap();
        assert!(cursor.seek(&key(n)).unwrap());
        (0..9).for_each(|_| assert!(cursor.next().unwrap()));
    }
    assert!(source.expected.lock().unwrap().is_empty());
    let mut cursor = frozen.cursor(TREE).unwrap();
    while cursor.next().unwrap() {}
    source.expected.lock().unwrap().clear();
    let mut cursor = frozen.cursor(TREE).unwrap();
    while cursor.next().unwrap() {}
    assert!(source.expected.lock().unwrap().is_empty());
}
