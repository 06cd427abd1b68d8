//! `backup`: a set of frozen files, copied, verified on the way and once more, published last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

use cairn_env::{BackupFile, Environment, Snapshot};
use cairn_io::{Dir, DirExt, DirRef, IoResult, RealDir, RealWorld, SyncSite, WorldRef};

use crate::{
    BackupError, BackupResult, Manifest, Pace, Progress,
    copy::{Copied, copy},
    crew::{self, Job},
    keyring::{self, KEYRING},
    manifest::{FILES, MANIFEST, MANIFEST_NEW},
    pace::Others,
    piece::is_stored_name,
    previous::{Previous, Taken},
    progress::{Counter, Report},
    tell,
    verify::{not_there, read_stored},
};

/// A copied or linked file, before the manifest names it.
pub(crate) const COPY: SyncSite = SyncSite::new("backup.file");
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
    /// they are made in any case; files of an earlier backup are then taken over if beginning, length
    /// and seal are right.
    pub skip_read_back: bool,
    /// An earlier backup of the same environment. Files that have not changed since, and the beginning of a
    /// journal file that has grown, are taken over from it as hard links, where the file system has them: the
    /// new backup writes what is new to the log, at most 256 KiB of it again, and a manifest of some 120 bytes
    /// for each file; and it is complete all the same. The earlier one may be removed. But as long as both are there, they
    /// share the bytes of these files, so damage to one is damage to both: what must survive a bad
    /// block needs a backup without this option, on another disk.
    ///
    /// What is taken over is read and compared like a copy, unless
    /// [`skip_read_back`](Self#structfield.skip_read_back) says otherwise.
    pub since: Option<&'a Path>,
    /// As [`since`](Self#structfield.since), for [`backup_to`] in any directory.
    pub since_in: Option<&'a DirRef>,
    /// Called from time to time.
    pub progress: Report<'a>,
    /// How fast it goes, and whether it goes on.
    pub pace: Pace<'a>,
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

    /// Takes unchanged files over: see [`BackupOptions::since`](BackupOptions#structfield.since).
    #[must_use]
    pub fn since(mut self, previous: &'a Path) -> Self {
        self.since = Some(previous);
        self
    }

    /// As [`since`](Self::since), for [`backup_to`] in any directory.
    #[must_use]
    pub fn since_in(mut self, previous: &'a DirRef) -> Self {
        self.since_in = Some(previous);
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Sets [`BackupOptions::pace`](BackupOptions#structfield.pace).
    #[must_use]
    pub fn pace(mut self, pace: Pace<'a>) -> Self {
        self.pace = pace;
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
        let Self { skip_read_back, since, pace, .. } = self;
        write!(f, "BackupOptions(skip_read_back: {skip_read_back}, since: {since:?}, {pace:?})")
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
    /// How many of the files were taken over from the backup before, as links, and nothing was added.
    pub linked_files: u64,
    /// Bytes that were taken over and not written again: those of these files, and beginnings of others.
    pub linked_bytes: u64,
    /// What was found to be wrong with files of the backup before that would have been taken over. They
    /// were copied from the environment instead, so this backup is whole; that one is not.
    pub previous_damaged: Vec<String>,
}

impl BackupReport {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            commit: manifest.cut.commit,
            time: manifest.cut.time,
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            linked_files: 0,
            linked_bytes: 0,
            previous_damaged: Vec::new(),
        }
    }
}

/// Backs `env` up into the directory `target`, which must be missing or empty (or hold an unfinished
/// backup, which starts over). Writers, checkpoints and snapshots go on meanwhile; the backup is the
/// state at one commit of all databases.
///
/// Of an encrypted environment the files are copied as they are, encrypted, together with the keyring. That is
/// unlocked with the key with which the environment was opened, and then decrypts a record of each key epoch: what no restore could read is no
/// backup. So after a key was rotated, a program opens the environment with the new one before it backs it up.
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
    options.pace.check()?;
    let previous = open_previous(env, options)?;
    let files_dir = prepare(target)?;
    let set = env.begin_backup()?;
    let keys = keyring::unlock_own(&set, env)?;
    if let (Some(at_cut), Some(snapshot)) = (options.at_cut, set.snapshot()) {
        at_cut(snapshot);
    }
    let total: u64 = set.files().iter().map(|file| file.length).sum();
    let to = || tell::display(target.path().display());
    tell::backup_begun(to(), set.cut().commit, set.files().len() as u64, total);
    let read_back = !options.skip_read_back;
    let to_read = if read_back { 2 * total } else { total };
    let counter = Counter::paced(to_read, options.progress, &options.pace, world)?;

    let (mut files, mut kept, mut previous_damaged) = (Vec::new(), BTreeMap::new(), Vec::new());
    if let Some(previous) = previous {
        for file in set.files() {
            match previous.take_over(file, &*files_dir, read_back, &counter)? {
                Taken::Linked(taken) => {
                    files.push(taken);
                    set.release(file);
                }
                Taken::Begun(pieces) => drop(kept.insert(file.name, pieces)),
                Taken::No => {}
                Taken::Damaged(error) => previous_damaged.push(error.to_string()),
            }
        }
    }
    let linked: u64 = files.iter().map(|file| file.length).sum();
    let begun: u64 = kept.values().flatten().map(|piece| piece.length).sum();
    let (free, needed) = (target.space()?.free, total - linked - begun);
    if free < needed {
        return Err(BackupError::NoSpace { path: target.path().to_owned(), free, needed });
    }
    if read_back {
        counter.skip(linked + begun)?; // as read as it will be
    }
    let mut written = Vec::new();
    let names: BTreeSet<_> = files.iter().map(|file| file.name).collect();
    let mut linked_files = files.len() as u64;
    let missing: Vec<_> = set.files().iter().filter(|file| !names.contains(&file.name)).collect();
    let copies = missing.iter().map(|file| -> Job<Copied> {
        let kept = kept.remove(&file.name).unwrap_or_default();
        let (file, to) = (BackupFile::clone(file), DirRef::clone(&files_dir));
        Box::new(move |counter: &Counter<'_>| copy(&file, &kept, &*to, counter))
    });
    crew::run(
        world,
        options.pace.crew(Others::Users),
        copies.collect(),
        &counter,
        |place, copied| {
            files.push(copied.file);
            linked_files += u64::from(copied.written.is_none());
            written.extend(copied.written);
            set.release(missing[place]);
            Ok(())
        },
    )?;
    let keyring = set.keyring().map(|bytes| keyring::copy(bytes, &*files_dir)).transpose()?;
    let cut = set.cut().clone();
    drop(set);
    if read_back {
        let reads = written.iter().cloned().map(|stored| -> Job<()> {
            let from = DirRef::clone(&files_dir);
            Box::new(move |counter: &Counter<'_>| {
                read_stored(&*from, &stored, counter, |_, _| Ok(()))
            })
        });
        crew::run(world, options.pace.crew(Others::Users), reads.collect(), &counter, |_, ()| {
            Ok(())
        })?;
    }
    files.sort_by_key(|file| file.name.number);
    let library = env!("CARGO_PKG_VERSION").into();
    let manifest = Manifest { cut, created: world.wall().0, library, keyring, files };
    if read_back {
        keyring::read(&*files_dir, &manifest)?;
    }
    if let Some(keys) = keys {
        keyring::try_files(&*files_dir, &manifest, &keys)?;
    }
    finish(target, &*files_dir, &manifest)?;
    counter.end();
    tell::backed_up(to(), manifest.cut.commit, manifest.files.len() as u64, total);
    let linked_bytes = total - written.iter().map(|stored| stored.piece.length).sum::<u64>();
    Ok(BackupReport { linked_files, linked_bytes, previous_damaged, ..BackupReport::of(&manifest) })
}

fn open_previous(env: &Environment, options: &BackupOptions<'_>) -> BackupResult<Option<Previous>> {
    let opened;
    let dir = match (options.since_in, options.since) {
        (Some(dir), _) => dir,
        (None, Some(path)) => {
            opened = RealDir::open(path).map_err(|error| not_there(path, error))?;
            &opened
        }
        (None, None) => return Ok(None),
    };
    Previous::open(dir, env.identity().environment).map(Some)
}

/// Makes the names of the files durable, and then, by its manifest, the backup exist.
pub(crate) fn finish(
    target: &DirRef,
    files_dir: &dyn Dir,
    manifest: &Manifest,
) -> BackupResult<()> {
    files_dir.sync(NAMES)?;
    target.sync(ROOT)?;
    let text = manifest.encode();
    Ok(target.replace_small(&MANIFEST, &MANIFEST_NEW, text.as_bytes(), PUBLISH)?)
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
        match entry.name.filter(|name| is_stored_name(name) || *name == KEYRING) {
            Some(name) => files.remove(&name)?,
            None => return Err(BackupError::TargetNotEmpty { path: files.path().to_owned() }),
        }
    }
    Ok(files)
}
