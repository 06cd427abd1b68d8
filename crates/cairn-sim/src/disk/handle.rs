//! Directories and files of a `SimDisk`.

use std::{any::Any, fmt, io, path::Path, sync::Arc};

use bytes::Bytes;
use cairn_io::{
    Access, Dir, DirRef, Entry as Listed, File, FileIdentity, FileRef, IoError, IoOp, IoResult,
    LockError, LockGuard, LockMode, Name, Space, SyncSite,
};

use super::Shared;
use crate::{
    model::{DirId, FileId, Node},
    trace::{Op, Subject},
};

pub(super) struct SimDir {
    pub(super) shared: Arc<Shared>,
    pub(super) inner: DirRef,
    pub(super) id: DirId,
}

impl SimDir {
    fn file(&self, inner: FileRef, system: FileRef, id: FileId) -> FileRef {
        Arc::new(SimFile { shared: Arc::clone(&self.shared), inner, system, id })
    }

    fn dir(&self, inner: DirRef, id: DirId) -> DirRef {
        Arc::new(Self { shared: Arc::clone(&self.shared), inner, id })
    }

    fn rename_with(
        &self,
        from: &Name,
        to: &Name,
        rename: impl FnOnce(&dyn Dir) -> IoResult<()>,
    ) -> IoResult<()> {
        let mut log = self.shared.log();
        rename(&*self.inner)?;
        if from != to
            && let Some(node) = log.unplace(self.id, from)
        {
            let op = Op::Rename { to: log.path_below(self.id, to.as_str()) };
            log.record_name(op, self.id, from, node);
            log.place(self.id, to, node);
        }
        Ok(())
    }

    fn remove_with(
        &self,
        name: &Name,
        op: Op,
        remove: impl FnOnce(&dyn Dir) -> IoResult<()>,
    ) -> IoResult<()> {
        let mut log = self.shared.log();
        remove(&*self.inner)?;
        if let Some(node) = log.unplace(self.id, name) {
            log.record_name(op, self.id, name, node);
        }
        Ok(())
    }
}

impl Dir for SimDir {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        let log = self.shared.log();
        let inner = self.inner.open_dir(name)?;
        match log.node(self.id, name) {
            Some(Node::Dir(id)) => Ok(self.dir(inner, id)),
            _ => unreachable!("the live disk has a directory {name} and the log has not"),
        }
    }

    fn create_dir(&self, name: &Name) -> IoResult<DirRef> {
        let mut log = self.shared.log();
        let inner = self.inner.create_dir(name)?;
        let id = log.ids.dir();
        log.place(self.id, name, Node::Dir(id));
        log.record_name(Op::CreateDir, self.id, name, Node::Dir(id));
        Ok(self.dir(inner, id))
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        let log = self.shared.log();
        let inner = self.inner.open(name, access)?;
        let system = match access {
            Access::Read => self.inner.open(name, Access::ReadWrite)?,
            Access::ReadWrite => Arc::clone(&inner),
        };
        match log.node(self.id, name) {
            Some(Node::File(id)) => Ok(self.file(inner, system, id)),
            _ => unreachable!("the live disk has a file {name} and the log has not"),
        }
    }

    fn create(&self, name: &Name) -> IoResult<FileRef> {
        let mut log = self.shared.log();
        let inner = self.inner.create(name)?;
        let id = log.create_file(self.id, name);
        Ok(self.file(Arc::clone(&inner), inner, id))
    }

    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        let elsewhere = || {
            let path = self.path().join(name.as_str());
            IoError::new(IoOp::Link, &path, io::ErrorKind::CrossesDevices)
        };
        let from: &dyn Any = from;
        let from = from.downcast_ref::<Self>().ok_or_else(elsewhere)?;
        if !Arc::ptr_eq(&self.shared, &from.shared) {
            return Err(elsewhere());
        }
        let mut log = self.shared.log();
        self.inner.link(name, &*from.inner, source)?;
        let node = log.node(from.id, source).expect("the live disk has this file");
        log.place(self.id, name, node);
        log.record_name(Op::Link, self.id, name, node);
        Ok(())
    }

    fn rename(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.rename_with(from, to, |dir| dir.rename(from, to))
    }

    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.rename_with(from, to, |dir| dir.rename_new(from, to))
    }

    fn remove(&self, name: &Name) -> IoResult<()> {
        self.remove_with(name, Op::Remove, |dir| dir.remove(name))
    }

    fn remove_dir(&self, name: &Name) -> IoResult<()> {
        self.remove_with(name, Op::RemoveDir, |dir| dir.remove_dir(name))
    }

    fn list(&self) -> IoResult<Vec<Listed>> {
        self.inner.list()
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        self.shared.log().sync(self.path(), site, Subject::Dir(self.id))
    }

    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
        let mut log = self.shared.log();
        let guard = self.inner.lock(name, mode)?;
        if log.node(self.id, name).is_none() {
            log.create_file(self.id, name);
        }
        Ok(guard)
    }

    fn space(&self) -> IoResult<Space> {
        self.inner.space()
    }
}

impl fmt::Debug for SimDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDir({})", self.path().display())
    }
}

struct SimFile {
    shared: Arc<Shared>,
    inner: FileRef,
    /// The same file as the system has it, which may change what is in memory of any file.
    system: FileRef,
    id: FileId,
}

impl File for SimFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize> {
        let mut log = self.shared.log();
        let written = self.inner.write_at(offset, buf)?;
        if written > 0 {
            let bytes = Bytes::copy_from_slice(&buf[..written]);
            log.record_file(Op::Write { offset, bytes }, self.id);
        }
        Ok(written)
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        self.shared.log().sync(self.path(), site, Subject::File(self.id))
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        let mut log = self.shared.log();
        let before = self.inner.len()?;
        self.inner.set_len(len)?;
        if len != before {
            log.record_file(Op::SetLen { len }, self.id);
        }
        Ok(())
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

    fn map(&self, _: u64, _: usize) -> IoResult<Option<Bytes>> {
        Ok(None)
    }

    /// What a failed sync has left in memory is not there when it is read again. The length is, which is
    /// no content.
    fn forget(&self, offset: u64, len: u64) {
        let log = self.shared.log();
        let newest = if log.has_failed { log.persistence.newest(self.id) } else { None };
        let (Some(newest), Ok(live)) = (newest, self.inner.len()) else { return };
        let end = offset.saturating_add(len).min(live);
        let (newest, mut at) = (newest.flat(), offset);
        while at < end {
            let from = usize::try_from(at).unwrap_or(usize::MAX).min(newest.len());
            let want = usize::try_from(end - at).unwrap_or(usize::MAX);
            let mut fresh = newest[from..].to_vec();
            fresh.resize(want, 0);
            match self.system.write_at(at, &fresh) {
                Ok(written) if written > 0 => at += written as u64,
                _ => return,
            }
        }
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.path().display())
    }
}
