//! Commits of all levels of durability, each noted before it begins and when it is acknowledged.

use std::{cell::Cell, sync::Mutex};

use cairn_env::{Durability, EnvError, Environment};
use cairn_io::World as _;

use super::{Book, Process, Runner, failed, lock};
use crate::{
    model::{EMBED_MAX, database, fill, key_bytes},
    operation::Change,
    problem::Checked,
    row::Row,
};

/// What a commit of these changes is, for the table.
fn row_of(process: &mut Process, durability: Durability, changes: &[Change]) -> Row {
    let is_large =
        |change: &Change| matches!(change, Change::Put { len, .. } if *len as usize > EMBED_MAX);
    let drops = changes.iter().any(|change| matches!(change, Change::Drop { .. }));
    process.fresh.take().unwrap_or(match durability {
        _ if drops => Row::Drop,
        Durability::Sync if changes.iter().any(is_large) => Row::LargeValue,
        Durability::Sync => Row::Commit,
        Durability::Relaxed(_) => Row::Relaxed,
        Durability::WriteNoSync | Durability::NoSync => Row::Group,
    })
}

impl Runner<'_> {
    /// Takes note of what a commit of these changes leaves behind.
    pub(super) fn committed(&mut self, durability: Durability, changes: &[Change]) {
        self.graves |= changes.iter().any(|change| matches!(change, Change::Drop { .. }));
        if let (Durability::Relaxed(within), Some(process)) = (durability, &mut self.process) {
            let commit = lock(&self.book).expected.begun;
            process.deadlines.push((commit, process.world.monotonic() + within));
        }
    }

    pub(super) fn commit(&mut self, durability: Durability, changes: &[Change]) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let row = row_of(process, durability, changes);
        commit(&self.book, &process.env, row, durability, changes).map_err(failed)?;
        self.committed(durability, changes);
        Ok(())
    }

    pub(super) fn submit(&mut self, changes: &[Change]) -> Checked<()> {
        let disk = self.disk();
        let Some(process) = &mut self.process else { return Ok(()) };
        let row = row_of(process, Durability::NoSync, changes);
        let _doing = disk.operation(row.name());
        let mut txn = process.env.begin_write().map_err(failed)?;
        fill(&mut txn, changes).map_err(failed)?;
        if !txn.is_unchanged() {
            lock(&self.book).begin(changes);
            process.waiting.push(txn.submit(Durability::Sync).map_err(failed)?);
        }
        self.committed(Durability::Sync, changes);
        Ok(())
    }

    pub(super) fn wait(&mut self) -> Checked<()> {
        let disk = self.disk();
        let Some(process) = &mut self.process else { return Ok(()) };
        let _doing = disk.operation(Row::Group.name());
        for pending in process.waiting.drain(..) {
            let commit = pending.wait().map_err(failed)?.commit;
            lock(&self.book).acknowledge(commit, commit);
        }
        Ok(())
    }

    /// Commits by a transaction that is tried again: it reads a key that somebody else changes before
    /// it commits, so many times.
    pub(super) fn contend(&mut self, rivals: u32, changes: &[Change]) -> Checked<()> {
        /// With more, the transaction would get the turn, and the others would wait for ever.
        const MOST: u32 = 8;
        let disk = self.disk();
        let Some(Process { env, .. }) = &self.process else { return Ok(()) };
        let book = &self.book;
        let _doing = disk.operation(Row::Concurrent.name());
        let (mut left, begun) = (rivals.min(MOST), Cell::new(None));
        let give_up = || {
            if begun.take().is_some() {
                lock(book).take_back();
            }
        };
        let written = env.write_with(Durability::Sync, |txn| {
            give_up(); // an attempt that met with a conflict
            let read = database(txn, 0)?;
            txn.get(&read, &key_bytes(0))?;
            if left > 0 {
                left -= 1;
                let change = Change::Put { database: 0, key: 0, value: left, len: 20 };
                commit(book, env, Row::Concurrent, Durability::Sync, &[change])?;
            }
            fill(txn, changes)?;
            begun.set((!txn.is_unchanged()).then(|| lock(book).begin(changes)));
            Ok(())
        });
        written.map_err(failed)?;
        if let Some(commit) = begun.get() {
            lock(book).acknowledge(commit, commit);
        }
        self.committed(Durability::Sync, changes);
        Ok(())
    }
}

/// Commits `changes`, and takes note of what that has made durable.
pub(super) fn commit(
    book: &Mutex<Book>,
    env: &Environment,
    row: Row,
    durability: Durability,
    changes: &[Change],
) -> Result<(), EnvError> {
    let disk = lock(book).environment.disk.clone();
    let _doing = disk.operation(row.name());
    let mut txn = env.begin_write()?;
    fill(&mut txn, changes)?;
    if txn.is_unchanged() {
        return Ok(());
    }
    let begun = lock(book).begin(changes);
    let commit = txn.commit_with(durability)?.commit;
    assert_eq!(commit, begun, "commits are numbered without gaps");
    acknowledge(book, env, durability, commit)
}

/// Takes note of what a commit of this durability has promised.
pub(super) fn acknowledge(
    book: &Mutex<Book>,
    env: &Environment,
    durability: Durability,
    commit: u64,
) -> Result<(), EnvError> {
    let durable = match durability {
        Durability::Sync => commit,
        _ => env.stats()?.durable_commits,
    };
    let written = if durability == Durability::WriteNoSync { commit } else { durable };
    lock(book).acknowledge(written, durable);
    Ok(())
}
