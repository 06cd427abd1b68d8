//! The thread layer by itself: no wake is lost, and a worker that was stopped takes no step.

use std::sync::Arc;

use cairn_io::{
    RealWorld, Step, Worker, World,
    shared::{
        atomic::{AtomicU64, Ordering},
        thread,
    },
};

use crate::{
    Checked,
    ground::{PATIENCE, run},
};

/// What two threads leave for a worker.
#[derive(Debug, Default)]
struct Desk {
    inbox: AtomicU64,
    done: AtomicU64,
    steps: AtomicU64,
}

struct Clerk(Arc<Desk>);

impl Worker for Clerk {
    fn name(&self) -> &'static str {
        "clerk"
    }

    fn step(&mut self) -> Step {
        self.0.steps.fetch_add(1, Ordering::SeqCst);
        match self.0.inbox.swap(0, Ordering::SeqCst) {
            0 => Step::Idle(None),
            n => {
                self.0.done.fetch_add(n, Ordering::SeqCst);
                Step::Idle(None) // whoever brings more rings
            }
        }
    }

    fn panicked(&mut self, _: &str) {}
}

pub(super) fn wakes(_seed: u64) -> Checked {
    const EACH: u64 = 3;
    let desk = Arc::new(Desk::default());
    let handle = RealWorld::new().start(Box::new(Clerk(Arc::clone(&desk)))).map_err(run)?;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    desk.inbox.fetch_add(1, Ordering::SeqCst);
                    handle.wake();
                }
            });
        }
    });
    let mut looks = 0;
    while desk.done.load(Ordering::SeqCst) < 2 * EACH {
        looks += 1;
        if looks > PATIENCE {
            return Err("a wake was lost: work lies where it was left".into());
        }
        thread::yield_now();
    }
    handle.stop();
    let steps = desk.steps.load(Ordering::SeqCst);
    thread::yield_now();
    match desk.steps.load(Ordering::SeqCst) == steps {
        true => Ok(()),
        false => Err("a worker that was stopped took a step".into()),
    }
}
