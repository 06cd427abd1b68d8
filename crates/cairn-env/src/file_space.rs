//! `FileSpace`: how much of each log file is of use.

use std::collections::BTreeMap;

use cairn_log::{FileNumber, LogName};

use crate::{core::Core, utilization::FileUse};

/// A log file, and how much of it is of use: see [`SpaceReport::files`](crate::SpaceReport#structfield.files).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSpace {
    /// What it is called.
    pub name: LogName,
    /// In which of the data directories it lies; 0: in that of the environment.
    pub directory: u16,
    /// Its length, zeros ahead of the journal included.
    pub bytes: u64,
    /// Bytes of it that the newest checkpoint can reach. What the journal holds behind that is in no checkpoint yet.
    pub live: u64,
    /// Whether nobody needs it any more but who reads an older state.
    pub is_dead: bool,
}

impl Core {
    /// The log files that there are, in the order of their numbers.
    pub(crate) fn space_of_files(&self, uses: &BTreeMap<FileNumber, FileUse>) -> Vec<FileSpace> {
        let mut files: Vec<_> = self
            .files
            .all()
            .into_iter()
            .map(|file| {
                let (header, known) = (file.header(), uses.get(&file.header().number));
                FileSpace {
                    name: header.name(),
                    directory: header.directory,
                    bytes: file.handle().len().unwrap_or(0),
                    live: known.map_or(0, |known| u64::try_from(known.live).unwrap_or(0)),
                    is_dead: known.is_some_and(|known| known.dead_since.is_some()),
                }
            })
            .collect();
        files.sort_by_key(|file| file.name.number);
        files
    }
}
