//! Transactions that are open at the same time, interleaved as the script says, and what each has seen.

use cairn_env::{Durability, EnvError, Savepoint, Transaction};

use super::{Process, Runner, commits::acknowledge, failed, lock};
use crate::{
    model::{Contents, database, fill, key_bytes},
    operation::{Act, Change},
    problem::{Checked, Problem, Wrong},
    row::Row,
};

/// An open transaction.
pub(super) struct Client {
    txn: Transaction,
    /// The newest commit when it began.
    since: u64,
    changes: Vec<Change>,
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
    fn new(txn: Transaction, since: u64) -> Self {
        Self { txn, since, changes: Vec::new(), savepoints: Vec::new(), seen: Vec::new() }
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), EnvError> {
        fill(&mut self.txn, changes)?;
        self.changes.extend_from_slice(changes);
        Ok(())
    }

    fn get(&mut self, number: u8, key: u16) -> Result<(), EnvError> {
        self.change(&[Change::Create { database: number }])?;
        let handle = database(&mut self.txn, number)?;
        let value = self.txn.get(&handle, &key_bytes(key))?.map(|value| value.to_vec());
        self.saw(Read::Get { database: number, key, value });
        Ok(())
    }

    fn scan(&mut self, number: u8) -> Result<(), EnvError> {
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

    fn save(&mut self) {
        self.savepoints.push((self.txn.savepoint(), self.changes.len()));
    }

    fn back(&mut self) -> Result<(), EnvError> {
        let Some((savepoint, changes)) = self.savepoints.last() else { return Ok(()) };
        self.changes.truncate(*changes);
        self.txn.rollback_to(*savepoint)
    }

    /// Whether one state explains all that it has read.
    fn is_explained_by(&self, base: &Contents) -> bool {
        self.seen.iter().all(|seen| seen.is_explained_by(base))
    }
}

impl Runner<'_> {
    pub(super) fn client(&mut self, number: u8, act: &Act) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if *act == Act::Begin {
            let since = lock(&self.book).expected.begun;
            let txn = process.env.begin_write().map_err(failed)?;
            process.clients.insert(number, Client::new(txn, since));
            return Ok(());
        }
        let Some(mut client) = process.clients.remove(&number) else { return Ok(()) };
        let done = match act {
            Act::Begin | Act::Abort => return Ok(()),
            Act::End(durability) => return self.end(client, *durability),
            Act::Get(database, key) => client.get(*database, *key),
            Act::Scan(database) => client.scan(*database),
            Act::Change(changes) => client.change(changes),
            Act::Save => {
                client.save();
                Ok(())
            }
            Act::Back => client.back(),
        };
        done.map_err(failed)?;
        process.clients.insert(number, client);
        Ok(())
    }

    /// Commits, and looks whether what the transaction has read is what was there before its commit.
    fn end(&mut self, client: Client, durability: Durability) -> Checked<()> {
        let disk = self.disk();
        let Some(Process { env, fresh, .. }) = &mut self.process else { return Ok(()) };
        let _doing = disk.operation(fresh.take().unwrap_or(Row::Concurrent).name());
        let (newest, since) = (lock(&self.book).expected.begun, client.since);
        let state = |commit| lock(&self.book).state(commit).clone();
        let unexplained = |story: String| Err(Problem::new(Wrong::Anomaly, story));
        if client.txn.is_unchanged() {
            if (since..=newest).any(|commit| client.is_explained_by(&state(commit))) {
                return Ok(());
            }
            return unexplained(format!(
                "no commit from {since} to {newest} explains what a reading transaction saw"
            ));
        }
        let is_explained = client.is_explained_by(&state(newest));
        let begun = lock(&self.book).begin(&client.changes);
        match client.txn.commit_with(durability) {
            Ok(done) if is_explained => {
                assert_eq!(done.commit, begun, "commits are numbered without gaps");
                acknowledge(&self.book, env, durability, begun).map_err(failed)?;
                self.committed(durability, &client.changes);
                Ok(())
            }
            Ok(_) => unexplained(format!("commit {begun} saw what commit {newest} did not leave")),
            Err(EnvError::Conflict { .. }) => {
                lock(&self.book).take_back();
                if since == newest {
                    return unexplained("a conflict, and nobody else has committed".into());
                }
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}
