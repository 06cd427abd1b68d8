//! Writers: who may write to a file, one at a time, in the order in which they came.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use cairn_io::World;

use crate::sync::lock;

/// A handle of a file. Handles write, not threads: a thread may have several connections.
pub(crate) type HandleId = u64;

/// So long the turn is kept for a handle that must look at the newest version first.
const TICKET: Duration = Duration::from_millis(10);

/// Who may write to a file.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    turns: Mutex<Turns>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    owner: Option<HandleId>,
    /// Whose turn is next, and until when it is kept.
    ticket: Option<(HandleId, Duration)>,
    waiting: VecDeque<HandleId>,
}

impl Turns {
    /// Whether it is the turn of `id`; if not, for how long it is certainly not.
    fn may_go(&mut self, id: HandleId, now: Duration) -> Result<(), Option<Duration>> {
        if self.owner.is_some() {
            return Err(None);
        }
        match self.ticket {
            Some((holder, _)) if holder == id => return Ok(()),
            Some((_, until)) if now < until => return Err(Some(until - now)),
            _ => self.ticket = None,
        }
        if self.waiting.front().is_none_or(|first| *first == id) { Ok(()) } else { Err(None) }
    }
}

impl Writers {
    /// Takes the turn; waits for it at most `patience`. Returns whether it was given.
    pub(crate) fn take(&self, id: HandleId, world: &dyn World, patience: Duration) -> bool {
        let mut turns = lock(&self.turns);
        let mut waited_since = None;
        loop {
            let now = world.monotonic();
            let blocked = match turns.may_go(id, now) {
                Ok(()) => {
                    turns.waiting.retain(|waiting| *waiting != id);
                    turns.ticket = None;
                    turns.owner = Some(id);
                    return true;
                }
                Err(blocked) => blocked,
            };
            let since = *waited_since.get_or_insert(now);
            let left = patience.saturating_sub(now.saturating_sub(since));
            if left.is_zero() {
                turns.waiting.retain(|waiting| *waiting != id);
                drop(turns);
                self.freed.notify_all(); // whoever comes after this one may be first now
                return false;
            }
            if !turns.waiting.contains(&id) {
                turns.waiting.push_back(id);
            }
            let time = blocked.map_or(left, |blocked| blocked.min(left));
            let woken = self.freed.wait_timeout(turns, time);
            turns = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the turn back.
    pub(crate) fn release(&self, id: HandleId) {
        self.give_back(id, None);
    }

    /// Gives the turn back for a moment, in which `id` looks at the newest version: nobody gets before it,
    /// unless it does not come back.
    pub(crate) fn step_aside(&self, id: HandleId, world: &dyn World) {
        self.give_back(id, Some((id, world.monotonic() + TICKET)));
    }

    fn give_back(&self, id: HandleId, ticket: Option<(HandleId, Duration)>) {
        let mut turns = lock(&self.turns);
        if turns.owner == Some(id) {
            turns.owner = None;
            turns.ticket = ticket;
            drop(turns);
            self.freed.notify_all();
        }
    }

    /// Whether somebody writes.
    pub(crate) fn is_taken(&self) -> bool {
        lock(&self.turns).owner.is_some()
    }
}
