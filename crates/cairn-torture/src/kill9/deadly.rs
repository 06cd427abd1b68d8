//! `Fuse`: a directory whose process dies at a chosen call, without a debugger and without help from outside.

use std::{
    any::Any,
    fmt,
    path::Path,
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cairn_io::{
    Access, Dir, DirRef, Entry, File, FileIdentity, FileRef, IoResult, LockError, LockGuard,
    LockMode, Name, Space, SyncSite,
};
use rustix::process::{Signal, getpid, kill_process};

/// When a process dies that dies at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Moment {
    /// On entering it.
    Before,
    /// Half of a write is done; of anything else, nothing.
    Midway,
    /// It is done, and nobody has been told.
    After,
    /// It is done, and from then on the process gets only so many bytes of memory more; it dies when it
    /// needs another one, which may be much later, or never.
    Starved(u32),
}

/// How this process is starved: takes all memory away but so many bytes.
static STARVE: OnceLock<fn(usize)> = OnceLock::new();

/// Says how this process is starved, once. Without that it never is.
pub fn starve_with(starve: fn(usize)) {
    STARVE.get_or_init(|| starve);
}

/// A call that changes something: its number among those of the process, from 0 on, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two facts")]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Whether it is still done.
    pub moment: Moment,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.moment {
            Moment::Before => write!(f, "before")?,
            Moment::Midway => write!(f, "midway")?,
            Moment::After => write!(f, "after")?,
            Moment::Starved(bytes) => write!(f, "starved:{bytes}")?,
        }
        write!(f, "-{}", self.number)
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("no call: {text}");
        let (moment, number) = text.split_once('-').ok_or_else(bad)?;
        let moment = match moment {
            "before" => Moment::Before,
            "midway" => Moment::Midway,
            "after" => Moment::After,
            _ => match moment.strip_prefix("starved:").map(str::parse) {
                Some(Ok(bytes)) => Moment::Starved(bytes),
                _ => return Err(bad()),
            },
        };
        Ok(Self { number: number.parse().map_err(|_| bad())?, moment })
    }
}

/// Counts what is written, synced, created, renamed, linked, removed, locked or cut, and kills the process
/// at one of these calls.
#[derive(Debug)]
pub struct Fuse {
    calls: AtomicU64,
    at: Option<Call>,
}

impl Fuse {
    /// A fuse that blows at a call, or never.
    #[must_use]
    pub fn new(at: Option<Call>) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), at })
    }

    /// Everything below `dir` on this fuse.
    #[must_use]
    pub fn guard(self: &Arc<Self>, dir: DirRef) -> DirRef {
        Arc::new(DeadlyDir { inner: dir, fuse: Arc::clone(self) })
    }

    /// Does `act`; does half of it instead, or nothing, if that is the last thing that the process does.
    fn pass<T>(&self, half: impl FnOnce(), act: impl FnOnce() -> T) -> T {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let moment = self.at.filter(|at| at.number == number).map(|at| at.moment);
        match moment {
            Some(Moment::Before) => die(),
            Some(Moment::Midway) => {
                half();
                die()
            }
            Some(Moment::After | Moment::Starved(_)) | None => {}
        }
        let result = act();
        match (moment, STARVE.get()) {
            (Some(Moment::Starved(bytes)), Some(starve)) => starve(bytes as usize),
            (Some(Moment::Starved(_)), None) | (None, _) => {}
            (Some(_), _) => die(),
        }
        result
    }

    fn call<T>(&self, act: impl FnOnce() -> T) -> T {
        self.pass(|| {}, act)
    }
}

fn die() -> ! {
    loop {
        // The signal cannot be caught; it may reach this thread a little later than others.
        kill_process(getpid(), Signal::KILL).unwrap_or(());
    }
}

struct DeadlyDir {
    inner: DirRef,
    fuse: Arc<Fuse>,
}

impl DeadlyDir {
    fn file(&self, inner: FileRef) -> FileRef {
        Arc::new(DeadlyFile { inner, fuse: Arc::clone(&self.fuse) })
    }
}

impl Dir for DeadlyDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        Ok(self.fuse.guard(self.inner.open_dir(name)?))
    }

    fn create_dir(&self, name: &Name) -> IoResult<DirRef> {
        Ok(self.fuse.guard(self.fuse.call(|| self.inner.create_dir(name))?))
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        Ok(self.file(self.inner.open(name, access)?))
    }

    fn create(&self, name: &Name) -> IoResult<FileRef> {
        Ok(self.file(self.fuse.call(|| self.inner.create(name))?))
    }

    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        let same: &dyn Any = from;
        let from = same.downcast_ref::<Self>().map_or(from, |deadly| &*deadly.inner);
        self.fuse.call(|| self.inner.link(name, from, source))
    }

    fn rename(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.fuse.call(|| self.inner.rename(from, to))
    }

    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.fuse.call(|| self.inner.rename_new(from, to))
    }

    fn remove(&self, name: &Name) -> IoResult<()> {
        self.fuse.call(|| self.inner.remove(name))
    }

    fn remove_dir(&self, name: &Name) -> IoResult<()> {
        self.fuse.call(|| self.inner.remove_dir(name))
    }

    fn list(&self) -> IoResult<Vec<Entry>> {
        self.inner.list()
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        self.fuse.call(|| self.inner.sync(site))
    }

    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
        self.fuse.call(|| self.inner.lock(name, mode))
    }

    fn space(&self) -> IoResult<Space> {
        self.inner.space()
    }
}

impl fmt::Debug for DeadlyDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadlyDir({})", self.path().display())
    }
}

struct DeadlyFile {
    inner: FileRef,
    fuse: Arc<Fuse>,
}

impl File for DeadlyFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize> {
        let half = || drop(self.inner.write_at(offset, &buf[..buf.len() / 2]));
        self.fuse.pass(half, || self.inner.write_at(offset, buf))
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        self.fuse.call(|| self.inner.sync(site))
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        self.fuse.call(|| self.inner.set_len(len))
    }

    fn len(&self) -> IoResult<u64> {
        self.inner.len()
    }

    fn links(&self) -> IoResult<u64> {
        self.inner.links()
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        self.inner.identity()
    }

    fn map(&self, offset: u64, len: usize) -> IoResult<Option<Bytes>> {
        self.inner.map(offset, len)
    }

    fn forget(&self, offset: u64, len: u64) {
        self.inner.forget(offset, len);
    }

    fn expect(&self, offset: u64, len: u64) {
        self.inner.expect(offset, len);
    }

    fn write_back(&self, offset: u64, len: u64) {
        self.inner.write_back(offset, len);
    }
}

impl fmt::Debug for DeadlyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadlyFile({})", self.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_change_something_are_counted() {
        let fuse = Fuse::new(None);
        let dir = fuse.guard(cairn_io::MemDisk::new().root());
        let name = Name::new("file").unwrap();
        let file = dir.create(&name).unwrap();
        file.write_at(0, b"text").unwrap();
        file.read_at(0, &mut [0; 4]).unwrap();
        file.sync(SyncSite::new("test")).unwrap();
        dir.list().unwrap();
        dir.remove(&name).unwrap();
        assert_eq!(fuse.calls.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_call_is_written_as_it_is_read() {
        for moment in [Moment::Before, Moment::Midway, Moment::After, Moment::Starved(96)] {
            let call = Call { number: 17, moment };
            assert_eq!(call.to_string().parse(), Ok(call));
        }
        assert!("sometime-3".parse::<Call>().is_err());
    }
}
