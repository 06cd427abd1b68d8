//! What the encryption of this crate is made of: AES-256-GCM, and HKDF and HMAC with SHA-256.
//!
//! What is built for use has them from aws-lc-rs, which is C and assembly. An interpreter of Rust cannot run
//! that, so under Miri, and nowhere else, those of RustCrypto stand in for it: it looks at the Rust around
//! them. Both have one interface, and the tests hold one against the other, byte for byte.

#[cfg(not(miri))]
mod aws_lc;
#[cfg(any(test, miri))]
mod rust_crypto;
#[cfg(test)]
mod tests;

#[cfg(not(miri))]
pub(crate) use aws_lc::{Gcm, Hmac, hkdf, is_same};
#[cfg(miri)]
pub(crate) use rust_crypto::{Gcm, Hmac, hkdf, is_same};

/// What did not open: it is not what was encrypted, or not with what was vouched for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// The length of a key of the cipher, of a code, and of what is derived.
pub(crate) const KEY_LEN: usize = 32;
/// The length of a nonce.
pub(crate) const NONCE_LEN: usize = 12;
