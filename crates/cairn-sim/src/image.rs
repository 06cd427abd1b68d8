//! `Image`: what is on a disk at one instant, as a value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, OnceLock},
};

use cairn_io::{IoResult, MemDisk};

use crate::{content::Content, hash::Hasher};

/// All directories and files of a disk at one instant.
///
/// Clones are cheap, images share what they have in common, and equal content has an equal
/// [hash](Image::hash). An image becomes a disk again: a [`MemDisk`] for plain speed, or through
/// [`SimDisk::from_image`](crate::SimDisk::from_image) one that can crash in turn. Paths are
/// relative to the root, parts separated by `/`.
#[derive(Clone, Default)]
pub struct Image(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    dirs: BTreeSet<Arc<str>>,
    files: BTreeMap<Arc<str>, Content>,
    hash: OnceLock<u128>,
}

impl Image {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_parts(dirs: BTreeSet<Arc<str>>, files: BTreeMap<Arc<str>, Content>) -> Self {
        Self(Arc::new(Inner { dirs, files, hash: OnceLock::new() }))
    }

    /// What is on `disk` now.
    ///
    /// # Panics
    /// If another thread changes `disk` meanwhile.
    #[must_use]
    pub fn of(disk: &MemDisk) -> Self {
        let read = |path: &str| {
            disk.read(path).expect("the file is there because it has just been listed")
        };
        let files = disk.files().into_iter();
        Self::from_parts(
            disk.dirs().into_iter().map(Arc::from).collect(),
            files.map(|(path, _)| (Arc::from(path.as_str()), Content::new(read(&path)))).collect(),
        )
    }

    /// A disk in memory with this content. Bytes are shared until it writes to them.
    ///
    /// # Panics
    /// If the image holds a file below a file, which no disk can: only [`Image::with_file`] can
    /// make one.
    #[must_use]
    pub fn to_mem(&self) -> MemDisk {
        let disk = MemDisk::new();
        let fill = || -> IoResult<()> {
            self.0.dirs.iter().try_for_each(|path| disk.create_dirs(path))?;
            self.0.files.iter().try_for_each(|(path, content)| disk.write(path, content.flat()))
        };
        fill().expect("no path leads through a file");
        disk
    }

    /// All files with their lengths in bytes, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.files.iter().map(|(path, content)| (&**path, content.len() as u64))
    }

    /// All directories but the root, sorted by path.
    pub fn dirs(&self) -> impl Iterator<Item = &str> {
        self.0.dirs.iter().map(|path| &**path)
    }

    /// The content of a file, if there is such a file.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Arc<Vec<u8>>> {
        self.0.files.get(path).map(Content::flat)
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files().map(|(_, len)| len).sum()
    }

    /// Tells images apart: the same for equal directories, names and bytes, in every run and on
    /// every machine.
    #[must_use]
    pub fn hash(&self) -> u128 {
        *self.0.hash.get_or_init(|| {
            let mut hasher = Hasher::new();
            for path in &self.0.dirs {
                hasher.bytes(path.as_bytes());
            }
            hasher.word(u64::MAX);
            for (path, content) in &self.0.files {
                hasher.bytes(path.as_bytes());
                hasher.wide(content.hash());
            }
            hasher.finish()
        })
    }

    /// The image with `content` as the file `path`, new or replaced; its directory is added if it
    /// is missing.
    #[must_use]
    pub fn with_file(&self, path: &str, content: impl Into<Arc<Vec<u8>>>) -> Self {
        self.changed(|inner| {
            for (end, _) in path.match_indices('/') {
                inner.dirs.insert(Arc::from(&path[..end]));
            }
            inner.files.insert(Arc::from(path), Content::new(content.into()));
        })
    }

    /// The image with a file changed by `change`; its length may change, too.
    ///
    /// # Panics
    /// If there is no such file.
    #[must_use]
    pub fn with_edit(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.read(path).unwrap_or_else(|| panic!("no file {path}"));
        change(Arc::make_mut(&mut bytes));
        self.with_file(path, bytes)
    }

    /// The image with one bit of a file flipped; bits count from the lowest of the first byte.
    /// (A sweep over many bits is faster in place on a [`MemDisk`].)
    ///
    /// # Panics
    /// If there is no such bit.
    #[must_use]
    pub fn with_bit_flipped(&self, path: &str, bit: usize) -> Self {
        self.with_edit(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8))
    }

    /// What lies below the directory `dir`, as an image of its own.
    #[must_use]
    pub fn below(&self, dir: &str) -> Self {
        let below = |path: &str| path.strip_prefix(dir)?.strip_prefix('/').map(Arc::from);
        let dirs = self.0.dirs.iter().filter_map(|path| below(path)).collect();
        let files = self.0.files.iter();
        let files = files.filter_map(|(path, content)| Some((below(path)?, content.clone())));
        Self::from_parts(dirs, files.collect())
    }

    /// The image without a file, or without a directory and everything in it.
    #[must_use]
    pub fn without(&self, path: &str) -> Self {
        let within = |other: &str| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.changed(|inner| {
            inner.dirs.retain(|dir| !within(dir));
            inner.files.retain(|file, _| !within(file));
        })
    }

    /// The image with the contents of two files exchanged.
    ///
    /// # Panics
    /// If one of them is missing.
    #[must_use]
    pub fn with_swapped(&self, one: &str, two: &str) -> Self {
        let content = |path| self.read(path).unwrap_or_else(|| panic!("no file {path}"));
        self.with_file(one, content(two)).with_file(two, content(one))
    }

    pub(crate) fn contents(&self) -> impl Iterator<Item = (&Arc<str>, &Content)> {
        self.0.files.iter()
    }

    fn changed(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.hash = OnceLock::new();
        change(&mut inner);
        Self(Arc::new(inner))
    }
}

impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Image {}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({:032x}", self.hash())?;
        for (path, len) in self.files() {
            write!(f, ", {path}: {len} B")?;
        }
        f.write_str(")")
    }
}
