//! A directory of files, honestly described: what it can do, and what it promises after a crash.
//!
//! Everything in CairnDB that has an effect outside memory passes through two traits of this
//! crate: [`Dir`] with its [`File`]s, and [`World`] (clock, randomness, background workers). The
//! real ones are [`RealDir`] and [`RealWorld`]; [`MemDisk`] keeps a directory tree in memory for
//! examples and unit tests; the crate `cairn-sim` adds a disk that loses power. Because there is no
//! other way out, the engine that ships is the engine that the crash simulator runs.
//!
//! ```
//! use cairn_io::{Access, FileExt, MemDisk, Name, SyncSite};
//!
//! const EXAMPLE: SyncSite = SyncSite::new("example.file");
//!
//! let disk = MemDisk::new();
//! let root = disk.root();
//! let name = Name::new("greeting").unwrap();
//! let file = root.create(&name)?;
//! file.write_all_at(0, b"hello")?;
//! file.sync(EXAMPLE)?; // the bytes are durable …
//! root.sync(SyncSite::new("example.dir"))?; // … and now the name is, too
//!
//! let mut five = [0; 5];
//! root.open(&name, Access::Read)?.read_exact_at(0, &mut five)?;
//! assert_eq!(&five, b"hello");
//! # Ok::<(), cairn_io::IoError>(())
//! ```
//!
//! What may be relied on, and what may not, stands in [`assumptions`].

#[cfg(not(unix))]
compile_error!("cairn-io knows Unix only: RealDir needs its directory descriptors and file locks");

pub mod assumptions;
#[doc(hidden)]
pub mod contract;
mod disk;
mod error;
#[expect(unsafe_code, reason = "mappings of files and advice about memory, the unsafe things here")]
mod mapping;
mod mem;
mod names;
#[doc(hidden)]
pub mod planted;
mod real;
#[doc(hidden)]
pub mod shared;
mod sync;
mod threads;
mod world;
mod write_behind;

pub use disk::{
    Access, Dir, DirExt, DirRef, Entry, EntryKind, File, FileExt, FileIdentity, FileRef, LockError,
    LockGuard, LockMode, Space, SyncSite,
};
pub use error::{IoError, IoOp, IoResult};
pub use mapping::{HUGE_PAGE, give_pages_back, lend_pages};
pub use mem::MemDisk;
pub use names::{InvalidName, Name};
pub use real::{RealDir, RealOptions, read_private};
pub use threads::RealWorld;
pub use world::{Step, WallTime, Worker, WorkerHandle, World, WorldRef};
pub use write_behind::WriteBehind;

/// The examples of the README run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
