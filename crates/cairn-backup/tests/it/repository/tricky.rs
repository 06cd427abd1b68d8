//! A place that plays tricks: stores fail, answers are lost, listings lie.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use cairn_backup::{
    BackendError, BackendResult, Folder, Listed, MemoryBackend, ObjectName, Put, RepoBackend,
    Repository,
};

use crate::fixture::world;

/// What becomes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Good,
    /// It fails, and nothing is there.
    Lost,
    /// It fails, and all of it is there.
    Unknown,
}

type PutHook = Box<dyn FnMut(&ObjectName) -> Fate + Send>;
type ListHook = Box<dyn FnMut(&Folder, &mut Vec<Listed>) + Send>;

/// A place that somebody plays tricks with.
struct Tricky {
    inner: Arc<MemoryBackend>,
    put: Mutex<PutHook>,
    list: Mutex<ListHook>,
}

impl fmt::Debug for Tricky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tricky")
    }
}

impl RepoBackend for Tricky {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        let fate = (self.put.lock().unwrap())(name);
        let failed = || BackendError::Failed {
            what: format!("store {name}"),
            source: "the connection is gone".into(),
        };
        match fate {
            Fate::Lost => Err(failed()),
            Fate::Good => self.inner.put(name, bytes),
            Fate::Unknown => self.inner.put(name, bytes).and(Err(failed())),
        }
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        self.inner.read(name, offset, len)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        self.inner.length(name)
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        self.inner.settle(folder)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        let mut listed = self.inner.list(folder)?;
        (self.list.lock().unwrap())(folder, &mut listed);
        Ok(listed)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.inner.delete(name)
    }
}

/// Such a place.
pub(crate) fn place(
    inner: &Arc<MemoryBackend>,
    put: impl FnMut(&ObjectName) -> Fate + Send + 'static,
    list: impl FnMut(&Folder, &mut Vec<Listed>) + Send + 'static,
) -> Arc<dyn RepoBackend> {
    Arc::new(Tricky {
        inner: Arc::clone(inner),
        put: Mutex::new(Box::new(put)),
        list: Mutex::new(Box::new(list)),
    })
}

/// A repository in such a place.
pub(crate) fn tricky(
    inner: &Arc<MemoryBackend>,
    put: impl FnMut(&ObjectName) -> Fate + Send + 'static,
    list: impl FnMut(&Folder, &mut Vec<Listed>) + Send + 'static,
) -> Repository {
    Repository::open_in(place(inner, put, list), &world()).unwrap()
}

/// A repository in the same place, without tricks.
pub(crate) fn honest(inner: &Arc<MemoryBackend>) -> Repository {
    Repository::open_in(Arc::clone(inner) as _, &world()).unwrap()
}
