//! The slot table: the name of a node in memory, and what stands behind it.
//!
//! Branches refer to their children by slot, never by pointer: a copied branch copies numbers, and
//! evicting a node is one swap that every copy of its parent sees. Safe Rust throughout: a slot holds
//! a swappable `Arc`, so whoever still reads a node keeps it, and a wrong number is an error.

use std::sync::{Arc, OnceLock};

use arc_swap::Guard;
use cairn_log::{
    Lsn,
    shared::{
        ArcSwapOption, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use crate::{StoredNode, TreeError, TreeResult, child::SlotId, node::Node, sync::lock};

/// A node that is being read: it stays whole as long as this lives, whatever happens to its slot.
pub(crate) struct NodeRef(Guard<Option<Arc<Node>>>);

impl NodeRef {
    fn new(guard: Guard<Option<Arc<Node>>>) -> Option<Self> {
        guard.is_some().then_some(Self(guard))
    }

    /// A reference to `node`, which need not be in any slot.
    pub(crate) fn of(node: Arc<Node>) -> Self {
        Self(Guard::from_inner(Some(node)))
    }

    /// The node for keeping: references of this kind are few and for passing by.
    pub(crate) fn into_arc(self) -> Arc<Node> {
        Guard::into_inner(self.0).expect("checked when it was made")
    }
}

impl std::ops::Deref for NodeRef {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.0.as_deref().expect("checked when it was made")
    }
}

/// What stands behind a slot number.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    node: ArcSwapOption<Node>,
    /// Where the node stands on disk, 0 if it was not written. Set once in a life.
    lsn: AtomicU64,
    /// The gen in which this version of the node came into being; 0 if it came from the disk.
    pub(crate) born: AtomicU64,
    /// The gen in which it was superseded, 0 while it is current.
    pub(crate) retired: AtomicU64,
    /// Bytes of its record, with a bit that says whether that is a delta, and the checksum of it; 0 as long as it was neither
    /// written nor read.
    stored_len: AtomicU32,
    stored_crc: AtomicU32,
    /// Stamp of the current life, and in the lowest bit whether the node was used lately.
    state: AtomicU32,
    /// Whether the clock comes by, in this life or in a later one.
    on_clock: AtomicBool,
}

const REFERENCED: u32 = 1;

/// In the length of a record, which is less than this.
const DELTA: u32 = 1 << 31;

impl Slot {
    pub(crate) fn stamp(&self) -> u32 {
        self.state.load(Ordering::Acquire) >> 1
    }

    /// The node, if it is resident.
    pub(crate) fn get(&self) -> Option<NodeRef> {
        NodeRef::new(self.node.load())
    }

    /// Notes a use. A store only when the bit is clear: the line stays shared between readers.
    pub(crate) fn touch(&self) {
        if self.state.load(Ordering::Relaxed) & REFERENCED == 0 {
            self.state.fetch_or(REFERENCED, Ordering::Relaxed);
        }
    }

    /// Forgets that the node was used lately, and says whether it was.
    pub(crate) fn cool(&self) -> bool {
        self.state.load(Ordering::Relaxed) & REFERENCED != 0
            && self.state.fetch_and(!REFERENCED, Ordering::Relaxed) & REFERENCED != 0
    }

    /// Notes whether the clock comes by, and says whether that is news.
    pub(crate) fn set_on_clock(&self, comes_by: bool) -> bool {
        self.on_clock.swap(comes_by, Ordering::SeqCst) != comes_by
    }

    pub(crate) fn lsn(&self) -> Option<Lsn> {
        Lsn::from_raw(self.lsn.load(Ordering::Acquire))
    }

    /// Where the node stands on disk, if it is not resident.
    pub(crate) fn lsn_if_away(&self) -> Option<Lsn> {
        match self.get() {
            Some(_) => None,
            None => self.lsn(),
        }
    }

    /// The node's record, if it was written or read; one whose place alone is known has no length.
    pub(crate) fn stored(&self) -> Option<StoredNode> {
        let lsn = self.lsn()?;
        let len = self.stored_len.load(Ordering::Relaxed) & !DELTA;
        Some(StoredNode { lsn, len, crc: self.stored_crc.load(Ordering::Relaxed) })
    }

    /// Whether the node's record, which was written or read, is a delta.
    pub(crate) fn is_delta(&self) -> bool {
        self.lsn().is_some() && self.stored_len.load(Ordering::Relaxed) & DELTA != 0
    }

    /// Says where the node stands on disk; once in a life.
    pub(crate) fn set_place(&self, lsn: Lsn) {
        self.set_stored(StoredNode { lsn, len: 0, crc: 0 }, false);
    }

    /// Says where the node stands on disk, and what is there.
    pub(crate) fn set_stored(&self, stored: StoredNode, is_delta: bool) {
        let bit = if is_delta { DELTA } else { 0 };
        self.stored_len.store(stored.len & !DELTA | bit, Ordering::Relaxed);
        self.stored_crc.store(stored.crc, Ordering::Relaxed);
        self.lsn.store(stored.lsn.to_raw(), Ordering::Release);
    }

    /// Puts a new node into an empty slot.
    pub(crate) fn publish(&self, node: Arc<Node>, born: u64) {
        self.born.store(born, Ordering::Relaxed);
        self.node.store(Some(node));
    }

    /// Puts a loaded node into the slot unless somebody was faster; returns what is in it then, and
    /// whether it is this one.
    pub(crate) fn install(&self, node: Arc<Node>) -> (NodeRef, bool) {
        let before = self.node.compare_and_swap(&None::<Arc<Node>>, Some(Arc::clone(&node)));
        match NodeRef::new(before) {
            Some(other) => (other, false),
            None => (NodeRef::of(node), true),
        }
    }

    /// Empties the slot if `node` is still what stands in it. The comparison is by address, and
    /// `node` is held, so a slot that was meanwhile given to another node keeps that one.
    pub(crate) fn evict(&self, node: &NodeRef) -> bool {
        let before = self.node.compare_and_swap(&node.0, None);
        before.as_ref().map(Arc::as_ptr) == node.0.as_ref().map(Arc::as_ptr)
    }

    /// Empties the slot.
    pub(crate) fn take(&self) -> Option<Arc<Node>> {
        self.node.swap(None)
    }
}

/// Few: a table is gone through slot by slot when it is dropped, and small environments come and go.
const FIRST_CHUNK: u64 = 64;
/// Enough for every number of 32 bits.
const CHUNKS: usize = 27;

/// A slot, and the entry of a map from its record to it.
const PER_SLOT: usize = size_of::<Slot>() + size_of::<(u64, SlotId)>() + 1;

/// All slots: a table that grows without moving.
#[derive(Debug)]
pub(crate) struct SlotTable {
    chunks: [OnceLock<Box<[Slot]>>; CHUNKS],
    /// Slots that can be used again.
    free: Mutex<Vec<u32>>,
    /// Slots from here on were never used.
    next: AtomicU32,
}

impl SlotTable {
    pub(crate) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::default(),
            next: AtomicU32::new(0),
        }
    }

    /// Chunk and place in it: chunk *k* holds `FIRST_CHUNK << k` slots.
    fn place(index: u32) -> (usize, usize) {
        let n = u64::from(index) + FIRST_CHUNK;
        let chunk = n.ilog2() - FIRST_CHUNK.ilog2();
        let at = n - (FIRST_CHUNK << chunk);
        (chunk as usize, usize::try_from(at).expect("a place in a slice"))
    }

    /// The slot, whatever its life.
    pub(crate) fn at(&self, index: u32) -> Option<&Slot> {
        let (chunk, at) = Self::place(index);
        self.chunks.get(chunk)?.get()?.get(at)
    }

    /// The slot in the life that `id` means.
    pub(crate) fn get(&self, id: SlotId) -> TreeResult<&Slot> {
        self.at(id.index)
            .filter(|slot| slot.stamp() == id.stamp)
            .ok_or(TreeError::Internal { what: "a slot was used after its node had gone" })
    }

    /// How many slots were ever used.
    pub(crate) fn used(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Bytes of memory that the table takes, and the map from records to slots of a forest beside it.
    pub(crate) fn memory(&self) -> usize {
        // Chunk k holds FIRST_CHUNK << k slots, and all of them are there with the first.
        let firsts = u64::from(self.used()).div_ceil(FIRST_CHUNK);
        let slots = FIRST_CHUNK * ((firsts + 1).next_power_of_two() - 1);
        usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(PER_SLOT)
    }

    /// An empty slot.
    pub(crate) fn allocate(&self) -> (SlotId, &Slot) {
        let index = {
            let mut free = lock(&self.free);
            free.pop().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed))
        };
        let (chunk, at) = Self::place(index);
        let slots = self.chunks[chunk].get_or_init(|| {
            let len = usize::try_from(FIRST_CHUNK << chunk).expect("a number of 32 bits fits it");
            std::iter::repeat_with(Slot::default).take(len).collect()
        });
        let slot = &slots[at];
        (SlotId { index, stamp: slot.stamp() }, slot)
    }

    /// Ends the life of a slot: from now on its id is an error. The number is used again only after
    /// [`SlotTable::recycle`].
    pub(crate) fn end_life(slot: &Slot) {
        let stamp = (slot.stamp() + 1) & SlotId::STAMP_MASK;
        slot.stored_len.store(0, Ordering::Relaxed);
        slot.lsn.store(0, Ordering::Relaxed);
        slot.born.store(0, Ordering::Relaxed);
        slot.retired.store(0, Ordering::Relaxed);
        slot.state.store(stamp << 1, Ordering::Release);
    }

    /// Lets the numbers of ended lives be used again.
    pub(crate) fn recycle(&self, indexes: impl IntoIterator<Item = u32>) {
        lock(&self.free).extend(indexes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_where_they_are_and_ids_end() {
        // Three chunks are enough where an interpreter does it.
        const SLOTS: usize = if cfg!(miri) { 300 } else { 5000 };
        let table = SlotTable::new();
        let ids: Vec<SlotId> = (0..SLOTS).map(|_| table.allocate().0).collect();
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(id.index as usize, i);
            table.get(*id).unwrap().set_place(Lsn::from_raw((1 << 29) + i as u64).unwrap());
        }
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(table.get(*id).unwrap().lsn().unwrap().offset(), 8 * i as u64);
        }
        SlotTable::end_life(table.get(ids[7]).unwrap());
        assert!(table.get(ids[7]).is_err());
        table.recycle([7]);
        let (again, slot) = table.allocate();
        assert_eq!((again.index, again.stamp, slot.lsn()), (7, 1, None));
        assert!(table.get(ids[7]).is_err(), "the old id stays an error");
        assert!(table.at(1_000_000).is_none());
        let (chunk, at) = SlotTable::place(u32::MAX);
        assert!(chunk < CHUNKS && (at as u64) < FIRST_CHUNK << chunk);
    }
}
