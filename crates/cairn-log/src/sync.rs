//! Locking, with poisoning dealt with once.

use std::sync::PoisonError;

use cairn_io::shared::{Mutex, MutexGuard};

/// Locks `mutex`. What this crate guards with mutexes is whole between any two statements (buffers
/// and positions that move together), so a panic elsewhere while it was held changes nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
