//! Keys: their order, shortest separators, common prefixes, and heads.

/// Longest key in bytes.
pub const MAX_KEY_LEN: usize = 4096;

/// The first four bytes of a key's suffix as a number that compares as the bytes do.
///
/// A node keeps these heads side by side, so most steps of a search compare two numbers and touch
/// no key. A suffix shorter than four bytes is filled with zeros; equal heads decide nothing.
#[expect(clippy::big_endian_bytes, reason = "numbers compare as bytes do only in this order")]
pub(crate) fn head(suffix: &[u8]) -> u32 {
    match suffix.first_chunk::<4>() {
        Some(first) => u32::from_be_bytes(*first),
        None => {
            let mut first = [0; 4];
            first[..suffix.len()].copy_from_slice(suffix);
            u32::from_be_bytes(first)
        }
    }
}

/// How many bytes `a` and `b` have in common at their beginning.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The shortest key above `left` and not above `right`: what a branch stores to tell two leaves
/// apart. `left` must be below `right`.
pub(crate) fn separator<'k>(left: &[u8], right: &'k [u8]) -> &'k [u8] {
    debug_assert!(left < right, "a separator stands between two different keys");
    &right[..(common_prefix(left, right) + 1).min(right.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_never_contradict_the_order(a: Vec<u8>, b: Vec<u8>) {
            if a < b {
                prop_assert!(head(&a) <= head(&b));
            }
        }

        #[test]
        fn a_separator_parts_its_neighbours_and_cannot_be_shorter(a: Vec<u8>, b: Vec<u8>) {
            prop_assume!(a < b);
            let s = separator(&a, &b);
            prop_assert!(&a[..] < s && s <= &b[..]);
            prop_assert!(s[..s.len() - 1] <= a[..]);
        }
    }
}
