//! Renewal: a node or a large value gets a new place on disk, so that its file can go.
//!
//! A node is renewed by owning it, as if it were about to change: the next checkpoint writes it like
//! any other, and the account of reachable bytes follows by itself. Whether a record is still in use is
//! decided by looking it up in the tree, never by a counter.

use std::sync::Arc;

use cairn_log::{Damage, Lsn, RecordKind};

use crate::{
    FrozenRoot, TreeError, TreeId, TreeResult, TreeWriter, ValuePointer, ValueRef, child::Child,
    forest::Forest, node::Node, slot::NodeRef,
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

    /// Reads the name from the payload of a record; `None` for records of other kinds.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn read(kind: RecordKind, sequence: u64, body: Vec<u8>) -> Result<Option<Self>, Damage> {
        if ![RecordKind::LEAF, RecordKind::BRANCH, RecordKind::CATALOG].contains(&kind) {
            return Ok(None);
        }
        let node = Node::load(kind, sequence, body)?;
        let key = node.image.fences().lower.to_vec();
        Ok(Some(Self { tree: TreeId(node.image.tree()), level: node.level(), key }))
    }
}

impl FrozenRoot {
    /// Whether this version has the node of this name at `lsn`. Loads it if so.
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

/// Goes down from `node`, to which `at` refers, and compares the place of the node of this name.
fn descend(
    forest: &Forest,
    mut at: Child,
    mut node: NodeRef,
    name: &NodeName,
    lsn: Lsn,
) -> TreeResult<bool> {
    while node.level() > name.level {
        let i = node.image.child_index(&name.key);
        let child = forest.load_child(&node, i, false)?;
        at = node.child(i);
        node = child;
    }
    Ok(node.level() == name.level
        && node.image.fences().lower == name.key
        && place(forest, at)? == Some(lsn))
}

/// Where a frozen node stands on disk.
fn place(forest: &Forest, child: Child) -> TreeResult<Option<Lsn>> {
    Ok(match child {
        Child::Disk(lsn) => Some(lsn),
        Child::Slot(id) => forest.slots.get(id)?.lsn(),
        Child::Empty | Child::Private(_) => None,
    })
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
        match name.tree {
            CATALOG => self.own_catalog_down_to(&name.key, name.level)?,
            tree => self.own_tree_down_to(tree, &name.key, name.level)?,
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
                return Ok(false); // the writer's own: it will be written anyway
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
