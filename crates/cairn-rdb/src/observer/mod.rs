//! Observers: who is told which rows were changed, in the order of the commits.
//!
//! `capture` takes down what a connection changes, `order` keeps what was committed and may not be told yet, a queue
//! what an observer has not taken yet.

mod capture;
mod order;

use std::{fmt, sync::Arc, time::Duration};

use cairn_env::{EventQueue, QueuedEvent};

pub(crate) use capture::Capture;
pub(crate) use order::{Order, Outcome};

/// What an observer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreEvent {
    /// Something was committed.
    Changed(Arc<ChangeNotification>),
    /// The store may be another one than the events before say: it was restored, or there were more changes
    /// than are kept. Read it again; what comes after this is what changed since.
    Reset,
}

pub(crate) type Queue = EventQueue<StoreEvent>;

impl QueuedEvent for StoreEvent {
    const RESET: Self = Self::Reset;

    /// Rows, which are numbers: their bytes do not count.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Changed(change) => (change.len(), 0),
            Self::Reset => (0, 0),
        }
    }
}

/// What a commit has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeNotification {
    /// By the name of the table.
    pub tables: Vec<TableChanges>,
}

/// What a commit has changed in a table: the rows, by their rowids, in order. A row is in one list at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableChanges {
    /// The name of the table.
    pub table: String,
    /// Rows that were inserted. One that was deleted for it by `OR REPLACE` had the same rowid, or see
    /// [`is_complete`](TableChanges#structfield.is_complete).
    pub inserted: Vec<i64>,
    /// Rows that were updated.
    pub updated: Vec<i64>,
    /// Rows that do not exist any more; some of them never did before, if a statement has put them there that may
    /// replace others.
    pub deleted: Vec<i64>,
    /// Whether these are all. They may not be, and the table has to be read again, if it has no rowids; if a row
    /// may have been replaced under another rowid; if a row was given another rowid.
    pub is_complete: bool,
}

impl ChangeNotification {
    /// How many rows it speaks of; a table that is not complete counts as one more.
    fn len(&self) -> usize {
        let of = |table: &TableChanges| {
            let rows = table.inserted.len() + table.updated.len() + table.deleted.len();
            rows + usize::from(!table.is_complete)
        };
        self.tables.iter().map(of).sum()
    }
}

/// Is told what is committed in a store from now on by this process: each commit once, in their order, when it is as
/// sure as it was asked to be. From [`RdbStore::observe`](crate::RdbStore::observe).
///
/// Events wait until they are taken. If there are more than 65,536 changed rows, in a commit or waiting, one
/// [`StoreEvent::Reset`] takes the place of all. Dropping it ends it; so does closing the store. Triggers and
/// cascades are seen; temporary tables are not, and virtual ones only as the tables that they are stored in. Nor is
/// a table that is dropped or altered: who changes the schema knows of it.
///
/// ```
/// use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel, StoreEvent};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
/// store.execute_sql("CREATE TABLE tea(id INTEGER PRIMARY KEY, name TEXT)", ())?;
/// let observer = store.observe()?;
/// store.execute_sql("INSERT INTO tea VALUES (7, 'green'), (8, 'mint')", ())?;
/// let Some(StoreEvent::Changed(change)) = observer.try_next() else { unreachable!() };
/// assert_eq!((change.tables[0].table.as_str(), &change.tables[0].inserted), ("tea", &vec![7, 8]));
/// assert!(observer.try_next().is_none());
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[must_use = "dropping an observer ends it"]
pub struct Observer {
    order: Arc<Order>,
    queue: Arc<Queue>,
}

impl Observer {
    pub(crate) fn join(order: Arc<Order>) -> Self {
        let queue = order.join();
        Self { order, queue }
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
        self.order.leave(&self.queue);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", if self.is_ended() { "ended" } else { "open" })
    }
}
