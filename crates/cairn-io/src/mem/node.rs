//! The nodes of a `MemDisk`: files that share their bytes until written, directories of names.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    FileRef, LockError, LockGuard, LockMode,
    sync::{lock, read, write},
};

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Arc<FileNode>),
    Dir(Arc<DirNode>),
    /// A file that lies elsewhere, for reading.
    Shown(FileRef),
}

impl Node {
    /// Takes note that a directory entry of this node is gone.
    pub(super) fn unlinked(self) {
        match self {
            Self::File(file) => drop(file.links.fetch_sub(1, Ordering::Relaxed)),
            Self::Dir(dir) => lock(&dir.entries).removed = true,
            Self::Shown(_) => {}
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(left), Self::File(right)) => Arc::ptr_eq(left, right),
            (Self::Dir(left), Self::Dir(right)) => Arc::ptr_eq(left, right),
            (Self::Shown(left), Self::Shown(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FileNode {
    content: RwLock<Arc<Vec<u8>>>,
    links: AtomicU64,
    lock: Mutex<Holders>,
}

/// Who holds the lock of a file.
#[derive(Debug, Default)]
enum Holders {
    #[default]
    None,
    Shared(usize),
    Exclusive,
}

impl FileNode {
    /// A file that one directory entry will name.
    pub(super) fn new(content: Arc<Vec<u8>>) -> Arc<Self> {
        let links = AtomicU64::new(1);
        Arc::new(Self { content: RwLock::new(content), links, lock: Mutex::default() })
    }

    pub(super) fn content(&self) -> Arc<Vec<u8>> {
        Arc::clone(&read(&self.content))
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&read(&self.content))
    }

    pub(super) fn edit<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        change(Arc::make_mut(&mut write(&self.content)))
    }

    pub(super) fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    /// Takes the lock of this file; all holders of a disk in memory are in this process.
    pub(super) fn acquire(self: Arc<Self>, mode: LockMode) -> Result<LockGuard, LockError> {
        let mut holders = lock(&self.lock);
        *holders = match (&*holders, mode) {
            (Holders::None, LockMode::Exclusive) => Holders::Exclusive,
            (Holders::None, LockMode::Shared) => Holders::Shared(1),
            (Holders::Shared(count), LockMode::Shared) => Holders::Shared(count + 1),
            _ => return Err(LockError::HeldHere),
        };
        drop(holders);
        Ok(LockGuard::new(Held(self)))
    }
}

/// A held lock.
struct Held(Arc<FileNode>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut holders = lock(&self.0.lock);
        *holders = match &*holders {
            Holders::Shared(count) if *count > 1 => Holders::Shared(count - 1),
            _ => Holders::None,
        };
    }
}

#[derive(Debug, Default)]
pub(super) struct DirNode {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_name: BTreeMap<String, Node>,
    /// Nothing can be created in a directory that is gone.
    removed: bool,
}

type Outcome<T> = Result<T, io::ErrorKind>;

impl DirNode {
    pub(super) fn get(&self, name: &str) -> Option<Node> {
        lock(&self.entries).by_name.get(name).cloned()
    }

    pub(super) fn take(&self, name: &str) -> Option<Node> {
        lock(&self.entries).by_name.remove(name)
    }

    /// Puts a node under a name, in place of what is there.
    pub(super) fn place(&self, name: &str, node: Node) {
        if let Some(replaced) = lock(&self.entries).by_name.insert(name.to_owned(), node) {
            replaced.unlinked();
        }
    }

    /// Replaces the content of a file, or creates it.
    pub(super) fn put(&self, name: &str, content: Arc<Vec<u8>>) -> Outcome<()> {
        let mut entries = lock(&self.entries);
        match entries.by_name.get(name) {
            Some(Node::File(file)) => *write(&file.content) = content,
            Some(Node::Dir(_)) => return Err(io::ErrorKind::IsADirectory),
            Some(Node::Shown(_)) => return Err(io::ErrorKind::PermissionDenied),
            None => {
                entries.by_name.insert(name.to_owned(), Node::File(FileNode::new(content)));
            }
        }
        Ok(())
    }

    pub(super) fn link(&self, name: &str, file: &Arc<FileNode>) -> Outcome<()> {
        self.insert_new(name, Node::File(Arc::clone(file)))?;
        file.links.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn dir_or_new(&self, name: &str) -> Outcome<Arc<Self>> {
        match lock(&self.entries)
            .by_name
            .entry(name.to_owned())
            .or_insert(Node::Dir(Arc::default()))
        {
            Node::Dir(dir) => Ok(Arc::clone(dir)),
            Node::File(_) | Node::Shown(_) => Err(io::ErrorKind::NotADirectory),
        }
    }

    pub(super) fn entries(&self) -> Vec<(String, Node)> {
        let entries = lock(&self.entries);
        entries.by_name.iter().map(|(name, node)| (name.clone(), node.clone())).collect()
    }

    /// Calls `visit` for everything below with its path; `at` is the path of this directory.
    pub(super) fn visit(&self, at: &str, visit: &mut dyn FnMut(&str, &Node)) {
        for (name, node) in &lock(&self.entries).by_name {
            let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            visit(&path, node);
            if let Node::Dir(dir) = node {
                dir.visit(&path, visit);
            }
        }
    }

    /// A copy that shares the bytes of files. `linked` holds the files of several names that have
    /// been met, each with its copy.
    pub(super) fn fork(&self, linked: &mut Vec<(Arc<FileNode>, Arc<FileNode>)>) -> Arc<Self> {
        let entries = lock(&self.entries);
        let mut copy_of = |node: &Node| match node {
            Node::Dir(dir) => Node::Dir(dir.fork(linked)),
            Node::Shown(file) => Node::Shown(FileRef::clone(file)),
            Node::File(file) => {
                if let Some((_, copy)) = linked.iter().find(|(known, _)| Arc::ptr_eq(known, file)) {
                    return Node::File(Arc::clone(copy));
                }
                let links = file.links.load(Ordering::Relaxed);
                let copy = FileNode::new(file.content());
                copy.links.store(links, Ordering::Relaxed);
                if links > 1 {
                    linked.push((Arc::clone(file), Arc::clone(&copy)));
                }
                Node::File(copy)
            }
        };
        let copies = entries.by_name.iter().map(|(name, node)| (name.clone(), copy_of(node)));
        let by_name = copies.collect();
        Arc::new(Self { entries: Mutex::new(Entries { by_name, removed: false }) })
    }

    pub(super) fn insert_new(&self, name: &str, node: Node) -> Outcome<()> {
        let mut entries = lock(&self.entries);
        if entries.by_name.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists);
        }
        if entries.removed {
            return Err(io::ErrorKind::NotFound);
        }
        entries.by_name.insert(name.to_owned(), node);
        Ok(())
    }

    pub(super) fn rename(&self, from: &str, to: &str, replace: bool) -> Outcome<()> {
        let mut entries = lock(&self.entries);
        let Some(node) = entries.by_name.get(from).cloned() else {
            return Err(io::ErrorKind::NotFound);
        };
        match (entries.by_name.get(to), &node) {
            (None, _) => {}
            (Some(_), _) if !replace => return Err(io::ErrorKind::AlreadyExists),
            (Some(same), node) if same.is(node) => return Ok(()),
            (Some(Node::File(_) | Node::Shown(_)), Node::File(_) | Node::Shown(_)) => {}
            (Some(Node::Dir(_)), Node::File(_) | Node::Shown(_)) => {
                return Err(io::ErrorKind::IsADirectory);
            }
            (Some(Node::File(_) | Node::Shown(_)), Node::Dir(_)) => {
                return Err(io::ErrorKind::NotADirectory);
            }
            (Some(Node::Dir(target)), Node::Dir(_)) => {
                if !lock(&target.entries).by_name.is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty);
                }
            }
        }
        entries.by_name.remove(from);
        if let Some(replaced) = entries.by_name.insert(to.to_owned(), node) {
            replaced.unlinked();
        }
        Ok(())
    }

    pub(super) fn remove(&self, name: &str, directory: bool) -> Outcome<()> {
        let mut entries = lock(&self.entries);
        match (entries.by_name.get(name), directory) {
            (None, _) => return Err(io::ErrorKind::NotFound),
            (Some(Node::Dir(_)), false) => return Err(io::ErrorKind::IsADirectory),
            (Some(Node::File(_) | Node::Shown(_)), true) => {
                return Err(io::ErrorKind::NotADirectory);
            }
            (Some(Node::Dir(dir)), true) if !lock(&dir.entries).by_name.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty);
            }
            (Some(_), _) => {}
        }
        if let Some(node) = entries.by_name.remove(name) {
            node.unlinked();
        }
        Ok(())
    }
}
