//! `NodeBytes`: the bytes of a node in memory, on huge pages if a forest asks for that.
//!
//! A point read of a tree that is larger than the processor's caches mostly waits for the page table: each node lies on a
//! page of its own, and the processor knows a few thousand of them. Huge pages come from the system 2 MiB at a time; they are
//! cut into blocks of one of a few sizes (slabs: Bonwick, 1994), and a block that is not needed any more is the next
//! node's. They go back to the system when the last forest that asked for them is gone: so the memory of a size that
//! nobody needs any more stays with it until then.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_log::{HUGE_PAGE, on_huge_pages};

/// Sizes of blocks are multiples of this.
const STEP: usize = 512;
/// What is longer lies where the allocator puts it.
const SIZES: usize = 32;
/// Huge pages that are asked for at once.
const PAGES: usize = if cfg!(miri) { 1 } else { 16 };

static POOL: Pool = Pool {
    users: AtomicUsize::new(0),
    free: [const { Mutex::new(Vec::new()) }; SIZES],
    pages: Mutex::new(Vec::new()),
};

/// Blocks that nobody uses.
struct Pool {
    /// How many forests ask for huge pages.
    users: AtomicUsize,
    /// By size.
    free: [Mutex<Vec<Block>>; SIZES],
    /// Huge pages that were not cut yet.
    pages: Mutex<Vec<Block>>,
}

type Block = bytes::BytesMut;

fn lock(blocks: &Mutex<Vec<Block>>) -> MutexGuard<'_, Vec<Block>> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn is_used(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 0
    }

    /// A block for so many bytes, with whatever is in it; `None` if they are too many.
    fn take(&self, len: usize) -> Option<Block> {
        let size = len.div_ceil(STEP);
        let mut free = lock(self.free.get(size.checked_sub(1)?)?);
        if free.is_empty() {
            let mut page = self.page();
            while page.len() >= size * STEP {
                free.push(page.split_to(size * STEP));
            }
        }
        free.pop()
    }

    /// A huge page.
    fn page(&self) -> Block {
        let mut pages = lock(&self.pages);
        if pages.is_empty() {
            let mut more = on_huge_pages(PAGES);
            while !more.is_empty() {
                pages.push(more.split_to(HUGE_PAGE));
            }
            pages.reverse(); // the first one first: those behind it may never be needed
        }
        pages.pop().unwrap_or_default()
    }

    fn give_back(&self, block: Block) {
        if !self.is_used() {
            return;
        }
        if let Some(free) =
            (block.capacity() / STEP).checked_sub(1).and_then(|at| self.free.get(at))
        {
            lock(free).push(block);
        }
    }
}

/// A forest that asks for huge pages, as long as it is there.
#[derive(Debug)]
pub(crate) struct HugePages(());

impl HugePages {
    pub(crate) fn ask() -> Self {
        POOL.users.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if POOL.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            POOL.free
                .iter()
                .chain([&POOL.pages])
                .for_each(|blocks| drop(mem::take(&mut *lock(blocks))));
        }
    }
}

/// Bytes of a node.
#[derive(Debug)]
pub(crate) struct NodeBytes {
    bytes: Block,
    /// Whether it is a block of the pool.
    is_pooled: bool,
}

impl NodeBytes {
    /// Zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        match POOL.is_used().then(|| POOL.take(len)).flatten() {
            Some(mut bytes) => {
                bytes.clear();
                bytes.resize(len, 0);
                Self { bytes, is_pooled: true }
            }
            None => Self { bytes: Block::zeroed(len), is_pooled: false },
        }
    }

    /// Bytes that were read.
    pub(crate) fn of(read: Vec<u8>) -> Self {
        if let Some(mut bytes) = POOL.is_used().then(|| POOL.take(read.len())).flatten() {
            bytes.clear();
            bytes.extend_from_slice(&read);
            return Self { bytes, is_pooled: true };
        }
        Self { bytes: Block::from(bytes::Bytes::from(read)), is_pooled: false }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn allocated(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Deref for NodeBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for NodeBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Clone for NodeBytes {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Drop for NodeBytes {
    fn drop(&mut self) {
        if self.is_pooled {
            POOL.give_back(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The n-th node's bytes, all of which are its number.
    fn node(n: usize) -> NodeBytes {
        let mut bytes = NodeBytes::zeroed(n * 37 % 9000);
        assert!(bytes.iter().all(|byte| *byte == 0), "node {n} of {} bytes", bytes.len());
        bytes.fill(number(n));
        bytes
    }

    fn number(n: usize) -> u8 {
        u8::try_from(n % 251 + 1).unwrap()
    }

    #[test]
    fn each_node_has_bytes_of_its_own_and_what_is_given_back_is_zeros_again() {
        let count = if cfg!(miri) { 40 } else { 2000 };
        let asked = HugePages::ask();
        let mut nodes: Vec<_> = (0..count).map(|n| Some(node(n))).collect();
        for round in 1..4 {
            for at in (round..count).step_by(round + 1) {
                nodes[at] = None;
                nodes[at] = Some(if round == 2 {
                    NodeBytes::of(vec![number(at); at * 37 % 9000])
                } else {
                    node(at)
                });
            }
            for (n, node) in nodes.iter().enumerate() {
                let node = node.as_ref().unwrap();
                assert!(node.iter().all(|byte| *byte == number(n)), "node {n} in round {round}");
                assert!(node.allocated() >= node.len() && node.allocated() < node.len() + STEP);
            }
        }
        // What is still there when nobody asks any more stays what it is.
        drop(asked);
        let copy = nodes[count - 1].clone().unwrap();
        assert!(!nodes[7].as_ref().unwrap().is_empty() && copy[0] == number(count - 1));
        let large = NodeBytes::zeroed(SIZES * STEP + 1);
        assert!(!large.is_pooled && large.len() == SIZES * STEP + 1);
    }
}
