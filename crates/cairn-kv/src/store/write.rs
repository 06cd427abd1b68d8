//! Writing: changes become durable, and then observers learn of them, in the order of the commits.

use std::borrow::Cow;

use bytes::Bytes;
use cairn_env::{Durability, Environment, Transaction};

use super::{Content, Shared};
use crate::{
    Entry, KvError, KvResult, Value,
    observer::{ChangeNotification, CommitOrder},
    sync::lock,
};

/// A change: the key as it is stored, and the value if it is put.
pub(crate) type Change<'k> = (Cow<'k, [u8]>, Option<Value>);

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
        let durability = origin.durability;
        let (pending, is_observed) = self.with_content(|content| {
            let mut overtaken = 0;
            loop {
                let mut txn = self.env.begin_write()?;
                let mut order = lock(&self.order);
                let submit = || {
                    fill(&mut txn, content, changes)?;
                    let told = self.to_be_told(&order, content, origin, &txn)?;
                    let pending = txn.submit(durability)?;
                    Ok((order.submitted(told, pending.commit()), pending))
                };
                match submit() {
                    Err(KvError::Env(error)) if error.is_retryable() && overtaken < PATIENCE => {
                        overtaken += 1;
                    }
                    other => return other.map(|(is_observed, pending)| (pending, is_observed)),
                }
            }
        })?;
        let commit = pending.wait()?.commit;
        if is_observed {
            lock(&self.order).acknowledged(commit, is_synced(durability));
        }
        Ok(commit)
    }

    /// What observers are to be told of a transaction, once it has its place; `None` if there are none. Nobody else
    /// changes the store until then.
    pub(crate) fn to_be_told(
        &self,
        order: &CommitOrder,
        content: &Content,
        origin: Origin<'_>,
        txn: &Transaction,
    ) -> KvResult<Option<ChangeNotification>> {
        if !order.concerns_anybody(origin.device) {
            return Ok(None);
        }
        let before = self.env.begin_write()?;
        let mut notification = ChangeNotification::new(origin.device);
        for (stored, value) in txn.changes(&content.data) {
            let existed = before.contains(&content.data, stored)?;
            let key = Bytes::copy_from_slice(stored.get(origin.stripped..).unwrap_or_default());
            let Some(value) = value else {
                if existed {
                    notification.deleted.push(key);
                }
                continue;
            };
            let entry =
                Entry { key, value: self.decode(stored, Bytes::copy_from_slice(value).into())? };
            match existed {
                true => notification.updated.push(entry),
                false => notification.inserted.push(entry),
            }
        }
        Ok(Some(notification))
    }
}

/// Whether a commit that was waited for is on the disk, and all before it.
pub(crate) const fn is_synced(durability: Durability) -> bool {
    !matches!(durability, Durability::NoSync | Durability::WriteNoSync | Durability::Relaxed(_))
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
