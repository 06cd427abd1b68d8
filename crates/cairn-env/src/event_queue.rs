//! `EventQueue`: what an observer of commits has not taken yet, bounded.
//!
//! For what is built on an environment and tells of commits: an observer that is slow, or gone to sleep, costs so much
//! memory and no more, and holds up nobody.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Most changes that wait: entries or rows, whatever is counted.
pub const MAX_QUEUED_CHANGES: usize = 65_536;
/// Most bytes of them.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;

/// What an observer is told.
pub trait QueuedEvent {
    /// What takes the place of events that are too many: read everything again.
    const RESET: Self;

    /// How many changes it speaks of, and about how many bytes they have.
    fn size(&self) -> (usize, usize);
}

/// Events that wait to be taken by an observer. If they speak of more than [`MAX_QUEUED_CHANGES`], or of more than
/// [`MAX_QUEUED_BYTES`], one reset takes the place of all.
///
/// ```
/// use cairn_env::{EventQueue, MAX_QUEUED_CHANGES, QueuedEvent};
///
/// #[derive(Debug, PartialEq)]
/// enum Event {
///     Changed(usize),
///     Reset,
/// }
///
/// impl QueuedEvent for Event {
///     const RESET: Self = Self::Reset;
///
///     fn size(&self) -> (usize, usize) {
///         match self {
///             Self::Changed(changes) => (*changes, 0),
///             Self::Reset => (0, 0),
///         }
///     }
/// }
///
/// let queue = EventQueue::default();
/// queue.push(Event::Changed(1));
/// assert_eq!(queue.take(), Some(Event::Changed(1)));
/// queue.push(Event::Changed(2));
/// queue.push(Event::Changed(MAX_QUEUED_CHANGES));
/// assert_eq!((queue.take(), queue.take()), (Some(Event::Reset), None));
/// ```
#[derive(Debug)]
pub struct EventQueue<E> {
    waiting: Mutex<Waiting<E>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Waiting<E> {
    events: VecDeque<E>,
    changes: usize,
    bytes: usize,
    is_closed: bool,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        let (events, changes, bytes, is_closed) = (VecDeque::new(), 0, 0, false);
        let waiting = Mutex::new(Waiting { events, changes, bytes, is_closed });
        Self { waiting, arrived: Condvar::new() }
    }
}

impl<E: QueuedEvent> EventQueue<E> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; if there is too much then, a reset takes the place of all.
    pub fn push(&self, event: E) {
        let mut waiting = self.waiting();
        let (changes, bytes) = event.size();
        waiting.changes += changes;
        waiting.bytes += bytes;
        waiting.events.push_back(event);
        if waiting.changes > MAX_QUEUED_CHANGES || waiting.bytes > MAX_QUEUED_BYTES {
            waiting.reset();
        }
        self.arrived.notify_all();
    }

    /// A reset takes the place of all.
    pub fn reset(&self) {
        self.waiting().reset();
        self.arrived.notify_all();
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<E> {
        self.waiting().take()
    }

    /// The next event; waits for it for so long. `None` if none has come, or none will.
    #[must_use]
    pub fn wait(&self, time: Duration) -> Option<E> {
        let waiting = self.waiting();
        let is_idle = |waiting: &mut Waiting<E>| waiting.events.is_empty() && !waiting.is_closed;
        let waited = self.arrived.wait_timeout_while(waiting, time, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// No more events; what has come can still be taken.
    pub fn close(&self) {
        self.waiting().is_closed = true;
        self.arrived.notify_all();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.waiting().is_closed
    }
}

impl<E: QueuedEvent> Waiting<E> {
    fn reset(&mut self) {
        self.events.clear();
        self.events.push_back(E::RESET);
        (self.changes, self.bytes) = (0, 0);
    }

    fn take(&mut self) -> Option<E> {
        let event = self.events.pop_front()?;
        let (changes, bytes) = event.size();
        self.changes -= changes;
        self.bytes -= bytes;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes and bytes; the reset has none.
    #[derive(Debug, PartialEq)]
    struct Event(usize, usize);

    impl QueuedEvent for Event {
        const RESET: Self = Self(0, 0);

        fn size(&self) -> (usize, usize) {
            (self.0, self.1)
        }
    }

    #[test]
    fn more_than_65536_changes_become_one_reset() {
        let queue = EventQueue::default();
        for _ in 0..64 {
            queue.push(Event(1024, 0));
        }
        assert_eq!(queue.take(), Some(Event(1024, 0)));
        queue.push(Event(1024, 0));
        queue.push(Event(1, 0));
        queue.push(Event(1, 0));
        assert_eq!(queue.take(), Some(Event::RESET));
        assert_eq!((queue.take(), queue.take()), (Some(Event(1, 0)), None));
    }

    #[test]
    fn more_than_64_mib_become_one_reset() {
        let queue = EventQueue::default();
        queue.push(Event(1, 63 << 20));
        queue.push(Event(1, 2 << 20));
        assert_eq!((queue.take(), queue.take()), (Some(Event::RESET), None));
    }

    #[test]
    fn a_reset_takes_the_place_of_what_waits() {
        let queue = EventQueue::default();
        queue.push(Event(3, 3));
        queue.reset();
        assert_eq!((queue.take(), queue.take()), (Some(Event::RESET), None));
    }

    #[test]
    fn who_waits_is_woken_by_an_event_and_by_the_end() {
        let queue = EventQueue::default();
        assert_eq!(queue.wait(Duration::ZERO), None);
        queue.push(Event(1, 1));
        assert_eq!(queue.wait(Duration::from_secs(60)), Some(Event(1, 1)));
        queue.close();
        assert_eq!(queue.wait(Duration::from_secs(60)), None);
        assert!(queue.is_closed());
    }
}
