//! `Following`: a worker that keeps a standby in step until it is told to stop.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn_env::Environment;
use cairn_io::{Step, Worker, WorkerHandle, WorldRef};

use super::{Standby, StandbyStatus};
use crate::{BackupError, BackupResult};

/// How long to wait after something went wrong before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A standby that follows by a worker of its own, until this is stopped or dropped: [`Standby::start`].
#[must_use = "following ends when it is dropped"]
#[derive(Debug)]
pub struct Following {
    handle: WorkerHandle,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// Not there when it was taken out to be promoted.
    standby: Option<Standby>,
    trouble: Option<Arc<BackupError>>,
}

struct FollowWorker {
    shared: Arc<Mutex<Shared>>,
    every: Duration,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A standby whose step did not come to its end opens its directory again.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Worker for FollowWorker {
    fn name(&self) -> &'static str {
        "cairn-standby"
    }

    fn step(&mut self) -> Step {
        let mut shared = lock(&self.shared);
        let Some(standby) = &mut shared.standby else { return Step::Idle(None) };
        match standby.step() {
            Ok(step) => {
                shared.trouble = None;
                match step.has_more {
                    true => Step::Did,
                    false => Step::Idle(Some(self.every)),
                }
            }
            Err(error) => {
                shared.trouble = Some(Arc::new(error));
                Step::Idle(Some(RETRY))
            }
        }
    }

    fn panicked(&mut self, message: &str) {
        let what = format!("the worker that follows has ended: {message}");
        lock(&self.shared).trouble = Some(Arc::new(BackupError::InvalidInput { what }));
    }
}

impl Standby {
    /// Follows from now on by a worker of its own.
    ///
    /// # Errors
    /// If no worker can be started.
    pub fn start(self) -> BackupResult<Following> {
        let (world, every) = (WorldRef::clone(&self.world), self.options.every);
        let shared = Arc::new(Mutex::new(Shared { standby: Some(self), trouble: None }));
        let worker = FollowWorker { shared: Arc::clone(&shared), every };
        let handle = world.start(Box::new(worker))?;
        Ok(Following { handle, shared })
    }
}

impl Following {
    /// How far it has come; `None` if it was stopped.
    #[must_use]
    pub fn status(&self) -> Option<StandbyStatus> {
        lock(&self.shared).standby.as_ref().map(Standby::status)
    }

    /// What went wrong last, until something arrives again. It is tried again each second.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<BackupError>> {
        lock(&self.shared).trouble.clone()
    }

    /// The environment at the commit that the standby has come to: see [`Standby::read`].
    ///
    /// # Errors
    /// As [`Standby::read`].
    pub fn read(&self) -> BackupResult<Environment> {
        let ended = || BackupError::InvalidInput { what: "the standby was stopped".into() };
        lock(&self.shared).standby.as_mut().ok_or_else(ended)?.read()
    }

    /// Has it look at once whether there is more.
    pub fn wake(&self) {
        self.handle.wake();
    }

    /// Ends it, when the step that is under way has ended, and gives the standby back: to be promoted, for example.
    ///
    /// # Errors
    /// If the worker has taken the standby with it.
    pub fn stop(self) -> BackupResult<Standby> {
        let Self { handle, shared } = self;
        handle.stop();
        let ended = || BackupError::InvalidInput { what: "the standby was stopped".into() };
        lock(&shared).standby.take().ok_or_else(ended)
    }
}
