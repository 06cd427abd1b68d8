//! `ArchiveKeys`: what an encrypted archive is opened with.

use std::fmt;

use cairn_env::{Environment, HeldKeys, KeySource, held_keys};
use cairn_log::Uuid;

use crate::ArchiveResult;

/// What an encrypted archive is opened with: what an open environment knows, a key of a user, or both.
///
/// An environment opens its own archives as long as it has the data key of their epoch, also after its key was
/// rotated. The key of a user opens those that were made while it opened the environment, on any machine,
/// also after a new key epoch was begun and the old one forgotten.
///
/// ```
/// # use cairn_env::{Environment, KeySource, Options};
/// # use cairn_archive::ArchiveKeys;
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let keys = ArchiveKeys::of(&env)?.or(KeySource::passphrase("the one before")?);
/// # Ok::<(), cairn_archive::ArchiveError>(())
/// ```
#[derive(Clone, Default)]
pub struct ArchiveKeys {
    pub(crate) environment: Uuid,
    pub(crate) held: Option<HeldKeys>,
    pub(crate) sources: Vec<KeySource>,
}

impl ArchiveKeys {
    /// None: what is encrypted is refused with [`KeyRequired`](crate::ArchiveError::KeyRequired).
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What an open environment knows, and the key that it was opened with.
    ///
    /// # Errors
    /// If the environment has failed or was closed, or its keyring cannot be read.
    pub fn of(env: &Environment) -> ArchiveResult<Self> {
        Ok(Self {
            environment: env.identity().environment,
            held: held_keys(env)?,
            sources: env.options().key.iter().cloned().collect(),
        })
    }

    /// The key of a user as well, which is tried last.
    #[must_use]
    pub fn or(mut self, key: KeySource) -> Self {
        self.sources.push(key);
        self
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.held.is_none() && self.sources.is_empty()
    }
}

impl From<KeySource> for ArchiveKeys {
    fn from(key: KeySource) -> Self {
        Self::none().or(key)
    }
}

impl fmt::Debug for ArchiveKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.held.is_some() { "of an environment, " } else { "" };
        write!(f, "ArchiveKeys({of}{} of users)", self.sources.len())
    }
}
