//! Keys of a device collaboration store: before each stands whose it is.
//!
//! One byte for the length of the id of the device, the id, the key. So the keys of a device lie together,
//! and none of one device can be taken for one of another.

/// What the stored keys of a device begin with. The id has 1 to 127 bytes.
pub(crate) fn head(device: &str) -> Vec<u8> {
    let len = u8::try_from(device.len()).unwrap_or(u8::MAX);
    let mut head = Vec::with_capacity(1 + device.len());
    head.push(len);
    head.extend_from_slice(device.as_bytes());
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_key_of_one_device_is_one_of_another(
            a in "[ab]{1,3}", b in "[ab]{1,3}", key in "[ab\u{1}\u{2}]{0,4}",
        ) {
            let stored = [head(&a), key.into_bytes()].concat();
            prop_assert_eq!(stored.starts_with(&head(&b)), a == b);
        }
    }
}
