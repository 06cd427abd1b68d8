//! `CommitOrder`: what was committed and may not be told yet, because an earlier commit is not sure.

use std::{collections::VecDeque, sync::Arc};

use super::{ChangeNotification, Queue, StoreEvent, SubscribeType};
use crate::{KvError, KvResult};

/// The observers of a store, and what they are not told yet.
#[derive(Debug, Default)]
pub(crate) struct CommitOrder {
    observers: Vec<Registered>,
    /// In the order of the commits.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Registered {
    queue: Arc<Queue>,
    kind: SubscribeType,
    device: String,
}

#[derive(Debug)]
struct Waiting {
    notification: Arc<ChangeNotification>,
    /// Who is concerned: those that were there at the commit.
    queues: Vec<Arc<Queue>>,
    is_sure: bool,
}

impl CommitOrder {
    /// # Errors
    /// [`KvError::TooMany`].
    pub(crate) fn join(
        &mut self,
        kind: SubscribeType,
        device: &str,
        max: usize,
    ) -> KvResult<Arc<Queue>> {
        if self.observers.len() >= max {
            return Err(KvError::TooMany { what: "observers", max });
        }
        let queue = Arc::new(Queue::default());
        let registered = Registered { queue: Arc::clone(&queue), kind, device: device.into() };
        self.observers.push(registered);
        Ok(queue)
    }

    pub(super) fn leave(&mut self, queue: &Arc<Queue>) {
        self.observers.retain(|observer| !Arc::ptr_eq(&observer.queue, queue));
    }

    /// Whether anybody is to be told of changes by this device.
    pub(crate) fn concerns_anybody(&self, device: &str) -> bool {
        self.observers.iter().any(|observer| observer.is_concerned(device))
    }

    /// Something was committed, after everything that was submitted before; says whether it has to be acknowledged.
    pub(crate) fn submitted(&mut self, told: Option<ChangeNotification>, commit: u64) -> bool {
        let Some(mut notification) = told else { return false };
        notification.commit = commit;
        let concerned = self.observers.iter().filter(|of| of.is_concerned(&notification.device));
        let queues = concerned.map(|observer| Arc::clone(&observer.queue)).collect();
        let notification = Arc::new(notification);
        self.waiting.push_back(Waiting { notification, queues, is_sure: false });
        true
    }

    /// A commit is as sure as it was asked to be. One that is synced has made those before it sure.
    pub(crate) fn acknowledged(&mut self, commit: u64, is_synced: bool) {
        for waiting in &mut self.waiting {
            let of = waiting.notification.commit;
            waiting.is_sure |= of == commit || is_synced && of < commit;
        }
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.is_sure) {
            if !waiting.notification.is_empty() {
                let event = StoreEvent::Changed(waiting.notification);
                waiting.queues.iter().for_each(|queue| queue.push(event.clone()));
            }
        }
    }

    /// The store has become another one with a commit that is synced: all are told to read it again, after what
    /// they are to be told of before.
    pub(crate) fn reset(&mut self, commit: u64) {
        self.acknowledged(commit, true);
        self.observers.iter().for_each(|observer| observer.queue.push(StoreEvent::Reset));
    }

    /// No more events.
    pub(crate) fn close(&mut self) {
        self.observers.drain(..).for_each(|observer| observer.queue.close());
        self.waiting.clear();
    }
}

impl Registered {
    fn is_concerned(&self, device: &str) -> bool {
        match self.kind {
            SubscribeType::All => true,
            SubscribeType::Local => self.device == device,
            SubscribeType::Remote => self.device != device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(device: &str) -> Option<ChangeNotification> {
        let mut change = ChangeNotification::new(device);
        change.deleted.push(bytes::Bytes::from_static(b"k"));
        Some(change)
    }

    fn taken(queue: &Queue) -> Vec<u64> {
        let commit = |event| match event {
            StoreEvent::Changed(change) => change.commit,
            StoreEvent::Reset => 0,
        };
        std::iter::from_fn(|| queue.take()).map(commit).collect()
    }

    #[test]
    fn commits_are_told_in_their_order_whoever_is_answered_first() {
        let mut order = CommitOrder::default();
        let queue = order.join(SubscribeType::All, "d", 8).unwrap();
        assert!((1..4).all(|commit| order.submitted(change("d"), commit)));
        assert!(!order.submitted(None, 4));
        order.acknowledged(2, false);
        assert_eq!(taken(&queue), [0; 0]); // 1 is not sure
        order.acknowledged(1, false);
        assert_eq!(taken(&queue), [1, 2]);
        order.acknowledged(1, true);
        assert_eq!(taken(&queue), [0; 0]); // never twice
        order.submitted(change("d"), 5);
        order.acknowledged(5, true);
        assert_eq!(taken(&queue), [3, 5]);
    }

    #[test]
    fn observers_are_told_what_concerns_them_from_when_they_came() {
        let mut order = CommitOrder::default();
        let local = order.join(SubscribeType::Local, "d", 8).unwrap();
        let remote = order.join(SubscribeType::Remote, "d", 8).unwrap();
        order.submitted(change("d"), 1);
        let late = order.join(SubscribeType::All, "d", 8).unwrap();
        order.submitted(change("e"), 2);
        order.acknowledged(2, true);
        assert_eq!((taken(&local), taken(&remote), taken(&late)), (vec![1], vec![2], vec![2]));
    }

    #[test]
    fn there_are_as_many_observers_as_may_be() {
        let mut order = CommitOrder::default();
        let first = order.join(SubscribeType::All, "d", 1).unwrap();
        let error = order.join(SubscribeType::All, "d", 1).unwrap_err();
        assert_eq!(error.code(), Some(15_100_001));
        order.leave(&first);
        order.join(SubscribeType::All, "d", 1).unwrap();
    }
}
