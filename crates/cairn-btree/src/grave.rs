//! Dropped trees: out of sight at once, emptied by and by.
//!
//! Dropping a tree moves its entry in the catalogue to a *grave*: the number with its highest bit set.
//! Nobody finds it there by its number; its nodes stay reachable, and so are accounted for, until they
//! have been removed one after the other. How far that is stands in the tree itself, so that it goes on
//! after a crash, and a version from before still has everything.

use std::sync::Arc;

use crate::{
    Cursor, FrozenRoot, TreeError, TreeId, TreeResult, TreeWriter, ValueRef, balance,
    catalog::{self, key_of_tree},
    child::Child,
    node::Node,
};

/// The bit that makes the number of a tree that of its grave.
const GRAVE: u32 = 1 << 31;

impl TreeId {
    /// Numbers of trees are below this.
    pub const LIMIT: u32 = GRAVE;

    /// Whether this is what a dropped tree is called until it is gone.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        self.0 & GRAVE != 0
    }

    /// What a tree is called once it was dropped.
    #[must_use]
    pub const fn grave(self) -> Self {
        Self(self.0 | GRAVE)
    }

    /// The number that stands in the tree's nodes.
    #[must_use]
    pub(crate) const fn in_nodes(self) -> u32 {
        self.0 & !GRAVE
    }
}

impl FrozenRoot {
    /// Dropped trees that are not gone yet.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn graves(self: &Arc<Self>) -> TreeResult<Vec<TreeId>> {
        let mut cursor = Cursor::over_catalog(self);
        let mut graves = Vec::new();
        let mut found = cursor.seek(&key_of_tree(TreeId(GRAVE)))?;
        while found {
            graves.extend(catalog::tree_of_key(cursor.key()));
            found = cursor.next()?;
        }
        Ok(graves)
    }
}

impl TreeWriter {
    /// Drops a tree: it moves to its grave. Returns whether it was there.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read. What was changed by then is not to be frozen.
    pub fn bury(&mut self, tree: TreeId) -> TreeResult<bool> {
        if !self.has(tree)? {
            return Ok(false);
        }
        self.begin_change()?;
        self.strike(tree)?;
        // Room for the new entry, while a failure still has somebody to hear of it.
        self.own_catalog_path(tree.grave())?;
        self.rename_open(tree, tree.grave());
        Ok(true)
    }

    /// Forgets a grave with the nodes that are left of it: leaves that became empty while their
    /// neighbours were not in memory, and what leads to them.
    ///
    /// # Errors
    /// If a node cannot be read. What was changed by then is not to be frozen.
    pub fn close_grave(&mut self, grave: TreeId) -> TreeResult<()> {
        if !grave.is_grave() {
            return Err(TreeError::Internal { what: "a tree in use is no grave" });
        }
        self.begin_change()?;
        let root = self.root_of(grave)?;
        match root {
            Child::Empty => {}
            Child::Private(_) => self.raze(root)?,
            _ => {
                let node = self.forest.load_tree(root)?;
                self.raze_children(&node)?;
                self.give_up(root);
            }
        }
        self.strike(grave)?;
        self.forget_open(grave);
        Ok(())
    }

    /// Gives up a node of the writer's own with everything below it.
    fn raze(&mut self, child: Child) -> TreeResult<()> {
        let Child::Private(i) = child else {
            return Err(TreeError::Internal { what: "a frozen node is razed with its parent" });
        };
        if let Some(node) = self.take_private(i) {
            self.raze_children(&node)?;
        }
        Ok(())
    }

    fn raze_children(&mut self, node: &Node) -> TreeResult<()> {
        if node.is_leaf() {
            for i in 0..node.image.count() {
                if let ValueRef::Pointer(value) = node.entry(i).into() {
                    self.value_died(value);
                }
            }
            return Ok(());
        }
        for i in 0..node.child_count() {
            if let own @ Child::Private(_) = node.child(i) {
                self.raze(own)?;
                continue;
            }
            let child = self.forest.load_child(node, i, false)?;
            self.raze_children(&child)?;
            self.give_up(node.child(i));
        }
        Ok(())
    }

    /// Takes the entry of a tree out of the catalogue, if it has one yet.
    fn strike(&mut self, tree: TreeId) -> TreeResult<()> {
        let path = self.own_catalog_path(tree)?;
        let leaf = self.node_mut(path.leaf);
        if let Ok(i) = leaf.image.search(&key_of_tree(tree)) {
            leaf.image.remove(i);
            leaf.remove_child(i);
        }
        if leaf.image.count() == 0 {
            let mut catalog = self.catalog();
            balance::merge(self, &mut catalog, path);
            self.set_catalog(catalog);
        }
        Ok(())
    }
}
