//! `Selection`: a query of a store, ready to be executed on a snapshot.

use std::sync::Arc;

use cairn_env::Snapshot;

use super::{Content, Shared};
use crate::{
    KvError, KvResult, Query, Schema, StoreType, device,
    query::{
        Filter, Parts,
        plan::{Access, Explanation, Plan, plan},
    },
    result_set::{Rows, walk::Route},
};

/// A query of a store, ready to be executed on a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    route: Route,
    parts: Parts,
    schema: Option<Arc<Schema>>,
    sorts: bool,
    /// So many bytes of a stored key are no part of the key.
    stripped: usize,
}

impl Selection {
    /// What `query` means in a store, to a handle of this device.
    ///
    /// # Errors
    /// If the query cannot be understood, or does not fit the store.
    pub(crate) fn new(
        store: &Shared,
        content: &Content,
        device: &str,
        query: &Query,
    ) -> KvResult<Self> {
        let mut parts = query.parts()?;
        let schema = store.schema.clone();
        let Plan { access, sorts } = plan(&parts, schema.as_deref())?;
        let head = match (store.store_type, &parts.device) {
            (StoreType::SingleVersion, None) => Vec::new(),
            (StoreType::SingleVersion, Some(_)) => {
                let what = "a query by device, in a store whose keys belong to no device".into();
                return Err(KvError::NotSupported { what });
            }
            (StoreType::DeviceCollaboration, of) => device::head(of.as_deref().unwrap_or(device)),
        };
        // What the index says need not be asked of the values.
        let is_told = matches!(access, Access::Index { is_exact: true, .. });
        let filter = match (&schema, parts.condition.take()) {
            (Some(schema), Some(expression)) if !is_told => {
                Some(Filter { schema: Arc::clone(schema), expression })
            }
            _ => None,
        };
        let index = match access {
            Access::Keys => None,
            Access::Index { number, ranges, descending, .. } => {
                Some((content.indexes[number].clone(), ranges, descending))
            }
        };
        let (stripped, prefix) = (head.len(), [head, std::mem::take(&mut parts.prefix)].concat());
        let route = Route { data: content.data.clone(), index, prefix, filter };
        Ok(Self { route, parts, schema, sorts, stripped })
    }

    /// The entries, from before the first one.
    pub(crate) fn rows(&self, snapshot: &Snapshot) -> KvResult<Rows> {
        let sorts = self.schema.as_deref().filter(|_| self.sorts);
        Rows::new(snapshot, self.route.clone(), sorts.map(|schema| (&self.parts, schema)))
    }

    /// Limit and offset.
    pub(crate) fn limit(&self) -> (u64, u64) {
        self.parts.limit.unwrap_or((u64::MAX, 0))
    }

    pub(crate) const fn stripped(&self) -> usize {
        self.stripped
    }

    /// How many entries there are without limit and offset, if that can be told without looking at them.
    pub(crate) fn len(&self, snapshot: &Snapshot) -> KvResult<Option<u64>> {
        let is_all = self.route.prefix.is_empty() && self.route.filter.is_none();
        match is_all && self.route.index.is_none() {
            true => Ok(Some(snapshot.len(&self.route.data)?)),
            false => Ok(None),
        }
    }

    /// How many entries there are: found one after the other, whatever the order that is asked for.
    pub(crate) fn count(self, snapshot: &Snapshot) -> KvResult<u64> {
        Ok(Self { sorts: false, ..self }.explain(snapshot)?.returned)
    }

    /// What it takes to find all of it: done, and counted.
    pub(crate) fn explain(&self, snapshot: &Snapshot) -> KvResult<Explanation> {
        let mut rows = self.rows(snapshot)?;
        let (total, offset) = if self.sorts { (u64::MAX, 0) } else { self.limit() };
        let (mut seen, end) = (0, offset.saturating_add(total));
        let mut found = total > 0 && rows.first()?;
        while found {
            seen += 1;
            found = seen < end && rows.next()?;
        }
        let index = self.route.index.as_ref().map(|(index, ..)| index);
        let number = index
            .and_then(|index| index.database().name().rsplit('/').next()?.parse::<usize>().ok());
        let field = number.and_then(|number| self.schema.as_ref()?.indexes.get(number).cloned());
        Ok(Explanation {
            index: field,
            ranges: self.route.index.as_ref().map_or(1, |(_, ranges, _)| ranges.0.len()),
            sorted: self.sorts,
            examined: rows.examined(),
            returned: seen.saturating_sub(offset),
        })
    }
}
