//! One batch: a program again and again, in orders that a seed decides.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::Batch;

/// Runs the schedules of a batch up to the first that fails. Returns how many were run, and what was
/// wrong with the last one.
pub(super) fn run(batch: &Batch) -> (u64, Option<String>) {
    let Batch { program, seed, schedules } = *batch;
    let done = Arc::new(AtomicU64::new(0));
    let body = {
        let done = Arc::clone(&done);
        move || {
            let number = done.fetch_add(1, Ordering::Relaxed);
            let outcome = (program.body)(seed.wrapping_mul(0x1_0000).wrapping_add(number));
            outcome.unwrap_or_else(|story| panic!("{story}")); // how a scheduler is told
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| repeat(seed, schedules, body)));
    (done.load(Ordering::Relaxed), outcome.err().map(|panic| message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

/// Half of the batches choose the next thread each time by chance. The others give threads priorities
/// that change a few times in a run: so one thread can be left behind for as long as a race needs it.
#[cfg(shuttle)]
fn repeat(seed: u64, schedules: u64, body: impl Fn() + Send + Sync + 'static) {
    use shuttle::{
        Config, FailurePersistence, MaxSteps, Runner,
        scheduler::{PctScheduler, RandomScheduler, Scheduler},
    };

    /// The engine's deepest call, with room.
    const STACK: usize = 1 << 20;
    /// Ten times what the longest program takes: who is not done by then waits in vain.
    const STEPS: usize = 400_000;
    /// Changes of priority in a run.
    const CHANGES: usize = 4;

    let schedules = usize::try_from(schedules).unwrap_or(usize::MAX);
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.failure_persistence = FailurePersistence::None; // the seed repeats it
    config.silence_warnings = true;
    let scheduler: Box<dyn Scheduler + Send> = match seed % 2 {
        0 => Box::new(PctScheduler::new_from_seed(seed, CHANGES, schedules)),
        _ => Box::new(RandomScheduler::new_from_seed(seed, schedules)),
    };
    let _ran = Runner::new(scheduler, config).run(body);
}

/// On the threads of the system, which decide as they like.
#[cfg(not(shuttle))]
fn repeat(_seed: u64, schedules: u64, body: impl Fn() + Send + Sync + 'static) {
    (0..schedules).for_each(|_| body());
}
