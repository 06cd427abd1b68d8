//! `PieceHasher`: BLAKE3 of bytes that come in pieces of any length, as fast as of one piece.
//!
//! BLAKE3 is a tree over chunks of 1 KiB, and hashes many of them side by side if they come together and begin where a
//! large part of the tree does. What comes in other pieces is hashed chunk by chunk around each seam. So here it is
//! given on in blocks, and what is left of the last one waits for the next piece.

/// Enough chunks for the widest processor, and a power of two.
const BLOCK: usize = 16 << 10;

/// Hashes pieces of any length.
#[derive(Default)]
pub(crate) struct PieceHasher {
    hasher: blake3::Hasher,
    /// Less than a block.
    rest: Vec<u8>,
}

impl PieceHasher {
    pub(crate) fn update(&mut self, mut piece: &[u8]) {
        if !self.rest.is_empty() {
            let (begin, after) = piece.split_at(piece.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(begin);
            piece = after;
            if self.rest.len() < BLOCK {
                return;
            }
            self.hasher.update(&self.rest);
            self.rest.clear();
        }
        let (blocks, rest) = piece.split_at(piece.len() - piece.len() % BLOCK);
        self.hasher.update(blocks);
        self.rest.extend_from_slice(rest);
    }

    /// The hash of all pieces. It begins again then.
    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.hasher.update(&self.rest);
        self.rest.clear();
        let hash = *self.hasher.finalize().as_bytes();
        self.hasher.reset();
        hash
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_have_the_hash_of_the_whole(lens in vec(0usize..40_000, 0..8)) {
            let mut hasher = PieceHasher::default();
            for round in 0..2u8 {
                let mut whole = Vec::new();
                for (len, fill) in lens.iter().zip(round..) {
                    let piece = vec![fill; *len];
                    hasher.update(&piece);
                    whole.extend_from_slice(&piece);
                }
                prop_assert_eq!(hasher.finish(), *blake3::hash(&whole).as_bytes());
            }
        }
    }
}
