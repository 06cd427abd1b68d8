//! `MemDisk`: a directory tree in memory that can be looked into, damaged and forked.

mod handle;
mod node;

use std::{io, path::Path, path::PathBuf, sync::Arc};

use crate::{DirRef, IoError, IoOp, IoResult};
use handle::MemDir;
use node::{DirNode, FileNode, Node};

/// A directory tree in memory: for examples, unit tests, and images of crashed or damaged disks.
///
/// It behaves as a real directory does, locks and open removed files included, keeps everything
/// until it is dropped, and knows nothing of crashes: syncs do nothing. Clones are handles of the same
/// disk; [`MemDisk::fork`] makes another disk.
///
/// Beside [`MemDisk::root`] it can be reached from outside by path, past any lock, in ways that a
/// [`Dir`](crate::Dir) forbids. Paths are relative to the root, parts separated by `/`; parts may
/// be any text, so foreign names can be planted.
///
/// ```
/// use cairn_io::{MemDisk, Name};
///
/// let disk = MemDisk::new();
/// disk.root().create(&Name::new("a").unwrap())?.write_at(0, b"hello")?;
///
/// let damaged = disk.fork(); // shares all bytes until one side writes
/// damaged.edit("a", |bytes| bytes[0] ^= 1)?;
/// assert_eq!(*damaged.read("a")?, b"iello");
/// assert_eq!(*disk.read("a")?, b"hello");
/// # Ok::<(), cairn_io::IoError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemDisk {
    root: Arc<DirNode>,
    name: &'static str,
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::called("mem")
    }

    /// An empty disk that has another name than others: files of the same path on both are not the same,
    /// as [`File::identity`](crate::File::identity) sees it.
    #[must_use]
    pub fn called(name: &'static str) -> Self {
        Self { root: Arc::default(), name }
    }

    /// The root directory. Its path in messages is the name of the disk, as in `mem:`.
    #[must_use]
    pub fn root(&self) -> DirRef {
        Arc::new(MemDir::new(Arc::clone(&self.root), PathBuf::from(format!("{}:", self.name))))
    }

    /// Another disk with the same content. Bytes are shared until one of the two writes to a file,
    /// so this costs little however much is stored. Locks and open files stay with the original.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { root: self.root.fork(&mut Vec::new()), name: self.name }
    }

    /// All files, sorted by path, each with its length in bytes. Those that lie elsewhere are none
    /// ([`Dir::show`](crate::Dir::show)).
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        self.root.visit("", &mut |path, node| {
            if let Node::File(file) = node {
                found.push((path.to_owned(), file.content().len() as u64));
            }
        });
        found.sort();
        found
    }

    /// All directories but the root, sorted by path.
    #[must_use]
    pub fn dirs(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.root.visit("", &mut |path, node| {
            if let Node::Dir(_) = node {
                found.push(path.to_owned());
            }
        });
        found.sort();
        found
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files().iter().map(|(_, len)| len).sum()
    }

    /// The content of a file.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    pub fn read(&self, path: &str) -> IoResult<Arc<Vec<u8>>> {
        Ok(self.file(IoOp::Read, path)?.content())
    }

    /// Replaces the content of a file, or creates it together with the directories that lead to
    /// it. Open handles and further names of the file see the new content.
    ///
    /// # Errors
    /// `IsADirectory`; `NotADirectory` if a part of the path is a file.
    pub fn write(&self, path: &str, content: impl Into<Arc<Vec<u8>>>) -> IoResult<()> {
        let fail = |kind| error(IoOp::Write, path, kind);
        let (dir, last) = match path.rsplit_once('/') {
            Some((parent, last)) => (self.make_dirs(parent)?, last),
            None => (Arc::clone(&self.root), path),
        };
        dir.put(last, content.into()).map_err(fail)
    }

    /// Changes the content of a file in place; its length may change, too.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> IoResult<()> {
        self.file(IoOp::Write, path)?.edit(change);
        Ok(())
    }

    /// Creates a directory together with those that lead to it; nothing happens if it is there.
    ///
    /// # Errors
    /// `NotADirectory` if a part of the path is a file.
    pub fn create_dirs(&self, path: &str) -> IoResult<()> {
        self.make_dirs(path).map(drop)
    }

    /// Removes a file, or a directory with everything in it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove(&self, path: &str) -> IoResult<()> {
        let (dir, last) = self.parent(IoOp::Remove, path)?;
        let node = dir.take(last).ok_or_else(|| error(IoOp::Remove, path, io::ErrorKind::NotFound));
        node.map(|node| node.unlinked())
    }

    /// Moves a file or directory, also between directories, over whatever is at `to`.
    ///
    /// # Errors
    /// `NotFound`, also if the directory of `to` is missing.
    pub fn rename(&self, from: &str, to: &str) -> IoResult<()> {
        let (target, new_name) = self.parent(IoOp::Rename, to)?;
        let (dir, last) = self.parent(IoOp::Rename, from)?;
        let not_found = || error(IoOp::Rename, from, io::ErrorKind::NotFound);
        let node = dir.take(last).ok_or_else(not_found)?;
        target.place(new_name, node);
        Ok(())
    }

    /// Gives a file a second name, as a copying tool might.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`; `AlreadyExists`.
    pub fn hard_link(&self, from: &str, to: &str) -> IoResult<()> {
        let file = self.file(IoOp::Create, from)?;
        let (dir, last) = self.parent(IoOp::Create, to)?;
        dir.link(last, &file).map_err(|kind| error(IoOp::Create, to, kind))
    }

    fn file(&self, op: IoOp, path: &str) -> IoResult<Arc<FileNode>> {
        let (dir, last) = self.parent(op, path)?;
        match dir.get(last) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Shown(_)) => Err(error(op, path, io::ErrorKind::PermissionDenied)),
            Some(Node::Dir(_)) => Err(error(op, path, io::ErrorKind::IsADirectory)),
            None => Err(error(op, path, io::ErrorKind::NotFound)),
        }
    }

    /// The directory that holds the last part of `path`, and that part.
    fn parent<'p>(&self, op: IoOp, path: &'p str) -> IoResult<(Arc<DirNode>, &'p str)> {
        let mut dir = Arc::clone(&self.root);
        let Some((parents, last)) = path.rsplit_once('/') else { return Ok((dir, path)) };
        for part in parents.split('/') {
            dir = match dir.get(part) {
                Some(Node::Dir(below)) => below,
                _ => return Err(error(op, path, io::ErrorKind::NotFound)),
            };
        }
        Ok((dir, last))
    }

    fn make_dirs(&self, path: &str) -> IoResult<Arc<DirNode>> {
        path.split('/').try_fold(Arc::clone(&self.root), |dir, part| {
            dir.dir_or_new(part).map_err(|kind| error(IoOp::Create, path, kind))
        })
    }
}

fn error(op: IoOp, path: &str, kind: io::ErrorKind) -> IoError {
    IoError::new(op, &Path::new("mem:").join(path), kind)
}
