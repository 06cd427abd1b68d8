//! `Replica`: a directory that is an environment of its own as soon as its source is gone.
//!
//! Its log files have the names and the bytes of the source's. Its state file is its own: it refers to a
//! checkpoint all of whose files are there, and names a journal file as soon as that is begun, as the source's
//! does. So opening it is recovery from a checkpoint and the journal past it, and nothing else.
//!
//! What holds at every moment, whatever crashes:
//!
//! * a journal file is durable to its end before the next one has a name;
//! * a journal file has its header before its zeros, and its zeros before records enter them;
//! * the state file refers only to what is durable.

use std::fmt;

use cairn_io::{Access, Dir, DirExt, DirRef, FileExt, FileRef, LockGuard, shared::Mutex};
use cairn_log::{
    DataKeys, FileClass, FileHeader, FileNumber, HEADER_LEN, LogError, LogFile, LogName, Lsn, Scan,
    Scanner, Uuid, journal_boundary, write_zeros,
};

use crate::{
    EnvError, EnvResult, JournalRetention,
    backup::BackupFile,
    checkpoint::CheckpointRecord,
    core::Core,
    keyring,
    recovery::replay::has_no_records,
    root::{Generation, Root},
    ship::{JournalPiece, JournalSink},
    sites,
    state::StateFile,
    sync::lock,
};

/// Names of files that are being copied begin with this. They become log files when they are whole.
pub(crate) const ARRIVING: &str = "arriving-";

/// The directory of a replica, locked and open.
pub(crate) struct Replica {
    pub(super) root: Root,
    lock: LockGuard,
    pub(super) generation: Generation,
    environment: Uuid,
    /// The generation directory in the root, and those in the data directories.
    pub(super) dirs: Vec<DirRef>,
    state: Mutex<StateFile>,
    tail: Mutex<Option<Tail>>,
}

/// The journal file that is being received.
struct Tail {
    header: FileHeader,
    handle: FileRef,
    end: u64,
    synced: u64,
    /// Up to where it has its zeros.
    extended: u64,
}

impl Replica {
    /// The replica whose files lie in `dirs`, with the journal that is there.
    pub(crate) fn open(
        root: Root,
        held: LockGuard,
        generation: Generation,
        environment: Uuid,
        dirs: Vec<DirRef>,
        keys: Option<&DataKeys>,
    ) -> EnvResult<Self> {
        let (file, found) = StateFile::open(&*dirs[0], Access::ReadWrite)?;
        // As the source does: the older slot must be durable before it is written over.
        file.sync(sites::REPLICA_FOUND)?;
        let tail = match newest_journal(&dirs, environment)? {
            Some((file, end)) => Some(Tail::found(&dirs, &file, end)?),
            None => None,
        };
        let state = Mutex::new(StateFile::new(file, found, keys));
        let tail = Mutex::new(tail);
        Ok(Self { root, lock: held, generation, environment, dirs, state, tail })
    }

    /// Looks at its journal again: it was copied.
    pub(super) fn found_journal(&self) -> EnvResult<()> {
        let found = newest_journal(&self.dirs, self.environment)?;
        let found = found.map(|(file, end)| Tail::found(&self.dirs, &file, end)).transpose()?;
        *lock(&self.tail) = found;
        Ok(())
    }

    /// Lets its directory go to somebody else.
    pub(super) fn into_lock(self) -> LockGuard {
        self.lock
    }

    /// How far its journal goes: a file and an offset in it.
    pub(crate) fn position(&self) -> Option<(FileNumber, u64)> {
        lock(&self.tail).as_ref().map(|tail| (tail.header.number, tail.end))
    }

    /// The uuid of the journal file in which it ends.
    pub(super) fn journal_uuid(&self) -> Option<Uuid> {
        lock(&self.tail).as_ref().map(|tail| tail.header.file)
    }

    /// The number of the checkpoint from which it starts.
    pub(super) fn base(&self) -> u64 {
        lock(&self.state).state.checkpoint_number
    }

    fn dir_of(&self, directory: u16) -> EnvResult<&DirRef> {
        self.dirs
            .get(usize::from(directory))
            .ok_or_else(|| self.refused("it lacks a data directory"))
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> EnvError {
        EnvError::Replica { path: self.root.dir.path().to_owned(), why: why.into() }
    }

    /// Whether it has this very file, whole.
    pub(super) fn has(&self, file: &BackupFile) -> EnvResult<bool> {
        let dir = self.dir_of(file.directory)?;
        Ok(dir.has(&file.name.to_name())? && file.glance_at_copy(&**dir).is_ok())
    }

    /// Copies a finished file, and reads the copy back. It has its name when it is whole and durable; that
    /// the name is durable, [`Replica::sync_names`] sees to.
    pub(super) fn copy(&self, file: &BackupFile) -> EnvResult<()> {
        let (dir, name) = (self.dir_of(file.directory)?, file.name.to_name());
        let arriving = cairn_io::Name::new(format!("{ARRIVING}{name}"))
            .map_err(|_| EnvError::internal("the name of a copy"))?;
        for left in [&arriving, &name] {
            if dir.has(left)? {
                dir.remove(left)?;
            }
        }
        let handle = dir.create(&arriving)?;
        file.copy(|at, bytes| handle.write_all_at(at, bytes).map_err(EnvError::from))?;
        handle.sync(sites::REPLICA_COPY)?;
        dir.rename_new(&arriving, &name)?;
        drop(handle);
        file.check_copy(&**dir, |_, _| Ok::<(), EnvError>(())).map(drop)
    }

    /// Makes the names of all copies durable.
    pub(super) fn sync_names(&self) -> EnvResult<()> {
        for dir in &self.dirs {
            dir.sync(sites::REPLICA_NAMES)?;
        }
        Ok(())
    }

    /// Says in the state which files it means by their numbers, of a replica that nothing refers to yet.
    pub(super) fn identify(&self, core: &Core) -> EnvResult<()> {
        let find = |number| core.files.find(number).map(|file| file.header().file);
        lock(&self.state).rewrite(|state| state.identify(&find))
    }

    /// Starts from another checkpoint from now on, all of whose files are there and durable, with the journal
    /// up to it; what neither it nor the journal past it needs is removed. Both slots of the state say so
    /// before that.
    pub(super) fn start_from(
        &self,
        lsn: Lsn,
        uuid: Uuid,
        record: &CheckpointRecord,
        keep: JournalRetention,
    ) -> EnvResult<()> {
        for _ in 0..2 {
            lock(&self.state).write(|state| {
                state.name_checkpoint(lsn, uuid);
                state.checkpoint_number = record.number;
                state.next_file = state.next_file.max(record.next_file);
                state.sequence = state.sequence.max(record.sequence);
                state.keep = keep;
            })?;
        }
        self.remove_what_is_not_needed(lsn, record)
    }

    fn remove_what_is_not_needed(&self, lsn: Lsn, record: &CheckpointRecord) -> EnvResult<()> {
        // Whoever reads the replica pins what it reads there.
        let Some(protector) = self.root.protect_now()? else { return Ok(()) };
        let pins = protector.pins()?;
        if pins.iter().any(|pin| pin.is_of(self.generation)) {
            return Ok(()); // the next time
        }
        let start = record.replay_start.map(Lsn::file);
        let live = record.files.iter().filter(|entry| entry.live > 0);
        let mut needed: Vec<_> = live.map(|entry| entry.number).collect();
        needed.push(lsn.file());
        let tail = self.position().map(|(file, _)| file);
        for dir in &self.dirs {
            for name in log_names(&**dir)? {
                let is_replayed = name.class == FileClass::Journal
                    && (start.is_none_or(|start| name.number >= start)
                        || tail == Some(name.number));
                if !is_replayed && !needed.contains(&name.number) {
                    dir.remove(&name.to_name())?;
                }
            }
        }
        Ok(())
    }

    /// Has the keyring of its source, if it is another one.
    pub(super) fn take_keyring(&self, source: &dyn Dir) -> EnvResult<()> {
        let Some(bytes) = keyring::file::read_bytes(source)? else { return Ok(()) };
        if keyring::file::read_bytes(&*self.dirs[0])?.as_ref() == Some(&bytes) {
            return Ok(());
        }
        keyring::file::replace(&*self.dirs[0], &bytes)
    }

    /// Begins the journal file of which `piece` is the beginning.
    fn begin(&self, tail: &mut Option<Tail>, piece: &JournalPiece<'_>) -> EnvResult<()> {
        let dir_path = self.root.dir.path();
        let block = piece.bytes.get(..usize::try_from(HEADER_LEN).unwrap_or(usize::MAX));
        let block = block.ok_or_else(|| self.refused("a journal file began without its header"))?;
        let header = FileHeader::decode(block, dir_path)?;
        if header.environment != self.environment || header.number != piece.file {
            return Err(self.refused("it was sent a file of another environment"));
        }
        let before = header.previous.map(|previous| (previous.file, previous.end));
        let here = tail.as_ref().map(|tail| (tail.header.number, tail.end));
        if before != here && (here.is_some() || before.is_some()) {
            return Err(EnvError::ShippingGap { file: piece.file, offset: 0, expected: here });
        }
        if let Some(tail) = tail {
            tail.sync()?;
        }
        let (dir, name) = (self.dir_of(header.directory)?, header.name().to_name());
        if dir.has(&name)? {
            dir.remove(&name)?; // it was begun, and a crash came before it counted
        }
        let handle = dir.create(&name)?;
        handle.write_all_at(0, block)?;
        // Before anything stands behind it: a file without a header in which nothing stands was never begun.
        handle.sync(sites::REPLICA_HEADER)?;
        dir.sync(sites::REPLICA_JOURNAL)?;
        if let Some(tail) = tail {
            // Only to save space: what lies beyond the end does not count. Not before there is a file after it that
            // says where it ends: one that has no seal would look as if its end had been lost.
            tail.handle.set_len(tail.end).unwrap_or_default();
        }
        let boundary = journal_boundary(HEADER_LEN + 1, header.capacity);
        write_zeros(&handle, HEADER_LEN, boundary)?;
        handle.sync(sites::REPLICA_EXTEND)?;
        lock(&self.state).write(|state| {
            state.clean = false;
            state.name_journal(header.number, header.file);
            state.next_file = state.next_file.max(header.number.next().unwrap_or(header.number));
            state.sequence = header.first_sequence.saturating_sub(1).max(state.sequence);
            state.incarnation = header.incarnation;
        })?;
        *tail =
            Some(Tail { header, handle, end: HEADER_LEN, synced: HEADER_LEN, extended: boundary });
        Ok(())
    }

    /// Compares a piece with what is there already.
    fn compare(&self, piece: &JournalPiece<'_>, len: usize) -> EnvResult<()> {
        let name = LogName::new(FileClass::Journal, piece.file, piece.timeline).to_name();
        let mut there = vec![0; len];
        for dir in &self.dirs {
            match dir.open(&name, Access::Read) {
                Err(error) if error.is_not_found() => continue,
                opened => opened?.read_exact_at(piece.offset, &mut there)?,
            }
            return match piece.bytes.get(..len) == Some(&there[..]) {
                true => Ok(()),
                false => Err(EnvError::ShippedOtherwise { file: piece.file, offset: piece.offset }),
            };
        }
        // It was removed, since nothing needs it any more.
        Ok(())
    }
}

impl JournalSink for Replica {
    fn push(&self, piece: &JournalPiece<'_>) -> EnvResult<()> {
        let mut tail = lock(&self.tail);
        let here = tail.as_ref().map(|tail| (tail.header.number, tail.end));
        match here {
            Some((file, _)) if piece.file < file => return self.compare(piece, piece.bytes.len()),
            Some((file, _)) if piece.file == file => {}
            _ if piece.offset == 0 => self.begin(&mut tail, piece)?,
            expected => {
                let (file, offset) = (piece.file, piece.offset);
                return Err(EnvError::ShippingGap { file, offset, expected });
            }
        }
        let Some(tail) = &mut *tail else { return Err(EnvError::internal("no tail")) };
        let Some(known) = tail.end.checked_sub(piece.offset) else {
            let (file, offset) = (piece.file, piece.offset);
            return Err(EnvError::ShippingGap { file, offset, expected: here });
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(piece.bytes.len());
        let (old, new) = piece.bytes.split_at(known);
        // The header was written a moment ago.
        if !old.is_empty() && here.is_some_and(|(file, _)| file == piece.file) {
            self.compare(piece, old.len())?;
        }
        if new.is_empty() { Ok(()) } else { tail.append(new) }
    }

    fn sync(&self) -> EnvResult<()> {
        match &mut *lock(&self.tail) {
            Some(tail) => tail.sync(),
            None => Ok(()),
        }
    }
}

impl Tail {
    fn found(dirs: &[DirRef], file: &LogFile, end: u64) -> EnvResult<Self> {
        let header = file.header().clone();
        let dir = dirs.get(usize::from(header.directory)).unwrap_or(&dirs[0]);
        let handle = dir.open(&header.name().to_name(), Access::ReadWrite)?;
        // Whoever received it may have died before its sync, with the system alive.
        handle.sync(sites::REPLICA_FOUND)?;
        let len = handle.len()?;
        // A file that has its seal has no zeros; of another one it is not known how far they go.
        let extended = len.min(journal_boundary(end, header.capacity)).max(end);
        Ok(Self { header, handle, end, synced: end, extended })
    }

    fn append(&mut self, bytes: &[u8]) -> EnvResult<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.extended {
            let to = journal_boundary(end, self.header.capacity).max(end);
            write_zeros(&self.handle, self.extended, to)?;
            self.handle.sync(sites::REPLICA_EXTEND)?;
            self.extended = to;
        }
        self.handle.write_all_at(self.end, bytes)?;
        self.end = end;
        Ok(())
    }

    fn sync(&mut self) -> EnvResult<()> {
        if self.synced < self.end {
            self.handle.sync(sites::REPLICA_SYNC)?;
            self.synced = self.end;
        }
        Ok(())
    }
}

/// The log files in a directory.
pub(crate) fn log_names(dir: &dyn Dir) -> EnvResult<Vec<LogName>> {
    Ok(dir.list()?.into_iter().filter_map(|entry| entry.display.parse().ok()).collect())
}

/// The newest journal file that was begun, and where its valid records end.
pub(super) fn newest_journal(
    dirs: &[DirRef],
    environment: Uuid,
) -> EnvResult<Option<(LogFile, u64)>> {
    let mut journals = Vec::new();
    for dir in dirs {
        let names = log_names(&**dir)?.into_iter();
        journals.extend(names.filter(|n| n.class == FileClass::Journal).map(|n| (n, dir)));
    }
    journals.sort_by_key(|(name, _)| name.number);
    while let Some((name, dir)) = journals.pop() {
        let file = match LogFile::open(&**dir, name, environment) {
            // A crash came before it had its header.
            Err(LogError::Corrupt { .. })
                if has_no_records(&*dir.open(&name.to_name(), Access::Read)?)? =>
            {
                continue;
            }
            opened => opened?,
        };
        let end = valid_end(&file)?;
        return Ok(Some((file, end)));
    }
    Ok(None)
}

/// Where the valid records of a log file end.
pub(super) fn valid_end(file: &LogFile) -> EnvResult<u64> {
    let mut scanner = Scanner::new(file, u64::MAX);
    loop {
        if let Scan::End(stop) = scanner.next()? {
            return Ok(stop.offset);
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replica({})", self.root.dir.path().display())
    }
}
