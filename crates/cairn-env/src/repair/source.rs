//! `Source`: what is there of a damaged environment. Nothing is taken for granted, nothing is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_btree::{LoadError, NodeImage, NodeRecord, RecordImage};
use cairn_io::{Access, DirExt, DirRef, EntryKind, FileExt, FileRef, LockGuard, Name};
use cairn_log::{
    DataKeys, FileClass, FileHeader, FileNumber, HEADER_LEN, LogError, LogFile, LogName, LogResult,
    Lsn, OwnedRecord, Uuid,
};

use super::RepairReport;
use crate::{
    EnvError, EnvResult, ErrorKind, Options, directories, files, keyring,
    root::{Current, Generation, Root},
    state::{State, StateFile},
};

/// What is there of a damaged environment.
pub(crate) struct Source {
    /// The log files that can be read.
    pub(crate) files: BTreeMap<FileNumber, Arc<LogFile>>,
    /// Those that cannot.
    pub(crate) unreadable: BTreeMap<FileNumber, FileClass>,
    /// The same by name, with their lengths and what is wrong with them.
    pub(crate) left_aside: Vec<(LogName, u64, String)>,
    /// Those whose header is lost, so that nobody can tell whether they belong here: for whoever wants to know what
    /// their records say all the same.
    pub(crate) headless: BTreeMap<FileNumber, Arc<LogFile>>,
    /// What the state file says, the newest first.
    pub(crate) states: Vec<State>,
    /// Whether the first of these is certainly the newest.
    pub(crate) is_state_certain: bool,
    _lock: Option<LockGuard>,
}

impl Source {
    pub(crate) fn open(
        dir: DirRef,
        options: &Options,
        report: &mut RepairReport,
    ) -> EnvResult<Self> {
        let root = Root::new(dir);
        let path = root.dir.path().to_owned();
        if let Some(text) = root.restoring()? {
            return Err(EnvError::IncompleteRestore { path, how: text.trim_end().into() });
        }
        // A lock file that is missing is not made: nothing is changed.
        let lock = match root.dir.has(&Name::constant("LOCK"))? {
            true => Some(root.lock_shared()?),
            false => None,
        };
        let (current, generation) = find_generation(&root, report)?;
        let name = generation.dir_name();
        let in_root = root.dir.open_dir(&name);
        let keys = match &in_root {
            Ok(dir) => keys_of(&root, dir, options)?,
            Err(_) => options.encryption.clone(),
        };
        let (keys, are_right) = (keys.as_ref(), options.encryption.is_none());
        let (states, is_state_certain) = match &in_root {
            Ok(dir) => read_state(dir, keys, are_right, &path, report)?,
            Err(_) => no_state(report),
        };
        let in_data = data_roots(&root)?.into_iter().map(|dir| dir.open_dir(&name));
        let dirs: Vec<DirRef> = [in_root].into_iter().chain(in_data).flatten().collect();
        let environment = current.map(|current| current.environment);
        let environment = environment.or(states.first().map(|state| state.environment));
        let mut source = Self {
            files: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            left_aside: Vec::new(),
            headless: BTreeMap::new(),
            states,
            is_state_certain,
            _lock: lock,
        };
        source.open_files(&dirs, environment, keys, report)?;
        source.states.retain(|state| environment.is_none_or(|uuid| uuid == state.environment));
        Ok(source)
    }

    fn open_files(
        &mut self,
        dirs: &[DirRef],
        environment: Option<Uuid>,
        keys: Option<&DataKeys>,
        report: &mut RepairReport,
    ) -> EnvResult<()> {
        let mut found = Vec::new();
        for dir in dirs {
            for entry in dir.list()? {
                if let Ok(name) = entry.display.parse::<LogName>() {
                    found.push((DirRef::clone(dir), name, open_file(dir, name, report)));
                }
            }
        }
        let environment = environment.or_else(|| most_frequent(&found));
        for (dir, name, opened) in found {
            let checked = opened.and_then(|file| {
                let expected = environment.unwrap_or(file.header().environment);
                file.header().check_place(file.path(), name, expected)?;
                files::unlock(file, keys)
            });
            match checked {
                Ok(file) => {
                    self.files.insert(name.number, Arc::new(file));
                }
                Err(LogError::Unsupported { path, needs }) => {
                    return Err(EnvError::Unsupported { path, needs });
                }
                Err(error @ LogError::KeyRequired { .. }) => return Err(error.into()),
                Err(error) => {
                    report.damage(&name.to_string(), 0, format!("left aside: {error}"));
                    let handle = dir.open(&name.to_name(), Access::Read);
                    let len = handle.as_ref().map_or(Ok(0), |handle| handle.len()).unwrap_or(0);
                    self.left_aside.push((name, len, error.to_string()));
                    // Nothing that is not encrypted is of an encrypted environment.
                    let may_be = keys.is_none() && matches!(error, LogError::Corrupt { .. });
                    if let (Ok(handle), Some(uuid), true) = (handle, environment, may_be)
                        && let Ok(file) = LogFile::open_headless(handle, name, uuid)
                    {
                        self.headless.insert(name.number, Arc::new(file));
                    }
                    self.unreadable.insert(name.number, name.class);
                }
            }
        }
        report.files = self.files.len() as u64;
        Ok(())
    }

    /// Reads a node: its record, and that one's base if it is a delta.
    pub(crate) fn node(&self, lsn: Lsn) -> LogResult<NodeImage> {
        let read = |lsn: Lsn| -> LogResult<NodeRecord> {
            let OwnedRecord { header, body, .. } = self.file(lsn.file())?.read(lsn)?;
            let stored = files::stored(lsn, &header);
            Ok(NodeRecord { kind: header.kind, sequence: header.sequence, body, stored })
        };
        match NodeImage::load(lsn, read) {
            Ok((node, _)) => Ok(node),
            Err(LoadError::Read(error)) => Err(error),
            Err(LoadError::Damaged { lsn, damage }) => {
                Err(self.file(lsn.file())?.corrupt(lsn.offset(), damage))
            }
        }
    }

    /// What the record at a place says, without its base; `None` if it is no node that makes sense.
    pub(crate) fn record_image(&self, lsn: Lsn) -> Option<RecordImage> {
        let record = self.file(lsn.file()).ok()?.read(lsn).ok()?;
        RecordImage::read(record.header.kind, record.header.sequence, record.body).ok()?
    }

    pub(crate) fn file(&self, number: FileNumber) -> LogResult<&Arc<LogFile>> {
        self.files.get(&number).ok_or(LogError::MissingFile { file: number })
    }

    /// The file in which a value may stand that has a checksum of its own.
    pub(crate) fn file_of_value(&self, number: FileNumber) -> LogResult<&Arc<LogFile>> {
        self.file(number).or_else(|error| self.headless.get(&number).ok_or(error))
    }

    /// The readable files of a class, in order.
    pub(crate) fn of_class(&self, class: FileClass) -> impl Iterator<Item = &Arc<LogFile>> {
        self.files.values().filter(move |file| file.header().class == class)
    }
}

/// The generation directory that counts.
fn find_generation(
    root: &Root,
    report: &mut RepairReport,
) -> EnvResult<(Option<Current>, Generation)> {
    let current = match root.current() {
        Ok(Some(current)) => Some(current),
        Ok(None) => {
            report.note("the file CURRENT is missing");
            None
        }
        // Should it be of a newer version, so are the log files, whose headers say so with a checksum.
        Err(error) => {
            report.note(error.to_string());
            None
        }
    };
    if let Some(current) = current {
        match root.open_generation(current.generation) {
            Ok(_) => return Ok((Some(current), current.generation)),
            Err(error) => report.note(error.to_string()),
        }
    }
    // The newest one with log files in it, wherever they lie.
    let mut found = BTreeSet::new();
    for dir in [Arc::clone(&root.dir)].into_iter().chain(data_roots(root)?) {
        for entry in dir.list()? {
            let Some(name) = entry.name.filter(|_| entry.kind == EntryKind::Dir) else { continue };
            let number = name.as_str().strip_prefix("g-").and_then(|number| number.parse().ok());
            let named = number.map(Generation).filter(|generation| generation.dir_name() == name);
            if let Some(generation) = named
                && has_logs(&dir.open_dir(&name)?)?
            {
                found.insert(generation);
            }
        }
    }
    let Some(generation) = found.pop_last() else {
        let why = "there is no generation directory with log files in it".into();
        return Err(EnvError::NotAnEnvironment { path: root.dir.path().to_owned(), why });
    };
    let others = match found.len() {
        0 => String::new(),
        others => format!(", which is the newest of {}", others + 1),
    };
    report.note(format!("the generation directory {} was taken{others}", generation.dir_name()));
    Ok((current, generation))
}

fn has_logs(dir: &DirRef) -> EnvResult<bool> {
    Ok(dir.list()?.iter().any(|entry| entry.display.parse::<LogName>().is_ok()))
}

/// The data directories that are there.
fn data_roots(root: &Root) -> EnvResult<Vec<DirRef>> {
    let mut dirs = Vec::new();
    for entry in root.dir.list()? {
        let is_data = |name: &Name| directories::number(name.as_str()).is_some();
        if let Some(name) = entry.name.filter(is_data) {
            dirs.extend(root.dir.open_dir(&name).ok());
        }
    }
    Ok(dirs)
}

/// The data keys of the source.
fn keys_of(root: &Root, dir: &DirRef, options: &Options) -> EnvResult<Option<DataKeys>> {
    let state = StateFile::open(&**dir, Access::Read).map(|(_, found)| found.newest).ok();
    Ok(keyring::opening::unlocked(root, &**dir, state.as_ref(), options.clone())?.encryption)
}

fn read_state(
    dir: &DirRef,
    keys: Option<&DataKeys>,
    are_right: bool,
    path: &Path,
    report: &mut RepairReport,
) -> EnvResult<(Vec<State>, bool)> {
    let read = StateFile::open(&**dir, Access::Read).and_then(|(file, found)| {
        found.authenticate(keys, are_right, path).map(|()| (file, found))
    });
    match read {
        Ok((_, found)) => {
            if found.damaged_slot {
                report.note("one slot of the state file is damaged; the other one may be older");
            }
            let states = [found.newest].into_iter().chain(found.older).collect();
            Ok((states, !found.damaged_slot))
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Key) => Err(error),
        Err(error) => {
            report.note(error.to_string());
            Ok(no_state(report))
        }
    }
}

fn no_state(report: &mut RepairReport) -> (Vec<State>, bool) {
    report.note(
        "without the state file nobody knows whether there was a newer journal file than those \
         that are there",
    );
    (Vec::new(), false)
}

fn most_frequent(files: &[(DirRef, LogName, LogResult<LogFile>)]) -> Option<Uuid> {
    let mut counts: BTreeMap<[u8; 16], u64> = BTreeMap::new();
    for (_, _, file) in files {
        if let Ok(file) = file {
            *counts.entry(file.header().environment.0).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(uuid, _)| Uuid(uuid))
}

fn open_file(dir: &DirRef, name: LogName, report: &mut RepairReport) -> LogResult<LogFile> {
    let handle = dir.open(&name.to_name(), Access::Read)?;
    match LogFile::open_any(FileRef::clone(&handle)) {
        Err(error @ LogError::Corrupt { .. }) => match put_right(&handle)? {
            Some(header) => {
                let what = "one bit of the file header was wrong, and could be put right";
                report.damage(&name.to_string(), 0, what);
                LogFile::open_as(handle, header)
            }
            None => Err(error),
        },
        opened => opened,
    }
}

/// The header of a file in whose header block a single bit is wrong. The checksum tells which one: no
/// two single bits change it in the same way.
fn put_right(handle: &FileRef) -> LogResult<Option<FileHeader>> {
    let mut block = vec![0; usize::try_from(HEADER_LEN).unwrap_or(0)];
    if handle.read_full_at(0, &mut block)? < block.len() || block.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let path = PathBuf::new();
    for bit in 0..block.len() * 8 {
        block[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = FileHeader::decode(&block, &path) {
            return Ok(Some(header));
        }
        block[bit / 8] ^= 1 << (bit % 8);
    }
    Ok(None)
}
