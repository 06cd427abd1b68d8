//! `PointDir`: a point as the directory of a backup, for reading.
//!
//! Whatever reads a backup in a directory reads a point of a repository through it: the restore, the search for a
//! moment in a journal, the trial of a key. Its files are put together from the parts in which they lie; each byte
//! comes from a part that was read whole and compared with both of its hashes: see `reader`.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cairn_io::{
    Access, Dir, DirRef, Entry, EntryKind, FileIdentity, FileRef, IoError, IoOp, IoResult,
    LockError, LockGuard, LockMode, Name, Space, SyncSite,
};
use cairn_log::{Digest, Uuid};

use super::{
    point::{Part, Point, PointFile},
    reader::PartReader,
    store::Store,
};
use crate::{
    BackupError, Manifest, ManifestFile, ObjectError, Piece,
    keyring::KEYRING,
    manifest::{FILES, MANIFEST},
    read_only::{ReadOnly, Readable},
};

/// What files of a point are read through.
#[derive(Debug)]
struct Reader {
    parts: PartReader,
    files: Vec<PointFile>,
}

/// What a directory backup of the same files would say of itself.
pub(crate) fn manifest(point: &Point) -> Manifest {
    let keyring = point.keyring.as_ref().map(|bytes| {
        let (length, digest) = (bytes.len() as u64, Digest::of(bytes));
        Piece { length, digest }
    });
    let files = point.files.iter().map(|file| {
        let PointFile { name, directory, length, digest, .. } = *file;
        ManifestFile { name, directory, length, digest, pieces: Vec::new() }
    });
    Manifest {
        cut: point.cut.clone(),
        created: point.created,
        library: point.library.clone(),
        keyring,
        files: files.collect(),
    }
}

/// The directory of a backup that a point is. `path` is for messages.
pub(crate) fn open(store: &Store, path: &Path, point: Point) -> DirRef {
    let files_path = path.join(FILES.as_str());
    let text = Bytes::from(manifest(&point).encode());
    let parts = PartReader::new(store.clone(), point.cut.environment);
    let mut below = PointDir::of_files(files_path, parts, point.files);
    if let Some(keyring) = point.keyring {
        below.entries.insert(KEYRING, Content::Bytes(Bytes::from(keyring)));
    }
    let reader = Arc::clone(&below.reader);
    let entries = BTreeMap::from([(MANIFEST, Content::Bytes(text))]);
    Arc::new(PointDir { path: path.to_owned(), entries, below: Some(Arc::new(below)), reader })
}

/// A directory with this one log file, which is no point.
pub(crate) fn of_file(store: &Store, path: &Path, environment: Uuid, file: PointFile) -> DirRef {
    of_files(store, path, environment, vec![file])
}

/// A directory with log files of several points, which is none of them.
pub(crate) fn of_files(
    store: &Store,
    path: &Path,
    environment: Uuid,
    files: Vec<PointFile>,
) -> DirRef {
    let parts = PartReader::new(store.clone(), environment);
    Arc::new(PointDir::of_files(path.to_owned(), parts, files))
}

/// What a file holds.
#[derive(Clone, Debug)]
enum Content {
    Bytes(Bytes),
    /// The log file of this place in the list of the point.
    Log(usize),
}

/// See [`open`].
#[derive(Debug)]
struct PointDir {
    path: PathBuf,
    entries: BTreeMap<Name, Content>,
    /// The directory of the files.
    below: Option<DirRef>,
    reader: Arc<Reader>,
}

impl PointDir {
    fn of_files(path: PathBuf, parts: PartReader, files: Vec<PointFile>) -> Self {
        let named = files.iter().enumerate();
        let entries = named.map(|(index, file)| (file.name.to_name(), Content::Log(index)));
        let entries = entries.collect();
        Self { path, entries, below: None, reader: Arc::new(Reader { parts, files }) }
    }

    fn refuse<T>(&self, op: IoOp) -> IoResult<T> {
        Err(IoError::new(op, &self.path, io::ErrorKind::ReadOnlyFilesystem))
    }
}

impl Dir for PointDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        match &self.below {
            Some(below) if *name == FILES => Ok(DirRef::clone(below)),
            _ => {
                let path = self.path.join(name.as_str());
                Err(IoError::new(IoOp::Open, &path, io::ErrorKind::NotFound))
            }
        }
    }

    fn create_dir(&self, _: &Name) -> IoResult<DirRef> {
        self.refuse(IoOp::Create)
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        let path = self.path.join(name.as_str());
        let Some(content) = self.entries.get(name).cloned() else {
            return Err(IoError::new(IoOp::Open, &path, io::ErrorKind::NotFound));
        };
        match access {
            Access::Read => {
                let reader = Arc::clone(&self.reader);
                Ok(ReadOnly::file(ViewedFile { path, content, reader }))
            }
            Access::ReadWrite => self.refuse(IoOp::Open),
        }
    }

    fn create(&self, _: &Name) -> IoResult<FileRef> {
        self.refuse(IoOp::Create)
    }

    fn rename(&self, _: &Name, _: &Name) -> IoResult<()> {
        self.refuse(IoOp::Rename)
    }

    fn rename_new(&self, _: &Name, _: &Name) -> IoResult<()> {
        self.refuse(IoOp::Rename)
    }

    fn remove(&self, _: &Name) -> IoResult<()> {
        self.refuse(IoOp::Remove)
    }

    fn remove_dir(&self, _: &Name) -> IoResult<()> {
        self.refuse(IoOp::Remove)
    }

    fn list(&self) -> IoResult<Vec<Entry>> {
        let entry =
            |name: &Name, kind| Entry { display: name.to_string(), name: Some(name.clone()), kind };
        let mut entries: Vec<_> =
            self.entries.keys().map(|name| entry(name, EntryKind::File)).collect();
        entries.extend(self.below.iter().map(|_| entry(&FILES, EntryKind::Dir)));
        entries.sort_by(|a, b| a.display.cmp(&b.display));
        Ok(entries)
    }

    fn sync(&self, _: SyncSite) -> IoResult<()> {
        self.refuse(IoOp::Sync)
    }

    fn lock(&self, _: &Name, _: LockMode) -> Result<LockGuard, LockError> {
        self.refuse(IoOp::Lock).map_err(LockError::Io)
    }

    fn space(&self) -> IoResult<Space> {
        Ok(Space::new(0, 0))
    }
}

/// A file of a point.
#[derive(Debug)]
struct ViewedFile {
    path: PathBuf,
    content: Content,
    reader: Arc<Reader>,
}

impl ViewedFile {
    fn log(&self, index: usize) -> Option<&PointFile> {
        self.reader.files.get(index)
    }

    fn failed(&self, error: BackupError) -> IoError {
        match error {
            BackupError::Io(error) => error,
            BackupError::Object(error) => {
                let why = io::Error::new(io::ErrorKind::InvalidData, error);
                IoError::new(IoOp::Read, &self.path, why)
            }
            error => IoError::new(IoOp::Read, &self.path, io::Error::other(error)),
        }
    }
}

fn copy_out(bytes: &[u8], from: u64, buf: &mut [u8]) -> usize {
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    let len = buf.len().min(bytes.len() - from);
    buf[..len].copy_from_slice(&bytes[from..from + len]);
    len
}

impl Readable for ViewedFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let file = match &self.content {
            Content::Bytes(bytes) => return Ok(copy_out(bytes, offset, buf)),
            Content::Log(index) => self.log(*index),
        };
        let holds = |(start, part): &(u64, &Part)| (*start..*start + part.length).contains(&offset);
        let found = file.and_then(|file| {
            let (start, part) = file.placed().find(holds)?;
            Some((file.part_name(start, part), start, part))
        });
        let Some((name, start, part)) = found else { return Ok(0) };
        let frame = self.reader.parts.frame(name, part, offset - start);
        let (bytes, at) = frame.map_err(|error| self.failed(error))?;
        Ok(copy_out(&bytes, at as u64, buf))
    }

    fn length(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Log(index) => self.log(*index).map_or(0, |file| file.length),
        }
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        let number = match &self.content {
            Content::Bytes(_) => 0,
            Content::Log(index) => self.log(*index).map_or(0, |file| file.name.number.get().into()),
        };
        Ok(FileIdentity::new(number, 0))
    }
}

/// The error of an object that a failure of a file came from, which had to go through layers that know only of
/// files; else the error as it is.
pub(crate) fn surface(error: BackupError) -> BackupError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        let inner = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn Error + 'static));
        if let Some(object) = inner.and_then(|inner| inner.downcast_ref::<ObjectError>()) {
            return object.clone().into();
        }
        cause = this.source().or(inner);
    }
    error
}
