//! The journal past a backup: from a later backup, an environment or a replica, for a restore to a moment.

use std::collections::BTreeSet;

use cairn_env::{EnvError, JournalSource, Keyring, RestoreBase, RestorePlan, UnlockedKeyring};
use cairn_io::{Dir, DirRef, RealDir, WorldRef};
use cairn_log::{DataKeys, FileClass, FileNumber, LogError, LogFile};

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile, RestoreOptions, joined::Joined, keyring,
    manifest::FILES, read_only::ReadOnly,
};

/// What a restore to a moment needs beside the backup.
pub(crate) struct History {
    pub(crate) plan: RestorePlan,
    /// The keyring of what is restored, if that is not the backup's: it has more key epochs.
    pub(crate) keyring: Option<Vec<u8>>,
    /// The keys of all files.
    pub(crate) keys: Option<DataKeys>,
}

impl History {
    /// Finds the moment that `options` mean, in the backup whose files lie in `files` and in the journal that
    /// they name. Nothing is written.
    pub(crate) fn find(
        files: &DirRef,
        manifest: &Manifest,
        keys: Option<&UnlockedKeyring>,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Self> {
        let source = open_journal(world, options)?;
        let own = keys.map(UnlockedKeyring::data_keys).or(options.options.encryption.clone());
        let from = manifest.cut.journal_end.map_or(FileNumber::FIRST, |end| end.file);
        let epochs = source.as_ref().map(|source| source.epochs_from(from)).unwrap_or_default();
        let has_all = |keys: &DataKeys, epochs: &BTreeSet<u32>| {
            epochs.iter().all(|epoch| keys.get(*epoch).is_some())
        };
        let mut history_keys = (own, None);
        if let (Some(own), Some(source)) = (&history_keys.0, &source)
            && !has_all(own, &epochs)
            && let (Some(bytes), Some(key)) = (source.keyring(), &options.options.key)
        {
            let keyring = Keyring::decode(bytes, std::path::Path::new("KEYRING"))?;
            let keys = keyring.unlock(key)?.data_keys();
            let in_backup = epochs_of(&**files, manifest)?;
            if !has_all(&keys, &in_backup) {
                let what =
                    "the environment has begun a key epoch since the backup, and has forgotten \
                            one that the backup needs: a newer backup is needed"
                        .into();
                return Err(EnvError::InvalidInput { what }.into());
            }
            history_keys = (Some(keys), Some(bytes.to_vec()));
        }
        let (keys, keyring) = history_keys;
        let looked_into = manifest.files.iter().filter(|file| {
            file.name.class == FileClass::Journal
                || Some(file.name.number) == RestoreBase::checkpoint_file(&manifest.cut)
        });
        let opened = looked_into.map(|file| Ok((open(&**files, file)?, file.length)));
        let opened = opened.collect::<BackupResult<Vec<_>>>()?;
        let path = files.path().parent().unwrap_or(files.path());
        let base = RestoreBase::new(path, manifest.cut.clone(), opened, keys.clone())?;
        Ok(Self { plan: base.plan(source, &options.to)?, keyring, keys })
    }
}

fn failed(error: LogError) -> BackupError {
    EnvError::from(error).into()
}

/// A log file of a backup.
fn open(files: &dyn Dir, file: &ManifestFile) -> BackupResult<LogFile> {
    LogFile::open_any(ReadOnly::file(Joined::open(files, file)?)).map_err(failed)
}

/// The key epochs of all files of a backup.
fn epochs_of(files: &dyn Dir, manifest: &Manifest) -> BackupResult<BTreeSet<u32>> {
    let epoch = |file| -> BackupResult<_> {
        Ok(open(files, file)?.header().encryption.map(|encryption| encryption.epoch))
    };
    let epochs = manifest.files.iter().map(epoch);
    Ok(epochs.collect::<BackupResult<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The journal that `options` name, of an environment, a replica, or a later backup.
fn open_journal(
    world: &WorldRef,
    options: &RestoreOptions<'_>,
) -> BackupResult<Option<JournalSource>> {
    let dir = match (options.journal_in, options.journal) {
        (Some(dir), _) => DirRef::clone(dir),
        (None, Some(path)) => RealDir::open(path).map_err(|error| {
            if error.is_not_found() {
                let (path, why) = (path.to_owned(), "there is no such directory".into());
                EnvError::NotAnEnvironment { path, why }.into()
            } else {
                BackupError::from(error)
            }
        })?,
        (None, None) => return Ok(None),
    };
    let manifest = match Manifest::read(&*dir) {
        Err(BackupError::NoManifest { .. }) => {
            return Ok(Some(JournalSource::open(dir, world)?));
        }
        read => read?,
    };
    let files = dir.open_dir(&FILES)?;
    let journal = manifest.files.iter().filter(|file| file.name.class == FileClass::Journal);
    let journal = journal.map(|file| Ok((open(&*files, file)?, file.length)));
    let journal = journal.collect::<BackupResult<Vec<_>>>()?;
    let keyring = keyring::read(&*files, &manifest)?;
    let environment = manifest.cut.environment;
    Ok(Some(JournalSource::of_backup(dir.path(), environment, journal, keyring)))
}
