//! Renewal: a node or a large value gets a new place on disk, so that its file can go.
//!
//! A node is renewed by owning it, as if it were about to change: the next checkpoint writes it like
//! any other, and the account of reachable bytes follows by itself. Whether a record is still in use is
//! decided by looking it up in the tree, never by a counter. A leaf whose base has to go is written as a whole, which frees
//! its delta as well; a delta that has to go is written anew alone.

use std::sync::Arc;

use cairn_log::{Damage, Lsn, RecordKind};

use crate::{
    FrozenRoot, TreeError, TreeId, TreeResult, TreeWriter, ValuePointer, ValueRef, child::Child,
    forest::Forest, image, node::Node, slot::NodeRef,
};

/// What the record of a node says of its place in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeName {
    /// The tree; the catalogue has number 0.
    pub tree: TreeId,
    /// Its height: 0 is a leaf.
    pub level: u8,
    /// The smallest key that it covers.
    pub key: Vec<u8>,
}

/// The catalogue's number in records of nodes.
const CATALOG: TreeId = TreeId(0);

impl NodeName {
    /// The node of `tree` that is at this height and covers `key` as the first.
    #[must_use]
    pub const fn new(tree: TreeId, level: u8, key: Vec<u8>) -> Self {
        Self { tree, level, key }
    }

    /// Reads the name from the payload of a record, and no more of it; `None` for records of other kinds.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn read(kind: RecordKind, payload: &[u8]) -> Result<Option<Self>, Damage> {
        let kinds =
            [RecordKind::LEAF, RecordKind::BRANCH, RecordKind::CATALOG, RecordKind::LEAF_DELTA];
        if !kinds.contains(&kind) {
            return Ok(None);
        }
        let (tree, level, lower) = image::name(payload)
            .map_err(|source| Damage::Malformed { what: "tree node", source })?;
        Ok(Some(Self { tree: TreeId(tree), level, key: lower.to_vec() }))
    }
}

impl FrozenRoot {
    /// Whether this version has the node of this name at `lsn`, or a leaf that is a delta of what is there. Loads it if so; if not,
    /// it is mostly told by what is known of its place.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn has_node_at(&self, name: &NodeName, lsn: Lsn) -> TreeResult<bool> {
        let root = match name.tree {
            CATALOG => self.root(),
            tree => self.tree(tree)?.map_or(Child::Empty, |tree| tree.root),
        };
        find_frozen(self.forest(), root, name, lsn)
    }

    /// Whether the value of `key` in this version is the large one at `pointer`.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn has_value_at(
        &self,
        tree: TreeId,
        key: &[u8],
        pointer: ValuePointer,
    ) -> TreeResult<bool> {
        let found = self.get_with(tree, key, |value| value == ValueRef::Pointer(pointer))?;
        Ok(found.unwrap_or(false))
    }
}

fn find_frozen(forest: &Arc<Forest>, root: Child, name: &NodeName, lsn: Lsn) -> TreeResult<bool> {
    if root == Child::Empty {
        return Ok(false);
    }
    let node = match name.tree {
        CATALOG => forest.load_root(root)?,
        _ => forest.load_tree(root)?,
    };
    descend(forest, root, node, name, lsn)
}

/// Goes down from `node`, to which `at` refers, and compares the places of the node of this name.
fn descend(
    forest: &Forest,
    mut at: Child,
    mut node: NodeRef,
    name: &NodeName,
    lsn: Lsn,
) -> TreeResult<bool> {
    while node.level() > name.level {
        let i = node.image.child_index(&name.key);
        if node.level() - 1 == name.level && stands_elsewhere(forest, node.child(i), lsn) {
            return Ok(false);
        }
        let child = forest.load_child(&node, i, false)?;
        at = node.child(i);
        node = child;
    }
    Ok(node.level() == name.level
        && node.image.fences().lower == name.key
        && stands_at(forest, at, &node, lsn)?)
}

/// Whether all records of a frozen node are known, and none is at `lsn`.
fn stands_elsewhere(forest: &Forest, child: Child, lsn: Lsn) -> bool {
    let Child::Slot(id) = child else { return false };
    let Ok(slot) = forest.slots.get(id) else { return false };
    let is_known = slot.stored().is_some_and(|stored| stored.len > 0 && stored.lsn != lsn);
    is_known && forest.generations.base_of(id, slot).is_none_or(|base| base.lsn != lsn)
}

/// Whether a frozen node stands on disk at `lsn`, or needs what is there as its base.
fn stands_at(forest: &Forest, child: Child, node: &Node, lsn: Lsn) -> TreeResult<bool> {
    let Child::Slot(id) = child else { return Ok(child == Child::Disk(lsn)) };
    let slot = forest.slots.get(id)?;
    let base = match slot.lsn() {
        Some(place) if place == lsn => return Ok(true),
        Some(_) => forest.generations.base_of(id, slot),
        None => node.base().filter(|_| node.is_delta()),
    };
    Ok(base.is_some_and(|base| base.lsn == lsn))
}

impl TreeWriter {
    /// Has the node of this name written anew by the next checkpoint, if it is the one at `lsn` and
    /// nothing has changed it since; returns whether it was.
    ///
    /// # Errors
    /// If a node cannot be read; what was copied by then is written anew as well.
    pub fn renew(&mut self, name: &NodeName, lsn: Lsn) -> TreeResult<bool> {
        let root = match name.tree {
            CATALOG => self.catalog(),
            tree => self.root_of(tree)?,
        };
        if !self.has_at(root, name, lsn)? {
            return Ok(false);
        }
        let owned = match name.tree {
            CATALOG => self.own_catalog_down_to(&name.key, name.level)?,
            tree => self.own_tree_down_to(tree, &name.key, name.level)?,
        };
        // A delta moves alone; if its base has to go, the leaf becomes one record again.
        if self.node(owned).base().is_some_and(|base| base.lsn == lsn) {
            self.change(owned, Node::forget_base);
        }
        Ok(true)
    }

    fn has_at(&self, root: Child, name: &NodeName, lsn: Lsn) -> TreeResult<bool> {
        let Child::Private(mut at) = root else {
            return find_frozen(&self.forest, root, name, lsn);
        };
        loop {
            let node = self.node(at);
            if node.level() <= name.level {
                // The writer's own: it will be written anyway, but perhaps as a delta of this.
                let is_named = node.image.fences().lower == name.key;
                return Ok(is_named && node.base().is_some_and(|base| base.lsn == lsn));
            }
            let i = node.image.child_index(&name.key);
            match node.child(i) {
                Child::Private(child) => at = child,
                _ => {
                    let child = self.forest.load_child(node, i, false)?;
                    return descend(&self.forest, node.child(i), child, name, lsn);
                }
            }
        }
    }

    /// Lets the entry of `key` refer to `new` instead of `old`, which have the same bytes; returns
    /// whether it did refer to `old`.
    ///
    /// # Errors
    /// If a node cannot be read: then nothing was changed.
    pub fn move_value(
        &mut self,
        tree: TreeId,
        key: &[u8],
        old: ValuePointer,
        new: ValuePointer,
    ) -> TreeResult<bool> {
        if (old.len, old.crc) != (new.len, new.crc) {
            return Err(TreeError::Internal { what: "a value changes when it moves" });
        }
        if !self.has(tree)? {
            return Ok(false);
        }
        self.replace_pointer(tree, key, old, new)
    }
}
