//! `TreeError`: a node that cannot be read, or that is not the one its parent means.

use cairn_log::{LogError, Lsn};

/// The result of an operation on a tree.
pub type TreeResult<T> = Result<T, TreeError>;

/// A failure of a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A node could not be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A whole node is not the one that its parent means: the bytes are damaged in a way that no
    /// checksum shows, or were put there by somebody.
    #[error("the node at {lsn} is not the one its parent means: {what}")]
    Structure {
        /// Where the node stands.
        lsn: Lsn,
        /// What differs.
        what: &'static str,
    },
    /// A cursor was moved on after an error took its place away: seek first.
    #[error("the cursor lost its place in an earlier error; seek before moving on")]
    LostPlace,
    /// A rule of this crate was broken: a bug. Nothing wrong is returned.
    #[error("internal error in the tree: {what}")]
    Internal {
        /// Which rule.
        what: &'static str,
    },
}

impl TreeError {
    /// Whether bytes on the disk are damaged, as opposed to a disk that does not answer.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
            Self::Structure { .. } => true,
            Self::LostPlace | Self::Internal { .. } => false,
        }
    }
}
