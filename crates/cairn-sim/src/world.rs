//! `SimWorld`: a clock that moves when told, and workers that step when told.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn_io::{IoResult, Step, WallTime, Worker, WorkerHandle, World, WorldRef};

use crate::chooser::{Chooser, ChooserExt, Seeded};

/// A world in which nothing happens by itself.
///
/// Time stands still until [`SimWorld::advance`], randomness follows from a seed, and a worker
/// steps only in [`SimWorld::step`] and what is made of it. A worker may step when it has just been
/// started, when its last step did something, when it was woken, or when its idle period is over.
/// Clones are handles of the same world.
///
/// ```
/// use cairn_io::{Step, Worker, World};
/// use cairn_sim::SimWorld;
/// use std::time::Duration;
///
/// struct Hourly;
/// impl Worker for Hourly {
///     fn name(&self) -> &'static str { "hourly" }
///     fn step(&mut self) -> Step { Step::Idle(Some(Duration::from_secs(3600))) }
///     fn panicked(&mut self, message: &str) { unreachable!("{message}") }
/// }
///
/// let world = SimWorld::new(1);
/// let handle = world.start(Box::new(Hourly))?;
/// assert_eq!(world.run_until_idle(100), 1);
/// world.advance(Duration::from_secs(3599));
/// assert_eq!(world.run_until_idle(100), 0);
/// world.advance(Duration::from_secs(1));
/// assert_eq!(world.run_until_idle(100), 1);
/// handle.stop();
/// assert!(world.workers().is_empty());
/// # Ok::<(), cairn_io::IoError>(())
/// ```
#[derive(Clone)]
pub struct SimWorld {
    state: Arc<Mutex<State>>,
}

/// A worker of a [`SimWorld`]: the number tells it from others of its name, also after they have
/// ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId {
    /// How many workers had been started before it.
    pub number: usize,
    /// What it calls itself.
    pub name: &'static str,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.number)
    }
}

struct State {
    monotonic: Duration,
    wall: WallTime,
    random: Seeded,
    workers: BTreeMap<WorkerId, Slot>,
    started: usize,
}

struct Slot {
    /// Out while it steps.
    worker: Option<Box<dyn Worker>>,
    due: Due,
    woken: bool,
}

/// When a worker may step, unless it is woken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    At(Duration),
    Never,
}

impl SimWorld {
    /// A world without workers, at monotonic time 0, in the wall clock's year 2000.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        /// Midnight on the first of January 2000, in microseconds since 1970.
        const YEAR_2000: u64 = 946_684_800_000_000;
        let state = State {
            monotonic: Duration::ZERO,
            wall: WallTime(YEAR_2000),
            random: Seeded::new(seed).stream("world"),
            workers: BTreeMap::new(),
            started: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// This world, to be given away.
    #[must_use]
    pub fn world(&self) -> WorldRef {
        Arc::new(self.clone())
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.monotonic = state.monotonic.saturating_add(by);
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        state.wall = WallTime(state.wall.0.saturating_add(micros));
    }

    /// Lets time pass until the first idle period is over, and returns how much that was; `None` if
    /// no worker waits for a time. Nothing passes if one is already due.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let state = self.state();
        let next = state.workers.values().filter_map(|slot| match slot.due {
            Due::At(time) => Some(time),
            Due::Now => Some(state.monotonic),
            Due::Never => None,
        });
        let by = next.min()?.saturating_sub(state.monotonic);
        drop(state);
        self.advance(by);
        Some(by)
    }

    /// Sets the wall clock, forwards or back; the monotonic clock does not notice.
    pub fn set_wall(&self, time: WallTime) {
        self.state().wall = time;
    }

    /// All workers, in the order in which they were started.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerId> {
        self.state().workers.keys().copied().collect()
    }

    /// The workers that may step now.
    #[must_use]
    pub fn runnable(&self) -> Vec<WorkerId> {
        let state = self.state();
        let now = state.monotonic;
        let may = state.workers.iter().filter(|(_, slot)| slot.may_step(now));
        may.map(|(id, _)| *id).collect()
    }

    /// Lets a worker step if it may, and returns what it said; `None` if it may not, or has ended.
    ///
    /// A worker that panics is told so, as by the real world, and ends: [`Step::Done`].
    pub fn step(&self, id: WorkerId) -> Option<Step> {
        let mut worker = {
            let mut state = self.state();
            let now = state.monotonic;
            let slot = state.workers.get_mut(&id).filter(|slot| slot.may_step(now))?;
            slot.woken = false;
            slot.worker.take()?
        };
        // Unlocked: the worker may use this world.
        let step = catch_unwind(AssertUnwindSafe(|| worker.step())).unwrap_or_else(|panic| {
            worker.panicked(&message(&*panic));
            Step::Done
        });
        let mut state = self.state();
        let now = state.monotonic;
        if step == Step::Done {
            state.workers.remove(&id);
        } else if let Some(slot) = state.workers.get_mut(&id) {
            slot.due = match step {
                Step::Did | Step::Done => Due::Now,
                Step::Idle(Some(wait)) => Due::At(now.saturating_add(wait)),
                Step::Idle(None) => Due::Never,
            };
            slot.worker = Some(worker);
            return Some(step);
        }
        drop(state); // what the worker does when it is dropped may use this world, too
        drop(worker);
        Some(step)
    }

    /// Lets one of the workers that may step do so, as chosen, and returns which; `None` if none
    /// may.
    pub fn step_any(&self, chooser: &mut (impl Chooser + ?Sized)) -> Option<(WorkerId, Step)> {
        let runnable = self.runnable();
        if runnable.is_empty() {
            return None;
        }
        let id = *chooser.pick(&runnable, "worker");
        self.step(id).map(|step| (id, step))
    }

    /// Lets workers step in turn until none may, or until `steps_max` steps, and returns the number
    /// of steps. Time stands still.
    pub fn run_until_idle(&self, steps_max: usize) -> usize {
        let mut steps = 0;
        loop {
            let runnable = self.runnable();
            if runnable.is_empty() {
                return steps;
            }
            for id in runnable {
                if steps == steps_max {
                    return steps;
                }
                steps += usize::from(self.step(id).is_some());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, id: WorkerId) {
        // The worker is dropped when the lock has been released.
        let removed = self.state().workers.remove(&id);
        drop(removed);
    }

    fn wake(&self, id: WorkerId) {
        if let Some(slot) = self.state().workers.get_mut(&id) {
            slot.woken = true;
        }
    }
}

impl Slot {
    fn may_step(&self, now: Duration) -> bool {
        let due = match self.due {
            Due::Now => true,
            Due::At(time) => time <= now,
            Due::Never => false,
        };
        self.worker.is_some() && (due || self.woken)
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

impl World for SimWorld {
    fn monotonic(&self) -> Duration {
        self.state().monotonic
    }

    fn wall(&self) -> WallTime {
        self.state().wall
    }

    fn random(&self, buf: &mut [u8]) {
        self.state().random.fill(buf);
    }

    fn process(&self) -> u32 {
        1 // of every simulated process: what is written must not depend on the real one
    }

    fn pause(&self, time: Duration) {
        self.advance(time);
    }

    fn start(&self, worker: Box<dyn Worker>) -> IoResult<WorkerHandle> {
        let name = worker.name();
        let mut state = self.state();
        let id = WorkerId { number: state.started, name };
        state.started += 1;
        let slot = Slot { worker: Some(worker), due: Due::Now, woken: false };
        state.workers.insert(id, slot);
        let (waker, stopper) = (self.clone(), self.clone());
        Ok(WorkerHandle::new(move || waker.wake(id), move || stopper.remove(id)))
    }
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let names: Vec<_> = state.workers.keys().map(ToString::to_string).collect();
        write!(f, "SimWorld(at {:?}, workers {names:?})", state.monotonic)
    }
}
