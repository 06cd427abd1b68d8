//! `NodeImage`: the record of one node, taken apart without the tree that it was part of.
//!
//! For the repair of an environment whose trees cannot be walked any more: what a leaf holds, and what
//! a branch says of its children, can be told from their records alone.

use cairn_log::{Damage, Lsn, RecordKind};

use crate::{TreeId, ValueRef, catalog, child::Child, node::Node};

/// A node as its record has it.
#[derive(Debug)]
pub struct NodeImage {
    node: Node,
}

/// What a node says of one of its children.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a child must look like")]
pub struct ChildImage {
    /// The tree it belongs to.
    pub tree: TreeId,
    /// Its level; `None` for the root of a tree, which may have any.
    pub level: Option<u8>,
    /// No key of it is below this one.
    pub lower: Vec<u8>,
    /// All keys of it are below this one, if there is one.
    pub upper: Option<Vec<u8>>,
    /// Where its record stands; `None` for a tree without entries.
    pub lsn: Option<Lsn>,
}

impl NodeImage {
    /// Takes the payload of a record apart; `None` for records that are no nodes.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn read(kind: RecordKind, sequence: u64, body: Vec<u8>) -> Result<Option<Self>, Damage> {
        if ![RecordKind::LEAF, RecordKind::BRANCH, RecordKind::CATALOG].contains(&kind) {
            return Ok(None);
        }
        Ok(Some(Self { node: Node::load(kind, sequence, body)? }))
    }

    /// The tree; 0 is the catalogue.
    #[must_use]
    pub fn tree(&self) -> TreeId {
        TreeId(self.node.image.tree())
    }

    /// Its height: 0 is a leaf.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.node.level()
    }

    /// Commit number of the newest change in a leaf: its entries are those of that moment.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.node.sequence
    }

    /// No key of it is below this one.
    #[must_use]
    pub fn lower(&self) -> &[u8] {
        self.node.image.fences().lower
    }

    /// All keys of it are below this one, if there is one.
    #[must_use]
    pub fn upper(&self) -> Option<&[u8]> {
        self.node.image.fences().upper
    }

    /// Whether it can be the root of the catalogue.
    #[must_use]
    pub fn is_catalog_root(&self) -> bool {
        let whole = self.lower().is_empty() && self.upper().is_none();
        self.tree() == TreeId(0) && whole && (self.node.is_catalog_leaf() || !self.node.is_leaf())
    }

    /// The keys and values of a leaf; nothing for other nodes.
    pub fn entries(&self) -> impl Iterator<Item = (Vec<u8>, ValueRef<'_>)> {
        let holds = self.node.is_leaf() && !self.node.is_catalog_leaf();
        let count = if holds { self.node.image.count() } else { 0 };
        (0..count).map(|i| (self.node.image.key(i), self.node.entry(i).into()))
    }

    /// The children of a branch, or the trees of a leaf of the catalogue, but for dropped ones.
    #[must_use]
    pub fn children(&self) -> Vec<ChildImage> {
        self.referred().filter(|child| !child.tree.is_grave()).collect()
    }

    /// As [`children`](Self::children), with dropped trees, under the number that stands in their nodes.
    #[must_use]
    pub fn all_children(&self) -> Vec<ChildImage> {
        let in_nodes =
            |child: ChildImage| ChildImage { tree: TreeId(child.tree.in_nodes()), ..child };
        self.referred().map(in_nodes).collect()
    }

    fn referred(&self) -> impl Iterator<Item = ChildImage> {
        let lsn = |i| match self.node.child(i) {
            Child::Disk(lsn) => Some(lsn),
            _ => None,
        };
        let child = move |i| {
            if self.node.is_catalog_leaf() {
                let tree = catalog::tree_of_key(&self.node.image.key(i)).unwrap_or(TreeId(0));
                let (lower, upper) = (Vec::new(), None);
                return ChildImage { tree, level: None, lower, upper, lsn: lsn(i) };
            }
            let (mut low, mut high) = (Vec::new(), Vec::new());
            let fences = self.node.child_fences(i, &mut low, &mut high);
            let (lower, upper) = (fences.lower.to_vec(), fences.upper.map(<[u8]>::to_vec));
            let level = self.level().checked_sub(1);
            ChildImage { tree: self.tree(), level, lower, upper, lsn: lsn(i) }
        };
        (0..self.node.child_count()).map(child)
    }

    /// Whether this node is the one that its parent means.
    #[must_use]
    pub fn is(&self, child: &ChildImage) -> bool {
        self.tree() == child.tree
            && child.level.is_none_or(|level| level == self.level())
            && (self.lower(), self.upper()) == (&child.lower[..], child.upper.as_deref())
            && (!self.node.is_leaf() || (child.tree == TreeId(0)) == self.node.is_catalog_leaf())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Flush, Forest, ForestOptions, MemorySource, NodeSource, TreeWriter};

    #[test]
    fn a_tree_can_be_walked_by_its_records_alone() {
        let source = Arc::new(MemorySource::new());
        let options = ForestOptions { leaf_bytes: 256, branch_bytes: 256, ..Default::default() };
        let forest = Forest::new(Arc::clone(&source) as Arc<dyn NodeSource>, options);
        let mut writer = TreeWriter::new(forest, None, 1).unwrap();
        let trees = [TreeId(7), TreeId(8)];
        trees.iter().for_each(|tree| writer.create(*tree).unwrap());
        for n in 0..200u64 {
            let key = format!("{n:05}");
            writer.insert(trees[0], key.as_bytes(), ValueRef::Inline(b"v"), n + 1).unwrap();
        }
        let mut flush = Flush::new(writer.freeze(200).unwrap()).unwrap();
        while !flush.step(usize::MAX).unwrap() {}
        let read = |lsn| {
            let record = source.read(lsn).unwrap();
            NodeImage::read(record.kind, record.sequence, record.body).unwrap().unwrap()
        };
        let root = read(flush.frozen().root_lsn().unwrap());
        assert!(root.is_catalog_root());
        let mut open = root.children();
        assert_eq!(open.iter().map(|child| child.tree).collect::<Vec<_>>(), trees);
        assert_eq!(open[1].lsn, None, "it is empty");
        let (mut keys, mut newest) = (Vec::new(), 0);
        while let Some(child) = open.pop() {
            let Some(lsn) = child.lsn else { continue };
            let node = read(lsn);
            assert!(node.is(&child) && !node.is_catalog_root());
            assert!(!node.is(&ChildImage { tree: TreeId(9), ..child.clone() }));
            keys.extend(node.entries().map(|(key, _)| key));
            newest = newest.max(node.sequence());
            open.extend(node.children());
        }
        keys.sort();
        assert_eq!((keys.len(), newest), (200, 200));
        assert_eq!(keys[17], b"00017");
    }
}
