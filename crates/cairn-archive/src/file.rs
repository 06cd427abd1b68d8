//! `ArchiveFile`: an archive in a directory: opened for reading only, and verified.

use std::path::{Path, PathBuf};

use cairn_io::{Access, Dir, DirRef, FileRef, Name, RealDir};
use cairn_log::{Digest, Uuid};

use crate::{
    ArchiveError, ArchiveKeys, ArchiveReader, ArchiveResult, Header, Item, Report, Step,
    StoredReport, Totals, progress::Counter, reader, source::FileStream,
};

/// An archive in a directory. It is never written to, and may lie on read-only media.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    dir: DirRef,
    name: Name,
}

/// What an archive holds, all of which was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveReport {
    /// What tells it from all others.
    pub archive: Uuid,
    /// What it says of itself.
    pub header: Header,
    /// What its entries add up to.
    pub totals: Totals,
    /// The epoch of the data key under which it is encrypted; `None` if it is not.
    pub key_epoch: Option<u32>,
    /// Its length.
    pub bytes: u64,
    /// The digest of its stored bytes.
    pub digest: Digest,
}

/// An archive that was opened: a reader of its file.
pub type FileReader = ArchiveReader<FileStream>;

impl ArchiveFile {
    /// The archive `name` of a directory, which need not be there.
    #[must_use]
    pub const fn new(dir: DirRef, name: Name) -> Self {
        Self { dir, name }
    }

    /// The archive at a path, which need not be there; its directory must be.
    ///
    /// # Errors
    /// [`ArchiveError::InvalidInput`] for a name of other characters than letters, digits, `-`, `_` and `.`,
    /// or longer than 100 of them; if the directory cannot be opened.
    pub fn at(path: impl AsRef<Path>) -> ArchiveResult<Self> {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = Name::new(name).map_err(|error| ArchiveError::InvalidInput {
            what: format!("{}: {error}", path.display()),
        })?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(Self::new(RealDir::open(parent.unwrap_or(Path::new(".")))?, name))
    }

    /// Refuses a directory in which nothing may be written but by an environment, whose files they are.
    ///
    /// # Errors
    /// [`ArchiveError::InvalidInput`]; if the disk fails.
    pub fn check_place(dir: &dyn Dir) -> ArchiveResult<()> {
        if !cairn_env::is_of_an_environment(dir)? {
            return Ok(());
        }
        let dir = dir.path().display();
        let what =
            format!("{dir} is a directory of an environment, and has no place for other files");
        Err(ArchiveError::InvalidInput { what })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &dyn Dir {
        &*self.dir
    }

    pub(crate) fn dir_ref(&self) -> DirRef {
        self.dir.clone()
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(self.name.as_str())
    }

    /// Opens it, and reads what it says of itself.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`]; else as [`ArchiveReader::new`].
    pub fn open(&self, keys: &ArchiveKeys) -> ArchiveResult<FileReader> {
        ArchiveReader::new(FileStream::new(self.file()?), self.path(), keys)
    }

    /// The epoch of the data key under which it is encrypted; `None` if it is not. Takes no key.
    ///
    /// # Errors
    /// As [`ArchiveFile::open`], but for those about keys.
    pub fn key_epoch(&self) -> ArchiveResult<Option<u32>> {
        reader::key_epoch(FileStream::new(self.file()?), self.path())
    }

    /// Reads all of it: each byte is checked, each entry is in its place, and they add up. Nothing is
    /// restored.
    ///
    /// # Errors
    /// As [`ArchiveReader::next`]: whatever is wrong with it; [`ArchiveError::Cancelled`].
    pub fn verify(&self, keys: &ArchiveKeys, progress: Report<'_>) -> ArchiveResult<ArchiveReport> {
        let file = self.file()?;
        let len = file.len()?;
        verify(FileStream::new(file), self.path(), keys, Some(len), progress)
    }

    /// Reads all of it as it is stored, without a key: see [`verify_stored`](reader::verify_stored).
    ///
    /// # Errors
    /// As [`ArchiveFile::verify`], but for those about keys and entries.
    pub fn verify_stored(&self, progress: Report<'_>) -> ArchiveResult<StoredReport> {
        let file = self.file()?;
        let mut counter = Counter::new(Step::Verifying, 0, Some(file.len()?), progress);
        let stream = FileStream::new(file);
        let report = reader::verify_stored(stream, self.path(), |at| counter.at(at))?;
        counter.now().map(|()| report)
    }

    pub(crate) fn file(&self) -> ArchiveResult<FileRef> {
        match self.dir.open(&self.name, Access::Read) {
            Err(error) if error.is_not_found() => Err(ArchiveError::NotFound { path: self.path() }),
            opened => Ok(opened?),
        }
    }
}

/// Reads all of an archive from a stream that `path` names for messages: see [`ArchiveFile::verify`].
///
/// # Errors
/// As [`ArchiveFile::verify`].
pub fn verify(
    stream: impl std::io::Read,
    path: impl Into<PathBuf>,
    keys: &ArchiveKeys,
    len: Option<u64>,
    progress: Report<'_>,
) -> ArchiveResult<ArchiveReport> {
    let mut reader = ArchiveReader::new(stream, path, keys)?;
    let mut counter = Counter::new(Step::Verifying, reader.header().entries(), len, progress);
    let totals = loop {
        let is_entry = match reader.next()? {
            Item::End(totals) => break totals.clone(),
            Item::Entry { .. } => true,
            Item::Database(_) | Item::Value(_) => false,
        };
        match is_entry {
            true => counter.entry(reader.position())?,
            false => counter.at(reader.position())?,
        }
    };
    counter.at(reader.position())?;
    counter.now()?;
    Ok(report(&reader, totals))
}

/// What was read of an archive, to its end.
pub(crate) fn report<R: std::io::Read>(reader: &ArchiveReader<R>, totals: Totals) -> ArchiveReport {
    ArchiveReport {
        archive: reader.archive(),
        header: reader.header().clone(),
        totals,
        key_epoch: reader.key_epoch(),
        bytes: reader.position(),
        digest: reader.stored_digest(),
    }
}
