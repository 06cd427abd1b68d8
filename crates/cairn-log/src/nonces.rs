//! For tests: every pair of key and nonce that was encrypted with, so that one that comes twice is found.
//!
//! Only builds with debug assertions take note, and only in a thread that asks for it: tests beside it may
//! repeat the same random numbers. Not part of the public interface.

use std::{cell::RefCell, collections::HashSet};

use crate::DataKey;

/// What stands for a key, and a nonce.
type Pair = (u64, [u8; 12]);

thread_local! {
    static USED: RefCell<Option<HashSet<Pair>>> = const { RefCell::new(None) };
}

/// From now on this thread panics when it uses a pair of key and nonce a second time.
pub fn watch() {
    USED.set(Some(HashSet::new()));
}

/// How many pairs this thread has used.
#[must_use]
pub fn count() -> usize {
    USED.with_borrow(|used| used.as_ref().map_or(0, HashSet::len))
}

/// What stands for each key that this thread has used.
#[must_use]
pub fn keys() -> HashSet<u64> {
    USED.with_borrow(|used| used.iter().flatten().map(|(key, _)| *key).collect())
}

/// A key that this crate knows nothing of encrypts with this nonce: one of a keyring.
pub fn encrypting(key: &[u8; DataKey::LEN], nonce: [u8; 12]) {
    if cfg!(debug_assertions) {
        used(name(&DataKey::new(*key)), nonce);
    }
}

/// What stands for a key.
pub(crate) fn name(key: &DataKey) -> u64 {
    if !cfg!(debug_assertions) {
        return 0;
    }
    let hash = key.derive("cairn/v1/test", &[], &[]);
    hash.expose().iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte))
}

/// A nonce is used for encrypting.
pub(crate) fn used(key: u64, nonce: [u8; 12]) {
    if cfg!(debug_assertions) {
        USED.with_borrow_mut(|used| {
            let is_new = used.as_mut().is_none_or(|used| used.insert((key, nonce)));
            assert!(is_new, "no nonce is used twice under a key: {nonce:02x?}");
        });
    }
}
