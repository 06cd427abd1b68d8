//! `Shipping`: a worker that ships the journal of an environment until it is told to stop.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn_io::{DirRef, RealDir, Step, Worker, WorkerHandle, WorldRef};

use super::{Repository, ShipOptions, ShipReport, Shipper};
use crate::{BackupError, BackupResult, tell};

/// How long to wait after something went wrong before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The journal of an environment on its way into a repository, until this is dropped: [`Repository::ship`].
#[must_use = "shipping ends when it is dropped"]
#[derive(Debug)]
pub struct Shipping {
    handle: WorkerHandle,
    status: Arc<Mutex<ShippingStatus>>,
}

/// What has become of the journal: [`Shipping::status`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShippingStatus {
    /// The newest commit that can be restored, and its time in microseconds since 1970.
    pub newest: Option<(u64, u64)>,
    /// How many points were made, because there was none to go on from, or for [`ShipOptions::base_bytes`].
    pub points: u64,
    /// How often what was shipped had come to its end, since what followed was not there any more.
    pub gaps: u64,
    /// How many segments were stored.
    pub segments: u64,
    /// Bytes of the journal in them.
    pub bytes: u64,
    /// When, by the clock of the world that never goes back, all that was there had been shipped last.
    pub caught_up: Option<Duration>,
    /// What went wrong, until something is shipped again. It is tried again each second.
    pub trouble: Option<Arc<BackupError>>,
}

impl ShippingStatus {
    fn add(&mut self, report: &ShipReport, now: Duration) {
        self.newest = report.newest.or(self.newest);
        self.points += report.points.len() as u64;
        self.gaps += u64::from(report.gap.is_some());
        self.segments += report.segments;
        self.bytes += report.bytes;
        self.trouble = None;
        if !report.has_more {
            self.caught_up = Some(now);
        }
    }
}

impl Shipping {
    /// What has become of the journal so far.
    #[must_use]
    pub fn status(&self) -> ShippingStatus {
        lock(&self.status).clone()
    }

    /// Has it look at once whether there is more to ship.
    pub fn wake(&self) {
        self.handle.wake();
    }

    /// Ends it; returns when the step that is under way has ended, and what has become of the journal until then.
    #[must_use = "there may be something that went wrong"]
    pub fn stop(self) -> ShippingStatus {
        let Self { handle, status } = self;
        handle.stop();
        lock(&status).clone()
    }
}

fn lock(status: &Mutex<ShippingStatus>) -> MutexGuard<'_, ShippingStatus> {
    // It is replaced field by field, and each is right by itself.
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ShipWorker {
    shipper: Shipper,
    world: WorldRef,
    status: Arc<Mutex<ShippingStatus>>,
}

impl Worker for ShipWorker {
    fn name(&self) -> &'static str {
        "cairn-ship"
    }

    fn step(&mut self) -> Step {
        match self.shipper.step() {
            Ok(report) => {
                lock(&self.status).add(&report, self.world.monotonic());
                match report.has_more {
                    true => Step::Did,
                    false => Step::Idle(Some(self.shipper.options().every)),
                }
            }
            Err(error) => {
                tell::shipping_trouble(tell::display(&error));
                lock(&self.status).trouble = Some(Arc::new(error));
                Step::Idle(Some(RETRY))
            }
        }
    }

    fn panicked(&mut self, message: &str) {
        let what = format!("the worker that ships has ended: {message}");
        lock(&self.status).trouble = Some(Arc::new(BackupError::InvalidInput { what }));
    }
}

impl Repository {
    /// Ships the journal of the environment in the directory `env` from now on, by a worker of its own: what is durable
    /// there can be restored from here within about a second. This process may have it open, or another one, or nobody.
    /// No commit waits for it. Unless the newest point leads on to it, a point is made first.
    ///
    /// ```
    /// use cairn_backup::{Repository, RestoreOptions, ShipOptions, Which};
    /// use cairn_env::{DatabaseOptions, Environment, Options};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (live, place, back) = (dir.path().join("live"), dir.path().join("repo"), dir.path().join("back"));
    /// let (env, _) = Environment::open(&live, Options::default())?;
    /// let users = env.database("users", DatabaseOptions::default())?;
    /// let repository = Repository::create(&place)?;
    /// let shipping = repository.ship(&live, ShipOptions::default())?;
    /// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// let commit = env.snapshot()?.commit();
    /// while shipping.status().newest.is_none_or(|(newest, _)| newest < commit) {
    ///     assert!(shipping.status().trouble.is_none());
    ///     std::thread::yield_now();
    /// }
    /// drop((env, shipping));
    ///
    /// let report = repository.restore(None, &Which::Newest, &back, &RestoreOptions::default())?;
    /// assert_eq!(report.commit, commit);
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such directory, or this version may not write to the repository. What goes wrong later, the status
    /// says.
    pub fn ship(&self, env: impl AsRef<Path>, options: ShipOptions) -> BackupResult<Shipping> {
        self.ship_in(RealDir::open(env.as_ref())?, &super::real_world(), options)
    }

    /// As [`ship`](Self::ship), from any directory.
    ///
    /// # Errors
    /// As [`ship`](Self::ship); if no worker can be started.
    pub fn ship_in(
        &self,
        root: DirRef,
        world: &WorldRef,
        options: ShipOptions,
    ) -> BackupResult<Shipping> {
        let shipper = self.shipper(root, world, options)?;
        let status = Arc::<Mutex<ShippingStatus>>::default();
        let (world, shared) = (WorldRef::clone(world), Arc::clone(&status));
        let worker = ShipWorker { shipper, world: WorldRef::clone(&world), status: shared };
        let handle = world.start(Box::new(worker))?;
        Ok(Shipping { handle, status })
    }
}
