//! `StandbyTarget`: the directory of a standby, while journal arrives.
//!
//! Bytes are appended as they come. That they count is one write of the state, behind the sync of the file: it records
//! where the last commit ends that is whole, with the digest of the file up to there, as a restore to that commit would.
//! Bytes behind that are what the next commit needs, or what a crash has left: an open of the target removes them, and
//! whoever sends sends them again.

use std::fmt;

use cairn_io::{Access, DirRef, FileExt as _, FileRef, LockGuard, World};
use cairn_log::{
    Damage, DataKeys, Digest, FileClass, FileHeader, FileNumber, HEADER_LEN, LogFile, LogName,
    Predecessor, Scan, Scanner, Timeline,
};

use crate::{
    EnvError, EnvResult, Options,
    environment::patiently,
    files::unlock,
    heal::generation_dirs,
    keyring,
    past::commit_of,
    root::Root,
    ship::replica::log_names,
    sites,
    standby::{StandbyInfo, mark},
    state::StateFile,
};

/// Bytes of a file that are read at once.
const PIECE: usize = 1 << 18;

/// A standby that gets journal: see [`append`](Self::append).
pub struct StandbyTarget {
    root: Root,
    _lock: LockGuard,
    info: StandbyInfo,
    /// The generation directory in the root, and those in the data directories.
    dirs: Vec<DirRef>,
    state: StateFile,
    keys: Option<DataKeys>,
    tail: Option<Tail>,
    /// The newest commit that counts, and its time; that is not known before one has arrived, or was found.
    newest: (u64, Option<u64>),
}

/// The journal file that is being received.
struct Tail {
    header: FileHeader,
    handle: FileRef,
    /// Where the next bytes come.
    end: u64,
    /// Up to where records were looked at.
    scanned: u64,
    /// Up to where its bytes are in the digest: where its last commit ends.
    hashed: u64,
    hasher: blake3::Hasher,
    is_synced: bool,
}

impl StandbyTarget {
    /// Opens the standby in `root` for what arrives. What a crash has left behind the end that counts is removed.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if it is no standby; [`EnvError::NotAnEnvironment`] and
    /// [`EnvError::IncompleteRestore`] if it has no base yet; [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if
    /// somebody else follows; errors of the kind `Key` and `Corrupt`; if the disk fails.
    pub fn open(root: &DirRef, world: &dyn World, options: &Options) -> EnvResult<Self> {
        let root = Root::new(DirRef::clone(root));
        let (held, generations) = root.lock_existing(world)?;
        let Some(info) = StandbyInfo::read(&root)? else {
            let what = format!("{} is no standby", root.dir.path().display());
            return Err(EnvError::InvalidInput { what });
        };
        let dirs = generation_dirs(&root, generations.current.generation)?;
        let (file, found) = StateFile::open(&*dirs[0], Access::ReadWrite)?;
        // Whoever wrote the newest slot may have died before its sync, with the system alive.
        file.sync(sites::STANDBY_FOUND)?;
        let are_right = options.encryption.is_none();
        let options =
            keyring::opening::unlocked(&root, &*dirs[0], Some(&found.newest), options.clone())?;
        let keys = options.encryption;
        found.authenticate(keys.as_ref(), are_right, root.dir.path())?;
        let state = StateFile::new(file, found, keys.as_ref());
        let newest = (state.state.sequence, None);
        let mut this = Self { root, _lock: held, info, dirs, state, keys, tail: None, newest };
        this.cut()?;
        Ok(this)
    }

    /// Removes what is behind the end that counts, and reads what is before it.
    fn cut(&mut self) -> EnvResult<()> {
        let recorded = self.state.state.tail;
        for dir in &self.dirs {
            for name in log_names(&**dir)? {
                let is_later = recorded.is_none_or(|tail| name.number > tail.file);
                if name.class == FileClass::Journal && is_later {
                    dir.remove(&name.to_name())?;
                }
            }
        }
        let Some(recorded) = recorded else { return Ok(()) };
        let file = self.find(recorded.file)?;
        let header = file.header().clone();
        let len = file.end();
        if len < recorded.end {
            let damage = Damage::Truncated { len, expected: recorded.end };
            return Err(file.corrupt(len, damage).into());
        }
        let dir = self.dir_of(header.directory)?;
        let handle = dir.open(&header.name().to_name(), Access::ReadWrite)?;
        if len > recorded.end {
            handle.set_len(recorded.end)?;
        }
        let mut hasher = blake3::Hasher::new();
        hash(&mut hasher, &handle, 0, recorded.end)?;
        if Digest(*hasher.finalize().as_bytes()) != recorded.chain {
            let damage = Damage::Digest { by: "the state file" };
            return Err(file.corrupt(0, damage).into());
        }
        let file = self.reopen(&header)?;
        let (newest, _) = commits(&file, HEADER_LEN, recorded.end)?;
        self.newest = (recorded.last_sequence, newest.map(|(_, time, _)| time));
        let end = recorded.end;
        let is_synced = true;
        self.tail =
            Some(Tail { header, handle, end, scanned: end, hashed: end, hasher, is_synced });
        Ok(())
    }

    fn dir_of(&self, directory: u16) -> EnvResult<&DirRef> {
        self.dirs.get(usize::from(directory)).ok_or_else(|| {
            let path = self.root.dir.path().to_owned();
            EnvError::DataDirectory { path, why: format!("there is no number {directory}") }
        })
    }

    /// A journal file that is there, without its key.
    fn find(&self, number: FileNumber) -> EnvResult<LogFile> {
        for dir in &self.dirs {
            let names = log_names(&**dir)?;
            if let Some(name) = names.into_iter().find(|name| name.number == number) {
                return Ok(LogFile::open(&**dir, name, self.info.environment)?);
            }
        }
        let name = LogName::new(FileClass::Journal, number, self.info.follows).to_string();
        let (dir, why) = (self.dirs[0].path().to_owned(), "the state file names it".into());
        Err(EnvError::MissingFile { name, dir, why })
    }

    /// A journal file as long as it is now, with its key.
    fn reopen(&self, header: &FileHeader) -> EnvResult<LogFile> {
        let dir = self.dir_of(header.directory)?;
        let file = LogFile::open(&**dir, header.name(), self.info.environment)?;
        Ok(unlock(file, self.keys.as_ref())?)
    }

    /// What it says of itself.
    #[must_use]
    pub const fn info(&self) -> StandbyInfo {
        self.info
    }

    /// The timeline on which it goes on when it is promoted.
    #[must_use]
    pub const fn timeline(&self) -> Timeline {
        self.state.state.timeline
    }

    /// Where the next bytes are to come: a file, and where in it. `None`: with the first journal file.
    #[must_use]
    pub fn position(&self) -> Option<(FileNumber, u64)> {
        self.tail.as_ref().map(|tail| (tail.header.number, tail.end))
    }

    /// The newest commit that counts, and its time in microseconds since 1970, if that is known.
    #[must_use]
    pub const fn newest(&self) -> (u64, Option<u64>) {
        self.newest
    }

    /// Puts another keyring in the place of that which is there, durably, and unlocks it: before journal arrives that
    /// needs it.
    ///
    /// # Errors
    /// If it is not one of the environment, or the key does not unlock it; if the disk fails.
    pub fn take_keyring(&mut self, bytes: &[u8], options: &Options) -> EnvResult<()> {
        if keyring::file::read_bytes(&*self.dirs[0])?.as_deref() == Some(bytes) {
            return Ok(());
        }
        let path = self.root.dir.path();
        let keyring = keyring::Keyring::decode(bytes, path)?;
        if let Some(key) = &options.key {
            let keys = keyring.unlock(key)?.data_keys();
            self.state.use_keys(&keys);
            self.keys = Some(keys);
        }
        keyring::file::replace(&*self.dirs[0], bytes)
    }

    /// Takes bytes of a journal file from `offset` on. They follow what is there, or are there already, and are the same
    /// then. They count from the next [`sync`](Self::sync) on that finds the record of a commit whole behind them.
    ///
    /// # Errors
    /// [`EnvError::ShippingGap`] if there is nothing that they follow; [`EnvError::ShippedOtherwise`] if others are there;
    /// [`EnvError::OtherHistory`] if the file goes on from another one; if the disk fails.
    pub fn append(&mut self, file: FileNumber, offset: u64, bytes: &[u8]) -> EnvResult<()> {
        let here = self.position();
        match here {
            Some((number, _)) if file < number => return self.compare(file, offset, bytes),
            Some((number, _)) if file == number => {}
            _ if offset == 0 => {
                self.begin(file, bytes)?;
            }
            expected => return Err(EnvError::ShippingGap { file, offset, expected }),
        }
        let Some(tail) = &self.tail else { return Err(EnvError::internal("no tail")) };
        let Some(known) = tail.end.checked_sub(offset) else {
            return Err(EnvError::ShippingGap { file, offset, expected: here });
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
        let (old, new) = bytes.split_at(known);
        if !old.is_empty() {
            self.compare(file, offset, old)?;
        }
        if let Some(tail) = &mut self.tail
            && !new.is_empty()
        {
            tail.handle.write_all_at(tail.end, new)?;
            tail.end += new.len() as u64;
            tail.is_synced = false;
        }
        Ok(())
    }

    /// Begins the journal file of which `bytes` are the beginning: its header is what comes after the one before.
    fn begin(&mut self, file: FileNumber, bytes: &[u8]) -> EnvResult<()> {
        let path = self.root.dir.path().to_owned();
        let block = bytes.get(..usize::try_from(HEADER_LEN).unwrap_or(usize::MAX));
        let other = |why: String| EnvError::OtherHistory { path: path.clone(), why };
        let block = block.ok_or_else(|| other(format!("file {file} has no whole header")))?;
        let header = FileHeader::decode(block, &path)?;
        if header.environment != self.info.environment
            || header.number != file
            || header.class != FileClass::Journal
        {
            return Err(other(format!("what is to be file {file} is {}", header.name())));
        }
        let before = header.previous.map(|previous| (previous.file, previous.end));
        if before != self.position() {
            let expected = self.position();
            return Err(EnvError::ShippingGap { file, offset: 0, expected });
        }
        // Its last commit counts, however long the next file has none.
        self.sync()?;
        if let Some(tail) = &mut self.tail {
            let mut hasher = tail.hasher.clone();
            hash(&mut hasher, &tail.handle, tail.hashed, tail.end)?;
            let chain = Digest(*hasher.finalize().as_bytes());
            if header.previous.map(|previous| previous.chain) != Some(chain) {
                let name = tail.header.name();
                return Err(other(format!("{} follows another {name}", header.name())));
            }
            if !tail.is_synced {
                // A file that has one behind it counts to its end.
                tail.handle.sync(sites::STANDBY_JOURNAL)?;
            }
        }
        let dir = self.dir_of(header.directory)?;
        let handle = dir.create(&header.name().to_name())?;
        handle.write_all_at(0, block)?;
        let (end, hasher) = (HEADER_LEN, blake3::Hasher::new());
        self.tail =
            Some(Tail { header, handle, end, scanned: end, hashed: 0, hasher, is_synced: false });
        Ok(())
    }

    /// Compares bytes with those that are there already.
    fn compare(&self, file: FileNumber, offset: u64, bytes: &[u8]) -> EnvResult<()> {
        let found = match self.find(file) {
            // No replay goes through it.
            Err(EnvError::MissingFile { .. }) => return Ok(()),
            found => found?,
        };
        let mut there = vec![0; bytes.len()];
        let read = found.handle().read_full_at(offset, &mut there)?;
        match there[..read] == *bytes {
            true => Ok(()),
            false => Err(EnvError::ShippedOtherwise { file, offset }),
        }
    }

    /// Looks at the records that have arrived; returns the last commit among them, its time, and where its record ends.
    fn scan(&mut self) -> EnvResult<Option<Newest>> {
        let Some(tail) = &self.tail else { return Ok(None) };
        if tail.scanned == tail.end {
            return Ok(None);
        }
        let file = self.reopen(&tail.header)?;
        let (from, to) = (tail.scanned, tail.end);
        let (newest, end) = commits(&file, from, to)?;
        if let Some(tail) = &mut self.tail {
            tail.scanned = end;
        }
        if let Some((commit, time, at)) = newest {
            self.reach(commit, time, at)?;
        }
        Ok(newest)
    }

    /// A commit has arrived whose record ends at `at` in the file that is being received.
    fn reach(&mut self, commit: u64, time: u64, at: u64) -> EnvResult<()> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        if commit < self.newest.0 {
            let (file, offset) = (tail.header.number, at);
            let what = format!("commit {commit} follows commit {}", self.newest.0);
            return Err(EnvError::Inconsistent { file, offset, what });
        }
        hash(&mut tail.hasher, &tail.handle, tail.hashed, at)?;
        tail.hashed = at;
        self.newest = (commit, Some(time));
        Ok(())
    }

    /// Makes durable what has arrived, and makes it count up to its last commit. Says whether that is another one than
    /// before.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` if what has arrived is no journal; if the disk fails.
    pub fn sync(&mut self) -> EnvResult<bool> {
        self.scan()?;
        let recorded = self.state.state.tail.map(|tail| (tail.file, tail.end));
        let Some(tail) = &mut self.tail else { return Ok(false) };
        let number = tail.header.number;
        let reached = (number, tail.hashed);
        if tail.hashed == 0 || recorded == Some(reached) {
            return Ok(false); // what has arrived since is no commit yet
        }
        if !tail.is_synced {
            tail.handle.sync(sites::STANDBY_JOURNAL)?;
            tail.is_synced = true;
        }
        let directory = tail.header.directory;
        let end = Predecessor {
            file: number,
            directory,
            end: tail.hashed,
            last_sequence: self.newest.0,
            chain: Digest(*tail.hasher.finalize().as_bytes()),
        };
        let (uuid, incarnation) = (tail.header.file, tail.header.incarnation);
        if recorded.is_none_or(|(file, _)| file != number) {
            for dir in &self.dirs {
                // Those of files without a commit, too, which this one follows.
                dir.sync(sites::STANDBY_NAMES)?;
            }
        }
        self.state.write(|state| {
            state.clean = false;
            state.journal = None;
            state.tail = Some(end);
            if let Some(encryption) = &mut state.encryption {
                encryption.tail = uuid;
            }
            state.sequence = state.sequence.max(end.last_sequence);
            state.next_file = state.next_file.max(number.next().unwrap_or(number));
            state.incarnation = incarnation;
        })?;
        Ok(true)
    }

    /// Ends what makes it a standby, durably: from now on it is an environment that is opened for writing, and that goes
    /// on, from the newest commit that counts, on its own timeline.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` if its journal is not what the state says; if the disk fails. Then it is a standby as
    /// before, or an environment.
    pub fn promote(mut self) -> EnvResult<()> {
        // A file behind that end would be one which the state of an encrypted environment does not know.
        self.cut()?;
        for dir in &self.dirs {
            dir.sync(sites::STANDBY_NAMES)?;
        }
        // Whoever restored the base may have died before the sync of its name, or that may have failed.
        self.root.confirm()?;
        mark::remove(&self.root)
    }
}

/// How far a standby has come: [`standby_progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyProgress {
    /// The timeline on which it goes on when it is promoted; each base has another one.
    pub timeline: Timeline,
    /// The newest commit that counts.
    pub commit: u64,
    /// Where its journal ends that counts: a file, and an offset in bytes. `None` before the first.
    pub journal: Option<(FileNumber, u64)>,
}

/// How far a standby has come, as its files say, whoever has it open. `None` if it has no base yet. Needs no key.
///
/// # Errors
/// If the state file is damaged, or the disk fails.
pub fn standby_progress(root: &DirRef, world: &dyn World) -> EnvResult<Option<StandbyProgress>> {
    let root = Root::new(DirRef::clone(root));
    let Some(current) = root.current()? else { return Ok(None) };
    let dir = root.open_generation(current.generation)?;
    let (_, found) = patiently(world, || StateFile::open(&*dir, Access::Read))?;
    let state = found.newest;
    Ok(Some(StandbyProgress {
        timeline: state.timeline,
        commit: state.sequence,
        journal: state.tail.map(|tail| (tail.file, tail.end)),
    }))
}

/// A commit, its time, and where its record ends.
type Newest = (u64, u64, u64);

/// The last commit among the records of a file between two places, with its time and where its record ends; and where
/// the records end that are whole.
fn commits(file: &LogFile, from: u64, to: u64) -> EnvResult<(Option<Newest>, u64)> {
    let mut newest = None;
    let mut scanner = Scanner::from(file, from, to);
    let stop = loop {
        match scanner.next()? {
            Scan::Record(record) => {
                if let Some(commit) = commit_of(file, &record)? {
                    newest = Some((commit.sequence, commit.time, commit.end));
                }
            }
            Scan::End(stop) => break stop,
        }
    };
    match stop.damage.filter(|_| stop.offset < to) {
        Some(damage) => Err(file.corrupt(stop.offset, damage).into()),
        None if stop.offset < to => Err(file.corrupt(stop.offset, Damage::Nothing).into()),
        None => Ok((newest, stop.offset)),
    }
}

/// Adds bytes of a file to a hash.
fn hash(hasher: &mut blake3::Hasher, file: &FileRef, from: u64, to: u64) -> EnvResult<()> {
    let (mut at, mut buf) = (from, vec![0; PIECE]);
    while at < to {
        let want = usize::try_from(to - at).map_or(PIECE, |left| left.min(PIECE));
        file.read_exact_at(at, &mut buf[..want])?;
        hasher.update(&buf[..want]);
        at += want as u64;
    }
    Ok(())
}

impl fmt::Debug for StandbyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StandbyTarget({}, commit {})", self.root.dir.path().display(), self.newest.0)
    }
}
