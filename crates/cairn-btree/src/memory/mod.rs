//! `NodeBytes`: the bytes of a node in memory.
//!
//! A point read of a tree that is larger than the processor's caches mostly waits for the page table: each node lies on a
//! page of its own, and the processor knows a few thousand of them. So a forest can ask for [huge pages](User::new).

mod pool;

use std::{
    mem,
    ops::{Deref, DerefMut},
};

use bytes::BytesMut;
use pool::{Block, POOL, Size};

pub(crate) use pool::User;

/// Bytes of a node; their number does not change.
#[derive(Debug)]
pub(crate) struct NodeBytes {
    block: Block,
    /// Whether it is a block of the pool.
    is_pooled: bool,
}

impl NodeBytes {
    /// Bytes that the caller fills, as far as anybody looks at them: whatever is in them is a node's that was there before.
    pub(crate) fn unfilled(len: usize) -> Self {
        match POOL.take(len) {
            Some(block) => Self { block, is_pooled: true },
            None => Self::apart(BytesMut::zeroed(len)),
        }
    }

    /// Bytes that were read.
    pub(crate) fn of(read: Vec<u8>) -> Self {
        match POOL.take(read.len()) {
            Some(mut block) => {
                block.bytes.copy_from_slice(&read);
                Self { block, is_pooled: true }
            }
            // What was read stays where it is.
            None => Self::apart(BytesMut::from(bytes::Bytes::from(read))),
        }
    }

    fn apart(bytes: BytesMut) -> Self {
        Self { block: Block::apart(bytes), is_pooled: false }
    }

    /// Bytes of memory that it takes. It depends on their number alone, not on where they lie.
    pub(crate) fn allocated(&self) -> usize {
        Size::of(self.len()).map_or(self.len(), |size| size.bytes)
    }
}

impl Deref for NodeBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block.bytes
    }
}

impl DerefMut for NodeBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.block.bytes
    }
}

impl Clone for NodeBytes {
    fn clone(&self) -> Self {
        let mut copy = Self::unfilled(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Drop for NodeBytes {
    fn drop(&mut self) {
        if self.is_pooled {
            POOL.give_back(mem::take(&mut self.block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The n-th node's bytes, all of which are its number.
    fn node(n: usize) -> NodeBytes {
        let mut bytes = NodeBytes::unfilled(n * 37 % 9000);
        bytes.fill(number(n));
        bytes
    }

    fn number(n: usize) -> u8 {
        u8::try_from(n % 251 + 1).unwrap()
    }

    #[test]
    fn each_node_has_bytes_of_its_own() {
        let count = if cfg!(miri) { 40 } else { 2000 };
        let asked = User::new(true);
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
                assert!((node.len()..node.len() + 512).contains(&node.allocated()));
            }
        }
        // What is still there when nobody asks any more stays what it is.
        drop(asked);
        let copy = nodes[count - 1].clone().unwrap();
        assert!(!nodes[7].as_ref().unwrap().is_empty() && copy[0] == number(count - 1));
        let large = NodeBytes::unfilled((16 << 10) + 1);
        assert!(!large.is_pooled && large.len() == (16 << 10) + 1);
    }
}
