//! `PromisedVersion`: the newest version, which is made only if somebody needs it.
//!
//! A version costs the writer a copy of each node that it changes next. Most views are of the newest commit, look at a
//! value or two, and are gone before the next change: what they look at can be taken from the writer's own nodes, and
//! the version need not be made. If the view is still there when something is about to change, the writer makes the
//! version first: the view sees what it would have seen.

use std::sync::{Arc, OnceLock};

use cairn_log::shared::atomic::{AtomicU32, Ordering};

use crate::{FrozenRoot, TreeResult, TreeWriter};

/// The version of a commit that was the newest one when it was promised: see [`TreeWriter::promise`].
#[derive(Debug)]
pub struct PromisedVersion {
    sequence: u64,
    version: OnceLock<Arc<FrozenRoot>>,
    looks: AtomicU32,
}

impl PromisedVersion {
    /// The number of the newest commit in the version.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The version, if it was made. If not, the writer has changed nothing since it was promised.
    #[must_use]
    pub fn made(&self) -> Option<&Arc<FrozenRoot>> {
        self.version.get()
    }

    /// Counts somebody who wants to look at what the writer has, and says how many there were before.
    pub fn count_look(&self) -> u32 {
        self.looks.fetch_add(1, Ordering::Relaxed)
    }
}

/// What was found of a key without reading a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else to find")]
pub enum Resident<R> {
    /// This was made of its value.
    Found(R),
    /// It has none.
    Missing,
    /// A node on the way to it is not in memory.
    Away,
}

impl TreeWriter {
    /// Promises the version of what the writer has now; `sequence` is the number of the newest commit in it. It is made
    /// by the next [`freeze`](Self::freeze), and before the next change, unless nobody holds the promise by then.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use cairn_btree::{Forest, ForestOptions, MemorySource, TreeId, TreeWriter, ValueRef};
    /// # let forest = Forest::new(Arc::new(MemorySource::new()), ForestOptions::default());
    /// # let mut writer = TreeWriter::new(forest, None, 1)?;
    /// let tree = TreeId(16);
    /// writer.create(tree)?;
    /// let promised = writer.promise(1)?;
    /// assert!(promised.made().is_none());
    /// writer.insert(tree, b"key", ValueRef::Inline(b"value"), 2)?;
    /// assert!(promised.made().unwrap().get(tree, b"key")?.is_none());
    /// # Ok::<(), cairn_btree::TreeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`TreeWriter::freeze`].
    pub fn promise(&mut self, sequence: u64) -> TreeResult<Arc<PromisedVersion>> {
        if let Some(promised) = self.promised.as_ref().filter(|of| of.sequence == sequence) {
            return Ok(Arc::clone(promised));
        }
        self.keep_promise()?;
        let newest = self.newest.as_ref().filter(|newest| newest.sequence() == sequence);
        let version = newest.map_or_else(OnceLock::new, |newest| Arc::clone(newest).into());
        let promised = Arc::new(PromisedVersion { sequence, version, looks: AtomicU32::new(0) });
        self.promised = Some(Arc::clone(&promised));
        Ok(promised)
    }

    /// Makes the version that is promised, if somebody still holds the promise, and promises nothing any more.
    pub(crate) fn keep_promise(&mut self) -> TreeResult<()> {
        let Some(promised) = self.promised.take() else { return Ok(()) };
        if promised.made().is_none() && Arc::strong_count(&promised) > 1 {
            let version = self.freeze(promised.sequence);
            // What cannot be kept is still promised: nothing changes.
            let version = version.inspect_err(|_| self.promised = Some(Arc::clone(&promised)))?;
            promised.version.get_or_init(|| version);
        }
        Ok(())
    }

    /// Before a version of commit `sequence` is made: whoever waits for one of an older commit, which has the same
    /// content, gets his first.
    pub(crate) fn keep_older_promise(&mut self, sequence: u64) -> TreeResult<()> {
        match &self.promised {
            Some(promised) if promised.sequence != sequence => self.keep_promise(),
            _ => Ok(()),
        }
    }

    /// What is promised was made.
    pub(crate) fn fulfil(&self, version: &Arc<FrozenRoot>) {
        if let Some(promised) = &self.promised {
            promised.version.get_or_init(|| Arc::clone(version));
        }
    }
}
