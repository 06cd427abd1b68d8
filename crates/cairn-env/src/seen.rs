//! `Seen`: what a snapshot is of. One that is there, or the newest one, which is made only if it is needed.
//!
//! Whoever looks at a few values of the newest commit takes them from the writer's own nodes, under the commit lock, and
//! costs the next commit nothing ([`PromisedVersion`]). If more come, or one wants more than values, the version is
//! made, and readers wait for nobody.

use std::sync::Arc;

use bytes::Bytes;
use cairn_btree::{FrozenRoot, PromisedVersion, Resident, TreeId, ValuePointer, ValueRef};

use crate::{
    EnvResult, Stored, Value,
    core::Core,
    sync::{lock, lock_soon},
};

/// So many values are taken from the writer's nodes before a version of them is made, which costs the writer about as much.
const LOOKS: u32 = 32;

/// What a snapshot is of.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// A version that is there.
    Made(Arc<FrozenRoot>),
    /// The newest one.
    Promised(Arc<PromisedVersion>),
}

/// A value that was looked up in passing.
pub(crate) enum Copied {
    Small(Bytes),
    Large(ValuePointer),
}

/// What [`Core::look_or_promise`] has come to.
pub(crate) enum Looked {
    /// The value; none if there is none, in a database that is there.
    Found(Option<Copied>),
    /// Look there.
    Not(Seen),
}

impl Copied {
    /// What `read` makes of it.
    pub(crate) fn read<R>(self, core: &Core, read: impl FnOnce(Stored<'_>) -> R) -> EnvResult<R> {
        match self {
            Self::Small(bytes) => Ok(read(Stored::Embedded(&bytes))),
            Self::Large(at) => Ok(read(core.large_value(at)?.into())),
        }
    }

    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Inline(bytes) => Self::Small(Bytes::copy_from_slice(bytes)),
            ValueRef::Pointer(pointer) => Self::Large(pointer),
        }
    }
}

impl From<Arc<FrozenRoot>> for Seen {
    fn from(made: Arc<FrozenRoot>) -> Self {
        Self::Made(made)
    }
}

impl Seen {
    /// The number of the newest commit in it.
    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Made(made) => made.sequence(),
            Self::Promised(promised) => promised.sequence(),
        }
    }

    /// The version, if it was made.
    pub(crate) fn made(&self) -> Option<&Arc<FrozenRoot>> {
        match self {
            Self::Made(made) => Some(made),
            Self::Promised(promised) => promised.made(),
        }
    }
}

impl Core {
    /// An error if a version is too old to be read. One that was not made yet is the newest there is.
    pub(crate) fn check_age_of(&self, seen: &Seen) -> EnvResult<()> {
        seen.made().map_or(Ok(()), |made| self.check_age(made))
    }

    /// The version, which is made now if it was not.
    pub(crate) fn make<'v>(&self, seen: &'v Seen) -> EnvResult<&'v Arc<FrozenRoot>> {
        let promised = match seen {
            Seen::Made(made) => return Ok(made),
            Seen::Promised(promised) => promised,
        };
        if promised.made().is_none() {
            let _guard = self.failure.on_panic();
            let mut commit = lock(&self.commit);
            // Unless somebody else was faster, nothing has changed since it was promised.
            if promised.made().is_none() {
                commit.writer.freeze(promised.sequence())?;
            }
        }
        promised.made().ok_or_else(|| crate::EnvError::internal("a promise was not kept"))
    }

    /// The value of a key in a version.
    pub(crate) fn get_in(&self, seen: &Seen, tree: TreeId, key: &[u8]) -> EnvResult<Option<Value>> {
        match self.look_at_newest(seen, tree, key, Copied::of)? {
            Resident::Found(Copied::Small(bytes)) => Ok(Some(bytes.into())),
            Resident::Found(Copied::Large(at)) => Ok(Some(self.large_value(at)?.into())),
            Resident::Missing => Ok(None),
            Resident::Away => self.get(self.make(seen)?, tree, key),
        }
    }

    /// What `read` makes of the value of a key in a version.
    pub(crate) fn get_in_with<R>(
        &self,
        seen: &Seen,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Stored<'_>) -> R,
    ) -> EnvResult<Option<R>> {
        // Copied: nobody's code runs under the commit lock.
        match self.look_at_newest(seen, tree, key, Copied::of)? {
            Resident::Found(copied) => copied.read(self, read).map(Some),
            Resident::Missing => Ok(None),
            Resident::Away => self.get_with(self.make(seen)?, tree, key, read),
        }
    }

    /// Whether a key has a value in a version.
    pub(crate) fn has_in(&self, seen: &Seen, tree: TreeId, key: &[u8]) -> EnvResult<bool> {
        match self.look_at_newest(seen, tree, key, |_| ())? {
            Resident::Found(()) => Ok(true),
            Resident::Missing => Ok(false),
            Resident::Away => Ok(self.make(seen)?.get_with(tree, key, |_| ())?.is_some()),
        }
    }

    /// Looks a key up in the newest commit, without a promise that could last, if that is there without further ado.
    pub(crate) fn look_or_promise(&self, tree: TreeId, key: &[u8]) -> EnvResult<Looked> {
        self.check()?;
        if let Some(published) = self.newest_published() {
            return Ok(Looked::Not(published.into()));
        }
        let _guard = self.failure.on_panic();
        let mut commit = lock_soon(&self.commit);
        let sequence = commit.sequence;
        let promised = commit.writer.promise(sequence)?;
        if promised.made().is_none() && promised.count_look() < LOOKS {
            match commit.writer.get_resident(tree, key, Copied::of)? {
                // It is read without the lock: until then somebody has to hold the version that refers to it.
                Resident::Found(Copied::Large(_)) | Resident::Away => {}
                Resident::Found(small) => return Ok(Looked::Found(Some(small))),
                Resident::Missing if commit.writer.has(tree)? => return Ok(Looked::Found(None)),
                Resident::Missing => {}
            }
        }
        Ok(Looked::Not(Seen::Promised(promised)))
    }

    /// Looks a key up in what the writer has, if that is the version, and few have done so; else it is "away".
    fn look_at_newest<R>(
        &self,
        seen: &Seen,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> EnvResult<Resident<R>> {
        let promised = match seen {
            Seen::Promised(promised) if promised.made().is_none() => promised,
            _ => return Ok(Resident::Away),
        };
        if promised.count_look() >= LOOKS {
            return Ok(Resident::Away);
        }
        let _guard = self.failure.on_panic();
        let mut commit = lock_soon(&self.commit);
        match promised.made() {
            Some(_) => Ok(Resident::Away),
            None => Ok(commit.writer.get_resident(tree, key, read)?),
        }
    }
}
