//! Pages: how a SQLite file is kept in a database of the environment.
//!
//! A file is a sequence of chunks of [`CHUNK`] bytes, whatever the page size of SQLite is. Each chunk that the
//! file has is one entry: its *base*, a whole image. A small change is kept as a *delta* beside it, which says
//! all bytes that differ from the base, so a read needs two entries at most and never a chain of them. The
//! *head* says how long the file is, and counts its changes.

mod delta;
mod draft;
mod head;
mod header;
mod layout;
mod piece;
mod replace;
mod version;

pub(crate) use draft::{Draft, Target, WriteError, place};
pub(crate) use head::Head;
pub(crate) use layout::{CHUNK, TooLong, spec};
pub(crate) use piece::Piece;
pub(crate) use replace::outrun;
pub(crate) use version::{ReadError, Version};
