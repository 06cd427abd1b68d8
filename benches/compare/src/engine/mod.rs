//! The engines behind one trait: what each is asked to do, and with which settings.

mod cairn;
mod fjall;
mod lmdb;
mod redb;
mod sqlite;

use std::path::Path;

use crate::Result;

/// A key.
pub type Key = [u8; 16];

/// The cache that each engine gets, where it has one: larger than the data.
pub const CACHE: usize = 1 << 30;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It returns once the disk has said that it holds it.
    Synced,
    /// It returns once the process would find it again.
    Unsynced,
}

/// An engine with an open database of one key space.
pub trait Engine: Sync {
    /// Called before the writers of a row begin, for engines that decide for all of them.
    fn prepare(&self, _commit: Commit) -> Result {
        Ok(())
    }

    /// A writer of this thread. Commits of several writers may wait for each other.
    fn writer(&self, commit: Commit) -> Result<Box<dyn Writer + '_>>;

    /// Looks up each key in one snapshot and returns the sum of one byte of each value. Every key
    /// is there.
    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64>;

    /// Goes through everything in order; returns how many entries there were and a sum over one
    /// byte of each key and value.
    fn scan(&self) -> Result<(u64, u64)>;

    /// Makes everything durable.
    fn sync(&self) -> Result;
}

/// Commits.
pub trait Writer {
    /// One atomic commit that sets these keys to this value.
    fn commit(&mut self, keys: &[Key], value: &[u8]) -> Result;
}

/// What the table says of an engine, and how to open it.
pub struct Entry {
    /// Its name, which also selects it.
    pub name: &'static str,
    /// The settings that matter.
    pub settings: &'static str,
    /// Whether it is a B-tree in the sense of the goals: it reads what it wrote in place.
    pub b_tree: bool,
    /// Opens a new database in an empty directory.
    pub open: fn(&Path) -> Result<Box<dyn Engine>>,
}

/// All engines, ours first, then the same encrypted.
pub const ENGINES: &[Entry] =
    &[cairn::ENTRY, cairn::ENCRYPTED, redb::ENTRY, lmdb::ENTRY, fjall::ENTRY, sqlite::ENTRY];
