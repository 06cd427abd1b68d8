//! `Environment`: the handle that applications hold.

mod attached;
mod close;
mod copied;
mod encryption;
mod identity;
mod open;
mod pins;
mod places;
mod single;
mod stats;

use std::sync::{Arc, atomic::Ordering};

use cairn_io::WorldRef;

pub(crate) use attached::Attached;
pub(crate) use close::Open;
pub use encryption::{HeldKeys, held_keys};
pub use identity::Identity;
pub(crate) use open::patiently;
pub use pins::PinInfo;
pub use places::DataDirectory;
pub use stats::{About, Figure, Stats, Unit};
pub(crate) use stats::{Counters, spec};

use crate::{
    CheckpointReport, CleanReport, Database, DatabaseOptions, Durability, EnvError, EnvResult,
    ExclusiveTransaction, KeptGeneration, Options, PinBudget, RecoveryReport, ReplicaStatus,
    Snapshot, SpaceReport, Survey, Transaction, VerifyOptions, VerifyReport, backup::BackupSet,
};

/// An open environment: one directory tree on disk, any number of named databases in it.
///
/// Cheap to clone; any thread may use any clone. The environment is closed by
/// [`Environment::close`], or, without a report of what went wrong, when the last handle, snapshot
/// and transaction is gone.
///
/// ```
/// use cairn_env::{DatabaseOptions, Environment, Options};
///
/// let (env, report) = Environment::in_memory(Options::default())?;
/// assert!(report.created);
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| {
///     txn.put(&users, b"ada", b"1815")?;
///     txn.put(&users, b"grace", b"1906")
/// })?;
/// let before = env.snapshot()?;
/// env.write(|txn| txn.delete(&users, b"ada"))?;
/// assert_eq!(before.get(&users, b"ada")?.unwrap(), b"1815");
/// assert!(env.snapshot()?.get(&users, b"ada")?.is_none());
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) core: Arc<Open>,
}

impl Environment {
    /// What opening it found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.core.report
    }

    /// How it was opened.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Whether work can go on. `false` after a failure that leaves unknown what the disk or memory
    /// holds (a failed sync above all): every handle then answers with the first cause, and closing
    /// and opening again runs recovery.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.core.failure.is_failed()
    }

    /// The first cause of such a failure.
    #[must_use]
    pub fn failure(&self) -> Option<EnvError> {
        self.core.failure.check().err()
    }

    /// Nothing, unless the environment has failed or was closed: for who wants to know before he begins.
    ///
    /// # Errors
    /// The first cause, or [`EnvError::Closed`].
    pub fn check(&self) -> EnvResult<()> {
        self.core.enter().map(drop)
    }

    /// A view of everything that was committed and acknowledged before the call, which never changes.
    ///
    /// It never waits for a disk. While all acknowledged commits are durable, as they are where every
    /// commit syncs, it takes no lock either, unless nobody has asked for a view since the newest sync.
    ///
    /// # Errors
    /// Only if the environment has failed or was closed.
    pub fn snapshot(&self) -> EnvResult<Snapshot> {
        let inside = self.core.enter()?;
        let newest = inside.newest()?;
        Ok(Snapshot::new(inside, newest))
    }

    /// A view of every commit that has taken effect, acknowledged or not: of those whose caller still waits
    /// for the disk, too. A crash may take the last of them back; whatever is committed after that was seen
    /// goes with them.
    ///
    /// # Errors
    /// Only if the environment has failed or was closed.
    pub fn latest_snapshot(&self) -> EnvResult<Snapshot> {
        let inside = self.core.enter()?;
        let latest = inside.latest()?;
        Ok(Snapshot::new(inside, latest))
    }

    /// A view of the newest state that no crash can take back. Commits that did not ask for a sync
    /// may be missing. If nobody has asked for any view lately, and there are such commits, they are synced first.
    ///
    /// # Errors
    /// Only if the environment has failed or was closed, or if such a sync fails.
    pub fn durable_snapshot(&self) -> EnvResult<Snapshot> {
        let inside = self.core.enter()?;
        let durable = inside.durable()?;
        Ok(Snapshot::new(inside, durable))
    }

    /// As [`Environment::durable_snapshot`], if that has this commit; else as [`Environment::snapshot`]: for who must see
    /// what it has committed itself, durable or not.
    ///
    /// # Errors
    /// Only if the environment has failed or was closed.
    pub fn durable_snapshot_with(&self, commit: u64) -> EnvResult<Snapshot> {
        let inside = self.core.enter()?;
        let root = match inside.published.look() {
            Some(durable) if durable.sequence() >= commit => durable.into(),
            _ => inside.newest()?,
        };
        Ok(Snapshot::new(inside, root))
    }

    /// Begins a transaction. It sees the environment as it is when it first reads.
    ///
    /// # Errors
    /// If the environment has failed, was closed, or was opened for reading only.
    pub fn begin_write(&self) -> EnvResult<Transaction> {
        Ok(Transaction::new(self.core.enter_to_write()?))
    }

    /// Begins an exclusive transaction, for loads and changes that are larger than memory. Waits until
    /// another one has ended; until this one has, commits of other threads wait.
    ///
    /// # Errors
    /// If the environment has failed, was closed, or was opened for reading only; if this thread has
    /// another one open.
    pub fn begin_exclusive(&self) -> EnvResult<ExclusiveTransaction> {
        ExclusiveTransaction::begin(self.core.enter_to_write()?)
    }

    /// Runs `body` in a transaction and commits it with the environment's durability; again from the
    /// beginning if another transaction has changed what it had read. After eight such conflicts the
    /// commits of other threads wait for this one, so that it comes to an end however busy they are.
    /// Returns what `body` returned.
    ///
    /// # Errors
    /// What `body` or the commit answers; then nothing was changed, except that a
    /// [`EnvError::CommitUnknown`] leaves that open.
    pub fn write<T>(&self, body: impl FnMut(&mut Transaction) -> EnvResult<T>) -> EnvResult<T> {
        self.write_with(self.core.options.durability, body)
    }

    /// As [`Environment::write`], with a durability of its own.
    ///
    /// # Errors
    /// As [`Environment::write`].
    pub fn write_with<T>(
        &self,
        durability: Durability,
        mut body: impl FnMut(&mut Transaction) -> EnvResult<T>,
    ) -> EnvResult<T> {
        /// After so many conflicts a transaction goes before all others.
        const PATIENCE: u32 = 8;
        for conflicts in 0.. {
            let _turn = (conflicts >= PATIENCE).then(|| self.core.take_turn()).transpose()?;
            let mut txn = self.begin_write()?;
            let result = match body(&mut txn) {
                Ok(value) => txn.commit_with(durability).map(|_| value),
                Err(error) => Err(error),
            };
            match result {
                Err(error) if error.is_retryable() => {}
                other => return other,
            }
        }
        Err(EnvError::internal("a transaction that has the turn is overtaken for ever"))
    }

    /// The database `name`, created with `options` if it does not exist.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is empty or longer than 255 bytes;
    /// [`EnvError::WrongKind`] if it exists and is of another kind; in an environment that is open for
    /// reading only, [`EnvError::NoSuchDatabase`].
    pub fn database(&self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
        if let Some(found) = self.find_database(name)? {
            return found.expect_kind(options.kind).map(|()| found);
        }
        if self.core.options.read_only {
            return Err(EnvError::NoSuchDatabase { name: name.into() });
        }
        self.write(|txn| txn.create_database(name, options))
    }

    /// The database `name`, of whatever kind, if it exists.
    ///
    /// # Errors
    /// As [`Environment::snapshot`], and if the catalogue cannot be read.
    pub fn find_database(&self, name: &str) -> EnvResult<Option<Database>> {
        self.snapshot()?.database(name)
    }

    /// Makes every commit so far durable.
    ///
    /// # Errors
    /// If the disk fails: see [`EnvError::CommitUnknown`].
    pub fn sync(&self) -> EnvResult<()> {
        let _inside = self.core.enter()?;
        let sequence = self.core.latest.load(Ordering::Acquire);
        self.core.acknowledge(sequence, Durability::Sync)
    }

    /// Writes everything that changed since the last checkpoint, so that the next open has little to
    /// replay, and removes log files that nothing needs any more.
    ///
    /// # Errors
    /// If the disk fails or is full. A full disk leaves the environment valid.
    pub fn checkpoint(&self) -> EnvResult<CheckpointReport> {
        self.core.enter_to_write()?.checkpoint()
    }

    /// Moves what is in use out of log files that hold little else and removes them, until the
    /// [space target](Options#structfield.space_target) is met. The background worker does the same
    /// by and by. Snapshots and backups keep files that they need; those go later.
    ///
    /// # Errors
    /// If the disk fails or is full, or a file is damaged: the file then stays as it is, and
    /// [`Environment::verify`] says what is wrong with it.
    pub fn clean(&self) -> EnvResult<CleanReport> {
        self.core.enter_to_write()?.clean_to(self.core.space_target())
    }

    /// As [`Environment::clean`], until the log files hold next to nothing but what is in use. Writes
    /// much, and leaves no room for what changes next: for environments that will rarely be written.
    ///
    /// # Errors
    /// As [`Environment::clean`].
    pub fn compact(&self) -> EnvResult<CleanReport> {
        self.core.enter_to_write()?.clean_to(1.0)
    }

    /// Checks the log, the trees and their agreement; all findings, not the first.
    ///
    /// # Errors
    /// Only if the environment has failed or was closed: damage is a finding.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> EnvResult<VerifyReport> {
        crate::verify::verify(&*self.core.enter()?, options)
    }

    /// How the trees of the databases are built: levels, nodes, bytes, how full the leaves are. Reads every
    /// node, and no large value.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| (0..2000u32).try_for_each(|n| txn.put(&db, &n.to_be_bytes(), &[7; 100])))?;
    /// let survey = env.survey()?;
    /// assert_eq!((survey.trees[0].entries, survey.trees[0].levels.len()), (2000, 2));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// Only if the environment has failed or was closed: damage is a finding.
    pub fn survey(&self) -> EnvResult<Survey> {
        crate::survey::survey(&*self.core.enter()?)
    }

    /// The clock, the randomness and the workers that it uses, for what is built on it.
    #[must_use]
    pub fn world(&self) -> WorldRef {
        WorldRef::clone(&self.core.world)
    }

    /// Which environment this is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        identity::identity(&self.core)
    }

    /// Figures about the environment.
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn stats(&self) -> EnvResult<Stats> {
        self.core.check()?;
        Ok(stats::stats(&self.core))
    }

    /// The data directories in order, with what lies in each; none if the log files lie in the root.
    ///
    /// # Errors
    /// If the environment has failed or was closed, or the disk fails.
    pub fn data_directories(&self) -> EnvResult<Vec<DataDirectory>> {
        self.core.check()?;
        places::data_directories(&self.core)
    }

    /// The old generation that is kept since a restore in place, if any, and the room that it takes:
    /// [`undo_restore`](crate::undo_restore) goes back to it,
    /// [`forget_old_generation`](crate::forget_old_generation) removes it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn kept_generation(&self) -> EnvResult<Option<KeptGeneration>> {
        self.core.root.kept_generation()
    }

    /// What the environment takes on disk, and who keeps how much of it from going: a forgotten
    /// snapshot above all.
    ///
    /// ```
    /// # use cairn_env::{Environment, Options};
    /// let (env, _) = Environment::in_memory(Options::default().max_disk(1 << 30))?;
    /// let space = env.space()?;
    /// assert!(space.used + space.kept < 1 << 30 && space.holders.is_empty());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the environment has failed or was closed, or a device cannot be asked.
    pub fn space(&self) -> EnvResult<SpaceReport> {
        self.core.check()?;
        self.core.space_report()
    }

    /// How the replica is; `None` without [`Options::replica`].
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn replica(&self) -> EnvResult<Option<ReplicaStatus>> {
        self.core.check()?;
        Ok(self.core.replica_status())
    }

    /// Who else pins log files: processes that read the environment, or back it up, while it is open
    /// here; and openings of it by this process for reading. Pins of those that have ended are removed.
    ///
    /// Backups that were begun on this very handle are not among them: see
    /// [`Stats::backups`](Stats#structfield.backups).
    ///
    /// # Errors
    /// If the environment has failed or was closed, or the disk fails.
    pub fn pins(&self) -> EnvResult<Vec<PinInfo>> {
        self.core.check()?;
        self.core.others_pins()
    }

    /// Freezes a set of files that is one exact state of the environment, and pins them until the
    /// result is dropped. Writers go on.
    ///
    /// That state is the newest commit; of an environment that was opened for reading, beside another
    /// process that writes it or not, the one that it was opened at. Nothing is written then, so what
    /// is restored has as much to replay as this open had.
    ///
    /// # Errors
    /// If the disk fails or is full.
    pub fn begin_backup(&self) -> EnvResult<BackupSet> {
        crate::backup::begin(&*self.core.enter()?, PinBudget::default())
    }

    /// As [`Environment::begin_backup`], but what it pins may cost no more than `budget`. A backup that
    /// holds back more, or for longer, loses its pin at the next checkpoint: the files go, and whatever
    /// is done with them afterwards answers [`EnvError::PinLost`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use cairn_env::{Environment, Options, PinBudget};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let budget = PinBudget::new().bytes(10 << 30).time(Duration::from_secs(3600));
    /// let set = env.begin_backup_within(budget)?;
    /// // … copy the files …
    /// set.check()?; // they were there all the time
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Environment::begin_backup`].
    pub fn begin_backup_within(&self, budget: PinBudget) -> EnvResult<BackupSet> {
        crate::backup::begin(&*self.core.enter()?, budget)
    }
}
