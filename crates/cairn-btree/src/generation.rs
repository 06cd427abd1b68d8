//! Born, frozen, retired: when an old version of a node may go, and which bytes on disk count.
//!
//! Each change of the tree belongs to a *gen*. Freezing makes everything of the current gen
//! immutable and begins the next one. A version of a node that was born in gen *b* and superseded in
//! gen *r* is part of exactly the frozen roots with *b* ≤ gen < *r*. So it may go as soon as no such
//! root is alive; until then it is remembered under the youngest of them. Versions born and
//! superseded between two long-lived roots go at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cairn_log::{
    FileNumber, Lsn,
    shared::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use crate::{
    StoredNode, Tally,
    child::SlotId,
    node::Node,
    slot::{Slot, SlotTable},
    sync::lock,
    tally::Tallies,
};

#[derive(Debug, Default)]
struct Inner {
    /// The gens of all frozen roots that are alive, each with the newest commit in it.
    active: BTreeMap<u64, u64>,
    /// Superseded versions, under the youngest active gen that still has them.
    blocked: BTreeMap<u64, Vec<SlotId>>,
    tallies: Tallies,
    /// The base of each slot whose record is a delta.
    bases: HashMap<u32, StoredNode>,
}

/// The book of all gens.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    inner: Mutex<Inner>,
    /// The gen after that of the youngest frozen root that is alive, 0 if there is none; to be read without the lock.
    after_youngest: AtomicU64,
    /// Bytes of memory of the map of bases, to be read without the lock.
    bases_memory: AtomicUsize,
}

/// A slot whose node has gone: the caller forgets the node, then recycles the number.
#[derive(Debug)]
#[must_use = "the slot is neither used nor free until it is recycled"]
pub(crate) struct Gone {
    pub(crate) index: u32,
    /// The node, if it was resident.
    pub(crate) node: Option<Arc<Node>>,
    /// Where it stands on disk; `None` if it was never written.
    pub(crate) lsn: Option<Lsn>,
}

impl Generations {
    /// Registers the frozen root of gen `frozen`, and takes note of what was superseded in it and
    /// of the bytes that came and went. Returns what has gone, and the bytes of superseded nodes
    /// that were never written: they need not be any more.
    pub(crate) fn freeze(
        &self,
        slots: &SlotTable,
        (frozen, sequence): (u64, u64),
        superseded: &mut Vec<SlotId>,
        tallies: &mut Vec<Tally>,
    ) -> (Vec<Gone>, usize) {
        let mut inner = lock(&self.inner);
        tallies.drain(..).for_each(|tally| inner.tallies.add(tally));
        let (mut gone, mut clean) = (Vec::new(), 0);
        for id in superseded.drain(..) {
            let Ok(slot) = slots.get(id) else { continue };
            slot.retired.store(frozen, Ordering::Relaxed);
            match slot.stored() {
                Some(stored) => {
                    inner.tallies.add(Tally::death_of(frozen, stored));
                    if let Some(base) = inner.base_of(id, slot) {
                        inner.tallies.add(Tally::death_of(frozen, base));
                    }
                }
                None => clean += slot.get().map_or(0, |node| node.memory()),
            }
            gone.extend(inner.retire(id, slot));
        }
        inner.active.insert(frozen, sequence);
        self.note_youngest(&inner);
        (gone, clean)
    }

    /// Unregisters the frozen root of gen `frozen`.
    pub(crate) fn thaw(&self, slots: &SlotTable, frozen: u64) -> Vec<Gone> {
        let mut inner = lock(&self.inner);
        inner.active.remove(&frozen);
        self.note_youngest(&inner);
        let blocked = inner.blocked.remove(&frozen).unwrap_or_default();
        let mut gone = Vec::new();
        for id in blocked {
            if let Ok(slot) = slots.get(id) {
                gone.extend(inner.retire(id, slot));
            }
        }
        gone
    }

    fn note_youngest(&self, inner: &Inner) {
        let youngest = inner.active.last_key_value();
        let after = youngest.map_or(0, |(frozen, _)| frozen + 1);
        self.after_youngest.store(after, Ordering::Release);
    }

    /// Whether a frozen root that is alive has a node that is current and was born in gen `born`. No can only become yes by
    /// [`freeze`](Self::freeze), which is for the writer; yes may become no at any time.
    pub(crate) fn has_current(&self, born: u64) -> bool {
        born < self.after_youngest.load(Ordering::Acquire)
    }

    /// Notes that the node in slot `id` was written, as a delta if it has a `base`. Returns whether it was dirty until now: not if
    /// it was superseded meanwhile. If it has gone, or was written by somebody else, the record is
    /// garbage.
    pub(crate) fn written(
        &self,
        slots: &SlotTable,
        id: SlotId,
        stored: StoredNode,
        base: Option<StoredNode>,
    ) -> bool {
        let birth = Tally::birth_of(0, stored); // a hash, which needs no lock
        let birth_of_base = base.map(|base| Tally::birth_of(0, base));
        let mut inner = lock(&self.inner);
        let Ok(slot) = slots.get(id) else { return false };
        if slot.lsn().is_some() {
            return false;
        }
        let generation = slot.born.load(Ordering::Relaxed);
        let retired = slot.retired.load(Ordering::Relaxed);
        for birth in [Some(birth), birth_of_base].into_iter().flatten() {
            inner.tallies.add(Tally { generation, ..birth });
        }
        if retired > 0 {
            for record in [Some(stored), base].into_iter().flatten() {
                inner.tallies.add(Tally::death_of(retired, record));
            }
        }
        inner.set_stored((id, slot), stored, base);
        self.note_bases(&inner);
        retired == 0
    }

    /// Notes what was read of the node in a slot: its record, and that record's base, if it is a delta.
    pub(crate) fn read(&self, at: (SlotId, &Slot), stored: StoredNode, base: Option<StoredNode>) {
        match base {
            None => at.1.set_stored(stored, false),
            Some(_) => {
                let mut inner = lock(&self.inner);
                inner.set_stored(at, stored, base);
                self.note_bases(&inner);
            }
        }
    }

    fn note_bases(&self, inner: &Inner) {
        let bytes = inner.bases.capacity() * (size_of::<(u32, StoredNode)>() + 1);
        self.bases_memory.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of memory that it takes to know the bases of deltas.
    pub(crate) fn memory(&self) -> usize {
        self.bases_memory.load(Ordering::Relaxed)
    }

    /// The base of the node in a slot, if that stands on disk as a delta.
    pub(crate) fn base_of(&self, id: SlotId, slot: &Slot) -> Option<StoredNode> {
        slot.is_delta().then(|| lock(&self.inner).base_of(id, slot)).flatten()
    }

    /// Takes out all changes that hold for the frozen root of gen `cut`.
    pub(crate) fn settle(&self, cut: u64) -> Vec<Tally> {
        lock(&self.inner).tallies.settle(cut)
    }

    /// The changes that hold for the frozen root of gen `cut`, and stay.
    pub(crate) fn pending(&self, cut: u64) -> Vec<Tally> {
        lock(&self.inner).tallies.pending(cut)
    }

    /// Puts changes back that were taken out for a checkpoint that then failed.
    pub(crate) fn unsettle(&self, tallies: Vec<Tally>) {
        let mut inner = lock(&self.inner);
        tallies.into_iter().for_each(|tally| inner.tallies.add(tally));
    }

    /// Forgets all changes that hold from a gen after `base` on: nothing of these gens counts.
    pub(crate) fn forget_after(&self, base: u64) {
        lock(&self.inner).tallies.forget_after(base);
    }

    /// Files with records that are reachable in gens which were not settled yet.
    pub(crate) fn unsettled(&self) -> BTreeSet<FileNumber> {
        lock(&self.inner).tallies.with_births()
    }

    /// The oldest frozen root that is alive and not older than gen `from`.
    pub(crate) fn oldest_active(&self, from: u64) -> Option<u64> {
        lock(&self.inner).active.range(from..).next().map(|(frozen, _)| *frozen)
    }

    /// The frozen roots that are alive and older than gen `before`, each with its newest commit.
    pub(crate) fn active_before(&self, before: u64) -> Vec<(u64, u64)> {
        lock(&self.inner)
            .active
            .range(..before)
            .map(|(frozen, commit)| (*frozen, *commit))
            .collect()
    }

    /// How many superseded versions wait for a frozen root.
    pub(crate) fn blocked(&self) -> usize {
        lock(&self.inner).blocked.values().map(Vec::len).sum()
    }
}

impl Inner {
    fn base_of(&self, id: SlotId, slot: &Slot) -> Option<StoredNode> {
        slot.is_delta().then(|| self.bases.get(&id.index).copied()).flatten()
    }

    /// Says what stands on disk of a node. Whoever sees that it is a delta finds its base.
    fn set_stored(
        &mut self,
        (id, slot): (SlotId, &Slot),
        stored: StoredNode,
        base: Option<StoredNode>,
    ) {
        if let Some(base) = base {
            self.bases.insert(id.index, base);
        }
        slot.set_stored(stored, base.is_some());
    }

    /// Lets a superseded version go, or remembers it under the youngest root that has it.
    fn retire(&mut self, id: SlotId, slot: &Slot) -> Option<Gone> {
        let born = slot.born.load(Ordering::Relaxed);
        let retired = slot.retired.load(Ordering::Relaxed);
        if let Some((&youngest, _)) = self.active.range(born..retired).next_back() {
            self.blocked.entry(youngest).or_default().push(id);
            return None;
        }
        // The node leaves before the life ends: whoever sees the new stamp must not find the old
        // node, or it could write it and put its place down for the next one.
        let (node, lsn) = (slot.take(), slot.lsn());
        if slot.is_delta() {
            self.bases.remove(&id.index);
        }
        SlotTable::end_life(slot);
        Some(Gone { index: id.index, node, lsn })
    }
}
