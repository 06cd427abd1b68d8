//! An ordered map with copy-on-write versions, whose nodes are log records.
//!
//! A [`Forest`] holds any number of trees from byte strings to byte strings. One [`TreeWriter`]
//! changes them; [`TreeWriter::freeze`] makes a version ([`FrozenRoot`]) that never changes and can be
//! read by any thread without a lock, while the writer goes on. A version can be written
//! ([`Flush`]): only what changed since an earlier one goes to disk, children before parents.
//! Nodes live in a [`NodeSource`] and, as far as the budget allows, in memory.
//!
//! This crate never touches a file, and it knows nodes only by their [`Lsn`](cairn_log::Lsn). It can
//! be used alone, with a [`MemorySource`]:
//!
//! ```
//! use std::sync::Arc;
//! use cairn_btree::{Forest, ForestOptions, MemorySource, TreeId, TreeWriter, ValueRef};
//!
//! let forest = Forest::new(Arc::new(MemorySource::new()), ForestOptions::default());
//! let mut writer = TreeWriter::new(forest, None, 1)?;
//! let tree = TreeId(1);
//! writer.create(tree)?;
//! writer.insert(tree, b"one", ValueRef::Inline(b"1"), 1)?;
//! let before = writer.freeze(1)?;
//! writer.insert(tree, b"one", ValueRef::Inline(b"uno"), 2)?;
//! let after = writer.freeze(2)?;
//!
//! let value = |root: &cairn_btree::FrozenRoot| root.get(tree, b"one").map(|found| {
//!     found.map(|held| match held.value() {
//!         ValueRef::Inline(bytes) => bytes.to_vec(),
//!         ValueRef::Pointer(_) => unreachable!("only small values were put"),
//!     })
//! });
//! assert_eq!(value(&before)?, Some(b"1".to_vec()));
//! assert_eq!(value(&after)?, Some(b"uno".to_vec()));
//! # Ok::<(), cairn_btree::TreeError>(())
//! ```
//!
//! How it works is told in the modules: the image of a node (the same bytes in memory and on disk),
//! slots (names of nodes in memory), gens (which versions are still needed).
#![forbid(unsafe_code)]

mod balance;

mod catalog;
mod check;
mod child;
mod clock;
mod cursor;
mod delta;
mod digest;
mod dump;
mod error;
mod flush;
mod forest;
mod fork;
mod frozen;
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod grave;
mod image;
mod key;
mod many;
mod memory;
mod node;
mod promise;
mod renew;
mod salvage;
mod slot;
mod source;
#[doc(hidden)]
pub mod spec;
mod sync;
mod tally;
mod writer;

pub use catalog::TreeId;
pub use check::{CheckReport, Finding, Problem, Reached, check};
pub use cursor::Cursor;
pub use delta::LoadError;
pub use digest::{StoredNode, TreeDigest};
pub use dump::{describe, dump};
pub use error::{TreeError, TreeResult};
pub use flush::Flush;
pub use forest::{CacheState, Forest, ForestOptions};
pub use frozen::{FrozenRoot, HeldValue, ValueRef};
pub use image::ValuePointer;
pub use key::MAX_KEY_LEN;
pub use promise::{PromisedVersion, Resident};
pub use renew::NodeName;
pub use salvage::{ChildImage, DeltaImage, NodeImage, RecordImage};
pub use source::{MemorySource, NodeRecord, NodeSource};
pub use tally::Tally;
pub use writer::{Replaced, TreeWriter};
