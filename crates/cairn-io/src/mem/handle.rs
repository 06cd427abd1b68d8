//! Open directories and files of a `MemDisk`.

use std::{
    any::Any,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::node::{DirNode, FileNode, Node};
use crate::{
    Access, Dir, DirRef, Entry, EntryKind, File, FileIdentity, FileRef, IoError, IoOp, IoResult,
    LockError, LockGuard, LockMode, Name, Space, SyncSite,
};

/// Free and total bytes as reported: enough that nothing reacts to it, the same on every machine.
const SPACE: u64 = 1 << 40;

/// An open directory.
pub(super) struct MemDir {
    node: Arc<DirNode>,
    path: PathBuf,
}

impl MemDir {
    pub(super) fn new(node: Arc<DirNode>, path: PathBuf) -> Self {
        Self { node, path }
    }

    fn error(&self, op: IoOp, name: &Name, kind: io::ErrorKind) -> IoError {
        IoError::new(op, &self.path.join(name.as_str()), kind)
    }

    fn dir(&self, node: Arc<DirNode>, name: &Name) -> DirRef {
        Arc::new(Self::new(node, self.path.join(name.as_str())))
    }

    fn file(&self, node: Arc<FileNode>, name: &Name, access: Access) -> FileRef {
        Arc::new(MemFile { node, path: self.path.join(name.as_str()), access })
    }
}

impl Dir for MemDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &Name) -> IoResult<DirRef> {
        match self.node.get(name.as_str()) {
            Some(Node::Dir(node)) => Ok(self.dir(node, name)),
            Some(Node::File(_) | Node::Shown(_)) => {
                Err(self.error(IoOp::Open, name, io::ErrorKind::NotADirectory))
            }
            None => Err(self.error(IoOp::Open, name, io::ErrorKind::NotFound)),
        }
    }

    fn create_dir(&self, name: &Name) -> IoResult<DirRef> {
        let node = Arc::<DirNode>::default();
        self.node
            .insert_new(name.as_str(), Node::Dir(Arc::clone(&node)))
            .map_err(|kind| self.error(IoOp::Create, name, kind))?;
        Ok(self.dir(node, name))
    }

    fn open(&self, name: &Name, access: Access) -> IoResult<FileRef> {
        match self.node.get(name.as_str()) {
            Some(Node::File(node)) => Ok(self.file(node, name, access)),
            Some(Node::Shown(file)) if access == Access::Read => Ok(file),
            Some(Node::Shown(_)) => {
                Err(self.error(IoOp::Open, name, io::ErrorKind::PermissionDenied))
            }
            Some(Node::Dir(_)) => Err(self.error(IoOp::Open, name, io::ErrorKind::InvalidInput)),
            None => Err(self.error(IoOp::Open, name, io::ErrorKind::NotFound)),
        }
    }

    fn create(&self, name: &Name) -> IoResult<FileRef> {
        let node = FileNode::new(Arc::default());
        self.node
            .insert_new(name.as_str(), Node::File(Arc::clone(&node)))
            .map_err(|kind| self.error(IoOp::Create, name, kind))?;
        Ok(self.file(node, name, Access::ReadWrite))
    }

    fn link(&self, name: &Name, from: &dyn Dir, source: &Name) -> IoResult<()> {
        let fail = |kind| self.error(IoOp::Link, name, kind);
        let from: &dyn Any = from;
        // Directories of two disks in memory cannot be told apart, and nothing would go wrong.
        let from = from.downcast_ref::<Self>().ok_or(fail(io::ErrorKind::CrossesDevices))?;
        match from.node.get(source.as_str()) {
            Some(Node::File(file)) => self.node.link(name.as_str(), &file).map_err(fail),
            Some(Node::Shown(file)) => self.show(name, &file),
            Some(Node::Dir(_)) => Err(fail(io::ErrorKind::InvalidInput)),
            None => Err(fail(io::ErrorKind::NotFound)),
        }
    }

    fn show(&self, name: &Name, file: &FileRef) -> IoResult<()> {
        let shown = Node::Shown(FileRef::clone(file));
        let inserted = self.node.insert_new(name.as_str(), shown);
        inserted.map_err(|kind| self.error(IoOp::Link, name, kind))
    }

    fn rename(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.node
            .rename(from.as_str(), to.as_str(), true)
            .map_err(|kind| self.error(IoOp::Rename, from, kind))
    }

    fn rename_new(&self, from: &Name, to: &Name) -> IoResult<()> {
        self.node
            .rename(from.as_str(), to.as_str(), false)
            .map_err(|kind| self.error(IoOp::Rename, from, kind))
    }

    fn remove(&self, name: &Name) -> IoResult<()> {
        self.node.remove(name.as_str(), false).map_err(|kind| self.error(IoOp::Remove, name, kind))
    }

    fn remove_dir(&self, name: &Name) -> IoResult<()> {
        self.node.remove(name.as_str(), true).map_err(|kind| self.error(IoOp::Remove, name, kind))
    }

    fn list(&self) -> IoResult<Vec<Entry>> {
        let entry = |(display, node): (String, Node)| Entry {
            name: Name::new(display.as_str()).ok(),
            display,
            kind: match node {
                Node::File(_) | Node::Shown(_) => EntryKind::File,
                Node::Dir(_) => EntryKind::Dir,
            },
        };
        Ok(self.node.entries().into_iter().map(entry).collect())
    }

    fn sync(&self, _: SyncSite) -> IoResult<()> {
        Ok(())
    }

    fn lock(&self, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
        let node = match self.node.get(name.as_str()) {
            Some(Node::File(node)) => node,
            Some(Node::Dir(_) | Node::Shown(_)) => {
                return Err(self.error(IoOp::Lock, name, io::ErrorKind::InvalidInput).into());
            }
            None => {
                let node = FileNode::new(Arc::default());
                self.node
                    .insert_new(name.as_str(), Node::File(Arc::clone(&node)))
                    .map_err(|kind| self.error(IoOp::Lock, name, kind))?;
                node
            }
        };
        node.acquire(mode)
    }

    fn space(&self) -> IoResult<Space> {
        Ok(Space::new(SPACE, SPACE))
    }
}

impl fmt::Debug for MemDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemDir({})", self.path.display())
    }
}

/// An open file.
struct MemFile {
    node: Arc<FileNode>,
    path: PathBuf,
    access: Access,
}

impl MemFile {
    fn error(&self, op: IoOp, kind: io::ErrorKind) -> IoError {
        IoError::new(op, &self.path, kind)
    }

    /// Makes room for `len` bytes, if this handle may write and memory lasts.
    fn prepare(&self, content: &mut Vec<u8>, len: u64) -> IoResult<usize> {
        if self.access == Access::Read {
            return Err(self.error(IoOp::Write, io::ErrorKind::PermissionDenied));
        }
        let fail = |kind| self.error(IoOp::Write, kind);
        let len = usize::try_from(len).map_err(|_| fail(io::ErrorKind::FileTooLarge))?;
        content
            .try_reserve(len.saturating_sub(content.len()))
            .map_err(|_| fail(io::ErrorKind::StorageFull))?;
        Ok(len)
    }
}

impl File for MemFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        self.node.read(|content| {
            let rest = usize::try_from(offset).ok().and_then(|start| content.get(start..));
            let rest = rest.unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize> {
        self.node.edit(|content| {
            let end = offset.saturating_add(buf.len() as u64);
            let end = self.prepare(content, end)?;
            if !buf.is_empty() {
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[end - buf.len()..end].copy_from_slice(buf);
            }
            Ok(buf.len())
        })
    }

    fn sync(&self, _: SyncSite) -> IoResult<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        self.node.edit(|content| {
            let len = self.prepare(content, len)?;
            content.resize(len, 0);
            Ok(())
        })
    }

    fn len(&self) -> IoResult<u64> {
        Ok(self.node.read(<[u8]>::len) as u64)
    }

    fn links(&self) -> IoResult<u64> {
        Ok(self.node.links())
    }

    /// The file of this path on a disk of this name: so it is the same on the disk that a crash has left.
    fn identity(&self) -> IoResult<FileIdentity> {
        let path = self.path.as_os_str().as_encoded_bytes();
        let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Ok(FileIdentity::new(path.iter().fold(0xcbf2_9ce4_8422_2325, fnv), 0))
    }

    fn map(&self, _: u64, _: usize) -> IoResult<Option<Bytes>> {
        Ok(None)
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemFile({})", self.path.display())
    }
}
