//! Archives: one store of an environment as one portable file.
//!
//! A store is some databases of an environment, with their indexes. An archive holds their entries at one
//! commit, and what the store says of itself ([`StoreInfo`]), which only the store understands. It is:
//!
//! - checked: every byte passes a digest, and the entries must add up to what the footer says. An archive that
//!   is cut off, damaged, empty, something else, of a newer version or of another store is refused by an error
//!   of its own ([`ArchiveError`]) before anything changes;
//! - encrypted when its environment is: with a key of its own, that travels in it, wrapped, together with the
//!   keyring. Whoever opens the environment opens the archive ([`ArchiveKeys`]);
//! - a stream: [`ArchiveReader`] reads it from front to back in some 3 MiB, whatever it says.
//!
//! [`export()`] writes an archive under a name of its own, reads it back, and only then gives it its name. It is
//! never written again. [`import()`] verifies all of an archive first, then fills new databases beside everything else
//! while others commit, and at last puts them in the places of the old ones in one commit: a death at any moment leaves
//! the store as it was or as the archive has it, and maybe databases that [`remove_unfinished_imports`] knows. Handles of what was replaced are
//! those of dropped databases: they find nothing in later snapshots, and write nothing. Whoever keeps handles
//! takes those of [`ImportReport::databases`], for snapshots from [`ImportReport::commit`] on.
//!
//! ```
//! # use std::sync::Arc;
//! use cairn_archive::{ArchiveFile, ExportOptions, ImportOptions, StoreInfo, export, import};
//! use cairn_env::{DatabaseOptions, Environment, Options};
//! # use cairn_io::{MemDisk, Name, RealWorld, WorldRef};
//! # let world = Arc::new(RealWorld::new()) as WorldRef;
//!
//! let (env, _) = Environment::in_memory(Options::default())?;
//! let users = env.database("users", DatabaseOptions::default())?;
//! env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
//!
//! let (dir, store) = (MemDisk::new().root(), StoreInfo::databases());
//! let archive = ArchiveFile::new(dir, Name::constant("monday"));
//! let options = ExportOptions::default();
//! export(&env, &env.snapshot()?, &store, &["users"], &archive, &world, &options)?;
//!
//! env.write(|txn| txn.delete(&users, b"ada"))?;
//! let report = import(&env, &archive, &store, &ImportOptions::default())?;
//! let users = &report.databases[0];
//! assert_eq!(env.snapshot()?.get(users, b"ada")?.unwrap(), b"1815");
//! # Ok::<(), cairn_archive::ArchiveError>(())
//! ```
//!
//! The bytes are specified in `docs/format/archive.md`. Where to start reading: `layout` has the fixed parts,
//! `frame` how an archive is made of frames, `writer` and `reader` what stands in them, `head` the keys;
//! `export` and `import` put them together.
#![forbid(unsafe_code)]

mod compression;
mod diff;
mod error;
mod export;
mod file;
mod folder;
mod footer;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod hashing;
mod head;
mod header;
mod import;
mod keys;
mod layout;
mod place;
mod progress;
mod queue;
mod reader;
mod source;
#[doc(hidden)]
pub mod spec;
mod staging;
mod store;
mod sync;
mod unfinished;
mod writer;

pub use compression::{Compression, Compressor, Decompressor};
pub use diff::{Change, DiffReport, Difference, Side, diff};
pub use error::{ArchiveError, ArchiveResult};
pub use export::{ExportOptions, SYNC_SITES, export, export_to};
pub use file::{ArchiveFile, ArchiveReport, FileReader, verify};
pub use folder::BackupFolder;
pub use footer::{DatabaseTotals, Totals};
pub use header::{ArchivedDatabase, Header};
pub use import::{BeforeCommit, CheckEntry, ImportOptions, ImportReport, import};
pub use keys::ArchiveKeys;
pub use place::BackupPlace;
pub use progress::{Progress, Report, Step};
pub use reader::{ArchiveReader, Item, StoredReport, verify_stored};
pub use source::FileStream;
pub use staging::remove_unfinished_imports;
pub use store::{StoreInfo, StoreKind};
pub use unfinished::remove_unfinished;
