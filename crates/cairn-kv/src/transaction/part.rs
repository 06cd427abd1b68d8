//! `Part`: what a store is to a transaction of its environment.

use std::borrow::Cow;

use cairn_env::{CommitInfo, Companion, Durability, EnvError, EnvResult, Submission, Transaction};

use crate::{
    Entry, KvError, KvResult, KvStore, Value,
    store::{Content, check_batch, is_synced, net},
    sync::lock,
};

/// A store as a transaction of its environment changes it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) store: KvStore,
    content: Content,
    /// The content of the store that the transaction changes.
    epoch: u64,
}

impl Part {
    /// The store becomes part of a transaction, if it is not yet.
    pub(super) fn of(store: &KvStore, txn: &mut Transaction) -> KvResult<Self> {
        if !txn.is_of(&store.shared.env) {
            let what =
                format!("store {:?} is not of the environment of the transaction", store.id());
            return Err(EnvError::InvalidInput { what }.into());
        }
        let part = {
            let content = store.shared.content()?;
            let epoch = store.shared.epoch();
            Self { store: store.clone(), content: content.clone(), epoch }
        };
        let known = txn.companion(&format!("kv/{}", store.id()), || part.clone())?;
        if known.store.device() != store.device() {
            let what = "to change the keys of two devices in one transaction".into();
            return Err(KvError::NotSupported { what });
        }
        known.check()?;
        Ok(part)
    }

    /// An error unless the store is the one that the transaction changes.
    pub(super) fn check(&self) -> KvResult<()> {
        if self.store.shared.epoch() == self.epoch {
            return Ok(());
        }
        Err(KvError::Closed { what: "transaction" })
    }

    pub(super) fn get(&self, txn: &Transaction, key: &[u8]) -> KvResult<Option<Value>> {
        self.check()?;
        let stored = self.store.own_key(key)?;
        let found = txn.get(&self.content.data, &stored)?;
        let decode =
            |value: cairn_env::Value| self.store.shared.decode(&stored, value.into_bytes().into());
        found.map(decode).transpose()
    }

    pub(super) fn get_entries(&self, txn: &Transaction, prefix: &[u8]) -> KvResult<Vec<Entry>> {
        self.check()?;
        let stripped = self.store.origin().stripped;
        let head = match stripped {
            0 => Vec::new(),
            _ => crate::device::head(self.store.device()),
        };
        let stored = [&head, prefix].concat();
        let entry = |entry: EnvResult<(bytes::Bytes, bytes::Bytes)>| {
            let (key, value) = entry?;
            let value = self.store.shared.decode(&key, value.into())?;
            Ok(Entry { key: key.slice(stripped..), value })
        };
        txn.prefix(&self.content.data, &stored)?.map(entry).collect()
    }

    pub(super) fn put(&self, txn: &mut Transaction, key: &[u8], value: &Value) -> KvResult<()> {
        self.check()?;
        let key = self.store.own_key(key)?;
        self.store.shared.check(value)?;
        self.change(txn, &key, Some(value))
    }

    pub(super) fn put_batch(
        &self,
        txn: &mut Transaction,
        entries: impl IntoIterator<Item = Entry>,
    ) -> KvResult<()> {
        self.check()?;
        let change = |Entry { key, value }: Entry| {
            self.store.shared.check(&value)?;
            Ok((Cow::Owned(self.store.own_key(&key)?.into_owned()), Some(value)))
        };
        let changes = entries.into_iter().map(change).collect::<KvResult<Vec<_>>>()?;
        check_batch(changes.len(), self.store.shared.limits().batch)?;
        let mut changes = net(changes).into_iter();
        changes.try_for_each(|(key, value)| self.change(txn, &key, value.as_ref()))
    }

    pub(super) fn delete(&self, txn: &mut Transaction, key: &[u8]) -> KvResult<()> {
        self.check()?;
        self.change(txn, &self.store.own_key(key)?, None)
    }

    fn change(&self, txn: &mut Transaction, key: &[u8], value: Option<&Value>) -> KvResult<()> {
        match value {
            Some(value) => txn.put_parts(&self.content.data, key, &value.stored()?.parts())?,
            None => txn.delete(&self.content.data, key)?,
        }
        Ok(())
    }
}

/// Its changes get their place in the order of all changes of the store, and its observers are told of them.
impl Companion for Part {
    fn submit(&self, submission: Submission<'_>) -> EnvResult<u64> {
        let shared = &self.store.shared;
        // As it is held, a restore cannot come between the commit and its place.
        let content = shared.content().map_err(|error| self.refused(error))?;
        self.check().map_err(|error| self.refused(error))?;
        let mut order = lock(&shared.order);
        let origin = self.store.origin();
        let told = shared.to_be_told(&order, &content, origin, submission.transaction());
        let told = told.map_err(|error| self.refused(error))?;
        let commit = submission.go_on()?;
        order.submitted(told, commit);
        Ok(commit)
    }

    fn waited(&self, result: &EnvResult<CommitInfo>, durability: Durability) {
        match result {
            Ok(CommitInfo { commit, .. }) => {
                self.store.has_committed(*commit);
                lock(&self.store.shared.order).acknowledged(*commit, is_synced(durability));
            }
            // It has taken effect, and is still to be written.
            Err(EnvError::CommitPending { commit, .. }) => self.store.has_committed(*commit),
            Err(_) => {}
        }
    }
}

impl Part {
    /// The error of a store as one of its environment.
    fn refused(&self, error: KvError) -> EnvError {
        match error {
            KvError::Env(error) => error,
            error => {
                EnvError::InvalidInput { what: format!("store {:?}: {error}", self.store.id()) }
            }
        }
    }
}
