//! `Pace`: how fast a backup or a restore goes, and whether it goes on.

use std::{
    fmt,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use cairn_io::{WorldRef, shared::Mutex};

use crate::{BackupError, BackupResult, sync::lock};

/// Most threads that copy at the same time: each takes memory for two parts of 16 MiB.
const MAX_THREADS: usize = 64;

/// As many as that help a disk to be busy while bytes are hashed, where nobody says how many.
const DEFAULT_THREADS: usize = 4;

/// Who else wants to work meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Nobody: an environment is being restored.
    None,
    /// Whoever uses the environment: a commit that waits for a processor takes twenty times as long.
    Users,
}

/// Who waits for their turn looks so often whether they are still wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How fast a backup or a restore goes, and whether it goes on.
///
/// ```
/// use cairn_backup::{BackupError, BackupOptions, Cancel, Pace, backup};
/// # use cairn_env::{Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let cancel = Cancel::new(); // whoever has a clone of it can end the backup
/// cancel.cancel();
///
/// let pace = Pace::default().threads(2).bytes_per_second(50 << 20).cancel(&cancel);
/// let target = dir.path().join("saved");
/// let ended = backup(&env, &target, &BackupOptions::default().pace(pace));
/// assert!(matches!(ended, Err(BackupError::Cancelled)));
/// # Ok::<(), BackupError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Pace<'a> {
    /// How many files are copied at the same time, each by a thread, the caller's among them (default, and 0: a
    /// restore as many as there are processors, a backup one fewer, since the environment is in use; four at most). In
    /// a simulated world that is one, whatever stands here, unless the simulation runs the others.
    pub threads: usize,
    /// How many bytes of log files are read in a second at most, by all threads together (default: as many as there
    /// are). Files that are taken from where they are already do not count.
    pub bytes_per_second: Option<u64>,
    /// Ends it from outside.
    pub cancel: Option<&'a Cancel>,
}

impl<'a> Pace<'a> {
    /// Sets [`Pace::threads`](Pace#structfield.threads).
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets [`Pace::bytes_per_second`](Pace#structfield.bytes_per_second).
    #[must_use]
    pub const fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes);
        self
    }

    /// Sets [`Pace::cancel`](Pace#structfield.cancel).
    #[must_use]
    pub const fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// How many threads that are, the one of the caller among them.
    pub(crate) fn crew(&self, others: Others) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZero::get);
        let free = || processors().saturating_sub(usize::from(others == Others::Users)).max(1);
        match self.threads {
            0 => free().min(DEFAULT_THREADS),
            threads => threads.min(MAX_THREADS),
        }
    }

    /// Nobody can wait for a rate of nothing.
    pub(crate) fn check(&self) -> BackupResult<()> {
        match self.bytes_per_second {
            Some(0) => {
                Err(BackupError::InvalidInput { what: "a rate of 0 bytes per second".into() })
            }
            _ => Ok(()),
        }
    }
}

/// Ends what it was given to, at the next piece of some 256 KiB, with [`BackupError::Cancelled`]. What was there
/// before stays valid: the environment, the repository with its points, and what a restore should have replaced. The
/// same call made once more goes on with what this one has stored. All clones are the same.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that has not been used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it. There is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that was done.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}

/// Lets so many bytes pass in a second, whoever they are of.
#[derive(Debug)]
pub(crate) struct Throttle {
    world: WorldRef,
    bytes_per_second: u64,
    /// When the next bytes may pass.
    next: Mutex<Duration>,
}

impl Throttle {
    pub(crate) fn new(world: &WorldRef, bytes_per_second: u64) -> Self {
        let next = Mutex::new(world.monotonic());
        Self { world: WorldRef::clone(world), bytes_per_second, next }
    }

    /// Waits until it is the turn of these bytes, or `is_over`.
    pub(crate) fn pass(&self, bytes: u64, is_over: impl Fn() -> bool) {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut now = self.world.monotonic();
        let turn = {
            let mut next = lock(&self.next);
            let turn = now.max(*next);
            *next = turn.saturating_add(takes);
            turn
        };
        while now < turn && !is_over() {
            self.world.pause((turn - now).min(LOOK_UP));
            now = self.world.monotonic();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_sim::SimWorld;

    #[test]
    fn a_throttle_lets_through_what_it_says_and_saves_nothing_up() {
        let world = SimWorld::new(1).world();
        let throttle = Throttle::new(&world, 1000);
        let began = world.monotonic();
        for _ in 0..11 {
            throttle.pass(500, || false);
        }
        let took = world.monotonic() - began;
        assert!((5000..5100).contains(&took.as_millis()), "{took:?}");
        world.pause(Duration::from_secs(60));
        let began = world.monotonic();
        for _ in 0..3 {
            throttle.pass(500, || false);
        }
        assert!((world.monotonic() - began).as_millis() >= 1000);
        let began = world.monotonic();
        throttle.pass(1 << 40, || true);
        throttle.pass(1 << 40, || true);
        assert!((world.monotonic() - began).as_millis() < 100, "whoever is cancelled waits");
    }
}
