//! The files of the repository, in memory: what the checks look at.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{Result, process};

/// A larger file has no place in the repository, so its content is not loaded either.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// All files that are tracked or would be if they were added.
pub(crate) struct Repository {
    files: BTreeMap<String, File>,
}

/// One file.
pub(crate) struct File {
    pub(crate) size_bytes: u64,
    /// The content, unless it is not text or too large.
    pub(crate) text: Option<String>,
}

impl Repository {
    /// Reads the repository that this package belongs to.
    pub(crate) fn load() -> Result<Self> {
        let root = process::root();
        // New files count, so that a check fails before the commit and not after it. Outside a
        // checkout (an unpacked source archive) every file counts that a build did not make.
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let paths = match process::output(&mut process::git(&list)) {
            Ok(list) => list.split_terminator('\0').map(str::to_owned).collect(),
            Err(_) => walk(&root, "")?,
        };
        let mut files = BTreeMap::new();
        for path in paths {
            let place = root.join(&path);
            let Ok(metadata) = fs::symlink_metadata(&place) else {
                continue; // removed, but still in the index
            };
            if !metadata.is_file() {
                continue;
            }
            let text = (metadata.len() <= MAX_FILE_BYTES)
                .then(|| fs::read(&place))
                .transpose()
                .map_err(|error| format!("cannot read {path}: {error}"))?
                .and_then(|bytes| String::from_utf8(bytes).ok());
            files.insert(path, File { size_bytes: metadata.len(), text });
        }
        Ok(Self { files })
    }

    /// A repository made of the given texts.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(texts: [(&str, &str); N]) -> Self {
        let mut repository = Self { files: BTreeMap::new() };
        for (path, text) in texts {
            repository.put(path, text);
        }
        repository
    }

    /// Adds or replaces one file.
    #[cfg(test)]
    pub(crate) fn put(&mut self, path: &str, text: &str) {
        let file = File { size_bytes: text.len() as u64, text: Some(text.to_owned()) };
        self.files.insert(path.to_owned(), file);
    }

    /// Removes one file.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, path: &str) {
        self.files.remove(path).expect("a test removes what is there");
    }

    /// All files by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Path and content of all text files whose path ends with `suffix`.
    pub(crate) fn texts(&self, suffix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files()
            .filter(move |(path, _)| path.ends_with(suffix))
            .filter_map(|(path, file)| Some((path, file.text.as_deref()?)))
    }

    /// The content of one text file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.text.as_deref()
    }

    /// Whether a file or a directory that holds one stands at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&below))
    }
}

fn walk(root: &Path, below: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name == ".git" || name == "target" {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            paths.extend(walk(root, &path)?);
        } else {
            paths.push(path);
        }
    }
    Ok(paths)
}
