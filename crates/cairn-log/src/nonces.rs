//! For tests: every pair of key and nonce that was encrypted with, so that one that comes twice is found.
//!
//! Only builds with debug assertions take note, and only when told to. Not part of the public interface.

use crate::DataKey;

#[cfg(debug_assertions)]
mod noted {
    use std::{
        collections::HashSet,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering},
        },
    };

    use crate::sync::lock;

    static WATCHED: AtomicBool = AtomicBool::new(false);
    static USED: Mutex<Option<HashSet<(u64, [u8; 12])>>> = Mutex::new(None);

    pub(super) fn watch() {
        lock(&USED).get_or_insert_default();
        WATCHED.store(true, Ordering::Release);
    }

    pub(super) fn count() -> usize {
        lock(&USED).as_ref().map_or(0, HashSet::len)
    }

    pub(super) fn used(key: u64, nonce: [u8; 12]) {
        if WATCHED.load(Ordering::Acquire)
            && let Some(used) = &mut *lock(&USED)
        {
            let is_new = used.insert((key, nonce));
            assert!(is_new, "no nonce is used twice under a key: {nonce:02x?}");
        }
    }
}

/// From now on this process panics when a pair of key and nonce is used a second time.
pub fn watch() {
    #[cfg(debug_assertions)]
    noted::watch();
}

/// How many pairs were used.
#[must_use]
pub fn count() -> usize {
    #[cfg(debug_assertions)]
    return noted::count();
    #[cfg(not(debug_assertions))]
    0
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
#[cfg_attr(
    not(debug_assertions),
    expect(clippy::missing_const_for_fn, reason = "in one build only")
)]
pub(crate) fn used(key: u64, nonce: [u8; 12]) {
    #[cfg(debug_assertions)]
    noted::used(key, nonce);
    #[cfg(not(debug_assertions))]
    let _: (u64, [u8; 12]) = (key, nonce);
}
