//! What the writer itself sees: its own nodes, and below them what is frozen.

use super::{OpenTree, TreeWriter};
use crate::{
    Resident, TreeId, TreeResult, ValueRef,
    catalog::key_of_tree,
    child::Child,
    frozen::{descend, tree_count},
    node::Node,
};

impl TreeWriter {
    /// Whether the tree exists.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn has(&mut self, tree: TreeId) -> TreeResult<bool> {
        Ok(self.open(tree)?.is_some())
    }

    /// How many entries the tree has; `None` if there is no such tree.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn len(&mut self, tree: TreeId) -> TreeResult<Option<u64>> {
        Ok(self.open(tree)?.map(|open| open.count))
    }

    pub(super) fn open(&mut self, tree: TreeId) -> TreeResult<Option<&mut OpenTree>> {
        if !self.trees.contains_key(&tree) {
            let Some(open) = self.find(tree)? else { return Ok(None) };
            self.trees.insert(tree, open);
        }
        Ok(self.trees.get_mut(&tree))
    }

    /// Looks the tree up in the catalogue.
    fn find(&self, tree: TreeId) -> TreeResult<Option<OpenTree>> {
        let key = key_of_tree(tree);
        if self.catalog == Child::Empty {
            return Ok(None);
        }
        let found = |leaf: &Node| match leaf.image.search(&key) {
            Err(_) => Ok(None),
            Ok(i) => {
                let count = tree_count(&self.forest, leaf, i)?;
                if !matches!(leaf.child(i), Child::Empty | Child::Private(_)) {
                    self.forest.load_child(leaf, i, true)?; // checked, and given a slot
                }
                Ok(Some(OpenTree { root: leaf.child(i), count, changed: false }))
            }
        };
        // Down through what the writer owns, then through what is frozen.
        let mut place = self.catalog;
        while let Child::Private(i) = place {
            let node = self.node(i);
            if node.is_leaf() {
                return found(node);
            }
            let child = node.image.child_index(&key);
            place = node.child(child);
            if !matches!(place, Child::Private(_)) {
                let node = self.forest.load_child(node, child, true)?;
                return found(&*descend(&self.forest, node, &key)?);
            }
        }
        let root = self.forest.load_root(place)?;
        found(&*descend(&self.forest, root, &key)?)
    }

    /// Whether a change of `key` would find all nodes in memory. If not, [`FrozenRoot::warm`](crate::FrozenRoot::warm) brings
    /// them in, outside of any lock.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn is_resident(&mut self, tree: TreeId, key: &[u8]) -> TreeResult<bool> {
        if self.last_leaf_of(tree, key).is_some() {
            return Ok(true);
        }
        let Some(mut place) = self.open(tree)?.map(|open| open.root) else { return Ok(true) };
        while let Child::Private(i) = place {
            let node = self.node(i);
            if node.is_leaf() {
                return Ok(true);
            }
            place = node.child(node.image.child_index(key));
        }
        self.forest.is_path_resident(place, key)
    }

    /// Calls `read` with the value of `key`, as the writer has left it.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn get_with<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> TreeResult<Option<R>> {
        let in_leaf = |leaf: &Node| match leaf.image.search(key) {
            Ok(i) => Some(read(leaf.entry(i).into())),
            Err(_) => None,
        };
        let Some(mut place) = self.open(tree)?.map(|open| open.root) else { return Ok(None) };
        while let Child::Private(i) = place {
            let node = self.node(i);
            if node.is_leaf() {
                return Ok(in_leaf(node));
            }
            let child = node.image.child_index(key);
            place = node.child(child);
            if !matches!(place, Child::Private(_)) {
                let node = self.forest.load_child(node, child, true)?;
                return Ok(in_leaf(&*descend(&self.forest, node, key)?));
            }
        }
        if place == Child::Empty {
            return Ok(None);
        }
        let root = self.forest.load_tree(place)?;
        Ok(in_leaf(&*descend(&self.forest, root, key)?))
    }

    /// Calls `read` with the value of `key`, as the writer has left it, if that takes no disk.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn get_resident<R>(
        &mut self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> TreeResult<Resident<R>> {
        let in_leaf = |leaf: &Node| match leaf.image.search(key) {
            Ok(i) => Resident::Found(read(leaf.entry(i).into())),
            Err(_) => Resident::Missing,
        };
        let Some(mut place) = self.open(tree)?.map(|open| open.root) else {
            return Ok(Resident::Missing);
        };
        while let Child::Private(i) = place {
            let node = self.node(i);
            if node.is_leaf() {
                return Ok(in_leaf(node));
            }
            place = node.child(node.image.child_index(key));
        }
        loop {
            let node = match place {
                Child::Empty => return Ok(Resident::Missing),
                Child::Slot(id) => self.forest.resident(id)?,
                Child::Disk(_) | Child::Private(_) => None,
            };
            let Some(node) = node else { return Ok(Resident::Away) };
            if node.is_leaf() {
                return Ok(in_leaf(&node));
            }
            place = node.child(node.image.child_index(key));
        }
    }

    /// The leaf that was changed last, if it is the one of `key`.
    pub(super) fn last_leaf_of(&self, tree: TreeId, key: &[u8]) -> Option<usize> {
        let last = self.last.as_ref().filter(|last| last.tree == tree)?;
        self.node(last.path.leaf).image.fences().contain(key).then_some(last.path.leaf)
    }
}
