//! A key and one of its values as one key of a tree, so that a key can have many values.
//!
//! The key comes first, each `00` in it as `00 FF`, then `00 01`, then the value as it is. So pairs are
//! in the order of their keys, and pairs of one key in the order of their values; and the leaves,
//! which leave out what neighbours have in common, hold the key about once. (The tuple encoding of
//! FoundationDB.)

use std::ops::Bound;

use cairn_btree::MAX_KEY_LEN;

use crate::{EnvError, EnvResult};

/// Bounds of a range that own their keys.
pub(crate) type OwnBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Bytes between key and value.
const END: [u8; 2] = [0, 1];

/// Bytes of keys and values that go together: see [`EnvError::PairTooLong`].
pub(crate) fn encode(key: &[u8], value: &[u8]) -> EnvResult<Vec<u8>> {
    let mut pair = Vec::with_capacity(key.len() + END.len() + value.len());
    escape(key, &mut pair);
    pair.extend_from_slice(&END);
    pair.extend_from_slice(value);
    if pair.len() > MAX_KEY_LEN {
        return Err(EnvError::PairTooLong {
            key: key.len(),
            value: value.len(),
            len: pair.len(),
            max: MAX_KEY_LEN,
        });
    }
    Ok(pair)
}

/// Key and value of a pair; `None` if these bytes are none.
pub(crate) fn decode(pair: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut key = Vec::new();
    decode_into(pair, &mut key).map(|value| (key, value))
}

/// As [`decode`], with the key in a buffer that was used before; `None` leaves it with anything.
pub(crate) fn decode_into<'p>(pair: &'p [u8], key: &mut Vec<u8>) -> Option<&'p [u8]> {
    key.clear();
    let mut rest = pair;
    loop {
        let zero = rest.iter().position(|&byte| byte == 0)?;
        key.extend_from_slice(&rest[..zero]);
        match rest[zero + 1..].split_first()? {
            (0xff, after) => {
                key.push(0);
                rest = after;
            }
            (1, value) => return Some(value),
            _ => return None,
        }
    }
}

/// What all pairs begin with whose keys begin with `prefix`, and no others do.
pub(crate) fn prefix(prefix: &[u8]) -> Vec<u8> {
    let mut pair = Vec::with_capacity(prefix.len());
    escape(prefix, &mut pair);
    pair
}

/// Below all pairs of `key`, and above all of smaller keys.
pub(crate) fn start_of(key: &[u8]) -> Vec<u8> {
    let mut pair = prefix(key);
    pair.extend_from_slice(&END);
    pair
}

/// Above all pairs of `key`, and below all of larger keys.
pub(crate) fn end_of(key: &[u8]) -> Vec<u8> {
    let mut pair = prefix(key);
    pair.extend_from_slice(&[END[0], END[1] + 1]);
    pair
}

/// The pairs whose keys lie within the bounds.
pub(crate) fn bounds(start: Bound<&[u8]>, end: Bound<&[u8]>) -> OwnBounds {
    let start = match start {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(start_of(key)),
        Bound::Excluded(key) => Bound::Included(end_of(key)),
    };
    let end = match end {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Excluded(end_of(key)),
        Bound::Excluded(key) => Bound::Excluded(start_of(key)),
    };
    (start, end)
}

fn escape(key: &[u8], out: &mut Vec<u8>) {
    for (i, part) in key.split(|&byte| byte == 0).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[0, 0xff]);
        }
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Bytes with many zeros and ends.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0xfe), Just(0xff), any::<u8>()], 0..8)
    }

    proptest! {
        #[test]
        fn pairs_are_in_the_order_of_keys_and_then_of_values(
            a in (bytes(), bytes()), b in (bytes(), bytes()),
        ) {
            let (x, y) = (encode(&a.0, &a.1).unwrap(), encode(&b.0, &b.1).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let (key, value) = decode(&x).unwrap();
            prop_assert_eq!((key, value.to_vec()), a);
        }

        #[test]
        fn bounds_take_in_exactly_the_pairs_of_their_keys(
            a in (bytes(), bytes()), key in bytes(),
        ) {
            let pair = encode(&a.0, &a.1).unwrap();
            prop_assert_eq!(pair < start_of(&key), a.0 < key);
            prop_assert_eq!(pair >= end_of(&key), a.0 > key);
            prop_assert_eq!(pair.starts_with(&prefix(&key)), a.0.starts_with(&key));
        }

        #[test]
        fn whatever_is_no_pair_is_refused(bytes in vec(any::<u8>(), 0..20)) {
            if let Some((key, value)) = decode(&bytes) {
                prop_assert_eq!(encode(&key, value).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn a_pair_has_the_length_of_a_key() {
        assert!(encode(&[7; 4000], &[7; 94]).is_ok());
        let error = encode(&[7; 4000], &[7; 95]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a key of 4000 bytes with a value of 95 bytes takes 4097 bytes: at most 4096, in which \
             each zero byte of the key counts twice"
        );
    }
}
