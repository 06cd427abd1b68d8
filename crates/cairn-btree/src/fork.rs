//! Forks: changes of any size that count together or not at all.
//!
//! A fork is a writer of its own that goes on from the newest version while the writer that it came
//! from stands still. Its versions can be frozen, written and evicted like any other, so it may change
//! more than fits into memory; but nothing that it does to nodes from before shows in the books until
//! it is adopted. Given up, it leaves garbage in node files and nothing else.

use std::sync::Arc;

use crate::{
    Forest, FrozenRoot, Tally, TreeResult, TreeWriter,
    child::{Child, SlotId},
    slot::SlotTable,
};

/// What a fork keeps to itself until it is adopted.
#[derive(Debug)]
pub(crate) struct Apart {
    /// Where the fork began. Nodes of this version cannot go while it is held.
    base: Arc<FrozenRoot>,
    /// Nodes of the base that the fork does without.
    pub(crate) superseded: Vec<SlotId>,
    pub(crate) tallies: Vec<Tally>,
}

impl Apart {
    /// Takes what must not be known yet out of what is to be frozen. Nodes that came into being in the
    /// fork may go at any time: no other version has them.
    pub(crate) fn hold(
        &mut self,
        slots: &SlotTable,
        superseded: &mut Vec<SlotId>,
        tallies: &mut Vec<Tally>,
    ) {
        let base = self.base.generation();
        self.superseded.extend(superseded.extract_if(.., |id| !is_newer(slots, *id, base)));
        self.tallies.append(tallies);
    }
}

impl TreeWriter {
    /// Begins a fork. Until it is [adopted](Self::adopt) or [given up](Self::give_up_fork) this
    /// writer must not change anything; `sequence` is the number of its newest commit.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cairn_btree::{Forest, ForestOptions, MemorySource, TreeId, TreeWriter, ValueRef};
    /// # let forest = Forest::new(Arc::new(MemorySource::new()), ForestOptions::default());
    /// # let mut writer = TreeWriter::new(forest, None, 1)?;
    /// let tree = TreeId(16);
    /// writer.create(tree)?;
    /// let mut fork = writer.fork(1)?;
    /// fork.insert(tree, b"key", ValueRef::Inline(b"value"), 2)?;
    /// assert!(writer.freeze(1)?.get_with(tree, b"key", |_| ())?.is_none());
    /// writer.adopt(fork);
    /// assert!(writer.freeze(2)?.get_with(tree, b"key", |_| ())?.is_some());
    /// # Ok::<(), cairn_btree::TreeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`TreeWriter::freeze`].
    pub fn fork(&mut self, sequence: u64) -> TreeResult<Self> {
        let base = self.freeze(sequence)?;
        Ok(self.twin(Apart { base, superseded: Vec::new(), tallies: Vec::new() }))
    }

    /// Whether versions of this fork were frozen, so that nodes of it may have been written.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        let begun = self.apart.as_ref().map(|apart| apart.base.generation() + 1);
        begun.is_some_and(|begun| self.generation() > begun)
    }

    /// What the fork has become is what this writer goes on from.
    pub fn adopt(&mut self, mut fork: Self) {
        if let Some(held) = fork.apart.take() {
            self.become_twin(fork, held);
        }
    }

    /// Gives a fork up: this writer goes on as if there had been none.
    ///
    /// # Errors
    /// None that a healthy process sees.
    pub fn give_up_fork(&mut self, mut fork: Self) -> TreeResult<()> {
        let Some(base) = fork.apart.as_ref().map(|apart| apart.base.generation()) else {
            return Ok(());
        };
        let root = fork.freeze(0)?.root();
        let forest = Arc::clone(&fork.forest);
        let mut newer = slots_after(&forest, root, base)?;
        let frozen = fork.generation();
        drop(fork);
        let generations = &forest.generations;
        let (slots, none) = (&forest.slots, &mut Vec::new());
        let (gone, clean) = generations.freeze(slots, (frozen, 0), &mut newer, none);
        forest.note_clean(clean);
        forest.release(gone);
        forest.release(generations.thaw(&forest.slots, frozen));
        generations.forget_after(base);
        self.skip_to(frozen + 1);
        Ok(())
    }
}

fn is_newer(slots: &SlotTable, id: SlotId, base: u64) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    slots.get(id).is_ok_and(|slot| slot.born.load(Relaxed) > base)
}

/// All nodes below `root` that came into being after gen `base`. Where one did, so did its parents; and
/// what is not in memory is a leaf.
fn slots_after(forest: &Forest, root: Child, base: u64) -> TreeResult<Vec<SlotId>> {
    let (mut found, mut places) = (Vec::new(), vec![root]);
    while let Some(place) = places.pop() {
        let Child::Slot(id) = place else { continue };
        if !is_newer(&forest.slots, id, base) {
            continue;
        }
        found.push(id);
        if let Some(node) = forest.slots.get(id)?.get() {
            places.extend((0..node.child_count()).map(|i| node.child(i)));
        }
    }
    Ok(found)
}
