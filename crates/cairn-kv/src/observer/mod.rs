//! Observers: who is told what was committed, in the order of the commits.
//!
//! `order` keeps what was committed and may not be told yet; a queue what an observer has not taken yet.

mod order;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use cairn_env::{EventQueue, QueuedEvent};

pub(crate) use order::CommitOrder;

use crate::{Entry, store::Shared, sync::lock};

/// Whose changes an observer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscribeType {
    /// Those of its own device.
    Local,
    /// Those of other devices: of handles that were opened with another
    /// [`KvOptions::device`](crate::KvOptions#structfield.device).
    Remote,
    /// All.
    All,
}

/// What an observer is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoreEvent {
    /// Something was committed.
    Changed(Arc<ChangeNotification>),
    /// The store may be another one than the events before say: it was restored, or there were more events
    /// than are kept. Read it again; what comes after this is what changed since.
    Reset,
}

pub(crate) type Queue = EventQueue<StoreEvent>;

impl QueuedEvent for StoreEvent {
    const RESET: Self = Self::Reset;

    fn size(&self) -> (usize, usize) {
        match self {
            Self::Changed(change) => change.size(),
            Self::Reset => (0, 0),
        }
    }
}

/// What a commit has changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChangeNotification {
    /// The number of the commit.
    pub commit: u64,
    /// The device of the handle that committed.
    pub device: String,
    /// Entries that did not exist before, by key.
    pub inserted: Vec<Entry>,
    /// Entries that did, with their new values, by key.
    pub updated: Vec<Entry>,
    /// The keys of entries that do not exist any more, in order.
    pub deleted: Vec<Bytes>,
}

impl ChangeNotification {
    pub(crate) fn new(device: &str) -> Self {
        let (inserted, updated, deleted) = (Vec::new(), Vec::new(), Vec::new());
        Self { commit: 0, device: device.into(), inserted, updated, deleted }
    }

    /// How many entries it speaks of, and about how many bytes they have.
    fn size(&self) -> (usize, usize) {
        let entries = self.inserted.iter().chain(&self.updated);
        let of = |entry: &Entry| entry.key.len() + entry.value.as_bytes().map_or(8, <[u8]>::len);
        let bytes =
            entries.map(of).sum::<usize>() + self.deleted.iter().map(Bytes::len).sum::<usize>();
        (self.inserted.len() + self.updated.len() + self.deleted.len(), bytes)
    }

    fn is_empty(&self) -> bool {
        self.size().0 == 0
    }
}

/// Is told what is committed in a store from now on: each commit once, in their order, when it is as sure as
/// it was asked to be. From [`KvStore::observe`](crate::KvStore::observe).
///
/// Events wait until they are taken. If there are more than 65,536 changed entries, or 64 MiB of them, one
/// [`StoreEvent::Reset`] takes the place of all. Dropping it ends it; so does closing the store.
///
/// ```
/// use cairn_kv::{KvOptions, KvStore, SecurityLevel, StoreEvent, SubscribeType};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S1))?;
/// let observer = store.observe(SubscribeType::All)?;
/// store.put("tea", 1)?;
/// store.delete("coffee")?; // changes nothing
/// let Some(StoreEvent::Changed(change)) = observer.try_next() else { unreachable!() };
/// assert_eq!(change.inserted[0].key, "tea");
/// assert!(observer.try_next().is_none());
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[must_use = "dropping an observer ends it"]
pub struct Observer {
    store: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Observer {
    pub(crate) fn new(store: Arc<Shared>, queue: Arc<Queue>) -> Self {
        Self { store, queue }
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn try_next(&self) -> Option<StoreEvent> {
        self.queue.take()
    }

    /// The next event; waits for it for so long. `None` if none has come, or none will.
    #[must_use]
    pub fn next_within(&self, time: Duration) -> Option<StoreEvent> {
        self.queue.wait(time)
    }

    /// Whether none will come any more, since the store was closed or deleted. Those that have come can
    /// still be taken.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.queue.is_closed()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        lock(&self.store.order).leave(&self.queue);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({:?})", self.store)
    }
}
