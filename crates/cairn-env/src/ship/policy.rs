//! Where the replica of an environment is, and what happens when it cannot be had.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_io::{Dir, DirRef, RealDir};

use crate::EnvResult;

/// What happens when a replica cannot take what is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no silent third way")]
pub enum ReplicaPolicy {
    /// Nothing is acknowledged that is not on both: the commit fails, and so does the environment, until it is
    /// closed and opened again. It does not open without its replica.
    #[default]
    Require,
    /// The commit is acknowledged once the environment says, durably, that it goes on without its replica,
    /// which [`Environment::replica`](crate::Environment::replica) then tells. The replica gets a new base
    /// as soon as it can be had again.
    Degrade,
}

/// The replica of an environment: [`Options::replica`](crate::Options::replica).
#[derive(Clone)]
pub struct ReplicaOptions {
    place: Place,
    policy: ReplicaPolicy,
}

#[derive(Clone)]
enum Place {
    Path(PathBuf),
    Dir(DirRef),
}

impl ReplicaOptions {
    pub(crate) fn at(path: &Path, policy: ReplicaPolicy) -> Self {
        Self { place: Place::Path(path.to_owned()), policy }
    }

    pub(crate) fn within(dir: DirRef, policy: ReplicaPolicy) -> Self {
        Self { place: Place::Dir(dir), policy }
    }

    /// What happens when it cannot be had.
    #[must_use]
    pub const fn policy(&self) -> ReplicaPolicy {
        self.policy
    }

    /// Where it is: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Path(path) => path,
            Place::Dir(dir) => Dir::path(&**dir),
        }
    }

    /// Its directory, which is made if it is missing.
    pub(crate) fn open(&self) -> EnvResult<DirRef> {
        match &self.place {
            Place::Dir(dir) => Ok(Arc::clone(dir)),
            Place::Path(path) => match RealDir::open(path) {
                Err(error) if error.is_not_found() => Ok(RealDir::create(path)?),
                opened => Ok(opened?),
            },
        }
    }
}

impl PartialEq for ReplicaOptions {
    fn eq(&self, other: &Self) -> bool {
        let is_same = match (&self.place, &other.place) {
            (Place::Path(a), Place::Path(b)) => a == b,
            (Place::Dir(a), Place::Dir(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        is_same && self.policy == other.policy
    }
}

impl Eq for ReplicaOptions {}

impl fmt::Debug for ReplicaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaOptions({}, {:?})", self.path().display(), self.policy)
    }
}
