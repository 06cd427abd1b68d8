//! Clients: open transactions, commits of every durability, exclusive transactions.

use std::time::Duration;

use cairn_env::{Durability, EnvError, EnvResult, ExclusiveTransaction};
use cairn_io::World as _;
use cairn_sim::ChooserExt as _;

use super::Simulation;
use crate::{
    client::Client,
    model::{fill, fill_exclusive},
    operation::Change,
    problem::{Checked, Problem, Wrong},
};

impl Simulation<'_> {
    /// One of the clients goes a step further.
    pub(super) fn client(&mut self) -> Checked<()> {
        let number = self.chooser.choose(self.plan.clients, "client");
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some(client) = process.clients[number].take() else {
            let since = self.ledger.begun();
            let begun = process.env.begin_write();
            if let Some(txn) = self.unless_troubled("beginning a transaction", begun)? {
                self.tell(format_args!("client {number} begins"));
                self.put_back(number, Client::new(txn, since));
            }
            return Ok(());
        };
        match self.weighted(&[30, 20, 6, 4, 3, 3, 2], "act") {
            0 => self.changes_in(number, client),
            1 => {
                let durability = self.durability();
                self.commit(number, client, durability)
            }
            2 => {
                let (database, key) = (self.database(), self.key());
                self.goes_on(number, client, &format!("gets {database}/{key}"), |client| {
                    client.get(database, key)
                })
            }
            3 => {
                let database = self.database();
                self.goes_on(number, client, &format!("reads all of {database}"), |client| {
                    client.scan(database)
                })
            }
            4 => self.goes_on(number, client, "makes a savepoint", |client| {
                client.save();
                Ok(())
            }),
            5 => self.goes_on(number, client, "goes back to its savepoint", Client::back),
            _ => {
                self.tell(format_args!("client {number} gives up"));
                Ok(())
            }
        }
    }

    fn changes_in(&mut self, number: usize, client: Client) -> Checked<()> {
        let changes = self.changes();
        let what = format!("changes {changes:?}");
        self.goes_on(number, client, &what, |client| client.change(&changes))
    }

    /// A client does something, and stays unless that fails.
    fn goes_on(
        &mut self,
        number: usize,
        mut client: Client,
        what: &str,
        act: impl FnOnce(&mut Client) -> EnvResult<()>,
    ) -> Checked<()> {
        let done = act(&mut client);
        self.tell(format_args!("client {number} {what}"));
        if self.unless_troubled(what, done)?.is_some() {
            self.put_back(number, client);
        }
        Ok(())
    }

    fn put_back(&mut self, number: usize, client: Client) {
        if let Some(process) = &mut self.process {
            process.clients[number] = Some(client);
        }
    }

    /// A client commits: what it has read must be what was there.
    fn commit(&mut self, number: usize, client: Client, durability: Durability) -> Checked<()> {
        let (newest, since) = (self.ledger.begun(), client.since);
        let unexplained = |story: String| Err(Problem::new(Wrong::Anomaly, story));
        self.tell(format_args!("client {number} commits, {durability:?}"));
        if client.txn.is_unchanged() {
            let mut states = (since..=newest).filter_map(|commit| self.ledger.state(commit));
            if states.any(|state| client.is_explained_by(state)) {
                return Ok(());
            }
            return unexplained(format!(
                "no commit from {since} to {newest} explains what a reading transaction saw"
            ));
        }
        let is_explained = client.is_explained_by(self.ledger.newest());
        let Client { txn, changes, .. } = client;
        let done = self.committing(&changes, Some(durability), since, || {
            Ok(txn.commit_with(durability)?.commit)
        })?;
        if done && !is_explained {
            let story = format!("commit {} saw what commit {newest} did not leave", newest + 1);
            return unexplained(story);
        }
        Ok(())
    }

    /// Commits `changes` by `commit`, and takes note of what that promises; without a durability nothing is
    /// promised yet. Returns whether it took
    /// effect.
    pub(super) fn committing(
        &mut self,
        changes: &[Change],
        durability: Option<Durability>,
        since: u64,
        commit: impl FnOnce() -> EnvResult<u64>,
    ) -> Checked<bool> {
        let is_new = self.ledger.begun() == since;
        let begun = self.ledger.begin(changes);
        let was_valid = self.process.as_ref().is_some_and(|process| process.env.is_valid());
        match commit() {
            Ok(commit) if commit + 1 == begun && self.changed_nothing() => {
                self.ledger.take_back();
                Ok(true)
            }
            Ok(commit) => {
                self.has_number(commit, begun)?;
                self.tally.commits += 1;
                if let Some(durability) = durability {
                    self.committed(begun, durability)?;
                }
                Ok(true)
            }
            Err(EnvError::Conflict { .. }) => {
                self.ledger.take_back();
                self.tally.conflicts += 1;
                self.tell(format_args!("which conflicts"));
                if is_new {
                    let story = "a conflict, and nobody else has committed";
                    return Err(Problem::new(Wrong::Anomaly, story));
                }
                Ok(false)
            }
            Err(error) => {
                match &error {
                    // It may be found, or not.
                    EnvError::CommitUnknown { .. } | EnvError::Poisoned { .. } if was_valid => {}
                    // It has taken effect, and is written when there is room.
                    EnvError::CommitPending { commit, .. } => self.has_number(*commit, begun)?,
                    _ => self.ledger.take_back(),
                }
                self.unless_troubled("the commit", Err::<(), _>(error))?;
                Ok(false)
            }
        }
    }

    /// Whether the commit that was begun last leaves everything as it was.
    fn changed_nothing(&self) -> bool {
        let before = self.ledger.begun().checked_sub(1);
        before.and_then(|before| self.ledger.state(before)) == Some(self.ledger.newest())
    }

    fn has_number(&self, found: u64, wanted: u64) -> Checked<()> {
        if found == wanted {
            return Ok(());
        }
        let story = format!("a commit has number {found} instead of {wanted}");
        Err(Problem::new(Wrong::InventedCommit, story))
    }

    /// Takes note of what a commit of this durability has promised.
    fn committed(&mut self, commit: u64, durability: Durability) -> Checked<()> {
        self.acknowledged(commit);
        let Some(process) = &mut self.process else { return Ok(()) };
        match durability {
            Durability::Relaxed(within) => {
                process.deadlines.push((commit, process.world.monotonic() + within));
            }
            Durability::Sync => return self.promised(commit, commit),
            _ => {}
        }
        let durable = self.durable_now()?;
        let written = if durability == Durability::WriteNoSync { commit } else { durable };
        self.promised(written, durable)
    }

    /// Somebody was told that this commit took effect.
    pub(super) fn acknowledged(&mut self, commit: u64) {
        if let Some(process) = &mut self.process {
            process.acknowledged = process.acknowledged.max(commit);
        }
    }

    /// Somebody was told that so much is written, and so much durable.
    pub(super) fn promised(&mut self, written: u64, durable: u64) -> Checked<()> {
        if self.process.as_ref().is_some_and(|process| !process.is_lied_to) {
            self.ledger.acknowledge(written, durable);
        }
        Ok(())
    }

    /// The newest commit of which the environment says that no crash can take it back.
    pub(super) fn durable_now(&mut self) -> Checked<u64> {
        let Some(process) = &self.process else { return Ok(0) };
        let snapshot = process.env.durable_snapshot();
        let snapshot = self.unless_troubled("a durable snapshot", snapshot)?;
        Ok(snapshot.map_or(0, |snapshot| snapshot.commit()))
    }

    /// A commit that waits for its sync, or the sync that all of them wait for.
    pub(super) fn group(&mut self) -> Checked<()> {
        let is_end = self.chooser.choose(3, "wait") == 2;
        let Some(process) = &mut self.process else { return Ok(()) };
        if is_end {
            let waiting = std::mem::take(&mut process.waiting);
            for pending in waiting {
                let commit = pending.commit();
                self.tell(format_args!("commit {commit} is waited for"));
                let waited = pending.wait();
                if self.unless_troubled("waiting for a commit", waited)?.is_some() {
                    self.acknowledged(commit);
                    self.promised(commit, commit)?;
                }
            }
            return Ok(());
        }
        let begun = process.env.begin_write();
        let Some(mut txn) = self.unless_troubled("beginning a transaction", begun)? else {
            return Ok(());
        };
        let (changes, since) = (self.changes(), self.ledger.begun());
        let filled = fill(&mut txn, &changes);
        if self.unless_troubled("changing", filled)?.is_none() || txn.is_unchanged() {
            return Ok(());
        }
        self.tell(format_args!("{changes:?} is submitted"));
        let mut pending = None;
        let submitted = || {
            let submitted = txn.submit(Durability::Sync)?;
            let commit = submitted.commit();
            pending = Some(submitted);
            Ok(commit)
        };
        self.committing(&changes, None, since, submitted)?;
        if let Some(process) = &mut self.process {
            process.waiting.extend(pending);
        }
        Ok(())
    }

    /// An exclusive transaction. In the middle of it others read and the worker goes on.
    pub(super) fn exclusive(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let (env, since) = (process.env.clone(), self.ledger.begun());
        let begun = env.begin_exclusive();
        let Some(mut txn) = self.unless_troubled("an exclusive transaction", begun)? else {
            return Ok(());
        };
        let mut changes = Vec::new();
        for _ in 0..self.chooser.range(1..4, "parts") {
            let some = self.changes();
            self.tell(format_args!("an exclusive transaction changes {some:?}"));
            let done = fill_exclusive(&mut txn, &some);
            if self.unless_troubled("changing exclusively", done)?.is_none() {
                return Ok(());
            }
            changes.extend(some);
            self.beside(&txn)?;
        }
        if self.chooser.choose(5, "give-up") == 4 {
            self.tell(format_args!("the exclusive transaction is given up"));
            return Ok(());
        }
        let durability = self.durability();
        self.tell(format_args!("the exclusive transaction commits, {durability:?}"));
        self.committing(&changes, Some(durability), since, || {
            Ok(txn.commit_with(durability)?.commit)
        })
        .map(drop)
    }

    /// What others do while an exclusive transaction is open.
    fn beside(&mut self, _open: &ExclusiveTransaction) -> Checked<()> {
        match self.weighted(&[4, 2, 1, 1], "beside") {
            0 => Ok(()),
            1 => self.work(),
            2 => self.read(),
            _ => self.snapshot(),
        }
    }

    pub(super) fn durability(&mut self) -> Durability {
        const MILLIS: [u64; 3] = [1, 100, 3000];
        match self.weighted(&[10, 3, 5, 2], "durability") {
            0 => Durability::Sync,
            1 => Durability::WriteNoSync,
            2 => Durability::NoSync,
            _ => Durability::Relaxed(Duration::from_millis(*self.chooser.pick(&MILLIS, "within"))),
        }
    }

    fn database(&mut self) -> u8 {
        u8::try_from(self.chooser.choose(self.plan.databases, "database")).unwrap_or(0)
    }

    fn key(&mut self) -> u16 {
        u16::try_from(self.chooser.choose(self.plan.keys, "key")).unwrap_or(0)
    }

    pub(super) fn changes(&mut self) -> Vec<Change> {
        let many = if self.plan.keys > 1 { self.chooser.range(1..5, "changes") } else { 1 };
        (0..many).map(|_| self.change()).collect()
    }

    pub(super) fn change(&mut self) -> Change {
        let (database, key) = (self.database(), self.key());
        let kinds: &[u32] = if self.plan.keys > 1 { &[120, 40, 2, 3] } else { &[1, 1] };
        match self.weighted(kinds, "change") {
            0 => {
                self.values += 1;
                let len = *self.chooser.pick(self.plan.lens, "len");
                Change::Put { database, key, value: self.values, len }
            }
            1 => Change::Delete { database, key },
            2 => Change::Create { database },
            _ => Change::Drop { database },
        }
    }
}
