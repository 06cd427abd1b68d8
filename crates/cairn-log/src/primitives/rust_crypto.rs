//! The primitives of RustCrypto, for the interpreter.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::AeadInOut as _};
use hkdf::Hkdf;
use hmac::Mac as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KEY_LEN, NONCE_LEN, NotAuthentic};
use crate::TAG_LEN;

/// AES-256-GCM with one key.
pub(crate) struct Gcm(Aes256Gcm);

impl Gcm {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts in place; the tag also vouches for `vouched`.
    pub(crate) fn encrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let tag = self.0.encrypt_inout_detached(&nonce.into(), vouched, text.into());
        tag.expect("a text has fewer bytes than the cipher takes at once").into()
    }

    /// Decrypts in place what its tag stands behind.
    pub(crate) fn decrypt(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        stored: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let (text, tag) = stored.split_last_chunk_mut::<TAG_LEN>().ok_or(NotAuthentic)?;
        let opened =
            self.0.decrypt_inout_detached(&nonce.into(), vouched, text.into(), (&*tag).into());
        opened.map_err(|_| NotAuthentic)
    }

    /// Decrypts into another buffer, of the same length.
    pub(crate) fn decrypt_into(
        &self,
        nonce: [u8; NONCE_LEN],
        vouched: &[u8],
        (text, tag): (&[u8], &[u8]),
        out: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let tag: &[u8; TAG_LEN] = tag.try_into().map_err(|_| NotAuthentic)?;
        out.copy_from_slice(text);
        let opened = self.0.decrypt_inout_detached(&nonce.into(), vouched, out.into(), tag.into());
        opened.map_err(|_| NotAuthentic)
    }
}

/// HMAC-SHA-256 with one key.
pub(crate) struct Hmac(hmac::Hmac<Sha256>);

impl Hmac {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; KEY_LEN] {
        self.0.clone().chain_update(bytes).finalize().into_bytes().into()
    }
}

/// HKDF-SHA-256, both steps; the parts of `info` follow each other.
pub(crate) fn hkdf(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
    let mut out = Zeroizing::new([0; KEY_LEN]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, &mut out[..])
        .expect("32 bytes are fewer than the 8,160 that can be derived");
    out
}

/// Whether two secrets are the same. Not in a constant time: it is for tests alone.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one == other
}
