//! `NumberedCipher`: a key under which each number encrypts one text.
//!
//! AES-256-GCM, with the number as the nonce. Log files count by their offsets (see `cipher`), what lies
//! outside of an environment by its frames.

use crate::{
    Damage, DataKey, TAG_LEN, nonces,
    primitives::{Gcm, NONCE_LEN},
};

/// A key under which each number encrypts one text.
///
/// A number must never be used for two texts under one key: derive a key for each file, from a salt that is
/// drawn for it, and count from 0.
///
/// ```
/// use cairn_log::{DataKey, NumberedCipher};
///
/// let cipher = NumberedCipher::new(&DataKey::new([7; 32]).derive("example", b"salt", &[]));
/// let mut bytes = b"text".to_vec();
/// cipher.encrypt(0, b"vouched for as well", &mut bytes);
/// assert_eq!(bytes.len(), 4 + cairn_log::TAG_LEN);
/// cipher.decrypt(0, b"vouched for as well", &mut bytes)?;
/// assert_eq!(bytes, b"text");
/// # Ok::<(), cairn_log::Damage>(())
/// ```
pub struct NumberedCipher {
    key: Gcm,
    /// Stands for the key in tests, which must not have it.
    name: u64,
}

impl NumberedCipher {
    /// Encrypts with this key.
    #[must_use]
    pub fn new(key: &DataKey) -> Self {
        Self { key: Gcm::new(key.expose()), name: nonces::name(key) }
    }

    /// Encrypts text `number` in place and appends its tag, which also vouches for `vouched`.
    pub fn encrypt(&self, number: u64, vouched: &[u8], text: &mut Vec<u8>) {
        let tag = self.encrypt_apart(number, vouched, text);
        text.extend_from_slice(&tag);
    }

    /// Decrypts text `number` in place and takes its tag off.
    ///
    /// # Errors
    /// [`Damage::NotAuthentic`] if it is not what was encrypted under this number, or `vouched` is not what
    /// the tag vouches for. What stands in `stored` then is nothing.
    pub fn decrypt(&self, number: u64, vouched: &[u8], stored: &mut Vec<u8>) -> Result<(), Damage> {
        self.decrypt_slice(number, vouched, stored)?;
        stored.truncate(stored.len().saturating_sub(TAG_LEN));
        Ok(())
    }

    /// Encrypts in place, and gives the tag back.
    pub(crate) fn encrypt_apart(
        &self,
        number: u64,
        vouched: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = nonce(number);
        nonces::used(self.name, nonce);
        self.key.encrypt(nonce, vouched, text)
    }

    /// Decrypts what the tag stands behind, in place.
    pub(crate) fn decrypt_slice(
        &self,
        number: u64,
        vouched: &[u8],
        stored: &mut [u8],
    ) -> Result<(), Damage> {
        self.key.decrypt(nonce(number), vouched, stored).map_err(|_| Damage::NotAuthentic)
    }

    /// Decrypts into another buffer, of the same length.
    pub(crate) fn decrypt_into(
        &self,
        number: u64,
        vouched: &[u8],
        stored: (&[u8], &[u8]),
        out: &mut [u8],
    ) -> Result<(), Damage> {
        self.key.decrypt_into(nonce(number), vouched, stored, out).map_err(|_| Damage::NotAuthentic)
    }
}

fn nonce(number: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

impl std::fmt::Debug for NumberedCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NumberedCipher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interpreter needs a second for a few of them.
    const RARELY: usize = if cfg!(miri) { 13 } else { 1 };

    #[test]
    fn a_text_opens_only_under_its_number_and_key_and_with_what_was_vouched_for() {
        let cipher = NumberedCipher::new(&DataKey::new([1; 32]));
        let mut stored = b"text".to_vec();
        cipher.encrypt(3, b"head", &mut stored);
        let opened = |cipher: &NumberedCipher, number, vouched: &[u8], mut stored: Vec<u8>| {
            cipher.decrypt(number, vouched, &mut stored).map(|()| stored)
        };
        assert_eq!(opened(&cipher, 3, b"head", stored.clone()).unwrap(), b"text");
        let other = NumberedCipher::new(&DataKey::new([2; 32]));
        assert!(opened(&other, 3, b"head", stored.clone()).is_err());
        assert!(opened(&cipher, 4, b"head", stored.clone()).is_err());
        assert!(opened(&cipher, 3, b"heat", stored.clone()).is_err());
        for bit in (0..stored.len() * 8).step_by(RARELY) {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&cipher, 3, b"head", flipped).is_err());
        }
        for len in (0..stored.len()).step_by(RARELY) {
            assert!(opened(&cipher, 3, b"head", stored[..len].to_vec()).is_err());
        }
    }
}
