//! `Spare`: a journal file that nothing needs any more, on its way to becoming another one.
//!
//! A file system that is asked for zeros where zeros or old bytes stand already allocates nothing and
//! writes no metadata: so a journal file is worth more than its content. Overwriting one in place is
//! the only change of a finished file that there is, and it is none of that file: first its name goes,
//! durably, then its bytes become zeros, durably, and only then does it get another name and a header
//! with a new uuid. At no moment is there a log file that holds what is not its own, so the rules for
//! where a journal ends need not know of this. (RocksDB and SQLite leave the old bytes in place, and
//! tell them from new ones by salted checksums. That saves writing zeros, but a torn record then looks
//! like an old one.)

use cairn_io::{Access, Dir, FileExt, FileRef, Name, SyncSite};

use super::{LogWriter, ZEROS, journal_boundary};
use crate::{LogName, LogResult, NewFile};

/// Names of spares begin with this.
const PREFIX: &str = "spare-";

/// A journal file without a name of its own: all zeros, once it was [wiped](Spare::wipe).
#[derive(Debug)]
pub struct Spare {
    name: Name,
    len: u64,
}

impl Spare {
    /// Whether a spare may have this name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Takes the name from the journal file `name`, which nothing needs, nobody has open, and of which
    /// there is no other link.
    ///
    /// # Errors
    /// If the disk fails: the file then has its name still.
    pub fn take(dir: &dyn Dir, name: LogName) -> LogResult<Self> {
        let spare = Name::new(format!("{PREFIX}{}", name.number)).expect("letters and digits");
        dir.rename_new(&name.to_name(), &spare)?;
        Ok(Self { name: spare, len: 0 })
    }

    /// Fills it with zeros, up to a length that a journal file of this `capacity` may have. `sites`: that
    /// the old name has gone, which comes first, or a crash could leave it to a file of zeros; and the
    /// zeros, before anything else stands among them.
    ///
    /// # Errors
    /// If the disk fails or is full: it is good for nothing then but to be [removed](Spare::remove).
    pub fn wipe(
        &mut self,
        dir: &dyn Dir,
        capacity: u64,
        sites: (SyncSite, SyncSite),
    ) -> LogResult<()> {
        dir.sync(sites.0)?;
        let handle = dir.open(&self.name, Access::ReadWrite)?;
        let len = journal_boundary(handle.len()?, capacity);
        // Planted: old bytes in a recycled file.
        if !cairn_io::planted::is(16) {
            write_zeros(&handle, 0, len)?;
        }
        handle.sync(sites.1)?;
        self.len = len;
        Ok(())
    }

    /// Bytes that it takes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was not wiped yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn remove(self, dir: &dyn Dir) -> LogResult<()> {
        Ok(dir.remove(&self.name)?)
    }

    /// The journal file that the header of `file` names, made of this spare: as [`LogWriter::create`], but for the
    /// zeros that it has already. A crash in between leaves a file that was never begun.
    ///
    /// # Errors
    /// As [`LogWriter::create`].
    pub fn begin(
        self,
        dir: &dyn Dir,
        file: impl Into<NewFile>,
        sites: (SyncSite, SyncSite),
    ) -> LogResult<LogWriter> {
        let file = file.into();
        let name = file.header.name().to_name();
        dir.rename_new(&self.name, &name)?;
        let handle = dir.open(&name, Access::ReadWrite)?;
        LogWriter::begin(dir, handle, file, self.len, Some(sites))
    }
}

/// Writes zeros to `handle` from byte `from` up to byte `to`, as a journal file has them ahead of its records. Nothing is
/// synced.
///
/// # Errors
/// If the disk fails; some of the zeros may be there then.
pub fn write_zeros(handle: &FileRef, from: u64, to: u64) -> LogResult<()> {
    let mut at = from;
    while at < to {
        let n = usize::try_from(to - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        handle.write_all_at(at, &ZEROS[..n])?;
        at += n as u64;
    }
    Ok(())
}
