//! `Rows`: what a result set moves over, be they found one by one or sorted before.

use bytes::Bytes;
use cairn_env::{Database, Snapshot, Stored};

use super::{
    sorted::sorted_keys,
    walk::{Route, Walk},
};
use crate::{KvResult, Schema, query::Parts};

/// Entries in order, with a position among them, without limit and offset of the query.
#[derive(Debug)]
pub(crate) enum Rows {
    Walked(Box<Walk>),
    Sorted {
        snapshot: Snapshot,
        data: Database,
        keys: Vec<Bytes>,
        at: Option<usize>,
        examined: u64,
    },
}

impl Rows {
    /// Before the first entry. `sorts`: an order that the route does not give, with limit and offset.
    pub(crate) fn new(
        snapshot: &Snapshot,
        route: Route,
        sorts: Option<(&Parts, &Schema)>,
    ) -> KvResult<Self> {
        let data = route.data.clone();
        let mut walk = Walk::new(snapshot, route)?;
        let Some((parts, schema)) = sorts else { return Ok(Self::Walked(Box::new(walk))) };
        let keys = sorted_keys(&mut walk, parts, schema)?;
        let (snapshot, examined) = (snapshot.clone(), walk.examined());
        Ok(Self::Sorted { snapshot, data, keys, at: None, examined })
    }

    /// Whether limit and offset are applied already.
    pub(crate) const fn is_sorted(&self) -> bool {
        matches!(self, Self::Sorted { .. })
    }

    /// How many entries, or places of an index, were looked at.
    pub(crate) fn examined(&self) -> u64 {
        match self {
            Self::Walked(walk) => walk.examined(),
            Self::Sorted { examined, .. } => *examined,
        }
    }

    /// How many there are, if that is known.
    pub(super) fn known_len(&self) -> Option<u64> {
        match self {
            Self::Walked(_) => None,
            Self::Sorted { keys, .. } => Some(keys.len() as u64),
        }
    }

    pub(crate) fn first(&mut self) -> KvResult<bool> {
        match self {
            Self::Walked(walk) => walk.first(),
            Self::Sorted { keys, at, .. } => Ok(go(keys, at, 0)),
        }
    }

    pub(super) fn last(&mut self) -> KvResult<bool> {
        match self {
            Self::Walked(walk) => walk.last(),
            Self::Sorted { keys, at, .. } => Ok(go(keys, at, keys.len().saturating_sub(1))),
        }
    }

    pub(crate) fn next(&mut self) -> KvResult<bool> {
        match self {
            Self::Walked(walk) => walk.next(),
            Self::Sorted { keys, at, .. } => Ok(go(keys, at, at.map_or(0, |at| at + 1))),
        }
    }

    pub(super) fn previous(&mut self) -> KvResult<bool> {
        match self {
            Self::Walked(walk) => walk.previous(),
            Self::Sorted { keys, at, .. } => {
                let before = at.map_or(keys.len(), |at| at.min(keys.len())).checked_sub(1);
                Ok(before.is_some_and(|before| go(keys, at, before)))
            }
        }
    }

    /// What `read` makes of the stored key and value of the entry that it stands on; `None` if there is none.
    pub(crate) fn entry_with<R>(
        &self,
        read: impl FnOnce(&[u8], Stored<'_>) -> R,
    ) -> KvResult<Option<R>> {
        match self {
            Self::Walked(walk) => walk.entry_with(read),
            Self::Sorted { snapshot, data, keys, at, .. } => {
                let Some(key) = at.and_then(|at| keys.get(at)) else { return Ok(None) };
                Ok(snapshot.get_with(data, key, |value| read(key, value))?)
            }
        }
    }
}

/// Moves to a place; returns whether there is something.
fn go(keys: &[Bytes], at: &mut Option<usize>, to: usize) -> bool {
    *at = Some(to.min(keys.len()));
    to < keys.len()
}
