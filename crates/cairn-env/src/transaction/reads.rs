//! `ReadSet`: what a transaction has observed, so that its commit can tell whether that has changed.
//!
//! What counts is what was *observed*, not what was returned: a miss is a read, and a scan that stops
//! after three entries has observed that there are no others between them. Engines that remember only
//! the keys they returned let phantoms through.

use std::{collections::BTreeMap, ops::Bound};

use cairn_btree::TreeId;

use crate::Database;

/// So many items are kept exactly; beyond, neighbours are joined, which makes conflicts more likely
/// and never less.
const EXACT: usize = 4096;

/// All keys from `start` on that are below `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) start: Vec<u8>,
    /// `None`: without end.
    pub(crate) end: Option<Vec<u8>>,
}

impl Interval {
    /// The keys between two bounds.
    pub(crate) fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let start = match start {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => successor(key),
        };
        let end = match end {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(successor(key)),
            Bound::Excluded(key) => Some(key.to_vec()),
        };
        Self { start, end }
    }

    /// All keys.
    pub(crate) fn everything() -> Self {
        Self { start: Vec::new(), end: None }
    }

    pub(crate) fn end(&self) -> Bound<&[u8]> {
        self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded)
    }

    fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether a later interval begins in this one or right after it.
    fn touches(&self, later: &Self) -> bool {
        self.end.as_ref().is_none_or(|end| later.start <= *end)
    }

    fn extend(&mut self, later: Self) {
        self.end = match (self.end.take(), later.end) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }
}

/// The smallest key above `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// What was observed of one database.
#[derive(Debug)]
pub(crate) struct TreeReads {
    /// For messages.
    pub(crate) database: Database,
    pub(crate) points: Vec<Vec<u8>>,
    pub(crate) intervals: Vec<Interval>,
}

/// What a transaction has observed.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    pub(crate) trees: BTreeMap<TreeId, TreeReads>,
    /// Walks that have not come to their end: as if they had gone through everything.
    walks: BTreeMap<u64, (TreeId, Interval)>,
    next_walk: u64,
}

impl ReadSet {
    fn of(&mut self, database: &Database) -> &mut TreeReads {
        self.trees.entry(database.tree).or_insert_with(|| TreeReads {
            database: database.clone(),
            points: Vec::new(),
            intervals: Vec::new(),
        })
    }

    /// Whether the key has a value, and which, was observed.
    pub(crate) fn point(&mut self, database: &Database, key: &[u8]) {
        let reads = self.of(database);
        reads.points.push(key.to_vec());
        if reads.points.len() > EXACT {
            reads.join_points();
        }
    }

    /// Everything between two bounds was observed.
    pub(crate) fn interval(&mut self, database: &Database, interval: Interval) {
        if interval.is_empty() {
            return;
        }
        let reads = self.of(database);
        match reads.intervals.last_mut() {
            Some(last) if last.start <= interval.start && last.touches(&interval) => {
                last.extend(interval);
            }
            _ => reads.intervals.push(interval),
        }
        if reads.intervals.len() > EXACT {
            reads.join_intervals();
        }
    }

    /// A walk begins that can observe everything in `interval`.
    pub(crate) fn walk(&mut self, database: &Database, interval: Interval) -> u64 {
        self.of(database);
        self.next_walk += 1;
        self.walks.insert(self.next_walk, (database.tree, interval));
        self.next_walk
    }

    /// A walk has ended, and has observed this.
    pub(crate) fn walked(&mut self, walk: u64, observed: impl IntoIterator<Item = Interval>) {
        let Some((tree, _)) = self.walks.remove(&walk) else { return };
        let Some(database) = self.trees.get(&tree).map(|reads| reads.database.clone()) else {
            return;
        };
        for interval in observed {
            self.interval(&database, interval);
        }
    }

    /// Walks that were forgotten have observed what they could have.
    pub(crate) fn finish(mut self) -> Self {
        for (tree, interval) in std::mem::take(&mut self.walks).into_values() {
            if let Some(database) = self.trees.get(&tree).map(|reads| reads.database.clone()) {
                self.interval(&database, interval);
            }
        }
        self
    }

    pub(crate) fn has_intervals(&self) -> bool {
        self.trees.values().any(|reads| !reads.intervals.is_empty())
    }
}

impl TreeReads {
    fn join_points(&mut self) {
        self.points.sort_unstable();
        self.points.dedup();
        if self.points.len() <= EXACT / 2 {
            return;
        }
        let mut points = std::mem::take(&mut self.points).into_iter().peekable();
        while let Some(first) = points.next() {
            let last = points.next();
            let last = last.as_ref().unwrap_or(&first);
            let joined = Interval::new(Bound::Included(&first), Bound::Included(last));
            self.intervals.push(joined);
        }
        self.join_intervals();
    }

    fn join_intervals(&mut self) {
        let mut intervals = std::mem::take(&mut self.intervals);
        intervals.sort_unstable_by(|a, b| a.start.cmp(&b.start));
        for interval in intervals {
            match self.intervals.last_mut() {
                Some(last) if last.touches(&interval) => last.extend(interval),
                _ => self.intervals.push(interval),
            }
        }
        while self.intervals.len() > EXACT / 2 {
            let mut joined = Vec::with_capacity(self.intervals.len() / 2 + 1);
            let mut intervals = std::mem::take(&mut self.intervals).into_iter();
            while let Some(mut first) = intervals.next() {
                if let Some(second) = intervals.next() {
                    first.extend(second);
                }
                joined.push(first);
            }
            self.intervals = joined;
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_btree::TreeId;

    use super::*;
    use crate::DatabaseOptions;

    fn database() -> Database {
        Database::create("db", TreeId(20), DatabaseOptions::default())
    }

    fn covers(reads: &TreeReads, key: &[u8]) -> bool {
        let within = |interval: &Interval| {
            interval.start[..] <= *key && interval.end.as_ref().is_none_or(|end| *key < end[..])
        };
        reads.points.iter().any(|point| point == key) || reads.intervals.iter().any(within)
    }

    #[test]
    fn joining_never_forgets_a_read_and_bounds_how_much_is_remembered() {
        let (mut reads, db) = (ReadSet::default(), database());
        let key = |n: u32| n.wrapping_mul(0x9e37_79b9).to_le_bytes();
        for n in 0..20_000 {
            reads.point(&db, &key(n));
            if n % 3 == 0 {
                let (from, to) = (key(n + 1), key(n + 2));
                reads.interval(&db, Interval::new(Bound::Excluded(&from), Bound::Included(&to)));
            }
        }
        let reads = &reads.finish().trees[&db.tree];
        assert!(reads.points.len() <= EXACT && reads.intervals.len() <= EXACT);
        for n in 0..20_000 {
            assert!(covers(reads, &key(n)), "{n}");
        }
    }

    #[test]
    fn a_walk_counts_as_a_whole_until_it_says_what_it_has_seen() {
        let (mut reads, db) = (ReadSet::default(), database());
        let all = Interval::everything;
        let walk = reads.walk(&db, all());
        let seen = Interval::new(Bound::Included(b"b"), Bound::Excluded(b"d"));
        reads.walked(walk, [seen]);
        reads = reads.finish();
        let tree = &reads.trees[&db.tree];
        assert!(covers(tree, b"c") && !covers(tree, b"d") && !covers(tree, b"a"));
        reads.walk(&db, all());
        assert!(covers(&reads.finish().trees[&db.tree], b"a"));
    }
}
