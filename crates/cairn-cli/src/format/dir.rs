//! A directory of files: the key is the path of a file below it, the value its content.
//!
//! Reading skips what is hidden or git-ignored, links, and whatever is no regular file; a link is never
//! followed. Writing refuses keys that are no path below the directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use cairndb::MAX_VALUE_LEN;
use ignore::{Walk, WalkBuilder};

use super::{Entry, Sink, Source, cannot_write, read_at_most};
use crate::{exit::Failure, text};

/// The files below a directory, in the order of their paths.
pub(crate) struct DirSource {
    root: PathBuf,
    walk: Walk,
    place: PathBuf,
    bytes: u64,
}

/// A file that was found and not yet read.
pub(crate) struct Found {
    pub(crate) key: Vec<u8>,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

impl DirSource {
    /// The files below `root`; with `all` also those that are hidden or git-ignored. The directory
    /// `except` is passed over: an environment must not be imported into itself.
    pub(crate) fn new(root: &Path, all: bool, except: Option<&Path>) -> Self {
        let identity =
            |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let except = except.and_then(identity);
        let mut builder = WalkBuilder::new(root);
        builder
            .standard_filters(!all)
            .require_git(false)
            .follow_links(false)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(move |entry| {
                let dir = entry.file_type().is_some_and(|file_type| file_type.is_dir());
                !dir || except.is_none() || identity(entry.path()) != except
            });
        Self { root: root.to_owned(), walk: builder.build(), place: root.to_owned(), bytes: 0 }
    }

    /// The next file.
    pub(crate) fn find(&mut self) -> Result<Option<Found>, Failure> {
        for entry in &mut self.walk {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.io_error().is_some_and(is_gone) => continue,
                Err(error) => {
                    let error = error
                        .into_io_error()
                        .unwrap_or_else(|| io::Error::other("cannot be listed"));
                    return Err(Failure::io("read a directory below", &self.root, &error));
                }
            };
            if !entry.file_type().is_some_and(|file_type| file_type.is_file()) {
                continue;
            }
            let path = entry.into_path();
            let len = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(Failure::io("read", &path, &error)),
            };
            let key =
                path.strip_prefix(&self.root).unwrap_or(&path).as_os_str().as_bytes().to_vec();
            return Ok(Some(Found { key, path, len }));
        }
        Ok(None)
    }

    /// Reads a file; `None` if it has gone since it was found, as it may.
    pub(crate) fn read(&mut self, found: Found) -> Result<Option<Entry>, Failure> {
        let Found { key, path, len } = found;
        let value = match File::open(&path).and_then(|file| read_at_most(file, MAX_VALUE_LEN)) {
            Ok(Some(value)) => value,
            Ok(None) => {
                let max = text::size(MAX_VALUE_LEN as u64);
                return Err(Failure::usage(format_args!(
                    "{} has {}, a value at most {max}",
                    path.display(),
                    text::size(len)
                ))
                .advise("leave the file out: move it, hide it, or name it in a .gitignore"));
            }
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        self.bytes += value.len() as u64;
        self.place = path;
        Ok(Some(Entry { key, value }))
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

impl Source for DirSource {
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while let Some(found) = self.find()? {
            if let Some(entry) = self.read(found)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn place(&self) -> String {
        self.place.display().to_string()
    }

    fn bytes_read(&self) -> u64 {
        self.bytes
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

/// Files in a fresh directory.
pub(crate) struct DirSink {
    root: PathBuf,
    hidden: u64,
}

impl DirSink {
    /// Writes into `root`, which must be empty.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), hidden: 0 }
    }

    /// Files that an import of the directory skips unless it is told otherwise.
    pub(crate) fn hidden(&self) -> u64 {
        self.hidden
    }

    fn path(&self, key: &[u8]) -> Result<PathBuf, Failure> {
        let path = Path::new(std::ffi::OsStr::from_bytes(key));
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        // A path has several spellings, a key only one: it must come back as it was.
        let spelled: PathBuf = path.components().collect();
        if key.is_empty() || key.contains(&0) || !plain || spelled.as_os_str().as_bytes() != key {
            return Err(no_path(key, "it is no relative path in its shortest form"));
        }
        Ok(self.root.join(path))
    }
}

fn no_path(key: &[u8], why: &str) -> Failure {
    let key = text::escape_short(key, 120);
    Failure::usage(format_args!("the key {key} cannot be a file: {why}"))
        .advise("use another format: --format jsonl holds any key")
}

impl Sink for DirSink {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let path = self.path(key)?;
        let parent = path.parent().unwrap_or(&self.root);
        let created = fs::create_dir_all(parent)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path))
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory => {
                    no_path(key, "another key needs a file or directory of its name")
                }
                io::ErrorKind::InvalidFilename => no_path(key, "the name is too long"),
                _ => cannot_write(&path, &error),
            });
        created?.write_all(value).map_err(|error| cannot_write(&path, &error))?;
        let mut parts = key.split(|byte| *byte == b'/');
        self.hidden += u64::from(parts.any(|part| part.starts_with(b".")));
        Ok(())
    }
}
