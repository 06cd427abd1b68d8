//! `BackupSchedule`: when the automatic backup is due.

use std::time::Duration;

use super::BackupInfo;
use crate::{KvResult, KvStore};

/// When the automatic backup is due: it starts no thread. The application calls
/// [`BackupSchedule::step`] from time to time, with the time.
///
/// ```
/// use std::time::Duration;
/// use cairn_kv::BackupSchedule;
/// # use cairn_kv::{KvManager, KvManagerConfig, KvOptions, SecurityLevel};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("data");
/// # let manager = KvManager::open(&path, KvManagerConfig::new())?;
/// # let store = manager.get_store("notes", KvOptions::new(SecurityLevel::S1))?;
/// let mut schedule = BackupSchedule::every(Duration::from_secs(3600));
/// let hours = |hours: u64| Duration::from_secs(hours * 3600);
/// assert!(schedule.step(&store, hours(10))?.is_some());
/// assert!(schedule.step(&store, hours(10) + Duration::from_secs(60))?.is_none());
/// assert!(schedule.step(&store, hours(11))?.is_some());
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackupSchedule {
    every: Duration,
    next: Option<Duration>,
}

impl BackupSchedule {
    /// As often as this; the first time at once.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self { every, next: None }
    }

    /// Makes the automatic backup of the store if it is due at `now`, a time since any fixed moment; returns it
    /// if so. After an error it is due still.
    ///
    /// # Errors
    /// As [`KvStore::auto_backup`].
    pub fn step(&mut self, store: &KvStore, now: Duration) -> KvResult<Option<BackupInfo>> {
        if self.next.is_some_and(|next| now < next) {
            return Ok(None);
        }
        let backup = store.auto_backup()?;
        self.next = Some(now.saturating_add(self.every));
        Ok(Some(backup))
    }
}
