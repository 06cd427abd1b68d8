//! `RepoBackend`: what a repository needs of the place where it lies, and that is little.
//!
//! Objects are written whole, once, and never changed. A backend may be as weak as an object store: a listing may
//! lag behind, and an answer may be lost after the object was stored. [`conformance()`] says in code what it must do
//! all the same.

mod conformance;
mod local;
mod memory;
#[cfg(feature = "object-store")]
mod object;
mod place;

use std::{error::Error, fmt};

use cairn_io::IoError;

pub use conformance::conformance;
pub use local::{LocalBackend, REPOSITORY_SYNC_SITES};
pub use memory::MemoryBackend;
#[cfg(feature = "object-store")]
pub use object::{ObjectBackend, ObjectOptions};
pub(crate) use place::{create, open};
pub use place::{is_object_store, is_repository};

use super::names::{Folder, ObjectName};

/// The result of an operation of a backend.
pub type BackendResult<T> = Result<T, BackendError>;

/// An operation of a backend that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// There is no such object.
    #[error("the object {object} is not there")]
    NotFound {
        /// Its name.
        object: ObjectName,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Something else failed, a network for example.
    #[error("{what}")]
    Failed {
        /// What was being done, and with what.
        what: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What became of an object that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was stored, or it was not")]
pub enum Put {
    /// It is there, durably.
    Stored,
    /// There was an object of that name, which stays as it is, and is durable now.
    Existed,
}

/// What waits for an object that is on its way: see [`RepoBackend::begin_put`].
pub type Begun<'a> = Box<dyn FnOnce() -> BackendResult<Put> + Send + 'a>;

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what each backend can tell")]
pub struct Listed {
    /// What it is called, as the backend spells it: nothing is opened by it.
    pub name: String,
    /// Bytes of an object; `None` for a folder.
    pub length: Option<u64>,
}

/// A place in which a repository lies.
///
/// An error of [`put`](Self::put) leaves it open whether the object is there: whoever needs to know reads it.
pub trait RepoBackend: fmt::Debug + Send + Sync {
    /// Where it is: for messages.
    fn place(&self) -> String;

    /// Sees whether the place does what [`put`](Self::put) promises, before a repository is made in it. One that is known
    /// to is not asked.
    ///
    /// # Errors
    /// If it does not, or what the place answers.
    fn probe(&self) -> BackendResult<()> {
        Ok(())
    }

    /// Stores an object, unless there is one of that name: never both of two writers, never a part of it, never
    /// another one replaced. When it returns, the object of that name is durable with all of its bytes, whoever
    /// has stored it.
    ///
    /// # Errors
    /// If it cannot be stored, or it is not known whether it was.
    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put>;

    /// As [`put`](Self::put), but the object may be durable only when [`settle`](Self::settle) of its folder has
    /// returned: for objects of which nobody knows before that.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn put_unsettled(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.put(name, bytes)
    }

    /// As [`put_unsettled`](Self::put_unsettled), in two halves: the place has been told all of it when this returns, and
    /// what is returned waits for the rest. If it is dropped instead, it is open whether the object is there.
    ///
    /// # Errors
    /// As [`put`](Self::put), and so has what is returned.
    fn begin_put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Begun<'_>> {
        let put = self.put_unsettled(name, bytes)?;
        Ok(Box::new(move || Ok(put)))
    }

    /// Whether an object is exactly this, as it is read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn holds(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<bool> {
        Ok(self.read(name, 0, bytes.len().saturating_add(1))? == bytes)
    }

    /// At most `len` bytes of an object from `offset` on; fewer if it ends before, none behind its end. No more
    /// memory is taken than there are bytes.
    ///
    /// # Errors
    /// [`BackendError::NotFound`], or what the place answers.
    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>>;

    /// The length of an object, `None` if it is not there.
    ///
    /// # Errors
    /// What the place answers.
    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>>;

    /// Makes durable what is in a folder, and the folder: whoever has stored an object may have died before it was.
    ///
    /// # Errors
    /// What the place answers.
    fn settle(&self, folder: &Folder) -> BackendResult<()>;

    /// What lies in a folder, sorted by name; nothing if there is no such folder. It may lack what was stored
    /// lately.
    ///
    /// # Errors
    /// What the place answers.
    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>>;

    /// Removes an object; no error if there is none of that name.
    ///
    /// # Errors
    /// What the place answers.
    fn delete(&self, name: &ObjectName) -> BackendResult<()>;
}
