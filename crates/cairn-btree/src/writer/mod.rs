//! `TreeWriter`: the one who changes trees, and freezes versions of them.

mod read;

use std::{collections::BTreeMap, fmt, sync::Arc};

use cairn_log::Lsn;

use crate::{
    Forest, FrozenRoot, PromisedVersion, Tally, TreeError, TreeId, TreeResult, ValuePointer,
    ValueRef, balance,
    catalog::{self, key_of_tree},
    child::{Child, SlotId},
    fork::Apart,
    image::{Fences, Image},
    key::MAX_KEY_LEN,
    node::Node,
};

/// Changes trees; one per forest, under the lock that orders commits.
///
/// Nodes of the current gen are owned by the writer and changed in place, by plain `&mut`. All other
/// nodes are frozen: the writer copies them when it first changes them, and the copies replace the
/// originals on the path from the root. [`TreeWriter::freeze`] turns everything it owns into a new
/// frozen version. So versions exist only when somebody asked for one, and between two
/// freezes a thousand changes of one leaf copy it once.
///
/// The front page of the crate has an example.
pub struct TreeWriter {
    pub(crate) forest: Arc<Forest>,
    generation: u64,
    private: Vec<Option<Node>>,
    /// The memory that they take.
    private_bytes: usize,
    unused: Vec<usize>,
    catalog: Child,
    trees: BTreeMap<TreeId, OpenTree>,
    superseded: Vec<SlotId>,
    tallies: Vec<Tally>,
    /// The newest version, while nothing has changed since.
    pub(crate) newest: Option<Arc<FrozenRoot>>,
    /// The version of what there is now, if it was promised.
    pub(crate) promised: Option<Arc<PromisedVersion>>,
    /// The leaf that was changed last, and the way to it: neighbours often follow each other.
    last: Option<LastLeaf>,
    /// What a fork keeps to itself until it is adopted.
    pub(crate) apart: Option<Apart>,
}

/// A tree whose root the writer knows.
#[derive(Clone, Debug)]
pub(crate) struct OpenTree {
    root: Child,
    count: u64,
    /// Whether the catalogue does not say so yet.
    changed: bool,
}

#[derive(Debug)]
struct LastLeaf {
    tree: TreeId,
    path: Path,
    /// How many entries in a row were added at the end of the leaf.
    appended: u32,
}

/// The way from the root of a tree to a leaf, all nodes owned by the writer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    /// Each branch and which child of it was taken.
    pub(crate) branches: Vec<(usize, usize)>,
    pub(crate) leaf: usize,
}

impl TreeWriter {
    /// A writer that goes on from the catalogue at `root` (`None`: no trees), its first gen being
    /// `generation` (at least 1).
    ///
    /// # Errors
    /// If the root of the catalogue cannot be read.
    pub fn new(forest: Arc<Forest>, root: Option<Lsn>, generation: u64) -> TreeResult<Self> {
        let catalog = match root {
            None => Child::Empty,
            Some(lsn) => forest.adopt(lsn)?,
        };
        Ok(Self {
            forest,
            generation: generation.max(1),
            private: Vec::new(),
            private_bytes: 0,
            unused: Vec::new(),
            catalog,
            trees: BTreeMap::new(),
            superseded: Vec::new(),
            tallies: Vec::new(),
            newest: None,
            promised: None,
            last: None,
            apart: None,
        })
    }

    /// A writer of the same trees that has changed nothing: the caller has just frozen this one.
    pub(crate) fn twin(&self, apart: Apart) -> Self {
        Self {
            forest: Arc::clone(&self.forest),
            generation: self.generation,
            private: Vec::new(),
            private_bytes: 0,
            unused: Vec::new(),
            catalog: self.catalog,
            trees: self.trees.clone(),
            superseded: Vec::new(),
            tallies: Vec::new(),
            newest: None,
            promised: None,
            last: None,
            apart: Some(apart),
        }
    }

    /// Takes over what `twin` has become; `superseded` and `tallies` wait for the next freeze.
    pub(crate) fn become_twin(&mut self, twin: Self, held: Apart) {
        let Apart { superseded, tallies, .. } = held;
        // The fork has begun with a version of what this one has: whatever is promised was made.
        debug_assert!(self.promised.as_ref().is_none_or(|promised| promised.made().is_some()));
        *self = twin;
        self.superseded.extend(superseded);
        self.tallies.extend(tallies);
        self.newest = None;
    }

    /// Gens up to this one belong to somebody else.
    pub(crate) fn skip_to(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// The gen to which changes belong now.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether something has changed since the last freeze.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.newest.is_none()
    }

    /// Bytes of memory of the nodes that were changed since the last freeze.
    #[must_use]
    pub const fn private_bytes(&self) -> usize {
        self.private_bytes
    }

    /// Creates an empty tree; does nothing if it exists.
    ///
    /// # Errors
    /// If a node of the catalogue cannot be read.
    pub fn create(&mut self, tree: TreeId) -> TreeResult<()> {
        if !self.has(tree)? {
            self.begin_change()?;
            self.own_catalog_path(tree)?;
            self.trees.insert(tree, OpenTree { root: Child::Empty, count: 0, changed: true });
        }
        Ok(())
    }

    /// Before anything changes: the newest version is no longer that of what there is.
    pub(crate) fn begin_change(&mut self) -> TreeResult<()> {
        self.keep_promise()?;
        self.newest = None;
        Ok(())
    }

    /// Gets everything ready that a change of `key` needs. Changes nothing that anybody could see.
    fn prepare(&mut self, tree: TreeId, key: &[u8]) -> TreeResult<()> {
        debug_assert!(key.len() <= MAX_KEY_LEN, "the limits of keys are checked before");
        self.begin_change()?;
        if self.last_leaf_of(tree, key).is_some() {
            return Ok(());
        }
        let open = self
            .open(tree)?
            .ok_or(TreeError::Internal { what: "a change of a tree that does not exist" })?;
        let (mut root, changed) = (open.root, open.changed);
        if !changed {
            self.own_catalog_path(tree)?;
        }
        let path = if root == Child::Empty {
            let whole = Fences { lower: b"", upper: None };
            let leaf = self.add(Node::leaf(Image::new(tree.in_nodes(), 0, whole, 256), false));
            root = Child::Private(leaf);
            Ok(Path { branches: Vec::new(), leaf })
        } else {
            self.own_path(&mut root, key)
        };
        let open = self.trees.get_mut(&tree).expect("it was just opened");
        open.root = root;
        open.changed = true;
        self.last = Some(LastLeaf { tree, path: path?, appended: 0 });
        Ok(())
    }

    /// Puts a value; returns the one that it replaces.
    ///
    /// # Errors
    /// If a node cannot be read, or the tree does not exist: then nothing was changed.
    pub fn insert(
        &mut self,
        tree: TreeId,
        key: &[u8],
        value: ValueRef<'_>,
        sequence: u64,
    ) -> TreeResult<Option<Replaced>> {
        self.prepare(tree, key)?;
        let pointer;
        let (bytes, is_pointer) = match value {
            ValueRef::Inline(bytes) => (bytes, false),
            ValueRef::Pointer(to) => {
                self.tally(to, Tally::birth);
                pointer = to.encode();
                (&pointer[..], true)
            }
        };
        let last = self.last.as_mut().expect("prepared");
        let leaf = last.path.leaf;
        let node = self.private[leaf].as_mut().expect("prepared");
        let before = node.memory();
        node.sequence = sequence;
        let replaced = match node.image.search(key) {
            Ok(i) => {
                let replaced = Replaced::of(node.entry(i).into());
                node.image.replace(i, bytes, is_pointer);
                node.note_put(i);
                Some(replaced)
            }
            Err(i) => {
                last.appended = if i == node.image.count() { last.appended + 1 } else { 0 };
                let suffix = node.image.suffix_of(key);
                node.image.insert(i, suffix, bytes, is_pointer);
                node.note_put(i);
                None
            }
        };
        let after = node.memory();
        let is_full = node.image.used() > self.forest.options.leaf_bytes && node.image.count() > 1;
        if after != before {
            self.note_private(after, before);
        }
        if is_full {
            self.split_last();
        }
        match replaced {
            Some(Replaced::Pointer(_)) if cairn_log::planted::is(34) => {} // Planted: space that never comes back.
            Some(Replaced::Pointer(old)) => self.tally(old, Tally::death),
            Some(Replaced::Inline) => {}
            None => self.trees.get_mut(&tree).expect("prepared").count += 1,
        }
        Ok(replaced)
    }

    fn split_last(&mut self) {
        // A leaf that grows at its end, as in a sorted load, stays full: only the new entry moves.
        const RUN: u32 = 4;
        let LastLeaf { tree, path, appended } = self.last.take().expect("a leaf was changed");
        let at_end =
            appended >= RUN || self.node(path.leaf).image.fences().upper.is_none() && appended > 0;
        let mut root = self.trees[&tree].root;
        balance::split(self, &mut root, path, at_end);
        self.trees.get_mut(&tree).expect("it is open").root = root;
    }

    /// Removes a key; returns the value that it had.
    ///
    /// # Errors
    /// As [`TreeWriter::insert`].
    pub fn remove(
        &mut self,
        tree: TreeId,
        key: &[u8],
        sequence: u64,
    ) -> TreeResult<Option<Replaced>> {
        self.prepare(tree, key)?;
        let leaf = self.last.as_ref().expect("prepared").path.leaf;
        let node = self.private[leaf].as_mut().expect("prepared");
        let Ok(i) = node.image.search(key) else { return Ok(None) };
        let removed = Replaced::of(node.entry(i).into());
        let before = node.memory();
        node.remove(i);
        node.sequence = sequence;
        let after = node.memory();
        let least = self.forest.options.leaf_bytes / 4;
        let is_small = node.image.used() < least || node.image.count() == 0;
        if after != before {
            self.note_private(after, before);
        }
        if is_small {
            let LastLeaf { path, .. } = self.last.take().expect("a leaf was changed");
            let mut root = self.trees[&tree].root;
            balance::merge(self, &mut root, path);
            self.trees.get_mut(&tree).expect("it is open").root = root;
        }
        // Planted: a count that is off.
        if !cairn_log::planted::is(25) || removed == Replaced::Inline {
            self.trees.get_mut(&tree).expect("prepared").count -= 1;
        }
        if let Replaced::Pointer(old) = removed {
            self.tally(old, Tally::death);
        }
        Ok(Some(removed))
    }

    fn tally(&mut self, pointer: ValuePointer, tally: fn(u64, Lsn, u32) -> Tally) {
        if let Some(lsn) = Lsn::from_raw(pointer.lsn) {
            self.tallies.push(tally(self.generation, lsn, pointer.len));
        }
    }

    /// Makes the current state a version that never changes; `sequence` is the number of the newest
    /// commit in it. Without changes since the last time, and with the same number, the same version is returned.
    ///
    /// # Errors
    /// None that a healthy process sees: all nodes of the catalogue that are needed are in memory.
    pub fn freeze(&mut self, sequence: u64) -> TreeResult<Arc<FrozenRoot>> {
        // A commit that changes nothing is one all the same: a version that did not count it would have its
        // number given twice.
        if let Some(newest) = self.newest.as_ref().filter(|newest| newest.sequence() == sequence) {
            return Ok(Arc::clone(newest));
        }
        self.keep_older_promise(sequence)?;
        self.last = None;
        self.write_catalog()?;
        let ids = self.publish()?;
        let of = |child: Child| match child {
            Child::Private(i) => ids[i].map_or(Child::Empty, Child::Slot),
            other => other,
        };
        self.catalog = of(self.catalog);
        for open in self.trees.values_mut() {
            open.root = of(open.root);
        }
        let frozen = self.generation;
        let forest = Arc::clone(&self.forest);
        if let Some(apart) = &mut self.apart {
            apart.hold(&forest.slots, &mut self.superseded, &mut self.tallies);
        }
        let (gone, clean) = forest.generations.freeze(
            &forest.slots,
            (frozen, sequence),
            &mut self.superseded,
            &mut self.tallies,
        );
        self.generation += 1;
        forest.note_clean(clean);
        forest.release(gone);
        forest.make_room();
        let newest = Arc::new(FrozenRoot::new(forest, self.catalog, frozen, sequence));
        self.newest = Some(Arc::clone(&newest));
        self.fulfil(&newest);
        Ok(newest)
    }

    /// Writes the roots and counts of all changed trees into the catalogue.
    fn write_catalog(&mut self) -> TreeResult<()> {
        let changed: Vec<(TreeId, Child, u64)> = self
            .trees
            .iter_mut()
            .filter_map(|(tree, open)| {
                std::mem::take(&mut open.changed).then_some((*tree, open.root, open.count))
            })
            .collect();
        for (tree, root, count) in changed {
            let (key, value) = (key_of_tree(tree), catalog::encode_entry(count));
            let path = self.own_catalog_path(tree)?;
            self.change(path.leaf, |leaf| match leaf.image.search(&key) {
                Ok(i) => {
                    leaf.image.replace(i, &value, false);
                    leaf.set_child(i, root);
                }
                Err(i) => {
                    let suffix = leaf.image.suffix_of(&key);
                    leaf.image.insert(i, suffix, &value, false);
                    leaf.insert_child(i, root);
                }
            });
            let leaf = self.node(path.leaf);
            if leaf.size() > self.forest.options.branch_bytes && leaf.image.count() > 1 {
                let mut catalog = self.catalog;
                balance::split(self, &mut catalog, path, false);
                self.catalog = catalog;
            }
        }
        Ok(())
    }

    /// Gives all nodes that the writer owns their slots; returns the slot of each.
    fn publish(&mut self) -> TreeResult<Vec<Option<SlotId>>> {
        let ids: Vec<Option<SlotId>> = self
            .private
            .iter()
            .map(|node| node.as_ref().map(|_| self.forest.slots.allocate().0))
            .collect();
        self.unused.clear();
        self.note_private(0, self.private_bytes);
        for (node, id) in self.private.drain(..).zip(&ids) {
            let (Some(mut node), Some(id)) = (node, id) else { continue };
            for i in 0..node.child_count() {
                if let Child::Private(child) = node.child(i) {
                    let child = ids[child].ok_or(TreeError::Internal {
                        what: "a node refers to one that was given up",
                    })?;
                    node.set_child(i, Child::Slot(child));
                }
            }
            self.forest.publish(*id, node, self.generation)?;
        }
        Ok(ids)
    }

    /// Owns the path of the catalogue that leads to `tree`.
    pub(crate) fn own_catalog_path(&mut self, tree: TreeId) -> TreeResult<Path> {
        if self.catalog == Child::Empty {
            let whole = Fences { lower: b"", upper: None };
            let leaf = self.add(Node::leaf(Image::new(0, 0, whole, 256), true));
            self.catalog = Child::Private(leaf);
        }
        let mut catalog = self.catalog;
        let path = self.own_path(&mut catalog, &key_of_tree(tree));
        self.catalog = catalog;
        path
    }

    /// Owns all nodes from `root` to the leaf of `key`. The root becomes a private one at once, so the
    /// caller's reference to it is replaced even if a node further down cannot be read: what was
    /// copied by then is what the tree consists of.
    fn own_path(&mut self, root: &mut Child, key: &[u8]) -> TreeResult<Path> {
        let mut at = self.own_root(*root)?;
        *root = Child::Private(at);
        let mut branches = Vec::with_capacity(4);
        while !self.node(at).is_leaf() {
            let i = self.node(at).image.child_index(key);
            let child = self.own_child(at, i)?;
            branches.push((at, i));
            at = child;
        }
        Ok(Path { branches, leaf: at })
    }

    /// The root of the catalogue.
    pub(crate) const fn catalog(&self) -> Child {
        self.catalog
    }

    pub(crate) fn set_catalog(&mut self, catalog: Child) {
        self.catalog = catalog;
    }

    /// What is known of a tree is known of another one from now on.
    pub(crate) fn rename_open(&mut self, from: TreeId, to: TreeId) {
        self.last = None;
        if let Some(open) = self.trees.remove(&from) {
            self.trees.insert(to, OpenTree { changed: true, ..open });
        }
    }

    pub(crate) fn forget_open(&mut self, tree: TreeId) {
        self.last = None;
        self.trees.remove(&tree);
    }

    /// The root of a tree; nothing if there is no such tree.
    pub(crate) fn root_of(&mut self, tree: TreeId) -> TreeResult<Child> {
        Ok(self.open(tree)?.map_or(Child::Empty, |open| open.root))
    }

    /// Owns the path of the catalogue from its root to the node of `key` at `level`; returns the node's place.
    pub(crate) fn own_catalog_down_to(&mut self, key: &[u8], level: u8) -> TreeResult<usize> {
        self.begin_change()?;
        let mut catalog = self.catalog;
        let owned = self.own_down_to(&mut catalog, key, level);
        self.catalog = catalog;
        owned
    }

    /// Owns the path of a tree from its root to the node of `key` at `level`; returns the node's place.
    pub(crate) fn own_tree_down_to(
        &mut self,
        tree: TreeId,
        key: &[u8],
        level: u8,
    ) -> TreeResult<usize> {
        self.begin_change()?;
        let no_tree = TreeError::Internal { what: "a node of a tree that does not exist" };
        let open = self.open(tree)?.ok_or(no_tree)?;
        let (mut root, changed) = (open.root, open.changed);
        if !changed {
            self.own_catalog_path(tree)?;
        }
        let owned = self.own_down_to(&mut root, key, level);
        let open = self.trees.get_mut(&tree).expect("it was just opened");
        open.root = root;
        open.changed = true;
        owned
    }

    fn own_down_to(&mut self, root: &mut Child, key: &[u8], level: u8) -> TreeResult<usize> {
        let mut at = self.own_root(*root)?;
        *root = Child::Private(at);
        while self.node(at).level() > level {
            let i = self.node(at).image.child_index(key);
            at = self.own_child(at, i)?;
        }
        Ok(at)
    }

    /// Replaces one pointer to a large value by another; the entry counts as unchanged.
    pub(crate) fn replace_pointer(
        &mut self,
        tree: TreeId,
        key: &[u8],
        old: ValuePointer,
        new: ValuePointer,
    ) -> TreeResult<bool> {
        self.prepare(tree, key)?;
        let leaf = self.last.as_ref().expect("prepared").path.leaf;
        let node = self.private[leaf].as_mut().expect("prepared");
        let Ok(i) = node.image.search(key) else { return Ok(false) };
        // Planted: an old value moved over a new one.
        if ValueRef::from(node.entry(i)) != ValueRef::Pointer(old) && !cairn_log::planted::is(33) {
            return Ok(false);
        }
        node.image.replace(i, &new.encode(), true);
        node.note_put(i);
        // Planted: a file removed while in use.
        if !cairn_log::planted::is(31) {
            self.tally(new, Tally::birth);
        }
        self.tally(old, Tally::death);
        Ok(true)
    }

    fn own_root(&mut self, root: Child) -> TreeResult<usize> {
        match root {
            Child::Private(i) => Ok(i),
            Child::Slot(id) => {
                let node = self.forest.own(id, self.forest.load_tree(root)?)?;
                self.superseded.push(id);
                Ok(self.add(node))
            }
            Child::Empty | Child::Disk(_) => {
                Err(TreeError::Internal { what: "this root has no slot" })
            }
        }
    }

    pub(crate) fn own_child(&mut self, parent: usize, i: usize) -> TreeResult<usize> {
        let node = self.node(parent);
        if let Child::Private(child) = node.child(i) {
            return Ok(child);
        }
        let frozen = self.forest.load_child(node, i, true)?;
        let Child::Slot(id) = node.child(i) else {
            return Err(TreeError::Internal { what: "a loaded child has no slot" });
        };
        let own = self.forest.own(id, frozen)?;
        self.superseded.push(id);
        let child = self.add(own);
        self.node_mut(parent).set_child(i, Child::Private(child));
        Ok(child)
    }

    pub(crate) fn node(&self, i: usize) -> &Node {
        self.private[i].as_ref().expect("places of given-up nodes are forgotten with them")
    }

    pub(crate) fn node_mut(&mut self, i: usize) -> &mut Node {
        self.private[i].as_mut().expect("places of given-up nodes are forgotten with them")
    }

    /// Changes a private node in a way in which the memory that it takes may change.
    pub(crate) fn change(&mut self, i: usize, change: impl FnOnce(&mut Node)) {
        let node = self.node_mut(i);
        let before = node.memory();
        change(node);
        let after = node.memory();
        self.note_private(after, before);
    }

    /// Private nodes take so many bytes more, and so many less.
    fn note_private(&mut self, more: usize, less: usize) {
        self.private_bytes = self.private_bytes + more - less;
        self.forest.note_private(more, less);
    }

    pub(crate) fn add(&mut self, node: Node) -> usize {
        self.note_private(node.memory(), 0);
        match self.unused.pop() {
            Some(i) => {
                self.private[i] = Some(node);
                i
            }
            None => {
                self.private.push(Some(node));
                self.private.len() - 1
            }
        }
    }

    /// Takes a private node out of its place.
    pub(crate) fn take_private(&mut self, i: usize) -> Option<Node> {
        self.unused.push(i);
        let node = self.private[i].take();
        self.note_private(0, node.as_ref().map_or(0, Node::memory));
        node
    }

    /// Nothing refers to a large value any more.
    pub(crate) fn value_died(&mut self, value: ValuePointer) {
        self.tally(value, Tally::death);
    }

    /// Gives up a node: a private one at once, a frozen one when no version has it any more.
    pub(crate) fn give_up(&mut self, child: Child) {
        match child {
            Child::Private(i) => drop(self.take_private(i)),
            Child::Slot(id) => self.superseded.push(id),
            Child::Empty | Child::Disk(_) => {}
        }
    }
}

/// What a change replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a value is here or elsewhere")]
pub enum Replaced {
    /// A value in the leaf.
    Inline,
    /// A large value elsewhere.
    Pointer(ValuePointer),
}

impl Replaced {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Inline(_) => Self::Inline,
            ValueRef::Pointer(pointer) => Self::Pointer(pointer),
        }
    }
}

impl Drop for TreeWriter {
    fn drop(&mut self) {
        self.note_private(0, self.private_bytes);
    }
}

impl fmt::Debug for TreeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeWriter(gen {}, {} private nodes)", self.generation, self.private.len())
    }
}

#[cfg(test)]
mod tests;
