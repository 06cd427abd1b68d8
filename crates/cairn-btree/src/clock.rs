//! `Clock`: the leaves that are in memory, in the order in which it is asked whether they may go.
//!
//! The second-chance algorithm: what was used since the hand came by last stays for another turn. The hand goes over what is in
//! memory, not over all slots: where the data is far larger than the budget, most of them are empty.

use std::collections::VecDeque;

use cairn_log::shared::Mutex;

use crate::{slot::Slot, sync::lock};

/// Numbers of slots, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ring: Mutex<VecDeque<u32>>,
}

impl Clock {
    /// There is a leaf in the slot.
    pub(crate) fn enter(&self, index: u32, slot: &Slot) {
        if slot.set_on_clock(true) {
            self.put_back(index);
        }
    }

    /// How many slots it goes over.
    pub(crate) fn len(&self) -> usize {
        lock(&self.ring).len()
    }

    /// The slot that the hand comes to. Either it [stays](Self::put_back), or it [leaves](Self::leave).
    pub(crate) fn next(&self) -> Option<u32> {
        lock(&self.ring).pop_front()
    }

    /// The slot has its turn again after all others.
    pub(crate) fn put_back(&self, index: u32) {
        lock(&self.ring).push_back(index);
    }

    /// There is no leaf in the slot any more, unless one came in meanwhile, which has not entered then.
    pub(crate) fn leave(&self, index: u32, slot: &Slot) {
        slot.set_on_clock(false);
        if slot.get().is_some_and(|node| node.may_be_evicted()) {
            self.enter(index, slot);
        }
    }
}
