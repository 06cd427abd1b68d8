//! Locking, with poisoning dealt with once.

use std::sync::PoisonError;

use cairn_log::shared::{Mutex, MutexGuard};

/// Locks `mutex`. Whoever panics while it is held takes the environment down with it (the layer above
/// poisons it), so nothing is decided here from a half-done change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
