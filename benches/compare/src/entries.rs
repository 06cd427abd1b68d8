//! What is stored where only its size counts: numbered keys, and values of noise.

pub fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// Bytes of which values are pieces, so that making one costs next to nothing.
pub struct Values(Vec<u8>);

impl Values {
    pub fn new(longest: usize) -> Self {
        Self(
            (0..)
                .flat_map(|at| crate::data::mix(at).to_le_bytes())
                .take(longest + (64 << 10))
                .collect(),
        )
    }

    pub fn value(&self, n: u64, len: usize) -> &[u8] {
        let at = usize::try_from(crate::data::mix(n) % (64 << 10)).unwrap_or(0);
        &self.0[at..at + len]
    }
}

/// Noise that stands nowhere else: for what would notice that values are pieces of the same bytes.
pub fn noise(n: u64, version: u64, value: &mut [u8]) {
    let mut state = crate::data::mix(n).wrapping_add(crate::data::mix(!version));
    for piece in value.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        piece.copy_from_slice(&crate::data::mix(state).to_le_bytes()[..piece.len()]);
    }
}
