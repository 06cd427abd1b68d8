//! `Queue`: the events that an observer has not taken yet, bounded.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use super::StoreEvent;
use crate::sync::lock;

/// Most changed rows that wait, and of one commit.
pub(crate) const MAX_ROWS: usize = 65_536;

/// Events that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<StoreEvent>,
    rows: usize,
    closed: bool,
}

impl Queue {
    /// Adds an event; if there are too many rows then, a reset takes the place of all.
    pub(super) fn push(&self, event: StoreEvent) {
        let mut waiting = lock(&self.waiting);
        waiting.rows += rows(&event);
        if waiting.rows > MAX_ROWS || event == StoreEvent::Reset {
            let closed = waiting.closed;
            *waiting = Waiting { closed, ..Waiting::default() };
            waiting.events.push_back(StoreEvent::Reset);
        } else {
            waiting.events.push_back(event);
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
        self.rows -= rows(&event);
        Some(event)
    }
}

fn rows(event: &StoreEvent) -> usize {
    match event {
        StoreEvent::Changed(change) => change.len(),
        StoreEvent::Reset => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observer::{ChangeNotification, TableChanges};

    fn change(rows: i64) -> StoreEvent {
        let table =
            TableChanges { inserted: (0..rows).collect(), is_complete: true, ..Default::default() };
        StoreEvent::Changed(Arc::new(ChangeNotification { tables: vec![table] }))
    }

    #[test]
    fn more_than_65536_rows_become_one_reset() {
        let queue = Queue::default();
        for _ in 0..64 {
            queue.push(change(1024));
        }
        assert!(matches!(queue.take(), Some(StoreEvent::Changed(_))));
        queue.push(change(1024));
        queue.push(change(1));
        queue.push(change(1));
        assert_eq!(queue.take(), Some(StoreEvent::Reset));
        assert!(matches!(queue.take(), Some(StoreEvent::Changed(_))));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn a_reset_takes_the_place_of_what_waits() {
        let queue = Queue::default();
        queue.push(change(3));
        queue.push(StoreEvent::Reset);
        assert_eq!((queue.take(), queue.take()), (Some(StoreEvent::Reset), None));
    }

    #[test]
    fn who_waits_is_woken_by_an_event_and_by_the_end() {
        let queue = Queue::default();
        assert_eq!(queue.wait(Duration::ZERO), None);
        queue.push(StoreEvent::Reset);
        assert_eq!(queue.wait(Duration::from_secs(60)), Some(StoreEvent::Reset));
        queue.close();
        assert_eq!(queue.wait(Duration::from_secs(60)), None);
        assert!(queue.is_closed());
    }
}
