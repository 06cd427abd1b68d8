//! `FrozenRoot`: one immutable version of all trees, and point reads in it.

use std::{
    fmt,
    ops::Bound,
    sync::{Arc, OnceLock},
};

use cairn_log::{Damage, Lsn, codec::DecodeError};

use crate::{
    Cursor, Forest, TreeId, TreeResult, ValuePointer,
    catalog::{self, key_of_tree},
    child::Child,
    image::Entry,
    node::Node,
    slot::NodeRef,
};

/// A value as a leaf holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a value is here or elsewhere")]
pub enum ValueRef<'a> {
    /// The value itself.
    Inline(&'a [u8]),
    /// Where a large value stands.
    Pointer(ValuePointer),
}

impl<'a> From<Entry<'a>> for ValueRef<'a> {
    fn from(entry: Entry<'a>) -> Self {
        if entry.pointer {
            Self::Pointer(ValuePointer::decode(entry.value))
        } else {
            Self::Inline(entry.value)
        }
    }
}

/// A tree in one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeRoot {
    pub(crate) root: Child,
    pub(crate) count: u64,
}

/// One version of all trees, which never changes.
///
/// It costs nothing to make and nothing to read beside others; what it costs is memory and disk
/// for nodes that were superseded since. Any thread may read it.
pub struct FrozenRoot {
    forest: Arc<Forest>,
    root: Child,
    generation: u64,
    sequence: u64,
    /// Roots of the trees that were asked for first: most programs use few.
    known: [OnceLock<(TreeId, Option<TreeRoot>)>; 4],
}

impl FrozenRoot {
    pub(crate) fn new(forest: Arc<Forest>, root: Child, generation: u64, sequence: u64) -> Self {
        Self { forest, root, generation, sequence, known: Default::default() }
    }

    /// The gen that was frozen.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of the newest commit in this version, as the writer was told.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) const fn forest(&self) -> &Arc<Forest> {
        &self.forest
    }

    pub(crate) const fn root(&self) -> Child {
        self.root
    }

    /// Where the root of the catalogue stands on disk; `None` if it was not written yet or there is
    /// nothing.
    #[must_use]
    pub fn root_lsn(&self) -> Option<Lsn> {
        match self.root {
            Child::Disk(lsn) => Some(lsn),
            Child::Slot(id) => self.forest.slots.get(id).ok()?.lsn(),
            Child::Empty | Child::Private(_) => None,
        }
    }

    /// Whether there are no trees.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root == Child::Empty
    }

    /// Whether the tree exists.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn has(&self, tree: TreeId) -> TreeResult<bool> {
        Ok(self.tree(tree)?.is_some())
    }

    /// How many entries the tree has; `None` if there is no such tree.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn len(&self, tree: TreeId) -> TreeResult<Option<u64>> {
        Ok(self.tree(tree)?.map(|tree| tree.count))
    }

    /// All trees, in order.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn trees(self: &Arc<Self>) -> TreeResult<Vec<TreeId>> {
        let mut cursor = Cursor::over_catalog(self);
        let mut trees = Vec::new();
        let mut found = cursor.first()?;
        while found {
            trees.extend(catalog::tree_of_key(cursor.key()));
            found = cursor.next()?;
        }
        Ok(trees)
    }

    pub(crate) fn tree(&self, tree: TreeId) -> TreeResult<Option<TreeRoot>> {
        for known in &self.known {
            match known.get() {
                Some((id, root)) if *id == tree => return Ok(*root),
                Some(_) => {}
                None => {
                    let found = self.look_up(tree)?;
                    // Whoever comes second finds the place taken and looks up once more.
                    known.get_or_init(|| (tree, found));
                    return Ok(found);
                }
            }
        }
        self.look_up(tree)
    }

    fn look_up(&self, tree: TreeId) -> TreeResult<Option<TreeRoot>> {
        if self.is_empty() {
            return Ok(None);
        }
        let key = key_of_tree(tree);
        let leaf = descend(&self.forest, self.forest.load_root(self.root)?, &key)?;
        let Ok(i) = leaf.image.search(&key) else { return Ok(None) };
        let count = tree_count(&self.forest, &leaf, i)?;
        if leaf.child(i) == Child::Empty {
            return Ok(Some(TreeRoot { root: Child::Empty, count }));
        }
        self.forest.load_child(&leaf, i, true)?; // checks that it is the root of this tree
        Ok(Some(TreeRoot { root: leaf.child(i), count }))
    }

    /// The leaf in which `key` would be; `None` if the tree is empty or missing.
    fn leaf(&self, tree: TreeId, key: &[u8]) -> TreeResult<Option<NodeRef>> {
        match self.tree(tree)? {
            Some(TreeRoot { root: Child::Empty, .. }) | None => Ok(None),
            Some(tree) => Ok(Some(descend(&self.forest, self.forest.load_tree(tree.root)?, key)?)),
        }
    }

    /// Calls `read` with the value of `key`; `None` if there is none.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn get_with<R>(
        &self,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> TreeResult<Option<R>> {
        let Some(leaf) = self.leaf(tree, key)? else { return Ok(None) };
        Ok(leaf.image.search(key).ok().map(|i| read(leaf.entry(i).into())))
    }

    /// The value of `key`, without a copy: the leaf stays in memory as long as the result lives.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn get(&self, tree: TreeId, key: &[u8]) -> TreeResult<Option<HeldValue>> {
        let Some(leaf) = self.leaf(tree, key)? else { return Ok(None) };
        let Ok(i) = leaf.image.search(key) else { return Ok(None) };
        Ok(Some(HeldValue { leaf: leaf.into_arc(), entry: i }))
    }

    /// The values of two keys, of which the second is above the first: mostly one leaf has both, and is looked for
    /// once.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn get_both(
        &self,
        tree: TreeId,
        first: &[u8],
        second: &[u8],
    ) -> TreeResult<[Option<HeldValue>; 2]> {
        let Some(leaf) = self.leaf(tree, first)? else { return Ok([None, None]) };
        let leaf = leaf.into_arc();
        let held = |key: &[u8]| {
            let entry = leaf.image.search(key).ok()?;
            Some(HeldValue { leaf: Arc::clone(&leaf), entry })
        };
        let is_in_leaf = leaf.image.fences().upper.is_none_or(|upper| second < upper);
        let second = if is_in_leaf { held(second) } else { self.get(tree, second)? };
        Ok([held(first), second])
    }

    /// Loads the path to the leaf of `key`, so that a change of it finds everything in memory.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn warm(&self, tree: TreeId, key: &[u8]) -> TreeResult<()> {
        self.leaf(tree, key).map(|_| ())
    }

    /// No change between `from` and `to` is newer than this commit number; it may be too new, since a
    /// leaf remembers only the newest change of all its keys, and an empty tree remembers nothing.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub fn newest_change(&self, tree: TreeId, from: &[u8], to: Bound<&[u8]>) -> TreeResult<u64> {
        let mut newest = 0;
        let mut from = from.to_vec();
        loop {
            let Some(leaf) = self.leaf(tree, &from)? else { return Ok(self.sequence) };
            newest = newest.max(leaf.sequence);
            let Some(upper) = leaf.image.fences().upper else { return Ok(newest) };
            let goes_on = match to {
                Bound::Included(to) => upper <= to,
                Bound::Excluded(to) => upper < to,
                Bound::Unbounded => true,
            };
            if !goes_on {
                return Ok(newest);
            }
            from.clear();
            from.extend_from_slice(upper);
        }
    }

    /// A cursor over the tree, before its first entry.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn cursor(self: &Arc<Self>, tree: TreeId) -> TreeResult<Cursor> {
        Ok(Cursor::new(self, self.tree(tree)?.map_or(Child::Empty, |tree| tree.root)))
    }

    /// As [`FrozenRoot::cursor`], for who goes over all of a tree once: leaves that are not in memory are read and not
    /// kept, so that those which are in use stay.
    ///
    /// # Errors
    /// As [`FrozenRoot::cursor`].
    pub fn scan(self: &Arc<Self>, tree: TreeId) -> TreeResult<Cursor> {
        Ok(self.cursor(tree)?.keeping_nothing())
    }
}

/// Goes down from `node` to the leaf that covers `key`.
pub(crate) fn descend(forest: &Forest, mut node: NodeRef, key: &[u8]) -> TreeResult<NodeRef> {
    while !node.is_leaf() {
        node = forest.load_child(&node, node.image.child_index(key), true)?;
    }
    Ok(node)
}

/// The number of entries that a leaf of the catalogue states for its tree `i`.
pub(crate) fn tree_count(forest: &Forest, leaf: &Node, i: usize) -> TreeResult<u64> {
    catalog::decode_entry(leaf.entry(i).value).map_err(|field| {
        let problem = "cannot be understood";
        let source = DecodeError { field: field.name, at: field.offset, problem };
        let damage = Damage::Malformed { what: "catalogue entry", source };
        // A leaf that was loaded passed its checksum, so this is a newer format or a forgery; its
        // own place is not known here.
        let lsn = Lsn::from_raw(1 << 29).expect("the first position");
        forest.source.damaged(lsn, damage).into()
    })
}

impl Drop for FrozenRoot {
    fn drop(&mut self) {
        let gone = self.forest.generations.thaw(&self.forest.slots, self.generation);
        self.forest.release(gone);
    }
}

impl fmt::Debug for FrozenRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrozenRoot(gen {}, sequence {})", self.generation, self.sequence)
    }
}

/// A value that keeps its leaf in memory.
#[derive(Clone, Debug)]
pub struct HeldValue {
    leaf: Arc<Node>,
    entry: usize,
}

impl HeldValue {
    pub(crate) const fn new(leaf: Arc<Node>, entry: usize) -> Self {
        Self { leaf, entry }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> ValueRef<'_> {
        self.leaf.entry(self.entry).into()
    }
}
