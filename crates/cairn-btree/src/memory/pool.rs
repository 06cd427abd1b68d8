//! `Pool`: memory for the nodes of all forests of the process, in blocks of a few sizes.
//!
//! Blocks of one size come out of slabs (Bonwick, 1994): when one is needed it is taken from the slab that lies lowest, so
//! that others run empty; a slab none of whose blocks is in use may be cut into another size, and those of which there is
//! plenty go back to the system. The general allocator keeps a third to a half more than is in use under nodes that come
//! and go on several threads (measured with glibc), and so no budget.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::BytesMut;
use cairn_log::{HUGE_PAGE, give_pages_back, lend_pages};

/// The sizes of blocks: up to so many bytes, so many bytes from one to the next. What is longer than the last lies where the
/// allocator puts it.
const TIERS: [(usize, usize); 4] = [(1 << 10, 64), (2 << 10, 128), (4 << 10, 256), (16 << 10, 512)];
/// How many sizes that is.
const SIZES: usize = 16 + 8 + 8 + 24;
/// Bytes of a slab: a whole number of pages of any system, and several of the largest blocks.
const SLAB: usize = 64 << 10;
/// Memory that is asked for at once, at first: small environments come and go.
const FIRST: usize = 1 << 20;
/// … and at most: as much as there is already, up to this.
const MOST: usize = 32 << 20;
/// Slabs that nobody uses and that are kept all the same.
const KEPT: usize = 64;

/// One for the process: what one forest gives back is the next one's.
pub(super) static POOL: Pool = Pool::new();

pub(super) struct Pool {
    /// How many forests there are.
    users: AtomicUsize,
    /// How many of them ask for huge pages.
    huge: AtomicUsize,
    /// By size: the blocks that nobody uses, by the address of their slab.
    sizes: [Mutex<BTreeMap<usize, Vec<BytesMut>>>; SIZES],
    slabs: Mutex<Slabs>,
}

/// Slabs of which no block is in use.
struct Slabs {
    kept: Vec<BytesMut>,
    /// Those whose memory the system has, or has not given yet.
    given_back: Vec<BytesMut>,
    /// Bytes of all slabs that there are.
    lent: usize,
}

/// A block of the pool; its length is what was asked for.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: BytesMut,
    /// The address of its slab.
    slab: usize,
}

impl Block {
    /// One that is of no slab.
    pub(super) const fn apart(bytes: BytesMut) -> Self {
        Self { bytes, slab: 0 }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A size of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Its place among the sizes.
    at: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// The smallest that has room for so many bytes; `None` for none, and for too many.
    pub(super) fn of(len: usize) -> Option<Self> {
        let (mut at, mut below) = (0, 0);
        for (end, step) in TIERS {
            if len <= end {
                let steps = (len - below).div_ceil(step);
                return Some(Self {
                    at: (at + steps).checked_sub(1)?,
                    bytes: below + steps * step,
                });
            }
            at += (end - below) / step;
            below = end;
        }
        None
    }

    /// Blocks that a slab is cut into.
    const fn blocks(self) -> usize {
        SLAB / self.bytes
    }
}

/// The blocks of a slab, the lowest last; the last one has what is left over.
fn cut(mut slab: BytesMut, size: Size) -> Vec<BytesMut> {
    let mut blocks: Vec<_> = (1..size.blocks()).map(|_| slab.split_to(size.bytes)).collect();
    blocks.push(slab);
    blocks.reverse();
    blocks
}

impl Pool {
    const fn new() -> Self {
        Self {
            users: AtomicUsize::new(0),
            huge: AtomicUsize::new(0),
            sizes: [const { Mutex::new(BTreeMap::new()) }; SIZES],
            slabs: Mutex::new(Slabs { kept: Vec::new(), given_back: Vec::new(), lent: 0 }),
        }
    }

    /// A block for `len` bytes, of that length, with whatever is in it. `None` if they are too many, or if there is no forest.
    pub(super) fn take(&self, len: usize) -> Option<Block> {
        if self.users.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let size = Size::of(len)?;
        let mut free = lock(&self.sizes[size.at]);
        if free.is_empty() {
            let slab = self.slab();
            free.insert(slab.as_ptr().addr(), cut(slab, size));
        }
        let mut lowest = free.first_entry()?;
        let slab = *lowest.key();
        let bytes = lowest.get_mut().pop();
        if lowest.get().is_empty() {
            lowest.remove();
        }
        let mut bytes = bytes?;
        bytes.truncate(len);
        Some(Block { bytes, slab })
    }

    /// Takes a block back.
    pub(super) fn give_back(&self, Block { mut bytes, slab }: Block) {
        let size = Size::of(bytes.len());
        let (Some(size), 1..) = (size, self.users.load(Ordering::Relaxed)) else { return };
        bytes.resize(bytes.capacity(), 0);
        let mut free = lock(&self.sizes[size.at]);
        let blocks = free.entry(slab).or_default();
        blocks.push(bytes);
        // The last one stays as it is: it is what the next node needs.
        if blocks.len() == size.blocks() && free.len() > 1 {
            let blocks = free.remove(&slab).unwrap_or_default();
            drop(free);
            self.retire(blocks);
        }
    }

    fn slab(&self) -> BytesMut {
        let mut slabs = lock(&self.slabs);
        if let Some(slab) = slabs.kept.pop() {
            return slab;
        }
        if slabs.given_back.is_empty() {
            let is_huge = self.huge.load(Ordering::Relaxed) > 0;
            let least = if is_huge { HUGE_PAGE } else { FIRST };
            let len = slabs.lent.next_multiple_of(HUGE_PAGE).clamp(least, MOST);
            slabs.lent += len;
            let mut more = lend_pages(len, is_huge);
            slabs.given_back.extend((0..len / SLAB).map(|_| more.split_to(SLAB)));
            slabs.given_back.reverse(); // the first one first: those behind it may never be needed
        }
        slabs.given_back.pop().unwrap_or_default()
    }

    /// Puts a slab together again.
    fn retire(&self, mut blocks: Vec<BytesMut>) {
        blocks.sort_unstable_by_key(|block| block.as_ptr().addr());
        let mut slab = BytesMut::new();
        for block in blocks {
            slab.unsplit(block); // no copy: they lie side by side, in one allocation
        }
        let is_huge = self.huge.load(Ordering::Relaxed) > 0;
        let mut slabs = lock(&self.slabs);
        if is_huge || slabs.kept.len() < KEPT {
            slabs.kept.push(slab);
        } else {
            drop(slabs);
            give_pages_back(&mut slab);
            lock(&self.slabs).given_back.push(slab);
        }
    }
}

/// A forest that takes the memory for its nodes from the pool, as long as it is there. With the last one, everything that
/// is not in use goes back to the system.
#[derive(Debug)]
pub(crate) struct User {
    is_huge: bool,
}

impl User {
    /// One that asks for huge pages, or does not: what comes from the system then is for whoever needs it first.
    pub(crate) fn new(is_huge: bool) -> Self {
        POOL.users.fetch_add(1, Ordering::Relaxed);
        POOL.huge.fetch_add(usize::from(is_huge), Ordering::Relaxed);
        Self { is_huge }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        POOL.huge.fetch_sub(usize::from(self.is_huge), Ordering::Relaxed);
        if POOL.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            POOL.sizes.iter().for_each(|free| drop(mem::take(&mut *lock(free))));
            let mut slabs = lock(&POOL.slabs);
            *slabs = Slabs { kept: Vec::new(), given_back: Vec::new(), lent: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_without_a_block_in_use_can_be_cut_into_another_size() {
        let pool = Pool::new();
        assert!(pool.take(100).is_none(), "nobody has asked");
        pool.users.store(1, Ordering::Relaxed);
        let len = (16 << 10) - 7;
        let size = Size::of(len).unwrap();
        assert_eq!(size, Size { at: SIZES - 1, bytes: 16 << 10 });
        let blocks: Vec<_> = (0..3 * size.blocks())
            .map(|_| {
                let mut block = pool.take(len).unwrap();
                assert_eq!(block.bytes.len(), len);
                block.bytes.fill(7);
                block
            })
            .collect();
        assert!(lock(&pool.sizes[size.at]).is_empty());
        blocks.into_iter().for_each(|block| pool.give_back(block));
        let free = lock(&pool.sizes[size.at]);
        assert_eq!(free.len(), 1, "one of them stays for the next node");
        assert!(free.values().all(|blocks| blocks.len() == size.blocks()));
        let slabs = lock(&pool.slabs);
        assert!(slabs.kept.len() == 2 && slabs.kept.iter().all(|slab| slab.len() == SLAB));
        drop((free, slabs));
        assert_eq!(pool.take(1).unwrap().bytes.len(), 1);
        assert_eq!(lock(&pool.slabs).kept.len(), 1);
        assert!(pool.take(0).is_none() && pool.take((16 << 10) + 1).is_none());
    }

    #[test]
    fn what_is_in_use_lies_together_and_the_rest_goes_back() {
        let pool = Pool::new();
        pool.users.store(1, Ordering::Relaxed);
        let size = Size::of(500).unwrap();
        let count = (KEPT + 8) * size.blocks();
        let mut blocks: Vec<_> = (0..count).filter_map(|_| pool.take(500)).collect();
        blocks.sort_by_key(|block| block.slab);
        let rest = blocks.split_off(size.blocks());
        rest.into_iter().for_each(|block| pool.give_back(block));
        let slabs = lock(&pool.slabs);
        assert_eq!(slabs.kept.len(), KEPT);
        assert!(slabs.given_back.len() >= 6);
    }

    #[test]
    fn slabs_come_together_whatever_the_size_and_the_order() {
        let mut before = None;
        for len in 1..=16 << 10 {
            let size = Size::of(len).unwrap();
            assert!(
                size.bytes >= len && (len <= 64 || size.bytes - len < len.max(512) / 8),
                "{len}"
            );
            if before == Some(size) {
                continue;
            }
            assert_eq!(size.at, before.map_or(0, |before: Size| before.at + 1));
            before = Some(size);
            let slab = lend_pages(SLAB, false);
            let mut blocks = cut(slab, size);
            assert_eq!(blocks.len(), size.blocks());
            assert!(blocks.iter().all(|block| block.len() >= size.bytes));
            blocks.rotate_left(len % size.blocks());
            blocks.sort_unstable_by_key(|block| block.as_ptr().addr());
            let whole = blocks.into_iter().fold(BytesMut::new(), |mut whole, block| {
                let first = if whole.is_empty() { block.as_ptr() } else { whole.as_ptr() };
                whole.unsplit(block);
                assert_eq!(whole.as_ptr(), first, "it was copied");
                whole
            });
            assert_eq!(whole.len(), SLAB);
        }
        assert_eq!(before.map(|size| size.at + 1), Some(SIZES));
    }
}
