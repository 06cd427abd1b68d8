//! Locking, with poisoning dealt with once.

use std::sync::PoisonError;

use cairn_io::shared::{Mutex, MutexGuard};

/// Locks `mutex`. A panic while the commit lock is held poisons the environment itself (see
/// `failure.rs`), which every user of the lock asks about next; so the mutex need not say it again.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
