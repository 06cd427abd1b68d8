//! The failure model: the first cause of a failure that only a reopen can end.

use std::sync::{Arc, OnceLock};

use cairn_io::shared::atomic::{AtomicBool, Ordering};

use crate::{EnvError, EnvResult, tell};

/// Whether the environment has failed, and why.
///
/// After a failed sync nobody knows what the disk holds, and after a panic under the commit lock
/// nobody knows what memory holds. From then on every handle answers with the first cause, until the
/// environment is closed and opened again, which runs recovery.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    failed: AtomicBool,
    cause: OnceLock<Arc<EnvError>>,
}

impl Failure {
    /// Fails the environment, unless it has failed already; returns the first cause.
    pub(crate) fn poison(&self, error: EnvError) -> Arc<EnvError> {
        let cause = match error {
            EnvError::Poisoned { cause } | EnvError::CommitUnknown { cause } => cause,
            error => Arc::new(error),
        };
        let first = Arc::clone(self.cause.get_or_init(|| cause));
        if !self.failed.swap(true, Ordering::AcqRel) {
            tell::failed(tell::display(&first));
        }
        first
    }

    /// An error if the environment has failed. One load on the way of every operation.
    pub(crate) fn check(&self) -> EnvResult<()> {
        if self.failed.load(Ordering::Acquire) { Err(self.error()) } else { Ok(()) }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The error for operations on a failed environment.
    fn error(&self) -> EnvError {
        match self.cause.get() {
            Some(cause) => EnvError::Poisoned { cause: Arc::clone(cause) },
            None => EnvError::internal("failed without a cause"),
        }
    }

    /// Fails the environment if the thread panics while this lives.
    pub(crate) fn on_panic(&self) -> PanicGuard<'_> {
        PanicGuard(self)
    }
}

#[must_use = "it watches as long as it lives"]
pub(crate) struct PanicGuard<'a>(&'a Failure);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(EnvError::internal("a panic in the middle of a change"));
        }
    }
}
