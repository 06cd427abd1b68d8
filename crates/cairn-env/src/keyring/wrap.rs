//! Wrapping: the two uses of AES-256-GCM in a keyring, each under a key that is used once.
//!
//! A key that encrypts is derived by HKDF-SHA256 from the key above it and a salt that is fresh
//! whenever something is encrypted. So no key ever meets two texts, and the nonce is zero.
//!
//! AES-GCM does not commit to its key: bytes can be made that several keys open. From the key of a
//! user therefore comes a second value, the *commitment*, which stands in the slot and is compared
//! first. If it differs, the key is wrong; if it does not and the tag does, the bytes are.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
    error::Unspecified,
    hkdf::{HKDF_SHA256, Prk, Salt},
};
use cairn_log::{Uuid, nonces};
use zeroize::Zeroizing;

use super::{layout::TAG_LEN, secret::Secret};
use crate::{EnvError, EnvResult};

/// Each key encrypts once.
const NONCE: [u8; 12] = [0; 12];
const WRAP: &[u8] = b"cairn/v1/keyring/wrap";
const COMMIT: &[u8] = b"cairn/v1/keyring/commit";
const DATA_KEYS: &[u8] = b"cairn/v1/keyring/data-keys";

/// The keys of a slot, derived from the key of its user.
pub(super) struct SlotKeys {
    prk: Prk,
    environment: Uuid,
}

impl SlotKeys {
    pub(super) fn new(key: &Secret, salt: &[u8; 32], environment: Uuid) -> Self {
        Self { prk: extract(key, salt), environment }
    }

    /// What stands in the slot to tell a wrong key.
    pub(super) fn commitment(&self) -> EnvResult<[u8; 32]> {
        Ok(*expand(&self.prk, COMMIT, self.environment)?.bytes())
    }

    /// Whether a slot with this commitment was made with this key.
    pub(super) fn is_committed(&self, commitment: &[u8; 32]) -> EnvResult<bool> {
        let own = expand(&self.prk, COMMIT, self.environment)?;
        Ok(verify_slices_are_equal(own.bytes(), commitment).is_ok())
    }

    /// Encrypts the keyring key.
    pub(super) fn wrap(&self, key: &Secret, aad: &[u8]) -> EnvResult<([u8; 32], [u8; TAG_LEN])> {
        let wrapping = expand(&self.prk, WRAP, self.environment)?;
        let mut bytes = Zeroizing::new(*key.bytes());
        let tag = encrypt(&wrapping, aad, &mut *bytes)?;
        Ok((*bytes, tag))
    }

    /// The keyring key; `None` if the slot is not what was written.
    pub(super) fn unwrap(
        &self,
        wrapped: &[u8; 32],
        tag: &[u8; TAG_LEN],
        aad: &[u8],
    ) -> EnvResult<Option<Secret>> {
        let wrapping = expand(&self.prk, WRAP, self.environment)?;
        let mut both = Zeroizing::new([0; 32 + TAG_LEN]);
        both[..32].copy_from_slice(wrapped);
        both[32..].copy_from_slice(tag);
        let plain =
            decrypt(&wrapping, aad, &mut *both).ok().and_then(|plain| plain.try_into().ok());
        Ok(plain.map(|plain: [u8; 32]| Secret::take(&mut Zeroizing::new(plain))))
    }
}

/// The key under which the data keys of a keyring are encrypted, in one of its writes.
pub(super) fn data_keys_key(
    keyring_key: &Secret,
    salt: &[u8; 32],
    environment: Uuid,
) -> EnvResult<Secret> {
    expand(&extract(keyring_key, salt), DATA_KEYS, environment)
}

/// Encrypts in place.
pub(super) fn encrypt(key: &Secret, aad: &[u8], bytes: &mut [u8]) -> EnvResult<[u8; TAG_LEN]> {
    let cipher = cipher(key).map_err(broken)?;
    nonces::encrypting(key.bytes(), NONCE);
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(NONCE), Aad::from(aad), bytes)
        .map_err(broken)?;
    tag.as_ref().try_into().map_err(|_| EnvError::internal("a tag of another length"))
}

/// Decrypts in place what a tag follows.
pub(super) fn decrypt<'b>(
    key: &Secret,
    aad: &[u8],
    bytes: &'b mut [u8],
) -> Result<&'b [u8], Unspecified> {
    let nonce = Nonce::assume_unique_for_key(NONCE);
    cipher(key)?.open_in_place(nonce, Aad::from(aad), bytes).map(|plain| &*plain)
}

fn cipher(key: &Secret) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM, key.bytes()).map(LessSafeKey::new)
}

fn extract(key: &Secret, salt: &[u8; 32]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(key.bytes())
}

/// The info is the label and then the environment. No two labels have the same length.
fn expand(prk: &Prk, label: &[u8], environment: Uuid) -> EnvResult<Secret> {
    let info = [label, &environment.0];
    let okm = prk.expand(&info, HKDF_SHA256).map_err(broken)?;
    Secret::filled(|key| okm.fill(key)).map_err(broken)
}

fn broken(_: Unspecified) -> EnvError {
    EnvError::internal("the cryptographic library refuses keys and lengths that it must take")
}
