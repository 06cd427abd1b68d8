//! Many point reads in one version, side by side.
//!
//! A point read mostly waits for memory: for the slot of a node, for the node, for its bytes. Those of several keys wait at
//! the same time if each step is done for all of them before the next one (as the batched lookups of Masstree, Mao, Kohler
//! and Morris, 2012, do). There is nothing to ask of the processor for that: a load whose result nobody needs yet does not
//! keep the next one waiting.

use std::hint::black_box;

use crate::{
    FrozenRoot, HeldValue, TreeId, TreeResult, child::Child, forest::Forest, frozen::TreeRoot,
    slot::NodeRef,
};

/// How many keys go down together: fewer than the references that a thread has at hand (arc-swap gives it eight).
const SIDE_BY_SIDE: usize = 6;

impl FrozenRoot {
    /// The values of several keys, in their order: as [`get`](Self::get) of each, in less time.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        tree: TreeId,
        keys: &[K],
    ) -> TreeResult<Vec<Option<HeldValue>>> {
        let mut values = Vec::with_capacity(keys.len());
        match self.tree(tree)? {
            Some(TreeRoot { root: Child::Empty, .. }) | None => {
                values.resize_with(keys.len(), || None);
            }
            Some(TreeRoot { root, .. }) => {
                let mut nodes = Vec::with_capacity(SIDE_BY_SIDE);
                for keys in keys.chunks(SIDE_BY_SIDE) {
                    for _ in keys {
                        nodes.push(self.forest().load_tree(root)?);
                    }
                    descend(self.forest(), &mut nodes, keys)?;
                    find(&mut nodes, keys, &mut values);
                }
            }
        }
        Ok(values)
    }
}

/// Goes down from each node to the leaf that covers its key.
fn descend<K: AsRef<[u8]>>(forest: &Forest, nodes: &mut [NodeRef], keys: &[K]) -> TreeResult<()> {
    let mut children = [0; SIDE_BY_SIDE];
    while !nodes.iter().all(|node| node.is_leaf()) {
        for ((node, key), child) in nodes.iter().zip(keys).zip(&mut children) {
            if !node.is_leaf() {
                *child = node.image.child_index(key.as_ref());
                forest.approach(node.child(*child));
            }
        }
        for (node, child) in nodes.iter_mut().zip(&children) {
            if !node.is_leaf() {
                *node = forest.load_child(node, *child, true)?;
            }
        }
        nodes.iter().for_each(|node| {
            black_box(node.image.count());
        });
        nodes.iter().for_each(|node| node.image.approach_heads());
    }
    Ok(())
}

/// Takes the values out of the leaves.
fn find<K: AsRef<[u8]>>(nodes: &mut Vec<NodeRef>, keys: &[K], values: &mut Vec<Option<HeldValue>>) {
    let mut found = [None; SIDE_BY_SIDE];
    for ((node, key), found) in nodes.iter().zip(keys).zip(&mut found) {
        *found = node.image.search(key.as_ref()).ok();
    }
    for (node, found) in nodes.iter().zip(&found) {
        if let Some(entry) = found {
            node.image.approach(*entry);
        }
    }
    let held = nodes.drain(..).zip(found).map(|(leaf, found)| {
        let entry = found?;
        Some(HeldValue::new(leaf.into_arc(), entry))
    });
    values.extend(held);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ForestOptions, MemorySource, TreeWriter, ValueRef};

    #[test]
    fn many_reads_are_what_each_of_them_is() {
        let (tree, empty, missing) = (TreeId(1), TreeId(2), TreeId(3));
        let options = ForestOptions { leaf_bytes: 512, branch_entries: 8, ..Default::default() };
        let forest = Forest::new(Arc::new(MemorySource::new()), options);
        let mut writer = TreeWriter::new(forest, None, 1).unwrap();
        writer.create(tree).unwrap();
        writer.create(empty).unwrap();
        let key = |n: u32| (n.wrapping_mul(0x9e37_79b9) >> 7).to_le_bytes();
        let count = if cfg!(miri) { 60 } else { 3000 };
        for n in 0..count {
            let value = [u8::try_from(n % 251).unwrap(); 20];
            writer.insert(tree, &key(n), ValueRef::Inline(&value), 0).unwrap();
        }
        let frozen = writer.freeze(1).unwrap();
        // Those that are there, those that are not, and some twice.
        let keys: Vec<_> = (0..count * 2).chain(0..9).map(key).collect();
        for len in [0, 1, 5, 6, 7, 12, keys.len()] {
            let many = frozen.get_many(tree, &keys[..len]).unwrap();
            assert_eq!(many.len(), len);
            for (key, found) in keys.iter().zip(many) {
                let one = frozen.get(tree, key).unwrap();
                assert_eq!(
                    found.as_ref().map(HeldValue::value),
                    one.as_ref().map(HeldValue::value)
                );
            }
        }
        for tree in [empty, missing] {
            let many = frozen.get_many(tree, &keys[..9]).unwrap();
            assert!(many.len() == 9 && many.iter().all(Option::is_none));
        }
    }
}
