//! Entries as a transaction sees them: what is stored, with its own changes on top.

use std::{
    collections::{BTreeMap, btree_map},
    ops::Bound,
};

use bytes::Bytes;

use super::{Transaction, reads::Interval};
use crate::{Database, EnvResult, snapshot::Range};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
type ChangesIn<'t> = btree_map::Range<'t, Vec<u8>, Option<Vec<u8>>>;
type Entry = (Bytes, Bytes);

/// Entries in the order of their keys, from both ends: see
/// [`Transaction::range`](crate::Transaction::range).
///
/// When it is dropped, the transaction has read what it went over, gaps included; one that came to its
/// end has gone over everything.
pub struct TransactionRange<'t> {
    transaction: &'t Transaction,
    walk: u64,
    stored: Ends<Range>,
    changes: Option<Ends<ChangesIn<'t>>>,
    bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    seen: Seen,
}

/// How far what is stored was looked at.
#[derive(Debug, Default)]
struct Seen {
    /// The last key from the front.
    front: Option<Bytes>,
    /// The last key from the back.
    back: Option<Bytes>,
    /// The two have met, or something could not be read.
    all: bool,
}

/// An iterator that can be looked at from both ends before anything is taken.
struct Ends<I: DoubleEndedIterator> {
    iter: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Ends<I> {
    const fn new(iter: I) -> Self {
        Self { iter, front: None, back: None }
    }

    fn front(&mut self) -> &mut Option<I::Item> {
        if self.front.is_none() {
            self.front = self.iter.next().or_else(|| self.back.take());
        }
        &mut self.front
    }

    fn back(&mut self) -> &mut Option<I::Item> {
        if self.back.is_none() {
            self.back = self.iter.next_back().or_else(|| self.front.take());
        }
        &mut self.back
    }
}

/// Which end an entry is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Front,
    Back,
}

impl From {
    fn of<I: DoubleEndedIterator>(self, ends: &mut Ends<I>) -> &mut Option<I::Item> {
        match self {
            Self::Front => ends.front(),
            Self::Back => ends.back(),
        }
    }

    /// Whether `a` comes before `b` as seen from this end.
    fn is_before(self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Self::Front => a < b,
            Self::Back => a > b,
        }
    }
}

impl<'t> TransactionRange<'t> {
    pub(super) fn new(
        transaction: &'t Transaction,
        database: &Database,
        stored: Range,
        changes: Option<&'t Changes>,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Self {
        let changes = changes.filter(|_| !is_empty(&bounds));
        let interval = Interval::new(bounds.0, bounds.1);
        Self {
            transaction,
            walk: transaction.reads().walk(database, interval),
            stored: Ends::new(stored),
            changes: changes.map(|changes| Ends::new(changes.range::<[u8], _>(bounds))),
            bounds: (bounds.0.map(<[u8]>::to_vec), bounds.1.map(<[u8]>::to_vec)),
            seen: Seen::default(),
        }
    }

    /// What is stored next at this end; it then counts as seen.
    fn stored(&mut self, from: From) -> &mut Option<EnvResult<Entry>> {
        let next = from.of(&mut self.stored);
        match (&next, from) {
            (Some(Ok((key, _))), From::Front) => self.seen.front = Some(key.clone()),
            (Some(Ok((key, _))), From::Back) => self.seen.back = Some(key.clone()),
            (Some(Err(_)) | None, _) => self.seen.all = true,
        }
        next
    }

    fn step(&mut self, from: From) -> Option<EnvResult<Entry>> {
        loop {
            let change = self.changes.as_mut().and_then(|changes| *from.of(changes));
            let Some((changed, value)) = change else { return self.stored(from).take() };
            match self.stored(from) {
                stored @ Some(Err(_)) => return stored.take(),
                stored @ Some(Ok(_)) => {
                    let key =
                        stored.as_ref().and_then(|entry| entry.as_ref().ok()).map(|e| &e.0[..]);
                    let key = key.unwrap_or_default();
                    if from.is_before(key, changed) {
                        return stored.take();
                    }
                    if key == &changed[..] {
                        *stored = None; // the change stands in for what is stored
                    }
                }
                None => {}
            }
            if let Some(changes) = &mut self.changes {
                *from.of(changes) = None;
            }
            if let Some(value) = value {
                return Some(Ok((Bytes::copy_from_slice(changed), Bytes::copy_from_slice(value))));
            }
        }
    }
}

/// Whether no key can lie within the bounds; a map would panic on such a range.
fn is_empty((start, end): &(Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
        _ => false,
    }
}

impl Iterator for TransactionRange<'_> {
    type Item = EnvResult<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(From::Front)
    }
}

impl DoubleEndedIterator for TransactionRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(From::Back)
    }
}

impl Drop for TransactionRange<'_> {
    fn drop(&mut self) {
        let (start, end) = &self.bounds;
        let start = start.as_ref().map(Vec::as_slice);
        let end = end.as_ref().map(Vec::as_slice);
        let observed = match &self.seen {
            // Planted: a phantom behind the last entry.
            Seen { all: true, .. } if !cairn_io::planted::is(26) => vec![Interval::new(start, end)],
            Seen { front, back, .. } => {
                let front = front.as_ref().map(|key| Interval::new(start, Bound::Included(key)));
                let back = back.as_ref().map(|key| Interval::new(Bound::Included(key), end));
                front.into_iter().chain(back).collect()
            }
        };
        self.transaction.reads().walked(self.walk, observed);
    }
}

impl std::fmt::Debug for TransactionRange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransactionRange")
    }
}
