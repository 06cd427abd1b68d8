//! The relational store: SQLite whose database files live in an environment.
//!
//! A SQL file is a database of the environment, whose entries are pieces of the file. A commit of SQLite's is one
//! commit of the environment: one record in the journal and one sync. Readers see one version each and never
//! block a writer; there is no file beside the environment's own; a backup of the environment has all of its SQL
//! files, key-value stores and databases at one instant; and a page that is damaged on the disk is an error
//! (`SQLITE_CORRUPT`), never another answer.
//!
//! [`SqliteConnections::sqlite_connection`] gives plain `rusqlite` connections, which this crate re-exports: only
//! one version of SQLite can be linked into a program.

mod connect;
mod file;
mod pages;
#[doc(hidden)]
pub mod spec;
mod sync;
mod transfer;
mod vfs;

pub use connect::{Access, SqliteConnections};
pub use file::{Cause, take_cause};
pub use rusqlite;
pub use transfer::{
    ListedSqlBackup, PlainOptions, SYNC_SITES, SqlFiles, TransferError, TransferProgress,
    TransferReport, TransferResult,
};
pub use vfs::is_complete;
