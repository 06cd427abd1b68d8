//! The account of memory, held against the nodes that there are.

use std::sync::Arc;

use cairn_log::RecordKind;

use crate::{Flush, Forest, ForestOptions, MemorySource, TreeId, TreeWriter, ValueRef, node::Node};

const TREE: TreeId = TreeId(20);

/// A key in the order of the numbers.
fn key(n: u64) -> Vec<u8> {
    format!("{n:08}").into_bytes()
}

/// Holds what the forest and its writer count against the nodes that there are.
fn check(writer: &TreeWriter) {
    let forest = &writer.forest;
    let private: usize = writer.private.iter().flatten().map(Node::memory).sum();
    let resident: usize = (0..forest.slots.used())
        .filter_map(|index| forest.slots.at(index)?.get().map(|node| node.memory()))
        .sum();
    let cache = forest.cache();
    assert_eq!((writer.private_bytes(), cache.private), (private, private), "private");
    assert_eq!(cache.resident, resident, "resident");
}

#[test]
fn the_account_of_memory_is_that_of_the_nodes_that_there_are() {
    let operations = if cfg!(miri) { 400 } else { 20_000 };
    let options =
        ForestOptions { cache_bytes: 60 << 10, leaf_bytes: 1 << 10, ..ForestOptions::default() };
    let forest = Forest::new(Arc::new(MemorySource::new()), options);
    let mut writer = TreeWriter::new(Arc::clone(&forest), None, 1).unwrap();
    writer.create(TREE).unwrap();
    let mut version = None;
    let mut random = 7u64;
    for n in 0..operations {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(n);
        let some = (random >> 40).to_le_bytes();
        let value = [random.to_le_bytes()[3]; 90];
        match random >> 33 & 3 {
            0 if n > operations / 2 => drop(writer.remove(TREE, &some[..2], n).unwrap()),
            1 => {
                // In order: leaves that grow at their end.
                let value = ValueRef::Inline(&value[..]);
                writer.insert(TREE, &key(n), value, n).unwrap();
            }
            _ => {
                let value = ValueRef::Inline(&value[..(random >> 20) as usize % 90]);
                writer.insert(TREE, &some[..2], value, n).unwrap();
            }
        }
        if n % 97 == 0 {
            let frozen = writer.freeze(n).unwrap();
            if n % 3 == 0 {
                let mut flush = Flush::new(Arc::clone(&frozen)).unwrap();
                while !flush.step(10).unwrap() {}
            }
            version = (n % 2 == 0).then_some(frozen);
            forest.write_back(20).unwrap();
        }
        if n % 61 == 0 {
            check(&writer);
        }
    }
    let mut fork = writer.fork(operations).unwrap();
    for n in 0..200u64 {
        fork.insert(TREE, &key(n), ValueRef::Inline(b"fork"), operations + 1).unwrap();
    }
    check(&fork);
    writer.give_up_fork(fork).unwrap();
    check(&writer);
    drop((version, writer));
    assert_eq!(forest.cache().private, 0);
}

#[test]
fn memory_beyond_the_budget_is_made_free_without_a_checkpoint() {
    let options = ForestOptions { cache_bytes: 200 << 10, ..ForestOptions::default() };
    let forest = Forest::new(Arc::new(MemorySource::new()), options);
    let mut writer = TreeWriter::new(Arc::clone(&forest), None, 1).unwrap();
    writer.create(TREE).unwrap();
    for n in 0..1000u64 {
        let key = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        writer.insert(TREE, &key, ValueRef::Inline(&[7; 1000]), n).unwrap();
    }
    assert!(forest.cache().private > 1 << 20, "{:?}", forest.cache());
    drop(writer.freeze(1).unwrap());
    let before = forest.excess();
    assert!(before > 800 << 10);
    assert_eq!(forest.write_back(10).unwrap(), 10, "no more than it is asked for");
    assert!(forest.excess() < before);
    forest.write_back(usize::MAX).unwrap();
    assert_eq!(forest.excess(), 0, "{:?}", forest.cache());
}

/// Where the first value of the only leaf lies, whoever has it.
fn place(writer: &TreeWriter) -> *const u8 {
    let own = writer.private.iter().flatten().find(|node| node.kind() == RecordKind::LEAF);
    if let Some(own) = own {
        return own.entry(0).value.as_ptr();
    }
    let forest = &writer.forest;
    let mut nodes = (0..forest.slots.used()).filter_map(|index| forest.slots.at(index)?.get());
    let leaf = nodes.find(|node| node.kind() == RecordKind::LEAF).expect("there is one");
    leaf.entry(0).value.as_ptr()
}

#[test]
fn a_leaf_is_copied_only_if_a_version_has_it() {
    for written in [false, true] {
        let forest = Forest::new(Arc::new(MemorySource::new()), ForestOptions::default());
        let mut writer = TreeWriter::new(Arc::clone(&forest), None, 1).unwrap();
        writer.create(TREE).unwrap();
        let put = |writer: &mut TreeWriter, value: u8, sequence| {
            writer.insert(TREE, b"key", ValueRef::Inline(&[value; 8]), sequence).unwrap();
        };
        let freeze = |writer: &mut TreeWriter, sequence| {
            let frozen = writer.freeze(sequence).unwrap();
            if written {
                let mut flush = Flush::new(Arc::clone(&frozen)).unwrap();
                while !flush.step(10).unwrap() {}
            }
            frozen
        };
        put(&mut writer, 1, 1);
        drop(freeze(&mut writer, 1));
        let before = place(&writer);
        put(&mut writer, 2, 2);
        assert_eq!(place(&writer), before, "written: {written}");
        let second = freeze(&mut writer, 2);
        put(&mut writer, 3, 3);
        assert_ne!(place(&writer), before, "written: {written}");
        check(&writer);
        let third = freeze(&mut writer, 3);
        let old = second.get(TREE, b"key").unwrap().unwrap();
        assert_eq!(old.value(), ValueRef::Inline(&[2; 8]));
        drop(old);
        drop((second, third));
        check(&writer);
        put(&mut writer, 4, 4);
        drop(freeze(&mut writer, 4));
        check(&writer);
        // What is superseded is dirty no more.
        let dirty = forest.dirty();
        assert!(if written { dirty == 0 } else { dirty == forest.resident_bytes() }, "{dirty}");
    }
}
