//! `Ledger`: what the environment must hold after each commit, and how far that is certain.

use std::collections::VecDeque;

use crate::{check::Allowed, model::Contents, operation::Change};

/// The states after the commits that may still be found, the oldest first.
///
/// What is found after a crash is the state of one commit: none before `written`, none after `begun`.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// The number of the commit of the first state.
    first: u64,
    states: VecDeque<Contents>,
    /// Commits up to here are durable: somebody was told so.
    durable: u64,
    /// Commits up to here are written: the death of the process cannot take them back.
    written: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { first: 0, states: [Contents::default()].into(), durable: 0, written: 0 }
    }

    /// The newest commit that was begun.
    pub(super) fn begun(&self) -> u64 {
        self.first + self.states.len() as u64 - 1
    }

    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// The state after the newest commit.
    pub(super) fn newest(&self) -> &Contents {
        self.states.back().expect("there is always a state")
    }

    /// The state after `commit`, if it may still be asked for.
    pub(super) fn state(&self, commit: u64) -> Option<&Contents> {
        self.states.get(usize::try_from(commit.checked_sub(self.first)?).ok()?)
    }

    /// A commit begins: from now on it may be found.
    pub(super) fn begin(&mut self, changes: &[Change]) -> u64 {
        self.states.push_back(self.newest().after(changes));
        self.begun()
    }

    /// The commit that was begun last never was.
    pub(super) fn take_back(&mut self) {
        self.states.pop_back();
    }

    /// Commits up to `durable` cannot be lost any more, nor those up to `written` when a process dies.
    pub(super) fn acknowledge(&mut self, written: u64, durable: u64) {
        self.durable = self.durable.max(durable);
        self.written = self.written.max(written).max(durable);
    }

    /// What was only written may be gone.
    pub(super) fn lose_power(&mut self) {
        self.written = self.durable;
    }

    /// The environment was opened and found at `commit`: history goes on from there.
    pub(super) fn reopened(&mut self, commit: u64) {
        let kept = usize::try_from(commit - self.first + 1).unwrap_or(usize::MAX);
        self.states.truncate(kept);
        self.written = commit;
    }

    /// Nobody asks for what was before `commit` any more, unless it may be found.
    pub(super) fn forget_before(&mut self, commit: u64) {
        while self.first < commit.min(self.durable) {
            self.states.pop_front();
            self.first += 1;
        }
    }

    /// What may be found now.
    pub(super) fn allowed(&self) -> Allowed<'_> {
        let before = usize::try_from(self.written - self.first).unwrap_or(usize::MAX);
        Allowed::from_on(self.written, self.states.iter().skip(before).collect())
    }
}
