//! `TreeDigest`: which nodes a version consists of, as one number that is kept up while they come and go.
//!
//! Each node that stands on disk counts by its place and by the checksum that its record has anyway: so
//! nothing is read for it, and nothing of a node hashed. What counts is added, and what goes is taken away
//! again: the digest of the next version comes from that of the one before and from the nodes that have changed,
//! whatever their order. And who has walked some of the nodes has the digest of these.

use std::fmt;

use cairn_log::{Digest, Lsn};

/// A node as it stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a digest is made of")]
pub struct StoredNode {
    /// Where its record stands.
    pub lsn: Lsn,
    /// Bytes that the record takes in its file, for the account of live bytes.
    pub len: u32,
    /// CRC-32C of the payload as it is stored.
    pub crc: u32,
}

/// Which nodes the trees of a version consist of: the sum of the hashes (BLAKE3) of their places, lengths and checksums.
///
/// ```
/// # use cairn_btree::{StoredNode, TreeDigest};
/// # use cairn_log::Lsn;
/// # let lsn = Lsn::from_raw(1 << 29).unwrap();
/// let node = StoredNode { lsn, len: 104, crc: 0x1234_5678 };
/// let mut digest = TreeDigest::EMPTY;
/// digest.add(node);
/// assert_ne!(digest, TreeDigest::EMPTY);
/// digest.remove(node);
/// assert_eq!(digest, TreeDigest::EMPTY);
/// ```
///
/// It tells trees apart, not who has made them: a sum of checksums can be forged by whoever is out to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeDigest([u64; 4]);

impl TreeDigest {
    /// That of no trees.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds a node.
    pub fn add(&mut self, node: StoredNode) {
        self.merge(&Self::of(node), u64::wrapping_add);
    }

    /// Takes a node away that was added.
    pub fn remove(&mut self, node: StoredNode) {
        self.merge(&Self::of(node), u64::wrapping_sub);
    }

    /// Adds all nodes of another digest.
    pub fn join(&mut self, other: &Self) {
        self.merge(other, u64::wrapping_add);
    }

    /// Takes all nodes of another digest away.
    pub fn leave(&mut self, other: &Self) {
        self.merge(other, u64::wrapping_sub);
    }

    fn merge(&mut self, other: &Self, one: fn(u64, u64) -> u64) {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane = one(*lane, other);
        }
    }

    /// That of a node alone.
    fn of(node: StoredNode) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&node.lsn.to_raw().to_le_bytes());
        bytes[8..12].copy_from_slice(&node.len.to_le_bytes());
        bytes[12..].copy_from_slice(&node.crc.to_le_bytes());
        Self::from_bytes(Digest::of(&bytes).0)
    }

    /// The digest that these bytes stand for.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let (lanes, _) = bytes.as_chunks::<8>();
        Self(std::array::from_fn(|i| u64::from_le_bytes(lanes[i])))
    }

    /// Its bytes: four numbers, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (lanes, _) = bytes.as_chunks_mut::<8>();
        for (lane, number) in lanes.iter_mut().zip(self.0) {
            *lane = number.to_le_bytes();
        }
        bytes
    }
}

impl fmt::Display for TreeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TreeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeDigest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(place: u64, crc: u32) -> StoredNode {
        StoredNode { lsn: Lsn::from_raw((1 << 29) + place).unwrap(), len: 8, crc }
    }

    #[test]
    fn a_digest_is_of_the_nodes_and_not_of_the_order_in_which_they_came() {
        let nodes = [node(1, 7), node(2, 7), node(3, 9)];
        let (mut one, mut other, mut part) = Default::default();
        nodes.iter().for_each(|node| TreeDigest::add(&mut one, *node));
        nodes.iter().rev().for_each(|node| TreeDigest::add(&mut other, *node));
        assert_eq!(one, other);
        TreeDigest::add(&mut part, nodes[0]);
        other.remove(nodes[0]);
        assert_ne!(one, other);
        other.join(&part);
        assert_eq!(one, other);
        other.leave(&one);
        assert_eq!(other, TreeDigest::EMPTY);
        assert_eq!(TreeDigest::from_bytes(one.to_bytes()), one);
    }

    #[test]
    fn another_place_length_or_checksum_makes_another_digest() {
        let of = |node| {
            let mut digest = TreeDigest::EMPTY;
            digest.add(node);
            digest.to_string()
        };
        let one = node(1, 7);
        let all = [one, node(2, 7), node(1, 8), StoredNode { len: 16, ..one }].map(of);
        assert!(all.iter().all(|digest| digest.len() == 64));
        for (i, digest) in all.iter().enumerate() {
            assert!(!all[..i].contains(digest), "{i}");
        }
    }
}
