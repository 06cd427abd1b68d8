//! `ReplicaStatus`: how the replica of an environment is.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use cairn_log::FileNumber;

use crate::{EnvError, ReplicaPolicy};

/// What a replica is to its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplicaState {
    /// Every acknowledged commit is on it.
    Attached,
    /// It is getting a base, and the journal since. Commits do not wait for it yet.
    Filling,
    /// The environment goes on without it.
    Detached,
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attached => "attached",
            Self::Filling => "filling",
            Self::Detached => "detached",
        })
    }
}

/// How the replica of an environment is: [`Environment::replica`](crate::Environment::replica).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplicaStatus {
    /// Where it is.
    pub path: PathBuf,
    /// What happens when it cannot be had.
    pub policy: ReplicaPolicy,
    /// What it is now.
    pub state: ReplicaState,
    /// Up to where it has the journal: a file, and an offset in bytes. `None` before the first.
    pub position: Option<(FileNumber, u64)>,
    /// Bytes of the journal that may be sent and are not.
    pub lag_bytes: u64,
    /// For how long there has been something that may be sent and is not.
    pub lag_time: Duration,
    /// Bytes of the journal that this process has sent.
    pub shipped_bytes: u64,
    /// Number of the checkpoint from which it starts; 0: there is none, or it is not attached.
    pub base_checkpoint: u64,
    /// How often this process has gone on without it.
    pub detached: u64,
    /// For how long the environment has been without it now.
    pub alone: Option<Duration>,
    /// What went wrong last, if anything did.
    pub last_error: Option<Arc<EnvError>>,
}
