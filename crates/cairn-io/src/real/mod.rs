//! `RealDir`: a directory of the operating system, reached through its descriptor alone.

mod file;
mod lock;
mod private;
mod system;

use std::{
    any::Any,
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::{Errno, retry_on_intr},
};

use crate::{
    Access, Dir, DirRef, Entry, EntryKind, FileRef, IoError, IoOp, IoResult, LockError, LockGuard,
    LockMode, Name, Space, SyncSite,
};
use file::RealFile;
pub use private::read_private;

/// How files are opened: never through a link, never as our terminal, never waiting for the other
/// end of a FIFO.
const REGULAR: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// How directories are opened, except the outermost, whose path is the user's affair.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory of the operating system.
///
/// It is opened by path once; everything below is reached through the open directory, so renaming
/// it or changing the current directory redirects nothing. No link is followed below it and only
/// regular files are opened. Files and directories are created for their owner alone (modes 0600
/// and 0700), whatever the umask. Works on Unix.
///
/// ```
/// use cairn_io::{Access, Name, RealDir, SyncSite};
///
/// # let scratch = tempfile::tempdir()?;
/// # let path = scratch.path().join("cellar");
/// let dir = RealDir::create(&path)?; // made durable in its parent
/// let name = Name::new("greeting").unwrap();
/// dir.create(&name)?.write_at(0, b"hello")?;
/// dir.sync(SyncSite::new("example"))?;
/// assert_eq!(dir.open(&name, Access::Read)?.len()?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RealDir {
    fd: OwnedFd,
    path: PathBuf,
    options: RealOptions,
}

impl RealDir {
    /// Opens an existing directory. Links in `path` itself are followed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, and whatever the file system reports.
    pub fn open(path: &Path) -> IoResult<DirRef> {
        RealOptions::default().open(path)
    }

    /// Creates the directory `path`, whose parent must exist, and makes it durable there: when
    /// this returns, a crash leaves the directory in place.
    ///
    /// # Errors
    /// `AlreadyExists` for anything at `path`; `NotFound` without a parent; and whatever the file
    /// system reports. The directory may have been created when a later step fails.
    pub fn create(path: &Path) -> IoResult<DirRef> {
        RealOptions::default().create(path)
    }

    /// The choices that [`RealDir::open`] and [`RealDir::create`] make by default.
    #[must_use]
    pub fn options() -> RealOptions {
        RealOptions::default()
    }

    fn error(&self, op: IoOp, name: &Name, source: impl Into<io::Error>) -> IoError {
        IoError::new(op, &self.path.join(name.as_str()), source)
    }

    fn error_here(&self, op: IoOp, source: impl Into<io::Error>) -> IoError {
        IoError::new(op, &self.path, source)
    }

    /// The directory `name`, opened.
    fn below(&self, op: IoOp, name: &Name) -> IoResult<Self> {
        let flags = OFlags::RDONLY | DIRECTORY;
        let fd =
            retry_on_intr(|| rustix::fs::openat(&self.fd, name.as_str(), flags, Mode::empty()))
                .map_err(|errno| {
                    // Systems disagree on what a link is called here.
                    let errno = if errno == Errno::LOOP { Errno::NOTDIR } else { errno };
                    self.error(op, name, errno)
                })?;
        Ok(Self { fd, path: self.path.join(name.as_str()), options: self.options })
    }

    /// The opened file, if it is a regular one.
    fn regular(&self, op: IoOp, name: &Name, fd: OwnedFd) -> IoResult<FileRef> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.error(op, name, errno))?;
        check_regular(&stat).map_err(|source| self.error(op, name, source))?;
        let mapping = self.options.mapping && !system::is_remote(fd.as_fd());
        Ok(Arc::new(RealFile::new(fd, self.path.join(name.as_str()), mapping)))
    }

    /// [`Dir::rename_new`] where the file system has no such call.
    fn rename_new_in_steps(&self, from: &Name, to: &Name) -> Result<(), Errno> {
        let stat = rustix::fs::statat(&self.fd, from.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            // A second name fails if there is such a name; a crash leaves one or both.
            let none = AtFlags::empty();
            rustix::fs::linkat(&self.fd, from.as_str(), &self.fd, to.as_str(), none)?;
            return rustix::fs::unlinkat(&self.fd, from.as_str(), none);
        }
        // Directories have no second names. Renaming one replaces an empty directory at most, and
        // only if it appears between these two calls.
        match rustix::fs::statat(&self.fd, to.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => {
                rustix::fs::renameat(&self.fd, from.as_str(), &self.fd, to.as_str())
            }
            Err(errno) => Err(errno),
        }
    }
}

/// How a [`RealDir`] and everything below it is opened.
#[derive(Clone, Copy, Debug)]
pub struct RealOptions {
    mapping: bool,
}

impl Default for RealOptions {
    fn default() -> Self {
        Self { mapping: true }
    }
}

impl RealOptions {
    /// Whether [`File::map`](crate::File::map) may map files opened below this directory. On by
    /// default, and always off on network and user-space file systems and where the kind of the
    /// file system cannot be told. Without it the same reads go through `read_at`.
    ///
    /// What a mapping costs: if the device fails under it, or another program cuts the file, the
    /// process is killed by SIGBUS, which no library can turn into an error; and the system may
    /// drop a page and read it again without anybody checking it. A process that must outlive that
    /// switches mapping off.
    #[must_use]
    pub fn mapping(mut self, allowed: bool) -> Self {
        self.mapping = allowed;
        self
    }

    /// As [`RealDir::open`].
    ///
    /// # Errors
    /// As [`RealDir::open`].
    pub fn open(self, path: &Path) -> IoResult<DirRef> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Arc::new(self.open_with(IoOp::Open, path, flags)?))
    }

    /// As [`RealDir::create`].
    ///
    /// # Errors
    /// As [`RealDir::create`].
    pub fn create(self, path: &Path) -> IoResult<DirRef> {
        let fail = |errno: Errno| IoError::new(IoOp::Create, path, errno);
        retry_on_intr(|| rustix::fs::mkdirat(CWD, path, Mode::RWXU)).map_err(fail)?;
        let dir = self.open_with(IoOp::Create, path, OFlags::RDONLY | DIRECTORY)?;
        rustix::fs::fchmod(&dir.fd, Mode::RWXU).map_err(fail)?;
        if let Some(parent) = dir.path.parent() {
            let site = SyncSite::new("create.parent");
            RealDir::open(parent)?.sync(site)?;
        }
        Ok(Arc::new(dir))
    }

    fn open_with(self, op: IoOp, path: &Path, flags: OFlags) -> IoResult<RealDir> {
        let absolute = std::path::absolute(path).map_err(|error| IoError::new(op, path, error))?;
        let fd = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))
            .map_err(|errno| IoError::new(op, &absolute, errno))?;
        Ok(RealDir { fd, path: absolute, options: self })
    }
}

/// What opening a thing that is no regular file may answer before it can be looked at.
fn not_regular(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP | Errno::MLINK | Errno::ISDIR | Errno::NXIO | Errno::NODEV => {
            io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
        }
        errno => errno.into(),
    }
}

fn check_regular(stat: &Stat) -> io::Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn kind(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Dir,
        _ => EntryKind::Other,
    }
}

impl Dir for RealDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        Ok(Arc::new(self.below(IoOp::Open, name)?))
    }

    fn create_dir(&self, name: &Name) -> IoResult<DirRef> {
        let fail = |errno| self.error(IoOp::Create, name, errno);
        retry_on_intr(|| rustix::fs::mkdirat(&self.fd, name.as_str(), Mode::RWXU)).map_err(fail)?;
        let dir = self.below(IoOp::Create, name)?;
        rustix::fs::fchmod(&dir.fd, Mode::RWXU).map_err(fail)?; // the umask and inherited bits
        Ok(Arc::new(dir))
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        let flags = REGULAR
            | match access {
                Access::Read => OFlags::RDONLY,
                Access::ReadWrite => OFlags::RDWR,
            };
        let fd =
            retry_on_intr(|| rustix::fs::openat(&self.fd, name.as_str(), flags, Mode::empty()))
                .map_err(|errno| self.error(IoOp::Open, name, not_regular(errno)))?;
        self.regular(IoOp::Open, name, fd)
    }

    fn create(&self, name: &Name) -> IoResult<FileRef> {
        let fail = |errno| self.error(IoOp::Create, name, errno);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | REGULAR;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = retry_on_intr(|| rustix::fs::openat(&self.fd, name.as_str(), flags, mode))
            .map_err(fail)?;
        rustix::fs::fchmod(&fd, mode).map_err(fail)?; // the umask may have taken bits away
        self.regular(IoOp::Create, name, fd)
    }

    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        let fail = |error: io::Error| self.error(IoOp::Link, name, error);
        let from: &dyn Any = from;
        let from = from.downcast_ref::<Self>();
        let from = from.ok_or_else(|| fail(io::ErrorKind::CrossesDevices.into()))?;
        // A link to a link, a FIFO or a device would do no harm here, but is not what was asked for.
        let stat = rustix::fs::statat(&from.fd, source.as_str(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| fail(errno.into()))?;
        check_regular(&stat).map_err(fail)?;
        retry_on_intr(|| {
            let none = AtFlags::empty();
            rustix::fs::linkat(&from.fd, source.as_str(), &self.fd, name.as_str(), none)
        })
        .map_err(|errno| fail(errno.into()))
    }

    fn rename(&self, from: &Name, to: &Name) -> IoResult<()> {
        retry_on_intr(|| rustix::fs::renameat(&self.fd, from.as_str(), &self.fd, to.as_str()))
            .map_err(|errno| self.error(IoOp::Rename, from, errno))
    }

    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()> {
        match system::rename_new(self.fd.as_fd(), from.as_str(), to.as_str()) {
            Err(errno) if system::is_unsupported(errno) => self.rename_new_in_steps(from, to),
            other => other,
        }
        .map_err(|errno| self.error(IoOp::Rename, from, errno))
    }

    fn remove(&self, name: &Name) -> IoResult<()> {
        retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name.as_str(), AtFlags::empty()))
            .map_err(|errno| self.error(IoOp::Remove, name, errno))
    }

    fn remove_dir(&self, name: &Name) -> IoResult<()> {
        retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name.as_str(), AtFlags::REMOVEDIR))
            .map_err(|errno| self.error(IoOp::Remove, name, errno))
    }

    fn list(&self) -> IoResult<Vec<Entry>> {
        let fail = |errno| self.error_here(IoOp::List, errno);
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let raw = entry.file_name().to_bytes();
            if matches!(raw, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    match rustix::fs::statat(&self.fd, entry.file_name(), flags) {
                        Ok(stat) => kind(FileType::from_raw_mode(stat.st_mode)),
                        Err(Errno::NOENT) => continue, // removed since it was listed
                        Err(errno) => return Err(fail(errno)),
                    }
                }
                known => kind(known),
            };
            let name = std::str::from_utf8(raw).ok().and_then(|text| Name::new(text).ok());
            let display = String::from_utf8_lossy(raw).into_owned();
            entries.push((raw.to_vec(), Entry { display, name, kind }));
        }
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        system::sync_dir(self.fd.as_fd())
            .map_err(|errno| self.error_here(IoOp::Sync, errno).at_site(site))
    }

    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
        lock::acquire(self, name, mode)
    }

    fn space(&self) -> IoResult<Space> {
        let stat = retry_on_intr(|| rustix::fs::fstatvfs(&self.fd))
            .map_err(|errno| self.error_here(IoOp::Space, errno))?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space::new(bytes(stat.f_bavail), bytes(stat.f_blocks)))
    }
}

impl fmt::Debug for RealDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealDir({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_call_for_it_rename_new_still_never_replaces() {
        let scratch = tempfile::tempdir().unwrap();
        let options = RealOptions::default();
        let flags = OFlags::RDONLY | DIRECTORY;
        let dir = options.open_with(IoOp::Open, scratch.path(), flags).unwrap();
        let [a, b, d, e] = ["a", "b", "d", "e"].map(|text| Name::new(text).unwrap());
        dir.create(&a).unwrap().write_at(0, b"a").unwrap();
        dir.create(&b).unwrap();
        dir.create_dir(&d).unwrap();
        for (from, to) in [(&a, &b), (&a, &d), (&d, &a), (&d, &d)] {
            assert_eq!(dir.rename_new_in_steps(from, to), Err(Errno::EXIST), "{from} to {to}");
        }
        assert_eq!(dir.rename_new_in_steps(&e, &b), Err(Errno::NOENT));
        dir.remove(&b).unwrap();
        dir.rename_new_in_steps(&a, &b).unwrap();
        dir.rename_new_in_steps(&d, &e).unwrap();
        let names: Vec<_> = dir.list().unwrap().into_iter().map(|entry| entry.display).collect();
        assert_eq!(names, ["b", "e"]);
        let file = dir.open(&b, Access::Read).unwrap();
        assert_eq!((file.len().unwrap(), file.links().unwrap()), (1, 1));
    }
}
