//! The engines behind one trait: what each is asked to do, and with which settings.

mod cairn;
mod canopy;
mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocks;
mod sled;
mod sqlite;

use std::path::Path;

use crate::Result;

/// A key.
pub type Key = [u8; 16];

/// A key and its value.
pub type Pair<'v> = (Key, &'v [u8]);

/// What an engine may use.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The bytes of its cache, where it has one.
    pub cache: usize,
    /// The bytes of its log that a checkpoint has to follow, if that is not as it usually is. Only CairnDB is told.
    pub log: Option<u64>,
}

impl Room {
    /// Where nothing else is said: a cache larger than the data.
    pub const USUAL: Self = Self { cache: 1 << 30, log: None };
}

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
    /// Called before the sessions of a row begin, for engines that decide for all of them.
    fn prepare(&self, _commit: Commit) -> Result {
        Ok(())
    }

    /// What one thread reads and writes with. Commits of several sessions may wait for each other.
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>>;

    /// Looks up each key in one snapshot and returns the sum of one byte of each value. Every key
    /// is there.
    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64>;

    /// Goes through everything in order; returns how many entries there were and a sum over one
    /// byte of each key and value.
    fn scan(&self) -> Result<(u64, u64)>;

    /// From each of these keys on, goes through so many entries in order, in one snapshot; returns the
    /// same as [`Engine::scan`].
    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)>;

    /// Puts entries whose keys ascend into what is empty, in the way that this engine has for it, all or nothing, and
    /// makes them durable. Returns whether it has one.
    fn load_sorted(&self, _entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        Ok(false)
    }

    /// Makes everything durable.
    fn sync(&self) -> Result;

    /// Gives back the space that nothing uses. Returns whether this engine can, where its files are.
    fn compact(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Ends it in order.
    fn close(self: Box<Self>) -> Result {
        Ok(())
    }
}

/// What one thread reads and writes with.
pub trait Session {
    /// One atomic commit that sets these keys to these values.
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result;

    /// Looks up one key, in a snapshot of its own, and returns one byte of its value. It is there.
    fn get(&mut self, key: &Key) -> Result<u8>;
}

/// What the table says of an engine, and how to open it.
pub struct Entry {
    /// Its name, which also selects it.
    pub name: &'static str,
    /// The settings that matter.
    pub settings: &'static str,
    /// Whether it is a B-tree in the sense of the goals: it reads what it wrote in place.
    pub b_tree: bool,
    /// Whether a synced commit survives a power failure: whether it waits until the device says that it holds it.
    pub syncs: bool,
    /// Opens the database in a directory, new if that is empty.
    pub open: fn(&Path, Room) -> Result<Box<dyn Engine>>,
}

/// All engines, ours first, then the same encrypted.
pub const ENGINES: &[Entry] = &[
    cairn::ENTRY,
    cairn::ENCRYPTED,
    redb::ENTRY,
    lmdb::ENTRY,
    canopy::ENTRY,
    sled::ENTRY,
    fjall::ENTRY,
    #[cfg(feature = "rocksdb")]
    rocks::ENTRY,
    sqlite::ENTRY,
];
