//! `Queue`: the events that an observer has not taken yet, bounded.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use super::StoreEvent;
use crate::sync::lock;

/// Most changed entries that wait.
const MAX_ENTRIES: usize = 65_536;
/// Most bytes of them.
const MAX_BYTES: usize = 64 << 20;

/// Events that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<StoreEvent>,
    entries: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Adds an event; if there are too many then, a reset takes the place of all.
    pub(super) fn push(&self, event: StoreEvent) {
        let mut waiting = lock(&self.waiting);
        let (entries, bytes) = size(&event);
        waiting.entries += entries;
        waiting.bytes += bytes;
        waiting.events.push_back(event);
        if waiting.entries > MAX_ENTRIES || waiting.bytes > MAX_BYTES {
            let closed = waiting.closed;
            *waiting = Waiting { closed, ..Waiting::default() };
            waiting.events.push_back(StoreEvent::Reset);
        }
        self.arrived.notify_all();
    }

    pub(super) fn take(&self) -> Option<StoreEvent> {
        lock(&self.waiting).take()
    }

    pub(super) fn wait(&self, time: Duration) -> Option<StoreEvent> {
        let waiting = lock(&self.waiting);
        let is_idle = |waiting: &mut Waiting| waiting.events.is_empty() && !waiting.closed;
        let waited = self.arrived.wait_timeout_while(waiting, time, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.waiting).closed
    }
}

impl Waiting {
    fn take(&mut self) -> Option<StoreEvent> {
        let event = self.events.pop_front()?;
        let (entries, bytes) = size(&event);
        self.entries -= entries;
        self.bytes -= bytes;
        Some(event)
    }
}

fn size(event: &StoreEvent) -> (usize, usize) {
    match event {
        StoreEvent::Changed(change) => change.size(),
        StoreEvent::Reset => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Entry, observer::ChangeNotification};

    fn change(entries: usize, bytes: usize) -> StoreEvent {
        let mut change = ChangeNotification::new("d");
        change.inserted = (0..entries).map(|_| Entry::new("", vec![0; bytes])).collect();
        StoreEvent::Changed(Arc::new(change))
    }

    #[test]
    fn more_than_65536_entries_become_one_reset() {
        let queue = Queue::default();
        for _ in 0..64 {
            queue.push(change(1024, 0));
        }
        assert!(matches!(queue.take(), Some(StoreEvent::Changed(_))));
        queue.push(change(1024, 0));
        queue.push(change(1, 0));
        queue.push(change(1, 0));
        assert_eq!(queue.take(), Some(StoreEvent::Reset));
        assert!(matches!(queue.take(), Some(StoreEvent::Changed(_))));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn more_than_64_mib_become_one_reset() {
        let queue = Queue::default();
        queue.push(change(1, 63 << 20));
        queue.push(change(1, 2 << 20));
        assert_eq!((queue.take(), queue.take()), (Some(StoreEvent::Reset), None));
    }

    #[test]
    fn who_waits_is_woken_by_an_event_and_by_the_end() {
        let queue = Arc::new(Queue::default());
        assert_eq!(queue.wait(Duration::ZERO), None);
        queue.push(StoreEvent::Reset);
        assert_eq!(queue.wait(Duration::from_secs(60)), Some(StoreEvent::Reset));
        queue.close();
        assert_eq!(queue.wait(Duration::from_secs(60)), None);
        assert!(queue.is_closed());
    }
}
