//! `Pool`: the connections of a store that nobody uses, and how many are used.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use super::{Shared, rebuild::note_damage};
use crate::{RdbError, RdbResult, conn::Conn, store::file::Access, sync::lock};

/// For so long one waits for a connection.
const WAIT: Duration = Duration::from_secs(2);
/// So many transactions may go on at a time.
pub(crate) const MAX_TRANSACTIONS: usize = 4;
/// So many connections that only read are kept when nobody uses them.
const IDLE_READERS: usize = 4;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Single statements that write, one at a time.
    Writer,
    /// Transactions.
    Transaction,
    /// Queries. How many there may be is counted as result sets.
    Reader,
}

impl Lane {
    const fn max(self) -> usize {
        match self {
            Self::Writer => 1,
            Self::Transaction => MAX_TRANSACTIONS,
            Self::Reader => usize::MAX,
        }
    }

    const fn max_idle(self) -> usize {
        match self {
            Self::Reader => IDLE_READERS,
            other => other.max(),
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Writer => "the connection that writes, which another statement uses,",
            Self::Transaction => "one of the 4 connections for transactions",
            Self::Reader => "a connection that reads",
        }
    }
}

/// The connections of a store.
#[derive(Default)]
pub(crate) struct Pool {
    lanes: Mutex<Lanes>,
    freed: Condvar,
}

#[derive(Default)]
struct Lanes {
    is_closed: bool,
    lanes: [Connections; 3],
}

#[derive(Default)]
struct Connections {
    idle: Vec<Conn>,
    used: usize,
}

impl Pool {
    /// A connection that nobody uses, or the permission to open one.
    fn take(&self, lane: Lane) -> RdbResult<Option<Conn>> {
        let is_full =
            |lanes: &mut Lanes| !lanes.is_closed && lanes.lanes[lane as usize].used >= lane.max();
        let waited = self.freed.wait_timeout_while(lock(&self.lanes), WAIT, is_full);
        let (mut lanes, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if lanes.is_closed {
            return Err(RdbError::AlreadyClosed { what: "store" });
        }
        if waited.timed_out() && is_full(&mut lanes) {
            let waited_ms = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
            return Err(RdbError::Busy { what: lane.what().into(), waited_ms });
        }
        let connections = &mut lanes.lanes[lane as usize];
        connections.used += 1;
        Ok(connections.idle.pop())
    }

    fn give_back(&self, lane: Lane, conn: Option<Conn>) {
        let mut lanes = lock(&self.lanes);
        let is_closed = lanes.is_closed;
        let connections = &mut lanes.lanes[lane as usize];
        connections.used -= 1;
        let has_room = !is_closed && connections.idle.len() < lane.max_idle();
        let surplus = match conn {
            Some(conn) if has_room => {
                connections.idle.push(conn);
                None
            }
            conn => conn,
        };
        drop(lanes);
        self.freed.notify_all(); // whoever waits for another lane must not eat it
        drop(surplus);
    }

    /// Closes all that nobody uses; those that are used are closed when they come back.
    pub(super) fn close(&self) {
        let mut lanes = lock(&self.lanes);
        lanes.is_closed = true;
        let idle: Vec<_> = lanes.lanes.iter_mut().flat_map(|lane| lane.idle.drain(..)).collect();
        drop(lanes);
        self.freed.notify_all();
        drop(idle);
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.lanes).is_closed
    }
}

/// A connection of a store, for a while: it goes back to its pool when this is dropped, and whatever it is within is
/// rolled back.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    lane: Lane,
    conn: Option<Conn>,
    /// How many rows it had changed before.
    changes: u64,
}

impl Lease {
    /// Takes a connection, or opens one.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`]; [`RdbError::Busy`] if none was free for two seconds; if it cannot be opened; if the
    /// environment has failed or was closed.
    pub(crate) fn take(shared: &Arc<Shared>, lane: Lane) -> RdbResult<Self> {
        shared.env.check()?; // one that has failed or was closed says so itself
        let conn = shared.pool.take(lane)?;
        // From here on it goes back whatever happens.
        let mut lease = Self { shared: Arc::clone(shared), lane, conn, changes: 0 };
        let mut conn = match lease.conn.take() {
            Some(conn) => conn,
            None => {
                let access = match lane {
                    Lane::Reader => Access::ReadOnly,
                    Lane::Writer | Lane::Transaction if shared.is_read_only() => Access::ReadOnly,
                    Lane::Writer | Lane::Transaction => Access::ReadWrite,
                };
                Conn::open(&shared.env, &shared.name, access, Arc::clone(&shared.order))?
            }
        };
        conn.set(&shared.env, &shared.settings(), |store| shared.order_of(store))?;
        if lane != Lane::Reader {
            conn.watch_changes()?;
        }
        lease.changes = conn.sqlite.total_changes();
        lease.conn = Some(conn);
        Ok(lease)
    }

    /// Tells observers of what was committed.
    pub(crate) fn settle(&mut self) {
        let now = self.sqlite.total_changes();
        self.capture.settle(self.is_in_transaction(), now != self.changes);
        if !self.is_in_transaction() {
            self.changes = now;
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Deref for Lease {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.conn.is_some() {
            let is_clean = self.roll_back().is_ok();
            self.settle();
            if !is_clean {
                self.conn = None; // closing it ends whatever it is within
            }
        }
        self.shared.pool.give_back(self.lane, self.conn.take());
        note_damage(&self.shared.env, &self.shared.name);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:?}, {:?})", self.shared, self.lane)
    }
}

#[cfg(test)]
mod tests {
    use cairn_env::{Environment, Options};

    use super::*;
    use crate::{RdbConfig, RdbStore, SecurityLevel, store::file::remove_file};

    fn store() -> RdbStore {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        RdbStore::open(&env, RdbConfig::new("s", SecurityLevel::S1)).unwrap()
    }

    #[test]
    fn one_statement_writes_at_a_time_and_the_next_one_waits_for_two_seconds() {
        let store = store();
        let lease = Lease::take(&store.shared, Lane::Writer).unwrap();
        let error = store.execute_sql("CREATE TABLE t(a)", ()).unwrap_err();
        assert_eq!(error.code(), Some(14_800_015), "{error}");
        store.query_one::<i64>("SELECT 1", ()).unwrap();
        drop(lease);
        store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    }

    #[test]
    fn a_connection_that_cannot_be_opened_takes_nobodys_place() {
        let store = store();
        remove_file(&store.shared.env, "s").unwrap();
        for _ in 0..=MAX_TRANSACTIONS {
            let error = Lease::take(&store.shared, Lane::Transaction).unwrap_err();
            assert_eq!(error.code(), Some(14_800_030), "{error}");
        }
    }

    #[test]
    fn what_is_given_back_is_within_nothing_and_kept_as_far_as_there_is_room() {
        let store = store();
        let take = |lane| Lease::take(&store.shared, lane).unwrap();
        let idle = |lane| lock(&store.shared.pool.lanes).lanes[lane as usize].idle.len();
        let lease = take(Lane::Writer);
        lease.control("BEGIN IMMEDIATE").unwrap();
        drop(lease);
        assert_eq!(idle(Lane::Writer), 1);
        assert!(!take(Lane::Writer).is_in_transaction());
        let readers: Vec<_> = (0..10).map(|_| take(Lane::Reader)).collect();
        assert_eq!(idle(Lane::Reader), 0);
        drop(readers);
        assert_eq!(idle(Lane::Reader), IDLE_READERS);
        let kept = take(Lane::Reader);
        store.close();
        assert_eq!((idle(Lane::Writer), idle(Lane::Reader)), (0, 0));
        drop(kept);
        assert_eq!(idle(Lane::Reader), 0);
    }

    #[test]
    fn who_waits_for_a_connection_is_told_when_the_store_is_closed() {
        let store = store();
        let lease = Lease::take(&store.shared, Lane::Writer).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| store.execute_sql("SELECT 1", ()));
            store.close();
            assert_eq!(waits.join().unwrap().unwrap_err().code(), Some(14_800_014));
        });
        drop(lease);
    }
}
