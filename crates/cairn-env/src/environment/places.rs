//! `DataDirectory`: where the log files lie, and how much room is left there.

use std::path::PathBuf;

use crate::{EnvResult, core::Core, directories};

/// A data directory of an environment, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Number of log files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that this process may still write on its disk. Data directories on one disk share them.
    pub free: u64,
}

pub(super) fn data_directories(core: &Core) -> EnvResult<Vec<DataDirectory>> {
    let mut found = Vec::new();
    for (number, dir) in core.files.dirs().skip(1) {
        let path = core.root.dir.path().join(directories::name(number).as_str());
        found.push(DataDirectory { path, files: 0, bytes: 0, free: dir.space()?.free });
    }
    for file in core.files.all() {
        let index = usize::from(file.header().directory).checked_sub(1);
        if let Some(place) = index.and_then(|index| found.get_mut(index)) {
            place.files += 1;
            place.bytes += file.handle().len()?;
        }
    }
    Ok(found)
}
