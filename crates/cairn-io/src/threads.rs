//! `RealWorld`: the system's clocks and randomness, and a thread for each worker.
//!
//! The thread layer is thin on purpose: all it adds to [`Worker::step`] is when to call it. A wake
//! is a token in a channel that holds one, so waking twice steps once, and a wake that arrives
//! during a step is found after it. Stopping sets a flag, rings, and joins.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    IoError, IoOp, IoResult, Step, WallTime, Worker, WorkerHandle, World,
    shared::{
        atomic::{AtomicBool, Ordering},
        channel::{Receiver, RecvTimeoutError::Disconnected, Sender, bounded},
        thread::{self, JoinHandle},
    },
};

/// The system's clocks and randomness; each worker runs on a thread of its own, named after it.
///
/// ```
/// use cairn_io::{RealWorld, Step, Worker, World};
/// use std::sync::mpsc::{Sender, channel};
///
/// struct Greeter(Sender<&'static str>);
///
/// impl Worker for Greeter {
///     fn name(&self) -> &'static str {
///         "greeter"
///     }
///     fn step(&mut self) -> Step {
///         self.0.send("hello").unwrap();
///         Step::Idle(None) // until woken
///     }
///     fn panicked(&mut self, message: &str) {
///         panic!("{message}");
///     }
/// }
///
/// let (sender, greetings) = channel();
/// let handle = RealWorld::new().start(Box::new(Greeter(sender)))?;
/// assert_eq!(greetings.recv(), Ok("hello"));
/// handle.wake();
/// assert_eq!(greetings.recv(), Ok("hello"));
/// handle.stop();
/// # Ok::<(), cairn_io::IoError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RealWorld;

impl RealWorld {
    /// The real world; there is only one, so any two are the same.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl World for RealWorld {
    fn monotonic(&self) -> Duration {
        since_zero(ClockId::Monotonic)
    }

    fn wall(&self) -> WallTime {
        WallTime(u64::try_from(since_zero(ClockId::Realtime).as_micros()).unwrap_or(u64::MAX))
    }

    /// # Panics
    /// If the system has no source of randomness: nothing could be created safely then.
    fn random(&self, buf: &mut [u8]) {
        fill_random(buf);
    }

    fn process(&self) -> u32 {
        std::process::id()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the real world lets time pass")]
    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn start(&self, worker: Box<dyn Worker>) -> IoResult<WorkerHandle> {
        let (name, is_patient) = (worker.name(), worker.is_patient());
        let (ring, bell) = bounded(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn({
                let stopping = Arc::clone(&stopping);
                move || {
                    if is_patient {
                        step_back();
                    }
                    run(worker, &bell, &stopping);
                }
            })
            .map_err(|error| IoError::new(IoOp::Start, Path::new(name), error))?;
        let stop = {
            let ring = ring.clone();
            move || stop(&stopping, &ring, thread)
        };
        Ok(WorkerHandle::new(move || wake(&ring), stop))
    }
}

/// Rings; if nobody has listened since the last time, once is enough. Nor does it matter if the
/// worker has ended.
fn wake(ring: &Sender<()>) {
    ring.try_send(()).unwrap_or(());
}

fn stop(stopping: &AtomicBool, ring: &Sender<()>, thread: JoinHandle<()>) {
    stopping.store(true, Ordering::Release);
    wake(ring);
    // A worker that stops itself ends after the step that it is in; waiting for it here would
    // never end.
    if thread.thread().id() != thread::current().id() {
        thread.join().expect("the thread does not panic because its steps are caught");
    }
}

/// Lets the system give this thread what is left of the processors, with a tenth of what others get where nothing is
/// left: so it goes on, and nobody waits long for what it holds. Elsewhere priority is that of the whole process.
fn step_back() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        const STEPS: i32 = 10;
        // A thread that may not is like all others.
        rustix::process::nice(STEPS).map(drop).unwrap_or(());
    }
}

fn run(mut worker: Box<dyn Worker>, bell: &Receiver<()>, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Acquire) {
        let step = match catch_unwind(AssertUnwindSafe(|| worker.step())) {
            Ok(step) => step,
            Err(panic) => {
                // What it says is its last word, even if it panics again.
                let last = AssertUnwindSafe(|| worker.panicked(&message(&*panic)));
                return catch_unwind(last).unwrap_or(());
            }
        };
        if crate::planted::is_race(1) {
            bell.recv_timeout(Duration::ZERO).unwrap_or(()); // Planted race: a wake during a step.
        }
        match step {
            Step::Did => {}
            // A channel without senders means that nobody can wake or stop us any more.
            Step::Idle(None) if bell.recv().is_err() => return,
            Step::Idle(Some(wait)) if bell.recv_timeout(wait) == Err(Disconnected) => return,
            Step::Idle(_) => {}
            Step::Done => return,
        }
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

fn since_zero(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0); // before 1970: a clock that is not set
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn fill_random(buf: &mut [u8]) {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        let flags = rustix::rand::GetRandomFlags::empty();
        done += rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut *rest, flags))
            .expect("randomness is there because every supported kernel has the call");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn fill_random(buf: &mut [u8]) {
    use rustix::fs::{CWD, Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let device = rustix::fs::openat(CWD, "/dev/urandom", flags, Mode::empty())
        .expect("randomness is there because every Unix has the device");
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        done += rustix::io::retry_on_intr(|| rustix::io::read(&device, &mut *rest))
            .expect("the device can be read because it has just been opened");
    }
}
