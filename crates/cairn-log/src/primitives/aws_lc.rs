//! The primitives of aws-lc-rs.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
};
use zeroize::Zeroizing;

use super::{KEY_LEN, NONCE_LEN, NotAuthentic};
use crate::TAG_LEN;

/// AES-256-GCM with one key.
pub(crate) struct Gcm(LessSafeKey);

impl Gcm {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the cipher's keys have 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts in place; the tag also vouches for `vouched`.
    pub(crate) fn encrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(vouched), text);
        let tag = tag.expect("a text has fewer bytes than the cipher takes at once");
        tag.as_ref().try_into().expect("the cipher's tags have 16 bytes")
    }

    /// Decrypts in place what its tag stands behind.
    pub(crate) fn decrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        stored: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(vouched), stored);
        opened.map(drop).map_err(|_| NotAuthentic)
    }

    /// Decrypts into another buffer, of the same length.
    pub(crate) fn decrypt_into(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        (text, tag): (&[u8], &[u8]),
        out: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_separate_gather(nonce, Aad::from(vouched), text, tag, out);
        opened.map_err(|_| NotAuthentic)
    }
}

/// HMAC-SHA-256 with one key.
pub(crate) struct Hmac(hmac::Key);

impl Hmac {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; KEY_LEN] {
        let code = hmac::sign(&self.0, bytes);
        code.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

/// The length of what is derived.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

/// HKDF-SHA-256, both steps; the parts of `info` follow each other.
pub(crate) fn hkdf(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
    let mut out = Zeroizing::new([0; KEY_LEN]);
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Derived)
        .and_then(|derived| derived.fill(&mut out[..]))
        .expect("32 bytes are fewer than the 8,160 that can be derived");
    out
}

/// Whether two secrets are the same, in a time that does not say where they differ.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}
