//! `Tally`: what came and went of a log file in a gen.
//!
//! Between two checkpoints a node can be written anew as often as there are commits, so nodes are not listed: what came is
//! summed up with what went, by gen and file.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::{FileNumber, Lsn};

use crate::{StoredNode, TreeDigest};

/// How what is reachable of a log file has changed in a gen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "sums with names")]
pub struct Tally {
    /// The gen from which on the change holds.
    pub generation: u64,
    /// The file.
    pub file: FileNumber,
    /// Bytes that became reachable, less those that became garbage.
    pub bytes: i64,
    /// Whether anything became reachable.
    pub has_births: bool,
    /// The nodes that became reachable, less those that became garbage.
    pub nodes: TreeDigest,
}

impl Tally {
    /// A large value of `bytes` bytes at `lsn` became reachable in `generation`.
    #[must_use]
    pub fn birth(generation: u64, lsn: Lsn, bytes: u32) -> Self {
        let (file, bytes) = (lsn.file(), bytes.into());
        Self { generation, file, bytes, has_births: true, nodes: TreeDigest::EMPTY }
    }

    /// A large value of `bytes` bytes at `lsn` became garbage in `generation`.
    #[must_use]
    pub fn death(generation: u64, lsn: Lsn, bytes: u32) -> Self {
        let bytes = -i64::from(bytes);
        Self { bytes, has_births: false, ..Self::birth(generation, lsn, 0) }
    }

    /// A node became reachable in `generation`.
    pub(crate) fn birth_of(generation: u64, node: StoredNode) -> Self {
        let mut tally = Self::birth(generation, node.lsn, node.len);
        tally.nodes.add(node);
        tally
    }

    /// A node became garbage in `generation`.
    pub(crate) fn death_of(generation: u64, node: StoredNode) -> Self {
        let mut tally = Self::death(generation, node.lsn, node.len);
        tally.nodes.remove(node);
        tally
    }
}

/// The sums that were not settled yet.
#[derive(Debug, Default)]
pub(crate) struct Tallies(BTreeMap<(u64, FileNumber), Tally>);

impl Tallies {
    pub(crate) fn add(&mut self, tally: Tally) {
        let add = |sum: &mut Tally| {
            sum.bytes += tally.bytes;
            sum.has_births |= tally.has_births;
            sum.nodes.join(&tally.nodes);
        };
        self.0.entry((tally.generation, tally.file)).and_modify(add).or_insert(tally);
    }

    /// Takes out what holds up to gen `cut`.
    pub(crate) fn settle(&mut self, cut: u64) -> Vec<Tally> {
        let rest = self.0.split_off(&(cut.saturating_add(1), FileNumber::FIRST));
        std::mem::replace(&mut self.0, rest).into_values().collect()
    }

    /// What holds up to gen `cut`.
    pub(crate) fn pending(&self, cut: u64) -> Vec<Tally> {
        self.0.values().take_while(|tally| tally.generation <= cut).copied().collect()
    }

    /// Forgets what holds from a gen after `base` on.
    pub(crate) fn forget_after(&mut self, base: u64) {
        drop(self.0.split_off(&(base.saturating_add(1), FileNumber::FIRST)));
    }

    /// The files of which anything became reachable.
    pub(crate) fn with_births(&self) -> BTreeSet<FileNumber> {
        self.0.values().filter(|tally| tally.has_births).map(|tally| tally.file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(place: u64, len: u32) -> StoredNode {
        StoredNode { lsn: Lsn::from_raw((1 << 29) + place).unwrap(), len, crc: 7 }
    }

    #[test]
    fn what_came_and_went_is_one_sum_a_gen_and_a_file() {
        let mut tallies = Tallies::default();
        for n in 0..1000 {
            tallies.add(Tally::birth_of(3, node(n, 100)));
            tallies.add(Tally::death_of(4, node(n, 100)));
        }
        tallies.add(Tally::birth_of(3, node(1000, 50)));
        let file = node(0, 0).lsn.file();
        assert_eq!(tallies.0.len(), 2);
        assert_eq!(tallies.with_births(), [file].into());
        let pending = tallies.pending(3);
        let settled = tallies.settle(3);
        assert_eq!(settled, pending);
        assert_eq!((settled.len(), settled[0].bytes), (1, 100_050));
        assert!(tallies.with_births().is_empty(), "something went, nothing came");
        let mut nodes = settled[0].nodes;
        let went = tallies.settle(u64::MAX).remove(0);
        assert_eq!(went.bytes, -100_000);
        nodes.join(&went.nodes);
        let mut left = TreeDigest::EMPTY;
        left.add(node(1000, 50));
        assert_eq!(nodes, left);
    }

    #[test]
    fn what_is_forgotten_leaves_the_gens_before() {
        let mut tallies = Tallies::default();
        (1..=4).for_each(|n| tallies.add(Tally::death(n, node(n, 1).lsn, 10)));
        tallies.forget_after(2);
        let left: Vec<_> = tallies.pending(9).iter().map(|tally| tally.generation).collect();
        assert_eq!(left, [1, 2]);
    }
}
