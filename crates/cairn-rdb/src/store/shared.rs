//! `Shared`: what all handles of a store in this process have in common.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use cairn_env::Environment;

use super::{open::order_of, pool::Pool, replica::Backups};
use crate::{RdbError, RdbResult, conn::Settings, observer::Order, sync::lock};

/// What all handles of a store in this process have in common.
///
/// Locks are taken in this order: the registry, settings, the pool, what a connection has captured, the order of
/// commits, a queue of an observer. None but the registry is held while SQLite does anything, but for what its
/// hooks take.
pub(crate) struct Shared {
    pub(crate) env: Environment,
    pub(crate) name: String,
    pub(crate) pool: Pool,
    pub(crate) order: Arc<Order>,
    settings: Mutex<Arc<Settings>>,
    /// Changes whenever the content is another one; result sets show one epoch.
    epoch: AtomicU64,
    result_sets: AtomicUsize,
    max_result_sets: AtomicUsize,
    /// To the replica of the environment.
    pub(super) backups: Mutex<Backups>,
}

impl Shared {
    pub(super) fn new(env: Environment, name: String, order: Arc<Order>) -> Self {
        Self {
            env,
            name,
            pool: Pool::default(),
            order,
            settings: Mutex::default(),
            epoch: AtomicU64::new(0),
            result_sets: AtomicUsize::new(0),
            max_result_sets: AtomicUsize::new(usize::MAX),
            backups: Mutex::default(),
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.env.options().read_only
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.pool.is_closed()
    }

    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub(crate) fn check_open(&self) -> RdbResult<()> {
        match self.is_open() {
            true => Ok(()),
            false => Err(RdbError::AlreadyClosed { what: "store" }),
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// The store has become another one: what shows the old one ends, and observers are told to read it again.
    pub(crate) fn content_replaced(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.order.reset();
    }

    /// Closes all handles, result sets, transactions and observers.
    pub(crate) fn close(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.pool.close();
        self.order.close();
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    /// Changes what all connections have in common, from their next use on.
    pub(crate) fn change_settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(Arc::make_mut(&mut lock(&self.settings)))
    }

    /// Who is told of changes in another store.
    pub(crate) fn order_of(&self, store: &str) -> Arc<Order> {
        order_of(&self.env, store)
    }

    pub(super) fn set_max_result_sets(&self, max: usize) {
        self.max_result_sets.store(max, Ordering::Release);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.name)
    }
}

/// The place of a result set among those that may be open.
#[derive(Debug)]
pub(crate) struct ResultSlot(Arc<Shared>);

impl ResultSlot {
    /// # Errors
    /// [`RdbError::TooMany`].
    pub(crate) fn take(store: &Arc<Shared>) -> RdbResult<Self> {
        let max = store.max_result_sets.load(Ordering::Acquire);
        let one_more = |open| (open < max).then_some(open + 1);
        match store.result_sets.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Self(Arc::clone(store))),
            Err(_) => Err(RdbError::TooMany { what: "result sets", max }),
        }
    }
}

impl Drop for ResultSlot {
    fn drop(&mut self) {
        self.0.result_sets.fetch_sub(1, Ordering::AcqRel);
    }
}
