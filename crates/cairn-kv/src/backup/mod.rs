//! Backups of one store: archives under names, made while it is used, and put back in one commit.
//!
//! `name` says what they may be called, `restore` how they come back, `schedule` when
//! one is made by itself.

mod info;
mod name;
mod restore;
mod schedule;

use std::{collections::BTreeMap, fmt};

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, BackupFolder, BackupPlace, Compression, ExportOptions,
    Report, StoreInfo, StoreKind, export,
};
use cairn_env::{Environment, KeySource};
use cairn_io::{Name, WorldRef};

pub use info::{BackupInfo, DeleteStatus, ListedBackup};
use name::BackupName;
pub use schedule::BackupSchedule;

use crate::{KvError, KvResult, KvStore, names, sync::lock};

/// The folder of a store: without it a crash takes the archive along.
const FOLDER: cairn_io::SyncSite = cairn_io::SyncSite::new("kv.backup-folder");
/// Deleting a backup: without it a crash brings back one that was said to be gone.
const DELETED: cairn_io::SyncSite = cairn_io::SyncSite::new("kv.backup-deleted");

/// Every durability barrier of this crate, by name.
pub const SYNC_SITES: &[cairn_io::SyncSite] = &[FOLDER, DELETED];

/// How a backup is written, and who is told how far it, or a restore, has come.
#[derive(Clone, Copy, Default)]
pub struct BackupOptions<'p> {
    compression: Compression,
    progress: Report<'p>,
    key: Option<&'p KeySource>,
    in_the_clear: bool,
}

impl<'p> BackupOptions<'p> {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How the archive is compressed (default: Zstandard at level 3); [`Compression::None`] is the fastest. A
    /// restore reads either.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Reports progress; what it answers with `Break` ends it, and nothing has changed: see
    /// [`cairn_archive::Report`].
    #[must_use]
    pub const fn progress(mut self, progress: Report<'p>) -> Self {
        self.progress = progress;
        self
    }

    /// The key of an archive that is restored, if it is that of an environment with another one.
    #[must_use]
    pub const fn key(mut self, key: Option<&'p KeySource>) -> Self {
        self.key = key;
        self
    }

    /// Whether what lies encrypted in an archive may come to lie in the clear, in an environment that is not encrypted
    /// (default: it may not).
    #[must_use]
    pub const fn in_the_clear(mut self, allowed: bool) -> Self {
        self.in_the_clear = allowed;
        self
    }
}

impl fmt::Debug for BackupOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compression, progress, key, in_the_clear } = self;
        let (progress, key) = (progress.is_some(), key.is_some());
        write!(
            f,
            "BackupOptions({compression:?}, progress: {progress}, key: {key}, in the clear: {in_the_clear})"
        )
    }
}

impl KvStore {
    /// Backs the store up under a name, while it is used: one archive, as of one commit. It is written beside
    /// one that has the name, synced, read back and checked, and only then takes the name; so until then, and
    /// if it fails or is killed, the old one is there.
    ///
    /// Of an encrypted store the backup is encrypted, and opens with any key that opens the environment.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// use cairn_kv::{KvManager, KvManagerConfig, KvOptions, SecurityLevel};
    ///
    /// let manager = KvManager::open(&path, KvManagerConfig::new())?;
    /// let store = manager.get_store("notes", KvOptions::new(SecurityLevel::S1))?;
    /// store.put("tea", "buy")?;
    /// let backup = store.backup("BK001")?;
    /// assert_eq!(backup.entries, 1);
    /// store.delete("tea")?;
    /// store.restore("BK001")?;
    /// assert_eq!(store.get("tea")?, Some("buy".into()));
    /// assert_eq!(store.delete_backup(["BK001"])?[0].1.code(), 0);
    /// # Ok::<(), cairn_kv::KvError>(())
    /// ```
    ///
    /// # Errors
    /// [`KvError::InvalidBackupName`]: it has 1 to 96 letters, digits, `-`, `_` and `.`, does not begin with a
    /// `.`, and is not `autoBackup`. [`KvError::BackupLimit`] if the store has 5 others, unless
    /// [`Limits::backups`](crate::Limits#structfield.backups) says otherwise; the automatic one does not count.
    /// [`KvError::NotSupported`] if nobody has said where backups lie ([`BackupPlace`]); [`KvError::Closed`];
    /// [`KvError::Archive`].
    pub fn backup(&self, name: &str) -> KvResult<BackupInfo> {
        self.backup_with(name, BackupOptions::new())
    }

    /// As [`KvStore::backup`], with options.
    ///
    /// # Errors
    /// As [`KvStore::backup`]; [`ArchiveError::Cancelled`].
    pub fn backup_with(&self, name: &str, options: BackupOptions<'_>) -> KvResult<BackupInfo> {
        let name = BackupName::of_new(name)?;
        self.write_backup(&name, options)
    }

    /// Makes the automatic backup, in place of the one before. It has the name `autoBackup`, counts for no
    /// limit, and can be restored by name.
    ///
    /// # Errors
    /// [`KvError::NotSupported`] if the store was opened with
    /// [`KvOptions::backup`](crate::KvOptions#structfield.backup) off; else as [`KvStore::backup`].
    pub fn auto_backup(&self) -> KvResult<BackupInfo> {
        if !self.recorded()?.backup {
            let what = "the automatic backup, which the options of the store rule out".into();
            return Err(KvError::NotSupported { what });
        }
        self.write_backup(&BackupName::automatic(), BackupOptions::new())
    }

    /// As [`KvStore::backup`], to an archive anywhere. It counts for no limit.
    ///
    /// # Errors
    /// [`ArchiveError::Exists`]; [`KvError::Closed`]; [`KvError::Archive`].
    pub fn backup_to(
        &self,
        archive: &ArchiveFile,
        options: BackupOptions<'_>,
    ) -> KvResult<BackupInfo> {
        let how = ExportOptions::default();
        self.export(archive, archive.name().as_str(), &self.shared.env.world(), how, options)
    }

    fn write_backup(&self, name: &BackupName, options: BackupOptions<'_>) -> KvResult<BackupInfo> {
        let shared = &self.shared;
        let place = place(&shared.env)?;
        let _alone = lock(&shared.backing_up);
        let folder = place.make(&shared.id, FOLDER)?;
        folder.remove_unfinished()?;
        let names = folder.names()?;
        let is_own = |other: &&(String, Name)| other.0 != name::AUTOMATIC;
        let (count, max) = (names.iter().filter(is_own).count(), shared.limits().backups);
        let is_new = names.iter().all(|(_, file)| file != name.file());
        if !name.is_automatic() && is_new && count >= max {
            return Err(KvError::BackupLimit { max, count });
        }
        let archive = folder.archive(name.file());
        let how = ExportOptions::default().replace(true);
        self.export(&archive, name.as_str(), place.world(), how, options)
    }

    fn export<'p>(
        &self,
        archive: &ArchiveFile,
        name: &str,
        world: &WorldRef,
        how: ExportOptions<'p>,
        options: BackupOptions<'p>,
    ) -> KvResult<BackupInfo> {
        let shared = &self.shared;
        let record = self.recorded()?;
        if !shared.env.options().read_only {
            shared.env.sync()?;
        }
        let snapshot = shared.env.durable_snapshot()?;
        let store = store_info(&shared.id, record.encode());
        let data = names::data(&shared.id);
        let how = how.compression(options.compression).progress(options.progress);
        let report = export(&shared.env, &snapshot, &store, &[&data], archive, world, &how)?;
        Ok(BackupInfo::new(name, &report))
    }

    /// The backups of the store by name, the automatic one among them. Each is read and checked, which takes its
    /// time; what is wrong with one stands in its place. It works on a closed store as well.
    ///
    /// # Errors
    /// If the folder cannot be read, or the environment was closed.
    pub fn backups(&self) -> KvResult<Vec<ListedBackup>> {
        let Some(folder) = place(&self.shared.env)?.find(self.id())? else {
            return Ok(Vec::new());
        };
        let listed = folder.verify_all(&ArchiveKeys::of(&self.shared.env)?)?;
        let listed = listed.into_iter().map(|(name, state)| {
            let state = state.map(|report| BackupInfo::new(&name, &report));
            ListedBackup { name, state: state.map_err(KvError::from) }
        });
        Ok(listed.collect())
    }

    /// Deletes backups; returns what became of each, by name and without duplicates. It works on a closed store
    /// as well.
    ///
    /// # Errors
    /// [`KvError::EmptyBatch`] without names; if the folder cannot be opened.
    pub fn delete_backup<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> KvResult<Vec<(String, DeleteStatus)>> {
        let mut results: BTreeMap<String, DeleteStatus> = BTreeMap::new();
        for name in names {
            results.insert(name.as_ref().into(), DeleteStatus::NotFound);
        }
        if results.is_empty() {
            return Err(KvError::EmptyBatch);
        }
        let _alone = lock(&self.shared.backing_up);
        if let Some(folder) = place(&self.shared.env)?.find(self.id())? {
            let known: BTreeMap<_, _> = folder.names()?.into_iter().collect();
            for (name, status) in &mut results {
                if let Some(file) = known.get(name) {
                    *status = delete(&folder, name, file);
                }
            }
        }
        Ok(results.into_iter().collect())
    }
}

/// Where backups lie.
///
/// # Errors
/// [`KvError::NotSupported`] if nobody has said so.
fn place(env: &Environment) -> KvResult<BackupPlace> {
    BackupPlace::of(env).ok_or_else(|| {
        let what = "a backup where nobody has said where it is to lie: see BackupPlace".into();
        KvError::NotSupported { what }
    })
}

fn delete(folder: &BackupFolder, name: &str, file: &Name) -> DeleteStatus {
    if name == name::AUTOMATIC {
        return DeleteStatus::Refused;
    }
    match folder.delete(file, DELETED) {
        Ok(()) => DeleteStatus::Deleted,
        Err(error) if error.is_not_found() => DeleteStatus::NotFound,
        Err(error) => DeleteStatus::Failed(KvError::Archive(ArchiveError::Io(error))),
    }
}

/// What archives say of the store that they are of.
fn store_info(id: &str, record: Vec<u8>) -> StoreInfo {
    let kind = StoreKind::KEY_VALUE;
    StoreInfo { kind, name: id.into(), options: record, ..StoreInfo::databases() }
}
