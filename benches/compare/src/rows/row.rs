//! The rows of the table, and what each has to show.

use serde::{Deserialize, Serialize};

/// A figure of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Row {
    /// Entries in the order of their keys, in commits of 10,000 that are not synced, then one sync.
    Load,
    /// Entries in the order of their keys, in the way that the engine has for it.
    LoadSorted,
    /// Commits of 1000 random entries, synced.
    Batch,
    /// Random point reads in one snapshot.
    GetOne,
    /// The same from two threads, each with a snapshot of its own.
    GetTwo,
    /// All entries in order.
    Scan,
    /// A hundred entries in order, from a random one on.
    Ranges,
    /// What the device does: short appends to a growing file, each synced, in turns with the next row.
    Device,
    /// Commits of one random entry, synced.
    SyncOne,
    /// The same from eight threads.
    SyncEight,
    /// Commits of one random entry, not synced.
    NoSync,
    /// YCSB A from one thread: as many reads as updates, of keys that are not equally popular.
    ReadsAndUpdatesOne,
    /// The same from two.
    ReadsAndUpdatesTwo,
    /// YCSB B: 95 reads to 5 updates.
    MostlyReadsOne,
    /// The same from two threads.
    MostlyReadsTwo,
    /// Bytes written while entries change, by the bytes of these entries.
    ChurnWritten,
    /// Bytes on disk after that, by those of all entries.
    ChurnDisk,
    /// The same after what is not used was given back, and a close.
    CompactedDisk,
    /// How long an open takes after a close, in milliseconds.
    OpenClosed,
    /// How long an open takes after the process was killed, in milliseconds.
    OpenKilled,
}

impl Row {
    /// Those that are per second, and more is better.
    pub const RATES: [Self; 15] = [
        Self::Load,
        Self::LoadSorted,
        Self::Batch,
        Self::GetOne,
        Self::GetTwo,
        Self::Scan,
        Self::Ranges,
        Self::Device,
        Self::SyncOne,
        Self::SyncEight,
        Self::NoSync,
        Self::ReadsAndUpdatesOne,
        Self::ReadsAndUpdatesTwo,
        Self::MostlyReadsOne,
        Self::MostlyReadsTwo,
    ];

    /// Those that are about files, and less is better.
    pub const FILES: [Self; 5] = [
        Self::ChurnWritten,
        Self::ChurnDisk,
        Self::CompactedDisk,
        Self::OpenClosed,
        Self::OpenKilled,
    ];

    /// Whether it is about commits that survive a power failure.
    pub fn is_synced(self) -> bool {
        matches!(self, Self::Batch | Self::SyncOne | Self::SyncEight)
    }

    /// What the table calls it, and what its unit is.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Load => ("sorted load, many commits", "entries/s"),
            Self::LoadSorted => ("sorted load, in its own way", "entries/s"),
            Self::Batch => ("random batches of 1000, Sync", "entries/s"),
            Self::GetOne => ("point get, 1 thread", "1/s"),
            Self::GetTwo => ("point get, 2 threads", "1/s"),
            Self::Scan => ("full scan", "entries/s"),
            Self::Ranges => ("scans of 100 entries", "entries/s"),
            Self::Device => ("the device: append and fdatasync", "1/s"),
            Self::SyncOne => ("single puts, Sync, 1 thread", "commits/s"),
            Self::SyncEight => ("single puts, Sync, 8 threads", "commits/s"),
            Self::NoSync => ("single puts, NoSync", "commits/s"),
            Self::ReadsAndUpdatesOne => ("YCSB A, 1 thread", "operations/s"),
            Self::ReadsAndUpdatesTwo => ("YCSB A, 2 threads", "operations/s"),
            Self::MostlyReadsOne => ("YCSB B, 1 thread", "operations/s"),
            Self::MostlyReadsTwo => ("YCSB B, 2 threads", "operations/s"),
            Self::ChurnWritten => ("written, by what changes", "×"),
            Self::ChurnDisk => ("on disk, by what is live", "×"),
            Self::CompactedDisk => ("on disk after compaction, by what is live", "×"),
            Self::OpenClosed => ("open after a close", "ms"),
            Self::OpenKilled => ("open after a kill", "ms"),
        }
    }
}

/// What ours is measured by, within a turn or a round.
#[derive(Clone, Copy)]
pub enum By {
    /// The fastest of the others.
    Fastest,
    /// Another engine, if it had its turn.
    Engine(&'static str),
    /// Another row of ours.
    Own(Row),
    /// Nothing: the figure itself.
    Itself,
}

/// A figure that a row has to reach.
pub struct Goal {
    pub row: Row,
    pub by: By,
    pub bound: Bound,
    /// How it is said.
    pub said: &'static str,
}

#[derive(Clone, Copy)]
pub enum Bound {
    Least(f64),
    Most(f64),
}

impl Bound {
    /// Whether it is reached, but for the five percent that two runs differ by.
    pub fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::Least(least) => figure >= 0.95 * least,
            Self::Most(most) => figure <= 1.05 * most,
        }
    }
}

const fn fastest(row: Row, least: f64, said: &'static str) -> Goal {
    Goal { row, by: By::Fastest, bound: Bound::Least(least), said }
}

const fn own(row: Row, of: Row, least: f64, said: &'static str) -> Goal {
    Goal { row, by: By::Own(of), bound: Bound::Least(least), said }
}

const fn most(row: Row, by: By, most: f64, said: &'static str) -> Goal {
    Goal { row, by, bound: Bound::Most(most), said }
}

const AHEAD: &str = "≥ 1.0 × the fastest";

/// Of the rows that are per second.
pub const RATE_GOALS: &[Goal] = &[
    fastest(Row::Load, 1.0, AHEAD),
    fastest(Row::LoadSorted, 1.0, AHEAD),
    fastest(Row::Batch, 1.0, AHEAD),
    fastest(Row::GetOne, 1.0, AHEAD),
    fastest(Row::GetTwo, 1.0, AHEAD),
    fastest(Row::Scan, 1.0, AHEAD),
    fastest(Row::Ranges, 1.0, AHEAD),
    own(Row::SyncOne, Row::Device, 1.0, "≥ 1.0 × the device"),
    fastest(Row::SyncOne, 1.0, AHEAD),
    own(Row::SyncEight, Row::Device, 4.0, "≥ 4.0 × the device"),
    fastest(Row::SyncEight, 1.0, AHEAD),
    fastest(Row::NoSync, 2.0, "≥ 2.0 × the fastest"),
    fastest(Row::ReadsAndUpdatesOne, 1.0, AHEAD),
    fastest(Row::ReadsAndUpdatesTwo, 1.0, AHEAD),
    fastest(Row::MostlyReadsOne, 1.0, AHEAD),
    fastest(Row::MostlyReadsTwo, 1.0, AHEAD),
];

/// Of the rows about files.
pub const FILE_GOALS: &[Goal] = &[
    most(Row::ChurnWritten, By::Engine("rocksdb"), 0.5, "≤ 0.5 × RocksDB"),
    most(Row::CompactedDisk, By::Itself, 1.3, "≤ 1.3 × what is live"),
    most(Row::OpenClosed, By::Itself, 50.0, "≤ 50 ms"),
    most(Row::OpenKilled, By::Itself, 5000.0, "≤ 5000 ms"),
];
