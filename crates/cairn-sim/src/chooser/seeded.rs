//! `Seeded`: a small generator whose whole history is one number.

use std::fmt;

use super::Chooser;
use crate::hash::mix;

/// Draws at random; the same seed draws the same.
///
/// Parts of a test take [streams](Seeded::stream) by name from one seed. A stream depends on the
/// seed and its name alone, so a part that begins to draw, or draws more, shifts no other.
///
/// It prints as its seed, for the first line of a failure.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    state: u64,
}

impl Seeded {
    /// The generator of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// What it was made from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The generator for the part of the test called `name`. It does not matter what has been
    /// drawn from this one.
    #[must_use]
    pub fn stream(&self, name: &str) -> Self {
        let start = mix(self.seed ^ STEP);
        Self::new(name.bytes().fold(start, |seed, byte| mix(seed ^ u64::from(byte))))
    }

    /// Sixty-four random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// Random bytes.
    pub fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// An odd number near 2⁶⁴ divided by the golden ratio: adding it visits every state, with
/// neighbours far apart, and mixing makes each state a draw.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chooser for Seeded {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        assert!(n > 0, "nothing to choose from for {tag}");
        // The upper half of the product spreads the 2⁶⁴ draws over n almost evenly.
        let product = u128::from(self.next_u64()) * n as u128;
        usize::try_from(product >> 64).expect("it fits because it is below n")
    }
}

impl fmt::Display for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.seed)
    }
}
