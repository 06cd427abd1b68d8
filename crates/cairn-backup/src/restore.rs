//! `restore`: a backup becomes an environment, and only after everything in it was proved.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

use cairn_env::{
    Cut, EnvError, Environment, Forgotten, KeptGeneration, Options, PlannedFile, RecoveryReport,
    RestoreTarget, RestoreTo, UnlockedKeyring, data_directory_space, files_to_take,
    forget_old_generation,
};
use cairn_io::{DirRef, MemDisk, RealDir, RealWorld, WorldRef};
use cairn_log::{LogName, Timeline};

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile, Pace, Progress,
    backup::open_or_create,
    bring::{Bring, bring_journal, copy_journal},
    crew,
    history::History,
    joined::Joined,
    keyring,
    manifest::FILES,
    pace::Others,
    progress::{Counter, Report},
    read_only::ReadOnly,
    tell,
    verify::{not_there, open_stored, read_file},
};

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
    /// The moment to restore. With a commit, a label or a time, everything from the checkpoint of the backup
    /// on can be restored that its journal and [`journal`](Self#structfield.journal) hold, and what comes after it
    /// is not there. [`RestoreTo::Newest`] without a journal is all of the backup.
    ///
    /// A time behind the last commit is refused, unless the journal is that of the environment itself: nobody
    /// else knows that there was no later one.
    pub to: RestoreTo,
    /// Where the journal past the backup is: the directory of the environment, open or not, whether it would open
    /// or not; or its replica; or a later backup. The journal is followed file by file, each of which must be the
    /// one that goes on from the one before. If one is missing before the moment, the restore is refused.
    ///
    /// Of an environment that is open, the journal goes as far as the files say that it is durable: the last
    /// commits may be missing while others follow.
    pub journal: Option<&'a Path>,
    /// As [`journal`](Self#structfield.journal), for [`restore_from`] in any directory.
    pub journal_in: Option<&'a DirRef>,
    /// Whether a restore in place takes over the files that the environment has and the backup has as well: each is read,
    /// and is the same if its hash is, whatever its length and times are. Where the file system can, they are linked, so
    /// that what is kept and what is restored share their bytes: damage to one is then damage to both.
    pub delta: bool,
    /// Called from time to time.
    pub progress: Report<'a>,
    /// How fast it goes, and whether it goes on.
    pub pace: Pace<'a>,
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

    /// Sets [`RestoreOptions::to`](RestoreOptions#structfield.to).
    #[must_use]
    pub fn to(mut self, to: RestoreTo) -> Self {
        self.to = to;
        self
    }

    /// Sets [`RestoreOptions::journal`](RestoreOptions#structfield.journal).
    #[must_use]
    pub fn journal(mut self, directory: &'a Path) -> Self {
        self.journal = Some(directory);
        self
    }

    /// Sets [`RestoreOptions::journal_in`](RestoreOptions#structfield.journal_in).
    #[must_use]
    pub fn journal_in(mut self, directory: &'a DirRef) -> Self {
        self.journal_in = Some(directory);
        self
    }

    /// Sets [`RestoreOptions::delta`](RestoreOptions#structfield.delta).
    #[must_use]
    pub fn delta(mut self, delta: bool) -> Self {
        self.delta = delta;
        self
    }

    /// Sets [`RestoreOptions::pace`](RestoreOptions#structfield.pace).
    #[must_use]
    pub fn pace(mut self, pace: Pace<'a>) -> Self {
        self.pace = pace;
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
    /// How many of these files were there already: an attempt that was cut short had brought them, or the
    /// environment had them ([`RestoreOptions::delta`](RestoreOptions#structfield.delta)).
    pub taken_files: u64,
    /// Their bytes.
    pub taken_bytes: u64,
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
/// or empty. It may also hold a restore that was cut short: files that this has brought, and that are what they should
/// be by their hashes, are not brought again.
///
/// With [`RestoreOptions::to`](RestoreOptions#structfield.to) that is the environment as it was at a moment, which the
/// journal past the backup leads to:
///
/// ```
/// use cairn_backup::{BackupOptions, RestoreOptions, RestoreTo, backup, restore};
/// use cairn_env::{DatabaseOptions, Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (live, saved, back) = (dir.path().join("live"), dir.path().join("saved"), dir.path().join("back"));
/// let (env, _) = Environment::open(&live, Options::default())?;
/// let db = env.database("db", DatabaseOptions::default())?;
/// backup(&env, &saved, &BackupOptions::default())?;
/// env.write(|txn| txn.put(&db, b"schema", b"1"))?;
/// env.mark("before-migration")?;
/// env.write(|txn| txn.put(&db, b"schema", b"2"))?;
/// env.close()?;
///
/// let to = RestoreTo::Label("before-migration".into());
/// restore(&saved, &back, &RestoreOptions::default().to(to).journal(&live))?;
/// let (env, _) = Environment::open(&back, Options::default())?;
/// let db = env.find_database("db")?.unwrap();
/// assert_eq!(env.snapshot()?.get(&db, b"schema")?.unwrap(), b"1");
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
///
/// Until the end, `target` does not open as an environment, and says how to go on. Before the end,
/// every file was compared with the manifest, the journal was replayed, and all trees and values were
/// read.
///
/// # Errors
/// Errors of the kind `Corrupt` name the file of the backup that is damaged or missing;
/// [`EnvError::WrongKey`] and [`EnvError::KeyRequired`] if the backup is encrypted and
/// [`options`](RestoreOptions#structfield.options) have another key or none; [`EnvError::OutOfReach`],
/// [`EnvError::JournalGap`] and [`EnvError::OtherHistory`] if the moment cannot be reached: then nothing was written. Any
/// other error leaves the backup as it is, and `target` as an unfinished restore.
pub fn restore(
    backup: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &RestoreOptions<'_>,
) -> BackupResult<RestoreReport> {
    let (backup, target) = (backup.as_ref(), target.as_ref());
    let from = RealDir::open(backup).map_err(|error| not_there(backup, error))?;
    // Nothing is created for a backup that cannot be read.
    let world = Arc::new(RealWorld::new()) as WorldRef;
    let source = Source::preflight(from, &world, options)?;
    let to = open_or_create(target)?;
    source.restore(&to, &world, options)
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
    Source::preflight(DirRef::clone(backup), world, options)?.restore(target, world, options)
}

/// A backup that was looked over: it is complete, its key is at hand, and the moment is in reach.
pub(crate) struct Source {
    backup: DirRef,
    files: DirRef,
    manifest: Manifest,
    keys: Option<(Vec<u8>, UnlockedKeyring)>,
    /// Of a restore to a moment.
    history: Option<History>,
}

impl Source {
    /// Looks for missing files, wrong lengths, a wrong key and the moment before anything is written.
    pub(crate) fn preflight(
        backup: DirRef,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Self> {
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
        let has_journal = options.journal.is_some() || options.journal_in.is_some();
        let history = match &options.to {
            RestoreTo::Newest if !has_journal => None,
            _ => {
                let keys = keys.as_ref().map(|(_, keys)| keys);
                Some(History::find(&files, &manifest, keys, world, options)?)
            }
        };
        Ok(Self { backup, files, manifest, keys, history })
    }

    /// The files of the backup that are restored, with the length to which they are.
    fn files(&self) -> Vec<(&ManifestFile, u64)> {
        let Some(History { plan, .. }) = &self.history else {
            return self.manifest.files.iter().map(|file| (file, file.length)).collect();
        };
        let files = self.manifest.files.iter().filter_map(|file| {
            let planned = plan.journal().iter().find(|planned| planned.name == file.name);
            match planned {
                Some(planned) if planned.is_of_base => Some((file, planned.length)),
                _ => plan.takes(file.name).then_some((file, file.length)),
            }
        });
        files.collect()
    }

    /// What is restored.
    fn cut(&self) -> &Cut {
        self.history.as_ref().map_or(&self.manifest.cut, |history| history.plan.cut())
    }

    /// The keyring of an encrypted environment.
    fn keyring(&self) -> Option<&[u8]> {
        let other = self.history.as_ref().and_then(|history| history.keyring.as_deref());
        other.or(self.keys.as_ref().map(|(bytes, _)| &**bytes))
    }

    /// Options with the keys of an encrypted environment.
    fn unlock(&self, options: &Options) -> Options {
        let keys = self.history.as_ref().and_then(|history| history.keys.clone());
        match keys.or(self.keys.as_ref().map(|(_, keys)| keys.data_keys())) {
            Some(keys) => options.clone().encryption(keys),
            None => options.clone(),
        }
    }

    /// The journal files that come from elsewhere.
    fn journal(&self) -> impl Iterator<Item = &PlannedFile> {
        let planned = self.history.iter().flat_map(|history| history.plan.journal());
        planned.filter(|planned| !planned.is_of_base)
    }

    /// Reads all of its files, and compares each with its hash.
    pub(crate) fn read_all(&self, counter: &Counter<'_>) -> BackupResult<()> {
        let mut files = self.manifest.files.iter();
        files.try_for_each(|file| read_file(&*self.files, file, counter, |_, _| Ok(())))
    }

    /// Opens it where it lies, as it would be after it was restored. Journal files that come from elsewhere, and may
    /// go, are copied into memory.
    pub(crate) fn open(
        &self,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<(Environment, RecoveryReport)> {
        let how = "A backup is looked at here.\n";
        let (root, cut) = (MemDisk::new().root(), self.cut().clone());
        let staging = RestoreTarget::begin(root, Arc::clone(world), cut, how, self.keyring())?;
        for (file, length) in self.files() {
            let shown = Joined::open(&*self.files, file)?.up_to(length);
            staging.show(file.name, file.directory, &ReadOnly::file(shown))?;
        }
        let journal = self.journal().map(|file| file.length).sum();
        let counter = Counter::new(journal, options.progress);
        for file in self.journal() {
            copy_journal(file, &staging, &counter)?;
            staging.arrived(file.name, file.directory)?;
        }
        counter.end();
        Ok(staging.look(self.unlock(&options.options))?)
    }

    pub(crate) fn restore(
        self,
        target: &DirRef,
        world: &WorldRef,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<RestoreReport> {
        let (restored, journal) = (self.files(), self.journal().collect::<Vec<_>>());
        options.pace.check()?;
        let lengths = restored.iter().map(|(_, length)| *length);
        let lengths: Vec<_> = lengths.chain(journal.iter().map(|file| file.length)).collect();
        let needed = restored.iter().map(|(file, length)| (file.directory, file.name, *length));
        let needed =
            needed.chain(journal.iter().map(|file| (file.directory, file.name, file.length)));
        let delta = options.delta && options.in_place;
        check_space(target, needed.collect(), delta)?;
        let command = match cairn_env::standby_info(target)? {
            Some(_) => "standby follow",
            None => "restore",
        };
        let how = format!(
            "This directory is being filled from the backup {}.\n\
             If that is not going on any more, run the same `cairn {command}` again, which goes on from there;\n\
             or remove the directory.\n",
            self.backup.path().display()
        );
        let root = Arc::clone(target);
        let in_world = Arc::clone(world);
        let keyring = self.keyring();
        let (cut, foreign) = (self.cut().clone(), options.other_environment);
        let (commit, time) = (cut.commit, cut.time);
        let mut staging = match options.in_place {
            true => RestoreTarget::begin_in_place(root, in_world, cut, &how, keyring, foreign)?,
            false => RestoreTarget::begin(root, in_world, cut, &how, keyring)?,
        };
        if delta {
            staging.take_from_current()?;
        }
        // A file of which only the beginning is wanted is read to its end: the manifest vouches for all of it.
        let read = restored.iter().map(|(file, _)| file.length);
        let read = read.chain(journal.iter().map(|file| file.length)).sum();
        let counter = Counter::paced(read, options.progress, &options.pace, world)?;
        let staging = Arc::new(staging);
        let jobs = restored.iter().map(|(file, length)| {
            let (from, file) = (DirRef::clone(&self.files), ManifestFile::clone(file));
            Bring { from, file, length: *length, to: Arc::clone(&staging) }.job()
        });
        let journal = journal
            .iter()
            .map(|file| bring_journal(PlannedFile::clone(file), Arc::clone(&staging)));
        let (mut taken_files, mut taken_bytes) = (0, 0);
        let threads = options.pace.crew(Others::None);
        crew::run(world, threads, jobs.chain(journal).collect(), &counter, |place, was_there| {
            if was_there {
                taken_files += 1;
                taken_bytes += lengths[place];
            }
            Ok(())
        })?;
        counter.check()?;
        let proving = self.unlock(&options.options);
        let (files, bytes) = (lengths.len() as u64, lengths.iter().sum());
        let staging =
            Arc::into_inner(staging).expect("every job has ended, and they had the others");
        let restored = staging.finish(proving)?;
        counter.end();
        let to = tell::display(target.path().display());
        tell::restored(to, commit, files, bytes, options.in_place);
        Ok(RestoreReport {
            commit,
            time,
            files,
            bytes,
            taken_files,
            taken_bytes,
            entries: restored.entries,
            timeline: restored.timeline,
            recovery: restored.recovery,
            kept: restored.kept,
        })
    }
}

/// An error if the files, of which directory, name and length are given, do not fit where they are to go. Data
/// directories that are there already may be disks of their own. What lies there already needs no room.
fn check_space(
    target: &DirRef,
    mut files: Vec<(u16, LogName, u64)>,
    delta: bool,
) -> BackupResult<()> {
    let check = |path: &Path, free: u64, needed: u64| match free < needed {
        true => Err(BackupError::NoSpace { path: path.to_owned(), free, needed }),
        false => Ok(()),
    };
    let there: BTreeSet<_> = files_to_take(target, delta)?.into_iter().collect();
    files.retain(|file| !there.contains(file));
    let mut needed = BTreeMap::<u16, u64>::new();
    for (directory, _, length) in files {
        *needed.entry(directory).or_default() += length;
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
