//! `JournalSource`: the journal files of an environment, a replica or a backup, which is not opened for that.
//!
//! Only the journal counts here, so it does not matter whether the environment would open: a node file that is
//! lost is no reason to lose the commits as well. Nothing is changed in it but its locks, and a pin keeps
//! the files while somebody writes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use cairn_io::{Access, DirRef, WorldRef};
use cairn_log::{
    FileClass, FileNumber, HEADER_LEN, LogError, LogFile, LogName, LogResult, Predecessor, Scan,
    Scanner, Timeline, Uuid,
    tail::{self, Outside},
};

use crate::{
    EnvError, EnvResult,
    environment::patiently,
    files::Files,
    keyring,
    pin::reader::Hold,
    recovery::{Listing, replay::has_no_records},
    root::{Generation, Root},
    ship::{Attachment, attachment::Side, replica::log_names},
    state::{State, StateFile},
};

/// The journal files that are there, and what is known of where they end.
pub struct JournalSource {
    pub(super) path: PathBuf,
    pub(super) environment: Uuid,
    /// To which new journal files belong; `None` if that is not known.
    pub(super) timeline: Option<Timeline>,
    /// Whether the history ends with the last of them: nobody has gone on elsewhere.
    pub(super) is_whole: bool,
    pub(super) files: BTreeMap<FileNumber, (LogName, LogResult<LogFile>)>,
    /// The newest of them, as the state file knows it.
    pub(super) promised: Option<LogName>,
    /// Of a backup, which says how long they are.
    lengths: BTreeMap<FileNumber, u64>,
    /// The end that the state file records.
    pub(super) tail: Option<Predecessor>,
    /// How far the newest one was durable, as the state file says.
    pub(super) durable: Option<(FileNumber, u64)>,
    pub(super) has_writer: bool,
    /// Whether the newest one counts to its end, and not only as far as it is known to be durable.
    pub(super) is_over: bool,
    keyring: Option<Vec<u8>>,
    _hold: Option<Hold>,
}

impl JournalSource {
    /// The journal of the environment or replica in `root`, which another process, or this one, may have open:
    /// then it goes as far as it is known to be durable. As long as the value lives, no file goes.
    ///
    /// # Errors
    /// [`EnvError::NotAnEnvironment`]; if the state file is damaged, a data directory is missing, or the disk
    /// fails. What is wrong with a journal file is an error only when that is needed.
    pub fn open(root: DirRef, world: &WorldRef) -> EnvResult<Self> {
        Self::open_from(root, world, FileNumber::FIRST, 0)
    }

    /// As [`open`](Self::open), without the files below number `from`; pins as many files that are not there yet,
    /// so that those which are begun soon do not go before they were seen.
    pub(super) fn open_from(
        root: DirRef,
        world: &WorldRef,
        from: FileNumber,
        to_come: u32,
    ) -> EnvResult<Self> {
        let root = Root::new(root);
        let path = root.dir.path().to_owned();
        if let Some(text) = root.restoring()? {
            return Err(EnvError::IncompleteRestore { path, how: text.trim_end().into() });
        }
        if root.current()?.is_none() {
            let why = "it has no file CURRENT".into();
            return Err(EnvError::NotAnEnvironment { path, why });
        }
        let entry = root.enter(&**world)?;
        // Whoever had the environment until now may have changed it.
        let current = root.current()?.ok_or_else(|| EnvError::internal("CURRENT has gone"))?;
        let (environment, generation) = (current.environment, current.generation);
        let dir = root.open_generation(generation)?;
        let read = || StateFile::open(&*dir, Access::Read);
        let has_writer = entry.has_writer;
        let (_, found) = if has_writer { patiently(&**world, read)? } else { read()? };
        let state = found.newest;
        if state.environment != environment {
            let path = dir.path().join("STATE");
            let why = format!("CURRENT names {environment}, it is of {}", state.environment);
            return Err(EnvError::ForeignFile { path, why });
        }
        let data = root.open_data(environment, state.directories, Generation(state.generation))?;
        let mut names = Vec::new();
        for dir in [&dir].into_iter().chain(&data) {
            names.extend(log_names(&**dir)?.into_iter().map(|name| (name, dir)));
        }
        names.retain(|(name, _)| name.class == FileClass::Journal && name.number >= from);
        let mut numbers: BTreeSet<_> = names.iter().map(|(name, _)| name.number).collect();
        let next = numbers.last().copied().unwrap_or(from).max(from).get();
        let to_come = next.saturating_add(1)..=next.saturating_add(to_come);
        numbers.extend(to_come.filter_map(FileNumber::new));
        let hold = entry.pin(&root, &**world, environment, generation, numbers)?;
        let newest = state.journal.map(|(file, _)| file).max(state.tail.map(|tail| tail.file));
        if has_writer {
            // It has just created them, and nothing in them is acknowledged before the state names them.
            names.retain(|(name, _)| newest.is_some_and(|newest| name.number <= newest));
        }
        let mut files = BTreeMap::new();
        for (name, dir) in names {
            let opened = LogFile::open(&**dir, name, environment);
            if matches!(opened, Err(LogError::Corrupt { .. }))
                && has_no_records(&*dir.open(&name.to_name(), Access::Read)?)?
            {
                continue; // it was never begun
            }
            files.insert(name.number, (name, opened));
        }
        let attachment = Attachment::read(&root)?;
        let is_stale = |found: Attachment| found.side == Side::Replica && !found.is_attached;
        Ok(Self {
            path,
            environment,
            timeline: Some(state.timeline),
            is_whole: !attachment.is_some_and(is_stale),
            files,
            promised: newest.map(|number| LogName::new(FileClass::Journal, number, state.timeline)),
            lengths: BTreeMap::new(),
            tail: state.tail,
            durable: state.journal,
            has_writer,
            is_over: false,
            keyring: keyring::file::read_bytes(&*dir)?,
            _hold: Some(hold),
        })
    }

    /// The journal in a backup of `environment`: files with their lengths, opened by whoever knows how they lie
    /// there, and its keyring.
    pub fn of_backup(
        path: &Path,
        environment: Uuid,
        journal: Vec<(LogFile, u64)>,
        keyring: Option<Vec<u8>>,
    ) -> Self {
        let lengths = journal.iter().map(|(file, length)| (file.header().number, *length));
        let lengths = lengths.collect();
        let files = journal.into_iter().map(|(file, _)| {
            let name = file.name();
            let checked = file.header().check_place(file.path(), name, environment);
            (name.number, (name, checked.map(|()| file)))
        });
        Self {
            path: path.to_owned(),
            environment,
            timeline: None,
            is_whole: false,
            files: files.collect(),
            promised: None,
            lengths,
            tail: None,
            durable: None,
            has_writer: false,
            is_over: false,
            keyring,
            _hold: None,
        }
    }

    /// That of an environment that is being opened, whose files are pinned and have their keys. `durable` is what
    /// is known beyond what its `state` says.
    pub(super) fn of_environment(
        files: &Files,
        listing: &Listing,
        state: &State,
        durable: Option<(FileNumber, u64)>,
        has_writer: bool,
    ) -> Self {
        let newest = state.journal.map(|(file, _)| file).max(state.tail.map(|tail| tail.file));
        let names = listing.journals().filter(|(number, _)| newest.is_some_and(|n| *number <= n));
        Self {
            path: files.path(),
            environment: state.environment,
            timeline: Some(state.timeline),
            is_whole: true,
            files: names.map(|(number, name)| (number, (name, files.look_at(name)))).collect(),
            promised: None,
            lengths: BTreeMap::new(),
            tail: state.tail,
            durable: durable.or(state.journal),
            has_writer,
            is_over: false,
            keyring: None,
            _hold: None,
        }
    }

    /// Which environment it is of.
    #[must_use]
    pub const fn environment(&self) -> Uuid {
        self.environment
    }

    /// The keyring file beside it, of an encrypted environment.
    #[must_use]
    pub fn keyring(&self) -> Option<&[u8]> {
        self.keyring.as_deref()
    }

    /// The key epochs of the files from number `from` on.
    #[must_use]
    pub fn epochs_from(&self, from: FileNumber) -> BTreeSet<u32> {
        let files = self.files.range(from..).filter_map(|(_, (_, file))| file.as_ref().ok());
        files.filter_map(|file| Some(file.header().encryption?.epoch)).collect()
    }

    /// Where the last journal file ends: what no file after it says.
    pub(super) fn end_of_last(&self, file: &LogFile) -> EnvResult<u64> {
        let number = file.header().number;
        if let Some(length) = self.lengths.get(&number) {
            return Ok(*length);
        }
        if let Some(tail) = self.tail.filter(|tail| tail.file == number) {
            return Ok(tail.end);
        }
        let mut scanner = Scanner::new(file, u64::MAX);
        let stop = loop {
            if let Scan::End(stop) = scanner.next()? {
                break stop;
            }
        };
        if stop.seal.is_some() {
            return Ok(stop.offset);
        }
        let durable = self.durable.filter(|(newest, _)| *newest == number).map(|(_, end)| end);
        let known_durable = scanner.known_durable().max(durable.unwrap_or(HEADER_LEN));
        if self.has_writer && known_durable <= stop.offset {
            return Ok(known_durable); // what follows may be half written
        }
        let promised = durable.is_some();
        let outside = Outside { recorded_end: None, known_durable, promised, strict: false };
        match tail::judge(file, &stop, outside)?.damage() {
            None => Ok(stop.offset),
            Some(damage) => Err(file.corrupt(stop.offset, damage).into()),
        }
    }
}

impl fmt::Debug for JournalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalSource({}, {} files)", self.path.display(), self.files.len())
    }
}
