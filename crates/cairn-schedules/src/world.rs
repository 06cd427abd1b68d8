//! The world of the programs: real workers on threads, and a clock that runs when it is looked at.

use std::time::Duration;

use cairn_io::{IoResult, RealWorld, WallTime, Worker, WorkerHandle, World};
use cairn_sim::SimWorld;

/// So much passes with each look at the clock.
const TICK: Duration = Duration::from_micros(250);

/// Time and chance follow from what the program does, so that a schedule can be repeated; workers
/// are those of the engine that ships, on threads.
#[derive(Clone, Debug)]
pub(super) struct ThreadWorld(SimWorld);

impl ThreadWorld {
    pub(super) fn new(seed: u64) -> Self {
        Self(SimWorld::new(seed))
    }
}

impl World for ThreadWorld {
    fn monotonic(&self) -> Duration {
        self.0.advance(TICK);
        self.0.monotonic()
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn random(&self, buf: &mut [u8]) {
        self.0.random(buf);
    }

    fn process(&self) -> u32 {
        self.0.process()
    }

    fn pause(&self, time: Duration) {
        self.0.pause(time);
    }

    fn start(&self, worker: Box<dyn Worker>) -> IoResult<WorkerHandle> {
        RealWorld::new().start(worker)
    }
}
