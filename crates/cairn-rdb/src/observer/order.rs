//! `Order`: what was committed in a store and may not be told yet, because an earlier commit is not sure.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{ChangeNotification, Queue, StoreEvent};
use crate::sync::lock;

/// The observers of a store, and what they are not told yet.
///
/// SQLite lets one connection at a time write a file, and asks before each commit whether it may: whoever takes a
/// ticket then takes it in the order of the commits.
#[derive(Debug, Default)]
pub(crate) struct Order {
    state: Mutex<State>,
    /// How many observers there are.
    observers: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    queues: Vec<Arc<Queue>>,
    /// In the order of the commits.
    waiting: VecDeque<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// Who is concerned: those that were there at the commit.
    queues: Vec<Arc<Queue>>,
    outcome: Option<Outcome>,
}

/// The place of a commit among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Nothing was changed, or it was not committed.
    Nothing,
    Changed(Arc<ChangeNotification>),
    /// More than can be told.
    Reset,
}

impl Order {
    pub(super) fn join(&self) -> Arc<Queue> {
        let queue = Arc::new(Queue::default());
        lock(&self.state).queues.push(Arc::clone(&queue));
        self.observers.fetch_add(1, Ordering::SeqCst);
        queue
    }

    pub(super) fn leave(&self, queue: &Arc<Queue>) {
        let mut state = lock(&self.state);
        let before = state.queues.len();
        state.queues.retain(|other| !Arc::ptr_eq(other, queue));
        self.observers.fetch_sub(before - state.queues.len(), Ordering::SeqCst);
    }

    pub(crate) fn has_observers(&self) -> bool {
        self.observers.load(Ordering::SeqCst) > 0
    }

    /// Somebody is about to commit, after everybody who has a ticket.
    pub(crate) fn submit(&self) -> Ticket {
        let mut state = lock(&self.state);
        let (ticket, queues) = (Ticket(state.next), state.queues.clone());
        state.next += 1;
        state.waiting.push_back(Waiting { ticket, queues, outcome: None });
        ticket
    }

    /// What came of it: it is told when all before it were.
    pub(crate) fn resolve(&self, ticket: Ticket, outcome: Outcome) {
        let mut state = lock(&self.state);
        let waiting = state.waiting.iter_mut().find(|waiting| waiting.ticket == ticket);
        if let Some(waiting) = waiting {
            waiting.outcome = Some(outcome);
        }
        while let Some(told) = state.waiting.pop_front_if(|waiting| waiting.outcome.is_some()) {
            let tell: &dyn Fn(&Arc<Queue>) = match &told.outcome {
                Some(Outcome::Changed(change)) => {
                    &|queue| queue.push(StoreEvent::Changed(Arc::clone(change)))
                }
                Some(Outcome::Reset) => &|queue| queue.reset(),
                Some(Outcome::Nothing) | None => continue,
            };
            told.queues.iter().for_each(tell);
        }
    }

    /// The store has become another one: all are told to read it again.
    pub(crate) fn reset(&self) {
        let ticket = self.submit();
        self.resolve(ticket, Outcome::Reset);
    }

    /// No more events.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        self.observers.fetch_sub(state.queues.len(), Ordering::SeqCst);
        state.queues.drain(..).for_each(|queue| queue.close());
        state.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::TableChanges;

    fn changed(table: &str) -> Outcome {
        let table = TableChanges { table: table.into(), ..TableChanges::default() };
        Outcome::Changed(Arc::new(ChangeNotification { tables: vec![table] }))
    }

    fn taken(queue: &Queue) -> String {
        let name = |event| match event {
            StoreEvent::Changed(change) => change.tables[0].table.clone(),
            StoreEvent::Reset => "!".into(),
        };
        std::iter::from_fn(|| queue.take()).map(name).collect()
    }

    #[test]
    fn commits_are_told_in_their_order_whoever_is_answered_first() {
        let order = Order::default();
        let queue = order.join();
        let [a, b, c] = [order.submit(), order.submit(), order.submit()];
        order.resolve(b, changed("b"));
        assert_eq!(taken(&queue), ""); // a is not sure
        order.resolve(a, changed("a"));
        assert_eq!(taken(&queue), "ab");
        order.resolve(c, Outcome::Nothing);
        order.reset();
        assert_eq!(taken(&queue), "!");
    }

    #[test]
    fn observers_are_told_from_when_they_came_until_they_go() {
        let order = Order::default();
        let early = order.join();
        let a = order.submit();
        let late = order.join();
        order.resolve(a, changed("a"));
        assert_eq!((taken(&early).as_str(), taken(&late).as_str()), ("a", ""));
        order.leave(&early);
        order.leave(&early);
        let b = order.submit();
        order.resolve(b, changed("b"));
        assert_eq!((taken(&early).as_str(), taken(&late).as_str()), ("", "b"));
        assert!(order.has_observers());
        order.close();
        assert!(late.is_closed() && !early.is_closed() && !order.has_observers());
        order.leave(&late);
        assert!(!order.has_observers());
    }
}
