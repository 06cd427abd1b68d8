//! `Forest`: the nodes that all versions of all trees share: loading, keeping, evicting.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    sync::Arc,
};

use cairn_log::{
    FileNumber, Lsn, RecordKind,
    shared::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    LoadError, NodeSource, Tally, TreeError, TreeId, TreeResult,
    child::{Child, SlotId},
    clock::Clock,
    delta::{self, Delta, Loaded},
    generation::{Generations, Gone},
    image::Fences,
    memory::User,
    node::Node,
    slot::{NodeRef, Slot, SlotTable},
    sync::lock,
};

/// Sizes that shape the trees of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "options with a default, for struct update syntax")]
pub struct ForestOptions {
    /// Bytes of memory for nodes, and for the tables that say where they are. Inner nodes are not evicted: about 1 % of the
    /// data must fit beside the leaves that are in use, and as much for the tables.
    pub cache_bytes: usize,
    /// A leaf above this many bytes is split.
    pub leaf_bytes: usize,
    /// A branch above this many bytes is split.
    pub branch_bytes: usize,
    /// A branch with more separators is split.
    pub branch_entries: usize,
    /// Whether nodes lie on huge pages, where the system has them.
    pub huge_pages: bool,
}

impl Default for ForestOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            leaf_bytes: 8 << 10,
            branch_bytes: 4 << 10,
            branch_entries: 128,
            huge_pages: false,
        }
    }
}

/// Positions are numbers already: multiplied, so that the upper bits depend on all of them.
#[derive(Default)]
struct LsnHasher(u64);

impl Hasher for LsnHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(32) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type LsnMap = HashMap<u64, SlotId, BuildHasherDefault<LsnHasher>>;

/// How full the memory for nodes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheState {
    /// Bytes of all resident nodes.
    pub resident: usize,
    /// Bytes of those that are not on disk yet.
    pub dirty: usize,
    /// Bytes of the nodes that writers own, which are neither resident nor dirty yet.
    pub private: usize,
    /// Bytes of the tables that say where nodes are.
    pub tables: usize,
    /// The budget for all of that.
    pub budget: usize,
    /// Superseded nodes that a frozen root keeps in memory.
    pub blocked: usize,
}

impl CacheState {
    /// Bytes of memory in use beyond the budget. The tables take at most half of it away from the nodes.
    #[must_use]
    pub fn excess(&self) -> usize {
        let tables = self.tables.min(self.budget / 2);
        (self.resident + self.private + tables).saturating_sub(self.budget)
    }
}

/// The nodes of all trees, in all versions.
///
/// A forest is shared by one [`TreeWriter`](crate::TreeWriter) and any number of
/// [`FrozenRoot`](crate::FrozenRoot)s.
#[derive(Debug)]
pub struct Forest {
    pub(crate) options: ForestOptions,
    pub(crate) source: Arc<dyn NodeSource>,
    pub(crate) slots: SlotTable,
    pub(crate) generations: Generations,
    /// The slot of each record that was loaded, so that no record is in memory twice.
    by_lsn: [Mutex<LsnMap>; 16],
    resident: AtomicUsize,
    dirty: AtomicUsize,
    /// Bytes of the nodes that writers own.
    private: AtomicUsize,
    clock: Clock,
    _memory: User,
}

/// Where a node was referred to: what it must look like.
#[derive(Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// The root of the catalogue.
    Root,
    /// A node that was checked before: it comes back from the place it was checked at.
    Known,
    /// Child `i` of this node.
    Child(&'a Node, usize),
}

const NOWHERE: TreeError = TreeError::Internal { what: "a node is neither in memory nor on disk" };

impl Forest {
    /// A forest whose nodes live in `source`.
    #[must_use]
    pub fn new(source: Arc<dyn NodeSource>, options: ForestOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            source,
            slots: SlotTable::new(),
            generations: Generations::default(),
            by_lsn: Default::default(),
            resident: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            private: AtomicUsize::new(0),
            clock: Clock::default(),
            _memory: User::new(options.huge_pages),
        })
    }

    /// The sizes that shape its trees.
    #[must_use]
    pub const fn options(&self) -> &ForestOptions {
        &self.options
    }

    /// How full the memory for nodes is.
    #[must_use]
    pub fn cache(&self) -> CacheState {
        CacheState { blocked: self.generations.blocked(), ..self.memory() }
    }

    /// As [`Forest::cache`], without the superseded nodes, and without a lock.
    fn memory(&self) -> CacheState {
        CacheState {
            resident: self.resident.load(Ordering::Relaxed),
            dirty: self.dirty.load(Ordering::Relaxed),
            private: self.private.load(Ordering::Relaxed),
            tables: self.slots.memory() + self.generations.memory(),
            budget: self.options.cache_bytes,
            blocked: 0,
        }
    }

    /// Bytes of memory in use beyond the budget: [`CacheState::excess`] of [`Forest::cache`], for asking often.
    #[must_use]
    pub fn excess(&self) -> usize {
        self.memory().excess()
    }

    pub(crate) fn note_private(&self, more: usize, less: usize) {
        self.private.fetch_add(more.wrapping_sub(less), Ordering::Relaxed);
    }

    /// Bytes of nodes in memory, apart from those that the writer owns.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Bytes of nodes that are not on disk yet, apart from those that the writer still owns.
    #[must_use]
    pub fn dirty(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// The gen of the oldest frozen root that is alive and not older than gen `from`.
    #[must_use]
    pub fn oldest_active(&self, from: u64) -> Option<u64> {
        self.generations.oldest_active(from)
    }

    /// The frozen roots that are alive and older than gen `before`, oldest first: each with its gen
    /// and the newest commit in it.
    #[must_use]
    pub fn active_before(&self, before: u64) -> Vec<(u64, u64)> {
        self.generations.active_before(before)
    }

    /// Takes out the changes of reachable bytes per file up to and including gen `cut`.
    #[must_use]
    pub fn settle(&self, cut: u64) -> Vec<Tally> {
        self.generations.settle(cut)
    }

    /// What [`Forest::settle`] would take out.
    #[must_use]
    pub fn pending(&self, cut: u64) -> Vec<Tally> {
        self.generations.pending(cut)
    }

    /// Puts back what [`Forest::settle`] took out, for a checkpoint that failed.
    pub fn unsettle(&self, tallies: Vec<Tally>) {
        self.generations.unsettle(tallies);
    }

    /// Files with records that a version after the last [settled](Forest::settle) one can reach.
    #[must_use]
    pub fn unsettled(&self) -> BTreeSet<FileNumber> {
        self.generations.unsettled()
    }

    fn shard(&self, lsn: Lsn) -> &Mutex<LsnMap> {
        let mut hasher = LsnHasher::default();
        hasher.write_u64(lsn.to_raw());
        &self.by_lsn[(hasher.finish() >> 60) as usize]
    }

    /// The slot of the record at `lsn`.
    fn slot_of(&self, lsn: Lsn) -> SlotId {
        *lock(self.shard(lsn)).entry(lsn.to_raw()).or_insert_with(|| {
            let (id, slot) = self.slots.allocate();
            slot.set_place(lsn);
            id
        })
    }

    /// Loads the root of the catalogue at `lsn`, and gives it a slot.
    pub(crate) fn adopt(&self, lsn: Lsn) -> TreeResult<Child> {
        let id = self.slot_of(lsn);
        self.load_slot(id, Expected::Root, true)?;
        Ok(Child::Slot(id))
    }

    /// The root of the catalogue.
    pub(crate) fn load_root(&self, root: Child) -> TreeResult<NodeRef> {
        match root {
            Child::Slot(id) => self.load_slot(id, Expected::Root, true),
            Child::Disk(lsn) => self.load_slot(self.slot_of(lsn), Expected::Root, true),
            Child::Empty | Child::Private(_) => {
                Err(TreeError::Internal { what: "no frozen node stands behind this root" })
            }
        }
    }

    /// The root of a tree, whose identity was checked through the catalogue.
    pub(crate) fn load_tree(&self, root: Child) -> TreeResult<NodeRef> {
        match root {
            Child::Slot(id) => self.load_slot(id, Expected::Known, true),
            Child::Disk(_) | Child::Empty | Child::Private(_) => Err(TreeError::Internal {
                what: "the root of a tree has a slot once it was checked",
            }),
        }
    }

    /// Child `i` of `parent`. `touch` keeps it in memory longer: scans do not.
    pub(crate) fn load_child(&self, parent: &Node, i: usize, touch: bool) -> TreeResult<NodeRef> {
        match parent.child(i) {
            Child::Slot(id) => self.load_slot(id, Expected::Child(parent, i), touch),
            Child::Disk(lsn) => {
                let id = self.slot_of(lsn);
                let node = self.load_slot(id, Expected::Child(parent, i), touch)?;
                parent.remember(i, Child::Slot(id));
                Ok(node)
            }
            Child::Empty | Child::Private(_) => {
                Err(TreeError::Internal { what: "no frozen node stands behind this child" })
            }
        }
    }

    /// Touches what [`load_child`](Self::load_child) is going to need of a child.
    pub(crate) fn approach(&self, child: Child) {
        if let Child::Slot(id) = child
            && let Some(slot) = self.slots.at(id.index)
        {
            black_box(slot.stamp());
        }
    }

    fn load_slot(&self, id: SlotId, expected: Expected<'_>, touch: bool) -> TreeResult<NodeRef> {
        let slot = self.slots.get(id)?;
        if touch {
            slot.touch();
        }
        match slot.get() {
            Some(node) => Ok(node),
            None => self.fault(id, expected),
        }
    }

    /// Says which of these children of `parent`, leaves that are not in memory, are going to be read.
    pub(crate) fn expect_leaves(&self, parent: &Node, children: impl Iterator<Item = usize>) {
        for i in children {
            let lsn = match parent.child(i) {
                Child::Disk(lsn) => Some(lsn),
                Child::Slot(id) => self.slots.get(id).ok().and_then(Slot::lsn_if_away),
                Child::Empty | Child::Private(_) => None,
            };
            if let Some(lsn) = lsn {
                self.source.expect(lsn, self.options.leaf_bytes);
            }
        }
    }

    /// Child `i` of `parent`, for who looks at it once and goes on: one that is not in memory is read, and not kept.
    pub(crate) fn load_once(&self, parent: &Node, i: usize) -> TreeResult<NodeRef> {
        let lsn = match parent.child(i) {
            Child::Slot(id) => {
                let slot = self.slots.get(id)?;
                if let Some(node) = slot.get() {
                    return Ok(node);
                }
                slot.lsn().ok_or(NOWHERE)?
            }
            Child::Disk(lsn) => lsn,
            Child::Empty | Child::Private(_) => return self.load_child(parent, i, false), // an error
        };
        let loaded = self.read(lsn, Expected::Child(parent, i))?;
        Ok(NodeRef::of(Arc::new(loaded.node)))
    }

    /// Reads a node, and checks that it is the one that was meant.
    fn read(&self, lsn: Lsn, expected: Expected<'_>) -> TreeResult<Loaded> {
        let loaded =
            delta::load(lsn, |lsn| self.source.read(lsn)).map_err(|error| match error {
                LoadError::Read(error) => error,
                LoadError::Damaged { lsn, damage } => self.source.damaged(lsn, damage),
            })?;
        check_identity(lsn, &loaded.node, expected)?;
        Ok(loaded)
    }

    /// The base of the leaf whose record stands at `lsn`, if that can be read and is a delta.
    pub(crate) fn base_at(&self, lsn: Lsn) -> Option<Lsn> {
        let record = self.source.read(lsn).ok()?;
        let is_delta = record.kind == RecordKind::LEAF_DELTA;
        is_delta.then(|| Some(Delta::load(record.sequence, record.body).ok()?.base)).flatten()
    }

    /// The frozen node in a slot, of which only the writer knows from now on that it is current, for the writer to change: the
    /// node itself if no version has it, else a copy.
    pub(crate) fn own(&self, id: SlotId, node: NodeRef) -> TreeResult<Node> {
        let slot = self.slots.get(id)?;
        let is_held = self.generations.has_current(slot.born.load(Ordering::Relaxed));
        let mut own = if is_held || !slot.evict(&node) {
            node.to_private()
        } else {
            match Arc::try_unwrap(node.into_arc()) {
                Ok(node) => {
                    let bytes = node.memory();
                    self.resident.fetch_sub(bytes, Ordering::Relaxed);
                    // Who writes it holds it, so this does not change meanwhile.
                    if slot.lsn().is_none() {
                        self.note_clean(bytes);
                    }
                    node
                }
                // Upkeep looks at it.
                Err(shared) => {
                    let copy = shared.to_private();
                    slot.install(shared);
                    copy
                }
            }
        };
        if own.is_leaf() && !own.is_catalog_leaf() {
            renew_base(&mut own, slot);
        }
        Ok(own)
    }

    /// Reads a node that is not resident.
    #[cold]
    fn fault(&self, id: SlotId, expected: Expected<'_>) -> TreeResult<NodeRef> {
        let slot = self.slots.get(id)?;
        let lsn = slot.lsn().ok_or(NOWHERE)?;
        let Loaded { node, stored, base } = self.read(lsn, expected)?;
        self.generations.read((id, slot), stored, base);
        let bytes = node.memory();
        let (node, installed) = slot.install(Arc::new(node));
        if installed {
            self.resident.fetch_add(bytes, Ordering::Relaxed);
            if node.may_be_evicted() {
                self.clock.enter(id.index, slot);
            }
            self.make_room();
        }
        Ok(node)
    }

    /// Whether all nodes from `place` to the leaf of `key` are in memory.
    pub(crate) fn is_path_resident(&self, mut place: Child, key: &[u8]) -> TreeResult<bool> {
        loop {
            let node = match place {
                Child::Empty => return Ok(true),
                Child::Slot(id) => self.slots.get(id)?.get(),
                Child::Disk(_) | Child::Private(_) => None,
            };
            let Some(node) = node else { return Ok(false) };
            if node.is_leaf() {
                return Ok(true);
            }
            place = node.child(node.image.child_index(key));
            if node.level() == 1 {
                return Ok(self.is_resident(place)); // without touching the leaf itself
            }
        }
    }

    /// A node that is used, if it is in memory.
    pub(crate) fn resident(&self, id: SlotId) -> TreeResult<Option<NodeRef>> {
        let slot = self.slots.get(id)?;
        slot.touch();
        Ok(slot.get())
    }

    /// Whether child `i` is in memory already.
    pub(crate) fn is_resident(&self, child: Child) -> bool {
        match child {
            Child::Slot(id) => self.slots.get(id).is_ok_and(|slot| slot.get().is_some()),
            Child::Private(_) => true,
            Child::Empty | Child::Disk(_) => false,
        }
    }

    /// Gives a node that was just frozen its slot.
    pub(crate) fn publish(&self, id: SlotId, node: Node, born: u64) -> TreeResult<()> {
        let (bytes, may_be_evicted) = (node.memory(), node.may_be_evicted());
        let slot = self.slots.get(id)?;
        slot.publish(Arc::new(node), born);
        slot.touch();
        if may_be_evicted {
            self.clock.enter(id.index, slot);
        }
        self.resident.fetch_add(bytes, Ordering::Relaxed);
        self.dirty.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Nodes that were superseded before they were written need not be written for the newest
    /// version any more.
    pub(crate) fn note_clean(&self, bytes: usize) {
        self.dirty.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Forgets nodes that nobody can reach any more, and lets their slots be used again.
    pub(crate) fn release(&self, gone: Vec<Gone>) {
        if gone.is_empty() {
            return;
        }
        for Gone { index, node, lsn } in &gone {
            if let Some(lsn) = lsn {
                let mut map = lock(self.shard(*lsn));
                if map.get(&lsn.to_raw()).is_some_and(|id| id.index == *index) {
                    map.remove(&lsn.to_raw());
                }
            }
            if let Some(node) = node {
                self.resident.fetch_sub(node.memory(), Ordering::Relaxed);
            }
        }
        self.slots.recycle(gone.iter().map(|gone| gone.index));
    }

    /// Writes a frozen node whose children are all on disk, unless it is there already: a leaf of which little has changed as a
    /// delta.
    pub(crate) fn write(&self, id: SlotId, node: &Node) -> TreeResult<()> {
        let place = |child| match child {
            Child::Empty => Ok(None),
            Child::Disk(lsn) => Ok(Some(lsn)),
            Child::Slot(id) => match self.slots.get(id)?.lsn() {
                Some(lsn) => Ok(Some(lsn)),
                None => Err(TreeError::Internal { what: "a node was written before its child" }),
            },
            Child::Private(_) => {
                Err(TreeError::Internal { what: "a frozen node refers to one that is not" })
            }
        };
        let (kind, body, base) = match node.delta() {
            Some((body, base)) => (RecordKind::LEAF_DELTA, body, Some(base)),
            None => (node.kind(), node.store(place)?, None),
        };
        let stored = self.source.write(kind, node.sequence, body)?;
        if self.generations.written(&self.slots, id, stored, base) {
            self.dirty.fetch_sub(node.memory(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Evicts clean leaves until the budget holds, or gives up after a bounded search. Called when
    /// nodes come in; cheap while there is room.
    pub(crate) fn make_room(&self) {
        const STEPS: usize = 64;
        /// After so many leaves in a row that have to stay, most are dirty or in use: that is for who writes them back.
        const IN_VAIN: usize = 8;
        if self.excess() > 0 {
            self.sweep(STEPS, IN_VAIN, &mut |_, _| Ok(true)).unwrap_or_default();
        }
    }

    /// Writes and evicts leaves that were not used lately until the budget holds, or `max_writes` of them were written, or
    /// each was looked at twice. Returns how many were written.
    ///
    /// # Errors
    /// If a node cannot be written. It stays in memory.
    pub fn write_back(&self, max_writes: usize) -> TreeResult<usize> {
        let mut written = 0;
        let steps = 2 * self.clock.len();
        self.sweep(steps, steps, &mut |id, node| {
            self.write(id, node)?;
            written += 1;
            Ok(written < max_writes)
        })?;
        Ok(written)
    }

    /// Moves the hand of the clock over at most `steps` leaves, `in_vain` of them in a row: what was used since the last turn
    /// stays, others go. `dirty` may write a leaf that is not on disk, so that it can go too, and says whether to go
    /// on.
    fn sweep(
        &self,
        steps: usize,
        in_vain: usize,
        dirty: &mut dyn FnMut(SlotId, &Node) -> TreeResult<bool>,
    ) -> TreeResult<()> {
        let mut stayed = 0;
        for _ in 0..steps {
            if self.excess() == 0 || stayed == in_vain {
                break;
            }
            stayed += 1;
            let Some(index) = self.clock.next() else { break };
            let Some(slot) = self.slots.at(index) else { continue };
            let id = SlotId { index, stamp: slot.stamp() };
            let Some(node) = slot.get().filter(|node| node.may_be_evicted()) else {
                self.clock.leave(index, slot);
                continue;
            };
            if slot.cool() {
                self.clock.put_back(index);
                continue;
            }
            let written = if slot.lsn().is_some() { Ok(true) } else { dirty(id, &node) };
            if slot.lsn().is_some() && slot.evict(&node) {
                self.resident.fetch_sub(node.memory(), Ordering::Relaxed);
                self.clock.leave(index, slot);
                stayed = 0;
            } else {
                self.clock.put_back(index);
            }
            if !written? {
                break;
            }
        }
        Ok(())
    }
}

/// Gives a leaf that the writer may change from now on the base that its next delta may have; `slot` is where it was frozen.
fn renew_base(leaf: &mut Node, slot: &Slot) {
    // Whether it was written by now or will be later: as a delta of this base, like those that it was itself read from.
    if leaf.is_delta() || slot.is_delta() {
        return;
    }
    match slot.stored().filter(|stored| stored.len > 0) {
        Some(whole) => leaf.set_base(whole),
        None => leaf.forget_base(),
    }
}

/// Checks that a loaded node is the one that was meant, as far as its parent can tell.
fn check_identity(lsn: Lsn, node: &Node, expected: Expected<'_>) -> TreeResult<()> {
    let wrong = |what| Err(TreeError::Structure { lsn, what });
    let image = &node.image;
    let whole = |fences: Fences<'_>| fences.lower.is_empty() && fences.upper.is_none();
    let (parent, i) = match expected {
        Expected::Root => {
            let catalog = image.tree() == 0 && (node.is_catalog_leaf() || !node.is_leaf());
            return if catalog && whole(image.fences()) {
                Ok(())
            } else {
                wrong("not the catalogue")
            };
        }
        Expected::Known => return Ok(()),
        Expected::Child(parent, i) => (parent, i),
    };
    if parent.is_catalog_leaf() {
        let tree = crate::catalog::tree_of_key(&parent.image.key(i));
        if tree.map(TreeId::in_nodes) != Some(image.tree()) || node.is_catalog_leaf() {
            return wrong("it belongs to another tree");
        }
        return if whole(image.fences()) {
            Ok(())
        } else {
            wrong("it is not the root of its tree")
        };
    }
    if image.tree() != parent.image.tree() {
        return wrong("it belongs to another tree");
    }
    if u16::from(image.level()) + 1 != u16::from(parent.level()) {
        return wrong("it is of another level");
    }
    if node.is_leaf() && (image.tree() == 0) != node.is_catalog_leaf() {
        return wrong("it is of another kind");
    }
    let (mut low, mut high) = (Vec::new(), Vec::new());
    let wanted = parent.child_fences(i, &mut low, &mut high);
    let found = image.fences();
    if (wanted.lower, wanted.upper) != (found.lower, found.upper) {
        return wrong("it holds another range of keys");
    }
    Ok(())
}
