//! `Restoring`: one restore of a store at a time, and those who wait until it is over.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::sync::lock;

/// Whether a store is being restored. To wait for the end of a restore is not to keep another from beginning,
/// so a lock that both take would not do.
#[derive(Default)]
pub(crate) struct Restoring {
    is_going_on: Mutex<bool>,
    is_over: Condvar,
}

/// A restore that goes on until this is dropped.
pub(crate) struct Restore<'r>(&'r Restoring);

impl Restoring {
    /// Begins a restore, if none goes on.
    pub(crate) fn begin(&self) -> Option<Restore<'_>> {
        let was_going_on = std::mem::replace(&mut *lock(&self.is_going_on), true);
        (!was_going_on).then(|| Restore(self))
    }

    /// Waits until no restore goes on.
    pub(crate) fn wait(&self) {
        let is_going_on = lock(&self.is_going_on);
        let over = self.is_over.wait_while(is_going_on, |is_going_on| *is_going_on);
        drop(over.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *lock(&self.0.is_going_on) = false;
        self.0.is_over.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

    use super::*;

    #[test]
    fn there_is_one_restore_at_a_time() {
        let restoring = Restoring::default();
        let first = restoring.begin().unwrap();
        assert!(restoring.begin().is_none());
        drop(first);
        assert!(restoring.begin().is_some());
    }

    #[test]
    fn those_who_wait_keep_no_restore_from_beginning() {
        let (restoring, over) = (Restoring::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        restoring.wait();
                    }
                });
            }
            let begun = (0..10_000).filter(|_| restoring.begin().is_some()).count();
            over.store(true, Ordering::Relaxed);
            assert_eq!(begun, 10_000);
        });
    }

    #[test]
    fn a_restore_is_waited_for() {
        let (restoring, begins) = (Restoring::default(), Barrier::new(2));
        thread::scope(|scope| {
            let restore = restoring.begin().unwrap();
            let waits = scope.spawn(|| {
                begins.wait();
                restoring.wait();
            });
            begins.wait();
            (0..1000).for_each(|_| thread::yield_now());
            assert!(!waits.is_finished());
            drop(restore);
            waits.join().unwrap();
        });
    }
}
