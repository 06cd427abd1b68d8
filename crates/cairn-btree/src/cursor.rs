//! `Cursor`: a moving position in one version of a tree, in both directions.

use std::{fmt, sync::Arc};

use crate::{FrozenRoot, TreeError, TreeResult, ValueRef, child::Child, node::Node};

/// A position in a tree: on an entry, before the first one, or after the last one.
///
/// It owns what it needs (`'static` and `Send`), so it can outlive every handle. There are no links
/// between leaves, since copying a leaf would have to change its neighbours: a cursor remembers the
/// path instead.
pub struct Cursor {
    frozen: Arc<FrozenRoot>,
    root: Child,
    catalog: bool,
    /// Whether leaves that it reads are kept in memory.
    keeps: bool,
    /// Branches from the root down, each with the child that was taken.
    path: Vec<(Arc<Node>, usize)>,
    leaf: Option<Arc<Node>>,
    entry: usize,
    key: Vec<u8>,
    /// How many leaves in a row it has come to from the one before, or after.
    run: usize,
    /// Where the cursor stands when it stands on no entry.
    outside: Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    BeforeFirst,
    AfterLast,
    /// Nowhere: a node could not be read. Going on from here would skip or repeat entries.
    Lost,
}

impl Cursor {
    pub(crate) fn new(frozen: &Arc<FrozenRoot>, root: Child) -> Self {
        Self {
            frozen: Arc::clone(frozen),
            root,
            catalog: false,
            keeps: true,
            path: Vec::new(),
            leaf: None,
            entry: 0,
            key: Vec::new(),
            run: 0,
            outside: Outside::BeforeFirst,
        }
    }

    /// Leaves that it reads are not kept.
    pub(crate) fn keeping_nothing(mut self) -> Self {
        self.keeps = false;
        self
    }

    pub(crate) fn over_catalog(frozen: &Arc<FrozenRoot>) -> Self {
        Self { catalog: true, ..Self::new(frozen, frozen.root()) }
    }

    /// Whether the cursor stands on an entry.
    #[must_use]
    pub const fn on_entry(&self) -> bool {
        self.leaf.is_some()
    }

    /// The key of the entry, empty if there is none.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the entry.
    #[must_use]
    pub fn value(&self) -> Option<ValueRef<'_>> {
        self.leaf.as_ref().map(|leaf| leaf.entry(self.entry).into())
    }

    /// Moves to the first entry whose key is not below `key`; returns whether there is one.
    ///
    /// # Errors
    /// If a node cannot be read; the cursor then stands on no entry.
    pub fn seek(&mut self, key: &[u8]) -> TreeResult<bool> {
        if !self.descend(|node| node.image.child_index(key))? {
            return Ok(false);
        }
        let leaf = self.leaf.as_ref().expect("the descent ended in a leaf");
        self.entry = leaf.image.search(key).unwrap_or_else(|i| i);
        self.settle_forward()
    }

    /// Moves to the last entry whose key is below `key`; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn seek_before(&mut self, key: &[u8]) -> TreeResult<bool> {
        if self.seek(key)? || self.outside == Outside::AfterLast {
            self.previous()
        } else {
            Ok(false)
        }
    }

    /// Moves to the first entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn first(&mut self) -> TreeResult<bool> {
        if !self.descend(|_| 0)? {
            return Ok(false);
        }
        self.entry = 0;
        self.settle_forward()
    }

    /// Moves to the last entry; returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn last(&mut self) -> TreeResult<bool> {
        if !self.descend(|node| node.child_count() - 1)? {
            return Ok(false);
        }
        self.entry = self.leaf.as_ref().map_or(0, |leaf| leaf.image.count());
        self.settle_backward()
    }

    /// Moves to the next entry (from before the first: to the first); returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    #[expect(clippy::should_implement_trait, reason = "entries borrow the cursor")]
    pub fn next(&mut self) -> TreeResult<bool> {
        let Some(leaf) = &self.leaf else {
            return match self.outside {
                Outside::BeforeFirst => self.first(),
                Outside::AfterLast => Ok(false),
                Outside::Lost => Err(TreeError::LostPlace),
            };
        };
        self.entry += 1;
        if self.entry < leaf.image.count() {
            leaf.image.key_into(self.entry, &mut self.key);
            return Ok(true);
        }
        self.settle_forward()
    }

    /// Moves to the previous entry (from after the last: to the last); returns whether there is one.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn previous(&mut self) -> TreeResult<bool> {
        if self.leaf.is_none() {
            return match self.outside {
                Outside::BeforeFirst => Ok(false),
                Outside::AfterLast => self.last(),
                Outside::Lost => Err(TreeError::LostPlace),
            };
        }
        self.settle_backward()
    }

    /// Goes down from the root by `choose`; `false` if the tree is empty.
    fn descend(&mut self, choose: impl Fn(&Node) -> usize) -> TreeResult<bool> {
        self.leave(Outside::Lost);
        self.path.clear();
        self.run = 0;
        if self.root == Child::Empty {
            self.outside = Outside::AfterLast;
            return Ok(false);
        }
        let forest = Arc::clone(self.frozen.forest());
        let root = if self.catalog {
            forest.load_root(self.root)?
        } else {
            forest.load_tree(self.root)?
        };
        self.go_down(root.into_arc(), choose)?;
        Ok(true)
    }

    fn go_down(&mut self, mut node: Arc<Node>, choose: impl Fn(&Node) -> usize) -> TreeResult<()> {
        while !node.is_leaf() {
            let i = choose(&node);
            let child = self.load(&node, i)?;
            self.path.push((node, i));
            node = child;
        }
        self.leaf = Some(node);
        Ok(())
    }

    fn load(&self, parent: &Node, i: usize) -> TreeResult<Arc<Node>> {
        // Leaves come in cold: a scan does not push out what is in use.
        let (forest, is_leaf) = (self.frozen.forest(), parent.level() == 1);
        let child = match is_leaf && !self.keeps {
            true => forest.load_once(parent, i)?,
            false => forest.load_child(parent, i, !is_leaf)?,
        };
        Ok(child.into_arc())
    }

    fn leave(&mut self, outside: Outside) {
        self.leaf = None;
        self.key.clear();
        self.outside = outside;
    }

    /// Takes the entry at the current place, or the first one of a later leaf.
    fn settle_forward(&mut self) -> TreeResult<bool> {
        loop {
            let Some(leaf) = &self.leaf else { return Ok(false) };
            if self.entry < leaf.image.count() {
                leaf.image.key_into(self.entry, &mut self.key);
                return Ok(true);
            }
            self.leave(Outside::Lost);
            let next = loop {
                match self.path.pop() {
                    None => {
                        self.outside = Outside::AfterLast;
                        return Ok(false);
                    }
                    Some((node, i)) if i + 1 < node.child_count() => break (node, i + 1),
                    Some(_) => {}
                }
            };
            let is_new = next.0.level() > 1;
            self.step_into(next, |_| 0)?;
            self.read_ahead(true, is_new);
            self.entry = 0;
        }
    }

    /// Takes the entry before the current place, or the last one of an earlier leaf.
    fn settle_backward(&mut self) -> TreeResult<bool> {
        loop {
            let Some(leaf) = &self.leaf else { return Ok(false) };
            if self.entry > 0 {
                self.entry -= 1;
                leaf.image.key_into(self.entry, &mut self.key);
                return Ok(true);
            }
            self.leave(Outside::Lost);
            let previous = loop {
                match self.path.pop() {
                    None => {
                        self.outside = Outside::BeforeFirst;
                        return Ok(false);
                    }
                    Some((node, i)) if i > 0 => break (node, i - 1),
                    Some(_) => {}
                }
            };
            let is_new = previous.0.level() > 1;
            self.step_into(previous, |node| node.child_count() - 1)?;
            self.read_ahead(false, is_new);
            self.entry = self.leaf.as_ref().map_or(0, |leaf| leaf.image.count());
            // Planted: a backward scan that skips.
            self.entry = self.entry.saturating_sub(cairn_log::planted::is(24).into());
        }
    }

    /// A scan goes from one leaf to the next: those behind it are fetched while it is at this one. `is_new`: it has come to
    /// another branch.
    fn read_ahead(&mut self, is_forward: bool, is_new: bool) {
        /// Leaves that are fetched at once; so many more are on their way meanwhile.
        const WINDOW: usize = 8;
        /// Leaves after which a scan is no short one, which would end before what is fetched for it is read.
        const SHORT: usize = 2;
        self.run += 1;
        let Some((node, i)) = self.path.last() else { return };
        if self.run < SHORT {
            return;
        }
        let is_first = is_new || self.run == SHORT;
        let forest = self.frozen.forest();
        // By the number of the child, so that each window is fetched once.
        if is_forward && (is_first || i.is_multiple_of(WINDOW)) {
            let from = if is_first { i + 1 } else { i + WINDOW };
            let end = (i / WINDOW + 2) * WINDOW;
            forest.expect_leaves(node, from..end.min(node.child_count()));
        } else if !is_forward && (is_first || i % WINDOW == WINDOW - 1) {
            let window = i / WINDOW * WINDOW;
            let end = if is_first { *i } else { window };
            forest.expect_leaves(node, (window.saturating_sub(WINDOW)..end).rev());
        }
    }

    /// Goes down through child `i` of a branch, then by `choose`.
    fn step_into(
        &mut self,
        (node, i): (Arc<Node>, usize),
        choose: impl Fn(&Node) -> usize,
    ) -> TreeResult<()> {
        let child = self.load(&node, i)?;
        self.path.push((node, i));
        self.go_down(child, choose)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("frozen", &self.frozen).finish_non_exhaustive()
    }
}
