//! `Tending`: what is done for the replica beside commits, step by step.
//!
//! The background worker takes the steps; without one, whoever makes a checkpoint does. A replica that is not
//! attached gets a base, then the journal since, until so little is left that the rest is sent while commits
//! wait; from that moment on they wait for it. A replica that is attached gets a newer base whenever there is
//! a newer checkpoint: the files of that which it lacks, then the state that refers to them.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use cairn_io::{IoOp, shared::atomic::Ordering};

use crate::{
    EnvError, EnvResult, Event,
    core::Core,
    ship::{
        feed::{Feed, Mode},
        filling::Filling,
        refresh::Refresh,
        replica::Replica,
        status::{ReplicaState, ReplicaStatus},
    },
    sync::lock,
};

/// How long to wait after something went wrong before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The replica, and what is being done for it.
#[derive(Debug, Default)]
pub(crate) struct Tending {
    replica: Option<Attached>,
    work: Option<Box<Work>>,
    /// Whether somebody has taken the work, to do a step of it.
    is_busy: bool,
    /// Not before that: something went wrong.
    not_before: Duration,
    last_error: Option<Arc<EnvError>>,
    detached: u64,
    /// When it was last detached, or begun without a replica.
    since: Option<Duration>,
}

/// A replica that commits wait for.
#[derive(Debug)]
struct Attached {
    feed: u64,
    replica: Arc<Replica>,
}

/// Work that takes several steps.
#[derive(Debug)]
pub(super) enum Work {
    Filling(Filling),
    Refreshing(Refresh),
}

impl Tending {
    /// Whether commits wait for this feed as that of the replica.
    pub(super) fn is_replica(&self, feed: u64) -> bool {
        self.replica.as_ref().is_some_and(|attached| attached.feed == feed)
    }

    /// The replica has failed, and the environment goes on without it.
    pub(super) fn lost(&mut self, feed: u64, error: Arc<EnvError>, now: Duration) {
        if self.is_replica(feed) {
            // Dropping it lets go of its directory.
            self.replica = None;
            if matches!(self.work.as_deref(), Some(Work::Refreshing(_))) {
                self.work = None;
            }
            self.detached += 1;
            self.since = Some(now);
            self.failed(error, now);
        }
    }

    fn failed(&mut self, error: Arc<EnvError>, now: Duration) {
        self.last_error = Some(error);
        self.not_before = now + RETRY;
    }

    /// The environment begins without it: it cannot be had.
    pub(super) fn begin_detached(&mut self, error: Option<Arc<EnvError>>, now: Duration) {
        self.since = Some(now);
        self.last_error = error;
    }

    /// Whether there is a replica that commits wait for.
    pub(super) const fn has_replica(&self) -> bool {
        self.replica.is_some()
    }

    /// The feed of the replica that commits wait for.
    pub(super) fn feed(&self) -> Option<u64> {
        self.replica.as_ref().map(|attached| attached.feed)
    }

    /// The number of the checkpoint from which it starts; 0 if there is none.
    fn base(&self) -> u64 {
        self.replica.as_ref().map_or(0, |attached| attached.replica.base())
    }

    pub(super) fn attached(&mut self, feed: u64, replica: Arc<Replica>) {
        self.replica = Some(Attached { feed, replica });
        self.since = None;
    }
}

impl Core {
    /// Takes a step of what is to be done for sinks; returns whether there was one to take. What goes wrong
    /// with a replica that commits do not wait for is noted, and tried again later.
    pub(crate) fn tend(&self) -> EnvResult<bool> {
        if !self.shipping.tends.load(Ordering::Acquire) && !self.shipping.has_feeds() {
            return Ok(false);
        }
        if self.heal_noted()? {
            return Ok(true);
        }
        if lock(&self.shipping.tending).not_before > self.world.monotonic() {
            return Ok(false);
        }
        let (did, failed) = self.ship_behind();
        if let Some(error) = failed {
            self.note_failed(error);
        }
        Ok(self.tend_replica()? || did)
    }

    /// Takes steps until there is nothing more to do, or something goes wrong.
    pub(crate) fn tend_all(&self) -> EnvResult<()> {
        while self.tend()? {}
        Ok(())
    }

    /// How long the background worker may sleep on account of sinks.
    pub(crate) fn tend_again(&self) -> Option<Duration> {
        let now = self.world.monotonic();
        let tending = lock(&self.shipping.tending);
        let waits = self.shipping.tends.load(Ordering::Acquire) && tending.replica.is_none()
            || tending.not_before > now;
        waits.then(|| tending.not_before.saturating_sub(now).max(Duration::from_millis(1)))
    }

    fn note_failed(&self, error: Arc<EnvError>) {
        let now = self.world.monotonic();
        lock(&self.shipping.tending).failed(error, now);
    }

    fn tend_replica(&self) -> EnvResult<bool> {
        if !self.shipping.tends.load(Ordering::Acquire) {
            return Ok(false);
        }
        // The work is taken out, and done without the lock.
        let (work, replica) = {
            let mut tending = lock(&self.shipping.tending);
            if tending.is_busy {
                return Ok(false);
            }
            tending.is_busy = true;
            let replica = tending.replica.as_ref().map(|attached| Arc::clone(&attached.replica));
            (tending.work.take(), replica)
        };
        let begins = work.is_none();
        let stepped = self.step(work.map(|work| *work), replica);
        self.tell(&stepped, begins);
        let mut tending = lock(&self.shipping.tending);
        tending.is_busy = false;
        match stepped {
            Ok(Step::More(work)) => {
                // A replica that was lost meanwhile needs no newer base.
                let is_over = matches!(*work, Work::Refreshing(_)) && tending.replica.is_none();
                tending.work = Some(work).filter(|_| !is_over);
                Ok(true)
            }
            Ok(Step::Did) => Ok(true),
            Ok(Step::Nothing) => Ok(false),
            Err(error) => {
                let is_lost = matches!(&error, EnvError::Io(error) if error.op == IoOp::Sync);
                let feed = tending.replica.as_ref().map(|attached| attached.feed);
                match feed.filter(|_| is_lost) {
                    // What it holds is unknown.
                    Some(feed) => {
                        drop(tending);
                        self.sink_failed(feed, error)?;
                    }
                    None => {
                        let (now, error) = (self.world.monotonic(), Arc::new(error));
                        tending.failed(Arc::clone(&error), now);
                        drop(tending);
                        self.raise(|path| Event::ReplicaTrouble { path, error });
                    }
                }
                self.failure.check().map(|()| false)
            }
        }
    }

    fn step(&self, work: Option<Work>, replica: Option<Arc<Replica>>) -> EnvResult<Step> {
        match (work, replica) {
            (Some(Work::Filling(filling)), _) => match filling.step(self)? {
                Some(filling) => Ok(Step::More(Box::new(Work::Filling(filling)))),
                None => Ok(Step::Did),
            },
            (Some(Work::Refreshing(refresh)), Some(replica)) => {
                match refresh.step(self, &replica)? {
                    Some(refresh) => Ok(Step::More(Box::new(Work::Refreshing(refresh)))),
                    None => Ok(Step::Did),
                }
            }
            (_, Some(replica)) => match Refresh::begin(self, &replica)? {
                Some(refresh) => Ok(Step::More(Box::new(Work::Refreshing(refresh)))),
                None => Ok(Step::Nothing),
            },
            (_, None) => {
                let filling = Filling::begin(self)?;
                Ok(filling
                    .map_or(Step::Nothing, |filling| Step::More(Box::new(Work::Filling(filling)))))
            }
        }
    }

    /// Tells what a step has come to.
    fn tell(&self, stepped: &EnvResult<Step>, begins: bool) {
        match stepped {
            Ok(Step::More(work)) if begins && matches!(**work, Work::Filling(_)) => {
                self.raise(|path| Event::ReplicaFilling { path });
            }
            Ok(Step::Did) => {
                // It has files that it did not have.
                self.files.second.try_again();
                let checkpoint = lock(&self.shipping.tending).base();
                self.raise(|path| Event::ReplicaRebased { path, checkpoint });
            }
            _ => {}
        }
    }

    /// Raises an event of the replica at a path.
    pub(super) fn raise(&self, event: impl FnOnce(PathBuf) -> Event) {
        if let Some(replica) = &self.options.replica {
            self.events.raise(event(replica.path().to_owned()));
        }
    }

    /// From now on commits wait for this feed, as that of the replica.
    pub(super) fn replica_attached(&self, feed: u64, replica: Arc<Replica>) {
        if self.options.background {
            // Without it each sync is done by who needs it.
            drop(self.shipping.syncer.start(&*self.world));
        }
        self.shipping.with_feed(self, feed, |feed| feed.mode = Mode::Waited);
        lock(&self.shipping.tending).attached(feed, replica);
        self.files.second.try_again();
        self.raise(|path| Event::ReplicaAttached { path });
    }

    /// How many replicas commits wait for, and how often one was lost.
    pub(crate) fn replicas(&self) -> (u64, u64) {
        let tending = lock(&self.shipping.tending);
        (tending.has_replica().into(), tending.detached)
    }

    /// Ends all shipping, and lets the replica's directory go. What sinks have yet to get they are given before,
    /// as far as they take it.
    pub(crate) fn end_shipping(&self) {
        while let (true, None) = self.ship_behind() {}
        self.shipping.tends.store(false, Ordering::Release);
        self.shipping.syncer.stop();
        self.shipping.clear(self);
        *lock(&self.shipping.tending) = Tending::default();
    }

    /// How the replica is; `None` if there is none, and should be none.
    pub(crate) fn replica_status(&self) -> Option<ReplicaStatus> {
        let options = self.options.replica.as_ref().filter(|_| !self.options.read_only)?;
        let now = self.world.monotonic();
        let tending = lock(&self.shipping.tending);
        let (state, feed) = match (&tending.replica, tending.work.as_deref()) {
            (Some(attached), _) => (ReplicaState::Attached, Some(attached.feed)),
            (None, Some(Work::Filling(filling))) => (ReplicaState::Filling, Some(filling.feed())),
            _ => (ReplicaState::Detached, None),
        };
        let base = tending.base();
        let (detached, last_error) = (tending.detached, tending.last_error.clone());
        let alone = tending.since.map(|since| now.saturating_sub(since));
        drop(tending);
        let fed = feed.and_then(|id| {
            let look =
                |feed: &mut Feed| (feed.lag(), feed.lag_time(now), feed.shipped, feed.position());
            self.shipping.with_feed(self, id, look)
        });
        let (lag_bytes, lag_time, shipped_bytes, position) = fed.unwrap_or_default();
        Some(ReplicaStatus {
            path: options.path().to_owned(),
            policy: options.policy(),
            state,
            position,
            lag_bytes,
            lag_time,
            shipped_bytes,
            base_checkpoint: base,
            detached,
            alone: alone.filter(|_| state != ReplicaState::Attached),
            last_error,
        })
    }
}

/// What a step has come to.
enum Step {
    More(Box<Work>),
    Did,
    Nothing,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}
