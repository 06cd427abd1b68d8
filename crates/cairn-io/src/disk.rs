//! `Dir` and `File`: what a directory of files can do and what it promises after a crash.

use std::{any::Any, fmt, path::Path, sync::Arc};

use bytes::Bytes;

use crate::{IoError, IoOp, IoResult, Name};

/// A shared, open directory.
pub type DirRef = Arc<dyn Dir>;
/// A shared, open file.
pub type FileRef = Arc<dyn File>;

/// The name of one durability barrier of the engine.
///
/// Every call that makes something durable says which barrier it is. Errors name the site, the
/// simulator counts crashes per site, and the sync-removal sweep switches sites off one by one to
/// prove that each is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncSite(&'static str);

impl SyncSite {
    /// A site; by convention `area.what`, for example `commit.journal`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name given to [`SyncSite::new`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for SyncSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for SyncSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncSite({})", self.0)
    }
}

/// What an opened file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a file is read, or read and written")]
pub enum Access {
    /// Reading only; a write is an error.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else: a link, a device, a socket. It is never opened or followed.
    Other,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as text for messages (not necessarily exact: invalid UTF-8 is replaced).
    pub display: String,
    /// The name, if it is one that this crate could have made; `None` for foreign names.
    pub name: Option<Name>,
    /// What the entry is.
    pub kind: EntryKind,
}

/// Whether a lock admits others of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "locks are shared or exclusive")]
pub enum LockMode {
    /// Any number of shared holders.
    Shared,
    /// One holder and no shared ones.
    Exclusive,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("locked by another process{}", pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    HeldElsewhere {
        /// The process that wrote its id into the lock file, as far as can be told.
        pid: Option<u32>,
    },
    /// This process holds it, possibly through another spelling of the path.
    #[error("already locked by this process")]
    HeldHere,
    /// The lock could not be tried.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// A held lock: dropping it releases it. The lock file itself is never removed.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard(#[expect(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

impl LockGuard {
    /// Wraps whatever releases the lock when it is dropped.
    pub fn new(release: impl Send + Sync + 'static) -> Self {
        Self(Box::new(release))
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockGuard")
    }
}

/// Bytes of the file system that holds a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
}

impl Space {
    /// A report of `free` bytes out of `total`.
    #[must_use]
    pub const fn new(free: u64, total: u64) -> Self {
        Self { free, total }
    }
}

/// Which file it is, for as long as it exists: neither a copy of it nor a file that was brought back from
/// an archive is the same one. It stays the same when the system starts again, or the file gets another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileIdentity {
    /// Its number in the file system. Once it is gone, others may get that number.
    pub number: u64,
    /// When it was made, in nanoseconds since 1970; 0 where the file system does not say.
    pub born: u64,
}

impl FileIdentity {
    /// The file of this number that was made then.
    #[must_use]
    pub const fn new(number: u64, born: u64) -> Self {
        Self { number, born }
    }
}

/// A directory, held open.
///
/// All operations are relative to the directory itself, not to its path: renaming the directory
/// does not redirect them, and no symbolic link is followed anywhere. A create, rename or remove is
/// durable only after [`Dir::sync`]; until then a crash may leave either state.
pub trait Dir: Any + fmt::Debug + Send + Sync {
    /// Where the directory was when it was opened: for messages, never for access.
    fn path(&self) -> &Path;

    /// Opens a directory below this one.
    ///
    /// # Errors
    /// `NotFound`; `NotADirectory` for a file or a link.
    fn open_dir(&self, name: &Name) -> IoResult<DirRef>;

    /// Creates a directory (mode 0700) below this one and opens it.
    ///
    /// # Errors
    /// `AlreadyExists` for anything of that name.
    fn create_dir(&self, name: &Name) -> IoResult<DirRef>;

    /// Opens an existing regular file.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for anything that is not a regular file (a link, FIFO, device).
    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef>;

    /// Creates a new file (mode 0600) and opens it for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` for anything of that name: nothing is ever truncated or replaced.
    fn create(&self, name: &Name) -> IoResult<FileRef>;

    /// Gives the regular file `source` of the directory `from` a second name in this one: a hard link.
    /// Both names then lead to the same bytes, and neither is the original. As a create, it is durable
    /// after [`Dir::sync`] of this directory.
    ///
    /// Not every file system has this, and none has it across devices: whoever calls it must be able
    /// to copy instead.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`; `CrossesDevices` if `from` lies on another disk; `Unsupported`, and
    /// whatever else the file system reports.
    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        let _ = (from, source);
        let path = self.path().join(name.as_str());
        Err(IoError::new(IoOp::Link, &path, std::io::ErrorKind::Unsupported))
    }

    /// Shows a file that is open, on whatever disk it lies, under a name of this directory, for reading only. A
    /// directory in memory does this ([`MemDisk`](crate::MemDisk)), so that what lies elsewhere can be looked at as a
    /// part of something else without being copied.
    ///
    /// # Errors
    /// `AlreadyExists` for anything of that name; `Unsupported` on a disk.
    fn show(&self, name: &Name, file: &FileRef) -> IoResult<()> {
        let _ = file;
        let path = self.path().join(name.as_str());
        Err(IoError::new(IoOp::Link, &path, std::io::ErrorKind::Unsupported))
    }

    /// Renames a file within this directory, atomically replacing a file at `to`.
    ///
    /// # Errors
    /// `NotFound`, and whatever the file system reports.
    fn rename(&self, from: &Name, to: &Name) -> IoResult<()>;

    /// Renames a file or directory within this directory; what stands at `to` is never replaced.
    ///
    /// # Errors
    /// `AlreadyExists` if `to` exists.
    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, and whatever the file system reports.
    fn remove(&self, name: &Name) -> IoResult<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, `NotFound`.
    fn remove_dir(&self, name: &Name) -> IoResult<()>;

    /// All entries but `.` and `..`, sorted by name.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn list(&self) -> IoResult<Vec<Entry>>;

    /// Makes all creates, renames and removes of this directory durable.
    ///
    /// # Errors
    /// A failed sync leaves the outcome unknown and must not be repeated: see
    /// [`assumptions`](crate::assumptions).
    fn sync(&self, site: SyncSite) -> IoResult<()>;

    /// Takes a lock on the file `name` of this directory, creating the file if it is missing.
    ///
    /// The lock belongs to the guard, ends with the process, and excludes other holders in this
    /// process as well. It never waits. Where there are other processes, an exclusive holder's id
    /// stands in the file as long as it holds, for [`LockError::HeldElsewhere`]. The file must never be removed: a
    /// holder and a newcomer would then lock different files.
    ///
    /// # Errors
    /// See [`LockError`].
    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError>;

    /// Free and total bytes of the file system.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn space(&self) -> IoResult<Space>;
}

/// An open regular file. Offsets are absolute; there is no cursor.
pub trait File: fmt::Debug + Send + Sync {
    /// Where the file was when it was opened: for messages.
    fn path(&self) -> &Path;

    /// Reads at most `buf.len()` bytes; 0 means end of file. May be short: [`FileExt`] loops.
    ///
    /// # Errors
    /// Whatever the file system reports; interrupted calls are repeated inside.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize>;

    /// Writes at most `buf.len()` bytes, growing the file as needed. May be short: [`FileExt`]
    /// loops. Written bytes are visible to readers at once and durable after [`File::sync`].
    ///
    /// # Errors
    /// Whatever the file system reports; interrupted calls are repeated inside.
    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize>;

    /// Makes the bytes and the length of the file durable (not its name: that is [`Dir::sync`]).
    ///
    /// # Errors
    /// A failed sync leaves the outcome unknown and must not be repeated: see
    /// [`assumptions`](crate::assumptions).
    fn sync(&self, site: SyncSite) -> IoResult<()>;

    /// Sets the length: cuts the file, or grows it by zeros.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn set_len(&self, len: u64) -> IoResult<()>;

    /// The current length.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn len(&self) -> IoResult<u64>;

    /// Whether the file is empty.
    ///
    /// # Errors
    /// As [`File::len`].
    fn is_empty(&self) -> IoResult<bool> {
        Ok(self.len()? == 0)
    }

    /// How many directory entries name this file. More than one means that somebody has made a
    /// hard link, so the file must not be written again.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn links(&self) -> IoResult<u64>;

    /// Which file this is.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn identity(&self) -> IoResult<FileIdentity>;

    /// A read-only view of `len` bytes without a copy, where the file can be mapped; `None` means
    /// that the caller reads instead. Only for ranges that are written and will never change.
    ///
    /// # Errors
    /// `UnexpectedEof` if the range exceeds the file.
    fn map(&self, offset: u64, len: usize) -> IoResult<Option<Bytes>>;

    /// Tells the system that `len` bytes from `offset` will not be read again soon. A hint: errors are
    /// ignored. They are gone from memory also for those who had them there: see
    /// [`read_in_passing`](FileExt::read_in_passing).
    fn forget(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Tells the system that `len` bytes from `offset` will be read soon, so that it fetches them meanwhile. A hint: errors
    /// are ignored.
    fn expect(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// As [`read_at`](Self::read_at), but only what needs no waiting because the system has it in memory; 0 where
    /// that is nothing, or cannot be told.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let _ = (offset, buf);
        Ok(0)
    }

    /// Starts to bring `len` bytes from `offset` to the disk, and does not wait: a [`File::sync`] that
    /// follows finds less to do. A hint: errors are ignored, and only the sync makes them durable.
    fn write_back(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }
}

/// Whether a call was interrupted by a signal before it did anything.
fn is_interrupted(error: &IoError) -> bool {
    error.kind() == std::io::ErrorKind::Interrupted
}

/// Loops over short and interrupted reads and writes.
pub trait FileExt: File {
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends first; otherwise as [`File::read_at`].
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<()> {
        if self.read_full_at(offset, buf)? < buf.len() {
            return Err(IoError::new(IoOp::Read, self.path(), std::io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }

    /// As [`read_exact_at`](Self::read_exact_at), for who will not read this again: what the system had in memory
    /// stays there, for the application that has read it, and what it had not does not push out anything for long.
    ///
    /// # Errors
    /// As [`read_exact_at`](Self::read_exact_at).
    fn read_in_passing(&self, offset: u64, buf: &mut [u8]) -> IoResult<()> {
        let cached = self.read_cached_at(offset, buf)?;
        let rest = buf.get_mut(cached..).unwrap_or_default();
        if !rest.is_empty() {
            let at = offset + cached as u64;
            self.read_exact_at(at, rest)?;
            self.forget(at, rest.len() as u64);
        }
        Ok(())
    }

    /// Reads until `buf` is full or the file ends, and returns the number of bytes read. Where a read
    /// gives nothing, the length of the file decides whether it ends there; if the file has more, it may
    /// have grown since, and is read once more.
    ///
    /// # Errors
    /// As [`File::read_at`] and [`File::len`].
    fn read_full_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let mut done = 0;
        let mut had_nothing = false;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(offset + done as u64, rest) {
                Ok(0) if self.len()? <= offset + done as u64 => break,
                Ok(0) if had_nothing => {
                    let why = std::io::Error::other("reads of nothing before the end of the file");
                    return Err(IoError::new(IoOp::Read, self.path(), why));
                }
                Ok(0) => had_nothing = true,
                Ok(n) => {
                    had_nothing = false;
                    done += n;
                }
                Err(error) if is_interrupted(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// `WriteZero` if the file accepts no more; otherwise as [`File::write_at`]. Part of `buf` may
    /// have been written.
    fn write_all_at(&self, offset: u64, buf: &[u8]) -> IoResult<()> {
        let mut done = 0;
        while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_at(offset + done as u64, rest) {
                Ok(0) => {
                    return Err(IoError::new(
                        IoOp::Write,
                        self.path(),
                        std::io::ErrorKind::WriteZero,
                    ));
                }
                // Planted: a short write taken for a whole one.
                Ok(_) if crate::planted::is(4) => done = buf.len(),
                Ok(n) => done += n,
                Err(error) if is_interrupted(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<F: File + ?Sized> FileExt for F {}

/// Small files as a whole.
pub trait DirExt: Dir {
    /// Whether an entry of that name exists, whatever it is.
    ///
    /// # Errors
    /// As [`Dir::list`].
    fn has(&self, name: &Name) -> IoResult<bool> {
        Ok(self.list()?.iter().any(|entry| entry.name.as_ref() == Some(name)))
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound`; `FileTooLarge` beyond the limit, before anything is allocated for it.
    fn read_small(&self, name: &Name, limit: usize) -> IoResult<Vec<u8>> {
        let file = self.open(name, Access::Read)?;
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        if len > limit {
            return Err(IoError::new(IoOp::Read, file.path(), std::io::ErrorKind::FileTooLarge));
        }
        let mut bytes = vec![0; len];
        let read = file.read_full_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Replaces the file `name` so that a crash leaves the old content or the new, whole: writes
    /// `temporary`, syncs it, renames it over `name`, syncs the directory.
    ///
    /// # Errors
    /// On an error `name` still has its old content, or after a failed directory sync possibly the
    /// new one.
    fn replace_small(
        &self,
        name: &Name,
        temporary: &Name,
        content: &[u8],
        site: SyncSite,
    ) -> IoResult<()> {
        if self.has(temporary)? {
            self.remove(temporary)?; // left by a crash before its rename
        }
        let file = self.create(temporary)?;
        file.write_all_at(0, content)?;
        // Planted: renamed before it is synced.
        if !crate::planted::is(39) {
            file.sync(site)?;
        }
        self.rename(temporary, name)?;
        self.sync(site)
    }
}

impl<D: Dir + ?Sized> DirExt for D {}
