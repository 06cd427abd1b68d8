//! `RepairReport`: what a repair has brought back, and what it could not.

use std::fmt;

use cairn_log::dump::show_bytes;

/// Something that is not in the repaired environment as it once was, or may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// Commits that no journal file holds any more. What they changed is as it was before them, unless
    /// a later leaf or commit has it.
    Commits {
        /// The first one.
        from: u64,
        /// The last one; `None`: nobody knows how many there were, if any.
        to: Option<u64>,
    },
    /// Keys whose newest leaf cannot be read; or all of a database, if its name is known only from an older
    /// commit: another tree may have had it since.
    Keys {
        /// The database.
        database: String,
        /// The first key that may be affected.
        from: Vec<u8>,
        /// The first key after it that is not; `None`: all to the end.
        to: Option<Vec<u8>>,
        /// These keys may be as old as this commit; `None`: those that the journal does not hold are
        /// gone.
        as_of: Option<u64>,
    },
    /// A large value that cannot be read. Its key was left out.
    Value {
        /// The database.
        database: String,
        /// The key.
        key: Vec<u8>,
        /// What is wrong with it.
        why: String,
    },
    /// A database whose name cannot be told. It was given another one.
    Name {
        /// The new name.
        database: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commits { from, to: Some(to) } if from == to => {
                write!(f, "commit {from} is lost: what it changed may be as it was before it")
            }
            Self::Commits { from, to: Some(to) } => {
                write!(
                    f,
                    "commits {from} to {to} are lost: what they changed may be as it was before them"
                )
            }
            Self::Commits { from, to: None } => {
                write!(f, "commits from {from} on are lost, if there were any")
            }
            Self::Keys { database, from, to, as_of } => {
                let to = to.as_ref().map_or("the end".into(), |key| show_bytes(key, 32));
                let from = show_bytes(from, 32);
                write!(f, "database {database:?}, keys from {from:?} to before {to:?}: ")?;
                match as_of {
                    Some(commit) => write!(f, "may be as old as commit {commit}"),
                    None => write!(f, "only what the journal still holds of them is there"),
                }
            }
            Self::Value { database, key, why } => {
                let key = show_bytes(key, 32);
                write!(f, "database {database:?}, key {key:?}: left out, its value is lost: {why}")
            }
            Self::Name { database } => {
                write!(f, "the name of a database is lost: it is now {database:?}")
            }
        }
    }
}

/// A place in a file that is not as it should be. What that means for the content is said by
/// [`RepairReport::missing`], and may be nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedPlace {
    /// The file, by name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for DamagedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}: {}", self.file, self.offset, self.problem)
    }
}

/// What a repair has found, brought back, and could not bring back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What is not, or may not be, as it once was; empty if nothing was lost.
    pub missing: Vec<Missing>,
    /// Damaged places of the source.
    pub damaged: Vec<DamagedPlace>,
    /// Decisions that were made in place of what the source no longer says.
    pub notes: Vec<String>,
    /// The checkpoint, by its commit number, that the trees were taken from; `None` if there was none
    /// and they were put together from leaves and the journal.
    pub checkpoint: Option<u64>,
    /// The newest commit of which the source knows.
    pub newest_commit: u64,
    /// Commits of the journal that were replayed.
    pub replayed_commits: u64,
    /// Leaves that were used.
    pub leaves: u64,
    /// Log files that could be read.
    pub files: u64,
    /// Databases of the repaired environment.
    pub databases: u64,
    /// Entries of all of them.
    pub entries: u64,
}

impl RepairReport {
    /// Whether everything is as it was at [`RepairReport::newest_commit`].
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn damage(&mut self, file: &str, offset: u64, problem: impl fmt::Display) {
        let (file, problem) = (file.to_owned(), problem.to_string());
        self.damaged.push(DamagedPlace { file, offset, problem });
    }
}
