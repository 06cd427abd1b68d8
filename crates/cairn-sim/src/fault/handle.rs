//! Directories and files of a `FaultDisk`.

use std::{
    any::Any,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cairn_io::{
    Access, Dir, DirRef, Entry, File, FileIdentity, FileRef, IoError, IoOp, IoResult, LockError,
    LockGuard, LockMode, Name, Space, SyncSite,
};

use super::{
    State, lock,
    rule::{Call, Fault},
};

/// Counts a call that moves no bytes, and lets it fail if it is to.
fn check(state: &Mutex<State>, op: IoOp, path: &Path) -> IoResult<()> {
    let call = Call { op, path, site: None, range: None };
    match lock(state).next(&call).and_then(Fault::error) {
        Some(error) => Err(IoError::new(op, path, error)),
        None => Ok(()),
    }
}

fn sync_with(
    state: &Mutex<State>,
    path: &Path,
    site: SyncSite,
    sync: impl FnOnce() -> IoResult<()>,
) -> IoResult<()> {
    let mut locked = lock(state);
    let call = Call { op: IoOp::Sync, path, site: Some(site), range: None };
    let error = locked.next(&call).and_then(Fault::error);
    if locked.skipped_sites.contains(&site) {
        return Ok(());
    }
    let sim = locked.sim.clone().filter(|_| error.is_some());
    locked.failed_syncs += u64::from(sim.is_some());
    drop(locked);
    let Some(error) = error else { return sync() };
    if let Some((disk, kept)) = sim {
        disk.fail_next_sync(kept);
        sync().expect_err("it fails because the disk was told to let it fail");
    }
    Err(IoError::new(IoOp::Sync, path, error).at_site(site))
}

pub(super) struct FaultDir {
    pub(super) inner: DirRef,
    pub(super) state: Arc<Mutex<State>>,
}

impl FaultDir {
    /// Counts a call on the entry `name`.
    fn check(&self, op: IoOp, name: &Name) -> IoResult<()> {
        check(&self.state, op, &self.path().join(name.as_str()))
    }

    fn dir(&self, inner: DirRef) -> DirRef {
        Arc::new(Self { inner, state: Arc::clone(&self.state) })
    }

    fn file(&self, inner: FileRef) -> FileRef {
        Arc::new(FaultFile { inner, state: Arc::clone(&self.state) })
    }
}

impl Dir for FaultDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        self.check(IoOp::Open, name)?;
        Ok(self.dir(self.inner.open_dir(name)?))
    }

    fn create_dir(&self, name: &Name) -> IoResult<DirRef> {
        self.check(IoOp::Create, name)?;
        Ok(self.dir(self.inner.create_dir(name)?))
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        self.check(IoOp::Open, name)?;
        Ok(self.file(self.inner.open(name, access)?))
    }

    fn create(&self, name: &Name) -> IoResult<FileRef> {
        self.check(IoOp::Create, name)?;
        Ok(self.file(self.inner.create(name)?))
    }

    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        self.check(IoOp::Link, name)?;
        let same: &dyn Any = from;
        let from = same.downcast_ref::<Self>().map_or(from, |faulty| &*faulty.inner);
        self.inner.link(name, from, source)
    }

    fn rename(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.check(IoOp::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.check(IoOp::Rename, from)?;
        self.inner.rename_new(from, to)
    }

    fn remove(&self, name: &Name) -> IoResult<()> {
        self.check(IoOp::Remove, name)?;
        let file = self.inner.open(name, Access::Read).ok();
        let freed = file.filter(|file| file.links().is_ok_and(|links| links == 1));
        self.inner.remove(name)?;
        if let Some(len) = freed.and_then(|file| file.len().ok()) {
            lock(&self.state).resize(len, 0);
        }
        Ok(())
    }

    fn remove_dir(&self, name: &Name) -> IoResult<()> {
        self.check(IoOp::Remove, name)?;
        self.inner.remove_dir(name)
    }

    fn list(&self) -> IoResult<Vec<Entry>> {
        check(&self.state, IoOp::List, self.path())?;
        self.inner.list()
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        sync_with(&self.state, self.path(), site, || self.inner.sync(site))
    }

    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
        self.check(IoOp::Lock, name)?;
        self.inner.lock(name, mode)
    }

    fn space(&self) -> IoResult<Space> {
        check(&self.state, IoOp::Space, self.path())?;
        match lock(&self.state).room {
            Some(room) => Ok(Space::new(room, u64::MAX)),
            None => self.inner.space(),
        }
    }
}

impl fmt::Debug for FaultDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultDir({})", self.path().display())
    }
}

struct FaultFile {
    inner: FileRef,
    state: Arc<Mutex<State>>,
}

impl FaultFile {
    /// Counts a transfer of `len` bytes, and finds what happens to it.
    fn transfer(&self, op: IoOp, offset: u64, len: usize) -> Option<Fault> {
        let range = Some(offset..offset.saturating_add(len as u64));
        let call = Call { op, path: self.path(), site: None, range };
        lock(&self.state).next(&call)
    }

    fn error(&self, op: IoOp, error: io::Error) -> IoError {
        IoError::new(op, self.path(), error)
    }

    /// Takes the room that a file of `len` bytes needs beyond what it has.
    fn resize(&self, len: impl FnOnce(u64) -> u64) -> IoResult<()> {
        let from = self.inner.len()?;
        match lock(&self.state).resize(from, len(from)) {
            true => Ok(()),
            false => Err(self.error(IoOp::Write, io::ErrorKind::StorageFull.into())),
        }
    }
}

impl File for FaultFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let part = buf.len().div_ceil(2);
        match self.transfer(IoOp::Read, offset, buf.len()) {
            Some(Fault::Short) => self.inner.read_at(offset, &mut buf[..part]),
            Some(Fault::Zero) => Ok(0),
            Some(Fault::FlippedRead(bit)) => {
                let len = self.inner.read_at(offset, buf)?;
                if let Some(bit) = bit.checked_rem(len * 8) {
                    buf[bit / 8] ^= 1 << (bit % 8);
                }
                Ok(len)
            }
            fault => match fault.and_then(Fault::error) {
                Some(error) => Err(self.error(IoOp::Read, error)),
                None => self.inner.read_at(offset, buf),
            },
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize> {
        let part = &buf[..buf.len().div_ceil(2)];
        match self.transfer(IoOp::Write, offset, buf.len()) {
            Some(Fault::Short) => self.inner.write_at(offset, part),
            Some(Fault::Zero) => Ok(0),
            Some(Fault::LostWrite) => Ok(buf.len()),
            fault => match fault.and_then(Fault::error) {
                Some(error) => {
                    if fault == Some(Fault::PartThenEio) && buf.len() > 1 {
                        self.inner.write_at(offset, part)?;
                    }
                    Err(self.error(IoOp::Write, error))
                }
                None => {
                    self.resize(|len| len.max(offset + buf.len() as u64))?;
                    self.inner.write_at(offset, buf)
                }
            },
        }
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        sync_with(&self.state, self.path(), site, || self.inner.sync(site))
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        check(&self.state, IoOp::Write, self.path())?;
        self.resize(|_| len)?;
        self.inner.set_len(len)
    }

    fn len(&self) -> IoResult<u64> {
        check(&self.state, IoOp::Read, self.path())?;
        self.inner.len()
    }

    fn links(&self) -> IoResult<u64> {
        check(&self.state, IoOp::Read, self.path())?;
        self.inner.links()
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        check(&self.state, IoOp::Read, self.path())?;
        self.inner.identity()
    }

    fn map(&self, _: u64, _: usize) -> IoResult<Option<Bytes>> {
        Ok(None)
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

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultFile({})", self.path().display())
    }
}
