//! `SalvageReport`: what a salvage has read, and what it could not.

use std::fmt;

use cairn_log::Lsn;

use crate::{DatabaseKind, Missing};

/// Whether what is said of a key has ever counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// A commit says it, which counts.
    Committed,
    /// A leaf or a moved value says it, and nothing proves that a crash has not taken the commit back.
    Unproven,
    /// A commit says it that stands behind the end of its journal file: a recovery has given it up.
    GivenUp,
    /// A transaction says it that has no end: no COMMIT record follows its parts.
    Unfinished,
    /// A commit says it of which another part is lost.
    Incomplete,
}

impl Standing {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Unproven => "unproven",
            Self::GivenUp => "given_up",
            Self::Unfinished => "unfinished",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Whether a database is one of those that the environment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Naming {
    /// It is.
    Current,
    /// It was dropped, or replaced by another one, and this is what it was called last.
    Former,
    /// Nobody knows: no name of it can be read, and it was given one.
    Lost,
}

impl Naming {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Former => "former",
            Self::Lost => "lost",
        }
    }
}

/// What a salvage hands out: a key, and what was once its value.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SalvagedEntry<'a> {
    /// The database.
    pub database: &'a SalvagedDatabase,
    /// The key.
    pub key: &'a [u8],
    /// The value; `None`: the key was deleted.
    pub value: Option<&'a [u8]>,
    /// The commit that says so; or if that is not [exact](Self::is_exact), one by which it was so.
    pub commit: u64,
    /// Whether `commit` is the one that has put the value: leaves do not say when.
    pub is_exact: bool,
    /// Whether it counts.
    pub standing: Standing,
    /// Whether the newest version of the key is lost, and this is an older one in its place.
    pub is_substitute: bool,
}

/// A database, as far as it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedDatabase {
    /// What it is called, or was.
    pub name: String,
    /// Whether the environment has it.
    pub naming: Naming,
    /// What its entries mean; [`DatabaseKind::Map`] where that is lost, too.
    pub kind: DatabaseKind,
    /// The number of its tree.
    pub tree: u32,
    /// Keys of which something that counts was handed out.
    pub keys: u64,
    /// What was handed out of it: of each key the newest value, or all versions.
    pub versions: u64,
    /// Bytes of these keys and values.
    pub bytes: u64,
}

/// Bytes of a file that are not what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedRange {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
    /// What is wrong.
    pub problem: String,
}

/// A log file, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedFile {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Whole records in it.
    pub records: u64,
    /// What is damaged of it, from front to back.
    pub damaged: Vec<DamagedRange>,
}

/// A transaction that does not count, or of which it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApartTransaction {
    /// The commit number that it has, or was to have.
    pub commit: u64,
    /// Why it does not count.
    pub standing: Standing,
    /// Where the first record of it stands that can be read.
    pub at: Lsn,
    /// Changes of it that can be read.
    pub changes: u64,
}

/// A key whose newest value is lost, so that an older one was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Substitute {
    /// The database.
    pub database: String,
    /// The key.
    pub key: Vec<u8>,
    /// The commit by which it had the value that was handed out.
    pub commit: u64,
    /// The commit of the one that is lost.
    pub lost_commit: u64,
    /// Why it is lost.
    pub why: String,
}

/// What a salvage has read, handed out, and could not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The log files.
    pub files: Vec<SalvagedFile>,
    /// The databases.
    pub databases: Vec<SalvagedDatabase>,
    /// What is not, or may not be, as it was at [`SalvageReport::newest_commit`]. A value is lost if no older one was
    /// found in its place, or of all versions one.
    pub missing: Vec<Missing>,
    /// Keys whose newest value is lost, but not all of them.
    pub substitutes: Vec<Substitute>,
    /// Transactions that do not count. Nothing of them is among what was handed out, unless it was asked for.
    pub apart: Vec<ApartTransaction>,
    /// Decisions that were made in place of what the source no longer says.
    pub notes: Vec<String>,
    /// The newest commit of which the source knows.
    pub newest_commit: u64,
}

impl SalvageReport {
    /// Whether nothing is damaged, missing, or older than it should be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.substitutes.is_empty() && self.damaged() == 0
    }

    /// How many ranges of bytes are damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.files.iter().map(|file| file.damaged.len() as u64).sum()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whole records of all files.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }

    /// Keys of all databases.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.keys).sum()
    }

    /// What was handed out of all databases.
    #[must_use]
    pub fn versions(&self) -> u64 {
        self.databases.iter().map(|database| database.versions).sum()
    }
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}, {} bytes: {}", self.offset, self.len, self.problem)
    }
}

impl fmt::Display for ApartTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, standing, at, changes } = self;
        let why = match standing {
            Standing::GivenUp => "stands behind the end of its journal file",
            Standing::Unfinished => "has no end",
            Standing::Incomplete => "is not all there",
            Standing::Committed | Standing::Unproven => "is not proven",
        };
        write!(f, "transaction {commit}, at {at}, {why}: {changes} changes")
    }
}
