//! `Watched`: a simulated disk that hashes what is done to it, and lets a process die at a chosen change.

use std::sync::{Arc, Mutex};

use cairn_sim::{Entry, FaultDisk, Image, Op, SimDisk, TraceHash};

use crate::run::lock;

/// A disk from one power failure to the next.
pub(super) struct Watched {
    pub(super) disk: SimDisk,
    state: Arc<Mutex<State>>,
}

struct State {
    hash: TraceHash,
    doom: Option<(u64, FaultDisk)>,
    is_dead: bool,
}

impl Watched {
    pub(super) fn new(image: &Image) -> Self {
        let disk = SimDisk::from_image(image).without_trace();
        let state = State { hash: TraceHash::new(image), doom: None, is_dead: false };
        let state = Arc::new(Mutex::new(state));
        let watching = Arc::clone(&state);
        disk.watch(move |entry| lock(&watching).saw(entry));
        Self { disk, state }
    }

    /// After so many more changes and syncs, nothing that is done through `faults` reaches the disk.
    pub(super) fn doom(&self, after: u64, faults: &FaultDisk) {
        let mut state = lock(&self.state);
        state.doom = Some((after, faults.clone()));
        state.die_if_due();
    }

    /// Whether that has come.
    pub(super) fn is_dead(&self) -> bool {
        lock(&self.state).is_dead
    }

    /// Another process takes over.
    pub(super) fn revive(&self) {
        let mut state = lock(&self.state);
        (state.doom, state.is_dead) = (None, false);
    }

    /// Tells apart what was done to disks.
    pub(super) fn hash(&self) -> u128 {
        lock(&self.state).hash.finish()
    }
}

/// Whoever is to die holds the disk, which holds this.
impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.state).doom = None;
    }
}

impl State {
    fn saw(&mut self, entry: &Entry) {
        self.hash.add(entry);
        if let (Some((left, _)), false) =
            (&mut self.doom, matches!(entry.op(), Op::Mark { .. } | Op::Begin { .. } | Op::End))
        {
            *left = left.saturating_sub(1);
        }
        self.die_if_due();
    }

    fn die_if_due(&mut self) {
        if let Some((_, faults)) = self.doom.take_if(|(left, _)| *left == 0) {
            faults.die();
            self.is_dead = true;
        }
    }
}
