//! Writing: changes become durable, and then observers learn of them, in the order of the commits.

use std::{borrow::Cow, collections::BTreeSet};

use bytes::Bytes;
use cairn_env::{Durability, EnvError, Environment, Transaction};

use super::{Content, Shared};
use crate::{
    Entry, KvError, KvResult, Value,
    observer::{ChangeNotification, CommitOrder},
    sync::lock,
};

/// A change: the key as it is stored, and the value if it is put.
pub(crate) type Change<'k> = (Cow<'k, [u8]>, Option<Value>);

/// What a transaction has changed, each key once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changed<'c> {
    /// These changes.
    Changes(&'c [Change<'c>]),
    /// These keys: what became of them the transaction knows.
    Keys(&'c BTreeSet<Vec<u8>>),
}

/// From where a change comes, and how sure it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'o> {
    pub(crate) device: &'o str,
    /// So many bytes of a stored key are no part of the key.
    pub(crate) stripped: usize,
    pub(crate) durability: Durability,
}

/// How often a transaction that reads nothing but what its indexes need is overtaken, at most. All changes
/// of the store wait for each other; so it is somebody who writes past it.
const PATIENCE: u32 = 100;

impl Shared {
    /// Commits changes of its own; returns the number of the commit.
    pub(crate) fn write(&self, origin: Origin<'_>, changes: &[Change<'_>]) -> KvResult<u64> {
        let submitted = self.with_content(|content| {
            let mut overtaken = 0;
            loop {
                let mut txn = self.env.begin_write()?;
                let order = lock(&self.order);
                let result = fill(&mut txn, content, changes).and_then(|()| {
                    self.submit(order, content, origin, txn, Changed::Changes(changes))
                });
                match result {
                    Err(error) if error.is_retryable() && overtaken < PATIENCE => overtaken += 1,
                    other => return other,
                }
            }
        })?;
        self.settle(submitted)
    }

    /// Commits a transaction, which has changed these keys.
    pub(crate) fn commit(
        &self,
        origin: Origin<'_>,
        txn: Transaction,
        keys: &BTreeSet<Vec<u8>>,
    ) -> KvResult<u64> {
        let content = self.content()?;
        let changed = Changed::Keys(keys);
        let submitted = self.submit(lock(&self.order), &content, origin, txn, changed);
        drop(content);
        match submitted {
            // What it has changed was replaced by a restore.
            Err(KvError::Env(EnvError::NoSuchDatabase { .. })) => {
                Err(KvError::Closed { what: "transaction" })
            }
            submitted => self.settle(submitted?),
        }
    }

    /// Gives the commit its place in the order of all.
    fn submit(
        &self,
        mut order: std::sync::MutexGuard<'_, CommitOrder>,
        content: &Content,
        origin: Origin<'_>,
        txn: Transaction,
        changed: Changed<'_>,
    ) -> KvResult<Submitted> {
        let notification = match order.concerns_anybody(origin.device) {
            true => Some(self.describe(content, origin, &txn, changed)?),
            false => None,
        };
        let pending = txn.submit(origin.durability)?;
        let is_observed = notification.is_some();
        if let Some(mut notification) = notification {
            notification.commit = pending.commit();
            order.submitted(notification);
        }
        let is_synced = !matches!(
            origin.durability,
            Durability::NoSync | Durability::WriteNoSync | Durability::Relaxed(_)
        );
        Ok(Submitted { pending, is_observed, is_synced })
    }

    /// Waits until the commit is as sure as it is to be, and tells observers.
    fn settle(&self, submitted: Submitted) -> KvResult<u64> {
        let Submitted { pending, is_observed, is_synced } = submitted;
        let commit = pending.wait()?.commit;
        if is_observed {
            lock(&self.order).acknowledged(commit, is_synced);
        }
        Ok(commit)
    }

    /// What the changes do to the store as it is. Nobody else changes it meanwhile.
    fn describe(
        &self,
        content: &Content,
        origin: Origin<'_>,
        txn: &Transaction,
        changed: Changed<'_>,
    ) -> KvResult<ChangeNotification> {
        let before = self.env.begin_write()?;
        let mut notification = ChangeNotification::new(origin.device);
        let mut tell = |stored: &[u8], value: Option<Value>| -> KvResult<()> {
            let existed = before.contains(&content.data, stored)?;
            let key = Bytes::copy_from_slice(&stored[origin.stripped..]);
            let Some(value) = value else {
                if existed {
                    notification.deleted.push(key);
                }
                return Ok(());
            };
            let entry = Entry { key, value };
            match existed {
                true => notification.updated.push(entry),
                false => notification.inserted.push(entry),
            }
            Ok(())
        };
        match changed {
            Changed::Changes(changes) => {
                changes.iter().try_for_each(|(key, value)| tell(key, value.clone()))?;
            }
            Changed::Keys(keys) => keys.iter().try_for_each(|key| {
                let stored = txn.get(&content.data, key)?.map(cairn_env::Value::into_bytes);
                tell(key, stored.map(|stored| self.decode(key, stored.into())).transpose()?)
            })?,
        }
        Ok(notification)
    }
}

struct Submitted {
    pending: cairn_env::PendingCommit,
    is_observed: bool,
    is_synced: bool,
}

fn fill(txn: &mut Transaction, content: &Content, changes: &[Change<'_>]) -> KvResult<()> {
    for (key, value) in changes {
        match value {
            Some(value) => txn.put_parts(&content.data, key, &value.stored()?.parts())?,
            None => txn.delete(&content.data, key)?,
        }
    }
    Ok(())
}

/// The durability of a handle that has chosen none.
pub(crate) fn durability(env: &Environment, chosen: Option<Durability>) -> Durability {
    chosen.unwrap_or(env.options().durability)
}

/// Later changes of a key take the place of earlier ones.
pub(crate) fn net<'k>(changes: impl IntoIterator<Item = Change<'k>>) -> Vec<Change<'k>> {
    let net: std::collections::BTreeMap<_, _> = changes.into_iter().collect();
    net.into_iter().collect()
}

/// An error unless a batch is as small as it must be.
pub(crate) fn check_batch(len: usize, max: usize) -> KvResult<()> {
    if len > max { Err(KvError::BatchTooLarge { len, max }) } else { Ok(()) }
}
