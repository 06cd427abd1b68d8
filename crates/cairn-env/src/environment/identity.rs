//! `Identity`: which environment this is, on which line of its history.

use std::sync::atomic::Ordering;

use cairn_log::{FORMAT_VERSION, Timeline, Uuid};

use crate::core::Core;

/// Which environment this is: what its files say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The environment; copies and restored backups of it have the same.
    pub environment: Uuid,
    /// The line of history on which it goes on. A restore begins a new one.
    pub timeline: Timeline,
    /// Number of the generation directory that counts.
    pub generation: u32,
    /// How many times it was opened and then written.
    pub incarnation: u64,
    /// Version of the log format that is written.
    pub format: u16,
}

pub(super) fn identity(core: &Core) -> Identity {
    let identity = &core.files.identity;
    Identity {
        environment: identity.environment,
        timeline: identity.timeline,
        generation: identity.generation,
        incarnation: identity.incarnation.load(Ordering::Relaxed),
        format: FORMAT_VERSION,
    }
}
