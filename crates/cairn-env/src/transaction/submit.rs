//! Submitting: a transaction gets its place among all commits, with those who go along.

use std::{any::Any, fmt, sync::Arc};

use cairn_io::shared::atomic::Ordering;

use super::{CommitInfo, Transaction};
use crate::{Durability, EnvError, EnvResult, door::Inside};

/// What goes along with a transaction, because it has to know the order of the commits: a store that tells its observers
/// of them. So one transaction can change several stores, of which none knows of the others.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use cairn_env::{Companion, CommitInfo, Durability, EnvResult, Environment, Options, Submission};
/// # use cairn_env::DatabaseOptions;
///
/// /// The numbers of commits, in their order.
/// #[derive(Clone, Debug, Default)]
/// struct List(Arc<Mutex<Vec<u64>>>);
///
/// impl Companion for List {
///     fn submit(&self, submission: Submission<'_>) -> EnvResult<u64> {
///         let mut list = self.0.lock().unwrap(); // nobody gets a place meanwhile
///         let commit = submission.go_on()?;
///         list.push(commit);
///         Ok(commit)
///     }
///
///     fn waited(&self, _: &EnvResult<CommitInfo>, _: Durability) {}
/// }
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let db = env.database("db", DatabaseOptions::default())?;
/// let list = List::default();
/// env.write(|txn| {
///     txn.companion("list", || list.clone())?;
///     txn.put(&db, b"k", b"v")
/// })?;
/// assert_eq!(*list.0.lock().unwrap(), [env.snapshot()?.commit()]);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
pub trait Companion: Any + fmt::Debug + Send + Sync {
    /// Commits the transaction, which [`Submission::go_on`] does, and answers what that answers. A lock that it holds
    /// meanwhile keeps the order of those who take it; of several companions the one with the smallest name is asked
    /// first. Not called for a transaction that changes nothing.
    ///
    /// # Errors
    /// Those of `go_on`. One of its own, before that is called, refuses the commit.
    fn submit(&self, submission: Submission<'_>) -> EnvResult<u64>;

    /// It was waited for the commit to be as durable as it was asked to be, and this came of it.
    fn waited(&self, result: &EnvResult<CommitInfo>, durability: Durability);
}

/// A transaction that is about to get its place among all commits.
#[derive(Debug)]
#[must_use = "a companion has to go on with it"]
pub struct Submission<'t> {
    txn: &'t mut Transaction,
    /// Who is still to be asked.
    companions: &'t [Arc<dyn Companion>],
}

impl Submission<'_> {
    /// The transaction. It changes nothing any more.
    pub const fn transaction(&self) -> &Transaction {
        self.txn
    }

    /// Goes on; returns the number of the commit, which has taken effect then.
    ///
    /// # Errors
    /// What the other companions and the commit answer: nothing was changed.
    pub fn go_on(self) -> EnvResult<u64> {
        match self.companions.split_first() {
            Some((next, companions)) => next.submit(Submission { txn: self.txn, companions }),
            None => self.txn.apply(),
        }
    }
}

impl Transaction {
    /// The companion of this name; if there is none, a new one goes along from now on.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if one of another type has that name.
    pub fn companion<C: Companion>(
        &mut self,
        name: &str,
        new: impl FnOnce() -> C,
    ) -> EnvResult<&C> {
        if !self.companions.contains_key(name) {
            self.companions.insert(name.into(), Arc::new(new()));
        }
        let found = self.companions.get(name);
        let found = found.and_then(|found| (&**found as &dyn Any).downcast_ref());
        found.ok_or_else(|| {
            let what = format!("another sort of companion is called {name:?} in this transaction");
            EnvError::InvalidInput { what }
        })
    }

    /// Commits without waiting for the disk: transactions that begin from now on see the commit, snapshots
    /// at the latest when it is acknowledged, and [`PendingCommit::wait`] returns when it is as durable as
    /// asked for.
    ///
    /// # Errors
    /// As [`Transaction::commit`], but for the failure of a sync, which `wait` reports.
    pub fn submit(mut self, durability: Durability) -> EnvResult<PendingCommit> {
        // Until it was waited for, the commit is somebody inside.
        let core = self.core.follow();
        if self.is_unchanged() {
            let commit = self
                .base
                .get()
                .map_or_else(|| core.latest.load(Ordering::Acquire), |base| base.sequence());
            return Ok(PendingCommit {
                core,
                commit,
                durability,
                waited: true,
                companions: vec![],
            });
        }
        let companions: Vec<_> = std::mem::take(&mut self.companions).into_values().collect();
        let commit = Submission { txn: &mut self, companions: &companions }.go_on()?;
        Ok(PendingCommit { core, commit, durability, waited: false, companions })
    }

    fn apply(&mut self) -> EnvResult<u64> {
        let request = self.request()?;
        // Of what it has seen, that it has seen it is all that counts now. Nobody makes a version for it any more.
        let was_observer = self.base.take().is_some();
        let applied = self.core.apply(request);
        if was_observer {
            self.core.holders.observers.fetch_sub(1, Ordering::SeqCst);
        }
        applied.inspect_err(|error| {
            if error.is_retryable() {
                self.core.counters.conflicts.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

/// A commit that is visible and not yet acknowledged.
#[derive(Debug)]
#[must_use = "the commit is not acknowledged before it was waited for"]
pub struct PendingCommit {
    core: Inside,
    commit: u64,
    durability: Durability,
    waited: bool,
    /// Who has gone along.
    companions: Vec<Arc<dyn Companion>>,
}

impl PendingCommit {
    /// The number of the commit.
    #[must_use]
    pub const fn commit(&self) -> u64 {
        self.commit
    }

    /// Whether [`PendingCommit::wait`] would return at once, because somebody else's sync has
    /// covered this commit.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.core.journal.durable() >= self.commit
    }

    /// Returns when the commit is as durable as it was asked to be.
    ///
    /// # Errors
    /// [`EnvError::CommitUnknown`] if a sync failed.
    pub fn wait(self) -> EnvResult<CommitInfo> {
        let Self { core, commit, durability, waited, companions } = self;
        let result = match waited {
            true => Ok(()),
            false => core.acknowledge(commit, durability),
        };
        let result = result.map(|()| CommitInfo { commit });
        companions.iter().for_each(|companion| companion.waited(&result, durability));
        result
    }
}
