//! `run`: pieces of work that do not depend on each other, done by several threads, in the worker layer.
//!
//! The thread that waits works as well, and is the only one that reports and that is told of what has ended. So
//! with one thread everything happens in order; and in a simulated world, whose workers step only when the
//! simulation says so, all of it is done here, whoever was to help.

use std::{collections::VecDeque, panic::resume_unwind, sync::Arc};

use cairn_io::{Step, Worker, WorldRef, shared::Mutex};

use crate::{
    BackupResult,
    progress::{Counter, Flow},
    sync::lock,
};

/// A piece of work.
pub(crate) type Job<T> = Box<dyn FnOnce(&Counter<'_>) -> BackupResult<T> + Send>;

/// What is to be done, is being done, and was done.
struct Desk<T> {
    state: Mutex<State<T>>,
    flow: Arc<Flow>,
}

struct State<T> {
    waiting: VecDeque<(usize, Job<T>)>,
    running: usize,
    ended: Vec<(usize, BackupResult<T>)>,
    /// What a worker has said last.
    panic: Option<String>,
}

impl<T> Desk<T> {
    /// Does the next job, if there is one.
    fn work(&self, counter: &Counter<'_>) -> bool {
        let next = {
            let mut state = lock(&self.state);
            let next = if self.flow.has_failed() { None } else { state.waiting.pop_front() };
            state.running += usize::from(next.is_some());
            next
        };
        let Some((place, job)) = next else { return false };
        let done = job(counter);
        let has_failed = done.is_err();
        let mut state = lock(&self.state);
        state.running -= 1;
        state.ended.push((place, done));
        drop(state);
        // What ends the others comes behind what they are ended by.
        if has_failed {
            self.flow.fail();
        }
        self.flow.ring();
        true
    }

    /// Leaves what was not begun.
    fn give_up(&self) {
        self.flow.fail();
        lock(&self.state).waiting.clear();
    }
}

/// One of the threads that help.
struct Helper<T>(Arc<Desk<T>>);

impl<T: Send> Worker for Helper<T> {
    fn name(&self) -> &'static str {
        "cairn-copy"
    }

    fn step(&mut self) -> Step {
        let counter = Counter::of(Arc::clone(&self.0.flow), None);
        if self.0.work(&counter) { Step::Did } else { Step::Done }
    }

    fn panicked(&mut self, message: &str) {
        lock(&self.0.state).panic = Some(message.to_owned());
        self.0.flow.ring();
    }
}

/// Does all jobs, up to `threads` of them at a time, and tells `ended` of each, with its place. The first error ends
/// those that are being done, and no other is begun.
///
/// # Errors
/// That of a job, or of `ended`.
///
/// # Panics
/// If a job does.
pub(crate) fn run<T: Send + 'static>(
    world: &WorldRef,
    threads: usize,
    jobs: Vec<Job<T>>,
    counter: &Counter<'_>,
    mut ended: impl FnMut(usize, T) -> BackupResult<()>,
) -> BackupResult<()> {
    let helpers = threads.min(jobs.len()).saturating_sub(1);
    let state = State {
        waiting: jobs.into_iter().enumerate().collect(),
        running: 0,
        ended: Vec::new(),
        panic: None,
    };
    let desk = Arc::new(Desk { state: Mutex::new(state), flow: Arc::clone(counter.flow()) });
    // Where the system has no more threads, there are fewer.
    let start = |_| world.start(Box::new(Helper(Arc::clone(&desk)))).ok();
    let helping: Vec<_> = (0..helpers).filter_map(start).collect();
    let result = lead(&desk, counter, &mut ended);
    if result.is_err() {
        desk.give_up();
    }
    // Each is waited for: nothing is being written any more when the caller goes on.
    drop(helping);
    match lock(&desk.state).panic.take() {
        Some(message) => resume_unwind(Box::new(message)),
        None => result,
    }
}

fn lead<T>(
    desk: &Desk<T>,
    counter: &Counter<'_>,
    ended: &mut impl FnMut(usize, T) -> BackupResult<()>,
) -> BackupResult<()> {
    loop {
        let did = desk.work(counter);
        let (done, is_over) = {
            let mut state = lock(&desk.state);
            let is_over = state.panic.is_some() || state.waiting.is_empty() && state.running == 0;
            (std::mem::take(&mut state.ended), is_over)
        };
        for (place, done) in done {
            ended(place, done?)?;
        }
        if is_over {
            return Ok(());
        }
        if !did {
            counter.tell();
            desk.flow.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use cairn_io::RealWorld;
    use cairn_sim::SimWorld;

    use super::*;
    use crate::BackupError;

    fn jobs(count: usize) -> Vec<Job<usize>> {
        let job = |n| -> Job<usize> {
            Box::new(move |counter: &Counter<'_>| {
                for _ in 0..10 {
                    counter.add(n as u64)?;
                }
                Ok(n * n)
            })
        };
        (0..count).map(job).collect()
    }

    #[test]
    fn all_is_done_once_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 7] {
            let reports = Mutex::new(Vec::new());
            let report = |progress| lock(&reports).push(progress);
            let counter = Counter::new(10 * (0..50).sum::<u64>(), Some(&report));
            let mut found = vec![0; 50];
            let world: WorldRef = Arc::new(RealWorld::new());
            let run = run(&world, threads, jobs(50), &counter, |place, square| {
                assert_eq!(square, place * place);
                found[place] += 1;
                Ok(())
            });
            run.unwrap();
            counter.end();
            assert_eq!(found, [1; 50]);
            let reports = lock(&reports);
            assert!(reports.windows(2).all(|two| two[0].done <= two[1].done));
            assert_eq!(reports.last().unwrap().done, reports[0].total);
        }
    }

    #[test]
    fn in_a_simulated_world_everything_happens_here_and_in_order() {
        let world = SimWorld::new(1).world();
        let mut order = Vec::new();
        let counter = Counter::new(0, None);
        let run = run(&world, 4, jobs(9), &counter, |place, _| {
            order.push(place);
            Ok(())
        });
        run.unwrap();
        assert_eq!(order, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_ends_the_others() {
        let begun = Arc::new(AtomicUsize::new(0));
        let job = |n: usize| -> Job<()> {
            let begun = Arc::clone(&begun);
            Box::new(move |counter: &Counter<'_>| {
                begun.fetch_add(1, Ordering::Relaxed);
                if n == 3 {
                    return Err(BackupError::InvalidInput { what: "three".into() });
                }
                // Only the error ends it.
                while n > 3 && counter.check().is_ok() {
                    counter.skip(1)?;
                }
                Ok(())
            })
        };
        let world: WorldRef = Arc::new(RealWorld::new());
        let counter = Counter::new(0, None);
        let jobs = (0..100).map(job).collect();
        let error = run(&world, 3, jobs, &counter, |_, ()| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "three");
        assert!(begun.load(Ordering::Relaxed) < 10);
    }

    #[test]
    fn a_panic_of_a_helper_is_one_of_the_caller() {
        let world: WorldRef = Arc::new(RealWorld::new());
        let here = std::thread::current().id();
        // The one that is done here lasts until the other has panicked.
        let job = |_| -> Job<()> {
            Box::new(move |counter: &Counter<'_>| {
                assert_eq!(std::thread::current().id(), here, "elsewhere");
                counter.flow().wait();
                Ok(())
            })
        };
        let counter = Counter::new(0, None);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            run(&world, 2, (0..2).map(job).collect(), &counter, |_, ()| Ok(()))
        }));
        let panic = caught.unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("elsewhere"));
    }
}
