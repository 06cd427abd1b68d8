//! `FaultDisk`: a disk on which chosen calls fail.
//!
//! | fault | what the caller sees | stands for |
//! |---|---|---|
//! | [`Fault::Eio`] | an error; nothing was done | a device that fails |
//! | [`Fault::NoSpace`] | an error; nothing was done | a full disk |
//! | [`Fault::ReadOnly`] | an error; nothing was done | a file system gone read-only |
//! | [`Fault::Kind`] | an error; nothing was done | anything else that has a kind |
//! | [`Fault::Interrupted`] | a transfer fails with EINTR; nothing was done | a signal |
//! | [`Fault::PartThenEio`] | an error; half of a write was done | a device that fails midway |
//! | [`Fault::Short`] | a transfer of half the bytes | signals, quotas, odd file systems |
//! | [`Fault::Zero`] | a transfer of no bytes | a write that is not accepted, a file that ends early |
//! | [`Fault::LostWrite`] | success; nothing was written | a write that the device dropped |
//! | [`Fault::FlippedRead`] | success; one bit is wrong | bits that rot, on the medium or on the way |
//!
//! A sync that fails is not merely an error: on a disk made by [`FaultDisk::on_sim`] the writes that
//! it was to make durable never will be, although they stay visible, and later syncs succeed. And a
//! sync can be [switched off](FaultDisk::skip_syncs): it returns `Ok` and does nothing.
//!
//! A device can also just be [small](FaultDisk::give_room).
//!
//! Which calls: [`Rule`]. A sweep runs the workload once to count the calls, then once for each
//! call and fault.

mod handle;
mod rule;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_io::{DirRef, IoOp, SyncSite};

use crate::disk::SimDisk;
use handle::FaultDir;
use rule::Call;
pub use rule::{Fault, Rule};

/// A disk on which chosen calls fail: around any other disk. The [module](self) has the faults.
///
/// Clones are handles of the same disk. Files cannot be mapped, so that every read is a call.
#[derive(Clone)]
pub struct FaultDisk {
    inner: DirRef,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    skipped_sites: BTreeSet<SyncSite>,
    calls: u64,
    calls_by_op: BTreeMap<IoOp, u64>,
    syncs_by_site: BTreeMap<SyncSite, u64>,
    struck: Vec<String>,
    failed_syncs: u64,
    /// For each call whether it moved bytes, as long as that is written down.
    transfers: Option<Vec<bool>>,
    sim: Option<(SimDisk, usize)>,
    /// Bytes by which files may still grow; `None`: any.
    room: Option<u64>,
}

impl FaultDisk {
    /// A disk around the one below `inner`; no call fails yet.
    #[must_use]
    pub fn new(inner: DirRef) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// A disk around a [`SimDisk`] on which a sync fails as a kernel lets it fail: the first `kept`
    /// of the operations that it was to make durable are durable, the others never will be.
    #[must_use]
    pub fn on_sim(disk: &SimDisk, kept: usize) -> Self {
        let this = Self::new(disk.root());
        this.state().sim = Some((disk.clone(), kept));
        this
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> DirRef {
        Arc::new(FaultDir { inner: Arc::clone(&self.inner), state: Arc::clone(&self.state) })
    }

    /// Lets calls fail by one more rule. The first rule that strikes a call decides.
    pub fn inject(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Lets syncs of these sites return `Ok` without doing anything, from now on.
    pub fn skip_syncs(&self, sites: impl IntoIterator<Item = SyncSite>) {
        self.state().skipped_sites.extend(sites);
    }

    /// Lets no call fail and no sync be skipped any more, and gives files all the room there is.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.skipped_sites.clear();
        state.room = None;
    }

    /// From now on every call fails, and nothing reaches the disk below: whoever uses this one is dead.
    pub fn die(&self) {
        let mut state = self.state();
        state.rules = vec![Rule::new(Fault::Eio).and_on()];
        state.sim = None;
    }

    /// From now on files may grow by so many bytes in all, plus what is removed and cut; then they are
    /// told that the device is full. Overwriting takes no room.
    pub fn give_room(&self, bytes: u64) {
        self.state().room = Some(bytes);
    }

    /// The bytes by which files may still grow.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.state().room
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many calls of this kind there have been.
    #[must_use]
    pub fn calls_of(&self, op: IoOp) -> u64 {
        self.state().calls_by_op.get(&op).copied().unwrap_or(0)
    }

    /// How many syncs of each site there have been, skipped and failed ones included.
    #[must_use]
    pub fn syncs(&self) -> BTreeMap<SyncSite, u64> {
        self.state().syncs_by_site.clone()
    }

    /// Writes down from now on which calls transfer bytes, for [`FaultDisk::transfers`].
    pub fn watch_transfers(&self) {
        self.state().transfers = Some(Vec::new());
    }

    /// For each call since [`FaultDisk::watch_transfers`], in order, whether it was a read or write of
    /// bytes: what [`Fault::Short`] and [`Fault::Zero`] can strike.
    #[must_use]
    pub fn transfers(&self) -> Vec<bool> {
        self.state().transfers.clone().unwrap_or_default()
    }

    /// The calls that were struck, each as a line for a failure's message.
    #[must_use]
    pub fn struck(&self) -> Vec<String> {
        self.state().struck.clone()
    }

    /// Whether any sync has failed as a kernel lets it fail, on a disk made by [`FaultDisk::on_sim`]: what it
    /// was to make durable may never be.
    #[must_use]
    pub fn has_failed_sync(&self) -> bool {
        self.state().failed_syncs > 0
    }

    /// Forgets which calls were struck.
    pub fn forget_struck(&self) {
        self.state().struck.clear();
    }

    /// Whether any call was struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        !self.state().struck.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "FaultDisk({} calls, {:?})", state.calls, state.rules)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Changes the length of a file from `from` to `to`, if there is room.
    fn resize(&mut self, from: u64, to: u64) -> bool {
        let Some(room) = &mut self.room else { return true };
        match (*room + from).checked_sub(to) {
            Some(left) => *room = left,
            None => return false,
        }
        true
    }

    /// Counts a call, and finds what happens to it.
    fn next(&mut self, call: &Call<'_>) -> Option<Fault> {
        let number = self.calls;
        self.calls += 1;
        *self.calls_by_op.entry(call.op).or_default() += 1;
        if let Some(transfers) = &mut self.transfers {
            transfers.push(call.range.is_some());
        }
        if let Some(site) = call.site {
            *self.syncs_by_site.entry(site).or_default() += 1;
        }
        // Every rule counts the call, whichever strikes.
        let struck = self.rules.iter_mut().map(|rule| (rule.strikes(call), rule.fault));
        let fault = struck.fold(None, |first, (hit, fault)| first.or(hit.then_some(fault)))?;
        let (op, path) = (call.op, call.path.display());
        self.struck.push(format!("call {number}: {op} {path}: {fault:?}"));
        Some(fault)
    }
}
