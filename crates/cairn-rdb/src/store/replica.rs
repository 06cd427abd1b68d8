//! Replica: the automatic backup of a store, which is the replica of its environment: what it is told to do, how it is, and
//! how it is interrupted.
//!
//! The replica has every commit that was acknowledged, of all stores, whatever their mode. What a backup to it adds is that
//! the store is known to be whole and the replica to have all of it, at one moment that the application chooses.

use std::time::Duration;

use cairn_env::ReplicaState;
use rusqlite::InterruptHandle;

use super::{
    RdbStore,
    file::{Access, connect},
    open::record,
    rebuild::note_damage,
};
use crate::{HaMode, RdbError, RdbResult, TransferError, sync::lock};

/// How the backup of a store to the replica of its environment is. The numbers are those of ArkData's `SlaveStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum BackupStatus {
    /// None was made since the store was opened.
    #[default]
    Undefined = 0,
    /// One is being made.
    BackingUp = 1,
    /// The last one was interrupted, or has failed.
    Interrupted = 2,
    /// The last one is complete.
    Finished = 3,
    /// The store is closed.
    Closing = 4,
}

/// The backup that is being made, or was made last.
#[derive(Default)]
pub(super) struct Backups {
    status: BackupStatus,
    is_interrupted: bool,
    /// What the check goes on in.
    check: Option<InterruptHandle>,
}

/// For so long the replica is waited for which is about to have everything.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

impl RdbStore {
    /// Backs the store up to the replica of its environment: SQLite reads and checks all of the store
    /// (`PRAGMA quick_check`), and then everything that was committed until now is on both disks. Writers go on.
    /// [`RdbStore::restore_from_replica`] brings it back.
    ///
    /// ```
    /// use cairn_env::{Environment, Options, ReplicaPolicy};
    /// use cairn_rdb::{BackupStatus, HaMode, RdbConfig, RdbStore, SecurityLevel};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    /// let options = Options::default().replica(&there, ReplicaPolicy::Degrade);
    /// let (env, _) = Environment::open(&here, options)?;
    /// let config = RdbConfig::new("shop", SecurityLevel::S1).ha_mode(HaMode::ManualTrigger);
    /// let store = RdbStore::open(&env, config)?;
    /// assert_eq!(store.backup_status(), BackupStatus::Undefined);
    /// store.backup_to_replica()?;
    /// assert_eq!(store.backup_status(), BackupStatus::Finished);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RdbError::NotSupported`] in [`HaMode::Single`], and if this handle only reads; [`RdbError::NoReplica`];
    /// [`RdbError::Busy`] if another one is being made, and if the replica is away or still being filled after two
    /// seconds; what is damaged, as [`RdbError::Corrupt`] or by SQLite; [`TransferError::Cancelled`] if it was
    /// [interrupted](RdbStore::interrupt_backup); [`RdbError::AlreadyClosed`].
    pub fn backup_to_replica(&self) -> RdbResult<()> {
        self.check_writable()?;
        let env = &self.shared.env;
        if self.recorded_ha_mode()? == HaMode::Single {
            return Err(not_supported("to back up to a replica, with HaMode::Single"));
        }
        if env.replica()?.is_none() {
            return Err(RdbError::NoReplica);
        }
        {
            let mut backups = lock(&self.shared.backups);
            if backups.status == BackupStatus::BackingUp {
                let what = "the backup to the replica, which is being made already,".into();
                return Err(RdbError::Busy { what, waited_ms: 0 });
            }
            *backups = Backups { status: BackupStatus::BackingUp, ..Backups::default() };
        }
        let ended = Ended(self);
        self.check_whole()?;
        env.sync()?;
        self.wait_for_replica()?;
        ended.well();
        Ok(())
    }

    /// Interrupts the backup to the replica that is being made, in [`HaMode::ManualTrigger`]. Whoever makes it is answered
    /// that it was cancelled; what the replica has, it keeps. Another one can be made at once.
    ///
    /// # Errors
    /// [`RdbError::NotSupported`] in another mode; [`TransferError::Cancelled`] if none is being made;
    /// [`RdbError::AlreadyClosed`].
    pub fn interrupt_backup(&self) -> RdbResult<()> {
        self.shared.check_open()?;
        if self.recorded_ha_mode()? != HaMode::ManualTrigger {
            return Err(not_supported("to interrupt a backup, but with HaMode::ManualTrigger"));
        }
        let mut backups = lock(&self.shared.backups);
        if backups.status != BackupStatus::BackingUp {
            return Err(TransferError::Cancelled.into());
        }
        backups.is_interrupted = true;
        if let Some(check) = &backups.check {
            check.interrupt();
        }
        Ok(())
    }

    /// How the backup to the replica is, of all handles of the store in this process. How far the replica itself is,
    /// [`Environment::replica`](cairn_env::Environment::replica) says.
    #[must_use]
    pub fn backup_status(&self) -> BackupStatus {
        match self.shared.is_open() {
            true => lock(&self.shared.backups).status,
            false => BackupStatus::Closing,
        }
    }

    fn recorded_ha_mode(&self) -> RdbResult<HaMode> {
        Ok(record(&self.shared.env, self.name())?.config(self.name()).ha_mode)
    }

    /// An error unless SQLite can read all of the store, and finds nothing wrong.
    fn check_whole(&self) -> RdbResult<()> {
        let (env, name) = (&self.shared.env, self.name());
        let connection = connect(env, name, Access::ReadOnly)?;
        lock(&self.shared.backups).check = Some(connection.get_interrupt_handle());
        self.check_interrupt()?; // it may have come when there was nothing to interrupt
        let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        let found: RdbResult<String> = found.map_err(RdbError::of_sqlite);
        lock(&self.shared.backups).check = None;
        drop(connection);
        self.check_interrupt()?;
        note_damage(env, name);
        match found? {
            found if found == "ok" => Ok(()),
            what => Err(RdbError::Corrupt { store: name.into(), what }),
        }
    }

    /// Waits until the replica has everything that was acknowledged.
    fn wait_for_replica(&self) -> RdbResult<()> {
        let (env, mut waited) = (&self.shared.env, Duration::ZERO);
        loop {
            self.check_interrupt()?;
            let status = env.replica()?.ok_or(RdbError::NoReplica)?;
            if status.state == ReplicaState::Attached {
                return Ok(());
            }
            if waited >= PATIENCE {
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                let what = format!("the replica of the environment, which is {},", status.state);
                return Err(RdbError::Busy { what, waited_ms });
            }
            env.world().pause(PAUSE);
            waited += PAUSE;
        }
    }

    /// # Errors
    /// [`TransferError::Cancelled`]; [`RdbError::AlreadyClosed`].
    fn check_interrupt(&self) -> RdbResult<()> {
        self.shared.check_open()?;
        match lock(&self.shared.backups).is_interrupted {
            true => Err(TransferError::Cancelled.into()),
            false => Ok(()),
        }
    }
}

/// However the backup ends, it is not being made any more.
struct Ended<'s>(&'s RdbStore);

impl Ended<'_> {
    fn well(self) {
        lock(&self.0.shared.backups).status = BackupStatus::Finished;
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut backups = lock(&self.0.shared.backups);
        backups.check = None;
        if backups.status == BackupStatus::BackingUp {
            backups.status = BackupStatus::Interrupted;
        }
    }
}

fn not_supported(what: &str) -> RdbError {
    RdbError::NotSupported { what: what.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cairn_env::{Environment, Options, ReplicaPolicy};
    use cairn_io::{MemDisk, RealWorld};

    use super::*;
    use crate::{RdbConfig, SecurityLevel};

    fn mirrored() -> Environment {
        let replica = MemDisk::new().root();
        let options = Options::default().replica_in(replica, ReplicaPolicy::Degrade);
        let world = Arc::new(RealWorld::new());
        Environment::open_in(MemDisk::new().root(), world, options).unwrap().0
    }

    fn store(env: &Environment, mode: HaMode) -> RdbStore {
        let config = RdbConfig::new("s", SecurityLevel::S1).ha_mode(mode);
        let store = RdbStore::open(env, config).unwrap();
        store.execute_sql("CREATE TABLE IF NOT EXISTS t(x)", ()).unwrap();
        store
    }

    fn is_cancelled(result: &RdbResult<()>) -> bool {
        matches!(result, Err(RdbError::Transfer(TransferError::Cancelled)))
    }

    #[test]
    fn the_numbers_are_those_of_arkdata() {
        use BackupStatus::{BackingUp, Closing, Finished, Interrupted, Undefined};
        let all = [Undefined, BackingUp, Interrupted, Finished, Closing];
        assert_eq!(all.map(|status| status as u8), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_backup_is_made_when_it_is_told_to_and_says_so() {
        let env = mirrored();
        let store = store(&env, HaMode::ManualTrigger);
        assert_eq!(store.backup_status(), BackupStatus::Undefined);
        assert!(is_cancelled(&store.interrupt_backup()), "there is none");
        store.backup_to_replica().unwrap();
        assert_eq!(store.clone().backup_status(), BackupStatus::Finished);
        assert!(is_cancelled(&store.interrupt_backup()), "it is over");
        store.close();
        assert_eq!(store.backup_status(), BackupStatus::Closing);
        assert_eq!(store.backup_to_replica().unwrap_err().code(), Some(14_800_014));
        assert_eq!(store.interrupt_backup().unwrap_err().code(), Some(14_800_014));
    }

    /// The replica is away, and is waited for: long enough for another thread to interrupt that.
    #[test]
    fn a_backup_that_is_interrupted_is_cancelled_and_another_one_works() {
        let dir = tempfile::tempdir().unwrap();
        let in_the_way = tempfile::NamedTempFile::new_in(&dir).unwrap();
        let place = in_the_way.path().to_owned();
        let options = Options::default().replica(place.join("replica"), ReplicaPolicy::Degrade);
        let (env, _) = Environment::open(dir.path().join("data"), options).unwrap();
        let store = store(&env, HaMode::ManualTrigger);
        std::thread::scope(|scope| {
            let backing_up = scope.spawn(|| store.backup_to_replica());
            while store.backup_status() != BackupStatus::BackingUp {
                std::thread::yield_now();
            }
            let busy = store.backup_to_replica().unwrap_err();
            assert_eq!(busy.code(), Some(14_800_015));
            store.interrupt_backup().unwrap();
            assert!(is_cancelled(&backing_up.join().unwrap()));
        });
        assert_eq!(store.backup_status(), BackupStatus::Interrupted);
        let away_still = store.backup_to_replica().unwrap_err();
        assert!(away_still.to_string().contains("detached"), "{away_still}");
        assert_eq!(store.backup_status(), BackupStatus::Interrupted);
        in_the_way.close().unwrap();
        std::fs::create_dir(&place).unwrap();
        // It comes back when the background worker has tried again, about once a second.
        while let Err(error) = store.backup_to_replica() {
            assert_eq!(error.code(), Some(14_800_015), "{error}");
        }
        assert_eq!(store.backup_status(), BackupStatus::Finished);
    }

    #[test]
    fn a_damaged_store_is_not_backed_up_to_the_replica() {
        let env = mirrored();
        let store = store(&env, HaMode::MainReplica);
        store.execute_sql("INSERT INTO t VALUES (NULL)", ()).unwrap();
        // A schema that its rows do not keep to: the store itself refuses to write that.
        let other = connect(&env, "s", Access::ReadWrite).unwrap();
        let wrong = "PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = 'CREATE TABLE t(x NOT NULL)' WHERE name = 't'";
        other.execute_batch(wrong).unwrap();
        drop(other);
        let error = store.backup_to_replica().unwrap_err();
        assert_eq!(error.code(), Some(14_800_011), "{error}");
        assert_eq!(store.backup_status(), BackupStatus::Interrupted);
    }

    #[test]
    fn who_is_not_to_be_told_refuses() {
        let env = mirrored();
        let single = store(&env, HaMode::Single);
        assert_eq!(single.backup_to_replica().unwrap_err().code(), Some(801));
        assert_eq!(single.interrupt_backup().unwrap_err().code(), Some(801));
        let mirrored = store(&env, HaMode::MainReplica);
        mirrored.backup_to_replica().unwrap();
        assert_eq!(mirrored.interrupt_backup().unwrap_err().code(), Some(801));
    }
}
