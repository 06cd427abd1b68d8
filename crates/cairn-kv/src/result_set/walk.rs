//! `Walk`: the entries that a query means, one after the other and in both directions, as they are found.

use bytes::Bytes;
use cairn_env::{Cursor, Database, EnvResult, Index, IndexCursor, Snapshot, Stored};

use crate::{
    KvResult,
    query::{
        Filter,
        plan::{KeyRange, Ranges},
    },
};

/// A moving position among the entries that are meant, in a snapshot.
#[derive(Debug)]
pub(crate) struct Walk {
    snapshot: Snapshot,
    data: Database,
    source: Source,
    ranges: Ranges,
    /// The range that the source stands in.
    range: usize,
    /// Entries are found by an index; those whose keys begin otherwise are not meant.
    prefix: Vec<u8>,
    filter: Option<Filter>,
    backwards: bool,
    /// Which end it has gone past.
    gone: Option<End>,
    /// The value of the entry, where it was looked for to see whether it is meant.
    value: Option<Bytes>,
    examined: u64,
}

#[derive(Debug)]
enum Source {
    Keys(Cursor),
    Index(IndexCursor),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// What to walk over.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) data: Database,
    /// The index to go through, in which ranges, and whether backwards.
    pub(crate) index: Option<(Index, Ranges, bool)>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) filter: Option<Filter>,
}

impl Walk {
    /// Before the first entry.
    pub(crate) fn new(snapshot: &Snapshot, route: Route) -> KvResult<Self> {
        let Route { data, index, prefix, filter } = route;
        let (source, ranges, backwards) = match index {
            Some((index, ranges, backwards)) => {
                (Source::Index(index.cursor(snapshot)?), ranges, backwards)
            }
            None => {
                let range = KeyRange { start: prefix.clone(), end: end_of_prefix(&prefix) };
                (Source::Keys(snapshot.cursor(&data)?), Ranges(vec![range]), false)
            }
        };
        Ok(Self {
            snapshot: snapshot.clone(),
            data,
            source,
            ranges,
            range: 0,
            prefix,
            filter,
            backwards,
            gone: Some(End::First),
            value: None,
            examined: 0,
        })
    }

    /// How many entries, or places of an index, it has looked at.
    pub(crate) const fn examined(&self) -> u64 {
        self.examined
    }

    /// Moves to the first entry; returns whether there is one.
    pub(crate) fn first(&mut self) -> KvResult<bool> {
        let found =
            if self.backwards { self.enter_backward(None)? } else { self.enter_forward(0)? };
        self.settle(found, true)
    }

    /// Moves to the last entry; returns whether there is one.
    pub(crate) fn last(&mut self) -> KvResult<bool> {
        let found =
            if self.backwards { self.enter_forward(0)? } else { self.enter_backward(None)? };
        self.settle(found, false)
    }

    /// Moves to the next entry, from before the first one to that; returns whether there is one.
    pub(crate) fn next(&mut self) -> KvResult<bool> {
        match self.gone {
            Some(End::First) => self.first(),
            Some(End::Last) => Ok(false),
            None => {
                let found = self.step(true)?;
                self.settle(found, true)
            }
        }
    }

    /// Moves to the previous entry, from after the last one to that; returns whether there is one.
    pub(crate) fn previous(&mut self) -> KvResult<bool> {
        match self.gone {
            Some(End::Last) => self.last(),
            Some(End::First) => Ok(false),
            None => {
                let found = self.step(false)?;
                self.settle(found, false)
            }
        }
    }

    /// The stored key of the entry.
    pub(crate) fn key(&self) -> &[u8] {
        match &self.source {
            Source::Keys(cursor) => cursor.key(),
            Source::Index(cursor) => cursor.primary_key(),
        }
    }

    /// What `read` makes of the stored key and value of the entry; `None` if an index leads to none.
    pub(crate) fn entry_with<R>(
        &self,
        read: impl FnOnce(&[u8], Stored<'_>) -> R,
    ) -> KvResult<Option<R>> {
        Ok(match (&self.source, &self.value) {
            (_, Some(value)) => Some(read(self.key(), value.clone().into())),
            (Source::Keys(cursor), None) => cursor.stored()?.map(|value| read(cursor.key(), value)),
            (Source::Index(cursor), None) => {
                let key = cursor.primary_key();
                self.snapshot.get_with(&self.data, key, |value| read(key, value))?
            }
        })
    }

    /// Goes on until an entry is meant.
    fn settle(&mut self, mut found: bool, forward: bool) -> KvResult<bool> {
        loop {
            self.value = None;
            if !found {
                self.gone = Some(if forward { End::Last } else { End::First });
                return Ok(false);
            }
            self.gone = None;
            self.examined += 1;
            if self.is_meant()? {
                return Ok(true);
            }
            found = self.step(forward)?;
        }
    }

    fn is_meant(&mut self) -> KvResult<bool> {
        if !self.key().starts_with(&self.prefix) {
            return Ok(false);
        }
        let Some(filter) = &self.filter else { return Ok(true) };
        let value = match &self.source {
            Source::Keys(cursor) => {
                return Ok(cursor.stored()?.is_some_and(|value| filter.admits(&value)));
            }
            Source::Index(cursor) => self.snapshot.get(&self.data, cursor.primary_key())?,
        };
        let Some(value) = value.map(cairn_env::Value::into_bytes) else { return Ok(false) };
        let admits = filter.admits(&value);
        self.value = Some(value); // it is not looked for again
        Ok(admits)
    }

    fn step(&mut self, forward: bool) -> EnvResult<bool> {
        if forward == self.backwards { self.step_backward() } else { self.step_forward() }
    }

    fn step_forward(&mut self) -> EnvResult<bool> {
        if self.source.next()? && self.is_below_end() {
            return Ok(true);
        }
        self.enter_forward(self.range + 1)
    }

    fn step_backward(&mut self) -> EnvResult<bool> {
        if self.source.previous()? && self.is_above_start() {
            return Ok(true);
        }
        match self.range.checked_sub(1) {
            Some(range) => self.enter_backward(Some(range)),
            None => Ok(false),
        }
    }

    /// To the first place in the first of these ranges that has one.
    fn enter_forward(&mut self, from: usize) -> EnvResult<bool> {
        for range in from..self.ranges.0.len() {
            self.range = range;
            if !self.source.seek(&self.ranges.0[range].start)? {
                return Ok(false);
            }
            if self.is_below_end() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// To the last place in the last of the ranges up to this one that has one.
    fn enter_backward(&mut self, to: Option<usize>) -> EnvResult<bool> {
        let ranges = to.map_or(self.ranges.0.len(), |range| range + 1);
        for range in (0..ranges).rev() {
            self.range = range;
            let found = match &self.ranges.0[range].end {
                Some(end) => self.source.seek_before(end)?,
                None => self.source.last()?,
            };
            if !found {
                return Ok(false);
            }
            if self.is_above_start() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_below_end(&self) -> bool {
        let end = &self.ranges.0[self.range].end;
        end.as_ref().is_none_or(|end| self.source.key() < &end[..])
    }

    fn is_above_start(&self) -> bool {
        self.source.key() >= &self.ranges.0[self.range].start[..]
    }
}

impl Source {
    fn key(&self) -> &[u8] {
        match self {
            Self::Keys(cursor) => cursor.key(),
            Self::Index(cursor) => cursor.key(),
        }
    }

    fn seek(&mut self, key: &[u8]) -> EnvResult<bool> {
        match self {
            Self::Keys(cursor) => cursor.seek(key),
            Self::Index(cursor) => cursor.seek(key),
        }
    }

    fn seek_before(&mut self, key: &[u8]) -> EnvResult<bool> {
        match self {
            Self::Keys(cursor) => cursor.seek_before(key),
            Self::Index(cursor) => cursor.seek_before(key),
        }
    }

    fn last(&mut self) -> EnvResult<bool> {
        match self {
            Self::Keys(cursor) => cursor.last(),
            Self::Index(cursor) => cursor.last(),
        }
    }

    fn next(&mut self) -> EnvResult<bool> {
        match self {
            Self::Keys(cursor) => cursor.next(),
            Self::Index(cursor) => cursor.next(),
        }
    }

    fn previous(&mut self) -> EnvResult<bool> {
        match self {
            Self::Keys(cursor) => cursor.previous(),
            Self::Index(cursor) => cursor.previous(),
        }
    }
}

/// The first key above all that begin with `prefix`; `None` if there is none.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
