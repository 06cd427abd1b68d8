//! What is derived from a data key: a key for each purpose, and codes that vouch for bytes.
//!
//! HKDF-SHA-256 with a label for each purpose. So no two purposes share a key, and what is learned of one
//! says nothing of another. Codes are HMAC-SHA-256, which needs no nonce: they are for what is
//! overwritten in place.

use crate::{
    DataKey,
    primitives::{self, Hmac},
};

impl DataKey {
    /// The key for the purpose `label`, in the context that `parts` say. The parts of one label have
    /// fixed lengths, so that no two contexts look the same.
    #[must_use]
    pub fn derive(&self, label: &str, salt: &[u8], parts: &[&[u8]]) -> Self {
        let mut info = vec![label.as_bytes()];
        info.extend_from_slice(parts);
        Self::new(*primitives::hkdf(self.expose(), salt, &info))
    }
}

/// A key for codes that vouch for bytes.
pub struct MacKey(Hmac);

impl MacKey {
    /// The key for codes that `key` is used for.
    #[must_use]
    pub fn new(key: &DataKey) -> Self {
        Self(Hmac::new(key.expose()))
    }

    /// The code of `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        self.0.sign(bytes)
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
    primitives::is_same(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_is_what_rfc_5869_says() {
        // Independent of this code: HMAC-SHA-256 twice, by hand, as the RFC defines extract and expand.
        let key = DataKey::new([0x0b; 32]);
        let secret = MacKey(Hmac::new(b"salt")).sign(key.expose());
        let expected = MacKey(Hmac::new(&secret)).sign(b"labelpart\x01");
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
