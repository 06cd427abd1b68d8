//! `Flush`: the dirty nodes of a frozen root, bottom up, in key order.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    FrozenRoot, TreeError, TreeResult,
    child::{Child, SlotId},
    node::Node,
    slot::NodeRef,
};

/// Writes all nodes of one version that are not on disk yet, children before parents.
///
/// A node that is on disk has all its children on disk, since a changed node changes its ancestors:
/// so clean subtrees are passed over as a whole, and nothing unchanged is written again.
#[derive(Debug)]
pub struct Flush {
    frozen: Arc<FrozenRoot>,
    stack: Vec<Frame>,
    written: u64,
}

#[derive(Debug)]
struct Frame {
    node: Arc<Node>,
    id: SlotId,
    next: usize,
}

impl Flush {
    /// A flush of `frozen`, not begun.
    ///
    /// # Errors
    /// None on a healthy process.
    pub fn new(frozen: Arc<FrozenRoot>) -> TreeResult<Self> {
        let mut flush = Self { frozen, stack: Vec::new(), written: 0 };
        flush.visit(flush.frozen.root())?;
        Ok(flush)
    }

    /// How many nodes were written.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The version.
    #[must_use]
    pub const fn frozen(&self) -> &Arc<FrozenRoot> {
        &self.frozen
    }

    /// Writes at most `max` nodes; returns whether all are on disk.
    ///
    /// # Errors
    /// If a node cannot be written. The flush can be continued: what was written stays.
    pub fn step(&mut self, max: usize) -> TreeResult<bool> {
        let mut left = max;
        while left > 0
            && let Some(frame) = self.stack.last_mut()
        {
            if frame.next < frame.node.child_count() {
                let child = frame.node.child(frame.next);
                frame.next += 1;
                self.visit(child)?;
                continue;
            }
            self.frozen.forest().write(frame.id, &frame.node)?;
            self.stack.pop();
            self.written += 1;
            left -= 1;
        }
        Ok(self.stack.is_empty())
    }

    fn visit(&mut self, child: Child) -> TreeResult<()> {
        let Child::Slot(id) = child else { return Ok(()) };
        let slot = self.frozen.forest().slots.get(id)?;
        // Planted: a node left out of a checkpoint.
        let is_left_out = cairn_log::planted::is(13) && slot.retired.load(Ordering::Relaxed) > 0;
        if slot.lsn().is_none() && !is_left_out {
            let node = slot.get().map(NodeRef::into_arc);
            match node {
                Some(node) => self.stack.push(Frame { node, id, next: 0 }),
                // Written and evicted since the question a moment ago.
                None if slot.lsn().is_some() => {}
                None => {
                    return Err(TreeError::Internal {
                        what: "a node is neither in memory nor on disk",
                    });
                }
            }
        }
        Ok(())
    }
}
