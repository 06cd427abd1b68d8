//! `Published`: the newest version whose commits are all durable, as long as somebody looks at it.
//!
//! A version costs those who write: whatever a later commit changes of it is copied first. So a sync makes a new one
//! only if the last one was looked at. If it was not, there is none, and whoever looks has one made
//! ([`Core::durable`]), and the next sync make another. Readers who come all the time take no lock, and where nobody
//! reads, nothing is copied for readers.
//!
//! [`Core::durable`]: crate::core::Core::durable

use std::sync::Arc;

use cairn_btree::FrozenRoot;
use cairn_io::shared::{
    ArcSwapOption,
    atomic::{AtomicBool, Ordering},
};

/// The newest durable version, if somebody looked at the one before.
#[derive(Debug)]
pub(crate) struct Published {
    version: ArcSwapOption<FrozenRoot>,
    /// Whether somebody has looked since the last sync.
    is_wanted: AtomicBool,
}

impl Published {
    pub(crate) fn new(version: Arc<FrozenRoot>) -> Self {
        Self { version: ArcSwapOption::new(Some(version)), is_wanted: AtomicBool::new(false) }
    }

    /// Looks at the version.
    pub(crate) fn look(&self) -> Option<Arc<FrozenRoot>> {
        // A store only when it says something new: the line stays shared between readers.
        if !self.is_wanted.load(Ordering::Relaxed) {
            self.is_wanted.store(true, Ordering::Relaxed);
        }
        self.peek()
    }

    /// The version, for upkeep, which has none made.
    pub(crate) fn peek(&self) -> Option<Arc<FrozenRoot>> {
        self.version.load_full()
    }

    /// Whether somebody has looked since this was asked last.
    pub(crate) fn take_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::Relaxed)
    }

    /// What a sync has made durable, if it was wanted.
    pub(crate) fn set(&self, version: Option<Arc<FrozenRoot>>) {
        if version.is_some() || self.version.load().is_some() {
            self.version.store(version);
        }
    }

    /// There is another form of the same commits, or of later ones, that are durable.
    pub(crate) fn renew(&self, version: &Arc<FrozenRoot>) {
        self.version.rcu(|before| match before {
            Some(before) if before.generation() < version.generation() => Some(Arc::clone(version)),
            before => before.clone(),
        });
    }
}
