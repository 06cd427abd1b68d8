//! A node against an ordered map, and against arbitrary bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FENCES: Fences<'_> = Fences { lower: b"", upper: None };

fn stored(image: &Image) -> Vec<u8> {
    let mut out = Vec::new();
    image.store(&mut out);
    out
}

fn content(image: &Image) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    (0..image.count())
        .map(|i| (image.key(i), image.entry(i).value.to_vec(), image.entry(i).pointer))
        .collect()
}

fn put(image: &mut Image, key: &[u8], value: &[u8]) {
    match image.search(key) {
        Ok(i) => image.replace(i, value, false),
        Err(i) => {
            let suffix = image.suffix_of(key).to_vec();
            image.insert(i, &suffix, value, false);
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    // Few distinct bytes: many common prefixes, equal heads, and keys that begin each other.
    prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', b'b', 255]), 0..8)
}

/// An interpreter needs minutes for nodes of the usual size.
const EDITS: usize = if cfg!(miri) { 12 } else { 60 };
const LEN: usize = if cfg!(miri) { 20 } else { 300 };

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(
        prop_oneof![
            3 => (keys(), prop::collection::vec(any::<u8>(), 0..LEN)).prop_map(|(k, v)| Edit::Put(k, v)),
            1 => keys().prop_map(Edit::Remove),
        ],
        0..EDITS,
    )
}

proptest! {
    #[test]
    fn a_node_is_an_ordered_map(edits in edits(), fenced: bool) {
        let fences = if fenced { Fences { lower: b"ab", upper: Some(b"ac") } } else { FENCES };
        let mut image = Image::new(7, 0, fences, 64);
        let mut model = BTreeMap::new();
        let whole = |key: Vec<u8>| if fenced { [b"ab", &key[..]].concat() } else { key };
        for edit in edits {
            match edit {
                Edit::Put(key, value) => {
                    let key = whole(key);
                    put(&mut image, &key, &value);
                    model.insert(key, value);
                }
                Edit::Remove(key) => {
                    let key = whole(key);
                    let found = image.search(&key);
                    prop_assert_eq!(found.is_ok(), model.remove(&key).is_some());
                    if let Ok(i) = found {
                        image.remove(i);
                    }
                }
            }
            prop_assert!(image.used() <= image.allocated());
        }
        let expected: Vec<_> = model.iter().map(|(k, v)| (k.clone(), v.clone(), false)).collect();
        prop_assert_eq!(content(&image), expected.clone());
        for (i, key) in model.keys().enumerate() {
            prop_assert_eq!(image.search(key), Ok(i));
            prop_assert_eq!(image.child_index(key), i + 1);
        }
        // The bytes survive storing, and storing is the same whatever happened before.
        let bytes = stored(&image);
        prop_assert_eq!(bytes.len(), image.used());
        let (loaded, rest) = Image::load(bytes.clone(), |_| 0).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(content(&loaded), expected);
        prop_assert_eq!((loaded.tree(), loaded.level()), (7, 0));
        prop_assert_eq!(stored(&loaded), bytes);
    }

    #[test]
    fn any_bytes_are_loaded_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..400), n in 0u8..4) {
        // Steer towards what gets past the first checks.
        if bytes.len() >= HEADER {
            bytes[..HEADER].fill(0);
            bytes[node_header::VERSION.offset] = VERSION;
            bytes[node_header::COUNT.offset] = n;
            bytes[node_header::UPPER.range()].fill(0xff);
            let heap = bytes.len().saturating_sub(HEADER + usize::from(n) * SLOT);
            node_header::HEAP.set_number(&mut bytes, heap as u64);
        }
        if let Ok((image, _)) = Image::load(bytes, |_| 0) {
            content(&image);
            assert!(image.child_index(b"key") <= image.count());
        }
    }

    #[test]
    fn halves_hold_what_the_whole_held(edits in edits(), at in 0.0..1.0f64) {
        let mut image = Image::new(1, 0, FENCES, 64);
        for edit in edits {
            if let Edit::Put(key, value) = edit {
                put(&mut image, &key, &value);
            }
        }
        prop_assume!(image.count() >= 2);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a random position")]
        let at = 1 + (at * (image.count() - 1) as f64) as usize;
        let separator = image.key(at);
        let mut left = Image::new(1, 0, Fences { lower: b"", upper: Some(&separator) }, 0);
        left.extend(&image, 0, at);
        let mut right = Image::new(1, 0, Fences { lower: &separator, upper: None }, 0);
        right.extend(&image, at, image.count());
        let mut both = content(&left);
        both.extend(content(&right));
        prop_assert_eq!(both, content(&image));
        // And together again.
        let mut merged = Image::new(1, 0, FENCES, 0);
        merged.extend(&left, 0, left.count());
        merged.extend(&right, 0, right.count());
        prop_assert_eq!(content(&merged), content(&image));
    }
}

#[test]
fn each_flipped_bit_is_refused_or_harmless() {
    let mut image = Image::new(1, 0, Fences { lower: b"ab", upper: Some(b"b") }, 64);
    for i in 0..5u8 {
        put(&mut image, &[b'a', b'c', i], &[i; 3]);
    }
    let bytes = stored(&image);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok((image, _)) = Image::load(flipped, |_| 0) {
            content(&image);
        }
    }
    for len in 0..bytes.len() {
        assert!(Image::load(bytes[..len].to_vec(), |_| 0).is_err(), "length {len}");
    }
}

#[test]
fn a_pointer_keeps_its_mark() {
    let pointer = ValuePointer { lsn: 1 << 40, len: 5000, crc: 9 };
    let mut image = Image::new(1, 0, FENCES, 64);
    image.insert(0, b"key", &pointer.encode(), true);
    let (loaded, _) = Image::load(stored(&image), |_| 0).unwrap();
    assert!(loaded.entry(0).pointer);
    assert_eq!(ValuePointer::decode(loaded.entry(0).value), pointer);
    image.replace(0, b"small", false);
    assert_eq!(content(&image), [(b"key".to_vec(), b"small".to_vec(), false)]);
}
