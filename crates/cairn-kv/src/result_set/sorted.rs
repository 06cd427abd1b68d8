//! Entries in an order that no index gives: their keys, all found and sorted before the first one.

use bytes::Bytes;

use super::walk::Walk;
use crate::{KvResult, Scalar, Schema, query::Parts, schema};

/// The keys of the entries that are meant, in the order that is asked for; limit and offset are applied.
///
/// # Errors
/// As reading does.
pub(super) fn sorted_keys(walk: &mut Walk, parts: &Parts, schema: &Schema) -> KvResult<Vec<Bytes>> {
    let mut rows: Vec<(Vec<Scalar>, Bytes)> = Vec::new();
    let mut found = walk.first()?;
    while found {
        let row = walk.entry_with(|key, value| {
            let document = schema::parse(schema.skip, &value).unwrap_or_default();
            let by = parts.orders.iter().map(|(path, _)| schema.see(&document, path)).collect();
            (by, Bytes::copy_from_slice(key))
        })?;
        rows.extend(row);
        found = walk.next()?;
    }
    rows.sort_unstable_by(|(a, a_key), (b, b_key)| {
        let directed = |order: std::cmp::Ordering, descending| match descending {
            true => order.reverse(),
            false => order,
        };
        let fields = a.iter().zip(b).zip(&parts.orders);
        let by_fields = fields
            .map(|((a, b), (_, descending))| directed(a.cmp(b), *descending))
            .find(|order| order.is_ne());
        let last = parts.orders.last().is_some_and(|(_, descending)| *descending);
        by_fields.unwrap_or_else(|| directed(a_key.cmp(b_key), last))
    });
    let (total, offset) = parts.limit.unwrap_or((u64::MAX, 0));
    let [total, offset] = [total, offset].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    Ok(rows.into_iter().map(|(_, key)| key).skip(offset).take(total).collect())
}
