//! `restore`: a backup becomes an environment, and only after everything in it was proved.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use cairn_env::{
    EnvError, Forgotten, KeptGeneration, Options, RecoveryReport, RestoreTarget, UnlockedKeyring,
    data_directory_space, forget_old_generation,
};
use cairn_io::{DirRef, FileExt, RealDir, RealWorld, SyncSite, WorldRef};
use cairn_log::Timeline;

use crate::{
    BackupError, BackupResult, Manifest, Progress,
    backup::open_or_create,
    keyring,
    manifest::FILES,
    progress::{Counter, Report},
    verify::{not_there, open_stored, read_file},
};

/// A restored file, before the environment refers to it.
const RESTORE: SyncSite = SyncSite::new("restore.file");

/// How a restore is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions<'a> {
    /// With which options the restored files are opened to prove them; among them the key of an encrypted
    /// backup.
    pub options: Options,
    /// Whether the target may be an environment. What it holds is then kept beside what is restored
    /// until [`forget_old`] is called, and [`undo_restore`] goes back to it. A restore in
    /// place that fails or is killed leaves the environment as it was.
    ///
    /// With data directories, all of that happens in each of them, and one rename switches them all. The
    /// environment then has as many as the backup: more are made (or used, if they are there), and those
    /// that are too many hold only what is kept.
    pub in_place: bool,
    /// Whether a restore in place may put another environment in place of the one that is there.
    pub other_environment: bool,
    /// Called from time to time.
    pub progress: Report<'a>,
}

impl<'a> RestoreOptions<'a> {
    /// Restores in place: see [`RestoreOptions::in_place`](RestoreOptions#structfield.in_place).
    #[must_use]
    pub fn in_place(mut self, in_place: bool) -> Self {
        self.in_place = in_place;
        self
    }

    /// Sets [`RestoreOptions::other_environment`](RestoreOptions#structfield.other_environment).
    #[must_use]
    pub fn other_environment(mut self, allowed: bool) -> Self {
        self.other_environment = allowed;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// With which options the restored files are opened to prove them.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }
}

impl fmt::Debug for RestoreOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a restore has brought back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The last commit.
    pub commit: u64,
    /// Its time, in microseconds since 1970.
    pub time: u64,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries of all databases, each of which was read.
    pub entries: u64,
    /// The timeline on which the restored environment goes on.
    pub timeline: Timeline,
    /// What opening the restored files found.
    pub recovery: RecoveryReport,
    /// The generation that counted before and is kept, if the restore was in place.
    pub kept: Option<u32>,
}

/// Restores the backup in the directory `backup` into the directory `target`, which must be missing
/// or empty (or hold an unfinished restore, which starts over).
///
/// Until the end, `target` does not open as an environment, and says how to go on. Before the end,
/// every file was compared with the manifest, the journal was replayed, and all trees and values were
/// read.
///
/// # Errors
/// Errors of the kind `Corrupt` name the file of the backup that is damaged or missing;
/// [`EnvError::WrongKey`] and [`EnvError::KeyRequired`] if the backup is encrypted and
/// [`options`](RestoreOptions#structfield.options) have another key or none: then nothing was written. Any
/// other error leaves the backup as it is, and `target` as an unfinished restore.
pub fn restore(
    backup: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &RestoreOptions<'_>,
) -> BackupResult<RestoreReport> {
    let (backup, target) = (backup.as_ref(), target.as_ref());
    let from = RealDir::open(backup).map_err(|error| not_there(backup, error))?;
    // Nothing is created for a backup that cannot be read.
    let source = Source::preflight(from, options)?;
    let to = open_or_create(target)?;
    source.restore(&to, &(Arc::new(RealWorld::new()) as WorldRef), options)
}

/// As [`restore`], from and to any directories.
///
/// # Errors
/// As [`restore`].
pub fn restore_from(
    backup: &DirRef,
    target: &DirRef,
    world: &WorldRef,
    options: &RestoreOptions<'_>,
) -> BackupResult<RestoreReport> {
    Source::preflight(DirRef::clone(backup), options)?.restore(target, world, options)
}

/// A backup that was looked over: it is complete, and its key is at hand.
struct Source {
    backup: DirRef,
    files: DirRef,
    manifest: Manifest,
    keys: Option<(Vec<u8>, UnlockedKeyring)>,
}

impl Source {
    /// Looks for missing files, wrong lengths and a wrong key before anything is written.
    fn preflight(backup: DirRef, options: &RestoreOptions<'_>) -> BackupResult<Self> {
        let manifest = Manifest::read(&*backup)?;
        let files = backup.open_dir(&FILES)?;
        for stored in manifest.files.iter().flat_map(|file| file.stored()) {
            open_stored(&*files, &stored)?;
        }
        let key = options.options.key.as_ref();
        let keys = keyring::unlock(&*files, &manifest, key)?;
        if let Some((_, keys)) = &keys {
            keyring::try_files(&*files, &manifest, keys)?;
        }
        Ok(Self { backup, files, manifest, keys })
    }

    fn restore(
        self,
        target: &DirRef,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<RestoreReport> {
        let Self { backup, files, manifest, keys } = self;
        check_space(target, &manifest)?;
        let how = format!(
            "This directory is being filled from the backup {}.\n\
             If that is not going on any more, run `cairn restore` with this backup and this directory\n\
             again, which starts over; or remove the directory.\n",
            backup.path().display()
        );
        let (root, world) = (Arc::clone(target), Arc::clone(world));
        let keyring = keys.as_ref().map(|(bytes, _)| &**bytes);
        let (cut, foreign) = (manifest.cut.clone(), options.other_environment);
        let staging = match options.in_place {
            true => RestoreTarget::begin_in_place(root, world, cut, &how, keyring, foreign)?,
            false => RestoreTarget::begin(root, world, cut, &how, keyring)?,
        };
        let mut counter = Counter::new(manifest.bytes(), options.progress);
        for file in &manifest.files {
            let copy = staging.create(file.name, file.directory)?;
            read_file(&*files, file, &mut counter, |at, piece| Ok(copy.write_all_at(at, piece)?))?;
            copy.sync(RESTORE)?;
        }
        let mut proving = options.options.clone();
        if let Some((_, keys)) = &keys {
            proving = proving.encryption(keys.data_keys());
        }
        let restored = staging.finish(proving)?;
        Ok(RestoreReport {
            commit: manifest.cut.commit,
            time: manifest.cut.time,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            entries: restored.entries,
            timeline: restored.timeline,
            recovery: restored.recovery,
            kept: restored.kept,
        })
    }
}

/// An error if the files do not fit where they are to go. Data directories that are there already may be
/// disks of their own.
fn check_space(target: &DirRef, manifest: &Manifest) -> BackupResult<()> {
    let check = |path: &Path, free: u64, needed: u64| match free < needed {
        true => Err(BackupError::NoSpace { path: path.to_owned(), free, needed }),
        false => Ok(()),
    };
    let mut needed = BTreeMap::<u16, u64>::new();
    for file in &manifest.files {
        *needed.entry(file.directory).or_default() += file.length;
    }
    let mut in_root = 0;
    for (directory, bytes) in needed {
        match data_directory_space(target, directory)? {
            Some(space) => {
                let path = target.path().join(format!("data{directory:03}"));
                check(&path, space.free, bytes)?;
            }
            None => in_root += bytes,
        }
    }
    check(target.path(), target.space()?.free, in_root)
}

/// Goes back to what an environment held before it was restored in place. What was restored is kept in
/// its turn: the same call goes forward again.
///
/// # Errors
/// If nothing is kept, somebody has the environment open, or the disk fails.
pub fn undo_restore(target: impl AsRef<Path>) -> BackupResult<KeptGeneration> {
    Ok(cairn_env::undo_restore(existing(target.as_ref())?)?)
}

/// Removes what an environment held before it was restored in place, after it was opened once more as
/// it is now. Nothing happens if nothing is kept.
///
/// # Errors
/// If the environment does not open, somebody has it open, or the disk fails.
pub fn forget_old(target: impl AsRef<Path>, options: Options) -> BackupResult<Forgotten> {
    let world = Arc::new(RealWorld::new()) as WorldRef;
    Ok(forget_old_generation(existing(target.as_ref())?, &world, options)?)
}

fn existing(path: &Path) -> BackupResult<DirRef> {
    RealDir::open(path).map_err(|error| {
        if error.is_not_found() {
            let why = "there is no such directory".into();
            EnvError::NotAnEnvironment { path: path.to_owned(), why }.into()
        } else {
            error.into()
        }
    })
}
