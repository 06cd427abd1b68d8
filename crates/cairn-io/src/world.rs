//! `World`: the other effects: clock, randomness and background workers.

use std::{fmt, sync::Arc, time::Duration};

use crate::IoResult;

/// A shared world.
pub type WorldRef = Arc<dyn World>;

/// Microseconds since the Unix epoch: metadata, never an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// Clock, randomness and workers. Nothing in the engine asks the system for them directly.
pub trait World: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// The wall clock; may jump in both directions.
    fn wall(&self) -> WallTime;

    /// Fills `buf` with bytes that nobody can guess.
    fn random(&self, buf: &mut [u8]);

    /// The number of this process among those of the system: for people who look for whoever holds
    /// something, never for a decision, since numbers come again.
    fn process(&self) -> u32;

    /// Lets time pass: the calling thread does nothing for about this long. For the moments in which
    /// another process holds what is needed, never as a way to find out whether something is done. In
    /// a simulation the clocks move and nothing else happens.
    fn pause(&self, time: Duration);

    /// Starts a background worker. In a simulation it runs only when the simulation steps it.
    ///
    /// # Errors
    /// If the system gives no thread.
    fn start(&self, worker: Box<dyn Worker>) -> IoResult<WorkerHandle>;
}

/// What a worker has to say after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the thread layer must handle each")]
pub enum Step {
    /// Something was done and more may be waiting: step again soon.
    Did,
    /// Nothing to do until woken, or until this much time has passed.
    Idle(Option<Duration>),
    /// The worker has ended; it is dropped.
    Done,
}

/// Background work as a state machine.
///
/// A step does at most one batch of I/O and returns; no lock is held between steps. Threads are a
/// thin layer that calls `step` in a loop, so a simulation can run the same work on one thread in
/// any order it chooses.
pub trait Worker: Send {
    /// Which worker this is, for thread names and traces.
    fn name(&self) -> &'static str;

    /// Whether it leaves the processor to whoever else wants it, where the system can be told so (default: no). Nobody
    /// should have to wait for it then.
    fn is_patient(&self) -> bool {
        false
    }

    /// Does the next piece of work.
    fn step(&mut self) -> Step;

    /// Called once if `step` panicked; the worker is dropped afterwards. A panic must not pass
    /// silently: engine workers poison their environment here.
    fn panicked(&mut self, message: &str);
}

/// A running worker: wakes it, and stops it.
///
/// Dropping the handle stops the worker and waits until its current step has ended.
#[must_use = "dropping the handle stops the worker"]
pub struct WorkerHandle {
    wake: Box<dyn Fn() + Send + Sync>,
    stop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl WorkerHandle {
    /// A handle for a [`World`] to return: `wake` ends an idle period (it must be cheap and may be
    /// called from any thread), `stop` ends the worker and returns when it no longer runs.
    pub fn new(
        wake: impl Fn() + Send + Sync + 'static,
        stop: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self { wake: Box::new(wake), stop: Some(Box::new(stop)) }
    }

    /// Ends an idle period: the worker steps again soon.
    pub fn wake(&self) {
        (self.wake)();
    }

    /// Stops the worker; returns when its current step has ended.
    pub fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerHandle")
    }
}
