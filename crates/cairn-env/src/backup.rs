//! `BackupSet`: the files that are one exact state of the environment, frozen and pinned.
//!
//! The set is taken while the checkpointer is held, so no checkpoint can end between the moment in
//! which the state is frozen and the moment in which its files are listed and pinned. (Berkeley DB
//! JE had that window: defect M14 of its analysis.)

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::{FrozenRoot, TreeDigest};
use cairn_io::{Dir, FileExt};
use cairn_log::{
    Damage, Digest, FileClass, FileNumber, HEADER_LEN, LogError, LogFile, LogName, LogResult, Lsn,
    Predecessor, Scan, Scanner, Seal, Stop, Timeline, Uuid,
};

use crate::{
    EnvError, EnvResult, Snapshot,
    checkpoint::{Checkpointer, Durable},
    core::Core,
    door::Inside,
    environment::Open,
    keyring,
    pin::{Fate, Pin, PinBudget, PinLoss},
    recovery::Unfinished,
    sync::lock,
    utilization::FileEnd,
};

/// The instant that a backup holds, and what a restore needs to know beside the files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "manifests record each field")]
pub struct Cut {
    /// The environment.
    pub environment: Uuid,
    /// The timeline of the cut.
    pub timeline: Timeline,
    /// The last commit that it holds.
    pub commit: u64,
    /// Its time, in microseconds since 1970.
    pub time: u64,
    /// Position of the checkpoint record from which the restored environment starts.
    pub checkpoint: Option<Lsn>,
    /// Number of that checkpoint.
    pub checkpoint_number: u64,
    /// Where the journal of the cut ends.
    pub journal_end: Option<Predecessor>,
    /// The smallest number that no log file had had.
    pub next_file: FileNumber,
    /// How many data directories the environment has.
    pub directories: u16,
}

/// One file of a backup: finished, so it never changes. (Of an environment that another process is
/// writing, the newest journal file is not: what the backup has of it does not change.)
///
/// A copying tool of the user's own takes [`path`](Self::path) and [`length`](Self#structfield.length)
/// and leaves the copy under [`name`](Self#structfield.name); [`check_copy`](Self::check_copy) then says
/// whether it is one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupFile {
    /// Its name in the generation directory.
    pub name: LogName,
    /// The data directory in which it lies.
    pub directory: u16,
    /// Its length in bytes. The file may be longer if it is not [sealed](Self::seal).
    pub length: u64,
    file: Arc<LogFile>,
    sealed: bool,
    seal: Option<Seal>,
    fate: Fate,
}

impl BackupFile {
    /// Where the file lies. It stays there until it is [released](BackupSet::release).
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the file says of itself at its end: among it the BLAKE3 hash of all bytes before the seal.
    /// `None` for a journal file that a crash has cut, or that another process is writing, whose records
    /// vouch for it.
    #[must_use]
    pub const fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// Copies the file through `sink`, piece by piece, and returns the BLAKE3 hash of what was
    /// copied. The file is verified on the way: its records end in a seal whose digest is that of the
    /// bytes that were copied.
    ///
    /// # Errors
    /// [`EnvError::Log`] with kind `Corrupt` if the source is damaged: the copy must not be used.
    /// [`EnvError::PinLost`] if the backup has cost more than it may. Whatever `sink` answers.
    pub fn copy<E: From<EnvError>>(
        &self,
        sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<Digest, E> {
        check_fate(&self.fate)?;
        self.read(&self.file, sink)
    }

    /// Reads the copy of this file in `dir`, and returns the BLAKE3 hash of it. What passes was begun as
    /// this very file, ends with the same seal, and has every byte that the seal vouches for: the
    /// source is not read again, so the copy can be checked after the file was
    /// [released](BackupSet::release). `sink` gets what was read.
    ///
    /// # Errors
    /// [`EnvError::ForeignFile`] if it is another file or has another length; errors of the kind
    /// `Corrupt` if it is damaged; `NotFound` from the disk if it is missing. Whatever `sink` answers.
    pub fn check_copy<E: From<EnvError>>(
        &self,
        dir: &dyn Dir,
        sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<Digest, E> {
        self.read(&self.open_copy(dir)?, sink)
    }

    /// As [`check_copy`](Self::check_copy), at a glance: beginning, length and seal, and no byte between.
    /// An unsealed file cannot be told so, and is read.
    ///
    /// # Errors
    /// As [`check_copy`](Self::check_copy).
    pub fn glance_at_copy(&self, dir: &dyn Dir) -> EnvResult<()> {
        let copy = self.open_copy(dir)?;
        match self.seal {
            Some(_) => Ok(()),
            None => self.read(&copy, |_, _| Ok(())).map(drop),
        }
    }

    fn open_copy(&self, dir: &dyn Dir) -> EnvResult<LogFile> {
        let copy = LogFile::open(dir, self.name, self.file.header().environment)?;
        let foreign = |why: String| EnvError::ForeignFile { path: copy.path().to_owned(), why };
        if copy.header() != self.file.header() {
            return Err(foreign("it is another file of the same name".into()));
        }
        if copy.end() != self.length {
            let (is, want) = (copy.end(), self.length);
            return Err(foreign(format!(
                "it has {is} bytes, the file that it is to be has {want}"
            )));
        }
        if self.seal.is_some() && copy.seal(self.length)? != self.seal {
            return Err(foreign(
                "it does not end with the seal of the file that it is to be".into(),
            ));
        }
        Ok(copy)
    }

    /// Reads this file, or a copy of it, and verifies it.
    fn read<E: From<EnvError>>(
        &self,
        file: &LogFile,
        mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<Digest, E> {
        const PIECE: usize = 1 << 18;
        let failed = |error: LogError| E::from(EnvError::from(error));
        let seal = file.seal(self.length).map_err(failed)?;
        if seal.is_none() && self.sealed {
            return Err(failed(file.corrupt(self.length, Damage::NotSealed)));
        }
        let content_end = seal.map_or(0, |seal| seal.end);
        let mut whole = blake3::Hasher::new();
        let mut content = blake3::Hasher::new();
        let mut buf = vec![0; PIECE];
        let mut at = 0;
        while at < self.length {
            let want = usize::try_from(self.length - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buf[..want];
            file.handle()
                .read_in_passing(at, piece)
                .map_err(|error| E::from(EnvError::from(error)))?;
            whole.update(piece);
            let before_seal = usize::try_from(content_end.saturating_sub(at)).unwrap_or(usize::MAX);
            content.update(&piece[..before_seal.min(want)]);
            sink(at, piece)?;
            at += want as u64;
        }
        // A journal that has no digest, and each seal, is vouched for by the records themselves.
        let (mut checked, from) = match seal {
            Some(seal) if *content.finalize().as_bytes() != seal.digest.0 => {
                let damage = Damage::Digest { by: "in its seal" };
                return Err(failed(file.corrupt(seal.end, damage)));
            }
            Some(seal) => (content, seal.end),
            None => (content, HEADER_LEN),
        };
        if seal.is_none() {
            checked.update(&file.header().encode()[..]);
        }
        let checked = self.check_records(file, from, checked).map_err(failed)?;
        // The records were read once more: a read that was wrong once is in one of the two, and may be in
        // the copy.
        let whole = Digest(*whole.finalize().as_bytes());
        if checked != Some(whole) {
            let damage = Damage::Digest { by: "when it was read again" };
            return Err(failed(file.corrupt(from, damage)));
        }
        Ok(whole)
    }

    /// Checks every record from `from` up to the end of the file; adds the bytes that were checked to what
    /// stands before, and returns the digest of all that.
    fn check_records(
        &self,
        file: &LogFile,
        from: u64,
        before: blake3::Hasher,
    ) -> LogResult<Option<Digest>> {
        let mut scanner = Scanner::from(file, from, self.length).with_digest(before);
        loop {
            match scanner.next()? {
                Scan::Record(_) => {}
                Scan::End(Stop { offset, .. }) if offset == self.length => {
                    return Ok(scanner.digest());
                }
                Scan::End(Stop { offset, damage, .. }) => {
                    return Err(file.corrupt(offset, damage.unwrap_or(Damage::Nothing)));
                }
            }
        }
    }
}

/// A frozen, pinned set of files: see [`Environment::begin_backup`](crate::Environment::begin_backup).
/// Dropping it releases what it pins.
#[must_use = "the files are pinned as long as it lives"]
pub struct BackupSet {
    core: Inside,
    pin: u64,
    cut: Cut,
    digest: Option<TreeDigest>,
    files: Vec<BackupFile>,
    keyring: Option<Vec<u8>>,
    fate: Fate,
}

impl BackupSet {
    /// The instant that the set holds.
    #[must_use]
    pub const fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Which nodes the trees of the checkpoint consist of from which the restored environment starts, as that
    /// says itself. `None` if there is no checkpoint, or it goes back to a version that did not say.
    #[must_use]
    pub const fn tree_digest(&self) -> Option<TreeDigest> {
        self.digest
    }

    /// The state that the set holds, as a snapshot of the running environment: for a digest, say, that
    /// whatever is restored from the files must have. `None` when a file was released or the environment
    /// closed: a snapshot needs them all, so take it before.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let inside = self.core.enter().ok()?;
        let root = lock(&self.core.pins).root(self.pin)?;
        Some(Snapshot::new(inside, root))
    }

    /// The files. None changes while it is copied, or ever, as far as it is part of the backup: see
    /// [`BackupFile::length`](BackupFile#structfield.length).
    #[must_use]
    pub fn files(&self) -> &[BackupFile] {
        &self.files
    }

    /// The keyring file of an encrypted environment, as it was at the cut: it holds the keys of all files. A
    /// backup without it can be read by nobody.
    #[must_use]
    pub fn keyring(&self) -> Option<&[u8]> {
        self.keyring.as_deref()
    }

    /// Whether the files are still pinned, as far as they were not released: a tool that copies by path
    /// asks this at the end, since a file that has gone is not found, and says nothing.
    ///
    /// # Errors
    /// [`EnvError::PinLost`] if the backup has cost more than it may.
    pub fn check(&self) -> EnvResult<()> {
        check_fate(&self.fate)
    }

    /// Lets a file go that was copied: it need not wait for the others. (Of an environment that is open
    /// for reading only, it goes for good when that is closed: until then the environment needs it.)
    pub fn release(&self, file: &BackupFile) {
        let root = lock(&self.core.pins).release_file(self.pin, file.name.number);
        drop(root);
        self.core.released();
    }
}

impl Core {
    /// Takes note that a backup needs less than it did.
    fn released(&self) {
        if self.options.read_only {
            self.narrow_pin(self.door.is_closed());
        }
    }
}

impl Drop for BackupSet {
    fn drop(&mut self) {
        let pin = lock(&self.core.pins).release(self.pin);
        drop(pin);
        self.core.released();
        self.core.holders.backups.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for BackupSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupSet(commit {}, {} files)", self.cut.commit, self.files.len())
    }
}

fn check_fate(fate: &Fate) -> EnvResult<()> {
    match fate.get() {
        None => Ok(()),
        Some(&PinLoss { bytes, since }) => Err(EnvError::PinLost { bytes, since }),
    }
}

/// The end of the journal at the cut, the time of its last commit, and the state.
type Moment = (Option<Predecessor>, u64, Arc<FrozenRoot>);

/// Makes a cut: the newest commit, with all files finished that hold what is before it.
fn make_cut(core: &Core, checkpointer: &mut Checkpointer) -> EnvResult<Moment> {
    // A fresh checkpoint: what is restored then has almost nothing to replay.
    core.checkpoint_held(checkpointer)?;
    // The journal up to here is finished as well, so that no file of the set can change.
    core.begin_unless_finished()?;
    // Its end and the state at that end are one moment: the next commit may come right after it.
    core.seal_journal(|commit| {
        let sequence = commit.sequence;
        Ok((commit.tail, commit.time, commit.writer.freeze(sequence)?))
    })
}

/// The cut of an environment that is only read: what it was opened at. Its newest journal file ends where
/// it was known to be durable, and may since have grown beyond.
fn find_cut(core: &Core) -> EnvResult<Moment> {
    let mut commit = lock(&core.commit);
    let open_end = commit.unfinished.as_ref().and_then(Unfinished::open_end);
    let journal_end = match open_end {
        Some((file, end)) => Some(file.predecessor(end, commit.sequence)?),
        None => commit.tail,
    };
    let sequence = commit.sequence;
    Ok((journal_end, commit.time, commit.writer.freeze(sequence)?))
}

pub(crate) fn begin(core: &Arc<Open>, budget: PinBudget) -> EnvResult<BackupSet> {
    let Frozen { pin, cut, digest, files, keyring, fate } = freeze(core, budget)?;
    core.holders.backups.fetch_add(1, Ordering::AcqRel);
    // Of an environment that is only read, a backup outlives the close.
    let inside = if core.options.read_only { core.look_on() } else { core.follow() };
    Ok(BackupSet { core: inside, pin, cut, digest, files, keyring, fate })
}

/// A frozen, pinned set of files that does not keep anybody from closing: what is inside of the environment
/// uses it, and [releases](Frozen::release) it.
#[derive(Debug)]
pub(crate) struct Frozen {
    pin: u64,
    cut: Cut,
    digest: Option<TreeDigest>,
    files: Vec<BackupFile>,
    keyring: Option<Vec<u8>>,
    fate: Fate,
}

impl Frozen {
    pub(crate) const fn cut(&self) -> &Cut {
        &self.cut
    }

    pub(crate) fn files(&self) -> &[BackupFile] {
        &self.files
    }

    pub(crate) fn keyring(&self) -> Option<&[u8]> {
        self.keyring.as_deref()
    }

    /// Lets the files go.
    pub(crate) fn release(&self, core: &Core) {
        let pin = lock(&core.pins).release(self.pin);
        drop(pin);
    }

    /// Pins `files`, which nothing can remove before that, and looks at their ends.
    fn pin(
        core: &Core,
        (cut, digest): (Cut, Option<TreeDigest>),
        root: Arc<FrozenRoot>,
        budget: PinBudget,
        mut files: Vec<BackupFile>,
    ) -> EnvResult<Self> {
        let numbers = files.iter().map(|file| file.name.number);
        let pin = Pin::new(root, core.world.monotonic(), budget, numbers);
        let fate = pin.fate();
        let pin = lock(&core.pins).pin(pin);
        // Pinned, the files can be read in peace. A damaged seal is none, and shows when its file is copied.
        let looked = files.iter_mut().try_for_each(|file| {
            file.seal = file.file.seal(file.length)?;
            file.fate = Arc::clone(&fate);
            Ok(())
        });
        // Key epochs only go when no file is left that needs them, pinned ones included.
        let keyring = looked.and_then(|()| keyring::file::read_bytes(&*core.files.dir));
        match keyring {
            Ok(keyring) => Ok(Self { pin, cut, digest, files, keyring, fate }),
            Err(error) => {
                drop(lock(&core.pins).release(pin));
                Err(error)
            }
        }
    }
}

/// The finished node and value files of the newest checkpoint, pinned, and that checkpoint; `None` if that is
/// not newer than number `known`. What it needs of the journal is none of them.
pub(crate) fn freeze_checkpoint(core: &Core, known: u64) -> EnvResult<Option<(Frozen, Durable)>> {
    let checkpointer = lock(&core.checkpointer);
    let Some(newest) = checkpointer.newest.clone() else { return Ok(None) };
    if newest.record.number <= known {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in &newest.record.files {
        let is_needed = entry.live > 0 || entry.number == newest.lsn.file();
        if is_needed && entry.class != FileClass::Journal {
            let used = checkpointer.utilization.files.get(&entry.number);
            let end = used.map_or(entry.end, |used| used.end);
            files.push(member(core, entry.number, entry.directory, end)?);
        }
    }
    if !files.iter().any(|file| file.name.number == newest.lsn.file()) {
        // The record has begun a file that its own table does not know.
        let used = checkpointer.utilization.files.get(&newest.lsn.file());
        let used = used.ok_or_else(|| EnvError::internal("a checkpoint without its file"))?;
        files.push(member(core, newest.lsn.file(), used.directory, used.end)?);
    }
    let cut = Cut {
        commit: newest.record.sequence,
        time: newest.record.time,
        ..core.cut_of(Some(&newest), None)
    };
    let (root, budget) = (core.durable()?, PinBudget::default());
    let set = Frozen::pin(core, (cut, newest.record.digest), root, budget, files)?;
    drop(checkpointer);
    Ok(Some((set, newest)))
}

impl Core {
    /// What there is to say of a cut beside its commit.
    fn cut_of(&self, newest: Option<&Durable>, journal_end: Option<Predecessor>) -> Cut {
        Cut {
            environment: self.files.identity.environment,
            timeline: self.files.identity.timeline,
            commit: 0,
            time: 0,
            checkpoint: newest.map(|newest| newest.lsn),
            checkpoint_number: newest.map_or(0, |newest| newest.record.number),
            journal_end,
            next_file: self.files.next(),
            directories: lock(&self.state).state.directories,
        }
    }
}

/// Makes a cut of everything, and pins its files.
pub(crate) fn freeze(core: &Core, budget: PinBudget) -> EnvResult<Frozen> {
    if core.has_advanced.load(Ordering::Acquire) {
        let what = "this reader of a standby has gone on since it was opened: open the standby again to back it up";
        return Err(EnvError::InvalidInput { what: what.into() });
    }
    let mut checkpointer = lock(&core.checkpointer);
    let (journal_end, time, root) = match core.options.read_only {
        true => find_cut(core)?,
        false => make_cut(core, &mut checkpointer)?,
    };
    core.add_new_files(&mut checkpointer.utilization);
    let newest = checkpointer.newest.clone();
    // From here to the end of the function nothing can be removed: removal is the checkpointer's.
    let start = newest.as_ref().and_then(|newest| newest.record.replay_start).map(Lsn::file);
    let mut files = Vec::new();
    for (number, usage) in &checkpointer.utilization.files {
        let needed = usage.live > 0
            || newest.as_ref().is_some_and(|newest| newest.lsn.file() == *number)
            || usage.class == FileClass::Journal
                && start.is_none_or(|start| *number >= start)
                // Planted: a backup without a log file.
                && journal_end.is_some_and(|end| *number <= end.file)
                && !(cairn_io::planted::is(36) && journal_end.is_some_and(|end| *number == end.file));
        if needed {
            files.push(member(core, *number, usage.directory, usage.end)?);
        }
    }
    files.sort_by_key(|file| file.name.number);
    let cut = Cut { commit: root.sequence(), time, ..core.cut_of(newest.as_ref(), journal_end) };
    let digest = newest.and_then(|newest| newest.record.digest);
    let frozen = Frozen::pin(core, (cut, digest), root, budget, files);
    drop(checkpointer);
    frozen
}

/// A file that is damaged, to be compared with copies of it: its seal may be gone.
pub(crate) fn damaged_member(
    core: &Core,
    number: FileNumber,
    directory: u16,
    end: FileEnd,
) -> EnvResult<BackupFile> {
    let mut file = member(core, number, directory, end)?;
    file.seal = file.file.seal(file.length).ok().flatten();
    Ok(file)
}

fn member(core: &Core, number: FileNumber, directory: u16, end: FileEnd) -> EnvResult<BackupFile> {
    let file = core.files.get(number)?;
    let (length, sealed) = match end {
        FileEnd::Sealed(length) => (length, true),
        FileEnd::Cut(length) => (length, false),
        FileEnd::Open => return Err(file.corrupt(file.end(), Damage::NotSealed).into()),
    };
    Ok(BackupFile {
        name: file.name(),
        directory,
        length,
        file,
        sealed,
        seal: None,
        fate: Fate::default(),
    })
}
