//! The keys of an index of a field: bytes whose order is that of what the field holds.
//!
//! One byte for the kind, then: nothing for null; 0 or 1 for a boolean; the nearest 64-bit float in the order
//! of its bits and how far the number lies beyond it for a number; the first 512 bytes of a string. So of
//! strings an index knows only how they begin: who finds one by it looks at the string itself.

use crate::{Scalar, scalar::split};

/// So many bytes of a string are in an index. Doubled, for zeros, they leave room for the key of the entry.
const MAX_TEXT: usize = 512;

/// What an index holds of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexKey {
    pub(crate) bytes: Vec<u8>,
    /// Whether it is the key of nothing else.
    pub(crate) is_exact: bool,
}

/// What can be in an index, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null = 1,
    Boolean = 2,
    Number = 3,
    String = 4,
}

impl Kind {
    pub(crate) const fn of(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Boolean(_) => Self::Boolean,
            Scalar::Integer(_) | Scalar::Double(_) => Self::Number,
            Scalar::String(_) => Self::String,
        }
    }
}

/// The keys of one kind: from the first, up to the second and without it.
pub(crate) fn kind_range(kind: Kind) -> (Vec<u8>, Vec<u8>) {
    (vec![kind as u8], vec![kind as u8 + 1])
}

/// The key under which an index has an entry whose field holds this.
pub(crate) fn index_key(scalar: &Scalar) -> IndexKey {
    let mut bytes = vec![Kind::of(scalar) as u8];
    let mut is_exact = true;
    match scalar {
        Scalar::Null => {}
        Scalar::Boolean(is) => bytes.push(u8::from(*is)),
        Scalar::String(text) => {
            let text = text.as_bytes();
            is_exact = text.len() < MAX_TEXT;
            bytes.extend_from_slice(&text[..text.len().min(MAX_TEXT)]);
        }
        number => {
            let (nearest, beyond) = split(number).unwrap_or_default();
            bytes.extend_from_slice(&ordered(nearest, beyond));
        }
    }
    IndexKey { bytes, is_exact }
}

/// Ten bytes that compare as the two numbers do.
#[expect(clippy::big_endian_bytes, reason = "the order of keys is that of their bytes")]
fn ordered(nearest: f64, beyond: i16) -> [u8; 10] {
    let bits = nearest.to_bits();
    let bits = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&bits.to_be_bytes());
    let beyond = beyond.cast_unsigned() ^ 1 << 15;
    bytes[8..].copy_from_slice(&beyond.to_be_bytes());
    bytes
}

/// The table of `docs/format/kv.md` about keys of indexes.
pub(crate) fn spec() -> (&'static str, String) {
    let mut table = String::from("| what the field holds | key |\n|---|---|\n");
    let examples: [Scalar; 8] = [
        Scalar::Null,
        false.into(),
        true.into(),
        (-1).into(),
        0.into(),
        1.5.into(),
        i64::MAX.into(),
        "tea".into(),
    ];
    for scalar in examples {
        let hex: Vec<_> =
            index_key(&scalar).bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        table += &format!("| `{scalar}` | `{}` |\n", hex.join(" "));
    }
    ("kv_index_keys", table)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scalar::tests::scalars;

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_what_they_stand_for(a in scalars(), b in scalars()) {
            prop_assert_eq!(index_key(&a).bytes.cmp(&index_key(&b).bytes), a.cmp(&b), "{} {}", a, b);
        }

        #[test]
        fn keys_lie_in_the_range_of_their_kind(scalar in scalars()) {
            let (start, end) = kind_range(Kind::of(&scalar));
            let key = index_key(&scalar).bytes;
            prop_assert!(start <= key && key < end);
        }
    }

    #[test]
    fn of_a_long_string_an_index_has_the_beginning() {
        let of = |text: String| index_key(&Scalar::from(text));
        assert!(of("x".repeat(511)).is_exact);
        let (a, b) = (of("x".repeat(512)), of("x".repeat(600)));
        assert!(!a.is_exact && a == b && a.bytes.len() == 513);
    }
}
