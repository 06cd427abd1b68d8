//! `merge`: one walk over two sides that are in the same order.

use std::cmp::Ordering;

use cairn_archive::Change;

use super::CompareCounts;
use crate::BackupResult;

/// Goes over both sides to their ends, and counts. Of what both have, the second is told.
pub(super) fn merge<T>(
    mut one: impl FnMut() -> BackupResult<Option<T>>,
    mut other: impl FnMut() -> BackupResult<Option<T>>,
    order: impl Fn(&T, &T) -> Ordering,
    same: impl Fn(&T, &T) -> bool,
    mut found: impl FnMut(Option<Change>, &T),
) -> BackupResult<CompareCounts> {
    let mut counts = CompareCounts::default();
    let (mut a, mut b) = (one()?, other()?);
    loop {
        let (side, entry, change) = match (&a, &b) {
            (None, None) => return Ok(counts),
            (Some(a), None) => (Ordering::Less, a, Some(Change::Removed)),
            (None, Some(b)) => (Ordering::Greater, b, Some(Change::Added)),
            (Some(a), Some(b)) => match order(a, b) {
                Ordering::Less => (Ordering::Less, a, Some(Change::Removed)),
                Ordering::Greater => (Ordering::Greater, b, Some(Change::Added)),
                Ordering::Equal => (Ordering::Equal, b, (!same(a, b)).then_some(Change::Changed)),
            },
        };
        counts.count(change);
        found(change, entry);
        if side != Ordering::Greater {
            a = one()?;
        }
        if side != Ordering::Less {
            b = other()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_differs_between_two_maps_leads_from_one_to_the_other(
            one in prop::collection::btree_map(0..30_u8, 0..3_u8, 0..20),
            other in prop::collection::btree_map(0..30_u8, 0..3_u8, 0..20),
        ) {
            let (mut ones, mut others) = (one.iter(), other.iter());
            let mut differences = BTreeMap::new();
            let counts = merge(
                || Ok(ones.next()),
                || Ok(others.next()),
                |a, b| a.0.cmp(b.0),
                |a, b| a.1 == b.1,
                |change, entry| {
                    if let Some(change) = change {
                        differences.insert(*entry.0, change);
                    }
                },
            )
            .unwrap();
            let mut moved = one.clone();
            for (key, change) in &differences {
                let before = match change {
                    Change::Removed => moved.remove(key),
                    Change::Added | Change::Changed => moved.insert(*key, other[key]),
                };
                prop_assert_eq!(before.is_none(), *change == Change::Added);
            }
            prop_assert_eq!(&moved, &other);
            prop_assert_eq!(counts.is_same(), one == other);
            let all = counts.same + counts.added + counts.removed + counts.changed;
            let keys = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(all, keys.len() as u64);
        }
    }
}
