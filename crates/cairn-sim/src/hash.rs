//! A hash that is the same in every run: for telling images and traces apart, not for strangers.

/// Spreads the bits of a word so that neighbours become unlike.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(MULTIPLIERS[0]);
    let word = (word ^ (word >> 29)).wrapping_mul(MULTIPLIERS[1]);
    word ^ (word >> 32)
}

/// Odd numbers with about half their bits set; any such would do.
const MULTIPLIERS: [u64; 2] = [0xd1b5_4a32_d192_ed03, 0xaef1_7502_b3c5_8a6b];

/// Two lanes of 64 bits, each a chain of multiplications of which both halves are kept.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    lanes: [u64; 2],
}

impl Hasher {
    pub(crate) const fn new() -> Self {
        Self { lanes: MULTIPLIERS }
    }

    pub(crate) fn word(&mut self, word: u64) {
        let [one, two] = self.lanes;
        self.lanes =
            [fold(one ^ word, MULTIPLIERS[0]), fold(two.rotate_left(32) ^ word, MULTIPLIERS[1])];
    }

    pub(crate) fn wide(&mut self, words: u128) {
        let [low, high] = halves(words);
        self.word(low);
        self.word(high);
    }

    /// Bytes together with their number, so that the borders between texts count.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    pub(crate) fn finish(&self) -> u128 {
        let [one, two] = self.lanes;
        u128::from(mix(one)) << 64 | u128::from(mix(two ^ one))
    }
}

const fn fold(word: u64, multiplier: u64) -> u64 {
    let [low, high] = halves((word as u128) * (multiplier as u128));
    low ^ high ^ word // the word itself, so that a product of zero forgets nothing
}

#[expect(clippy::cast_possible_truncation, reason = "it takes the two halves apart")]
const fn halves(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}
