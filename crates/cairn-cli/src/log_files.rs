//! The log files below a directory, read as they lie there: for environments that do not open.
//!
//! Nothing here takes a lock or changes a byte.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_io::{Access, DirRef, EntryKind, RealDir};
use cairn_log::{Audited, HEADER_LEN, LogFile, LogName, LogResult, Scan, Scanner, audit};

use crate::exit::Failure;

/// A log file in some directory, not yet opened.
pub(crate) struct LogFilePath {
    dir: DirRef,
    pub(crate) name: LogName,
}

impl LogFilePath {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join(self.name.to_string())
    }

    /// Opens it, whatever environment it belongs to.
    pub(crate) fn open(&self) -> LogResult<LogFile> {
        LogFile::open_any(self.dir.open(&self.name.to_name(), Access::Read)?)
    }
}

/// All log files of an environment, a generation directory, or a backup, in order.
pub(crate) fn find(path: &Path) -> Result<Vec<LogFilePath>, Failure> {
    let root = RealDir::open(path).map_err(|error| {
        let missing = error.is_not_found();
        let failure = Failure::from(error);
        if missing { Failure::usage(failure.message()).advise("check the path") } else { failure }
    })?;
    let mut found = log_files_in(&root)?;
    for entry in root.list()? {
        let holds_logs = entry.display.starts_with("g-") || entry.display == "files";
        let is_data = entry.display.starts_with("data");
        let Some(name) = entry.name.filter(|_| entry.kind == EntryKind::Dir) else { continue };
        if holds_logs {
            found.extend(log_files_in(&root.open_dir(&name)?)?);
        } else if is_data {
            found.extend(find_in(&root.open_dir(&name)?)?);
        }
    }
    found.sort_by_key(|file| file.name);
    Ok(found)
}

/// The log files of a data directory.
fn find_in(data: &DirRef) -> Result<Vec<LogFilePath>, Failure> {
    let mut found = Vec::new();
    for entry in data.list()? {
        let is_generation = entry.display.starts_with("g-") && entry.kind == EntryKind::Dir;
        if let Some(name) = entry.name.filter(|_| is_generation) {
            found.extend(log_files_in(&data.open_dir(&name)?)?);
        }
    }
    Ok(found)
}

fn log_files_in(dir: &DirRef) -> Result<Vec<LogFilePath>, Failure> {
    let names = dir.list()?.into_iter().filter_map(|entry| entry.display.parse::<LogName>().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names.into_iter().map(|name| LogFilePath { dir: DirRef::clone(dir), name }).collect())
}

/// What is certainly wrong with a log file, on its own, each with its place: nothing for a journal that
/// ends as a crash may leave it.
pub(crate) fn damage(file: &LogFilePath) -> Vec<(u64, String)> {
    let file = match file.open() {
        Ok(file) => Arc::new(file),
        Err(error) => return vec![(0, error.to_string())],
    };
    // A finished file says so at its end, wherever something is wrong.
    let len = file.handle().len().unwrap_or(0);
    let sealed_there = file.seal(len).is_ok_and(|seal| seal.is_some());
    let Audited { mut spots, seal, known_durable, .. } = audit(&file, len, &mut |_| ());
    if !sealed_there && seal.is_none() {
        spots.retain(|spot| spot.offset < known_durable.max(HEADER_LEN));
    }
    spots.into_iter().map(|spot| (spot.offset, spot.error.to_string())).collect()
}

/// Where the records of a log file end. What follows in a journal is space for more.
pub(crate) fn content_end(file: &LogFilePath) -> u64 {
    let Ok(file) = file.open() else { return 0 };
    let mut scanner = Scanner::new(&file, u64::MAX);
    while let Ok(Scan::Record(_)) = scanner.next() {}
    scanner.position()
}
