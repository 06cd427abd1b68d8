//! `backup`: a set of frozen files, copied, verified on the way and once more, published last.

use std::{fmt, path::Path, sync::Arc};

use cairn_env::{BackupFile, Environment, Snapshot};
use cairn_io::{Dir, DirExt, DirRef, FileExt, IoResult, RealDir, RealWorld, SyncSite, WorldRef};

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile, Progress,
    manifest::{FILES, MANIFEST, MANIFEST_NEW},
    progress::{Counter, Report},
    verify::verify_files,
};

/// A copied file, before the manifest names it.
const COPY: SyncSite = SyncSite::new("backup.file");
/// The names of the copied files.
const NAMES: SyncSite = SyncSite::new("backup.names");
/// The name of the directory that holds them.
const ROOT: SyncSite = SyncSite::new("backup.root");
/// The manifest and its name: from here on the backup exists.
const PUBLISH: SyncSite = SyncSite::new("backup.manifest");

/// Every durability barrier of this crate, by name.
pub const SYNC_SITES: &[SyncSite] = &[COPY, NAMES, ROOT, PUBLISH];

/// How a backup is made.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct BackupOptions<'a> {
    /// Whether the copies are not read again before the backup is published. They are verified while
    /// they are made in any case.
    pub skip_read_back: bool,
    /// Called from time to time.
    pub progress: Report<'a>,
    /// Called once, before the first file is copied, with the state that the backup is going to hold:
    /// a snapshot of the running environment at the very commit of the cut. A digest taken from it is
    /// what a restored environment must give.
    pub at_cut: Option<&'a (dyn Fn(Snapshot) + Send + Sync)>,
}

impl<'a> BackupOptions<'a> {
    /// Leaves the second reading out.
    #[must_use]
    pub fn skip_read_back(mut self, skip: bool) -> Self {
        self.skip_read_back = skip;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Sets [`BackupOptions::at_cut`](BackupOptions#structfield.at_cut).
    #[must_use]
    pub fn at_cut(mut self, at_cut: &'a (dyn Fn(Snapshot) + Send + Sync)) -> Self {
        self.at_cut = Some(at_cut);
        self
    }
}

impl fmt::Debug for BackupOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupOptions(skip_read_back: {})", self.skip_read_back)
    }
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The last commit in it.
    pub commit: u64,
    /// The time of that commit, in microseconds since 1970.
    pub time: u64,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Backs `env` up into the directory `target`, which must be missing or empty (or hold an unfinished
/// backup, which starts over). Writers, checkpoints and snapshots go on meanwhile; the backup is the
/// state at one commit of all databases.
///
/// # Errors
/// [`BackupError::TargetNotEmpty`]; errors of the kind `Corrupt` if the environment itself is damaged:
/// then nothing is published. Whatever goes wrong, `target` is no backup before its manifest is there.
pub fn backup(
    env: &Environment,
    target: impl AsRef<Path>,
    options: &BackupOptions<'_>,
) -> BackupResult<BackupReport> {
    let target = target.as_ref();
    let dir = open_or_create(target)?;
    backup_to(env, &dir, &(Arc::new(RealWorld::new()) as WorldRef), options)
}

/// As [`backup`], into any directory.
///
/// # Errors
/// As [`backup`].
pub fn backup_to(
    env: &Environment,
    target: &DirRef,
    world: &WorldRef,
    options: &BackupOptions<'_>,
) -> BackupResult<BackupReport> {
    let files_dir = prepare(target)?;
    let set = env.begin_backup()?;
    if let Some(at_cut) = options.at_cut {
        at_cut(set.snapshot());
    }
    let total: u64 = set.files().iter().map(|file| file.length).sum();
    let passes = if options.skip_read_back { 1 } else { 2 };
    let free = target.space()?.free;
    if free < total {
        return Err(BackupError::NoSpace { path: target.path().to_owned(), free, needed: total });
    }
    let mut counter = Counter::new(passes * total, options.progress);
    let mut files = Vec::new();
    for file in set.files() {
        files.push(copy(file, &*files_dir, &mut counter)?);
        set.release(file);
    }
    files_dir.sync(NAMES)?;
    target.sync(ROOT)?;
    let manifest = Manifest {
        cut: set.cut().clone(),
        created: world.wall().0,
        library: env!("CARGO_PKG_VERSION").into(),
        files,
    };
    drop(set);
    if !options.skip_read_back
        && let Some(error) = verify_files(&*files_dir, &manifest, &mut counter).into_iter().next()
    {
        return Err(error);
    }
    target.replace_small(&MANIFEST, &MANIFEST_NEW, manifest.encode().as_bytes(), PUBLISH)?;
    Ok(BackupReport {
        commit: manifest.cut.commit,
        time: manifest.cut.time,
        files: manifest.files.len() as u64,
        bytes: total,
    })
}

pub(crate) fn open_or_create(path: &Path) -> IoResult<DirRef> {
    match RealDir::open(path) {
        Err(error) if error.is_not_found() => RealDir::create(path),
        opened => opened,
    }
}

/// Makes sure that the target is empty, whatever an unfinished backup has left in it.
fn prepare(target: &DirRef) -> BackupResult<DirRef> {
    let mut has_files = false;
    for entry in target.list()? {
        match entry.name {
            Some(name) if name == FILES => has_files = true,
            Some(name) if name == MANIFEST_NEW => target.remove(&name)?,
            _ if entry.display == "lost+found" => {}
            _ => return Err(BackupError::TargetNotEmpty { path: target.path().to_owned() }),
        }
    }
    if !has_files {
        return Ok(target.create_dir(&FILES)?);
    }
    let files = target.open_dir(&FILES)?;
    for entry in files.list()? {
        // Only what a backup can have written is removed.
        match entry.name.filter(|name| name.as_str().parse::<cairn_log::LogName>().is_ok()) {
            Some(name) => files.remove(&name)?,
            None => return Err(BackupError::TargetNotEmpty { path: files.path().to_owned() }),
        }
    }
    Ok(files)
}

fn copy(file: &BackupFile, to: &dyn Dir, counter: &mut Counter<'_>) -> BackupResult<ManifestFile> {
    let copy = to.create(&file.name.to_name())?;
    let digest = file.copy(|at, piece| -> BackupResult<()> {
        copy.write_all_at(at, piece)?;
        counter.add(piece.len() as u64);
        Ok(())
    })?;
    copy.sync(COPY)?;
    let BackupFile { name, directory, length, .. } = *file;
    Ok(ManifestFile { name, directory, length, digest })
}
