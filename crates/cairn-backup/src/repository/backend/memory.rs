//! `MemoryBackend`: a repository in memory, for tests and examples.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{BackendError, BackendResult, Listed, Put, RepoBackend};
use crate::repository::names::{Folder, ObjectName};

/// Objects in memory. They go with it.
#[derive(Debug, Default)]
pub struct MemoryBackend(Mutex<BTreeMap<ObjectName, Vec<u8>>>);

impl MemoryBackend {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All objects.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<ObjectName, Vec<u8>> {
        self.lock().clone()
    }

    /// Puts an object there, whatever was there: what a repository never does, and damage does.
    pub fn replace(&self, name: ObjectName, bytes: Vec<u8>) {
        self.lock().insert(name, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RepoBackend for MemoryBackend {
    fn place(&self) -> String {
        "memory".into()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        let mut objects = self.lock();
        if objects.contains_key(name) {
            return Ok(Put::Existed);
        }
        objects.insert(*name, bytes.to_vec());
        Ok(Put::Stored)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        let objects = self.lock();
        let bytes = objects.get(name).ok_or(BackendError::NotFound { object: *name })?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        Ok(self.lock().get(name).map(|bytes| bytes.len() as u64))
    }

    fn settle(&self, _: &Folder) -> BackendResult<()> {
        Ok(())
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        let above = folder.path();
        let (mut listed, mut folders) = (Vec::new(), BTreeSet::new());
        for (name, bytes) in &*self.lock() {
            let path = name.folder().path();
            match path.strip_prefix(&*above) {
                Some([]) => {
                    let length = Some(bytes.len() as u64);
                    listed.push(Listed { name: name.name().to_string(), length });
                }
                Some([below, ..]) => drop(folders.insert(below.to_string())),
                None => {}
            }
        }
        listed.extend(folders.into_iter().map(|name| Listed { name, length: None }));
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.lock().remove(name);
        Ok(())
    }
}
