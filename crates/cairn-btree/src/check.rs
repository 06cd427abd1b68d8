//! Structural invariants of all trees of a version, as a list of findings.

use std::{collections::BTreeMap, sync::Arc};

use cairn_log::{FileNumber, Lsn};

use crate::{
    FrozenRoot, TreeDigest, TreeError, TreeId, TreeResult, ValuePointer, ValueRef, catalog,
    child::Child, frozen::tree_count, node::Node, slot::NodeRef,
};

/// Something that is wrong in a tree.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The tree; 0 is the catalogue.
    pub tree: TreeId,
    /// Where the node stands on disk, if it does; of one that stands as a delta which can be read, where its base does.
    pub lsn: Option<Lsn>,
    /// The first key that may be affected.
    pub lower: Vec<u8>,
    /// The first key that is not affected; `None`: all to the end.
    pub upper: Option<Vec<u8>>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong in a tree.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// A node cannot be read: its entries are out of reach, all others are not.
    Unreadable(TreeError),
    /// The keys of a node are not in order, or lie outside of its fences.
    Order,
    /// A tree has another number of entries than the catalogue says.
    Count {
        /// What the catalogue says.
        stated: u64,
        /// What is there.
        found: u64,
    },
}

/// What a walk over all trees found and counted.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// What is wrong, in the order of trees and keys.
    pub findings: Vec<Finding>,
    /// Number of trees.
    pub trees: u64,
    /// Number of nodes.
    pub nodes: u64,
    /// Number of entries of all trees.
    pub entries: u64,
    /// Reachable bytes of each log file: nodes on disk and large values.
    pub reachable: BTreeMap<FileNumber, u64>,
    /// The nodes on disk that were read.
    pub digest: TreeDigest,
    /// Greatest height of a tree.
    pub height: u32,
}

/// What a walk has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "trees refer to nodes and to large values")]
pub enum Reached<'a> {
    /// A node that could be read: from the disk, or because it is in memory.
    Node {
        /// The tree; 0 is the catalogue.
        tree: TreeId,
        /// Where it stands on disk; `None` if it was not written yet.
        lsn: Option<Lsn>,
        /// The record that it is a delta of, if it stands on disk as one.
        base: Option<Lsn>,
        /// Its height: 0 is a leaf.
        level: u8,
        /// How many entries it has; a branch has one child more than entries.
        entries: u64,
        /// Bytes that they take, with what the node says of itself.
        bytes: u64,
        /// The first key that it covers.
        lower: &'a [u8],
        /// The first key that it no longer covers; `None`: all to the end.
        upper: Option<&'a [u8]>,
    },
    /// A large value, which the walk does not read.
    Value {
        /// The tree.
        tree: TreeId,
        /// Its key.
        key: &'a [u8],
        /// Where it stands.
        pointer: ValuePointer,
    },
}

/// Walks all trees of `frozen`. `reached` is called with each node and each large value, so that the
/// caller can read it or compare its place. Damage does not end the walk.
pub fn check(frozen: &Arc<FrozenRoot>, reached: &mut dyn FnMut(Reached<'_>)) -> CheckReport {
    let mut walk = Walk { frozen, reached, report: CheckReport::default() };
    if !frozen.is_empty() {
        let catalog = frozen.forest().load_root(frozen.root());
        walk.subtree(TreeId(0), catalog, frozen.root(), None);
    }
    walk.report
}

struct Walk<'a> {
    frozen: &'a Arc<FrozenRoot>,
    reached: &'a mut dyn FnMut(Reached<'_>),
    report: CheckReport,
}

impl Walk<'_> {
    /// Walks the subtree of `node`; returns how many entries it has and whether all were reached.
    fn subtree(
        &mut self,
        tree: TreeId,
        node: TreeResult<NodeRef>,
        place: Child,
        parent: Option<(&Node, usize)>,
    ) -> (u64, bool) {
        let node = match node {
            Ok(node) => node.into_arc(),
            Err(error) => {
                let (mut low, mut high) = (Vec::new(), Vec::new());
                let (lower, upper) = match parent {
                    Some((parent, i)) if !parent.is_leaf() => {
                        let fences = parent.child_fences(i, &mut low, &mut high);
                        (fences.lower.to_vec(), fences.upper.map(<[u8]>::to_vec))
                    }
                    _ => (Vec::new(), None),
                };
                let (lsn, _) = self.account(place);
                let lsn = lsn.and_then(|lsn| self.frozen.forest().base_at(lsn)).or(lsn);
                let problem = Problem::Unreadable(error);
                self.report.findings.push(Finding { tree, lsn, lower, upper, problem });
                return (0, false);
            }
        };
        let (lsn, base) = self.account(place);
        self.report.nodes += 1;
        self.report.height = self.report.height.max(u32::from(node.level()) + 1);
        self.check_order(tree, lsn, &node);
        let fences = node.image.fences();
        (self.reached)(Reached::Node {
            tree,
            lsn,
            base,
            level: node.level(),
            entries: node.image.count() as u64,
            bytes: node.size() as u64,
            lower: fences.lower,
            upper: fences.upper,
        });
        if !node.is_leaf() {
            return self.children(tree, &node);
        }
        let count = node.image.count() as u64;
        if node.is_catalog_leaf() {
            self.trees(&node);
            return (count, true);
        }
        self.report.entries += count;
        let mut key = Vec::new();
        for i in 0..node.image.count() {
            if let ValueRef::Pointer(pointer) = node.entry(i).into() {
                node.image.key_into(i, &mut key);
                if let Some(lsn) = Lsn::from_raw(pointer.lsn) {
                    *self.report.reachable.entry(lsn.file()).or_default() += u64::from(pointer.len);
                }
                (self.reached)(Reached::Value { tree, key: &key, pointer });
            }
        }
        (count, true)
    }

    /// Adds the node's record, and its base, to the account of their files; returns where they stand.
    fn account(&mut self, place: Child) -> (Option<Lsn>, Option<Lsn>) {
        let id = match place {
            Child::Slot(id) => id,
            // Never read, or not readable: there is nothing to add.
            Child::Disk(lsn) => return (Some(lsn), None),
            Child::Empty | Child::Private(_) => return (None, None),
        };
        let slot = self.frozen.forest().slots.get(id).ok();
        let Some((slot, stored)) = slot.and_then(|slot| Some((slot, slot.stored()?))) else {
            return (None, None);
        };
        let base = self.frozen.forest().generations.base_of(id, slot);
        for record in [Some(stored), base].into_iter().flatten() {
            *self.report.reachable.entry(record.lsn.file()).or_default() += u64::from(record.len);
            self.report.digest.add(record);
        }
        (Some(stored.lsn), base.map(|base| base.lsn))
    }

    fn check_order(&mut self, tree: TreeId, lsn: Option<Lsn>, node: &Node) {
        let fences = node.image.fences();
        let keys: Vec<Vec<u8>> = (0..node.image.count()).map(|i| node.image.key(i)).collect();
        if !keys.is_sorted_by(|a, b| a < b) || !keys.iter().all(|key| fences.contain(key)) {
            self.report.findings.push(Finding {
                tree,
                lsn,
                lower: fences.lower.to_vec(),
                upper: fences.upper.map(<[u8]>::to_vec),
                problem: Problem::Order,
            });
        }
    }

    fn children(&mut self, tree: TreeId, node: &Node) -> (u64, bool) {
        let (mut entries, mut complete) = (0, true);
        for i in 0..node.child_count() {
            let child = self.frozen.forest().load_child(node, i, false);
            let (count, all) = self.subtree(tree, child, node.child(i), Some((node, i)));
            entries += count;
            complete &= all;
        }
        (entries, complete)
    }

    fn trees(&mut self, leaf: &Node) {
        for i in 0..leaf.image.count() {
            self.report.trees += 1;
            let tree = catalog::tree_of_key(&leaf.image.key(i)).unwrap_or(TreeId(0));
            let (found, complete) = if leaf.child(i) == Child::Empty {
                (0, true)
            } else {
                let root = self.frozen.forest().load_child(leaf, i, true);
                self.subtree(tree, root, leaf.child(i), Some((leaf, i)))
            };
            let problem = match tree_count(self.frozen.forest(), leaf, i) {
                Ok(stated) if stated == found || !complete => continue,
                Ok(stated) => Problem::Count { stated, found },
                Err(error) => Problem::Unreadable(error),
            };
            let (lsn, lower, upper) = (None, Vec::new(), None);
            self.report.findings.push(Finding { tree, lsn, lower, upper, problem });
        }
    }
}
