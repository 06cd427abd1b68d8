//! What threads of the engine share: locks, conditions, atomics, swappable pointers, and the threads
//! themselves.
//!
//! These are those of the standard library and of `arc-swap`, under one roof. Under `--cfg shuttle`
//! they are those of `shuttle`, which runs one thread at a time and decides at each of these calls who
//! goes on: so a program that uses the engine can be run under thousands of schedules, each of which
//! can be repeated (`cargo xtask schedules`). The engine that ships is not touched by that: without the
//! flag there is nothing in this module but names.
//!
//! Behind these names is what orders the threads of the engine. Where a lock is held for a few
//! statements that meet no other name of this module, as in [`MemDisk`](crate::MemDisk), it stays that
//! of the standard library.

#[cfg(not(shuttle))]
pub use self::real::*;
#[cfg(shuttle)]
pub use self::scheduled::*;

#[cfg(not(shuttle))]
mod real {
    pub use std::{
        sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
        thread,
    };

    pub use arc_swap::{ArcSwap, ArcSwapOption};
    pub(crate) use crossbeam_channel as channel;
}

#[cfg(shuttle)]
mod scheduled {
    use std::{ops::Deref, sync::Arc, time::Duration};

    pub use shuttle::{
        sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
        thread,
    };

    pub(crate) mod channel {
        pub(crate) use std::sync::mpsc::RecvTimeoutError;

        pub(crate) use super::{Receiver, bounded};
        pub(crate) use shuttle::sync::mpsc::SyncSender as Sender;
    }

    /// A pointer that can be exchanged; before each use somebody else may go on.
    #[derive(Debug, Default)]
    pub struct Swappable<S>(S);

    /// See [`Swappable`].
    pub type ArcSwap<T> = Swappable<arc_swap::ArcSwap<T>>;
    /// See [`Swappable`].
    pub type ArcSwapOption<T> = Swappable<arc_swap::ArcSwapOption<T>>;

    impl<T> ArcSwap<T> {
        /// As its namesake.
        pub fn new(value: Arc<T>) -> Self {
            Self(arc_swap::ArcSwap::new(value))
        }

        /// As its namesake.
        pub fn from_pointee(value: T) -> Self {
            Self(arc_swap::ArcSwap::from_pointee(value))
        }
    }

    impl<S> Deref for Swappable<S> {
        type Target = S;

        fn deref(&self) -> &S {
            thread::sleep(Duration::ZERO); // shuttle knows no time: somebody else may go on
            &self.0
        }
    }

    /// The receiving end of a channel.
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(shuttle::sync::mpsc::Receiver<T>);

    /// A channel for `n` values.
    pub(crate) fn bounded<T>(n: usize) -> (channel::Sender<T>, Receiver<T>) {
        let (sender, receiver) = shuttle::sync::mpsc::sync_channel(n);
        (sender, Receiver(receiver))
    }

    impl<T> Receiver<T> {
        /// Waits for a value.
        pub(crate) fn recv(&self) -> Result<T, std::sync::mpsc::RecvError> {
            self.0.recv()
        }

        /// Waits for a value, or until some time has passed: as much as the others need to go on once.
        pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, channel::RecvTimeoutError> {
            use std::sync::mpsc::TryRecvError;

            thread::yield_now();
            self.0.try_recv().map_err(|error| match error {
                TryRecvError::Empty => channel::RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => channel::RecvTimeoutError::Disconnected,
            })
        }
    }
}
