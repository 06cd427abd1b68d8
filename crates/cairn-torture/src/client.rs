//! `Client`: an open transaction that remembers what it changed and what it saw.

use cairn_env::{EnvResult, Savepoint, Transaction};

use crate::{
    model::{Contents, database, fill, key_bytes},
    operation::Change,
};

/// An open transaction.
pub(crate) struct Client {
    pub(crate) txn: Transaction,
    /// The newest commit when it began.
    pub(crate) since: u64,
    pub(crate) changes: Vec<Change>,
    savepoints: Vec<(Savepoint, usize)>,
    seen: Vec<Seen>,
}

/// What a transaction has read.
struct Seen {
    /// Its own changes by then.
    changes: Vec<Change>,
    what: Read,
}

enum Read {
    Get { database: u8, key: u16, value: Option<Vec<u8>> },
    Scan { database: u8, entries: Vec<(Vec<u8>, Vec<u8>)> },
}

impl Seen {
    /// Whether it is what the state `base` holds.
    fn is_explained_by(&self, base: &Contents) -> bool {
        let contents = base.after(&self.changes);
        match &self.what {
            Read::Get { database, key, value } => {
                contents.get(*database, *key).map(|value| &value[..]) == value.as_deref()
            }
            Read::Scan { database, entries } => {
                let wanted = contents.scan(*database);
                wanted.len() == entries.len()
                    && wanted
                        .iter()
                        .zip(entries)
                        .all(|((key, value), (found, read))| key == found && **value == **read)
            }
        }
    }
}

impl Client {
    pub(crate) fn new(txn: Transaction, since: u64) -> Self {
        Self { txn, since, changes: Vec::new(), savepoints: Vec::new(), seen: Vec::new() }
    }

    pub(crate) fn change(&mut self, changes: &[Change]) -> EnvResult<()> {
        fill(&mut self.txn, changes)?;
        self.changes.extend_from_slice(changes);
        Ok(())
    }

    pub(crate) fn get(&mut self, number: u8, key: u16) -> EnvResult<()> {
        self.change(&[Change::Create { database: number }])?;
        let handle = database(&mut self.txn, number)?;
        let value = self.txn.get(&handle, &key_bytes(key))?.map(|value| value.to_vec());
        self.saw(Read::Get { database: number, key, value });
        Ok(())
    }

    pub(crate) fn scan(&mut self, number: u8) -> EnvResult<()> {
        self.change(&[Change::Create { database: number }])?;
        let handle = database(&mut self.txn, number)?;
        let entries = self.txn.range(&handle, ..)?;
        let entries = entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        self.saw(Read::Scan { database: number, entries });
        Ok(())
    }

    fn saw(&mut self, what: Read) {
        self.seen.push(Seen { changes: self.changes.clone(), what });
    }

    pub(crate) fn save(&mut self) {
        self.savepoints.push((self.txn.savepoint(), self.changes.len()));
    }

    pub(crate) fn back(&mut self) -> EnvResult<()> {
        let Some((savepoint, changes)) = self.savepoints.last() else { return Ok(()) };
        self.changes.truncate(*changes);
        self.txn.rollback_to(*savepoint)
    }

    /// Whether one state explains all that it has read.
    pub(crate) fn is_explained_by(&self, base: &Contents) -> bool {
        self.seen.iter().all(|seen| seen.is_explained_by(base))
    }
}
