//! `Client`: commits one transaction after the other, and says of each when the call has returned.

use std::collections::VecDeque;

use cairn_env::{
    DatabaseOptions, Durability, EnvError, EnvResult, Environment, ErrorKind, PendingCommit,
};
use cairn_sim::{Chooser as _, Seeded};

use super::{
    life::{Lie, Life, Result},
    transaction::{Change, Id, transaction},
    word::{Survives, Word},
};

/// Commits that a client lets wait at the same time, at most: of so many at its death nobody was told.
pub(super) const UNTOLD_MAX: u32 = 4;

pub(super) struct Client<'l> {
    life: &'l Life,
    env: &'l Environment,
    random: Seeded,
    last: Id,
    /// Commits that were not waited for yet.
    pending: VecDeque<(Id, Survives, PendingCommit)>,
}

impl<'l> Client<'l> {
    pub(super) fn new(life: &'l Life, env: &'l Environment, client: u8) -> Self {
        let random = Seeded::new(life.seed).stream(&format!("client {client} {}", life.life));
        let last = Id { client, life: life.life, index: 0 };
        Self { life, env, random, last, pending: VecDeque::new() }
    }

    /// One more transaction.
    pub(super) fn step(&mut self) -> Result {
        self.last.index += 1;
        let id = self.last;
        let (changes, manner) = transaction(self.life.seed, id);
        let survives = Survives::from(manner.durability);
        let durability = match (self.life.lie, manner.durability) {
            (Some(Lie::NoSync), Durability::Sync) => Durability::WriteNoSync,
            (_, durability) => durability,
        };
        if manner.exclusive {
            self.finish()?;
            let info = exclusive(self.env, id, &changes, durability)?;
            Word::Committed(id, info, survives).say();
            return Ok(());
        }
        let pending = loop {
            match submit(self.env, id, &changes, durability) {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => break other?,
            }
        };
        if self.life.lie == Some(Lie::EarlyAck) {
            Word::Committed(id, pending.commit(), survives).say();
        }
        self.pending.push_back((id, survives, pending));
        let waiting = self.random.choose(UNTOLD_MAX as usize, "waiting");
        self.wait(if waiting == 3 { 3 } else { 0 })
    }

    /// Waits until all commits are acknowledged.
    pub(super) fn finish(&mut self) -> Result {
        self.wait(0)
    }

    fn wait(&mut self, left: usize) -> Result {
        while self.pending.len() > left
            && let Some((id, survives, pending)) = self.pending.pop_front()
        {
            let commit = pending.wait()?.commit;
            if self.life.lie != Some(Lie::EarlyAck) {
                Word::Committed(id, commit, survives).say();
            }
        }
        Ok(())
    }
}

fn submit(
    env: &Environment,
    id: Id,
    changes: &[Change],
    durability: Durability,
) -> EnvResult<PendingCommit> {
    let mut txn = env.begin_write()?;
    for change in changes {
        match change {
            Change::Drop(name) => {
                if let Some(database) = env.find_database(name)? {
                    txn.drop_database(&database)?;
                }
            }
            Change::Create(name) => drop(txn.create_database(name, DatabaseOptions::default())?),
            Change::Put(name, key, len) => {
                let database = txn.create_database(name, DatabaseOptions::default())?;
                txn.put(&database, key, &id.value(*len))?;
            }
            Change::Delete(name, key) => {
                let database = txn.create_database(name, DatabaseOptions::default())?;
                txn.delete(&database, key)?;
            }
        }
    }
    txn.submit(durability)
}

fn exclusive(
    env: &Environment,
    id: Id,
    changes: &[Change],
    durability: Durability,
) -> EnvResult<u64> {
    let mut txn = env.begin_exclusive()?;
    for change in changes {
        match change {
            Change::Drop(name) => {
                let database = txn.create_database(name, DatabaseOptions::default())?;
                txn.drop_database(&database)?;
            }
            Change::Create(name) => drop(txn.create_database(name, DatabaseOptions::default())?),
            Change::Put(name, key, len) => {
                let database = txn.create_database(name, DatabaseOptions::default())?;
                txn.put(&database, key, &id.value(*len))?;
            }
            Change::Delete(name, key) => {
                let database = txn.create_database(name, DatabaseOptions::default())?;
                txn.delete(&database, key)?;
            }
        }
    }
    Ok::<_, EnvError>(txn.commit_with(durability)?.commit)
}
