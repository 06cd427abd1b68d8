//! `Pieces`: for each range of keys of a tree the newest state that can be told.

use std::{collections::BTreeMap, ops::Bound};

use cairn_log::Lsn;

/// A range of keys and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) lower: Vec<u8>,
    pub(crate) upper: Option<Vec<u8>>,
    /// The range is as this commit has left it.
    pub(crate) commit: u64,
    /// The leaf that holds its entries; `None`: it has none.
    pub(crate) leaf: Option<Lsn>,
}

/// Ranges that do not overlap, by their lower ends.
#[derive(Debug, Default)]
pub(crate) struct Pieces(BTreeMap<Vec<u8>, Piece>);

impl Pieces {
    /// Adds the parts of `piece` that are not there yet. So the newest come first.
    pub(crate) fn add(&mut self, piece: &Piece) {
        let free = self.holes(&piece.lower, piece.upper.as_deref());
        for (lower, upper) in free {
            self.0.insert(lower.clone(), Piece { lower, upper, ..piece.clone() });
        }
    }

    /// The parts of a range that no piece covers.
    pub(crate) fn holes(
        &self,
        lower: &[u8],
        upper: Option<&[u8]>,
    ) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut holes = Vec::new();
        let mut at = lower.to_vec();
        for piece in self.overlapping(lower, upper) {
            if at < piece.lower {
                holes.push((at.clone(), Some(piece.lower.clone())));
            }
            match &piece.upper {
                Some(end) => at.clone_from(end),
                None => return holes,
            }
        }
        if upper.is_none_or(|upper| &at[..] < upper) {
            holes.push((at, upper.map(<[u8]>::to_vec)));
        }
        holes
    }

    /// The pieces that have keys of a range, in order.
    pub(crate) fn overlapping<'a>(
        &'a self,
        lower: &'a [u8],
        upper: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Piece> {
        let first = self.at(lower).map_or(lower, |piece| &piece.lower);
        self.0
            .range::<[u8], _>((Bound::Included(first), Bound::Unbounded))
            .map(|(_, piece)| piece)
            .take_while(move |piece| upper.is_none_or(|upper| &piece.lower[..] < upper))
    }

    /// The piece that covers a key.
    pub(crate) fn at(&self, key: &[u8]) -> Option<&Piece> {
        let (_, piece) =
            self.0.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        piece.upper.as_ref().is_none_or(|upper| key < &upper[..]).then_some(piece)
    }

    /// All pieces, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.0.values()
    }

    /// The commit before which changes of a key count no more.
    pub(crate) fn commit_of(&self, key: &[u8]) -> u64 {
        self.at(key).map_or(0, |piece| piece.commit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_key_has_the_first_piece_that_covers_it(
            ranges in prop::collection::vec((0u8..20, prop::option::of(1u8..20)), 0..12),
        ) {
            let ranges: Vec<Piece> = ranges
                .into_iter()
                .zip(1..)
                .map(|((lower, len), commit)| Piece {
                    lower: vec![lower],
                    upper: len.map(|len| vec![lower + len]),
                    commit,
                    leaf: None,
                })
                .collect();
            let mut pieces = Pieces::default();
            ranges.iter().for_each(|piece| pieces.add(piece));
            for key in 0u8..45 {
                let covers = |piece: &&Piece| {
                    piece.lower[0] <= key && piece.upper.as_ref().is_none_or(|end| key < end[0])
                };
                let expected = ranges.iter().find(covers).map_or(0, |piece| piece.commit);
                prop_assert_eq!(pieces.commit_of(&[key]), expected);
                let holes = pieces.holes(&[key], Some(&[key + 1]));
                prop_assert_eq!(holes.is_empty(), expected != 0);
            }
        }
    }
}
