//! Turns: a transaction that was overtaken again and again goes before all others.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use cairn_io::shared::{MutexGuard, atomic::Ordering, thread};

use crate::{
    EnvResult,
    core::{CommitState, Core},
    environment::Open,
    sync::lock,
};

/// So long a commit waits for somebody's turn to end, lest a transaction that waits for another
/// thread's commit waits for ever. A turn is about fairness; nothing wrong happens without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// While this lives, commits of other threads wait.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` within another turn of the same thread.
    core: Option<Arc<Open>>,
}

impl Core {
    /// The commit lock, when it is this thread's turn.
    pub(super) fn lock_in_turn(&self) -> EnvResult<MutexGuard<'_, CommitState>> {
        let mut commit = self.lock_shared()?;
        let mut patience = PATIENCE;
        while let Some(thread) = commit.turn
            && thread != thread::current().id()
            && !patience.is_zero()
        {
            let wait = self.turn_over.wait_timeout(commit, patience);
            let (guard, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
            commit = guard;
            if timeout.timed_out() {
                patience = Duration::ZERO;
            }
            if commit.exclusive.is_some() {
                drop(commit);
                commit = self.lock_shared()?;
            }
        }
        Ok(commit)
    }
}

impl Open {
    /// Waits until nobody else has a turn, and takes it.
    pub(crate) fn take_turn(self: &Arc<Self>) -> EnvResult<Turn> {
        let mut commit = self.lock_in_turn()?;
        let me = thread::current().id();
        if commit.turn == Some(me) {
            return Ok(Turn { core: None });
        }
        commit.turn = Some(me);
        self.counters.turns.fetch_add(1, Ordering::Relaxed);
        Ok(Turn { core: Some(Arc::clone(self)) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(core) = &self.core {
            let mut commit = lock(&core.commit);
            // Who lost patience may have taken it over.
            if commit.turn == Some(thread::current().id()) {
                commit.turn = None;
            }
            drop(commit);
            core.turn_over.notify_all();
        }
    }
}
