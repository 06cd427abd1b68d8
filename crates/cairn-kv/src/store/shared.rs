//! `Shared`: what all handles of a store in this process have in common.

use std::{
    fmt,
    sync::{
        Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cairn_env::{Database, EnvError, Environment, Index, Stored};

use super::{Selection, restoring::Restoring};
use crate::{
    Entry, KvError, KvResult, Limits, Schema, StoreType, Value,
    observer::CommitOrder,
    result_set::Rows,
    sync::{lock, read, write},
};

/// What all handles of a store in this process have in common.
///
/// Locks are taken in this order: the registry, backing up, restoring, content, commit order, a queue of an observer; then those of
/// the environment.
pub(crate) struct Shared {
    pub(crate) env: Environment,
    pub(crate) id: String,
    pub(crate) store_type: StoreType,
    pub(crate) schema: Option<Arc<Schema>>,
    content: RwLock<Option<Content>>,
    /// Changes whenever the content is another one; result sets show one epoch.
    epoch: AtomicU64,
    /// Held while something is committed, so that observers learn of it in that order.
    pub(crate) order: Mutex<CommitOrder>,
    limits: Mutex<Limits>,
    result_sets: AtomicUsize,
    /// Held while a backup is made or deleted.
    pub(crate) backing_up: Mutex<()>,
    /// A restore goes on until its content is in place.
    pub(crate) restoring: Restoring,
}

/// The databases of a store.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) data: Database,
    /// In the order of the schema.
    pub(crate) indexes: Vec<Index>,
    /// A commit at which all of them were there, and whole: no read is of an older one.
    pub(crate) since: u64,
}

impl Content {
    /// What there is now.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub(crate) fn now(env: &Environment, data: Database, indexes: Vec<Index>) -> KvResult<Self> {
        Ok(Self { data, indexes, since: env.snapshot()?.commit() })
    }
}

/// The content of a store, which does not become another one meanwhile.
pub(crate) struct Reading<'s>(RwLockReadGuard<'s, Option<Content>>);

impl std::ops::Deref for Reading<'_> {
    type Target = Content;

    fn deref(&self) -> &Content {
        self.0.as_ref().expect("whoever made it has looked")
    }
}

impl Shared {
    pub(super) fn new(
        env: Environment,
        id: String,
        store_type: StoreType,
        schema: Option<Arc<Schema>>,
        content: Content,
    ) -> Self {
        Self {
            env,
            id,
            store_type,
            schema,
            content: RwLock::new(Some(content)),
            epoch: AtomicU64::new(0),
            order: Mutex::default(),
            limits: Mutex::default(),
            result_sets: AtomicUsize::new(0),
            backing_up: Mutex::default(),
            restoring: Restoring::default(),
        }
    }

    /// The content, to read or write.
    ///
    /// # Errors
    /// [`KvError::Closed`].
    pub(crate) fn content(&self) -> KvResult<Reading<'_>> {
        let content = read(&self.content);
        match &*content {
            Some(_) => Ok(Reading(content)),
            None => Err(KvError::Closed { what: "store" }),
        }
    }

    /// Does something with the content. If that turns out to be gone, a restore is just about to put other
    /// content in its place: then again, with that.
    ///
    /// # Errors
    /// [`KvError::Closed`], and what is done.
    pub(crate) fn with_content<T>(&self, act: impl Fn(&Content) -> KvResult<T>) -> KvResult<T> {
        loop {
            let (epoch, result) = {
                let content = self.content()?;
                (self.epoch(), act(&content))
            };
            match result {
                Err(KvError::Env(EnvError::NoSuchDatabase { .. })) => {}
                other => return other,
            }
            self.restoring.wait();
            if self.epoch() == epoch {
                return result; // somebody has dropped it who is no restore
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        read(&self.content).is_some()
    }

    /// The content, to put another one in its place: nobody reads or writes meanwhile.
    pub(crate) fn content_alone(&self) -> RwLockWriteGuard<'_, Option<Content>> {
        write(&self.content)
    }

    /// The content has become another one: result sets end. While it is held alone.
    pub(crate) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Closes all handles, result sets and observers.
    pub(crate) fn close(&self) {
        let mut content = self.content_alone();
        *content = None;
        self.begin_epoch();
        lock(&self.order).close();
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        *lock(&self.limits) = limits;
    }

    pub(crate) fn limits(&self) -> Limits {
        *lock(&self.limits)
    }

    /// The entry that `rows` stand on.
    pub(crate) fn entry(&self, selection: &Selection, rows: &Rows) -> KvResult<Entry> {
        let entry = rows.entry_with(|stored, value| match Value::decode(value) {
            Ok(value) => {
                let key = stored.get(selection.stripped()..).unwrap_or_default();
                Ok(Entry { key: Bytes::copy_from_slice(key), value })
            }
            Err(what) => Err((stored.to_vec(), what)),
        })?;
        match entry {
            Some(entry) => entry.map_err(|(stored, what)| self.no_value(&stored, what)),
            None => {
                let what = "an index leads to an entry that is not there".into();
                Err(KvError::Corrupt { store: self.id.clone(), what })
            }
        }
    }

    /// The value that is stored under a stored key.
    pub(crate) fn decode(&self, key: &[u8], stored: Stored<'_>) -> KvResult<Value> {
        Value::decode(stored).map_err(|what| self.no_value(key, what))
    }

    /// What is stored under a stored key is no value.
    #[cold]
    pub(crate) fn no_value(&self, key: &[u8], what: &str) -> KvError {
        KvError::Corrupt {
            store: self.id.clone(),
            what: format!("under {:?}: {what}", String::from_utf8_lossy(key)),
        }
    }

    /// An error unless a value may be put.
    pub(crate) fn check(&self, value: &Value) -> KvResult<()> {
        value.stored()?;
        self.schema.iter().try_for_each(|schema| schema.check_value(value))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.id)
    }
}

/// The place of a result set among those that may be open.
#[derive(Debug)]
pub(crate) struct ResultSlot(Arc<Shared>);

impl ResultSlot {
    /// # Errors
    /// [`KvError::TooMany`].
    pub(crate) fn take(store: &Arc<Shared>) -> KvResult<Self> {
        let max = store.limits().result_sets;
        let one_more = |open| (open < max).then_some(open + 1);
        match store.result_sets.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Self(Arc::clone(store))),
            Err(_) => Err(KvError::TooMany { what: "result sets", max }),
        }
    }
}

impl Drop for ResultSlot {
    fn drop(&mut self) {
        self.0.result_sets.fetch_sub(1, Ordering::AcqRel);
    }
}
