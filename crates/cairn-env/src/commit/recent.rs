//! `Recent`: which keys the last commits have changed, for transactions that have read something.
//!
//! Exact within its memory; who comes from further back asks the leaves instead, which remember the
//! newest change of any of their keys. Nothing is recorded while no transaction has read anything.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, DefaultHasher, Hasher},
};

use cairn_btree::TreeId;

use super::{Decoder, Op, malformed, target};
use crate::{
    EnvError, EnvResult,
    transaction::{Interval, ReadSet},
};

/// Memory for what is recorded.
const BUDGET: usize = 32 << 20;
/// With more commits than this to go through, intervals are looked up in the leaves.
const MANY: u64 = 256;

/// What a transaction has observed, and since when nothing is known about it.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The newest commit that cannot have changed it.
    pub(crate) since: u64,
    pub(crate) reads: ReadSet,
}

/// What validation has found.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing that was observed has changed.
    Unchanged,
    /// Something has.
    Changed(EnvError),
    /// The leaves must be asked.
    Unknown,
}

/// The last commits.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// All commits after this one are here.
    floor: u64,
    commits: VecDeque<Written>,
    bytes: usize,
    /// The newest of these commits that has changed a key, by a hash of tree and key. Keys with the
    /// same hash are taken for one, which can make a conflict where there is none.
    points: HashMap<u64, u64, BuildHasherDefault<DefaultHasher>>,
}

/// The keys that a commit has changed, in order.
#[derive(Debug)]
struct Written {
    sequence: u64,
    /// Keys, one after the other.
    bytes: Vec<u8>,
    /// The tree of each and where it ends.
    ends: Vec<(TreeId, u32)>,
    /// Trees that it has dropped.
    dropped: Vec<TreeId>,
}

impl Written {
    fn of(sequence: u64, payload: &[u8]) -> EnvResult<Self> {
        let mut written =
            Self { sequence, bytes: Vec::new(), ends: Vec::new(), dropped: Vec::new() };
        let mut decoder = Decoder::new(payload).map_err(malformed)?;
        while let Some(op) = decoder.next().map_err(malformed)? {
            if let Op::Drop { tree } = op {
                written.dropped.push(tree);
            }
            let Some((tree, key)) = target(&op) else { continue };
            written.bytes.extend_from_slice(key);
            let end = u32::try_from(written.bytes.len())
                .map_err(|_| EnvError::internal("a transaction with 4 GiB of keys"))?;
            written.ends.push((tree, end));
        }
        Ok(written)
    }

    fn key(&self, i: usize) -> (TreeId, &[u8]) {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before].1 as usize);
        let (tree, end) = self.ends[i];
        (tree, &self.bytes[start..end as usize])
    }

    /// The first changed key of the interval.
    fn first_in(&self, tree: TreeId, interval: &Interval) -> Option<&[u8]> {
        let from = (tree, &interval.start[..]);
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) < from { low = middle + 1 } else { high = middle }
        }
        let (found, key) = (low < self.ends.len()).then(|| self.key(low))?;
        let below_end = interval.end.as_ref().is_none_or(|end| key < &end[..]);
        (found == tree && below_end).then_some(key)
    }

    fn memory(&self) -> usize {
        self.bytes.len() + self.ends.len() * (8 + 32) + size_of::<Self>()
    }
}

fn hash(tree: TreeId, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(tree.0);
    hasher.write(key);
    hasher.finish()
}

impl Recent {
    /// Commit `sequence` was made while nobody had read anything.
    pub(super) fn pass(&mut self, sequence: u64) {
        if !self.commits.is_empty() {
            *self = Self::default();
        }
        self.floor = sequence;
    }

    /// Records what a commit has changed. (Were that not possible, it would not be recorded, and the
    /// leaves would be asked.)
    pub(super) fn record(&mut self, sequence: u64, payload: &[u8]) {
        let Ok(written) = Written::of(sequence, payload) else { return self.pass(sequence) };
        for i in 0..written.ends.len() {
            let (tree, key) = written.key(i);
            self.points.insert(hash(tree, key), sequence);
        }
        self.bytes += written.memory();
        self.commits.push_back(written);
        while self.bytes > BUDGET
            && let Some(oldest) = self.commits.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, oldest: &Written) {
        self.floor = oldest.sequence;
        self.bytes -= oldest.memory();
        for i in 0..oldest.ends.len() {
            let (tree, key) = oldest.key(i);
            let hash = hash(tree, key);
            if self.points.get(&hash) == Some(&oldest.sequence) {
                self.points.remove(&hash);
            }
        }
    }

    /// Whether a commit after `observed.since` has changed what was observed.
    pub(super) fn validate(&self, observed: &Observed, newest: u64) -> Verdict {
        let since = observed.since;
        if since == newest {
            return Verdict::Unchanged;
        }
        if since < self.floor || newest - since > MANY && observed.reads.has_intervals() {
            return Verdict::Unknown;
        }
        for (tree, reads) in &observed.reads.trees {
            for key in &reads.points {
                if let Some(&commit) = self.points.get(&hash(*tree, key))
                    && commit > since
                {
                    return Verdict::Changed(EnvError::conflict(&reads.database, key, commit));
                }
            }
            // Planted: the first commit after the snapshot.
            let since = since + u64::from(cairn_io::planted::is(29));
            let window = self.commits.iter().rev().take_while(|written| written.sequence > since);
            for written in window {
                if written.dropped.contains(tree) {
                    let conflict = EnvError::conflict(&reads.database, b"", written.sequence);
                    return Verdict::Changed(conflict);
                }
                for interval in &reads.intervals {
                    if let Some(key) = written.first_in(*tree, interval) {
                        let database = &reads.database;
                        let conflict = EnvError::conflict(database, key, written.sequence);
                        return Verdict::Changed(conflict);
                    }
                }
            }
        }
        Verdict::Unchanged
    }
}
