//! Locking, with poisoning dealt with once.

use std::sync::PoisonError;

use cairn_io::shared::{Mutex, MutexGuard};

/// Locks `mutex`. Whoever panics while holding one has changed nothing that others could not go on with.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
