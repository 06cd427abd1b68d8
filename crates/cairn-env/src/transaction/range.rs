//! Entries as a transaction sees them: what is stored, with its own changes on top.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    ops::Bound,
};

use bytes::Bytes;

use crate::{EnvResult, snapshot::Range};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
type ChangesIn<'t> = btree_map::Range<'t, Vec<u8>, Option<Vec<u8>>>;

/// Entries in the order of their keys: see [`Transaction::range`](crate::Transaction::range).
pub struct TransactionRange<'t> {
    stored: Peekable<Range>,
    changes: Option<Peekable<ChangesIn<'t>>>,
}

impl<'t> TransactionRange<'t> {
    pub(super) fn new(
        stored: Range,
        changes: Option<&'t Changes>,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> Self {
        let changes = changes.filter(|_| !is_empty(&bounds));
        Self {
            stored: stored.peekable(),
            changes: changes.map(|changes| changes.range(bounds).peekable()),
        }
    }
}

/// Whether no key can lie within the bounds; a map would panic on such a range.
fn is_empty((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
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
    type Item = EnvResult<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let change = self.changes.as_mut().and_then(Peekable::peek);
            let Some((changed, _)) = change else { return self.stored.next() };
            match self.stored.peek() {
                Some(Err(_)) => return self.stored.next(),
                Some(Ok((key, _))) if key[..] < changed[..] => return self.stored.next(),
                // The change stands in for what is stored.
                Some(Ok((key, _))) if key[..] == changed[..] => drop(self.stored.next()),
                _ => {}
            }
            let (key, value) = self.changes.as_mut().and_then(Iterator::next)?;
            if let Some(value) = value {
                return Some(Ok((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))));
            }
        }
    }
}

impl std::fmt::Debug for TransactionRange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransactionRange")
    }
}
