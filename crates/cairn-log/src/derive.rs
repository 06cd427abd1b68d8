//! What is derived from a data key: a key for each purpose, and codes that vouch for bytes.
//!
//! HKDF-SHA-256 with a label for each purpose. So no two purposes share a key, and what is learned of one
//! says nothing of another. Codes are HMAC-SHA-256, which needs no nonce: they are for what is
//! overwritten in place.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hkdf::{self, KeyType},
    hmac,
};
use zeroize::Zeroizing;

use crate::DataKey;

/// The length of what is derived.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        DataKey::LEN
    }
}

impl DataKey {
    /// The key for the purpose `label`, in the context that `parts` say. The parts of one label have
    /// fixed lengths, so that no two contexts look the same.
    #[must_use]
    pub fn derive(&self, label: &str, salt: &[u8], parts: &[&[u8]]) -> Self {
        let mut info = vec![label.as_bytes()];
        info.extend_from_slice(parts);
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.expose());
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        secret
            .expand(&info, Bytes32)
            .and_then(|derived| derived.fill(&mut bytes[..]))
            .expect("32 bytes are fewer than the 8,160 that can be derived");
        Self::new(*bytes)
    }
}

/// A key for codes that vouch for bytes.
pub struct MacKey(hmac::Key);

impl MacKey {
    /// The key for codes that `key` is used for.
    #[must_use]
    pub fn new(key: &DataKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// The code of `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, bytes);
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }

    /// Whether `code` is that of `bytes`. How long that takes says nothing of where they differ.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], code: &[u8; 32]) -> bool {
        is_same(&self.sign(bytes), code)
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// Whether two secrets of one length are the same. How long that takes says nothing of where they differ.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_is_what_rfc_5869_says() {
        // Independent of this code: HMAC-SHA-256 twice, by hand, as the RFC defines extract and expand.
        let key = DataKey::new([0x0b; 32]);
        let secret = MacKey(hmac::Key::new(hmac::HMAC_SHA256, b"salt")).sign(key.expose());
        let expected = MacKey(hmac::Key::new(hmac::HMAC_SHA256, &secret)).sign(b"labelpart\x01");
        assert_eq!(*key.derive("label", b"salt", &[b"part"]).expose(), expected);
    }

    #[test]
    fn each_purpose_salt_and_context_has_a_key_of_its_own() {
        let key = DataKey::new([1; 32]);
        let one = key.derive("a", b"s", &[b"x"]);
        for other in [
            key.derive("b", b"s", &[b"x"]),
            key.derive("a", b"t", &[b"x"]),
            key.derive("a", b"s", &[b"y"]),
            DataKey::new([2; 32]).derive("a", b"s", &[b"x"]),
        ] {
            assert!(!is_same(one.expose(), other.expose()));
        }
    }

    #[test]
    fn a_code_is_of_its_bytes_and_key() {
        let mac = MacKey::new(&DataKey::new([1; 32]));
        let code = mac.sign(b"bytes");
        assert!(mac.verify(b"bytes", &code));
        assert!(!mac.verify(b"bytez", &code));
        assert!(!MacKey::new(&DataKey::new([2; 32])).verify(b"bytes", &code));
    }
}
