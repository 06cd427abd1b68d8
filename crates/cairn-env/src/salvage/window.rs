//! `Window`: what is said of the keys of a range, as many keys as memory holds.
//!
//! Commits and leaves say things about keys in any order. Going through all of them for a range of keys, beginning at
//! the smallest, gives everything that is said of these; where memory does not hold the range it is made smaller at its
//! end, and the rest is the next window.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::{TreeId, ValuePointer, ValueRef};
use cairn_log::{Lsn, crc32c};

use super::Standing;

/// A key of a tree.
pub(super) type Key = (TreeId, Vec<u8>);

/// What a key is said to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: it was deleted.
    Deleted,
    /// A value.
    Here(Box<[u8]>),
    /// A large value, which is in one of these places.
    There(Vec<ValuePointer>),
}

impl Content {
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Inline(value) => Self::Here(value.into()),
            ValueRef::Pointer(pointer) => Self::There(vec![pointer]),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Deleted => 0,
            Self::Here(value) => value.len(),
            Self::There(places) => places.len() * size_of::<ValuePointer>(),
        }
    }

    /// Whether both are the same; of large values as far as length and checksum say so.
    pub(super) fn is(&self, other: &Self) -> bool {
        let print = |content: &Self| match content {
            Self::Deleted => None,
            Self::Here(value) => Some((value.len() as u64, crc32c(value))),
            Self::There(places) => places.first().map(|place| (u64::from(place.len), place.crc)),
        };
        match (self, other) {
            (Self::Here(one), Self::Here(other)) => one == other,
            (Self::Deleted, Self::Deleted) => true,
            (Self::Deleted, _) | (_, Self::Deleted) => false,
            _ => print(self) == print(other),
        }
    }
}

/// Who says something, the better witness last: a leaf may have been written in the middle of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Witness {
    /// By some commit it was so.
    Leaf,
    /// The commit that has put it, later moved.
    MovedValue,
    /// The commit.
    Journal,
}

/// What is said of a key.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) commit: u64,
    pub(super) witness: Witness,
    pub(super) at: Lsn,
    pub(super) standing: Standing,
    pub(super) content: Content,
}

impl Statement {
    /// The order in which statements about one key were made.
    pub(super) fn order(&self) -> (u64, Witness, Lsn) {
        (self.commit, self.witness, self.at)
    }
}

/// Whose keys are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Only of these trees.
    pub(super) trees: Option<BTreeSet<TreeId>>,
    /// Of none of these.
    pub(super) except: BTreeSet<TreeId>,
    /// Only these keys.
    pub(super) keys: Option<BTreeSet<Key>>,
}

impl Wanted {
    pub(super) fn has_tree(&self, tree: TreeId) -> bool {
        self.trees.as_ref().is_none_or(|trees| trees.contains(&tree))
            && !self.except.contains(&tree)
    }
}

/// A range of keys.
pub(super) struct Window<'w> {
    wanted: &'w Wanted,
    /// None before it.
    low: Key,
    /// None from it on.
    high: Option<Key>,
    held: BTreeMap<Key, Vec<Statement>>,
    bytes: usize,
    memory: usize,
}

impl<'w> Window<'w> {
    /// All keys from `low` on, as many as `memory` bytes hold.
    pub(super) const fn new(wanted: &'w Wanted, low: Key, memory: usize) -> Self {
        Self { wanted, low, high: None, held: BTreeMap::new(), bytes: 0, memory }
    }

    /// Whether any key between these of a tree is in it.
    pub(super) fn overlaps(&self, tree: TreeId, lower: &[u8], upper: Option<&[u8]>) -> bool {
        let is_before = |key: &[u8], bound: &Key| (tree, key) < (bound.0, &bound.1[..]);
        self.wanted.has_tree(tree)
            && self.high.as_ref().is_none_or(|high| is_before(lower, high))
            && match upper {
                Some(upper) => (tree, upper) > (self.low.0, &self.low.1[..]),
                None => tree >= self.low.0,
            }
    }

    pub(super) fn has(&self, tree: TreeId, key: &[u8]) -> bool {
        let is_before = |bound: &Key| (tree, key) < (bound.0, &bound.1[..]);
        self.wanted.has_tree(tree)
            && !is_before(&self.low)
            && self.high.as_ref().is_none_or(is_before)
            && self.wanted.keys.as_ref().is_none_or(|keys| keys.contains(&(tree, key.to_vec())))
    }

    /// Takes note of a statement, if it is about a key in the window.
    pub(super) fn add(&mut self, tree: TreeId, key: &[u8], statement: Statement) {
        /// What a key takes beside its bytes, and a statement.
        const KEY: usize = 96;
        if !self.has(tree, key) {
            return;
        }
        let of_statement = size_of::<Statement>() + statement.content.bytes();
        let statements = self.held.entry((tree, key.to_vec())).or_default();
        self.bytes += of_statement + if statements.is_empty() { KEY + key.len() } else { 0 };
        statements.push(statement);
        if self.bytes <= self.memory {
            return;
        }
        // By half, so that the next ones do not have it made smaller one by one.
        while self.bytes > self.memory / 2
            && self.held.len() > 1
            && let Some((key, statements)) = self.held.pop_last()
        {
            let contents: usize = statements.iter().map(|one| one.content.bytes()).sum();
            let of_statements = statements.len() * size_of::<Statement>() + contents;
            self.bytes = self.bytes.saturating_sub(KEY + key.1.len() + of_statements);
            self.high = Some(key);
        }
    }

    /// What is said of each key, in the order of keys, and where the next window begins.
    pub(super) fn end(self) -> (BTreeMap<Key, Vec<Statement>>, Option<Key>) {
        (self.held, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statement(commit: u64) -> Statement {
        let at = Lsn::new(cairn_log::FileNumber::FIRST, 4096).unwrap();
        let (witness, standing) = (Witness::Journal, Standing::Committed);
        Statement { commit, witness, at, standing, content: Content::Here([7; 40].into()) }
    }

    proptest! {
        #[test]
        fn windows_hold_everything_once_and_in_order(
            said in prop::collection::vec((16u32..20, 0u8..30), 0..200),
            memory in 100usize..4000,
        ) {
            let wanted = Wanted { except: [TreeId(18)].into(), ..Wanted::default() };
            let mut expected: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
            for ((tree, key), commit) in said.iter().zip(1..) {
                if *tree != 18 {
                    expected.entry((TreeId(*tree), vec![*key])).or_default().push(commit);
                }
            }
            let (mut found, mut low) = (Vec::new(), Some((TreeId(0), Vec::new())));
            while let Some(from) = low {
                let mut window = Window::new(&wanted, from, memory);
                for ((tree, key), commit) in said.iter().zip(1..) {
                    let is_in = window.has(TreeId(*tree), &[*key]);
                    prop_assert!(!is_in || window.overlaps(TreeId(*tree), &[*key], None));
                    window.add(TreeId(*tree), &[*key], statement(commit));
                }
                let (held, high) = window.end();
                prop_assert!(said.is_empty() || high.is_none() || !held.is_empty());
                for (key, statements) in held {
                    found.push((key, statements.iter().map(|one| one.commit).collect::<Vec<_>>()));
                }
                low = high;
            }
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_values_are_the_same_wherever_they_stand() {
        let place = |lsn, crc| Content::There(vec![ValuePointer { lsn, len: 3, crc }]);
        let crc = crc32c(b"abc");
        assert!(place(1, crc).is(&place(2, crc)) && !place(1, crc).is(&place(1, 0)));
        assert!(place(1, crc).is(&Content::Here((*b"abc").into())));
        assert!(!Content::Here((*b"abd").into()).is(&Content::Here((*b"abc").into())));
        assert!(Content::Deleted.is(&Content::Deleted) && !Content::Deleted.is(&place(1, crc)));
    }
}
