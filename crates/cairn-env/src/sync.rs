//! Locking, with poisoning dealt with once.

use std::sync::{PoisonError, TryLockError};

use cairn_io::shared::{Mutex, MutexGuard};

/// Locks `mutex`. A panic while the commit lock is held poisons the environment itself (see
/// `failure.rs`), which every user of the lock asks about next; so the mutex need not say it again.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], for the commit lock, where commits and views of the newest commit meet: what is done under it takes about a
/// microsecond, to sleep and be woken ten.
pub(crate) fn lock_soon<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    /// For about two microseconds.
    const TRIES: usize = if cfg!(shuttle) { 0 } else { 50 };
    for _ in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
    lock(mutex)
}
