//! `RecordImage`: the record of one node, taken apart without the tree that it was part of.
//!
//! For the repair of an environment whose trees cannot be walked any more: what a leaf holds, and what
//! a branch says of its children, can be told from their records alone.

use cairn_log::{Damage, Lsn, RecordKind};

use crate::{
    LoadError, NodeRecord, StoredNode, TreeId, ValueRef, catalog,
    child::Child,
    delta::{self, Delta, Loaded},
    image::Image,
    node::Node,
};

/// What the record of a node holds.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a record holds a node, or what has changed in one")]
pub enum RecordImage {
    /// A node.
    Node(NodeImage),
    /// What has changed in a leaf since another record.
    Delta(DeltaImage),
}

/// A node as its record has it, or its record and that one's base.
#[derive(Debug)]
pub struct NodeImage {
    node: Node,
}

/// What has changed in a leaf since its base.
#[derive(Debug)]
pub struct DeltaImage {
    delta: Delta,
}

impl RecordImage {
    /// Takes the payload of a record apart; `None` for records that are no nodes.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn read(kind: RecordKind, sequence: u64, body: Vec<u8>) -> Result<Option<Self>, Damage> {
        Ok(match kind {
            RecordKind::LEAF | RecordKind::BRANCH | RecordKind::CATALOG => {
                Some(Self::Node(NodeImage { node: Node::load(kind, sequence, body)? }))
            }
            RecordKind::LEAF_DELTA => {
                Some(Self::Delta(DeltaImage { delta: Delta::load(sequence, body)? }))
            }
            _ => None,
        })
    }

    fn image(&self) -> &Image {
        match self {
            Self::Node(node) => node.image(),
            Self::Delta(delta) => delta.image(),
        }
    }

    /// The tree; 0 is the catalogue.
    #[must_use]
    pub fn tree(&self) -> TreeId {
        TreeId(self.image().tree())
    }

    /// Its height: 0 is a leaf.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.image().level()
    }

    /// No key of it is below this one.
    #[must_use]
    pub fn lower(&self) -> &[u8] {
        self.image().fences().lower
    }

    /// All keys of it are below this one, if there is one.
    #[must_use]
    pub fn upper(&self) -> Option<&[u8]> {
        self.image().fences().upper
    }

    /// What a leaf says of keys: which values they have, and of a delta also which were removed (`None`); nothing for other
    /// nodes.
    pub fn said(&self) -> impl Iterator<Item = (Vec<u8>, Option<ValueRef<'_>>)> {
        let (image, is_delta) = (self.image(), matches!(self, Self::Delta(_)));
        let holds = match self {
            Self::Node(NodeImage { node }) => node.is_leaf() && !node.is_catalog_leaf(),
            Self::Delta(_) => true,
        };
        (0..if holds { image.count() } else { 0 }).map(move |i| {
            let is_removed = is_delta && image.is_marked(i);
            (image.key(i), (!is_removed).then(|| image.entry(i).into()))
        })
    }
}

impl DeltaImage {
    /// Where the record stands without which a delta says only what has changed.
    #[must_use]
    pub const fn base(&self) -> Lsn {
        self.delta.base
    }

    pub(crate) const fn image(&self) -> &Image {
        &self.delta.image
    }
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
    /// The node whose record stands at `lsn`, and the records that it is made of: that one, and its base, if it is a delta.
    /// `read` reads a record.
    ///
    /// # Errors
    /// What `read` says, and which record is wrong.
    pub fn load<E>(
        lsn: Lsn,
        read: impl FnMut(Lsn) -> Result<NodeRecord, E>,
    ) -> Result<(Self, Vec<StoredNode>), LoadError<E>> {
        let Loaded { node, stored, base } = delta::load(lsn, read)?;
        Ok((Self { node }, [Some(stored), base].into_iter().flatten().collect()))
    }

    pub(crate) const fn image(&self) -> &Image {
        &self.node.image
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
        let read = |lsn| NodeImage::load(lsn, |lsn| source.read(lsn)).unwrap().0;
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
