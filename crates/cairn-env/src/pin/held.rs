//! `Pins`: log files that this process pins, and what it knows of the pins of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use cairn_btree::FrozenRoot;
use cairn_log::{FileNumber, LogName};

use crate::{core::Core, pin::Elsewhere, sync::lock};

/// What a backup may cost while it is going on: see
/// [`Environment::begin_backup_within`](crate::Environment::begin_backup_within).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinBudget {
    /// Bytes of log files that could be removed but for it; `None`: any.
    pub bytes: Option<u64>,
    /// How long it may go on while there are such files; `None`: for ever.
    pub time: Option<Duration>,
}

impl PinBudget {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`PinBudget::bytes`](PinBudget#structfield.bytes).
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets [`PinBudget::time`](PinBudget#structfield.time).
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    fn is_exceeded(self, loss: PinLoss) -> bool {
        self.bytes.is_some_and(|most| loss.bytes > most)
            || self.time.is_some_and(|most| loss.bytes > 0 && loss.since > most)
    }
}

/// What a pin had cost when it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PinLoss {
    pub(crate) bytes: u64,
    pub(crate) since: Duration,
}

/// How a pin has ended before its holder was done; empty while it has not.
pub(crate) type Fate = Arc<OnceLock<PinLoss>>;

/// Which files are pinned, and by whom. A file is removed only at the [`Gate`](crate::pin::Gate).
#[derive(Debug, Default)]
pub(crate) struct Pins {
    next: u64,
    held: BTreeMap<u64, Pin>,
    /// What other processes pinned when the gate was held last: for choices that need not be right.
    pub(super) elsewhere: Elsewhere,
    /// Journal files that a sink has yet to get.
    pub(crate) shipping: BTreeSet<FileNumber>,
    /// What a crash has left and another process still reads. It goes when that lets go.
    pub(crate) deferred: Vec<LogName>,
    lost: u64,
}

/// Files that are pinned together, and the version that they are.
#[derive(Debug)]
pub(crate) struct Pin {
    files: BTreeSet<FileNumber>,
    /// Gone with the first file that was released: the others do not make up the version.
    root: Option<Arc<FrozenRoot>>,
    commit: u64,
    since: Duration,
    budget: PinBudget,
    fate: Fate,
}

impl Pin {
    pub(crate) fn new(
        root: Arc<FrozenRoot>,
        since: Duration,
        budget: PinBudget,
        files: impl IntoIterator<Item = FileNumber>,
    ) -> Self {
        let (commit, files) = (root.sequence(), files.into_iter().collect());
        Self { files, root: Some(root), commit, since, budget, fate: Fate::default() }
    }

    /// Where its holder finds that it was lost.
    pub(crate) fn fate(&self) -> Fate {
        Arc::clone(&self.fate)
    }

    /// The last commit of the version.
    pub(crate) const fn commit(&self) -> u64 {
        self.commit
    }

    /// Monotonic time at which it was taken.
    pub(crate) const fn since(&self) -> Duration {
        self.since
    }

    /// The gen of the version, while all its files are pinned.
    pub(crate) fn version(&self) -> Option<u64> {
        self.root.as_ref().map(|root| root.generation())
    }

    /// Whether it has files of its own, as a backup has, or only keeps a version from growing too old.
    pub(crate) fn is_backup(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether it keeps a file that versions before gen `cut` may reach.
    pub(crate) fn holds(&self, file: FileNumber, cut: u64) -> bool {
        self.files.contains(&file) || self.version().is_some_and(|version| version < cut)
    }
}

impl Pins {
    /// Pins files until [`Pins::release`] is called with the result.
    pub(crate) fn pin(&mut self, pin: Pin) -> u64 {
        self.next += 1;
        self.held.insert(self.next, pin);
        self.next
    }

    /// The version of a pin, while all its files are pinned.
    pub(crate) fn root(&self, pin: u64) -> Option<Arc<FrozenRoot>> {
        self.held.get(&pin)?.root.clone()
    }

    /// Lets one file of a pin go. The caller drops the result without the lock.
    #[must_use]
    pub(crate) fn release_file(&mut self, pin: u64, file: FileNumber) -> Option<Arc<FrozenRoot>> {
        let pin = self.held.get_mut(&pin)?;
        pin.files.remove(&file);
        pin.root.take()
    }

    /// Ends a pin. The caller drops the result without the lock.
    #[must_use]
    pub(crate) fn release(&mut self, pin: u64) -> Option<Pin> {
        self.held.remove(&pin)
    }

    /// Ends the pins that have cost more than they may, which `held` says in bytes. The caller drops
    /// the result without the lock.
    #[must_use]
    pub(crate) fn lose(
        &mut self,
        now: Duration,
        held: impl Fn(&Pin) -> u64,
    ) -> Vec<Arc<FrozenRoot>> {
        let mut roots = Vec::new();
        for pin in self.held.values_mut().filter(|pin| pin.budget != PinBudget::default()) {
            let loss = PinLoss { bytes: held(pin), since: now.saturating_sub(pin.since) };
            if pin.budget.is_exceeded(loss) && pin.fate.set(loss).is_ok() {
                self.lost += 1;
                pin.files.clear();
                roots.extend(pin.root.take());
            }
        }
        roots
    }

    /// How many were lost.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// The gen of the oldest version whose files are all pinned.
    pub(crate) fn oldest_version(&self) -> Option<u64> {
        self.held.values().filter_map(Pin::version).min()
    }

    /// Whether this process pins a file, or another one did when that was last looked at. To remove a
    /// file, ask the [`Gate`](crate::pin::Gate).
    pub(crate) fn is_probably_pinned(&self, file: FileNumber) -> bool {
        self.held.values().any(|pin| pin.files.contains(&file))
            || self.shipping.contains(&file)
            || self.elsewhere.has(file)
    }

    /// All files that this process pins.
    pub(super) fn all(&self) -> BTreeSet<FileNumber> {
        self.held.values().flat_map(|pin| &pin.files).copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.held.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

/// A version that is read for as long as it takes: no limit of age holds for it.
pub(crate) struct KeptVersion<'a> {
    core: &'a Core,
    pin: u64,
}

impl Core {
    pub(crate) fn keep_version(&self, root: &Arc<FrozenRoot>) -> KeptVersion<'_> {
        let (now, budget) = (self.world.monotonic(), PinBudget::default());
        let pin = lock(&self.pins).pin(Pin::new(Arc::clone(root), now, budget, []));
        KeptVersion { core: self, pin }
    }
}

impl Drop for KeptVersion<'_> {
    fn drop(&mut self) {
        let pin = lock(&self.core.pins).release(self.pin);
        drop(pin);
    }
}
