//! A disk that loses power, calls that fail, a clock that moves when told, and one source of every
//! choice: what CairnDB is tested on.
//!
//! * [`SimDisk`] is a [`Dir`](cairn_io::Dir) in memory that writes down what is done to it. Its
//!   [`Trace`] can be cut at every operation, and at each cut a [`Crash`] makes the [`Image`]s that
//!   a power failure may leave there. An image is a disk again, so crashes nest.
//! * [`FaultDisk`] lets chosen calls fail, on any disk.
//! * [`SimWorld`] is a [`World`](cairn_io::World) whose clock and workers move when told.
//! * [`Chooser`] is the one source of what a test leaves open: exhaustive, random, a fuzzer's, or
//!   replayed and [shrunk](shrink).
//! * [`Named`] knows whether the tests are there that a list of promises names.
//!
//! A crash sweep: run the workload once, then hold every image of every cut against what the
//! workload knew at that time.
//!
//! ```
//! use cairn_io::{Access, DirExt, DirRef, FileExt, IoResult, Name, SyncSite};
//! use cairn_sim::{Bounds, Level, SimDisk};
//!
//! const LOG: Name = Name::constant("log");
//! const SITE: SyncSite = SyncSite::new("log.append");
//!
//! // The program under test: a log of bytes, with a checksum so simple that it suffices here.
//! fn create(dir: &DirRef) -> IoResult<()> {
//!     dir.create(&LOG)?;
//!     dir.sync(SITE)
//! }
//! fn append(dir: &DirRef, value: u8) -> IoResult<()> {
//!     let file = dir.open(&LOG, Access::ReadWrite)?;
//!     file.write_all_at(file.len()?, &[value, !value])?;
//!     file.sync(SITE)
//! }
//! fn read(dir: &DirRef) -> IoResult<Vec<u8>> {
//!     let bytes = if dir.has(&LOG)? { dir.read_small(&LOG, 1000)? } else { vec![] };
//!     let records = bytes.chunks_exact(2).take_while(|record| record[0] == !record[1]);
//!     Ok(records.map(|record| record[0]).collect())
//! }
//!
//! // The run, once. The disk is told what has been acknowledged.
//! let disk = SimDisk::new();
//! create(&disk.root())?;
//! for value in 1..=3 {
//!     append(&disk.root(), value)?;
//!     disk.mark("acknowledged", value.into());
//! }
//!
//! // Every crash of it.
//! let (trace, mut images) = (disk.trace(), 0);
//! let mut cuts = trace.cuts();
//! while let Some(cut) = cuts.next_cut() {
//!     let acknowledged = cut.mark("acknowledged").unwrap_or(0);
//!     for level in Level::ALL {
//!         for crashed in cut.crash().images(level, &Bounds::full()) {
//!             let found = read(&crashed.image.to_mem().root())?;
//!             let all: Vec<u8> = (1..=3).collect();
//!             assert!(all.starts_with(&found), "{crashed}: {found:?}");
//!             assert!(found.len() as u64 >= acknowledged, "{crashed}: {found:?}");
//!             images += 1;
//!         }
//!     }
//! }
//! assert!(images > 50);
//!
//! // The sync of the log is needed: without it an acknowledged value can be lost.
//! let careless = trace.without_syncs(|_, entry| entry.path() == "log");
//! let mut cuts = careless.cuts();
//! let mut lost = 0;
//! while let Some(cut) = cuts.next_cut() {
//!     for crashed in cut.crash().images(Level::LoseAll, &Bounds::smoke()) {
//!         let found = read(&crashed.image.to_mem().root())?;
//!         lost += u64::from((found.len() as u64) < cut.mark("acknowledged").unwrap_or(0));
//!     }
//! }
//! assert!(lost > 0);
//! # Ok::<(), cairn_io::IoError>(())
//! ```
#![forbid(unsafe_code)]

mod chooser;
mod content;
pub mod crash;
mod disk;
pub mod fault;
mod hash;
mod image;
mod model;
mod named;
mod sweep;
mod trace;
mod trace_check;
mod world;

pub use chooser::{
    Choice, Choices, Chooser, ChooserExt, Exhaustive, FuzzBytes, InvalidChoices, Recorder, Replay,
    Run, Seeded, shrink,
};
pub use crash::{Bounds, Crash, CrashImage, Level, SECTOR};
pub use disk::{Operation, SimDisk};
pub use fault::{Fault, FaultDisk, Rule};
pub use image::Image;
pub use named::{Named, column};
pub use trace::{Cut, Cuts, Entry, Op, Trace, TraceHash};
pub use trace_check::{Summary, Violation, Writes};
pub use world::{SimWorld, WorkerId};

/// The examples of the README run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
