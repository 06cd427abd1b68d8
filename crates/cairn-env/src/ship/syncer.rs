//! `Syncer`: lets a sink sync while the journal does.
//!
//! Two disks that sync one after the other take twice as long. So whoever syncs the journal asks for the sink's sync
//! first, and a worker does it meanwhile; if that has not begun when the journal's own sync has ended, because there
//! is no worker or it has not been given a core, the one who asked does it alone. So nobody depends on the worker,
//! and where nothing happens by itself, in a simulation, everything has its order.

use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use cairn_io::{
    Step, Worker, WorkerHandle, World,
    shared::{Condvar, Mutex},
};

use crate::{EnvError, EnvResult, ship::JournalSink, sync::lock};

/// The sync of one sink at a time, shared with the worker that may do it.
#[derive(Default)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    worker: Mutex<Option<WorkerHandle>>,
}

#[derive(Debug, Default)]
struct Shared {
    request: Mutex<Request>,
    done: Condvar,
}

/// How far a sync is that was asked for.
#[derive(Debug, Default)]
enum Request {
    #[default]
    None,
    Asked(Arc<dyn JournalSink>),
    Running,
    Done(EnvResult<()>),
}

impl Syncer {
    /// Has a worker take part from now on.
    pub(super) fn start(&self, world: &dyn World) -> EnvResult<()> {
        let mut worker = lock(&self.worker);
        if worker.is_none() {
            let shared = Arc::clone(&self.shared);
            *worker = Some(world.start(Box::new(SyncWorker { shared }))?);
        }
        Ok(())
    }

    /// Ends the worker, when it has done what it is at.
    pub(super) fn stop(&self) {
        let worker = lock(&self.worker).take();
        drop(worker);
    }

    /// Asks for the sync of `sink`. The caller [collects](Syncer::collect) it before anybody asks for another one.
    pub(super) fn ask(&self, sink: Arc<dyn JournalSink>) {
        *lock(&self.shared.request) = Request::Asked(sink);
        if let Some(worker) = &*lock(&self.worker) {
            worker.wake();
        }
    }

    /// What the sync that was asked for has come to; does it, if nobody has begun to.
    pub(super) fn collect(&self) -> EnvResult<()> {
        let mut request = lock(&self.shared.request);
        loop {
            match std::mem::take(&mut *request) {
                Request::None => return Err(EnvError::internal("a sync that nobody asked for")),
                Request::Asked(sink) => {
                    drop(request);
                    return sink.sync();
                }
                Request::Done(result) => return result,
                Request::Running => {
                    *request = Request::Running;
                    let waited = self.shared.done.wait(request);
                    request = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl fmt::Debug for Syncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Syncer")
    }
}

struct SyncWorker {
    shared: Arc<Shared>,
}

impl SyncWorker {
    fn done(&self, result: EnvResult<()>) {
        *lock(&self.shared.request) = Request::Done(result);
        self.shared.done.notify_all();
    }
}

impl Worker for SyncWorker {
    fn name(&self) -> &'static str {
        "cairn-replica"
    }

    fn step(&mut self) -> Step {
        let sink = {
            let mut request = lock(&self.shared.request);
            match std::mem::take(&mut *request) {
                Request::Asked(sink) => {
                    *request = Request::Running;
                    sink
                }
                other => {
                    *request = other;
                    return Step::Idle(None);
                }
            }
        };
        self.done(sink.sync());
        Step::Did
    }

    fn panicked(&mut self, message: &str) {
        self.done(Err(EnvError::internal(format!("the sync of a sink: {message}"))));
    }
}
