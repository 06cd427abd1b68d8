//! `Pins`: log files that this process pins, and what it knows of the pins of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cairn_btree::FrozenRoot;
use cairn_log::{FileNumber, LogName};

use crate::pin::Elsewhere;

/// Which files are pinned, and by whom. A file is removed only at the [`Gate`](crate::pin::Gate).
#[derive(Debug, Default)]
pub(crate) struct Pins {
    next: u64,
    held: BTreeMap<u64, Pin>,
    /// What other processes pinned when the gate was held last: for choices that need not be right.
    pub(super) elsewhere: Elsewhere,
    /// What a crash has left and another process still reads. It goes when that lets go.
    pub(crate) deferred: Vec<LogName>,
}

/// Files that are pinned together, and the version that they are.
#[derive(Debug)]
pub(crate) struct Pin {
    files: BTreeSet<FileNumber>,
    /// Gone with the first file that was released: the others do not make up the version.
    root: Option<Arc<FrozenRoot>>,
    commit: u64,
    since: Duration,
}

impl Pin {
    pub(crate) fn new(
        root: Arc<FrozenRoot>,
        since: Duration,
        files: impl IntoIterator<Item = FileNumber>,
    ) -> Self {
        let commit = root.sequence();
        Self { files: files.into_iter().collect(), root: Some(root), commit, since }
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

    /// Whether this process pins a file, or another one did when that was last looked at. To remove a
    /// file, ask the [`Gate`](crate::pin::Gate).
    pub(crate) fn is_probably_pinned(&self, file: FileNumber) -> bool {
        self.held.values().any(|pin| pin.files.contains(&file)) || self.elsewhere.has(file)
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
