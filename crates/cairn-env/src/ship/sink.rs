//! `JournalSink`: where journal bytes are shipped to.

use std::fmt;

use cairn_log::{FileNumber, Timeline};

use crate::EnvResult;

/// A piece of the journal, as it is stored: in an encrypted environment, ciphertext.
///
/// Pieces come in the order of the journal and without gaps: each begins where the one before it has
/// ended, or at offset 0 of the next journal file, whose first 4 KiB are its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalPiece<'a> {
    /// The timeline on which the file was begun.
    pub timeline: Timeline,
    /// The journal file.
    pub file: FileNumber,
    /// Where in the file the piece begins, in bytes.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Of the first piece of a file: the journal file before it, and where that has ended, which is how
    /// much of it was shipped. `None` if there is none before it, and for all other pieces.
    pub previous: Option<(FileNumber, u64)>,
}

/// Something that gets the journal of an environment, past a base: a replica, an archive.
///
/// What it gets it can be given again, after it or the environment was interrupted. The very same bytes for the
/// same place are then a success; other bytes are an error ([`EnvError::ShippedOtherwise`]), and so is a gap
/// ([`EnvError::ShippingGap`]).
///
/// [`EnvError::ShippedOtherwise`]: crate::EnvError::ShippedOtherwise
/// [`EnvError::ShippingGap`]: crate::EnvError::ShippingGap
pub trait JournalSink: fmt::Debug + Send + Sync {
    /// Takes a piece. It need not be durable when this returns.
    ///
    /// # Errors
    /// Whatever went wrong; the piece then counts as not taken.
    fn push(&self, piece: &JournalPiece<'_>) -> EnvResult<()>;

    /// Makes all pieces that it has taken durable.
    ///
    /// # Errors
    /// Whatever went wrong. What of the pieces is durable is then unknown.
    fn sync(&self) -> EnvResult<()>;
}
